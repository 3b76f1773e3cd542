"""What a trace has to be to be shown: shapes that fit each other, finite numbers in their range, texts as long as the batch.

The shapes are those of the comments in :mod:`dmm.trace`, in one alphabet. ``B`` (samples), ``T`` (words) and ``K`` (conditioning code)
are the same in the whole trace, ``C``, ``D``, ``H``, ``W`` and ``S`` within a stage; a number stands for itself, ``2C`` for twice ``C``,
``*`` for anything.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dmm.files import FileError, List, Optional, Table, Text, Whole, check, shown

#: Field of a trace -> its shape.
WHOLE = {"code": "B K", "mean": "B K", "logvar": "B K", "mask": "B T"}
#: Field of a stage -> its shape.
STAGE = {
    "image": "B 3 S S",
    "hidden": "B D S S",
    "writing_gate": "B 1 T",
    "memory": "B 2C T",
    "key": "B C T",
    "value": "B C T",
    "addressing": "B T H W",
    "response": "B C H W",
    "global_gate": "B 1 1",
    "global_memory": "B 2C 1",
    "global_key": "B C 1",
    "global_value": "B C 1",
    "global_weights": "B C H W",
    "global_response": "B C H W",
    "word_attention": "B T H W",
    "word_context": "B C H W",
    "sentence_attention": "B C H W",
    "sentence_context": "B C H W",
}
GATES = ("B 3 H W", "B 1 H W")  # of response_gate
AFFINE = "B 2 *"
SHARES = ("writing_gate", "addressing", "global_gate", "global_weights", "response_gate", "word_attention", "sentence_attention")
SHARED = ("B", "T", "K")
SLACK = 1e-3  # by which a share may leave 0 to 1, and a picture -1 to 1; half precision rounds
LARGEST = {"B": 4096, "T": 512, "S": 2048, "H": 2048, "W": 2048}
TEXT = Text(10_000)


def check_trace(trace) -> None:
    """Hold a trace to its shapes, ranges and lengths.

    Raises:
        FileError: which field, what was expected, what was found.
    """
    sizes: dict[str, int] = {}
    for name, shape in WHOLE.items():
        _check_tensor(getattr(trace, name), shape, name, sizes)
    if trace.mask is not None and trace.mask.dtype != torch.bool:
        raise FileError(f"mask: expected true and false, found {trace.mask.dtype}")
    if trace.mask is not None and trace.mask.all(1).any():
        raise FileError("mask: expected a word in each sample, found a sample of which every position is masked")
    for place, stage in enumerate(trace.stages):
        _check_stage(stage, f"stages.{place}", sizes)
    batch = _check_texts(trace, sizes)
    for name, value in _texts(trace):
        if value is not None and len(value) != batch:
            raise FileError(f"{name}: expected one for each of {batch} samples, found {len(value)}")


def _check_stage(stage, where: str, shared: dict[str, int]) -> None:
    sizes = dict(shared)
    for name, shape in STAGE.items():
        _check_tensor(getattr(stage, name), shape, f"{where}.{name}", sizes)
    gate = stage.response_gate
    if gate is not None:
        _check_tensor(gate, GATES[gate.ndim == 4 and gate.shape[1] == 1], f"{where}.response_gate", sizes)
    for number, affine in enumerate(stage.affines or ()):
        _check_tensor(affine, AFFINE, f"{where}.affines.{number}", sizes)
    for name in SHARES:
        _check_range(getattr(stage, name), 0, 1, f"{where}.{name}")
    _check_range(stage.image, -1, 1, f"{where}.image")
    shared |= {name: size for name, size in sizes.items() if name in SHARED}


def _check_tensor(value, shape: str, where: str, sizes: dict[str, int]) -> None:
    """Hold one tensor to a shape; letters that are new get their size."""
    if value is None:
        return
    letters = shape.split()
    if not isinstance(value, Tensor) or value.ndim != len(letters):
        found = f"the shape {tuple(value.shape)}" if isinstance(value, Tensor) else shown(value)
        raise FileError(f"{where}: expected {shape}, found {found}")
    for letter, size in zip(letters, value.shape, strict=True):
        times, name = (2, letter[1:]) if letter.startswith("2") and len(letter) > 1 else (1, letter)
        expected = int(name) if name.isdigit() else sizes.setdefault(name, size // times) if name != "*" else size
        if size != times * expected or size < 1 or size > LARGEST.get(name, 1 << 20):
            known = ", ".join(f"{key}={number}" for key, number in sizes.items())
            raise FileError(f"{where}: expected {shape} with {known}, found {tuple(value.shape)}")
    if value.is_floating_point() and not value.isfinite().all():
        raise FileError(f"{where}: expected finite numbers, found others")
    if value.dtype != torch.bool and not value.is_floating_point():
        raise FileError(f"{where}: expected floats, found {value.dtype}")


def _check_range(value: Tensor | None, low: float, high: float, where: str) -> None:
    if value is not None and not (value.min() >= low - SLACK and value.max() <= high + SLACK):
        raise FileError(f"{where}: expected numbers from {low} to {high}, found {value.min():.4g} to {value.max():.4g}")


def _texts(trace) -> Iterator[tuple[str, list | None]]:
    yield from ((name, getattr(trace, name)) for name in ("captions", "words", "seeds"))
    yield from ((f"stages.{place}.redescription", stage.redescription) for place, stage in enumerate(trace.stages))


def _check_texts(trace, sizes: dict[str, int]) -> int:
    """Types and lengths of the texts; the number of samples."""
    check(trace.edits, Optional(List(Table(), high=1000)), "edits")
    for name, value in _texts(trace):
        schema = {"words": List(List(TEXT)), "seeds": List(Whole())}.get(name, List(TEXT))
        check(value, Optional(schema), name)
    if trace.words is not None and "T" in sizes:
        wrong = next((len(row) for row in trace.words if len(row) != sizes["T"]), None)
        if wrong is not None:
            raise FileError(f"words: expected {sizes['T']} strings a sample, as the maps have, found {wrong}")
    return sizes.get("B", next((len(value) for _, value in _texts(trace) if value is not None), 0))
