"""Data sets as they lie on disk: one protocol for all layouts, finding out which layout a folder has, and what is wrong with it.

A reader (:mod:`~dmm.data.cub`, :mod:`~dmm.data.attngan_layout`, :mod:`~dmm.data.coco`, :mod:`~dmm.data.folder`) has two functions:
``matches(root)``, a quick look, and ``read(root)``, which lists every picture that can be used as a :class:`Record` and everything else as
a :class:`Problem`. Training never reads a source directly: :mod:`~dmm.data.prepared` decodes it once.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL import Image
from tqdm import tqdm

from dmm.data.transforms import Box, Job, open_picture, run_jobs, verify
from dmm.data.vocab import tokenise
from dmm.errors import InputError
from dmm.files import FileError, decode, is_writable_text, limit, lines_in, mistaken, name_of, printable, shown

#: name -> (module, what it looks for), in the order in which they are tried.
READERS = {
    "preprocessed": (
        "attngan_layout",
        "train/filenames.pickle, with text/ or captions.pickle, and CUB_200_2011/ or images/ (AttnGAN's birds or coco)",
    ),
    "cub": ("cub", "images.txt, or CUB_200_2011/images.txt, with text/<class>/<image>.txt (CUB-200-2011)"),
    "coco": ("coco", "annotations/captions_train2017.json or captions_train2014.json, with train2017/ or train2014/ (COCO)"),
    "folder": ("folder", "metadata.jsonl or metadata.csv beside the pictures, or in train/ and test/ (your own pictures)"),
    "beside": ("beside", "a text file of the same name beside each picture (your own pictures)"),
}
MOST_CLASS = 1 << 62  # of a class number: what PyTorch can hold
LONG = 18  # words; of a caption with more, recipes of the published sizes leave some out (the small ones take 25)


class SourceError(InputError):
    """A data set that cannot be used at all: which folder or file, what was expected, what was found."""


class Problem(NamedTuple):
    """Something missing or broken: the file (and line), what about it."""

    where: str
    what: str


class Record(NamedTuple):
    """A picture that can be used."""

    key: str  # a name of its own
    path: Path
    captions: tuple[str, ...]
    class_id: int
    split: str  # "train" or "test"
    box: Box | None = None


class Pictures(Protocol):
    """What every layout offers."""

    def __len__(self) -> int: ...

    def captions(self, index: int) -> list[str]:
        """The sentences of a picture."""

    def class_id(self, index: int) -> int:
        """Pictures of one class show the same kind of thing."""

    def picture(self, index: int) -> tuple[Image.Image, Box | None]:
        """The whole picture, RGB, and its bounding box in px if it has one."""

    def split(self, index: int) -> str:
        """Its split, "train" or "test"."""


@dataclass
class Source:
    """A data set as it was found; its :class:`Pictures` are those that can be used."""

    format: str
    root: Path
    own_classes: bool = False  # the data set says which pictures show the same; else each is a class of its own
    numbered: str = ""  # the file that numbers the classes, which are the folders of pictures as well ("001.Wren")
    upright: bool = False  # pictures are turned as the camera noted
    origin: Path | None = None  # the archive that it was unpacked from
    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # choices made while reading, a sentence each
    odd: list[str] = field(default_factory=list)  # files of captions with bytes that are no UTF-8, read all the same

    def add(
        self, key: str, path: Path, captions: Sequence[str], class_id: int | None, split: str, box: Box | None = None, said: str = ""
    ) -> None:
        """Take a picture in, or note why not.

        Args:
            captions: its sentences; those without a word that can be read are left out.
            class_id: ``None``: a class of its own.
            said: where its captions stand, for the note.
        """
        usable = self._usable(captions, said or self.name(path))
        if not _is_file(path):
            self.problems.append(Problem(self.name(path), "the picture is missing"))
        elif not is_writable_text(key):
            self.problems.append(Problem(self.name(path), "a name that is no UTF-8, which no list can hold; rename it"))
        elif class_id is not None and not -MOST_CLASS <= class_id <= MOST_CLASS:
            self.problems.append(Problem(self.numbered, f"a class number of {printable(key)} that is far too large: {shown(class_id)}"))
        elif len("".join(usable).encode()) > limit("picture_bytes"):
            self.problems.append(Problem(said or self.name(path), f"captions of more than {limit('picture_bytes'):,} bytes in all"))
        elif box is not None and not all(map(math.isfinite, box)) or box is not None and min(box.width, box.height) < 1:
            self.problems.append(Problem(said or self.name(path), f"a bounding box of at least one pixel was expected, found {tuple(box)}"))
        elif not usable:
            what = "no caption" if not captions else "no caption with a word in it (words are made of the letters a to z, digits and _)"
            self.problems.append(Problem(said or self.name(path), what))
        else:
            self.records.append(Record(key, path, usable, len(self.records) if class_id is None else class_id, split, box))

    def _usable(self, captions: Sequence[str], where: str) -> tuple[str, ...]:
        """The captions with a word in them; those that cannot be kept become problems."""
        found = []
        for caption in captions:
            if len(caption) > limit("caption_characters"):
                self.problems.append(Problem(where, f"a caption of {len(caption):,} characters; at most {limit('caption_characters'):,}"))
            elif not is_writable_text(caption):
                self.problems.append(Problem(where, f"a caption that cannot be written as UTF-8, with half a character: {shown(caption)}"))
            elif (text := " ".join(caption.split())) and tokenise(text):
                found.append(text)
        return tuple(found)

    def name(self, path: Path) -> str:
        """A path as the user would write it: below the data set's folder."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def sentences(self, path: Path, lenient: bool = False) -> list[str]:
        """:func:`read_sentences`; a file that cannot be read becomes a problem and gives none.

        Args:
            lenient: bytes that are no UTF-8 become the sign for them, as in the published codes, and a note.
        """
        try:
            return read_sentences(path)
        except SourceError as error:
            if lenient and isinstance(error.__cause__, UnicodeDecodeError):
                with contextlib.suppress(SourceError):
                    found = read_sentences(path, "replace")
                    self.odd.append(self.name(path))
                    return found
            self.problems.append(Problem(self.name(path), str(error).partition(": ")[2]))
            return []

    def leave_out_doubles(self) -> None:
        """Pictures that the lists name twice are not used: which captions, class or split is right is not known."""
        places: dict[str, list[Record]] = defaultdict(list)
        keys: dict[str, set[str]] = defaultdict(set)
        for record in self.records:
            place = os.path.normpath(record.path)
            places[place].append(record)
            keys[record.key].add(place)
        for some in places.values():
            if len(some) > 1:
                splits = " and ".join(dict.fromkeys(record.split for record in some))
                what = f"the lists name this picture {len(some)} times ({splits}); name it once. It is not used"
                self.problems.append(Problem(self.name(some[0].path), what))
        self.records = [
            record._replace(key=record.key + record.path.suffix) if len(keys[record.key]) > 1 else record
            for record in self.records
            if len(places[os.path.normpath(record.path)]) == 1
        ]

    def leave_out_odd_classes(self) -> None:
        """Pictures whose class number is not that of most in their folder are not used: lists in different order, or cut short.

        A folder that is named after a number ("001.Wren") is one class, and no other folder is of that class.
        """
        folders = {r.key: Path(r.key).parts[0] for r in self.records if len(Path(r.key).parts) > 1}
        pairs = [(folders[r.key], r.class_id) for r in self.records if folders.get(r.key, "").partition(".")[0].isdecimal()]
        of_folder, of_class = _most(pairs), _most([(number, folder) for folder, number in pairs])
        kept = []
        for record in self.records:
            folder = folders.get(record.key)
            if folder in of_folder and (of_folder[folder], of_class[record.class_id]) != (record.class_id, folder):
                what = f"class {record.class_id} of {printable(record.key)} contradicts the others of its folder or class; it is not used"
                self.problems.append(Problem(self.numbered, what))
            else:
                kept.append(record)
        self.records = kept

    def __len__(self) -> int:
        return len(self.records)

    def captions(self, index: int) -> list[str]:
        """The sentences of a picture."""
        return list(self.records[index].captions)

    def class_id(self, index: int) -> int:
        """Pictures of one class show the same kind of thing; a picture may be a class of its own."""
        return self.records[index].class_id

    def picture(self, index: int) -> tuple[Image.Image, Box | None]:
        """The whole picture, RGB, and its bounding box in px.

        Raises:
            OSError: not a readable picture.
        """
        return open_picture(self.records[index].path, self.upright), self.records[index].box

    def split(self, index: int) -> str:
        """Its split, "train" or "test"."""
        return self.records[index].split

    def of(self, split: str) -> list[Record]:
        """The pictures of one split."""
        return [record for record in self.records if record.split == split]

    def jobs(self) -> list[Job]:
        """What decoding needs to know of each picture; row = place in ``records``."""
        return [Job(row, str(record.path), record.box, self.upright) for row, record in enumerate(self.records)]

    @cached_property
    def words(self) -> list[str]:
        """Every word of the training captions, in order of first appearance."""
        return words_of(self.records)


