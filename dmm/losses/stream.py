"""Redescription: the picture must be described again by its own caption (STREAM of MirrorGAN and DMM-GAN)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dmm.fp32 import in_fp32


@in_fp32
def caption_loss(logits: Tensor, captions: Tensor, lengths: Tensor) -> Tensor:
    """Mean cross-entropy over all real positions of a batch.

    Args:
        logits: B T V, position t predicts token t.
        captions: B L word ids, L at least T.
        lengths: B tokens in each caption.
    """
    steps = logits.shape[1]
    real = torch.arange(steps, device=logits.device)[None] < lengths[:, None].to(logits.device)
    return F.cross_entropy(logits[real], captions[:, :steps][real])


@in_fp32
def repetition_loss(logits: Tensor, captions: Tensor, lengths: Tensor) -> Tensor:
    """Unlikelihood of saying a word again (Welleck et al., 2020): mean over the real positions of the sum of -log(1 - p(word)).

    Summed over the words that the caption has said before a position and does not say again from there on, so that "a" and "and" may
    come again where they do. Arguments as of :func:`caption_loss`.
    """
    steps = logits.shape[1]
    real = torch.arange(steps, device=logits.device)[None] < lengths[:, None].to(logits.device)  # B T
    said = F.one_hot(captions[:, :steps], logits.shape[2]) * real[..., None]  # B T V
    before = said.cumsum(1) - said
    again = said.sum(1, keepdim=True) - before  # at this position or later
    done = (before > 0) & (again == 0) & real[..., None]
    unlikely = -torch.log1p(-logits.softmax(2).clamp(max=1 - 1e-5))
    return (unlikely * done).sum() / real.sum()
