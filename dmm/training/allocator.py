"""Keep freed memory: training and evaluation on a CPU ask for gigabytes again that glibc has just given back to the system.

Measured on two AVX2 cores, forward and backward of the Aviary DMM-GAN, 16 pictures, one thread: 326 ms a picture as glibc does it,
168 ms with freed memory kept, for a fifth more of it (`python -m dmm.training.allocator` prints both).
"""

from __future__ import annotations

import ctypes
import sys
import time

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # of mallopt(3)


def keep_freed_memory() -> bool:
    """Tell glibc to keep what this process frees, from now on; False where the C library is another one."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is None:
        return False
    return all([mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, 2**31 - 1), mallopt(TOP_PAD, 2**28)])


def _milliseconds(batch: int = 16, steps: int = 3) -> float:
    """Of a forward and a backward pass of the Aviary DMM-GAN for one picture of a batch; the fastest of ``steps``."""
    import torch

    from dmm.models.registry import create_model
    from dmm.recipes import recipe

    torch.set_num_threads(1)
    config = recipe("dmmgan-aviary", "gan").model
    generator, best = create_model(config).train(), float("inf")
    text = torch.randn(batch, config.text_dim), torch.randn(batch, config.text_dim, 24), torch.zeros(batch, 24, dtype=torch.bool)
    for _ in range(steps):
        began = time.perf_counter()
        trace = generator(*text, torch.randn(batch, config.noise_dim), torch.randn(batch, config.condition_dim))
        sum(image.abs().mean() for image in trace.images).backward()
        best = min(best, time.perf_counter() - began)
    return 1000 * best / batch


if __name__ == "__main__":
    print(f"as glibc does it: {_milliseconds():.0f} ms a picture")
    print(f"freed memory kept ({'yes' if keep_freed_memory() else 'not possible here'}): {_milliseconds():.0f} ms a picture")
