"""The text-image matching loss of a generated picture (AttnGAN's DAMSM term): image encoder, then :mod:`dmm.matching`."""

from __future__ import annotations

from torch import Tensor

from dmm.matching import matching_losses


def damsm_loss(
    encoder,
    images: Tensor,
    words: Tensor,
    sentence: Tensor,
    lengths: Tensor,
    class_ids: Tensor | None = None,
    gamma1: float = 4.0,
    gamma2: float = 5.0,
    gamma3: float = 10.0,
) -> dict[str, Tensor]:
    """Scalars ``words0``, ``words1``, ``sentence0``, ``sentence1``, ``total`` of pictures B 3 S S against their captions.

    Args:
        encoder: pictures -> (regions B D H W, embedding B D).
        images: B 3 S S in [-1, 1].
        words: B D T word features.
        sentence: B D.
        lengths: B words in each caption.
        class_ids: B; pairs of one class are left out of the mismatches.
        gamma1: sharpness of the attention over regions.
        gamma2: sharpness of the sum over words.
        gamma3: sharpness of the softmax over the batch.
    """
    regions, embedding = encoder(images)
    return matching_losses(regions, embedding, words, sentence, lengths, class_ids, gamma1, gamma2, gamma3)
