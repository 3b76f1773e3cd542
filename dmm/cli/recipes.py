"""``dmm recipes show``: every value of a recipe, and how it differs from another's."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from dmm.cli.errors import readable

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """What a recipe sets, resolved: its bases and the defaults under it.

    Example: dmm recipes show dmmgan-aviary --against dmmgan-cub
    """


def _resolved(name: str, step: str) -> dict[str, object]:
    """Dotted key -> value, of the settings that the step reads."""
    from dmm.config import READ_BY, to_dict
    from dmm.recipes import recipe

    sections = to_dict(recipe(name, step))
    found = {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}
    return {key: value for key, value in found.items() if step in READ_BY.get(key.removeprefix("train."), (step,))}


def _shown(value: object) -> str:
    """As ``--set`` takes it."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


@app.command("show")
@readable
def show(
    name: Annotated[str, typer.Argument(help="A name of `dmm list`.")],
    against: Annotated[str | None, typer.Option(help="Another recipe: only what differs from it, with its values.")] = None,
    step: Annotated[str, typer.Option(help="match, caption or gan.")] = "gan",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Print a resolved recipe, one setting a line, as --set takes it; with --against, how it differs from another.

    Example: dmm recipes show dmmgan-cub --against dmgan-cub

    Example: dmm recipes show aviary --step match
    """
    from dmm.config import ConfigError
    from dmm.recipes import describe

    if step not in ("match", "caption", "gan"):
        raise ConfigError(f"--step: expected match, caption or gan, found {step!r}")
    own = _resolved(name, step)
    other = _resolved(against, step) if against else {}
    rows: dict[str, Any] = {key: (value, other[key]) for key, value in own.items() if value != other[key]} if against else own
    if as_json:
        typer.echo(json.dumps(rows))
        return
    typer.echo(f"# {name}, {step}: {describe(name)}")
    if against:
        typer.echo(f"# {against}: {describe(against)}" if rows else f"# {against}: the same in every setting of {step}")
        for key, (value, theirs) in rows.items():
            typer.echo(f"{key}={_shown(value)}  # {against}: {_shown(theirs)}")
        return
    for key, value in rows.items():
        typer.echo(f"{key}={_shown(value)}")
