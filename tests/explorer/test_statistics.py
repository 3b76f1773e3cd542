"""Known answers on a hand-made trace."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dmm.data.vocab import Vocabulary
from dmm.trace import StageTrace, Trace
from explorer import statistics
from tests.explorer.handmade import make_trace


def test_chips_are_the_real_words_in_order(trace):
    chips = statistics.chips(trace, 1)
    assert [c.word for c in chips] == ["a", "small", "bird", "with", "a", "yellow", "crown"]
    assert [c.index for c in chips] == [1, 2, 3, 4, 5, 6, 7]
    assert [c.value for c in chips] == pytest.approx([0.3, 0.5, 0.7, 0.1, 0.3, 0.8, 0.6])
    assert [c.rank for c in chips] == [5, 4, 2, 7, 6, 1, 3]  # the first "a" ranks before the second


def test_top_words(trace):
    assert [c.word for c in statistics.top_words(trace, 2, "writing_gate", k=3)] == ["yellow", "bird", "crown"]
    assert len(statistics.top_words(trace, 2, k=50)) == 7
    means = {c.word: c.value for c in statistics.top_words(trace, 1, "addressing", k=2)}
    assert means == pytest.approx({"yellow": 0.25 * 0.7 + 0.25 * 0.05 + 0.5 / 7, "small": 0.25 * 0.7 + 0.25 * 0.05 + 0.5 / 7})


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0834, ".083"), (0.63, ".63"), (1.0, "1.00"), (0.1, ".10"), (0.0, ".00"), (0.0996, ".10"), (0.05, ".050"), (10.04, "10.04")],
)
def test_numbers_have_two_significant_digits(value, shown):
    assert statistics.short(value) == shown


def test_a_number_loses_the_zero_before_its_point_only():
    assert [statistics.bare(shown) for shown in ("1/T = 0.12", "0.2", "10.04", "0", "1")] == ["1/T = .12", ".2", "10.04", "0", "1"]


@pytest.mark.parametrize("stage", [1, 2])
def test_region_chooses_the_word_that_is_read_there(trace, stage):
    top_left = statistics.top_words(trace, stage, "addressing", k=1, region=(0, 0, 0.5, 0.5))[0]
    bottom_right = statistics.top_words(trace, stage, "addressing", k=1, region=(0.5, 0.5, 1, 1))[0]
    assert (top_left.word, bottom_right.word) == ("yellow", "small")
    assert top_left.value == pytest.approx(0.7) and bottom_right.value == pytest.approx(0.7)


def test_region_of_one_point_reads_one_cell():
    assert statistics.cells((0.5, 0.25, 0.5, 0.25), 64, 64) == (slice(32, 33), slice(16, 17))
    assert statistics.cells((1, 1, 1, 1), 64, 64) == (slice(63, 64), slice(63, 64))
    assert statistics.cells(None, 3, 4) == (slice(0, 3), slice(0, 4))


@pytest.mark.parametrize("region", [(0.5, 0, 0.2, 1), (0, 0, 1, 1.2), (-0.1, 0, 1, 1)])
def test_bad_region_is_refused(region):
    with pytest.raises(ValueError, match="shares of the side"):
        statistics.cells(region, 8, 8)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.floats(0, 1) for _ in range(4)]))
def test_addressing_chips_add_up_to_one_in_any_region(corners):
    y0, y1 = sorted(corners[:2])
    x0, x1 = sorted(corners[2:])
    chips = statistics.chips(make_trace(), 1, "addressing", region=(y0, x0, y1, x1))
    assert sum(c.value for c in chips) == pytest.approx(1, abs=1e-5)
    assert sorted(c.rank for c in chips) == list(range(1, 8))


def test_word_map_and_uniform(trace):
    assert statistics.word_map(trace, 2, 6).shape == (128, 128)
    assert statistics.word_map(trace, 1, 6)[0, 0] == pytest.approx(0.7)
    assert statistics.uniform(trace) == pytest.approx(1 / 7)
    with pytest.raises(IndexError, match="not a word"):
        statistics.word_map(trace, 1, 0)
    with pytest.raises(statistics.MissingQuantity, match="not a map"):
        statistics.word_map(trace, 1, 6, "writing_gate")


def test_missing_quantity_is_said(trace):
    with pytest.raises(statistics.MissingQuantity, match=r"stage 0 \(64 x 64\) has no writing gate"):
        statistics.chips(trace, 0)
    assert not statistics.has(trace, 0, "addressing") and statistics.has(trace, 1, "addressing")
    with pytest.raises(IndexError, match="3 stages"):
        statistics.chips(trace, 7)
    with pytest.raises(KeyError, match="unknown quantity"):
        statistics.chips(trace, 1, "gate")


def test_response_maps_add_up_to_one(trace):
    maps = statistics.response_maps(trace, 1)
    assert list(maps) == ["image", "words", "global"]
    np.testing.assert_allclose(sum(maps.values()), 1, atol=1e-6)
    shares = statistics.response_shares(trace, 1)
    assert shares == pytest.approx({"image": 0.25, "words": 0.3, "global": 0.45}, abs=1e-5)


def test_single_response_gate_is_the_share_of_the_words(trace):
    stage = dataclasses.replace(trace.stages[1], response_gate=trace.stages[1].response_gate[:, :1])
    maps = statistics.response_maps(dataclasses.replace(trace, stages=[trace.stages[0], stage]), 1)
    assert list(maps) == ["image", "words"]
    np.testing.assert_allclose(maps["words"], trace.stages[1].response_gate[0, 0])


def test_spoken_keeps_unknown_words():
    vocab = Vocabulary(["a", "red", "bird"])
    spoken = statistics.spoken("A red zeppelin bird", vocab)
    assert [(s.word, s.known) for s in spoken] == [("a", True), ("red", True), ("zeppelin", False), ("bird", True)]
    assert statistics.unknown_words("zorp red Zorp \N{BIRD}", vocab) == ["zorp", "\N{BIRD}"]


def test_agreement_counts_synonyms_and_passes_over_small_words():
    pairs = statistics.agreement("A gray bird with a short beak and yellow feet.", "this grey bird has a long bill and yellow legs")
    assert pairs == [
        ("this", None), ("grey", True), ("bird", None), ("has", None), ("a", None), ("long", False), ("bill", True), ("and", None),
        ("yellow", True), ("legs", True),
    ]  # fmt: skip


SAID = [
    ("yellow", (3,)), (" Yellow ", (3,)), ("yellow crown", (3, 4)), ("Yellow, crown", (3, 4)), ("red", (1,)), ("red (2)", (5,)),
    ("red wing", (5, 6)), (4, (4,)), ("a red bird", (0, 1, 2)),
]  # fmt: skip


def repeated() -> Trace:
    """A trace of "a red bird yellow crown red wing", between a start and an end that are no words."""
    words = ["a", "red", "bird", "yellow", "crown", "red", "wing", "<end>"]
    mask = torch.tensor([[False] * 7 + [True]])
    stage = StageTrace(addressing=torch.softmax(torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(0)), dim=1))
    return Trace(stages=[stage], captions=["a red bird yellow crown red wing"], words=[words], mask=mask)


@pytest.mark.parametrize(("said", "found"), SAID)
def test_words_are_found_where_they_first_stand_so(said, found):
    assert statistics.find(repeated(), said) == found


@pytest.mark.parametrize("said", ["crown yellow", "blue", "", " , ", "yellow wing", "red (3)", "<end>", 7, -1, 99])
def test_words_that_were_not_read_are_named(said):
    with pytest.raises(statistics.NotRead, match="not among the words that were read: a, red, bird, yellow, crown, wing"):
        statistics.find(repeated(), said)


def test_the_map_of_a_phrase_is_the_probability_of_any_of_its_words():
    trace = repeated()
    maps = [statistics.word_map(trace, 0, index) for index in (3, 4)]
    np.testing.assert_allclose(statistics.phrase_map(trace, 0, (3, 4)), maps[0] + maps[1], rtol=1e-6)
    np.testing.assert_array_equal(statistics.phrase_map(trace, 0, (3,)), maps[0])
    np.testing.assert_array_equal(statistics.phrase_map(trace, 0, (3, 3)), maps[0])
    everything = statistics.phrase_map(trace, 0, range(7)) + trace.stages[0].addressing[0, 7].numpy()
    np.testing.assert_allclose(everything, np.ones((4, 4)), rtol=1e-5)
    with pytest.raises(IndexError):
        statistics.phrase_map(trace, 0, (3, 7))


def test_similarity_is_the_cosine_of_slots_keys_or_values(trace):
    stage = trace.stages[1]
    stage.memory = torch.zeros(1, 4, len(trace.tokens()))
    stage.memory[0, :2, 1], stage.memory[0, :2, 2], stage.memory[0, :2, 3] = (
        torch.tensor([3.0, 0]),
        torch.tensor([1.0, 1]),
        torch.tensor([-2.0, 0]),
    )
    values = statistics.similarity(trace, 1)
    assert values.shape == (7, 7) and np.allclose(values[0, :4], [1, 0.5**0.5, -1, 0])
    assert statistics.alike(trace, 1) == ["memory"] and statistics.alike(trace, 2) == []
    with pytest.raises(statistics.MissingQuantity, match="no memory of words"):
        statistics.similarity(trace, 1, "key")
    with pytest.raises(ValueError, match="expected one of memory, key, value, found 'slot'"):
        statistics.similarity(trace, 1, "slot")
