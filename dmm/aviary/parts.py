"""The small parts: bill, eye, legs, tail and wing, each rendered in its own window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from dmm.aviary.anatomy import Flock, tip
from dmm.aviary.canvas import Canvas, Window, blend, flat
from dmm.aviary.palette import Coat
from dmm.aviary.plumage import markings
from dmm.aviary.rng import BirdRng
from dmm.aviary.shapes import along, capsule, coverage, disc, ellipse, feathers, fraction, ramp, spread, strip
from dmm.aviary.traits import Bird

LEGS = ("left leg", "right leg")  # far, near: the bird looks to the right, so its right side is seen


def render_tail(canvas: Canvas, birds: Sequence[Bird], a: Flock, coat: Coat) -> None:
    """A narrow fan of feathers behind the rump, each overlapping the one below it."""
    start, length, rng = tip(a.rump, a.tail_angle, -0.10), a.tail_length + 0.10, BirdRng(birds, "tail")
    with canvas.around(start, tip(start, a.tail_angle, length), margin=a.tail_width + 0.03) as window:
        u, v = along(window.x, window.y, start, a.tail_angle, flip=True)
        t = (u * spread(1.0 / length, u)).clamp_(0.0, 1.0)
        root = 0.66 * a.tail_width
        half = ramp(t, 0.0, 1.0).mul_(spread(a.tail_width - root, u)).add_(spread(root, u))
        s = v / half  # -1..1 across
        vane = fraction(s * 2.4 + 0.3)  # 0 upper edge .. 1 lower edge of each feather
        end = spread(length, u) - 0.064 * (vane - 0.5).square_() - (1.0 - s.abs()) * spread(a.tail_notch, u)
        alpha = coverage(torch.maximum(strip(u, v, length, half, half), u - end), window.pixel)
        colours = flat(coat.first("tail"), u)
        for b, bird in enumerate(birds):
            i = slice(b, b + 1)
            if coat.two_coloured("tail", b):
                blend(colours[i], coat.second("tail", b), ramp(t[i] + 0.03 * vane[i], 0.68, 0.71))
            if bird.tail_pattern in ("spotted", "streaked"):
                drawn = markings(u[i], v[i], bird.tail_pattern, window.pixel[i], torch.zeros_like(u[i]))
                blend(colours[i], coat.pattern("tail", b), drawn * ramp(t[i], 0.2, 0.3))
        tone = 1.02 - 0.17 * ramp(vane, 0.50, 1.0) - 0.09 * s + 0.07 * ramp(vane, 0.18, 0.0)
        tone.add_(rng.texture(u - 0.6 * v, v, 0.12, 0.012, 32), alpha=0.022)
        tone.sub_(ramp(t, 0.42, 0.15), alpha=0.20)  # the body's shade on its base
        window.fill_lit(colours, tone, alpha, "tail")


def render_bill(canvas: Canvas, birds: Sequence[Bird], a: Flock, coat: Coat) -> None:
    """Two mandibles with a dark gape between them, after the six bill shapes."""
    start, length, height = tip(a.bill, a.bill_angle, -0.06), a.bill_length + 0.06, a.bill_height
    bend = np.array([{"curved": 0.17, "hooked": 0.03}.get(bird.bill_shape, 0.0) for bird in birds]) * length
    with canvas.around(start, tip(start, a.bill_angle, length), margin=0.7 * height + bend) as window:
        u, v = along(window.x, window.y, start, a.bill_angle)
        t = (u * spread(1.0 / length, u)).clamp_(0.0, 1.0)
        v.sub_(t * t * spread(bend, u))
        profiles = [bill_profile(bird.bill_shape, t[b : b + 1]) for b, bird in enumerate(birds)]
        upper, lower = (torch.cat(side).mul_(spread(height, u)) for side in zip(*profiles, strict=True))
        alpha = coverage(strip(u, v, length, upper, lower), window.pixel)
        colours = flat(coat.first("bill"), u)
        for b, bird in enumerate(birds):
            if len(bird.colours["bill"]) > 1:
                blend(colours[b : b + 1], coat.second("bill", b), ramp(v[b : b + 1], 0.01, 0.02))
        inside = (v + upper) / (upper + lower).add_(1e-4)  # 0 on the culmen .. 1 below
        tone = 1.14 - 0.38 * inside
        gape = coverage((v - 0.12 * lower).abs_().sub_(0.005), window.pixel)
        tone.sub_(gape.mul_(ramp(t, 0.97, 0.75)), alpha=0.32)
        tone.add_(ramp((inside - 0.26).abs_(), 0.17, 0.0).mul_(ramp(t, 0.92, 0.3)), alpha=0.13)
        window.fill_lit(colours, tone, alpha, "beak")
        nostril = capsule(u, v, (0.105, -0.30 * height), (0.125, -0.28 * height), 0.007)
        window.shade(coverage(nostril, window.pixel).mul_(alpha).mul_(0.55))


def bill_profile(shape: str, t: Tensor) -> tuple[Tensor, Tensor]:
    """Height above and below the axis, in the bill's height, along the bill (t from 0 at the base to 1 at the tip)."""
    taper = 1.0 - t
    if shape == "cone":
        return 0.58 * taper.pow(0.80), 0.42 * taper.pow(0.85)
    if shape == "dagger":
        return 0.54 * taper.pow(0.60), 0.46 * taper.pow(0.72)
    if shape == "hooked":
        hook = ramp(t, 0.72, 0.97) * ramp(t, 1.05, 0.97)
        return 0.58 * (1.0 - t * t * t), 0.42 * taper.pow(0.55) + 0.42 * hook
    if shape == "spatulate":
        spoon = 0.42 - 0.14 * ramp(t, 0.1, 0.5) + 0.26 * ramp(t, 0.55, 0.90)
        spoon.mul_((1.0 - t.pow(8)).sqrt_())
        return spoon, spoon
    even = taper.pow(0.72)  # pointed, curved
    return 0.54 * even, 0.46 * even


