"""What a run goes on from survives kills, full disks and damage."""

import errno
import json
import os
import random
import signal
import time

import pytest
import torch

from dmm.checkpoint import read
from dmm.training import checkpoints
from dmm.training.checkpoints import Keeper, TrainingError
from dmm.training.loop import run
from dmm.training.steps import MatchStep

from . import worker
from .conftest import TOY

KILLS = int(os.environ.get("DMM_KILLS", "3"))  # the long version: DMM_KILLS=100


def quiet(text):
    """Say nothing."""


def test_the_last_few_are_kept_and_a_damaged_one_is_passed_over(tmp_path):
    keeper = Keeper(tmp_path, keep=3)
    for step in range(1, 6):
        keeper.write({"step": step, "weights": torch.full((3,), float(step))})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.pt", "step-0000003.pt", "step-0000004.pt"]
    assert keeper.read(quiet)["step"] == 5
    (tmp_path / "last.pt").write_bytes((tmp_path / "last.pt").read_bytes()[:-200])
    (tmp_path / "step-0000004.pt").write_bytes(b"")
    said = []
    other = Keeper(tmp_path, keep=3)
    assert other.read(said.append)["step"] == 3
    assert ["damaged" in text for text in said] == [True, True, False] and "going on from" in said[2] and "step 3" in said[2]
    other.write({"step": 4})
    assert other.read(quiet)["step"] == 4 and not (tmp_path / "step-0000005.pt").exists()
    for path in tmp_path.iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="no checkpoint can be read"):
        Keeper(tmp_path).read(quiet)


def test_one_kept_checkpoint_is_the_last(tmp_path):
    keeper = Keeper(tmp_path, keep=1)
    for step in range(3):
        keeper.write({"step": step})
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_ruined_weights_do_not_replace_a_whole_checkpoint(tmp_path, number):
    keeper = Keeper(tmp_path)
    ruined = {"step": 7, "networks": {"generator": {"bias": torch.tensor([1.0, number])}}, "optimisers": [{"step": 1}]}
    with pytest.raises(TrainingError, match="networks.generator.bias is not finite.*no checkpoint yet.*then start again"):
        keeper.write(ruined)
    assert not list(tmp_path.iterdir())
    keeper.write({"step": 6, "networks": {"generator": {"bias": torch.ones(2)}}, "best": float("-inf")})
    with pytest.raises(TrainingError, match="step 7: networks.generator.bias is not finite.*step 6 is whole.*then --resume"):
        keeper.write(ruined)
    assert keeper.read(quiet)["step"] == 6


@pytest.mark.parametrize("when", ["write", "rename", "export"])
def test_a_full_disk_stops_with_a_message_and_keeps_the_checkpoint(toy, tmp_path, monkeypatch, when):
    config = toy("match")
    step = MatchStep(config)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    update = step.update

    def fill_later(index):
        if index == 3:
            if when == "export":
                monkeypatch.setattr(step, "export", full)
            else:
                monkeypatch.setattr(checkpoints.os, {"write": "fsync", "rename": "replace"}[when], full)
        return update(index)

    step.update = fill_later
    with pytest.raises(TrainingError, match=r"cannot write a checkpoint \(No space left on device\).*step [24] is whole.*--resume"):
        run(step, config, tmp_path / "run", say=quiet)
    monkeypatch.undo()
    assert not list((tmp_path / "run").glob("*.partial"))
    assert Keeper(tmp_path / "run").read(quiet)["step"] == (4 if when == "export" else 2)
    run(MatchStep(config), config, tmp_path / "run", resume=True, say=quiet)
    assert read(tmp_path / "run")[3]["steps"] == 4


def test_a_disk_that_is_full_at_the_first_checkpoint_leaves_nothing_to_resume(toy, tmp_path, monkeypatch):
    config = toy("match", steps=1)
    step = MatchStep(config)

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(TrainingError, match="no checkpoint yet. Make room, then start again"):
        update = step.update
        step.update = lambda index: patch.setattr(checkpoints.os, "fsync", full) or update(index)
        run(step, config, tmp_path / "run", say=quiet)
    assert run(MatchStep(config), config, tmp_path / "run", say=quiet) == 1


