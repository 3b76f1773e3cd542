"""The small parts: bill, eye, legs, tail and wing, each painted in its own window."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dmm.data.aviary.anatomy import Anatomy, Point
from dmm.data.aviary.canvas import Canvas, Window
from dmm.data.aviary.palette import Coat
from dmm.data.aviary.shapes import along, capsule, coverage, disc, dots, feathers, ramp, strip
from dmm.data.aviary.traits import Bird


def colour_map(colour: tuple[float, float, float], like: Tensor) -> Tensor:
    """A flat colour as a map 3 H W."""
    return torch.tensor(colour, dtype=like.dtype, device=like.device).view(3, 1, 1).expand(3, *like.shape).clone()


def blend(colours: Tensor, colour: tuple[float, float, float], weight: Tensor) -> Tensor:
    """Blend a colour into a colour map 3 H W by a weight H W, in place."""
    return colours.lerp_(torch.tensor(colour, dtype=weight.dtype, device=weight.device).view(3, 1, 1), weight)


def tip(start: Point, angle: float, length: float) -> Point:
    return start[0] + math.cos(angle) * length, start[1] + math.sin(angle) * length


def marks(u: Tensor, v: Tensor, kind: str, pixel: float) -> Tensor | None:
    """Opacity of spots or streaks that run along u; None when the part has none."""
    if kind == "spotted":
        return coverage(dots(u, v, 0.086, 0.025), pixel)
    if kind == "streaked":
        return coverage(dots(u, v, 0.062, 0.0135, stretch=2.4), pixel)
    return None


def paint_tail(canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat) -> None:
    """A fan of feathers behind the rump, lit at each feather's upper edge."""
    length, start = a.tail_length, tip(a.rump, a.tail_angle, -0.10)
    window = canvas.around(start, tip(start, a.tail_angle, length + 0.1), margin=a.tail_width + 0.06)
    u, v = along(window.x, window.y, start, a.tail_angle)
    v = -v  # the axis points left: turn v so that it points down again
    t = (u / length).clamp(0.0, 1.0)
    half = 0.062 + (a.tail_width - 0.062) * ramp(t, 0.0, 0.9)
    s = v / half  # -1..1 across
    end = u - (length - 0.05 * a.tail_width / 0.1 * (1.0 - s.abs()) + 0.0)  # a shallow notch
    alpha = coverage(torch.maximum(strip(u, v, length + 0.1, half, half), end), window.pixel)
    colours = colour_map(coat.first("tail"), u)
    second = coat.second("tail")
    if second is not None or bird.tail_pattern == "multi-colored":
        blend(colours, second or coat.pattern("tail"), ramp(t, 0.66, 0.72))
    drawn = marks(u, v, bird.tail_pattern, window.pixel)
    if drawn is not None:
        blend(colours, coat.pattern("tail"), drawn * ramp(t, 0.2, 0.3))
    vane = s * 2.2 + 0.3
    vane = vane - vane.floor()
    tone = 1.02 - 0.16 * ramp(vane, 0.55, 1.0) - 0.10 * s + 0.07 * ramp(vane, 0.2, 0.0)
    tone.sub_(ramp(t, 0.45, 0.15), alpha=0.22)  # the body's shade on its base
    window.paint((colours * tone).clamp_(0.0, 1.0), alpha, "tail")


def paint_bill(canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat) -> None:
    """Two mandibles with a dark gape between them, after the six bill shapes."""
    start = tip(a.bill, a.bill_angle, -0.06)
    length, height = a.bill_length + 0.06, a.bill_height
    window = canvas.around(start, tip(start, a.bill_angle, length), margin=height + 0.09)
    u, v = along(window.x, window.y, start, a.bill_angle)
    t = (u / length).clamp(0.0, 1.0)
    upper, lower = bill_profile(bird.bill_shape, t, height)
    bend = {"curved": 0.16 * length, "hooked": 0.04 * length}.get(bird.bill_shape, 0.0)
    if bend:
        v = v - bend * t * t
    alpha = coverage(strip(u, v, length, upper, lower), window.pixel)
    colours = colour_map(coat.first("bill"), u)
    second = coat.second("bill")
    if second is not None:
        blend(colours, second, ramp(v, 0.02, 0.03))
    inside = (v + upper) / (upper + lower + 1e-4)  # 0 on the culmen .. 1 below
    tone = 1.16 - 0.42 * inside
    gape = (v - 0.12 * lower).abs()
    tone.sub_(coverage(gape - 0.006, window.pixel) * ramp(t, 0.95, 0.75), alpha=0.34)
    shine = ramp((inside - 0.25).abs(), 0.18, 0.0) * ramp(t, 0.9, 0.3)
    colours = (colours * tone).add_(shine, alpha=0.10).clamp_(0.0, 1.0)
    window.paint(colours, alpha, "beak")


