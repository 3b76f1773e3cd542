"""The eleven colours of Aviary: what a named colour looks like in sRGB, and which name a rendered colour has.

Colours are sRGB triples in [0, 1]. They stay apart under the renderer's light and shade, which scales them by about 0.7 to 1.15.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dmm.aviary.traits import COLOURS, Bird

RGB = tuple[float, float, float]

SRGB: dict[str, RGB] = {
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
    """The name of a rendered colour: the nearest in Lab of all eleven, each from deep shade to a bright rim."""
    target = lab(np.asarray(rgb))
    shades = np.array([0.72, 0.86, 1.0, 1.13])
    palette = np.array([SRGB[name] for name in COLOURS])  # 11 3
    distance = ((lab((shades[:, None, None] * palette).clip(max=1.0)) - target) ** 2).sum(-1).min(0)
    return COLOURS[int(distance.argmin())]


class Coat:
    """The palette of a flock: every named colour a little off its name, always in the same way for the same bird."""

    def __init__(self, birds: Sequence[Bird]):
        self.birds = birds
        self._palette = np.stack([self._mix(bird.rng("paints")) for bird in birds])  # B 11 3

    @staticmethod
    def _mix(rng: np.random.Generator) -> np.ndarray:
        """The eleven colours, 11 3: each darker by up to 6 % or lighter by up to 5 %, and each of its primaries by up to 3.5 % more."""
        offset = rng.uniform(0.94, 1.05, (len(COLOURS), 1)) * rng.uniform(0.965, 1.035, (len(COLOURS), 3))
        return np.clip(np.array([SRGB[name] for name in COLOURS]) * offset, 0.0, 1.0)

    def colour(self, name: str, b: int) -> np.ndarray:
        """The triple of a colour name on bird ``b``; the same name is the same triple all over a bird."""
        return self._palette[b, COLOURS.index(name)]

    def first(self, part: str) -> np.ndarray:
        """The main colours of a part, B 3."""
        return np.stack([self.colour(self._names(part, b)[0], b) for b in range(len(self.birds))])

    def second(self, part: str, b: int) -> np.ndarray:
        """The second colour of a part of bird ``b``; if it has none, the colour of the part's pattern."""
        names = self._names(part, b)
        return self.colour(names[1], b) if len(names) > 1 else self.pattern(part, b)

    def two_coloured(self, part: str, b: int) -> bool:
        """Whether bird ``b`` shows two colours on a part, without bars, spots or streaks."""
        kind = getattr(self.birds[b], f"{part}_pattern", "solid")
        return kind == "multi-colored" or (kind == "solid" and len(self._names(part, b)) > 1)

    def pattern(self, part: str, b: int) -> np.ndarray:
        """The colour of bars, spots or streaks: the one that the bird names, else the part's second colour, else black or white."""
        names = self._names(part, b)
        name = self.birds[b].pattern_colours.get(part) or (names[1] if len(names) > 1 else names[0])
        if name == names[0]:
            name = "white" if sum(SRGB[name]) < 1.2 else "black"
        return self.colour(name, b)

    def _names(self, part: str, b: int) -> tuple[str, ...]:
        names = self.birds[b].colours.get(part)
        if not names:
            raise ValueError(f"bird {self.birds[b].index} has no colour for its {part}; Bird.colours names one for each of COLOURED_PARTS")
        return names
