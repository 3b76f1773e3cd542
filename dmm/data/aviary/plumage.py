"""The body: one silhouette from a few ellipses, its regions of plumage, its feathers, its light."""

from __future__ import annotations

import torch
from torch import Tensor

from dmm.data.aviary.anatomy import Anatomy
from dmm.data.aviary.canvas import Canvas, Window
from dmm.data.aviary.palette import RGB, Coat
from dmm.data.aviary.shapes import along, capsule, coverage, disc, dots, ellipse, feathers, ramp, slopes, smooth_min, texture
from dmm.data.aviary.traits import Bird


def flat(colour: RGB, like: Tensor) -> Tensor:
    """A flat colour as a map 3 H W that may be painted on."""
    return torch.tensor(colour, dtype=like.dtype, device=like.device).view(3, 1, 1).expand(3, *like.shape).clone()


def blend(colours: Tensor, colour: RGB, weight: Tensor) -> Tensor:
    """Blend a colour into a map 3 H W by a weight H W, in place."""
    return colours.lerp_(torch.tensor(colour, dtype=weight.dtype, device=weight.device).view(3, 1, 1), weight)


def markings(u: Tensor, v: Tensor, kind: str, pixel: float, wobble: Tensor | None = None) -> Tensor:
    """Opacity of spots or of streaks ("spotted", "streaked") that run along u, uneven by ``wobble``."""
    if wobble is not None:
        u, v = u + 0.020 * wobble, v + 0.012 * wobble
    d = dots(u, v, 0.080, 0.0245, 1.15) if kind == "spotted" else dots(u, v, 0.060, 0.0135, 2.5)
    if wobble is not None:
        d.sub_(wobble, alpha=0.004)
    return coverage(d, max(pixel, 0.010))


