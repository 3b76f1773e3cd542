r"""Kernel distance between two sets of pictures (KID, Binkowski et al., ICLR 2018): unlike the Fréchet distance, without bias for few.

The squared maximum mean discrepancy of features x (N F) and y (M F) under the kernel k(a, b) = (a . b / F + 1)^3, unbiased:

    mean over i != j of k(x_i, x_j)  +  mean over i != j of k(y_i, y_j)  -  2 mean over i, j of k(x_i, y_j).

All pairs are used, a piece at a time. The interval comes from ten disjoint parts of the two sets: estimates of disjoint parts are
independent, where draws with replacement would compare rows with themselves.
"""

from __future__ import annotations

from torch import Tensor

from dmm.errors import InputError
from dmm.metrics.bootstrap import parts_interval
from dmm.metrics.fid import FeatureStatistics, against_birds
from dmm.metrics.registry import register_metric

PIECE = 1024  # rows compared at once
PARTS = 10


def _sums(x: Tensor, y: Tensor) -> float:
    """Sum of k(x_i, y_j) over all i and j."""
    return sum((((piece @ y.T) / x.shape[1] + 1) ** 3).sum().item() for piece in x.split(PIECE))


def _own(x: Tensor) -> float:
    """Mean of k(x_i, x_j) over i != j."""
    diagonal = ((x.square().sum(1) / x.shape[1] + 1) ** 3).sum().item()
    return (_sums(x, x) - diagonal) / (len(x) * (len(x) - 1))


def kernel_distance(x: Tensor, y: Tensor) -> float:
    """The squared distance of features N F and M F, float64; it may be a little below 0.

    Raises:
        ValueError: not two matrices of equally many features and at least two rows each.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise InputError(f"expected features N F and M F with at least 2 rows each, found {tuple(x.shape)} and {tuple(y.shape)}")
    x, y = x.double(), y.double()
    return _own(x) + _own(y) - 2 * _sums(x, y) / (len(x) * len(y))


def with_interval(x: Tensor, y: Tensor) -> dict:
    """``{"distance", "interval_95"}`` of features N F and M F; no interval for fewer than 2 rows a part."""
    count = min(PARTS, len(x) // 2, len(y) // 2)
    parts = [kernel_distance(a, b) for a, b in zip(x.tensor_split(count), y.tensor_split(count), strict=True)]
    around, found = parts_interval(parts), kernel_distance(x, y)
    half = None if around is None else (around[1] - around[0]) / 2
    return {"distance": found, "interval_95": None if half is None else [found - half, found + half]}


@register_metric("kid", needs=("features", "reference", "feature_rows"))
def kid(evaluation) -> dict:
    """Kernel distance (KID) to other rendered birds of the unseen species, by default on the judge's features (lower is better)."""

    def protocol(features: int, count: int, others: int) -> str:
        return (
            f"unbiased squared MMD, kernel (a . b / {features} + 1)^3, float64, of {evaluation.feature_words(features)}; {count} "
            f"pictures of {evaluation.largest} px against {others} other rendered birds of the same unseen species, all pairs. Ceiling: "
            f"the rendered birds of the captions. 95 % intervals: 1.96 standard errors over {PARTS} disjoint parts."
        )

    def measure(first: FeatureStatistics, second: FeatureStatistics) -> dict:
        return with_interval(first.rows(), second.rows())

    return against_birds(evaluation, measure, protocol)
