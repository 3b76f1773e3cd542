"""The command line: ``dmm train|generate|evaluate|convert|data|bench|list``.

Exit code 2 for input that cannot be used, 1 for work that failed.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from dmm import cli_data
from dmm.cli_errors import readable

ABOUT = """Train, use and measure DMM-GAN and its family.

Paint with the shipped model:

  dmm generate "a small red bird with black wings" --seed 3

From a folder of your own pictures to your own model (docs/training.md tells each step):

  dmm data check cats

  dmm data prepare cats

  dmm train match --set source=cats --out runs/cats-match

  dmm train caption --set source=cats --match runs/cats-match --out runs/cats-caption

  dmm train gan --set source=cats --match runs/cats-match --caption runs/cats-caption --out runs/cats-gan

  dmm generate "a grey cat" --model runs/cats-gan
"""
TRAINING = """Train: match (DAMSM encoders), caption (STREAM), gan (the generator), judge (the attribute judge).

A model takes the first three, in this order, with the same data in all (Aviary's drawn birds unless --set source= names a folder):

  dmm train match

  dmm train caption

  dmm train gan

Or all three by one command: dmm train all. `dmm train gan --dry-run` says what a run would need. On several GPUs:

  accelerate launch --multi_gpu -m dmm.cli train gan
"""
DATA = """Check and prepare data sets; draw Aviary.

  dmm data check cats

  dmm data prepare cats
"""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=ABOUT)
train_app = typer.Typer(no_args_is_help=True, help=TRAINING)
data_app = typer.Typer(no_args_is_help=True, help=DATA)
data_app.registered_commands += cli_data.app.registered_commands
app.add_typer(train_app, name="train", short_help="Train: match (DAMSM encoders), caption (STREAM), gan, judge.")
app.add_typer(data_app, name="data", short_help="Check and prepare data sets; draw Aviary.")

Out = Annotated[Path | None, typer.Option(help="Run directory; the default is runs/<recipe>-<step>.")]
Recipe = Annotated[str, typer.Option(help="A name of `dmm list`.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the run directory's last checkpoint.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value over the recipe, e.g. --set train.batch=4; repeatable; `dmm list --settings` names all."),
]
Dry = Annotated[bool, typer.Option("--dry-run", help="Only say sizes, memory, speed, time, and what would be written.")]
Device = Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu or cuda; the same pictures up to rounding.")]
Minutes = Annotated[float | None, typer.Option(help="Stop, with a usable checkpoint, after so many minutes.")]


def _config(recipe: str, step: str, overrides: list[str] | None):
    from dmm.config import ConfigError, override, require_source
    from dmm.recipes import recipe as read

    pairs = {}
    for text in overrides or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"--set: expected key=value, found {text!r}")
        pairs[key] = value
    config = override(read(recipe, step), pairs)
    require_source(config)
    asked = pairs.keys() & {"part_colours", "train.part_colours"}
    if config.train.part_colours and config.data.source != "aviary" and not asked:
        typer.echo("note: train.part_colours of the recipe is left out: only Aviary knows the true colour of each part", err=True)
        config = override(config, {"part_colours": "0"})
    return config


def _command() -> str:
    return " ".join(["dmm", *sys.argv[1:]])


def _train(step, config, directory: Path, resume: bool, minutes: float | None, dry: bool, following: str) -> None:
    """Run a step and say what comes after it, or only say what running it would need."""
    from dmm.training.dry import dry_run
    from dmm.training.loop import run

    if dry:
        dry_run(step, config, directory, typer.echo)
        return
    done = run(step, config, directory, resume, _command(), minutes, typer.echo)
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


@train_app.command("match")
@readable
def train_match(
    recipe: Recipe = "aviary",
    out: Out = None,
    start: Annotated[Path | None, typer.Option("--from", help="Go on from the networks of this earlier run.")] = None,
    resume: Resume = False,
    minutes: Minutes = None,
    dry: Dry = False,
    overrides: Overrides = None,
) -> None:
    """Train the text encoder and the image encoder to find each other (DAMSM).

    Example: dmm train match

    Example: dmm train match --set source=cats --out runs/cats-match
    """
    from dmm.training.steps import MatchStep

    config = _config(recipe, "match", overrides)
    directory = out or Path("runs") / f"{recipe}-match"
    following = f"dmm train caption --match {directory}, with the same settings"
    _train(MatchStep(config, start), config, directory, resume, minutes, dry, following)


@train_app.command("caption")
@readable
def train_caption(
    recipe: Recipe = "aviary",
    out: Out = None,
    match: Annotated[Path | None, typer.Option(help="Start from this matching run; runs/<recipe>-match if its encoder is kept.")] = None,
    resume: Resume = False,
    minutes: Minutes = None,
    dry: Dry = False,
    overrides: Overrides = None,
) -> None:
    """Train STREAM's captioner, which reads a picture back as a sentence.

    Example: dmm train caption

    Example: dmm train caption --set source=cats --match runs/cats-match --out runs/cats-caption
    """
    from dmm.training.steps import CaptionStep

    config = _config(recipe, "caption", overrides)
    if match is None and config.train.frozen_encoder:
        match = Path("runs") / f"{recipe}-match"
    directory = out or Path("runs") / f"{recipe}-caption"
    following = f"dmm train gan --match {match or 'RUN'} --caption {directory}, with the same settings"
    step = CaptionStep(config, match and _earlier(match, "match", recipe))
    _train(step, config, directory, resume, minutes, dry, following)


@train_app.command("gan")
@readable
def train_gan(
    recipe: Recipe = "dmmgan-aviary",
    out: Out = None,
    match: Annotated[
        Path | None, typer.Option(help="Run directory of `dmm train match`; runs/<recipe>-match, of Aviary's birds runs/aviary-match.")
    ] = None,
    caption: Annotated[
        Path | None, typer.Option(help="Run directory of `dmm train caption`; runs/<recipe>-caption if STREAM's loss is on or it is there.")
    ] = None,
    resume: Resume = False,
    minutes: Minutes = None,
    dry: Dry = False,
    overrides: Overrides = None,
) -> None:
    """Train the generator against its discriminators and the text losses.

    Example: dmm train gan --dry-run

    Example: dmm train gan --set source=cats --match runs/cats-match --caption runs/cats-caption --out runs/cats-gan

    Example: dmm train gan --out runs/cats-gan --resume, with the settings that the run was begun with
    """
    from dmm.recipes import encoders
    from dmm.training.adversarial import GanStep

    config = _config(recipe, "gan", overrides)
    readers = encoders(recipe)
    directory, usual = out or Path("runs") / f"{recipe}-gan", Path("runs") / f"{readers}-caption"
    match = match or Path("runs") / f"{readers}-match"
    if caption is None and (config.train.stream or usual.exists()):
        caption = usual
    if 0 < config.train.steps <= config.train.initial_steps:
        typer.echo(
            f"note: all {config.train.steps} steps train the {config.data.sizes[0]} px picture alone, the larger ones stay as they were "
            f"(train.initial_steps={config.train.initial_steps}); for all sizes: "
            f"--set initial_steps={config.train.steps // 2} --set frozen_steps={config.train.steps // 3}",
            err=True,
        )
    following = f"dmm generate CAPTION --model {directory}; python app.py {directory}"
    _earlier(match, "match", readers)
    if caption is not None and config.train.stream:
        _earlier(caption, "caption", readers)
    step = GanStep(config, match, caption)
    _train(step, config, directory, resume, minutes, dry, following)


@train_app.command("all")
@readable
def train_all(
    recipe: Annotated[str | None, typer.Option(help="A name of `dmm list`; by default dmmgan-aviary, or the one to go on with.")] = None,
    out: Annotated[Path | None, typer.Option(help="Directory of the whole; the default is runs/<recipe>.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Pass over finished parts and go on with the next, with the same settings.")
    ] = False,
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
    from dmm.training.sequence import Sequence, part_names, read_plan, result, settings_of

    directory = out or Path("runs") / (recipe or "dmmgan-aviary")
    plan = (resume and read_plan(directory)) or {"recipe": recipe or "dmmgan-aviary", "settings": []}
    recipe, settings = recipe or plan["recipe"], plan["settings"] + [text for text in overrides or [] if text not in plan["settings"]]
    names = part_names(recipe, _config(recipe, "gan", settings_of("gan", settings)))
    configs = {name: _config(recipe, name, settings_of(name, settings)) for name in names}
    sequence = Sequence(recipe, settings, directory, configs, _command(), typer.echo)
    if dry:
        sequence.dry_run()
    elif sequence.run(resume, minutes):
        typer.echo(f"{result(directory)}\n  next: dmm generate CAPTION --model {directory / 'gan'}; python app.py {directory / 'gan'}")


def _painter(model: str, device: str):
    """A model ready to paint. On a GPU it multiplies in full fp32, so that its pictures are a processor's up to rounding."""
    import torch

    from dmm.checkpoint import load
    from dmm.training.ranks import find_device

    place = find_device(device, "--device")
    torch.backends.cudnn.allow_tf32 = False
    return load(model, place).folded()


@app.command()
@readable
def generate(
    caption: Annotated[list[str], typer.Argument(help="One or more sentences.")],
    model: Annotated[str, typer.Option(help="A shipped name or a run directory.")] = "dmmgan-aviary",
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("generated"),
    save_trace: Annotated[bool, typer.Option("--trace", help="Also write trace.npz: everything the memory did.")] = False,
    device: Device = "auto",
) -> None:
    """Paint captions: writes <nn>-64.png, -128.png, -256.png for each, and prints what STREAM reads back.

    Example: dmm generate "a small red bird with black wings" --seed 3

    Example: dmm generate "a grey cat" "a black cat asleep" --model runs/cats-gan --out cats-painted
    """
    from dmm.images import save

    trace = _painter(model, device)(caption, seed=seed)
    for b, sentence in enumerate(caption):
        typer.echo(sentence)
        for stage in trace.stages:
            path = out / f"{b:02d}-{stage.size}.png"
            save(stage.image[b], path)
            typer.echo(f"  {path}" + (f"  {stage.redescription[b]}" if stage.redescription else ""))
    if save_trace:
        trace.save(out / "trace.npz")


@app.command()
@readable
def convert(
    paths: Annotated[list[Path], typer.Argument(metavar="[FILE] OUT", help="A published .pth or .safetensors, and the folder to fill.")],
    system: Annotated[str | None, typer.Option(help="Its system, a name of `dmm list`; once is enough for a folder.")] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="What FILE holds: generator, text_encoder, image_encoder, caption_encoder, caption_decoder, discriminator64, "
            "discriminator128 or discriminator256."
        ),
    ] = None,
    vocab: Annotated[Path | None, typer.Option(help="The data set's captions.pickle; read, never run.")] = None,
) -> None:
    """Turn published weights into a checkpoint: each call adds a network, or the vocabulary, to OUT/model.safetensors, or changes nothing.

    Files are never unpickled; all sizes are read from the shapes. A generator, its text encoder and its captions.pickle make a checkpoint
    that paints; the other networks are for `dmm evaluate` and for training.

    Example, DM-GAN's birds:

      dmm convert --system dmgan --network generator bird_DMGAN.pth dmgan-birds

      dmm convert --network text_encoder text_encoder200.pth dmgan-birds

      dmm convert --vocab captions.pickle dmgan-birds

      dmm generate "a small red bird" --model dmgan-birds
    """
    from dmm.convert.keys import ConvertError
    from dmm.convert.upstream import convert as join

    if len(paths) > 2:
        raise ConvertError(f"expected [FILE] OUT, found {len(paths)} paths: {', '.join(map(str, paths))}")
    out, file = paths[-1], paths[0] if len(paths) == 2 else None
    folder = join(out, system, network, file, vocab)
    typer.echo(f"{out}: {folder.config.system} with {', '.join(folder.card['converted'])}")
    lacks = folder.lacks()
    typer.echo(f"  to paint it still needs {', '.join(lacks)}" if lacks else f'  try: dmm generate "a small red bird" --model {out}')


