"""A dry run says what a run would need, and writes nothing."""

import pytest

from dmm.training.adversarial import GanStep
from dmm.training.dry_run import dry_run
from dmm.training.steps import MatchStep


@pytest.mark.parametrize("kind", ["match", "gan"])
def test_a_dry_run_measures_and_writes_nothing(kind, toy, earlier_runs, tmp_path):
    config = toy(kind, initial_steps=0, frozen_steps=0) if kind == "gan" else toy(kind)
    step = MatchStep(config) if kind == "match" else GanStep(config, *earlier_runs)
    said = []
    found = dry_run(step, config, tmp_path, said.append)
    assert list(tmp_path.iterdir()) == []
    assert found["images_per_second"] > 0 and found["seconds"] > 0 and found["peak_bytes"] > found["estimate_bytes"] > 0
    text = "\n".join(said)
    assert "images/s" in text and "2 checkpoints" in text and str(tmp_path) in text
    assert found["pictures_bytes"] == 0 and "training pictures" not in text
    if kind == "gan":
        count, trained = found["parameters"]["generator"]
        assert count == trained and found["parameters"]["text_encoder"][1] == 0


def test_pictures_on_the_device_are_counted(toy):
    found, said = [], []
    for kept in (False, True):
        config = toy("match", on_device=kept)
        found.append(dry_run(MatchStep(config), config, say=said.append))
    pictures = 8 * 3 * 64 * 64  # of the size that a toy encoder of 32 px reads
    assert found[1]["pictures_bytes"] == pictures == found[1]["estimate_bytes"] - found[0]["estimate_bytes"]
    assert any("0 MB for the training pictures" in line for line in said)
