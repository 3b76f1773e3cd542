"""The body: one silhouette from a few ellipses, its regions of plumage, its feathers, its light."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from torch import Tensor

from dmm.aviary.anatomy import Flock
from dmm.aviary.canvas import Canvas, Window, blend, colour_of, flat
from dmm.aviary.palette import Coat
from dmm.aviary.rng import BirdRng
from dmm.aviary.shapes import Number, along, capsule, coverage, disc, dots, ellipse, feathers, ramp, slopes, smooth_min, soften, spread
from dmm.aviary.traits import Bird


def markings(u: Tensor, v: Tensor, kind: str, pixel: np.ndarray, wobble: Tensor) -> Tensor:
    """Opacity of spots or of streaks ("spotted", "streaked") that run along u, uneven by ``wobble``."""
    u, v = u.add(wobble, alpha=0.020), v.add(wobble, alpha=0.012)
    d = dots(u, v, 0.080, 0.0245, 1.15) if kind == "spotted" else dots(u, v, 0.060, 0.0135, 2.5)
    return coverage(d.sub_(wobble, alpha=0.004), pixel.clip(min=0.010))


class Body:
    """The window, coordinates and distance of the bodies of a flock; everything on the body is rendered through it."""

    def __init__(self, canvas: Canvas, birds: Sequence[Bird], a: Flock, coat: Coat):
        self.birds, self.a, self.coat, self.canvas = birds, a, coat, canvas

    def render(self) -> None:
        """Plumage by region, pattern by part, feathers and light over all."""
        a, (hx, hy), r = self.a, self.a.head, self.a.head_radius
        reach = a.body_radii[0]
        (x, y), c, s = a.body, np.cos(a.tilt), np.sin(a.tilt)
        wide, high = np.hypot(a.body_radii[0] * c, a.body_radii[1] * s), np.hypot(a.body_radii[0] * s, a.body_radii[1] * c)
        with self.canvas.around((x - wide, y - high), (x + wide, y + high), a.rump, (hx + r, hy - r), (hx - r, hy), margin=0.08) as window:
            self._measure(window)
            colours = flat(self.coat.first("back"), self.alpha)
            window.mark(self.alpha, "back")
            self._pattern(window, colours, "back", None)
            for part, weight in self._regions(window, reach).items():
                blend(colours, self.coat.first("nape" if part == "face" else part), weight)
                self._pattern(window, colours, part, weight)
                window.mark(self.alpha * weight, "plumage" if part == "face" else part)
            self._head_marks(window, colours)
            light = self._light()
            warmth = colour_of((1.10, 1.0, 0.82), light)  # light is warm, shade is cool
            colours.mul_(light.sub(1.0).unsqueeze(1).mul(warmth).add_(1.0))
            colours.add_(light.sub_(0.92).mul_(0.10).unsqueeze(1))  # a sheen, so that black has a form too
            window.fill(colours.clamp_(0.0, 1.0), self.alpha)

    def _measure(self, window: Window) -> None:
        a, rng = self.a, BirdRng(self.birds, "feathers")
        self.u, self.v = along(window.x, window.y, a.body, a.tilt)  # towards the breast, towards the belly
        self.strands = rng.texture(self.u, self.v, 0.070, 0.014)  # the lie of the feathers
        self.wobble = rng.texture(self.u, self.v, 0.06, 0.06, 32)
        self.distance = silhouette(window, a).add_(self.strands, alpha=0.003)
        self.alpha = coverage(self.distance, window.pixel)

    def _regions(self, window: Window, reach: Number) -> dict[str, Tensor]:
        """Soft, ragged weights of the regions of plumage, in the order they are rendered over the back."""
        a, strands = self.a, self.strands
        x, y = window.x.add(strands, alpha=0.008), window.y.add(strands, alpha=0.016)
        (hx, hy), r = a.head, a.head_radius
        lower = self.v * spread(1.0 / a.body_radii[1], x) - self.u * spread(0.10 / reach, x) + 0.05 * strands
        belly = ramp(lower, a.belly[1], a.belly[1] + 0.14) * ramp(self.u, a.belly[0] * reach, (a.belly[0] - 0.26) * reach)
        breast = ramp(ellipse(x, y, a.on_body(*a.breast), (0.588 * reach, 0.75 * reach), a.tilt + 0.79), 0.035, -0.035)
        nape = ramp(ellipse(x, y, (hx - 0.62 * r, hy + 0.44 * r), (0.72 * r, 1.06 * r), 0.50), 0.025, -0.025)
        face = ramp(disc(x, y, (hx + 0.18 * r, hy + 0.10 * r), 0.88 * r), 0.03, -0.03)
        throat = ramp(ellipse(x, y, (hx + 0.62 * r, hy + 0.92 * r), (0.68 * r, 0.62 * r), -0.6), 0.025, -0.025)
        dx = x - spread(hx, x)
        cap = y.sub(spread(hy - 0.30 * r, x)).sub_(dx * dx * spread(0.16 / r, x)).sub_(dx, alpha=0.10)
        crown = ramp(cap, 0.018, -0.018) * ramp(dx, -1.05 * r, -0.80 * r)
        forehead = ramp(ellipse(x, y, (hx + 0.77 * r, hy - 0.56 * r), (0.66 * r, 0.40 * r), 0.90), 0.020, -0.020)
        return {"belly": belly, "breast": breast, "nape": nape, "face": face, "throat": throat, "crown": crown, "forehead": forehead}

    def _pattern(self, window: Window, colours: Tensor, part: str, weight: Tensor | None) -> None:
        """Spots, streaks or second colours inside the region's weight (None: everywhere), on the birds that have them."""
        for b, bird in enumerate(self.birds if part != "face" else ()):
            i, kind = slice(b, b + 1), getattr(bird, f"{part}_pattern", "solid")
            if kind in ("spotted", "streaked"):
                turned = {"back": 0.0, "belly": 0.25, "breast": 0.9}[part]  # streaks of the breast run down
                body = (self.a.body[0][i], self.a.body[1][i])
                u, v = along(window.x[i], window.y[i], body, self.a.tilt[i] + turned)
                drawn, colour = markings(u, v, kind, window.pixel[i], self.wobble[i]), self.coat.pattern(part, b)
            elif self.coat.two_coloured(part, b):
                drawn, colour = self._half(window, part, i), self.coat.second(part, b)
            else:
                continue
            blend(colours[i], colour, drawn if weight is None else drawn * weight[i])

    def _half(self, window: Window, part: str, i: slice) -> Tensor:
        """Where a part of two colours has the second one: a smaller half, cut where feather tracts meet."""
        a, r = self.a, self.a.head_radius[i]
        ragged = self.strands[i] * 0.012
        x, y = window.x[i] - spread(a.head[0][i], ragged) - ragged, window.y[i] - spread(a.head[1][i], ragged) + ragged
        u, v = self.u[i] + ragged, self.v[i] + ragged
        reach = a.body_radii[0][i]
        if part == "back":
            return ramp(u, -0.30 * reach, -0.42 * reach)
        if part == "belly":
            return ramp(u, -0.15 * reach, -0.30 * reach)
        if part == "breast":
            return ramp(v - 0.5 * u, -0.03, 0.03)
        if part == "crown":
            return ramp(x, -0.10 * r, -0.22 * r)
        return ramp(y, *{"forehead": (-0.60 * r, -0.72 * r), "throat": (0.95 * r, 1.08 * r)}.get(part, (0.50 * r, 0.62 * r)))

    def _head_marks(self, window: Window, colours: Tensor) -> None:
        """Eyebrow, mask and malar stripe. CUB names no such parts, so they hide what they cover."""
        strokes = head_strokes(self.a)
        for b, bird in enumerate(self.birds):
            i = slice(b, b + 1)
            for mark in strokes.keys() & bird.marks.keys():
                (x0, y0), (x1, y1), start, end = strokes[mark]
                y = window.y[i].add(self.strands[i], alpha=0.006)
                d = capsule(window.x[i], y, (x0[i], y0[i]), (x1[i], y1[i]), start[i], end[i])
                weight = ramp(d, 0.016, -0.012)
                blend(colours[i], self.coat.colour(bird.marks[mark], b), weight)
                window.one(b).mark(self.alpha[i] * weight, "plumage")

    def _light(self) -> Tensor:
        """Light from above, a rim of sky, shade below, feathers and brush strokes over all: a tone of about 0.7 to 1.15."""
        d = self.distance
        gx, gy = slopes(soften(d))  # without the ragged edge
        bulge = d.mul(-1.0 / 0.26).clamp_(0.0, 1.0).sub_(1.0).square_()  # 1 on the outline, 0 in the middle
        facing = gx.mul_(0.25).sub_(gy, alpha=0.97)  # 1 where the outline faces the light
        tone = facing.mul(bulge).mul_(0.19).add_(0.975)
        tone.sub_(ramp(d, -0.030, 0.006), alpha=0.09)  # a soft contour
        tone.add_(ramp(d, -0.050, -0.020).mul_(facing.clamp_(min=0.0)), alpha=0.08)
        scallops = feathers(-self.u, self.v.add(self.wobble, alpha=0.01), 0.060, 0.070).sub_(0.55)
        reach = self.a.body_radii[0]
        tone.add_(scallops.mul_(ramp(self.u, 0.90 * reach, 0.35 * reach)), alpha=0.11)
        return tone.add_(self.strands, alpha=0.034).add_(self.wobble, alpha=0.012)


