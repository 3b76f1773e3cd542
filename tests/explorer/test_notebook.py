"""The explorer from Python: one line a question; every answer has rows and shows itself."""

from __future__ import annotations

import pytest
import torch

import explorer
from dmm.trace import Trace
from explorer import notebook, statistics
from explorer.ballots import Contender
from explorer.edits import EditError, Mute
from explorer.session import Session
from tests.explorer.handmade import make_trace
from tests.explorer.toy import CAPTION, toy_pipeline, toy_system


@pytest.fixture(scope="module")
def ex() -> notebook.Explorer:
    return notebook.Explorer(Session(["toy", "dm"], load=lambda name: toy_pipeline(global_memory=name == "toy")))


@pytest.fixture
def handmade(monkeypatch) -> notebook.View:
    """A view of the trace with known numbers."""
    session = Session("toy", load=lambda name: toy_pipeline())
    view = notebook.Explorer(session)("a small bird with a yellow crown")
    view.trace = make_trace()
    return view


def test_open_needs_no_network_yet():
    ex = explorer.open(["dmmgan-aviary", "/somewhere/run"], capacity=4)
    assert ex.models == ("dmmgan-aviary", "run") and ex.session.capacity == 4
    assert repr(ex) == "Explorer(dmmgan-aviary, run)"


def test_a_view_shows_itself(ex):
    view = ex(CAPTION, seed=3)
    html = view._repr_html_()
    assert html.count("<img") == 3 and CAPTION in html and "seed 3" in html
    assert repr(view) == f"View('{CAPTION}', seed=3, model='toy', as generated)"
    assert view.trace is ex(CAPTION, seed=3).trace  # answered from the store


def test_unknown_words_are_said(ex):
    view = ex("a small zorp bird ZORP 🐦")
    assert view.unknown == ["zorp", "🐦"]
    assert "left out: zorp, 🐦" in view._repr_html_() and "left out: zorp" in repr(view)


def test_top_words(handmade):
    found = handmade.words(k=2)
    assert [(row["stage"], row["word"], row["writing gate"]) for row in found.rows] == [
        ("128 px", "yellow", pytest.approx(0.8)),
        ("128 px", "bird", pytest.approx(0.7)),
        ("256 px", "yellow", pytest.approx(0.8)),
        ("256 px", "bird", pytest.approx(0.7)),
    ]
    assert "yellow" in found._repr_html_() and "word yellow" in repr(found)
    by_region = handmade.words(k=1, by="addressing", region=(0.5, 0.5, 1, 1))
    assert [row["word"] for row in by_region.rows] == ["small", "small"]


def test_top_words_without_small_words(handmade):
    everything, claims = (handmade.words(k=9, stop_words=chosen).rows for chosen in (True, False))
    assert {row["word"] for row in everything} - {row["word"] for row in claims} == {"a", "bird", "with"}


def test_top_words_are_none_where_all_are_small(ex):
    view = ex("a bird")
    assert view.words(stop_words=False).rows == [] and {row["word"] for row in view.words().rows} == {"a", "bird"}
    assert "For 128 px, by writing gate" in view.words(stop_words=False).html


@pytest.mark.parametrize("stage", [3, 8, -4])
def test_a_stage_that_there_is_not_is_refused_alike(ex, stage):
    view = ex(CAPTION, seed=3)
    for ask in (view.show, view.similarity, view.region):
        first = {view.show: "red", view.similarity: "memory", view.region: (0, 0, 0.5, 0.5)}[ask]
        with pytest.raises(IndexError, match=rf"expected one of 0 \(64 px\), 1 .*, or -1 to -3 from the last on; found {stage}"):
            ask(first, stage=stage)
        assert ask(first, stage=-1).html == ask(first, stage=2).html != ask(first, stage=-2).html


def test_how_alike_words_are_in_the_memory(ex):
    found = ex(CAPTION, seed=3).similarity("key", stage=1)
    assert found.title == "Cosine of every two words' keys, 128 px"
    assert list(found.rows[0]) == ["word", *[row["word"] for row in found.rows]] and found.rows[2]["red"] == pytest.approx(1)
    with pytest.raises(ValueError, match="expected one of memory, key, value"):
        ex(CAPTION, seed=3).similarity("slots")


def test_models_and_noises_stand_side_by_side(ex):
    found = ex.compare(CAPTION, "red", seeds=(3, 4))
    assert [(row["model"], row["seed"]) for row in found.rows] == [("toy", 3), ("toy", 4), ("dm", 3), ("dm", 4)]
    assert found.html.count("<img") == 8 and "where “red” is read: dm, seed 4" in found.html
    assert {row["map"] for row in found.rows} == {"not measured how far its maps can be believed"}
    assert ex.compare(CAPTION, models=["dm"]).html.count("<img") == 1


