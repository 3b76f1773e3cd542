"""Aviary on disk, in the layout of CUB-200-2011, so that whatever reads CUB reads it.

Beside CUB's own files there are ``segmentations/<class>/<image>.png`` (0 background, 1 to 15 the parts in CUB's order, 16 plumage that
is none of them: the face and the marks of the head, but a crest is crown) and ``text/<class>/<image>.txt`` (ten captions, one a line).
Boxes and part locations are read off these labels, hence exact. A picture does not depend on how many are written, so a stopped or a
smaller data set grows into a larger one.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from dmm.aviary.attributes import ATTRIBUTES, attributes
from dmm.aviary.canvas import UNNAMED
from dmm.aviary.grammar import captions
from dmm.aviary.species import SPECIES, bird
from dmm.aviary.traits import CUB_PARTS, LEVELS, Bird
from dmm.errors import InputError
from dmm.files import Table, read_json
from dmm.images import write_atomic
from dmm.workers import resumable_bar, work

RENDERER = "dmm.aviary.renderer"  # what each worker imports
_CARD = "aviary.json"
_VERSION = 2  # 1 had labels of enclosed parts only, so that most faces were background


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
    workers: int | None = None,
) -> Path:
    """Write a data set; go on where an earlier call with the same size, seed and level was stopped.

    Args:
        out: the data set's directory, new or begun by this function.
        images: pictures over all 200 species (150 of them are the training split).
        size: side of a picture, px.
        progress: a bar with rate and time left; ``None`` shows it on a terminal only.
        batch: birds drawn at a time.
        workers: processes that draw; by default as many as help, see :func:`dmm.workers.useful_workers`.

    Returns:
        ``out`` as a path.

    Raises:
        ValueError: a count or level that cannot be, or a directory that holds something else.
        OSError: no room on the disk, or a drawing process died; what it had written stays for the next call.
    """
    if images < 1 or level not in LEVELS:
        raise InputError(f"expected at least one image and a level of {', '.join(LEVELS)}; found {images} images, level {level!r}")
    out = Path(out)
    _claim(out, {"version": _VERSION, "seed": seed, "level": level, "size": size})
    todo = entries(images, seed, level)
    missing = [entry for entry in todo if not (out / "images" / f"{entry.name}.jpg").exists()]
    with resumable_bar(len(todo), len(todo) - len(missing), str(out), "image", progress) as bar:
        jobs = [missing[k : k + batch] for k in range(0, len(missing), batch)]
        with closing(work(partial(_write_images, out, size), jobs, len(missing), workers, RENDERER)) as done:
            for some, _ in done:
                bar.update(len(some))
    _write_lists(out, todo)
    return out


def _claim(out: Path, card: dict) -> None:
    """Make the directory ours, or find that it is."""
    path = out / _CARD
    if path.exists():
        found = read_json(path, Table())
        if found != card:
            raise InputError(f"{out} holds an Aviary of {found}; asked for {card}. Choose another directory")
        return
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty and holds no Aviary ({_CARD} is missing). Choose a new directory")
    write_atomic(path, json.dumps(card).encode())


def _write_images(out: Path, size: int, some: list[Entry]) -> None:
    """Captions, segmentation, and last the picture, whose presence says that all three are there; any process may."""
    from dmm.aviary.renderer import render_with_labels

    pictures, labels = render_with_labels([entry.bird for entry in some], size)  # B 3 S S, B S S
    for entry, picture, parts in zip(some, pictures, labels, strict=True):
        text = "\n".join(caption.text for caption in captions(entry.bird)) + "\n"
        write_atomic(out / "text" / f"{entry.name}.txt", text.encode())
        segmentation = Image.fromarray(parts.numpy())
        write_atomic(out / "segmentations" / f"{entry.name}.png", _encoded(segmentation, "PNG", optimize=True))
        pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        write_atomic(out / "images" / f"{entry.name}.jpg", _encoded(Image.fromarray(pixels), "JPEG", quality=95, subsampling=0))


def _encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def see(labels: np.ndarray) -> Seen:
    """Box and part locations of a label map H W.

    Raises:
        ValueError: nothing but background.
    """
    y, x = np.nonzero(labels)
    if not len(x):
        raise ValueError("the label map shows no bird")
    box = (int(x.min()), int(y.min()), int(x.max() - x.min() + 1), int(y.max() - y.min() + 1))
    shown = labels[y, x]
    return Seen(box, [_middle(x[shown == k], y[shown == k]) for k in range(1, UNNAMED)])


def _middle(x: np.ndarray, y: np.ndarray) -> tuple[int, int] | None:
    """Of some pixels the one nearest their centroid, x, y; None of none."""
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
    """Lines ``<image id> <part id> <x> <y> <visible>``."""
    for entry in todo:
        for k, place in enumerate(seen[entry.id].parts):
            yield f"{entry.id} {k + 1} {place[0]:.1f} {place[1]:.1f} 1" if place else f"{entry.id} {k + 1} 0.0 0.0 0"


def _attribute_lines(todo: list[Entry]) -> Iterator[str]:
    """<image id> <attribute id> <present> <certainty> <seconds>: all 312 for each image, certainty 4 (definitely)."""
    for entry in todo:
        has = set(attributes(entry.bird))
        for k, name in enumerate(ATTRIBUTES):
            yield f"{entry.id} {k + 1} {int(name in has)} 4 0.0"
