"""The memory being learned: what is read of a run directory, the figure, the command, the page; from traces made by hand."""

from __future__ import annotations

import base64
import csv
import dataclasses
import math
from types import SimpleNamespace

import gradio as gr
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from dmm.trace import Trace, TraceError
from explorer import figures, learning_html, run_section, statistics, ui
from explorer.api import Endpoints
from explorer.cli import app
from explorer.figures import FigureError
from explorer.figures.export import FORMATS, export
from explorer.figures.registry import PRINTED
from explorer.figures.runs import Run, RunError, evenly
from explorer.questions import Refusal
from explorer.session import Session
from tests.explorer.handmade import both, chosen, make_trace, write_log, write_run
from tests.explorer.test_figures import apart, boxes, legible
from tests.explorer.toy import toy_pipeline


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """Five steps of two captions; the refinements are trained after step 10."""
    return Run(write_run(tmp_path_factory.mktemp("runs") / "my-gan", begins=10))


def weighted(*weights: float) -> Trace:
    """The hand-made trace with the same weights of the seven words at every place."""
    trace = make_trace()
    for stage in trace.stages[1:]:
        stage.addressing[:, 1:-1] = torch.tensor(weights)[None, :, None, None]
    return trace


# --- numbers -------------------------------------------------------------------------------------------------------------


def test_evenness_is_one_for_even_reading_and_zero_for_one_word():
    assert statistics.evenness(chosen(0.0), 1) == pytest.approx(1, abs=1e-6)
    assert statistics.evenness(chosen(1.0), 2) == pytest.approx(0, abs=1e-6)
    assert statistics.evenness(weighted(0.5, 0.5, 0, 0, 0, 0, 0), 1) == pytest.approx(math.log(2) / math.log(7))


def test_evenness_is_the_mean_over_the_places():
    trace = chosen(0.0)
    trace.stages[1].addressing[:, :, :16] = chosen(1.0).stages[1].addressing[:, :, :16]  # a quarter of the places reads one word
    assert statistics.evenness(trace, 1) == pytest.approx(0.75, abs=1e-6)


def test_evenness_is_taken_among_the_words_alone():
    trace = chosen(0.0)
    trace.stages[1].addressing *= 0.5
    trace.stages[1].addressing[:, -1] = 0.5  # the end token takes half
    assert statistics.evenness(trace, 1) == pytest.approx(1, abs=1e-6)


def test_one_word_leaves_nothing_to_choose():
    trace = make_trace()
    trace.mask = torch.ones_like(trace.mask)
    trace.mask[0, 3] = False
    assert math.isnan(statistics.evenness(trace, 1))


def test_the_word_whose_map_differs_most_between_places():
    trace = make_trace()
    assert statistics.most_placed(trace, 1) == 2  # "small" and "yellow" differ alike; the earlier
    trace.stages[1].addressing[:, 2] = 1 / 7
    assert statistics.most_placed(trace, 1) == 6
    trace.stages[1].addressing[:, 3, 0] = 9.0  # "bird" claims nothing
    assert statistics.most_placed(trace, 1) == 6
    with pytest.raises(statistics.MissingQuantity):
        statistics.most_placed(trace, 0)


def test_numbers_of_a_trace():
    first, second, _ = statistics.numbers(make_trace())
    assert (first.evenness, first.gates, first.shares) == (None, {}, {})
    assert first.peak is None and second.peak == pytest.approx(0.7)
    assert second.gates == pytest.approx({1: 0.3, 2: 0.5, 3: 0.7, 4: 0.1, 5: 0.3, 6: 0.8, 7: 0.6})
    assert second.shares == pytest.approx({"image": 0.25, "words": 0.3, "global": 0.45})


# --- the run directory ------------------------------------------------------------------------------------------------------


