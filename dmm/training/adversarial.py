"""The adversarial step of every system: the discriminators, then the generator, then its average (DM-GAN Eqs. 10-13, and its family's).

Order as published: the generator paints once; each discriminator is updated on those pictures; the generator's loss goes through the
updated discriminators. Which losses these are is the business of :mod:`dmm.training.games` and of the recipe's weights. A batch cut into
pieces (``accumulate``) is painted twice, first for the discriminators and then for the generator, so that no more than one graph is held.

A run of a system with several pictures may begin with the 64 px stage alone (``initial_steps``) and then let it rest while the
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
from dmm.training.batches import Noted, moved, pieces, pixels
from dmm.training.compiled import compile_blocks
from dmm.training.ema import Average, reestimate
from dmm.training.feed import Feed
from dmm.training.games import Deal, game_of, other_pictures
from dmm.training.paired import Paired
from dmm.training.precision import autocast, layout, resolve, scaler
from dmm.training.ranks import GatheringDiscriminator, Ranks, share_batch_norms
from dmm.training.steps import descend, rate_at, stream_of
from dmm.training.text_losses import TextLosses

#: Settings on which the recipe and the trained readers must agree.
TEXT_FIELDS = ("text_dim", "embedding_dim", "convention", "encoder_width", "encoder_size")
TEXT_FIELDS += ("caption_embedding", "caption_hidden", "caption_attention")
TRACED = 4  # captions of a trace that is written while training
#: Maps with a channel axis, which would fill the disk and which no figure of a run reads.
UNTRACED = ("hidden", "response", "global_weights", "global_response", "word_context", "sentence_attention", "sentence_context")


@dataclass
class Hand:
    """A batch, or a piece of one: the text of all processes, and this process's share of the pictures."""

    batch: Batch  # on the processor
    text: tuple[Tensor, Tensor, Tensor]  # words B D T, sentence B D, mask B T
    share: slice  # this process's rows
    noise: Tensor  # B Z
    eps: Tensor  # B K
    real: dict[int, Tensor]  # size -> uint8 b 3 S S of the share, on the processor unless the pictures are kept on the device
    wrong: Tensor | None  # B D sentences that were made not to fit, where the run asks for them
    wrong_real: dict[int, Tensor] | None  # as ``real``, of pictures that do not fit the share's sentences, where the game asks for them
    trace: Trace | None = None  # what was painted of the share
    read_sentence: Tensor | None = None  # B D the sentences that the generator reads, where some are corrupted
    corrupted: Tensor | None = None  # B bool, which are


def load_readers(match: str | Path, caption: str | Path | None, config: Config) -> tuple[dict[str, nn.Module], object]:
    """The frozen networks that a run needs or can show, and the vocabulary.

    The matching run must hold a text encoder; its image encoder comes along if it is there, the captioner if there is a captioning run.

    Raises:
        CheckpointError: a run that is missing or was trained with other sizes.
    """
    settings = config.train
    held = held_parts(read(match)[0]) & {"image_encoder"}
    readers, trained, vocab = load_parts(match, ("text_encoder", *held, *(("cloze",) if settings.cloze else ())))
    _agree(match, trained, config.model, [name for name in TEXT_FIELDS if not name.startswith("caption_")])
    if caption is not None and (settings.stream or Path(caption).exists()):
        captioner, captioned, _ = load_parts(caption, ("captioner",))
        _agree(caption, captioned, config.model, TEXT_FIELDS)
        readers |= captioner
    return readers, vocab


def _agree(where: str | Path, found: ModelConfig, recipe: ModelConfig, fields: Sequence[str]) -> None:
    for name in fields:
        if getattr(found, name) != getattr(recipe, name):
            raise CheckpointError(
                f"{where}: model.{name} is {getattr(found, name)}, the recipe says {getattr(recipe, name)}; train both with one recipe"
            )


