"""The store of traces: one answer a question, bounded, safe from several threads."""

from __future__ import annotations

import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dmm.checkpoint import CheckpointError, save, shipped
from dmm.models.registry import in_order_of_papers
from explorer import session as session_module
from explorer.questions import Question, Refusal
from explorer.session import Session, UnknownModel, give_back, nbytes
from tests.explorer.handmade import make_trace
from tests.explorer.toy import toy_pipeline


def test_without_names_all_shipped_checkpoints_are_open_the_default_one_first():
    models = Session(None).models
    assert models[0] == Session().models[0] == "dmmgan-aviary" and list(models) == shipped()
    papers = [f"{entry.name}-aviary" for entry in in_order_of_papers()]
    assert list(models[1:]) == [name for name in papers if name in models[1:]] and len(models) == 8
    assert papers.index("stackgan-aviary") < papers.index("attngan-aviary") < papers.index("dmgan-aviary")


def test_same_question_is_generated_once(counting):
    session = Session(["a"], load=lambda name: counting)
    first = session.trace("a", "a red  bird ", 3)
    assert session.trace("a", "a red bird", 3) is first
    assert session.trace(None, "a red bird", 4) is not first
    assert counting.asked == [("a red bird", 3), ("a red bird", 4)]


def test_the_least_recently_used_is_forgotten(counting):
    session = Session("a", capacity=2, load=lambda name: counting)
    for seed in (1, 2, 1, 3, 1, 2):  # 2 is forgotten when 3 comes
        session.trace("a", "bird", seed)
    assert [seed for _, seed in counting.asked] == [1, 2, 3, 2]
    assert len(session) == 2
    session.clear()
    assert len(session) == 0


def test_memory_is_bounded_but_the_newest_stays(counting):
    session = Session("a", megabytes=0, load=lambda name: counting)
    session.trace("a", "bird", 1)
    session.trace("a", "bird", 2)
    assert len(session) == 1


def test_memory_is_given_back_when_a_trace_is_let_go(monkeypatch):
    given = []
    monkeypatch.setattr(session_module, "give_back", lambda: given.append(len(session)))
    session = Session("toy", capacity=2, load=lambda name: lambda caption, seed: make_trace())
    for seed in (1, 2):
        session.trace(None, "a bird", seed)
    assert given == []
    session.trace(None, "a bird", 3)
    session.trace(None, "a bird", 3)
    assert given == [2]


def test_holes_between_what_is_held_go_back_to_the_system():
    pieces = [bytearray(60_000) for _ in range(3000)]
    kept, pieces = pieces[::40], []
    before = resident()
    assert not give_back() or resident() < before - 50 * 2**20
    assert len(kept) == 75


def resident() -> int:
    """Bytes of this process that are in memory, as Linux says them; 0 elsewhere."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else 0


def test_nbytes_counts_every_tensor():
    trace = make_trace()
    expected = 9 + 4 * (3 * (64**2 + 128**2 + 256**2) + 2 * 9 + 9 * (64**2 + 128**2) + 3 * (64**2 + 128**2))
    assert nbytes(trace) == expected


def test_many_threads_generate_once(counting):
    session = Session("a", load=lambda name: counting)
    with ThreadPoolExecutor(8) as pool:
        traces = list(pool.map(lambda _: session.trace("a", "bird", 1), range(32)))
    assert len(counting.asked) == 1 and all(t is traces[0] for t in traces)


def test_models_by_name_and_by_directory(counting):
    session = Session(["dmmgan-aviary", "/somewhere/run7"], load=lambda name: counting)
    assert session.models == ("dmmgan-aviary", "run7")
    with pytest.raises(UnknownModel, match="no model 'x' in this session; it holds dmmgan-aviary, run7"):
        session.trace("x", "bird")
    assert session.pipeline() is session.pipeline("dmmgan-aviary")


def test_a_folder_of_checkpoints_is_opened_and_what_cannot_be_read_says_why(tmp_path):
    for name in ("first", "second"):
        save(toy_pipeline(), tmp_path / name)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "model.safetensors").write_bytes((tmp_path / "first" / "model.safetensors").read_bytes()[:1000])
    session = Session([tmp_path]).check()
    assert session.models == ("first", "second") and list(session.unreadable) == ["torn"]
    with pytest.raises(Refusal, match="torn cannot be opened. .*torn/model.safetensors: expected a safetensors file, found a damaged one"):
        Question.read(session, "a red bird", 3, "torn")
    assert Session([tmp_path / "first"]).check().unreadable == {}
    with pytest.raises(CheckpointError, match="torn"):
        Session([tmp_path / "torn"]).check()


def test_a_name_of_the_hub_is_fetched_once_and_then_here(tmp_path, monkeypatch):
    save(toy_pipeline(), tmp_path)
    asked = []
    monkeypatch.setattr("dmm.hub.find", lambda name: asked.append(name) or tmp_path / "model.safetensors")
    session = Session(["ann/birds"]).check()
    assert session.models == ("birds",) and asked == ["ann/birds"]
    assert session.trace("birds", "a red bird", 3).images


@pytest.mark.parametrize("arguments", [{"names": []}, {"names": "a", "capacity": 0}])
def test_arguments_are_checked(arguments):
    with pytest.raises(ValueError):
        Session(**arguments)
