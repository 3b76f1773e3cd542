"""The kernel distance against sums written out, and its freedom from bias."""

import pytest
import torch

from dmm.metrics import kid
from dmm.metrics.kid import kernel_distance, with_interval


def written_out(x, y) -> float:
    def k(a, b):
        return (float(a @ b) / len(a) + 1) ** 3

    own = [sum(k(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j) / (len(s) * (len(s) - 1)) for s in (x, y)]
    return sum(own) - 2 * sum(k(a, b) for a in x for b in y) / (len(x) * len(y))


def test_by_the_formula(monkeypatch):
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(7, 3, generator=rng).double(), torch.randn(5, 3, generator=rng).double() + 1
    assert kernel_distance(x, y) == pytest.approx(written_out(x, y))
    monkeypatch.setattr(kid, "PIECE", 2)
    assert kernel_distance(x, y) == pytest.approx(written_out(x, y)) == pytest.approx(kernel_distance(y, x))


def test_two_numbers_by_hand():
    """x = {0, 0}, y = {2, 2}, one feature: 1 + 125 - 2."""
    assert kernel_distance(torch.zeros(2, 1), torch.full((2, 1), 2.0)) == pytest.approx(124)


def test_sets_of_one_distribution_are_at_zero_on_average():
    rng = torch.Generator().manual_seed(1)
    found = torch.tensor([kernel_distance(*torch.randn(2, 20, 4, generator=rng)) for _ in range(300)])
    assert abs(found.mean()) < 3 * found.std() / 300**0.5 and (found < 0).any()


def test_the_interval_is_around_the_figure():
    rng = torch.Generator().manual_seed(2)
    found = with_interval(torch.randn(400, 4, generator=rng), torch.randn(400, 4, generator=rng) + 1)
    low, high = found["interval_95"]
    assert low < found["distance"] < high and (low + high) / 2 == pytest.approx(found["distance"])
    assert with_interval(torch.zeros(2, 1), torch.ones(3, 1))["interval_95"] is None


def test_what_is_no_sample_is_refused():
    for x, y in ((torch.zeros(1, 2), torch.zeros(3, 2)), (torch.zeros(3, 2), torch.zeros(3, 4)), (torch.zeros(3), torch.zeros(3))):
        with pytest.raises(ValueError, match="at least 2 rows"):
            kernel_distance(x, y)
