"""Spread wings of a bird in the air: the far one behind the body, the near one before it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dmm.aviary.anatomy import Flock, tip
from dmm.aviary.canvas import Canvas, Window, blend, flat
from dmm.aviary.palette import Coat
from dmm.aviary.plumage import markings
from dmm.aviary.rng import BirdRng
from dmm.aviary.shapes import along, coverage, feathers, fraction, ramp, spread, strip
from dmm.aviary.traits import Bird

WINGS = ("left wing", "right wing")  # far, near: the bird looks to the right
_COVERTS = 0.46  # share of the wing's depth, from the leading edge


def render_spread_wing(canvas: Canvas, birds: Sequence[Bird], a: Flock, coat: Coat, side: int) -> None:
    """One raised wing, 0 far or 1 near: leading edge ahead, flight feathers fanned behind it."""
    rng = BirdRng(birds, ("far wing", "near wing")[side])
    root = a.on_body((0.52, 0.30)[side], (-0.62, -0.40)[side])
    angle = (-1.02, -1.86)[side] + rng.uniform(-0.16, 0.16)
    length, height = (0.90, 1.0)[side] * 1.12 * a.wing_length, (2.0, 2.35)[side] * a.wing_height
    with canvas.around(root, tip(root, angle, length), margin=1.35 * height) as window:
        u, v = along(window.x, window.y, root, angle)  # v points ahead
        t = (u * spread(1.0 / length, u)).clamp_(0.0, 1.0)
        v.add_(t.square().mul_(spread(0.30 * length, u)))  # the tip sweeps back
        ahead = (1.0 - t * t * t).sqrt_().mul_(0.75 + 0.5 * t).mul_(spread(0.32 * height, u))
        vane = fraction(t * 11.0)  # flight feathers, one behind the other
        behind = (1.0 - t.pow(2.2)).pow(0.75).mul_(0.86 + 0.10 * t).mul_(ramp(t, -0.35, 0.10))
        behind.mul_(1.0 - 0.30 * (vane - 0.5).square_()).mul_(spread(height, u))
        d = torch.maximum(strip(u, v, length, behind, ahead), -u - 0.02)
        s = ((ahead - v) / (ahead + behind).add_(1e-3)).clamp_(0.0, 1.0)  # 0 leading .. 1 trailing edge
        colours, tone = _vanes(birds, coat, window, u, v, t, s)
        tone.add_(rng.texture(u, v + 0.5 * u, 0.012, 0.10), alpha=0.024).sub_(ramp(t, 0.22, 0.0), alpha=0.14)
        tone.mul_((0.86, 1.0)[side])
        window.fill_lit(colours, tone, coverage(d, window.pixel), WINGS[side])


def _vanes(birds: Sequence[Bird], coat: Coat, window: Window, u: Tensor, v: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Colours B 3 H W and tone: scallops along the leading edge, a row of coverts, long vanes behind."""
    flight = ramp(s, _COVERTS, _COVERTS + 0.03)
    vane = fraction(t * 11.0 + 0.9 * (s - _COVERTS) * t)
    tone = feathers(-v, u, 0.062, 0.070).mul_(0.20).add_(0.88)
    tone = torch.lerp(tone, 1.07 - 0.20 * ramp(vane, 0.40, 1.0) + 0.06 * ramp(vane, 0.16, 0.02), flight)
    tone.sub_(ramp(s, _COVERTS + 0.14, _COVERTS).mul_(flight), alpha=0.15)
    colours = flat(coat.first("wing"), u)
    for b, bird in enumerate(birds):
        i, own, colour = slice(b, b + 1), colours[b : b + 1], coat.pattern("wing", b)
        if coat.two_coloured("wing", b):
            blend(own, coat.second("wing", b), flight[i] * ramp(t[i], 0.30, 0.40))
        elif bird.wing_pattern == "bars":
            for edge in (0.24, _COVERTS):
                blend(own, colour, ramp(s[i], edge - 0.10, edge - 0.08).mul_(ramp(s[i], edge + 0.02, edge)).mul_(ramp(t[i], 0.95, 0.85)))
        elif bird.wing_pattern in ("spotted", "streaked"):
            wobble = BirdRng([bird], "marks").texture(u[i], v[i], 0.07, 0.07, 24)
            blend(own, colour, markings(v[i], u[i], bird.wing_pattern, window.pixel[i], wobble))
    return colours, tone
