"""What is said of a model's maps: the figures of its own record, and nothing without one."""

from __future__ import annotations

import json

import pytest

from dmm.checkpoint import assets
from dmm.metrics.records import digest
from dmm.pipeline import load
from explorer import page_html
from explorer.reliability import find_record, reliability
from explorer.session import Session, measured
from tests.explorer.handmade import make_trace
from tests.explorer.toy import toy_pipeline

MAPS = {
    "lift_in_most_changed": {"total": {"word": 3.0, "other_word": 0.9}},
    "lift_in_named_part": {"word": 5.0, "other_word": 0.8},
    "by_kind": {"colour": {"lift": 6.0}, "part": {"lift": 1.1}},
}
SHARE = {"share": 0.61, "interval_95": [0.59, 0.63]}


def record(maps: dict | None = None, weights: str = "abc") -> dict:
    memory = {"captions": 200, "maps": {"64": MAPS if maps is None else maps}, "memory_share": {"128": SHARE}}
    return {"weights_sha256": weights, "command": "dmm evaluate toy", "metrics": {"memory": memory}}


def test_a_record_counts_for_its_own_weights_only(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(record()), encoding="utf-8")
    (tmp_path / "b.json").write_text("{", encoding="utf-8")
    (tmp_path / "c.json").write_text("[1]", encoding="utf-8")
    assert find_record("abc", tmp_path) == record()
    assert find_record("abd", tmp_path) is None and find_record("abc", tmp_path / "none") is None


def test_the_shipped_model_has_its_record():
    shipped = json.loads((assets() / "results" / "dmmgan-aviary-memory.json").read_text(encoding="utf-8"))
    pipe = load("dmmgan-aviary")
    assert digest(pipe) == shipped["weights_sha256"]
    found, kinds = measured(pipe), shipped["metrics"]["memory"]["maps"]["64"]["by_kind"]
    assert sorted(found) == [128, 256] and (found[128].lift, found[128].parts) == (kinds["colour"]["lift"], kinds["part"]["lift"])
    assert found[128].share == shipped["metrics"]["memory"]["memory_share"]["128"]["share"]


def test_beliefs_are_the_figures_of_the_record():
    (found,) = reliability(record()).values()
    assert (found.size, found.lift, found.parts, found.control, found.share, found.interval) == (128, 6.0, 1.1, 0.8, 0.61, (0.59, 0.63))
    assert found.verdict == "the maps of colours can be believed, those of parts cannot"
    (general,) = reliability(record({"lift_in_most_changed": MAPS["lift_in_most_changed"]})).values()
    assert (general.lift, general.kind, general.parts) == (3.0, "a word", None) and general.verdict == "these maps tell where a word acts"
    (even,) = reliability(record({"lift_in_most_changed": {"total": {"word": 1.0, "other_word": 1.0}}})).values()
    assert even.verdict == "these maps do not tell where a word acts"
    (little,) = reliability(record({"lift_in_most_changed": {"total": {"word": 1.4, "other_word": 1.0}}})).values()
    assert little.verdict == "these maps tell little of where a word acts"
    assert reliability(None) == {} and reliability(record({})) == {} and reliability({"metrics": {"memory": {}}}) == {}


def test_the_page_says_them_beside_the_maps():
    trace = make_trace()
    said = page_html.render(trace, [], "toy", 12, measured=reliability(record()))
    assert "In this model the maps of colours can be believed, those of parts cannot: lift 6.0, memory share .61." in said
    assert "6.0 times as strong in the part it colours as everywhere, the map of a part&#x27;s name 1.1 times" in said
    assert ".61 (95 %: .59 to .63) passes through the word memories" in said and "<code>dmm evaluate toy</code>" in said
    reading = sum(stage.addressing is not None for stage in trace.stages)
    assert page_html.render(trace, [], "toy", 12).count("Not measured for this model") == reading == said.count("Not measured") + 1


def test_a_session_tells_what_was_measured(monkeypatch):
    unmeasured = Session("toy", load=lambda name: toy_pipeline())
    assert unmeasured.reliability() == {}
    monkeypatch.setattr("dmm.pipeline.load", lambda source: toy_pipeline())
    monkeypatch.setattr("explorer.session.find_record", lambda weights, folder: record(weights=weights))
    assert Session("toy").reliability()[128].lift == pytest.approx(6.0)