def words_of(records: Sequence[Record]) -> list[str]:
    """Every word of the training captions, in order of first appearance."""
    return list(dict.fromkeys(word for record in records if record.split == "train" for text in record.captions for word in tokenise(text)))


def _most(pairs: Sequence[tuple]) -> dict:
    """For each first of some pairs the second that more than half of its pairs have; None where none has."""
    seconds: defaultdict[object, Counter] = defaultdict(Counter)
    for first, second in pairs:
        seconds[first][second] += 1
    tops = {first: counts.most_common(1)[0] for first, counts in seconds.items()}
    return {first: second if 2 * count > seconds[first].total() else None for first, (second, count) in tops.items()}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def once(pairs: Sequence[tuple[object, object]], say: Callable[[object, list], None]) -> dict:
    """A table of the pairs whose key stands once, or every time with the same value; ``say`` is told the others and all their values."""
    found: defaultdict[object, list] = defaultdict(list)
    for key, value in pairs:
        if value not in found[key]:
            found[key].append(value)
    for key, values in found.items():
        if len(values) > 1:
            say(key, values)
    return {key: values[0] for key, values in found.items() if len(values) == 1}


def read_sentences(path: Path, errors: str = "strict") -> list[str]:
    """The lines of a caption file that are not empty; none if there is no such file.

    Args:
        errors: of :meth:`bytes.decode`.

    Raises:
        SourceError: bytes that are no UTF-8; UTF-16 without a byte order mark or another file with zero bytes; one that is too large; or
            what was saved in place of captions, such as a web page.
    """
    if not _is_file(path):
        return []
    if path.stat().st_size > limit("text_bytes"):
        raise SourceError(f"{name_of(path)}: expected at most {limit('text_bytes'):,} bytes of captions, found {path.stat().st_size:,}")
    data = path.read_bytes()
    if (found := mistaken(data)) is not None:
        raise SourceError(f"{name_of(path)}: expected captions, a line each, found {found}")
    try:
        return [line.strip() for line in lines_in(decode(data, errors)) if line.strip()]
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{name_of(path)}: expected captions in UTF-8, found {error.reason} at {error.start}; save it as UTF-8"
        ) from error


