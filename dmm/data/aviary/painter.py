"""The painter of Aviary: from a :class:`~dmm.data.aviary.traits.Bird` to a picture and the masks of its visible parts.

Each bird is painted alone, back to front, from formulas (signed distances, see :mod:`shapes`), in windows no larger than the part at
hand. So the same bird is the same picture to the last bit whatever else is in the batch, at any size, on any device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from dmm.data.aviary import background, parts, plumage
from dmm.data.aviary.anatomy import build
from dmm.data.aviary.canvas import Canvas
from dmm.data.aviary.palette import Coat
from dmm.data.aviary.traits import CUB_PARTS, Bird

FINE = 192  # pictures smaller than this are painted at twice their size and averaged, so that fine feathers do not alias


@torch.no_grad()
def paint(birds: Sequence[Bird], size: int = 256, device: torch.device | str = "cpu") -> Tensor:
    """Pictures of the birds, B 3 S S in [0, 1] (sRGB), with S = ``size`` pixels (at least 16)."""
    pictures = torch.empty(len(birds), 3, size, size, device=device)
    for picture, bird in zip(pictures, birds, strict=True):
        picture.copy_(_reduce(_paint_one(bird, size, device).image, size))
    return pictures


@torch.no_grad()
def paint_with_masks(birds: Sequence[Bird], size: int = 256, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Pictures B 3 S S as :func:`paint` and the visible pixels of each part, B 15 S S bool in the order of ``CUB_PARTS``.

    Masks are disjoint and respect occlusion. Left and right are the bird's own: birds look to the right, so a resting bird shows its
    right eye and right wing, and both legs.
    """
    pictures = torch.empty(len(birds), 3, size, size, device=device)
    masks = torch.empty(len(birds), len(CUB_PARTS), size, size, dtype=torch.bool, device=device)
    numbers = torch.arange(1, len(CUB_PARTS) + 1, dtype=torch.uint8, device=device).view(-1, 1, 1)
    for picture, mask, bird in zip(pictures, masks, birds, strict=True):
        canvas = _paint_one(bird, size, device)
        picture.copy_(_reduce(canvas.image, size))
        step = canvas.size // size
        mask.copy_(canvas.labels[step // 2 :: step, step // 2 :: step] == numbers)
    return pictures, masks


def _reduce(image: Tensor, size: int) -> Tensor:
    """Average the fine picture 3 nS nS down to 3 S S."""
    step = image.shape[-1] // size
    return image if step == 1 else F.avg_pool2d(image[None], step)[0]


def _paint_one(bird: Bird, size: int, device: torch.device | str) -> Canvas:
    """Back to front: place, branch, tail, far leg, bill, crest, body, wing, near leg, eye, toes."""
    if size < 16:
        raise ValueError(f"a picture of {size} pixels is too small to paint; use at least 16")
    anatomy, frame = build(bird)
    coat = Coat(bird)
    canvas = Canvas(size if size >= FINE else 2 * size, device, frame)
    background.paint_distance(canvas, bird)
    if bird.place == "ground":
        background.paint_ground(canvas, bird, anatomy)
        background.paint_grass(canvas, bird, anatomy)
    else:
        background.paint_branch(canvas, bird, anatomy)
        background.paint_leaves(canvas, bird, anatomy)
    parts.paint_tail(canvas, bird, anatomy, coat)
    parts.paint_leg(canvas, anatomy, coat, 0)
    parts.paint_leg(canvas, anatomy, coat, 1)
    parts.paint_bill(canvas, bird, anatomy, coat)
    plumage.paint_crest(canvas, bird, anatomy, coat)
    plumage.Body(canvas, bird, anatomy, coat).paint()
    parts.paint_wing(canvas, bird, anatomy, coat)
    parts.paint_eye(canvas, bird, anatomy, coat)
    parts.paint_toes(canvas, anatomy, coat, 0)
    parts.paint_toes(canvas, anatomy, coat, 1)
    return canvas
