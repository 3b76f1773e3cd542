"""The Fréchet distance against Gaussians whose distance is known."""

import math

import pytest
import torch

from dmm.metrics.fid import FeatureStatistics, RunningMoments, frechet_distance, gaussian_distance, moments, with_interval


def test_commuting_gaussians_closed_form():
    a, b = torch.tensor([1.0, 4.0, 9.0]), torch.tensor([4.0, 1.0, 0.0])
    rotation = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    shift = torch.tensor([3.0, 0.0, 4.0])
    got = gaussian_distance(
        torch.zeros(3), rotation @ torch.diag(a.double()) @ rotation.T, shift, rotation @ torch.diag(b.double()) @ rotation.T
    )
    assert got["means"] == pytest.approx(25.0)
    assert got["covariances"] == pytest.approx(1 + 1 + 9, abs=1e-9)  # sum of (sqrt a - sqrt b)^2
    assert got["distance"] == pytest.approx(36.0, abs=1e-9)


def test_covariances_that_do_not_commute():
    """2 x 2: tr((S1 S2)^1/2) = sqrt(tr(S1 S2) + 2 sqrt(det S1 det S2))."""
    s1, s2 = torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.tensor([[5.0, -2.0], [-2.0, 1.0]])
    cross = math.sqrt(float((s1 @ s2).trace()) + 2 * math.sqrt(float(torch.det(s1) * torch.det(s2))))
    zero = torch.zeros(2)
    assert gaussian_distance(zero, s1, zero, s2)["distance"] == pytest.approx(5 + 6 - 2 * cross, rel=1e-6)
    assert gaussian_distance(zero, s2, zero, s1)["distance"] == pytest.approx(5 + 6 - 2 * cross, rel=1e-6)


def test_equal_sets_are_at_zero_even_when_the_covariance_is_singular():
    features = torch.randn(5, 40, generator=torch.Generator().manual_seed(1))
    assert frechet_distance(features, features)["distance"] == pytest.approx(0, abs=1e-5)


def test_samples_of_known_gaussians():
    generator = torch.Generator().manual_seed(2)
    a = torch.randn(20000, 4, generator=generator)
    b = 3 * torch.randn(20000, 4, generator=generator) + 2
    assert frechet_distance(a, b)["distance"] == pytest.approx(4 * 4 + 4 * 4, rel=0.02)


def test_moments_refuse_what_is_no_sample():
    with pytest.raises(ValueError, match="N at least 2"):
        moments(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="not finite"):
        moments(torch.tensor([[1.0], [float("nan")]]))


def test_moments_batch_by_batch_are_those_of_all_rows():
    """Far from zero, where sums of squares would lose the digits."""
    features = torch.randn(103, 5, generator=torch.Generator().manual_seed(3)) + 1000
    running = RunningMoments(5)
    for batch in features.split(10):
        running.update(batch)
    for found, wanted in zip(running.moments(), moments(features), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    with pytest.raises(ValueError, match="expected features B 5"):
        running.update(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="not finite"):
        running.update(torch.full((2, 5), float("nan")))
    with pytest.raises(ValueError, match="at least 2 rows"):
        RunningMoments(5).moments()


def test_the_interval_of_a_distance_holds_the_true_one():
    """N(0, 1) against N(2, 1) in one dimension: 4; the deviation of its estimate is 2 * 2 * sqrt(2 / N) and little more."""
    generator = torch.Generator().manual_seed(4)
    a, b = torch.randn(800, 1, generator=generator), torch.randn(800, 1, generator=generator) + 2
    low, high = with_interval(statistics(a), statistics(b))["interval_95"]
    assert low < 4 < high and high - low == pytest.approx(2 * 1.96 * 4 * (2 / 800) ** 0.5, rel=0.5)  # of ten groups


def statistics(features, batch=7, **options):
    found = FeatureStatistics(**options)
    for rows in features.split(batch):
        found.add(rows)
    return found


def test_statistics_are_those_of_all_rows_and_of_all_but_a_group():
    features = torch.randn(103, 5, generator=torch.Generator().manual_seed(5)) + 100
    found = statistics(features, rows=True)
    assert (found.count, found.width) == (103, 5) and torch.equal(found.rows(), features)
    without = features[torch.arange(103) % 10 != 3]
    for own, wanted in ((found.moments(), moments(features)), (found.moments(3), moments(without))):
        for value, exact in zip(own, wanted, strict=True):
            torch.testing.assert_close(value, exact, rtol=1e-10, atol=1e-10)
    assert with_interval(found, found)["distance"] == pytest.approx(0, abs=1e-9)
    assert with_interval(statistics(features[:2]), found)["interval_95"] is None


def test_statistics_go_on_from_a_state_to_the_bit():
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(6))
    whole, half, rest = statistics(features, 4, rows=True), statistics(features[:20], 4, rows=True), FeatureStatistics(rows=True)
    rest.load(half.state())
    for rows in features[20:].split(4):
        rest.add(rows)
    assert all(torch.equal(a, b) for a, b in zip(rest.moments(), whole.moments(), strict=True)) and torch.equal(rest.rows(), whole.rows())
