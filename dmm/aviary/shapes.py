"""Shapes as signed distances: negative inside, positive outside, in the unit of the coordinates (half a picture width at scale 1).

``x`` and ``y`` are maps B H W of coordinates, x to the right and y down. Every other number is one for all birds (a float) or one a bird
(an array of B). A distance becomes an anti-aliased opacity by :func:`coverage`, so one formula serves every resolution. The smooth
minimum (:func:`smooth_min`) is what turns a few ellipses into one body.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

Number = float | np.ndarray  # one for all birds, or B
Point = tuple[Number, Number]


def spread(value: Number, like: Tensor) -> Tensor | float:
    """One number a bird as B 1 1, to go beside maps B H W; a number for all birds as it is."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.astype(np.float32)).to(like.device).view(-1, 1, 1)
    return float(value)


def coverage(distance: Tensor, pixel: Number) -> Tensor:
    """Opacity in [0, 1] of the inside of a shape, its edge one ``pixel`` wide."""
    return distance.mul(spread(-1.0 / pixel, distance)).add_(0.5).clamp_(0.0, 1.0)


def ramp(x: Tensor, low: Number, high: Number) -> Tensor:
    """The smooth step: 0 below ``low``, 1 above ``high`` (falling where ``low > high``), t^2 (3 - 2 t) between."""
    t = x.sub(spread(low, x)).mul_(spread(1.0 / (high - low), x)).clamp_(0.0, 1.0)
    return t.mul(-2.0).add_(3.0).mul_(t).mul_(t)


def smooth_min(a: Tensor, b: Tensor, blend: Number) -> Tensor:
    """The union of two shapes with a fillet of about ``blend``: the polynomial smooth minimum."""
    h = a.sub(b).mul_(spread(-0.5 / blend, a)).add_(0.5).clamp_(0.0, 1.0)  # 1 where a is nearer
    return torch.lerp(b, a, h).sub_(h.mul(spread(blend, a)).mul_(1.0 - h))


def along(x: Tensor, y: Tensor, origin: Point, angle: Number, flip: bool = False) -> tuple[Tensor, Tensor]:
    """Coordinates u along ``angle`` (radians, y down) and v to its right; to its left with ``flip``, which is downward if u runs left."""
    c, s = spread(np.cos(angle), x), spread(np.sin(angle), x)
    dx, dy = x - spread(origin[0], x), y - spread(origin[1], x)
    u, v = (dx * c).add_(dy * s), (dy * c).sub_(dx * s)
    return u, v.neg_() if flip else v


def length(dx: Tensor, dy: Tensor) -> Tensor:
    """The Euclidean length of a vector; may overwrite neither."""
    return (dx * dx).addcmul_(dy, dy).sqrt_()


def disc(x: Tensor, y: Tensor, centre: Point, radius: Number) -> Tensor:
    """A round disc."""
    return length(x - spread(centre[0], x), y - spread(centre[1], x)).sub_(spread(radius, x))


def ellipse(x: Tensor, y: Tensor, centre: Point, radii: Point, angle: Number = 0.0) -> Tensor:
    """The first-order distance k (k - 1) / |grad k^2 / 2| of an ellipse with semi-axes ``radii``, the first along ``angle``."""
    u, v = along(x, y, centre, angle)
    a, b = spread(1.0 / radii[0], x), spread(1.0 / radii[1], x)
    k = length(u.mul_(a), v.mul_(b))
    slope = length(u.mul_(a), v.mul_(b)).add_(1e-6)
    return k.sub(1.0).mul_(k).div_(slope)


def capsule(x: Tensor, y: Tensor, start: Point, end: Point, radius: Number, end_radius: Number | None = None) -> Tensor:
    """A stroke from ``start`` to ``end`` with round ends, its half-width going from ``radius`` to ``end_radius``."""
    ex, ey = end[0] - start[0], end[1] - start[1]
    norm = 1.0 / (ex * ex + ey * ey)
    dx, dy = x - spread(start[0], x), y - spread(start[1], x)
    t = (dx * spread(ex * norm, x)).add_(dy * spread(ey * norm, x)).clamp_(0.0, 1.0)
    distance = length(dx.sub_(t * spread(ex, x)), dy.sub_(t * spread(ey, x))).sub_(spread(radius, x))
    return distance if end_radius is None else distance.sub_(t.mul_(spread(end_radius - radius, x)))


def strip(u: Tensor, v: Tensor, end: Number, top: Tensor, bottom: Tensor) -> Tensor:
    """The shape 0 <= u <= ``end`` between two curves, -top(u) <= v <= bottom(u): wings, tails, bills, leaves."""
    inside = torch.maximum(-v - top, v - bottom)
    return torch.maximum(inside, torch.maximum(-u, u - spread(end, u)))


def slopes(distance: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along x and y, normalised to length 1: the outward direction of a shape. B H W each."""
    gx, gy = torch.zeros_like(distance), torch.zeros_like(distance)
    torch.sub(distance[..., 2:], distance[..., :-2], out=gx[..., 1:-1])
    torch.sub(distance[..., 2:, :], distance[..., :-2, :], out=gy[..., 1:-1, :])
    norm = length(gx, gy).add_(1e-6)
    return gx.div_(norm), gy.div_(norm)


def soften(x: Tensor) -> Tensor:
    """Means over 5 x 5 pixels of maps B H W; the outermost two rows and columns stay as they are. The sums of pooling, but faster."""
    height, width = x.shape[-2] - 4, x.shape[-1] - 4
    mean = x[..., :height, :width].clone()
    for k in range(1, 25):
        mean.add_(x[..., k // 5 : k // 5 + height, k % 5 : k % 5 + width])
    soft = x.clone()
    soft[..., 2:-2, 2:-2] = mean.div_(25.0)
    return soft


def fraction(x: Tensor) -> Tensor:
    """X - floor(x), in place."""
    return x.sub_(x.floor())


def dots(u: Tensor, v: Tensor, spacing: float, radius: float, stretch: float = 1.0) -> Tensor:
    """Distance to the nearest of staggered dots; ``stretch`` > 1 draws them as dashes along u."""
    row = (v * (1.0 / spacing)).floor_()
    pitch = spacing * stretch
    odd = (row * 0.5).sub_((row * 0.5).floor())  # 0 or a half: every other row is shifted by half a pitch
    du = fraction((u * (1.0 / pitch)).add_(odd)).sub_(0.5).mul_(pitch)
    du = du.abs_().sub_(radius * (stretch - 1.0) * 1.25).clamp_(min=0.0)
    dv = v - row.add_(0.5).mul_(spacing)
    return length(du, dv).sub_(radius)


def feathers(u: Tensor, v: Tensor, long: float, wide: float) -> Tensor:
    """Overlapping rounded feathers pointing along u: a tone in [0, 1], 0 in the shade under a feather, 1 at its tip."""
    t = u * (1.0 / long)
    row = t.floor()
    t.sub_(row)  # 0..1 along the feather
    odd = row.mul_(0.5).sub_(row.floor())
    w = fraction((v * (1.0 / wide)).add_(odd)).sub_(0.5)  # -0.5..0.5 across it
    past_tip = w.square_().mul_(1.8).add_(t).sub_(1.0)  # > 0 beyond the rounded tip: there lies the next row, in shade
    return t.mul_(0.75).add_(0.25).mul_(ramp(past_tip, 0.12, -0.06))
