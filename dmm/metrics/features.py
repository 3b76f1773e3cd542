"""One pass of many networks over many pictures.

A *reader* is a function from pictures B 3 S S in [-1, 1] to what it reads there: a tensor B ..., a dict of those (nested as one likes), or
a list of B strings. :func:`read_pictures` shows each batch to every reader once and joins what they read; no picture is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

Reader = Callable[[Tensor], object]
Readings = dict[str, dict[int, object]]  # reader -> picture size in px -> what it read from all pictures


@torch.no_grad()
def read_pictures(readers: Mapping[tuple[str, int], Reader], batches: Iterable[Mapping[int, Tensor]]) -> Readings:
    """Show every batch to every reader.

    Args:
        readers: (name, size in px) -> reader of the pictures of that size.
        batches: picture size -> pictures B 3 S S in [-1, 1], batch after batch.

    Returns:
        name -> size -> what was read from all pictures in order, tensors on the CPU.
    """
    parts: dict[tuple[str, int], list] = {key: [] for key in readers}
    for batch in batches:
        for (name, size), reader in readers.items():
            parts[name, size].append(_to_cpu(reader(batch[size])))
    readings: Readings = {}
    for (name, size), items in parts.items():
        readings.setdefault(name, {})[size] = _join(items)
    return readings


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
