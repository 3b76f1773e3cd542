"""Pictures as numbers: the one place that converts between [-1, 1] floats and 8-bit pixels, and lays pictures out in a grid."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] floats to pixels, ``(x + 1) * 127.5`` truncated as the published codes save them. Any shape."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).to(torch.uint8)


def to_float(pixels: Tensor) -> Tensor:
    """8-bit pixels to [-1, 1], ``u / 127.5 - 1``. Any shape."""
    return pixels.float() / 127.5 - 1


def to_pil(image: Tensor) -> Image.Image:
    """One picture, 3 H W (or 1 3 H W) in [-1, 1] or uint8."""
    if image.ndim == 4:
        image = image[0]
    if image.dtype != torch.uint8:
        image = to_uint8(image)
    return Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())


def grid(images: Tensor | Sequence[Tensor], columns: int, gap: int = 4, background: int = 255) -> Image.Image:
    """Pictures of one size (each 3 H W, [-1, 1] or uint8), row by row; ``gap`` in pixels."""
    tiles = [np.asarray(to_pil(image)) for image in images]
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), background, np.uint8)
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = tile
    return Image.fromarray(sheet)


def save(image: Tensor | Image.Image, path: str | os.PathLike) -> None:
    """Write one picture, atomically; the format follows the name's ending."""
    if isinstance(image, Tensor):
        image = to_pil(image)
    path = Path(path)
    buffer = io.BytesIO()
    image.save(buffer, format=Image.registered_extensions()[path.suffix.lower()])
    write_atomic(path, buffer.getvalue())


def write_atomic(path: str | os.PathLike, data: bytes) -> None:
    """All of ``data`` or nothing: written beside the target, then renamed over it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        if error.errno is not None:
            error.filename = error.filename or str(path)  # writing names no file
        raise
