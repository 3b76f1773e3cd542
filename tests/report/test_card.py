"""The measured part of model cards: made from records, up to date in what is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import dmm.checkpoint
from dmm.cli import app
from dmm.errors import InputError
from dmm.report import read_results
from dmm.report.card import MARK, cards, with_measured
from dmm.report.records import Record, Results

ASSETS = Path(__file__).parents[2] / "assets"


def record(**metrics) -> Record:
    told = {
        "checkpoint": "toy",
        "command": "dmm evaluate toy",
        "n": 3,
        "split": "birds",
        "noise": "seeds",
        "judge": {"weights_sha256": "aa"},
    }
    return Record("toy.json", "toy", told | {"metrics": metrics})


def test_the_shipped_cards_are_what_the_records_give():
    made = cards(ASSETS / "checkpoints", read_results(ASSETS / "results"))
    assert made, "no card has a record"
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.parent.name}: run `dmm report --cards`"


def test_what_is_written_by_hand_stays_and_what_was_measured_before_goes():
    fid = {"generated": {"distance": 12.34, "interval_95": [10, 15]}, "ceiling_rendered": {"distance": 1.0}, "floor_shuffled": None}
    card = with_measured(f"# toy\n\nby hand\n\n{MARK}\n\nof yesterday", [record(fid=fid)])
    assert card.startswith(f"# toy\n\nby hand\n\n{MARK}\n\n## Measured\n") and "yesterday" not in card
    assert "| Fréchet distance, judge's features ↓ | 12.3 [10.0, 15.0] | 1.0 |  |" in card
    assert "`dmm evaluate toy`: 3 captions; birds; seeds." in card and "not stated" in card


def test_a_system_without_maps_has_no_table_of_maps():
    memory = {"captions": 2, "success": {"64": {"none": 0.0, "total": 0.5}}, "change": {"64": {"total": 0.25}}}
    card = with_measured(MARK, [record(memory=memory)])
    assert "| everywhere | 0.500 | 0.2500 |" in card and "maps" not in card and "Share of the effect" not in card


def test_a_record_without_a_judge_is_passed_over(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/README.md").write_text(MARK, encoding="utf-8")
    judged = record(fid=dict.fromkeys(("generated", "ceiling_rendered", "floor_shuffled")))
    sentences = Record(
        "sentences.json", "toy", {key: value for key, value in record(memory={"captions": 2}).content.items() if key != "judge"}
    )
    assert cards(tmp_path, Results([sentences], [], [])) == {}
    assert cards(tmp_path, Results([judged, sentences], [], [])) == cards(tmp_path, Results([judged], [], [])) != {}


def test_a_card_without_the_line_is_refused():
    with pytest.raises(InputError, match="toy/README.md: expected the line"):
        with_measured("# toy", [record()], "toy/README.md")


def test_the_command_writes_the_cards_that_have_records(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints" / "dmmgan-aviary"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(f"# mine\n{MARK}\n", encoding="utf-8")
    monkeypatch.setattr(dmm.checkpoint, "assets", lambda: tmp_path)
    done = CliRunner().invoke(app, ["report", "--cards", "--results", str(ASSETS / "results")])
    assert done.exit_code == 0 and str(folder / "README.md") in done.output.replace("\n", "")
    assert "## Measured" in (folder / "README.md").read_text(encoding="utf-8")
    assert CliRunner().invoke(app, ["report", "--cards", "--out", "x.md"]).exit_code == 2
