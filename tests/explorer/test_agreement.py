"""Intervals and agreement against closed forms and tables whose kappa is known."""

from __future__ import annotations

import math

import pytest

from explorer.agreement import cohen, exact_interval, fleiss, tail, two_sided


@pytest.mark.parametrize("trials", [1, 2, 7, 40, 1000])
def test_without_a_success_the_interval_has_a_closed_form(trials):
    low, high = exact_interval(0, trials)
    assert low == 0 and high == pytest.approx(1 - 0.025 ** (1 / trials), abs=1e-12)
    assert exact_interval(trials, trials) == (pytest.approx(0.025 ** (1 / trials), abs=1e-12), 1)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"), [(1, 2, 1 - math.sqrt(0.975), math.sqrt(0.975)), (5, 10, 0.18709, 0.81291)]
)
def test_known_intervals(successes, trials, low, high):
    assert exact_interval(successes, trials) == (pytest.approx(low, abs=1e-5), pytest.approx(high, abs=1e-5))


def test_the_interval_covers_at_least_as_often_as_it_says():
    for chance in (0.05, 0.3, 0.5, 0.77):
        mass = [tail(k, 20, chance) - tail(k + 1, 20, chance) for k in range(21)]
        bounds = [exact_interval(k, 20) for k in range(21)]
        assert sum(p for p, (low, high) in zip(mass, bounds, strict=True) if low <= chance <= high) >= 0.95


def test_without_votes_nothing_is_known():
    assert exact_interval(0, 0) == (0, 1) and two_sided(0, 0) == 1 and math.isnan(fleiss([])) and math.isnan(fleiss([(1, 0), (0, 1)]))


def test_tails_are_sums_of_the_binomial_distribution():
    assert tail(2, 3, 0.5) == pytest.approx(0.5) and tail(3, 3, 0.2) == pytest.approx(0.008) and tail(0, 3, 0.2) == 1
    assert two_sided(8, 10) == pytest.approx(2 * (45 + 10 + 1) / 1024) and two_sided(5, 10) == 1


@pytest.mark.parametrize(("successes", "trials", "confidence"), [(2, 1, 0.95), (-1, 4, 0.95), (1, 4, 1), (1, 4, 0)])
def test_impossible_counts_are_refused(successes, trials, confidence):
    with pytest.raises(ValueError, match="expected 0 <= successes"):
        exact_interval(successes, trials, confidence)


def test_cohens_kappa_of_known_tables():
    assert cohen([[20, 5], [10, 15]]) == pytest.approx(0.4)
    assert cohen([[45, 15], [25, 15]]) == pytest.approx(0.1304, abs=1e-4)
    assert cohen([[25, 25], [25, 25]]) == 0 and cohen([[3, 0], [0, 4]]) == 1 and math.isnan(cohen([[5, 0], [0, 0]]))
    for table in ([], [[0]], [[1, 2]]):
        with pytest.raises(ValueError, match="square"):
            cohen(table)


def test_fleiss_kappa_of_known_tables():
    ten_subjects = [
        (0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1),
        (7, 7, 0, 0, 0), (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7),
    ]  # fmt: skip
    assert fleiss(ten_subjects) == pytest.approx(0.210, abs=5e-4)
    assert fleiss([(3, 0), (0, 3)]) == 1 and fleiss([(1, 1), (1, 1)]) == -1 and math.isnan(fleiss([(2, 0), (5, 0)]))
    assert fleiss([*ten_subjects, (1, 0, 0, 0, 0)]) == fleiss(ten_subjects)  # one vote agrees with nobody
