"""A map of numbers as a picture: resize, colour, blend. Only here.

A shade means a number. The heat lies over a *desaturated* picture, so that a yellow bird is not taken for a large value, and with the
same opacity everywhere, so that equal numbers get equal tints. Colour maps are perceptually even and safe for colour-blind readers: a
sequential one for probabilities and gates, a diverging one for differences.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dmm.images import to_uint8

SEQUENTIAL = "viridis"  # probabilities, gates, shares: dark = little, yellow = much

#: Pathway of a word (:mod:`dmm.metrics.pathways`) -> its name and colour; colours stay apart for colour-blind eyes and in grey.
PATHWAYS = {
    "initial": ("sentence code, first stage", "#3b528b"),
    "memory_128": ("words read for 128 px", "#f28e2b"),
    "memory_256": ("words read for 256 px", "#ffd27f"),
    "global": ("global memory", "#59a14f"),
    "sentence_attention": ("sentence attention", "#59a14f"),
    "joining": ("sentence code, later stages", "#59a14f"),
    "total": ("everywhere", "#1f262b"),
}

Limits = tuple[float, float]


def limits(*maps, symmetric: bool = False, uniform: float = 0.0) -> Limits:
    """One range for maps that are compared: (0, largest) rounded up to two digits; symmetric about 0 for differences.

    Args:
        maps: arrays or tensors of any shape, finite.
        uniform: the value 1/T that would mean "even"; the range reaches twice as far (to 1), so that even reading never looks like much.
    """
    largest = max([min(2 * uniform, 1.0), *(float(np.abs(_array(m)).max()) for m in maps)])
    if largest == 0:
        largest = 1.0
    unit = 10.0 ** (np.floor(np.log10(largest)) - 1)
    top = float(np.ceil(largest / unit - 1e-4) * unit)  # 1e-4: 0.3 in float32 is not rounded up to 0.31
    return (-top, top) if symmetric else (0.0, top)


def resize(values, size: int | tuple[int, int]) -> np.ndarray:
    """A map H W brought to ``size`` (a side, or height and width): bilinear, antialiased when shrinking. float32, within its range."""
    height, width = (size, size) if isinstance(size, int) else size
    tensor = torch.as_tensor(np.ascontiguousarray(_array(values)), dtype=torch.float32)[None, None]
    if tensor.shape[-2:] != (height, width):
        tensor = F.interpolate(tensor, size=(height, width), mode="bilinear", align_corners=False, antialias=True)
    return tensor[0, 0].numpy()


def heat(values, limits: Limits = (0.0, 1.0), cmap: str = SEQUENTIAL) -> np.ndarray:
    """Colours of a map: H W -> H W 3 uint8. Numbers beyond the limits take the end colours.

    Raises:
        ValueError: limits that are not increasing, or a map with a number that is not finite.
    """
    low, high = limits
    if not high > low:
        raise ValueError(f"limits must increase, found {limits}")
    values = _array(values)
    if not np.isfinite(values).all():
        raise ValueError("the map holds numbers that are not finite")
    table = _table(cmap)
    position = np.clip((values - low) / (high - low), 0, 1)
    return table[np.rint(position * (len(table) - 1)).astype(int)]


def desaturate(image: Tensor) -> np.ndarray:
    """Lightness (Rec. 709 luma) of a picture: 3 S S in [-1, 1] or uint8 -> S S float32 in 0..255."""
    pixels = (image if image.dtype == torch.uint8 else to_uint8(image)).cpu().numpy().astype(np.float32)  # 3 S S
    return np.tensordot(np.array([0.2126, 0.7152, 0.0722], np.float32), pixels, axes=1)


def overlay(image: Tensor, values, limits: Limits = (0.0, 1.0), strength: float = 0.6, cmap: str = SEQUENTIAL) -> np.ndarray:
    """A map laid over its picture.

    Args:
        image: 3 S S in [-1, 1] or uint8 (a batch axis of 1 is accepted).
        values: H W, any size; resized to S S.
        limits: the numbers at the two ends of the colour map.
        strength: opacity of the heat, 0 (grey picture alone) to 1 (heat alone).
        cmap: a matplotlib colour map, such as :data:`SEQUENTIAL`.

    Returns:
        S S 3 uint8.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is an opacity between 0 and 1, found {strength}")
    if image.ndim == 4:
        image = image[0]
    grey = desaturate(image)[..., None]
    colour = heat(resize(values, (image.shape[-2], image.shape[-1])), limits, cmap).astype(np.float32)
    return np.rint(np.clip((1 - strength) * grey + strength * colour, 0, 255)).astype(np.uint8)


def difference(one: Tensor, other: Tensor) -> np.ndarray:
    """Mean absolute difference over the channels, as a share of the full range: 1 3 S S and 1 3 S S in [-1, 1] -> S S, 0 to 1."""
    return ((one - other).abs().mean(1)[0] / 2).numpy()


def picture(image: Tensor) -> np.ndarray:
    """A picture alone in the layout of :func:`overlay`: 3 S S (or 1 3 S S) -> S S 3 uint8."""
    if image.ndim == 4:
        image = image[0]
    return (image if image.dtype == torch.uint8 else to_uint8(image)).permute(1, 2, 0).cpu().numpy()


@dataclass(frozen=True)
class Legend:
    """All that a surface needs to draw a legend: what is shown, its range, and numbers worth marking."""

    label: str
    unit: str
    limits: Limits
    marks: tuple[tuple[float, str], ...]  # (position 0..1 along the bar, text), e.g. the uniform value 1/T
    cmap: str
    strip: np.ndarray = field(repr=False, compare=False)  # 1 256 3 uint8, low to high

    @property
    def css(self) -> str:
        """The bar as a CSS ``linear-gradient``."""
        stops = self.strip[0, :: 255 // 15]
        return "linear-gradient(to right, " + ", ".join("#" + bytes(stop).hex() for stop in stops) + ")"


def legend(label: str, limits: Limits = (0.0, 1.0), unit: str = "", uniform: float | None = None, cmap: str = SEQUENTIAL) -> Legend:
    """The legend of a map drawn with these limits; ``uniform`` (1/T) is marked where it lies inside them."""
    low, high = limits
    marks = () if uniform is None or not low < uniform < high else (((uniform - low) / (high - low), f"1/T = {uniform:.2g}"),)
    strip = heat(np.linspace(low, high, 256)[None], limits, cmap)
    return Legend(label, unit, (float(low), float(high)), marks, cmap, strip)


def ink(colour) -> str:
    """Black or white, whichever reads better on an RGB colour (0..255): for words on shaded chips."""
    red, green, blue = (float(c) / 255 for c in colour)
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#ffffff"


def _array(values) -> np.ndarray:
    return values.detach().float().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values, dtype=np.float32)


@functools.cache
def _table(cmap: str) -> np.ndarray:
    """A colour map as colours, 256 3 uint8; it is kept, so that nobody may write to it."""
    table = np.rint(matplotlib.colormaps[cmap](np.linspace(0, 1, 256))[:, :3] * 255).astype(np.uint8)
    table.setflags(write=False)
    return table
