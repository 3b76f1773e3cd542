"""The adversarial step: the discriminators of each stage, then the generator (DM-GAN Eqs. 10-13, with DMM-GAN's redescription term).

Order as published: the generator paints once; each discriminator is updated on those pictures; the generator's loss goes through the
updated discriminators. The run may begin with the 64 px stage alone (``initial_steps``) and then let it rest while the refinements start
(``frozen_steps``); both are 0 in the published settings.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from dmm.checkpoint import CheckpointError, build, load_parts, write
from dmm.config import Config
from dmm.data.batch import Batch
from dmm.images import grid, save, to_float
from dmm.losses.adversarial import discriminator_loss, generator_loss
from dmm.losses.consistency import consistency_loss
from dmm.losses.kl import kl_loss
from dmm.models.discriminators import SIZES, create_discriminators
from dmm.pipeline import Pipeline
from dmm.trace import Trace
from dmm.training.ema import Average, reestimate
from dmm.training.feed import Feed
from dmm.training.precision import autocast, layout, resolve
from dmm.training.steps import rate_at, stream_of
from dmm.training.text_losses import TextLosses

#: Settings on which the recipe and the trained readers must agree.
TEXT_FIELDS = ("text_dim", "embedding_dim", "convention", "encoder_width", "encoder_size", "caption_embedding", "caption_hidden")


class GanStep:
    """One step of the game.

    Args:
        config: the run.
        match: checkpoint of the matching run (text encoder, image encoder, perhaps the masked-word reader).
        caption: checkpoint of the captioning run.
    """

    label = "gan"

    def __init__(self, config: Config, match: str | Path, caption: str | Path):
        settings, model = config.train, config.model
        torch.manual_seed(settings.seed + 2)
        self.config = config
        self.dtype = resolve(settings.precision, torch.device("cpu"))
        self.trained = max(self.stages_at(0)) + 1  # stages that have been trained, from the first
        wanted = ("text_encoder", "image_encoder") + (("cloze",) if settings.cloze else ())
        frozen, trained, vocab = load_parts(match, wanted)
        captioner, captioned, _ = load_parts(caption, ("captioner",))
        for name in TEXT_FIELDS:
            for where, other in ((match, trained), (caption, captioned)):
                found, expected = getattr(other, name), getattr(model, name)
                if found != expected:
                    raise CheckpointError(f"{where}: model.{name} is {found}, the recipe says {expected}; train both with one recipe")
        self.feed = Feed(config, vocab)
        self.text_encoder = frozen["text_encoder"].requires_grad_(False)
        self.image_encoder = frozen["image_encoder"].requires_grad_(False)
        self.captioner = captioner["captioner"].requires_grad_(False)
        self.text_losses = TextLosses(settings, self.feed, self.image_encoder, self.captioner, frozen.get("cloze"))
        self.generator = layout(build("generator", model, vocab), self.dtype)
        if settings.calibrate:
            self._calibrate()
        self.discriminators = layout(create_discriminators(model), self.dtype)
        self.average = Average(self.generator, settings.average, settings.warm_average)
        betas = (settings.beta1, settings.beta2)
        self.generator_optimiser = torch.optim.Adam(self.generator.parameters(), settings.generator_rate, betas, fused=True)
        self.discriminator_optimisers = [
            torch.optim.Adam([p for p in d.parameters() if p.requires_grad], settings.discriminator_rate, betas, fused=True)
            for d in self.discriminators
        ]

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
        """The stages trained in step ``index``."""
        settings = self.config.train
        if index < settings.initial_steps:
            return [0]
        return [1, 2] if index < settings.initial_steps + settings.frozen_steps else [0, 1, 2]

    def batch_at(self, index: int) -> int:
        """Captions, each with its picture, in step ``index``."""
        settings = self.config.train
        return settings.initial_batch if index < settings.initial_steps and settings.initial_batch else settings.batch

    # -- one step

    def update(self, index: int) -> dict[str, float]:
        """Every active discriminator, then the generator, then the average."""
        settings = self.config.train
        if index == settings.initial_steps and index > 0:
            self._adopt_average()
        stages = self.stages_at(index)
        self.trained = max(stages) + 1
        batch = self.feed.batch(index, self.batch_at(index), SIZES[: max(stages) + 1])
        for optimiser, rate in self._optimisers():
            for group in optimiser.param_groups:
                group["lr"] = rate_at(rate, settings.final_rate, index, settings.steps)
        self.generator.train()
        for part in (self.generator.conditioning, self.generator.initial, self.generator.heads[0]):
            part.requires_grad_(0 in stages).train(0 in stages)  # a resting stage keeps its statistics too
        with autocast(self.dtype, torch.device("cpu")):
            text = self._text(batch)
            trace = self._paint(self.generator, text, stream_of(settings.seed, index, 2), max(stages) + 1)
            wrong = self._wrong_sentences(batch, text[1], index) if settings.hard_wrong else None
            values = self._update_discriminators(batch, trace, text[1], wrong, stages)
            terms = self._generator_terms(batch, trace, text, stages, index)
        total = sum(terms.values())
        self.generator_optimiser.zero_grad(set_to_none=True)
        total.backward()
        if settings.clip:
            nn.utils.clip_grad_norm_(self.generator.parameters(), settings.clip)
        self.generator_optimiser.step()
        self.average.update(self.generator)
        return values | {name: term.item() for name, term in terms.items()} | {"generator": total.item()}

    def _text(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad():
            words, sentence = self.text_encoder(batch.captions, batch.lengths)
        return words, sentence, self.feed.vocab.mask(batch.captions[:, : words.shape[2]])

    def _paint(self, generator: nn.Module, text: tuple[Tensor, Tensor, Tensor], stream: torch.Generator, stages: int) -> Trace:
        words, sentence, mask = text
        noise = torch.randn(len(sentence), self.config.model.noise_dim, generator=stream)
        eps = torch.randn(len(sentence), self.config.model.condition_dim, generator=stream)
        return generator(sentence, words, mask, noise, eps, stages=stages)

    def _wrong_sentences(self, batch: Batch, sentence: Tensor, index: int) -> Tensor:
        """Half of the mismatches are another picture's caption, half the own caption with one word exchanged."""
        changed = self.feed.exchange_words(batch, stream_of(self.config.train.seed, index, 3))
        with torch.no_grad():
            _, near = self.text_encoder(changed, batch.lengths)
        half = len(sentence) // 2
        return torch.cat([near[:half], sentence.roll(1, 0)[half:]])

    def _update_discriminators(
        self, batch: Batch, trace: Trace, sentence: Tensor, wrong: Tensor | None, stages: list[int]
    ) -> dict[str, float]:
        values = {}
        for stage in stages:
            network, optimiser = self.discriminators[stage], self.discriminator_optimisers[stage]
            network.requires_grad_(True)
            real = to_float(batch.images[SIZES[stage]])
            terms = discriminator_loss(network, real, trace.stages[stage].image, sentence, self.config.train.adversarial, True, wrong)
            optimiser.zero_grad(set_to_none=True)
            terms["total"].backward()
            optimiser.step()
            values[f"d{SIZES[stage]}"] = terms["total"].item()
        return values

    def _generator_terms(self, batch: Batch, trace: Trace, text: tuple, stages: list[int], index: int) -> dict[str, Tensor]:
        settings = self.config.train
        terms = {}
        for stage in stages:
            network = self.discriminators[stage].requires_grad_(False)
            terms[f"g{SIZES[stage]}"] = generator_loss(network, trace.stages[stage].image, text[1], settings.adversarial)["total"]
        if settings.consistency and max(stages):
            pairs = [(trace.stages[stage - 1].image, trace.stages[stage].image) for stage in stages if stage]
            terms["consistency"] = settings.consistency * sum(consistency_loss(*pair) for pair in pairs) / len(pairs)
        if 0 in stages and settings.kl:
            terms["kl"] = settings.kl * kl_loss(trace.mean, trace.logvar)
        read = stages if settings.text_losses_on == "all" else stages[-1:]
        pictures = [trace.stages[stage].image for stage in read]
        return terms | self.text_losses(pictures, batch, text[0], text[1], index)

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
    def _spread_keys(self, captions: int = 32) -> None:
        """Scale each refinement's key layer so that addressing starts with logits of deviation ``key_spread`` over the words.

        As initialised the logits hardly differ, every place then reads the mean of all slots, and little tells the network which word to
        ask. Keys pass a ReLU, so scaling their layer scales the logits.
        """
        text = self._text(self.feed.batch(2_000_001, captions, ()))
        for number, refinement in enumerate(self.generator.refinements, start=1):
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
        rows = [nn.functional.interpolate(image, size=(side, side), mode="nearest") for image in images]
        save(grid(torch.cat(rows), columns=len(self.feed.fixed_captions)), directory / f"{index:07d}.png")
        (directory / "captions.txt").write_text("\n".join(self.feed.fixed_captions) + "\n")

    def export(self, directory: Path, card: dict) -> None:
        """Write the averaged generator with everything the explorer needs."""
        pipe = self.pipeline(card)
        networks = {
            "generator": pipe.generator,
            "text_encoder": pipe.text_encoder,
            "image_encoder": pipe.image_encoder,
            "captioner": pipe.captioner,
        }
        write(directory, networks, dataclasses.replace(self.config.model), pipe.vocab, card)

    def state_dict(self) -> dict:
        """Everything that changes."""
        return {
            "trained": self.trained,
            "generator": self.generator.state_dict(),
            "discriminators": self.discriminators.state_dict(),
            "average": self.average.state_dict(),
            "generator_optimiser": self.generator_optimiser.state_dict(),
            "discriminator_optimisers": [o.state_dict() for o in self.discriminator_optimisers],
        }

    def load_state_dict(self, state: dict) -> None:
        """The inverse of :meth:`state_dict`."""
        self.trained = state["trained"]
        for name in ("generator", "discriminators", "average", "generator_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        for optimiser, own in zip(self.discriminator_optimisers, state["discriminator_optimisers"], strict=True):
            optimiser.load_state_dict(own)
