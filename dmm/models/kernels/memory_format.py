"""The order of a network's weights in memory."""

from __future__ import annotations

import torch

from dmm.models.modules import Network


def channels_last(network: Network) -> Network:
    """The network itself, its kernels stored channels last, so that its maps are too."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # documented, but not in torch's overloads
