"""``dmm report``: every table of results from the records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dmm.cli.errors import readable

app = typer.Typer()


@app.command()
@readable
def report(
    results: Annotated[Path | None, typer.Option(help="Folder with the JSON of `dmm evaluate` and `dmm bench`; assets/results.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write here instead of printing; .md, .html, .tex or .csv chooses the format.")] = None,
    form: Annotated[str | None, typer.Option("--format", help="markdown, html, latex or csv.")] = None,
    cards: Annotated[
        bool, typer.Option("--cards", help="Write the measured part of the model cards in assets/checkpoints anew, and nothing else.")
    ] = False,
) -> None:
    """Print every table of results: published and measured figures in columns of their own, with intervals and protocols.

    Example: dmm report

    Example: dmm report --out docs/results.md

    Example: dmm report --format csv --out results.csv

    Example: dmm report --cards
    """
    from dmm.checkpoint import assets
    from dmm.config import ConfigError
    from dmm.images import write_atomic
    from dmm.report import FORMATS, document, read_results, render
    from dmm.report.card import cards as model_cards

    if cards:
        if out or form:
            raise ConfigError("--cards: the cards have a place and a format of their own; leave out --out and --format")
        for path, text in model_cards(assets() / "checkpoints", read_results(results or assets() / "results")).items():
            write_atomic(path, text.encode())
            typer.echo(path)
        return
    endings = {ending: name for name, (_, ending) in FORMATS.items()}
    if form is not None and form not in FORMATS:
        raise ConfigError(f"--format: expected one of {', '.join(FORMATS)}, found {form!r}")
    if out and form is None and out.suffix not in endings:
        raise ConfigError(f"--out {out}: expected a name that ends in {', '.join(endings)}, or --format")
    form = form or (endings[out.suffix] if out else "markdown")
    command = "dmm report" + (f" --results {results}" if results else "") + (f" --out {out}" if out else "")
    text = render(document(read_results(results or assets() / "results"), command), form)
    if out:
        write_atomic(out, text.encode())
    else:
        typer.echo(text, nl=False)