def test_a_run_is_read_step_by_step(run):
    assert run.name == "my-gan" and run.steps == (10, 20, 30, 40, 50) and run.begins == 10
    assert run.captions == ("a small bird with a yellow crown", "a small bird with a yellow crown, again")
    course = run.course(1)
    assert len(course) == 5 and course[0].captions == [run.captions[0]] and course[0].stages[1].addressing.shape[0] == 1
    assert [at[1].evenness for at in course.numbers][::4] == pytest.approx([1, 0], abs=1e-6)
    assert run.course(2)[4].seeds == [1]
    assert [trace.stages[0].size for trace in course[:2]] == [64, 64] and course[::2].steps == (10, 30, 50)
    assert [run.trained(step, stage) for step, stage in ((10, 0), (10, 1), (20, 2))] == [True, False, True]


def test_few_traces_stay_in_memory(run):
    for caption in (1, 2):
        for trace in run.course(caption):
            assert trace.stages[2].image.untyped_storage().nbytes() == 4 * 3 * 256**2  # one caption, not the batch it came in
    assert len(run._traces) <= 8


def test_new_traces_are_seen_and_other_files_are_not(tmp_path):
    run = Run(write_run(tmp_path / "run", steps=(5, 10)))
    (run.directory / "traces" / "notes.npz").write_text("mine")
    chosen(0.5).save(run.directory / "traces" / "0000015.npz")
    assert run.steps == (5, 10, 15)
    with pytest.raises(RunError, match="mixes two runs"):
        run.trace(15, 0)


@pytest.mark.parametrize(("count", "said"), [(0, "no trace of training"), (1, "one trace of training")])
def test_too_few_traces_say_which_setting_writes_them(tmp_path, count, said):
    (tmp_path / "traces").mkdir()
    for step in range(count):
        make_trace().save(tmp_path / "traces" / f"{step:07d}.npz")
    assert not Run.there(tmp_path)
    with pytest.raises(RunError, match=rf"{said}.*--set trace_every=100"):
        Run(tmp_path)


def test_what_cannot_be_read_is_named(tmp_path, run):
    with pytest.raises(RunError, match="no such run directory"):
        Run(tmp_path / "nowhere")
    with pytest.raises(RunError, match="this run traced 2, counted from 1; found 3"):
        run.course(3)
    broken = Run(write_run(tmp_path / "broken"))
    (broken.directory / "traces" / "0000030.npz").write_bytes(b"PK")
    with pytest.raises(TraceError, match="0000030.npz"):
        list(broken.course())
    (broken.directory / "config.json").write_text("{}")
    with pytest.raises(RunError, match="config.json: expected the configuration of a run"):
        Run(broken.directory)


def test_steps_are_chosen_evenly():
    assert evenly(3, 6) == [0, 1, 2]
    assert evenly(11, 6) == [0, 2, 4, 6, 8, 10]
    assert evenly(100, 2) == [0, 99]


# --- the figure -----------------------------------------------------------------------------------------------------------


def test_the_figure_is_drawn_in_every_format_twice_the_same(run, tmp_path):
    first = export(figures.draw("memory-learning", run.course()), tmp_path / "one", "m", FORMATS)
    second = export(figures.draw("memory-learning", run.course()), tmp_path / "two", "m", FORMATS)
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes() and one.stat().st_size > 2000
    shown = Image.open(tmp_path / "one" / "m.png").convert("RGB")
    assert shown.width == int(300 * PRINTED["page"]) and len(shown.resize((200, 200)).getcolors(40_000)) > 500


@pytest.mark.parametrize("columns", [2, 5, 8])
def test_texts_do_not_overlap(run, columns):
    drawing = figures.draw("memory-learning", run.course(), columns=columns).figure
    apart(drawing)
    legible("memory-learning", drawing)


def test_texts_do_not_overlap_where_steps_lie_close_together(tmp_path):
    uneven = Run(write_run(tmp_path / "run", steps=(9_900, 10_500, 13_600, 13_850, 14_150, 14_700)))
    drawing = figures.draw("memory-learning", uneven.course(), columns=6).figure
    apart(drawing)
    labels = [[label.get_text() for label in axes.get_xticklabels()] for axes in drawing.axes]
    assert ["9,900", "10,500", "13,600", "", "14,150", "14,700"] in labels


