"""``dmm evaluate``: a model's figures on Aviary."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmm.cli.errors import readable
from dmm.cli.options import Device, command_line, load_plain

if TYPE_CHECKING:
    from dmm.pipeline import Pipeline

app = typer.Typer()


@app.command()
@readable
def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="A shipped name or a run directory.")] = "dmmgan-aviary",
    captions: Annotated[int, typer.Option(min=2, max=10**6, help="Captions of the 50 unseen species, or of --source.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Sample i draws its noise from seed + i.")] = 100,
    source: Annotated[
        Path | None,
        typer.Option(help="Measure on these prepared pictures of your own instead: fid and r_precision, by the model's encoders."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(help="Comma-separated; by default attributes, fid, r_precision, caption_f1, claims; with --source fid, r_precision."),
    ] = None,
    judge: Annotated[Path | None, typer.Option(help="Directory of the judge; the shipped one by default.")] = None,
    encoders: Annotated[
        Path | None, typer.Option(help="A matching run of other birds, which measures for `--metrics r_precision_independent`.")
    ] = None,
    captioner: Annotated[
        str | None,
        typer.Option(help="A checkpoint whose captioner (STREAM) reads the pictures back; the model's own by default."),
    ] = None,
    features: Annotated[
        str,
        typer.Option(
            help="Whose features fid, kid and inception_score compare: judge, inception:FILE (the FID community's Inception-v3), or "
            "MODULE:ATTRIBUTE, any network that Python can import. With --source, judge stands for the model's image encoder."
        ),
    ] = "judge",
    out: Annotated[
        Path | None, typer.Option(help="Write the figures as JSON here; FILE.part holds what is done meanwhile, and a stopped run goes on.")
    ] = None,
    save_every: Annotated[int, typer.Option(min=1, max=10**6, help="Pictures between two writes of FILE.part.")] = 1000,
    sheet: Annotated[Path | None, typer.Option(help="Write the first 16 pictures here.")] = None,
    sentences: Annotated[
        Path | None,
        typer.Option(help="Captions of your own, one a line: with `--metrics memory`, what needs no ground truth, for photographs."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Measure a model on Aviary: attribute agreement, Fréchet distance, R-precision, caption F1, each with ceiling and floor.

    Models of other pictures are measured on those: --source names their prepared data set.

    `--metrics memory` measures what the memory does: how much of a word's effect passes through it, and where words are read.

    `--metrics claims` alone also takes a captioning run: which share of what STREAM says of rendered birds is true.

    Example: dmm evaluate dmmgan-aviary --captions 2000 --out assets/results/dmmgan-aviary.json

    Example: dmm evaluate dmmgan-aviary --metrics memory --captions 200

    Example: dmm evaluate dmmgan-aviary --metrics r_precision_independent --encoders runs/independent-match

    Example: dmm evaluate attngan-aviary --metrics claims,caption_f1,caption_overlap --captioner dmmgan-aviary

    Example: dmm evaluate runs/cats-gan --source cats

    Example: dmm evaluate dmmgan-aviary --metrics fid --features inception:pt_inception-2015-12-05-6726825d.pth --out fid.json

    Example: dmm evaluate runs/aviary-caption --metrics claims

    Example: dmm evaluate runs/cats-gan --metrics memory --sentences captions.txt
    """
    from dmm.checkpoint import held_parts, read
    from dmm.config import ConfigError
    from dmm.metrics import METRICS
    from dmm.metrics import evaluate as measure
    from dmm.metrics.claims import evaluate_captioner
    from dmm.metrics.memory_metric import measure_sentences
    from dmm.metrics.own import OWN_METRICS, evaluate_own
    from dmm.pipeline import CaptionError
    from dmm.training.allocator import keep_freed_memory

    asked, typed, progress = tuple(metrics.split(",")) if metrics else None, command_line(), sys.stderr.isatty()
    state = None
    if source is not None:
        _refuse_unread(context, "--source")
        pipe = _load(model, device)
        result = evaluate_own(pipe, str(source), captions, seed, asked or OWN_METRICS, command=typed, progress=progress, features=features)
    elif sentences is not None:
        _refuse_unread(context, "--sentences")
        result = measure_sentences(_load(model, device), sentences, seed, asked or METRICS, typed, progress)
    elif asked == ("claims",) and "generator" not in held_parts(read(model)[0]):
        _refuse_unread(context, _CAPTIONING_RUN)
        keep_freed_memory()  # a captioner alone is measured on the CPU
        result = evaluate_captioner(model, captions, seed, command=typed, progress=progress)
    else:
        state = None if out is None else out.with_name(out.name + ".part")
        pipe = _load(model, device)
        try:
            result = measure(
                pipe,
                captions,
                seed,
                asked or METRICS,
                judge=judge,
                encoders=encoders,
                captioner=captioner,
                features=features,
                sheet=sheet,
                command=typed,
                progress=progress,
                state=state,
                save_every=save_every,
            )
        except CaptionError as error:
            raise ConfigError(f"{model}: trained on other words than those of Aviary's birds, which are what is measured") from error
    _record(result, out)
    if state is not None:
        state.unlink(missing_ok=True)


_CAPTIONING_RUN = "--metrics claims of a captioning run"
#: What is measured, when it is no model on Aviary -> the parameters that it reads; _EVERY are read by all.
_READ = {
    "--source": {"source", "captions", "features", "device"},
    "--sentences": {"sentences", "device"},
    _CAPTIONING_RUN: {"captions"},
}
_EVERY = {"model", "seed", "metrics", "out", "traceback"}


def _refuse_unread(context: typer.Context, measured: str) -> None:
    """Refuse an option that was typed and that has no effect on what is measured."""
    from dmm.config import ConfigError

    for name in context.params:
        given = context.get_parameter_source(name)
        if name not in _READ[measured] | _EVERY and given is not None and given.name != "DEFAULT":
            raise ConfigError(f"--{name.replace('_', '-')}: has no effect with {measured}; leave one of them out")


def _load(model: str, device: str) -> Pipeline:
    """As :func:`load_plain`; on a CPU freed memory is kept from now on."""
    from dmm.training.allocator import keep_freed_memory

    pipe = load_plain(model, device)
    if pipe.device.type == "cpu":
        keep_freed_memory()
    return pipe


def _record(result: dict, out: Path | None) -> None:
    """Print figures as JSON, and write them to ``out``."""
    from dmm.images import write_atomic

    text = json.dumps(result, indent=1)
    if out:
        write_atomic(out, text.encode() + b"\n")
    typer.echo(text)
