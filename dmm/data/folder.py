"""One's own pictures: a folder of images with ``metadata.jsonl`` or ``metadata.csv``, the imagefolder convention.

    cats/metadata.jsonl     {"file_name": "one.jpg", "text": "a grey cat on a red chair"}
                            {"file_name": "two.jpg", "text": ["a black cat", "a small black cat that sleeps"]}
    cats/one.jpg, cats/two.jpg

or, as a table (one caption a row; several rows for one picture are several captions)

    file_name,text
    one.jpg,a grey cat on a red chair

``image``, ``path`` and the like are read as ``file_name``, and ``caption``, ``prompt`` and the like as ``text``
(:data:`~dmm.data.folder_names.COLUMNS`). The metadata may also lie in ``train/`` and ``test/`` (or ``validation/``), each beside its own
pictures; pictures of such folders are of their split unless the metadata above says another. Optional columns: ``split`` ("train" or
"test"), ``label`` (pictures of one label are not told apart in matching) and ``bbox``
([x, y, width, height] px, or four numbers in a table cell; cut as the published birds are). ``train.txt`` and ``test.txt`` may list the
names of each split (:mod:`~dmm.data.split_lists`). Without a split, everything is trained on.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path

from dmm.data.folder_names import COLUMNS, ENDINGS, SPLITS, folder_split
from dmm.data.sources import Problem, Source, SourceError
from dmm.data.split_lists import assign
from dmm.data.transforms import Box
from dmm.files import FileError, below, limit, lines, read_text, shown

FILES = ("metadata.jsonl", "metadata.csv")
NOTHING = {"nan", "none", "null", "n/a"}  # what programs write into a table for a caption that there is not
MOST_LINES = 50  # of one row of a table; a quote that closes later, or never, was not meant as one


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
    listed = set(entries)
    splits = {picture: entry["split"] or folder_split(root, picture) for picture, entry in entries.items() if not entry["against"]}
    used = assign(source, splits)
    _note_unread(source, entries)
    _leave_out_contradictions(source, entries)
    labels = {label: number for number, label in enumerate(sorted({e["label"] for e in entries.values() if e["label"] is not None}))}
    source.own_classes = bool(labels)
    for picture, entry in entries.items():
        if picture not in used:
            continue
        class_id = labels.get(entry["label"], len(labels) + len(source)) if labels else None
        key = str(Path(source.name(picture)).with_suffix(""))
        source.add(key, picture, entry["captions"], class_id, splits[picture] or "train", entry["box"], entry["where"])
    for folder in dict.fromkeys(path.parent for path, _ in tables):
        strays = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in ENDINGS and p not in listed]
        source.problems += [Problem(source.name(stray), "a picture that the metadata does not name") for stray in strays]
        listed |= set(strays)
    return source


def _rows(path: Path, source: Source) -> Iterator[tuple[int, dict]]:
    """(line number, fields) of each row; lines that are no row become problems."""
    found = _table(path) if path.suffix == ".csv" else lines(path)
    for number, row in found:
        if isinstance(row, dict):
            yield number, row
        else:
            said = str(row).partition(": ")[2] if isinstance(row, FileError) else f"expected a JSON object, found a {type(row).__name__}"
            source.problems.append(Problem(f"{source.name(path)}:{number}", said))


def _table(path: Path) -> Iterator[tuple[int, dict | FileError]]:
    """(line number, fields) of each row of a table, or what is wrong with it."""
    records = _records(io.StringIO(read_text(path, limit("json_bytes")), newline="").readlines())
    number, header = next(records, (1, []))
    if isinstance(header, FileError):
        raise SourceError(f"{path}:{header}")
    header = [name.strip() for name in header]
    lacking = [name for name, columns in COLUMNS.items() if not set(columns) & set(header)]
    if lacking:
        raise SourceError(f"{path}: expected the columns file_name and text in the first line, found {shown(','.join(header))}")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise SourceError(f"{path}: the column {shown(twice)} stands twice; several captions of a picture are several rows")
    for number, cells in records:
        if isinstance(cells, list) and len(cells) != len(header):
            hint = "; a caption with a comma stands in quotes" if len(cells) > len(header) else ""
            cells = FileError(f"line {number}: expected {len(header)} cells as in the first line, found {len(cells)}{hint}")
        yield number, dict(zip(header, cells, strict=True)) if isinstance(cells, list) else cells


def _records(text: list[str]) -> Iterator[tuple[int, list[str] | FileError]]:
    """(number of its first line, cells) of each row of a table; after a row that cannot be read, the next line begins a row.

    Args:
        text: the lines, with their ends.
    """
    header = text[0] if text else ""
    delimiter = next((mark for mark in ",;\t" if mark in header), ",")  # spreadsheets write ; in some countries
    place = 0
    while place < len(text):
        taken = text[place : place + MOST_LINES]
        reader = csv.reader(taken, delimiter=delimiter, strict=True)
        cells: list[str] | FileError
        try:
            cells, used = next(reader), reader.line_num
            pasted = next((line for line in taken[1:used] if _begins_row(line, delimiter)), None)
            if pasted is not None:
                raise csv.Error(f"a quote that closes only after the next row, {shown(pasted.strip())}")
        except csv.Error as error:
            said = str(error).replace("unexpected end of data", f"a quote that does not close within {MOST_LINES} lines")
            cells, used = FileError(f"line {place + 1}: cannot be read: {said}"), 1
        if cells:
            yield place + 1, cells
        place += used


def _begins_row(line: str, delimiter: str) -> bool:
    """Whether a line inside a quoted cell looks like a row of its own: it begins with the name of a picture."""
    return line.partition(delimiter)[0].strip().strip('"').lower().endswith(ENDINGS)


def _gather(source: Source, entries: dict[Path, dict], table: Path, where: str, row: dict, split: str | None) -> None:
    """Add one row to its picture's entry; a row that cannot be used becomes a problem."""
    try:
        names = {name: next((column for column in columns if column in row), name) for name, columns in COLUMNS.items()}
        picture, captions = below(table.parent, row.get(names["file_name"]), names["file_name"]), _captions(row, names["text"])
        found = {"split": _split(row.get("split"), split), "label": _label(row.get("label")), "box": _box(row.get("bbox"))}
    except ValueError as error:
        source.problems.append(Problem(where, str(error)))
        return
    entry = entries.setdefault(picture, {"captions": [], "where": where, "against": {}, "unread": set()} | found)
    entry["unread"] |= row.keys() - {*names.values(), "split", "label", "bbox"}
    entry["captions"] += [text for text in captions if text not in entry["captions"]]
    for name, value in found.items():
        if entry[name] is None:
            entry[name] = value
        elif value is not None and value != entry[name]:
            entry["against"][name] = (where, value)


