"""``dmm bench``: how fast the systems are on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dmm.cli.errors import readable
from dmm.cli.options import command_line

app = typer.Typer()


@app.command()
@readable
def bench(
    only: Annotated[
        str | None, typer.Option(help="One system of `dmm list`, or aviary, the renderer; the default is every system.")
    ] = None,
    sizes: Annotated[str, typer.Option(help="Some of small, aviary, published.")] = "small,aviary,published",
    seconds: Annotated[float, typer.Option(min=0, help="Time for each measurement.")] = 10.0,
    batch: Annotated[int | None, typer.Option(help="Pictures at a time; by default 4, on a GPU 32.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the figures here; a run of all goes to assets/results/bench-<machine>.json.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the fast path's blocks, which takes minutes; not timed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Time every system on this machine, generating and training, beside a plain path with the same results.

    Columns: images a second of both paths, their ratio, the share of the arithmetic that this machine was measured to do, memory.
    Exit code 1 if the two paths generate different pictures.

    Example: dmm bench

    Example: dmm bench --only dmmgan --sizes small --seconds 1

    Example: dmm bench --only aviary
    """
    from dmm.bench import systems as measure
    from dmm.checkpoint import assets
    from dmm.config import ConfigError
    from dmm.images import write_atomic

    if only not in (None, *measure.names()):
        raise ConfigError(f"--only: expected one of {', '.join(measure.names())}, found {only!r}")
    if only == "aviary":
        result = measure.bench_aviary(seconds)
        text = measure.aviary_table(result)
    else:
        chosen = tuple(size.strip() for size in sizes.split(","))
        result = measure.bench_systems([only] if only else measure.names()[1:], chosen, seconds, batch, compiled)
        text = measure.table(result)
        if only is None and set(chosen) == set(measure.SIZES):
            out = out or assets() / "results" / f"bench-{result['label']}{'-compiled' * compiled}.json"
    result |= {"command": command_line()}
    typer.echo(json.dumps(result, indent=1) if as_json else text)
    if out:
        write_atomic(out, json.dumps(result, indent=1).encode() + b"\n")
    if not all(row["sampling"]["equal"] for row in result["rows"] if "sampling" in row):
        raise typer.Exit(1)
