"""Reading CUB-200-2011 and whatever has its layout (Aviary on disk).

Pictures are cut as the published text-to-image codes cut them: a box of half-size 0.75 times the longer side of the bounding box
around its centre, clipped to the picture; the shorter side scaled to 76/64 of the size asked for; then a random crop, mirrored half
of the time. Smaller sizes are scaled from the same crop, so that all sizes of a batch show the same.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dmm.aviary.grammar import Caption, read_slots
from dmm.data.batch import Places
from dmm.data.sources import Problem, Source, SourceError, once
from dmm.data.transforms import Box, cut_box, margin, scale_shorter
from dmm.errors import InputError
from dmm.files import FileError, below, printable, read_text, shown

SPLITS = ("train", "test", "all")
TEXT_FOLDERS = ("text", "text_c10")  # one file a picture, one sentence a line


class LayoutError(SourceError):
    """A file that is missing or is not as CUB's layout has it: which line, what was expected, what was found."""


def lines_of(path: Path, expected: str, columns: int, more: bool = False) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each line that is not empty; ``more`` lets lines have further fields."""
    if not path.is_file():
        raise LayoutError(f"{path}: this file is missing; expected lines of {expected}")
    try:
        text = read_text(path)
    except FileError as error:
        raise LayoutError(str(error)) from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        fields = line.split(maxsplit=columns - 1) if not more else line.split()
        if len(fields) < columns:
            raise LayoutError(f"{path}:{number}: expected {expected}, found {shown(line)}")
        yield number, fields


def numbers_of(path: Path, expected: str, columns: int, kind=int) -> dict[int, list]:
    """Id -> the other numbers of the line."""
    values: dict[int, list] = {}
    for number, fields in lines_of(path, expected, columns, more=True):
        try:
            key, rest = int(fields[0]), [kind(field) for field in fields[1:columns]]
            if not all(map(math.isfinite, rest)):
                raise ValueError
        except (ValueError, OverflowError):
            raise LayoutError(f"{path}:{number}: expected {expected}, found {shown(' '.join(fields))}") from None
        if key in values:
            raise LayoutError(f"{path}:{number}: id {key} stands here a second time")
        values[key] = rest
    return values


class CUB:
    """One split of a data set in CUB's layout; a :class:`~dmm.data.batch.Source` of batches.

    Args:
        root: the directory that holds ``images.txt``.
        split: "train", "test" or "all".
        test_classes: class ids (from 1) that make up the test split, as the published text-to-image work splits CUB; by default
            ``train_test_split.txt`` decides.

    Raises:
        LayoutError: a file is missing or not as expected.
        ValueError: an unknown split, or one without pictures.
    """

    def __init__(self, root: str | os.PathLike, split: str = "train", test_classes: Collection[int] | None = None):
        if split not in SPLITS:
            raise InputError(f"unknown split {split!r}; expected one of {', '.join(SPLITS)}")
        self.root, self.split = Path(root), split
        names = self._names("images.txt", "<image id> <path>")
        self.classes = self._names("classes.txt", "<class id> <name>")
        labels = numbers_of(self.root / "image_class_labels.txt", "<image id> <class id>", 2)
        boxes = numbers_of(self.root / "bounding_boxes.txt", "<image id> <x> <y> <width> <height>", 5, float)
        training = {} if test_classes is not None else numbers_of(self.root / "train_test_split.txt", "<image id> <1 or 0>", 2)
        strange = set(test_classes or ()) - {label for (label,) in labels.values()}
        if strange:
            raise InputError(f"test_classes: expected class ids of image_class_labels.txt, found {shown(sorted(strange))}")
        self.ids: list[int] = []
        for image in names:
            for table, file in ((labels, "image_class_labels.txt"), (boxes, "bounding_boxes.txt"), (training, "train_test_split.txt")):
                if image not in table and (table is not training or test_classes is None):
                    raise LayoutError(f"{self.root / file}: expected a line for image {image} ({names[image]}), found none")
            train = labels[image][0] not in test_classes if test_classes is not None else _flag(training, image, self.root)
            if split == "all" or train == (split == "train"):
                self.ids.append(image)
        if not self.ids:
            raise InputError(f"{self.root}: the {split} split has no pictures")
        self._paths = [names[image] for image in self.ids]
        for name in self._paths:
            below(self.root / "images", name, "images.txt")
        self._labels = [labels[image][0] for image in self.ids]
        self._boxes = [Box(*boxes[image]) for image in self.ids]
        self._captions = lru_cache(maxsize=None)(self._read_captions)

    def _names(self, file: str, expected: str) -> dict[int, str]:
        """Id -> name; both stand once."""
        names: dict[int, str] = {}
        seen: set[str] = set()
        for number, (key, name) in lines_of(self.root / file, expected, 2):
            if not key.isdecimal():
                raise LayoutError(f"{self.root / file}:{number}: expected {expected}, found {shown(key + ' ' + name)}")
            if int(key) in names or name in seen:
                raise LayoutError(f"{self.root / file}:{number}: id {key} or the name {shown(name)} stands here a second time")
            names[int(key)] = name
            seen.add(name)
        return names

    def __len__(self) -> int:
        return len(self.ids)

    def path(self, index: int) -> Path:
        """The picture's file."""
        return self.root / "images" / self._paths[index]

    def key(self, index: int) -> str:
        """<class>/<image>, without ending."""
        return str(Path(self._paths[index]).with_suffix(""))

    def class_id(self, index: int) -> int:
        """The class, from 0."""
        return self._labels[index] - 1

    def box(self, index: int) -> Box:
        """The bounding box, px."""
        return self._boxes[index]

    def image(self, index: int) -> Image.Image:
        """The whole picture, RGB.

        Raises:
            LayoutError: no such file, or not a picture.
        """
        try:
            return Image.open(self.path(index)).convert("RGB")
        except OSError as error:
            raise LayoutError(f"{self.path(index)}: expected a picture ({error})") from error

    def segmentation(self, index: int) -> np.ndarray:
        """The label map H W uint8 (Aviary: part numbers; the genuine data set: how many annotators saw a bird there)."""
        path = self.root / "segmentations" / Path(self._paths[index]).with_suffix(".png")
        try:
            return np.asarray(Image.open(path).convert("L"))
        except OSError as error:
            raise LayoutError(f"{path}: expected a segmentation ({error})") from error

    def captions(self, index: int) -> list[Caption]:
        """The sentences of ``text/<class>/<image>.txt``, with the slots that can be read from them.

        Raises:
            LayoutError: no such file, or no sentence in it.
        """
        return self._captions(index)

    def _read_captions(self, index: int) -> list[Caption]:
        path = self.root / "text" / Path(self._paths[index]).with_suffix(".txt")
        if not path.is_file():
            raise LayoutError(f"{path}: this file is missing; expected one sentence a line")
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        if not lines:
            raise LayoutError(f"{path}: expected one sentence a line, found none")
        return [Caption(line, read_slots(line)) for line in lines]

    @cached_property
    def part_names(self) -> list[str]:
        """Names of the annotated parts, in order."""
        return [fields[1] for _, fields in lines_of(self.root / "parts" / "parts.txt", "<part id> <name>", 2)]

    @cached_property
    def _places(self) -> dict[int, dict[str, tuple[float, float]]]:
        path, expected = self.root / "parts" / "part_locs.txt", "<image id> <part id> <x> <y> <visible>"
        places: dict[int, dict[str, tuple[float, float]]] = {}
        for number, fields in lines_of(path, expected, 5, more=True):
            try:
                image, part, visible = int(fields[0]), int(fields[1]), fields[4] == "1"
                name, place = self.part_names[part - 1], (float(fields[2]), float(fields[3]))
            except (ValueError, IndexError):
                raise LayoutError(f"{path}:{number}: expected {expected}, found {' '.join(fields)!r}") from None
            if visible:
                places.setdefault(image, {})[name] = place
        return places

    def parts(self, index: int) -> dict[str, tuple[float, float]]:
        """Name -> x, y in pixels of each visible part."""
        return self._places.get(self.ids[index], {})

    @cached_property
    def _present(self) -> dict[int, list[str]]:
        names_path = self.root / "attributes" / "attributes.txt"
        if not names_path.is_file():  # the genuine archive has it beside the data set's directory
            names_path = self.root.parent / "attributes.txt"
        names = {int(key): name for _, (key, name) in lines_of(names_path, "<attribute id> <name>", 2)}
        path, expected = self.root / "attributes" / "image_attribute_labels.txt", "<image id> <attribute id> <present> ..."
        present: dict[int, list[str]] = {}
        for number, fields in lines_of(path, expected, 3, more=True):
            if fields[2] == "1":
                try:
                    present.setdefault(int(fields[0]), []).append(names[int(fields[1])])
                except (ValueError, KeyError):
                    raise LayoutError(f"{path}:{number}: expected {expected}, found {' '.join(fields)!r}") from None
        return present

    def attributes(self, index: int) -> list[str]:
        """Names of the attributes that the picture is labelled with."""
        return self._present.get(self.ids[index], [])

    def cuts(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """The seed of each crop, B; how far it may lie off the middle is known only when the picture is open."""
        return rng.integers(2**63, size=count)

    def pictures(self, indices: Places, sizes: Sequence[int], cuts: np.ndarray | None = None) -> dict[int, Tensor]:
        """Size -> uint8 B 3 S S; random crops and mirrors with ``cuts``, the middle as it is without."""
        rngs = [None] * len(indices) if cuts is None else [np.random.default_rng(int(seed)) for seed in cuts]
        tiles = [crop(self.image(i), self.box(i), sizes, rng) for i, rng in zip(indices, rngs, strict=True)]
        return {size: torch.stack([tile[size] for tile in tiles]) for size in sizes}


def crop(image: Image.Image, box: Box, sizes: Sequence[int], rng: np.random.Generator | None = None) -> dict[int, Tensor]:
    """The published cut of one picture: size -> uint8 3 S S."""
    largest = max(sizes)
    image = scale_shorter(cut_box(image, box), margin(largest))
    room = image.width - largest, image.height - largest
    left, top = (room[0] // 2, room[1] // 2) if rng is None else (int(rng.integers(r + 1)) for r in room)
    image = image.crop((left, top, left + largest, top + largest))
    if rng is not None and rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    tiles = {size: image if size == largest else image.resize((size, size), Image.Resampling.BILINEAR) for size in sizes}
    return {size: torch.from_numpy(np.array(tile)).permute(2, 0, 1).contiguous() for size, tile in tiles.items()}


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
    source = Source("CUB-200-2011", root, own_classes=True)
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
        text = texts / f"{stem}.txt"
        source.add(stem, folder / "images" / name, source.sentences(text), labels[image][0], split, Box(*boxes[image]), source.name(text))
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
