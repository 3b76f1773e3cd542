"""Batches of pictures with captions, each a pure function of (seed, step): a resumed run reads what the first one would have read.

Drawing a batch chooses its pictures, captions and cuts; the pixels are read when they are asked for. So every process of a run draws the
same batch and reads its own slice of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from dmm.data.vocab import Vocabulary
from dmm.errors import InputError

LOADED = 256  # pictures that are copied to a device at a time

Places: TypeAlias = Sequence[int] | np.ndarray | Tensor  # B places in a source


class Source(Protocol):
    """What batches are drawn from: an :class:`~dmm.aviary.cache.AviaryCache`, a :class:`~dmm.data.prepared.Prepared`."""

    def __len__(self) -> int: ...

    def pictures(self, indices: Places, sizes: Sequence[int], cuts: np.ndarray | None = None) -> dict[int, Tensor]:
        """Size -> uint8 B 3 S S of the same crops: those that ``cuts`` says, or the middle of each picture."""

    def captions(self, index: int) -> list:
        """Sentences of a picture, each with a ``text`` and ``slots``."""

    def class_id(self, index: int) -> int:
        """Pictures of one class show the same kind of thing."""

    def key(self, index: int) -> str:
        """A name for the picture."""


def load(array, rows: np.ndarray, device: torch.device) -> Tensor:
    """The pictures ``rows`` of N 3 M M on the disk (:class:`dmm.data.arrays.Rows`), copied to ``device`` in pieces."""
    held = torch.empty(len(rows), *array.shape[1:], dtype=torch.uint8, device=device)
    for start in range(0, len(rows), LOADED):
        held[start : start + LOADED] = torch.from_numpy(array[rows[start : start + LOADED]])
    return held


def cut_squares(held: Tensor, indices: np.ndarray, size: int, corners: np.ndarray, mirrored: np.ndarray) -> Tensor:
    """Squares cut out of pictures N 3 M M where those are, without waiting for their device.

    Args:
        held: the pictures.
        indices: B places in them.
        size: side S of the squares, px.
        corners: B 2, y and x of each square, px.
        mirrored: B, which squares are mirrored.

    Returns:
        B 3 S S.
    """
    along = np.arange(size)
    down, across = corners[:, :1] + along, corners[:, 1:] + np.where(mirrored[:, None], along[::-1], along)  # B S each
    axes = (indices[:, None, None, None], np.arange(3)[:, None, None], down[:, None, :, None], across[:, None, None, :])
    return held[tuple(torch.from_numpy(axis).to(held.device, non_blocking=True) for axis in axes)]


@runtime_checkable
class CutSource(Source, Protocol):
    """A source that cuts its pictures at random; any other shows them as they are."""

    def cuts(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """How each of ``count`` pictures is cut, a row of numbers each: drawn for a whole batch, however much of it will be read."""


class Pictures(Mapping):
    """The pictures of a batch: size -> uint8 B 3 S S. :meth:`read` gives some of them and reads no others.

    Args:
        source: where they are.
        indices: B places in it.
        sizes: their sides, px.
        cuts: B rows of what :meth:`CutSource.cuts` drew; ``None`` for a source that draws none.
    """

    def __init__(self, source: Source, indices: Places, sizes: Sequence[int], cuts: np.ndarray | None = None):
        self.source, self.indices, self.sizes, self.cuts = source, np.asarray(indices), tuple(sizes), cuts

    def read(self, rows: slice | Sequence[int] | Tensor) -> dict[int, Tensor]:
        """Size -> uint8 b 3 S S of the rows ``rows`` of the batch."""
        part = self.take(rows)
        return self.source.pictures(part.indices, part.sizes, part.cuts)

    def take(self, rows: slice | Sequence[int] | Tensor) -> Pictures:
        """Some of the pictures, not read yet."""
        chosen = rows if isinstance(rows, slice) else np.asarray(rows)
        return Pictures(self.source, self.indices[chosen], self.sizes, None if self.cuts is None else self.cuts[chosen])

    @cached_property
    def _whole(self) -> dict[int, Tensor]:
        return self.read(slice(None))

    def __getitem__(self, size: int) -> Tensor:
        return self._whole[size]

    def __iter__(self) -> Iterator[int]:
        return iter(self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass
class Batch:
    """B pictures at several sizes, one caption each."""

    images: Pictures  # size -> uint8 B 3 S S
    captions: Tensor  # B L int64 ids, padded
    lengths: Tensor  # B int64, start and end included where the convention has them
    class_ids: Tensor  # B int64
    keys: list[str]  # B names of the pictures
    texts: list[str]  # B sentences as written
    slots: list[dict[str, tuple[str, ...]]] = field(default_factory=list)  # B, what the sentences say where that is known
    indices: list[int] = field(default_factory=list)  # B, places in the source

    def __len__(self) -> int:
        return len(self.keys)


class BatchSampler:
    """Draws batches: every picture once an epoch in an order of its own, one of its captions each time.

    Args:
        source: pictures and captions.
        vocab: encodes the captions.
        seed: of order, caption choice and crops.
        words_limit: most ids a caption, start and end included; longer ones keep a random subset of their words. ``None``: no limit.
    """

    def __init__(self, source: Source, vocab: Vocabulary, seed: int = 0, words_limit: int | None = None):
        if not len(source):
            raise InputError("cannot draw batches from a source without pictures")
        self.source, self.vocab, self.seed, self.words_limit = source, vocab, seed, words_limit
        self._order = lru_cache(maxsize=4)(self._shuffle)

    def _shuffle(self, purpose: int, epoch: int) -> np.ndarray:
        """The order of all pictures in an epoch of a purpose."""
        return np.random.default_rng([self.seed, 2 * purpose, epoch]).permutation(len(self.source))

    def indices(self, step: int, size: int, purpose: int = 0) -> list[int]:
        """Places in the source of batch number ``step`` when batches have ``size`` pictures; another order for each ``purpose``."""
        count = len(self.source)
        return [int(self._order(purpose, k // count)[k % count]) for k in range(step * size, (step + 1) * size)]

    def batch(self, step: int, size: int, sizes: Sequence[int] = (64, 128, 256), purpose: int = 0) -> Batch:
        """Batch number ``step`` with ``size`` pictures of the sides ``sizes``, unread yet; the same arguments give the same batch.

        Batches of another ``purpose`` than 0, training, are drawn apart from it.
        """
        rng = np.random.default_rng([self.seed, 2 * purpose + 1, step])
        indices = self.indices(step, size, purpose)
        chosen = []
        for i in indices:
            options = self.source.captions(i)
            chosen.append(options[int(rng.integers(len(options)))])
        ids = [self.vocab.encode(c.text, self.words_limit, rng) for c in chosen]
        captions, lengths = self.vocab.batch(ids)
        cuts = self.source.cuts(size, rng) if isinstance(self.source, CutSource) else None
        return Batch(
            images=Pictures(self.source, indices, sizes, cuts),
            captions=captions,
            lengths=lengths,
            class_ids=torch.tensor([self.source.class_id(i) for i in indices]),
            keys=[self.source.key(i) for i in indices],
            texts=[c.text for c in chosen],
            slots=[c.slots for c in chosen],
            indices=indices,
        )