def test_rows_are_the_numbers_of_every_step(run):
    rows = figures.draw("memory-learning", run.course(), columns=5).rows
    told = rows[-5:]
    assert [(r["step"], r["quantity"], r["trained"]) for r in told] == [(step, "redescription", True) for step in (10, 20, 30, 40, 50)]
    assert [r["of"] for r in told] == ["a bird", *["this little bird has a yellow crown and red wings"] * 4]
    assert told[0]["value"] is None and [r["value"] for r in told[1:]] == pytest.approx([0.6] * 4)  # 3 of 5 claims agree
    rows = rows[:-5]
    assert len(rows) == 5 * 2 * (1 + 3 + 7)
    even = [r["value"] for r in rows if r["quantity"] == "evenness" and r["size_px"] == 256]
    assert even[0] == pytest.approx(1, abs=1e-6) and even[-1] == pytest.approx(0, abs=1e-6) and even == sorted(even, reverse=True)
    assert {r["trained"] for r in rows if r["step"] == 10} == {False} and all(r["trained"] for r in rows if r["step"] > 10)
    assert [r["value"] for r in rows if r["of"] == "yellow" and r["step"] == 30] == pytest.approx([0.8, 0.8])


def test_what_is_not_trained_yet_is_said_and_not_drawn(run):
    said = [text for text, _ in boxes(figures.draw("memory-learning", run.course()).figure)]
    assert said.count("not trained") == 2 and "10" not in said and "step 10" in said
    assert said.count("1 of 1 agree") == 0 and "no claim" in said  # STREAM says "a bird" of the first stage
    assert said.count("3 of 5 agree") == 4


def test_the_word_can_be_chosen(run):
    said = [text for text, _ in boxes(figures.draw("memory-learning", run.course(), word=" Crown ").figure)]
    assert any("“crown”" in text for text in said)
    with pytest.raises(FigureError, match="expected one of a, small, bird, with, yellow, crown; found 'beak'"):
        figures.draw("memory-learning", run.course(), word="beak")


def lacking(directory, *fields, **others) -> Run:
    """The traces of a system that lacks fields of every stage, or has others."""
    (directory / "traces").mkdir()
    for step in (1, 2, 3):
        trace = both(make_trace(), make_trace(seed=1))
        has = [{name: getattr(stage, source) for name, source in others.items()} for stage in trace.stages]
        stages = [dataclasses.replace(s, **(dict.fromkeys(fields) | h)) for s, h in zip(trace.stages, has, strict=True)]
        dataclasses.replace(trace, stages=stages).save(directory / "traces" / f"{step}.npz")
    return Run(directory)


def test_a_system_that_attends_is_shown_without_what_it_lacks(tmp_path):
    run = lacking(tmp_path, "addressing", "writing_gate", "response_gate", "redescription", word_attention="addressing")
    drawing = figures.draw("memory-learning", run.course()).figure
    said = " ".join(text for text, _ in boxes(drawing))
    assert "word attention" in said and "Writing gate" not in said and "Who answers" not in said and "STREAM" not in said
    apart(drawing)


def test_a_system_that_reads_no_words_is_refused(tmp_path):
    with pytest.raises(FigureError, match="no stage of this system reads single words"):
        figures.draw("memory-learning", lacking(tmp_path, "addressing").course())


def test_a_figure_takes_what_it_shows(run):
    with pytest.raises(FigureError, match="expected the course of a training run"):
        figures.draw("memory-learning", [make_trace()])
    with pytest.raises(FigureError, match="expected generated captions"):
        figures.draw("dmgan-fig6b", run.course())
    with pytest.raises(FigureError, match="shows the course of a training run"):
        figures.requests(figures.get_figure("memory-learning"), {})


# --- the command ----------------------------------------------------------------------------------------------------------


def explorer(*arguments):
    return CliRunner().invoke(app, ["figures", "memory-learning", *(str(a) for a in arguments)])


