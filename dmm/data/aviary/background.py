"""What is behind the bird and under its feet: a place seen far out of focus, and a branch or a patch of ground.

Everything far away is soft, so it is painted on a small grid and enlarged; the same grid serves every picture size.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dmm.data.aviary.anatomy import Anatomy
from dmm.data.aviary.canvas import Canvas
from dmm.data.aviary.shapes import along, capsule, coverage, disc, ellipse, noise, ramp, strip, texture
from dmm.data.aviary.traits import Bird

GRID = 80  # of the blurred distance

# (above, below, light): calm, paler or greyer than any bird
BACKDROPS = (
    ((0.69, 0.78, 0.83), (0.58, 0.67, 0.50), (0.90, 0.93, 0.88)),  # mist over a meadow
    ((0.52, 0.63, 0.45), (0.36, 0.46, 0.33), (0.77, 0.82, 0.58)),  # foliage
    ((0.87, 0.84, 0.76), (0.76, 0.71, 0.61), (0.96, 0.94, 0.88)),  # paper
    ((0.62, 0.74, 0.85), (0.77, 0.83, 0.86), (0.92, 0.95, 0.97)),  # a clear morning
    ((0.80, 0.70, 0.54), (0.58, 0.49, 0.37), (0.94, 0.86, 0.69)),  # late summer
    ((0.70, 0.78, 0.66), (0.78, 0.79, 0.64), (0.91, 0.92, 0.80)),  # spring
    ((0.77, 0.70, 0.74), (0.58, 0.56, 0.63), (0.93, 0.85, 0.84)),  # dusk
    ((0.47, 0.60, 0.62), (0.36, 0.46, 0.44), (0.74, 0.83, 0.80)),  # a shaded pool
    ((0.34, 0.42, 0.36), (0.25, 0.31, 0.27), (0.60, 0.66, 0.48)),  # deep wood
    ((0.72, 0.60, 0.51), (0.48, 0.42, 0.37), (0.90, 0.78, 0.62)),  # autumn
    ((0.84, 0.87, 0.90), (0.70, 0.75, 0.80), (0.97, 0.98, 0.99)),  # winter light
)


def paint_distance(canvas: Canvas, bird: Bird) -> None:
    """Fill the canvas with a two-colour gradient, soft clouds of colour, blurred stems and discs of light."""
    rng, device = bird.rng("background"), canvas.image.device
    above, below, glow = (_colour(c, device) for c in BACKDROPS[rng.integers(len(BACKDROPS))])
    axis = torch.linspace(-1, 1, GRID, device=device)
    x, y = axis.expand(GRID, GRID), axis[:, None].expand(GRID, GRID)
    horizon, softness = rng.uniform(-0.1, 0.5), rng.uniform(0.20, 0.9)
    mix = ramp(y + 0.20 * noise(rng, 5, 5, GRID, GRID, device) + rng.uniform(-0.3, 0.3) * x, horizon - softness, horizon + softness)
    far = torch.lerp(above.expand(3, GRID, GRID), below, mix)
    far = torch.lerp(far, glow, noise(rng, 6, 6, GRID, GRID, device).mul_(0.17).add_(0.08).clamp_(0.0, 0.45))
    far.mul_(noise(rng, 10, 10, GRID, GRID, device).mul_(0.04).add_(1.0))
    for _ in range(int(rng.integers(0, 4))):  # stems, far out of focus
        start, end = (rng.uniform(-1.4, 1.4), -1.3), (rng.uniform(-1.4, 1.4), 1.3)
        far.lerp_(below * 0.72, ramp(capsule(x, y, start, end, 0.0), rng.uniform(0.08, 0.16), 0.0) * rng.uniform(0.15, 0.40))
    for _ in range(int(rng.integers(5, 12))):
        radius = rng.uniform(0.06, 0.22)
        d = disc(x, y, (rng.uniform(-1.1, 1.1), rng.uniform(-1.1, 0.8)), radius)
        light = ramp(d, 0.035, -0.035).mul_(0.7).add_(ramp(d.abs(), 0.05, 0.0), alpha=0.3)  # a disc of light, its rim a little brighter
        far.lerp_(glow, light.mul_(rng.uniform(0.12, 0.45)))
    far.mul_(1.05 - 0.10 * (x * x + y * y)).clamp_(0.0, 1.0)
    canvas.image.copy_(F.interpolate(far[None], size=(canvas.size, canvas.size), mode="bilinear", align_corners=False)[0])


def _colour(triple: tuple[float, float, float], device: torch.device) -> Tensor:
    return torch.tensor(triple, device=device).view(3, 1, 1)


BARK = ((0.40, 0.31, 0.25), (0.35, 0.30, 0.27), (0.46, 0.40, 0.33), (0.33, 0.26, 0.22))


def paint_branch(canvas: Canvas, bird: Bird, anatomy: Anatomy) -> None:
    """The branch under the feet, as thick in the picture for a small bird as for a large one."""
    rng, device = bird.rng("branch"), canvas.image.device
    thick = rng.uniform(0.052, 0.078) / canvas.frame.scale
    foot = 0.5 * (anatomy.feet[0][1] + anatomy.feet[1][1]) + 0.014
    slope, bend, phase = rng.uniform(-0.06, 0.06), rng.uniform(-0.04, 0.04), rng.uniform(0, 6.28)
    window = canvas.window(-9, foot - 0.22, 9, foot + 0.36)
    x = window.x
    axis = 0.010 * torch.sin(5.0 * x + phase)
    axis.add_(foot + thick).add_(x, alpha=slope).addcmul_(x, x, value=bend)
    v = (window.y - axis).mul_(1.0 / thick)  # -1 top .. 1 bottom
    bark = texture(rng, x, v, 0.20, 0.22)
    half = torch.sin(3.1 * x + 2 * phase).mul_(0.09).add_(1.0).add_(x, alpha=0.10).add_(bark, alpha=0.05)
    alpha = coverage((v.abs() - half) * thick, window.pixel)
    tone = 1.04 - 0.28 * v - 0.16 * v * v + 0.13 * bark
    tone.add_(ramp(texture(rng, x, v, 0.42, 0.12), 0.35, 0.85), alpha=-0.20)  # cracks along the bark
    colours = _colour(BARK[rng.integers(len(BARK))], device) * tone
    moss = ramp(texture(rng, x, v, 0.16, 1.2).sub_(v, alpha=0.5), 0.45, 0.9).mul_(rng.uniform(0.0, 0.55))
    colours.lerp_(_colour((0.47, 0.52, 0.36), device) * tone, moss)
    window.paint(colours.clamp_(0.0, 1.0), alpha)
    shadow = ramp(ellipse(x, window.y, (anatomy.body[0] + 0.03, foot + 0.02), (0.30, 0.11)), 0.05, -0.05)
    window.shade(shadow.mul_(alpha).mul_(0.30))


LEAVES = ((0.42, 0.53, 0.29), (0.35, 0.46, 0.27), (0.52, 0.58, 0.34), (0.63, 0.50, 0.28))


def paint_leaves(canvas: Canvas, bird: Bird, anatomy: Anatomy) -> None:
    """A few leaves on the branch, away from the bird."""
    rng = bird.rng("leaves")
    foot, scale = anatomy.feet[1][1] + 0.02, canvas.frame.scale
    colour = np.array(LEAVES[rng.integers(len(LEAVES))])
    for side in (-1, 1):
        stem = (side * rng.uniform(0.62, 0.85) / scale, foot + 0.02)
        for _ in range(int(rng.integers(0, 4))):
            angle = rng.uniform(-0.9, 0.9) + (0.0 if side > 0 else np.pi)
            _leaf(canvas, stem, float(angle), rng.uniform(0.15, 0.24) / scale, colour * rng.uniform(0.85, 1.15))


def _leaf(canvas: Canvas, stem: tuple[float, float], angle: float, length: float, colour: np.ndarray) -> None:
    """One pointed leaf with a midrib, lit on its upper half."""
    end = (stem[0] + length * np.cos(angle), stem[1] + length * np.sin(angle))
    window = canvas.around(stem, end, margin=0.04)
    u, v = along(window.x, window.y, stem, angle)
    t = (u / length).clamp(0.0, 1.0)
    half = (t * (1.0 - t)).mul_(1.6 - 0.6 * t).mul_(0.80 * length)
    alpha = coverage(strip(u, v, length, half, half), window.pixel)
    across = v / (half + 0.01)
    up = 1.0 if np.cos(angle) > 0 else -1.0
    tone = 1.0 - up * 0.17 * ramp(across, -0.1, 0.1) - 0.04 * (u * 150.0 - v.abs() * 110.0).sin()
    tone.add_(ramp(v.abs(), 0.007, 0.002), alpha=0.16)
    window.paint((_colour(tuple(colour.tolist()), u.device) * tone).float().clamp_(0.0, 1.0), alpha)


GROUNDS = ((0.58, 0.52, 0.42), (0.52, 0.53, 0.40), (0.62, 0.58, 0.50), (0.47, 0.43, 0.37))


def paint_ground(canvas: Canvas, bird: Bird, anatomy: Anatomy) -> None:
    """A patch of earth that fades into the distance, pebbles and blades of grass, and the bird's shadow on it."""
    rng, device = bird.rng("ground"), canvas.image.device
    foot = 0.5 * (anatomy.feet[0][1] + anatomy.feet[1][1]) + 0.02
    window = canvas.window(-9, foot - 0.30, 9, 9)
    x, y = window.x, window.y
    earth = _colour(GROUNDS[rng.integers(len(GROUNDS))], device)
    depth = y - foot
    grain = texture(rng, x, depth, 0.10, 0.035)
    tone = 1.06 - 0.22 * depth + 0.05 * grain + 0.06 * texture(rng, x, depth, 0.42, 0.16)
    edge = rng.uniform(-0.10, -0.05)
    soft = ramp(depth + 0.02 * texture(rng, x, depth * 0.0, 0.25, 1.0), edge - 0.10, edge + 0.05)
    window.paint((earth * tone).clamp_(0.0, 1.0), soft)
    shadow = ramp(ellipse(x, y, (anatomy.body[0] - 0.02, foot + 0.045), (0.42, 0.075)), 0.07, -0.05)
    window.shade(shadow.mul_(0.42))
    for _ in range(int(rng.integers(3, 9))):
        _pebble(canvas, (rng.uniform(-1.1, 1.1), foot + rng.uniform(0.03, 0.42)), rng.uniform(0.02, 0.055), rng)


