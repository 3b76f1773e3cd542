"""What a run goes on from: written whole or not at all, the last few kept, and read back past a damaged one."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch

from dmm.archives import check_archive
from dmm.files import Anything, FileError, Number, Optional, Table, Text, Whole, one_line, printable, shown
from dmm.files import check as hold

LAST = "last.pt"
UNREADABLE = (RuntimeError, ValueError, LookupError, EOFError, OSError, TypeError, AttributeError, pickle.UnpicklingError)


class TrainingError(RuntimeError):
    """A run that cannot begin or go on, with what to do."""


class RunFailed(TrainingError):
    """A run that began well and broke: numbers that are not finite, a disk without room. The last checkpoint is whole."""


class Keeper:
    """The checkpoints of one run: ``last.pt``, and the ones before it as ``step-<step>.pt``.

    Args:
        directory: the run directory.
        keep: how many to keep, the last included.
    """

    def __init__(self, directory: Path, keep: int = 2):
        self.directory, self.keep = directory, keep
        self.last = directory / LAST
        self.held: int | None = None  # step of a last.pt that is known to be whole

    def earlier(self) -> list[Path]:
        """The checkpoints before the last, newest first."""
        return sorted(self.directory.glob("step-*.pt"), reverse=True)

    def write(self, state: dict) -> None:
        """Make ``state``, which has a ``step``, the last checkpoint.

        Raises:
            TrainingError: it cannot be written, or the last update has ruined it; the checkpoints that are there stay.
        """
        ruined = next(_not_finite(state), None)
        if ruined:
            raise diverged(self.directory, state["step"], ruined, self.held)
        partial = self.last.with_name(LAST + ".partial")
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with writing(self.directory, buffer.tell(), self.held):
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
                with open(partial, "wb") as file:
                    file.write(buffer.getbuffer())
                    file.flush()
                    os.fsync(file.fileno())
                if self.held is not None and self.keep > 1:
                    _link(self.last, self.directory / f"step-{self.held:07d}.pt")
                os.replace(partial, self.last)
            except OSError:
                with contextlib.suppress(OSError):
                    partial.unlink(missing_ok=True)
                raise
        self.held = state["step"]
        for old in self.earlier()[max(self.keep - 1, 0) :]:
            old.unlink(missing_ok=True)

    def read(self, say: Callable[[str], None] = print, check: Callable[[dict], None] = lambda state: None) -> dict:
        """The newest checkpoint that can be read; what could not be is said.

        Args:
            check: raises a ValueError for a state that cannot be gone on from.

        Raises:
            TrainingError: there is none.
        """
        found = [path for path in (self.last, *self.earlier()) if path.is_file()]
        if not found:
            raise TrainingError(f"{self.last}: nothing to resume; leave out --resume to start")
        for path in found:
            try:
                check_archive(path)
                state = torch.load(path, map_location="cpu", weights_only=True)
                step = _step_of(state)
                check(state)
            except UNREADABLE as error:
                say(f"{path}: damaged ({one_line(error, 120)}); trying the checkpoint before it")
                continue
            if path != self.last:
                say(f"going on from {path}, step {step}")
            self.held = step if path == self.last else None
            return state
        raise TrainingError(
            f"{self.directory}: no checkpoint can be read ({', '.join(p.name for p in found)}); start anew in another --out"
        )


#: What a checkpoint holds beside the state of its step; :mod:`dmm.training.loop` writes it.
ENTRIES = {
    "step": Whole(0, 10**9),
    "images": Whole(0, 1 << 60),
    "seconds": Number(0, 1e12),
}
FURTHER = {
    "best": Anything(),  # minus infinity before the first evaluation
    "random": Anything(),
    "config": Table({"model": Table()}),
    "vocabulary": Optional(Text()),
    "state": Anything(),
}


def _step_of(state: object) -> int:
    """The step of a checkpoint whose weights are finite.

    Raises:
        FileError: no checkpoint.
    """
    if not isinstance(state, dict):
        raise FileError(f"expected the entries of a checkpoint, found a {type(state).__name__}")
    ruined = next(_not_finite(state), None)
    if ruined is not None:
        raise FileError(f"{printable(ruined)} is not finite")
    return hold(state.get("step"), ENTRIES["step"], "step")


def check_run(state: dict) -> None:
    """Hold a run's checkpoint to what :mod:`dmm.training.loop` writes.

    Raises:
        FileError: an entry is missing or of another kind.
    """
    plain = {name: value for name, value in state.items() if name not in ("random", "state")}
    hold(plain, Table(ENTRIES, FURTHER), "checkpoint")
    if not isinstance(state.get("state"), Mapping):
        raise FileError("state: expected the networks and optimisers")
    best = state.get("best", 0.0)
    if type(best) not in (int, float) or best != best:
        raise FileError(f"best: expected a score, found {shown(best)}")
    random = state.get("random", {"cpu": torch.zeros(0, dtype=torch.uint8), "cuda": []})
    numbers = [random.get("cpu"), *random["cuda"]] if isinstance(random, Mapping) and isinstance(random.get("cuda"), list) else [None]
    if not all(isinstance(one, torch.Tensor) and one.dtype == torch.uint8 for one in numbers):
        raise FileError("random: expected the states of random number generators")


def _not_finite(state: object, name: str = "") -> Iterator[str]:
    """Names of the tensors in nested containers that hold NaN or an infinity."""
    if isinstance(state, torch.Tensor):
        if state.is_floating_point() and not state.isfinite().all():
            yield name
        return
    items = state.items() if isinstance(state, Mapping) else enumerate(state) if isinstance(state, (list, tuple)) else ()
    for key, value in items:
        yield from _not_finite(value, f"{name}.{key}" if name else str(key))


#: What to do about a disk that cannot be written.
REMEDIES = {
    errno.ENOSPC: "Make room",
    errno.EDQUOT: "Make room in your quota",
    errno.EFBIG: "Raise the limit on the size of a file (ulimit -f)",
    errno.EROFS: "Make the file system writable, or choose another --out",
    errno.EACCES: "Get the right to write there, or choose another --out",
    errno.EPERM: "Get the right to write there, or choose another --out",
    errno.EIO: "The disk reports an error: copy the run to another one",
    errno.ESTALE: "The network drive is gone: mount it again",
}


@contextlib.contextmanager
def writing(directory: Path, size: int = 0, held: int | None = None):
    """Turn the failure of a disk into a message that names what is left.

    Raises:
        TrainingError: for any OSError within.
    """
    try:
        yield
    except OSError as error:
        left, again = whole_or_none(held)
        needs = f"; {size / 1e6:.0f} MB were to be written" if size else ""
        what = f"cannot write {Path(error.filename).name if error.filename else 'a checkpoint'}"
        raise RunFailed(
            f"{directory}: {what} ({error.strerror or error}){needs}; {left}. {REMEDIES.get(error.errno or 0, 'Mend that')}, then {again}"
        ) from error


def diverged(directory: Path, step: int, what: str, held: int | None) -> RunFailed:
    """The end of a run in which ``what``, a loss or a weight, is NaN or infinite after ``step`` steps."""
    left, again = whole_or_none(held)
    return RunFailed(f"{directory}: step {step}: {what} is not finite; {left}. Lower the learning rates, then {again}")


def whole_or_none(held: int | None) -> tuple[str, str]:
    """What is left of a run that broke, and how to go on, by the step of its last checkpoint."""
    if held is None:
        return "there is no checkpoint yet", "start again"
    return f"the checkpoint of step {held} is whole", "--resume"


def _link(old: Path, new: Path) -> None:
    """The same file under a second name; a copy where the file system has no links."""
    if new.exists() or not old.exists():
        return
    try:
        os.link(old, new)
    except OSError:
        shutil.copyfile(old, new)


def random_state() -> dict:
    """PyTorch's random numbers, on the CPU and on every GPU."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []}


def set_random_state(state: dict) -> None:
    """The inverse of :func:`random_state`; GPUs that are not here are passed over."""
    torch.set_rng_state(state["cpu"])
    for number, numbers in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(numbers, number)
