"""The endpoints: every one by name through a real client, and what each answers and refuses."""

from __future__ import annotations

import base64
import io
import zipfile

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from dmm.trace import Trace
from explorer import launch, ui
from explorer.api import NAMES, UPLOAD_BYTES, Endpoints, read_upload
from explorer.questions import Question, Refusal, read_seed
from explorer.readings import as_generated
from explorer.request_guard import LARGEST
from explorer.session import Session
from explorer.takeaway import PANELS
from explorer.walks import slerp, walk
from tests.explorer.toy import CAPTION, toy_pipeline, toy_system

MUTE = [{"edit": "mute", "word": "red"}]


def load(name: str):
    if name in ("toy", "dm"):
        return toy_pipeline(global_memory=name == "toy")
    return toy_system(name)


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(["toy", "dm", "dfgan"], load=load)


@pytest.fixture(scope="module")
def api(session) -> Endpoints:
    return Endpoints(session)


@pytest.fixture(scope="module")
def client(session):
    app = ui.build(session)
    options = launch.launch_options() | {"server_port": None, "prevent_thread_lock": True, "quiet": True}
    app.launch(**options)
    yield Client(app.local_url, verbose=False)
    app.close(verbose=False)


def picture(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    assert head.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(body)))


def uri(kind: str = "PNG", size: tuple[int, int] = (20, 10)) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, format=kind)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(buffer.getvalue()).decode()


# --- through a client -----------------------------------------------------------------------------------------------------


def test_every_endpoint_is_named_and_described(client):
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert set(named) == {f"/{name}" for name in NAMES}
    assert all(named[f"/{name}"]["description"] for name in NAMES)


def test_a_client_drives_every_endpoint(client, session):
    assert [model["name"] for model in client.predict(api_name="/models")] == ["toy", "dm", "dfgan"]
    trace = client.predict(CAPTION, seed=3, api_name="/trace")
    assert trace["caption"] == CAPTION and set(trace["pictures"]) == {"64", "128", "256"} and trace["unknown"] == []
    alike = [(row["stage_px"], row["of"]) for row in trace["similarity"]]
    assert alike == [(px, of) for px in (128, 256) for of in ("memory", "key", "value")]
    assert all(row["values"][k][k] == 1 for row in trace["similarity"] for k in range(len(CAPTION.split())))
    top = client.predict(CAPTION, by="addressing", k=2, stop_words=False, api_name="/words")
    assert len(top) == 4 and not {"a", "with", "bird"} & {row["word"] for row in top}
    assert picture(client.predict(CAPTION, "red", api_name="/map")[1]["picture"]).size == (256, 256)
    region = client.predict(CAPTION, [0, 0, 0.5, 0.5], api_name="/region")
    assert region["stage_px"] == 256 and sum(word["here"] for word in region["words"]) == pytest.approx(1, abs=1e-4)
    change = client.predict(CAPTION, MUTE, api_name="/intervene")
    assert change["in_words"] == ["mute “red” in the memory only"] and change["change"] > 0
    (red,) = client.predict(CAPTION, "red", "blue", api_name="/effects")["words"]
    assert red["other"] == "blue" and len(red["pathways"]) == 5 and picture(red["pathways"][0]["picture"]).size == (256, 256)
    assert len(client.predict(CAPTION, api_name="/effects")["words"]) == len(CAPTION.split())
    rows = client.predict(CAPTION, "red", seeds=[3, 4], api_name="/compare")
    assert [(row["model"], row["seed"]) for row in rows] == [(m, s) for m in ("toy", "dm", "dfgan") for s in (3, 4)]
    assert [row["why"] for row in rows[3:5]] == ["", "this system reads no single words"] and rows[0]["reliability"].startswith(
        "not measured"
    )
    assert picture(client.predict(CAPTION, other_seed=9, steps=3, api_name="/walk")["gif"]).n_frames == 4
    ballot = client.predict("ann", api_name="/ballot")
    assert (ballot["pair"], ballot["voted"]) == (0, 0) and picture(ballot["left"]).size == picture(ballot["right"]).size
    assert client.predict("ann", 0, "left", api_name="/vote") == {"kept": True}
    assert client.predict("ann", 0, "right", api_name="/vote") == {"kept": False}
    votes = client.predict(api_name="/votes")
    assert (votes["first"], votes["second"], votes["voters"], votes["votes"]["of"]) == ("toy", "dm", 1, 1) and "ann" in votes["csv"]
    assert client.predict("ann", api_name="/ballot")["pair"] == 1
    with pytest.raises(AppError, match="no such run"):
        client.predict("toy", api_name="/learning")
    assert base64.b64decode(client.predict(CAPTION, "json", api_name="/export")["base64"]).startswith(b"{")


