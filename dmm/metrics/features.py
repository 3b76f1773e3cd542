"""One pass of many networks over many pictures, which can be broken off and gone on with.

An *extractor* is a function from pictures B 3 S S in [-1, 1] to what it reads there: a tensor B ..., a dict of those (nested as one likes),
or a list of B strings. A :class:`Collection` shows each batch to every extractor once and keeps what they read, never a picture: as rows,
or, where a metric needs no more (:class:`dmm.metrics.fid.FeatureStatistics`), as statistics that do not grow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

Extractor = Callable[[Tensor], object]
Features = dict[str, dict[int, Any]]  # extractor -> picture size in px -> what it read from all pictures


class Kept(Protocol):
    """What is kept of what one extractor reads, batch after batch."""

    def add(self, value) -> None:
        """Take in what was read from a further batch."""

    def state(self) -> Any:
        """Everything, in plain containers of tensors, numbers and strings."""

    def load(self, state) -> None:
        """The inverse of :meth:`state`."""


class Rows:
    """Everything, joined in order, tensors on the CPU."""

    def __init__(self) -> None:
        self.parts: list = []

    def add(self, value) -> None:
        """Keep what was read from a further batch."""
        self.parts.append(_to_cpu(value))

    def state(self):
        """What was read from all pictures so far."""
        self.parts = [_join(self.parts)] if self.parts else []
        return self.parts[0] if self.parts else []

    def load(self, state) -> None:
        """The inverse of :meth:`state`."""
        self.parts = [state] if len(state) else []


class Fields:
    """Some fields of what an extractor reads as a dict, each kept in its own way; the others are not kept.

    Args:
        fields: name -> how it is kept.
    """

    def __init__(self, fields: Mapping[str, Kept]):
        self.fields = dict(fields)

    def add(self, value) -> None:
        """Take in what was read from a further batch; a field that it lacks stays empty."""
        for name, kept in self.fields.items():
            if name in value:
                kept.add(value[name])

    def state(self):
        """Name -> state."""
        return {name: kept.state() for name, kept in self.fields.items()}

    def load(self, state) -> None:
        """The inverse of :meth:`state`."""
        for name, kept in self.fields.items():
            kept.load(state[name])


def _result(kept: Kept):
    """What a metric is given: rows as they are, fields by name, statistics themselves."""
    if isinstance(kept, Fields):
        found = {name: _result(one) for name, one in kept.fields.items()}
        return {name: value for name, value in found.items() if not (isinstance(value, list) and not value)}
    return kept.state() if isinstance(kept, Rows) else kept


class Collection:
    """What extractors have read so far.

    Args:
        extractors: (name, size in px) -> extractor of the pictures of that size.
        kept: how what an extractor reads is kept; by default as rows.
    """

    def __init__(self, extractors: Mapping[tuple[str, int], Extractor], kept: Mapping[tuple[str, int], Kept] | None = None):
        self.extractors = dict(extractors)
        self.kept: dict[tuple[str, int], Kept] = {key: (kept or {}).get(key) or Rows() for key in self.extractors}

    @torch.no_grad()
    def add(self, batch: Mapping[int, Tensor]) -> None:
        """Show a batch, picture size -> pictures B 3 S S in [-1, 1], to every extractor."""
        for (name, size), extractor in self.extractors.items():
            self.kept[name, size].add(extractor(batch[size]))

    def features(self) -> Features:
        """name -> size -> what was read from all pictures in order."""
        found: Features = {}
        for (name, size), kept in self.kept.items():
            found.setdefault(name, {})[size] = _result(kept)
        return found

    def state(self) -> dict:
        """Everything, in plain containers."""
        return {f"{name} {size}": kept.state() for (name, size), kept in self.kept.items()}

    def load(self, state: dict) -> None:
        """The inverse of :meth:`state`."""
        for (name, size), kept in self.kept.items():
            kept.load(state[f"{name} {size}"])


def _to_cpu(value):
    if isinstance(value, Tensor):
        return value.detach().float().cpu()
    return {key: _to_cpu(item) for key, item in value.items()} if isinstance(value, dict) else list(value)


def _join(items: list):
    if not items:
        return []
    first = items[0]
    if isinstance(first, Tensor):
        return torch.cat(items)
    if isinstance(first, dict):
        return {key: _join([item[key] for item in items]) for key in first}
    return [row for item in items for row in item]
