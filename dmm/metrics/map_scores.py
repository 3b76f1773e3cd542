"""Scores of word maps: does the addressing of a word lie where it should?

A map holds the weight of one word at every place of a feature map (H W); what it is compared with is finer (S S) and averaged over the
pixels of each place. All functions take batches and return one number a sample, ``nan`` where a score is not defined.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_CHANGED = 0.05  # share of the places that count as changed most, for the lift
OUTSIDE = 0.10  # share of the pixels outside of which change is summed


def at_places(values: Tensor, side: int) -> Tensor:
    """B S S averaged over the pixels of each place, B side side; S is a multiple of ``side``, or the other way round."""
    if values.shape[-1] >= side:
        return F.avg_pool2d(values[:, None], values.shape[-1] // side)[:, 0]
    return values.repeat_interleave(side // values.shape[-1], 1).repeat_interleave(side // values.shape[-1], 2)


def most_changed(change: Tensor, share: float) -> Tensor:
    """B H W bool: the places with the largest numbers, ``share`` of all, at least one."""
    flat = change.flatten(1)
    top = flat.topk(max(1, round(share * flat.shape[1])), dim=1).indices
    return torch.zeros_like(flat, dtype=torch.bool).scatter(1, top, True).view_as(change)


def lift(weight: Tensor, inside: Tensor) -> Tensor:
    """Mean weight inside, over its mean everywhere: weight B H W, inside B H W (bool, or the share of each place) -> B. Chance: 1.

    The largest value possible is the inverse of the share that is inside, reached where all weight lies inside.
    """
    inside = inside.to(weight.dtype)
    within = (weight * inside).sum((1, 2)) / inside.sum((1, 2))  # nan where nothing is inside
    return within / weight.mean((1, 2))


def mass(weight: Tensor, inside: Tensor) -> Tensor:
    """Share of the weight that lies inside, B; chance: the share of the area that is inside."""
    inside = inside.to(weight.dtype)
    share = (weight * inside).sum((1, 2)) / weight.sum((1, 2))
    return torch.where(inside.sum((1, 2)) > 0, share, torch.nan)


def near(inside: Tensor) -> Tensor:
    """B H W bool: places that hold any of what is inside, and those beside them (the tolerance of the pointing game: one place)."""
    return F.max_pool2d((inside > 0).float()[:, None], 3, 1, 1)[:, 0] > 0


def points(weight: Tensor, inside: Tensor) -> Tensor:
    """Pointing game (Zhang et al., IJCV 2018), B: share of the places with the largest weight (one, but for ties) near what is inside."""
    largest = (weight == weight.amax((1, 2), keepdim=True)).to(weight.dtype)
    hit = (largest * near(inside)).sum((1, 2)) / largest.sum((1, 2))
    return torch.where(inside.sum((1, 2)) > 0, hit, torch.nan)


def outside_most(change: Tensor, share: float = OUTSIDE) -> Tensor:
    """Share of the change that lies outside the most changed pixels (``share`` of all): change B S S -> B."""
    kept = (change * ~most_changed(change, share)).sum((1, 2))
    return kept / change.sum((1, 2))  # nan where nothing changed


def entropy(maps: Tensor, mask: Tensor) -> Tensor:
    """Mean over the places of the entropy over the words, over the log of their number: maps B T H W, mask B T -> B; 1 = even."""
    weights = maps.masked_fill(mask[:, :, None, None], 0.0)
    weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-12)
    count = (~mask).sum(1).to(maps.dtype)
    return torch.special.entr(weights).sum(1).mean((1, 2)) / count.log()  # nan for one word


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's rank correlation over the places, B H W and B H W -> B; equal values share the mean of their ranks."""
    x, y = (_ranks(values.flatten(1).double()) for values in (a, b))
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    return ((x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1))).to(a.dtype)  # nan where all values are equal


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 1 of B N; equal values get the mean of theirs."""
    ranks = []
    for row in values:
        _, inverse, count = row.unique(return_inverse=True, return_counts=True)
        last = count.cumsum(0).to(row.dtype)
        ranks.append((last - (count.to(row.dtype) - 1) / 2)[inverse])
    return torch.stack(ranks)
