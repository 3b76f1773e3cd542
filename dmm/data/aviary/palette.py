"""The eleven colours of Aviary: what a named colour looks like in paint, and which name a painted colour has.

Colours are sRGB triples in [0, 1]. They stay apart under the painter's light and shade, which scales them by about 0.7 to 1.15.
"""

from __future__ import annotations

import numpy as np

from dmm.data.aviary.traits import COLOURS, Bird

RGB = tuple[float, float, float]

PAINT: dict[str, RGB] = {
    "red": (0.80, 0.10, 0.11),
    "orange": (0.96, 0.49, 0.07),
    "yellow": (0.98, 0.84, 0.16),
    "green": (0.25, 0.56, 0.20),
    "blue": (0.13, 0.37, 0.80),
    "purple": (0.48, 0.20, 0.63),
    "pink": (0.97, 0.56, 0.69),
    "brown": (0.43, 0.26, 0.14),
    "grey": (0.54, 0.55, 0.57),
    "black": (0.10, 0.10, 0.11),
    "white": (0.97, 0.96, 0.94),
}


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of sRGB in [0, 1]; the last axis is the colour."""
    rgb = np.asarray(rgb, dtype=np.float64)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def nearest(rgb: np.ndarray) -> str:
    """The name of a painted colour: the nearest in Lab of all eleven paints, each in deep shade, in half shade and in full light."""
    target = lab(np.asarray(rgb))
    shades = np.array([0.72, 0.86, 1.0])
    paints = np.array([PAINT[name] for name in COLOURS])  # 11 3
    distance = ((lab(shades[:, None, None] * paints) - target) ** 2).sum(-1).min(0)
    return COLOURS[int(distance.argmin())]


class Coat:
    """The paints of one bird: every named colour of every part, each a little off its name, always in the same way for the same bird."""

    def __init__(self, bird: Bird):
        self.bird = bird
        self._offsets: dict[str, np.ndarray] = {}

    def paint(self, name: str) -> RGB:
        """The triple of a colour name on this bird; the same name is the same paint all over the bird."""
        if name not in self._offsets:
            rng = self.bird.rng(f"paint {name}")
            self._offsets[name] = rng.uniform(0.94, 1.05) * rng.uniform(0.965, 1.035, 3)
        red, green, blue = np.clip(np.array(PAINT[name]) * self._offsets[name], 0.0, 1.0)
        return float(red), float(green), float(blue)

    def first(self, part: str) -> RGB:
        """The main colour of a part."""
        return self.paint(self._names(part)[0])

    def second(self, part: str) -> RGB | None:
        """The second colour of a part of two colours, else None."""
        names = self._names(part)
        return self.paint(names[1]) if len(names) > 1 else None

    def pattern(self, part: str) -> RGB:
        """The colour of a part's bars, spots or streaks: the one the bird names, else its second colour, else black or white."""
        names = self._names(part)
        name = self.bird.pattern_colours.get(part) or (names[1] if len(names) > 1 else None)
        if name is None or name == names[0]:
            name = "white" if sum(PAINT[names[0]]) < 1.2 else "black"
        return self.paint(name)

    def _names(self, part: str) -> tuple[str, ...]:
        names = self.bird.colours.get(part)
        if not names:
            raise ValueError(f"bird {self.bird.index} has no colour for its {part}; Bird.colours must name one for each of COLOURED_PARTS")
        return names
