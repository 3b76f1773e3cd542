"""The adversarial step of every system: the discriminators, then the generator, then its average (DM-GAN, Eqs. 10-13, and its family's).

Order as published: the generator is run once; each discriminator is updated on those pictures; the generator's loss goes through the
updated discriminators. Which losses these are is the business of :mod:`dmm.training.objectives` and of the recipe's weights. A batch cut
into micro-batches (``accumulate``) is run twice, first for the discriminators and then for the generator, so that no more than one
graph is held.

A run of a system with several pictures may begin with the 64 px stage alone (``initial_steps``) and then freeze it while the
refinements start (``frozen_steps``); both are 0 in the published settings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dmm.checkpoint import CheckpointError, build, held_parts, load_parts, read, write
from dmm.config import Config, ConfigError, ModelConfig
from dmm.data.batch import Batch
from dmm.images import grid, save
from dmm.losses.colour import colour_loss
from dmm.losses.consistency import consistency_loss
from dmm.losses.kl import kl_loss
from dmm.models.discriminators import create_discriminators
from dmm.models.multistage import MultiStage
from dmm.models.registry import find_model
from dmm.pipeline import Pipeline
from dmm.trace import Trace
from dmm.training.compiled import compile_blocks
from dmm.training.data import TrainingData
from dmm.training.ema import EMA, reestimate
from dmm.training.objectives import DiscriminatorInputs, objective_of, other_pictures
from dmm.training.paired import Paired
from dmm.training.precision import autocast, layout, resolve, scaler
from dmm.training.ranks import GatheringDiscriminator, Ranks, share_batch_norms
from dmm.training.rng import Purpose, step_rng
from dmm.training.steps import descend, lr_at
from dmm.training.text_guidance import TextGuidance
from dmm.training.transfer import ScalarLog, images_to_device, split_batch, to_device

#: Settings on which the recipe and the frozen networks must agree.
TEXT_FIELDS = ("text_dim", "embedding_dim", "convention", "encoder_width", "encoder_size")
TEXT_FIELDS += ("caption_embedding", "caption_hidden", "caption_attention")
TRACED = 4  # captions of a trace that is written while training
#: Maps with a channel axis, which would fill the disk and which no figure of a run reads.
UNTRACED = ("hidden", "response", "global_weights", "global_response", "word_context", "sentence_attention", "sentence_context")


@dataclass
class MicroBatch:
    """A batch, or a piece of one: the text of all processes, and this process's share of the pictures."""

    batch: Batch  # on the CPU
    text: tuple[Tensor, Tensor, Tensor]  # words B D T, sentence B D, mask B T
    share: slice  # this process's rows
    noise: Tensor  # B Z
    eps: Tensor  # B K
    real: dict[int, Tensor]  # size -> uint8 b 3 S S of the share, on the CPU unless the pictures are kept on the device
    wrong: Tensor | None  # B D sentences that were made not to fit, where the run asks for them
    wrong_real: dict[int, Tensor] | None  # as ``real``, pictures that do not fit the sentences, where the objective asks for them
    trace: Trace | None = None  # what was generated of the share
    read_sentence: Tensor | None = None  # B D the sentences that the generator reads, where some are corrupted
    corrupted: Tensor | None = None  # B bool, which are


def load_frozen(match: str | Path, caption: str | Path | None, config: Config) -> tuple[dict[str, nn.Module], object]:
    """The frozen networks that a run needs or can show, and the vocabulary.

    The matching run must hold a text encoder; its image encoder comes along if it is there, the captioner if there is a captioning run.

    Raises:
        CheckpointError: a run that is missing or was trained with other sizes.
    """
    settings = config.train
    held = held_parts(read(match)[0]) & {"image_encoder"}
    frozen, trained, vocab = load_parts(match, ("text_encoder", *held, *(("cloze",) if settings.cloze else ())))
    _agree(match, trained, config.model, [name for name in TEXT_FIELDS if not name.startswith("caption_")])
    if caption is not None and (settings.stream or Path(caption).exists()):
        captioner, captioned, _ = load_parts(caption, ("captioner",))
        _agree(caption, captioned, config.model, TEXT_FIELDS)
        frozen |= captioner
    return frozen, vocab