def _pebble(canvas: Canvas, centre: tuple[float, float], radius: float, rng: np.random.Generator) -> None:
    window = canvas.around(centre, margin=2.2 * radius)
    x, y = window.x, window.y
    shadow = ellipse(x, y, (centre[0] + 0.2 * radius, centre[1] + 0.5 * radius), (1.5 * radius, 0.7 * radius))
    window.shade(ramp(shadow, 0.02, -0.02).mul_(0.35))
    d = ellipse(x, y, centre, (1.35 * radius, 0.8 * radius), rng.uniform(-0.3, 0.3))
    tone = 1.0 - (y - centre[1]) * (0.25 / radius)
    colour = np.array((0.58, 0.56, 0.53)) * rng.uniform(0.8, 1.15)
    window.paint((_colour(tuple(colour.tolist()), d.device) * tone).clamp_(0.0, 1.0), coverage(d, max(window.pixel, 0.012)))


def paint_grass(canvas: Canvas, bird: Bird, anatomy: Anatomy) -> None:
    """Blades of grass at the two sides, in front of the ground."""
    rng = bird.rng("grass")
    foot = anatomy.feet[1][1]
    colour = np.array(LEAVES[rng.integers(len(LEAVES))])
    for _ in range(int(rng.integers(5, 12))):
        side = rng.choice((-1.0, 1.0))
        root = (side * rng.uniform(0.45, 1.05), foot + rng.uniform(0.02, 0.35))
        length, lean = rng.uniform(0.14, 0.36), rng.uniform(-0.35, 0.35)
        middle = (root[0] + 0.3 * lean * length, root[1] - 0.6 * length)
        top = (root[0] + lean * length, root[1] - length)
        window = canvas.around(root, middle, top, margin=0.03)
        d = torch.minimum(capsule(window.x, window.y, root, middle, 0.014, 0.010), capsule(window.x, window.y, middle, top, 0.010, 0.002))
        blade = colour * rng.uniform(0.85, 1.2)
        window.paint((blade[0], blade[1], blade[2]), coverage(d, max(window.pixel, 0.012)).mul_(0.9))
