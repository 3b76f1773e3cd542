"""The ``explorer`` command: draw the papers' figures from a checkpoint, or a training run's from its traces, or serve the page.

``explorer figures --list``; ``explorer figures dmgan-fig4 dmgan-fig5 --out figures --format png,pdf,csv``; ``explorer figures all``;
``explorer figures memory-learning --run runs/my-gan``; ``explorer app``. Every figure of the register is a command of its own, and its
options are that command's flags; further names after the first are drawn too.
"""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from dmm.checkpoint import shipped
from explorer import controls
from explorer.figures import Figure, check_options, get_figure, list_figures
from explorer.figures.export import FORMATS
from explorer.produce import Sources, produce, produce_all, read_captions, texts_of, with_captions
from explorer.session import Session
from explorer.sign_in import read_passwords
from explorer.votes import VoteStore

ABOUT = """See what a text-to-image memory did.

  explorer figures --list

  explorer figures dmgan-fig4 word-maps --model runs/cats-gan --out figures --format png,pdf

  explorer figures all --out figures

  explorer app runs/cats-gan
"""

app = typer.Typer(help=ABOUT, no_args_is_help=True, add_completion=False)


class FigureCommands(TyperGroup):
    """The figures by name; one that there is not is answered in one line, with the nearest."""

    def resolve_command(self, ctx, args):
        """The command of the first word. Exits with code 2 if it names no figure."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            try:
                get_figure(args[0])
            except ValueError as error:
                _stop(error)
        return super().resolve_command(ctx, args)


figures = typer.Typer(
    cls=FigureCommands,
    help="Draw the figures of the papers from a checkpoint, or what a training run learned.",
    invoke_without_command=True,
)
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


MODEL = typer.Option(
    help="a checkpoint under assets/checkpoints, or a folder; repeat the flag to compare systems; all shipped ones by default. "
    "A figure of one model shows the first that has its quantity"
)
RUN = typer.Option(help="a run directory; the figure of memory being learned needs train.trace_every; repeat the flag to compare runs")
OUT = typer.Option(help="folder to write into")
FORMAT = typer.Option("--format", help=f"some of {','.join(FORMATS)}")
CAPTIONS = typer.Option("--captions-file", help="a text file with a sentence a line, shown in place of the figure's own")


@figures.command("all")
def everything(
    model: Annotated[list[str] | None, MODEL] = None,
    run: Annotated[list[str] | None, RUN] = None,
    out: Annotated[Path, OUT] = Path("figures"),
    format_: Annotated[str, FORMAT] = "png,pdf,svg,csv",
    captions_file: Annotated[Path | None, CAPTIONS] = None,
) -> None:
    """Draw every figure that the shipped models, or the ones named, can give; say which were left out, and why.

    Example: explorer figures all --out figures

    Example: explorer figures all --model runs/cats-gan --run runs/cats-gan
    """
    kinds = _formats(format_)
    try:
        sources = Sources(model or shipped(), run or [])
        sentences = read_captions(captions_file) if captions_file else ()
        for figure, why in produce_all(sources, out, kinds, sentences):
            typer.echo(f"{figure.name}: left out: {why}" if why else f"{out / figure.name}: {', '.join(kinds)}")
    except (ValueError, OSError) as error:
        _stop(error)


def _formats(said: str) -> list[str]:
    kinds = [kind.strip().lower() for kind in said.split(",") if kind.strip()]
    if not kinds or any(kind not in FORMATS for kind in kinds):
        _stop(f"--format: expected some of {','.join(FORMATS)}, found {said!r}")
    return kinds


def _run(names: list[str], values: dict, given: dict) -> None:
    """Draw the named figures; an option goes to each of them that has it."""
    kinds = _formats(given["format_"])
    try:
        chosen = [get_figure(name) for name in dict.fromkeys(names)]
        sources = Sources(given["model"] or ([] if given["run"] else shipped()), given["run"] or [])
        for figure in chosen:
            own = {name: value for name, value in values.items() if any(o.name == name for o in figure.options)}
            if given["captions_file"]:
                own = with_captions(figure, own, _sentences(figure, given["captions_file"]))
            for path in produce(figure, check_options(figure, own), sources, given["out"], kinds):
                typer.echo(path)
    except (ValueError, OSError) as error:  # CheckpointError, CaptionError, FigureError, RunError: each says what was expected
        _stop(error)


def _sentences(figure: Figure, path: Path) -> tuple[str, ...]:
    if not texts_of(figure):
        _stop(f"--captions-file: {figure.name} generates no captions")
    return read_captions(path)


def _stop(message: object) -> None:
    if isinstance(message, BrokenPipeError):  # whoever read the output has gone, as `| head` does: click ends quietly
        raise message
    typer.echo(f"explorer: {message}", err=True)
    raise typer.Exit(2)


def _command(figure: Figure):
    """The command of one figure: a function whose signature holds the figure's options."""

    def command(context: typer.Context, **given):
        common = {name: given.pop(name) for name, *_ in COMMON}
        names = [figure.name, *(common["further"] or ())]
        if len(names) > 1:  # the first figure's own defaults are not the others'
            given = {n: v for n, v in given.items() if (source := context.get_parameter_source(n)) and source.name != "DEFAULT"}
        _run(names, given, common)

    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, declared])
        for name, kind, default, declared in COMMON
    ] + [controls.flag(option) for option in figure.options]
    first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    command.__signature__ = inspect.Signature([first, *parameters])  # type: ignore[attr-defined]  # which inspect reads of any callable
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in [first, *parameters]}
    return command