def _leave_out_contradictions(source: Source, entries: dict[Path, dict]) -> None:
    """Pictures whose rows say different things of them are not used."""
    for picture in [picture for picture, entry in entries.items() if entry["against"]]:
        entry = entries.pop(picture)
        for name, (where, value) in entry["against"].items():
            what = f"{name}: {shown(value)} contradicts {shown(entry[name])} of the same picture at {entry['where']}; it is not used"
            source.problems.append(Problem(where, what))


def _note_unread(source: Source, entries: dict[Path, dict]) -> None:
    """Say which columns are not used: one may have been meant as captions."""
    unread = sorted({shown(name) for entry in entries.values() for name in entry["unread"]})
    if unread:
        more = f" and {len(unread) - 5} more" if len(unread) > 5 else ""
        source.notes.append(f"columns that are not read: {', '.join(unread[:5])}{more}")


def _split(value, said: str | None) -> str | None:
    """What a row says of its split, which may not contradict its folder; None where nothing is said."""
    if value is None or value == "" or isinstance(value, str) and not value.strip():
        return said
    found = SPLITS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise FileError(f"split: expected train or test, found {shown(value)}")
    if said not in (None, found):
        raise FileError(f"split: {shown(value)} contradicts the folder, which is of the {said} split")
    return found


def _label(value) -> str | None:
    """What pictures of one kind have in common; 0 and false are labels as well, nothing is none."""
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise FileError(f"label: expected a string or a number, found {shown(value)}")
    return (str(value).strip() or None) if value is not None else None


_LISTED = re.compile(r"""\[\s*(["']).*\1\s*\]""", re.DOTALL)  # ['one', 'two'], as Python and JSON write lists


def _text(row: dict, name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip() or value.strip().lower() in NOTHING:
        raise FileError(f"{name}: expected a string, found {'nothing' if value in (None, '') else shown(value)}")
    if _LISTED.fullmatch(value.strip()):
        raise FileError(f"{name}: expected one caption, found a list written as text, {shown(value)}; several captions are several rows")
    return value.strip()


def _captions(row: dict, name: str) -> list[str]:
    value = row.get(name)
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return value
    if isinstance(value, list):
        raise FileError(f"{name}: expected a string or a list of strings, found {shown(value)}")
    return [_text(row, name)]


def _box(value) -> Box | None:
    if value is None or value == [] or isinstance(value, str) and not value.strip():
        return None
    try:
        numbers = value.strip("[]() ").replace(",", " ").split() if isinstance(value, str) else value
        box = Box(*(float(v) for v in numbers if not isinstance(v, bool)))
    except (TypeError, ValueError, OverflowError):
        box = None
    if box is None or not (all(map(math.isfinite, box)) and box.width >= 1 and box.height >= 1):
        raise FileError(f"bbox: expected x, y, width, height in px, found {shown(value)}")
    return box
