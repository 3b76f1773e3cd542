"""The renderer of Aviary: from :class:`~dmm.aviary.traits.Bird` to a picture and the masks of its visible parts.

Birds are rendered in flocks that share a pose and a place, back to front, from formulas (signed distances, see :mod:`shapes`), in windows
no larger than the part at hand. No operation mixes birds and every bird draws its random numbers from an rng of its own, so the same
bird is the same picture to the last bit whatever else is in the batch. On a CPU several flocks are rendered at once, a thread each.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from dmm.aviary import anatomy, background, parts, places, plumage, spread_wing
from dmm.aviary.canvas import Canvas
from dmm.aviary.palette import Coat
from dmm.aviary.traits import CUB_PARTS, Bird
from dmm.errors import InputError

FINE = 192  # pixels; smaller pictures are rendered at twice their size and averaged, so that fine feathers do not alias
SMALLEST = 16  # pixels
_AT_ONCE = 8 * 256**2  # pixels of a flock's pictures


def render(birds: Sequence[Bird], size: int = 256, device: torch.device | str = "cpu") -> Tensor:
    """Pictures of the birds, B 3 S S in [0, 1] (sRGB), with S = ``size`` pixels.

    Raises:
        ValueError: a size below 16, or a bird without a colour for one of its parts.
    """
    pictures = torch.empty(len(birds), 3, size, size, device=device)

    def keep(where: list[int], image: Tensor, labels: None) -> None:
        pictures[where] = image

    _render_flocks(birds, size, device, keep, labelled=False)
    return pictures


def render_with_labels(birds: Sequence[Bird], size: int = 256, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Pictures B 3 S S as :func:`render`, and what each pixel shows of the bird, B S S uint8.

    0 is background (and water before the bird), k + 1 is part k of ``CUB_PARTS``, 16 is plumage that is none of these: the face, and the
    marks of the head (eyering, eyebrow, mask, malar stripe; a crest is crown). Left and right are the bird's own: birds look to the right,
    so a resting bird shows its right eye and right wing, and both legs.

    Raises:
        ValueError: as :func:`render`.
    """
    pictures = torch.empty(len(birds), 3, size, size, device=device)
    numbers = torch.empty(len(birds), size, size, dtype=torch.uint8, device=device)

    def keep(where: list[int], image: Tensor, labels: Tensor) -> None:
        pictures[where] = image
        numbers[where] = labels

    _render_flocks(birds, size, device, keep, labelled=True)
    return pictures, numbers


def render_with_masks(birds: Sequence[Bird], size: int = 256, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Pictures B 3 S S as :func:`render` and the visible pixels of each part, B 15 S S bool in the order of ``CUB_PARTS``.

    Masks are disjoint and respect occlusion.

    Raises:
        ValueError: as :func:`render`.
    """
    pictures, labels = render_with_labels(birds, size, device)
    numbers = torch.arange(1, len(CUB_PARTS) + 1, dtype=torch.uint8, device=device).view(-1, 1, 1)
    return pictures, labels.unsqueeze(1) == numbers


def _render_flocks(birds: Sequence[Bird], size: int, device: torch.device | str, keep: Callable[..., None], labelled: bool) -> None:
    """Render birds of one pose and place together; hand each flock's indices, pictures and labels (or None) to ``keep``."""
    if size < SMALLEST:
        raise InputError(f"a picture of {size} pixels is too small to render; use at least {SMALLEST}")
    alike = defaultdict(list)
    for index, bird in enumerate(birds):
        alike[bird.pose, bird.place, bird.shape if bird.shape in ("woodpecker", "owl") else ""].append(index)
    fine = size if size >= FINE else 2 * size
    threads = torch.get_num_threads() if torch.device(device).type == "cpu" else 1
    count = max(1, min(_AT_ONCE // fine**2, -(-len(birds) // threads)))
    flocks = [indices[k : k + count] for indices in alike.values() for k in range(0, len(indices), count)]

    @torch.inference_mode()
    def work(where: list[int]) -> None:
        image, labels = _render_flock([birds[i] for i in where], fine, device, labelled).picture()
        if fine > size:
            rows = image[..., ::2, :] + image[..., 1::2, :]  # plain sums: pooling rounds differently for one picture and for several
            image = (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)
            labels = None if labels is None else labels[:, 1::2, 1::2]
        keep(where, image, labels)

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # one thread for each flock, none inside an operation: they would round where they meet
    try:
        with ThreadPoolExecutor(max(1, min(threads, len(flocks)))) as pool:
            list(pool.map(work, flocks))
    finally:
        torch.set_num_threads(before)


def _render_flock(birds: Sequence[Bird], size: int, device: torch.device | str, labelled: bool) -> Canvas:
    """Back to front: place, perch, tail, legs, bill, crest, body, wing, eye, toes."""
    builds = [anatomy.build(bird) for bird in birds]
    a, coat = anatomy.flock([b for b, _ in builds]), Coat(birds)
    canvas = Canvas(size, device, [frame for _, frame in builds], labelled)
    background.render_distance(canvas, birds)
    places.render_perch(canvas, birds, a)
    flies, owl, on_feet = birds[0].pose == "flying", birds[0].shape == "owl", birds[0].pose in ("perched", "standing")
    if flies:
        spread_wing.render_spread_wing(canvas, birds, a, coat, side=0)
    parts.render_tail(canvas, birds, a, coat)
    for side in (0, 1) if on_feet else ():
        parts.render_leg(canvas, a, coat, side)
    if not owl:
        parts.render_bill(canvas, birds, a, coat)
    plumage.render_crest(canvas, birds, a, coat)
    plumage.Body(canvas, birds, a, coat).render()
    if flies:
        spread_wing.render_spread_wing(canvas, birds, a, coat, side=1)
    else:
        parts.render_wing(canvas, birds, a, coat)
    if owl:
        parts.render_owl_face(canvas, birds, a, coat)
        parts.render_bill(canvas, birds, a, coat)
    else:
        parts.render_eye(canvas, birds, a, coat)
    for side in (0, 1) if on_feet else ():
        parts.render_toes(canvas, a, coat, side)
    places.render_before(canvas, birds, a)
    return canvas
