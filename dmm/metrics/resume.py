"""What an evaluation has got so far, in one file: a run that was broken off goes on from it, and its record is the same to the bit.

The file holds what extractors have read of each set of pictures, how many that were, and the figures of the metrics that are done; every
picture is generated from a seed of its own, so that those still to come are the same whoever makes them. It is written atomically, read
without running anything of it (``torch.load(weights_only=True)``), and belongs to one evaluation: other weights or settings are refused.
"""

from __future__ import annotations

import io
import json
import pickle
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from dmm.archives import check_archive
from dmm.config import ConfigError
from dmm.files import Number, Table, Text, Whole, check, one_line, parse
from dmm.images import write_atomic
from dmm.metrics.features import Collection

EVERY = 1000  # pictures between two writes
FORMAT = "dmm-evaluation/1"
STATE = Table({"identity": Table(others=Text()), "figures": Table(others=Text(1 << 26)), "seconds": Number(0)})  # beside the tensors
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, EOFError, pickle.UnpicklingError)


class Progress:
    """What is done of one evaluation.

    Args:
        path: the file; None keeps nothing.
        identity: what the evaluation is of, name -> value: the file of another one is refused.
        every: pictures between two writes.

    Raises:
        ConfigError: a damaged file, or one of another evaluation.
    """

    def __init__(self, path: str | Path | None, identity: Mapping[str, object], every: int = EVERY):
        self.path, self.every = None if path is None else Path(path), every
        self.began = time.monotonic()
        self.written = 0  # pictures of the present set when the file was last written
        own = {name: str(value) for name, value in identity.items()}
        self.content: dict = {"format": FORMAT, "identity": own, "sets": {}, "pictures": {}, "figures": {}, "seconds": 0.0}
        if self.path is not None and self.path.exists():
            self.content = self._read(self.path, own)

    def _read(self, path: Path, own: dict[str, str]) -> dict:
        try:
            check_archive(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
            theirs = content["identity"] if content["format"] == FORMAT else {}
            plain = {name: value for name, value in content.items() if name not in ("sets", "pictures")}
            check(plain, STATE, "state")
            if not all(isinstance(content[name], dict) for name in ("sets", "pictures")):
                raise ValueError("sets and pictures: expected tables")
        except DAMAGED as error:
            raise self._damaged(path, error) from error
        for name, value in own.items():
            if theirs.get(name) != value:
                raise ConfigError(f"{path}: belongs to another evaluation: {name} is {theirs.get(name)}, expected {value}; {_advice(path)}")
        return content

    @staticmethod
    def _damaged(path: Path, error: Exception) -> ConfigError:
        return ConfigError(f"{path}: expected the state of an evaluation, found a damaged file ({one_line(error, 120)}); {_advice(path)}")

    def pictures(self, label: str) -> list[Tensor]:
        """The first pictures of a set, for a sheet; a list that the caller fills and that is kept."""
        return self.content["pictures"].setdefault(label, [])

    def restore(self, label: str, collection: Collection) -> int:
        """Fill a collection with what was read of a set; how many pictures that were.

        Raises:
            ConfigError: the file holds something else.
        """
        found = self.content["sets"].get(label)
        if found is None:
            self.written = 0
            return 0
        try:
            done, state = found
            collection.load(state)
            self.written = check(done, Whole(0), "pictures that were read")
        except DAMAGED as error:
            raise self._damaged(self.path or Path(label), error) from error
        return self.written

    def keep(self, label: str, collection: Collection, done: int, of: int) -> None:
        """Note that ``done`` of a set's pictures have been read; written now and then, and at the end."""
        if self.path is not None and (done == of or done - self.written >= self.every):
            self.content["sets"][label] = (done, collection.state())
            self._write()
            self.written = done

    def figures(self, name: str, compute: Callable[[str], dict]) -> dict:
        """The figures of a metric, computed from its name unless they are there."""
        known = self.content["figures"]
        if name not in known:
            known[name] = json.dumps(compute(name))
            self._write()
        return parse(known[name], name, finite=False)

    def seconds(self) -> float:
        """Time that the evaluation has taken, in all of its runs."""
        return self.content["seconds"] + time.monotonic() - self.began

    def _write(self) -> None:
        if self.path is not None:
            buffer = io.BytesIO()
            torch.save(self.content | {"seconds": self.seconds()}, buffer)
            write_atomic(self.path, buffer.getvalue())


def _advice(path: Path) -> str:
    return f"delete {path} to begin anew, or write elsewhere (--out)"
