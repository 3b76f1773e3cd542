"""Networks that are built for their shapes only, or to be filled from a file: what gives their weights first numbers is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


@contextmanager
def outline() -> Iterator[None]:
    """Networks built here have shapes and no numbers (device "meta"); the next random numbers are drawn as if none had been built.

    Filling a tensor there would make PyTorch import its compiler, which takes seconds.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"), _Unfilled():
        yield


class ToBeFilled(TorchFunctionMode):
    """While a network is built to be filled, its weights need not be made orthogonal first: six times as fast at published sizes."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.linalg.qr:
            return args[0], args[0][: args[0].shape[1]]
        return function(*args, **(kwargs or {}))


class _Unfilled(ToBeFilled):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        filled = args[0] if args else (kwargs or {}).get("tensor")
        name = getattr(function, "__name__", "")
        if isinstance(filled, Tensor) and filled.is_meta and (name == "__imul__" or name.endswith("_") and not name.startswith("_")):
            return filled
        return super().__torch_function__(function, types, args, kwargs)
