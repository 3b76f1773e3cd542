"""What a run leaves behind: one JSON object a line, a progress bar for people, and the machine it ran on."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import torch
from tqdm import tqdm

from dmm.config import ConfigError
from dmm.files import Table, Whole, lines
from dmm.images import write_atomic

EVALUATIONS = "evaluations.jsonl"  # of a run directory: a row of figures for each evaluation


class Log:
    """Appends rows to ``log.jsonl`` and shows a bar with rate and time left; quiet when piped.

    A run that goes on from an earlier step drops the rows after it, those of ``evaluations.jsonl`` too: those steps are done again.

    Args:
        directory: the run directory.
        total: optimiser steps in all.
        start: steps already done.
        label: what the bar says.
        tensorboard: also write to ``tensorboard/`` in the run directory.
        writes: False for the processes that only compute.

    Raises:
        ConfigError: TensorBoard is asked for and not installed.
    """

    def __init__(self, directory: Path, total: int, start: int, label: str, tensorboard: bool = False, writes: bool = True):
        self.path = directory / "log.jsonl"
        self.began = time.monotonic()
        self.writes = writes
        if writes:
            directory.mkdir(parents=True, exist_ok=True)
            for path in (self.path, directory / EVALUATIONS):
                _cut(path, start)
        self.board = _board(directory / "tensorboard", start) if tensorboard and writes else None
        self.bar = tqdm(
            total=total, initial=start, desc=label, unit="step", dynamic_ncols=True, disable=not (writes and sys.stderr.isatty())
        )
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, values: dict[str, float]) -> None:
        """Collect one step's values; they are averaged until :meth:`flush`."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.count += 1
        self.bar.update()

    def flush(self, step: int, **extra) -> dict:
        """Write the averages since the last flush as one row."""
        row = {"step": step, "seconds": round(time.monotonic() - self.began, 2), **extra}
        row |= {name: round(total / max(self.count, 1), 6) for name, total in self.sums.items()}
        if self.writes:
            with open(self.path, "a") as file:
                file.write(json.dumps(row) + "\n")
        for name in self.sums:
            if self.board is not None:
                self.board.add_scalar(name, row[name], step)
        self.bar.set_postfix({name: f"{row[name]:.3f}" for name in list(self.sums)[:4]})
        self.sums, self.count = {}, 0
        return row

    def close(self) -> None:
        """End the bar and TensorBoard's file."""
        self.bar.close()
        if self.board is not None:
            self.board.close()


def _cut(path: Path, last: int) -> None:
    """Drop the rows of a log after step ``last``, and a row that was not written to its end."""
    if not path.exists():
        return
    kept = []
    for _, row in lines(path, Table({"step": Whole()})):
        if isinstance(row, dict) and row["step"] <= last:
            kept.append(json.dumps(row) + "\n")
    write_atomic(path, "".join(kept).encode())


def _board(directory: Path, start: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError('train.tensorboard: TensorBoard is not installed: pip install "dmm-gan-explorer[train]"') from None
    return SummaryWriter(str(directory), purge_step=start + 1)


def machine() -> str:
    """The machine in words: CPU or GPU, cores, torch."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        model = names[0] if names else model
    gpu = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    return f"{gpu}{os.cpu_count()} cores of {model}, torch {torch.__version__}"
