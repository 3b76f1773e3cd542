"""DM-GAN, Fig. 5: captions by seeds, with a rendered bird of each caption; and how that bird is found."""

from __future__ import annotations

import csv

import pytest
import torch

from dmm.aviary.grammar import captions, read_slots
from dmm.aviary.species import bird
from dmm.checkpoint import save
from explorer import figures, gather, references
from explorer.figures import FigureError, Reference
from explorer.session import Session
from tests.explorer.handmade import CountingPipeline, make_trace
from tests.explorer.test_cli import explorer
from tests.explorer.test_figures import apart, boxes
from tests.explorer.toy import toy_pipeline

FIGURE = "dmgan-fig5"
GREY = Reference(torch.full((3, 8, 8), 128, dtype=torch.uint8), "a grey bird", exact=True)


def test_every_caption_is_asked_for_with_every_seed():
    asked = figures.requests(figures.get_figure(FIGURE), {"captions": ("one", "two"), "seed": 7, "seeds": 3})
    assert asked == [("one", 7), ("one", 8), ("one", 9), ("two", 7), ("two", 8), ("two", 9)]


def test_captions_become_rows_and_seeds_columns():
    traces = [make_trace(caption, seed) for caption in ("a bird", "a red bird") for seed in (4, 5, 6)]
    result = figures.draw(FIGURE, traces)
    places = [axes.get_position() for axes in result.figure.axes]
    assert len({round(p.y0, 4) for p in places}) == 2 and len({round(p.x0, 4) for p in places}) == 3
    assert [(r["caption"], r["seed"]) for r in result.rows] == [(t.captions[0], t.seeds[0]) for t in traces]
    assert [text for text, _ in boxes(result.figure)] == ["seed 4", "5", "6", "a bird", "a red bird"]


def test_a_rendered_bird_stands_first_and_its_absence_is_said():
    traces = [make_trace(caption, 0) for caption in ("a grey bird", "a striped zebra")]
    result = figures.draw(FIGURE, traces, {"a grey bird": GREY, "a striped zebra": None}, rendered=True)
    apart(result.figure)
    assert len(result.figure.axes) == 3
    assert [(r["picture"], r["match"]) for r in result.rows] == [
        ("rendered", "the caption is its own"), ("generated", ""), ("rendered", "none fits"), ("generated", ""),
    ]  # fmt: skip
    assert "rendered" in [text for text, _ in boxes(result.figure)]
    grey = next(axes for axes in result.figure.axes if axes.get_images()[0].get_array().shape[0] == 8)
    assert grey.get_position().x0 == min(axes.get_position().x0 for axes in result.figure.axes)


def test_captions_with_different_seeds_are_refused():
    with pytest.raises(FigureError, match="same seeds for every caption"):
        figures.draw(FIGURE, [make_trace("a bird", 1), make_trace("a red bird", 2)])


def test_what_a_figure_does_not_read_is_not_kept():
    session = Session("handmade", load=lambda name: CountingPipeline())
    figure = figures.get_figure(FIGURE)
    (trace,) = gather.traces(figure, {"captions": ("a bird",), "seeds": 1}, session)
    assert trace.stages[1].image is not None and trace.stages[1].addressing is None and trace.words is not None
    assert session.trace(None, "a bird", 0).stages[1].addressing is not None


def test_a_caption_of_a_bird_finds_that_bird():
    own = captions(bird(3, split="test"))[1].text
    found, exact = references.find_bird(own, count=40)
    assert (found.index, exact) == (3, True)


def test_another_sentence_finds_a_bird_that_has_all_it_says():
    found, exact = references.find_bird("a bird with yellow crown and white belly", count=800)
    assert not exact and "yellow" in found.colours["crown"] and "white" in found.colours["belly"]
    assert references.find_bird("this bird has a pink, green and black crown", count=50) is None


def test_a_bird_agrees_with_each_of_its_own_captions_and_not_with_another_colour():
    for index in range(12):
        one = bird(index, split="test")
        assert all(references.agrees(one, caption.slots) for caption in captions(one)), index
        other = next(c for c in ("red", "blue", "white") if c not in one.colours["wing"])
        assert not references.agrees(one, read_slots(f"a bird with {other} wings"))


def test_the_command_draws_rendered_birds(tmp_path):
    save(toy_pipeline(), tmp_path / "toy")
    own = captions(bird(0, split="test"))[0].text
    flags = ["--caption", own, "--seeds", 2, "--rendered", "--format", "png,csv"]
    answer = explorer("figures", FIGURE, "--model", tmp_path / "toy", "--out", tmp_path, *flags)
    assert answer.exit_code == 0, answer.output
    rows = list(csv.DictReader((tmp_path / f"{FIGURE}.csv").open()))
    assert [r["picture"] for r in rows] == ["rendered", "generated", "generated"] and "test bird 0" in rows[0]["bird"]