def test_the_command_writes_what_was_asked(run, tmp_path):
    answer = explorer("--run", run.directory, "--out", tmp_path, "--format", "png,pdf,csv", "--caption", 2, "--columns", 3)
    assert answer.exit_code == 0, answer.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["manifest.json", *(f"memory-learning.{kind}" for kind in ("csv", "pdf", "png"))]
    rows = list(csv.DictReader((tmp_path / "memory-learning.csv").open()))
    assert rows[0]["caption"] == run.captions[1] and rows[0]["seed"] == "1"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--run"),
        (("--run", "nowhere"), "no such run directory"),
        (("--run", "."), "trace_every"),
        (("--columns", 9, "--run", "."), "8"),
    ],
)
def test_mistakes_end_with_code_2_and_a_reason(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = explorer(*arguments)
    assert answer.exit_code == 2 and said in answer.output
    assert not list(tmp_path.iterdir())


# --- the page -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def session(run) -> Session:
    return Session(["plain", run.directory], load=lambda name: toy_pipeline())


SECTIONS = ["Read back a picture of your own", "Blind vote", "Take away"]


def test_the_section_is_there_for_models_with_traces_only(session):
    assert run_section.learned(session) == ["my-gan"]

    def labels(app) -> list[str]:
        return [block.label for block in app.blocks.values() if type(block).__name__ == "Accordion"]

    assert labels(ui.build(session)) == ["Memory being learned: my-gan", *SECTIONS]
    assert labels(ui.build(Session("plain", load=lambda name: toy_pipeline()))) == SECTIONS


def test_a_step_of_a_run_is_shown_as_a_page(session, run):
    curves, generated = run_section.remember(session, "my-gan", run, 1, 29)
    assert "my-gan at step 30 of its training" in generated and generated.count('class="ex-chip"') == 2 * 7
    assert curves.count("<polyline") == 2 + 3 + 3 and curves.count('class="ex-cells"') == 2
    assert 'x1="150.0" x2="150.0"' in curves  # the cursor, in the middle of 10 to 50
    assert "for 128 <b>.75</b>" in curves  # one word read half of the time, all seven alike the other half
    assert generated.count('data-top="1"') == 2  # the colours reach up to the last step's certainty
    assert "the first stage alone so far" in run_section.remember(session, "my-gan", run, 1, 10)[1]


def test_curves_start_and_end_at_known_places(session, run):
    curves, _ = run_section.remember(session, "my-gan", run, 1, 50)
    assert 'points="0.0,0.0 ' in curves and ' 300.0,96.0"' in curves  # evenness from 1 at the first step to 0 at the last
    assert '<rect class="ex-shade" width="0.0"' in curves  # the first trace is the last before the refinements


def test_a_damaged_trace_is_a_refusal(session, tmp_path):
    broken = Run(write_run(tmp_path / "my-gan"))
    (broken.directory / "traces" / "0000050.npz").write_bytes(b"PK")
    with pytest.raises(Refusal, match="0000050.npz"):
        run_section.remember(session, "my-gan", broken, 1, 50)


def test_a_section_answers_when_it_is_opened(session, run):
    with gr.Blocks():
        section = run_section.RunSection(session, "my-gan")
    assert "started anew" in section.answer(1, 20)[1]
    captions, slider, curves, message, generated = section.open(asking())
    assert [number for _, number in captions.choices] == [1, 2] and captions.value == 1
    assert (slider.minimum, slider.maximum, slider.value, slider.step) == (10, 50, 50, 10)
    assert message == "" and "step 50" in generated and "<polyline" in curves and "Generated at step 50" in curves


def test_a_run_is_played_step_by_step_to_its_end(session, run):
    with gr.Blocks():
        section = run_section.RunSection(session, "my-gan")
    assert section.turn(run_section.PLAY, 50)[0] == run_section.PLAY  # not opened yet
    section.open(asking())
    said, clock, step = section.turn(run_section.PLAY, 50)
    assert (said, clock.active, step) == (run_section.PAUSE, True, 10)
    for expected in (20, 30, 40, 50):
        slider, *_, generated = section.onward(1, step)
        step = slider.value
        assert slider.maximum == 50 and step == expected and f'data-step="{step}"' in generated
    _, said, clock, *_ = section.onward(1, step)
    assert said == run_section.PLAY and not clock.active
    said, clock, _ = section.turn(run_section.PAUSE, 20)
    assert said == run_section.PLAY and not clock.active


def test_the_step_is_marked_on_the_losses_of_a_run_that_goes_on(session, run, tmp_path):
    live = Run(write_log(write_run(tmp_path / "my-gan")))
    curves = run_section.remember(session, "my-gan", live, 1, 30)[0]
    losses = curves[curves.index('class="ex-losses"') :]
    assert [title.partition(" <")[0] for title in losses.split("<h3>")[2:]] == ["generator", "feature limit", "score"]
    place = (30 - 2) / (60 - 2) * 300
    assert losses.count(f'class="ex-cursor" x1="{place:.1f}"') == 3
    assert losses.count(f'class="ex-best" x1="{(40 - 2) / (60 - 2) * 300:.1f}"') == 3
    assert 'aria-label="generator, at step 30: 25"' in losses and 'aria-label="score, at step 30: .2"' in losses
    assert 'points="0.0,0.0 ' in losses and ' 300.0,96.0"' in losses  # the loss falls from the first step to the last
    with (live.directory / "log.jsonl").open("a") as file:
        file.write('{"step": 62, "gener')  # it is being written
    assert run_section.remember(session, "my-gan", live, 1, 30)[0] == curves


def test_a_long_log_is_averaged_and_numbers_that_are_none_are_passed_over():
    rows = [{"step": s, "loss": math.inf if s == 7 else 1.0} for s in range(1, 3001)]
    losses = learning_html.losses(rows, 7, 0)
    points = losses[losses.index('points="') + 8 :].partition('"')[0].split()
    assert len(points) == 299 and len(learning_html.losses(rows[:100], 7, 0)) < len(losses)
    assert 'aria-label="loss, at step 7: –"' in learning_html.losses(rows[:100], 7, 0)


def test_a_run_without_a_log_says_so_in_one_line(session, run):
    from explorer.notebook import Explorer

    said = "No curves of losses and scores. "
    assert said in run_section.remember(session, "my-gan", run, 1, 50)[0] and said in Explorer(session).learning("my-gan").html
    answer = Endpoints(session).learning("my-gan")
    assert (answer["curves"], answer["best_step"]) == ({}, None) and "expected log.jsonl" in answer["no_curves"]


def test_the_samples_of_a_step_are_those_written_last(session, tmp_path):
    from PIL import Image

    run = Run(write_run(tmp_path / "my-gan"))
    assert run.sheet(50) is None and "Sample pictures" not in run_section.remember(session, "my-gan", run, 1, 50)[0]
    (run.directory / "samples").mkdir()
    for step in (20, 40):
        Image.new("RGB", (step, 9)).save(run.directory / "samples" / f"{step:07d}.png")
    assert run.sheet(10) is None and run.sheet(39)[0] == 20 and run.sheet(50)[1].size == (40, 9)
    assert "Sample pictures at step 20" in run_section.remember(session, "my-gan", run, 1, 30)[0]
    (run.directory / "samples" / "0000040.png").write_bytes(b"no picture")
    with pytest.raises(Refusal, match="0000040.png: expected a picture"):
        run_section.remember(session, "my-gan", run, 1, 50)


def asking(**query: str) -> SimpleNamespace:
    """A request with this in its address bar."""
    return SimpleNamespace(query_params=query)


def test_a_section_opens_at_the_step_that_a_link_names(session, run):
    with gr.Blocks():
        section = run_section.RunSection(session, "my-gan")
    link = {"caption": run.captions[1], "seed": "1", "step": "20"}
    captions, slider, _, message, generated = section.open(asking(model="my-gan", **link))
    assert (captions.value, slider.value, message) == (2, 20, "") and 'data-seed="1" data-model="my-gan" data-step="20"' in generated
    captions, slider, *_ = section.open(asking(model="plain", **link))
    assert (captions.value, slider.value) == (1, 50)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"seed": "7"}, "traced no caption"), ({"step": "soon"}, "whole number; found"), ({"seed": "-1"}, "A seed is a whole number")],
)
def test_a_link_to_what_a_run_does_not_have_says_so(session, run, change, said):
    with gr.Blocks():
        section = run_section.RunSection(session, "my-gan")
    link = {"model": "my-gan", "caption": run.captions[1], "seed": "1", "step": "20"}
    assert said in section.open(asking(**(link | change)))[3]


