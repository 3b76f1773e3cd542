"""Each shipped checkpoint has its card's figures: `dmm evaluate` on 200 captions finds them within its own 95 % intervals."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from dmm.checkpoint import assets, shipped
from dmm.cli import app
from dmm.metrics.records import digest
from dmm.pipeline import load

CAPTIONS = 200
METRICS = ("attributes", "r_precision")  # R-precision of a model whose file has its image encoder


def record(name: str) -> dict:
    """What was measured of a shipped checkpoint, as its card says it."""
    return json.loads((assets() / "results" / f"{name}.json").read_text())


def figures(metrics: dict) -> dict[str, dict]:
    """Name -> a figure with its interval, of those that do not depend on how many captions were measured."""
    found = {metric: metrics[metric]["generated"] for metric in METRICS if metric in metrics}
    by_size = metrics["attributes"].get("by_size", {})
    return found | {f"attributes, {size} px": one["generated"] for size, one in by_size.items()}


@pytest.mark.parametrize("name", shipped())
def test_a_card_says_what_its_record_says(name):
    found, card = record(name), (assets() / "checkpoints" / name / "README.md").read_text()
    assert f"`{found['command']}`" in card
    for metric, one in figures(found["metrics"]).items():
        assert f"{one['mean']:.3f}".removeprefix("0") in card, metric
    assert found.get("weights_sha256") in (None, digest(load(name))), "the record is of other weights; measure it again"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A folder with the rendered birds, which are the same for every checkpoint."""
    return tmp_path_factory.mktemp("rendered")


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped())
def test_a_shipped_checkpoint_reproduces_its_card(name, rendered, monkeypatch):
    monkeypatch.chdir(rendered)
    card = record(name)
    metrics = [metric for metric in METRICS if metric in card["metrics"]]
    assert "r_precision" in metrics or load(name).image_encoder is None
    options = ["--captions", str(CAPTIONS), "--seed", str(card["seed"]), "--metrics", ",".join(metrics)]
    answer = CliRunner().invoke(app, ["evaluate", name, *options], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert found["judge"]["weights_sha256"] == card["judge"]["weights_sha256"]
    told, measured = figures(card["metrics"]), figures(found["metrics"])
    assert told.keys() == measured.keys()
    for metric, one in measured.items():
        low, high = one["interval_95"]
        assert low <= told[metric]["mean"] <= high, f"{metric}: the card says {told[metric]['mean']}, {CAPTIONS} captions [{low}, {high}]"
        assert high - low < 0.2, f"{metric}: an interval of [{low}, {high}] would hold anything"
