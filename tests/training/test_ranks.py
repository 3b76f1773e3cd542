"""Two processes are one: the same weights after three steps on the same global batches, of which each reads its share."""

import socket

import pytest
import torch
from torch import nn

from dmm.config import ConfigError
from dmm.data.prepared import prepare
from dmm.data.sources import open_source
from dmm.training.ranks import Ranks, SharedBatchNorm, find_device
from tests.data import layouts

from . import worker
from .conftest import TOY
from .test_systems_train import SMALL

#: kind and recipe -> what keeps the toy runs comparable: fp32, and no augmentation, whose random numbers differ by process
RUNS = {
    "dmmgan": ("dmmgan-cub", "gan", {"damsm": 1, "one_pass": False}),  # batch norm in the generator
    "attngan": ("attngan-cub", "gan", {}),  # in the discriminators too
    "stackgan": ("stackgan-cub", "gan", {"colour": 5, "train.seed": 1}),  # with 0 a step lies on a kink of an activation
    "gan-int-cls": ("gan-int-cls-cub", "gan", {}),  # pictures of sentences halfway between two, of different processes
    "dfgan": ("dfgan-cub", "gan", {}),  # none
    "match": ("aviary", "match", {"clip": 0}),
    "caption": ("aviary", "caption", {"frozen_encoder": False, "clip": 0}),
    "own": ("aviary", "match", {"clip": 0, "accumulate": 2, "mirror": True, "cloze": 0, "recall": 0, "part_colours": 0}),  # random crops
}


def _port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _run(settings, path, world):
    path.mkdir()
    port, processes = str(_port()), []
    for rank in range(world):
        several = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        processes.append(worker.start(settings | {"out": str(path / "run")}, several if world > 1 else {}))
    try:
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()
    assert [process.exitcode for process in processes] == [0] * world, "\n".join(p.read_text() for p in path.glob("*.stderr"))
    return [torch.load(path / f"run/rank{rank}.pt", weights_only=True) for rank in range(world)]


def _weights(state, prefix=""):
    for key, value in state.items():
        if isinstance(value, dict):
            yield from _weights(value, f"{prefix}{key}.")
        elif isinstance(value, torch.Tensor) and value.is_floating_point():
            yield prefix + key, value


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_two_processes_equal_one(name, toy_cache, earlier_runs, tmp_path):
    kind = RUNS[name]
    small = SMALL if kind[1] == "gan" else {}
    plain = {"precision": "fp32", "augment": 0, "steps": 3, "sample_every": 0, "device": "cpu"}
    plain["mask_pairing"] = "right"  # the published pairing takes the masks of other samples of what a process generates
    changes = {**TOY, **small, "cache": str(toy_cache), **plain, **kind[2]}
    if name == "own":
        prepare(open_source(layouts.folder(tmp_path / "pictures", 8)))
        changes["source"] = str(tmp_path / "pictures")
    settings = {"recipe": kind[0], "kind": kind[1], "changes": changes, "match": str(earlier_runs[0]), "caption": str(earlier_runs[1])}
    settings["eps"] = 1e-2  # with the usual 1e-8 a first step is nearly the sign of the gradient, which rounding decides where it is small
    (alone,) = _run(settings, tmp_path / "one", 1)
    start = torch.load(tmp_path / "one/start.pt", weights_only=True)
    first, second = _run(settings, tmp_path / "two", 2)
    assert sorted(first["read"] + second["read"]) == sorted(alone["read"]) and len(first["read"]) == len(second["read"])
    for part in ("generator", "discriminators") if kind[1] == "gan" else ("networks",):
        before, one, two, other = (dict(_weights(state[part])) for state in (start, alone, first, second))
        for key, value in two.items():
            torch.testing.assert_close(value, other[key], rtol=0, atol=1e-6, msg=key)
        moved = sum((one[key] - before[key]).square().sum() for key in one).sqrt()
        apart = sum((one[key] - two[key]).square().sum() for key in one).sqrt()
        print(f"{name} {part}: {apart / moved:.1e} of the way they moved, {apart:.1e}")
        assert apart < 1e-3 * moved


def test_one_process_needs_nothing():
    ranks, x = Ranks(), torch.randn(4, 3)
    assert ranks.main and ranks.gather(x) is x and ranks.share(4) == slice(0, 4) and ranks.mean({"a": 2.0}) == {"a": 2.0}
    with pytest.raises(ConfigError, match="cannot be divided among 2 processes"):
        Ranks(world=2).share(3)
    assert find_device("cpu") == torch.device("cpu")


def test_a_launcher_that_starts_one_process_of_several_is_named(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    assert Ranks.find("cpu").world == 1
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")  # what accelerate launch --cpu --num_processes 2 sets
    with pytest.raises(ConfigError, match="--multi_gpu"):
        Ranks.find("cpu")


def test_a_shared_batch_norm_keeps_what_it_replaces():
    norm = nn.BatchNorm2d(3).train()
    norm(torch.randn(4, 3, 5, 5))
    shared = SharedBatchNorm.of(norm).eval()
    x = torch.randn(2, 3, 4, 4)
    assert shared.state_dict().keys() == norm.state_dict().keys() and shared.weight is norm.weight
    assert torch.equal(shared(x), norm.eval()(x))