class GanStep:
    """One step of the game.

    Args:
        config: the run.
        match: checkpoint of the matching run (text encoder, image encoder, perhaps the masked-word reader).
        caption: checkpoint of the captioning run; needed where redescription has a weight.

    Raises:
        CheckpointError: readers that do not fit.
        ConfigError: a setting that the system does not know.
    """

    label = "gan"

    def __init__(self, config: Config, match: str | Path, caption: str | Path | None = None):
        settings, model = config.train, config.model
        torch.manual_seed(settings.seed + 2)
        self.config, self.entry = config, find_model(model.system)
        self.game = game_of(self.entry, settings)
        self.ranks = Ranks.find(settings.device)
        self.dtype = resolve(settings.precision, self.ranks.device)
        self.scaler = scaler(self.dtype, self.ranks.device)
        readers, vocab = load_readers(match, caption, config)
        self.feed = Feed(config, vocab)
        readers = {name: network.requires_grad_(False).to(self.ranks.device) for name, network in readers.items()}
        self.text_encoder = readers["text_encoder"]
        self.image_encoder, self.captioner = readers.get("image_encoder"), readers.get("captioner")
        self.text_losses = TextLosses(settings, self.feed, self.image_encoder, self.captioner, readers.get("cloze"), self.ranks)
        self.generator = layout(build("generator", model, vocab), self.dtype).to(self.ranks.device)
        self.staged = self._check_schedule()
        self.paired = Paired(config, self.feed) if settings.paired else None
        if settings.calibrate:
            self._calibrate()
        self.discriminators = layout(create_discriminators(model), self.dtype).to(self.ranks.device)
        if settings.key_spread and max(self.stages_at(0)):
            self._scale_words()
            self._spread_keys()
        self.trained = max(self.stages_at(0)) + 1  # stages that have been trained, from the first
        self.average = Average(self.generator, settings.average, settings.warm_average)
        share_batch_norms(self.generator, self.ranks)
        for network in self.discriminators:
            share_batch_norms(network.trunk, self.ranks)
        betas = (settings.beta1, settings.beta2)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), settings.generator_rate, betas, fused=True)
        self.discriminator_optimisers = [
            torch.optim.Adam([p for p in d.parameters() if p.requires_grad], settings.discriminator_rate, betas, fused=True)
            for d in self.discriminators
        ]
        self.feed.hold(self.ranks.device, [d.size for d in self.discriminators])
        if settings.compile:
            compile_blocks(self.entry, self.generator, self.discriminators, self.ranks.device)

    def _check_schedule(self) -> bool:
        """Has every stage a picture with a discriminator, so that the first can be trained alone?"""
        settings, generator = self.config.train, self.generator
        staged = isinstance(generator, MultiStage) and self.entry.judged == "all" and len(generator.refinements) > 0
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
        _, sentence, _ = self._text(self.feed.batch(2_000_000, captions, ()))
        linear, size = self.generator.conditioning.linear, self.config.model.condition_dim
        spread = linear(sentence)[:, :size].std(0)  # K
        linear.weight[:size] *= 2 / spread[:, None]  # GLU halves it again: sigmoid(0) = 1/2
        linear.bias[:size] = -linear(sentence)[:, :size].mean(0)
        linear.bias[size : 2 * size] = -6.0  # log variance -3

    # -- the schedule

    def stages_at(self, index: int) -> list[int]:
        """The pictures trained in step ``index``, by the number of their discriminator."""
        settings, count = self.config.train, len(self.config.model.widths) if self.entry.judged == "all" else 1
        if index < settings.initial_steps:
            return list(range(settings.initial_stages if self.entry.judged == "all" else 1))
        return list(range(1 if index < settings.initial_steps + settings.frozen_steps else 0, count))

    def batch_at(self, index: int) -> int:
        """Captions, each with its picture, in step ``index``."""
        settings = self.config.train
        return settings.initial_batch if index < settings.initial_steps and settings.initial_batch else settings.batch

    def _limit(self, stages: int) -> int | None:
        """How many of the generator's stages to compute for the first ``stages`` pictures; None = all."""
        return stages if self.staged else None

    def _painted(self, trace: Trace) -> list[Tensor]:
        """The pictures that have a discriminator, b 3 S S each."""
        return [stage.image for stage in (trace.stages if self.entry.judged == "all" else trace.stages[-1:])]

    # -- one step

    def update(self, index: int) -> dict[str, float]:
        """Every active discriminator, then the generator, then the average."""
        settings = self.config.train
        if index == settings.initial_steps and index > 0:
            self._begin_refinements() if self.paired else self._adopt_average()
        stages = self.stages_at(index)
        self.trained = max(stages) + 1
        for optimiser, rate in self._optimisers():
            for group in optimiser.param_groups:
                group["lr"] = rate_at(rate, settings.final_rate, index, settings.steps)
        self.generator.train()
        if self.staged:
            for part in (self.generator.conditioning, self.generator.initial, self.generator.heads[0]):
                part.requires_grad_(0 in stages).train(0 in stages)  # a resting stage keeps its statistics too
        hands, values = self._deal_out(index), Noted()
        with autocast(self.dtype, self.ranks.device):
            with kept_statistics(self.generator, len(hands) > 1), torch.set_grad_enabled(len(hands) == 1):
                for hand in hands:
                    hand.trace = self._paint_share(hand)
            if index >= settings.adversarial_start:
                self._update_discriminators(hands, stages, values)
        self._update_generator(hands, stages, index, values)
        self.scaler.update()
        self.average.update(self.generator)
        return values.read()

    def _deal_out(self, index: int) -> list[Hand]:
        """The batch of step ``index`` in pieces, with its text and its noise."""
        settings, device = self.config.train, self.ranks.device
        batch = self.feed.batch(index, self.batch_at(index), tuple(d.size for d in self.discriminators[: self.trained]))
        noise, eps = self._noise(len(batch), stream_of(settings.seed, index, 2))
        hands, start = [], 0
        for piece in pieces(batch, settings.accumulate):
            rows = slice(start, start + len(piece))
            with autocast(self.dtype, device):
                text = self._text(piece)
                wrong = self._wrong_sentences(piece, text[1], index) if settings.hard_wrong else None
            share = self.ranks.share(len(piece))
            wrong_real = piece.images.read(other_pictures(piece.class_ids)[share]) if self.game.wrong_pictures else None
            hand = Hand(piece, text, share, noise[rows], eps[rows], piece.images.read(share), wrong, wrong_real)
            hands.append(self._paired_hand(hand, index) if self.paired else hand)
            start = rows.stop
        return hands

    def _paired_hand(self, hand: Hand, index: int) -> Hand:
        """With z of the pictures' own factors, and sentences some of which are corrupted."""
        rng = stream_of(self.config.train.seed, index, 15)
        hand.noise = self.paired.noise(hand.batch, hand.noise, index, rng)
        captions, hand.corrupted = self.paired.corrupted(hand.batch, rng)
        with torch.no_grad():
            _, hand.read_sentence = self.text_encoder(captions.to(self.ranks.device), hand.batch.lengths)
        return hand

    def _text(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        captions = batch.captions.to(self.ranks.device)
        with torch.no_grad():
            words, sentence = self.text_encoder(captions, batch.lengths)
        return words, sentence, self.feed.vocab.mask(captions[:, : words.shape[2]])

    def _noise(self, count: int, stream: torch.Generator) -> tuple[Tensor, Tensor]:
        noise = torch.randn(count, self.config.model.noise_dim, generator=stream)
        eps = torch.randn(count, self.config.model.condition_dim, generator=stream)
        return noise.to(self.ranks.device), eps.to(self.ranks.device)

    def _paint(self, generator: nn.Module, text: tuple[Tensor, Tensor, Tensor], stream: torch.Generator, stages: int) -> Trace:
        words, sentence, mask = text
        return generator(sentence, words, mask, *self._noise(len(sentence), stream), stages=self._limit(stages))

    def _paint_share(self, hand: Hand) -> Trace:
        words, sentence, mask = (value[hand.share] for value in hand.text)
        if hand.read_sentence is not None:
            sentence = hand.read_sentence[hand.share]
        return self.generator(sentence, words, mask, hand.noise[hand.share], hand.eps[hand.share], stages=self._limit(self.trained))

    def _wrong_sentences(self, batch: Batch, sentence: Tensor, index: int) -> Tensor:
        """Half of the mismatches are another picture's caption, half the own caption with one word exchanged."""
        changed = self.feed.exchange_words(batch, stream_of(self.config.train.seed, index, 3)).to(sentence.device)
        with torch.no_grad():
            _, near = self.text_encoder(changed, batch.lengths)
        half = len(sentence) // 2
        return torch.cat([near[:half], sentence.roll(1, 0)[half:]])

    def _condition(self, hand: Hand) -> Tensor:
        """The text that discriminators join: of all processes if they compare samples, of this one's share otherwise."""
        if self.entry.condition == "mean":
            return self.ranks.gather(hand.trace.mean)
        return hand.text[1] if self.game.gathers else hand.text[1][hand.share]

    def _fake_condition(self, hand: Hand, stage: int) -> Tensor:
        """The text that discriminators join with fake pictures: at the first stage what the generator read, corrupted or not; the finer
        stages are asked to be right."""
        return hand.read_sentence if stage == 0 and hand.read_sentence is not None else self._condition(hand)

    def _judge(self, stage: int) -> nn.Module | GatheringDiscriminator:
        network = self.discriminators[stage]
        return GatheringDiscriminator(network, self.ranks) if self.game.gathers and self.ranks.world > 1 else network

    def _deal(self, hand: Hand, stage: int) -> Deal:
        size, device, wrong = self.discriminators[stage].size, self.ranks.device, hand.wrong
        wrong_real = pixels(hand.wrong_real[size], device) if hand.wrong_real else None
        if not self.game.gathers and self.ranks.world > 1:  # the pairs that shifting the features of the whole batch makes
            wrong = (hand.text[1].roll(1, 0) if wrong is None else wrong)[hand.share]
        one_pass = self.config.train.one_pass and self.entry.norm != "batch" and self.ranks.world == 1
        return Deal(
            real=pixels(hand.real[size], device),
            fake=self._painted(hand.trace)[stage],
            condition=self._condition(hand),
            wrong=wrong,
            fake_condition=self._fake_condition(hand, stage),
            wrong_real=wrong_real,
            one_pass=one_pass,
        )

    def _update_discriminators(self, hands: list[Hand], stages: list[int], values: Noted) -> None:
        for stage in stages:
            network, optimiser = self.discriminators[stage], self.discriminator_optimisers[stage]
            network.requires_grad_(True)
            optimiser.zero_grad(set_to_none=True)
            for hand in hands:
                total = self.game.judge(self._judge(stage), self._deal(hand, stage), self.config.train)["total"]
                self.scaler.scale(total / len(hands)).backward()
                values.add({f"d{network.size}": total})
            descend(optimiser, list(network.parameters()), self.ranks, self.scaler)

    def _update_generator(self, hands: list[Hand], stages: list[int], index: int, values: Noted) -> None:
        self.generator_optimiser.zero_grad(set_to_none=True)
        for stage in stages:
            self.discriminators[stage].requires_grad_(False)
        for hand in hands:
            with autocast(self.dtype, self.ranks.device):
                if len(hands) > 1:
                    hand.trace = self._paint_share(hand)
                terms = self._generator_terms(hand, stages, index)
            total = sum(terms.values())
            self.scaler.scale(total / len(hands)).backward()
            values.add(terms | {"generator": total})
            hand.trace = None
        descend(self.generator_optimiser, list(self.generator.parameters()), self.ranks, self.scaler, self.config.train.clip)

    def _generator_terms(self, hand: Hand, stages: list[int], index: int) -> dict[str, Tensor]:
        settings, trace, painted = self.config.train, hand.trace, self._painted(hand.trace)
        terms = {}
        for stage in stages if index >= settings.adversarial_start else []:
            size = self.discriminators[stage].size
            terms[f"g{size}"] = self.game.fool(self._judge(stage), painted[stage], self._fake_condition(hand, stage), settings)["total"]
        if self.paired:
            real = {d.size: pixels(hand.real[d.size], self.ranks.device) for d in self.discriminators[: self.trained]}
            terms["paired"] = settings.paired * self.paired.loss(painted, real, hand.batch, hand.share, hand.corrupted[hand.share])
        if settings.consistency and max(stages):
            pairs = [(painted[stage - 1], painted[stage]) for stage in stages if stage]
            terms["consistency"] = settings.consistency * sum(consistency_loss(*pair) for pair in pairs) / len(pairs)
        if settings.colour and len(painted) > 1:
            terms["colour"] = settings.colour * colour_loss(painted)["total"]
        if 0 in stages and settings.kl:
            terms["kl"] = settings.kl * kl_loss(trace.mean, trace.logvar)
        read = [painted[stage] for stage in (stages if settings.text_losses_on == "all" else stages[-1:])]
        return terms | self.text_losses(read, moved(hand.batch, self.ranks.device), hand.text[0], hand.text[1], index)

    def _optimisers(self) -> list[tuple[torch.optim.Optimizer, float]]:
        settings = self.config.train
        return [(self.generator_optimiser, settings.generator_rate)] + [
            (o, settings.discriminator_rate) for o in self.discriminator_optimisers
        ]

    def _adopt_average(self) -> None:
        """Go on from the averaged 64 px stage, with statistics of its own."""
        self._reestimate(1)
        self.generator.load_state_dict(self.average.network.state_dict())
        if self.config.train.key_spread:
            self._spread_keys()
            self.average.network.load_state_dict(self.generator.state_dict())

    @torch.no_grad()
    def _begin_refinements(self) -> None:
        """Spread the keys of the stages that start now, by the maps that they will read."""
        first = self.config.train.initial_stages
        if self.config.train.key_spread:
            self._spread_keys(first)
        for own, live in zip(self.average.network.refinements[first - 1 :], self.generator.refinements[first - 1 :], strict=True):
            own.key.load_state_dict(live.key.state_dict())

    @torch.no_grad()
    def _scale_words(self, captions: int = 64) -> None:
        """Centre and scale each refinement's word projection to unit deviation over the words: features of a trained text encoder differ
        little, and slots that start out equal teach nothing."""
        words, _, mask = self._text(self.feed.batch(2_000_003, captions, ()))
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
        text = self._text(self.feed.batch(2_000_001, captions, ()))
        for number, refinement in list(enumerate(self.generator.refinements, start=1))[first - 1 :]:
            trace = self._paint(self.generator, text, stream_of(self.config.train.seed, 2_000_001, 4), number + 1)
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
            batch = self.feed.batch(1_000_000 + number, size, ())
            self._paint(network, self._text(batch), stream_of(self.config.train.seed, 1_000_000 + number, 4), stages)

        reestimate(self.average.network, forward, range(batches))

    def pipeline(self, card: dict | None = None) -> Pipeline:
        """The averaged generator with statistics of its own, and the networks that the explorer needs."""
        self._reestimate(self.trained)
        return Pipeline(
            self.config.model, self.feed.vocab, self.average.network, self.text_encoder, self.image_encoder, self.captioner, card=card
        )

    def sample(self, directory: Path, index: int) -> None:
        """Fixed captions, one column each; rows are the stages trained so far, enlarged to one size."""
        trace = self.pipeline()(self.feed.fixed_captions, seed=list(range(len(self.feed.fixed_captions))), redescribe=False)
        images = trace.images[: self.trained]
        side = images[-1].shape[-1]
        rows = [F.interpolate(image, size=(side, side), mode="nearest") for image in images]
        save(grid(torch.cat(rows), columns=len(self.feed.fixed_captions)), directory / f"{index:07d}.png")
        (directory / "captions.txt").write_text("\n".join(self.feed.fixed_captions) + "\n")

    def export(self, directory: Path, card: dict) -> None:
        """Write the averaged generator with everything the explorer needs."""
        pipe = self.pipeline(card)
        write(directory, dict(pipe.named_children()), dataclasses.replace(self.config.model), pipe.vocab, card)

    def trace(self, directory: Path, index: int) -> None:
        """Write what the memory does for the first fixed captions to ``<index>.npz``, without the maps that have channels."""
        captions = self.feed.fixed_captions[:TRACED]
        trace = self.pipeline()(captions, seed=list(range(len(captions))), redescribe=False)
        for stage in trace.stages if self.captioner is not None else []:
            if stage.image is not None:
                stage.redescription = self.captioner.sentences(stage.image, self.feed.vocab)
        without = [dataclasses.replace(stage, **dict.fromkeys(UNTRACED)) for stage in trace.stages]
        directory.mkdir(parents=True, exist_ok=True)
        dataclasses.replace(trace, stages=without).save(directory / f"{index:07d}.npz")

    @torch.no_grad()
    def evaluate(self, captions: int = 64) -> dict[str, float]:
        """Of ``captions`` painted captions, the share whose sentence is the nearest of all to the picture, as the image encoder sees it.

        ``score`` says which checkpoint is the best. Nothing without an image encoder.
        """
        if self.image_encoder is None:
            return {}
        pipe = self.pipeline()
        text = self._text(self.feed.batch(2_000_002, captions, ()))
        trace = self._paint(pipe.generator, text, stream_of(self.config.train.seed, 2_000_002, 4), self.trained)
        _, code = self.image_encoder(self._painted(trace)[-1])
        nearest = (F.normalize(code) @ F.normalize(text[1]).T).argmax(1)  # B
        return {"score": (nearest == torch.arange(len(nearest), device=nearest.device)).float().mean().item()}

    def state_dict(self) -> dict:
        """Everything that changes."""
        state = {
            "trained": self.trained,
            "generator": self.generator.state_dict(),
            "discriminators": self.discriminators.state_dict(),
            "average": self.average.state_dict(),
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "discriminator_optimisers": [o.state_dict() for o in self.discriminator_optimisers],
        }
        return state | ({"scaler": self.scaler.state_dict()} if self.scaler.is_enabled() else {})

    def load_state_dict(self, state: dict) -> None:
        """The inverse of :meth:`state_dict`."""
        self.trained = state["trained"]
        for name in ("generator", "discriminators", "average", "generator_optimiser"):
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
