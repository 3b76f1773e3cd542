"""A data set decoded once into memory-mapped arrays, and what training reads from them.

A prepared directory holds

    <size>.npy        uint8 N 3 M M for each size, M = 76/64 of it: what the random crop is cut from
    pictures.jsonl    row, key, captions, class and split of each picture
    words.json        the words of the training captions, in order of first appearance
    prepared.json     where it is from, how it was cut, which pictures were skipped; appears last and marks the rest as complete

A stopped ``prepare`` goes on where it was: :mod:`dmm.data.array_writer`, with a mark for each picture.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dmm.aviary.grammar import Caption
from dmm.data.array_writer import ArrayWriter, clear, locked
from dmm.data.arrays import ArrayError, Rows
from dmm.data.batch import BatchSampler, Places, cut_squares, load
from dmm.data.sources import Problem, Source, words_of
from dmm.data.transforms import decode_into, margin, run_jobs
from dmm.data.vocab import Vocabulary, tokenise
from dmm.errors import InputError
from dmm.files import FileError, List, Table, Text, Whole, check, limit, lines, read_json, shown
from dmm.images import write_atomic
from dmm.workers import resumable_bar

CARD = "prepared.json"
FOLDER = "prepared"  # inside the data set, unless said otherwise
VERSION = 1
SIZES = (64, 128, 256)
LARGEST, MOST = 4096, 16  # px of a size, and how many sizes
GRAIN = 16  # sizes are multiples of it, so that 76/64 of each is a whole number and all crops of a batch match to the pixel
_TODO, _DONE, _BROKEN = 0, 1, 2
#: prepared.json, pictures.jsonl (a row) and words.json, as :func:`prepare` writes them.
CARD_FILE = Table(
    {"sizes": List(Whole(GRAIN, LARGEST), 1, MOST), "source": Text(), "pictures": Text(64), "train": Whole(0), "test": Whole(0)},
    {"skipped": List(List(Text(), 2, 2))},
)
ROW = Table({"row": Whole(0), "key": Text(), "captions": List(Text(), 1), "class": Whole(), "split": Text(5)})
WORDS = List(Text(limit("caption_characters")), 1)


class PrepareError(InputError):
    """A data set that cannot be prepared, or a directory that holds no prepared one: what to do."""


class BrokenPicture(RuntimeError):
    """A picture that cannot be decoded, when the policy is to stop."""


# -- writing


def prepare(
    source: Source,
    out: str | os.PathLike | None = None,
    sizes: Sequence[int] = SIZES,
    broken: str = "skip",
    workers: int | None = None,
    progress: bool | None = None,
) -> dict:
    """Decode a data set into ``out``; go on where an earlier call was stopped, do nothing if it is up to date.

    Args:
        source: as :func:`dmm.data.sources.open_source` read it.
        out: the prepared directory; ``prepared/`` inside the data set by default.
        sizes: sides of the training pictures, px, multiples of 16.
        broken: "skip" leaves out, counts and lists pictures that cannot be decoded; "stop" raises.
        workers: processes that decode; by default as many as help, see :func:`dmm.workers.useful_workers`.
        progress: a bar with rate and time left; ``None`` shows it on a terminal only.

    Returns:
        The card, as in ``prepared.json``.

    Raises:
        PrepareError: sizes or a policy that cannot be, or a directory that holds something else.
        BrokenPicture: a broken picture and ``broken="stop"``; what is decoded stays for the next call.
        OSError: too little room on the disk.
    """
    if broken not in ("skip", "stop"):
        raise PrepareError(f"expected skip or stop for broken pictures, found {broken!r}")
    if not 1 <= len(set(sizes)) <= MOST or any(not GRAIN <= size <= LARGEST or size % GRAIN or size % min(sizes) for size in sizes):
        expected = f"1 to {MOST} sizes of at most {LARGEST} that are multiples of {GRAIN} and of the smallest one"
        raise PrepareError(f"expected {expected}, found {shown(tuple(sizes))}")
    out = source.root / FOLDER if out is None else Path(out)
    if out.exists() and any(out.iterdir()) and not any(path.name in (CARD, "lock") for path in out.iterdir()):
        raise PrepareError(f"{out} is not empty and holds no prepared data set. Choose a new directory")
    out.mkdir(parents=True, exist_ok=True)
    sizes = tuple(sorted(set(sizes)))
    plan = {"version": VERSION, "sizes": list(sizes), "pictures": _fingerprint(source)}
    with locked(out, wait=False):
        card = _card(out)
        if any(card.get(key) != value for key, value in plan.items()):
            marks, reasons = _decode(source, out, sizes, plan, broken, workers, progress)
            card = plan | {"skipped": [list(_problem(source, row, reasons)) for row in np.flatnonzero(marks == _BROKEN).tolist()]}
        elif card["skipped"] and broken == "stop":
            raise BrokenPicture(": ".join(card["skipped"][0]))
        return _describe(source, out, card)


def _card(out: Path) -> dict:
    """What is prepared there; nothing if that cannot be read."""
    try:
        return read_json(out / CARD, Table({"skipped": List(List(Text(), 2, 2))}))
    except (FileNotFoundError, ValueError):
        return {}


def _fingerprint(source: Source) -> str:
    """Which pictures, cut how: changes when a picture is added, exchanged or boxed differently, not when a caption is."""
    digest = hashlib.sha256(repr(source.upright).encode())
    for record in source.records:
        try:
            state = record.path.stat()
            stamp = state.st_size, state.st_mtime_ns
        except OSError:  # gone since it was listed; decoding will say so
            stamp = (-1, -1)
        digest.update(repr((source.name(record.path), stamp, record.box and tuple(record.box))).encode())
    return digest.hexdigest()[:32]


def _problem(source: Source, row: int, reasons: dict[int, str]) -> Problem:
    return Problem(source.name(source.records[row].path), reasons.get(row, "not a readable picture"))


def _decode(
    source: Source, out: Path, sizes: Sequence[int], plan: dict, broken: str, workers: int | None, progress: bool | None
) -> tuple[np.ndarray, dict[int, str]]:
    """Fill the arrays; (a mark a picture, row -> why it is broken)."""
    shapes = {str(size): (3, margin(size), margin(size)) for size in sizes}
    writer = ArrayWriter(out, shapes, len(source), plan, len(source))
    marks, path = writer.marks, out / "broken.partial"
    found = read_json(path, Table(others=Text())) if path.exists() else {}
    reasons = {int(row): what for row, what in found.items() if row.isdecimal()}
    todo = [job for job in source.jobs() if marks[job.row] == _TODO or (broken == "stop" and marks[job.row] == _BROKEN)]
    with (
        resumable_bar(len(source), len(source) - len(todo), f"preparing {source.root.name}", "image", progress) as bar,
        contextlib.closing(run_jobs(partial(decode_into, writer.files), todo, workers)) as done,
    ):
        for jobs, failed in done:
            for job in jobs:
                marks[job.row] = _DONE
            for row, what in failed:
                marks[row], reasons[row] = _BROKEN, what
            if failed:
                write_atomic(path, json.dumps(reasons).encode())
            marks.flush()
            if failed and broken == "stop":
                raise BrokenPicture(": ".join(_problem(source, failed[0][0], reasons)))
            bar.update(len(jobs))
    if not (marks == _DONE).any():
        raise PrepareError(f"{source.root}: not one picture could be decoded")
    writer.finish(out / CARD)
    return np.array(marks), reasons


def _describe(source: Source, out: Path, card: dict) -> dict:
    """Write lists and card; they follow the captions even where no picture had to be decoded again."""
    skipped = {name for name, _ in card["skipped"]}
    rows = [(row, record) for row, record in enumerate(source.records) if source.name(record.path) not in skipped]
    lines = [
        json.dumps({"row": row, "key": r.key, "captions": r.captions, "class": r.class_id, "split": r.split}, ensure_ascii=False)
        for row, r in rows
    ]
    records = [record for _, record in rows]
    words, train = words_of(records), sum(record.split == "train" for record in records)
    if not train:
        raise PrepareError(f"{source.root}: no picture of the training split could be decoded")
    counts = {"train": train, "test": len(records) - train, "captions": sum(len(record.captions) for record in records)}
    card = {key: card[key] for key in ("version", "sizes", "pictures", "skipped")} | counts
    card |= {
        "format": source.format,
        "source": str((source.origin or source.root).resolve()).encode("utf-8", "replace").decode(),  # a folder's name may be other bytes
        "vocabulary": len(words),
        "left_out": len(source.problems),
    }
    write_atomic(out / "pictures.jsonl", ("\n".join(lines) + "\n").encode())
    write_atomic(out / "words.json", json.dumps(words).encode())
    write_atomic(out / CARD, json.dumps(card, indent=1).encode())
    clear(out)
    return card


# -- reading


def find(root: str | os.PathLike) -> Path:
    """The prepared directory that ``root`` is or holds.

    Raises:
        PrepareError: neither; says which command makes one.
    """
    root = Path(root)
    for place in (root, root / FOLDER):
        if (place / CARD).is_file():
            return place
    if not root.is_dir():
        raise PrepareError(f"data.source: expected aviary or the folder of a data set, found {str(root)!r}, which does not exist")
    stopped = any((root / FOLDER).glob("*.partial")) or any(root.glob("*.partial"))
    raise PrepareError(f"{root}: this data set is not prepared{' to the end' if stopped else ''}; run: dmm data prepare {root}")


class Prepared:
    """One split of a prepared data set; a :class:`~dmm.data.batch.Source` of batches.

    Args:
        root: a prepared directory, or a data set that holds one.
        split: "train" or "test".
        sizes: sides of the pictures, px; ``None``: all that were prepared.
        mirror: mirror half of the pictures of a batch.

    Raises:
        PrepareError: nothing prepared there, another version, a size that is not there, or a damaged file.
    """

    def __init__(self, root: str | os.PathLike, split: str = "train", sizes: Sequence[int] | None = None, mirror: bool = True):
        self.directory, self.split, self.mirror = find(root), split, mirror
        with self._whole(CARD):
            self.card = read_json(self.directory / CARD, Table())
        if self.card.get("version") == VERSION:
            with self._whole(CARD):
                check(self.card, CARD_FILE, CARD)
        else:
            version = shown(self.card.get("version"))
            raise PrepareError(f"{self.directory}: prepared by another version ({version}); run dmm data prepare again")
        self.sizes = tuple(self.card["sizes"] if sizes is None else sizes)
        missing = sorted(set(self.sizes) - set(self.card["sizes"]))
        if missing:
            raise PrepareError(
                f"{self.directory} holds the sizes {self.card['sizes']}, not {missing}; run dmm data prepare "
                f"{self.card['source']} --sizes {','.join(map(str, sorted({*self.sizes, *self.card['sizes']})))}"
            )
        self.smallest = min(self.card["sizes"])
        with self._whole("pictures.jsonl"):
            records = _read_rows(self.directory / "pictures.jsonl")
            self._records = [record for record in records if record["split"] == split]
            self._rows = np.array([record["row"] for record in self._records], dtype=np.int64)
        for name in ("train", "test"):
            found = sum(record["split"] == name for record in records)
            if found != self.card[name]:
                raise self._damaged("pictures.jsonl", f"{self.card[name]} pictures to {name}", found)
        self._arrays = {size: self._array(size, 1 + max(record["row"] for record in records)) for size in self.sizes}
        self._held: dict[int, Tensor] = {}

    def _damaged(self, name: str, expected: str, found: object) -> PrepareError:
        """What to say of a file that is not as :func:`prepare` wrote it."""
        return PrepareError(
            f"{self.directory / name}: damaged: expected {expected}, found {found}. Remove {self.directory} and run dmm data prepare again"
        )

    @contextlib.contextmanager
    def _whole(self, name: str) -> Iterator[None]:
        """Name the file that is missing or cannot be read."""
        try:
            yield
        except FileNotFoundError:
            raise self._damaged(name, "what dmm data prepare wrote", "no such file") from None
        except (EOFError, ValueError, LookupError, TypeError, ArrayError) as error:
            raise self._damaged(name, "what dmm data prepare wrote", f"something else ({error})") from error

    def _array(self, size: int, rows: int) -> Rows:
        """The pictures of one size, at least ``rows`` of them, on the disk."""
        name, shape = f"{size}.npy", (3, margin(size), margin(size))
        with self._whole(name):
            array = Rows(self.directory / name)
        if array.shape[1:] != shape or len(array) < rows:
            raise self._damaged(name, f"uint8 of {rows} x {' x '.join(map(str, shape))}", f"{array.dtype} of {array.shape}")
        return array

    def __len__(self) -> int:
        return len(self._records)

    @cached_property
    def words(self) -> list[str]:
        """The words of the training captions, in order of first appearance."""
        with self._whole("words.json"):
            return read_json(self.directory / "words.json", WORDS)

    def captions(self, index: int) -> list[Caption]:
        """The sentences of a picture; what they say of parts and colours is not known."""
        return [Caption(text, {}) for text in self._records[index]["captions"]]

    def class_id(self, index: int) -> int:
        """Pictures of one class show the same kind of thing."""
        return self._records[index]["class"]

    def key(self, index: int) -> str:
        """A name for the picture."""
        return self._records[index]["key"]

    def keep_captions_of(self, vocab: Vocabulary) -> None:
        """Leave out captions, and then pictures, of which a vocabulary knows no word.

        Raises:
            PrepareError: none is left.
        """
        known = set(vocab.words)
        if known >= set(self.words) and self.split == "train":
            return
        for record in self._records:
            record["captions"] = [text for text in record["captions"] if not known.isdisjoint(tokenise(text))]
        self._records = [record for record in self._records if record["captions"]]
        self._rows = np.array([record["row"] for record in self._records], dtype=np.int64)
        self._held = {}  # was in the order of the rows before
        if not self._records and self.split == "train":
            raise PrepareError(
                f"{self.directory}: the vocabulary of the earlier run knows no word of these captions; train match on this data"
            )

    def images(self, size: int, indices: Places) -> Tensor:
        """The middle of the given pictures, uint8 B 3 S S.

        Raises:
            IndexError: a picture that is not there.
            KeyError: a size that it was not opened with.
        """
        return self._cut(indices, size, np.full((len(indices), 2), self._room // 2), np.zeros(len(indices), bool))

    def cuts(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Random crops, B 3: y and x of the corner, px of the smallest size, and 1 where the picture is mirrored (half of the time)."""
        corners = rng.integers(self._room + 1, size=(count, 2))
        mirrored = (rng.random(count) < 0.5) & self.mirror
        return np.column_stack([corners, mirrored])

    def pictures(self, indices: Places, sizes: Sequence[int], cuts: np.ndarray | None = None) -> dict[int, Tensor]:
        """Size -> uint8 B 3 S S of the same crops: those that :meth:`cuts` drew, or the middle as it is."""
        if cuts is None:
            return {size: self.images(size, indices) for size in sizes}
        return {size: self._cut(indices, size, cuts[:, :2], cuts[:, 2] > 0) for size in sizes}

    def weight(self, sizes: Sequence[int]) -> int:
        """Bytes of all pictures of these sizes, margins included."""
        return sum(len(self) * self._arrays[size].row_bytes for size in sizes)

    def hold(self, device: torch.device, sizes: Sequence[int]) -> None:
        """Copy all pictures of these sizes to ``device``, which cuts and gives them from now on."""
        self._held = {size: load(self._arrays[size], self._rows, device) for size in sizes}

    @property
    def _room(self) -> int:
        """How far a crop may lie from the corner, px of the smallest size: crops of all sizes match to the pixel."""
        return margin(self.smallest) - self.smallest

    def _cut(self, indices: Places, size: int, corners: np.ndarray, mirrored: np.ndarray) -> Tensor:
        if size not in self._arrays:
            raise KeyError(f"this data set was opened with sizes {self.sizes}, not {size}")
        places, corners = np.asarray(indices, dtype=np.int64), corners * (size // self.smallest)
        rows = self._rows[places]
        if size in self._held:
            return cut_squares(self._held[size], places, size, corners, mirrored)
        array, tiles = self._arrays[size], torch.empty(len(indices), 3, size, size, dtype=torch.uint8)
        view = tiles.numpy()
        for place, row in enumerate(rows):
            y, x = corners[place]
            view[place] = array.row(int(row))[:, y : y + size, x : x + size]
            if mirrored[place]:
                tiles[place] = tiles[place].flip(2)  # one by one: torch's indexed writes of bytes are ten times as slow
        return tiles


def _read_rows(path: Path) -> list[dict]:
    """The rows of ``pictures.jsonl``; no row of the arrays is named twice.

    Raises:
        FileError: a row that :func:`prepare` did not write.
    """
    records: list[dict] = []
    for number, record in lines(path, ROW):
        if isinstance(record, FileError):
            raise record
        if record["split"] not in ("train", "test"):
            raise FileError(f"line {number}: expected the split train or test, found {shown(record['split'])}")
        records.append(record)
    if len({record["row"] for record in records}) != len(records):
        raise FileError("a row of the arrays stands twice")
    if not records:
        raise FileError("no picture in it")
    return records


def speed(root: str | os.PathLike, batch: int = 32, seconds: float = 3.0) -> dict:
    """Whole batches a second (all sizes, captions encoded), read by one process.

    Args:
        root: a prepared directory, or a data set that holds one.
        batch: pictures a batch.
        seconds: how long to read.

    Returns:
        ``samples_per_second``, ``batch``, ``sizes``, ``threads``.
    """
    data = Prepared(root)
    sampler = BatchSampler(data, Vocabulary(data.words), words_limit=20)
    step, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        sampler.batch(step, batch, data.sizes).images.read(slice(None))
        step += 1
    rate = step * batch / (time.monotonic() - began)
    return {"samples_per_second": round(rate), "batch": batch, "sizes": list(data.sizes), "threads": torch.get_num_threads()}
