"""What training reads: batches as a pure function of the step number, and the words that the training aids take out or exchange."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from dmm.aviary.cache import AviaryCache
from dmm.aviary.grammar import AVIARY_VOCABULARY, captions
from dmm.aviary.species import bird
from dmm.aviary.traits import COLOURED_PARTS, COLOURS
from dmm.config import Config, ConfigError, require_source
from dmm.data.batch import Batch, BatchSampler
from dmm.data.prepared import Prepared, PrepareError
from dmm.data.vocab import Vocabulary
from dmm.losses.cloze import MaskedCaptions, mask_words
from dmm.training.rng import Purpose

#: Words that say what a picture shows. Within a group one can stand for another.
CONTENT_WORDS = (
    ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "grey", "gray", "black", "white"),
    ("tiny", "small", "little", "medium", "large", "big"),
    ("short", "long", "pointed", "pointy", "curved", "hooked", "conical", "thick", "thin"),
    ("spotted", "streaked", "striped", "barred", "speckled", "solid"),
    ("spots", "streaks", "stripes", "bars", "wingbars", "speckles"),
)

FIXED_CAPTIONS = 8  # of every sample grid
_NO_PART_COLOURS = "train.part_colours: only data.source=aviary knows the colour of each part; leave it out"


def _no_content(aids: list[str]) -> str:
    off = " ".join(f"--set train.{name}={'false' if name == 'hard_wrong' else 0}" for name in aids)
    return (
        f"train.{', train.'.join(aids)}: these mask or exchange words of colour, size and pattern (CONTENT_WORDS in dmm/training/data.py); "
        f"the captions hold no two of one kind; leave it out: {off}"
    )


class TrainingData:
    """Batches of one run.

    Args:
        config: says which data, how large a cache, which seed.
        vocab: the vocabulary to encode captions with; the data set's own by default.

    Raises:
        ConfigError: a source that cannot be read, or a training aid for which it lacks something.
    """

    def __init__(self, config: Config, vocab: Vocabulary | None = None):
        require_source(config)
        data = config.data
        self.config = config
        self.drawn = data.source == "aviary"
        if self.drawn:
            self.vocab = vocab or Vocabulary(AVIARY_VOCABULARY(), config.model.convention)
            self.cache: AviaryCache | Prepared = AviaryCache.open(data.cache, data.images, data.seed, data.level, "train", data.sizes)
        else:
            self.cache = prepared = self._prepared("train", vocab)
            self.vocab = vocab or Vocabulary(prepared.words, config.model.convention)
        self.held = 0  # bytes of pictures on the device
        self._colours: dict[int, Tensor] = {}
        self.sampler = BatchSampler(self.cache, self.vocab, config.train.seed, config.model.words_limit)
        self._check_aids()

    def _prepared(self, split: str, vocab: Vocabulary | None) -> Prepared:
        data = self.config.data
        try:
            found = Prepared(data.source, split, data.sizes, data.mirror)
            if vocab is not None:
                found.keep_captions_of(vocab)
            return found
        except PrepareError as error:
            raise ConfigError(str(error)) from error

    def _check_aids(self) -> None:
        """Refuse at the start what could not work later."""
        settings = self.config.train
        if settings.part_colours and not self.drawn:
            raise ConfigError(_NO_PART_COLOURS)
        aids = [name for name in ("cloze", "recall", "content", "hard_wrong") if getattr(settings, name)]
        if aids and not len(self.content):
            raise ConfigError(_no_content(aids))

    def hold(self, device: torch.device, sizes: Sequence[int]) -> None:
        """Keep all training pictures of ``sizes`` in the memory of ``device``, if the run asks for it; batches are the same.

        Every process of a run keeps all of them, on its own device, for any may be asked for in its share of a batch. A CPU is
        not asked how much memory is free.

        Raises:
            ConfigError: a GPU has not that much memory free.
        """
        if not self.config.data.on_device:
            return
        needed, free = self.cache.weight(sizes), torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
        if free is not None and needed > free:
            raise ConfigError(
                f"data.on_device: {len(self.cache)} pictures of {', '.join(map(str, sizes))} px need {needed / 2**30:.1f} GiB, "
                f"{free / 2**30:.1f} GiB are free on the GPU; leave them on the disk: --set data.on_device=false"
            )
        self.cache.hold(device, sizes)
        self.held = needed

    def batch(self, index: int, size: int, sizes: tuple[int, ...] | None = None, purpose: Purpose = Purpose.TRAINING) -> Batch:
        """Batch number ``index`` of a purpose with ``size`` pictures of the sides ``sizes``: the same whenever it is asked for."""
        return self.sampler.batch(index, size, self.config.data.sizes if sizes is None else sizes, purpose)

    @cached_property
    def fixed_captions(self) -> list[str]:
        """The captions of every sample grid: of unseen pictures where there are some, a different picture each as far as they go.

        Aviary: the first caption of eight birds of unseen species. Else the captions of the first pictures of the test split (or the
        training split), first ones first.
        """
        data = self.config.data
        if self.drawn:
            return [captions(bird(i, data.seed, data.level, "test"))[0].text for i in range(FIXED_CAPTIONS)]
        unseen = self._prepared("test", self.vocab)
        pictures = unseen if len(unseen) else self.cache
        lists = [pictures.captions(i) for i in range(min(len(pictures), FIXED_CAPTIONS))]
        most = max(map(len, lists))
        return [some[turn].text for turn in range(most) for some in lists if turn < len(some)][:FIXED_CAPTIONS]

    @cached_property
    def groups(self) -> list[Tensor]:
        """Ids of the content words that the vocabulary holds, a tensor for each group of two or more."""
        found = [[self.vocab.ids[word] for word in group if word in self.vocab.ids] for group in CONTENT_WORDS]
        return [torch.tensor(group) for group in found if len(group) > 1]

    @property
    def content(self) -> Tensor:
        """Ids of every content word that the vocabulary holds; none is an empty tensor."""
        return torch.cat([torch.empty(0, dtype=torch.long), *self.groups])

    def part_colours(self, indices: Sequence[int]) -> Tensor:
        """The true colours of the pictures ``indices`` (B), B parts colours: rows sum to one; of two colours the first covers more.

        Raises:
            ConfigError: data other than Aviary.
        """
        if not self.drawn:
            raise ConfigError(_NO_PART_COLOURS)
        return torch.stack([self._colours_of(int(index)) for index in indices])

    def told_colours(self, batch: Batch) -> Tensor:
        """The colours that the captions of a batch give to parts, B parts colours: rows sum to one, or to zero where nothing is said."""
        target = torch.zeros(len(batch), len(COLOURED_PARTS), len(COLOURS))
        for rows, slots in zip(target, batch.slots, strict=True):
            for row, part in zip(rows, COLOURED_PARTS, strict=True):
                named = [COLOURS.index(colour) for colour in slots.get(part, ()) if colour in COLOURS]
                for colour in named:
                    row[colour] += 1 / len(named)
        return target

    def _colours_of(self, index: int) -> Tensor:
        if index not in self._colours:
            assert isinstance(self.cache, AviaryCache), "the caller has refused other data"
            target = torch.zeros(len(COLOURED_PARTS), len(COLOURS))
            named = self.cache.bird(index).colours
            for row, part in zip(target, COLOURED_PARTS, strict=True):
                for colour, share in zip(named[part], (0.6, 0.4) if len(named[part]) > 1 else (1.0,), strict=True):
                    row[COLOURS.index(colour)] += share
            self._colours[index] = target
        return self._colours[index]

    def mask_words(self, batch: Batch, variants: int, rng: torch.Generator) -> MaskedCaptions:
        """``variants`` versions of each caption, each without one content word.

        Raises:
            ConfigError: a vocabulary without content words.
        """
        if not len(self.content):
            raise ConfigError(_no_content(["cloze", "recall"]))
        allowed = torch.isin(batch.captions, self.content)
        return mask_words(batch.captions, batch.lengths, allowed, len(self.vocab), variants, 1, rng)

    def exchange_words(self, batch: Batch, rng: torch.Generator) -> Tensor:
        """The captions B L with one content word of each exchanged for another of its group."""
        ids = batch.captions
        group_of = torch.full(ids.shape, -1)
        for index, group in enumerate(self.groups):
            group_of[torch.isin(ids, group)] = index
        chance = torch.rand(ids.shape, generator=rng).masked_fill(group_of < 0, -1)
        position = chance.argmax(1)  # B
        rows = torch.arange(len(ids))
        old, number = ids[rows, position], group_of[rows, position]
        new = old.clone()
        for index, group in enumerate(self.groups):
            place = torch.searchsorted(group.sort().values, old)
            shift = torch.randint(1, len(group), old.shape, generator=rng)
            other = group.sort().values[(place + shift) % len(group)]
            new = torch.where(number == index, other, new)
        changed = ids.clone()
        changed[rows, position] = new
        return changed
