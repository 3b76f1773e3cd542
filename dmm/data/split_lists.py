"""``train.txt`` and ``test.txt``: lists of names that say which pictures of a folder are trained on.

One name a line, below the folder, with or without its ending. With one list, the other pictures are of the other split.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from dmm.data.folder_names import ENDINGS, SPLITS
from dmm.data.sources import Problem, Source, SourceError
from dmm.files import FileError, below, lines_in, read_text, shown

OTHER = {"train": "test", "test": "train"}


def assign(source: Source, splits: dict[Path, str | None]) -> set[Path]:
    """Give the pictures of ``splits`` their split, in place, as the lists in the data set's folder say.

    Returns:
        The pictures that can be used: those of which lists, folders and rows say one thing.

    Raises:
        SourceError: a list that is no text, or that names none of the pictures.
    """
    lists = {name: source.root / f"{name}.txt" for name in SPLITS}
    lists = {name: path for name, path in lists.items() if path.is_file() and not _is_caption(path)}
    if not lists:
        return set(splits)
    said: dict[Path, set[str]] = {picture: {split} for picture, split in splits.items() if split is not None}
    listed: set[Path] = set()
    for name, path in lists.items():
        found = _named(source, path, splits)
        if not found:
            raise SourceError(f"{path}: expected names of the folder's pictures, one a line, found none of them")
        for picture in found:
            said.setdefault(picture, set()).add(SPLITS[name])
        listed |= found
    kinds = {SPLITS[name] for name in lists}
    rest = OTHER[next(iter(kinds))] if len(kinds) == 1 else None
    used = set()
    for picture in splits:
        answers = said.get(picture) or ({rest} if rest else set())
        if len(answers) == 1:
            splits[picture] = next(iter(answers))
            used.add(picture)
        else:
            what = "both in train and in test; it is not used" if answers else "in none of the lists of the splits; it is not used"
            source.problems.append(Problem(source.name(picture), what))
    counts = Counter(splits[picture] for picture in used)
    names = " and ".join(path.name for path in lists.values())
    source.notes.append(f"split: {names}: {counts['train']} to train on, {counts['test']} to test")
    return used


def _is_caption(path: Path) -> bool:
    """Whether a picture of that name stands beside it, of which it is the captions."""
    return any(path.with_suffix(ending).is_file() for ending in ENDINGS)


def _named(source: Source, path: Path, splits: dict[Path, str | None]) -> set[Path]:
    """The pictures that a list names; lines that name none become problems."""
    by_stem: dict[Path, list[Path]] = {}
    for picture in splits:
        by_stem.setdefault(picture.with_suffix(""), []).append(picture)
    found = set()
    for number, line in enumerate(lines_in(read_text(path)), 1):
        name = line.strip()
        if not name:
            continue
        where = f"{source.name(path)}:{number}"
        try:
            place = below(source.root, name, "name")
        except FileError as error:
            source.problems.append(Problem(where, str(error)))
            continue
        pictures = [place] if place in splits else by_stem.get(place, [])
        if len(pictures) == 1:
            found.add(pictures[0])
        else:
            source.problems.append(Problem(where, f"{'no picture' if not pictures else 'several pictures'} {shown(name)}"))
    return found
