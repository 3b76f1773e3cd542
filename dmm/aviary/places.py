"""What is under the bird and about it: branch and leaves, ground and grass, trunk, snow, reeds, water."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dmm.aviary.anatomy import Flock, tip
from dmm.aviary.canvas import Canvas, blend, colour_of, flat
from dmm.aviary.rng import BirdRng
from dmm.aviary.shapes import Point, along, capsule, coverage, ellipse, length, ramp, spread, strip
from dmm.aviary.traits import Bird

BARK = ((0.40, 0.31, 0.25), (0.35, 0.30, 0.27), (0.46, 0.40, 0.33), (0.33, 0.26, 0.22))
LEAVES = ((0.42, 0.53, 0.29), (0.35, 0.46, 0.27), (0.52, 0.58, 0.34), (0.63, 0.50, 0.28))
GROUNDS = ((0.58, 0.52, 0.42), (0.52, 0.53, 0.40), (0.62, 0.58, 0.50), (0.47, 0.43, 0.37))
SANDS = ((0.74, 0.69, 0.58), (0.66, 0.62, 0.55))
MOSS = (0.47, 0.52, 0.36)
SNOW = (0.93, 0.95, 0.97)
FAR = 9.0  # beyond any picture


def stand(a: Flock) -> np.ndarray:
    """The height at which the feet stand, B."""
    return 0.5 * (a.far_foot[1] + a.near_foot[1]) + 0.014


def render_branch(canvas: Canvas, birds: Sequence[Bird], a: Flock, snowy: bool = False) -> None:
    """The branch under the feet, as thick in the picture for a small bird as for a large one."""
    rng, foot = BirdRng(birds, "branch"), stand(a)
    thick = rng.uniform(0.052, 0.078) / canvas.scale
    slope, bend, phase = rng.uniform(-0.06, 0.06), rng.uniform(-0.04, 0.04), rng.uniform(0, 6.28)
    with canvas.window(-FAR, foot - 0.20, FAR, foot + 0.35) as window:
        x = window.x
        axis = torch.sin(5.0 * x + spread(phase, x)).mul_(0.010).add_(spread(foot + thick, x))
        axis.add_(x * spread(slope, x)).add_(x * x * spread(bend, x))
        v = (window.y - axis).mul_(spread(1.0 / thick, x))  # -1 top .. 1 bottom
        bark = rng.texture(x, v, 0.20, 0.22)
        half = torch.sin(3.1 * x + spread(2 * phase, x)).mul_(0.09).add_(1.0).add_(x, alpha=0.10).add_(bark, alpha=0.05)
        alpha = coverage((v.abs() - half).mul_(spread(thick, x)), window.pixel)
        tone = (v * v).mul_(-0.16).add_(v, alpha=-0.28).add_(bark, alpha=0.13).add_(1.04)
        tone.sub_(ramp(rng.texture(x, v, 0.42, 0.12), 0.35, 0.85), alpha=0.20)  # cracks along the bark
        colours = flat(rng.pick(BARK), x)
        moss = ramp(bark.neg().sub_(v, alpha=0.5), 0.45, 0.9)
        blend(colours, MOSS, moss.mul_(spread(rng.uniform(0.0, 0.55), x)))
        window.fill_lit(colours, tone, alpha)
        shadow = (x - spread(a.body[0] + 0.03, x)).mul_(1 / 0.30).square_().add_((v * 0.45).square_())  # 1 on its edge
        window.shade(ramp(shadow, 1.4, 0.5).mul_(alpha).mul_(0.30))
        if snowy:
            cap = v + half + 0.22 * rng.texture(x, v * 0.0, 0.16, 1.0)
            window.fill(SNOW, coverage((cap - 0.55).mul_(spread(thick, x)), window.pixel).mul_(ramp(v, -2.2, -1.4)))


def render_leaves(canvas: Canvas, birds: Sequence[Bird], a: Flock) -> None:
    """Up to two leaves on the branch on either side of the bird."""
    rng = BirdRng(birds, "leaves")
    colour = rng.pick(LEAVES)
    for side in (-1, 1):
        stem = (side * rng.uniform(0.62, 0.85) / canvas.scale, stand(a) + 0.02)
        count = rng.integers(0, 3)
        for k in range(2):
            angle = rng.uniform(-0.9, 0.9) + (0.0 if side > 0 else np.pi)
            _leaf(canvas, stem, angle, rng.uniform(0.15, 0.24) / canvas.scale, colour * rng.uniform(0.85, 1.15)[:, None], k < count)


def _leaf(canvas: Canvas, stem: Point, angle: np.ndarray, size: np.ndarray, colour: np.ndarray, present: np.ndarray) -> None:
    """A pointed leaf with a midrib, lit on its upper half."""
    if not present.any():
        return
    with canvas.around(stem, tip(stem, angle, size), margin=0.26 * size + 0.01) as window:
        u, v = along(window.x, window.y, stem, angle)
        t = (u * spread(1.0 / size, u)).clamp_(0.0, 1.0)
        half = (t * (1.0 - t)).mul_(1.6 - 0.6 * t).mul_(spread(0.80 * size, u))
        alpha = coverage(strip(u, v, size, half, half), window.pixel).mul_(spread(present.astype(float), u))
        up = spread(np.sign(np.cos(angle)), u)
        tone = 1.0 - ramp(v / (half + 0.01), -0.1, 0.1).mul_(up * 0.17) - 0.04 * (u * 150.0 - v.abs() * 110.0).sin_()
        tone.add_(ramp(v.abs_(), 0.007, 0.002), alpha=0.16)
        window.fill_lit(flat(colour, u), tone, alpha)


def render_ground(canvas: Canvas, birds: Sequence[Bird], a: Flock) -> None:
    """Earth, sand or snow that fades into the distance, the bird's shadow on it, pebbles or tracks of the wind."""
    rng, foot, snowy = BirdRng(birds, "ground"), stand(a) + 0.006, birds[0].place == "snow"
    earths = {"snow": (SNOW,), "sea": SANDS}.get(birds[0].place, GROUNDS)
    with canvas.window(-FAR, foot - 0.28, FAR, FAR) as window:
        x, y = window.x, window.y
        depth = y - spread(foot, y)
        grain = rng.texture(x, depth, *((0.30, 0.05) if snowy else (0.10, 0.035)))
        tone = 1.06 - (0.08 if snowy else 0.22) * depth + (0.02 if snowy else 0.05) * grain
        tone.add_(rng.texture(x, depth, 0.42, 0.16), alpha=0.02 if snowy else 0.06)
        edge = rng.uniform(-0.10, -0.05)
        soft = ramp(rng.texture(x, depth * 0.0, 0.25, 1.0, 24).mul_(0.02).add_(depth), edge - 0.10, edge + 0.05)
        window.fill_lit(flat(rng.pick(earths), x), tone, soft)
        reach = 1.05 * a.body_radii[0]
        shadow = ramp(ellipse(x, y, (a.body[0] - 0.02, foot + 0.045), (reach, 0.075)), 0.07, -0.05)
        window.shade(shadow.mul_(0.26 if snowy else 0.42))
    count = rng.integers(3, 9) * (0 if snowy else 1)
    for k in range(int(count.max())):
        _pebble(canvas, rng, (rng.uniform(-1.1, 1.1), foot + rng.uniform(0.03, 0.42)), rng.uniform(0.02, 0.055), k < count)


