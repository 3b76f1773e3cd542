"""Arrays on disk that take hours to fill; a fill that is stopped, in whatever way, goes on where it was.

While it fills, a directory holds

    <name>.npy.partial   uint8 N ..., the rows of an array
    <marks>.partial      a byte for each part of the work: 0, or what became of it once its rows are on disk
    plan.partial         what is being filled in; another plan begins anew

Processes write their rows themselves (:func:`write_rows`), and their parent marks them. :meth:`ArrayWriter.finish` then gives the arrays
their names: until then, whatever stood there before stays as it was.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from dmm.data.arrays import ArrayError, Rows
from dmm.errors import InputError

try:
    import fcntl
except ImportError:  # not a POSIX system: two processes must not fill the same directory at once
    fcntl = None  # type: ignore[assignment]  # mypy gives a module's name no other type

Files = Mapping[str, tuple[str, int]]  # name of an array -> path of its file, bytes before its first row


class ArrayWriter:
    """Arrays of N rows being filled, from the beginning or from where an earlier call with the same plan was stopped.

    Args:
        directory: of the arrays; use it under :func:`locked`.
        shapes: name of an array -> shape of a row, uint8.
        rows: N.
        plan: what is filled in, as JSON.
        parts: into how many parts the work is cut.
        marks: name of the file with a byte for each part.

    Attributes:
        files: where :func:`write_rows` writes.
        marks: a byte for each part, 0 = to do; ``flush`` it once the rows of a part are on disk.

    Raises:
        OSError: too little room on the disk.
    """

    def __init__(self, directory: Path, shapes: Mapping[str, tuple[int, ...]], rows: int, plan: Mapping, parts: int, marks: str = "marks"):
        self.directory, self.rows, self.parts = directory, rows, parts
        self._shapes = {name: (rows, *shape) for name, shape in shapes.items()}
        self._marks, self._plan, text = directory / f"{marks}.partial", directory / "plan.partial", json.dumps(plan)
        found = self._offsets() if self._plan.exists() and self._plan.read_bytes() == text.encode() else None
        if found is None:
            self._begin(text)
        offsets = found or {name: np.lib.format.open_memmap(self._partial(name), mode="r").offset for name in shapes}
        self.files: Files = {name: (str(self._partial(name)), offset) for name, offset in offsets.items()}
        self.marks = np.memmap(self._marks, dtype=np.uint8, mode="r+")

    def _partial(self, name: str) -> Path:
        return self.directory / f"{name}.npy.partial"

    def _offsets(self) -> dict[str, int] | None:
        """Bytes before the first row of each array that was begun; None where one is missing or cut short."""
        found = {}
        try:
            for name, shape in self._shapes.items():
                array = Rows(self._partial(name))
                if array.shape != shape:
                    return None
                found[name] = array.offset
            return found if self._marks.stat().st_size == self.parts else None
        except (FileNotFoundError, ArrayError):
            return None

    def _begin(self, plan: str) -> None:
        from dmm.images import write_atomic  # with torch, which a process that only writes rows starts without

        clear(self.directory)
        needed, free = sum(map(math.prod, self._shapes.values())), shutil.disk_usage(self.directory).free
        if needed > free:
            raise OSError(
                f"{self.directory}: {self.rows} rows of {', '.join(self._shapes)} need {needed / 1e9:.2f} GB, {free / 1e9:.2f} GB "
                "are free; make room there, or choose another directory"
            )
        for name, shape in self._shapes.items():
            np.lib.format.open_memmap(self._partial(name), mode="w+", dtype=np.uint8, shape=shape).flush()
        np.zeros(self.parts, np.uint8).tofile(self._marks)
        write_atomic(self._plan, plan.encode())

    def finish(self, card: Path) -> None:
        """Let the arrays take their names. ``card``, which says that what was there before is whole, goes first; write it anew."""
        card.unlink(missing_ok=True)
        for name in self._shapes:
            os.replace(self._partial(name), self._partial(name).with_suffix(""))


def clear(directory: Path) -> None:
    """Remove what a fill left that is finished, or that nobody goes on with; its plan first."""
    for path in sorted(directory.glob("*.partial"), key=lambda path: path.name != "plan.partial"):
        path.unlink()


def write_rows(files: Files, rows: Iterable[tuple[int, Mapping[str, np.ndarray]]]) -> None:
    """Write rows into array files, and wait until they are on disk; any process may.

    Args:
        files: of an :class:`ArrayWriter`.
        rows: number of a row, and name of an array -> its row, uint8.

    Raises:
        OSError: the files cannot be written, a full disk for instance.
    """
    with contextlib.ExitStack() as stack:
        handles = {name: stack.enter_context(open(path, "r+b")) for name, (path, _) in files.items()}
        for number, arrays in rows:
            for name, row in arrays.items():
                handles[name].seek(files[name][1] + number * row.nbytes)
                handles[name].write(row.tobytes())
        for handle in handles.values():
            handle.flush()
            os.fsync(handle.fileno())


@contextlib.contextmanager
def locked(directory: Path, wait: bool = True) -> Iterator[None]:
    """One filling process a directory; a second one waits for it, or is refused.

    Raises:
        InputError: another process fills it, and ``wait`` is false.
    """
    with open(directory / "lock", "w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise InputError(f"{directory} is being filled by another process; wait for it") from error
        yield
