"""Shapes as signed distances: negative inside, positive outside, in the unit of the coordinates (half a picture width at scale 1).

``x`` and ``y`` are maps H W of coordinates, x to the right and y down. A distance becomes an anti-aliased opacity by :func:`coverage`,
so one formula serves every resolution. The smooth minimum (:func:`smooth_min`) is what turns a few ellipses into one body.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Point = tuple[float, float]


def coverage(distance: Tensor, pixel: float) -> Tensor:
    """Opacity in [0, 1] of the inside of a shape, its edge one ``pixel`` wide. H W."""
    return distance.mul(-1.0 / pixel).add_(0.5).clamp_(0.0, 1.0)


def ramp(x: Tensor, low: float, high: float) -> Tensor:
    """The smooth step: 0 below ``low``, 1 above ``high`` (falling where ``low > high``), t^2 (3 - 2 t) between."""
    t = x.sub(low).mul_(1.0 / (high - low)).clamp_(0.0, 1.0)
    return t * t * t.mul(-2.0).add_(3.0)


def smooth_min(a: Tensor, b: Tensor, blend: float) -> Tensor:
    """The union of two shapes with a fillet of about ``blend``: the polynomial smooth minimum."""
    h = a.sub(b).mul_(-0.5 / blend).add_(0.5).clamp_(0.0, 1.0)  # 1 where a is nearer
    return torch.lerp(b, a, h).sub_(h.mul(blend).mul_(1.0 - h))


def along(x: Tensor, y: Tensor, origin: Point, angle: float) -> tuple[Tensor, Tensor]:
    """Coordinates (u along ``angle``, v to its right, which is downward for a shape that points right); angle in radians, y down."""
    c, s = math.cos(angle), math.sin(angle)
    dx, dy = x - origin[0], y - origin[1]
    return dx * c + dy * s, dy * c - dx * s


def disc(x: Tensor, y: Tensor, centre: Point, radius: float) -> Tensor:
    dx, dy = x - centre[0], y - centre[1]
    return (dx * dx).addcmul_(dy, dy).sqrt_().sub_(radius)


def ellipse(x: Tensor, y: Tensor, centre: Point, radii: Point, angle: float = 0.0) -> Tensor:
    """The first-order distance k (k - 1) / |grad k^2 / 2| of an ellipse with semi-axes ``radii``, the first along ``angle``."""
    u, v = along(x, y, centre, angle)
    a, b = radii
    u.mul_(1.0 / a)
    v.mul_(1.0 / b)
    k = (u * u).addcmul_(v, v).sqrt_()
    u.mul_(1.0 / a)
    v.mul_(1.0 / b)
    slope = (u * u).addcmul_(v, v).sqrt_().add_(1e-6)
    return k.sub(1.0).mul_(k).div_(slope)


def capsule(x: Tensor, y: Tensor, start: Point, end: Point, radius: float, end_radius: float | None = None) -> Tensor:
    """A stroke from ``start`` to ``end`` with round ends, its half-width going from ``radius`` to ``end_radius``."""
    ex, ey = end[0] - start[0], end[1] - start[1]
    dx, dy = x - start[0], y - start[1]
    t = dx.mul(ex).add_(dy, alpha=ey).mul_(1.0 / (ex * ex + ey * ey)).clamp_(0.0, 1.0)
    dx = dx - t * ex
    dy = dy - t * ey
    distance = (dx * dx).addcmul_(dy, dy).sqrt_().sub_(radius)
    if end_radius is not None and end_radius != radius:
        distance.sub_(t, alpha=end_radius - radius)
    return distance


def strip(u: Tensor, v: Tensor, length: float, top: Tensor, bottom: Tensor) -> Tensor:
    """The shape 0 <= u <= length between two curves, -top(u) <= v <= bottom(u): wings, tails, bills."""
    inside = torch.maximum(-v - top, v - bottom)
    return torch.maximum(inside, torch.maximum(-u, u - length))


def slopes(distance: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along x and y, normalised to length 1: the outward direction of a shape. H W each."""
    gx = torch.zeros_like(distance)
    gy = torch.zeros_like(distance)
    gx[:, 1:-1] = distance[:, 2:] - distance[:, :-2]
    gy[1:-1] = distance[2:] - distance[:-2]
    norm = (gx * gx).addcmul_(gy, gy).add_(1e-12).rsqrt_()
    return gx.mul_(norm), gy.mul_(norm)


def dots(u: Tensor, v: Tensor, spacing: float, radius: float, stretch: float = 1.0) -> Tensor:
    """Distance to the nearest of staggered dots; ``stretch`` > 1 draws them as dashes along u."""
    row = (v * (1.0 / spacing)).floor_()
    dv = v - (row + 0.5) * spacing
    pitch = spacing * stretch
    phase = u / pitch + 0.5 * row.remainder(2.0)
    du = (phase - phase.floor() - 0.5) * pitch
    du = (du.abs() - radius * (stretch * 1.25 - 1.25)).clamp_(min=0.0)
    return (du * du).addcmul_(dv, dv).sqrt_().sub_(radius)


def feathers(u: Tensor, v: Tensor, length: float, width: float) -> Tensor:
    """Overlapping rounded feathers pointing along u: a tone in [0, 1], 0 in the shade under a feather, 1 at its tip. H W."""
    row = (u * (1.0 / length)).floor_()
    t = u / length - row  # 0..1 along the feather
    w = v / width + 0.5 * row.remainder(2.0)
    w = w - w.floor() - 0.5  # -0.5..0.5 across it
    past_tip = t - (1.0 - 1.8 * w * w)  # > 0 beyond the rounded tip: the next row's feather lies there, in shade
    return (t * 0.75 + 0.25).mul_(ramp(past_tip, 0.12, -0.06))


def noise(rng: np.random.Generator, rows: int, columns: int, height: int, width: int, device: torch.device | str) -> Tensor:
    """Smooth noise of mean 0 and deviation about 1: ``rows`` x ``columns`` random values enlarged to ``height`` x ``width``."""
    grid = torch.from_numpy(rng.standard_normal((1, 1, rows, columns), dtype=np.float32)).to(device)
    return F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)[0, 0]


def texture(rng: np.random.Generator, u: Tensor, v: Tensor, wave_u: float, wave_v: float) -> Tensor:
    """Noise of mean 0 and deviation about 0.7 that belongs to the coordinates, not to the pixels: ``wave_u`` x ``wave_v`` is its grain."""
    values = torch.from_numpy(rng.standard_normal((1, 1, 48, 48), dtype=np.float32)).to(u.device)
    where = torch.stack((u * (1.0 / (24 * wave_u)), v * (1.0 / (24 * wave_v))), dim=-1)[None]
    return F.grid_sample(values, where, mode="bilinear", padding_mode="reflection", align_corners=False)[0, 0]
