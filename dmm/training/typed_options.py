"""What a run was begun with: the options that were typed, kept beside its settings, so that going on needs its directory alone."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dmm.files import List, Table, Text, read_json
from dmm.images import write_atomic
from dmm.training.checkpoints import TrainingError

FILE = "options.json"


@dataclass(frozen=True)
class TypedOptions:
    """The options of ``dmm train match``, ``caption`` or ``gan`` that decide what a run trains; empty: left to the recipe."""

    recipe: str = ""
    settings: tuple[str, ...] = ()  # key=value over the recipe
    match: str = ""  # run directories, or names of shipped models
    caption: str = ""
    start: str = ""  # --from

    def write(self, directory: Path) -> None:
        """Keep them in a run directory."""
        write_atomic(directory / FILE, json.dumps(asdict(self), indent=1).encode() + b"\n")

    @classmethod
    def read(cls, directory: Path) -> TypedOptions | None:
        """What a run directory keeps; None where there is nothing.

        Raises:
            TrainingError: the file is damaged.
        """
        path = directory / FILE
        if not path.is_file():
            return None
        names = ("recipe", "match", "caption", "start")
        try:
            kept = read_json(path, Table({"settings": List(Text()), **{name: Text() for name in names}}))
        except ValueError as error:
            raise TrainingError(f"{path}: damaged ({error}); remove it, and give the options that the run was begun with") from error
        return cls(settings=tuple(kept["settings"]), **{name: kept[name] for name in names})

    def command(self, step: str, directory: Path) -> str:
        """The command line that trains a step with them."""
        named = {"--recipe": self.recipe, "--out": str(directory), "--match": self.match, "--caption": self.caption, "--from": self.start}
        words = [word for option, value in named.items() if value for word in (option, value)]
        return shlex.join(["dmm", "train", step, *words, *(word for text in self.settings for word in ("--set", text))])

    def over(self, earlier: TypedOptions | None) -> TypedOptions:
        """These options, and where nothing was typed those of an earlier start; a setting that is typed again counts."""
        if earlier is None:
            return self
        typed = {name: value for name, value in asdict(self).items() if value and name != "settings"}
        before = tuple(text for text in earlier.settings if text not in self.settings)
        return replace(earlier, settings=before + self.settings, **typed)