def _pebble(canvas: Canvas, rng: BirdRng, centre: Point, radius: np.ndarray, present: np.ndarray) -> None:
    angle, grey = rng.uniform(-0.3, 0.3), rng.uniform(0.8, 1.15)
    with canvas.around(centre, margin=2.0 * radius + 0.01) as window:
        x, y = window.x, window.y
        here = spread(present.astype(float), x)
        shadow = ellipse(x, y, (centre[0] + 0.2 * radius, centre[1] + 0.5 * radius), (1.5 * radius, 0.7 * radius))
        window.shade(ramp(shadow, 0.02, -0.02).mul_(0.35).mul_(here))
        d = ellipse(x, y, centre, (1.35 * radius, 0.8 * radius), angle)
        tone = 1.0 - (y - spread(centre[1], y)).mul_(spread(0.25 / radius, y))
        window.fill_lit(flat(grey[:, None] * (0.58, 0.56, 0.53), x), tone, coverage(d, window.pixel.clip(min=0.012)).mul_(here))


def render_grass(canvas: Canvas, birds: Sequence[Bird], a: Flock, reeds: bool = False) -> None:
    """Blades of grass, or tall reeds, at the two sides."""
    rng, foot = BirdRng(birds, "grass"), stand(a)
    colour, count = rng.pick(LEAVES), rng.integers(5, 12)
    for k in range(int(count.max())):
        side = np.where(rng.uniform(0, 1) < 0.5, -1.0, 1.0)
        root = (side * rng.uniform(0.45, 1.05), foot + rng.uniform(0.02, 0.35))
        height, lean = rng.uniform(0.14, 0.36) * (3.2 if reeds else 1.0), rng.uniform(-0.35, 0.35) * (0.5 if reeds else 1.0)
        wide = 1.5 if reeds else 1.0
        middle = (root[0] + 0.3 * lean * height, root[1] - 0.6 * height)
        top = (root[0] + lean * height, root[1] - height)
        blade = colour * rng.uniform(0.85, 1.2)[:, None]
        with canvas.around(root, middle, top, margin=0.025) as window:
            x, y = window.x, window.y
            d = torch.minimum(capsule(x, y, root, middle, 0.014 * wide, 0.010 * wide), capsule(x, y, middle, top, 0.010 * wide, 0.002))
            alpha = coverage(d, window.pixel.clip(min=0.012))
            window.fill(blade, alpha.mul_(spread(0.9 * (k < count), x)))


