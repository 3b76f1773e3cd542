"""What a training run wrote of its memory: the traces of a few fixed captions at many steps (``train.trace_every``).

:class:`Run` reads ``traces/<step>.npz`` of a run directory, one file at a time, since all of them together would fill the memory; what is
kept of every step are a few numbers. :class:`Course` is one caption over all steps: the sequence of traces that a figure takes.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from PIL import Image

from dmm.data.transforms import open_picture
from dmm.files import FileError, Table, Whole, lines, one_line, read_json
from dmm.trace import Trace
from explorer.statistics import Numbers, numbers

FOLDER, SAMPLES = "traces", "samples"
KEPT = 8  # traces of one caption that stay in memory
ROW = Table({"step": Whole(0)})  # a row of a log


class RunError(ValueError):
    """A run directory that cannot be shown: what was expected, what was found, what to do."""


class Run:
    """The traces of a training run. Safe to use from several threads.

    Args:
        directory: what ``dmm train gan --out`` named.

    Raises:
        RunError: no such directory, or less than two traces in it.
        dmm.trace.TraceError: the first trace cannot be read.
    """

    def __init__(self, directory: str | os.PathLike):
        self.directory = Path(directory)
        self.name = self.directory.resolve().name
        if not self.directory.is_dir():
            raise RunError(f"{self.directory}: no such run directory")
        found = len(self.steps)
        if found < 2:
            raise RunError(
                f"{self.directory}: {('no trace', 'one trace')[found]} of training in {FOLDER}/, at least two are needed; "
                "train with --set trace_every=100 (dmm train gan), which writes one every 100 steps"
            )
        self._guard = threading.Lock()
        self._numbers: dict[tuple[int, int], list[Numbers]] = {}
        self._traces: OrderedDict[tuple[int, int], Trace] = OrderedDict()
        self.begins = _initial_steps(self.directory / "config.json")
        first = Trace.load(self._path(self.steps[0]))
        self.captions, self.seeds = _said(first, self._path(self.steps[0]))

    @staticmethod
    def there(directory: str | os.PathLike) -> bool:
        """Whether a directory holds the traces of a run: two files at least."""
        return len(_files(Path(directory))) >= 2

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps with a trace, in order, as the directory has them now: training may go on."""
        return tuple(_files(self.directory))

    def trained(self, step: int, stage: int) -> bool:
        """Whether a stage was trained before this step: a run may begin with its first stage alone (``train.initial_steps``)."""
        return stage == 0 or step > self.begins

    def course(self, caption: int = 1, most: int | None = None) -> Course:
        """One caption, counted from 1, over all steps, or over at most ``most`` of them, evenly spread.

        Raises:
            RunError: no such caption.
        """
        if not 1 <= caption <= len(self.captions):
            raise RunError(f"caption: this run traced {len(self.captions)}, counted from 1; found {caption}")
        steps = self.steps
        return Course(self, caption - 1, tuple(steps[i] for i in evenly(len(steps), most or len(steps))))

    def find(self, caption: str, seed: int) -> int:
        """Which of the run's captions was generated with this seed, counted from 1.

        Raises:
            RunError: none was.
        """
        pairs = list(zip(self.captions, self.seeds, strict=True))
        if (caption, seed) not in pairs:
            raise RunError(f"{self.name} traced no caption “{caption}” with seed {seed}; it traced {len(pairs)} others")
        return pairs.index((caption, seed)) + 1

    def trace(self, step: int, sample: int) -> Trace:
        """One caption at one step, with a batch axis of 1. It is shared: read it, do not write to it.

        Raises:
            RunError: the trace is of other captions than the run's first.
            dmm.trace.TraceError: it cannot be read.
        """
        with self._guard:
            if (step, sample) not in self._traces:
                self._read(step, sample)
            self._traces.move_to_end((step, sample))
            return self._traces[step, sample]

    def numbers(self, step: int, sample: int) -> list[Numbers]:
        """The numbers of one caption at one step, by stage. Raises as :meth:`trace`."""
        with self._guard:
            if (step, sample) not in self._numbers:
                self._read(step, sample)
            return self._numbers[step, sample]

    def _read(self, step: int, sample: int) -> None:
        """Read one file: the trace of one caption, and the numbers of all, since unpacking the file is what takes time."""
        path = self._path(step)
        whole = Trace.load(path)
        if _said(whole, path)[0] != self.captions:
            raise RunError(f"{path}: other captions than in {self._path(self.steps[0])}; the folder mixes two runs")
        for each in range(len(self.captions)):
            self._numbers[step, each] = numbers(whole, each)
        self._traces[step, sample] = whole.select(sample).map(lambda t: t.clone())  # without the other captions behind it
        while len(self._traces) > KEPT:
            self._traces.popitem(last=False)

    def sheet(self, step: int) -> tuple[int, Image.Image] | None:
        """The grid of sample pictures that was written last at or before a step, with its own step; None if there is none.

        Raises:
            RunError: a file that is no picture.
        """
        found = {n: path for n, path in _files(self.directory, SAMPLES, "png").items() if n <= step}
        if not found:
            return None
        path = found[max(found)]
        try:
            return max(found), open_picture(path)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise RunError(f"{path}: expected a picture of samples ({one_line(error)})") from error

    def log(self) -> list[dict]:
        """The rows of its log as they are now. Returns and raises as :func:`read_log`."""
        return read_log(self.directory)

    def _path(self, step: int) -> Path:
        return _files(self.directory)[step]