def _systems() -> dict[str, dict]:
    """What there is to say of each system."""
    import torch

    from dmm.models.registry import create_model, list_models
    from dmm.recipes import names, recipe

    found = {}
    for entry in list_models():
        recipes = [name for name in names() if name.startswith(entry.name + "-") and recipe(name).model.system == entry.name]
        published = f"{entry.name}-cub" if f"{entry.name}-cub" in recipes else next(iter(recipes), None)
        count = None
        if published:
            with torch.device("meta"):
                count = sum(p.numel() for p in create_model(recipe(published).model).parameters())
        about = {"paper": entry.paper, "adds": entry.adds, "parameters": count, "parameters_of": published}
        found[entry.name] = about | {"losses": list(entry.losses), "recipes": recipes}
    return found


def _settings() -> dict[str, dict[str, str]]:
    """Every key of --set: its default, and the phrase that stands beside it in :mod:`dmm.config`."""
    from dmm.config import Config, to_dict

    found = {}
    for section, values in to_dict(Config()).items():
        source = inspect.getsource(type(getattr(Config(), section)))
        for name, value in values.items():
            meaning = re.search(rf"^    {name}: .*?  # (.*)$", source, re.MULTILINE)
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            shown = shown.lower() if isinstance(value, bool) else shown
            found[f"{section}.{name}"] = {"default": shown, "meaning": meaning[1] if meaning else ""}
    return found


