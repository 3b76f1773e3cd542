"""What an Aviary bird is: its traits, named in the way of CUB-200-2011's attributes.

A :class:`Bird` is plain data. :mod:`species` draws it, :mod:`renderer` renders it, :mod:`grammar` describes it; none of the three
knows the other two.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "grey", "black", "white")

#: Parts that carry a colour. Each holds one colour, or two (the first covers more).
COLOURED_PARTS = ("crown", "forehead", "nape", "back", "throat", "breast", "belly", "wing", "tail", "bill", "leg", "eye")

#: CUB's 15 annotated parts, in CUB's order (index + 1 is the part id, and the value in ``segmentations/``).
CUB_PARTS = (
    "back", "beak", "belly", "breast", "crown", "forehead", "left eye", "left leg", "left wing", "nape",
    "right eye", "right leg", "right wing", "tail", "throat",
)  # fmt: skip

PATTERNS = ("solid", "spotted", "streaked", "multi-colored")  # of breast, belly, back, tail; "multi-colored" = two colours
WING_PATTERNS = ("solid", "bars", "spotted", "streaked", "multi-colored")
HEAD_MARKS = ("eyering", "eyebrow", "malar", "crest", "mask")
SIZES = ("tiny", "small", "medium", "large")
BILL_SHAPES = ("cone", "pointed", "curved", "hooked", "dagger", "spatulate")
BILL_LENGTHS = ("short", "medium", "long")
SHAPES = ("songbird", "wader", "gull", "duck", "raptor", "hummingbird", "owl", "woodpecker")
POSES = ("perched", "standing", "swimming", "flying")
PLACES = ("branch", "ground", "reeds", "snow", "sea", "sky")
LEVELS = ("garden", "world")


@dataclass(frozen=True)
class Bird:
    """One individual. The same (level, seed, index) is the same bird, whatever the batch, machine or picture size."""

    index: int
    seed: int
    species: int  # 0..199
    level: str = "garden"
    shape: str = "songbird"
    pose: str = "perched"
    place: str = "branch"
    size: str = "small"
    bill_shape: str = "pointed"
    bill_length: str = "short"
    colours: dict[str, tuple[str, ...]] = field(default_factory=dict)  # COLOURED_PARTS -> one or two of COLOURS
    wing_pattern: str = "solid"
    breast_pattern: str = "solid"
    belly_pattern: str = "solid"
    back_pattern: str = "solid"
    tail_pattern: str = "solid"
    pattern_colours: dict[str, str] = field(default_factory=dict)  # "wing" -> colour of its bars / spots / streaks, ...
    marks: dict[str, str] = field(default_factory=dict)  # HEAD_MARKS -> colour ("crest" too)

    def rng(self, purpose: str) -> np.random.Generator:
        """Random numbers of this bird alone, one independent generator for each purpose ("pose", "background", "captions", ...)."""
        return np.random.default_rng([self.seed, self.index, zlib.crc32(purpose.encode()), LEVELS.index(self.level)])
