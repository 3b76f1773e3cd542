"""Counting and timing: seconds, floating-point operations, bytes, and what this machine's arithmetic can do at most.

Paths that are compared take turns, so that whatever else the machine does weighs on both alike; the median call counts.
"""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker

from dmm.training.precision import autocast

Call = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """What one call takes, whatever the speed."""

    flops: int  # of multiplications of matrices and convolutions, a multiplication and an addition counting two
    memory: int  # bytes of the tensors that are alive at the worst moment


class LiveBytes(TorchDispatchMode):
    """Bytes of all tensors that an operation has read or made, at the worst moment in ``peak``; memory inside an operation is not seen."""

    def __init__(self):
        super().__init__()
        self.live: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in tree_iter((args, kwargs, made)):
            if isinstance(tensor, Tensor):
                self._note(tensor.untyped_storage())
        self.peak = max(self.peak, self.now)
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self.live:
            self.live[key] = storage.nbytes()
            self.now += self.live[key]
            weakref.finalize(storage, self._forget, key).atexit = False

    def _forget(self, key: int) -> None:
        self.now -= self.live.pop(key)


class WholeCall(ModuleTracker):
    """Stands in for the counter's own tracker of modules, which cannot follow a gradient penalty."""

    def __enter__(self) -> WholeCall:
        return self

    def __exit__(self, *error) -> None: ...


def flop_counter() -> FlopCounterMode:
    """PyTorch's counter of floating-point operations, over all modules together."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = WholeCall()
    return counter


def count(call: Call, device: torch.device, before: int = 0) -> Cost:
    """The cost of one call; on a GPU memory is what its allocator held beyond the ``before`` bytes that others hold."""
    if device.type == "cuda":
        with flop_counter() as flops:
            call()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return Cost(flops.get_total_flops(), torch.cuda.max_memory_allocated() - before)
    with LiveBytes() as bytes_seen, flop_counter() as flops:
        call()
    return Cost(flops.get_total_flops(), bytes_seen.peak)


def seconds_of(call: Call, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """One call, to the end of what it started on the device."""
    began = clock()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - began


def take_turns(
    paths: Mapping[str, Call], seconds: float, device: torch.device, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Median seconds a call of each path, alternating until every path has had ``seconds``; each was called before, to warm up.

    ``clock`` may count CPU seconds of this process instead (``time.process_time``).
    """
    taken: dict[str, list[float]] = {name: [] for name in paths}
    while not all(times and sum(times) >= seconds for times in taken.values()):
        for name, call in paths.items():
            taken[name].append(seconds_of(call, device, clock))
    return {name: statistics.median(times) for name, times in taken.items()}


@torch.no_grad()
def peak(dtype: torch.dtype, device: torch.device, seconds: float) -> float:
    """FLOP/s that this machine reaches: the better of a large matrix product and a large convolution in ``dtype``, each at its best."""
    side, batch = (8192, 64) if device.type == "cuda" else (1024, 8)
    matrix = torch.randn(side, side, device=device)
    maps = torch.randn(batch, 128, 64, 64, device=device)
    kernel = torch.randn(128, 128, 3, 3, device=device)
    if dtype != torch.float32:
        maps, kernel = (x.to(dtype).contiguous(memory_format=torch.channels_last) for x in (maps, kernel))
        matrix = matrix.to(dtype)
    best = 0.0
    for call in (lambda: matrix @ matrix, lambda: F.conv2d(maps, kernel, padding=1)):
        with flop_counter() as flops:
            call()
        seconds_of(call, device)
        times = [seconds_of(call, device)]
        while sum(times) < seconds:
            times.append(seconds_of(call, device))
        best = max(best, flops.get_total_flops() / min(times))
    return best


def generated(generator: torch.nn.Module, inputs: tuple, dtype: torch.dtype, device: torch.device):
    """A generator's trace, without gradients, in ``dtype``."""
    with torch.no_grad(), autocast(dtype, device):
        return generator(*inputs)
