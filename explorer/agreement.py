"""What votes say: an exact interval of a share, and how far voters agree beyond chance.

The interval is Clopper and Pearson's (Biometrika 26, 1934), from the tails of the binomial distribution. Agreement is Cohen's kappa of two
voters (1960), and Fleiss' kappa of several (1971), here for pairs that were not all voted on by equally many: what two votes on one pair
agree on is averaged over the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

STEPS = 60  # halvings of the range 0 to 1: more than a float resolves


def tail(successes: int, trials: int, chance: float) -> float:
    """Probability of at least ``successes`` in ``trials`` independent tries, each of which succeeds with ``chance``."""
    if successes <= 0 or chance >= 1:
        return 1.0
    if chance <= 0:
        return 0.0
    win, lose = math.log(chance), math.log1p(-chance)
    every = math.lgamma(trials + 1)
    terms = (every - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * win + (trials - k) * lose for k in range(successes, trials + 1))
    return min(1.0, math.fsum(map(math.exp, terms)))


def exact_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a share, (low, high); (0, 1) without trials.

    Raises:
        ValueError: more successes than trials, a negative number, or a confidence outside 0 to 1.
    """
    if not 0 <= successes <= trials or not 0 < confidence < 1:
        raise ValueError(f"expected 0 <= successes <= trials and 0 < confidence < 1; found {successes}, {trials}, {confidence}")
    if trials == 0:
        return 0.0, 1.0
    half = (1 - confidence) / 2
    return _lower(successes, trials, half), 1 - _lower(trials - successes, trials, half)


def _lower(successes: int, trials: int, half: float) -> float:
    """The chance with which at least ``successes`` would be as rare as ``half``; 0 if none succeeded."""
    low, high = 0.0, 1.0
    if successes == 0:
        return low
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(successes, trials, middle) < half else (low, middle)
    return low


def two_sided(successes: int, trials: int) -> float:
    """p-value of the exact binomial test against a share of one half; 1 without trials."""
    return min(1.0, 2 * tail(max(successes, trials - successes), trials, 0.5))


def cohen(table: Sequence[Sequence[int]]) -> float:
    """Cohen's kappa of a square table: row = what the first voter chose, column = the second; NaN where both always chose the same one.

    Raises:
        ValueError: a table that is not square, or is empty.
    """
    total = sum(map(sum, table))
    if not total or any(len(row) != len(table) for row in table):
        raise ValueError("expected a square table of counts with at least one")
    same = sum(table[k][k] for k in range(len(table))) / total
    chance = sum(sum(row) * sum(column) for row, column in zip(table, zip(*table, strict=True), strict=True)) / total**2
    return _beyond(same, chance)


def fleiss(counts: Sequence[Sequence[int]]) -> float:
    """Fleiss' kappa; NaN where no item has two votes, or all votes chose one category.

    Args:
        counts: for each item how many voters chose each category; items with fewer than two votes are passed over.
    """
    rated = [row for row in counts if sum(row) >= 2]
    if not rated:
        return math.nan
    same = math.fsum(sum(n * (n - 1) for n in row) / (sum(row) * (sum(row) - 1)) for row in rated) / len(rated)
    votes = sum(map(sum, rated))
    chance = math.fsum((sum(column) / votes) ** 2 for column in zip(*rated, strict=True))
    return _beyond(same, chance)


def _beyond(same: float, chance: float) -> float:
    return math.nan if chance >= 1 else (same - chance) / (1 - chance)
