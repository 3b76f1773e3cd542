"""What a run would be, before it is one: sizes, memory, speed, time, and what it would write."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from dmm.config import Config
from dmm.training.loop import Step

TIMED = 3  # steps, after one that warms up


def _peak(device: torch.device) -> int:
    """Bytes at most: on the GPU those of PyTorch, on a CPU those of the whole process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def dry_run(step: Step, config: Config, directory: Path | None = None, say: Callable[[str], None] = print, begun: bool = False) -> dict:
    """Take a warm-up step and three timed ones, and say what the whole run would need; nothing is written, the step is used up.

    Timed is the step that most of the run consists of: the last one's schedule.

    Args:
        step: of any kind.
        config: its run.
        directory: where the run would write.
        say: receives lines.
        begun: the run has a checkpoint, which would hold what a new one starts from.

    Returns:
        ``parameters`` (name -> (all, trained)), ``estimate_bytes`` (weights, gradients, optimisers, EMA, and the pictures kept on the
        device, without activations), ``pictures_bytes`` (of those pictures), ``peak_bytes`` (measured, activations included),
        ``images_per_second``, ``seconds`` (of the whole run), ``checkpoint_bytes``.
    """
    if not begun:
        step.begin()
    settings, device, last = config.train, step.ranks.device, max(config.train.steps - 1 - TIMED, 0)
    networks = step.networks
    trained = {name: sum(p.numel() for p in net.parameters() if p.requires_grad) for name, net in networks.items()}
    parameters = {name: (sum(p.numel() for p in net.parameters()), trained[name]) for name, net in networks.items()}
    ema = parameters.get("generator", (0, 0))[0]
    weights = 4 * (sum(count for count, _ in parameters.values()) + 3 * sum(trained.values()) + ema)  # a gradient, two moments
    step.update(last)
    began = time.monotonic()
    for number in range(TIMED):
        step.update(last + 1 + number)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = (time.monotonic() - began) / TIMED
    images = step.batch_at(last)
    checkpoint = 4 * (sum(parameters[name][0] for name in networks if trained[name]) + 2 * sum(trained.values()) + ema)
    found = {
        "parameters": parameters,
        "estimate_bytes": weights + step.data.held,
        "pictures_bytes": step.data.held,
        "peak_bytes": _peak(device),
        "images_per_second": images / seconds,
        "seconds": seconds * settings.steps,
        "checkpoint_bytes": checkpoint,
    }
    for line in _lines(found, config, step, seconds, directory):
        say(line)
    return found


def _lines(found: dict, config: Config, step: Step, seconds: float, directory: Path | None) -> list[str]:
    settings = config.train
    hours, minutes = divmod(round(found["seconds"] / 60), 60)
    lines = [f"{name}: {count / 1e6:.2f} million parameters, {own / 1e6:.2f} trained" for name, (count, own) in found["parameters"].items()]
    kept = found["pictures_bytes"]
    lines += [
        f"memory: {(found['estimate_bytes'] - kept) / 1e6:.0f} MB for weights, gradients and optimisers"
        + (f", {kept / 1e6:.0f} MB for the training pictures" if kept else "")
        + f"; {found['peak_bytes'] / 1e6:.0f} MB at most while training, pictures included ({step.ranks.device})",
        f"speed: {found['images_per_second']:.1f} images/s, {seconds:.3f} s a step of {step.batch_at(settings.steps - 1)}, "
        f"{str(step.dtype).removeprefix('torch.')}",
        f"time: {hours} h {minutes} min for {settings.steps} steps",
        f"would write to {directory or 'the run directory'}: config.json, options.json, log.jsonl, model.safetensors, and "
        f"{settings.keep} checkpoints of {found['checkpoint_bytes'] / 1e6:.0f} MB, one every {settings.save_every} steps",
    ]
    further = (("samples", settings.sample_every), ("traces", settings.trace_every), ("evaluations", settings.evaluate_every))
    lines += [f"  {name} every {every} steps" for name, every in further if every and every <= settings.steps]
    return lines
