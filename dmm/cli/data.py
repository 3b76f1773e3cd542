"""``dmm data``: from a folder of pictures to what training reads, and Aviary.

Exit code 0: fine; 1: problems were found (check), or a broken picture stopped the work (prepare); 2: nothing that can be used.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from dmm.cli.errors import readable
from dmm.errors import InputError
from dmm.files import printable

DATA = """Check and prepare data sets; draw Aviary.

  dmm data check cats

  dmm data prepare cats
"""

app = typer.Typer(no_args_is_help=True, help=DATA)

MOST = 20  # problems listed one by one
WHOLE = 400  # characters of what is said of each
BATCH = 8  # pictures a step, for the sentence about an epoch

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The data set's folder, or a .zip of it; its layout is found out.")]
Layout = Annotated[str | None, typer.Option(help="preprocessed, cub, coco, folder or beside, if two layouts are in one folder.")]
Workers = Annotated[int | None, typer.Option(min=1, max=1024, help="Processes that decode; one a core by default, as far as that helps.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


def _bar() -> bool:
    return sys.stderr.isatty()


def _several(count: int, thing: str, ending: str = "s") -> str:
    return f"{count:,} {thing}" + ("" if count == 1 else ending)


def _lines(found: dict) -> list[str]:
    """A report of :func:`dmm.data.sources.check` as one screen."""
    low, high = found["captions_a_picture"]
    shortest, mean, longest = found["words_a_caption"]
    each = f"{low}" if low == high else f"{low} to {high}"
    classes = _several(found["classes"], "class", "es") if found["classes"] else "none; each picture is one of its own"
    boxes = f"around {_several(found['boxes'], 'bounding box', 'es')}" if found["boxes"] else "the middle of each"
    rows = [
        ("format", found["format"]),
        ("pictures", f"{found['pictures']:,}: {found['train']:,} to train on, {found['test']:,} to test"),
        ("captions", f"{found['captions']:,}, {each} a picture, of {shortest} to {longest} words (mean {mean})"),
        (
            "vocabulary",
            f"{_several(found['vocabulary'], 'word')} in the training captions; {found['unknown_test_words']:,} more only in the test ones",
        ),
        ("classes", classes),
        ("cut", boxes),
        *(("note", note) for note in found["notes"]),
    ]
    lines = [f"{name + ':':<12}{text}" for name, text in rows]
    problems = found["problems"]
    lines.append(f"{'problems:':<12}{len(problems):,}" + ("" if found["decoded"] else " (pictures were not opened: --quick)"))
    lines += [f"  {printable(problem['where'])}: {printable(problem['what'], WHOLE)}" for problem in problems[:MOST]]
    lines += [f"  and {len(problems) - MOST:,} more"] if len(problems) > MOST else []
    return lines + _would_train(found)


def _would_train(found: dict) -> list[str]:
    from dmm.data.prepared import SIZES
    from dmm.data.sources import LONG
    from dmm.data.transforms import margin

    bytes_needed = found["pictures"] * sum(3 * margin(size) ** 2 for size in SIZES)
    steps = math.ceil(found["train"] / BATCH)
    lines = [
        f"{'to train:':<12}{_several(found['train'], 'picture')} with {_several(found['train_captions'], 'caption')}; "
        f"an epoch is {_several(steps, 'step')} of {BATCH}",
        f"{'next:':<12}dmm data prepare {found['directory']}   ({bytes_needed / 1e6:,.0f} MB)",
    ]
    if found["long_captions"]:
        count = found["long_captions"]
        lines.insert(
            1,
            f"{'':<12}{_several(count, 'caption')} of more than {LONG} words; the published recipes leave some of these out, at random "
            "(model.words_limit)",
        )
    return lines


@app.command()
@readable
def check(
    directory: Folder,
    layout: Layout = None,
    quick: Annotated[bool, typer.Option("--quick", help="Do not open the pictures, only see that they are there.")] = False,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Say what a data set holds, what is missing or broken, and what would be trained. Changes nothing.

    Reads CUB-200-2011, AttnGAN's birds and coco folders, COCO 2014 and 2017, and your own pictures with metadata.jsonl or metadata.csv.

    Exit code 0: no problem; 1: problems, the rest can be trained; 2: nothing to train on.

    Example: dmm data check pictures/
    """
    from dmm.data.sources import check as look
    from dmm.data.sources import open_source
    from dmm.data.zipped import folder_of

    with folder_of(directory) as root:
        found = look(open_source(root, layout), not quick, workers, _bar()) | {"directory": str(directory)}
    if as_json:
        typer.echo(json.dumps(found))
    else:
        typer.echo("\n".join(_lines(found)))
    if not found["train"]:
        typer.echo(f"dmm: {directory}: no picture to train on", err=True)
        raise typer.Exit(2)
    if found["problems"]:
        raise typer.Exit(1)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise InputError(f"--sizes: expected whole numbers with commas between them, found {text!r}") from None


