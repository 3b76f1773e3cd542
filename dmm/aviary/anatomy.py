"""The build of each bird: where its parts are and how large, in its own frame (x to the right, where it looks; y down).

A frame's unit is half the picture's width at scale 1. A shape (songbird, wader, ...) has its proportions, a species differs from them a
little, an individual a little more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from dmm.aviary.canvas import Frame
from dmm.aviary.shapes import Number, Point
from dmm.aviary.traits import Bird

SCALE = {"tiny": 0.83, "small": 0.91, "medium": 0.98, "large": 1.06}
HEAD = {"tiny": 1.08, "small": 1.03, "medium": 0.98, "large": 0.94}  # small birds have large heads
BILL_LENGTH = {"short": 0.22, "medium": 0.28, "long": 0.375}
BILL_HEIGHT = {"cone": 0.150, "pointed": 0.112, "curved": 0.112, "hooked": 0.125, "dagger": 0.120, "spatulate": 0.105}


@dataclass(frozen=True)
class Proportions:
    """A body shape, in the frame's unit; angles in radians. The defaults are a songbird's."""

    tilt: float = -0.44  # of the body's axis; negative: breast up
    body: tuple[float, float] = (0.400, 0.292)  # semi-axes
    head: tuple[float, float] = (0.315, -0.360)  # from the body's centre
    head_radius: float = 0.222
    neck: tuple[float, float] = (0.10, 0.10)  # half-widths at body and head
    tail_angle: float = math.pi - 0.33
    tail: tuple[float, float] = (0.44, 0.100)  # length, half-width at the tip
    shoulder: tuple[float, float] = (0.655, 0.063)  # in semi-axes of the body
    wing: tuple[float, float] = (0.765, 0.150)  # length, half height
    hips: float = 0.025  # from the body's centre, along x
    leg: float = 0.175  # length below the belly
    leg_width: float = 0.0215
    bill: tuple[float, float] = (1.0, 1.0)  # length and height, in those of the bill's kind
    eye: float = 0.050
    breast: tuple[float, float] = (0.74, 0.20)  # centre, in semi-axes of the body
    belly: tuple[float, float] = (0.62, 0.0)  # where it ends towards the breast, and towards the back
    middle: float = -0.03  # of the bird in the picture, upward
    scale: float = 1.0


PROPORTIONS = {
    "songbird": Proportions(),
    "wader": Proportions(
        tilt=-0.22, body=(0.335, 0.215), head=(0.335, -0.415), head_radius=0.145, neck=(0.125, 0.075), tail_angle=math.pi - 0.10,
        tail=(0.24, 0.075), shoulder=(0.62, -0.05), wing=(0.66, 0.125), hips=0.0, leg=0.43, leg_width=0.0185, bill=(1.15, 0.72), eye=0.036,
        breast=(0.72, 0.12), middle=-0.14, scale=1.0),
    "gull": Proportions(
        tilt=-0.16, body=(0.400, 0.218), head=(0.350, -0.270), head_radius=0.168, neck=(0.14, 0.12), tail_angle=math.pi - 0.08,
        tail=(0.30, 0.078), shoulder=(0.64, -0.02), wing=(0.88, 0.130), hips=0.02, leg=0.20, leg_width=0.019, bill=(0.92, 0.78), eye=0.037,
        breast=(0.74, 0.10), middle=-0.06),
    "duck": Proportions(
        tilt=-0.10, body=(0.440, 0.245), head=(0.385, -0.330), head_radius=0.182, neck=(0.16, 0.12), tail_angle=math.pi + 0.22,
        tail=(0.22, 0.080), shoulder=(0.50, -0.12), wing=(0.66, 0.140), hips=0.0, leg=0.12, leg_width=0.024, bill=(0.98, 1.05), eye=0.038,
        breast=(0.74, 0.10), middle=-0.04, scale=0.98),
    "raptor": Proportions(
        tilt=-0.98, body=(0.410, 0.262), head=(0.225, -0.425), head_radius=0.190, neck=(0.17, 0.15), tail_angle=math.pi - 0.98,
        tail=(0.44, 0.098), shoulder=(0.62, -0.08), wing=(0.80, 0.150), hips=0.05, leg=0.115, leg_width=0.028, bill=(0.72, 1.05), eye=0.046,
        breast=(0.50, 0.42), belly=(0.16, 0.12), middle=-0.02, scale=1.0),
    "hummingbird": Proportions(
        tilt=-0.62, body=(0.285, 0.182), head=(0.215, -0.265), head_radius=0.172, neck=(0.11, 0.11), tail_angle=math.pi - 0.62,
        tail=(0.27, 0.080), shoulder=(0.50, -0.10), wing=(0.58, 0.098), hips=0.02, leg=0.055, leg_width=0.016, bill=(1.15, 0.50), eye=0.044,
        breast=(0.66, 0.30), belly=(0.40, 0.05), middle=0.0, scale=1.16),
    "owl": Proportions(
        tilt=-1.20, body=(0.400, 0.312), head=(0.125, -0.395), head_radius=0.285, neck=(0.22, 0.22), tail_angle=math.pi - 1.12,
        tail=(0.30, 0.105), shoulder=(0.52, -0.28), wing=(0.72, 0.160), hips=0.05, leg=0.085, leg_width=0.030, bill=(0.62, 1.0), eye=0.072,
        breast=(0.40, 0.36), belly=(0.10, -0.05), middle=0.0, scale=0.98),
    "woodpecker": Proportions(
        tilt=-1.50, body=(0.410, 0.225), head=(0.105, -0.470), head_radius=0.196, neck=(0.14, 0.13), tail_angle=math.pi - 1.72,
        tail=(0.34, 0.078), shoulder=(0.55, -0.16), wing=(0.70, 0.130), hips=0.10, leg=0.05, leg_width=0.021, bill=(0.74, 0.85), eye=0.045,
        breast=(0.50, 0.50), belly=(0.22, 0.22), middle=-0.02, scale=0.98),
}  # fmt: skip


N = TypeVar("N", float, np.ndarray)  # one for a bird, or B


@dataclass(frozen=True)
class Anatomy(Generic[N]):
    """Points and lengths of the parts: of one bird (floats) or of a flock (arrays of B)."""

    head: tuple[N, N]
    head_radius: N
    body: tuple[N, N]
    body_radii: tuple[N, N]
    tilt: N
    neck: tuple[N, N]  # half-widths at body and head
    rump: tuple[N, N]
    tail_angle: N
    tail_length: N
    tail_width: N  # half width at the tip
    tail_notch: N  # depth of the fork, negative for a round tail
    shoulder: tuple[N, N]
    wing_angle: N
    wing_length: N
    wing_height: N  # half height
    bill: tuple[N, N]  # base
    bill_angle: N
    bill_length: N
    bill_height: N
    eye: tuple[N, N]
    eye_radius: N
    far_hip: tuple[N, N]
    near_hip: tuple[N, N]
    far_foot: tuple[N, N]
    near_foot: tuple[N, N]
    leg_width: N  # half width
    breast: tuple[N, N]  # centre of the breast's plumage
    belly: tuple[N, N]  # where the belly ends towards the breast and towards the back, in semi-axes of the body

    def on_body(self, forward: N | float, down: N | float) -> tuple[N, N]:
        """A point of the body, in units of its semi-axes: forward towards the breast, down towards the belly."""
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        u, v = forward * self.body_radii[0], down * self.body_radii[1]
        return self.body[0] + u * c - v * s, self.body[1] + u * s + v * c


Flock: TypeAlias = Anatomy[np.ndarray]


def build(bird: Bird) -> tuple[Anatomy[float], Frame]:
    """The anatomy of one bird and where it stands in its picture."""
    p = _airborne(PROPORTIONS[bird.shape], bird.shape) if bird.pose == "flying" else PROPORTIONS[bird.shape]
    species, pose = np.random.default_rng([bird.species, 77]), bird.rng("pose")

    def vary(species_range: float, own_range: float) -> float:
        return 1.0 + species.uniform(-1, 1) * species_range + pose.uniform(-1, 1) * own_range

    tilt = p.tilt + 0.08 * species.uniform(-1, 1) + 0.03 * pose.uniform(-1, 1)
    radii = (p.body[0] * vary(0.03, 0.01), p.body[1] * vary(0.06, 0.02))
    body = (-0.02, 0.075)
    head_radius = p.head_radius * HEAD[bird.size] * vary(0.03, 0.01)
    head = (body[0] + p.head[0] + 0.015 * species.uniform(-1, 1), body[1] + p.head[1] - 0.012 * (vary(1.0, 0.5) - 1.0))
    c, s = math.cos(tilt), math.sin(tilt)
    rump = (body[0] - 0.88 * radii[0] * c - 0.02, body[1] - 0.88 * radii[0] * s - 0.03)
    along, across = p.shoulder[0] * radii[0], p.shoulder[1] * radii[1]
    length = BILL_LENGTH[bird.bill_length] * p.bill[0] * vary(0.05, 0.02)
    leg = p.leg * vary(0.12, 0.03)
    belly = body[1] + 0.865 * math.hypot(radii[0] * s, radii[1] * c)
    x = body[0] + p.hips
    reach = p.leg / 0.175 * 0.04 if p.leg < 0.3 else 0.03
    anatomy = Anatomy(
        head=head, head_radius=head_radius, body=body, body_radii=radii, tilt=tilt, neck=p.neck, rump=rump,
        tail_angle=p.tail_angle + 0.10 * species.uniform(-1, 1) + 0.05 * pose.uniform(-1, 1),
        tail_length=p.tail[0] * vary(0.14, 0.03), tail_width=p.tail[1] * vary(0.12, 0.03), tail_notch=0.05 * species.uniform(-0.7, 1.0),
        shoulder=(body[0] + along * c - across * s, body[1] + along * s + across * c),
        wing_angle=math.pi + tilt + 0.10 + 0.03 * pose.uniform(-1, 1),
        wing_length=p.wing[0] * vary(0.04, 0.01), wing_height=p.wing[1] * vary(0.05, 0.02),
        bill=(head[0] + head_radius * 0.86, head[1] + head_radius * 0.10), bill_angle=0.10 + 0.05 * pose.uniform(-1, 1),
        bill_length=length, bill_height=BILL_HEIGHT[bird.bill_shape] * p.bill[1] * vary(0.06, 0.02),
        eye=(head[0] + head_radius * 0.40, head[1] - head_radius * 0.10), eye_radius=p.eye * vary(0.08, 0.0),
        far_hip=(x + 0.05, belly - 0.05), near_hip=(x - 0.05, belly - 0.03),
        far_foot=(x + 0.06 + reach, belly + leg), near_foot=(x - 0.06 + reach, belly + leg + 0.012), leg_width=p.leg_width * vary(0.1, 0.0),
        breast=(p.breast[0], p.breast[1]), belly=p.belly,
    )  # fmt: skip
    if bird.shape == "woodpecker" and bird.pose == "perched":
        anatomy = _clinging(anatomy)
    if bird.shape == "owl":
        anatomy = _facing_us(anatomy)
    scale = p.scale * SCALE[bird.size] * (1.0 + 0.02 * pose.uniform(-1, 1))
    tail_end = rump[0] + anatomy.tail_length * math.cos(anatomy.tail_angle)
    middle = 0.5 * (tail_end + anatomy.bill[0] + length)  # the bird is centred from the tip of its tail to the tip of its bill
    shift = (0.05 * pose.uniform(-1, 1) - middle * scale, 0.05 * pose.uniform(-1, 1) + p.middle * scale)
    return anatomy, Frame(scale=scale, angle=0.06 * pose.uniform(-1, 1), shift=shift)


def _airborne(p: Proportions, shape: str) -> Proportions:
    """The proportions of a shape in flight: stretched out and level; a hummingbird hovers as it perches."""
    if shape == "hummingbird":
        return replace(p, middle=0.20)
    return replace(
        p, tilt=-0.16, head=(0.90 * p.body[0], -0.66 * p.body[1]), tail_angle=math.pi - 0.10, breast=(0.74, 0.18), belly=(0.62, 0.0),
        middle=0.24, scale=0.90 * p.scale,
    )  # fmt: skip


def _clinging(a: Anatomy[float]) -> Anatomy[float]:
    """A woodpecker holds on to a trunk before it."""
    trunk, (x, y) = a.body[0] + a.body_radii[1] + 0.085, a.body
    near, far = (trunk + 0.03, y + 0.15), (trunk + 0.035, y - 0.04)
    return replace(a, near_hip=(x + 0.16, y + 0.20), near_foot=near, far_hip=(x + 0.18, y + 0.01), far_foot=far)


def _facing_us(a: Anatomy[float]) -> Anatomy[float]:
    """An owl turns its face: both eyes and the bill between them are seen."""
    (hx, hy), r = a.head, a.head_radius
    bill = (hx + 0.30 * r, hy + 0.04 * r)
    return replace(a, eye=(hx - 0.14 * r, hy - 0.02 * r), bill=bill, bill_angle=1.40, bill_length=0.8 * a.bill_length)


def flock(anatomies: Sequence[Anatomy[float]]) -> Flock:
    """The anatomies of B birds as one, each number an array of B."""

    def join(values: list):
        return tuple(np.array(column) for column in zip(*values, strict=True)) if isinstance(values[0], tuple) else np.array(values)

    return Anatomy(**{f.name: join([getattr(a, f.name) for a in anatomies]) for f in fields(Anatomy)})


def tip(start: Point, angle: Number, length: Number) -> Point:
    """The point ``length`` away from ``start`` in the direction ``angle``."""
    return start[0] + np.cos(angle) * length, start[1] + np.sin(angle) * length