def test_a_client_is_told_why_it_is_refused(client):
    with pytest.raises(AppError, match="whole number"):
        client.predict(CAPTION, seed=1.5, api_name="/trace")
    with pytest.raises(AppError, match="no captioner"):
        client.predict(CAPTION, api_name="/redescribe")
    with pytest.raises(AppError, match="1 or more; found -1"):
        client.predict(CAPTION, k=-1, api_name="/words")


WRONG = {  # endpoint -> arguments after the caption, what is said of one that is not of its type
    "/map": ([3], "word: expected a string"),
    "/words": (["", "five"], "k: expected a whole number"),
    "/region": ([True], "region: expected a list"),
    "/compare": (["", "toy"], "models: expected a list"),
    "/walk": (["", 3, 3, None], "steps: expected a whole number"),
    "/ballot": ([["toy"]], "first: expected a string"),
    "/export": ([None], "kind: expected a string"),
    "/redescribe": ([{"url": "x"}], "picture: expected a string"),
}


@pytest.mark.parametrize("name", WRONG)
def test_arguments_of_another_type_are_refused_by_name(client, name):
    arguments, said = WRONG[name]
    with pytest.raises(AppError, match=said):
        client.predict(CAPTION, *arguments, api_name=name)


def test_half_a_character_is_refused(session):
    with pytest.raises(Refusal, match="half a character"):
        Question.read(session, "a red bird \ud83d")


# --- what each answers ------------------------------------------------------------------------------------------------------


def test_edits_reach_every_answer(api):
    with_edit, without = api.trace(CAPTION, edits=MUTE), api.trace(CAPTION)
    assert with_edit["edits"] == MUTE and with_edit["pictures"]["256"] != without["pictures"]["256"]
    assert with_edit["pictures"]["64"] == without["pictures"]["64"]
    muted = [row for row in api.words(CAPTION, "addressing", k=8, edits=MUTE) if row["word"] == "red"]
    assert [row["value"] for row in muted] == [0, 0]


def test_unknown_words_are_said(api):
    assert api.trace("a small zorp bird, zorp \N{BIRD}")["unknown"] == ["zorp", "\N{BIRD}"]


def test_a_repeated_word_is_named_by_its_position(api):
    first, sixth = (api.map(CAPTION, word)[0]["values"] for word in ("a", "6"))
    assert first != sixth and api.map(CAPTION, "1")[0]["values"] == first
    yellow, crown, both = (api.map(CAPTION, word)[0] for word in ("yellow", "crown", "Yellow crown"))
    assert both["values"][3] == pytest.approx(
        [one + other for one, other in zip(yellow["values"][3], crown["values"][3], strict=True)], abs=2e-6
    )
    assert both["uniform"] == pytest.approx(2 * yellow["uniform"])


def test_what_a_model_lacks_is_said(api):
    assert "mute:memory" in api.models()[2]["lacks"]
    rows = api.compare(CAPTION, "red")
    assert rows[0]["map"] and rows[2]["map"] is None and rows[2]["why"] == "this system reads no single words"
    with pytest.raises(Refusal, match="reads single words"):
        api.map(CAPTION, "red", model="dfgan")
    with pytest.raises(Refusal, match="one stage"):
        api.intervene(CAPTION, MUTE, model="dfgan")


class Reads:
    """A captioner of two sentences; the first is likelier word by word, the second as a whole."""

    def __init__(self, vocab):
        self.vocab, self.seen = vocab, []

    def alternatives(self, image, vocab, width, steps):
        self.seen.append(image)
        said = ("bird with yellow crown", 0.6), ("red bird", 0.9)
        found = [[*((vocab.ids[word], share) for word in words.split()), (vocab.end, 0.5)] for words, share in said]
        return found[:width]


@pytest.fixture
def reads(monkeypatch, session) -> Reads:
    pipe = session.pipeline("toy")
    monkeypatch.setattr(pipe, "captioner", Reads(pipe.vocab))
    return pipe.captioner


def test_a_picture_is_read_back_attribute_by_attribute(api, reads):
    (row,) = api.redescribe(CAPTION, uri())
    assert reads.seen[0].shape == (1, 3, 256, 256) and float(reads.seen[0][0, 0].mean()) > 0.5 > float(reads.seen[0][0, 1].mean())
    assert row["picture"] == "handed in" and row["sentence"] == "bird with yellow crown"
    assert {a["attribute"]: a["verdict"] for a in row["attributes"]}["crown"] == "agrees"


