"""Paired training: a caption has a picture of its own, and the generator is asked for that very picture. Not in any of the papers.

Two ideas make a memory of the words worth having within hours on a CPU:

* z is made from what the renderer knows and the caption leaves open (:class:`dmm.aviary.factors.Factors`), so that the picture
  follows from caption and z and a plain regression (:func:`dmm.losses.reconstruction.reconstruction_loss`) can teach it;
* in a share of the samples the *sentence feature* is that of a corrupted caption, whose colour words are exchanged, while the words that
  the memory reads are right. The first picture of such a sample is not asked for anything; the refined ones are asked to be right, which
  only the memory can tell them. That is what the papers describe: a first picture that got the sentence wrong, and a memory that mends it.
  In a share of those the first refinement reads the corrupted words as well, and only the last picture is asked to be right: without that
  the second refinement, whose picture comes to it corrected, has no use for its memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmm.aviary.cache import AviaryCache
from dmm.aviary.canvas import LABELS
from dmm.aviary.factors import FEWEST, Factors
from dmm.config import Config, ConfigError
from dmm.data.batch import Batch
from dmm.losses.reconstruction import reconstruction_loss
from dmm.models.multistage import as_multi_stage
from dmm.training.data import TrainingData

BIRD, SMALL, TINY = 5.0, 10.0, 40.0  # weight of the bird's pixels against the background's, of its small parts, and of the bill
SMALL_PARTS = ("crown", "forehead", "nape", "throat", "left eye", "right eye", "breast", "belly", "left leg", "right leg")
NAMED = 2.0  # factor on the parts that the caption names
LABELS_OF = {"bill": ("beak",), "leg": ("left leg", "right leg"), "eye": ("left eye", "right eye"), "wing": ("left wing", "right wing"),
             "head": ("crown", "forehead", "nape")}  # fmt: skip
EXCHANGED = 0.7  # share of the colour words of a corrupted caption that are exchanged


class Paired:
    """What a paired run needs beside an adversarial one.

    Args:
        config: the run.
        data: its pictures, of Aviary with labels.

    Raises:
        ConfigError: data whose factors are not known, too few pictures, or a z too short.
    """

    def __init__(self, config: Config, data: TrainingData):
        if not isinstance(data.cache, AviaryCache):
            raise ConfigError("train.paired: only data.source=aviary knows what its pictures are made from; set it to 0")
        if len(data.cache) < FEWEST:
            raise ConfigError(f"data.images: paired training needs at least {FEWEST} pictures, found {len(data.cache)}")
        self.config, self.cache = config, data.cache
        rows = range(len(data.cache))
        labels = data.cache.labels(rows)[:, 1::2, 1::2].numpy()
        self.factors = Factors(data.cache.birds(rows), data.cache.images(64, rows).numpy(), labels)
        if config.model.noise_dim < self.factors.count:
            raise ConfigError(
                f"model.noise_dim: paired training needs at least {self.factors.count} numbers, found {config.model.noise_dim}"
            )
        self.weights = torch.full((max(LABELS.values()) + 1,), BIRD)
        self.weights[0] = 1.0
        self.weights[[LABELS[part] for part in SMALL_PARTS]] = SMALL
        self.weights[LABELS["beak"]] = TINY
        colours = next(iter(data.groups))
        self.colours = colours.sort().values

    def noise(self, batch: Batch, noise: Tensor, index: int, rng: torch.Generator) -> Tensor:
        """Z B Z of the pictures of a batch; how many parts' colours it tells grows over the run."""
        settings = self.config.train
        share = settings.paired_colours + (1 - settings.paired_colours) * max(0.0, 2 * index / settings.steps - 1)
        return self.factors.noise(batch.indices, batch.slots, noise.cpu(), share, rng).to(noise.device)

    def corrupted(self, batch: Batch, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Captions B L in which colour words are exchanged in a share of the rows, and which rows those are, B bool."""
        ids = batch.captions.cpu()
        chosen = torch.rand(len(ids), generator=rng) < self.config.train.corrupt_sentence
        exchange = torch.isin(ids, self.colours) & (torch.rand(ids.shape, generator=rng) < EXCHANGED) & chosen[:, None]
        shift = torch.randint(1, len(self.colours), ids.shape, generator=rng)
        place = torch.searchsorted(self.colours, ids).clamp(max=len(self.colours) - 1)
        return torch.where(exchange, self.colours[(place + shift) % len(self.colours)], ids), exchange.any(1)

    def _weights(self, batch: Batch, share: slice) -> Tensor:
        """Weight of every pixel of the share's pictures, b 1 128 128."""
        labels = self.cache.labels(batch.indices[share]).long()  # b 128 128
        table = self.weights.repeat(len(labels), 1)  # b L
        for row, slots in zip(table, batch.slots[share], strict=True):
            named = {LABELS[label] for slot in slots for label in LABELS_OF.get(slot, (slot,)) if label in LABELS}
            row[sorted(named)] *= NAMED
        return table.gather(1, labels.flatten(1)).view_as(labels)[:, None]

    def loss(self, images: list[Tensor], real: dict[int, Tensor], batch: Batch, share: slice, unasked: Sequence[Tensor] = ()) -> Tensor:
        """Scalar: the sum over the stages' pictures, B 3 S S each, of their distance from the captions' own.

        ``unasked`` has, for the first stages, the rows B bool whose picture is not asked for anything.
        """
        weight = self._weights(batch, share).to(images[0].device)
        total = images[0].new_zeros(())
        for number, image in enumerate(images):
            side = image.shape[-1]
            scaled = F.avg_pool2d(weight, 128 // side) if side <= 128 else F.interpolate(weight, scale_factor=side // 128)
            asked = (~unasked[number]).to(scaled)[:, None, None, None] if number < len(unasked) else 1.0
            total = total + reconstruction_loss(image, real[side], scaled * asked)
        return total


@contextmanager
def first_refinement_reads(generator: nn.Module, words: Tensor | None) -> Iterator[None]:
    """Meanwhile the first refinement reads these word features, B D T, and the others read their own; None changes nothing."""
    if words is None:
        yield
        return

    def exchange(_stage: nn.Module, inputs: tuple) -> tuple:
        features, conditions = inputs
        return features, dataclasses.replace(conditions, words=words)

    hook = as_multi_stage(generator).refinements[0].register_forward_pre_hook(exchange)
    try:
        yield
    finally:
        hook.remove()
