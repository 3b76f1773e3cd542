"""One's own pictures: a folder of images with ``metadata.jsonl`` or ``metadata.csv``, the imagefolder convention.

    cats/metadata.jsonl     {"file_name": "one.jpg", "text": "a grey cat on a red chair"}
                            {"file_name": "two.jpg", "text": ["a black cat", "a small black cat that sleeps"]}
    cats/one.jpg, cats/two.jpg

or, as a table (one caption a row; several rows for one picture are several captions)

    file_name,text
    one.jpg,a grey cat on a red chair

The metadata may also lie in ``train/`` and ``test/`` (or ``validation/``), each beside its own pictures. Optional columns: ``split``
("train" or "test"), ``label`` (pictures of one label are not told apart in matching) and ``bbox`` ([x, y, width, height] px, or four
numbers in a table cell; cut as the published birds are). Without a split, everything is trained on.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from dmm.data.sources import Problem, Source, SourceError
from dmm.data.transforms import Box

FILES = ("metadata.jsonl", "metadata.csv")
SPLITS = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "test", "valid": "test", "validation": "test"}
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def _tables(root: Path) -> list[tuple[Path, str | None]]:
    """(metadata file, the split that its folder says)."""
    folders = [(root, None)] + [(root / name, split) for name, split in SPLITS.items()]
    return [(path, split) for folder, split in folders for file in FILES if (path := folder / file).is_file()]


def matches(root: Path) -> bool:
    """Whether a folder has metadata."""
    return bool(_tables(root))


def read(root: Path) -> Source:
    """A folder of pictures with captions.

    Raises:
        SourceError: metadata that is no text, or a table without the columns ``file_name`` and ``text``.
    """
    tables = _tables(root)
    if not tables:
        raise SourceError(f"{root}: expected metadata.jsonl or metadata.csv, found neither")
    source = Source("pictures with " + " and ".join(dict.fromkeys(path.name for path, _ in tables)), root, upright=True)
    entries: dict[Path, dict] = {}
    for path, split in tables:
        for number, row in _rows(path, source):
            _gather(source, entries, path, f"{source.name(path)}:{number}", row, split)
    labels = {label: number for number, label in enumerate(sorted({e["label"] for e in entries.values() if e["label"]}))}
    source.own_classes = bool(labels)
    for picture, entry in entries.items():
        class_id = labels.get(entry["label"], len(labels) + len(source)) if labels else None
        key = str(Path(source.name(picture)).with_suffix(""))
        source.add(key, picture, entry["captions"], class_id, entry["split"], entry["box"], entry["where"])
    listed = set(entries)
    for folder in dict.fromkeys(path.parent for path, _ in tables):
        strays = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in ENDINGS and p not in listed]
        source.problems += [Problem(source.name(stray), "a picture that the metadata does not name") for stray in strays]
        listed |= set(strays)
    return source


def _rows(path: Path, source: Source) -> Iterator[tuple[int, dict]]:
    """(line number, fields) of each row; lines that are no row become problems."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: expected text in UTF-8, found other bytes at {error.start}; save it as UTF-8") from error
    if path.suffix == ".csv":
        yield from _table(path, text)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            row, said = None, f"expected a JSON object on each line ({error})"
        else:
            said = f"expected a JSON object, found a {type(row).__name__}"
        if isinstance(row, dict):
            yield number, row
        else:
            source.problems.append(Problem(f"{source.name(path)}:{number}", said))


def _table(path: Path, text: str) -> Iterator[tuple[int, dict]]:
    header = text.split("\n", 1)[0]
    delimiter = next((mark for mark in ",;\t" if mark in header), ",")  # spreadsheets write ; in some countries
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    lacking = [name for name in ("file_name", "text") if name not in (reader.fieldnames or [])]
    if lacking:
        raise SourceError(f"{path}: expected the columns file_name and text in the first line, found {header.strip()[:80]!r}")
    for row in reader:
        yield reader.line_num, row


def _gather(source: Source, entries: dict[Path, dict], table: Path, where: str, row: dict, split: str | None) -> None:
    """Add one row to its picture's entry; a row that cannot be used becomes a problem."""
    try:
        name, captions = _text(row, "file_name"), _captions(row)
        said = SPLITS.get(str(row.get("split") or split or "train").lower())
        if said is None:
            raise ValueError(f"split: expected train or test, found {row['split']!r}")
        box = _box(row.get("bbox"))
        picture = table.parent / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(f"file_name: expected a picture below {source.name(table.parent)}/, found {name!r}")
    except ValueError as error:
        source.problems.append(Problem(where, str(error)))
        return
    fresh = {"captions": [], "split": said, "label": str(row.get("label") or ""), "box": box, "where": where}
    entry = entries.setdefault(picture, fresh)
    entry["captions"] += [text for text in captions if text not in entry["captions"]]


def _text(row: dict, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name}: expected a string, found {'nothing' if value in (None, '') else repr(value)[:60]}")
    return value.strip()


def _captions(row: dict) -> list[str]:
    value = row.get("text")
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return value
    if isinstance(value, list):
        raise ValueError(f"text: expected a string or a list of strings, found {str(value)[:60]}")
    return [_text(row, "text")]


def _box(value) -> Box | None:
    if value in (None, "", []):
        return None
    try:
        numbers = [float(v) for v in (value.strip("[]() ").replace(",", " ").split() if isinstance(value, str) else value)]
        box = Box(*numbers)
    except (TypeError, ValueError):
        box = None
    if box is None or not (box.width >= 1 and box.height >= 1):
        raise ValueError(f"bbox: expected x, y, width, height in px, found {str(value)[:60]}")
    return box
