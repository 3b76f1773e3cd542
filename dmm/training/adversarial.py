"""The adversarial step of every system: the discriminators, then the generator, then its EMA.

DM-GAN's losses are Eq. 12 for a discriminator and Eq. 10 for the generator, of Eqs. 11 and 13 and DAMSM; the family's differ.

Order as published: the generator is run once; each discriminator is updated on those pictures; the generator's loss goes through the
updated discriminators. Which losses these are is the business of :mod:`dmm.training.adversarial_losses`. A batch cut
into micro-batches (``accumulate``) is run twice, first for the discriminators and then for the generator, so that no more than one
graph is held.

Around it: what a step reads (:mod:`~dmm.training.micro_batches`, :mod:`~dmm.training.frozen`), which stages it trains
(:mod:`~dmm.training.schedule`), how a generator and its later stages start (:mod:`~dmm.training.initialisation`,
:mod:`~dmm.training.refinements`), what is kept of it (:mod:`~dmm.training.snapshots`).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from dmm.checkpoint import build
from dmm.config import Config
from dmm.losses.total import total
from dmm.models.discriminators import create_discriminators
from dmm.models.multistage import as_multi_stage
from dmm.models.registry import find_model
from dmm.trace import Trace
from dmm.training.adversarial_losses import Losses, interpolated
from dmm.training.compiled import compile_blocks
from dmm.training.data import TrainingData
from dmm.training.ema import EMA, kept_statistics
from dmm.training.frozen import Frozen, Text
from dmm.training.initialisation import calibrate, scale_words
from dmm.training.micro_batches import MicroBatch, MicroBatches, check_batches, draw_noise
from dmm.training.objectives import objective_of
from dmm.training.optimisation import descend, lr_at
from dmm.training.paired import Paired, first_refinement_reads
from dmm.training.precision import autocast, layout, resolve, scaler
from dmm.training.ranks import Ranks, share_batch_norms
from dmm.training.refinements import Refinements
from dmm.training.rng import Purpose, StepRandom
from dmm.training.schedule import Schedule, memory_stages
from dmm.training.snapshots import Snapshots
from dmm.training.text_guidance import TextGuidance
from dmm.training.transfer import ScalarLog


class GanStep:
    """One adversarial step.

    Args:
        config: the run.
        match: checkpoint of the matching run (text encoder, image encoder, perhaps the masked-word head).
        caption: checkpoint of the captioning run; needed where redescription has a weight.

    Raises:
        CheckpointError: frozen networks that do not fit.
        ConfigError: a setting that the system does not know.
    """

    label = "gan"

    def __init__(self, config: Config, match: str | Path, caption: str | Path | None = None):
        settings, model = config.train, config.model
        torch.manual_seed(settings.seed + 2)
        self.config, self.entry = config, find_model(model.system)
        objective = objective_of(self.entry, settings)
        self.ranks = Ranks.find(settings.device)
        self.dtype = resolve(settings.precision, self.ranks.device)
        self.scaler = scaler(self.dtype, self.ranks.device)
        self.frozen = Frozen.load(match, caption, config)
        self.data = TrainingData(config, self.frozen.vocab)
        frozen = self.frozen.to(self.ranks.device)
        guidance = TextGuidance(settings, self.data, frozen.image_encoder, frozen.captioner, frozen.cloze, self.ranks)
        self.generator = layout(build("generator", model, frozen.vocab), self.dtype).to(self.ranks.device)
        self.schedule = Schedule.of(settings, model, self.entry, self.generator)
        self.paired = Paired(config, self.data) if settings.paired else None
        self._micro_batches = MicroBatches(config, self.data, frozen, objective, self.ranks, self.dtype, self.paired)
        if settings.calibrate:
            sentence = frozen.text(self.data.batch(0, 512, (), Purpose.CALIBRATION)).sentence
            calibrate(as_multi_stage(self.generator).conditioning, sentence, model.condition_dim)
        self.discriminators = layout(create_discriminators(model), self.dtype).to(self.ranks.device)
        check_batches(config, [network.size for network in self.discriminators])
        self.refinements = Refinements(config, self.data, frozen, self.generator, self._generate)
        if settings.key_spread and max(self.schedule.stages(0)):
            scale_words(memory_stages(self.generator), frozen.text(self.data.batch(0, 64, (), Purpose.WORD_SCALE)))
            self.refinements.spread_keys()
        self.losses = Losses(settings, self.entry, objective, self.discriminators, guidance, self.paired, self.ranks)
        self.trained = max(self.schedule.stages(0)) + 1  # stages that have been trained, from the first
        self.ema = EMA(self.generator, settings.ema_decay, settings.ema_warmup)
        self.snapshots = Snapshots(config, self.data, frozen, self.ema, self._generate)
        self._prepare_to_descend()
        self.data.hold(self.ranks.device, [d.size for d in self.discriminators])
        if settings.compile:
            compile_blocks(self.entry, self.generator, self.discriminators, self.ranks.device)

    def _prepare_to_descend(self) -> None:
        """Share batch norms among processes, and make one Adam for the generator and one for each discriminator."""
        settings = self.config.train
        share_batch_norms(self.generator, self.ranks)
        for network in self.discriminators:
            share_batch_norms(network.trunk, self.ranks)
        betas = (settings.beta1, settings.beta2)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), settings.generator_lr, betas, fused=True)
        self.discriminator_optimisers = [
            torch.optim.Adam([p for p in d.parameters() if p.requires_grad], settings.discriminator_lr, betas, fused=True)
            for d in self.discriminators
        ]

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Name -> network, trained and frozen."""
        return {"generator": self.generator} | {f"discriminator {d.size}": d for d in self.discriminators} | self.frozen.networks()

    def optimisers(self) -> list[tuple[torch.optim.Optimizer, float]]:
        """Each with the learning rate that it starts with."""
        settings = self.config.train
        return [(self.generator_optimiser, settings.generator_lr), *((o, settings.discriminator_lr) for o in self.discriminator_optimisers)]

    def begin(self) -> None:
        """A new run has all that it starts from: its frozen encoders came from checkpoints."""

    def batch_at(self, index: int) -> int:
        """Captions, each with its picture, in step ``index``."""
        return self.schedule.batch(index)

    # -- one step

    def update(self, index: int) -> dict[str, float]:
        """Every active discriminator, then the generator, then the EMA."""
        if self.schedule.begins_refinements(index):
            self.refinements.begin(self.ema) if self.paired else self.refinements.adopt(self.snapshots)
        stages = self._enter(index)
        micro_batches, values = self.read(index), ScalarLog()
        with autocast(self.dtype, self.ranks.device):
            with kept_statistics(self.generator, len(micro_batches) > 1), torch.set_grad_enabled(len(micro_batches) == 1):
                for micro_batch in micro_batches:
                    micro_batch.trace = self._generate_share(micro_batch)
            if self.schedule.adversarial(index):
                self._update_discriminators(micro_batches, stages, values)
        self._update_generator(micro_batches, stages, index, values)
        self.scaler.update()
        self.ema.update(self.generator)
        return values.read()

    def read(self, index: int) -> list[MicroBatch]:
        """What step ``index`` is computed from, with pictures of the stages trained so far."""
        return self._micro_batches(index, self.batch_at(index), tuple(d.size for d in self.discriminators[: self.trained]))

    def _enter(self, index: int) -> list[int]:
        """Set learning rates and what is trained; the stages of step ``index``."""
        settings, stages = self.config.train, self.schedule.stages(index)
        self.trained = max(stages) + 1
        for optimiser, lr in self.optimisers():
            # discriminators that begin late begin at their full learning rate
            start = 0 if optimiser is self.generator_optimiser else settings.adversarial_start
            for group in optimiser.param_groups:
                group["lr"] = lr_at(lr, settings.lr_end_factor, max(0, index - start), settings.steps - start)
        self.generator.train()
        if self.schedule.staged:
            generator = as_multi_stage(self.generator)
            for part in (generator.conditioning, generator.initial, generator.heads[0]):
                part.requires_grad_(0 in stages).train(0 in stages)  # a frozen stage keeps its statistics too
        return stages

    def _generate_share(self, micro_batch: MicroBatch, read: Tensor | None = None) -> Trace:
        """From the sentences B D and the words that the generator's first stages read, corrupted or not; ``read``: other sentences."""
        share = micro_batch.share
        words, sentence, mask = micro_batch.text.rows(share)
        read = micro_batch.read_sentence if read is None else read
        if read is not None:
            sentence = read[share]
        limit = self.schedule.limit(self.trained)
        with first_refinement_reads(self.generator, None if micro_batch.read_words is None else micro_batch.read_words[share]):
            return self.generator(sentence, words, mask, micro_batch.noise[share], micro_batch.eps[share], stages=limit)

    def _update_discriminators(self, micro_batches: list[MicroBatch], stages: list[int], values: ScalarLog) -> None:
        for stage in stages:
            network, optimiser = self.discriminators[stage], self.discriminator_optimisers[stage]
            network.requires_grad_(True)
            optimiser.zero_grad(set_to_none=True)
            for micro_batch in micro_batches:
                loss = self.losses.discriminator(micro_batch, stage)
                self.scaler.scale(loss / len(micro_batches)).backward()
                values.add({f"d{network.size}": loss})
            descend(optimiser, list(network.parameters()), self.ranks, self.scaler)

    def _update_generator(self, micro_batches: list[MicroBatch], stages: list[int], index: int, values: ScalarLog) -> None:
        settings, adversarial = self.config.train, self.schedule.adversarial(index)
        self.generator_optimiser.zero_grad(set_to_none=True)
        rng = StepRandom(settings.seed, index)
        for stage in stages:
            self.discriminators[stage].requires_grad_(False)
        for micro_batch in micro_batches:
            with autocast(self.dtype, self.ranks.device):
                if len(micro_batches) > 1:
                    micro_batch.trace = self._generate_share(micro_batch)
                between = None
                if settings.interpolation and adversarial:
                    sentences = interpolated(micro_batch)
                    between = sentences, self._generate_share(micro_batch, sentences)
                terms = self.losses.generator(micro_batch, stages, rng, adversarial, between)
            loss = total(terms.values())
            self.scaler.scale(loss / len(micro_batches)).backward()
            values.add(terms | {"generator": loss})
            micro_batch.trace = None
        descend(self.generator_optimiser, list(self.generator.parameters()), self.ranks, self.scaler, settings.clip)

    def _generate(self, generator: nn.Module, text: Text, rng: torch.Generator, stages: int) -> Trace:
        noise = draw_noise(self.config.model, len(text.sentence), rng, self.ranks.device)
        return generator(text.sentence, text.words, text.mask, *noise, stages=self.schedule.limit(stages))

    # -- pictures and files

    def sample(self, directory: Path, index: int) -> None:
        """Fixed captions as :meth:`Snapshots.sample` draws them."""
        self.snapshots.sample(self.trained, directory, index)

    def trace(self, directory: Path, index: int) -> None:
        """What the memory does, as :meth:`Snapshots.trace` writes it."""
        self.snapshots.trace(self.trained, directory, index)

    def evaluate(self, captions: int = 64) -> dict[str, float]:
        """Figures as of :meth:`Snapshots.evaluate`."""
        return self.snapshots.evaluate(self.trained, captions)

    def export(self, directory: Path, card: dict) -> None:
        """Write the usable model."""
        self.snapshots.export(self.trained, directory, card)

    def state_dict(self) -> dict:
        """Everything that changes."""
        state = {
            "trained": self.trained,
            "generator": self.generator.state_dict(),
            "discriminators": self.discriminators.state_dict(),
            "ema": self.ema.state_dict(),
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "discriminator_optimisers": [o.state_dict() for o in self.discriminator_optimisers],
        }
        return state | ({"scaler": self.scaler.state_dict()} if self.scaler.is_enabled() else {})

    def load_state_dict(self, state: dict) -> None:
        """The inverse of :meth:`state_dict`."""
        state = {"ema" if name == "average" else name: value for name, value in state.items()}  # its name until 2026
        self.trained = state["trained"]
        for name in ("generator", "discriminators", "ema", "generator_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        for optimiser, own in zip(self.discriminator_optimisers, state["discriminator_optimisers"], strict=True):
            optimiser.load_state_dict(own)
        if self.scaler.is_enabled() and "scaler" in state:
            self.scaler.load_state_dict(state["scaler"])
