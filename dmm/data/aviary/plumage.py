"""The body: one silhouette from a few ellipses, its regions of plumage, its feathers, its light."""

from __future__ import annotations

import torch
from torch import Tensor

from dmm.data.aviary.anatomy import Anatomy
from dmm.data.aviary.background import noise
from dmm.data.aviary.canvas import Canvas, Window
from dmm.data.aviary.palette import Coat
from dmm.data.aviary.parts import blend, colour_map, marks
from dmm.data.aviary.shapes import along, capsule, coverage, disc, ellipse, feathers, ramp, slopes, smooth_min
from dmm.data.aviary.traits import Bird


def silhouette(window: Window, a: Anatomy) -> Tensor:
    """Distance to head, neck, body and rump in one smooth outline. H W."""
    x, y = window.x, window.y
    body = ellipse(x, y, a.body, a.body_radii, a.tilt)
    head = disc(x, y, a.head, a.head_radius)
    rump = capsule(x, y, a.on_body(-0.45, -0.08), a.rump, 0.16, 0.062)
    return smooth_min(smooth_min(body, rump, 0.10), head, 0.16)


def regions(window: Window, a: Anatomy) -> dict[str, Tensor]:
    """Soft weights of the regions of plumage, in the order they are painted over the back. H W each."""
    x, y = window.x, window.y
    hx, hy, r = *a.head, a.head_radius
    u, v = along(x, y, a.body, a.tilt)  # along the body towards the breast, across towards the belly
    u, v = u / a.body_radii[0], v / a.body_radii[1]
    under = ramp(v - 0.10 * u, -0.02, 0.16)
    belly = under * ramp(u, 0.62, 0.36)
    breast = ramp(ellipse(x, y, a.on_body(0.72, 0.22), (0.235, 0.30), 0.35), 0.05, -0.05)
    nape = ramp(ellipse(x, y, (hx - 0.60 * r, hy + 0.42 * r), (0.72 * r, 1.02 * r), 0.50), 0.03, -0.03)
    face = ramp(disc(x, y, (hx + 0.18 * r, hy + 0.10 * r), 0.88 * r), 0.04, -0.04)
    throat = ramp(ellipse(x, y, (hx + 0.60 * r, hy + 0.92 * r), (0.66 * r, 0.60 * r), -0.6), 0.035, -0.035)
    cap = (y - hy + 0.30 * r) - 0.16 * (x - hx) * (x - hx) / r - 0.10 * (x - hx)
    crown = ramp(cap, 0.022, -0.022) * ramp(x - hx, -1.05 * r, -0.80 * r)
    forehead = ramp(ellipse(x, y, (hx + 0.92 * r, hy - 0.40 * r), (0.46 * r, 0.52 * r), 0.35), 0.025, -0.025)
    return {"belly": belly, "breast": breast, "nape": nape, "face": face, "throat": throat, "crown": crown, "forehead": forehead}


def paint_body(canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat) -> None:
    """Plumage by region, pattern by part, feathers and light over all."""
    left, right = a.rump[0] - 0.10, a.head[0] + a.head_radius + 0.06
    window = canvas.window(left, a.head[1] - a.head_radius - 0.06, right, a.body[1] + a.body_radii[1] + 0.10)
    d = silhouette(window, a)
    alpha = coverage(d, window.pixel)
    weights = regions(window, a)
    colours = colour_map(coat.first("back"), d)
    window.mark(alpha, "back")
    pattern_part(bird, coat, window, a, colours, "back", torch.ones_like(d))
    for part, weight in weights.items():
        blend(colours, coat.first("nape" if part == "face" else part), weight)
        pattern_part(bird, coat, window, a, colours, part, weight)
        window.mark(alpha * weight, None if part == "face" else part)
    paint_marks(bird, coat, window, a, colours, alpha)
    colours.mul_(light(window, d, bird, a))
    window.paint(colours.clamp_(0.0, 1.0), alpha)