def test_alternatives_come_with_the_probability_of_each_word(api, reads):
    (row,) = api.redescribe(CAPTION, uri())
    assert row["probability"] == pytest.approx(0.6**4 * 0.5) and row["words"][0] == {"word": "bird", "probability": 0.6}
    (other,) = row["alternatives"]
    assert other["sentence"] == "red bird" and other["probability"] == pytest.approx(0.9**2 * 0.5) and other["ended"]
    (row,) = api.redescribe(CAPTION, uri(), alternatives=0)
    assert row["alternatives"] == []


def test_a_picture_can_be_read_without_a_caption(api, reads):
    (row,) = api.redescribe(picture=uri())
    assert {a["verdict"] for a in row["attributes"]} == {"not in the caption"}


def test_pictures_of_every_shape_keep_their_middle_and_stand_on_white(session):
    pipe = session.pipeline("toy")
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste((0, 0, 255), (100, 0, 200, 100))
    blue = as_generated(wide, pipe)
    assert blue.shape == (1, 3, 256, 256) and float(blue[0, 2].min()) > 0.9 and float(blue[0, 0].max()) < -0.9
    assert float(as_generated(Image.new("RGBA", (9, 9), (0, 0, 0, 0)), pipe).min()) == 1
    assert as_generated(Image.new("1", (1, 700), 1), pipe).shape == (1, 3, 256, 256)


