"""The picture of a caption is known: how far is the generated one from it? A training aid, not in any of the papers.

Weighted absolute difference of pixels, and absolute difference of horizontal and vertical steps between neighbours, which keeps edges.
"""

from __future__ import annotations

from torch import Tensor

from dmm.fp32 import in_fp32


@in_fp32
def reconstruction_loss(image: Tensor, target: Tensor, weight: Tensor, edges: float = 0.5) -> Tensor:
    """Scalar; 0 where all weights are 0.

    Args:
        image: B 3 S S generated, in [-1, 1].
        target: B 3 S S the caption's own picture.
        weight: B 1 S S of each pixel, not negative; a sample of weight 0 is left out.
        edges: weight of the steps between neighbours against the pixels.
    """
    total = weight.sum().clamp(min=1e-6)
    difference = image - target
    pixels = (difference.abs() * weight).sum() / (3 * total)
    across = (difference[..., 1:] - difference[..., :-1]).abs() * weight[..., 1:]
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs() * weight[..., 1:, :]
    return pixels + edges * (across.sum() + down.sum()) / (3 * total)