def pattern_part(bird: Bird, coat: Coat, window: Window, a: Anatomy, colours: Tensor, part: str, weight: Tensor) -> None:
    """Spots, streaks and second colours of back, breast and belly, inside the region's weight."""
    kind = getattr(bird, f"{part}_pattern", "solid")
    second = None if part == "face" else coat.second(part)
    if kind == "solid" and second is None:
        return
    u, v = along(window.x, window.y, a.body, a.tilt)
    if kind in ("spotted", "streaked"):
        angle = {"back": 0.0, "belly": 0.25, "breast": 1.0}[part]
        mu, mv = along(window.x, window.y, a.body, a.tilt + angle)
        drawn = marks(mu, mv, kind, window.pixel)
        blend(colours, coat.pattern(part), drawn * weight)
        return
    other = second or coat.pattern(part)
    hx, r = a.head[0], a.head_radius
    half = {
        "back": lambda: ramp(u, -0.10, -0.17), "breast": lambda: ramp(v - 0.5 * u, -0.03, 0.03), "belly": lambda: ramp(u, -0.07, -0.14),
        "throat": lambda: ramp(window.y - a.head[1], 1.0 * r, 1.12 * r), "nape": lambda: ramp(window.y - a.head[1], 0.5 * r, 0.62 * r),
        "crown": lambda: ramp((window.x - hx), -0.10 * r, -0.22 * r), "forehead": lambda: ramp(window.y - a.head[1], -0.35 * r, -0.45 * r),
    }.get(part)  # fmt: skip
    if half is not None:
        blend(colours, other, half() * weight)


def paint_marks(bird: Bird, coat: Coat, window: Window, a: Anatomy, colours: Tensor, alpha: Tensor) -> None:
    """Eyebrow, mask and malar stripe; they are no part of CUB's, so they hide what they cover."""
    x, y = window.x, window.y
    (hx, hy), r, (ex, ey) = a.head, a.head_radius, a.eye
    strokes = {
        "mask": lambda: capsule(x, y, (ex + 0.50 * r, ey + 0.10 * r), (hx - 0.50 * r, ey + 0.16 * r), 0.17 * r, 0.24 * r),
        "eyebrow": lambda: capsule(x, y, (ex + 0.42 * r, ey - 0.20 * r), (hx - 0.62 * r, ey - 0.26 * r), 0.085 * r, 0.11 * r),
        "malar": lambda: capsule(x, y, (hx + 0.72 * r, hy + 0.42 * r), (hx + 0.05 * r, hy + 0.95 * r), 0.07 * r, 0.14 * r),
    }
    for mark, stroke in strokes.items():
        if mark in bird.marks:
            weight = ramp(stroke(), 0.018, -0.012)
            blend(colours, coat.paint(bird.marks[mark]), weight)
            window.mark(alpha * weight, None)


def light(window: Window, d: Tensor, bird: Bird, a: Anatomy) -> Tensor:
    """Light from above, a rim of sky, a cool shade below, feathers and strokes of the brush. 3 H W, about 0.7 to 1.15."""
    gx, gy = slopes(d)
    depth = (d * (-1.0 / 0.24)).clamp_(0.0, 1.0)
    bulge = (1.0 - depth).square_()  # 1 on the outline, 0 in the middle: the body is round
    facing = (gx * 0.20).sub_(gy, alpha=0.98)  # 1 where the outline faces the light
    tone = 0.97 + 0.20 * bulge * facing - 0.05 * bulge
    tone.add_(ramp(d, -0.035, -0.004) * facing.clamp(min=0.0), alpha=0.10)
    u, v = along(window.x, window.y, a.body, a.tilt)
    rng = bird.rng("feathers")
    strokes = noise(rng, 16, 6, *d.shape, d.device)
    tone.add_(feathers(-u, v, 0.058, 0.066).sub_(0.5).mul_(ramp(u, 0.42, 0.20)), alpha=0.075)
    tone.add_(strokes, alpha=0.018)
    warmth = torch.tensor((1.08, 1.0, 0.86), device=d.device).view(3, 1, 1)  # shade is cool, light is warm
    return (tone - 1.0).mul(warmth).add_(1.0)


def paint_crest(canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat) -> None:
    """A pointed crest behind the crown."""
    if "crest" not in bird.marks:
        return
    (hx, hy), r = a.head, a.head_radius
    root, end = (hx + 0.10 * r, hy - 0.62 * r), (hx - 0.86 * r, hy - 1.52 * r)
    window = canvas.around(root, end, margin=0.5 * r)
    d = capsule(window.x, window.y, root, end, 0.42 * r, 0.01)
    second = capsule(window.x, window.y, root, (end[0] - 0.12 * r, end[1] + 0.36 * r), 0.40 * r, 0.01)
    d = smooth_min(d, second, 0.03)
    u, v = along(window.x, window.y, root, 3.9)
    tone = 0.98 + 0.08 * torch.sin(v * 150.0) * ramp(u, 0.0, 0.1) - 0.3 * v
    colours = colour_map(coat.paint(bird.marks["crest"]), d) * tone
    window.paint(colours.clamp_(0.0, 1.0), coverage(d, window.pixel), "crown")
