"""The notebook's surface, without a notebook."""

from __future__ import annotations

import pytest

pytest.importorskip("ipywidgets")

from explorer import overlay, statistics, widgets  # noqa: E402
from explorer.session import Session  # noqa: E402
from tests.explorer.toy import CAPTION, toy_pipeline, toy_system  # noqa: E402


@pytest.fixture(scope="module")
def session():
    pipe = toy_pipeline()
    return Session("toy", load=lambda name: pipe)


def test_chips_show_the_numbers_and_the_colours_of_the_overlay(trace):
    shown = widgets.chips(trace, 1).data
    for chip in statistics.chips(trace, 1):
        assert f">{chip.word}</span><small>{statistics.short(chip.value)}<" in shown
    assert bytes(overlay.heat([[0.8]])[0, 0]).hex() in shown
    assert "<start>" not in shown and "&lt;start" not in shown
    assert "1/T" in widgets.chips(trace, 1, "addressing").data and "1/T" not in shown


def test_words_are_escaped(trace):
    trace.words[0][2] = "<b>"
    assert "&lt;b&gt;" in widgets.chips(trace, 1).data


def test_explore_follows_the_caption(session):
    panel = widgets.explore(session, CAPTION)
    said, _, word, shown = panel.children
    assert [label for label, _ in word.options] == ["a", "small", "red", "bird", "with", "a (2)", "yellow", "crown"]
    (top,) = statistics.top_words(session.trace(None, CAPTION, 3), -1, k=1)
    assert word.value == top.index and f"where “{statistics.names(session.trace(None, CAPTION, 3))[top.index]}” is read" in shown.value
    word.value = 3
    assert "where “red” is read" in shown.value
    said.value = "a blue bird"
    assert [label for label, _ in word.options] == ["a", "blue", "bird"] and "left out" not in shown.value
    said.value = "a blue zorp bird 🐦"
    assert [label for label, _ in word.options] == ["a", "blue", "bird"] and "left out: zorp, 🐦." in shown.value
    said.value = "zeppelin"
    assert "vocabulary" in shown.value and word.options == ()
    said.value = "a red bird"
    assert "is read" in shown.value


def test_figure_panel_draws_and_explains(session):
    panel = widgets.figure_panel(session, "dmgan-fig6b")
    caption, *_, button, message, shown = panel.children
    caption.value = CAPTION
    button.click()
    assert "data:image/png" in shown.value and 'alt="' in shown.value and "red" in shown.value and message.value == ""
    caption.value = "zeppelin"
    button.click()
    assert "vocabulary" in message.value


@pytest.mark.parametrize("system", ["attngan", "mirrorgan", "dfgan", "dmmgan"])
def test_exploring_any_system(system):
    pipe = toy_system(system)
    panel = widgets.explore(Session("toy", load=lambda _: pipe), "a small red bird")
    _, _, word, shown = panel.children
    assert "data:image/png" in shown.value
    assert bool(word.options) == (system != "dfgan")


def test_a_word_that_stands_twice_is_chosen_by_its_place():
    pipe = toy_pipeline()
    panel = widgets.explore(Session("toy", load=lambda _: pipe), "a red bird with a red crown")
    word, shown = panel.children[2:]
    names = [name for name, _ in word.options]
    assert len(set(names)) == len(names) and any(name.endswith(" (2)") for name in names)
    twice = next(index for name, index in word.options if name.endswith(" (2)"))
    word.value = twice
    assert " (2)” is read" in shown.value
