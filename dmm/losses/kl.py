"""The conditioning code stays near a standard normal (DM-GAN, Eq. 13), as the published codes average it."""

from __future__ import annotations

import torch
from torch import Tensor

from dmm.fp32 import in_fp32


@in_fp32
def kl_loss(mean: Tensor, logvar: Tensor) -> Tensor:
    """-0.5 * mean over batch and dimensions of 1 + logvar - mean^2 - exp(logvar); both B K, a scalar."""
    return -0.5 * torch.mean(1 + logvar - mean.square() - logvar.exp())
