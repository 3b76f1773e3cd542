"""Colour consistency: a picture has the colours of the smaller one it was made from (StackGAN++).

Each picture is summarised by the mean and the covariance of its pixels' colours; neighbouring sizes should agree in both. The paper uses it
for pictures without text; the published settings leave it off for birds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dmm.fp32 import in_fp32


def colour_statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    """B C H W -> mean B C and covariance B C C over the pixels, the latter divided by their number."""
    pixels = image.flatten(2)  # B C Q
    mean = pixels.mean(2)
    centred = pixels - mean[:, :, None]
    return mean, centred @ centred.transpose(1, 2) / pixels.shape[2]


@in_fp32
def colour_loss(images: Sequence[Tensor], covariance: float = 5.0) -> dict[str, Tensor]:
    """Scalar ``total``: mean squared differences of the statistics of neighbouring sizes, summed over the pairs.

    Args:
        images: pictures of the stages, smallest first, each B 3 S S. The smaller of a pair is detached: it is the model, not the copy.
        covariance: weight of the covariances against the means.
    """
    total = torch.zeros((), dtype=images[0].dtype, device=images[0].device)
    for smaller, larger in zip(images, images[1:], strict=False):
        (mean, spread), (wanted_mean, wanted_spread) = colour_statistics(larger), colour_statistics(smaller.detach())
        total = total + F.mse_loss(mean, wanted_mean) + covariance * F.mse_loss(spread, wanted_spread)
    return {"total": total}