def bill_profile(shape: str, t: Tensor, height: float) -> tuple[Tensor, Tensor]:
    """Height above and below the axis along the bill (t from 0 at the base to 1 at the tip)."""
    taper = 1.0 - t
    if shape == "cone":
        return 0.56 * height * taper.pow(0.85), 0.44 * height * taper.pow(0.9)
    if shape == "dagger":
        return 0.54 * height * taper.pow(0.62), 0.46 * height * taper.pow(0.75)
    if shape == "hooked":
        hook = ramp(t, 0.70, 1.0)
        return 0.58 * height * (1.0 - t * t * t * t), 0.42 * height * taper.pow(0.6) + 0.36 * height * hook * ramp(t, 1.02, 0.95)
    if shape == "spatulate":
        spoon = 0.42 - 0.16 * ramp(t, 0.1, 0.5) + 0.26 * ramp(t, 0.55, 0.9)
        end = (1.0 - ramp(t, 0.86, 1.0)).sqrt()
        return height * spoon * end, height * spoon * end
    return 0.54 * height * taper.pow(0.75), 0.46 * height * taper.pow(0.75)  # pointed, curved


def paint_leg(canvas: Canvas, a: Anatomy, coat: Coat, side: int) -> None:
    """One leg: 0 the far (left) one, 1 the near (right) one."""
    hip, foot = a.hips[side], a.feet[side]
    colour, part = coat.first("leg"), ("left leg", "right leg")[side]
    window = canvas.around(hip, foot, margin=0.10)
    x, y = window.x, window.y
    knee = (foot[0] - 0.035, 0.5 * (hip[1] + foot[1]))
    width = a.leg_width
    d = torch.minimum(capsule(x, y, hip, knee, width * 1.1), capsule(x, y, knee, foot, width))
    dim = 0.80 if side == 0 else 1.0
    tone = (1.08 - 10.0 * (x - knee[0])).clamp_(0.82, 1.12).mul_(dim)
    window.paint((colour_map(colour, x) * tone).clamp_(0.0, 1.0), coverage(d, window.pixel), part)


def paint_toes(canvas: Canvas, a: Anatomy, coat: Coat, side: int) -> None:
    """Three toes over the branch and one behind."""
    foot = a.feet[side]
    window = canvas.around(foot, margin=0.13)
    x, y = window.x, window.y
    width = a.leg_width * 0.86
    d = None
    for dx, dy in ((0.078, 0.012), (0.050, 0.046), (0.012, 0.055), (-0.048, 0.022)):
        toe = capsule(x, y, foot, (foot[0] + dx, foot[1] + dy), width, width * 0.75)
        d = toe if d is None else torch.minimum(d, toe)
    dim = 0.82 if side == 0 else 1.0
    tone = (1.05 - 3.0 * (y - foot[1])).clamp_(0.8, 1.1).mul_(dim)
    shadow = coverage(d - 0.015, 0.03)
    window.shade(shadow * 0.30)
    window.paint((colour_map(coat.first("leg"), x) * tone).clamp_(0.0, 1.0), coverage(d, window.pixel), ("left leg", "right leg")[side])


