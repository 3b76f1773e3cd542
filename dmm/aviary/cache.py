"""Aviary drawn once, into memory-mapped arrays: drawing costs far more than training's own reading ever will.

A cache directory holds ``<size>.npy`` (uint8 N 3 S S) for each size, ``labels.npy`` (uint8 N 128 128, the part that each pixel shows) and
``cache.json``, which appears last and so marks the cache as complete. Chunks of birds are drawn in several processes if there are many;
a stopped draw goes on where it was (:mod:`dmm.data.array_writer`, with a mark for each chunk). If the renderer has changed since,
everything is drawn anew beside the old files and then renamed over them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dmm.aviary.grammar import Caption, captions
from dmm.aviary.species import bird
from dmm.aviary.traits import Bird
from dmm.data.array_writer import ArrayWriter, Files, clear, locked, write_rows
from dmm.data.arrays import Rows
from dmm.data.batch import Places, load
from dmm.errors import InputError
from dmm.files import List, Table, Text, Whole, read_json
from dmm.images import write_atomic
from dmm.workers import resumable_bar, work

DRAWN = 256  # px; smaller pictures are area averages of it
LABELLED = 128  # px of the part labels; each is that of the lower right of the four pixels it stands for
CHUNK = 32  # birds between two marks on disk
CARD = "cache.json"
CARD_FILE = Table({"images": Whole(1), "sizes": List(Whole(1, DRAWN), 1), "seed": Whole(), "level": Text(), "split": Text()})
_REMEMBERED = 20_000  # birds whose captions are kept in memory


def _draw(birds: Sequence[Bird], sizes: Sequence[int]) -> dict[str, Tensor]:
    """Name of an array -> its rows: pictures uint8 B 3 S S by their size, "labels" uint8 B 128 128."""
    from dmm.aviary.renderer import render_with_labels

    pictures, labels = render_with_labels(birds, DRAWN)  # B 3 256 256 in [0, 1], B 256 256
    step = DRAWN // LABELLED
    drawn = {str(s): (F.avg_pool2d(pictures, DRAWN // s) * 255).round().to(torch.uint8) for s in sizes}
    return drawn | {"labels": labels[:, step - 1 :: step, step - 1 :: step].contiguous()}


def _shapes(sizes: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Name of an array -> shape of a row."""
    return {str(size): (3, size, size) for size in sizes} | {"labels": (LABELLED, LABELLED)}


class AviaryCache:
    """N drawn birds; open one with :meth:`open`."""

    def __init__(self, directory: Path, images: int, seed: int, level: str, split: str, sizes: Sequence[int]):
        self.directory, self.seed, self.level, self.split = directory, seed, level, split
        self.sizes = tuple(sizes)
        self._images = images
        self._arrays = {size: Rows(directory / f"{size}.npy") for size in sizes}
        self._held: dict[int, Tensor] = {}
        self._labels = Rows(directory / "labels.npy")
        self._captions = lru_cache(maxsize=_REMEMBERED)(lambda i: captions(self.bird(i)))

    @classmethod
    def open(
        cls,
        root: str | os.PathLike,
        images: int,
        seed: int = 0,
        level: str = "garden",
        split: str = "train",
        sizes: Sequence[int] = (64, 128, 256),
        progress: bool | None = None,
        workers: int | None = None,
    ) -> AviaryCache:
        """The first ``images`` birds of a population, drawn now if they are not yet in ``root``. A larger cache there serves as well.

        Args:
            sizes: sides in pixels, each a divisor of 256.
            progress: a bar with rate and time left; ``None`` shows it on a terminal only.
            workers: processes that draw; by default as many as help, see :func:`dmm.workers.useful_workers`.

        Raises:
            ValueError: no images, or a size that does not divide 256.
            OSError: too little room on the disk, or a drawing process died; what it had drawn stays for the next call.
        """
        if images < 1 or any(size < 1 or DRAWN % size for size in sizes) or not sizes:
            raise InputError(f"expected at least one image and sizes that divide {DRAWN}, found {images} images at {tuple(sizes)}")
        root = Path(root)
        rendered = _fingerprint(seed, level, split)
        wanted = {"seed": seed, "level": level, "split": split, "painted": rendered, "labels": LABELLED}  # keys of caches on disk
        found = _find(root, images, wanted, sizes)
        if found is None:
            found = root / f"{level}-{split}-{seed}-{images}"
            found.mkdir(parents=True, exist_ok=True)
            with locked(found):
                if _find(root, images, wanted, sizes) is None:
                    _fill(found, images, wanted, sorted(set(sizes)), progress, workers)
        return cls(found, images, seed, level, split, sizes)

    def __len__(self) -> int:
        return self._images

    def images(self, size: int, indices: Places) -> Tensor:
        """Pictures of the given birds, uint8 B 3 S S.

        Raises:
            IndexError: a bird that the cache does not hold.
            KeyError: a size that it was not opened with.
        """
        if size not in self._arrays:
            raise KeyError(f"this cache was opened with sizes {self.sizes}, not {size}")
        rows = np.asarray(indices, dtype=np.int64)
        if rows.size and not (0 <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"birds {rows.min()} to {rows.max()} asked for, the cache holds 0 to {len(self) - 1}")
        if size in self._held:
            return self._held[size][torch.from_numpy(rows).to(self._held[size].device, non_blocking=True)]
        return torch.from_numpy(self._arrays[size][rows])

    def labels(self, indices: Sequence[int]) -> Tensor:
        """What each pixel shows of the given birds, uint8 B 128 128; numbers as of :func:`dmm.aviary.renderer.render_with_labels`."""
        return torch.from_numpy(self._labels[np.asarray(indices, dtype=np.int64)])

    def weight(self, sizes: Sequence[int]) -> int:
        """Bytes of all pictures of these sizes."""
        return sum(len(self) * self._arrays[size].row_bytes for size in sizes)

    def hold(self, device: torch.device, sizes: Sequence[int]) -> None:
        """Copy all pictures of these sizes to ``device``, which gives them from now on."""
        self._held = {size: load(self._arrays[size], np.arange(len(self)), device) for size in sizes}

    def pictures(self, indices: Places, sizes: Sequence[int], cuts: np.ndarray | None = None) -> dict[int, Tensor]:
        """Size -> uint8 B 3 S S; drawn birds are not cropped, so ``cuts`` is not used."""
        return {size: self.images(size, indices) for size in sizes}

    def bird(self, index: int) -> Bird:
        """The bird of a picture."""
        return bird(index, self.seed, self.level, self.split)

    def birds(self, indices: Sequence[int]) -> list[Bird]:
        """The birds of several pictures."""
        return [self.bird(int(i)) for i in indices]

    def captions(self, index: int) -> list[Caption]:
        """Ten captions of a bird."""
        return self._captions(int(index))

    def class_id(self, index: int) -> int:
        """The bird's species, 0..199."""
        return self.bird(int(index)).species

    def key(self, index: int) -> str:
        """A name for the picture."""
        return f"aviary/{self.level}/{self.split}/{self.seed}/{int(index):06d}"


