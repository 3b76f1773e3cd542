"""Batches of pictures with captions, each a pure function of (seed, step): a resumed run reads what the first one would have read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dmm.data.vocab import Vocabulary


class Source(Protocol):
    """What batches are drawn from: an :class:`~dmm.data.aviary.cache.AviaryCache`, a :class:`~dmm.data.cub.CUB`."""

    def __len__(self) -> int: ...

    def pictures(self, indices: Sequence[int], sizes: Sequence[int], rng: np.random.Generator | None = None) -> dict[int, Tensor]:
        """size -> uint8 B 3 S S of the same crops."""

    def captions(self, index: int) -> list:
        """Sentences of a picture, each with a ``text`` and ``slots``."""

    def class_id(self, index: int) -> int: ...

    def key(self, index: int) -> str: ...


@dataclass
class Batch:
    """B pictures at several sizes, one caption each."""

    images: dict[int, Tensor]  # size -> uint8 B 3 S S
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
            raise ValueError("cannot draw batches from a source without pictures")
        self.source, self.vocab, self.seed, self.words_limit = source, vocab, seed, words_limit
        self._order = lru_cache(maxsize=2)(lambda epoch: np.random.default_rng([seed, 0, epoch]).permutation(len(source)))

    def indices(self, step: int, size: int) -> list[int]:
        """Places in the source of batch number ``step`` when batches have ``size`` pictures."""
        count = len(self.source)
        return [int(self._order(k // count)[k % count]) for k in range(step * size, (step + 1) * size)]

    def batch(self, step: int, size: int, sizes: Sequence[int] = (64, 128, 256)) -> Batch:
        """Batch number ``step`` with ``size`` pictures of the sides ``sizes``; the same arguments give the same batch."""
        rng = np.random.default_rng([self.seed, 1, step])
        indices = self.indices(step, size)
        chosen = []
        for i in indices:
            options = self.source.captions(i)
            chosen.append(options[int(rng.integers(len(options)))])
        ids = [self.vocab.encode(c.text, self.words_limit, rng) for c in chosen]
        captions, lengths = self.vocab.batch(ids)
        return Batch(
            images=self.source.pictures(indices, sizes, rng),
            captions=captions,
            lengths=lengths,
            class_ids=torch.tensor([self.source.class_id(i) for i in indices]),
            keys=[self.source.key(i) for i in indices],
            texts=[c.text for c in chosen],
            slots=[c.slots for c in chosen],
            indices=indices,
        )
