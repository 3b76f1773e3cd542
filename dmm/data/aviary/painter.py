"""The painter of Aviary: from :class:`~dmm.data.aviary.traits.Bird` to a picture and the masks of its visible parts.

Birds are painted in flocks that share a pose and a place, back to front, from formulas (signed distances, see :mod:`shapes`), in windows
no larger than the part at hand. No operation mixes birds and every bird draws its random numbers from streams of its own, so the same
bird is the same picture to the last bit whatever else is in the batch. On a CPU several flocks are painted at once, a thread each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from dmm.data.aviary import anatomy, background, flight, parts, places, plumage
from dmm.data.aviary.canvas import Canvas
from dmm.data.aviary.palette import Coat
from dmm.data.aviary.traits import CUB_PARTS, Bird

FINE = 192  # pixels; smaller pictures are painted at twice their size and averaged, so that fine feathers do not alias
SMALLEST = 16  # pixels
_AT_ONCE = 8 * 256**2  # pixels of a flock's pictures


def paint(birds: Sequence[Bird], size: int = 256, device: torch.device | str = "cpu") -> Tensor:
    """Pictures of the birds, B 3 S S in [0, 1] (sRGB), with S = ``size`` pixels.

    Raises:
        ValueError: a size below 16, or a bird without a colour for one of its parts.
    """
    pictures = torch.empty(len(birds), 3, size, size, device=device)

    def keep(where: list[int], image: Tensor, labels: None) -> None:
        pictures[where] = image

    _paint_flocks(birds, size, device, keep, labelled=False)
    return pictures


def paint_with_labels(birds: Sequence[Bird], size: int = 256, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Pictures B 3 S S as :func:`paint`, and what each pixel shows of the bird, B S S uint8.

    0 is background (and water before the bird), k + 1 is part k of ``CUB_PARTS``, 16 is plumage that is none of these: the face, and the
    marks of the head (eyering, eyebrow, mask, malar stripe; a crest is crown). Left and right are the bird's own: birds look to the right,
    so a resting bird shows its right eye and right wing, and both legs.

    Raises:
        ValueError: as :func:`paint`.
    """
    pictures = torch.empty(len(birds), 3, size, size, device=device)
    numbers = torch.empty(len(birds), size, size, dtype=torch.uint8, device=device)

    def keep(where: list[int], image: Tensor, labels: Tensor) -> None:
        pictures[where] = image
        numbers[where] = labels

    _paint_flocks(birds, size, device, keep, labelled=True)
    return pictures, numbers


def paint_with_masks(birds: Sequence[Bird], size: int = 256, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Pictures B 3 S S as :func:`paint` and the visible pixels of each part, B 15 S S bool in the order of ``CUB_PARTS``.

    Masks are disjoint and respect occlusion.

    Raises:
        ValueError: as :func:`paint`.
    """
    pictures, labels = paint_with_labels(birds, size, device)
    numbers = torch.arange(1, len(CUB_PARTS) + 1, dtype=torch.uint8, device=device).view(-1, 1, 1)
    return pictures, labels.unsqueeze(1) == numbers


def _paint_flocks(birds: Sequence[Bird], size: int, device: torch.device | str, keep: Callable[..., None], labelled: bool) -> None:
    """Paint birds of one pose and place together; hand each flock's indices, pictures and labels (or None) to ``keep``."""
    if size < SMALLEST:
        raise ValueError(f"a picture of {size} pixels is too small to paint; use at least {SMALLEST}")
    alike = defaultdict(list)
    for index, bird in enumerate(birds):
        alike[bird.pose, bird.place, bird.shape if bird.shape in ("woodpecker", "owl") else ""].append(index)
    fine = size if size >= FINE else 2 * size
    threads = torch.get_num_threads() if torch.device(device).type == "cpu" else 1
    count = max(1, min(_AT_ONCE // fine**2, -(-len(birds) // threads)))
    flocks = [indices[k : k + count] for indices in alike.values() for k in range(0, len(indices), count)]

    @torch.inference_mode()
    def work(where: list[int]) -> None:
        image, labels = _paint_flock([birds[i] for i in where], fine, device, labelled).picture()
        if fine > size:
            rows = image[..., ::2, :] + image[..., 1::2, :]  # plain sums: pooling rounds differently for one picture and for several
            image = (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)
            labels = labels[:, 1::2, 1::2] if labelled else None
        keep(where, image, labels)

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # one thread for each flock, none inside an operation: they would round where they meet
    try:
        with ThreadPoolExecutor(max(1, min(threads, len(flocks)))) as pool:
            list(pool.map(work, flocks))
    finally:
        torch.set_num_threads(before)


def _paint_flock(birds: Sequence[Bird], size: int, device: torch.device | str, labelled: bool) -> Canvas:
    """Back to front: place, perch, tail, legs, bill, crest, body, wing, eye, toes."""
    builds = [anatomy.build(bird) for bird in birds]
    a, coat = anatomy.flock([b for b, _ in builds]), Coat(birds)
    canvas = Canvas(size, device, [frame for _, frame in builds], labelled)
    background.paint_distance(canvas, birds)
    places.paint_perch(canvas, birds, a)
    flies, owl, on_feet = birds[0].pose == "flying", birds[0].shape == "owl", birds[0].pose in ("perched", "standing")
    if flies:
        flight.paint_spread_wing(canvas, birds, a, coat, side=0)
    parts.paint_tail(canvas, birds, a, coat)
    for side in (0, 1) if on_feet else ():
        parts.paint_leg(canvas, a, coat, side)
    if not owl:
        parts.paint_bill(canvas, birds, a, coat)
    plumage.paint_crest(canvas, birds, a, coat)
    plumage.Body(canvas, birds, a, coat).paint()
    if flies:
        flight.paint_spread_wing(canvas, birds, a, coat, side=1)
    else:
        parts.paint_wing(canvas, birds, a, coat)
    if owl:
        parts.paint_owl_face(canvas, birds, a, coat)
        parts.paint_bill(canvas, birds, a, coat)
    else:
        parts.paint_eye(canvas, birds, a, coat)
    for side in (0, 1) if on_feet else ():
        parts.paint_toes(canvas, a, coat, side)
    places.paint_before(canvas, birds, a)
    return canvas
