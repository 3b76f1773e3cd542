"""Matching, captioning and the generator's training, one after another, in one directory.

    <out>/run.json   recipe, settings and command, and of each part: command, seed, steps, pictures, seconds, machine
    <out>/match/     run directory of matching (DAMSM)
    <out>/caption/   run directory of captioning (STREAM), where the recipe has it
    <out>/gan/       run directory of the generator; its model.safetensors is the result, and its card holds the parts' records

Each part is the run that its own command would be, with the same numbers. A part whose checkpoint has all steps is passed over when a
sequence goes on; one that has been begun goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dmm.checkpoint import FILE, read
from dmm.config import Config, ConfigError, reading_steps
from dmm.files import List, Table, Text, read_json
from dmm.images import write_atomic
from dmm.recipes import step_names
from dmm.training.checkpoints import LAST, TrainingError
from dmm.training.loop import Step, run
from dmm.training.ranks import Ranks
from dmm.training.typed_options import TypedOptions

PLAN = "run.json"
PARTS = ("match", "caption", "gan")
RECORDED = ("command", "seed", "steps", "images_seen", "seconds", "machine")  # of a part's card


@dataclass(frozen=True)
class Part:
    """One of the runs."""

    name: str  # "match", "caption" or "gan"
    config: Config
    directory: Path
    options: TypedOptions  # that make this part alone

    @property
    def command(self) -> str:
        """The command line that makes this part alone."""
        return self.options.command(self.name, self.directory)

    def done(self) -> int:
        """Steps of the part's checkpoint, 0 without one.

        Raises:
            CheckpointError: it is damaged.
        """
        return int(read(self.directory)[3].get("steps", 0)) if (self.directory / FILE).is_file() else 0

    def begun(self) -> bool:
        """Is there a checkpoint to go on from?"""
        return (self.directory / LAST).is_file()

    def finished(self) -> bool:
        """Has its checkpoint all the steps?"""
        return self.done() >= self.config.train.steps

    def record(self) -> dict:
        """How the checkpoint was made."""
        card = read(self.directory)[3]
        return {key: card[key] for key in RECORDED if key in card}


@dataclass
class TrainingSequence:
    """All the runs of a recipe.

    Args:
        recipe: a recipe's name.
        settings: ``key=value`` over the recipe; with "match.", "caption." or "gan." before the key for that part alone.
        directory: of the whole.
        configs: part -> its config, in order (:func:`dmm.training.sequence.part_names`).
        command: the command line that was typed, for the records; one that goes on keeps the first.
        say: receives one-line messages.
    """

    recipe: str
    settings: list[str]
    directory: Path
    configs: Mapping[str, Config]
    command: str = ""
    say: Callable[[str], None] = print
    parts: list[Part] = field(init=False)

    def __post_init__(self):
        idle = [text for text in self.settings for name in PARTS if text.startswith(f"{name}.") and name not in self.configs]
        if idle:
            raise ConfigError(f"--set {idle[0]}: recipe {self.recipe} has no such part; its parts: {', '.join(self.configs)}")
        self.parts = [Part(name, config, self.directory / name, self._options(name)) for name, config in self.configs.items()]

    def _options(self, name: str) -> TypedOptions:
        match = str(self.directory / "match") if name != "match" else ""
        caption = str(self.directory / "caption") if name == "gan" and "caption" in self.configs else ""
        reading = {text: reading_steps(text.partition("=")[0]) for text in settings_of(name, self.settings)}
        own = tuple(text for text, steps in reading.items() if name in steps or not steps)  # the part alone refuses what it does not read
        return TypedOptions(self.recipe, own, match, caption)

    def run(self, resume: bool = False, minutes: float | None = None, force: bool = False) -> bool:
        """Train what is not yet trained.

        Args:
            resume: go on with what is in the directory.
            force: take directories over from runs of another machine.
            minutes: stop after so long, with checkpoints to go on from.

        Returns:
            Whether all parts have all their steps.

        Raises:
            TrainingError: a sequence is there already, nothing to resume, another recipe, or a part that later ones were made from
                would change.
        """
        ranks = Ranks.find(self.parts[0].config.train.device)
        say = self.say if ranks.main else _nothing
        plan = self._check(resume)
        self.command = plan["command"] if plan else self.command
        ranks.wait()
        if ranks.main:
            self._write_plan()
        began = time.monotonic()
        for number, part in enumerate(self.parts, 1):
            label = f"part {number} of {len(self.parts)}, {part.name}"
            finished = part.finished()
            ranks.wait()
            if finished:
                say(f"{label}: done before, {part.done()} steps ({part.directory})")
                continue
            left = None if minutes is None else minutes - ranks.mean({"spent": (time.monotonic() - began) / 60})["spent"]
            if left is not None and left <= 0:
                say(f"{label}: the time is over; go on with --resume")
                return False
            say(f"{label}: {part.config.train.steps} steps, seed {part.config.train.seed} ({part.directory})")
            if not self._train(part, label, left, say, force):
                return False
            if ranks.main:
                self._write_plan()
        return True

    def _train(self, part: Part, label: str, minutes: float | None, say: Callable[[str], None], force: bool) -> bool:
        began = time.monotonic()
        step = self._step(part, {other.name: other.directory for other in self.parts})
        step.label = label
        if minutes is not None:
            minutes = max(minutes - (time.monotonic() - began) / 60, 0)
        before = {other.name: other.record() for other in self.parts if other.name != part.name and other.finished()}
        further = {"sequence": self.command, "parts": before} if part.name == "gan" else {}
        done = run(step, part.config, part.directory, part.begun(), part.command, minutes, say, further, force, part.options)
        if done < part.config.train.steps:
            say(f"{label}: stopped after {done} of {part.config.train.steps} steps; go on with --resume")
            return False
        return True

    def _step(self, part: Part, sources: Mapping[str, Path]) -> Step:
        """What a part trains, from the runs in ``sources`` (part -> directory)."""
        if part.name == "match":
            from dmm.training.steps import MatchStep

            return MatchStep(part.config)
        if part.name == "caption":
            from dmm.training.steps import CaptionStep

            return CaptionStep(part.config, sources["match"])
        from dmm.training.adversarial import GanStep

        return GanStep(part.config, sources["match"], sources.get("caption"))

    def _check(self, resume: bool) -> dict | None:
        """Refuse to mix two sequences, and to change what later parts were made from; what the directory's one was begun with."""
        used = [part for part in self.parts if part.begun() or part.done()]
        plan = read_plan(self.directory)
        if resume and plan is None:
            raise TrainingError(f"{self.directory / PLAN}: nothing to resume; leave out --resume to start")
        if not resume and (used or plan is not None):
            raise TrainingError(f"{self.directory}: a run is there already; go on with --resume, or choose another --out")
        if plan is not None and plan["recipe"] != self.recipe:
            raise TrainingError(f"{self.directory}: was begun with --recipe {plan['recipe']}, not {self.recipe}; choose another --out")
        for part, later in ((a, b) for a in self.parts for b in used if self.parts.index(b) > self.parts.index(a)):
            if not part.finished():
                raise TrainingError(
                    f"{part.directory}: has {part.done()} of {part.config.train.steps} steps, but {later.directory} was made from it; "
                    f"remove {later.directory}, or choose another --out"
                )
        return plan

    def _write_plan(self) -> None:
        records = {part.name: part.record() for part in self.parts if part.finished()}
        plan = {"recipe": self.recipe, "settings": self.settings, "command": self.command, "parts": records}
        write_atomic(self.directory / PLAN, json.dumps(plan, indent=1).encode() + b"\n")

    def dry_run(self) -> float:
        """Say of every part what it would need; nothing stays on disk but drawn birds. Returns the seconds of the parts left to do."""
        from dmm.training.dry_run import dry_run

        seconds = 0.0
        with tempfile.TemporaryDirectory() as folder:
            sources: dict[str, Path] = {}
            for number, part in enumerate(self.parts, 1):
                label = f"part {number} of {len(self.parts)}, {part.name}"
                if part.finished():
                    self.say(f"{label}: done before, {part.done()} steps ({part.directory})")
                    sources[part.name] = part.directory
                    continue
                self.say(f"{label}:")
                step = self._step(part, sources)
                seconds += dry_run(step, part.config, part.directory, lambda text: self.say(f"  {text}"), part.begun())["seconds"]
                if number < len(self.parts):
                    sources[part.name] = Path(folder) / part.name
                    step.export(sources[part.name], {})
        hours, minutes = divmod(round(seconds / 60), 60)
        self.say(f"all parts: {hours} h {minutes} min, without the time to draw or decode pictures")
        return seconds


