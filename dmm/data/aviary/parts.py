"""The small parts: bill, eye, legs, tail and wing, each painted in its own window."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dmm.data.aviary.anatomy import Anatomy, Point
from dmm.data.aviary.canvas import Canvas, Window
from dmm.data.aviary.palette import Coat
from dmm.data.aviary.plumage import blend, flat, markings
from dmm.data.aviary.shapes import along, capsule, coverage, disc, feathers, ramp, strip, texture
from dmm.data.aviary.traits import Bird

LEGS = ("left leg", "right leg")  # far, near: the bird looks to the right, so its right side is seen


def tip(start: Point, angle: float, length: float) -> Point:
    """The point ``length`` away in the direction ``angle``."""
    return start[0] + math.cos(angle) * length, start[1] + math.sin(angle) * length


def paint_tail(canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat) -> None:
    """A narrow fan of feathers behind the rump, each overlapping the one below it."""
    start, length = tip(a.rump, a.tail_angle, -0.10), a.tail_length + 0.10
    window = canvas.around(start, tip(start, a.tail_angle, length), margin=a.tail_width + 0.05)
    u, v = along(window.x, window.y, start, a.tail_angle)
    v = -v  # the axis points left: turn v so that it points down again
    t = (u / length).clamp(0.0, 1.0)
    half = ramp(t, 0.0, 1.0).mul_(a.tail_width - 0.066).add_(0.066)
    s = v / half  # -1..1 across
    vane = s * 2.4 + 0.3
    vane = vane - vane.floor()  # 0 upper edge .. 1 lower edge of each feather
    end = length - 0.016 * (vane - 0.5).square_() * 4.0 - a.tail_notch * (1.0 - s.abs())
    alpha = coverage(torch.maximum(strip(u, v, length, half, half), u - end), window.pixel)
    colours = flat(coat.first("tail"), u)
    second = coat.second("tail")
    if second is not None or bird.tail_pattern == "multi-colored":
        blend(colours, second or coat.pattern("tail"), ramp(t + 0.03 * vane, 0.68, 0.71))
    if bird.tail_pattern in ("spotted", "streaked"):
        blend(colours, coat.pattern("tail"), markings(u, v, bird.tail_pattern, window.pixel) * ramp(t, 0.2, 0.3))
    tone = 1.02 - 0.17 * ramp(vane, 0.50, 1.0) - 0.09 * s + 0.07 * ramp(vane, 0.18, 0.0)
    tone.add_(texture(bird.rng("tail"), u - 0.6 * v, v, 0.12, 0.012), alpha=0.022)
    tone.sub_(ramp(t, 0.42, 0.15), alpha=0.20)  # the body's shade on its base
    window.paint((colours * tone).clamp_(0.0, 1.0), alpha, "tail")


def paint_bill(canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat) -> None:
    """Two mandibles with a dark gape between them, after the six bill shapes."""
    start, length, height = tip(a.bill, a.bill_angle, -0.06), a.bill_length + 0.06, a.bill_height
    window = canvas.around(start, tip(start, a.bill_angle, length), margin=height + 0.07)
    u, v = along(window.x, window.y, start, a.bill_angle)
    t = (u / length).clamp(0.0, 1.0)
    upper, lower = bill_profile(bird.bill_shape, t, height)
    bend = {"curved": 0.17 * length, "hooked": 0.03 * length}.get(bird.bill_shape, 0.0)
    if bend:
        v = v - bend * t * t
    alpha = coverage(strip(u, v, length, upper, lower), window.pixel)
    colours = flat(coat.first("bill"), u)
    second = coat.second("bill")
    if second is not None:
        blend(colours, second, ramp(v, 0.01, 0.02))
    inside = (v + upper) / (upper + lower + 1e-4)  # 0 on the culmen .. 1 below
    tone = 1.14 - 0.38 * inside
    tone.sub_(coverage((v - 0.12 * lower).abs() - 0.005, window.pixel) * ramp(t, 0.97, 0.75), alpha=0.32)
    shine = ramp((inside - 0.26).abs(), 0.17, 0.0) * ramp(t, 0.92, 0.3)
    window.paint((colours * tone).add_(shine, alpha=0.10).clamp_(0.0, 1.0), alpha, "beak")
    nostril = capsule(u, v, (0.105, -0.30 * height), (0.125, -0.28 * height), 0.007)
    window.shade(coverage(nostril, window.pixel).mul_(alpha).mul_(0.55))


def bill_profile(shape: str, t: Tensor, height: float) -> tuple[Tensor, Tensor]:
    """Height above and below the axis along the bill (t from 0 at the base to 1 at the tip)."""
    taper = 1.0 - t
    if shape == "cone":
        return 0.58 * height * taper.pow(0.80), 0.42 * height * taper.pow(0.85)
    if shape == "dagger":
        return 0.54 * height * taper.pow(0.60), 0.46 * height * taper.pow(0.72)
    if shape == "hooked":
        hook = ramp(t, 0.72, 0.97) * ramp(t, 1.05, 0.97)
        return 0.58 * height * (1.0 - t * t * t), 0.42 * height * taper.pow(0.55) + 0.42 * height * hook
    if shape == "spatulate":
        spoon = 0.42 - 0.14 * ramp(t, 0.1, 0.5) + 0.26 * ramp(t, 0.55, 0.90)
        end = (1.0 - t.pow(8)).sqrt_()
        return height * spoon * end, height * spoon * end
    return 0.54 * height * taper.pow(0.72), 0.46 * height * taper.pow(0.72)  # pointed, curved


def paint_leg(canvas: Canvas, a: Anatomy, coat: Coat, side: int) -> None:
    """One leg, 0 far or 1 near: a feathered thigh and a bare tarsus."""
    hip, foot, width = a.hips[side], a.feet[side], a.leg_width
    window = canvas.around(hip, foot, margin=0.09)
    x, y = window.x, window.y
    knee = (foot[0] - 0.040, hip[1] + 0.45 * (foot[1] - hip[1]))
    d = torch.minimum(capsule(x, y, hip, knee, width * 1.15), capsule(x, y, knee, foot, width, width * 0.95))
    dim = (0.82, 1.0)[side]
    tone = (1.06 - 9.0 * (x - knee[0] - 0.02)).clamp_(0.82, 1.12).mul_(dim)
    tone.sub_(ramp((((y - knee[1]) * 42.0).sin()), 0.6, 1.0), alpha=0.06)  # scutes
    window.paint((flat(coat.first("leg"), x) * tone).clamp_(0.0, 1.0), coverage(d, window.pixel), LEGS[side])
    thigh = capsule(x, y, hip, (knee[0] + 0.004, hip[1] + 0.42 * (knee[1] - hip[1])), 0.060, 0.030)
    shade = (0.86 - 1.2 * (y - hip[1])).clamp_(0.70, 0.95).mul_((0.90, 1.0)[side])
    window.paint((flat(coat.first("belly"), x) * shade).clamp_(0.0, 1.0), coverage(thigh, window.pixel), "belly")


def paint_toes(canvas: Canvas, a: Anatomy, coat: Coat, side: int) -> None:
    """Three toes over the perch and one behind."""
    foot, width = a.feet[side], a.leg_width * 0.86
    window = canvas.window(foot[0] - 0.10, foot[1] - 0.05, foot[0] + 0.13, foot[1] + 0.12)
    x, y = window.x, window.y
    d = None
    for dx, dy in ((0.078, 0.010), (0.052, 0.042), (0.014, 0.050), (-0.050, 0.020)):
        toe = capsule(x, y, foot, (foot[0] + dx, foot[1] + dy), width, width * 0.72)
        d = toe if d is None else torch.minimum(d, toe)
    tone = (1.05 - 3.0 * (y - foot[1])).clamp_(0.8, 1.1).mul_((0.84, 1.0)[side])
    window.shade(ramp(d, 0.030, 0.0).mul_(0.30))
    window.paint((flat(coat.first("leg"), x) * tone).clamp_(0.0, 1.0), coverage(d, window.pixel), LEGS[side])


def paint_eye(canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat) -> None:
    """Lore, eyering, iris, pupil and the highlight that makes it alive."""
    r = a.eye_radius
    window = canvas.around(a.eye, margin=r * 2.6)
    x, y = window.x, window.y
    d = disc(x, y, a.eye, 0.0)
    if "mask" not in bird.marks:
        window.shade(ramp(capsule(x, y, a.eye, (a.eye[0] + 2.3 * r, a.eye[1] + 0.55 * r), 0.25 * r), 0.022, -0.01).mul_(0.22))
        cheek = disc(x, y, (a.eye[0] - 0.4 * r, a.eye[1] - 0.2 * r), 2.05 * r).abs_()
        window.shade(ramp(cheek, 0.026, 0.0).mul_(ramp(y - x, a.eye[1] - a.eye[0] + 0.5 * r, a.eye[1] - a.eye[0] + 2.6 * r)).mul_(0.13))
    ring = bird.marks.get("eyering")
    if ring is not None:
        window.paint(coat.paint(ring), coverage(d - r * 1.55, max(window.pixel, 0.012)), hide=True)
        window.shade(ramp((d - r * 1.05).abs(), 0.014, 0.0).mul_(0.45))
    else:
        window.shade(ramp(d, r * 1.45, r * 1.0).mul_(0.40))
    iris = flat(coat.first("eye"), d) * (0.88 + 0.30 * ramp(y - a.eye[1], -r, r))
    window.paint(iris.clamp_(0.0, 1.0), coverage(d - r, window.pixel), "right eye")
    window.paint((0.03, 0.03, 0.035), coverage(d - r * 0.60, window.pixel))
    glint = disc(x, y, (a.eye[0] + 0.28 * r, a.eye[1] - 0.36 * r), 0.25 * r)
    window.paint((1.0, 1.0, 1.0), coverage(glint, window.pixel).mul_(0.95))


def wing_outline(t: Tensor, height: float) -> tuple[Tensor, Tensor]:
    """Height of the folded wing above and below its axis: a round shoulder, then a long taper to the tip."""
    front = (1.0 - ((t - 0.30) / 0.30).clamp(-1.0, 0.0).square_()).clamp_(min=0.0).sqrt_()
    back = ((t - 0.30) / 0.70).clamp_(0.0, 1.0)
    top = front * (1.0 - back.pow(1.15)) * (0.96 * height) + 0.02 * height
    bottom = front * (1.0 - back.pow(1.65)) * (1.06 * height) + 0.02 * height
    return top, bottom


def paint_wing(canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat) -> None:
    """The folded wing and its soft shadow on the body."""
    start, length, height = a.shoulder, a.wing_length, a.wing_height
    window = canvas.around(start, tip(start, a.wing_angle, length), margin=height * 1.25)
    u, v = along(window.x, window.y, start, a.wing_angle)
    v = -v
    t = (u / length).clamp(0.0, 1.0)
    top, bottom = wing_outline(t, height)
    d = strip(u, v, length, top, bottom)
    shadow = torch.maximum(strip(u, v - 0.032, length, top, bottom), -0.02 - u)
    window.shade(ramp(shadow, 0.040, -0.03).mul_(ramp(t, 1.0, 0.9)).mul_(0.36))
    s = ((v + top) / (top + bottom + 1e-3)).clamp_(0.0, 1.0)  # 0 upper edge .. 1 lower edge
    colours, tone = wing_feathers(bird, coat, window, u, v, t, s)
    rim = ramp(d, -0.030, 0.0)
    tone.add_(rim * ramp(s, 0.5, 0.0), alpha=0.07).sub_(rim * ramp(s, 0.5, 1.0), alpha=0.14)
    tone.sub_(s, alpha=0.16)
    d.add_(texture(bird.rng("wing"), u, v, 0.05, 0.02), alpha=0.003)
    window.paint((colours * tone).clamp_(0.0, 1.0), coverage(d, window.pixel), "right wing")


def wing_feathers(bird: Bird, coat: Coat, window: Window, u: Tensor, v: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (3 H W) and tone (H W): scallops on the shoulder, a row of greater coverts, then the vanes that close like a fan."""
    q = t + 0.15 * (s - 0.4)  # the rows of feathers are slanted
    covert = s * 6.0
    covert = covert - covert.floor()
    lobe = (covert - 0.5).square_()  # 0 in the middle of a covert, 0.25 between two
    flight = ramp(q + 0.10 * lobe, 0.47, 0.485)
    greater = ramp(q + 0.10 * lobe, 0.305, 0.32) * (1.0 - flight)
    vane = s * 5.5 - 0.6 * ramp(q, 0.45, 1.0)
    vane = vane - vane.floor()
    tone = 0.88 + 0.20 * feathers(u, v, 0.062, 0.070)
    tone = torch.lerp(tone, 1.06 - 0.9 * lobe - 0.5 * ramp(q, 0.34, 0.30) * 0.3, greater)
    tone = torch.lerp(tone, 1.06 - 0.19 * ramp(vane, 0.40, 1.0) + 0.07 * ramp(vane, 0.16, 0.02), flight)
    tone.sub_(ramp(q, 0.575, 0.485) * flight, alpha=0.17)  # the coverts' shade on the flight feathers
    tone.add_(texture(bird.rng("barbs"), u - 0.7 * v, v, 0.10, 0.011), alpha=0.024)
    colours, second, pattern = flat(coat.first("wing"), u), coat.second("wing"), coat.pattern("wing")
    if bird.wing_pattern == "multi-colored" or (second is not None and bird.wing_pattern == "solid"):
        blend(colours, second or pattern, flight * ramp(s, 0.24, 0.32))
    if bird.wing_pattern == "bars":  # pale tips of the two rows of coverts
        for edge in (0.315, 0.478):
            tips = q + 0.10 * lobe
            blend(colours, pattern, ramp(tips, edge - 0.062, edge - 0.048) * ramp(tips, edge + 0.008, edge - 0.004) * ramp(s, 0.02, 0.08))
    if bird.wing_pattern in ("spotted", "streaked"):
        blend(colours, pattern, markings(u, v, bird.wing_pattern, window.pixel, texture(bird.rng("marks"), u, v, 0.07, 0.07)))
    return colours, tone
