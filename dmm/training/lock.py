"""One run a directory: a lock with the process and the machine that hold it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import BinaryIO

from dmm.files import Table, Text, Whole, name_of, read_json
from dmm.training.checkpoints import TrainingError

try:
    import fcntl
except ImportError:  # not a POSIX system: the process id alone says whether the other run is still there
    fcntl = None  # type: ignore[assignment]  # mypy gives a module's name no other type

LOCK = "run.lock"
HOLDER = Table({"pid": Whole(1), "host": Text(255)})


class RunLock:
    """Held from entering to leaving; a run that was killed leaves its file behind, which says so.

    On one machine the operating system lets go of the lock when its process ends, however it ends, so that the next run goes on. A file
    that another machine left may be of a run that is still there: ``force`` takes the directory over.

    Args:
        directory: the run directory.
        force: take over from another machine.

    Raises:
        TrainingError: another run holds the directory.
    """

    def __init__(self, directory: Path, force: bool = False):
        self.path, self.force = directory / LOCK, force
        self._file: BinaryIO | None = None
        self._made = False  # is the directory this lock's own?

    def __enter__(self) -> RunLock:
        self._made = not self.path.parent.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self.path, "a+b")  # as long as the run
        try:
            self._take(file)
        except BaseException:
            file.close()
            raise
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        file.flush()
        self._file = file
        return self

    def _take(self, file) -> None:
        holder = self._holder()
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:  # held, or a file system without locks
                if isinstance(error, BlockingIOError):
                    raise self._refusal(holder, "it is running; wait for it, or stop it") from None
            if not self.path.exists() or os.fstat(file.fileno()).st_ino != self.path.stat().st_ino:
                raise self._refusal(None, "it has just ended; try again")
        if holder is None or self.force:
            return
        if holder["host"] != socket.gethostname():
            raise self._refusal(holder, "if it has ended, take the directory over: --force")
        if fcntl is None and _runs(holder["pid"]):
            raise self._refusal(holder, "it is running; wait for it, or take the directory over: --force")

    def _holder(self) -> dict | None:
        """What the file says; None if it is empty or no such file."""
        try:
            return read_json(self.path, HOLDER)
        except (ValueError, OSError):
            return None

    def _refusal(self, holder: dict | None, remedy: str) -> TrainingError:
        who = f"process {holder['pid']} on {holder['host']}" if holder else "another process"
        return TrainingError(f"{name_of(self.path.parent)}: held by a run of {who} ({LOCK}); {remedy}")

    def __exit__(self, *_) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
            self._file.close()
            self._file = None
            if self._made:  # of a run that was refused at its start nothing stays
                with contextlib.suppress(OSError):  # there is something in it
                    self.path.parent.rmdir()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
