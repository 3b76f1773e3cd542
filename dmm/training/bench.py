"""How fast the parts are on this machine: figures to compare within one run, not between machines."""

from __future__ import annotations

import time

import torch

from dmm.data.aviary.painter import paint
from dmm.data.aviary.species import bird
from dmm.training.logs import machine

BATCH = 16  # birds painted in one call


def bench_aviary(seconds: float) -> dict:
    """Garden birds painted a second, at 64 and 256 px, with one thread and with all of torch's.

    Args:
        seconds: time for each row.

    Returns:
        ``machine`` and ``rows``: size (px), threads, images_per_second.
    """
    birds = [bird(index) for index in range(BATCH)]
    rows, threads = [], torch.get_num_threads()
    try:
        for count in dict.fromkeys((1, threads)):
            torch.set_num_threads(count)
            for size in (64, 256):
                paint(birds, size)  # warm-up
                painted, began = 0, time.monotonic()
                while time.monotonic() - began < seconds:
                    paint(birds, size)
                    painted += BATCH
                rows.append({"size": size, "threads": count, "images_per_second": round(painted / (time.monotonic() - began), 1)})
    finally:
        torch.set_num_threads(threads)
    return {"machine": machine(), "rows": rows}


#: name -> function of the seconds for each row
BENCHES = {"aviary": bench_aviary}
