"""``dmm train``: match, caption, gan, and the networks that measure: judge and segmenter."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmm.cli.errors import readable
from dmm.cli.options import Dry, Force, Minutes, Out, Overrides, Resume, command_line, read_config, recipe_option

if TYPE_CHECKING:
    from dmm.config import Config
    from dmm.training.typed_options import TypedOptions

TRAINING = """Train: match (DAMSM encoders), caption (STREAM), gan (the generator); judge and segmenter, which measure.

A model takes the first three, in this order, with the same data in all (Aviary's drawn birds unless --set source= names a folder):

  dmm train match

  dmm train caption

  dmm train gan

Or all three by one command: dmm train all. `dmm train gan --dry-run` says what a run would need. On several GPUs:

  accelerate launch --multi_gpu -m dmm.cli train gan
"""

app = typer.Typer(no_args_is_help=True, help=TRAINING)


def _options(step: str, usual: str, out: Path | None, resume: bool, **typed) -> tuple[TypedOptions, Path]:
    """What to train by, and the run directory; where a run is gone on with, what was not typed is as when it was begun.

    Args:
        step: match, caption or gan.
        usual: the recipe where none is named.
        out: the run directory, if named.
        resume: whether an earlier run is gone on with.
        typed: fields of :class:`dmm.training.typed_options.TypedOptions`; paths and None are taken.
    """
    from dmm.training.typed_options import TypedOptions

    settings = tuple(typed.pop("settings") or ())
    own = TypedOptions(settings=settings, **{name: str(value or "") for name, value in typed.items()})
    directory = out or Path("runs") / f"{own.recipe or usual}-{step}"
    whole = own.over(TypedOptions.read(directory) if resume else None)
    return replace(whole, recipe=whole.recipe or usual), directory


def _path(text: str) -> Path | None:
    """An option that names a run, if it was typed."""
    return Path(text) if text else None


def _train(step, config, directory: Path, options, resume: bool, force: bool, minutes: float | None, dry: bool, following: str) -> None:
    """Run a step and say what comes after it, or only say what running it would need."""
    from dmm.training.dry_run import dry_run
    from dmm.training.loop import run

    if dry:
        dry_run(step, config, directory, typer.echo, begun=resume)
        return
    done = run(step, config, directory, resume, command_line(), minutes, typer.echo, force=force, options=options)
    if done >= config.train.steps and step.ranks.main:
        typer.echo(f"  next: {following}")


def _earlier(directory: Path, step: str, recipe: str) -> Path:
    """The run that a later one builds on; where there is none, the error says which command makes it."""
    from dmm.checkpoint import CheckpointError, locate

    try:
        locate(directory)
    except CheckpointError as error:
        raise CheckpointError(f"{error}. Train it first: dmm train {step} --recipe {recipe} --out {directory}") from error
    return directory


@app.command("match")
@readable
def train_match(
    recipe: Annotated[str | None, recipe_option("aviary")] = None,
    out: Out = None,
    start: Annotated[Path | None, typer.Option("--from", help="Go on from the networks of this earlier run.")] = None,
    resume: Resume = False,
    force: Force = False,
    minutes: Minutes = None,
    dry: Dry = False,
    overrides: Overrides = None,
) -> None:
    """Train the text encoder and the image encoder to find each other (DAMSM).

    Example: dmm train match

    Example: dmm train match --set source=cats --out runs/cats-match
    """
    from dmm.recipes import step_names
    from dmm.training.steps import MatchStep

    options, directory = _options("match", "aviary", out, resume, recipe=recipe, settings=overrides, start=start)
    config = read_config(options.recipe, "match", options.settings)
    later = "caption" if "caption" in step_names(options.recipe) else "gan"
    following = f"dmm train {later} --match {directory}, with the same settings"
    _train(MatchStep(config, _path(options.start)), config, directory, options, resume, force, minutes, dry, following)


@app.command("caption")
@readable
def train_caption(
    recipe: Annotated[str | None, recipe_option("aviary")] = None,
    out: Out = None,
    match: Annotated[Path | None, typer.Option(help="Start from this matching run; runs/<recipe>-match if its encoder is kept.")] = None,
    resume: Resume = False,
    force: Force = False,
    minutes: Minutes = None,
    dry: Dry = False,
    overrides: Overrides = None,
) -> None:
    """Train STREAM's captioner, which reads a picture back as a sentence.

    Example: dmm train caption

    Example: dmm train caption --set source=cats --match runs/cats-match --out runs/cats-caption
    """
    from dmm.training.steps import CaptionStep

    options, directory = _options("caption", "aviary", out, resume, recipe=recipe, settings=overrides, match=match)
    config, match = read_config(options.recipe, "caption", options.settings), _path(options.match)
    if match is None and config.train.frozen_encoder:
        match = Path("runs") / f"{options.recipe}-match"
    following = f"dmm train gan --match {match or 'RUN'} --caption {directory}, with the same settings"
    step = CaptionStep(config, match and _earlier(match, "match", options.recipe))
    _train(step, config, directory, options, resume, force, minutes, dry, following)


def _note_untrained_sizes(config: Config) -> None:
    """Say so if a run ends before its larger pictures are trained; what it advises is the share of the small recipe."""
    from dmm.models.registry import picture_sizes

    settings, sizes = config.train, picture_sizes(config.model)
    alone = sizes[: settings.initial_stages]
    if settings.steps > settings.initial_steps or alone == sizes:
        return
    pictures = f"{' and '.join(map(str, alone))} px picture{'s' if len(alone) > 1 else ''}"
    typer.echo(
        f"note: all {settings.steps} steps train the {pictures} alone, the larger ones stay as they were "
        f"(train.initial_steps={settings.initial_steps}); for all sizes: --set initial_steps={settings.steps // 3}",
        err=True,
    )


@app.command("gan")
@readable
def train_gan(
    recipe: Annotated[str | None, recipe_option("dmmgan-aviary")] = None,
    out: Out = None,
    match: Annotated[
        Path | None, typer.Option(help="Run directory of `dmm train match`; runs/<recipe>-match, of Aviary's birds runs/aviary-match.")
    ] = None,
    caption: Annotated[
        Path | None, typer.Option(help="Run directory of `dmm train caption`; runs/<recipe>-caption if STREAM's loss is on or it is there.")
    ] = None,
    resume: Resume = False,
    force: Force = False,
    minutes: Minutes = None,
    dry: Dry = False,
    overrides: Overrides = None,
) -> None:
    """Train the generator against its discriminators and the text losses.

    Example: dmm train gan --dry-run

    Example: dmm train gan --set source=cats --match runs/cats-match --caption runs/cats-caption --out runs/cats-gan

    Example: dmm train gan --out runs/cats-gan --resume
    """
    from dmm.recipes import encoders
    from dmm.training.adversarial import GanStep

    options, directory = _options("gan", "dmmgan-aviary", out, resume, recipe=recipe, settings=overrides, match=match, caption=caption)
    config, encoder_recipe = read_config(options.recipe, "gan", options.settings), encoders(options.recipe)
    match, caption = _path(options.match) or Path("runs") / f"{encoder_recipe}-match", _path(options.caption)
    usual = Path("runs") / f"{encoder_recipe}-caption"
    if caption is None and (config.train.stream or usual.exists()):
        caption = usual
    _note_untrained_sizes(config)
    following = f"dmm generate CAPTION --model {directory}; python app.py {directory}"
    _earlier(match, "match", encoder_recipe)
    if caption is not None and config.train.stream:
        _earlier(caption, "caption", encoder_recipe)
    step = GanStep(config, match, caption)
    _train(step, config, directory, options, resume, force, minutes, dry, following)


@app.command("all")
@readable
def train_all(
    recipe: Annotated[str | None, typer.Option(help="A name of `dmm list`; by default dmmgan-aviary, or the one to go on with.")] = None,
    out: Annotated[Path | None, typer.Option(help="Directory of the whole; the default is runs/<recipe>.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Pass over finished parts and go on with the next, with the same settings.")
    ] = False,
    force: Force = False,
    minutes: Minutes = None,
    dry: Dry = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value in all parts; with match., caption. or gan. before the key in that part alone; repeatable."),
    ] = None,
) -> None:
    """Train matching, captioning and the generator one after another, into match/, caption/ and gan/ of one directory.

    Captioning is left out where the recipe does not use it. The result is gan/model.safetensors.

    Example: dmm train all --recipe dmmgan-aviary --out runs/birds

    Example: dmm train all --out runs/birds --resume

    Example: dmm train all --set source=cats --set gan.steps=6000 --out runs/cats
    """
    from dmm.config import require_read
    from dmm.training.sequence import TrainingSequence, part_names, read_plan, result, settings_of

    directory = out or Path("runs") / (recipe or "dmmgan-aviary")
    plan = (resume and read_plan(directory)) or {"recipe": recipe or "dmmgan-aviary", "settings": []}
    recipe, settings = recipe or plan["recipe"], plan["settings"] + [text for text in overrides or [] if text not in plan["settings"]]
    names = part_names(recipe, read_config(recipe, "gan", settings_of("gan", settings), strict=False))
    configs = {name: read_config(recipe, name, settings_of(name, settings), strict=False) for name in names}
    for text in settings:
        part, _, key = text.partition("=")[0].partition(".")
        require_read(*((key, part) if part in names else (text.partition("=")[0], *names)))
    sequence = TrainingSequence(recipe, settings, directory, configs, command_line(), typer.echo)
    if dry:
        sequence.dry_run()
    elif sequence.run(resume, minutes, force):
        typer.echo(f"{result(directory)}\n  next: dmm generate CAPTION --model {directory / 'gan'}; python app.py {directory / 'gan'}")


MeasuringOut = Annotated[Path | None, typer.Option(help="Directory for weights and model card; the default is runs/aviary-<name>.")]
MeasuringImages = Annotated[int, typer.Option(min=1, max=10**7, help="Rendered training birds.")]
MeasuringSteps = Annotated[int, typer.Option(min=1, max=10**7, help="Optimiser steps of 64 pictures (segmenter: 16).")]
MeasuringSeed = Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Of weights, order and augmentation.")]


def _train_measuring(train, name: str, out: Path | None, **settings) -> None:
    """Train a network that measures generators, and print what it reaches on unseen species."""
    from dmm.metrics.measuring import Settings
    from dmm.training.allocator import keep_freed_memory

    keep_freed_memory()
    folder = out or Path("runs") / f"aviary-{name}"
    card = train(Settings(folder, command=command_line(), progress=sys.stderr.isatty(), **settings))
    typer.echo(json.dumps(card["unseen_species"], indent=1))


@app.command("judge")
@readable
def train_judge(out: MeasuringOut = None, images: MeasuringImages = 10000, steps: MeasuringSteps = 900, seed: MeasuringSeed = 0) -> None:
    """Train the judge that reads attributes from pictures, on rendered birds only.

    Example: dmm train judge --out runs/aviary-judge
    """
    from dmm.metrics.judge import train_judge as train

    _train_measuring(train, "judge", out, images=images, steps=steps, seed=seed)


@app.command("marks")
@readable
def train_marks(out: MeasuringOut = None, images: MeasuringImages = 8000, steps: MeasuringSteps = 1800, seed: MeasuringSeed = 0) -> None:
    """Train the network that reads patterns, crests and eyerings from pictures, on rendered birds only.

    Example: dmm train marks --out runs/aviary-marks
    """
    from dmm.metrics.marks import train_marks as train

    _train_measuring(train, "marks", out, images=images, steps=steps, seed=seed)


@app.command("segmenter")
@readable
def train_segmenter(out: MeasuringOut = None, images: MeasuringImages = 4000, steps: MeasuringSteps = 900, seed: MeasuringSeed = 0) -> None:
    """Train the segmenter that finds a bird's parts in pictures, on rendered birds only.

    Example: dmm train segmenter --out runs/aviary-segmenter
    """
    from dmm.metrics.segmenter import train_segmenter as train

    _train_measuring(train, "segmenter", out, images=images, steps=steps, seed=seed, batch=16, test_images=500)
