"""Known colours, properties of resizing and blending."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer import overlay


def test_heat_ends_are_the_ends_of_the_colour_map():
    colours = overlay.heat(np.array([[-1.0, 0.0, 0.5, 1.0, 9.0]]), (0, 1), "viridis")
    assert colours.dtype == np.uint8 and colours.shape == (1, 5, 3)
    assert tuple(colours[0, 0]) == tuple(colours[0, 1]) == (68, 1, 84)
    assert tuple(colours[0, 3]) == tuple(colours[0, 4]) == (253, 231, 37)


@pytest.mark.parametrize(("values", "limits"), [(np.zeros((2, 2)), (1, 1)), (np.array([[np.nan]]), (0, 1))])
def test_heat_refuses_what_it_cannot_show(values, limits):
    with pytest.raises(ValueError):
        overlay.heat(values, limits)


def test_sequential_map_grows_in_lightness():
    strip = overlay.legend("x").strip[0].astype(float)
    luma = strip @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luma) > -0.75).all() and luma[-1] - luma[0] > 150  # 8-bit rounding may dip by less than one level


def test_strength_zero_is_the_grey_picture_and_one_is_the_heat():
    image = torch.rand(3, 16, 16) * 2 - 1
    values = np.random.default_rng(0).random((8, 8))
    grey = overlay.overlay(image, values, strength=0)
    assert (grey == grey[..., :1]).all()
    alone = overlay.overlay(image, values, strength=1)
    np.testing.assert_array_equal(alone, overlay.heat(overlay.resize(values, 16)))


def test_blend_known_answer():
    image = torch.ones(1, 3, 2, 2)  # white
    blend = overlay.overlay(image, np.zeros((2, 2)), (0, 1), strength=0.5, cmap="viridis")
    np.testing.assert_array_equal(blend, np.broadcast_to(np.rint((255 + np.array([68, 1, 84])) / 2), (2, 2, 3)))


def test_colours_of_the_bird_do_not_tint_the_overlay():
    """Two pictures of equal lightness and different hue give the same overlay."""
    red = torch.zeros(3, 4, 4, dtype=torch.uint8)
    red[0] = 200  # luma 42.5
    grey = torch.full((3, 4, 4), 43, dtype=torch.uint8)
    values = np.full((4, 4), 0.5)
    assert np.abs(overlay.overlay(red, values).astype(int) - overlay.overlay(grey, values)).max() <= 1


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 10))
def test_resizing_stays_within_the_range(side, target, seed):
    values = np.random.default_rng(seed).random((side, side)).astype(np.float32)
    resized = overlay.resize(values, target)
    assert resized.shape == (target, target)
    assert resized.min() >= values.min() - 1e-6 and resized.max() <= values.max() + 1e-6


def test_shrinking_is_antialiased_and_keeps_the_mean():
    board = np.indices((64, 64)).sum(0) % 2
    np.testing.assert_allclose(overlay.resize(board, 16)[1:-1, 1:-1], 0.5, atol=1e-6)


def test_same_size_is_untouched():
    values = np.random.default_rng(1).random((7, 7)).astype(np.float32)
    np.testing.assert_array_equal(overlay.resize(values, 7), values)


def test_limits_round_up_and_are_shared():
    assert overlay.limits(np.array([0.123]), np.array([0.456])) == pytest.approx((0, 0.46))
    assert overlay.limits(np.array([-0.3, 0.2]), symmetric=True) == pytest.approx((-0.3, 0.3))
    assert overlay.limits(np.zeros(3)) == (0, 1)
    assert overlay.limits(np.array([1.0]), uniform=1.0) == (0, 1)  # one word: no probability of 2


def test_even_reading_never_looks_like_much():
    assert overlay.limits(np.full((4, 4), 0.1), uniform=0.1) == pytest.approx((0, 0.2))
    assert overlay.limits(np.full((4, 4), 0.7), uniform=0.1) == pytest.approx((0, 0.7))


def test_legend_marks_uniform_only_inside():
    legend = overlay.legend("key addressing", (0, 0.4), uniform=0.1)
    assert legend.marks[0][0] == pytest.approx(0.25) and "1/T" in legend.marks[0][1]
    assert overlay.legend("key addressing", (0, 0.4), uniform=0.5).marks == ()
    assert legend.css.startswith("linear-gradient(to right, #440154") and legend.css.endswith("#fde725)")


def test_ink_is_readable():
    assert overlay.ink((255, 255, 255)) == "#000000" and overlay.ink((10, 10, 40)) == "#ffffff"


def test_colours_do_not_change_when_a_drawn_map_is_written_to():
    first = overlay.heat(np.zeros((2, 2)))
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(overlay.heat(np.zeros((2, 2))), kept)
