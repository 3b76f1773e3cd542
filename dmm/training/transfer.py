"""Batches on their way to a device: moved, and split into micro-batches; and what is read back from it, the scalars to log."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from dmm.config import ConfigError
from dmm.data.batch import Batch
from dmm.images import to_float

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


def to_device(record: Record, device: torch.device) -> Record:
    """A dataclass with its tensors on ``device``; pictures of a batch stay where they are."""
    found = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    apart = device.type == "cuda"  # a GPU may still be busy; what comes back from one has to be waited for
    return dataclasses.replace(record, **{name: value.to(device, non_blocking=apart) for name, value in tensors.items()})


def images_to_device(images: Tensor, device: torch.device) -> Tensor:
    """Pictures uint8 B 3 S S as they were read, to [-1, 1] on ``device``."""
    return to_float(images.to(device, non_blocking=True))


def take(batch: Batch, rows: slice) -> Batch:
    """Part of a batch, its pictures unread."""
    found = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    images = found.pop("images").take(rows)
    return dataclasses.replace(batch, images=images, **{name: value[rows] for name, value in found.items()})


def split_batch(batch: Batch, count: int) -> list[Batch]:
    """A batch cut into ``count`` equal parts.

    Raises:
        ConfigError: it cannot be.
    """
    if count < 1 or len(batch) % count:
        raise ConfigError(f"train.accumulate: a batch of {len(batch)} cannot be split into {count} equal micro-batches")
    size = len(batch) // count
    return [batch] if count == 1 else [take(batch, slice(start, start + size)) for start in range(0, len(batch), size)]


class ScalarLog:
    """Scalars to log that stay on their device until all are read at once: a GPU that is asked for one first ends all its work."""

    def __init__(self):
        self._scalars: dict[str, list[Tensor]] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Note named scalars of a piece of the batch, without their graphs."""
        for name, term in terms.items():
            self._scalars.setdefault(name, []).append(term.detach().float())

    def read(self) -> dict[str, float]:
        """The mean of what was noted under each name."""
        numbers = iter(torch.stack([scalar for pieces in self._scalars.values() for scalar in pieces]).tolist())
        return {name: sum(next(numbers) for _ in pieces) / len(pieces) for name, pieces in self._scalars.items()}
