"""Files that somebody else wrote: text, JSON and names of files, read within limits and checked field by field.

Every reader of the project goes through here, so that a damaged or hostile file ends in one sentence that names it: deep nesting, a key
that stands twice, numbers that are not finite, text that is no UTF-8, names that leave their folder, control characters on a terminal.
A *schema* says what a value has to be: ``Text``, ``Whole``, ``Number``, ``Flag``, ``List``, ``Table``; :func:`check` holds a value to it.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import os
import re
import reprlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmm.errors import InputError

#: The limits, a phrase each; SECURITY.md shows this table.
LIMITS = {
    "json_bytes": (1 << 30, "bytes of one JSON file (COCO's captions have 92 MB)"),
    "line_bytes": (1 << 20, "bytes of one line of a .jsonl file"),
    "text_bytes": (1 << 24, "bytes of one text file, a list or the captions of a picture"),
    "digits": (40, "digits of a whole number in JSON"),
    "name_bytes": (255, "bytes of each part of a file's name"),
    "caption_characters": (10_000, "characters of one caption in a data set"),
    "picture_bytes": (1 << 17, "bytes of all captions of one picture in a data set"),
    "word_characters": (64, "characters of a vocabulary's word"),
    "npz_bytes": (1 << 26, "bytes of all arrays of an .npz file (a trace), whatever its size"),
    "npz_growth": (16, "bytes of all arrays of a larger .npz file, for each of its bytes"),
    "archive_members": (100_000, "tensors of a .pth file"),
    "pickle_bytes": (1 << 28, "bytes of a pickle"),
    "pickle_copies": (1 << 26, "bytes that the calls of a pickle may copy"),
    "zip_members": (5_000_000, "files of a zipped data set"),
    "zip_bytes": (1 << 26, "bytes of all files of a zipped data set, whatever its size"),
    "zip_growth": (20, "bytes of all files of a larger zipped data set, for each of its bytes"),
    "shown_characters": (200, "characters of foreign text in a message"),
}


def limit(name: str) -> int:
    """The figure of one limit."""
    return LIMITS[name][0]


LINE_END = re.compile(r"\r\n|\r|\n")


class FileError(InputError):
    """A file that cannot be used: which file or field, what was expected, what was found."""


# -- foreign text in messages

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 60
_repr.maxlevel, _repr.maxlist, _repr.maxdict, _repr.maxtuple = 2, 4, 4, 4


def shown(value: object) -> str:
    """A value for a message: ``repr``, cut in length and depth, without control characters."""
    return printable(_repr.repr(value))


def printable(text: object, most: int | None = None) -> str:
    """Text that a terminal can be given: control characters, lone surrogates and invisible marks as escapes, cut to ``most`` characters.

    Line breaks are escaped as well: the result is one line.
    """
    most = limit("shown_characters") if most is None else most
    text = str(text)
    cut = text if len(text) <= most else text[:most] + "..."
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(_escaped(c) if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") else c for c in cut)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def one_line(error: object, most: int | None = None) -> str:
    """An error's message on one line, printable and cut."""
    return printable(" ".join(str(error).split()), most)


# -- text

#: First bytes of files that are often saved in place of others -> what they are, and what to do.
MISTAKEN = {
    b"<!doctype": "a web page (HTML): the site answered with a page, not with the file. Download it again in a browser",
    b"<html": "a web page (HTML): the site answered with a page, not with the file. Download it again in a browser",
    b"<?xml": "an XML message, not the file. Download it again",
    b"version https://git-lfs": "a Git LFS pointer, not the file. Fetch it: git lfs pull",
    b"{": "JSON text",
    b"\x1f\x8b": "a compressed file (gzip). Unpack it first",
    b"7z\xbc\xaf": "a 7z archive. Unpack it first",
    b"rar!": "a RAR archive. Unpack it first",
}


def mistaken(data: bytes) -> str | None:
    """What the first bytes of a file say that it is, if that is one of :data:`MISTAKEN`."""
    begins = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return next((said for mark, said in MISTAKEN.items() if begins.startswith(mark)), None)


def read_bytes(path: str | os.PathLike, most: int) -> bytes:
    """The content of a file of at most ``most`` bytes, in pieces, so that memory is taken for what is there only.

    Raises:
        FileError: it holds more.
        OSError: no such file.
    """
    pieces, left = [], most
    with Path(path).open("rb") as file:
        while piece := file.read(1 << 20):
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise FileError(f"{name_of(path)}: expected at most {most:,} bytes, found more")
    return b"".join(pieces)


