"""The published cut of a picture, in two halves: what is done once (bounding box, resize) and what is drawn anew each time (crop, mirror).

A box of half-size 0.75 times the longer side of the bounding box around its centre, clipped to the picture; the shorter side scaled to
76/64 of the size asked for; then a random crop, mirrored half of the time. Nothing here needs torch, so that worker processes start fast.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from dmm.data.array_writer import Files, write_rows
from dmm.errors import InputError
from dmm.files import one_line
from dmm.workers import work

BOX_HALF = 0.75  # half-size of the box, of the bounding box's longer side
MARGIN = 76 / 64  # shorter side before the crop, of the crop's side
SEEN = 0.25  # least share of a bounding box that lies in its picture
PIXELS = 24_000_000  # of a picture of any size in bytes; a larger one has a byte for every PIXELS_A_BYTE pixels
PIXELS_A_BYTE = 64
DEPTHS = (8, 12, 16)  # bits of grey whole numbers, which say less of themselves: the first that holds the largest
FAINT = 16.0  # a largest float from 1 to this is no white: 1 was overshot, or 255 is far off
#: What a picture may be, by its first bytes, whatever its name. Others of Pillow's kinds start programs (EPS: Ghostscript).
KINDS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "JPEG2000", "PPM")
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # TIFF's tag, and its value for grey that goes the other way
LONGEST = 4  # most of the longer side that is scaled, in shorter sides; the crop's room lies well within


class Box(NamedTuple):
    """A bounding box in pixels."""

    x: float
    y: float
    width: float
    height: float


def margin(size: int) -> int:
    """The side, px, from which a crop of ``size`` px is cut."""
    return int(size * MARGIN)


def open_picture(path: str | os.PathLike, upright: bool = False) -> Image.Image:
    """The whole picture, RGB; transparent places become white, deep grey becomes 8 bit (:func:`_shallow`).

    Args:
        upright: turn it as the camera's EXIF note says; not for data sets whose boxes are in the file's own coordinates.

    Raises:
        OSError: no such file, or not a picture; one that is far larger than its file.
        ValueError: numbers that mean no brightness.
    """
    with Image.open(path, formats=KINDS) as opened:
        count, held = opened.width * opened.height, os.path.getsize(path)
        if count > max(PIXELS, PIXELS_A_BYTE * held):
            raise OSError(f"{opened.width} x {opened.height} px in a file of {held:,} bytes; at most {PIXELS_A_BYTE} px a byte are read")
        image = _shallow(opened)
        if upright:
            image = ImageOps.exif_transpose(image)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
        return image.convert("RGB")


def _shallow(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits as 8 bit, which Pillow would cut off at 255; any other picture as it is.

    Whole numbers are of 16 bits, or of 12 if none exceeds 4095 (what microscopes and scanners store), or of 8 if none exceeds 255 (kept in
    a deeper file); floats go from 0 to 1, or to 255.

    Raises:
        ValueError: negative numbers, numbers that are not finite, or others of which it is not known what is white.
    """
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image).astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F":
        white = 1.0 if high <= 1 else 255.0 if high > FAINT else 0.0
    else:
        white = next((2.0**bits - 1 for bits in DEPTHS if high < 2**bits), 0.0)
    if not (np.isfinite(values).all() and 0 <= low and high <= white):
        raise InputError(f"grey numbers from {low:g} to {high:g}: what is white is not known; save it with 8 or 16 bits")
    if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:  # Pillow turns it round for 8 bits only
        values = white - values
    grey = Image.fromarray((values * (255 / white)).round().astype(np.uint8))
    exif = image.info.get("exif") or image.getexif()
    grey.info |= {"exif": exif.tobytes() if isinstance(exif, Image.Exif) else exif} if exif else {}
    return grey


def check_box(image: Image.Image, box: Box) -> None:
    """Refuse a bounding box that lies outside its picture: it belongs to another one, or is in other units.

    Raises:
        ValueError: less than a quarter of it is in the picture.
    """
    width = min(box.x + box.width, image.width) - max(box.x, 0)
    height = min(box.y + box.height, image.height) - max(box.y, 0)
    if width < 1 or height < 1 or width * height < SEEN * box.width * box.height:
        said = ", ".join(f"{value:g}" for value in box)
        raise InputError(f"the bounding box {said} (x, y, width, height) misses the picture of {image.width} x {image.height} px")


