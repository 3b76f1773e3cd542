r"""Fréchet distance between two sets of pictures, seen by one feature network (Heusel et al. 2017).

Both sets of features are taken as Gaussians, and

    d^2 = |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)).

The last trace is taken as tr((S1^(1/2) S2 S1^(1/2))^(1/2)): the argument is symmetric, so two symmetric eigenvalue problems in float64
do it, where the usual general matrix square root returns complex numbers when a covariance is nearly singular.

Both sets are taken in batch by batch (:class:`FeatureStatistics`), in ten groups, so that memory does not grow with their number; the
interval is the jackknife's over the groups: how far the distance moves when one group of both sets is left out.

By default the features are the judge's (:mod:`dmm.metrics.judge`), which no loss has used; others are chosen by ``--features``
(:mod:`dmm.metrics.feature_networks`). The figure compares only with figures of the same network, N and reference set: the distance of
finite samples is biased upwards, more so for smaller N, which is why rendered birds against other rendered birds (the ceiling: how near
two samples of the truth are) is printed beside it. Captions in another order change no set of pictures, so a shuffled floor does not exist
here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dmm.errors import InputError
from dmm.metrics.bootstrap import jackknife_interval
from dmm.metrics.registry import register_metric

GROUPS = 10  # of the rows of a set, for the jackknife


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean F and unbiased covariance F F, float64, of features N F.

    Raises:
        ValueError: fewer than two rows, not a matrix, or a feature that is not finite.
    """
    if features.ndim != 2 or len(features) < 2:
        raise InputError(f"expected features N F with N at least 2, found shape {tuple(features.shape)}")
    if not torch.isfinite(features).all():
        raise ValueError("features hold a number that is not finite")
    features = features.double()
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / (len(features) - 1)


class RunningMoments:
    """Mean and covariance of features that come batch by batch, float64, in memory that does not grow with their number (Chan et al. 1979).

    Args:
        size: features F.
    """

    def __init__(self, size: int):
        self.count, self.mean, self.scatter = 0, torch.zeros(size, dtype=torch.double), torch.zeros(size, size, dtype=torch.double)

    def update(self, features: Tensor) -> None:
        """Take in B F further rows.

        Raises:
            ValueError: another number of features, or one that is not finite.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise InputError(f"expected features B {len(self.mean)}, found shape {tuple(features.shape)}")
        if not torch.isfinite(features).all():
            raise ValueError("features hold a number that is not finite")
        features = features.double().to(self.mean.device)
        mean = features.mean(0)
        centred = features - mean
        self._take_in(len(features), mean, centred.T @ centred)

    def merge(self, other: RunningMoments) -> None:
        """Take in the rows that another has taken in."""
        if other.count:
            self._take_in(other.count, other.mean, other.scatter)

    def _take_in(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        total, shift = self.count + count, mean - self.mean
        self.scatter += scatter + torch.outer(shift, shift) * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean F and unbiased covariance F F of all rows, as :func:`moments`.

        Raises:
            ValueError: fewer than two rows.
        """
        if self.count < 2:
            raise InputError(f"expected at least 2 rows of features, found {self.count}")
        return self.mean, self.scatter / (self.count - 1)