def test_a_client_hands_in_a_picture_larger_than_a_question_may_be(client, reads):
    buffer = io.BytesIO()
    Image.effect_noise((300, 300), 90).save(buffer, format="PNG")
    handed = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    assert len(handed) > LARGEST
    (row,) = client.predict("", handed, api_name="/redescribe")
    assert row["sentence"] == "bird with yellow crown"
    with pytest.raises(Exception, match="413"):
        client.predict("x" * len(handed), api_name="/trace")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pictures_of_common_kinds_are_read(kind):
    assert read_upload(uri(kind)).size == (20, 10)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("/etc/passwd", "expected a data URI"),
        ("file:///etc/passwd", "expected a data URI"),
        ("data:image/png;base64,!!!", "expected base64"),
        ("data:image/png;base64,aGVsbG8=", "can be read"),
        ("data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=", "can be read"),
        ("data:image/png;base64," + "A" * (UPLOAD_BYTES * 2), "at most 1 MiB"),
        (uri("GIF"), "can be read"),
        (uri("PNG", (5000, 5000)), "pixels"),
        (uri("PNG")[:-40], "can be read"),
    ],
    ids=range(9),
)
def test_other_uploads_are_refused(value, said):
    with pytest.raises(Refusal, match=said):
        read_upload(value)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda api: api.words(CAPTION, "love"), "expected one of writing_gate"),
        (lambda api: api.words(CAPTION, region=[0, 0, 2, 1]), "shares of the side"),
        (lambda api: api.words(CAPTION, region=[0, 0]), "expected \\[y0"),
        (lambda api: api.map(CAPTION, "zorp"), "not among the words that were read: a, small"),
        (lambda api: api.region(CAPTION, [0, 0, 1, 1], stage=9), "0 to 2"),
        (lambda api: api.region(CAPTION, [0, 0, 1, 1], stage=0), "reads no words"),
        (lambda api: api.effects(CAPTION, "zorp"), "not among"),
        (lambda api: api.effects(CAPTION, "red", "zorp"), "vocabulary"),
        (lambda api: api.compare(CAPTION, seeds=list(range(17))), "at most 8 models and 16 seeds"),
        (lambda api: api.walk(CAPTION, steps=1), "2 to 24"),
        (lambda api: api.redescribe(CAPTION, alternatives=99), "0 to 8"),
        (lambda api: api.ballot("<b>"), "1 to 40 letters"),
        (lambda api: api.ballot("ann", "zorp"), "no contender"),
        (lambda api: api.vote("ann", 99, "left"), "0 to 19"),
        (lambda api: api.vote("ann", 0, "first"), "left or right"),
        (lambda api: api.votes("toy", "toy"), "two different"),
        (lambda api: api.export(CAPTION, "exe"), "expected one of npz"),
        (lambda api: api.export(CAPTION, "npz", panel="maps"), "png, pdf, svg, csv"),
        (lambda api: api.export(CAPTION, "png", panel="../x"), "expected one of maps"),
        (lambda api: api.export(CAPTION, "png", panel="read back"), "does not have"),
        (lambda api: api.trace("zorp"), "vocabulary"),
        (lambda api: api.trace(CAPTION, model="other"), "toy, dm"),
        (lambda api: api.trace(CAPTION, edits=[{"edit": "x"}]), "expected each to name"),
        (lambda api: api.trace("b" * 601), "601 characters"),
        (lambda api: api.trace(5), "a text"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_reason(api, ask, said):
    with pytest.raises(Refusal, match=said):
        ask(api)


@pytest.mark.parametrize(("value", "seed"), [(None, 3), ("", 3), (0, 0), ("7", 7), (7.0, 7), (2**31 - 1, 2**31 - 1)])
def test_seeds(value, seed):
    assert read_seed(value) == seed


@pytest.mark.parametrize("value", [1.5, "1.5", -1, "-4", 2**31, float("nan"), float("inf"), "abc", True, [3]])
def test_a_seed_that_is_none_is_refused(value):
    with pytest.raises(Refusal, match="whole number"):
        read_seed(value)


# --- files ------------------------------------------------------------------------------------------------------------------


def exported(api, kind: str, **asked) -> bytes:
    return base64.b64decode(api.export(CAPTION, kind, **asked)["base64"])


def test_an_exported_trace_can_be_loaded(api, tmp_path):
    (tmp_path / "t.npz").write_bytes(exported(api, "npz", edits=MUTE))
    loaded = Trace.load(tmp_path / "t.npz")
    assert loaded.edits == MUTE and loaded.captions == [CAPTION] and zipfile.is_zipfile(tmp_path / "t.npz")


@pytest.mark.parametrize(("kind", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("csv", b"stage_px,quantity")])
def test_files_of_every_kind(api, kind, begins):
    assert exported(api, kind).startswith(begins)


def test_a_system_without_maps_is_exported_too(api):
    assert exported(api, "png", model="dfgan").startswith(b"\x89PNG") and exported(api, "csv", model="dfgan") == b""


@pytest.mark.parametrize("panel", [name for name in PANELS if name not in ("read back", "learning")])
def test_a_panel_is_saved_alone_with_its_numbers(api, panel):
    assert exported(api, "svg", panel=panel, edits=MUTE if panel != "effects" else None).startswith(b"<?xml")
    assert len(exported(api, "csv", panel=panel).splitlines()) > 3


def test_edits_reach_a_saved_panel(api):
    assert exported(api, "csv", panel="words", edits=MUTE) != exported(api, "csv", panel="words")


def test_the_snippet_makes_the_same(api, session):
    edits = [{"edit": "exchange", "word": "red", "new": "blue", "where": "caption"}, {"edit": "mute", "word": 6}]
    code = exported(api, "py", edits=edits).decode()
    assert code.startswith('import explorer\nex = explorer.open("toy")\n')
    from explorer.notebook import Explorer

    names = {"ex": Explorer(session)}
    exec(code.split("\n", 2)[2], names)  # noqa: S102 - our own text
    assert names["view"].trace is Question.read(session, CAPTION, 3, "toy", edits).trace(session)


def test_the_page_of_a_trace_works_offline(api):
    html = exported(api, "html", edits=MUTE).decode()
    assert html.startswith("<!doctype html>") and "default-src 'none'" in html
    assert "http://" not in html and "https://" not in html and 'src="/' not in html
    assert html.count('class="ex-image"') == 3 and "mute “red” in the memory only" in html


# --- walks ------------------------------------------------------------------------------------------------------------------


def test_a_walk_begins_and_ends_with_the_pictures_themselves():
    import torch

    pipe = toy_pipeline()
    other = "this blue bird has a white belly"
    stops = walk(pipe, (CAPTION, other), (3, 4), steps=5)
    torch.testing.assert_close(stops[0].image, pipe(CAPTION, seed=3).images[-1][0])
    torch.testing.assert_close(stops[-1].image, pipe(other, seed=4).images[-1][0])
    assert [stop.reads for stop in stops] == [CAPTION] * 3 + [other] * 2
    z = torch.nn.functional.normalize(pipe.noise([3, 4])[0])  # of one length, so that half way is between
    between = slerp(z[:1], z[1:], 0.5)
    angles = torch.nn.functional.cosine_similarity(between, z)
    torch.testing.assert_close(angles[0], angles[1])
    torch.testing.assert_close(slerp(z[:1], z[:1], 0.3), z[:1])
