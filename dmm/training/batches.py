"""Batches on their way to a device: moved, and cut into equal pieces."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import torch
from torch import Tensor

from dmm.config import ConfigError
from dmm.data.batch import Batch

Record = TypeVar("Record")


def moved(record: Record, device: torch.device) -> Record:
    """A dataclass with its tensors on ``device``; pictures, in a dict, stay where they are until :func:`pixels` wants them."""
    found = {f.name: getattr(record, f.name) for f in dataclasses.fields(record)}
    return dataclasses.replace(record, **{name: value.to(device) for name, value in found.items() if isinstance(value, Tensor)})


def pixels(batch: Batch, size: int, rows: slice | Tensor, device: torch.device) -> Tensor:
    """Some of a batch's pictures of one size on ``device``: uint8 b 3 S S."""
    return batch.images[size][rows].to(device, non_blocking=True)


def take(batch: Batch, rows: slice) -> Batch:
    """Part of a batch."""
    found = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    images = {size: value[rows] for size, value in found.pop("images").items()}
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
