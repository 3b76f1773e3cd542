"""The adversarial step of every system: the discriminators, then the generator, then its EMA (DM-GAN, Eqs. 10-13, and its family's).

Order as published: the generator is run once; each discriminator is updated on those pictures; the generator's loss goes through the
updated discriminators. Which losses these are is the business of :mod:`dmm.training.objectives` and of the recipe's weights. A batch cut
into micro-batches (``accumulate``) is run twice, first for the discriminators and then for the generator, so that no more than one
graph is held.

Around it: what a step reads (:mod:`~dmm.training.micro_batches`, :mod:`~dmm.training.frozen`), which stages it trains
(:mod:`~dmm.training.schedule`), how a generator starts (:mod:`~dmm.training.initialisation`), what is kept of it
(:mod:`~dmm.training.snapshots`).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from dmm.checkpoint import build
from dmm.config import Config, ConfigError
from dmm.losses.colour import colour_loss
from dmm.losses.consistency import consistency_loss
from dmm.losses.feature_limit import feature_limit_loss
from dmm.losses.kl import kl_loss
from dmm.losses.total import total
from dmm.models.discriminators import create_discriminators
from dmm.models.modules import AnyDiscriminator
from dmm.models.multistage import as_multi_stage
from dmm.models.registry import find_model
from dmm.trace import Trace
from dmm.training.compiled import compile_blocks
from dmm.training.data import TrainingData
from dmm.training.ema import EMA, kept_statistics
from dmm.training.frozen import Frozen, Text
from dmm.training.initialisation import calibrate, scale_words, spread_keys
from dmm.training.micro_batches import MicroBatch, MicroBatches, draw_noise
from dmm.training.objectives import DiscriminatorInputs, objective_of
from dmm.training.optimisation import descend, lr_at
from dmm.training.paired import Paired, first_refinement_reads
from dmm.training.precision import autocast, layout, resolve, scaler
from dmm.training.ranks import GatheringDiscriminator, Ranks, share_batch_norms
from dmm.training.rng import Purpose, step_rng
from dmm.training.schedule import Schedule, memory_stages
from dmm.training.snapshots import Snapshots
from dmm.training.text_guidance import TextGuidance
from dmm.training.transfer import ScalarLog, images_to_device, to_device


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
        self.objective = objective_of(self.entry, settings)
        self.ranks = Ranks.find(settings.device)
        self.dtype = resolve(settings.precision, self.ranks.device)
        self.scaler = scaler(self.dtype, self.ranks.device)
        self.frozen = Frozen.load(match, caption, config)
        self.data = TrainingData(config, self.frozen.vocab)
        frozen = self.frozen.to(self.ranks.device)
        self.text_guidance = TextGuidance(settings, self.data, frozen.image_encoder, frozen.captioner, frozen.cloze, self.ranks)
        self.generator = layout(build("generator", model, frozen.vocab), self.dtype).to(self.ranks.device)
        self.schedule = Schedule.of(settings, model, self.entry, self.generator)
        self.paired = Paired(config, self.data) if settings.paired else None
        self._micro_batches = MicroBatches(config, self.data, frozen, self.objective, self.ranks, self.dtype, self.paired)
        if settings.calibrate:
            sentence = frozen.text(self.data.batch(0, 512, (), Purpose.CALIBRATION)).sentence
            calibrate(as_multi_stage(self.generator).conditioning, sentence, model.condition_dim)
        self.discriminators = layout(create_discriminators(model), self.dtype).to(self.ranks.device)
        self._check_batches()
        if settings.key_spread and max(self.schedule.stages(0)):
            scale_words(memory_stages(self.generator), frozen.text(self.data.batch(0, 64, (), Purpose.WORD_SCALE)))
            self.spread_keys()
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

    def _check_batches(self) -> None:
        """Has every micro-batch two captions, so that one can be mismatched and batch norms have a variance, and every picture its size?

        Raises:
            ConfigError: which setting, before anything is trained.
        """
        settings, sizes = self.config.train, self.config.data.sizes
        for name in ("batch", "initial_batch"):
            count = getattr(settings, name)
            if (name == "batch" or count) and count % settings.accumulate == 0 and count < 2 * settings.accumulate:
                raise ConfigError(
                    f"train.{name}: expected at least two captions in each of {settings.accumulate} micro-batches (train.accumulate), "
                    f"found {count}: a caption is also shown with the picture of another one"
                )
        expected = [network.size for network in self.discriminators]
        if not set(expected) <= set(sizes):
            raise ConfigError(f"data.sizes: {self.entry.name} is trained on pictures of {expected} px, found {list(sizes)}")

    def begin(self) -> None:
        """A new run has all that it starts from: its frozen encoders came from checkpoints."""

    def batch_at(self, index: int) -> int:
        """Captions, each with its picture, in step ``index``."""
        return self.schedule.batch(index)

    # -- one step

    def update(self, index: int) -> dict[str, float]:
        """Every active discriminator, then the generator, then the EMA."""
        if self.schedule.begins_refinements(index):
            self.begin_refinements() if self.paired else self.adopt_ema()
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

    def _generated(self, trace: Trace) -> list[Tensor]:
        """The pictures that have a discriminator, b 3 S S each."""
        return trace.images if self.entry.discriminated == "all" else trace.images[-1:]

    def _update_discriminators(self, micro_batches: list[MicroBatch], stages: list[int], values: ScalarLog) -> None:
        for stage in stages:
            network, optimiser = self.discriminators[stage], self.discriminator_optimisers[stage]
            network.requires_grad_(True)
            optimiser.zero_grad(set_to_none=True)
            for micro_batch in micro_batches:
                inputs = self._discriminator_inputs(micro_batch, stage)
                loss = self.objective.discriminator_loss(self._discriminator(stage), inputs, self.config.train)["total"]
                self.scaler.scale(loss / len(micro_batches)).backward()
                values.add({f"d{network.size}": loss})
            descend(optimiser, list(network.parameters()), self.ranks, self.scaler)

    def _update_generator(self, micro_batches: list[MicroBatch], stages: list[int], index: int, values: ScalarLog) -> None:
        self.generator_optimiser.zero_grad(set_to_none=True)
        for stage in stages:
            self.discriminators[stage].requires_grad_(False)
        for micro_batch in micro_batches:
            with autocast(self.dtype, self.ranks.device):
                if len(micro_batches) > 1:
                    micro_batch.trace = self._generate_share(micro_batch)
                terms = self._generator_terms(micro_batch, stages, index)
            loss = total(terms.values())
            self.scaler.scale(loss / len(micro_batches)).backward()
            values.add(terms | {"generator": loss})
            micro_batch.trace = None
        descend(self.generator_optimiser, list(self.generator.parameters()), self.ranks, self.scaler, self.config.train.clip)

    # -- what the losses are computed from

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

    def _discriminator(self, stage: int) -> AnyDiscriminator | GatheringDiscriminator:
        network = self.discriminators[stage]
        return GatheringDiscriminator(network, self.ranks) if self.objective.gathers and self.ranks.world > 1 else network

    def _discriminator_inputs(self, micro_batch: MicroBatch, stage: int) -> DiscriminatorInputs:
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
            one_pass=self.config.train.one_pass and self.entry.norm != "batch" and self.ranks.world == 1,
        )

    def _generator_terms(self, micro_batch: MicroBatch, stages: list[int], index: int) -> dict[str, Tensor]:
        settings, trace = self.config.train, micro_batch.generated
        generated, terms = self._generated(trace), {}
        for stage in stages if self.schedule.adversarial(index) else []:
            fake, condition = generated[stage], self.fake_condition(micro_batch, stage)
            size, network = self.discriminators[stage].size, self._discriminator(stage)
            terms[f"g{size}"] = self.objective.generator_loss(network, fake, condition, settings)["total"]
        if settings.interpolation and self.schedule.adversarial(index):
            terms["interpolation"] = settings.interpolation * self._interpolation_loss(micro_batch, stages)
        if self.paired:
            terms["paired"] = settings.paired * self._paired_loss(self.paired, micro_batch, generated)
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
        return terms | self.text_guidance(read, batch, micro_batch.text.words, micro_batch.text.sentence, index)

    def _interpolation_loss(self, micro_batch: MicroBatch, stages: list[int]) -> Tensor:
        """What discriminators ask of pictures of sentences halfway between two of the batch (INT of Reed et al., with beta = 0.5)."""
        sentence = micro_batch.text.sentence
        between = (sentence + sentence.roll(1, 0)) / 2
        generated = self._generated(self._generate_share(micro_batch, between))
        condition, settings = between if self.objective.gathers else between[micro_batch.share], self.config.train
        return total(self.objective.generator_loss(self._discriminator(k), generated[k], condition, settings)["total"] for k in stages)

    def _paired_loss(self, paired: Paired, micro_batch: MicroBatch, generated: list[Tensor]) -> Tensor:
        sides = [d.size for d in self.discriminators[: self.trained]]
        real = {side: images_to_device(micro_batch.real[side], self.ranks.device) for side in sides}
        return paired.loss(generated, real, micro_batch.batch, micro_batch.share, micro_batch.unasked)

    # -- from the first stages to all of them

    def _generate(self, generator: nn.Module, text: Text, rng: torch.Generator, stages: int) -> Trace:
        noise = draw_noise(self.config.model, len(text.sentence), rng, self.ranks.device)
        return generator(text.sentence, text.words, text.mask, *noise, stages=self.schedule.limit(stages))

    def adopt_ema(self) -> None:
        """Go on from the EMA of the first stage, with statistics of its own."""
        self.snapshots.reestimate(1)
        self.generator.load_state_dict(self.ema.network.state_dict())
        if self.config.train.key_spread:
            self.spread_keys()
            self.ema.network.load_state_dict(self.generator.state_dict())

    @torch.no_grad()
    def begin_refinements(self) -> None:
        """Spread the keys of the stages that start now, by the maps that they will read; a system without keys has nothing to do."""
        if not self.config.train.key_spread:
            return
        first = self.config.train.initial_stages
        self.spread_keys(first)
        for own, live in list(zip(memory_stages(self.ema.network), memory_stages(self.generator), strict=True))[first - 1 :]:
            own.key.load_state_dict(live.key.state_dict())

    def spread_keys(self, first: int = 1, captions: int = 32) -> None:
        """Scale the keys of the refinements from number ``first`` on as :func:`dmm.training.initialisation.spread_keys` does."""
        text = self.frozen.text(self.data.batch(0, captions, (), Purpose.KEY_SPREAD))

        def generate(stages: int) -> Trace:
            return self._generate(self.generator, text, step_rng(self.config.train.seed, 0, Purpose.KEY_SPREAD), stages)

        with kept_statistics(self.generator, True):
            spread_keys(memory_stages(self.generator), generate, self.config.train.key_spread, first)

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
