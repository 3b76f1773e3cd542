"""What one adversarial step is computed from: captions read by the frozen text encoder, noise, real pictures, wrong sentences.

All of it follows from the seed and the step number. A batch is cut into ``accumulate`` micro-batches; each holds the text of all
processes, since discriminators compare samples, and this process's share of the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dmm.config import Config, ConfigError, ModelConfig
from dmm.data.batch import Batch
from dmm.trace import Trace
from dmm.training.data import TrainingData
from dmm.training.frozen import Frozen, Text
from dmm.training.objectives import Objective, other_pictures
from dmm.training.paired import Paired
from dmm.training.precision import autocast
from dmm.training.ranks import Ranks
from dmm.training.rng import Purpose, StepRandom
from dmm.training.transfer import split_batch


@dataclass
class MicroBatch:
    """A batch, or a piece of one."""

    batch: Batch  # on the CPU
    text: Text  # of all processes
    share: slice  # this process's rows
    noise: Tensor  # B Z
    eps: Tensor  # B K
    real: dict[int, Tensor]  # size -> uint8 b 3 S S of the share, on the CPU unless the pictures are kept on the device
    wrong: Tensor | None = None  # B D sentences that were made not to fit, where the run asks for them
    wrong_real: dict[int, Tensor] | None = None  # as ``real``, pictures that do not fit the sentences, where the objective asks for them
    trace: Trace | None = None  # what was generated of the share
    read_sentence: Tensor | None = None  # B D the sentences that the generator reads, where some are corrupted
    corrupted: Tensor | None = None  # B bool, which are
    read_words: Tensor | None = None  # B D T the words that the first refinement reads, where some are corrupted
    misread: Tensor | None = None  # B bool, which are

    @property
    def unasked(self) -> list[Tensor]:
        """Rows of the share, b bool, of the first picture and of the second, that were made from wrong text and need not be right."""
        return [rows[self.share] for rows in (self.corrupted, self.misread) if rows is not None]

    @property
    def generated(self) -> Trace:
        """What was generated of the share, once it has been."""
        assert self.trace is not None
        return self.trace


def check_batches(config: Config, sides: Sequence[int]) -> None:
    """Has every micro-batch two captions, so that one can be mismatched and batch norms have a variance, and every picture its size?

    Args:
        config: the run.
        sides: of the pictures that discriminators read, px.

    Raises:
        ConfigError: which setting, before anything is trained.
    """
    settings, sizes = config.train, config.data.sizes
    for name in ("batch", "initial_batch"):
        count = getattr(settings, name)
        if (name == "batch" or count) and count % settings.accumulate == 0 and count < 2 * settings.accumulate:
            raise ConfigError(
                f"train.{name}: expected at least two captions in each of {settings.accumulate} micro-batches (train.accumulate), "
                f"found {count}: a caption is also shown with the picture of another one"
            )
    if not set(sides) <= set(sizes):
        raise ConfigError(f"data.sizes: {config.model.system} is trained on pictures of {list(sides)} px, found {list(sizes)}")


def draw_noise(model: ModelConfig, count: int, rng: torch.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
    """Z B Z and the conditioning noise B K, drawn on the CPU, so that every device gets the same."""
    noise = torch.randn(count, model.noise_dim, generator=rng)
    eps = torch.randn(count, model.condition_dim, generator=rng)
    return noise.to(device), eps.to(device)


@dataclass
class MicroBatches:
    """Makes them. Attributes are those of the step they are made for."""

    config: Config
    data: TrainingData
    frozen: Frozen
    objective: Objective
    ranks: Ranks
    dtype: torch.dtype
    paired: Paired | None = None

    def __call__(self, index: int, size: int, sides: tuple[int, ...]) -> list[MicroBatch]:
        """The batch of step ``index``.

        Args:
            index: step number.
            size: captions.
            sides: of the pictures to read, px.
        """
        settings, device = self.config.train, self.ranks.device
        batch, rng = self.data.batch(index, size, sides), StepRandom(settings.seed, index)
        noise, eps = draw_noise(self.config.model, len(batch), rng(Purpose.NOISE), device)
        found, start = [], 0
        for part in split_batch(batch, settings.accumulate):
            rows = slice(start, start + len(part))
            with autocast(self.dtype, device):
                text = self.frozen.text(part)
                wrong = self._wrong_sentences(part, text.sentence, rng(Purpose.EXCHANGED_WORDS)) if settings.hard_wrong else None
            share = self.ranks.share(len(part))
            wrong_real = part.images.read(other_pictures(part.class_ids)[share]) if self.objective.wrong_pictures else None
            micro_batch = MicroBatch(part, text, share, noise[rows], eps[rows], part.images.read(share), wrong, wrong_real)
            if self.paired:
                self._pair(self.paired, micro_batch, index, len(sides), rng(Purpose.CORRUPTED_SENTENCES))
            found.append(micro_batch)
            start = rows.stop
        return found

    def _pair(self, paired: Paired, micro_batch: MicroBatch, index: int, stages: int, rng: torch.Generator) -> None:
        """Take z from the pictures' own factors, and corrupt some of what the first of ``stages`` stages read."""
        micro_batch.noise = paired.noise(micro_batch.batch, micro_batch.noise, index, rng)
        captions, corrupted = paired.corrupted(micro_batch.batch, rng)
        words, micro_batch.read_sentence = self.frozen.features(captions, micro_batch.batch.lengths)
        micro_batch.corrupted = corrupted
        if self.config.train.corrupt_words and stages > 2:
            misread = corrupted & (torch.rand(len(corrupted), generator=rng) < self.config.train.corrupt_words)
            micro_batch.misread = misread
            micro_batch.read_words = torch.where(misread.to(words.device)[:, None, None], words, micro_batch.text.words)

    def _wrong_sentences(self, batch: Batch, sentence: Tensor, rng: torch.Generator) -> Tensor:
        """Half of the mismatches are another picture's caption, half the own caption with one word exchanged."""
        changed = self.data.exchange_words(batch, rng)
        near = self.frozen.sentence(changed, batch.lengths)
        half = len(sentence) // 2
        return torch.cat([near[:half], sentence.roll(1, 0)[half:]])