class Body:
    """The window, coordinates and distance of one body; everything on the body is painted through it."""

    def __init__(self, canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat):
        self.bird, self.a, self.coat = bird, a, coat
        left, right = a.rump[0] - 0.10, a.head[0] + a.head_radius + 0.06
        self.window = canvas.window(left, a.head[1] - a.head_radius - 0.06, right, a.body[1] + a.body_radii[1] + 0.10)
        self.u, self.v = along(self.window.x, self.window.y, a.body, a.tilt)  # towards the breast, towards the belly
        rng = bird.rng("feathers")
        self.strands = texture(rng, self.u, self.v, 0.070, 0.014)  # the lie of the feathers
        self.wobble = texture(rng, self.u, self.v, 0.06, 0.06)
        self.distance = silhouette(self.window, a).add_(self.strands, alpha=0.0030)
        self.alpha = coverage(self.distance, self.window.pixel)

    def paint(self) -> None:
        """Plumage by region, pattern by part, feathers and light over all."""
        colours = flat(self.coat.first("back"), self.alpha)
        self.window.mark(self.alpha, "back")
        self._pattern(colours, "back", None)
        for part, weight in regions(self.window, self.a, self.u, self.v, self.strands).items():
            blend(colours, self.coat.first("nape" if part == "face" else part), weight)
            self._pattern(colours, part, weight)
            self.window.mark(self.alpha * weight, None if part == "face" else part)
        self._head_marks(colours)
        tone = self._light()
        colours.mul_(tone).add_(tone.sub_(0.92), alpha=0.10)  # a sheen, so that black has a form too
        self.window.paint(colours.clamp_(0.0, 1.0), self.alpha)

    def _pattern(self, colours: Tensor, part: str, weight: Tensor | None) -> None:
        """Spots, streaks or a second colour inside the region's weight (None: everywhere)."""
        if part == "face":
            return
        kind, second = getattr(self.bird, f"{part}_pattern", "solid"), self.coat.second(part)
        if kind in ("spotted", "streaked"):
            turned = {"back": 0.0, "belly": 0.25, "breast": 0.9}[part]  # streaks of the breast run down
            u, v = along(self.window.x, self.window.y, self.a.body, self.a.tilt + turned)
            drawn, colour = markings(u, v, kind, self.window.pixel, self.wobble), self.coat.pattern(part)
        elif second is not None or kind == "multi-colored":
            drawn, colour = self._half(part), second or self.coat.pattern(part)
        else:
            return
        blend(colours, colour, drawn if weight is None else drawn * weight)

    def _half(self, part: str) -> Tensor:
        """Where a part of two colours has the second one: a smaller half, cut where feather tracts meet."""
        (hx, hy), r, x, y = self.a.head, self.a.head_radius, self.window.x, self.window.y
        ragged = 0.012 * self.strands
        if part == "back":
            return ramp(self.u + ragged, -0.12, -0.17)
        if part == "belly":
            return ramp(self.u + ragged, -0.06, -0.12)
        if part == "breast":
            return ramp(self.v - 0.5 * self.u + ragged, -0.03, 0.03)
        if part in ("crown", "forehead"):
            return ramp(x - hx - ragged, -0.10 * r, -0.22 * r) if part == "crown" else ramp(y - hy + ragged, -0.60 * r, -0.72 * r)
        return ramp(y - hy + ragged, 0.95 * r, 1.08 * r) if part == "throat" else ramp(y - hy + ragged, 0.50 * r, 0.62 * r)

    def _head_marks(self, colours: Tensor) -> None:
        """Eyebrow, mask and malar stripe. CUB names no such parts, so they hide what they cover."""
        y = self.window.y + 0.006 * self.strands
        for mark, (start, end, width, end_width) in head_strokes(self.a).items():
            if mark in self.bird.marks:
                weight = ramp(capsule(self.window.x, y, start, end, width, end_width), 0.016, -0.012)
                blend(colours, self.coat.paint(self.bird.marks[mark]), weight)
                self.window.mark(self.alpha * weight, None)

    def _light(self) -> Tensor:
        """Light from above, a rim of sky, a cool shade below, feathers and brush strokes over all. 3 H W, about 0.7 to 1.15."""
        d = self.distance
        gx, gy = slopes(silhouette_slope(d))
        bulge = d.mul(-1.0 / 0.26).clamp_(0.0, 1.0).sub_(1.0).square_()  # 1 on the outline, 0 in the middle: the body is round
        facing = (gx * 0.25).sub_(gy, alpha=0.97)  # 1 where the outline faces the light
        tone = facing.mul(bulge).mul_(0.19).add_(0.975)
        tone.sub_(ramp(d, -0.030, 0.006), alpha=0.09)  # a soft contour
        tone.add_(ramp(d, -0.050, -0.020) * facing.clamp_(min=0.0), alpha=0.08)
        scallops = feathers(-self.u, self.v + 0.01 * self.wobble, 0.060, 0.070).sub_(0.55)
        tone.add_(scallops.mul_(ramp(self.u, 0.36, 0.14)), alpha=0.11)
        tone.add_(self.strands, alpha=0.034).add_(self.wobble, alpha=0.012)
        warmth = torch.tensor((1.10, 1.0, 0.82), device=d.device).view(3, 1, 1)  # light is warm, shade is cool
        return (tone - 1.0).mul(warmth).add_(1.0)


def silhouette(window: Window, a: Anatomy) -> Tensor:
    """Distance to head, neck, body and rump in one smooth outline. H W."""
    x, y = window.x, window.y
    body = ellipse(x, y, a.body, a.body_radii, a.tilt)
    head = disc(x, y, a.head, a.head_radius)
    rump = capsule(x, y, a.on_body(-0.45, -0.08), a.rump, 0.16, 0.060)
    return smooth_min(smooth_min(body, rump, 0.10), head, 0.16)


def silhouette_slope(distance: Tensor) -> Tensor:
    """The distance without its ragged edge, so that light falls on the round body and not on each strand."""
    smooth = torch.nn.functional.avg_pool2d(distance[None, None], 5, stride=1, padding=2, count_include_pad=False)
    return smooth[0, 0]


