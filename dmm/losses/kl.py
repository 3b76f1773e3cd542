"""The conditioning code stays near a standard normal (StackGAN, Eq. 3), as the published codes average it."""

from __future__ import annotations

import torch
from torch import Tensor

from dmm.precise import precise


@precise
def kl_loss(mean: Tensor, logvar: Tensor) -> Tensor:
    """-0.5 * mean over batch and dimensions of 1 + logvar - mean^2 - exp(logvar); both B K, a scalar."""
    return -0.5 * torch.mean(1 + logvar - mean.square() - logvar.exp())
