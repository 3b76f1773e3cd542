"""THE loop: the same for matching, captioning and adversarial training.

It knows batches, steps, checkpoints and time; what one step does is the business of :mod:`dmm.training.steps`. A run directory holds

    config.json      every setting
    log.jsonl        one row every ``log_every`` steps
    samples/         picture grids
    last.pt          everything needed to go on (networks, averages, optimisers, step, random numbers)
    model.safetensors  the usable model (averaged weights, re-estimated batch norms)
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch

from dmm.config import Config, to_dict
from dmm.images import write_atomic
from dmm.training.logs import Log, machine


class TrainingError(RuntimeError):
    """A run that cannot go on, with what to do."""


class Step(Protocol):
    """One kind of training."""

    label: str

    def update(self, index: int) -> dict[str, float]:
        """One optimiser step on batch ``index``; the values to log."""

    def batch_at(self, index: int) -> int:
        """Training pictures in step ``index``."""

    def sample(self, directory: Path, index: int) -> None:
        """Write pictures of the present state."""

    def export(self, directory: Path, card: dict) -> None:
        """Write the usable model."""

    def state_dict(self) -> dict:
        """Everything that changes."""

    def load_state_dict(self, state: dict) -> None:
        """The inverse."""


def run(
    step: Step,
    config: Config,
    directory: Path,
    resume: bool = False,
    command: str = "",
    minutes: float | None = None,
    say: Callable[[str], None] = print,
) -> int:
    """Train until ``config.train.steps``, the time budget, or Ctrl-C; each leaves a usable checkpoint.

    Args:
        step: what one step does.
        config: written beside the results.
        directory: the run directory.
        resume: go on from ``last.pt``.
        command: the command line, for the card.
        minutes: stop after so long, if given.
        say: receives one-line messages.

    Returns:
        The number of steps done.

    Raises:
        TrainingError: a run is there already, nothing to resume, or the loss is no longer finite.
    """
    # 1. The run directory
    done, seen, spent = _open(directory, step, config, resume)
    began = time.monotonic()
    log = Log(directory, config.train.steps, done, step.label)
    settings = config.train

    def card() -> dict:
        seconds = spent + time.monotonic() - began
        return {
            "command": command,
            "steps": done,
            "images_seen": seen,
            "seconds": round(seconds),
            "seed": settings.seed,
            "machine": machine(),
        }

    def keep() -> None:
        seconds = spent + time.monotonic() - began
        _write(directory / "last.pt", {"step": done, "images": seen, "seconds": seconds, "state": step.state_dict()})
        step.export(directory, card())

    # 2. Steps
    saved = done
    try:
        while done < settings.steps and (minutes is None or time.monotonic() - began < 60 * minutes):
            values = step.update(done)
            seen += step.batch_at(done)
            done += 1
            bad = [name for name, value in values.items() if value != value or abs(value) == float("inf")]
            if bad:
                raise TrainingError(
                    f"step {done}: {', '.join(bad)} is not finite; the last checkpoint in {directory} is whole (step {saved}). "
                    "Lower the learning rates, then --resume"
                )
            log.add(values)
            if done % settings.log_every == 0:
                log.flush(done, images=seen)
            if done % settings.sample_every == 0:
                step.sample(directory / "samples", done)
            if done % settings.save_every == 0:
                keep()
                saved = done
    except KeyboardInterrupt:
        say(f"stopped at step {done}; go on with --resume")
    finally:
        log.close()
    # 3. The last checkpoint
    keep()
    step.sample(directory / "samples", done)
    say(f"{directory}: {done} steps, {seen} pictures, {(spent + time.monotonic() - began) / 60:.1f} min")
    return done


def _open(directory: Path, step: Step, config: Config, resume: bool) -> tuple[int, int, float]:
    last = directory / "last.pt"
    done, seen, spent = 0, 0, 0.0
    if resume:
        if not last.is_file():
            raise TrainingError(f"{last}: nothing to resume; leave out --resume to start")
        state = torch.load(last, map_location="cpu", weights_only=True)
        step.load_state_dict(state["state"])
        done, seen, spent = state["step"], state["images"], state["seconds"]
    elif last.exists():
        raise TrainingError(f"{directory}: a run is there already; go on with --resume, or choose another --out")
    write_atomic(directory / "config.json", json.dumps(to_dict(config), indent=1).encode())
    return done, seen, spent


def _write(path: Path, state: dict) -> None:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())
