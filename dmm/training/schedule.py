"""Which pictures are trained when, and with how many captions.

A run of a system with several pictures may begin with its first stages alone (``initial_steps``, ``initial_stages``) and then freeze the
first while the refinements start (``frozen_steps``); discriminators may begin late (``adversarial_start``). All are 0 in the published
settings: every stage is trained from the first step to the last.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from dmm.config import ConfigError, ModelConfig, TrainConfig
from dmm.models.memory_stage import MemoryStage
from dmm.models.multistage import MultiStage, as_multi_stage
from dmm.models.registry import ModelEntry, picture_sizes


def memory_stages(generator: nn.Module) -> list[MemoryStage]:
    """The refinements through a memory, of a system that :meth:`Schedule.of` has let pass."""
    return [stage for stage in as_multi_stage(generator).refinements if isinstance(stage, MemoryStage)]


@dataclass(frozen=True)
class Schedule:
    """Of one run. Stages are numbered from 0, which is the first picture that has a discriminator.

    Args:
        settings: the run's.
        discriminated: pictures that have a discriminator.
        staged: the generator can stop after its first stages, so that they can be trained alone.
    """

    settings: TrainConfig
    discriminated: int
    staged: bool

    @classmethod
    def of(cls, settings: TrainConfig, model: ModelConfig, entry: ModelEntry, generator: nn.Module) -> Schedule:
        """The schedule of a generator.

        Raises:
            ConfigError: a setting for parts that the system lacks.
        """
        every = entry.discriminated == "all"
        refinements = generator.refinements if isinstance(generator, MultiStage) else ()
        staged = every and len(refinements) > 0
        remembers = staged and all(isinstance(refinement, MemoryStage) for refinement in refinements)
        needs = {"initial_steps": staged, "frozen_steps": staged, "consistency": staged, "key_spread": remembers}
        needs["calibrate"] = isinstance(generator, MultiStage)
        for name, there in needs.items():
            if getattr(settings, name) and not there:
                raise ConfigError(f"train.{name}: {entry.name} has no such parts; set it to 0")
        count = len(picture_sizes(model))
        if settings.initial_steps and settings.initial_stages > count:
            raise ConfigError(f"train.initial_stages: {entry.name} generates {count} pictures, found {settings.initial_stages}")
        return cls(settings, count, staged)

    def stages(self, index: int) -> list[int]:
        """Those that step ``index`` trains."""
        settings = self.settings
        if index < settings.initial_steps:
            return list(range(settings.initial_stages))
        return list(range(1 if index < settings.initial_steps + settings.frozen_steps else 0, self.discriminated))

    def batch(self, index: int) -> int:
        """Captions, each with its picture, in step ``index``."""
        settings = self.settings
        return settings.initial_batch if index < settings.initial_steps and settings.initial_batch else settings.batch

    def adversarial(self, index: int) -> bool:
        """Are there discriminators in step ``index``?"""
        return index >= self.settings.adversarial_start

    def begins_refinements(self, index: int) -> bool:
        """Is step ``index`` the first after the first stages were trained alone?"""
        return index == self.settings.initial_steps > 0

    def limit(self, stages: int) -> int | None:
        """How many of the generator's stages to compute for the first ``stages`` pictures; None = all."""
        return stages if self.staged else None