#: Parameters of every figure's command: name, type, default, how it is declared.
COMMON = (
    ("further", list[str] | None, None, typer.Argument(help="further figures by name", metavar="[NAME]...")),
    ("model", list[str] | None, None, MODEL),
    ("run", list[str] | None, None, RUN),
    ("out", Path, Path("figures"), OUT),
    ("format_", str, "png", FORMAT),
    ("captions_file", Path | None, None, CAPTIONS),
)

for _figure in list_figures():
    figures.command(_figure.name, help=f"{_figure.title}: {_figure.source}.")(_command(_figure))


@app.command("app")
def serve(
    checkpoints: Annotated[
        list[str] | None,
        typer.Argument(help="names under assets/checkpoints, folders, or one published .pth; without any, all that are shipped"),
    ] = None,
    system: Annotated[str | None, typer.Option(help="of a published .pth: its system, a name of `dmm list`")] = None,
    text_encoder: Annotated[Path | None, typer.Option(help="of a published .pth: the .pth of its text encoder")] = None,
    vocab: Annotated[Path | None, typer.Option(help="of a published .pth: its data set's captions.pickle; read, never run")] = None,
    host: Annotated[str, typer.Option(help="address to listen on", envvar=["HOST", "GRADIO_SERVER_NAME"])] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on", envvar=["PORT", "GRADIO_SERVER_PORT"])] = 7860,
    root_path: Annotated[str, typer.Option(help="path under which a reverse proxy shows the page, such as /bird")] = "",
    allow_host: Annotated[list[str] | None, typer.Option(help="a further name by which the page is addressed, as by a proxy")] = None,
    votes: Annotated[Path | None, typer.Option(help="file to keep the blind votes in (SQLite); without it they end with the page")] = None,
    auth: Annotated[Path | None, typer.Option(help="text file of who may see the page, name:password a line")] = None,
) -> None:
    """Serve the page on this machine.

    Example: explorer app

    Example: explorer app runs/cats-gan dmmgan-aviary --port 8000 --votes votes.db

    Example: explorer app bird_DMGAN.pth --system dmgan --text-encoder text_encoder200.pth --vocab captions.pickle
    """
    try:
        with tempfile.TemporaryDirectory() as folder:
            opened = _converted(checkpoints or [], {"system": system, "text-encoder": text_encoder, "vocab": vocab}, Path(folder))
            people, session = read_passwords(auth), Session(opened or None).check()
            session.pipeline()
            from explorer import (  # Gradio is slow to import; a checkpoint that cannot be used is said before, and figures do not need it
                launch,
                ui,
            )

            built = ui.build(session, VoteStore(votes))
            launch.serve(built, host, port, root_path, allow_host or (), people)
    except ValueError as error:
        _stop(error)


def _converted(checkpoints: list[str], given: dict, folder: Path) -> list[str]:
    """The checkpoints, with a published generator (.pth) converted into ``folder``, as ``dmm convert`` does for good.

    Raises:
        ValueError: what a published generator needs is not all given, or given without one; or it cannot be converted.
    """
    published = [name for name in checkpoints if Path(name).suffix in (".pth", ".pt")]
    missing = [f"--{name}" for name, value in given.items() if value is None]
    if not published and len(missing) == len(given):
        return checkpoints
    if len(published) != 1 or missing:
        raise ValueError(
            f"expected one published .pth with --system, --text-encoder and --vocab, found {', '.join(published) or 'no .pth'}"
            f"{' without ' + ', '.join(missing) if missing else ''}; `dmm convert --help` makes checkpoints of any number of them"
        )
    from dmm.convert.upstream import convert

    out = folder / Path(published[0]).stem
    convert(out, given["system"], "generator", Path(published[0]))
    convert(out, None, "text_encoder", given["text-encoder"], given["vocab"])
    return [str(out) if name in published else name for name in checkpoints]


if __name__ == "__main__":
    app()
