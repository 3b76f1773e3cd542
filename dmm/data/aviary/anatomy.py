"""The build of one bird: where its parts are and how large, in its own frame (x to the right, where it looks; y down).

A frame's unit is half the picture's width at scale 1. A species has its build, an individual differs from it a little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dmm.data.aviary.canvas import Frame
from dmm.data.aviary.traits import Bird

Point = tuple[float, float]

SCALE = {"tiny": 0.83, "small": 0.91, "medium": 0.98, "large": 1.06}
HEAD = {"tiny": 1.08, "small": 1.03, "medium": 0.98, "large": 0.94}  # small birds have large heads
BILL_LENGTH = {"short": 0.20, "medium": 0.27, "long": 0.37}
BILL_HEIGHT = {"cone": 0.150, "pointed": 0.104, "curved": 0.106, "hooked": 0.125, "dagger": 0.120, "spatulate": 0.105}


@dataclass(frozen=True)
class Anatomy:
    """Points and lengths of the bird's parts."""

    head: Point
    head_radius: float
    body: Point
    body_radii: Point
    tilt: float  # of the body's axis, radians; negative: breast up
    rump: Point
    tail_angle: float
    tail_length: float
    tail_width: float  # half width at the tip
    tail_notch: float  # depth of the fork, negative for a round tail
    shoulder: Point
    wing_angle: float
    wing_length: float
    wing_height: float  # half height
    bill: Point  # base
    bill_angle: float
    bill_length: float
    bill_height: float
    eye: Point
    eye_radius: float
    hips: tuple[Point, Point]  # far leg, near leg
    feet: tuple[Point, Point]
    leg_width: float  # half width

    def on_body(self, along: float, across: float) -> Point:
        """A point of the body, in units of its semi-axes: along towards the breast, across towards the belly."""
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        u, v = along * self.body_radii[0], across * self.body_radii[1]
        return self.body[0] + u * c - v * s, self.body[1] + u * s + v * c


def build(bird: Bird) -> tuple[Anatomy, Frame]:
    """The anatomy of a bird and where it stands in the picture."""
    species = np.random.default_rng([bird.species, 77])
    pose = bird.rng("pose")

    def vary(species_range: float, own_range: float) -> float:
        return 1.0 + species.uniform(-1, 1) * species_range + pose.uniform(-1, 1) * own_range

    tilt = -0.44 + 0.08 * species.uniform(-1, 1) + 0.03 * pose.uniform(-1, 1)
    radii = (0.400 * vary(0.03, 0.01), 0.292 * vary(0.06, 0.02))
    body = (-0.02, 0.075)
    head_radius = 0.222 * HEAD[bird.size] * vary(0.03, 0.01)
    head = (0.295 + 0.015 * species.uniform(-1, 1), -0.285 * vary(0.05, 0.03))
    c, s = math.cos(tilt), math.sin(tilt)
    rump = (body[0] - 0.88 * radii[0] * c - 0.02, body[1] - 0.88 * radii[0] * s - 0.03)
    bill_length = BILL_LENGTH[bird.bill_length] * vary(0.05, 0.02)
    bill_height = BILL_HEIGHT[bird.bill_shape] * vary(0.06, 0.02)
    leg = 0.175 * vary(0.12, 0.03)
    belly = body[1] + radii[1] * 0.93
    hips = ((0.055, belly - 0.05), (-0.045, belly - 0.03))
    feet = ((0.105, belly + leg), (-0.015, belly + leg + 0.012))
    anatomy = Anatomy(
        head=head, head_radius=head_radius, body=body, body_radii=radii, tilt=tilt, rump=rump,
        tail_angle=math.pi - 0.33 + 0.10 * species.uniform(-1, 1) + 0.05 * pose.uniform(-1, 1),
        tail_length=0.44 * vary(0.14, 0.03), tail_width=0.100 * vary(0.12, 0.03), tail_notch=0.05 * species.uniform(-0.7, 1.0),
        shoulder=(body[0] + 0.245, body[1] - 0.095),
        wing_angle=math.pi + tilt + 0.10 + 0.03 * pose.uniform(-1, 1),
        wing_length=0.765 * vary(0.04, 0.01), wing_height=0.150 * vary(0.05, 0.02),
        bill=(head[0] + head_radius * 0.86, head[1] + head_radius * 0.10), bill_angle=0.10 + 0.05 * pose.uniform(-1, 1),
        bill_length=bill_length, bill_height=bill_height,
        eye=(head[0] + head_radius * 0.40, head[1] - head_radius * 0.10), eye_radius=0.050 * vary(0.08, 0.0),
        hips=hips, feet=feet, leg_width=0.0215 * vary(0.1, 0.0),
    )  # fmt: skip
    scale = SCALE[bird.size] * (1.0 + 0.02 * pose.uniform(-1, 1))
    tail_end = rump[0] + anatomy.tail_length * math.cos(anatomy.tail_angle)
    middle = 0.5 * (tail_end + anatomy.bill[0] + bill_length)  # the bird is centred from the tip of its tail to the tip of its bill
    shift = (0.05 * pose.uniform(-1, 1) - middle * scale, 0.05 * pose.uniform(-1, 1) - 0.03 * scale)
    return anatomy, Frame(scale=scale, angle=0.06 * pose.uniform(-1, 1), shift=shift)