@app.command("list")
@readable
def list_all(
    settings: Annotated[bool, typer.Option("--settings", help="Name what --set can change instead: default, meaning, unit.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Name the systems (paper, what each adds, parameters, losses, recipes), all recipes and the shipped checkpoints.

    Example: dmm list

    Example: dmm list --settings | grep rate
    """
    from dmm.checkpoint import FILE, assets
    from dmm.recipes import describe, names

    if settings:
        known = _settings()
        typer.echo(json.dumps(known) if as_json else "\n".join(f"{k}={v['default']}  {v['meaning']}" for k, v in known.items()))
        return
    shipped = sorted(p.parent.name for p in (assets() / "checkpoints").glob(f"*/{FILE}"))
    found = {"systems": _systems(), "recipes": {n: describe(n) for n in names()}, "checkpoints": shipped}
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo("systems:")
    for name, about in found["systems"].items():
        size = (
            f"{about['parameters'] / 1e6:.1f} million in the generator of {about['parameters_of']}" if about["parameters"] else "no recipe"
        )
        typer.echo(f"  {name}  {about['paper']}")
        for label, text in (
            ("adds", about["adds"]),
            ("parameters", size),
            ("losses", ", ".join(about["losses"])),
            ("recipes", ", ".join(about["recipes"])),
        ):
            typer.echo(f"    {label + ':':<12}{text or '-'}")
    for section in ("recipes", "checkpoints"):
        typer.echo(f"{section}:")
        for entry in found[section]:
            typer.echo(f"  {entry}" + (f"  {found[section][entry]}" if section == "recipes" else ""))


@train_app.command("judge")
@readable
def train_judge(
    out: Annotated[Path, typer.Option(help="Directory for judge.safetensors.")] = Path("runs/aviary-judge"),
    images: Annotated[int, typer.Option(help="Rendered training birds.")] = 10000,
    steps: Annotated[int, typer.Option(help="Optimiser steps.")] = 900,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.")] = 0,
) -> None:
    """Train the judge that reads attributes from pictures, on rendered birds only.

    Example: dmm train judge --out runs/aviary-judge
    """
    from dmm.metrics.judge import train_judge as train

    card = train(out, images, steps, seed, command=_command(), progress=sys.stderr.isatty())
    typer.echo(json.dumps(card["unseen_species"], indent=1))


@app.command()
@readable
def evaluate(
    model: Annotated[str, typer.Argument(help="A shipped name or a run directory.")] = "dmmgan-aviary",
    captions: Annotated[int, typer.Option(help="Captions of the 50 unseen species.")] = 2000,
    seed: Annotated[int, typer.Option(help="Sample i draws its noise from seed + i.")] = 100,
    metrics: Annotated[str | None, typer.Option(help="Comma-separated; all but diversity and memory by default.")] = None,
    judge: Annotated[Path | None, typer.Option(help="Directory of the judge; the shipped one by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON here.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write the first 16 pictures here.")] = None,
    device: Device = "auto",
) -> None:
    """Measure a model on Aviary: attribute agreement, Fréchet distance, R-precision, caption F1, each with ceiling and floor.

    Only of use for models of Aviary's birds; of others it says how far they are from these birds.

    `--metrics memory` measures what the memory does: how much of a word's effect passes through it, and where words are read.

    Example: dmm evaluate dmmgan-aviary --captions 2000 --out assets/results/dmmgan-aviary.json

    Example: dmm evaluate dmmgan-aviary --metrics memory --captions 200
    """
    from dmm.config import ConfigError
    from dmm.images import write_atomic
    from dmm.metrics import METRICS
    from dmm.metrics import evaluate as measure
    from dmm.pipeline import CaptionError

    chosen = tuple(metrics.split(",")) if metrics else METRICS
    try:
        pipe = _painter(model, device)
        result = measure(pipe, captions, seed, chosen, judge=judge, sheet=sheet, command=_command(), progress=sys.stderr.isatty())
    except CaptionError as error:
        raise ConfigError(f"{model}: trained on other words than those of Aviary's birds, which are what is measured") from error
    text = json.dumps(result, indent=1)
    if out:
        write_atomic(out, text.encode() + b"\n")
    typer.echo(text)


@data_app.command("aviary")
@readable
def data_aviary(
    images: Annotated[int, typer.Option(help="Pictures over all 200 species.")],
    out: Annotated[Path, typer.Option(help="The data set's directory.")],
    size: Annotated[int, typer.Option(help="Side of a picture, px.")] = 304,
    seed: Annotated[int, typer.Option(help="Same seed, same birds.")] = 0,
    level: Annotated[str, typer.Option(help="garden (perched songbirds) or world (all shapes, poses and places).")] = "garden",
    workers: Annotated[int | None, typer.Option(help="Processes that draw; one a processor core by default, as far as that helps.")] = None,
) -> None:
    """Write Aviary to disk in the layout of CUB-200-2011, with part masks and captions. Stopped runs go on where they were.

    Example: dmm data aviary --images 2000 --out data/aviary
    """
    from dmm.data.aviary.disk import write

    typer.echo(f"{write(out, images, size, seed, level, workers=workers)}: {images} pictures")


@data_app.command("sheet")
@readable
def data_sheet(
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("aviary-sheet.png"),
    count: Annotated[int, typer.Option(help="Birds.")] = 24,
    columns: Annotated[int, typer.Option(help="Birds in a row.")] = 6,
    size: Annotated[int, typer.Option(help="Side of a bird's picture, px.")] = 256,
    seed: Annotated[int, typer.Option(help="Same seed, same birds.")] = 0,
    level: Annotated[str, typer.Option(help="garden or world.")] = "garden",
    split: Annotated[str, typer.Option(help="train (150 species) or test (the other 50).")] = "train",
) -> None:
    """Draw a contact sheet: birds with their captions.

    Example: dmm data sheet --level world --out sheet.png
    """
    from dmm.data.aviary.sheet import sheet
    from dmm.images import save

    save(sheet(count, columns, size, seed, level, split), out)
    typer.echo(str(out))


@app.command()
@readable
def bench(
    only: Annotated[str | None, typer.Option(help="One system of `dmm list`, or aviary, the painter; the default is every system.")] = None,
    sizes: Annotated[str, typer.Option(help="Some of small, aviary, published.")] = "small,aviary,published",
    seconds: Annotated[float, typer.Option(help="Time for each measurement.")] = 10.0,
    batch: Annotated[int | None, typer.Option(help="Pictures at a time; by default 4, on a GPU 32.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the figures here; a run of all goes to assets/results/bench-<machine>.json.")
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the fast path's blocks, which takes minutes; not timed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Time every system on this machine, painting and training, beside a plain path with the same results.

    Columns: images a second of both paths, their ratio, the share of the arithmetic that this machine was measured to do, memory.
    Exit code 1 if the two paths paint different pictures.

    Example: dmm bench

    Example: dmm bench --only dmmgan --sizes small --seconds 1

    Example: dmm bench --only aviary
    """
    from dmm.checkpoint import assets
    from dmm.config import ConfigError
    from dmm.images import write_atomic
    from dmm.training import bench as measure

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
    result |= {"command": _command()}
    typer.echo(json.dumps(result, indent=1) if as_json else text)
    if out:
        write_atomic(out, json.dumps(result, indent=1).encode() + b"\n")
    if not all(row["sampling"]["equal"] for row in result["rows"] if "sampling" in row):
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