def render_trunk(canvas: Canvas, birds: Sequence[Bird], a: Flock) -> None:
    """The trunk that a woodpecker clings to, at its breast."""
    rng = BirdRng(birds, "branch")
    edge, lean = trunk_edge(a), rng.uniform(-0.04, 0.04)
    with canvas.window(edge - 0.14, -FAR, edge + 0.72, FAR) as window:
        x, y = window.x, window.y
        u = x - spread(edge, x) - y * spread(lean, x)  # 0 at the near edge
        bark = rng.texture(u, y, 0.05, 0.22)
        wide = rng.uniform(0.42, 0.56)
        d = torch.maximum(-u, u - spread(wide, u)).add_(bark, alpha=0.008)
        s = u * spread(1.0 / wide, u)
        tone = 0.86 + 0.75 * s - 0.80 * s * s + 0.12 * bark
        tone.sub_(ramp(rng.texture(u, y, 0.035, 0.40), 0.30, 0.85), alpha=0.26)
        colours = flat(rng.pick(BARK), x)
        blend(colours, MOSS, ramp(rng.texture(u, y, 0.20, 0.30), 0.5, 0.9).mul_(0.45))
        window.fill_lit(colours, tone, coverage(d, window.pixel))


def trunk_edge(a: Flock) -> np.ndarray:
    """Where the trunk begins, B."""
    return a.near_foot[0] - 0.02


def render_water(canvas: Canvas, birds: Sequence[Bird], a: Flock) -> None:
    """The surface that a swimming bird lies in: it hides what is under water and carries ripples and a reflection."""
    rng = BirdRng(birds, "water")
    level = a.body[1] + 0.52 * a.body_radii[1]
    colour = np.where(np.array([bird.place == "reeds" for bird in birds])[:, None], (0.47, 0.50, 0.42), (0.46, 0.59, 0.67))
    with canvas.window(-FAR, level - 0.05, FAR, FAR) as window:
        x, y = window.x, window.y
        ripple = rng.texture(x, y, 0.30, 0.030)
        depth = (y - spread(level, y)).add_(torch.sin(x * 9.0 + 1.5 * ripple), alpha=0.008)
        near = ramp(ellipse(x, y, (a.body[0], level + 0.05), (1.25 * a.body_radii[0], 0.26)), 0.14, -0.14)
        alpha = coverage(-depth, window.pixel).mul_((0.94 - 0.10 * near).mul_(ramp(depth, -0.02, 0.02)))
        tone = 1.02 + 0.10 * ripple - 0.12 * depth
        colours = flat(colour, x)
        _reflect(colours, window.image, near, ripple)
        window.fill_lit(colours, tone, alpha, None)
        window.mark(coverage(-depth, window.pixel), "background")
        ring = (near - 0.35).abs_()
        window.fill((0.93, 0.96, 0.97), ramp(ring, 0.10, 0.0).mul_(ramp(ripple, 0.1, 0.7)).mul_(ramp(depth, 0.0, 0.03)).mul_(0.35))
        line = ramp(depth.abs_(), 0.014, 0.0).mul_(near)
        window.fill((0.93, 0.96, 0.97), line.mul_(0.45))