def test_a_damaged_checkpoint_costs_steps_not_the_run(toy, tmp_path):
    whole, part = toy("match"), toy("match", steps=3)
    run(MatchStep(part), part, tmp_path / "part", say=quiet)
    (tmp_path / "part/last.pt").write_bytes(b"PK damaged")
    said = []
    run(MatchStep(whole), whole, tmp_path / "part", resume=True, say=said.append)
    assert "damaged" in said[0] and "step 2" in said[1]
    rows = [json.loads(line)["step"] for line in (tmp_path / "part/log.jsonl").read_text().splitlines()]
    assert rows == [1, 2, 3, 4]


def test_other_networks_or_words_are_refused(toy, tmp_path):
    config = toy("match", steps=1)
    run(MatchStep(config), config, tmp_path / "run", say=quiet)
    kept = Keeper(tmp_path / "run").read(quiet)
    assert kept["config"]["model"]["text_dim"] == 16 and '"words"' in kept["vocabulary"] and kept["random"]["cpu"].numel()
    other = toy("match", embedding_dim=10)
    with pytest.raises(TrainingError, match="begun with model.embedding_dim=8, not 10"):
        run(MatchStep(other), other, tmp_path / "run", resume=True, say=quiet)


def test_the_best_evaluation_is_kept(toy, tmp_path):
    config = toy("match", evaluate_every=1, tensorboard=True)
    step = MatchStep(config)
    scores = iter([0.1, 0.5, 0.3, 0.2])
    step.evaluate = lambda: {"score": next(scores)}
    run(step, config, tmp_path / "run", say=quiet)
    assert read(tmp_path / "run/best")[3] | {"steps": 2, "score": 0.5} == read(tmp_path / "run/best")[3]
    rows = [json.loads(line) for line in (tmp_path / "run/evaluations.jsonl").read_text().splitlines()]
    assert [row["score"] for row in rows] == [0.1, 0.5, 0.3, 0.2]
    assert list((tmp_path / "run/tensorboard").glob("events*"))


def test_steps_that_are_done_again_are_evaluated_once(toy, tmp_path):
    whole, part = (toy("match", steps=steps, evaluate_every=1) for steps in (4, 3))
    for config in (part, whole):
        step = MatchStep(config)
        step.evaluate = lambda: {"score": 0.5}
        run(step, config, tmp_path / "run", resume=config is whole, say=quiet)
        (tmp_path / "run/last.pt").write_bytes(b"PK damaged")  # the second run goes on from step 2
    rows = [json.loads(line)["step"] for line in (tmp_path / "run/evaluations.jsonl").read_text().splitlines()]
    assert rows == [1, 2, 3, 4]


def test_a_disk_that_is_full_at_the_last_samples_stops_with_a_message(toy, tmp_path):
    config = toy("match", steps=2)
    step = MatchStep(config)

    def full(directory, index):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory / "2.png"))

    step.sample = full
    with pytest.raises(TrainingError, match=r"cannot write 2.png \(No space left on device\); the checkpoint of step 2 is whole"):
        run(step, config, tmp_path / "run", say=quiet)


def _start(tmp_path, name, cache, steps):
    changes = {**TOY, "cache": str(cache), "steps": steps, "save_every": 3, "sample_every": 0}
    return worker.start({"recipe": "aviary", "kind": "match", "changes": changes, "out": str(tmp_path / name), "resume": True})


def _ended(process):
    process.join()
    return process.exitcode


@pytest.mark.slow
@pytest.mark.timeout(600 * KILLS)  # s; nothing within the test looks at a clock, so that a starved machine is waited for
def test_killed_at_any_moment_it_ends_with_the_same_weights(toy_cache, tmp_path):
    steps, chance = 15 * KILLS, random.Random(7)
    assert _ended(_start(tmp_path, "whole", toy_cache, steps)) == 0
    log, killed = tmp_path / "killed/log.jsonl", 0
    for number in range(KILLS):
        process = _start(tmp_path, "killed", toy_cache, steps)
        target = chance.randint(15 * number + 1, 15 * number + 12)
        while process.exitcode is None and (not log.exists() or len(log.read_text().splitlines()) < target):
            time.sleep(0.005)
        time.sleep(chance.random() * 0.1)
        process.kill()
        killed += _ended(process) == -signal.SIGKILL
    assert _ended(_start(tmp_path, "killed", toy_cache, steps)) == 0
    assert killed == KILLS
    once, twice = (read(tmp_path / name)[0] for name in ("whole", "killed"))
    assert all(torch.equal(once[key], twice[key]) for key in once)
