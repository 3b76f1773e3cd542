"""Reading CUB-200-2011 and whatever has its layout (Aviary on disk): lists by id, a bounding box a picture, its sentences in a file.

How its pictures are cut is said in :mod:`dmm.data.transforms`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from dmm.data.sources import Problem, Source, SourceError, once
from dmm.data.transforms import Box
from dmm.files import FileError, below, lines_in, printable, read_text, shown

TEXT_FOLDERS = ("text", "text_c10")  # one file a picture, one sentence a line


class LayoutError(SourceError):
    """A file that is missing or is not as CUB's layout has it: which line, what was expected, what was found."""


def lines_of(path: Path, expected: str, columns: int) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each line that is not empty; the last field is the rest of the line, blanks and all."""
    if not path.is_file():
        raise LayoutError(f"{path}: this file is missing; expected lines of {expected}")
    try:
        text = read_text(path)
    except FileError as error:
        raise LayoutError(str(error)) from error
    for number, line in enumerate(lines_in(text), 1):
        if not line.strip():
            continue
        fields = line.split(maxsplit=columns - 1)
        if len(fields) < columns:
            raise LayoutError(f"{path}:{number}: expected {expected}, found {shown(line)}")
        yield number, fields


def numbers_of(path: Path, expected: str, columns: int, kind=int) -> dict[int, list]:
    """Id -> the other numbers of the line."""
    values: dict[int, list] = {}
    for number, fields in lines_of(path, expected, columns):
        try:
            key, rest = int(fields[0]), [kind(field) for field in fields[1:]]  # a further field makes the last one no number
            if not all(map(math.isfinite, rest)) or any("_" in field for field in fields):  # Python takes 1_0 for 10
                raise ValueError
        except (ValueError, OverflowError):
            raise LayoutError(f"{path}:{number}: expected {expected}, found {shown(' '.join(fields))}") from None
        if key in values:
            raise LayoutError(f"{path}:{number}: id {key} stands here a second time")
        values[key] = rest
    return values


def _folder(root: Path) -> Path | None:
    return next((folder for folder in (root, root / "CUB_200_2011") if (folder / "images.txt").is_file()), None)


def matches(root: Path) -> bool:
    """Whether a folder holds CUB-200-2011, or is it."""
    return _folder(root) is not None


def text_folder(*roots: Path) -> Path | None:
    """The first folder with a text file for each picture."""
    return next((folder for root in roots for name in TEXT_FOLDERS if (folder := root / name).is_dir()), None)


def read(root: Path) -> Source:
    """CUB-200-2011 as downloaded, with the ten captions a picture of ``text/`` or ``text_c10/`` in it or beside it.

    The split is that of ``testclasses.txt`` where there is one (the caption archive has it: 50 unseen classes, as published text-to-image
    work splits CUB), else that of ``train_test_split.txt``.

    Raises:
        SourceError: no captions at all, or a list that cannot be read.
    """
    folder = _folder(root) or root
    texts = text_folder(folder, root, root.parent)
    if texts is None:
        raise LayoutError(f"{root}: CUB's pictures without captions; expected the folder text/<class>/<image>.txt in it or beside it")
    source = Source("CUB-200-2011", root, own_classes=True, numbered="image_class_labels.txt")
    labels = numbers_of(folder / "image_class_labels.txt", "<image id> <class id>", 2)
    boxes = numbers_of(folder / "bounding_boxes.txt", "<image id> <x> <y> <width> <height>", 5, float)
    test = _test_classes(folder, texts.parent, folder, source=source)
    training = numbers_of(folder / "train_test_split.txt", "<image id> <1 or 0>", 2) if test is None else {}
    source.notes.append("split: train_test_split.txt" if test is None else f"split: testclasses.txt, {len(test)} classes for testing")
    names = images_of(folder / "images.txt", source)
    tables = {"image_class_labels.txt": labels, "bounding_boxes.txt": boxes, "train_test_split.txt": training}
    source.problems += _without_picture(folder, tables)
    for image, name in names.items():
        lacking = [file for file, table in (("image_class_labels.txt", labels), ("bounding_boxes.txt", boxes)) if image not in table]
        lacking += ["train_test_split.txt"] if test is None and image not in training else []
        if lacking:
            source.problems += [Problem(file, f"no line for picture {image} ({printable(name)})") for file in lacking]
            continue
        seen = Path(name).parts[0] not in test if test is not None else _flag(training, image, folder)
        stem, split = str(Path(name).with_suffix("")), "train" if seen else "test"
        text, box = texts / f"{stem}.txt", Box(*boxes[image])
        source.add(stem, folder / "images" / name, source.sentences(text, lenient=True), labels[image][0], split, box, source.name(text))
    return source


def _without_picture(folder: Path, tables: Mapping[str, Mapping[int, list]]) -> Iterator[Problem]:
    """The lists that know pictures of which ``images.txt`` says nothing, as when it was cut short."""
    listed = {key for _, (key, _) in lines_of(folder / "images.txt", "<image id> <path>", 2)}
    for file, table in tables.items():
        strange = [image for image in table if str(image) not in listed]
        if strange:
            yield Problem(file, f"holds {len(strange)} pictures that images.txt lacks, {shown(strange)}; is one of the two cut short?")


def images_of(path: Path, source: Source) -> dict[int, str]:
    """Id -> name of each picture that can be told apart; names stay inside the folder."""
    pairs = []
    for number, (key, name) in lines_of(path, "<image id> <path>", 2):
        if not key.isdecimal():
            raise LayoutError(f"{path}:{number}: expected <image id> <path>, found {shown(key + ' ' + name)}")
        try:
            below(path.parent / "images", name, "path")
            pairs.append((int(key), name))
        except FileError as error:
            source.problems.append(Problem(f"{path.name}:{number}", str(error)))

    def say(image: object, names: list) -> None:
        source.problems.append(Problem(path.name, f"id {image} stands at {len(names)} pictures, {shown(names)}; none of them is used"))

    return once(pairs, say)


def _flag(training: dict[int, list], image: int, folder: Path) -> bool:
    """Whether ``train_test_split.txt`` says that a picture is trained on."""
    value = training[image][0]
    if value not in (0, 1):
        raise LayoutError(f"{folder / 'train_test_split.txt'}: picture {image}: expected 1 (training) or 0 (testing), found {value}")
    return value == 1


def _test_classes(folder: Path, *roots: Path, source: Source) -> set[str] | None:
    """Folder names of the classes that ``testclasses.txt`` lists by name or by number; None without one.

    Raises:
        LayoutError: it names none of the data set's classes: all pictures would be trained on.
    """
    path = next((path for root in roots if (path := root / "testclasses.txt").is_file()), None)
    if path is None:
        return None
    known = {Path(name).parts[0] for _, (_, name) in lines_of(folder / "images.txt", "<image id> <path>", 2) if Path(name).parts}
    by_number = {int(prefix): name for name in known if (prefix := name.partition(".")[0]).isdecimal()}
    found = set()
    for number, (line,) in lines_of(path, "a class", 1):
        line = line.strip()
        name = by_number.get(int(line)) if line.isdecimal() and len(line) < 10 else line
        name = line.split()[-1] if name not in known else name  # "<number> <name>", as in classes.txt
        if name in known:
            found.add(name)
        else:
            source.problems.append(Problem(f"{path.name}:{number}", f"no class {shown(line)} in images.txt"))
    if not found:
        some = ", ".join(sorted(known)[:3])
        raise LayoutError(f"{path}: expected classes of images.txt by name or number ({printable(some)}, ...), found none of them")
    return found
