"""What every step does with its gradients: the learning rate's line, and one step of an optimiser."""

from __future__ import annotations

import torch
from torch import nn

from dmm.training.ranks import Ranks


def lr_at(base: float, final: float, index: int, steps: int) -> float:
    """The learning rate at step ``index``: linear from ``base`` to ``final * base``."""
    return base * (1 + (final - 1) * min(index / max(steps, 1), 1))


def descend(
    optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter], ranks: Ranks, scaler: torch.amp.GradScaler, clip: float = 0.0
) -> None:
    """Average the gradients over the processes, clip their norm if asked to, and take the optimiser's step."""
    ranks.average_gradients(parameters)
    if clip:
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(parameters, clip)
    scaler.step(optimiser)
