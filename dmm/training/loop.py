"""THE loop: the same for matching, captioning and adversarial training, in one process or several.

It knows batches, steps, checkpoints and time; what one step does is the business of :mod:`dmm.training.steps`. A run directory holds

    config.json        every setting
    options.json       what was typed, for --resume
    run.lock           while it runs: which process on which machine
    log.jsonl          one row every ``log_every`` steps
    evaluations.jsonl  one row each time the model is evaluated, if asked for
    tensorboard/       the rows of log.jsonl, if asked for
    samples/           picture grids
    traces/            traces of fixed captions, if asked for
    last.pt            everything needed to go on (networks, EMA, optimisers, step, random numbers, config, vocabulary)
    step-<step>.pt     the checkpoints before it
    model.safetensors  the usable model (EMA of the weights, re-estimated batch norms)
    best/              the model with the best evaluation so far, if there are evaluations

Of several processes only the first writes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from dmm.config import Config, to_dict
from dmm.data.arrays import ArrayError
from dmm.files import one_line
from dmm.images import write_atomic
from dmm.training.allocator import keep_freed_memory
from dmm.training.checkpoints import (
    UNREADABLE,
    Keeper,
    RunFailed,
    TrainingError,
    check_run,
    diverged,
    random_state,
    set_random_state,
    whole_or_none,
    writing,
)
from dmm.training.data import TrainingData
from dmm.training.interrupts import Interrupts
from dmm.training.lock import RunLock
from dmm.training.logs import EVALUATIONS, Log, machine
from dmm.training.ranks import Ranks
from dmm.training.typed_options import TypedOptions

__all__ = ["Step", "TrainingError", "run"]


class Step(Protocol):
    """One kind of training."""

    label: str
    ranks: Ranks
    data: TrainingData
    dtype: torch.dtype  # of the activations

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Name -> network, trained and frozen."""

    def begin(self) -> None:
        """Load what a new run starts from and a checkpoint would hold; not called when a run goes on."""

    def update(self, index: int) -> dict[str, float]:
        """One optimiser step on batch ``index``; the values to log."""

    def optimisers(self) -> list[tuple[torch.optim.Optimizer, float]]:
        """Each with the learning rate that it starts with."""

    def batch_at(self, index: int) -> int:
        """Training pictures in step ``index``."""

    def sample(self, directory: Path, index: int) -> None:
        """Write pictures of the present state."""

    def trace(self, directory: Path, index: int) -> None:
        """Write what the networks do for fixed captions."""

    def evaluate(self) -> dict[str, float]:
        """Figures of the present state; the larger ``score``, if there is one, the better."""

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
    further: Mapping | None = None,
    force: bool = False,
    options: TypedOptions | None = None,
) -> int:
    """Train until ``config.train.steps``, the time budget, or Ctrl-C; each leaves a usable checkpoint, after a whole step.

    A second Ctrl-C leaves at once, as :class:`KeyboardInterrupt`; the last checkpoint stays as it is.

    Args:
        step: what one step does.
        config: written beside the results.
        directory: the run directory.
        resume: go on from the last checkpoint that can be read.
        command: the command line, for the card.
        minutes: stop after so long, if given.
        say: receives one-line messages.
        further: entries added to the card.
        force: take the directory over from a run of another machine.
        options: the options that were typed, to be kept for going on.

    Returns:
        The number of steps done.

    Raises:
        TrainingError: a run is there already or holds the directory, nothing to resume, no room on the disk, or the loss is not finite.
    """
    if step.ranks.device.type == "cpu":
        keep_freed_memory()
    this = _Run(step, config, Path(directory), command, say if step.ranks.main else _nothing, further, options)
    if not step.ranks.main or (resume and not Path(directory).is_dir()):
        return this.go(resume, minutes)
    with RunLock(Path(directory), force):
        return this.go(resume, minutes)


def _nothing(text: str) -> None:
    """What a process that does not write says."""