def render_leg(canvas: Canvas, a: Flock, coat: Coat, side: int) -> None:
    """One leg, 0 far or 1 near: a feathered thigh and a bare tarsus."""
    hip, foot = ((a.far_hip, a.far_foot), (a.near_hip, a.near_foot))[side]
    width, dim = a.leg_width, (0.82, 1.0)[side]
    knee = (foot[0] - 0.040, hip[1] + 0.45 * (foot[1] - hip[1]))
    with canvas.around(hip, foot, knee, margin=2.9 * width + 0.01) as window:
        x, y = window.x, window.y
        d = torch.minimum(capsule(x, y, hip, knee, 1.15 * width), capsule(x, y, knee, foot, width, 0.95 * width))
        down = y - spread(knee[1], y)
        tone = (x - spread(knee[0] + 0.02, x)).mul_(-9.0).add_(1.06).clamp_(0.82, 1.12)
        tone.sub_(ramp((down * 42.0).sin_(), 0.6, 1.0), alpha=0.06).mul_(dim)  # scutes
        window.fill_lit(flat(coat.first("leg"), x), tone, coverage(d, window.pixel), LEGS[side])
        thigh = capsule(x, y, hip, (knee[0] + 0.004, hip[1] + 0.42 * (knee[1] - hip[1])), 2.8 * width, 1.4 * width)
        tone = (y - spread(hip[1], y)).mul_(-1.2).add_(0.86).clamp_(0.70, 0.95).mul_((0.90, 1.0)[side])
        window.fill_lit(flat(coat.first("belly"), x), tone, coverage(thigh, window.pixel), "belly")


def render_toes(canvas: Canvas, a: Flock, coat: Coat, side: int) -> None:
    """Three toes over the perch and one behind."""
    foot, width = (a.far_foot, a.near_foot)[side], 0.86 * a.leg_width
    with canvas.window(foot[0] - 0.10, foot[1] - 0.055, foot[0] + 0.13, foot[1] + 0.10) as window:
        x, y = window.x, window.y
        ends = ((0.078, 0.010), (0.052, 0.042), (0.014, 0.050), (-0.050, 0.020))
        d = reduce(torch.minimum, (capsule(x, y, foot, (foot[0] + dx, foot[1] + dy), width, 0.72 * width) for dx, dy in ends))
        tone = (y - spread(foot[1], y)).mul_(-3.0).add_(1.05).clamp_(0.8, 1.1).mul_((0.84, 1.0)[side])
        window.shade(ramp(d, 0.030, 0.0).mul_(0.30))
        window.fill_lit(flat(coat.first("leg"), x), tone, coverage(d, window.pixel), LEGS[side])


