"""A data set that came as one ``.zip``: unpacked into a temporary folder for as long as it is read.

Names stay inside that folder, links are not made, and what the archive says it holds is summed before anything is written.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from dmm.data.sources import SourceError
from dmm.files import FileError, below, limit, name_of, one_line, shown

CHUNK = 1 << 20  # bytes


def is_zip(path: Path) -> bool:
    """Whether a path is a file that says it is an archive."""
    return path.is_file() and path.suffix.lower() == ".zip"


@contextlib.contextmanager
def folder_of(path: Path) -> Iterator[Path]:
    """The folder of a data set: the path itself, or where an archive is unpacked until the end of the block.

    Raises:
        SourceError: no archive, one that holds more than the limits allow, or too little room for it.
    """
    if not is_zip(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="dmm-") as place:
        try:
            with zipfile.ZipFile(path) as archive:
                _unpack(archive, path, Path(place))
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise SourceError(f"{name_of(path)}: expected a .zip archive of a data set, found a file and a folder of one name") from error
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, KeyError) as error:
            raise SourceError(f"{name_of(path)}: expected a .zip archive of a data set, found {one_line(error)}") from error
        yield _top(Path(place))


def _unpack(archive: zipfile.ZipFile, path: Path, place: Path) -> None:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    needed, most = sum(entry.file_size for entry in entries), max(limit("zip_bytes"), limit("zip_growth") * path.stat().st_size)
    if len(entries) > limit("zip_members") or needed > most:
        raise FileError(f"{needed:,} bytes in {len(entries):,} files; at most {most:,} bytes are unpacked")
    if len({entry.filename for entry in entries}) != len(entries):
        raise FileError("a name twice")
    free = shutil.disk_usage(place).free
    if needed > free:
        raise FileError(f"{needed:,} bytes; {free:,} are free in {place.parent}. Set TMPDIR to a larger disk, or unpack it yourself")
    for entry in entries:
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise FileError(f"a link, {shown(entry.filename)}; put the file itself in")
        target = below(place, entry.filename, "name")
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as inside, target.open("wb") as outside:
            left = entry.file_size
            while data := inside.read(min(CHUNK, left + 1)):
                left -= len(data)
                if left < 0:
                    raise FileError(f"more data than it says, in {shown(entry.filename)}")
                outside.write(data)
        moment = time.mktime((*entry.date_time, 0, 0, -1))
        os.utime(target, (moment, moment))  # so that a stopped prepare knows the pictures again


def _top(place: Path) -> Path:
    """The folder that holds everything: many archives are of one folder."""
    inside = [path for path in place.iterdir() if path.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else place
