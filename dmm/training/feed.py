"""What training reads: batches as a pure function of the step number, and the words that the training aids take out or exchange."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from dmm.config import Config, ConfigError
from dmm.data.aviary.cache import AviaryCache
from dmm.data.aviary.grammar import AVIARY_VOCABULARY, captions
from dmm.data.aviary.species import bird
from dmm.data.aviary.traits import COLOURED_PARTS, COLOURS
from dmm.data.batch import Batch, BatchSampler
from dmm.data.vocab import Vocabulary
from dmm.losses.cloze import MaskedCaptions, mask_words

#: Words that say what a picture shows. Within a group one can stand for another.
CONTENT_WORDS = (
    ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "grey", "gray", "black", "white"),
    ("tiny", "small", "little", "medium", "large", "big"),
    ("short", "long", "pointed", "pointy", "curved", "hooked", "conical", "thick", "thin"),
    ("spotted", "streaked", "striped", "barred", "speckled", "solid"),
    ("spots", "streaks", "stripes", "bars", "wingbars", "speckles"),
)

FIXED_CAPTIONS = 8  # of every sample grid


class Feed:
    """Batches of one run.

    Args:
        config: says which data, how large a cache, which seed.
        vocab: the vocabulary to encode captions with; the data set's own by default.

    Raises:
        ConfigError: a source that cannot be read.
    """

    def __init__(self, config: Config, vocab: Vocabulary | None = None):
        data = config.data
        if data.source != "aviary":
            raise ConfigError(f"data.source: expected aviary, found {data.source!r}")
        self.config = config
        self.vocab = vocab or Vocabulary(AVIARY_VOCABULARY(), config.model.convention)
        self.cache = AviaryCache.open(data.cache, data.images, data.seed, data.level, "train", data.sizes)
        self._colours: dict[int, Tensor] = {}
        self.sampler = BatchSampler(self.cache, self.vocab, config.train.seed, config.model.words_limit)

    def batch(self, index: int, size: int, sizes: tuple[int, ...] | None = None) -> Batch:
        """Batch number ``index`` with ``size`` pictures of the sides ``sizes``: the same whenever it is asked for."""
        return self.sampler.batch(index, size, self.config.data.sizes if sizes is None else sizes)

    @cached_property
    def fixed_captions(self) -> list[str]:
        """The captions of every sample grid: the first of eight birds of unseen species."""
        return [captions(bird(i, self.config.data.seed, self.config.data.level, "test"))[0].text for i in range(FIXED_CAPTIONS)]

    @cached_property
    def groups(self) -> list[Tensor]:
        """Ids of the content words that the vocabulary holds, a tensor for each group of two or more."""
        found = [[self.vocab.ids[word] for word in group if word in self.vocab.ids] for group in CONTENT_WORDS]
        return [torch.tensor(group) for group in found if len(group) > 1]

    @property
    def content(self) -> Tensor:
        """Ids of every content word that the vocabulary holds."""
        return torch.cat(self.groups)

    def part_colours(self, indices: Tensor) -> Tensor:
        """The true colours of the pictures ``indices`` (B), B parts colours: rows sum to one; of two colours the first covers more."""
        return torch.stack([self._colours_of(int(index)) for index in indices])

    def _colours_of(self, index: int) -> Tensor:
        if index not in self._colours:
            target = torch.zeros(len(COLOURED_PARTS), len(COLOURS))
            named = self.cache.bird(index).colours
            for row, part in zip(target, COLOURED_PARTS, strict=True):
                for colour, share in zip(named[part], (0.6, 0.4) if len(named[part]) > 1 else (1.0,), strict=True):
                    row[COLOURS.index(colour)] += share
            self._colours[index] = target
        return self._colours[index]

    def mask_words(self, batch: Batch, variants: int, stream: torch.Generator) -> MaskedCaptions:
        """``variants`` versions of each caption, each without one content word."""
        allowed = torch.isin(batch.captions, self.content)
        return mask_words(batch.captions, batch.lengths, allowed, len(self.vocab), variants, 1, stream)

    def exchange_words(self, batch: Batch, stream: torch.Generator) -> Tensor:
        """The captions B L with one content word of each exchanged for another of its group."""
        ids = batch.captions
        group_of = torch.full(ids.shape, -1)
        for number, group in enumerate(self.groups):
            group_of[torch.isin(ids, group)] = number
        chance = torch.rand(ids.shape, generator=stream).masked_fill(group_of < 0, -1)
        position = chance.argmax(1)  # B
        rows = torch.arange(len(ids))
        old, number = ids[rows, position], group_of[rows, position]
        new = old.clone()
        for index, group in enumerate(self.groups):
            place = torch.searchsorted(group.sort().values, old)
            shift = torch.randint(1, len(group), old.shape, generator=stream)
            other = group.sort().values[(place + shift) % len(group)]
            new = torch.where(number == index, other, new)
        changed = ids.clone()
        changed[rows, position] = new
        return changed