def render_owl_face(canvas: Canvas, birds: Sequence[Bird], a: Flock, coat: Coat) -> None:
    """A facial disc about two eyes that look at us."""
    (hx, hy), r = a.head, a.head_radius
    far = (hx + 0.70 * r, hy - 0.02 * r)
    with canvas.around((hx, hy), margin=1.12 * r) as window:
        x, y = window.x, window.y
        for eye, wide in ((a.eye, 0.46 * r), (far, 0.36 * r)):
            d = ellipse(x, y, (eye[0], eye[1] + 0.02), (wide, 1.16 * wide))
            window.fill((1.0, 0.98, 0.94), coverage(d, 0.12 * r).mul_(0.22))
            window.shade(ramp(d.abs(), 0.10 * r, 0.0).mul_(0.17))
            rays = torch.atan2(y - spread(eye[1], y), x - spread(eye[0], x)).mul_(26.0).sin_()
            window.shade(ramp(d, 0.01, -0.02).mul_(ramp(rays, 0.2, 1.0)).mul_(0.08))
    render_eye(canvas, birds, replace(a, eye=far, eye_radius=0.92 * a.eye_radius), coat, part="left eye")
    render_eye(canvas, birds, a, coat)


def render_eye(canvas: Canvas, birds: Sequence[Bird], a: Flock, coat: Coat, part: str = "right eye") -> None:
    """Lore, eyering, iris, pupil and the highlight that makes it alive."""
    r, (ex, ey) = a.eye_radius, a.eye
    with canvas.around(a.eye, margin=r * 2.4 + 0.03) as window:
        x, y = window.x, window.y
        d = disc(x, y, a.eye, 0.0)
        bare = np.array([0.0 if "mask" in bird.marks or bird.shape == "owl" else 1.0 for bird in birds])
        lore = capsule(x, y, a.eye, (ex + 2.3 * r, ey + 0.55 * r), 0.25 * r)
        window.shade(ramp(lore, 0.022, -0.01).mul_(spread(0.22 * bare, x)))
        cheek = disc(x, y, (ex - 0.4 * r, ey - 0.2 * r), 2.05 * r).abs_()
        behind = ramp((y - x).sub_(spread(ey - ex, x)), 0.5 * r, 2.6 * r)
        window.shade(ramp(cheek, 0.026, 0.0).mul_(behind).mul_(spread(0.13 * bare, x)))
        ringed = [b for b, bird in enumerate(birds) if "eyering" in bird.marks]
        plain = np.array([0.0 if b in ringed else 0.40 for b in range(len(birds))])
        window.shade(ramp(d, 1.45 * r, 1.0 * r).mul_(spread(plain, x)))
        for b in ringed:
            one, own = window.one(b), d[b : b + 1]
            one.fill(coat.colour(birds[b].marks["eyering"], b), coverage(own - 1.55 * r[b], one.pixel.clip(min=0.012)), "plumage")
            one.shade(ramp((own - 1.05 * r[b]).abs_(), 0.014, 0.0).mul_(0.45))
        tone = ramp(y - spread(ey, y), -r, r).mul_(0.30).add_(0.88)
        window.fill_lit(flat(coat.first("eye"), d), tone, coverage(d - spread(r, d), window.pixel), part)
        window.fill((0.03, 0.03, 0.035), coverage(d - spread(0.60 * r, d), window.pixel))
        glint = disc(x, y, (ex + 0.28 * r, ey - 0.36 * r), 0.25 * r)
        window.fill((1.0, 1.0, 1.0), coverage(glint, window.pixel).mul_(0.95))


def wing_outline(t: Tensor, height) -> tuple[Tensor, Tensor]:
    """Height of the folded wing above and below its axis: a round shoulder, then a long taper to the tip."""
    front = (1.0 - ((t - 0.30) * (1 / 0.30)).clamp_(-1.0, 0.0).square_()).sqrt_().mul_(spread(height, t))
    back = ((t - 0.30) * (1 / 0.70)).clamp_(0.0, 1.0)
    rest = spread(0.02 * height, t)
    top = (front * (1.0 - back.pow(1.15))).mul_(0.96).add_(rest)
    return top, (front * (1.0 - back.pow(1.65))).mul_(1.06).add_(rest)