def open_source(root: str | os.PathLike, layout: str | None = None) -> Source:
    """Read the data set in a folder.

    Args:
        root: the folder.
        layout: a name of ``READERS``; found out by default.

    Raises:
        SourceError: no such folder, no known layout (with all that was looked for), or no picture that can be used.
    """
    root = Path(root)
    if not root.is_dir():
        raise SourceError(f"{root}: expected the folder of a data set, found {'a file' if root.exists() else 'nothing'}")
    if layout is not None and layout not in READERS:
        raise SourceError(f"unknown layout {layout!r}; expected one of {', '.join(READERS)}")
    names = [layout] if layout else [name for name, (module, _) in READERS.items() if _reader(module).matches(root)]
    if not names:
        raise SourceError(_not_found(root))
    try:
        source = _reader(READERS[names[0]][0]).read(root)
    except FileError as error:
        raise SourceError(str(error)) from error
    source.leave_out_doubles()
    if source.numbered:
        source.leave_out_odd_classes()
    if source.odd:
        source.notes.append(f"captions with bytes that are no UTF-8, read as blanks: {len(source.odd)} files, the first {source.odd[0]}")
    if not source.of("train"):
        first = "".join(f"\n  {printable(p.where)}: {printable(p.what)}" for p in source.problems[:20]) or "\n  its lists are empty"
        raise SourceError(f"{root}: no usable picture to train on ({source.format}, {len(source.problems)} problems){first}")
    return source