def test_the_picture_of_a_step_is_the_largest_that_was_trained(session, run):
    assert 'class="ex-now"' in (first := run_section.remember(session, "my-gan", run, 1, 10)[0]) and "64 × 64" in first
    assert "256 × 256" in run_section.remember(session, "my-gan", run, 1, 20)[0]


def test_a_system_without_words_shows_its_pictures_only(tmp_path):
    run = lacking(tmp_path, "addressing", "writing_gate", "response_gate")
    course = run.course()
    assert "reads single words" in learning_html.learning(course[0], course.steps, course.numbers, 1, 0)


# --- the same by an endpoint and in a notebook ----------------------------------------------------------------------------------


def test_the_endpoint_says_what_a_run_learned(session, run):
    said = Endpoints(session).learning("my-gan", 2, 29)
    assert said["steps"] == [10, 20, 30, 40, 50] and said["step"] == 30 and set(said["pictures"]) == {"64", "128", "256"}
    assert said["captions"] == [{"caption": c, "seed": s} for c, s in zip(run.captions, run.seeds, strict=True)]
    assert {row["caption"] for row in said["numbers"]} == {run.captions[1]} and {row["step"] for row in said["numbers"]} == set(
        said["steps"]
    )
    assert Endpoints(session).learning("my-gan")["step"] == 50