def read_text(path: str | os.PathLike, most: int | None = None) -> str:
    """A text file in UTF-8, with or without a byte order mark, or in UTF-16 or UTF-32 with one.

    Args:
        most: bytes; the limit ``text_bytes`` by default.

    Raises:
        FileError: too large, or other bytes.
        OSError: no such file.
    """
    data = read_bytes(path, limit("text_bytes") if most is None else most)
    try:
        return decode(data)
    except UnicodeDecodeError as error:
        raise FileError(f"{name_of(path)}: expected text in UTF-8, found other bytes at {error.start}; save it as UTF-8") from error


def decode(data: bytes, errors: str = "strict") -> str:
    """Bytes of a text file as text; the byte order mark, if there is one, says UTF-8, UTF-16 or UTF-32 and is left out.

    Raises:
        UnicodeDecodeError: none of them, or text with zeros, which text in UTF-16 without a mark is made of.
    """
    if data[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):  # before UTF-16, whose mark the first one begins with
        text = data.decode("utf-32")
    elif data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        text = data.decode("utf-16")
    else:
        text = data.decode("utf-8-sig", errors)
    if "\0" in text:
        place = max(data.find(b"\0"), 0)
        raise UnicodeDecodeError("utf-8", data, place, place + 1, "a zero byte")
    return text


def lines_in(text: str) -> list[str]:
    """The lines of a text, ended as Unix, Windows or old Macs do; other characters that :meth:`str.splitlines` breaks at may be in one."""
    return LINE_END.split(text)


