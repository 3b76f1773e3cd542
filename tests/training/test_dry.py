"""A dry run says what a run would need, and writes nothing."""

import pytest

from dmm.training.adversarial import GanStep
from dmm.training.dry import dry_run
from dmm.training.steps import MatchStep


@pytest.mark.parametrize("kind", ["match", "gan"])
def test_a_dry_run_measures_and_writes_nothing(kind, toy, readers, tmp_path):
    config = toy(kind, initial_steps=0, frozen_steps=0) if kind == "gan" else toy(kind)
    step = MatchStep(config) if kind == "match" else GanStep(config, *readers)
    said = []
    found = dry_run(step, config, tmp_path, said.append)
    assert list(tmp_path.iterdir()) == []
    assert found["images_per_second"] > 0 and found["seconds"] > 0 and found["peak_bytes"] > found["estimate_bytes"] > 0
    text = "\n".join(said)
    assert "images/s" in text and "2 checkpoints" in text and str(tmp_path) in text
    if kind == "gan":
        count, trained = found["parameters"]["generator"]
        assert count == trained and found["parameters"]["text_encoder"][1] == 0
