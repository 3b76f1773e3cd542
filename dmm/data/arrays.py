"""Rows of an ``.npy`` file, read from the disk when they are asked for.

A memory map would do the same, but a file that becomes shorter while it is mapped (a full disk, a copy that is still running) ends the
process with SIGBUS. Rows are read with ``pread`` instead, so that a short file is an error that names it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dmm.archives import npy_header
from dmm.files import name_of


class ArrayError(OSError):
    """An array file that is damaged, or became shorter while it was read."""


class Rows:
    """The rows of a file of ``uint8`` N ..., C order, as it is now, even if another takes its name later. Rows are copies.

    Args:
        path: the ``.npy`` file.

    Raises:
        ArrayError: another kind of array, or less data than its header says.
        OSError: no such file.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        with self.path.open("rb") as file:
            try:
                self.shape, self.dtype, fortran, self.offset = npy_header(file)
            except ValueError as error:
                raise ArrayError(f"{name_of(self.path)}: {error}") from error
        if self.dtype != np.uint8 or fortran or not self.shape:
            raise ArrayError(f"{name_of(self.path)}: expected an array of uint8, found {self.dtype} of {self.shape}")
        self._size = math.prod(self.shape[1:])  # bytes of a row
        held = self.path.stat().st_size
        if held < self.offset + self.shape[0] * self._size:
            raise self._short(held)
        self._file = self._opened()

    def _short(self, held: int) -> ArrayError:
        expected = self.offset + self.shape[0] * self._size
        return ArrayError(f"{name_of(self.path)}: expected {expected:,} bytes, found {held:,}: the file was cut short")

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self._size

    def _opened(self) -> int:
        return os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def __del__(self):
        if hasattr(self, "_file"):
            os.close(self._file)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "_file"}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._file = self._opened()

    def row(self, number: int) -> np.ndarray:
        """One row.

        Raises:
            IndexError: no such row.
            ArrayError: the file has become shorter.
        """
        if not 0 <= number < self.shape[0]:
            raise IndexError(f"{self.path}: row {number} asked for, it has 0 to {self.shape[0] - 1}")
        data = bytearray(self._size)
        view, done = memoryview(data), 0
        while done < self._size:
            got = _pread(self._file, view[done:], self.offset + number * self._size + done)
            if not got:
                raise self._short(self.path.stat().st_size if self.path.exists() else 0)
            done += got
        return np.frombuffer(data, np.uint8).reshape(self.shape[1:])

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Some rows as one array B ...; raises as :meth:`row`."""
        found = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for place, number in enumerate(rows):
            found[place] = self.row(int(number))
        return found


def _pread(descriptor: int, view: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [view], offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # not a POSIX system
    data = os.read(descriptor, len(view))
    view[: len(data)] = data
    return len(data)
