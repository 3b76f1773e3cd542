"""Systems side by side, favoured words, redescriptions, interpolation, curves, word classes: known numbers, and texts apart."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from dmm.aviary.grammar import AVIARY_VOCABULARY
from dmm.data.vocab import Vocabulary
from explorer import figures, gather, statistics
from explorer.figures import FigureError
from explorer.figures.classes import lift, measured, spread
from explorer.figures.curves import best_step
from explorer.figures.runs import RunError, read_log
from explorer.figures.stop_words import ranked
from explorer.session import Session
from tests.explorer.handmade import CountingPipeline, make_trace
from tests.explorer.test_figures import apart, attending, boxes, legible
from tests.explorer.toy import toy_pipeline

CAPTIONS = ("a small bird with a yellow crown", "a red bird")


def systems(*names: str, captions=CAPTIONS[:1]) -> dict:
    """The hand-made trace for every system; names that begin with "attn" attend."""
    traces = [make_trace(caption, 3) for caption in captions]
    return {name: [attending(t) for t in traces] if name.startswith("attn") else traces for name in names}


# --- systems ---------------------------------------------------------------------------------------------------------------


def test_systems_are_rows_or_columns():
    found = systems("one", "two", "three", captions=CAPTIONS)
    for name, across, down in (("dmgan-fig1", 2, 3), ("dmgan-fig3", 3, 2)):
        result = figures.draw(name, found)
        apart(result.figure)
        legible(name, result.figure)
        places = [axes.get_position() for axes in result.figure.axes]
        assert (len({round(p.x0, 4) for p in places}), len({round(p.y0, 4) for p in places})) == (across, down)
        assert [(r["system"], r["caption"]) for r in result.rows] == [(s, c) for s in found for c in CAPTIONS]


def test_eight_systems_keep_their_names_apart_on_the_captions_of_the_paper():
    names = ("gan-int-cls-aviary-gan", "stackgan-v1-aviary-gan", "stackgan-aviary-gan", "attngan-aviary-gan", "mirrorgan-aviary-gan",
             "dmgan-aviary-gan", "dmmgan-aviary", "dfgan-aviary-gan")  # fmt: skip
    figure = figures.get_figure("dmgan-fig3")
    captions = next(option.default for option in figure.options if option.name == "captions")
    vocab = Vocabulary(AVIARY_VOCABULARY())
    assert len(captions) == 8 and all(index is not None for caption in captions for _, index in vocab.known(caption))
    result = figures.draw(figure, systems(*names, captions=captions[:2]))
    apart(result.figure)
    legible(figure.name, result.figure)
    written = "".join(text for text, _ in boxes(result.figure))
    assert "…" not in written and "".join(names).count("stackgan") == written.count("stackgan") == 2
    tiles = [axes.get_position() for axes in result.figure.axes]
    assert len(tiles) == 16 and min(p.width for p in tiles) * result.figure.get_size_inches()[0] >= 0.8 - 1e-6


def test_a_comparison_needs_two_systems():
    for name in ("dmgan-fig3", "dmgan-fig6a"):
        with pytest.raises(FigureError, match="name 2 or more, each with --model; found 1"):
            figures.draw(name, systems("one"))
    assert figures.draw("dmgan-fig1", systems("one")).rows


def test_favoured_words_are_ranked_by_the_mean_of_their_maps():
    found = systems("attngan", "dmgan")
    result = figures.draw("dmgan-fig6a", found, top=3)
    apart(result.figure)
    assert [(r["system"], r["stage"]) for r in result.rows[::3]] == [("attngan", 1), ("attngan", 2), ("dmgan", 1), ("dmgan", 2)]
    assert {r["quantity"] for r in result.rows if r["system"] == "attngan"} == {"word_attention"}
    first = [r for r in result.rows if r["system"] == "dmgan" and r["stage"] == 2]
    top = statistics.top_words(found["dmgan"][0], 2, "addressing", 3)
    assert [(r["word"], r["mean"], r["rank"]) for r in first] == [(c.word, c.value, c.rank) for c in top]
    others = {"dfgan": [without_words()]}
    with pytest.raises(FigureError, match="dfgan reads no single words: name two that do"):
        figures.draw("dmgan-fig6a", systems("dmgan") | others)
    three = figures.draw("dmgan-fig6a", found | others, top=3)
    apart(three.figure)
    legible("dmgan-fig6a", three.figure)
    assert three.rows == result.rows and "Read no single words: dfgan" in [text for text, _ in boxes(three.figure)]


def without_words():
    trace = make_trace()
    for stage in trace.stages:
        stage.addressing = None
    return trace


def test_stop_words_are_marked_skipped_or_kept():
    trace = make_trace()
    everything = [c.word for c in ranked(trace, 1, "addressing", 9, "keep")]
    claims = ranked(trace, 1, "addressing", 9, "skip")
    assert sorted(everything) == sorted(["a", "small", "bird", "with", "a", "yellow", "crown"])
    assert [c.word for c in claims] == [w for w in everything if w in ("small", "yellow", "crown")] and [c.rank for c in claims] == [
        1,
        2,
        3,
    ]
    said = {option: [t for t, _ in boxes(figures.draw("dmgan-fig6a", systems("x", "y"), stop_words=option).figure)] for option in
            ("mark", "keep", "skip")}  # fmt: skip
    marked = [text for text, _ in boxes(figures.draw("dmgan-fig6b", [trace], top=7).figure)]
    assert "(a)" in marked and "yellow" in marked and "(grey, in brackets): words without a claim" in marked
    claims = {row["word"] for row in figures.draw("dmgan-fig6b", [trace], top=7, stop_words="skip").rows}
    assert claims == {"small", "yellow", "crown"}
    assert "(a)" in said["mark"] and "(a)" not in said["keep"] and "a" in said["keep"] and not {"a", "(a)"} & set(said["skip"])


def test_each_model_of_a_session_is_a_system():
    session = Session(["one", "two"], load=lambda name: CountingPipeline())
    found = gather.gather(figures.get_figure("dmgan-fig1"), {"captions": CAPTIONS, "seed": 1}, session)
    assert list(found) == ["one", "two"] and [t.captions[0] for t in found["two"]] == list(CAPTIONS)


# --- redescriptions ---------------------------------------------------------------------------------------------------------


def test_redescriptions_count_what_agrees():
    result = figures.draw("mirrorgan-redescriptions", [make_trace()])
    apart(result.figure)
    last = result.rows[-1]
    assert last["redescription"] == "this little bird has a yellow crown and red wings"
    assert (last["words_with_a_claim"], last["of_these_in_the_caption"]) == (5, 3)  # little = small, yellow, crown; not red, wings
    assert len(result.figure.lines) + len(result.figure.artists) >= 6  # underlined words of two stages


# --- between two sentences -----------------------------------------------------------------------------------------------------


def test_interpolation_starts_and_ends_at_the_two_sentences():
    pipe, figure = toy_pipeline(), figures.get_figure("dfgan-interpolation")
    values = {"first": "a small red bird", "last": "a small blue bird", "steps": 3, "seed": 5, "seeds": 2}
    rows = gather.gather(figure, values, Session("toy", load=lambda name: pipe))
    assert [[t.seeds[0] for t in row] for row in rows] == [[5] * 3, [6] * 3]
    assert torch.equal(rows[0][0].images[-1], pipe("a small red bird", seed=5).images[-1])
    with torch.no_grad():
        features, _, mask, _ = pipe.encode(["a small red bird"])
        end = pipe.generator(pipe.encode(["a small blue bird"])[1], features, mask, *pipe.noise([6]))
    assert torch.equal(rows[1][2].images[-1], end.images[-1])
    result = figures.draw(figure, rows, **values)
    apart(result.figure)
    legible(figure.name, result.figure)
    assert [r["share_of_last"] for r in result.rows] == [0, 0.5, 1] * 2 and all(r["words_of_first_read"] for r in result.rows)


# --- curves --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path):
    log = [{"step": s, "seconds": 1.0, "generator": 3.0 - s / 100, "kl": 0.1} for s in (10, 20, 30, 40)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    scores = [{"step": 10, "score": 0.2}, {"step": 20, "score": 0.6}, {"step": 30, "score": 0.6}, {"step": 40, "score": 0.5}]
    (tmp_path / "evaluations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in scores))
    return tmp_path


def test_curves_mark_the_best_step(run):
    figure = figures.get_figure("training-curves")
    logs = gather.gather(figure, {}, runs=[str(run)])
    assert best_step(logs[str(run)]) == (20, 0.6)
    result = figures.draw(figure, {"run": logs[str(run)]}, smooth=2)
    apart(result.figure)
    legible(figure.name, result.figure)
    assert [(r["step"], round(r["value"], 6)) for r in result.rows if r["quantity"] == "generator"] == [(20, 2.85), (40, 2.65)]
    assert [r["value"] for r in result.rows if r["quantity"] == "score"] == [0.2, 0.6, 0.6, 0.5] and {
        r["best_step"] for r in result.rows
    } == {20}
    assert any("best step 20 (vertical line), score 0.600" in text for text, _ in boxes(result.figure))
    assert {r["quantity"] for r in figures.draw(figure, logs, quantities="kl").rows} == {"kl"}
    with pytest.raises(FigureError, match="expected some of generator, kl, score; found 'loss'"):
        figures.draw(figure, logs, quantities="loss")


def test_a_run_without_evaluations_has_no_best_step(run):
    (run / "evaluations.jsonl").unlink()
    assert best_step(read_log(run)) is None
    result = figures.draw("training-curves", {"run": read_log(run)})
    assert any("no best step" in text for text, _ in boxes(result.figure))


def test_logs_that_cannot_be_read_are_named(run, tmp_path):
    with (run / "log.jsonl").open("a") as file:
        file.write("half a row\n")
    with pytest.raises(RunError, match="log.jsonl, line 5"):
        read_log(run)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="expected log.jsonl"):
        read_log(tmp_path / "empty")


# --- word classes ----------------------------------------------------------------------------------------------------------------


def test_entropy_and_lift_of_known_maps():
    even, one = np.full((10, 10), 0.2, np.float32), np.zeros((10, 10), np.float32)
    one[3, 4] = 0.7
    assert spread(even) == pytest.approx(1) and lift(even) == pytest.approx(1)
    assert spread(one) == pytest.approx(0) and lift(one) == pytest.approx(100 / 5)
    half = even.copy()
    half[:5] = 0
    assert spread(half) == pytest.approx(np.log(50) / np.log(100)) and lift(half) == pytest.approx(2)


def test_word_classes_have_a_row_for_each_word_and_stage():
    result = figures.draw("word-classes", [make_trace()])
    apart(result.figure)
    assert len(result.rows) == 2 * 7
    assert {r["word"]: r["class"] for r in result.rows}["yellow"] == "colour"
    assert [r["writing_gate"] for r in result.rows[:7]] == pytest.approx([0.3, 0.5, 0.7, 0.1, 0.3, 0.8, 0.6])
    assert {r["writing_gate"] for r in measured(attending(make_trace()))} == {""}
    apart(figures.draw("word-classes", [attending(make_trace())]).figure)
    with pytest.raises(FigureError, match="reads no single words"):
        figures.draw("word-classes", [without_words()])
