"""What a generator did, as data: the one return value of every generator's ``forward``.

The papers name their quantities (DM-GAN, Eqs. 3-9: memory writing, key addressing, value reading, response). Each is the output of one
small module, and each has one field here. A field is ``None`` where an architecture does not have the quantity; nothing is
ever filled in to look complete.

Shapes use one alphabet: B samples, T words (start and end tokens included), C = the stage's width, H W = the map the stage *reads*
(64 or 128), S = the picture it generates.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import Tensor, from_numpy

from dmm.archives import read_npz
from dmm.errors import InputError
from dmm.files import one_line, parse, shown
from dmm.images import write_atomic
from dmm.trace_check import check_trace


class TraceError(InputError):
    """A trace file that cannot be read (which file, what was found), or a trace that lacks what is asked of it."""


Item = TypeVar("Item")

#: What files raise that are not what they should be.
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError)


@dataclass
class StageTrace:
    """One stage: the picture, and the memory that was written and read to generate it."""

    image: Tensor | None = None  # B 3 S S in [-1, 1]
    hidden: Tensor | None = None  # B C S S feature map after the stage
    writing_gate: Tensor | None = None  # B 1 T in (0, 1), DM-GAN Eq. 7: share of the word written into its slot
    memory: Tensor | None = None  # B 2C T memory slots, Eq. 8 (Eq. 3 without a writing gate)
    key: Tensor | None = None  # B C T, Eq. 4
    value: Tensor | None = None  # B C T, Eq. 5
    addressing: Tensor | None = None  # B T H W key-addressing weights, a softmax over T at each place, Eq. 4
    response: Tensor | None = None  # B C H W what the word memory answers at each place, Eq. 5
    global_gate: Tensor | None = None  # B 1 1 writing gate of the single global slot (GLDM)
    global_memory: Tensor | None = None  # B 2C 1
    global_key: Tensor | None = None  # B C 1
    global_value: Tensor | None = None  # B C 1
    global_weights: Tensor | None = None  # B C H W softmax over the C channels at each place
    global_response: Tensor | None = None  # B C H W
    response_gate: Tensor | None = None  # B 3 H W over (image, words, global), or B 1 H W (DM-GAN, Eq. 9)
    word_attention: Tensor | None = None  # B T H W (AttnGAN, MirrorGAN)
    word_context: Tensor | None = None  # B C H W (AttnGAN, MirrorGAN)
    sentence_attention: Tensor | None = None  # B C H W (MirrorGAN)
    sentence_context: Tensor | None = None  # B C H W (MirrorGAN)
    redescription: list[str] | None = None  # B sentences that STREAM reads back from the picture
    affines: list[Tensor] | None = None  # each B 2 C, scale and shift of a conditional affine layer, in order of use (DF-GAN)

    @property
    def size(self) -> int | None:
        """Side of the picture in pixels."""
        return None if self.image is None else self.image.shape[-1]

    def quantity(self, name: str) -> Tensor:
        """A field by name, where the stage must have it.

        Raises:
            TraceError: this system does not have the quantity.
        """
        value = getattr(self, name)
        if not isinstance(value, Tensor):
            raise TraceError(f"this stage has no {name.replace('_', ' ')}")
        return value


@dataclass
class Trace:
    """One batch of captions generated: conditioning, three stages, and the words they were generated from."""

    stages: list[StageTrace] = field(default_factory=list)
    code: Tensor | None = None  # B K sampled conditioning code
    mean: Tensor | None = None  # B K mean of the conditioning distribution
    logvar: Tensor | None = None  # B K its log variance
    mask: Tensor | None = None  # B T, true = this position is not a word (start, end, padding)
    captions: list[str] | None = None  # B sentences as given
    words: list[list[str]] | None = None  # B lists of T strings, aligned with the T axis of every field
    seeds: list[int] | None = None  # B noise seeds
    edits: list[dict] | None = None  # interventions under which it was generated, as explorer.interventions.to_data writes them

    @property
    def images(self) -> list[Tensor]:
        """The pictures, smallest first."""
        return [stage.image for stage in self.stages if stage.image is not None]

    def caption(self, sample: int = 0) -> str:
        """The sentence of one sample, as given. Raises TraceError: none was recorded, as in a trace that no pipeline made."""
        return self._recorded("captions", self.captions)[sample]

    def tokens(self, sample: int = 0) -> list[str]:
        """The T words of one sample, aligned with the T axis of every field. Raises as :meth:`caption`."""
        return self._recorded("words", self.words)[sample]

    def seed(self, sample: int = 0) -> int:
        """The noise seed of one sample. Raises as :meth:`caption`."""
        return self._recorded("seeds", self.seeds)[sample]

    @staticmethod
    def _recorded(name: str, values: list[Item] | None) -> list[Item]:
        if values is None:
            raise TraceError(f"this trace has no {name}: expected one that a pipeline made (dmm.load), which records them")
        return values

    def map(self, function: Callable[[Tensor], Tensor]) -> Trace:
        """A new trace with ``function`` applied to every tensor, those in lists included."""

        def apply(record):
            changes: dict[str, Tensor | list[Tensor]] = {}
            for f in dataclasses.fields(record):
                value = getattr(record, f.name)
                if isinstance(value, Tensor):
                    changes[f.name] = function(value)
                elif _is_tensors(value):
                    changes[f.name] = [function(item) for item in value]
            return dataclasses.replace(record, **changes)

        return dataclasses.replace(apply(self), stages=[apply(stage) for stage in self.stages])

    def detach(self) -> Trace:
        """The same numbers without the graph."""
        return self.map(Tensor.detach)

    def to(self, *args, **kwargs) -> Trace:
        """Every tensor moved or converted as by ``Tensor.to``."""
        return self.map(lambda t: t.to(*args, **kwargs))

    def select(self, sample: int) -> Trace:
        """The trace of one sample, still with a batch axis of 1."""
        pick = slice(sample, sample + 1) if sample != -1 else slice(sample, None)
        one = self.map(lambda t: t[pick])
        for name in ("captions", "words", "seeds"):
            value = getattr(one, name)
            if value is not None:
                setattr(one, name, value[pick])
        for stage in one.stages:
            if stage.redescription is not None:
                stage.redescription = stage.redescription[pick]
        return one

    def save(self, path: str | os.PathLike) -> None:
        """Write every field into one compressed ``.npz``, atomically."""
        arrays, texts = {}, {}
        records: list[tuple[str, Trace | StageTrace]] = [("", self), *((f"stages.{i}.", s) for i, s in enumerate(self.stages))]
        for prefix, record in records:
            for f in dataclasses.fields(record):
                value = getattr(record, f.name)
                if isinstance(value, Tensor):
                    arrays[prefix + f.name] = value.detach().cpu().numpy()
                elif _is_tensors(value):
                    arrays |= {f"{prefix}{f.name}.{i}": item.detach().cpu().numpy() for i, item in enumerate(value)}
                elif value is not None and f.name != "stages":
                    texts[prefix + f.name] = value
        texts["stages"] = len(self.stages)
        arrays["json"] = np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # none of them is called allow_pickle
        write_atomic(Path(path), buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike, strict: bool = True) -> Trace:
        """Read what :meth:`save` wrote. Never unpickles.

        Args:
            strict: shapes fit each other, numbers are finite and in their range, texts as many as samples; see :mod:`dmm.trace_check`.

        Raises:
            TraceError: no such file, or one that :meth:`save` did not write, or a damaged one; naming the field.
        """
        try:
            arrays = read_npz(path)
            texts = parse(arrays.pop("json").tobytes(), "json")
            if not isinstance(texts, dict) or texts.keys() & arrays.keys():
                raise ValueError("json: expected an object with the texts")
            trace = cls._from_fields({name: from_numpy(values) for name, values in arrays.items()} | texts)
            if strict:
                check_trace(trace)
            return trace
        except _DAMAGE as error:
            raise TraceError(f"{path}: expected a trace (.npz), found {one_line(error, 300)}. Write it again") from error

    @classmethod
    def _from_fields(cls, values: dict) -> Trace:
        trace = cls(stages=[StageTrace() for _ in range(_number(values.pop("stages"), 16))])
        for name, value in values.items():
            record: Trace | StageTrace = trace
            if name.startswith("stages."):
                _, index, name = name.split(".", 2)
                record = trace.stages[_number(index, len(trace.stages) - 1)]
            name, _, place = name.partition(".")
            if name not in {f.name for f in dataclasses.fields(record)}:
                raise ValueError(f"an unknown field {shown(name)}")
            tensor = isinstance(value, Tensor)
            if tensor != (name not in TEXTS) and not (name == "affines" and value in (None, [])):
                raise ValueError(f"{name}: expected {'text' if tensor else 'an array'}")
            if place:  # one of a list; they were written in order
                value = [*(getattr(record, name) or []), value]
            if (name == "affines") != isinstance(value, list) and name not in TEXTS and value is not None:
                raise ValueError(f"{name}: a list where an array was expected, or the reverse")
            setattr(record, name, value)
        return trace


TEXTS = ("captions", "words", "seeds", "redescription", "edits")


def _number(value, largest: int) -> int:
    value = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 4 else value
    if type(value) is not int or not 0 <= value <= largest:
        raise ValueError(f"{shown(value)} where a number from 0 to {largest} was expected")
    return value


def _is_tensors(value) -> bool:
    """A list of tensors, as opposed to one of texts, numbers or stages; an empty list is kept as it is."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, Tensor) for item in value)