class FeatureStatistics:
    """What is kept of the features of a set: the moments of ten groups, row i in group i mod 10; all rows only if asked for.

    Args:
        rows: keep every row as well, N F, for measures that compare pictures one by one.
    """

    def __init__(self, rows: bool = False):
        self.count = 0
        self.groups: list[RunningMoments] = []
        self.kept: list[Tensor] | None = [] if rows else None

    def add(self, features: Tensor) -> None:
        """Take in B F further rows.

        Raises:
            ValueError: as :meth:`RunningMoments.update`.
        """
        if features.ndim != 2:
            raise InputError(f"expected features B F, found shape {tuple(features.shape)}")
        features = features.detach().float().cpu()
        self.groups = self.groups or [RunningMoments(features.shape[1]) for _ in range(GROUPS)]
        places = (self.count + torch.arange(len(features))) % GROUPS
        for number, group in enumerate(self.groups):
            if (own := features[places == number]).numel():
                group.update(own)
        self.count += len(features)
        if self.kept is not None:
            self.kept.append(features)

    @property
    def width(self) -> int:
        """Features F of a row; 0 before the first."""
        return len(self.groups[0].mean) if self.groups else 0

    def rows(self) -> Tensor:
        """Every row, N F, where they are kept."""
        assert self.kept is not None, "the rows were not asked for"
        return torch.cat(self.kept)

    def moments(self, without: int | None = None) -> tuple[Tensor, Tensor]:
        """Mean F and unbiased covariance F F, of all groups or of all but one.

        Raises:
            ValueError: fewer than two rows.
        """
        found = RunningMoments(self.width)
        for number, group in enumerate(self.groups):
            if number != without:
                found.merge(group)
        return found.moments()

    def state(self) -> dict[str, Any]:
        """Everything, in plain containers of tensors and numbers."""
        groups = [(group.count, group.mean, group.scatter) for group in self.groups]
        return {"count": self.count, "groups": groups, "rows": None if not self.kept else self.rows()}

    def load(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`."""
        self.count, self.groups = state["count"], []
        for count, mean, scatter in state["groups"]:
            group = RunningMoments(len(mean))
            group.count, group.mean, group.scatter = count, mean, scatter
            self.groups.append(group)
        if self.kept is not None:
            self.kept = [] if state["rows"] is None else [state["rows"]]


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(0).sqrt()) @ vectors.T


def gaussian_distance(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> dict[str, float]:
    """Squared Fréchet distance of two Gaussians, with its two terms: ``{"distance", "means", "covariances"}``."""
    mean1, cov1, mean2, cov2 = (t.double() for t in (mean1, cov1, mean2, cov2))
    root = _root(cov1)
    middle = root @ cov2 @ root
    cross = torch.linalg.eigvalsh((middle + middle.T) / 2).clamp_min(0).sqrt().sum()
    means = float((mean1 - mean2).square().sum())
    covariances = max(0.0, float(cov1.trace() + cov2.trace() - 2 * cross))
    return {"distance": means + covariances, "means": means, "covariances": covariances}


def frechet_distance(features1: Tensor, features2: Tensor) -> dict[str, float]:
    """Squared Fréchet distance of two sets of features, N1 F and N2 F; see :func:`gaussian_distance`."""
    return gaussian_distance(*moments(features1), *moments(features2))


def with_interval(first: FeatureStatistics, second: FeatureStatistics) -> dict:
    """The squared distance of two sets with ``interval_95``: 1.96 deviations of the delete-a-group jackknife either way.

    No interval for fewer than three rows.
    """
    found = gaussian_distance(*first.moments(), *second.moments())
    groups = min(GROUPS, first.count, second.count)
    if groups < 3:
        return found | {"interval_95": None}
    left = [gaussian_distance(*first.moments(k), *second.moments(k))["distance"] for k in range(groups)]
    return found | {"interval_95": jackknife_interval(found["distance"], left)}


def against_birds(
    evaluation, measure: Callable[[FeatureStatistics, FeatureStatistics], dict], protocol: Callable[[int, int, int], str]
) -> dict:
    """The record of a distance between sets of features: generated and rendered pictures to other rendered birds.

    Args:
        evaluation: what was read.
        measure: statistics of two sets -> the figures.
        protocol: F, N and M in words.
    """
    reference, fake, real = (
        evaluation.seen(which)["features"] for which in (evaluation.reference, evaluation.generated, evaluation.rendered)
    )
    return {
        "generated": measure(fake, reference),
        "ceiling_rendered": measure(real, reference),
        "floor_shuffled": None,  # the order of captions changes no set of pictures
        "protocol": protocol(reference.width, fake.count, reference.count),
    } | evaluation.feature_record()


@register_metric("fid", needs=("features", "reference"))
def frechet(evaluation) -> dict:
    """Fréchet distance to other rendered birds of the unseen species, by default on features that no loss has used (lower is better)."""

    def protocol(features: int, count: int, others: int) -> str:
        return (
            f"squared Fréchet distance, float64, of {evaluation.feature_words(features)}; {count} pictures of "
            f"{evaluation.largest} px against {others} rendered birds of the same unseen species, none of them a bird whose caption was "
            "used. The ceiling is the rendered birds of the captions against the same reference. No shuffled floor: the order of captions "
            f"changes no set of pictures. 95 % intervals: jackknife over {GROUPS} groups of both sets."
        )

    return against_birds(evaluation, with_interval, protocol)
