"""The command line: ``dmm train|generate|evaluate|convert|export|data|report|bench|list|recipes``, one module a command or group.

Exit code 2 for input that cannot be used, 1 for work that failed.
"""

from __future__ import annotations

from typing import Annotated

import typer

import dmm
from dmm.cli import bench, convert, data, evaluate, export, generate, listing, recipes, report, train

ABOUT = """Train, use and measure DMM-GAN and its family.

Generate a picture with the shipped model:

  dmm generate "a small red bird with black wings" --seed 3

From a folder of your own pictures to your own model (docs/training.md tells each step):

  dmm data check cats

  dmm data prepare cats

  dmm train match --set source=cats --out runs/cats-match

  dmm train caption --set source=cats --match runs/cats-match --out runs/cats-caption

  dmm train gan --set source=cats --match runs/cats-match --caption runs/cats-caption --out runs/cats-gan

  dmm generate "a grey cat" --model runs/cats-gan
"""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=ABOUT)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dmm {dmm.__version__}")
        raise typer.Exit


@app.callback()
def main(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")] = False) -> None:
    """Options before a command."""


app.add_typer(train.app, name="train", short_help="Train: match (DAMSM encoders), caption (STREAM), gan, judge, segmenter.")
app.add_typer(data.app, name="data", short_help="Check and prepare data sets; draw Aviary.")
app.add_typer(recipes.app, name="recipes", short_help="Show a resolved recipe, and how it differs from another.")
for group in (generate, convert, export, listing, evaluate, report, bench):
    app.registered_commands += group.app.registered_commands