def _reflect(colours: Tensor, image: Tensor, near: Tensor, ripple: Tensor) -> None:
    """Some of what lies under the surface shows through, broken by ripples."""
    blend(colours, image * colour_of((0.62, 0.66, 0.70), near), near.mul(0.34).mul_(ramp(ripple, -0.9, 0.5)))


def render_blossom(canvas: Canvas, birds: Sequence[Bird], a: Flock) -> None:
    """A flower on its stem, at the tip of a hovering bird's bill."""
    rng = BirdRng(birds, "blossom")
    heart = tip(a.bill, a.bill_angle, a.bill_length + 0.035)
    colour = rng.pick(((0.84, 0.60, 0.58), (0.86, 0.78, 0.62), (0.72, 0.66, 0.80)))
    end = (heart[0] + 0.9, heart[1] + rng.uniform(0.2, 0.8))
    with canvas.around(heart, end, margin=0.05) as window:
        stem = capsule(window.x, window.y, heart, end, 0.016, 0.026)
        window.fill((0.42, 0.50, 0.32), coverage(stem, window.pixel))
    with canvas.around(heart, margin=0.26) as window:
        x, y = window.x, window.y
        turn = rng.uniform(0.0, 1.2)
        for k in range(5):
            angle = turn + k * 2 * np.pi / 5
            u, _ = along(x, y, heart, angle)
            petal = ellipse(x, y, tip(heart, angle, 0.085), (0.088, 0.054), angle)
            window.fill_lit(flat(colour, x), 0.80 + 1.6 * u.clamp(0.0, 0.16), coverage(petal, window.pixel))
        middle = ellipse(x, y, heart, (0.026, 0.026))
        window.fill((0.82, 0.70, 0.36), coverage(middle, window.pixel))


def render_snowfall(canvas: Canvas, birds: Sequence[Bird]) -> None:
    """Flakes in the air, near and far."""
    rng = BirdRng(birds, "snowfall")
    for _ in range(14):
        flake, size, strength = (rng.uniform(-1.2, 1.2), rng.uniform(-1.3, 0.9)), rng.uniform(0.010, 0.028), rng.uniform(0.0, 0.9)
        with canvas.around(flake, margin=2.2 * size) as window:
            d = length(window.x - spread(flake[0], window.x), window.y - spread(flake[1], window.y))
            window.fill(SNOW, ramp(d, 1.6 * size, 0.4 * size).mul_(spread(strength, d)))


def render_perch(canvas: Canvas, birds: Sequence[Bird], a: Flock) -> None:
    """What birds of one shape, pose and place have under and behind them."""
    shape, pose, place = birds[0].shape, birds[0].pose, birds[0].place
    if pose == "swimming":
        if place == "reeds":
            render_grass(canvas, birds, a, reeds=True)
    elif pose == "flying":
        if place == "branch":
            render_blossom(canvas, birds, a)
    elif shape == "woodpecker":
        render_trunk(canvas, birds, a)
    elif pose == "standing" or place == "ground":
        render_ground(canvas, birds, a)
        if place == "reeds":
            render_grass(canvas, birds, a, reeds=True)
        if place in ("ground", "reeds"):
            render_grass(canvas, birds, a)
    else:
        render_branch(canvas, birds, a, snowy=place == "snow")
        if place == "reeds":
            render_grass(canvas, birds, a, reeds=True)
        elif place != "snow":
            render_leaves(canvas, birds, a)


def render_before(canvas: Canvas, birds: Sequence[Bird], a: Flock) -> None:
    """What is before the bird: the water that it swims in, the snow that falls."""
    if birds[0].pose == "swimming":
        render_water(canvas, birds, a)
    if birds[0].place == "snow":
        render_snowfall(canvas, birds)
