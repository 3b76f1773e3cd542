"""One pass of many networks over many pictures.

An *extractor* is a function from pictures B 3 S S in [-1, 1] to what it reads there: a tensor B ..., a dict of those (nested as one likes),
or a list of B strings. :func:`extract` shows each batch to every extractor once and joins what they read; no picture is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

Extractor = Callable[[Tensor], object]
Features = dict[str, dict[int, object]]  # extractor -> picture size in px -> what it read from all pictures


@torch.no_grad()
def extract(extractors: Mapping[tuple[str, int], Extractor], batches: Iterable[Mapping[int, Tensor]]) -> Features:
    """Show every batch to every extractor.

    Args:
        extractors: (name, size in px) -> extractor of the pictures of that size.
        batches: picture size -> pictures B 3 S S in [-1, 1], batch after batch.

    Returns:
        name -> size -> what was read from all pictures in order, tensors on the CPU.
    """
    parts: dict[tuple[str, int], list] = {key: [] for key in extractors}
    for batch in batches:
        for (name, size), extractor in extractors.items():
            parts[name, size].append(_to_cpu(extractor(batch[size])))
    features: Features = {}
    for (name, size), items in parts.items():
        features.setdefault(name, {})[size] = _join(items)
    return features


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
