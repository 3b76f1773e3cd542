"""Batches on their way to a device: moved, and cut into equal pieces."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import torch
from torch import Tensor

from dmm.config import ConfigError
from dmm.data.batch import Batch
from dmm.images import to_float

Record = TypeVar("Record")


def moved(record: Record, device: torch.device) -> Record:
    """A dataclass with its tensors on ``device``; pictures of a batch stay where they are."""
    found = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    return dataclasses.replace(record, **{name: value.to(device) for name, value in found.items() if isinstance(value, Tensor)})


def pixels(images: Tensor, device: torch.device) -> Tensor:
    """Pictures uint8 B 3 S S as they were read, to [-1, 1] on ``device``."""
    return to_float(images.to(device, non_blocking=True))


def take(batch: Batch, rows: slice) -> Batch:
    """Part of a batch, its pictures unread."""
    found = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    images = found.pop("images").take(rows)
    return dataclasses.replace(batch, images=images, **{name: value[rows] for name, value in found.items()})


def pieces(batch: Batch, count: int) -> list[Batch]:
    """A batch cut into ``count`` equal parts.

    Raises:
        ConfigError: it cannot be.
    """
    if count < 1 or len(batch) % count:
        raise ConfigError(f"train.accumulate: a batch of {len(batch)} cannot be cut into {count} equal pieces")
    size = len(batch) // count
    return [batch] if count == 1 else [take(batch, slice(start, start + size)) for start in range(0, len(batch), size)]
