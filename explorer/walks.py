"""From one caption and noise to another, picture by picture: a film strip and an animated GIF.

The noises are interpolated on the sphere (Shoemake, 1985), since they are normal; the sentence feature, from which the conditioning code
comes, on a line. The words of two captions are not the same words, so that there is nothing between them: the first half of the walk reads
those of the first caption, the second half those of the second.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from dmm.images import to_pil

MOST_STEPS = 24
GIF_MS = 160  # a picture


@dataclass(frozen=True)
class Stop:
    """One picture of a walk."""

    at: float  # 0 = the first caption and noise, 1 = the second
    reads: str  # the caption whose words are read
    image: Tensor  # 3 S S in [-1, 1]


def slerp(one: Tensor, other: Tensor, at: float) -> Tensor:
    """Between two noises B Z on the sphere; on a line where they point the same way."""
    cosine = torch.nn.functional.cosine_similarity(one, other, dim=-1).clamp(-1, 1)[:, None]
    angle = torch.arccos(cosine)
    even = angle < 1e-4
    sine = torch.where(even, torch.ones_like(angle), torch.sin(angle))
    first, second = torch.sin((1 - at) * angle) / sine, torch.sin(at * angle) / sine
    return torch.where(even, torch.full_like(first, 1 - at), first) * one + torch.where(even, torch.full_like(second, at), second) * other


@torch.no_grad()
def walk(
    pipe,
    captions: tuple[str, str],
    seeds: tuple[int, int],
    steps: int = 8,
    told: Callable[[int, int], None] = lambda done, steps: None,
) -> list[Stop]:
    """Pictures on the way from one caption and seed to another; both ends are those of ``pipe(caption, seed)``.

    Args:
        pipe: a :class:`dmm.pipeline.Pipeline`.
        captions: the two sentences; may be equal.
        seeds: the two noises; may be equal.
        steps: pictures, both ends included.
        told: called after each picture with how many are done, and with their number.

    Raises:
        CaptionError: a caption that cannot be generated.
        ValueError: fewer than 2 or more than :data:`MOST_STEPS` steps.
    """
    if not 2 <= steps <= MOST_STEPS:
        raise ValueError(f"steps: expected 2 to {MOST_STEPS} pictures, found {steps}")
    texts = [pipe.encode([caption]) for caption in captions]  # words B D T, sentence B D, mask B T, names
    noises = [pipe.noise([seed]) for seed in seeds]
    stops = []
    for k in range(steps):
        at = k / (steps - 1)
        words, _, mask, _ = texts[0 if at <= 0.5 else 1]
        sentence = torch.lerp(texts[0][1], texts[1][1], at)
        z, eps = (slerp(noises[0][i], noises[1][i], at) for i in (0, 1))
        trace = pipe.generator(sentence, words, mask, z, eps)
        stops.append(Stop(at, captions[0 if at <= 0.5 else 1], trace.images[-1][0].cpu()))
        told(len(stops), steps)
    return stops


def gif(stops: Sequence[Stop]) -> bytes:
    """The walk there and back as an animated GIF that repeats."""
    frames = [to_pil(stop.image) for stop in stops]
    frames += frames[-2:0:-1]
    buffer = io.BytesIO()
    frames[0].save(buffer, format="GIF", save_all=True, append_images=frames[1:], duration=GIF_MS, loop=0)
    return buffer.getvalue()


def strip(stops: Sequence[Stop]) -> Image.Image:
    """The pictures beside each other."""
    pictures = [to_pil(stop.image) for stop in stops]
    side = pictures[0].width
    sheet = Image.new("RGB", (side * len(pictures), side))
    for k, picture in enumerate(pictures):
        sheet.paste(picture, (k * side, 0))
    return sheet