def silhouette(window: Window, a: Flock) -> Tensor:
    """Distance to head, neck, body and rump in one smooth outline. B H W."""
    x, y = window.x, window.y
    d = ellipse(x, y, a.body, a.body_radii, a.tilt)
    thick = a.body_radii[1]
    d = smooth_min(d, capsule(x, y, a.on_body(-0.45, -0.08), a.rump, 0.55 * thick, 0.205 * thick), 0.10)
    if (a.neck[0] != 0.10).any():  # a songbird's neck is no more than where head and body meet
        d = smooth_min(d, capsule(x, y, a.on_body(0.62, -0.05), a.head, *a.neck), 0.10)
    return smooth_min(d, disc(x, y, a.head, a.head_radius), 0.72 * a.head_radius)


def head_strokes(a: Flock) -> dict[str, tuple]:
    """Start, end, half-width there and there of the marks of the head."""
    (hx, hy), r, (ex, ey) = a.head, a.head_radius, a.eye
    return {
        "mask": ((ex + 0.50 * r, ey + 0.10 * r), (hx - 0.48 * r, ey + 0.20 * r), 0.16 * r, 0.25 * r),
        "eyebrow": ((ex + 0.40 * r, ey - 0.24 * r), (hx - 0.66 * r, ey - 0.24 * r), 0.085 * r, 0.120 * r),
        "malar": ((hx + 0.76 * r, hy + 0.42 * r), (hx + 0.08 * r, hy + 0.98 * r), 0.07 * r, 0.15 * r),
    }