@app.command()
@readable
def prepare(
    directory: Folder,
    out: Annotated[Path | None, typer.Option(help="The prepared directory; DIR/prepared by default.")] = None,
    sizes: Annotated[str, typer.Option(help="Sides of the training pictures, px.")] = "64,128,256",
    broken: Annotated[str, typer.Option(help="Pictures that cannot be decoded: skip (counted and listed) or stop.")] = "skip",
    layout: Layout = None,
    workers: Workers = None,
    speed: Annotated[bool, typer.Option("--speed", help="Then measure how many samples a second training can read.")] = False,
    as_json: Json = False,
) -> None:
    """Decode a data set once, into arrays that training reads. A stopped run goes on where it was; after a change, run it again.

    Pictures are cut around their bounding box if they have one, and scaled to 76/64 of each size; training draws crop and mirror anew
    each time.

    Example: dmm data prepare pictures/

    Example: dmm data prepare COCO/ --out /scratch/coco --speed
    """
    from dmm.data import prepared
    from dmm.data.sources import open_source
    from dmm.data.zipped import folder_of, is_zip

    if out is None and is_zip(directory):
        out = directory.with_name(f"{directory.stem}-{prepared.FOLDER}")
    with folder_of(directory) as root:
        source = open_source(root, layout)
        source.origin = directory
        card = prepared.prepare(source, out, _sizes(sizes), broken, workers, _bar())
    place = out or directory / prepared.FOLDER
    found = card | {"directory": str(place)} | ({"speed": prepared.speed(place)} if speed else {})
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"{place}: {card['train']:,} pictures to train on, {card['test']:,} to test, {card['captions']:,} captions")
    for where, what in card["skipped"][:MOST]:
        typer.echo(f"  skipped {printable(where)}: {printable(what, WHOLE)}")
    if len(card["skipped"]) > MOST:
        typer.echo(f"  and {len(card['skipped']) - MOST:,} more")
    if card["left_out"]:
        typer.echo(f"  {_several(card['left_out'], 'further problem')}: dmm data check {directory}")
    if speed:
        rate = found["speed"]
        typer.echo(f"  {rate['samples_per_second']:,} samples/s at {card['sizes']} px, batches of {rate['batch']}, one process")
    typer.echo(f"  next: dmm train match --set source={place if out else directory}")


@app.command("aviary")
@readable
def data_aviary(
    images: Annotated[int, typer.Option(min=1, max=10**7, help="Pictures over all 200 species.")],
    out: Annotated[Path, typer.Option(help="The data set's directory.")],
    size: Annotated[int, typer.Option(min=16, max=2048, help="Side of a picture, px.")] = 304,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Same seed, same birds.")] = 0,
    level: Annotated[str, typer.Option(help="garden (perched songbirds) or world (all shapes, poses and places).")] = "garden",
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Processes that draw; one a CPU core by default, as far as that helps.")
    ] = None,
) -> None:
    """Write Aviary to disk in the layout of CUB-200-2011, with part masks and captions. Stopped runs go on where they were.

    Example: dmm data aviary --images 2000 --out data/aviary
    """
    from dmm.aviary.disk import write

    typer.echo(f"{write(out, images, size, seed, level, workers=workers)}: {images} pictures")


@app.command("sheet")
@readable
def data_sheet(
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("aviary-sheet.png"),
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Birds.")] = 24,
    columns: Annotated[int, typer.Option(min=1, max=1000, help="Birds in a row.")] = 6,
    size: Annotated[int, typer.Option(min=16, max=2048, help="Side of a bird's picture, px.")] = 256,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Same seed, same birds.")] = 0,
    level: Annotated[str, typer.Option(help="garden or world.")] = "garden",
    split: Annotated[str, typer.Option(help="train (150 species) or test (the other 50).")] = "train",
) -> None:
    """Draw a contact sheet: birds with their captions.

    Example: dmm data sheet --level world --out sheet.png
    """
    from dmm.aviary.sheet import sheet
    from dmm.images import save

    save(sheet(count, columns, size, seed, level, split), out)
    typer.echo(str(out))