def _agree(where: str | Path, found: ModelConfig, recipe: ModelConfig, fields: Sequence[str]) -> None:
    for name in fields:
        if getattr(found, name) != getattr(recipe, name):
            raise CheckpointError(
                f"{where}: model.{name} is {getattr(found, name)}, the recipe says {getattr(recipe, name)}; train both with one recipe"
            )


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
        frozen, vocab = load_frozen(match, caption, config)
        self.data = TrainingData(config, vocab)
        frozen = {name: network.requires_grad_(False).to(self.ranks.device) for name, network in frozen.items()}
        self.text_encoder = frozen["text_encoder"]
        self.image_encoder, self.captioner = frozen.get("image_encoder"), frozen.get("captioner")
        self.text_guidance = TextGuidance(settings, self.data, self.image_encoder, self.captioner, frozen.get("cloze"), self.ranks)
        self.generator = layout(build("generator", model, vocab), self.dtype).to(self.ranks.device)
        self.staged = self._check_schedule()
        self.paired = Paired(config, self.data) if settings.paired else None
        if settings.calibrate:
            self._calibrate()
        self.discriminators = layout(create_discriminators(model), self.dtype).to(self.ranks.device)
        if settings.key_spread and max(self.stages_at(0)):
            self._scale_words()
            self._spread_keys()
        self.trained = max(self.stages_at(0)) + 1  # stages that have been trained, from the first
        self.ema = EMA(self.generator, settings.ema_decay, settings.ema_warmup)
        share_batch_norms(self.generator, self.ranks)
        for network in self.discriminators:
            share_batch_norms(network.trunk, self.ranks)
        betas = (settings.beta1, settings.beta2)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), settings.generator_lr, betas, fused=True)
        self.discriminator_optimisers = [
            torch.optim.Adam([p for p in d.parameters() if p.requires_grad], settings.discriminator_lr, betas, fused=True)
            for d in self.discriminators
        ]
        self.data.hold(self.ranks.device, [d.size for d in self.discriminators])
        if settings.compile:
            compile_blocks(self.entry, self.generator, self.discriminators, self.ranks.device)

    def _check_schedule(self) -> bool:
        """Has every stage a picture with a discriminator, so that the first can be trained alone?"""
        settings, generator = self.config.train, self.generator
        staged = isinstance(generator, MultiStage) and self.entry.discriminated == "all" and len(generator.refinements) > 0
        asked = {"initial_steps": settings.initial_steps, "frozen_steps": settings.frozen_steps, "consistency": settings.consistency}
        unknown = [name for name, value in asked.items() if value and not staged]
        unknown += [name for name in ("calibrate",) if getattr(settings, name) and not isinstance(generator, MultiStage)]
        remembers = staged and all(hasattr(refinement, "key") for refinement in generator.refinements)
        unknown += ["key_spread"] if settings.key_spread and not remembers else []
        if unknown:
            raise ConfigError(f"train.{unknown[0]}: {self.entry.name} has no such parts; set it to 0")
        return staged

    @torch.no_grad()
    def _calibrate(self, captions: int = 512) -> None:
        """Scale the conditioning layer so that the mean code has unit variance over captions and the noise a fifth of it.

        Sentence features of a trained encoder can be a tenth as large as the noise that conditioning augmentation adds; a generator then
        learns for a long time that captions say nothing.
        """
        _, sentence, _ = self._text(self.data.batch(0, captions, (), Purpose.CALIBRATION))
        linear, size = self.generator.conditioning.linear, self.config.model.condition_dim
        spread = linear(sentence)[:, :size].std(0)  # K
        linear.weight[:size] *= 2 / spread[:, None]  # GLU halves it again: sigmoid(0) = 1/2
        linear.bias[:size] = -linear(sentence)[:, :size].mean(0)
        linear.bias[size : 2 * size] = -6.0  # log variance -3

    def begin(self) -> None:
        """A new run has all that it starts from: its frozen encoders came from checkpoints."""

    # -- the schedule

    def stages_at(self, index: int) -> list[int]:
        """The pictures trained in step ``index``, by the number of their discriminator."""
        settings, count = self.config.train, len(self.config.model.widths) if self.entry.discriminated == "all" else 1
        if index < settings.initial_steps:
            return list(range(settings.initial_stages if self.entry.discriminated == "all" else 1))
        return list(range(1 if index < settings.initial_steps + settings.frozen_steps else 0, count))

    def batch_at(self, index: int) -> int:
        """Captions, each with its picture, in step ``index``."""
        settings = self.config.train
        return settings.initial_batch if index < settings.initial_steps and settings.initial_batch else settings.batch

    def _limit(self, stages: int) -> int | None:
        """How many of the generator's stages to compute for the first ``stages`` pictures; None = all."""
        return stages if self.staged else None

    def _generated(self, trace: Trace) -> list[Tensor]:
        """The pictures that have a discriminator, b 3 S S each."""
        return [stage.image for stage in (trace.stages if self.entry.discriminated == "all" else trace.stages[-1:])]

    # -- one step

    def update(self, index: int) -> dict[str, float]:
        """Every active discriminator, then the generator, then the average."""
        settings = self.config.train
        if index == settings.initial_steps and index > 0:
            self._begin_refinements() if self.paired else self._adopt_ema()
        stages = self.stages_at(index)
        self.trained = max(stages) + 1
        for optimiser, lr in self._optimisers():
            for group in optimiser.param_groups:
                group["lr"] = lr_at(lr, settings.lr_end_factor, index, settings.steps)
        self.generator.train()
        if self.staged:
            for part in (self.generator.conditioning, self.generator.initial, self.generator.heads[0]):
                part.requires_grad_(0 in stages).train(0 in stages)  # a frozen stage keeps its statistics too
        micro_batches, values = self._micro_batches(index), ScalarLog()
        with autocast(self.dtype, self.ranks.device):
            with kept_statistics(self.generator, len(micro_batches) > 1), torch.set_grad_enabled(len(micro_batches) == 1):
                for micro_batch in micro_batches:
                    micro_batch.trace = self._generate_share(micro_batch)
            if index >= settings.adversarial_start:
                self._update_discriminators(micro_batches, stages, values)
        self._update_generator(micro_batches, stages, index, values)
        self.scaler.update()
        self.ema.update(self.generator)
        return values.read()

    def _micro_batches(self, index: int) -> list[MicroBatch]:
        """The batch of step ``index`` in micro-batches, with its text and its noise."""
        settings, device = self.config.train, self.ranks.device
        batch = self.data.batch(index, self.batch_at(index), tuple(d.size for d in self.discriminators[: self.trained]))
        noise, eps = self._noise(len(batch), step_rng(settings.seed, index, Purpose.NOISE))
        micro_batches, start = [], 0
        for part in split_batch(batch, settings.accumulate):
            rows = slice(start, start + len(part))
            with autocast(self.dtype, device):
                text = self._text(part)
                wrong = self._wrong_sentences(part, text[1], index) if settings.hard_wrong else None
            share = self.ranks.share(len(part))
            wrong_real = part.images.read(other_pictures(part.class_ids)[share]) if self.objective.wrong_pictures else None
            micro_batch = MicroBatch(part, text, share, noise[rows], eps[rows], part.images.read(share), wrong, wrong_real)
            micro_batches.append(self._paired_inputs(micro_batch, index) if self.paired else micro_batch)
            start = rows.stop
        return micro_batches

    def _paired_inputs(self, micro_batch: MicroBatch, index: int) -> MicroBatch:
        """With z of the pictures' own factors, and sentences some of which are corrupted."""
        rng = step_rng(self.config.train.seed, index, Purpose.CORRUPTED_SENTENCES)
        micro_batch.noise = self.paired.noise(micro_batch.batch, micro_batch.noise, index, rng)
        captions, micro_batch.corrupted = self.paired.corrupted(micro_batch.batch, rng)
        with torch.no_grad():
            _, micro_batch.read_sentence = self.text_encoder(captions.to(self.ranks.device), micro_batch.batch.lengths)
        return micro_batch

    def _text(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        captions = batch.captions.to(self.ranks.device)
        with torch.no_grad():
            words, sentence = self.text_encoder(captions, batch.lengths)
        return words, sentence, self.data.vocab.mask(captions[:, : words.shape[2]])

    def _noise(self, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        noise = torch.randn(count, self.config.model.noise_dim, generator=rng)
        eps = torch.randn(count, self.config.model.condition_dim, generator=rng)
        return noise.to(self.ranks.device), eps.to(self.ranks.device)

    def _generate(self, generator: nn.Module, text: tuple[Tensor, Tensor, Tensor], rng: torch.Generator, stages: int) -> Trace:
        words, sentence, mask = text
        return generator(sentence, words, mask, *self._noise(len(sentence), rng), stages=self._limit(stages))

    def _generate_share(self, micro_batch: MicroBatch) -> Trace:
        words, sentence, mask = (value[micro_batch.share] for value in micro_batch.text)
        if micro_batch.read_sentence is not None:
            sentence = micro_batch.read_sentence[micro_batch.share]
        return self.generator(
            sentence,
            words,
            mask,
            micro_batch.noise[micro_batch.share],
            micro_batch.eps[micro_batch.share],
            stages=self._limit(self.trained),
        )

    def _wrong_sentences(self, batch: Batch, sentence: Tensor, index: int) -> Tensor:
        """Half of the mismatches are another picture's caption, half the own caption with one word exchanged."""
        changed = self.data.exchange_words(batch, step_rng(self.config.train.seed, index, Purpose.EXCHANGED_WORDS)).to(sentence.device)
        with torch.no_grad():
            _, near = self.text_encoder(changed, batch.lengths)
        half = len(sentence) // 2
        return torch.cat([near[:half], sentence.roll(1, 0)[half:]])

    def _condition(self, micro_batch: MicroBatch) -> Tensor:
        """The text that discriminators join: of all processes if they compare samples, of this one's share otherwise."""
        if self.entry.condition == "mean":
            return self.ranks.gather(micro_batch.trace.mean)
        return micro_batch.text[1] if self.objective.gathers else micro_batch.text[1][micro_batch.share]

    def _fake_condition(self, micro_batch: MicroBatch, stage: int) -> Tensor:
        """The text that discriminators join with fake pictures: at the first stage what the generator read, corrupted or not; the finer
        stages are asked to be right."""
        corrupted = stage == 0 and self.objective.fake_text and micro_batch.read_sentence is not None
        return micro_batch.read_sentence if corrupted else self._condition(micro_batch)

    def _discriminator(self, stage: int) -> nn.Module | GatheringDiscriminator:
        network = self.discriminators[stage]
        return GatheringDiscriminator(network, self.ranks) if self.objective.gathers and self.ranks.world > 1 else network

    def _discriminator_inputs(self, micro_batch: MicroBatch, stage: int) -> DiscriminatorInputs:
        size, device, wrong = self.discriminators[stage].size, self.ranks.device, micro_batch.wrong
        wrong_real = images_to_device(micro_batch.wrong_real[size], device) if micro_batch.wrong_real else None
        if not self.objective.gathers and self.ranks.world > 1:  # the pairs that shifting the features of the whole batch makes
            wrong = (micro_batch.text[1].roll(1, 0) if wrong is None else wrong)[micro_batch.share]
        one_pass = self.config.train.one_pass and self.entry.norm != "batch" and self.ranks.world == 1
        return DiscriminatorInputs(
            real=images_to_device(micro_batch.real[size], device),
            fake=self._generated(micro_batch.trace)[stage],
            condition=self._condition(micro_batch),
            wrong=wrong,
            fake_condition=self._fake_condition(micro_batch, stage),
            wrong_real=wrong_real,
            one_pass=one_pass,
        )

    def _update_discriminators(self, micro_batches: list[MicroBatch], stages: list[int], values: ScalarLog) -> None:
        for stage in stages:
            network, optimiser = self.discriminators[stage], self.discriminator_optimisers[stage]
            network.requires_grad_(True)
            optimiser.zero_grad(set_to_none=True)
            for micro_batch in micro_batches:
                total = self.objective.discriminator_loss(
                    self._discriminator(stage), self._discriminator_inputs(micro_batch, stage), self.config.train
                )["total"]
                self.scaler.scale(total / len(micro_batches)).backward()
                values.add({f"d{network.size}": total})
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
            total = sum(terms.values())
            self.scaler.scale(total / len(micro_batches)).backward()
            values.add(terms | {"generator": total})
            micro_batch.trace = None
        descend(self.generator_optimiser, list(self.generator.parameters()), self.ranks, self.scaler, self.config.train.clip)

    def _generator_terms(self, micro_batch: MicroBatch, stages: list[int], index: int) -> dict[str, Tensor]:
        settings, trace, generated = self.config.train, micro_batch.trace, self._generated(micro_batch.trace)
        terms = {}
        for stage in stages if index >= settings.adversarial_start else []:
            size = self.discriminators[stage].size
            terms[f"g{size}"] = self.objective.generator_loss(
                self._discriminator(stage), generated[stage], self._fake_condition(micro_batch, stage), settings
            )["total"]
        if self.paired:
            real = {d.size: images_to_device(micro_batch.real[d.size], self.ranks.device) for d in self.discriminators[: self.trained]}
            terms["paired"] = settings.paired * self.paired.loss(
                generated, real, micro_batch.batch, micro_batch.share, micro_batch.corrupted[micro_batch.share]
            )
        if settings.consistency and max(stages):
            pairs = [(generated[stage - 1], generated[stage]) for stage in stages if stage]
            terms["consistency"] = settings.consistency * sum(consistency_loss(*pair) for pair in pairs) / len(pairs)
        if settings.colour and len(generated) > 1:
            terms["colour"] = settings.colour * colour_loss(generated)["total"]
        if 0 in stages and settings.kl:
            terms["kl"] = settings.kl * kl_loss(trace.mean, trace.logvar)
        read = [generated[stage] for stage in (stages if settings.text_losses_on == "all" else stages[-1:])]
        return terms | self.text_guidance(
            read, to_device(micro_batch.batch, self.ranks.device), micro_batch.text[0], micro_batch.text[1], index
        )

    def _optimisers(self) -> list[tuple[torch.optim.Optimizer, float]]:
        settings = self.config.train
        return [(self.generator_optimiser, settings.generator_lr)] + [(o, settings.discriminator_lr) for o in self.discriminator_optimisers]

    def _adopt_ema(self) -> None:
        """Go on from the averaged 64 px stage, with statistics of its own."""
        self._reestimate(1)
        self.generator.load_state_dict(self.ema.network.state_dict())
        if self.config.train.key_spread:
            self._spread_keys()
            self.ema.network.load_state_dict(self.generator.state_dict())

    @torch.no_grad()
    def _begin_refinements(self) -> None:
        """Spread the keys of the stages that start now, by the maps that they will read; a system without keys has nothing to do."""
        if not self.config.train.key_spread:
            return
        first = self.config.train.initial_stages
        self._spread_keys(first)
        for own, live in zip(self.ema.network.refinements[first - 1 :], self.generator.refinements[first - 1 :], strict=True):
            own.key.load_state_dict(live.key.state_dict())

    @torch.no_grad()
    def _scale_words(self, captions: int = 64) -> None:
        """Centre and scale each refinement's word projection to unit deviation over the words: features of a trained text encoder differ
        little, and slots that start out equal teach nothing."""
        words, _, mask = self._text(self.data.batch(0, captions, (), Purpose.WORD_SCALE))
        for refinement in self.generator.refinements:
            linear = refinement.word_projection.linear
            out = linear(words).transpose(1, 2)[~mask]  # M 2C
            scale = 1 / out.std(0)
            linear.bias.copy_((linear.bias - out.mean(0)) * scale)
            linear.weight.mul_(scale[:, None, None])

    @torch.no_grad()
    def _spread_keys(self, first: int = 1, captions: int = 32) -> None:
        """Scale the key layer of each refinement from number ``first``: logits then differ over the words by ``key_spread`` (deviation).

        As initialised the logits hardly differ, every place then reads the mean of all slots, and little tells the network which word to
        ask. Keys pass a ReLU, so scaling their layer scales the logits.
        """
        text = self._text(self.data.batch(0, captions, (), Purpose.KEY_SPREAD))
        for number, refinement in list(enumerate(self.generator.refinements, start=1))[first - 1 :]:
            with kept_statistics(self.generator, True):
                trace = self._generate(self.generator, text, step_rng(self.config.train.seed, 0, Purpose.KEY_SPREAD), number + 1)
            logits = trace.stages[number].key.transpose(1, 2) @ trace.stages[number - 1].hidden.flatten(2)  # B T Q
            word = ~trace.mask[:, :, None]
            count = word.sum(1, keepdim=True)
            mean = (logits * word).sum(1, keepdim=True) / count
            spread = (((logits - mean) * word).pow(2).sum(1, keepdim=True) / count).mean().sqrt()
            for parameter in refinement.key.parameters():
                parameter *= self.config.train.key_spread / spread

    # -- pictures and files

    def _reestimate(self, stages: int, batches: int = 4, size: int = 32) -> None:
        def forward(network: nn.Module, number: int) -> None:
            batch = self.data.batch(number, size, (), Purpose.STATISTICS)
            self._generate(network, self._text(batch), step_rng(self.config.train.seed, number, Purpose.STATISTICS), stages)

        reestimate(self.ema.network, forward, range(batches))

    def pipeline(self, card: dict | None = None) -> Pipeline:
        """The averaged generator with statistics of its own, and the networks that the explorer needs."""
        self._reestimate(self.trained)
        return Pipeline(
            self.config.model, self.data.vocab, self.ema.network, self.text_encoder, self.image_encoder, self.captioner, card=card
        )

    def sample(self, directory: Path, index: int) -> None:
        """Fixed captions, one column each; rows are the stages trained so far, enlarged to one size."""
        trace = self.pipeline()(self.data.fixed_captions, seed=list(range(len(self.data.fixed_captions))), redescribe=False)
        images = trace.images[: self.trained]
        side = images[-1].shape[-1]
        rows = [F.interpolate(image, size=(side, side), mode="nearest") for image in images]
        save(grid(torch.cat(rows), columns=len(self.data.fixed_captions)), directory / f"{index:07d}.png")
        (directory / "captions.txt").write_text("\n".join(self.data.fixed_captions) + "\n")

    def export(self, directory: Path, card: dict) -> None:
        """Write the averaged generator with everything the explorer needs."""
        pipe = self.pipeline(card)
        write(directory, dict(pipe.named_children()), dataclasses.replace(self.config.model), pipe.vocab, card)

    def trace(self, directory: Path, index: int) -> None:
        """Write what the memory does for the first fixed captions to ``<index>.npz``, without the maps that have channels."""
        captions = self.data.fixed_captions[:TRACED]
        trace = self.pipeline()(captions, seed=list(range(len(captions))), redescribe=False)
        for stage in trace.stages if self.captioner is not None else []:
            if stage.image is not None:
                stage.redescription = self.captioner.sentences(stage.image, self.data.vocab)
        without = [dataclasses.replace(stage, **dict.fromkeys(UNTRACED)) for stage in trace.stages]
        directory.mkdir(parents=True, exist_ok=True)
        dataclasses.replace(trace, stages=without).save(directory / f"{index:07d}.npz")

    @torch.no_grad()
    def evaluate(self, captions: int = 64) -> dict[str, float]:
        """Of ``captions`` generated captions, the share whose sentence is the nearest of all to the picture, as the image encoder sees it.

        ``score`` says which checkpoint is the best. Nothing without an image encoder.
        """
        if self.image_encoder is None:
            return {}
        pipe = self.pipeline()
        text = self._text(self.data.batch(0, captions, (), Purpose.EVALUATION))
        trace = self._generate(pipe.generator, text, step_rng(self.config.train.seed, 0, Purpose.EVALUATION), self.trained)
        _, code = self.image_encoder(self._generated(trace)[-1])
        nearest = (F.normalize(code) @ F.normalize(text[1]).T).argmax(1)  # B
        return {"score": (nearest == torch.arange(len(nearest), device=nearest.device)).float().mean().item()}

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
