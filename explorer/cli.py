"""The ``explorer`` command: draw the papers' figures from a checkpoint, or a training run's from its traces, or serve the page.

``explorer figures --list``; ``explorer figures dmgan-fig4 --out figures --format png,pdf,csv``; ``explorer figures memory-learning --run
runs/my-gan``; ``explorer app``. Every figure of the register is a command of its own, and its options are that command's flags.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from explorer import controls, gather
from explorer.figures import Figure, check_options, draw, list_figures
from explorer.figures.export import FORMATS, export
from explorer.session import Session

DEFAULT_MODEL = "dmmgan-aviary"
ABOUT = """See what a text-to-image memory did.

  explorer figures --list

  explorer figures dmgan-fig4 --model runs/cats-gan --out figures --format png,pdf

  explorer app runs/cats-gan
"""

app = typer.Typer(help=ABOUT, no_args_is_help=True, add_completion=False)
figures = typer.Typer(help="Draw the figures of the papers from a checkpoint, or what a training run learned.", invoke_without_command=True)
app.add_typer(figures, name="figures")


@figures.callback()
def _figures(
    context: typer.Context,
    list_: Annotated[bool, typer.Option("--list", help="print every figure: its name, source and title")] = False,
) -> None:
    """Draw the figures of the papers from a checkpoint, or what a training run learned.

    `explorer figures NAME --help` shows a figure's options.
    """
    if list_ or context.invoked_subcommand is None:
        width = max(len(figure.name) for figure in list_figures())
        for figure in list_figures():
            typer.echo(f"{figure.name:<{width}}  {figure.source}: {figure.title.lower()}")
        raise typer.Exit()


def _run(figure: Figure, source: str, out: Path, formats: str, values: dict) -> None:
    """Generate or read what the figure needs, draw it, write it."""
    kinds = [kind.strip().lower() for kind in formats.split(",") if kind.strip()]
    unknown = [kind for kind in kinds if kind not in FORMATS]
    if unknown or not kinds:
        _stop(f"--format: expected some of {','.join(FORMATS)}, found {formats!r}")
    try:
        values = check_options(figure, values)
        result = draw(figure, _shown(figure, source, values), gather.references(figure, values), **values)
        for path in export(result, out, figure.name, kinds):
            typer.echo(path)
    except (ValueError, OSError) as error:  # CheckpointError, CaptionError, FigureError, RunError: each says what was expected
        _stop(str(error))


def _shown(figure: Figure, source: str, values: dict) -> Sequence:
    """What the figure shows: captions generated with a checkpoint, effects of their words, or one caption over the steps of a run."""
    if figure.shows == "run":
        return gather.course(figure, values, source)
    return (gather.effects if figure.shows == "effects" else gather.traces)(figure, values, Session(source))


def _stop(message: str) -> None:
    typer.echo(f"explorer: {message}", err=True)
    raise typer.Exit(2)


def _command(figure: Figure):
    """The command of one figure: a function whose signature holds the figure's options."""

    def command(**given):
        _run(figure, given.pop(source[0]), given.pop("out"), given.pop("format_"), given)

    if figure.shows == "run":
        source = ("run", str, inspect.Parameter.empty, typer.Option(help="a run directory, trained with train.trace_every"))
    else:
        source = ("model", str, DEFAULT_MODEL, typer.Option(help="a checkpoint under assets/checkpoints, or a folder"))
    common = [
        source,
        ("out", Path, Path("figures"), typer.Option(help="folder to write into")),
        ("format_", str, "png", typer.Option("--format", help=f"some of {','.join(FORMATS)}")),
    ]
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, declared])
        for name, kind, default, declared in common
    ] + [controls.flag(option) for option in figure.options]
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


for _figure in list_figures():
    figures.command(_figure.name, help=f"{_figure.title}: {_figure.source}.")(_command(_figure))


@app.command("app")
def serve(
    checkpoints: Annotated[list[str] | None, typer.Argument(help="names under assets/checkpoints, or folders")] = None,
    host: Annotated[str, typer.Option(help="address to listen on", envvar="HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on", envvar="PORT")] = 7860,
) -> None:
    """Serve the page on this machine.

    Example: explorer app

    Example: explorer app runs/cats-gan dmmgan-aviary --port 8000
    """
    from explorer import ui  # Gradio is slow to import; figures do not need it

    try:
        ui.serve(ui.build(Session(checkpoints or [DEFAULT_MODEL])), host, port)
    except ValueError as error:
        _stop(str(error))


if __name__ == "__main__":
    app()
