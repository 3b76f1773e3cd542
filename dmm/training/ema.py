"""The exponential moving average (EMA) of the generator, and batch-norm statistics that belong to it.

The published codes average the parameters and keep the batch-norm buffers of the last weights; the EMA then runs with the
statistics of another network and, early in training, generates blurred pictures. :func:`reestimate` measures them anew.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

Item = TypeVar("Item")


class EMA:
    """Exponential average of a network's parameters; buffers stay those that the network began with, until :func:`reestimate`.

    Args:
        network: the live network.
        decay: share of the old average that stays, per update; the first updates use min(decay, (1 + n) / (10 + n)) when ``warm``.
        warm: ramp the decay up from the start. The published codes do not.
    """

    def __init__(self, network: nn.Module, decay: float = 0.999, warm: bool = False):
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay
        self.warm = warm
        self.updates = 0

    @torch.no_grad()
    def update(self, live: nn.Module) -> None:
        """``ema = decay * ema + (1 - decay) * live``, parameter by parameter."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.warm else self.decay
        self.updates += 1
        torch._foreach_lerp_(list(self.network.parameters()), [p.detach() for p in live.parameters()], 1 - decay)

    def state_dict(self) -> dict:
        """The EMA of the weights and the count of updates."""
        return {"network": self.network.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict) -> None:
        """The inverse of :meth:`state_dict`."""
        self.network.load_state_dict(state["network"])
        self.updates = state["updates"]


@torch.no_grad()
def reestimate(network: nn.Module, forward: Callable[[nn.Module, Item], object], batches: Iterable[Item]) -> None:
    """Replace every batch norm's running statistics by the plain average over ``batches``.

    Args:
        network: the EMA of the generator; left in eval mode.
        forward: runs the network on one batch.
        batches: a few batches of captions and prior noise.
    """
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)]
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    network.train()
    try:
        for batch in batches:
            forward(network, batch)
    finally:
        network.eval()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


@contextmanager
def kept_statistics(network: nn.Module, keep: bool) -> Iterator[None]:
    """Batch norms in training mode that do not note what they see, if ``keep``."""
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm)] if keep else []
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
