"""What is far behind the bird: a place out of focus.

Everything there is soft, so it is rendered on a small grid and enlarged; the same grid serves every picture size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dmm.aviary.canvas import Canvas, blend, colour_of
from dmm.aviary.rng import BirdRng
from dmm.aviary.shapes import capsule, disc, ramp, spread
from dmm.aviary.traits import Bird

GRID = 64  # of the blurred distance

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
SKIES = (
    ((0.47, 0.65, 0.84), (0.76, 0.85, 0.91), (0.97, 0.98, 0.98)),  # blue
    ((0.60, 0.68, 0.76), (0.83, 0.82, 0.80), (0.95, 0.94, 0.92)),  # high haze
    ((0.56, 0.62, 0.76), (0.92, 0.80, 0.70), (0.99, 0.93, 0.86)),  # evening
    ((0.52, 0.58, 0.64), (0.70, 0.74, 0.77), (0.85, 0.87, 0.89)),  # before rain
)
WINTERS = (
    ((0.62, 0.70, 0.79), (0.74, 0.79, 0.84), (0.93, 0.95, 0.97)),
    ((0.50, 0.57, 0.65), (0.66, 0.70, 0.76), (0.88, 0.90, 0.93)),
    ((0.72, 0.68, 0.74), (0.74, 0.74, 0.80), (0.95, 0.91, 0.90)),
)
MARSHES = (
    ((0.77, 0.80, 0.76), (0.66, 0.65, 0.48), (0.92, 0.91, 0.80)),
    ((0.68, 0.76, 0.78), (0.56, 0.61, 0.47), (0.89, 0.92, 0.86)),
    ((0.85, 0.77, 0.64), (0.63, 0.56, 0.41), (0.97, 0.91, 0.78)),
)
SEAS = (
    ((0.76, 0.84, 0.90), (0.44, 0.60, 0.70), (0.95, 0.97, 0.98)),
    ((0.81, 0.84, 0.85), (0.49, 0.60, 0.63), (0.94, 0.95, 0.95)),
    ((0.93, 0.84, 0.76), (0.54, 0.58, 0.66), (0.99, 0.94, 0.88)),
)
PLACES = {"branch": BACKDROPS, "ground": BACKDROPS, "sky": SKIES, "snow": WINTERS, "reeds": MARSHES, "sea": SEAS}


def render_distance(canvas: Canvas, birds: Sequence[Bird]) -> None:
    """Fill the canvas with the backdrop of the place that the birds share."""
    place, rng, device = birds[0].place, BirdRng(birds, "background"), canvas.image.device
    axis = torch.linspace(-1, 1, GRID, device=device)
    x, y = axis.expand(canvas.batch, GRID, GRID), axis[:, None].expand(canvas.batch, GRID, GRID)
    above, below, glow = rng.pick(PLACES[place]).transpose(1, 0, 2)  # B 3 each
    if place == "sea":
        far = _sea(rng, x, y, above, below, glow)
    else:
        far = _gradient(rng, x, y, above, below, glow)
    if place == "sky":
        _clouds(rng, far, x, y, glow)
    elif place != "sea":
        _stems(rng, far, x, y, below, upright=place == "reeds")
    _lights(rng, far, x, y, glow, faint=place in ("sky", "sea"))
    far.mul_((1.05 - 0.10 * (x * x + y * y)).unsqueeze(1)).clamp_(0.0, 1.0)
    whole = F.interpolate(far, size=(canvas.size, canvas.size), mode="bilinear", align_corners=False)
    picture, _ = canvas.picture()
    picture.copy_(whole)


def _gradient(rng: BirdRng, x: Tensor, y: Tensor, above: np.ndarray, below: np.ndarray, glow: np.ndarray) -> Tensor:
    """Two colours that meet softly, with clouds of light and dark. B 3 G G."""
    horizon, softness = rng.uniform(-0.1, 0.5), rng.uniform(0.20, 0.9)
    lean = x * spread(rng.uniform(-0.3, 0.3), x)
    wave = rng.noise(5, GRID, x.device).mul_(0.20).add_(y).add_(lean)
    far = torch.lerp(colour_of(above, x), colour_of(below, x), ramp(wave, horizon - softness, horizon + softness).unsqueeze(1))
    blend(far, glow, rng.noise(6, GRID, x.device).mul_(0.17).add_(0.08).clamp_(0.0, 0.45))
    return far.mul_(rng.noise(10, GRID, x.device).mul_(0.04).add_(1.0).unsqueeze(1))


def _stems(rng: BirdRng, far: Tensor, x: Tensor, y: Tensor, below: np.ndarray, upright: bool) -> None:
    """Up to three stems, or a dozen reeds, far out of focus."""
    for _ in range(12 if upright else 3):
        start, end = rng.uniform(-1.4, 1.4), rng.uniform(-1.4, 1.4)
        if upright:
            end = start + 0.2 * end
        width, strength = rng.uniform(0.08, 0.16), rng.uniform(-0.35, 0.40).clip(0.0)
        d = capsule(x, y, (start, -1.3 + 0.0 * start), (end, 1.3 + 0.0 * end), 0.0)
        blend(far, 0.72 * below, ramp(d, width, 0.0 * width).mul_(spread(strength, x)))


def _lights(rng: BirdRng, far: Tensor, x: Tensor, y: Tensor, glow: np.ndarray, faint: bool) -> None:
    """Up to eleven soft discs of light, their rims a little brighter."""
    count = rng.integers(0, 4) if faint else rng.integers(5, 12)
    for k in range(int(count.max())):
        radius, centre = rng.uniform(0.06, 0.22), (rng.uniform(-1.1, 1.1), rng.uniform(-1.1, 0.8))
        strength = rng.uniform(0.12, 0.45) * (k < count)
        d = disc(x, y, centre, radius)
        light = ramp(d, 0.035, -0.035).mul_(0.7).add_(ramp(d.abs_(), 0.05, 0.0), alpha=0.3)
        blend(far, glow, light.mul_(spread(strength, x)))


def _clouds(rng: BirdRng, far: Tensor, x: Tensor, y: Tensor, glow: np.ndarray) -> None:
    """Heaps of cloud, brighter above."""
    cover = rng.uniform(0.0, 0.9)
    heap = rng.texture(x, y, 0.60, 0.30).mul_(0.8).add_(rng.texture(x, y, 0.24, 0.14), alpha=0.45)
    cloud = ramp(heap, 0.9 - cover, 1.9 - cover)
    blend(far, glow, cloud.mul_(0.85))


def _sea(rng: BirdRng, x: Tensor, y: Tensor, above: np.ndarray, below: np.ndarray, glow: np.ndarray) -> Tensor:
    """Sky, a horizon lost in haze, and water that darkens towards us."""
    horizon = rng.uniform(-0.45, -0.10)
    sky = _gradient(rng, x, y, 0.9 * above, above, glow)
    depth = y - spread(horizon, y)
    water = torch.lerp(colour_of(0.5 * (above + below), x), colour_of(below, x), ramp(depth, 0.0, 0.9).unsqueeze(1))
    ripples = rng.texture(x, depth, 0.35, 0.05).mul_(0.05).add_(1.0)
    water.mul_(ripples.unsqueeze(1))
    return torch.lerp(sky, water, ramp(depth, -0.02, 0.05).unsqueeze(1))
