"""How the stages after the first begin, where a run trains the first ones alone before. Training aids; none is in the papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from dmm.config import Config
from dmm.trace import Trace
from dmm.training.data import TrainingData
from dmm.training.ema import EMA, kept_statistics
from dmm.training.frozen import Frozen, Text
from dmm.training.initialisation import spread_keys
from dmm.training.rng import Purpose, step_rng
from dmm.training.schedule import memory_stages
from dmm.training.snapshots import Snapshots


@dataclass
class Refinements:
    """Of one run's generator.

    Args:
        config: the run.
        data: holds captions.
        frozen: reads them.
        generator: the live network.
        generate: generator, text, rng and number of pictures -> trace.
    """

    config: Config
    data: TrainingData
    frozen: Frozen
    generator: nn.Module
    generate: Callable[[nn.Module, Text, torch.Generator, int], Trace]

    def adopt(self, snapshots: Snapshots) -> None:
        """Go on from the EMA of the first stage, with statistics of its own."""
        snapshots.reestimate(1)
        self.generator.load_state_dict(snapshots.ema.network.state_dict())
        if self.config.train.key_spread:
            self.spread_keys()
            snapshots.ema.network.load_state_dict(self.generator.state_dict())

    @torch.no_grad()
    def begin(self, ema: EMA) -> None:
        """Spread the keys of the stages that start now, by the maps that they will read; a system without keys has nothing to do."""
        if not self.config.train.key_spread:
            return
        first = self.config.train.initial_stages
        self.spread_keys(first)
        for own, live in list(zip(memory_stages(ema.network), memory_stages(self.generator), strict=True))[first - 1 :]:
            own.key.load_state_dict(live.key.state_dict())

    def spread_keys(self, first: int = 1, captions: int = 32) -> None:
        """Scale the keys of the refinements from number ``first`` on as :func:`dmm.training.initialisation.spread_keys` does."""
        text = self.frozen.text(self.data.batch(0, captions, (), Purpose.KEY_SPREAD))

        def generate(stages: int) -> Trace:
            return self.generate(self.generator, text, step_rng(self.config.train.seed, 0, Purpose.KEY_SPREAD), stages)

        with kept_statistics(self.generator, True):
            spread_keys(memory_stages(self.generator), generate, self.config.train.key_spread, first)
