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


class Log:
    """Appends rows to ``log.jsonl`` and shows a bar with rate and time left; quiet when piped.

    Args:
        directory: the run directory.
        total: optimiser steps in all.
        start: steps already done.
        label: what the bar says.
    """

    def __init__(self, directory: Path, total: int, start: int, label: str):
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "log.jsonl"
        self.began = time.monotonic()
        self.bar = tqdm(total=total, initial=start, desc=label, unit="step", dynamic_ncols=True, disable=not sys.stderr.isatty())
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
        with open(self.path, "a") as file:
            file.write(json.dumps(row) + "\n")
        self.bar.set_postfix({name: f"{row[name]:.3f}" for name in list(self.sums)[:4]})
        self.sums, self.count = {}, 0
        return row

    def close(self) -> None:
        """End the bar."""
        self.bar.close()


def machine() -> str:
    """The machine in words: processor or GPU, cores, torch."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        model = names[0] if names else model
    gpu = f"{torch.cuda.get_device_name()}, " if torch.cuda.is_available() else ""
    return f"{gpu}{os.cpu_count()} cores of {model}, torch {torch.__version__}"
