"""Aviary on disk, in the layout of CUB-200-2011, so that whatever reads CUB reads it.

Beside CUB's own files there are ``segmentations/<class>/<image>.png`` (0 background, 1 to 15 the parts in CUB's order, 16 plumage that
is no named part) and ``text/<class>/<image>.txt`` (ten captions, one a line). Boxes and part locations are read off the masks, hence
exact. A picture does not depend on how many are written, so a stopped or a smaller data set grows into a larger one.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from dmm.data.aviary.attributes import ATTRIBUTES, attributes
from dmm.data.aviary.grammar import captions
from dmm.data.aviary.species import SPECIES, bird
from dmm.data.aviary.traits import CUB_PARTS, LEVELS, Bird
from dmm.images import write_atomic

UNNAMED = len(CUB_PARTS) + 1  # label of plumage that is no named part
_CARD = "aviary.json"
_VERSION = 1


class Entry(NamedTuple):
    """One image of the data set."""

    id: int  # from 1, in the order of images.txt
    name: str  # <class>/<image>, without ending
    bird: Bird


class Seen(NamedTuple):
    """What a label map shows."""

    box: tuple[int, int, int, int]  # x, y of the first pixel, width, height
    parts: list[tuple[int, int] | None]  # for each of CUB_PARTS a pixel x, y of it, or None


def class_name(species: int) -> str:
    """The directory of a species: "001.Purple_bellied_Finch"."""
    return f"{species + 1:03d}.{SPECIES[species].name}"


def entries(images: int, seed: int = 0, level: str = "garden") -> list[Entry]:
    """The images of a data set of this size, sorted by class as in CUB; the 200 species share them evenly."""
    made: list[Entry] = []
    for s in range(len(SPECIES)):
        for k in range((s + 1) * images // len(SPECIES) - s * images // len(SPECIES)):
            name = f"{class_name(s)}/{SPECIES[s].name}_{k + 1:04d}"
            made.append(Entry(len(made) + 1, name, bird(k * len(SPECIES) + s, seed, level, SPECIES[s].split, species=s)))
    return made


def write(
    out: str | os.PathLike,
    images: int,
    size: int = 304,
    seed: int = 0,
    level: str = "garden",
    progress: bool | None = None,
    batch: int = 8,
) -> Path:
    """Write a data set; go on where an earlier call with the same size, seed and level was stopped.

    Args:
        out: the data set's directory, new or begun by this function.
        images: pictures over all 200 species (150 of them are the training split).
        size: side of a picture, px.
        progress: a bar with rate and time left; ``None`` shows it on a terminal only.
        batch: birds drawn at a time.

    Returns:
        ``out`` as a path.

    Raises:
        ValueError: a count or level that cannot be, or a directory that holds something else.
    """
    if images < 1 or level not in LEVELS:
        raise ValueError(f"expected at least one image and a level of {', '.join(LEVELS)}; found {images} images, level {level!r}")
    out = Path(out)
    _claim(out, {"version": _VERSION, "seed": seed, "level": level, "size": size})
    todo = entries(images, seed, level)
    missing = [entry for entry in todo if not (out / "images" / f"{entry.name}.jpg").exists()]
    disable = None if progress is None else not progress
    with tqdm(total=len(todo), initial=len(todo) - len(missing), desc=str(out), unit="image", disable=disable) as bar:
        for k in range(0, len(missing), batch):
            _write_images(out, missing[k : k + batch], size)
            bar.update(len(missing[k : k + batch]))
    _write_lists(out, todo)
    return out


def _claim(out: Path, card: dict) -> None:
    """Make the directory ours, or find that it is."""
    path = out / _CARD
    if path.exists():
        found = json.loads(path.read_text())
        if found != card:
            raise ValueError(f"{out} holds an Aviary of {found}; asked for {card}. Choose another directory")
        return
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and holds no Aviary ({_CARD} is missing). Choose a new directory")
    write_atomic(path, json.dumps(card).encode())


def _write_images(out: Path, some: list[Entry], size: int) -> None:
    """Captions, segmentation, and last the picture, whose presence says that all three are there."""
    from dmm.data.aviary.painter import paint_with_masks

    pictures, masks = paint_with_masks([entry.bird for entry in some], size)  # B 3 S S, B 15 S S
    for entry, picture, mask in zip(some, pictures, masks, strict=True):
        text = "\n".join(caption.text for caption in captions(entry.bird)) + "\n"
        write_atomic(out / "text" / f"{entry.name}.txt", text.encode())
        labels = Image.fromarray(part_labels(mask))
        write_atomic(out / "segmentations" / f"{entry.name}.png", _encoded(labels, "PNG", optimize=True))
        pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        write_atomic(out / "images" / f"{entry.name}.jpg", _encoded(Image.fromarray(pixels), "JPEG", quality=95, subsampling=0))


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def part_labels(masks: Tensor) -> np.ndarray:
    """Disjoint part masks 15 S S bool as one map S S uint8; what the parts enclose (an eyering, a mask, a malar stripe) is 16."""
    numbers = torch.arange(1, UNNAMED, dtype=torch.uint8).view(-1, 1, 1)
    labels = (masks.cpu() * numbers).amax(0).numpy()
    labels[~_reached_from_border(labels == 0) & (labels == 0)] = UNNAMED
    return labels


def _reached_from_border(free: np.ndarray) -> np.ndarray:
    """The free pixels H W bool that a path over free pixels joins to the border."""
    reached = free.copy()
    reached[1:-1, 1:-1] = False
    steps = [(axis, flip) for axis in (0, 1) for flip in (False, True)]
    while True:
        before = reached.sum()
        for axis, flip in steps:
            view, open_ = (np.flip(reached, axis), np.flip(free, axis)) if flip else (reached, free)
            place = np.arange(view.shape[axis]).reshape((-1, 1) if axis == 0 else (1, -1))
            last = np.maximum.accumulate(np.where(view, place, -1), axis)  # the last reached pixel before this one
            wall = np.maximum.accumulate(np.where(open_, -1, place), axis)  # the last wall
            view |= open_ & (last > wall)
        if reached.sum() == before:
            return reached


def see(labels: np.ndarray) -> Seen:
    """Box and part locations of a label map H W.

    Raises:
        ValueError: nothing but background.
    """
    rows, columns = np.flatnonzero(labels.any(1)), np.flatnonzero(labels.any(0))
    if not len(rows):
        raise ValueError("the label map shows no bird")
    box = (int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1))
    return Seen(box, [_middle(labels == k) for k in range(1, UNNAMED)])


def _middle(mask: np.ndarray) -> tuple[int, int] | None:
    """The pixel x, y of a mask nearest its centroid; None for an empty one."""
    y, x = np.nonzero(mask)
    if not len(x):
        return None
    nearest = ((x - x.mean()) ** 2 + (y - y.mean()) ** 2).argmin()
    return int(x[nearest]), int(y[nearest])


def _write_lists(out: Path, todo: list[Entry]) -> None:
    """CUB's text files, each at once."""
    seen = {e.id: see(np.asarray(Image.open(out / "segmentations" / f"{e.name}.png"))) for e in todo}
    lists = {
        "images.txt": (f"{e.id} {e.name}.jpg" for e in todo),
        "classes.txt": (f"{s.index + 1} {class_name(s.index)}" for s in SPECIES),
        "image_class_labels.txt": (f"{e.id} {e.bird.species + 1}" for e in todo),
        "train_test_split.txt": (f"{e.id} {int(SPECIES[e.bird.species].split == 'train')}" for e in todo),
        "bounding_boxes.txt": (f"{e.id} " + " ".join(f"{v:.1f}" for v in seen[e.id].box) for e in todo),
        "parts/parts.txt": (f"{k + 1} {name}" for k, name in enumerate(CUB_PARTS)),
        "parts/part_locs.txt": _part_lines(todo, seen),
        "attributes/attributes.txt": (f"{k + 1} {name}" for k, name in enumerate(ATTRIBUTES)),
        "attributes/certainties.txt": ("1 not visible", "2 guessing", "3 probably", "4 definitely"),
        "attributes/image_attribute_labels.txt": _attribute_lines(todo),
    }
    for name, lines in lists.items():
        write_atomic(out / name, "".join(f"{line}\n" for line in lines).encode())


def _part_lines(todo: list[Entry], seen: dict[int, Seen]) -> Iterator[str]:
    """<image id> <part id> <x> <y> <visible>"""
    for entry in todo:
        for k, place in enumerate(seen[entry.id].parts):
            yield f"{entry.id} {k + 1} {place[0]:.1f} {place[1]:.1f} 1" if place else f"{entry.id} {k + 1} 0.0 0.0 0"


def _attribute_lines(todo: list[Entry]) -> Iterator[str]:
    """<image id> <attribute id> <present> <certainty> <seconds>: all 312 for each image, certainty 4 (definitely)."""
    for entry in todo:
        has = set(attributes(entry.bird))
        for k, name in enumerate(ATTRIBUTES):
            yield f"{entry.id} {k + 1} {int(name in has)} 4 0.0"
