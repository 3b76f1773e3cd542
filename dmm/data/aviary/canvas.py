"""A canvas that is painted back to front, in windows no larger than what is being painted.

The bird lives in its own frame: x to the right, y down, the picture's half width = 1 / scale, turned and moved by the pose. A
:class:`Window` is a box of that frame cut out of the picture, with the maps of the frame's coordinates at its pixels. Painting there
blends a colour into the picture and, where it covers more than half a pixel, writes the part's number into the label map; so what is
painted later hides what was painted before, in the picture and in the masks alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dmm.data.aviary.traits import CUB_PARTS

Colour = tuple[float, float, float]
NOTHING = 0  # label of background and of plumage that is no named part; part k of CUB_PARTS is k + 1


@dataclass(frozen=True)
class Frame:
    """Where the bird stands in the picture."""

    scale: float = 1.0
    angle: float = 0.0  # radians, clockwise as seen
    shift: tuple[float, float] = (0.0, 0.0)  # in half picture widths


@dataclass
class Window:
    """A box of the canvas: coordinates in the bird's frame (H W) and views into the picture (3 H W) and the labels (H W)."""

    x: Tensor
    y: Tensor
    pixel: float  # width of a pixel in the frame's unit
    image: Tensor
    labels: Tensor

    def paint(self, colour: Colour | Tensor, alpha: Tensor, part: str | None = None, hide: bool = False) -> None:
        """Blend ``colour`` (a triple or a map 3 H W) by ``alpha`` (H W); label it as ``part``, or as nothing when it should ``hide``."""
        if not isinstance(colour, Tensor):
            colour = torch.tensor(colour, dtype=alpha.dtype, device=alpha.device).view(3, 1, 1)
        self.image.lerp_(colour, alpha)
        if part is not None or hide:
            self.mark(alpha, part)

    def mark(self, alpha: Tensor, part: str | None) -> None:
        """Write the label of ``part`` (None: no part) where ``alpha`` covers more than half a pixel."""
        self.labels.masked_fill_(alpha > 0.5, NOTHING if part is None else CUB_PARTS.index(part) + 1)

    def shade(self, amount: Tensor) -> None:
        """Darken by ``amount`` in [0, 1] (H W), to a cool shade."""
        tint = torch.tensor((0.16, 0.15, 0.20), dtype=amount.dtype, device=amount.device).view(3, 1, 1)
        self.image.lerp_(self.image * tint, amount)


class Canvas:
    """A square picture of ``size`` pixels with its label map, seen through the ``frame`` of one bird."""

    def __init__(self, size: int, device: torch.device | str, frame: Frame):
        self.size, self.frame = size, frame
        self.image = torch.zeros(3, size, size, device=device)
        self.labels = torch.zeros(size, size, dtype=torch.uint8, device=device)
        self.pixel = 2.0 / size / frame.scale
        axis = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * (2.0 / size) - 1.0
        c, s = math.cos(frame.angle) / frame.scale, math.sin(frame.angle) / frame.scale
        right, down = axis - frame.shift[0], axis - frame.shift[1]
        self._rows = (down * s, down * c)  # what a row adds to x and y
        self._columns = (right * c, right * -s)

    def to_picture(self, x: float, y: float) -> tuple[float, float]:
        """A point of the bird's frame, in picture coordinates [-1, 1]."""
        c, s, k = math.cos(self.frame.angle), math.sin(self.frame.angle), self.frame.scale
        return k * (c * x - s * y) + self.frame.shift[0], k * (s * x + c * y) + self.frame.shift[1]

    def window(self, left: float, top: float, right: float, bottom: float) -> Window:
        """The pixels that cover a box of the bird's frame (clipped to the picture, at least 4 x 4 pixels)."""
        corners = [self.to_picture(x, y) for x in (left, right) for y in (top, bottom)]
        x0, x1 = self._span([x for x, _ in corners])
        y0, y1 = self._span([y for _, y in corners])
        rows, columns = slice(y0, y1), slice(x0, x1)
        x = self._rows[0][rows, None] + self._columns[0][columns]
        y = self._rows[1][rows, None] + self._columns[1][columns]
        return Window(x, y, self.pixel, self.image[:, rows, columns], self.labels[rows, columns])

    def around(self, *points: tuple[float, float], margin: float) -> Window:
        """The window around some points of the bird's frame."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return self.window(min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin)

    def _span(self, values: list[float]) -> tuple[int, int]:
        low = math.floor((min(values) + 1) * self.size / 2) - 2
        high = math.ceil((max(values) + 1) * self.size / 2) + 2
        low = max(0, min(low, self.size - 4))
        return low, min(self.size, max(high, low + 4))