class Course(Sequence[Trace]):
    """One caption over the steps of a run: a sequence of traces, each with a batch axis of 1, read when asked for."""

    def __init__(self, run: Run, sample: int, steps: tuple[int, ...]):
        self.run, self.sample, self.steps = run, sample, steps

    def __len__(self) -> int:
        return len(self.steps)

    @overload
    def __getitem__(self, index: int) -> Trace: ...

    @overload
    def __getitem__(self, index: slice) -> Course: ...

    def __getitem__(self, index: int | slice) -> Trace | Course:
        if isinstance(index, slice):
            return Course(self.run, self.sample, self.steps[index])
        return self.run.trace(self.steps[index], self.sample)

    @property
    def numbers(self) -> list[list[Numbers]]:
        """The numbers of every step, each by stage."""
        return [self.run.numbers(step, self.sample) for step in self.steps]


def evenly(count: int, most: int) -> list[int]:
    """At most ``most`` of ``count`` positions, evenly spread, first and last included."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def _files(directory: Path, folder: str = FOLDER, ending: str = "npz") -> dict[int, Path]:
    found = {int(path.stem): path for path in (directory / folder).glob(f"*.{ending}") if path.stem.isdecimal() and len(path.stem) < 12}
    return dict(sorted(found.items()))


def _initial_steps(path: Path) -> int:
    """``train.initial_steps`` of a run's configuration; 0 if the run directory has none.

    Raises:
        RunError: a file that is no configuration.
    """
    if not path.exists():
        return 0
    try:
        return read_json(path, Table({"train": Table({"initial_steps": Whole(0)})}))["train"]["initial_steps"]
    except ValueError as error:
        raise RunError(f"{path}: expected the configuration of a run, found something else ({one_line(error)})") from error


def read_log(directory: str | os.PathLike) -> list[dict]:
    """The rows of a run's ``log.jsonl`` and ``evaluations.jsonl``, ordered by step; a row of an evaluation holds ``evaluation: true``.

    A last row that is not written to its end, as while training goes on, is left out.

    Raises:
        RunError: no such run, no log in it, or a line that is no row.
    """
    directory, rows = Path(directory), []
    if not directory.is_dir():
        raise RunError(f"{directory}: no such run directory")
    for name in ("log.jsonl", "evaluations.jsonl"):
        path = directory / name
        for number, row in lines(path, ROW) if path.exists() else ():
            if isinstance(row, FileError):
                if number == _unended(path):
                    break
                raise RunError(f"{path}, line {number}: expected a row with a step ({one_line(row)})")
            rows.append({"evaluation": True} | row if name == "evaluations.jsonl" else row)
    if not rows:
        raise RunError(f"{directory}: expected log.jsonl, which dmm train writes; found none")
    return sorted(rows, key=lambda row: row["step"])


def _unended(path: Path) -> int:
    """Number of the last line of a file that does not end, because it is being written or a run was cut off there; 0 if all lines end."""
    data = path.read_bytes()
    return 0 if data.endswith(b"\n") else data.count(b"\n") + 1


def _said(trace: Trace, path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Captions and seeds of a trace that shows a caption: with words, a mask and a picture.

    Raises:
        RunError: one of them is missing.
    """
    lacking = [name for name in ("captions", "words", "seeds", "mask") if getattr(trace, name) is None]
    lacking += [] if trace.images and trace.captions else ["pictures or captions"]
    if lacking:
        raise RunError(f"{path}: expected the trace of a training run, found one without {', '.join(lacking)}")
    return tuple(trace.captions or ()), tuple(trace.seeds or ())