def render_crest(canvas: Canvas, birds: Sequence[Bird], a: Flock, coat: Coat) -> None:
    """A pointed crest behind the crown: three tufts of feathers."""
    crested = [b for b, bird in enumerate(birds) if "crest" in bird.marks]
    if not crested:
        return
    (hx, hy), r = a.head, a.head_radius
    with canvas.window(hx - 1.3 * r, hy - 1.85 * r, hx + 0.8 * r, hy) as window:
        for b in crested:
            _crest(
                window.one(b), birds[b], (hx[b] + 0.06 * r[b], hy[b] - 0.60 * r[b]), float(r[b]), coat.colour(birds[b].marks["crest"], b)
            )


def _crest(window: Window, bird: Bird, root: tuple[float, float], r: float, colour) -> None:
    tufts = (
        capsule(window.x, window.y, root, (root[0] + dx * r, root[1] + dy * r), width * r, 0.006)
        for dx, dy, width in ((-0.66, -1.08, 0.40), (-0.98, -0.72, 0.42), (-0.30, -1.00, 0.36))
    )
    d = reduce(lambda crest, tuft: smooth_min(crest, tuft, 0.035), tufts)
    u, v = along(window.x, window.y, root, -2.25)
    barbs = BirdRng([bird], "crest").texture(u, v, 0.09, 0.014)
    tone = 0.995 + 0.09 * barbs + 0.30 * v - 0.10 * ramp(d, -0.03, 0.005)
    alpha = coverage(d.add_(barbs, alpha=0.004), window.pixel)
    window.fill_lit(flat(colour, d), tone, alpha, "crown")
