"""COCO 2014 and 2017 as downloaded: ``annotations/captions_<part><year>.json`` and the pictures in ``<part><year>/``.

The training part is trained on, the validation part is the test split, as in published text-to-image work. COCO has no classes of
pictures: each is one of its own.
"""

from __future__ import annotations

import json
from pathlib import Path

from dmm.data.sources import Problem, Source, SourceError

YEARS = ("2017", "2014")
PARTS = {"train": "train", "val": "test"}


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
    names, captions = _annotations(path)
    for image, name in names.items():
        source.add(
            f"{part}{year}/{Path(name).stem}", folder / name, captions.get(image, []), None, split, said=f"{path.name}, image {image}"
        )
    strays = len(captions.keys() - names.keys())
    if strays:
        source.problems.append(Problem(source.name(path), f"captions of {strays} pictures that are not in its list"))


def _annotations(path: Path) -> tuple[dict[int, str], dict[int, list[str]]]:
    """(image id -> file name, image id -> captions)."""
    expected = (
        f"{path}: expected COCO captions, a JSON object with the lists 'images' (id, file_name) and 'annotations' (image_id, caption)"
    )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {image["id"]: image["file_name"] for image in content["images"]}
        captions: dict[int, list[str]] = {}
        for row in sorted(content["annotations"], key=lambda row: row.get("id", 0)):
            captions.setdefault(row["image_id"], []).append(row["caption"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{expected} ({type(error).__name__}: {error})") from error
    if not all(isinstance(text, str) for text in [*names.values(), *(t for texts in captions.values() for t in texts)]):
        raise SourceError(f"{expected}; found a file name or caption that is no string")
    return names, captions