def _reader(module: str):
    return import_module(f"dmm.data.{module}")


def _not_found(root: Path) -> str:
    lines = [f"{root}: no data set found here; looked for"]
    lines += [f"  {name}: {looks_for}" for name, (_, looks_for) in READERS.items()]
    below = sorted(child for child in root.iterdir() if child.is_dir())[:50]
    near = [child for child in below for module, _ in READERS.values() if _reader(module).matches(child)]
    lines.append(f"{near[0]} has one: give that folder" if near else "docs/training.md says how to lay out your own pictures")
    return "\n".join(lines)


def check(source: Source, decode: bool = True, workers: int | None = None, progress: bool | None = None) -> dict:
    """What a data set holds and what is wrong with it, plain containers.

    Args:
        source: as :func:`open_source` read it.
        decode: read every picture to its last pixel; else only whether the files are there.
        workers: processes that decode; by default as many as help, see :func:`dmm.workers.useful_workers`.
        progress: a bar; ``None`` shows it on a terminal only.
    """
    problems, broken = list(source.problems), set()
    if decode:
        disable = None if progress is None else not progress
        with (
            tqdm(total=len(source), desc="reading pictures", unit="image", disable=disable) as bar,
            closing(run_jobs(verify, source.jobs(), workers)) as done,
        ):
            for jobs, found in done:
                problems += [Problem(source.name(source.records[row].path), what) for row, what in found]
                broken |= {row for row, _ in found}
                bar.update(len(jobs))
    kept = [record for row, record in enumerate(source.records) if row not in broken]
    train = [record for record in kept if record.split == "train"]
    counts = [len(record.captions) for record in kept]
    lengths = [len(tokenise(text)) for record in train for text in record.captions]
    words = words_of(kept)
    known = set(words)
    strange = {word for record in kept if record.split == "test" for text in record.captions for word in tokenise(text)} - known
    return {
        "format": source.format,
        "directory": str(source.root),
        "pictures": len(kept),
        "train": len(train),
        "test": len(kept) - len(train),
        "captions": sum(counts),
        "captions_a_picture": [min(counts, default=0), max(counts, default=0)],
        "train_captions": len(lengths),
        "words_a_caption": [min(lengths, default=0), round(sum(lengths) / max(len(lengths), 1), 1), max(lengths, default=0)],
        "long_captions": sum(length > LONG for length in lengths),
        "vocabulary": len(words),
        "unknown_test_words": len(strange),
        "classes": len({record.class_id for record in kept}) if source.own_classes else None,
        "boxes": sum(record.box is not None for record in kept),
        "decoded": decode,
        "notes": list(source.notes),
        "problems": [problem._asdict() for problem in sorted(problems)],
    }