def is_writable_text(text: str) -> bool:
    r"""Whether it can be written as UTF-8: half of a surrogate pair (``"\ud83d"`` in JSON) cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def name_of(path: str | os.PathLike) -> str:
    """A path for a message."""
    return printable(os.fspath(path), 400)


# -- names of files inside a folder


def below(folder: Path, name: object, what: str = "file_name") -> Path:
    """The file ``name`` inside ``folder``.

    Args:
        what: the field that holds the name, for the message.

    Raises:
        FileError: no name, one that leaves the folder, or one that no file can have.
    """
    if not isinstance(name, str) or not name.strip():
        raise FileError(f"{what}: expected the name of a file, found {'nothing' if name in (None, '') else shown(name)}")
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts or "\\" in name and ".." in name.split("\\"):
        raise FileError(f"{what}: expected a file below {name_of(folder)}, found {shown(name)}, which leaves it")
    if not parts:
        raise FileError(f"{what}: expected the name of a file, found {shown(name)}")
    if "\0" in name or not is_writable_text(name):
        raise FileError(f"{what}: expected the name of a file, found {shown(name)}, which no file can have")
    if any(len(part.encode()) > limit("name_bytes") for part in parts) or len(name.encode()) > 4000:
        raise FileError(
            f"{what}: expected at most {limit('name_bytes')} bytes between slashes, found {len(name.encode())} in {shown(name)}"
        )
    return folder / name


# -- JSON


def parse(text: str | bytes, where: str = "JSON", finite: bool = True) -> Any:
    """The value of a JSON text.

    Args:
        finite: refuse NaN and infinities, which Python writes and JSON does not know.

    Raises:
        FileError: no JSON, nested too deep, a key that stands twice, a number of too many digits or that is not finite.
    """
    try:
        numbers: dict[str, Any] = {"parse_constant": _constant, "parse_float": _finite} if finite else {}
        return json.loads(text, object_pairs_hook=_object, parse_int=_whole, **numbers)
    except RecursionError:
        raise FileError(f"{where}: expected JSON, found brackets nested too deep") from None
    except FileError as error:
        raise FileError(f"{where}: {error}") from None
    except (ValueError, MemoryError) as error:  # JSON and encoding errors are ValueErrors
        raise FileError(f"{where}: expected JSON, found something else ({one_line(error, 120)})") from error


def _object(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise FileError(f"the key {shown(twice)} stands twice in one object; which value is meant?")
    return found


def _constant(text: str):
    raise FileError(f"expected finite numbers, found {text}")


def _whole(text: str) -> int:
    if len(text) > limit("digits"):
        raise FileError(f"expected at most {limit('digits')} digits, found a number of {len(text)}")
    return int(text)


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise FileError(f"expected finite numbers, found {printable(text, 40)}")
    return float(text)


def read_json(path: str | os.PathLike, schema: object = None, most: int | None = None) -> Any:
    """The value of a JSON file, held to a schema if one is given.

    Raises:
        FileError: as :func:`read_text`, :func:`parse` and :func:`check`.
        OSError: no such file.
    """
    value = parse(read_text(path, limit("json_bytes") if most is None else most), name_of(path))
    return value if schema is None else check(value, schema, name_of(path))


def lines(path: str | os.PathLike, schema: object = None) -> Iterator[tuple[int, Any]]:
    """(line number, value) of each line of a ``.jsonl`` file that is not empty; of a line that cannot be used, a :class:`FileError`.

    Raises:
        OSError: no such file.
    """
    most, number = limit("line_bytes"), 0
    with _utf8(Path(path)) as file:
        while data := file.readline(most + 1):
            number += 1
            if len(data) > most and not data.endswith(b"\n"):
                while (rest := file.readline(most)) and not rest.endswith(b"\n"):
                    pass
                yield number, FileError(f"line {number}: expected at most {most:,} bytes, found more")
            elif data.strip():
                yield number, _line(data, schema, f"line {number}")


def _utf8(path: Path) -> io.BufferedIOBase:
    """A file of lines; one in UTF-16 or UTF-32 with a byte order mark is turned into UTF-8."""
    file = path.open("rb")
    if not file.peek(4).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        return file
    file.close()
    return io.BytesIO(read_text(path, limit("json_bytes")).encode("utf-8", "surrogatepass"))


def _line(data: bytes, schema: object, where: str) -> object:
    try:
        value = parse(decode(data), where)
        return value if schema is None else check(value, schema, where)
    except UnicodeDecodeError as error:
        return FileError(f"{where}: expected text in UTF-8, found other bytes at {error.start}")
    except FileError as error:
        return error


# -- schemas


@dataclass(frozen=True)
class Text:
    """A string that can be written as UTF-8."""

    most: int = 1 << 20  # characters


@dataclass(frozen=True)
class Whole:
    """A whole number; true and false are none."""

    low: int = -(1 << 63)
    high: int = (1 << 63) - 1


@dataclass(frozen=True)
class Number:
    """A finite number."""

    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True)
class Flag:
    """true or false."""


@dataclass(frozen=True)
class Anything:
    """Whatever JSON can hold; what reads it checks it."""


@dataclass(frozen=True)
class Optional:
    """null, or what the schema says."""

    schema: object


@dataclass(frozen=True)
class Either:
    """What one of the schemas says."""

    schemas: tuple


@dataclass(frozen=True)
class List:
    """A list of one kind of thing."""

    item: object
    low: int = 0
    high: int = 10_000_000


@dataclass(frozen=True)
class Table:
    """An object with fields; ``others``: the schema of fields that are not named, None refuses them."""

    fields: Mapping[str, object] = field(default_factory=dict)
    optional: Mapping[str, object] = field(default_factory=dict)
    others: object = Anything()


def check(value: object, schema: object, where: str):
    """``value``, if it is as the schema says.

    Raises:
        FileError: which field, what was expected, what was found.
    """
    if isinstance(schema, Optional):
        return None if value is None else check(value, schema.schema, where)
    if isinstance(schema, List):
        if not isinstance(value, list) or not schema.low <= len(value) <= schema.high:
            raise _unfit(where, _expected(schema), value)
        for place, item in enumerate(value):
            check(item, schema.item, f"{where}[{place}]")
    elif isinstance(schema, Table):
        _check_table(value, schema, where)
    elif isinstance(schema, Either):
        if not any(_fits(value, one) for one in schema.schemas):
            raise _unfit(where, " or ".join(map(_expected, schema.schemas)), value)
    elif not _fits(value, schema):
        raise _unfit(where, _expected(schema), value)
    return value


def _check_table(value: object, schema: Table, where: str) -> None:
    if not isinstance(value, dict):
        raise _unfit(where, "an object", value)
    lacking = [name for name in schema.fields if name not in value]
    if lacking:
        raise FileError(f"{where}: expected the field {lacking[0]!r}, found {shown(list(value))}")
    for name, item in value.items():
        expected = schema.fields.get(name, schema.optional.get(name, schema.others))
        if expected is None:
            raise FileError(f"{where}: an unknown field {shown(name)}")
        check(item, expected, f"{where}: {printable(name, 60)}")


def _fits(value: object, schema: object) -> bool:
    if isinstance(schema, Text):
        return isinstance(value, str) and len(value) <= schema.most and is_writable_text(value)
    if isinstance(schema, Whole):
        return type(value) is int and schema.low <= value <= schema.high
    if isinstance(schema, Number):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return math.isfinite(value) and schema.low <= value <= schema.high
    return isinstance(value, bool) if isinstance(schema, Flag) else isinstance(schema, Anything)


def _expected(schema: object) -> str:
    if isinstance(schema, Text):
        return f"a string of at most {schema.most:,} characters that can be written as UTF-8"
    if isinstance(schema, (Whole, Number)):
        return f"{'a whole' if isinstance(schema, Whole) else 'a finite'} number from {schema.low} to {schema.high}"
    return {Flag: "true or false", List: f"a list of {getattr(schema, 'low', 0)} to {getattr(schema, 'high', 0)}"}[type(schema)]


def _unfit(where: str, expected: str, value: object) -> FileError:
    found = f"a list of {len(value)}" if isinstance(value, list) else shown(value)
    return FileError(f"{where}: expected {expected}, found {found}")
