"""``dmm bench``: how fast the systems are on this machine."""

from __future__ import annotations

import json
from functools import partial
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
        str | None,
        typer.Option(help="One system of `dmm list`; aviary, the renderer; or app, the page under load. The default is every system."),
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(help="Some of small, aviary, published; by default all, with --against published alone.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="A checkout of DM-GAN, AttnGAN or DF-GAN, timed beside ours on one CPU thread. This runs the checkout's code."),
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Time for each measurement; by default 10, of app 60.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pictures at a time; by default 4, on a GPU 32.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the figures here; a run of all goes to assets/results/bench-<machine>.json.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the fast path's blocks, which takes minutes; not timed.")] = False,
    people: Annotated[int, typer.Option(min=1, max=1000, help="Of app: who use the page at once.")] = 60,
    visits: Annotated[int, typer.Option(min=0, max=100_000, help="Of app: of the page alone, before.")] = 500,
    thinking: Annotated[float, typer.Option(min=0.01, help="Of app: mean seconds between an answer and the next caption.")] = 20.0,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Of app: a checkpoint's name or folder; repeat it to set systems side by side; by default all shipped ones."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Time every system on this machine, generating and training, beside a plain path with the same results.

    Columns: images a second of both paths, their ratio, the share of the arithmetic that this machine was measured to do, memory.
    Exit code 1 if the two paths generate different pictures, or if somebody met an error.

    With --against, a published code that you have checked out stands in the plain path's place, at equal weights: its pictures are compared
    in float64. Importing a checkout runs it; try none that you would not run. --only says which system it is, where its files do not.

    Example: dmm bench

    Example: dmm bench --only dmmgan --sizes small --seconds 1

    Example: dmm bench --only aviary

    Example: dmm bench --against ../DM-GAN --seconds 5

    Example: dmm bench --only app --people 60 --seconds 300

    Example: dmm bench --only app --model dmmgan-aviary --model runs/dmgan-aviary-gan
    """
    from dmm.bench import app as load
    from dmm.bench import published
    from dmm.bench import systems as measure
    from dmm.checkpoint import assets, shipped
    from dmm.config import ConfigError
    from dmm.images import write_atomic

    known = ["app", *measure.names()]
    if against is None and only not in (None, *known):
        raise ConfigError(f"--only: expected one of {', '.join(known)}, found {only!r}")
    each = 10.0 if seconds is None else seconds
    chosen = tuple(size.strip() for size in (sizes or ("published" if against else ",".join(measure.SIZES))).split(","))
    if against is not None:
        result = published.bench_against(against, only, chosen, each, batch)
        text, failed = published.table(result), not published.same(result)
    elif only == "app":
        told = partial(typer.echo, err=True)
        result = load.bench_app(people, 60.0 if seconds is None else seconds, visits, model or shipped(), thinking, told)
        text, failed = load.app_table(result), bool(load.all_errors(result))
    elif only == "aviary":
        result = measure.bench_aviary(each)
        text, failed = measure.aviary_table(result), False
    else:
        result = measure.bench_systems([only] if only else measure.names()[1:], chosen, each, batch, compiled)
        text, failed = measure.table(result), not all(row["sampling"]["equal"] for row in result["rows"])
        if only is None and set(chosen) == set(measure.SIZES):
            out = out or assets() / "results" / f"bench-{result['label']}{'-compiled' * compiled}.json"
    result |= {"command": command_line()}
    typer.echo(json.dumps(result, indent=1) if as_json else text)
    if out:
        write_atomic(out, json.dumps(result, indent=1).encode() + b"\n")
    if failed:
        raise typer.Exit(1)
