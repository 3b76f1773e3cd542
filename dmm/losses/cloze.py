"""The masked-word loss: a word is taken out of the caption and must be read off the picture. A training aid, not in any of the papers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dmm.fp32 import to_fp32


@dataclass(frozen=True)
class MaskedCaptions:
    """N = B * K variants of B captions, each with some words taken out."""

    captions: Tensor  # N L, mask id at the masked positions
    lengths: Tensor  # N
    masked: Tensor  # N L bool
    targets: Tensor  # M the words taken out, in the order of captions[masked]
    image: Tensor  # N, the caption's picture in 0..B-1


def mask_words(
    captions: Tensor,
    lengths: Tensor,
    allowed: Tensor,
    mask_id: int,
    variants: int = 1,
    words: int = 1,
    generator: torch.Generator | None = None,
) -> MaskedCaptions:
    """Take words out at random.

    Args:
        captions: B L word ids.
        lengths: B tokens in each caption.
        allowed: B L bool, positions that may be taken out (content words, say).
        mask_id: what stands in their place.
        variants: K versions of each caption; they lose different words as far as the caption has enough.
        words: words taken out of each version.
        generator: of the random choice.
    """
    batch, length = captions.shape
    weight = torch.rand(batch, length, generator=generator).to(captions.device)
    order = weight.masked_fill(~allowed, -1.0).argsort(1, descending=True)  # allowed positions first, shuffled
    count = allowed.sum(1, keepdim=True).clamp(min=1)
    picks = torch.arange(variants * words, device=captions.device).expand(batch, -1) % count  # the next ones in turn
    positions = order.gather(1, picks).view(batch * variants, words)
    image = torch.arange(batch, device=captions.device).repeat_interleave(variants)
    masked = torch.zeros(batch * variants, length, dtype=torch.bool, device=captions.device).scatter_(1, positions, True)
    masked &= allowed[image]
    rows = captions[image]
    return MaskedCaptions(rows.masked_fill(masked, mask_id), lengths[image], masked, rows[masked], image)


def cloze_loss(head, regions: Tensor, batch: MaskedCaptions) -> dict[str, Tensor]:
    """Scalars ``total`` (mean cross-entropy of the missing words; 0 if none is missing) and ``accuracy`` in [0, 1].

    Args:
        head: ``(regions, captions, lengths, masked, image) -> logits M V``.
        regions: B D H W features of the pictures; all variants of a caption share them.
        batch: from :func:`mask_words`.
    """
    logits = head(regions, batch.captions, batch.lengths, batch.masked, batch.image)
    if not len(batch.targets):
        zero = logits.sum()
        return {"total": zero, "accuracy": zero.detach()}
    hits = (logits.detach().argmax(1) == batch.targets).float().mean()
    return {"total": F.cross_entropy(to_fp32(logits), batch.targets), "accuracy": hits}
