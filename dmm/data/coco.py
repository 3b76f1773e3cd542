"""COCO 2014 and 2017 as downloaded: ``annotations/captions_<part><year>.json`` and the pictures in ``<part><year>/``.

The training part is trained on, the validation part is the test split, as in published text-to-image work. COCO has no classes of
pictures: each is one of its own.
"""

from __future__ import annotations

from pathlib import Path

from dmm.data.sources import Problem, Source, SourceError, once
from dmm.files import Anything, Either, FileError, List, Table, Text, Whole, below, check, read_json, shown

YEARS = ("2017", "2014")
PARTS = {"train": "train", "val": "test"}
ID = Either((Whole(), Text()))
IMAGE = Table({"id": ID, "file_name": Text()})
ROW = Table({"image_id": ID, "caption": Text()}, {"id": ID})


def _file(root: Path, part: str, year: str) -> Path:
    return root / "annotations" / f"captions_{part}{year}.json"


def _pictures(root: Path, part: str, year: str) -> Path:
    places = [root / f"{part}{year}", root / "images" / f"{part}{year}", root / "images"]
    return next((place for place in places if place.is_dir()), places[0])


def matches(root: Path) -> bool:
    """Whether a folder has COCO's captions."""
    return any(_file(root, "train", year).is_file() for year in YEARS)


def read(root: Path) -> Source:
    """COCO's captions and pictures; of two years, the one whose training pictures are there (2017 if both).

    Raises:
        SourceError: captions that cannot be read.
    """
    years = [year for year in YEARS if _file(root, "train", year).is_file()]
    if not years:
        raise SourceError(f"{root}: expected annotations/captions_train2017.json or captions_train2014.json, found neither")
    year = next((year for year in years if _pictures(root, "train", year).is_dir()), years[0])
    source = Source(f"COCO {year}", root)
    for part, split in PARTS.items():
        _read_part(source, part, year, split)
    return source


def _read_part(source: Source, part: str, year: str, split: str) -> None:
    path, folder = _file(source.root, part, year), _pictures(source.root, part, year)
    for place in (path, folder):
        if not place.exists():
            source.problems.append(Problem(source.name(place), f"missing; the {split} split is empty"))
            return
    names, captions = _annotations(source, path)
    for image, name in names.items():
        said = f"{path.name}, image {image}"
        try:
            picture = below(folder, name)
        except FileError as error:
            source.problems.append(Problem(said, str(error)))
            continue
        source.add(f"{part}{year}/{Path(name).with_suffix('')}", picture, captions.pop(image, []), None, split, said=said)


def _annotations(source: Source, path: Path) -> tuple[dict[int, str], dict[int, list[str]]]:
    """(image id -> file name, image id -> captions); rows that cannot be used become problems."""
    expected = Table({"images": List(Anything()), "annotations": List(Anything())})
    try:
        content = read_json(path, expected)
    except FileError as error:
        wanted = "COCO captions, a JSON object with the lists 'images' (id, file_name) and 'annotations' (image_id, caption)"
        raise SourceError(f"{path}: expected {wanted} ({error})") from error

    def problem(row: object, what: str) -> None:
        source.problems.append(Problem(f"{path.name}, {row}", what))

    images, rows = _fitting(content["images"], IMAGE, "images", problem), _fitting(content["annotations"], ROW, "annotations", problem)
    names = once(
        [(image["id"], image["file_name"]) for image in images],
        lambda key, files: problem(f"image {key}", f"this id stands at {len(files)} pictures, {shown(files)}; none of them is used"),
    )
    doubtful = {image["id"] for image in images} - names.keys()
    captions: dict[int, list[str]] = {}
    for row in sorted(rows, key=lambda row: (isinstance(row.get("id"), str), row.get("id", 0))):
        captions.setdefault(row["image_id"], []).append(row["caption"])
    strays = captions.keys() - names.keys() - doubtful
    if strays:
        source.problems.append(Problem(source.name(path), f"captions of {len(strays)} pictures that are not in its list"))
    return names, captions


def _fitting(rows: list, schema: Table, name: str, problem) -> list[dict]:
    fitting = []
    for place, row in enumerate(rows):
        try:
            fitting.append(check(row, schema, "expected"))
        except FileError as error:
            problem(f"{name}[{place}]", str(error).removeprefix("expected: "))
    return fitting