@pytest.mark.parametrize(
    ("asked", "said"), [({"model": "plain"}, "no such run"), ({"model": "my-gan", "caption": 9}, "counted from 1; found 9")]
)
def test_what_was_not_learned_is_refused(session, asked, said):
    with pytest.raises(Refusal, match=said):
        Endpoints(session).learning(**asked)


def test_the_figure_of_a_run_is_taken_away(session, run):
    file = Endpoints(session).export(run.captions[1], "csv", run.seeds[1], "my-gan", panel="learning")
    rows = list(csv.DictReader(base64.b64decode(file["base64"]).decode().splitlines()))
    assert file["name"] == "my-gan-1-learning.csv" and {row["caption"] for row in rows} == {run.captions[1]}
    with pytest.raises(Refusal, match="traced no caption"):
        Endpoints(session).export("a red bird", "csv", 1, "my-gan", panel="learning")


def test_losses_and_scores_by_the_endpoint_and_in_a_notebook(tmp_path):
    from explorer.notebook import Explorer

    session = Session([write_log(write_run(tmp_path / "my-gan"))], load=lambda name: toy_pipeline())
    said = Endpoints(session).learning()
    assert said["curves"]["score"] == {"steps": [20, 40, 60], "values": [0.2, 0.6, 0.5]} and said["best_step"] == 40
    assert said["curves"]["generator"]["values"][-1] == 10 and said["no_curves"] == ""
    assert Explorer(session).learning().html.count("<img") == 2


def test_what_was_learned_in_a_notebook(session, run):
    from explorer.notebook import Explorer

    shown = Explorer(session).learning("my-gan")
    assert shown.html.startswith('<img src="data:image/png') and {row["step"] for row in shown.rows} == {10, 20, 30, 40, 50}


def test_a_grid_shows_every_caption_at_even_steps(run):
    result = figures.draw("dmmgan-grid", run.course(), columns=3)
    apart(result.figure)
    legible("dmmgan-grid", result.figure)
    assert [row["step"] for row in result.rows] == [10, 30, 50] * 2 and len(result.figure.axes) == 6
    assert [row["size_px"] for row in result.rows] == [64, 256, 256] * 2  # the refinements are trained after step 10
    assert [row["caption"] for row in result.rows[::3]] == list(run.captions)
