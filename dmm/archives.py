"""Archives that somebody else wrote: ``.npy``, ``.npz`` and ``.pth``, refused before they are read if they hold more than their size.

The limits are those of :mod:`dmm.files`, whose errors these are; what a ``.pth`` file holds is read elsewhere, by torch.
"""

from __future__ import annotations

import io
import math
import os
import pickletools
import struct
import zipfile
import zlib
from typing import BinaryIO

import numpy as np

from dmm.files import FileError, limit, name_of, one_line, printable, shown


def npy_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype, bool, int]:
    """What an ``.npy`` file says of itself: (shape, type, Fortran order, bytes before the data).

    Raises:
        FileError: no such file, or an array of anything but plain numbers.
    """
    try:
        version = np.lib.format.read_magic(file)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, kind = reader(file)
    except (ValueError, KeyError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError) as error:
        raise FileError(f"expected an array (.npy), found something else ({one_line(error, 120)})") from error
    if kind.hasobject or kind.kind not in "biuf" or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        raise FileError(f"expected an array of plain numbers, found {printable(kind, 60)} of {shown(shape)}; allow_pickle is never on")
    return shape, kind, fortran, file.tell()


def read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file; what they would need in memory is summed from its directory before anything is read.

    Raises:
        FileError: no such archive, damaged, more data than the limits allow for its size, or anything but plain numbers in it.
        OSError: no such file.
    """
    held, arrays = os.path.getsize(path), {}
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            needed, most = sum(entry.file_size for entry in entries), max(limit("npz_bytes"), limit("npz_growth") * held)
            if needed > most or len({entry.filename for entry in entries}) != len(entries):
                found = f"{needed:,} bytes inside {held:,}" if needed > most else "a name twice"
                raise FileError(f"{found}; at most {most:,} bytes are read")
            for entry in entries:
                with archive.open(entry) as file:
                    data = file.read(entry.file_size + 1)
                arrays[entry.filename.removesuffix(".npy")] = _array(data, entry.filename)
    except _ARCHIVE as error:
        raise FileError(f"{name_of(path)}: expected an archive of arrays (.npz), found {one_line(error)}") from error
    return arrays


#: What zipfile and zlib raise on files that are not what they should be.
_ARCHIVE = (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, EOFError, struct.error, KeyError, OverflowError)


def _array(data: bytes, name: str) -> np.ndarray:
    try:
        shape, kind, fortran, offset = npy_header(io.BytesIO(data))
    except FileError as error:
        raise FileError(f"{printable(name, 60)}: {error}") from error
    count = math.prod(shape)
    if len(data) - offset != count * kind.itemsize:
        raise FileError(f"{printable(name, 60)}: expected {count * kind.itemsize:,} bytes for {shown(shape)}, found {len(data) - offset:,}")
    return np.frombuffer(bytearray(data[offset:]), kind).reshape(shape, order="F" if fortran else "C")


def check_archive(path: str | os.PathLike) -> None:
    """Refuse a ``.pth`` archive that holds more than its size: deflated members, members that lie on each other, repeated calls.

    torch reads such a file with its own restricted unpickler, which counts neither. Files that are no archive pass.

    Raises:
        FileError: what was expected, what was found.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            deflated = next((entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED), None)
            if deflated is not None:
                raise FileError(f"expected stored data, found {shown(deflated.filename)} compressed; torch.save compresses nothing")
            declared, held = sum(entry.file_size for entry in entries), os.path.getsize(path)
            if declared > held or len(entries) > limit("archive_members"):
                raise FileError(f"expected at most the {held:,} bytes of the file, found {declared:,} in {len(entries):,} members")
            for entry in entries:
                if entry.filename.endswith("data.pkl"):
                    _check_calls(archive.read(entry))
    except _ARCHIVE as error:
        raise FileError(f"{name_of(path)}: expected a file of torch.save, found {one_line(error)}") from error


def _check_calls(data: bytes) -> None:
    """Refuse a pickle whose calls could multiply its strings: each call may copy the longest."""
    calls, longest = 0, 0
    for code, value, _ in pickletools.genops(data):
        calls += code.name in ("REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "INST", "OBJ")
        longest = max(longest, len(value)) if isinstance(value, (str, bytes, bytearray)) else longest
    if calls * longest > limit("pickle_copies"):
        raise FileError(f"expected names and tensors, found {calls:,} calls with strings of up to {longest:,} characters")