def render_wing(canvas: Canvas, birds: Sequence[Bird], a: Flock, coat: Coat) -> None:
    """The folded wing and its soft shadow on the body."""
    start, length, height, rng = a.shoulder, a.wing_length, a.wing_height, BirdRng(birds, "wing")
    with canvas.around(start, tip(start, a.wing_angle, length), margin=height * 1.15 + 0.03) as window:
        u, v = along(window.x, window.y, start, a.wing_angle, flip=True)
        t = (u * spread(1.0 / length, u)).clamp_(0.0, 1.0)
        top, bottom = wing_outline(t, height)
        d = strip(u, v, length, top, bottom)
        shadow = torch.maximum(strip(u, v - 0.032, length, top, bottom), -0.02 - u)
        window.shade(ramp(shadow, 0.040, -0.03).mul_(ramp(t, 1.0, 0.9)).mul_(0.36))
        s = ((v + top) / (top + bottom).add_(1e-3)).clamp_(0.0, 1.0)  # 0 upper edge .. 1 lower edge
        colours, tone = wing_feathers(birds, coat, window, u, v, t, s)
        rim = ramp(d, -0.030, 0.0)
        tone.add_(rim * ramp(s, 0.5, 0.0), alpha=0.07).sub_(rim * ramp(s, 0.5, 1.0), alpha=0.14).sub_(s, alpha=0.16)
        tone.add_(rng.texture(u - 0.7 * v, v, 0.10, 0.011), alpha=0.024)  # barbs
        d.add_(rng.texture(u, v, 0.05, 0.02), alpha=0.003)
        window.fill_lit(colours, tone, coverage(d, window.pixel), "right wing")


def wing_feathers(birds: Sequence[Bird], coat: Coat, window: Window, u: Tensor, v: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Colours B 3 H W and tone: scallops on the shoulder, a row of greater coverts, then the vanes that close like a fan."""
    q = t + 0.15 * (s - 0.4)  # the rows of feathers are slanted
    lobe = fraction(s * 6.0).sub_(0.5).square_().mul_(0.10)  # the coverts' tips are round
    tips = q + lobe
    flight = ramp(tips, 0.47, 0.485)
    greater = ramp(tips, 0.305, 0.32).mul_(1.0 - flight)
    vane = fraction((s * 5.5).sub_(ramp(q, 0.45, 1.0), alpha=0.6))
    tone = feathers(u, v, 0.062, 0.070).mul_(0.20).add_(0.88)
    tone = torch.lerp(tone, 1.06 - 9.0 * lobe - 0.15 * ramp(q, 0.34, 0.30), greater)
    tone = torch.lerp(tone, 1.06 - 0.19 * ramp(vane, 0.40, 1.0) + 0.07 * ramp(vane, 0.16, 0.02), flight)
    tone.sub_(ramp(q, 0.575, 0.485).mul_(flight), alpha=0.17)  # the coverts' shade on the flight feathers
    colours = flat(coat.first("wing"), u)
    for b, bird in enumerate(birds):
        i, own = slice(b, b + 1), colours[b : b + 1]
        if coat.two_coloured("wing", b):
            blend(own, coat.second("wing", b), flight[i] * ramp(s[i], 0.24, 0.32))
        elif bird.wing_pattern == "bars":  # the tips of the two rows of coverts
            for edge in (0.315, 0.478):
                bar = ramp(tips[i], edge - 0.062, edge - 0.048).mul_(ramp(tips[i], edge + 0.008, edge - 0.004)).mul_(ramp(s[i], 0.02, 0.08))
                blend(own, coat.pattern("wing", b), bar)
        elif bird.wing_pattern in ("spotted", "streaked"):
            wobble = BirdRng([bird], "marks").texture(u[i], v[i], 0.07, 0.07, 24)
            blend(own, coat.pattern("wing", b), markings(u[i], v[i], bird.wing_pattern, window.pixel[i], wobble))
    return colours, tone
