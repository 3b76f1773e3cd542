"""``dmm list``: systems, recipes, checkpoints and settings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Annotated

import typer

from dmm.cli.errors import readable

app = typer.Typer()


def _systems() -> dict[str, dict]:
    """What there is to say of each system."""
    from dmm.models.outline import outline
    from dmm.models.registry import create_model, list_models
    from dmm.recipes import names, recipe

    found = {}
    for entry in list_models():
        recipes = [name for name in names() if name.startswith(entry.name + "-") and recipe(name).model.system == entry.name]
        published = f"{entry.name}-cub" if f"{entry.name}-cub" in recipes else next(iter(recipes), None)
        count = None
        if published:
            with outline():
                count = sum(p.numel() for p in create_model(recipe(published).model).parameters())
        about = {"paper": entry.paper, "adds": entry.adds, "parameters": count, "parameters_of": published}
        about["reference"] = entry.reference
        found[entry.name] = about | {"losses": list(entry.losses), "recipes": recipes}
    return found


def _settings() -> dict[str, dict]:
    """Every key of --set: default, meaning, purpose, the steps that read it, and whether it is from a paper, a published code or ours."""
    from dmm.config import Config

    found = {}
    for section in dataclasses.fields(Config):
        for one in dataclasses.fields(getattr(Config(), section.name)):
            value = one.default
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            shown = shown.lower() if isinstance(value, bool) else shown
            about = {key: one.metadata[key] for key in ("group", "steps", "origin")}
            found[f"{section.name}.{one.name}"] = {"default": shown, "meaning": one.metadata["about"]} | about
    return found


def _setting_lines() -> Iterator[str]:
    """The settings for people, each purpose under its heading."""
    group = ""
    for key, about in _settings().items():
        if about["group"] != group:
            group = about["group"]
            yield f"# {group}"
        read_by = "" if len(about["steps"]) == 3 else f"; read by {' and '.join(about['steps'])}"
        yield f"{key}={about['default']}  {about['meaning']}{read_by}; {about['origin']}"


@app.command("list")
@readable
def list_all(
    settings: Annotated[bool, typer.Option("--settings", help="Name what --set can change instead: default, meaning, unit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Name the systems (paper, what each adds, parameters, reference, losses, recipes), all recipes and the shipped checkpoints.

    Example: dmm list

    Example: dmm list --settings | grep rate
    """
    from dmm.checkpoint import FILE, assets
    from dmm.recipes import describe, names

    if settings:
        typer.echo(json.dumps(_settings()) if as_json else "\n".join(_setting_lines()))
        return
    shipped = sorted(p.parent.name for p in (assets() / "checkpoints").glob(f"*/{FILE}"))
    systems, recipes = _systems(), {n: describe(n) for n in names()}
    if as_json:
        typer.echo(json.dumps({"systems": systems, "recipes": recipes, "checkpoints": shipped}))
        return
    typer.echo("systems:")
    for name, about in systems.items():
        size = (
            f"{about['parameters'] / 1e6:.1f} million in the generator of {about['parameters_of']}" if about["parameters"] else "no recipe"
        )
        typer.echo(f"  {name}  {about['paper']}")
        for label, text in (
            ("adds", about["adds"]),
            ("parameters", size),
            ("reference", about["reference"]),
            ("losses", ", ".join(about["losses"])),
            ("recipes", ", ".join(about["recipes"])),
        ):
            typer.echo(f"    {label + ':':<12}{text or '-'}")
    typer.echo("\n".join(["recipes:", *(f"  {name}  {meaning}" for name, meaning in recipes.items())]))
    typer.echo("\n".join(["checkpoints:", *(f"  {name}" for name in shipped)]))