@lru_cache(maxsize=64)
def _fingerprint(seed: int, level: str, split: str) -> str:
    """What the renderer makes of the first two birds."""
    pictures = _draw([bird(i, seed, level, split) for i in range(2)], (64,))["64"]
    return hashlib.sha256(pictures.numpy().tobytes()).hexdigest()[:16]


def _find(root: Path, images: int, wanted: dict, sizes: Sequence[int]) -> Path | None:
    """The smallest complete cache that holds what is wanted."""
    found = []
    for path in root.glob(f"*/{CARD}"):
        try:
            card = read_json(path, CARD_FILE)
        except ValueError:  # damaged: as if it were not there
            continue
        if all(card.get(k) == v for k, v in wanted.items()) and card["images"] >= images and set(sizes) <= set(card["sizes"]):
            found.append((card["images"], path.parent))
    return min(found)[1] if found else None


def _fill(directory: Path, images: int, wanted: dict, sizes: Sequence[int], progress: bool | None, workers: int | None) -> None:
    """Draw what is missing, then let the arrays take their names and write the card."""
    chunks = [range(k, min(images, k + CHUNK)) for k in range(0, images, CHUNK)]
    plan = {**wanted, "images": images, "sizes": list(sizes), "chunk": CHUNK}
    writer = ArrayWriter(directory, _shapes(sizes), images, plan, len(chunks), marks="chunks")
    todo = [chunks[k] for k in np.flatnonzero(writer.marks == 0)]
    missing = sum(map(len, todo))
    draw = partial(_draw_rows, writer.files, sizes, {key: wanted[key] for key in ("seed", "level", "split")})
    with (
        resumable_bar(images, images - missing, "drawing birds", "bird", progress) as bar,
        contextlib.closing(work(draw, todo, missing, workers, "dmm.aviary.renderer")) as done,
    ):
        for rows, _ in done:
            writer.marks[rows.start // CHUNK] = 1
            writer.marks.flush()
            bar.update(len(rows))
    writer.finish(directory / CARD)
    write_atomic(directory / CARD, json.dumps({**wanted, "images": images, "sizes": list(sizes)}, indent=1).encode())
    clear(directory)


def _draw_rows(files: Files, sizes: Sequence[int], population: dict, rows: range) -> None:
    """Draw birds into their rows of array files; any process may.

    Args:
        files: of an :class:`~dmm.data.array_writer.ArrayWriter`.
        sizes: of the pictures among them, px.
        population: ``seed``, ``level`` and ``split`` of the birds.
        rows: which birds.

    Raises:
        OSError: the files cannot be written, a full disk for instance.
    """
    drawn = {name: array.numpy() for name, array in _draw([bird(i, **population) for i in rows], sizes).items()}
    write_rows(files, ((row, {name: array[place] for name, array in drawn.items()}) for place, row in enumerate(rows)))
