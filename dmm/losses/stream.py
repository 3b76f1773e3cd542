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


def stream_loss(captioner, images: Tensor, captions: Tensor, lengths: Tensor) -> dict[str, Tensor]:
    """Scalar ``total``: the caption loss of pictures B 3 S S read by ``captioner(images, captions, lengths) -> logits``."""
    return {"total": caption_loss(captioner(images, captions, lengths), captions, lengths)}
