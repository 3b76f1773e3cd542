r"""Fréchet distance between two sets of pictures, seen by one feature network (Heusel et al. 2017).

Both sets of features are taken as Gaussians, and

    d^2 = |m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1 S2)^(1/2)).

The last trace is taken as tr((S1^(1/2) S2 S1^(1/2))^(1/2)): the argument is symmetric, so two symmetric eigenvalue problems in float64
do it, where the usual general matrix square root returns complex numbers when a covariance is nearly singular.

The features are the judge's (:mod:`dmm.metrics.judge`), which no loss has used. The figure is *not* an Inception FID and compares only
with figures of the same judge, N and reference set: the distance of finite samples is biased upwards, more so for smaller N, which is
why rendered birds against other rendered birds (the ceiling: how near two samples of the truth are) is printed beside it. Captions in
another order change no set of pictures, so a shuffled floor does not exist here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dmm.errors import InputError
from dmm.metrics.bootstrap import spread_interval
from dmm.metrics.registry import register_metric


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
        count, mean = len(features), features.mean(0)
        centred, shift = features - mean, mean - self.mean
        total = self.count + count
        self.scatter += centred.T @ centred + torch.outer(shift, shift) * (self.count * count / total)
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


def with_interval(features1: Tensor, features2: Tensor) -> dict:
    """:func:`frechet_distance` with ``interval_95``: the distance, give or take 1.96 deviations over draws of both sets."""
    found = frechet_distance(features1, features2)

    def again(rows) -> float:
        return frechet_distance(features1[rows[0]], features2[rows[1]])["distance"]

    return found | {"interval_95": spread_interval(found["distance"], again, (len(features1), len(features2)))}


def against_birds(evaluation, measure: Callable[[Tensor, Tensor], dict], protocol: Callable[[int, int, int], str]) -> dict:
    """The record of a distance between sets of the judge's features: generated and rendered pictures to other rendered birds.

    Args:
        evaluation: what was read.
        measure: features N F and M F -> the figures.
        protocol: F, N and M in words.
    """
    size = evaluation.largest
    reference = evaluation.reference["judge"][size]["features"]
    fake, real = (set_["judge"][size]["features"] for set_ in (evaluation.generated, evaluation.rendered))
    return {
        "generated": measure(fake, reference),
        "ceiling_rendered": measure(real, reference),
        "floor_shuffled": None,  # the order of captions changes no set of pictures
        "protocol": protocol(reference.shape[1], len(fake), len(reference)),
    }


@register_metric("fid", needs=("judge",))
def frechet(evaluation) -> dict:
    """Fréchet distance to other rendered birds of the unseen species, on features that no loss has used (lower is better)."""

    def protocol(features: int, count: int, others: int) -> str:
        return (
            f"squared Fréchet distance, float64, of the {features} penultimate features of the judge; {count} pictures of "
            f"{evaluation.largest} px against {others} rendered birds of the same unseen species, none of them a bird whose caption was "
            "used. The ceiling is the rendered birds of the captions against the same reference. No shuffled floor: the order of captions "
            "changes no set of pictures. Not an Inception FID. 95 % intervals: 1.96 deviations over 100 bootstrap draws of both sets."
        )

    return against_birds(evaluation, with_interval, protocol)
