"""The losses of one adversarial step, computed from a micro-batch and what was generated of it (DM-GAN, Eqs. 11 to 13, and its family's).

Which pair of losses discriminators and generator have is the business of :mod:`dmm.training.objectives`, the text losses are those of
:mod:`dmm.training.text_guidance`, and the weights are the recipe's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dmm.config import TrainConfig
from dmm.losses.colour import colour_loss
from dmm.losses.consistency import consistency_loss
from dmm.losses.feature_limit import feature_limit_loss
from dmm.losses.kl import kl_loss
from dmm.losses.total import total
from dmm.models.modules import AnyDiscriminator, Modules
from dmm.models.registry import ModelEntry
from dmm.trace import Trace
from dmm.training.micro_batches import MicroBatch
from dmm.training.objectives import DiscriminatorInputs, Objective
from dmm.training.paired import Paired
from dmm.training.ranks import GatheringDiscriminator, Ranks
from dmm.training.rng import StepRandom
from dmm.training.text_guidance import TextGuidance
from dmm.training.transfer import images_to_device, to_device


def interpolated(micro_batch: MicroBatch) -> Tensor:
    """Sentences B D halfway between two of the batch (INT of Reed et al., with beta = 0.5)."""
    sentence = micro_batch.text.sentence
    return (sentence + sentence.roll(1, 0)) / 2


@dataclass
class Losses:
    """Of one run.

    Args:
        settings: weights.
        entry: what the system's discriminators join and read.
        objective: the pair of losses of discriminators and generator.
        discriminators: one for each picture that has one.
        guidance: the text losses.
        paired: the loss of paired training, if it is asked for.
        ranks: this process among others.
    """

    settings: TrainConfig
    entry: ModelEntry
    objective: Objective
    discriminators: Modules[AnyDiscriminator]
    guidance: TextGuidance
    paired: Paired | None
    ranks: Ranks

    def discriminator(self, micro_batch: MicroBatch, stage: int) -> Tensor:
        """The loss of one discriminator."""
        return self.objective.discriminator_loss(self._network(stage), self._inputs(micro_batch, stage), self.settings)["total"]

    def generator(
        self, micro_batch: MicroBatch, stages: list[int], rng: StepRandom, adversarial: bool, between: tuple[Tensor, Trace] | None = None
    ) -> dict[str, Tensor]:
        """Named weighted terms of what was generated.

        Args:
            micro_batch: with its trace.
            stages: that are trained.
            rng: of the step.
            adversarial: do discriminators ask in this step?
            between: :func:`interpolated` sentences B D, and what was generated of this process's share of them, if that is asked for.
        """
        settings, trace = self.settings, micro_batch.generated
        generated, terms = self._generated(trace), {}
        for stage in stages if adversarial else []:
            fake, condition = generated[stage], self.fake_condition(micro_batch, stage)
            size, network = self.discriminators[stage].size, self._network(stage)
            terms[f"g{size}"] = self.objective.generator_loss(network, fake, condition, settings)["total"]
        if between is not None:
            terms["interpolation"] = settings.interpolation * self.interpolation(*between, micro_batch.share, stages)
        if self.paired:
            terms["paired"] = settings.paired * self._paired(self.paired, micro_batch, generated)
        if settings.consistency and max(stages):
            pairs = [(generated[stage - 1], generated[stage]) for stage in stages if stage]
            terms["consistency"] = settings.consistency * total(consistency_loss(*pair) for pair in pairs) / len(pairs)
        if settings.colour and len(generated) > 1:
            terms["colour"] = settings.colour * colour_loss(generated)["total"]
        if settings.feature_limit:
            maps = [stage.hidden for stage in trace.stages if stage.hidden is not None]
            terms["feature_limit"] = settings.feature_limit * feature_limit_loss(maps)
        if 0 in stages and settings.kl:
            assert trace.mean is not None and trace.logvar is not None, "train.kl is refused for a system without conditioning code"
            terms["kl"] = settings.kl * kl_loss(trace.mean, trace.logvar)
        read = [generated[stage] for stage in (stages if settings.text_losses_on == "all" else stages[-1:])]
        batch = to_device(micro_batch.batch, self.ranks.device)
        return terms | self.guidance(read, batch, micro_batch.text.words, micro_batch.text.sentence, rng)

    def interpolation(self, between: Tensor, trace: Trace, share: slice, stages: list[int]) -> Tensor:
        """What discriminators ask of pictures of :func:`interpolated` sentences B D, of which this process generated its share."""
        generated, condition = self._generated(trace), between if self.objective.gathers else between[share]
        return total(
            self.objective.generator_loss(self._network(stage), generated[stage], condition, self.settings)["total"] for stage in stages
        )

    def _generated(self, trace: Trace) -> list[Tensor]:
        """The pictures that have a discriminator, b 3 S S each."""
        return trace.images if self.entry.discriminated == "all" else trace.images[-1:]

    def condition(self, micro_batch: MicroBatch) -> Tensor:
        """The text that discriminators join: of all processes if they compare samples, of this one's share otherwise."""
        if self.entry.condition == "mean":
            mean = micro_batch.generated.mean
            assert mean is not None, "a system whose discriminators join the mean has one"
            return self.ranks.gather(mean)
        sentence = micro_batch.text.sentence
        return sentence if self.objective.gathers else sentence[micro_batch.share]

    def fake_condition(self, micro_batch: MicroBatch, stage: int) -> Tensor:
        """The text that discriminators join with fake pictures.

        Where a picture was made from corrupted text, that: the first picture from the sentence, the second from the words. The last is
        asked to be right.
        """
        condition, rows = self.condition(micro_batch), (micro_batch.corrupted, micro_batch.misread)[stage] if stage < 2 else None
        if rows is None or micro_batch.read_sentence is None or not self.objective.fake_text:
            return condition
        return torch.where(rows.to(condition.device)[:, None], micro_batch.read_sentence, condition)

    def _network(self, stage: int) -> AnyDiscriminator | GatheringDiscriminator:
        network = self.discriminators[stage]
        return GatheringDiscriminator(network, self.ranks) if self.objective.gathers and self.ranks.world > 1 else network

    def _inputs(self, micro_batch: MicroBatch, stage: int) -> DiscriminatorInputs:
        size, device, wrong = self.discriminators[stage].size, self.ranks.device, micro_batch.wrong
        wrong_real = images_to_device(micro_batch.wrong_real[size], device) if micro_batch.wrong_real else None
        if not self.objective.gathers and self.ranks.world > 1:  # the pairs that shifting the features of the whole batch makes
            wrong = (micro_batch.text.sentence.roll(1, 0) if wrong is None else wrong)[micro_batch.share]
        return DiscriminatorInputs(
            real=images_to_device(micro_batch.real[size], device),
            fake=self._generated(micro_batch.generated)[stage],
            condition=self.condition(micro_batch),
            wrong=wrong,
            fake_condition=self.fake_condition(micro_batch, stage),
            wrong_real=wrong_real,
            one_pass=self.settings.one_pass and self.entry.norm != "batch" and self.ranks.world == 1,
        )

    def _paired(self, paired: Paired, micro_batch: MicroBatch, generated: list[Tensor]) -> Tensor:
        sides = [d.size for d in self.discriminators[: len(generated)]]
        real = {side: images_to_device(micro_batch.real[side], self.ranks.device) for side in sides}
        return paired.loss(generated, real, micro_batch.batch, micro_batch.share, micro_batch.unasked)
