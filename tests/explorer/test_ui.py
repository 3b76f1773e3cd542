"""The page as text: what is escaped, what is refused, what is said of a system that lacks a quantity."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import socket

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from dmm.data.vocab import Vocabulary
from explorer import launch, overlay, page_answers, page_html, ui
from explorer.api import Endpoints
from explorer.ballots import sentences
from explorer.questions import Question, Refusal
from explorer.session import Session
from explorer.statistics import Spoken, word_indices, word_map
from tests.explorer.handmade import make_trace
from tests.explorer.toy import CAPTION, toy_pipeline
from tests.walk import Walk


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(["toy", "dm"], load=lambda name: toy_pipeline(global_memory=name == "toy"))


def render(trace, caption="a small bird with a yellow crown") -> str:
    return page_html.render(trace, [Spoken(word, True) for word in caption.split()], "toy", 12)


def without(trace, *fields):
    trace.stages = [dataclasses.replace(stage, **dict.fromkeys(fields)) for stage in trace.stages]
    return trace


def decode(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))


def test_the_page_of_a_caption(session):
    html = page_answers.generate(session, CAPTION, 3, None)
    assert re.findall(r'<section class="ex-stage" data-stage="(\d)"', html) == ["0", "1", "2"]
    assert html.count('class="ex-chip"') == 2 * len(CAPTION.split())
    assert html.count('class="ex-path"') == 2 * 3
    assert "softmax over channels, not over places" in html
    assert "Eq. 7: its image term is equal for all words" in html
    assert "1/T = .12" in html
    assert "No captioner (STREAM)" in html


def test_the_same_caption_and_seed_give_the_same_page(session):
    first = page_answers.generate(session, CAPTION, 3, None)
    session.clear()
    assert page_answers.generate(session, CAPTION, 3, None) == first
    assert page_answers.generate(session, CAPTION, 4, None) != first


def test_a_page_is_small(session):
    assert len(page_answers.generate(session, CAPTION, 3, None)) < 800_000


def test_unknown_words_are_struck_through_with_a_note(session):
    html = page_answers.generate(session, "a small zorp bird, Zorp & co \N{BIRD}", 3, None)
    assert html.count('<s class="ex-unknown"') == 4 * 3  # said above and in both rows
    assert "“zorp”, “co”, “\N{BIRD}” are not among the 13 words that toy knows; they were left out." in html
    assert html.count('class="ex-chip"') == 2 * 3


@pytest.mark.parametrize(
    ("caption", "said"),
    [("", "empty"), ("  ", "empty"), (None, "empty"), ("zorp glub", "vocabulary"), ("bird " * 70, "60"), ("b" * 700, "700 characters")],
)
def test_captions_that_cannot_be_generated_are_refused_kindly(session, caption, said):
    with pytest.raises(Refusal, match=said):
        page_answers.generate(session, caption, 3, None)


@pytest.mark.parametrize("seed", ["abc", -1, 2**31, float("nan"), float("inf"), "1e3"])
def test_a_seed_that_is_none_is_refused(session, seed):
    with pytest.raises(Refusal, match="whole number"):
        page_answers.generate(session, CAPTION, seed, None)


def test_an_unknown_model_is_refused(session):
    with pytest.raises(Refusal, match="toy, dm"):
        page_answers.generate(session, CAPTION, 3, "../secret")


def test_typed_text_is_escaped_for_html_and_for_templates(session):
    caption = 'a bird <img src=x onerror="alert(1)"> ${alert(2)} {{#each}} `'
    html = page_answers.generate(session, caption, 3, None)
    for raw in ("<img src=x", "${", "{{", "`", 'onerror="'):
        assert raw not in html
    assert page_html.text("<&\"'${}`") == "&lt;&amp;&quot;&#x27;&#36;&#123;&#125;&#96;"
    assert "<b>" not in page_html.notice("<b>")


def test_the_strip_holds_each_words_map_in_the_colours_of_the_overlay():
    trace = make_trace()
    html = render(trace)
    strip = decode(re.search(r'class="ex-strip" hidden alt="" src="([^"]+)"', html).group(1)).convert("RGB")
    maps = [word_map(trace, 1, i) for i in word_indices(trace)]
    tops = [float(top) for top in re.search(r'data-own="([^"]+)"', html).group(1).split(",")]
    expected = overlay.heat(np.concatenate([values / top for values, top in zip(maps, tops, strict=True)]))
    assert strip.size == (64, 64 * 7)
    assert np.abs(np.asarray(strip).astype(int) - expected).max() <= 1
    assert all(top >= min(1.0, 2 / 7) - 1e-6 for top in tops)  # even reading never looks like much
    assert float(re.search(r'data-top="([^"]+)"', html).group(1)) == pytest.approx(max(tops))


def test_even_reading_lies_inside_the_range():
    trace = make_trace()
    trace.stages[1].addressing[:, 1:-1] = 1 / 7
    assert float(re.search(r'data-top="([^"]+)"', render(trace)).group(1)) == pytest.approx(2 / 7, abs=0.01)


def test_attributes_are_compared_one_by_one():
    html = render(make_trace())
    assert '<li data-verdict="agrees"><b aria-hidden="true">=</b> crown: yellow, read back yellow</li>' in html
    assert "wings: read back red, not in the caption" in html
    assert "3 attributes: 2 read back as said, 1 added" in html
    assert "claims agree" not in html


def test_the_words_of_the_caption_are_buttons_and_one_is_named_first():
    html = render(make_trace())
    words = re.findall(r'class="ex-word"[^>]*data-tile="(\d)" data-word="(\w+)"', html)
    assert words == [(str(k), word) for k, word in enumerate("a small bird with a yellow crown".split())]
    assert 'data-first="1" data-begin="1"' in html  # "small" and "yellow" differ most between the places, "small" is the earlier


def test_edits_are_shown_beside_the_original(session):
    edits = '[{"edit":"mute","word":"red"},{"edit":"drop_global"}]'
    html = page_answers.generate(session, CAPTION, 3, "toy", edits)
    assert html.count('class="ex-image"') == 3 and html.count("<figure>") == 3
    assert 'data-undo="0" aria-label="Take back: mute “red” in the memory only"' in html
    assert "<td>answered by global</td>" in html and "difference, mean ." in html
    assert page_html.text(edits) in html  # for the link
    assert "No edit is on" in page_answers.generate(session, CAPTION, 3, "toy")


def test_the_words_of_an_edited_caption_are_those_that_were_generated(session):
    html = page_answers.generate(session, CAPTION, 3, "toy", '[{"edit":"mute","word":"red","where":"caption"}]')
    assert 'class="ex-word" aria-pressed="false" tabindex="-1" data-tile="2" data-word="bird"' in html


def test_edits_that_do_not_fit_are_left_out_and_named(session):
    edits = '[{"edit":"mute","word":"zorp"},{"edit":"mute","word":"red"}]'
    asked, left = page_answers.fitting(session, CAPTION, 3, "toy", edits)
    assert [edit.word for edit in asked.edits] == ["red"]
    assert left == "Left out: mute “zorp” in the memory only ('zorp' is not among the known words of “" + CAPTION + "”)."
    asked, left = page_answers.fitting(session, CAPTION, 3, "dm", '[{"edit":"drop_global"}]')
    assert asked.edits == () and "no global memory" in left
    with pytest.raises(Refusal, match="expected JSON"):
        page_answers.fitting(session, CAPTION, 3, "toy", "{")


def test_a_seed_that_changes_nothing_is_said(session, monkeypatch):
    asked = Question.read(session, CAPTION, 5, "toy")
    session.clear()
    assert page_answers.same_bird(session, asked, 4) == ""  # seed 4 was never shown
    page_answers.generate(session, CAPTION, 4, "toy")
    monkeypatch.setattr(page_answers, "NEARLY_SAME", 1.0)
    assert "nearly the same picture" in page_answers.same_bird(session, asked, 4)
    monkeypatch.setattr(page_answers, "NEARLY_SAME", 0.0)
    assert (
        page_answers.same_bird(session, asked, 4)
        == page_answers.same_bird(session, asked, "x")
        == page_answers.same_bird(session, asked, 5)
        == ""
    )


def test_what_cannot_be_edited_is_said(session):
    html = page_answers.generate(session, CAPTION, 3, "dm")
    assert "this system has no global memory to drop" in html and 'data-edit="drop_global"' not in html
    assert 'data-edit="drop_global"' in page_answers.generate(session, CAPTION, 3, "toy")


def answer(session, **asked) -> str:
    """What is shown for a question about a picture of the toy model."""
    return page_answers.ask(Endpoints(session), json.dumps(asked), Question.read(session, CAPTION, 3, "toy"))


def test_models_and_noises_are_compared(session):
    html = answer(session, kind="compare", seeds="4", word="red")
    assert html.count("<figure>") == 4 * len(session.models) and "toy, seed 6" in html
    assert "where “red” is read: toy, seed 3" in html
    lone = page_answers.ask(Endpoints(with_words("grey cat")), '{"kind":"compare"}', Question("own", "grey cat", 3))
    assert lone.count("<figure>") == 1 and "several checkpoints" in lone


def test_a_walk_goes_to_another_caption_or_noise(session):
    html = answer(session, kind="walk", other="a small blue bird", seed="5")
    assert f"A walk from “{CAPTION}” to “a small blue bird”" in html and 'download="walk.gif"' in html
    assert "from one noise to another" in answer(session, kind="walk", seed="5")


def test_questions_that_cannot_be_answered_are_refused(session):
    about = Question.read(session, CAPTION, 3, "toy")
    for asked in ("", "[]", "{", '{"kind":"compare","seeds":"x"}', "[" * 10_000):
        with pytest.raises(Refusal, match="could not be read"):
            page_answers.ask(Endpoints(session), asked, about)
    with pytest.raises(Refusal, match="expected why, compare, walk or sentences"):
        answer(session, kind="vote")
    with pytest.raises(Refusal, match="whole number"):
        answer(session, kind="walk", seed="1.5")
    with pytest.raises(Refusal, match="vocabulary"):
        answer(session, kind="walk", other="zorp", seed="1")


def test_visitors_are_forgotten_in_time(session):
    app = ui.build(session)
    options = launch.launch_options() | {"server_port": None, "prevent_thread_lock": True, "quiet": True}
    app.launch(**options)
    try:
        for k in range(launch.SESSIONS + 5):
            app.app.state_holder[f"visitor {k}"]
        assert len(app.app.state_holder.session_data) <= launch.SESSIONS
    finally:
        app.close(verbose=False)


def test_what_a_system_lacks_is_said(session):
    assert "No global memory" in page_answers.generate(session, CAPTION, 3, "dm")
    assert "No response gate" in render(without(make_trace(), "response_gate"))
    ungated = render(without(make_trace(), "writing_gate"))
    assert "No writing gate" in ungated and 'class="ex-chip"' in ungated
    assert "No captioner" in render(without(make_trace(), "redescription"))
    blind = render(without(make_trace(), "addressing", "writing_gate", "response_gate"))
    assert "No stage of this system reads single words" in blind and "ex-chip" not in blind


def test_a_path_map_says_its_share():
    html = render(make_trace())
    assert 'aria-label="words, .30 of the answer on average"' in html


def test_the_app_stays_on_this_machine(session):
    options = launch.launch_options(port=0)
    assert options["server_name"] == "127.0.0.1" and options["share"] is False and options["allowed_paths"] == []
    assert "http" not in options["head"]
    css = (launch.STATIC / "page.css").read_text(encoding="utf-8")
    assert "http" not in css and "@import" not in css and "url(" not in css
    assert options["theme"]._stylesheets == [] and options["theme"]._font_css == []  # system fonts only


def test_the_queue_is_bounded_and_generating_takes_turns(session):
    app = ui.build(session)
    assert isinstance(app, gr.Blocks)
    assert app.analytics_enabled is False
    assert app._queue.max_size == ui.WAITING
    used = [fn for fn in app.fns.values() if fn.fn is not None and fn.queue and not fn.trigger_only_on_failure]
    assert used and all(fn.concurrency_limit == 1 and fn.concurrency_id == ui.QUEUE for fn in used)
    assert ui.WAITING >= 60  # a class


def with_words(words: str, **card) -> Session:
    """A session whose model knows only ``words``."""

    def load(name):
        pipe = toy_pipeline()
        pipe.vocab, pipe.card = Vocabulary((words.split() + [f"word{k}" for k in range(99)])[: len(pipe.vocab.words)]), card
        return pipe

    return Session("own", load=load)


def test_a_model_of_other_things_begins_with_its_own_captions():
    captions = ["grey cat on red chair", "zorp", "black cat asleep", "grey cat on red chair"]
    session = with_words("grey cat on red chair black asleep", captions=captions)
    assert sentences(session.pipeline(), ui.EXAMPLES) == ["grey cat on red chair", "black cat asleep"]
    shown = [block.value for block in ui.build(session).blocks.values() if isinstance(block, (gr.Textbox, gr.Button))]
    assert shown[0] == "grey cat on red chair" and "black cat asleep" in shown and not any("bird" in text for text in shown)


def test_a_model_without_captions_on_its_card_can_be_shown():
    assert sentences(with_words("grey cat asleep").pipeline(), ui.EXAMPLES) == ["grey cat asleep word0 word1"]
    ui.build(with_words("grey cat asleep"))


def test_a_model_that_knows_the_words_begins_with_birds():
    pipe = toy_pipeline()
    pipe.vocab, pipe.card = Vocabulary.build(ui.EXAMPLES), {"captions": ["a bird"]}
    assert sentences(pipe, ui.EXAMPLES) == list(ui.EXAMPLES)


def test_starting_says_where_and_nothing_else(session, capsys, monkeypatch):
    app = ui.build(session)
    monkeypatch.setattr(app, "block_thread", lambda: app.close(verbose=False))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch.serve(app, "127.0.0.1", port)
    assert capsys.readouterr().out == f"The explorer is at http://127.0.0.1:{port}/ (Ctrl+C stops it).\n"


def test_a_port_in_use_is_one_line(session):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ValueError, match=r"cannot listen on 127\.0\.0\.1, port \d+.*--port"):
            launch.serve(ui.build(session), *taken.getsockname())


def test_a_caption_is_one_way_to_the_network_and_one_way_back():
    session = Session(["toy"], load=lambda name: toy_pipeline())
    page_answers.generate(session, CAPTION, 0, None)  # what is loaded once is loaded
    walk = Walk(page_answers.generate, session, CAPTION, 1, None)
    assert walk.returns == []
    once = [f"explorer.{step}" for step in ("questions.read", "questions.trace", "session.trace", "page_html.render", "overview.render")]
    once += ["dmm.pipeline.forward", "dmm.models.text_encoder.forward", "dmm.models.multistage.forward"]
    assert {step: walk.entered[step] for step in once} == dict.fromkeys(once, 1)