def test_a_walk_is_a_film_and_a_gif(ex):
    found = ex.walk(CAPTION, "a small blue bird", other_seed=5, steps=4)
    assert [row["reads"] for row in found.rows] == [CAPTION] * 2 + ["a small blue bird"] * 2
    assert "data:image/gif;base64,R0lGODlh" in found.html and found.html.count("<img") == 2
    with pytest.raises(ValueError, match="expected 2 to 24 pictures, found 1"):
        ex.walk(CAPTION, steps=1)


def test_where_a_word_is_read(handmade):
    found, crown, both = handmade.show("yellow"), handmade.show("crown"), handmade.show("yellow crown")
    assert both.title == "Where “yellow crown” is read"
    for row, one, other in zip(both.rows, found.rows, crown.rows, strict=True):
        assert row["mean"] == pytest.approx(one["mean"] + other["mean"])
    assert [row["stage"] for row in found.rows] == ["128 px", "256 px"] and found.rows[0]["max"] == pytest.approx(0.7)
    assert found.html.count("<img") == 4
    assert len(handmade.show("yellow", stage=-1).rows) == 1
    with pytest.raises(EditError, match="not among the words that were read: a, small, bird"):
        handmade.show("zorp")
    with pytest.raises(statistics.MissingQuantity, match=r"stages \[1, 2\], found \[0\]"):
        handmade.show("yellow", stage=0)


def test_a_repeated_word_is_chosen_by_its_position(handmade):
    assert (
        handmade.show(5).title == handmade.show("a (2)").title == "Where “a (2)” is read"
        and handmade.show("a").title == "Where “a” is read"
    )


def test_a_region(handmade):
    found = handmade.region((0, 0, 0.5, 0.5), k=1)
    assert found.rows[0]["word"] == "yellow" and found.rows[1]["answered by"] == "image"
    assert "response gate" in found.html


def test_effects_of_a_word(ex):
    found = ex(CAPTION, seed=3).effects("red", "blue")
    (row,) = found.rows
    pathways = ["sentence code, first stage", "words read for 128 px", "words read for 256 px", "global memory", "everywhere"]
    assert list(row) == ["word", "read instead", *pathways] and (row["word"], row["read instead"]) == ("red", "blue")
    assert all(row[name] > 0 for name in pathways) and found.html.count("<img") == 6
    assert [row["word"] for row in ex(CAPTION, seed=3).effects().rows] == CAPTION.split()
    without = ex(CAPTION, seed=3, model="dm").effects("red")
    assert "do not read the sentence code" in without.html


def test_edits_hold_inside_the_block_only(ex):
    bare = ex(CAPTION, seed=3)
    with ex.edits(mute="red") as on:
        assert on == (Mute("red"),)
        with ex.edits({"edit": "drop_global"}, response="words", region=(0, 0, 0.5, 1), stages=(2,)):
            both = ex(CAPTION, seed=3)
        muted = ex(CAPTION, seed=3)
    assert len(both.edits) == 3 and muted.edits == (Mute("red"),) and ex(CAPTION, seed=3).edits == ()
    assert ex(CAPTION, seed=3).trace is bare.trace
    assert not torch.equal(muted.trace.images[-1], bare.trace.images[-1])
    against = muted.against(bare)
    assert against.html.count("<img") == 3 and "mute “red” in the memory only" in against.html
    assert all(abs(row["before"] - row["after"]) > 5e-4 for row in against.rows)


def test_edits_are_taken_back_when_the_block_fails(ex):
    with pytest.raises(EditError), ex.edits(mute="zorp"):
        ex(CAPTION)
    assert ex(CAPTION).edits == ()


def test_every_short_form_is_an_edit(ex):
    with ex.edits(exchange=("red", "blue"), where="caption", writing_gate=0.5, uniform=True, drop_global=True, freeze=("z", 4)) as on:
        view = ex(CAPTION, seed=3)
    assert len(on) == 5 and view.trace.captions == [CAPTION] and "blue" in view.trace.words[0]
    assert [row["gate"] for row in view.against(ex(CAPTION, seed=3)).rows if "global" in row["gate"]]


def test_every_edit_with_stages_takes_them(ex):
    given = {"mute": "red", "exchange": ("red", "blue"), "writing_gate": 0.5, "response": "words", "uniform": True, "drop_global": True}
    for name, value in given.items():
        with ex.edits(**{name: value}, stages=(2,)) as (edit,):
            assert edit.stages == (2,), name