def regions(window: Window, a: Anatomy, u: Tensor, v: Tensor, strands: Tensor) -> dict[str, Tensor]:
    """Soft, ragged weights of the regions of plumage, in the order they are painted over the back. H W each."""
    x, y = window.x + 0.008 * strands, window.y + 0.016 * strands
    (hx, hy), r = a.head, a.head_radius
    length, depth = a.body_radii
    belly = ramp(v / depth - 0.10 / length * u + 0.05 * strands, 0.0, 0.14) * ramp(u, 0.62 * length, 0.36 * length)
    breast = ramp(ellipse(x, y, a.on_body(0.74, 0.20), (0.235, 0.30), 0.35), 0.035, -0.035)
    nape = ramp(ellipse(x, y, (hx - 0.62 * r, hy + 0.44 * r), (0.72 * r, 1.06 * r), 0.50), 0.025, -0.025)
    face = ramp(disc(x, y, (hx + 0.18 * r, hy + 0.10 * r), 0.88 * r), 0.03, -0.03)
    throat = ramp(ellipse(x, y, (hx + 0.62 * r, hy + 0.92 * r), (0.68 * r, 0.62 * r), -0.6), 0.025, -0.025)
    cap = (x - hx).square_().mul_(-0.16 / r).add_(y - (hy - 0.30 * r)).sub_(x - hx, alpha=0.10)
    crown = ramp(cap, 0.018, -0.018) * ramp(x - hx, -1.05 * r, -0.80 * r)
    forehead = ramp(ellipse(x, y, (hx + 0.77 * r, hy - 0.56 * r), (0.66 * r, 0.40 * r), 0.90), 0.020, -0.020)
    return {"belly": belly, "breast": breast, "nape": nape, "face": face, "throat": throat, "crown": crown, "forehead": forehead}


def head_strokes(a: Anatomy) -> dict[str, tuple]:
    """Start, end, half-width there and there of the marks of the head."""
    (hx, hy), r, (ex, ey) = a.head, a.head_radius, a.eye
    return {
        "mask": ((ex + 0.50 * r, ey + 0.10 * r), (hx - 0.48 * r, ey + 0.20 * r), 0.16 * r, 0.25 * r),
        "eyebrow": ((ex + 0.40 * r, ey - 0.24 * r), (hx - 0.66 * r, ey - 0.24 * r), 0.085 * r, 0.120 * r),
        "malar": ((hx + 0.76 * r, hy + 0.42 * r), (hx + 0.08 * r, hy + 0.98 * r), 0.07 * r, 0.15 * r),
    }


def paint_crest(canvas: Canvas, bird: Bird, a: Anatomy, coat: Coat) -> None:
    """A pointed crest behind the crown: three tufts of feathers."""
    if "crest" not in bird.marks:
        return
    (hx, hy), r = a.head, a.head_radius
    root = (hx + 0.06 * r, hy - 0.60 * r)
    window = canvas.window(hx - 1.3 * r, hy - 1.85 * r, hx + 0.8 * r, hy)
    d = None
    for dx, dy, width in ((-0.66, -1.08, 0.40), (-0.98, -0.72, 0.42), (-0.30, -1.00, 0.36)):
        tuft = capsule(window.x, window.y, root, (root[0] + dx * r, root[1] + dy * r), width * r, 0.006)
        d = tuft if d is None else smooth_min(d, tuft, 0.035)
    u, v = along(window.x, window.y, root, -2.25)
    barbs = texture(bird.rng("crest"), u, v, 0.09, 0.014)
    tone = 0.98 + 0.09 * barbs + 0.30 * (v + 0.05) - 0.10 * ramp(d, -0.03, 0.005)
    window.paint((flat(coat.paint(bird.marks["crest"]), d) * tone).clamp_(0.0, 1.0), coverage(d + 0.004 * barbs, window.pixel), "crown")
