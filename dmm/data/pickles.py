"""The published data sets' pickles (``captions.pickle``, ``filenames.pickle``, ``class_info.pickle``), read without running them.

A pickle is a program for a small stack machine. This reader knows only the instructions that build plain containers, strings and
numbers, and a handful of names (those of bytes and numpy's plain arrays), each of which stands for a function of this file. Whatever
else a pickle asks for is refused before anything of it is looked up. Pickles of Python 2 (protocols 0 to 2, ``latin1`` strings) are
read like new ones.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from dmm.errors import InputError
from dmm.files import FileError, limit, name_of, one_line, read_bytes, shown

PLAIN_KINDS = "biufcSU"  # numpy's kinds of numbers and strings


class PickleError(InputError):
    """A pickle that is damaged or asks for more than plain data: which file, what was expected, what was found."""


def _dtype(name, align=False, copy=True) -> np.dtype:
    found = np.dtype(name if isinstance(name, str) else None)
    if not isinstance(name, str) or found.kind not in PLAIN_KINDS:
        raise pickle.UnpicklingError(f"refused an array of {shown(name)}: only numbers and strings are read")
    return found


def _empty(subtype, shape, kind) -> np.ndarray:
    return np.zeros(0, np.int8)  # filled by _set_array


def _scalar(dtype, raw):
    return _array((), dtype, raw)[()].item()


def _frombuffer(raw, dtype, shape, order="C") -> np.ndarray:
    return _array(shape, dtype, raw, order)


def _array(shape, dtype, raw, order="C") -> np.ndarray:
    if not isinstance(dtype, np.dtype) or order not in ("C", "F"):
        raise pickle.UnpicklingError("an array of unknown layout")
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    return np.frombuffer(raw, dtype).reshape(shape, order=order).copy()


def _encode(text, encoding="latin1") -> bytes:
    return text.encode("latin1")  # how Python 3 writes bytes into pickles of protocol 2


def _no_bytes() -> bytes:
    return b""  # the same, of empty bytes


class _Array:
    """Stands for the name ``numpy.ndarray``, which pickles hand to ``_reconstruct``; never called."""


#: The only names that a pickle may ask for, and what it gets.
NAMES = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _empty for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
    **{(builtins, "bytes"): _no_bytes for builtins in ("__builtin__", "builtins")},
}
#: The only instructions, by their names in :mod:`pickle`; all that is missing makes objects or reaches outside the file.
INSTRUCTIONS = """
    PROTO FRAME STOP MARK POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS EMPTY_DICT
    PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL
""".split()


def _counted(instruction):
    """An instruction that is counted each time."""

    def counted(self):
        self.count()
        instruction(self)

    return counted


#: Instructions that make a container or a place in the memo of a byte or two: counted, since each takes a hundred bytes of memory.
COUNTED = "MARK EMPTY_LIST LIST EMPTY_DICT DICT PUT BINPUT LONG_BINPUT MEMOIZE REDUCE BUILD".split()
FREE = 10_000  # of them, and a further one for every two bytes of the file
LARGEST_KEY = 1 << 60  # whole numbers above it can be chosen so that a dict takes quadratic time


class _PlainUnpickler(pickle._Unpickler):  # the one in Python: its memo grows with the file, and its instructions are a table
    stack: list
    append: Callable[[object], None]
    pop_mark: Callable[[], list]
    read: Callable[[int], bytes]
    readline: Callable[[], bytes]
    memo: dict[int, object]
    dispatch: ClassVar[dict[int, Callable[..., Any]]] = {
        getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in INSTRUCTIONS
    }

    def __init__(self, data: bytes):
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.left = FREE + len(data) // 2  # instructions of COUNTED
        self.copies = limit("npz_bytes") + 4 * len(data)  # bytes that calls may make

    def count(self) -> None:
        """One more of ``COUNTED``."""
        self.left -= 1
        if self.left < 0:
            raise pickle.UnpicklingError("more containers than a file of this size holds")

    def copied(self, value):
        """A value that a call made of others, if the file may still make that much."""
        self.copies -= value.nbytes if isinstance(value, np.ndarray) else len(value) if isinstance(value, (bytes, str)) else 64
        if self.copies < 0:
            raise pickle.UnpicklingError("an object that is copied again and again, to far more than the size of the file")
        return value

    def find_class(self, module, name):
        if (module, name) not in NAMES:
            raise pickle.UnpicklingError(f"refused to load {module}.{name}: only lists, dicts, strings, numbers and plain arrays are read")
        return NAMES[module, name]

    def load_reduce(self):
        arguments, function = self.stack.pop(), self.stack[-1]
        if not any(function is known for known in NAMES.values() if known is not _Array):
            raise pickle.UnpicklingError(f"refused to call a {type(function).__name__}")
        self.stack[-1] = self.copied(function(*arguments))

    def load_build(self):
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, np.dtype):
            if state[1] not in ("<", "=", "|") or any(part is not None for part in state[2:5]):
                raise pickle.UnpicklingError("an array of structured or big-endian numbers")
        elif isinstance(target, np.ndarray):
            shape, dtype, fortran, raw = state[1:5]
            order: Literal["F", "C"] = "F" if fortran else "C"
            array = self.copied(_array(shape, dtype, raw, order))
            flat = (1, array.shape, array.dtype, bool(fortran), array.tobytes(order))
            target.__setstate__(flat)  # type: ignore[arg-type]  # the stub wants numpy's bool, the function Python's
        else:
            raise pickle.UnpicklingError(f"refused to set the state of a {type(target).__name__}")

    def _set(self, table, items):
        if type(table) is not dict or not all(key is None or isinstance(key, (str, bytes, int, float)) for key in items[::2]):
            raise pickle.UnpicklingError("a dict with keys that are neither strings nor numbers")
        if any(isinstance(key, int) and abs(key) > LARGEST_KEY for key in items[::2]):
            raise pickle.UnpicklingError("a dict with whole numbers of more than 60 bits as keys")
        table.update(zip(items[::2], items[1::2], strict=True))

    def load_setitem(self):
        value, key = self.stack.pop(), self.stack.pop()
        self._set(self.stack[-1], [key, value])

    def load_setitems(self):
        items = self.pop_mark()
        self._set(self.stack[-1], items)

    def load_dict(self):
        items = self.pop_mark()
        table: dict = {}
        self._set(table, items)
        self.append(table)

    def load_put(self):
        place = int(self.readline()[:-1])
        if not 0 <= place < 1 << 32:
            raise pickle.UnpicklingError("a place in the memo that no file needs")
        self.memo[place] = self.stack[-1]

    def load_bytearray8(self):
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))

    dispatch |= {
        pickle.REDUCE[0]: load_reduce,
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.PUT[0]: load_put,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }


for _code in (getattr(pickle, _name)[0] for _name in COUNTED):
    _PlainUnpickler.dispatch[_code] = _counted(_PlainUnpickler.dispatch[_code])


def loads(data: bytes, where: str | os.PathLike = "pickle"):
    """The plain content of a pickle.

    Args:
        data: the pickle's bytes.
        where: named in errors.

    Raises:
        PickleError: damaged, or it asks for anything but lists, tuples, dicts, strings, numbers and plain numpy arrays.
    """
    if len(data) > limit("pickle_bytes"):
        raise PickleError(f"{name_of(where)}: expected at most {limit('pickle_bytes'):,} bytes, found {len(data):,}")
    try:
        return _PlainUnpickler(data).load()
    except Exception as error:  # a damaged program may fail in any way; it has run nothing but the instructions above
        known = isinstance(error, pickle.UnpicklingError)
        said = str(error) if known else f"a damaged one ({type(error).__name__}: {error})"
        raise PickleError(f"{where}: expected a pickle of plain containers, strings and numbers, found {one_line(said)}") from error


def load(path: str | os.PathLike):
    """The plain content of a pickle file; see :func:`loads`.

    Raises:
        PickleError: as :func:`loads`.
        OSError: no such file.
    """
    return loads(content(path), path)


def content(path: str | os.PathLike) -> bytes:
    """The bytes of a pickle file, within the limit.

    Raises:
        PickleError: it is larger.
        OSError: no such file.
    """
    try:
        return read_bytes(path, limit("pickle_bytes"))
    except FileError as error:
        raise PickleError(str(error)) from error


def read_filenames(path: str | os.PathLike) -> list[str]:
    """A published ``filenames.pickle``: one name a picture, without its ending.

    Raises:
        PickleError: as :func:`loads`, or no list of strings.
    """
    names = load(path)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise PickleError(f"{path}: expected a list of file names, found {describe(names)}")
    return names


def read_classes(path: str | os.PathLike) -> list[int]:
    """A published ``class_info.pickle``: the class number of each picture.

    Raises:
        PickleError: as :func:`loads`, or no list of whole numbers.
    """
    classes = load(path)
    if isinstance(classes, np.ndarray) and classes.ndim == 1 and classes.dtype.kind in "iu":
        classes = classes.tolist()
    if not isinstance(classes, list) or not all(type(number) is int for number in classes):
        raise PickleError(f"{path}: expected a list of class numbers, found {describe(classes)}")
    return classes


def describe(value) -> str:
    """A value in a few words, for an error: "a list of 4 (list, list, dict, dict)"."""
    if isinstance(value, (list, tuple)):
        inside = ", ".join(type(item).__name__ for item in value[:4])
        return f"a {type(value).__name__} of {len(value)}" + (f" ({inside}{', ...' if len(value) > 4 else ''})" if value else "")
    return f"a {type(value).__name__}"
