"""How different are the pictures of one caption? Generated ones over noise seeds, against rendered birds that all fit the caption.

A generator that ignores its noise draws one bird for each caption. How different birds of one caption can be is known for Aviary: take
other birds of the unseen species and give them what the caption names (:func:`fitting`). The distance of two pictures is the Euclidean one
between the judge's penultimate features; the figure is the mean over pairs of seeds, as a share of that over pairs of rendered birds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from dmm.aviary.factors import BODY_PARTS, HEAD_PARTS
from dmm.aviary.renderer import render
from dmm.aviary.traits import COLOURED_PARTS, HEAD_MARKS, Bird
from dmm.errors import InputError
from dmm.metrics.registry import register_metric

SEEDS = 4  # pictures of each caption
MOST = 250  # captions looked at


def fitting(bird: Bird, slots: Mapping[str, Sequence[str]], other: Bird) -> Bird:
    """``other``, with everything that a caption of ``bird`` says (``slots``) taken from ``bird``."""
    parts = {part for part in COLOURED_PARTS if part in slots}
    parts |= set(HEAD_PARTS) if "head" in slots else set()
    parts |= set(BODY_PARTS) if "body" in slots else set()
    changes = {name: getattr(bird, name) for name in ("size", "bill_shape", "bill_length", "place") if name in slots}
    changes |= {name: getattr(bird, name) for part in parts if hasattr(bird, name := f"{part}_pattern")}
    changes |= {name: getattr(bird, name) for name in slots if name.endswith("_pattern")}
    colours = {part: bird.colours[part] if part in parts else other.colours[part] for part in COLOURED_PARTS}
    kept = parts | {name.removesuffix("_pattern") for name in slots if name.endswith("_pattern")}
    patterns = {part: colour for part, colour in other.pattern_colours.items() if part not in kept}
    patterns |= {part: colour for part, colour in bird.pattern_colours.items() if part in kept}
    marks = {mark: colour for mark, colour in other.marks.items() if mark not in slots}
    marks |= {mark: bird.marks[mark] for mark in HEAD_MARKS if mark in slots and mark in bird.marks}
    return dataclasses.replace(other, colours=colours, pattern_colours=patterns, marks=marks, **changes)


def spread(features: Tensor) -> Tensor:
    """Mean Euclidean distance over the pairs of K pictures: features N K F -> N.

    Raises:
        ValueError: fewer than two pictures of a caption.
    """
    if features.shape[1] < 2:
        raise InputError(f"expected at least two pictures of each caption, found {features.shape[1]}")
    first, second = torch.triu_indices(features.shape[1], features.shape[1], 1)
    return (features[:, first] - features[:, second]).norm(dim=2).mean(1)


def interval(ratio_of: Callable[[Tensor], float], count: int, seed: int = 0, draws: int = 1000) -> tuple[float, float]:
    """95 % bootstrap interval of a figure of ``count`` captions, ``ratio_of(rows)``, over captions drawn with replacement."""
    rng = torch.Generator().manual_seed(seed)
    values = torch.tensor([ratio_of(torch.randint(count, (count,), generator=rng)) for _ in range(draws)])
    low, high = values.quantile(torch.tensor([0.025, 0.975])).tolist()
    return low, high


def compare(generated: Tensor, rendered: Tensor, seed: int = 0) -> dict:
    """The figures from features N K F of generated pictures and of rendered birds."""
    own, possible = spread(generated), spread(rendered)
    low, high = interval(lambda rows: (own[rows].mean() / possible[rows].mean()).item(), len(own), seed)
    return {
        "ratio": (own.mean() / possible.mean()).item(),
        "interval_95": [low, high],
        "generated": own.mean().item(),
        "rendered": possible.mean().item(),
        "captions": len(own),
        "pictures_a_caption": generated.shape[1],
    }


@register_metric("diversity", needs=("pipeline",))
@torch.no_grad()
def diversity(evaluation) -> dict:
    """How much another seed changes a caption's picture, as a share of how much birds that fit the caption differ (higher: more varied)."""
    count, pipe, judge = min(len(evaluation.captions), MOST), evaluation.pipe, evaluation.judge
    own = evaluation.population
    generated, rendered = [], []
    for i in tqdm(range(count), "diversity", disable=not evaluation.progress):
        caption = evaluation.captions[i]
        seeds = [evaluation.seed + i * SEEDS + k for k in range(SEEDS)]
        images = pipe([caption.text] * SEEDS, seed=seeds, redescribe=False).images[-1]
        generated.append(judge(images)["features"].cpu())
        others = [own[(i + 1 + k * (len(own) // SEEDS)) % len(own)] for k in range(SEEDS)]
        birds = render([fitting(own[i], caption.slots, other) for other in others], evaluation.largest)
        rendered.append(judge(2 * birds.to(pipe.device) - 1)["features"].cpu())
    return compare(torch.stack(generated), torch.stack(rendered), evaluation.seed) | {
        "protocol": (
            f"judge's penultimate features, mean Euclidean distance over pairs of the {SEEDS} pictures of a caption; generated from as "
            "many seeds, against rendered birds of the unseen species that were given what the caption says; ratio of the means over "
            "captions, 95 % bootstrap interval over captions"
        )
    }