class _Run:
    """One run: what was done, and what is kept of it. Arguments as of :func:`run`."""

    def __init__(
        self,
        step: Step,
        config: Config,
        directory: Path,
        command: str,
        say: Callable[[str], None],
        further: Mapping | None = None,
        options: TypedOptions | None = None,
    ):
        self.step, self.config, self.directory, self.command, self.say = step, config, directory, command, say
        self.options = options
        self.further = dict(further or {})
        self.keeper = Keeper(directory, config.train.keep)
        self.done, self.seen, self.spent, self.best = 0, 0, 0.0, float("-inf")
        self.kept: int | None = None  # the step at which all was kept last
        self.began = time.monotonic()

    def go(self, resume: bool, minutes: float | None) -> int:
        """Open, train, keep."""
        self._open(resume)
        self.began = time.monotonic()
        settings, main = self.config.train, self.step.ranks.main
        log = Log(self.directory, settings.steps, self.done, self.step.label, settings.tensorboard, main)
        with Interrupts(self.say) as interrupts:
            try:
                while self.done < settings.steps and not self._over(minutes, interrupts):
                    self._advance(log)
                    if main:
                        self._keep_what_is_due()
            finally:
                log.close()
            if interrupts.asked:
                self.say(f"stopped at step {self.done}; go on with --resume")
            if main:
                if self.kept != self.done:
                    self._keep()
                with self._writing():
                    self.step.sample(self.directory / "samples", self.done)
        self.step.ranks.wait()
        self.say(f"{self.directory}: {self.done} steps, {self.seen} pictures, {self._seconds() / 60:.1f} min")
        return self.done

    def _seconds(self) -> float:
        return self.spent + time.monotonic() - self.began

    def _over(self, minutes: float | None, interrupts: Interrupts) -> bool:
        """Is the time over, or was the run interrupted? All processes say the same."""
        late = minutes is not None and time.monotonic() - self.began >= 60 * minutes
        return self.step.ranks.mean({"over": float(late or interrupts.asked)})["over"] > 0

    def _advance(self, log: Log) -> None:
        try:
            values = self.step.ranks.mean(self.step.update(self.done))
        except ArrayError as error:
            left, again = whole_or_none(self.keeper.held)
            raise RunFailed(f"{error}; {left}. Restore the file, then {again}") from error
        self.seen += self.step.batch_at(self.done)
        self.done += 1
        bad = [name for name, value in values.items() if value != value or abs(value) == float("inf")]
        if bad:
            raise diverged(self.directory, self.done, ", ".join(bad), self.keeper.held)
        log.add(values)
        if self.done % self.config.train.log_every == 0:
            with self._writing():
                log.flush(self.done, images=self.seen)

    def _writing(self):
        """Turn the failure of a disk into a message that names what is left."""
        return writing(self.directory, held=self.keeper.held)

    def _keep_what_is_due(self) -> None:
        settings = self.config.train

        def due(every: int) -> bool:
            return every > 0 and self.done % every == 0

        with self._writing():
            if due(settings.sample_every):
                self.step.sample(self.directory / "samples", self.done)
            if due(settings.trace_every):
                self.step.trace(self.directory / "traces", self.done)
        if due(settings.evaluate_every):
            self._evaluate()
        if due(settings.save_every):
            self._keep()

    def _evaluate(self) -> None:
        """Note the figures in ``evaluations.jsonl``; keep the model if it is the best so far."""
        figures = self.step.evaluate()
        if not figures:
            return
        with self._writing(), open(self.directory / EVALUATIONS, "a") as file:
            file.write(json.dumps({"step": self.done} | figures) + "\n")
        if figures.get("score", float("-inf")) > self.best:
            self.best = figures["score"]
            with self._writing():
                self.step.export(self.directory / "best", self._card() | figures)

    def _card(self) -> dict:
        return self.further | {
            "command": self.command,
            "steps": self.done,
            "images_seen": self.seen,
            "seconds": round(self._seconds()),
            "seed": self.config.train.seed,
            "machine": machine(),
            "captions": self.step.data.fixed_captions,  # for the explorer to begin with
        }

    def _keep(self) -> None:
        kept = {
            "step": self.done,
            "images": self.seen,
            "seconds": self._seconds(),
            "best": self.best,
            "random": random_state(),
            "config": to_dict(self.config),
            "vocabulary": self.step.data.vocab.to_json(),
        }
        self.keeper.write(kept | {"state": self.step.state_dict()})
        with self._writing():
            self.step.export(self.directory, self._card())
        self.kept = self.done

    def _open(self, resume: bool) -> None:
        if resume:
            kept = self.keeper.read(self.say, check_run)
            self._check(kept)
            self._load(kept)
            self.done, self.seen, self.spent = kept["step"], kept["images"], kept["seconds"]
            self.best = kept.get("best", self.best)
        elif self.keeper.last.exists():
            raise TrainingError(f"{self.directory}: a run is there already; go on with --resume, or choose another --out")
        else:
            self.step.begin()
        if self.step.ranks.main:
            with self._writing():
                write_atomic(self.directory / "config.json", json.dumps(to_dict(self.config), indent=1).encode())
                if self.options:
                    self.options.write(self.directory)

    def _load(self, kept: dict) -> None:
        """Take over networks, optimisers and random numbers."""
        try:
            self.step.load_state_dict(kept["state"])
            if "random" in kept:
                set_random_state(kept["random"])
        except UNREADABLE as error:
            raise TrainingError(
                f"{self.directory}: its checkpoint does not fit this run ({one_line(error)}); choose another --out"
            ) from error

    def _check(self, kept: dict) -> None:
        """Refuse to go on with other networks or words than the checkpoint's."""
        own = to_dict(self.config)["model"]
        own.pop("trunk")  # the checkpoint holds it
        other = [name for name, value in kept.get("config", {}).get("model", {}).items() if name in own and own[name] != value]
        if other:
            was, now = kept["config"]["model"][other[0]], own[other[0]]
            raise TrainingError(
                f"{self.directory}: was begun with model.{other[0]}={was}, not {now}; set it as it was, or choose another --out"
            )
        vocabulary = self.step.data.vocab.to_json()
        if kept.get("vocabulary") not in (None, vocabulary):
            raise TrainingError(
                f"{self.directory}: was begun with another vocabulary; give the data and the matching run it was begun with"
            )
        settings = to_dict(self.config)["train"]
        changed = [
            f"{name}={settings[name]} (was {was})"
            for name, was in kept.get("config", {}).get("train", {}).items()
            if name in settings and settings[name] != was
        ]
        if changed:
            self.say(f"{self.directory}: goes on with other settings than before: {', '.join(changed)}")
