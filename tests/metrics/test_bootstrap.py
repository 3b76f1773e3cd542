"""Intervals whose width is known."""

import pytest
import torch

from dmm.metrics import bootstrap
from dmm.metrics.bootstrap import jackknife_interval, parts_interval, ratio_interval


def test_the_interval_of_a_share_is_as_wide_as_the_binomial_one():
    hit = (torch.arange(2000) % 5 == 0).float()
    low, high = ratio_interval(hit, torch.ones(2000))
    assert low < 0.2 < high
    assert high - low == pytest.approx(2 * 1.96 * (0.2 * 0.8 / 2000) ** 0.5, rel=0.1)


def test_rows_are_drawn_whole():
    """Rows that hold ten of ten or none of ten are ten times fewer observations than their colours are."""
    part = torch.tensor([10.0, 0.0]).repeat(50)
    low, high = ratio_interval(part, torch.full((100,), 10.0))
    assert high - low == pytest.approx(2 * 1.96 * (0.25 / 100) ** 0.5, rel=0.15)


def test_many_rows_are_drawn_in_pieces(monkeypatch):
    hit, ones = (torch.arange(60) % 3 == 0).float(), torch.ones(60)
    whole = ratio_interval(hit, ones)
    monkeypatch.setattr(bootstrap, "MOST", 130)  # two draws at a time
    assert ratio_interval(hit, ones) == pytest.approx(whole, abs=0.03)


def test_nothing_to_divide_by_has_no_interval():
    assert ratio_interval(torch.zeros(3), torch.zeros(3)) is None


def test_jackknife_interval_of_a_mean_is_the_textbook_one():
    """Groups of one row: the jackknife's deviation of a mean is the rows' own over the root of N."""
    values = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    without = [((values.sum() - value) / 39).item() for value in values]
    low, high = jackknife_interval(values.mean().item(), without)
    assert (low + high) / 2 == pytest.approx(values.mean().item())
    assert high - low == pytest.approx(2 * 1.96 * values.std().item() / 40**0.5)


def test_interval_of_parts():
    low, high = parts_interval([1.0, 2.0, 3.0])
    assert ((low + high) / 2, high - low) == (pytest.approx(2), pytest.approx(2 * 1.96 / 3**0.5))
    assert parts_interval([1.0]) is None
