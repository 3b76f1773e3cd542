"""One's own pictures with their captions beside them: a text file of the same name for each picture, one caption a line.

    cats/one.jpg    cats/one.txt
    cats/two.png    cats/two.txt

In subfolders too; pictures below ``train/`` and ``test/`` (or ``validation/``) are of that split. ``train.txt`` and ``test.txt`` in the
folder may list the names of each (:mod:`dmm.data.split_lists`). Without a split, everything is trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from dmm.data.folder_names import ENDINGS, SPLITS, folder_split
from dmm.data.sources import Problem, Source, SourceError
from dmm.data.split_lists import assign

LOOKED = 2000  # files that are looked at to find out whether a folder is of this kind


def _pictures(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.suffix.lower() in ENDINGS)


def matches(root: Path) -> bool:
    """Whether a picture has a text file beside it."""
    return any(path.with_suffix(".txt").is_file() for path in islice(_pictures(root), LOOKED))


def read(root: Path) -> Source:
    """A folder of pictures with a text file beside each.

    Raises:
        SourceError: no picture with a text file, or lists of a split that cannot be read.
    """
    found = sorted(_pictures(root))
    if not any(path.with_suffix(".txt").is_file() for path in found):
        raise SourceError(f"{root}: expected a text file beside each picture, found none")
    source = Source("pictures with a text file beside each", root, upright=True)
    splits = {picture: folder_split(root, picture) for picture in found}
    used = assign(source, splits)
    texts: dict[Path, list[Path]] = {}
    for picture in found:
        texts.setdefault(picture.with_suffix(".txt"), []).append(picture)
    for text, pictures in texts.items():
        if len(pictures) > 1:
            names = " and ".join(path.name for path in pictures)
            source.problems.append(Problem(source.name(text), f"stands beside {names}; whose captions these are is not known"))
            continue
        picture = pictures[0]
        if picture not in used:
            continue
        key = str(Path(source.name(picture)).with_suffix(""))
        source.add(key, picture, source.sentences(text), None, splits[picture] or "train", said=source.name(text))
    known = set(texts) | {root / f"{name}.txt" for name in SPLITS}
    strays = [path for path in sorted(root.rglob("*.txt")) if path not in known]
    source.problems += [Problem(source.name(path), "captions without a picture") for path in strays]
    return source