def paint_eye(canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat) -> None:
    """Eyering, iris, pupil and the highlight that makes it alive."""
    r = a.eye_radius
    window = canvas.around(a.eye, margin=r * 2.2)
    d = disc(window.x, window.y, a.eye, 0.0)
    ring = bird.marks.get("eyering")
    if ring is not None:
        window.paint(coat.paint(ring), coverage(d - r * 1.62, window.pixel), hide=True)
    else:
        window.shade(ramp(d, r * 1.5, r * 1.0) * 0.35)
    iris = colour_map(coat.first("eye"), d) * (0.86 + 0.35 * ramp(window.y - a.eye[1], -r, r))
    window.paint(iris.clamp_(0.0, 1.0), coverage(d - r, window.pixel), "right eye")
    window.paint((0.03, 0.03, 0.035), coverage(d - r * 0.60, window.pixel))
    glint = disc(window.x, window.y, (a.eye[0] + 0.30 * r, a.eye[1] - 0.36 * r), 0.27 * r)
    window.paint((1.0, 1.0, 1.0), coverage(glint, window.pixel).mul_(0.95))


def wing_outline(t: Tensor, height: float) -> tuple[Tensor, Tensor]:
    """Height of the folded wing above and below its axis: a round shoulder, then a long taper to the tip."""
    front = (1.0 - ((t - 0.30) / 0.30).clamp(-1.0, 0.0).square()).clamp_(min=0.0).sqrt()
    back = ((t - 0.30) / 0.70).clamp(0.0, 1.0)
    top = front * (1.0 - back.pow(1.35)) * (0.92 * height)
    bottom = front * (1.0 - back.pow(1.9)) * (1.06 * height)
    return top, bottom


def paint_wing(canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat) -> None:
    """The folded wing: shoulder, two rows of coverts, and the flight feathers that close like a fan."""
    start, length, height = a.shoulder, a.wing_length, a.wing_height
    window = canvas.around(start, tip(start, a.wing_angle, length), margin=height * 1.25)
    u, v = along(window.x, window.y, start, a.wing_angle)
    v = -v
    t = (u / length).clamp(0.0, 1.0)
    top, bottom = wing_outline(t, height)
    d = strip(u, v, length, top, bottom)
    shadow = strip(u - 0.01, v - 0.035, length, top, bottom)
    window.shade(ramp(shadow, 0.045, -0.03) * 0.36)
    s = ((v + top) / (top + bottom + 1e-3)).clamp_(0.0, 1.0)  # 0 upper edge .. 1 lower edge
    q = t + 0.16 * (s - 0.4)  # the rows of feathers are slanted
    flight = ramp(q, 0.44, 0.47)
    colours, tone = wing_colours(bird, coat, window, u, v, q, s, flight)
    tone = tone * (1.06 - 0.20 * s) + 0.10 * ramp(d, -0.035, 0.0) * ramp(s, 0.5, 0.0) - 0.16 * ramp(d, -0.02, 0.0) * ramp(s, 0.5, 1.0)
    window.paint((colours * tone).clamp_(0.0, 1.0), coverage(d, window.pixel), "right wing")


def wing_colours(
    bird: Bird, coat: Coat, window: Window, u: Tensor, v: Tensor, q: Tensor, s: Tensor, flight: Tensor
) -> tuple[Tensor, Tensor]:
    """Colours (3 H W) and tone (H W) of the wing's feathers: small scallops in front, long vanes behind."""
    colours = colour_map(coat.first("wing"), u)
    second = coat.second("wing")
    pattern = coat.pattern("wing")
    if bird.wing_pattern == "multi-colored" or (second is not None and bird.wing_pattern == "solid"):
        blend(colours, second or pattern, flight * ramp(s, 0.28, 0.36))
    vane = s * 5.0 - 0.5 * ramp(q, 0.45, 1.0)
    vane = vane - vane.floor()
    long = 1.03 - 0.20 * ramp(vane, 0.45, 1.0) + 0.12 * ramp(vane, 0.20, 0.02)
    small = 0.86 + 0.20 * feathers(u, v, 0.075, 0.085)
    tone = torch.lerp(small, long, flight)
    tone.sub_(ramp((q - 0.475).abs(), 0.035, 0.0), alpha=0.16)  # the coverts' shade on the flight feathers
    if bird.wing_pattern == "bars":
        wave = 0.018 * torch.cos(s * 31.4)
        for place in (0.30, 0.46):
            blend(colours, pattern, ramp((q + wave - place).abs(), 0.036, 0.022) * ramp(s, 0.02, 0.10))
    drawn = marks(u, v, bird.wing_pattern, window.pixel)
    if drawn is not None:
        blend(colours, pattern, drawn)
    return colours, tone
