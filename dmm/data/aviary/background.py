"""What is behind the bird: a place seen far out of focus, and what it perches on.

Everything far away is soft, so it is painted on a small grid and enlarged; the same grid serves every picture size.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dmm.data.aviary.anatomy import Anatomy
from dmm.data.aviary.canvas import Canvas
from dmm.data.aviary.shapes import coverage, disc, ramp
from dmm.data.aviary.traits import Bird

GRID = 96  # of the blurred distance

# (above, below, accent): calm, unsaturated, away from the birds' own colours
BACKDROPS = (
    ((0.66, 0.74, 0.78), (0.56, 0.63, 0.52), (0.80, 0.84, 0.80)),  # mist over a meadow
    ((0.50, 0.58, 0.46), (0.39, 0.47, 0.36), (0.68, 0.73, 0.54)),  # foliage
    ((0.80, 0.77, 0.68), (0.68, 0.63, 0.53), (0.90, 0.87, 0.79)),  # paper
    ((0.62, 0.68, 0.74), (0.70, 0.70, 0.68), (0.82, 0.84, 0.86)),  # overcast
    ((0.70, 0.66, 0.58), (0.55, 0.52, 0.42), (0.82, 0.74, 0.60)),  # late summer
    ((0.64, 0.71, 0.66), (0.70, 0.71, 0.60), (0.80, 0.83, 0.72)),  # sage
    ((0.70, 0.66, 0.70), (0.60, 0.58, 0.60), (0.82, 0.77, 0.78)),  # dusk
    ((0.48, 0.56, 0.58), (0.44, 0.50, 0.44), (0.66, 0.72, 0.70)),  # shaded pool
)


def noise(rng: np.random.Generator, rows: int, columns: int, height: int, width: int, device: torch.device | str) -> Tensor:
    """Smooth noise of mean 0 and deviation about 1, ``rows`` x ``columns`` waves enlarged to ``height`` x ``width``."""
    grid = torch.from_numpy(rng.standard_normal((1, 1, rows + 2, columns + 2), dtype=np.float32)).to(device)
    return F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)[0, 0]


def paint_distance(canvas: Canvas, bird: Bird) -> None:
    """Fill the canvas with a two-colour gradient, low-frequency noise and soft discs of light."""
    rng, device = bird.rng("background"), canvas.image.device
    above, below, accent = (torch.tensor(c, device=device).view(3, 1, 1) for c in BACKDROPS[rng.integers(len(BACKDROPS))])
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, GRID, device=device)] * 2, indexing="ij")
    horizon, softness = rng.uniform(-0.2, 0.5), rng.uniform(0.25, 0.9)
    clouds = noise(rng, 4, 4, GRID, GRID, device)
    mix = ramp(y + 0.22 * clouds + rng.uniform(-0.3, 0.3) * x, horizon - softness, horizon + softness)
    far = torch.lerp(above.expand(3, GRID, GRID), below, mix)
    far = torch.lerp(far, accent, noise(rng, 5, 5, GRID, GRID, device).mul_(0.16).add_(0.10).clamp_(0.0, 0.5))
    far = far * (1.0 + 0.045 * noise(rng, 9, 9, GRID, GRID, device))
    for _ in range(int(rng.integers(4, 11))):
        centre, radius = (rng.uniform(-1.1, 1.1), rng.uniform(-1.1, 0.7)), rng.uniform(0.07, 0.24)
        d = disc(x, y, centre, radius)
        light = ramp(d, 0.05, -0.03).mul_(0.7).add_(ramp(d.abs(), 0.05, 0.0), alpha=0.3)  # a disc of light, its rim a little brighter
        far = torch.lerp(far, torch.lerp(accent, torch.ones_like(accent), 0.25), light * rng.uniform(0.10, 0.32))
    vignette = 1.05 - 0.11 * (x * x + y * y)
    far = (far * vignette).clamp_(0.0, 1.0)
    canvas.image.copy_(F.interpolate(far[None], size=(canvas.size, canvas.size), mode="bilinear", align_corners=False)[0])


def paint_branch(canvas: Canvas, bird: Bird, anatomy: Anatomy) -> None:
    """The branch under the feet: thick or thin alike for all birds, so that a tiny bird looks tiny."""
    rng = bird.rng("branch")
    scale = canvas.frame.scale
    thick = rng.uniform(0.050, 0.075) / scale
    foot = 0.5 * (anatomy.feet[0][1] + anatomy.feet[1][1])
    slope, bend, phase = rng.uniform(-0.07, 0.07), rng.uniform(-0.05, 0.05), rng.uniform(0, 6.28)
    window = canvas.window(-9, foot - 0.30, 9, foot + 0.45)
    x, y = window.x, window.y
    axis = foot + thick + slope * x + bend * x * x + 0.012 * torch.sin(5.0 * x + phase)
    v = (y - axis) / thick  # -1 top .. 1 bottom
    half = 1.0 + 0.10 * torch.sin(3.1 * x + 2 * phase) + 0.10 * x
    alpha = coverage((v.abs() - half) * thick, window.pixel)
    bark = torch.tensor(((0.38, 0.30, 0.24), (0.33, 0.28, 0.25), (0.43, 0.36, 0.29))[rng.integers(3)], device=x.device).view(3, 1, 1)
    grain = noise(rng, 5, 7, *x.shape, x.device).mul_(0.10)
    fibres = torch.sin(v * 7.0 + grain * 22.0 + 3.0 * x).mul_(0.07)
    tone = (1.02 - 0.30 * v - 0.14 * v * v).add_(grain).add_(fibres)
    window.paint((bark * tone).clamp_(0.0, 1.0), alpha)
