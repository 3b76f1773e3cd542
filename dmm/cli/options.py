"""What several commands share: options, a run's config from recipe and ``--set``, and a model that generates fast."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

Out = Annotated[Path | None, typer.Option(help="Run directory; the default is runs/<recipe>-<step>.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the run directory's last checkpoint, with the options that the run was begun with.")
]
Force = Annotated[bool, typer.Option("--force", help="Take the run directory over from a run of another machine that has ended.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value over the recipe, e.g. --set train.batch=4; repeatable; `dmm list --settings` names all."),
]
Dry = Annotated[bool, typer.Option("--dry-run", help="Only say sizes, memory, speed, time, and what would be written.")]
Device = Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu or cuda; the same pictures up to rounding.")]
Minutes = Annotated[float | None, typer.Option(min=0, help="Stop, with a usable checkpoint, after so many minutes.")]


def recipe_option(usual: str):
    """The option --recipe of a command that takes ``usual`` where none is named."""
    return typer.Option(show_default=usual, help="A name of `dmm list`; with --resume that of the run.")


def read_config(recipe: str, step: str, overrides: Sequence[str] | None, strict: bool = True):
    """The config of one step; ``strict``: settings that the step does not read are refused."""
    from dmm.config import RENAMED_KEYS, ConfigError, override, require_read, require_source
    from dmm.recipes import other_data
    from dmm.recipes import recipe as read

    pairs = {}
    for text in overrides or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set: expected key=value, found {text!r}")
        pairs[key] = value
    for key in pairs:
        name = key.rpartition(".")[2]
        if name in RENAMED_KEYS:
            typer.echo(f"note: {key} is now called {RENAMED_KEYS[name]}", err=True)
    config = override(read(recipe, step), pairs)
    for key in pairs if strict else ():
        require_read(key, step)
    require_source(config)
    if config.data.source == "aviary":
        return config
    instead = {key: value for key, value in other_data(recipe, step).items() if not pairs.keys() & {key, f"train.{key}", f"{step}.{key}"}}
    changed = [f"{key}={value:g}" for key, value in instead.items() if getattr(config.train, key) != value]
    if changed:
        typer.echo(f"note: only Aviary knows how its pictures were made; for other data the recipe has {', '.join(changed)}", err=True)
    return override(config, {f"train.{key}": value for key, value in instead.items()})


def command_line() -> str:
    """What was typed, for cards and records."""
    return " ".join(["dmm", *sys.argv[1:]])


def load_fast(model: str, device: str):
    """A model ready to generate, fused. On a GPU it multiplies in full fp32, so that its pictures are a CPU's up to rounding."""
    return load_plain(model, device).fused()


def load_plain(model: str, device: str):
    """As :func:`load_fast`, but not fused."""
    import torch

    from dmm.pipeline import load
    from dmm.training.ranks import find_device

    place = find_device(device, "--device")
    torch.backends.cudnn.allow_tf32 = False
    return load(model, place)