@pytest.mark.parametrize(
    "alone",
    [
        {"where": "caption"},
        {"stages": (2,)},
        {"region": (0, 0, 1, 1)},
        {"where": "memory", "drop_global": True},
        {"stages": (1,), "freeze": ("z", None), "uniform": False},
        {"region": (0, 0, 1, 1), "mute": "red"},
    ],
)
def test_what_no_edit_reads_is_refused(ex, alone):
    name = next(iter(alone))
    with pytest.raises(EditError, match=f"{name}: expected beside .*, found it alone"), ex.edits(Mute("red"), **alone):
        pass
    assert ex._edits == ()


def test_a_saved_view_is_its_trace(ex, tmp_path):
    with ex.edits(mute="red"):
        path = ex(CAPTION, seed=3).save(tmp_path / "trace.npz")
    assert Trace.load(path).edits == [{"edit": "mute", "word": "red"}]


def test_what_is_read_back(handmade):
    found = handmade.redescribe()
    verdicts = {row["attribute"]: row["verdict"] for row in found.rows if row["stage"] == "128 px"}
    assert verdicts == {"size": "agrees", "crown": "agrees", "wings": "not in the caption"}
    handmade.trace.stages = handmade.trace.stages[:0]
    assert "No captioner" in handmade.redescribe().html


def test_what_a_system_lacks_is_said():
    ex = notebook.Explorer(Session("attngan", load=toy_system))
    assert {"writing_gate", "response_gate", "drop_global"} <= {row["edit"] for row in ex.lacks().rows}
    view = ex("a small red bird")
    assert {row["word"] for row in view.words(k=4).rows} == {"a", "small", "red", "bird"}
    assert "no response gate" in view.region((0, 0, 1, 1)).html
    with pytest.raises(statistics.MissingQuantity, match="writing_gate"):
        view.words(by="writing_gate")


def test_a_picture_from_a_file_is_read_back(ex, tmp_path):
    from PIL import Image

    from dmm.models.captioner import CaptionDecoder, Captioner
    from dmm.models.image_encoder import SmallImageEncoder

    pipe = ex.session.pipeline("toy")
    Image.new("RGB", (40, 30), "red").save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match="no captioner"):
        ex.read_back(tmp_path / "photo.png", CAPTION)
    torch.manual_seed(1)
    pipe.captioner = Captioner(SmallImageEncoder(4, 8), CaptionDecoder(len(pipe.vocab), 8, 6)).eval()
    torch.nn.init.normal_(pipe.captioner.decoder.linear.weight, std=4)
    try:
        found = ex.read_back(tmp_path / "photo.png", CAPTION, alternatives=3)
    finally:
        pipe.captioner = None
    assert {row["stage"] for row in found.rows} == {"photo.png"} and found.html.count("<li>") >= 3
    (tmp_path / "photo.png").write_bytes(b"GIF89a")
    pipe.captioner = Captioner(SmallImageEncoder(4, 8), CaptionDecoder(len(pipe.vocab), 8, 6))
    try:
        with pytest.raises(ValueError, match="not a PNG, JPEG or WebP"):
            ex.read_back(tmp_path / "photo.png")
    finally:
        pipe.captioner = None


def test_a_blind_vote_in_a_notebook(ex, tmp_path):
    voting = ex.vote("ann", votes=tmp_path / "votes.db", captions=[CAPTION])
    assert voting._repr_html_().count("<img") == 2 and "dm" not in voting._repr_html_().split("base64")[0]
    assert repr(voting.choose("left").choose("right")) == "Voting('ann', pair 3 of 20)"
    again = ex.vote("ann", votes=tmp_path / "votes.db", captions=[CAPTION])
    assert again.ballot.pair == 2
    result = again.result()
    assert "toy against dm, 1 voters" in repr(result) and result.rows[0]["of"] == 2
    assert again.save(tmp_path / "votes.csv").read_text().count("\n") == 3
    for _ in range(18):
        again.choose("left")
    assert "There is no pair left" in again._repr_html_()
    with pytest.raises(ValueError, match="There is no pair left"):
        again.choose("left")


def test_edits_are_voted_on_in_a_notebook(ex):
    voting = ex.vote("ann", "toy", Contender("toy", (Mute("red"),)), captions=[CAPTION])
    assert voting.blind_vote.study.contenders[1].name == "toy: mute “red” in the memory only"


def test_a_view_is_written_as_any_file(ex, tmp_path):
    view = ex(CAPTION, seed=3)
    assert view.export(tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert view.export(tmp_path / "words.csv", "words").read_text().count("\n") > 3
    with pytest.raises(ValueError, match="expected an ending of npz"):
        view.export(tmp_path / "page.exe")
