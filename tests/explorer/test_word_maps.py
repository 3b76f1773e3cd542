"""The maps of colour and part words, from a trace made by hand; and which words are colours and parts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dmm.aviary.grammar import AVIARY_VOCABULARY
from explorer import figures, statistics
from explorer.figures import FigureError
from explorer.figures.word_classes import CLASSES, of_class, word_class
from explorer.overlay import heat
from tests.explorer.handmade import make_trace
from tests.explorer.test_figures import apart, boxes

FIGURE = "word-maps"


@pytest.mark.parametrize(
    ("word", "said"),
    [("yellow", "colour"), ("gray", "colour"), ("crown", "part"), ("eyering", "part"), ("belly", "part"), ("small", "other claim"),
     ("bright", "other claim"), ("pointed", "other claim"), ("the", "stop word"), ("bird", "stop word"), ("and", "stop word")],
)  # fmt: skip
def test_the_class_of_a_word(word, said):
    assert word_class(word) == said


def test_every_word_of_aviary_has_a_class_and_every_class_words():
    found = {kind: [w for w in AVIARY_VOCABULARY() if word_class(w) == kind] for kind in CLASSES}
    assert all(found.values()) and sum(map(len, found.values())) == len(AVIARY_VOCABULARY())
    assert of_class(make_trace(), "colour") == [6] and of_class(make_trace(), "colour", "part") == [6, 7]


def test_rows_are_the_numbers_of_the_maps():
    trace = make_trace()
    rows = figures.draw(FIGURE, [trace]).rows
    assert [(r["stage"], r["places"], r["word"]) for r in rows] == [(s, p, w) for s, p in ((1, 64), (2, 128)) for w in ("yellow", "crown")]
    assert rows[0]["largest"] == pytest.approx(0.7) and rows[0]["smallest"] == pytest.approx(0.05)
    assert rows[0]["mean"] == pytest.approx(trace.stages[1].addressing[0, 6].mean().item())
    assert {r["uniform"] for r in rows} == {1 / 7} and rows[3]["stage_entropy_over_log_t"] == statistics.evenness(trace, 2)
    shared = figures.draw(FIGURE, [trace], scale="shared").rows
    assert {(r["drawn_from"], round(r["drawn_to"], 9)) for r in shared} == {(0.0, 0.7)}


def test_a_map_is_brightest_where_its_word_is_read():
    drawing = figures.draw(FIGURE, [make_trace()], strength=1.0).figure
    _, yellow, crown, *_ = [axes.get_images()[0].get_array() for axes in drawing.axes]  # the picture, then the maps
    assert (yellow[5, 5] == heat(np.array([[1.0]]))[0, 0]).all()
    assert (crown[5, 5] == heat(np.array([[0.0]]))[0, 0]).all()


def test_all_words_wrap_into_rows_and_both_scales_say_the_even_value():
    for scale, said in (("own", "1/T = .14"), ("shared", "line: 1/T = .14")):
        drawing = figures.draw(FIGURE, [make_trace()] * 2, shown="all", scale=scale).figure
        apart(drawing)
        assert any(said in text for text, _ in boxes(drawing))
        assert len(drawing.axes) == 2 * (1 + 2 * 7 + 1)


def test_attention_is_shown_in_place_of_addressing():
    trace = make_trace()
    stages = [dataclasses.replace(s, addressing=None, word_attention=s.addressing) for s in trace.stages]
    result = figures.draw(FIGURE, [dataclasses.replace(trace, stages=stages)])
    assert {r["quantity"] for r in result.rows} == {"word_attention"}
    assert any("word attention over its own range" in text for text, _ in boxes(result.figure))


def test_what_cannot_be_shown_is_said():
    trace = make_trace()
    without = dataclasses.replace(trace, stages=[dataclasses.replace(s, addressing=None) for s in trace.stages])
    with pytest.raises(FigureError, match="reads no single words"):
        figures.draw(FIGURE, [without])
    trace.words = [["<start>", "a", "small", "bird", "with", "a", "long", "song", "<end>"]]
    with pytest.raises(FigureError, match="none of the words asked for"):
        figures.draw(FIGURE, [trace])