def cut_box(image: Image.Image, box: Box) -> Image.Image:
    """The published surroundings of a bounding box, clipped to the picture."""
    x, y, width, height = (int(value) for value in box)
    half = int(max(width, height) * BOX_HALF)
    middle_x, middle_y = (2 * x + width) // 2, (2 * y + height) // 2
    return image.crop((
        max(0, middle_x - half), max(0, middle_y - half), min(image.width, middle_x + half), min(image.height, middle_y + half),
    ))  # fmt: skip


def scale_shorter(image: Image.Image, side: int) -> Image.Image:
    """The picture with its shorter side scaled to ``side`` px, the longer one in proportion (bilinear)."""
    scale = side / min(image.size)
    if image.width <= image.height:
        return image.resize((side, int(image.height * scale)), Image.Resampling.BILINEAR)
    return image.resize((int(image.width * scale), side), Image.Resampling.BILINEAR)


def middle(image: Image.Image, width: int, height: int) -> Image.Image:
    """The middle ``width`` x ``height`` px."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def squares(image: Image.Image, box: Box | None, sizes: Sequence[int]) -> dict[int, np.ndarray]:
    """What crops of ``sizes`` px are cut from: size -> uint8 3 M M with M = ``margin(size)``, all of the same place.

    The shorter side is scaled as published; of the longer one the middle is kept, where the published codes draw the crop from all of it.
    """
    if box is not None:
        image = cut_box(image, box)
    most = LONGEST * min(image.size)
    image = middle(image, min(image.width, most), min(image.height, most))
    largest = margin(max(sizes))
    image = scale_shorter(image, largest)
    image = middle(image, largest, largest)
    found = {}
    for size in sizes:
        side = margin(size)
        tile = image if side == largest else image.resize((side, side), Image.Resampling.BILINEAR)
        found[size] = np.ascontiguousarray(np.asarray(tile).transpose(2, 0, 1))
    return found


class Job(NamedTuple):
    """A picture to decode: its row in the cache, its file, its box."""

    row: int
    path: str
    box: Box | None
    upright: bool


def decode(job: Job, sizes: Sequence[int]) -> dict[int, np.ndarray] | str:
    """:func:`squares` of a file, or in a few words why it cannot be read."""
    try:
        image = open_picture(job.path, job.upright)
        if job.box is not None:
            check_box(image, job.box)
        return squares(image, job.box, sizes)
    except FileNotFoundError:
        return "the picture is missing"
    except Exception as error:  # decoders fail in every way on damaged files; each failure is reported with its file
        if isinstance(error, OSError) and error.errno is not None:
            return f"cannot be read: {error.strerror}"
        return f"not a readable picture ({one_line(error) or type(error).__name__})"


def verify(jobs: Sequence[Job]) -> list[tuple[int, str]]:
    """(row, what is wrong) of each file that cannot be decoded."""
    found = [(job.row, decode(job, (16,))) for job in jobs]
    return [(row, said) for row, said in found if isinstance(said, str)]


def decode_into(files: Files, jobs: Sequence[Job]) -> list[tuple[int, str]]:
    """Decode pictures and write them into their rows of array files.

    Args:
        files: of an array for each size, called by its number.
        jobs: which pictures.

    Returns:
        (row, what is wrong) of each picture that cannot be decoded; its row stays as it was.

    Raises:
        OSError: the files cannot be written, a full disk for instance.
    """
    broken: list[tuple[int, str]] = []

    def rows() -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        for job in jobs:
            tiles = decode(job, tuple(map(int, files)))
            if isinstance(tiles, str):
                broken.append((job.row, tiles))
            else:
                yield job.row, {str(size): tile for size, tile in tiles.items()}

    write_rows(files, rows())
    return broken


def run_jobs(
    function: Callable[[Sequence[Job]], list[tuple[int, str]]], jobs: Sequence[Job], workers: int | None = None, chunk: int = 16
) -> Generator[tuple[list[Job], list[tuple[int, str]]], None, None]:
    """``function(jobs)`` for chunks of the jobs, in the order in which they get done: (the chunk, what the function returned).

    Args:
        function: what a worker process can import; :func:`verify`, or a ``partial`` of :func:`decode_into`.
        workers: processes; by default as many as help, see :func:`dmm.workers.useful_workers`.

    Raises:
        dmm.workers.WorkerError: a worker process died.
    """
    return work(function, [list(jobs[k : k + chunk]) for k in range(0, len(jobs), chunk)], len(jobs), workers)