def part_names(recipe: str, gan: Config) -> tuple[str, ...]:
    """The parts of a recipe in order: captioning only if the generator's loss weighs STREAM, or the recipe has settings for it."""
    captions = gan.train.stream > 0 or "caption" in step_names(recipe)
    return ("match", *(("caption",) if captions else ()), "gan")


def settings_of(part: str, settings: list[str]) -> list[str]:
    """Those of ``settings`` that hold for a part, without its name before the key."""
    own = []
    for text in settings:
        first, dot, rest = text.partition(".")
        if not dot or first not in PARTS:
            own.append(text)
        elif first == part:
            own.append(rest)
    return own


def read_plan(directory: Path) -> dict | None:
    """What a sequence was begun with, ``{"recipe", "settings", "command", "parts"}``; None where there is none.

    Raises:
        TrainingError: the file is damaged.
    """
    path = Path(directory) / PLAN
    if not path.is_file():
        return None
    try:
        plan = read_json(path, Table({"recipe": Text(), "command": Text(), "settings": List(Text())}))
    except ValueError as error:
        raise TrainingError(f"{path}: damaged ({error}); choose another --out, or train the parts one by one") from error
    return plan


def result(directory: Path) -> Path:
    """Where a finished sequence has its model."""
    return Path(directory) / "gan" / FILE


def _nothing(text: str) -> None:
    """What a process that does not write says."""
