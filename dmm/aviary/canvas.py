"""A canvas for a flock, rendered back to front, in windows no larger than what is being rendered.

Each bird lives in its own frame: x to the right, y down, the picture's half width = 1 / scale, turned and moved by its pose. A
:class:`Window` is a box of that frame, cut out of the picture of every bird, with the maps of the frame's coordinates at its pixels.
Rendering there blends a colour into the picture and, where it covers more than half a pixel, writes the part's number into the label
map; so what is rendered later hides what was rendered before, in the picture and in the masks alike.

The same bird gets the same pixels to the last bit in any batch: maps are as wide as whole registers, no operation mixes birds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from dmm.aviary.shapes import Number
from dmm.aviary.traits import CUB_PARTS

UNNAMED = len(CUB_PARTS) + 1  # label of plumage that is no part of CUB's: the face, and the marks of the head
LABELS = {"background": 0, **{part: k + 1 for k, part in enumerate(CUB_PARTS)}, "plumage": UNNAMED}
_LANES = 16  # a map's width is a multiple of it, so that vector units leave no rest that would be rounded otherwise
_BORDER = 16  # pixels around the picture, so that windows may reach out of it
_SHADE = (0.16, 0.15, 0.20)


@dataclass(frozen=True)
class Frame:
    """Where one bird stands in its picture."""

    scale: float = 1.0
    angle: float = 0.0  # radians, clockwise as seen
    shift: tuple[float, float] = (0.0, 0.0)  # in half picture widths


def colour_of(colour, like: Tensor) -> Tensor:
    """A triple, or B triples, to go beside maps B H W: B 3 1 1."""
    return torch.from_numpy(np.asarray(colour, dtype=np.float32).reshape(-1, 3, 1, 1)).to(like.device)


def flat(colour, like: Tensor) -> Tensor:
    """A flat colour as maps B 3 H W that may be rendered on."""
    batch, height, width = like.shape
    return colour_of(colour, like).expand(batch, 3, height, width).clone()


def blend(colours: Tensor, colour, weight: Tensor) -> Tensor:
    """Blend a colour (triples, or a map B 3 H W) into maps B 3 H W by a weight B H W, in place."""
    return colours.lerp_(colour if isinstance(colour, Tensor) else colour_of(colour, weight), weight.unsqueeze(1))


@dataclass
class Window:
    """A box of every bird's picture: coordinates in the bird's frame (B H W), the pixels (B 3 H W) and, if asked for, labels (B H W)."""

    x: Tensor
    y: Tensor
    pixel: np.ndarray  # B: width of a pixel in the frame's unit
    image: Tensor
    labels: Tensor | None
    _home: list[tuple[Tensor, Tensor | None]]  # where the pixels and labels go back to when the window closes

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *failure) -> None:
        for b, (picture, numbers) in enumerate(self._home):
            picture.copy_(self.image[b])
            if self.labels is not None and numbers is not None:
                numbers.copy_(self.labels[b])

    def one(self, b: int) -> Window:
        """The same window of one bird alone (its changes show here)."""
        i = slice(b, b + 1)
        labels = None if self.labels is None else self.labels[i]
        return Window(self.x[i], self.y[i], self.pixel[i], self.image[i], labels, self._home[i])

    def fill(self, colour, alpha: Tensor, part: str | None = None) -> None:
        """Blend ``colour`` (triples or a map) by ``alpha`` B H W; label it as ``part`` if that is said."""
        blend(self.image, colour, alpha)
        if part is not None:
            self.mark(alpha, part)

    def fill_lit(self, colours: Tensor, tone: Tensor, alpha: Tensor, part: str | None = None) -> None:
        """Blend a map of colours B 3 H W under a light B H W, with a sheen, so that black has a form too."""
        light = tone.unsqueeze(1)
        self.fill(colours.mul_(light).add_(light - 0.92, alpha=0.12).clamp_(0.0, 1.0), alpha, part)

    def mark(self, alpha: Tensor, part: str) -> None:
        """Write the label of ``part``, of :data:`LABELS`, where ``alpha`` covers more than half a pixel."""
        if self.labels is not None:
            self.labels.masked_fill_(alpha > 0.5, LABELS[part])

    def shade(self, amount: Tensor) -> None:
        """Darken by ``amount`` in [0, 1], B H W, to a cool shade."""
        blend(self.image, self.image * colour_of(_SHADE, amount), amount)


class Canvas:
    """B square pictures of ``size`` pixels, with label maps if they are ``labelled``, each seen through the frame of its bird."""

    def __init__(self, size: int, device: torch.device | str, frames: list[Frame], labelled: bool = True):
        self.size, self.batch = size, len(frames)
        self.side = -(-(size + 2 * _BORDER) // _LANES) * _LANES
        self.image = torch.zeros(self.batch, 3, self.side, self.side, device=device)
        self.labels = torch.zeros(self.batch, self.side, self.side, dtype=torch.uint8, device=device) if labelled else None
        self.scale = np.array([frame.scale for frame in frames])
        self.pixel = 2.0 / size / self.scale
        angles = np.array([frame.angle for frame in frames])
        self._cos, self._sin = np.cos(angles), np.sin(angles)
        self._shift = np.array([frame.shift for frame in frames]).T  # 2 B

    def picture(self) -> tuple[Tensor, Tensor | None]:
        """The pictures without their border, B 3 S S, and the labels, B S S, of :data:`LABELS`."""
        inside = slice(_BORDER, _BORDER + self.size)
        return self.image[..., inside, inside], None if self.labels is None else self.labels[..., inside, inside]

    def to_picture(self, x: Number, y: Number) -> tuple[np.ndarray, np.ndarray]:
        """A point of each bird's frame, in picture coordinates [-1, 1]."""
        k, (right, down) = self.scale, self._shift
        return k * (self._cos * x - self._sin * y) + right, k * (self._sin * x + self._cos * y) + down

    def window(self, left: Number, top: Number, right: Number, bottom: Number) -> Window:
        """The pixels that cover a box of the birds' frames. Use it in a ``with``: its changes are kept when it closes."""
        corners = [self.to_picture(x, y) for x in (left, right) for y in (top, bottom)]
        x0, width = self._span(np.stack([x for x, _ in corners]))
        y0, height = self._span(np.stack([y for _, y in corners]))
        x, y = self._coordinates(x0, y0, width, height)
        boxes = [(slice(r, r + height), slice(c, c + width)) for r, c in zip(y0, x0, strict=True)]
        pictures = [self.image[b][:, rows, columns] for b, (rows, columns) in enumerate(boxes)]
        if self.labels is None:
            return Window(x, y, self.pixel, torch.stack(pictures), None, [(picture, None) for picture in pictures])
        numbers = [self.labels[b][rows, columns] for b, (rows, columns) in enumerate(boxes)]
        return Window(x, y, self.pixel, torch.stack(pictures), torch.stack(numbers), list(zip(pictures, numbers, strict=True)))

    def around(self, *points: tuple[Number, Number], margin: Number) -> Window:
        """The window around some points of the birds' frames."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        (left, right), (top, bottom) = ((reduce(np.minimum, values), reduce(np.maximum, values)) for values in (xs, ys))
        return self.window(left - margin, top - margin, right + margin, bottom + margin)

    def _span(self, values: np.ndarray) -> tuple[np.ndarray, int]:
        """First pixel for each bird, and how many for all, to cover the values 4 B of one picture axis."""
        pixels = (values + 1.0) * (self.size / 2) + _BORDER
        low, high = np.floor(pixels.min(0)).astype(int) - 2, np.ceil(pixels.max(0)).astype(int) + 2
        low, high = np.clip(low, 0, self.side), np.clip(high, 0, self.side)
        count = min(self.side, -(-max(int((high - low).max()), 1) // _LANES) * _LANES)
        return np.clip(low, 0, self.side - count), count

    def _coordinates(self, x0: np.ndarray, y0: np.ndarray, width: int, height: int) -> tuple[Tensor, Tensor]:
        """X and y of the frame at the pixels of each bird's box, B H W."""
        unit, device = 2.0 / self.size, self.image.device
        right = ((x0[:, None] + np.arange(width) + 0.5 - _BORDER) * unit - 1.0 - self._shift[0][:, None]) / self.scale[:, None]
        down = ((y0[:, None] + np.arange(height) + 0.5 - _BORDER) * unit - 1.0 - self._shift[1][:, None]) / self.scale[:, None]
        c, s = self._cos[:, None], self._sin[:, None]
        rows = [torch.from_numpy(a.astype(np.float32)).to(device).unsqueeze(2) for a in (down * s, down * c)]
        columns = [torch.from_numpy(a.astype(np.float32)).to(device).unsqueeze(1) for a in (right * c, -right * s)]
        return rows[0] + columns[0], rows[1] + columns[1]
