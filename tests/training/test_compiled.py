"""Compiled blocks compute what they computed before, and nothing else of a run changes."""

import copy

import pytest
import torch
from torch import nn

from dmm.config import ConfigError, override
from dmm.models.blocks import UpBlock
from dmm.models.discriminators import Discriminator
from dmm.models.registry import find_model, list_models
from dmm.training import compiled
from dmm.training.adversarial import GanStep
from dmm.training.ranks import SharedBatchNorm

from .test_systems_train import of_system

TWO = {"precision": "fp32", "augment": 0, "widths": "4,4", "sizes": "64,128"}  # pictures are enough to have every kind of block


@pytest.fixture(autouse=True)
def afresh():
    """Forget what other tests had compiled."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield
    torch._dynamo.reset()


@pytest.fixture
def traced(monkeypatch):
    """Trace the blocks, but let PyTorch run what was traced: no compiler is waited for."""
    monkeypatch.setattr(compiled, "BACKEND", "eager")


@pytest.fixture
def differentiated(monkeypatch):
    """Trace their gradients as well."""
    monkeypatch.setattr(compiled, "BACKEND", "aot_eager")


def near(step, other, start):
    """Have two steps gone the same way from the state ``start``, up to rounding?"""
    ways = []
    for part in ("generator", "discriminators"):
        one, two, before = step.state_dict()[part], other.state_dict()[part], start[part]
        assert one.keys() == two.keys() == before.keys()
        keys = [key for key, value in one.items() if value.is_floating_point()]
        moved, apart = (sum((pair[0][k] - pair[1][k]).square().sum() for k in keys).sqrt() for pair in ((one, before), (one, two)))
        ways.append((apart / moved).item())
    return max(ways) < 1e-3


def make(config, earlier_runs):
    """A step whose Adam does not follow the sign of gradients that are rounding alone."""
    step = GanStep(config, *earlier_runs)
    for optimiser, _ in step.optimisers():
        for group in optimiser.param_groups:
            group["eps"] = 1e-2
    return step


@pytest.mark.slow
@pytest.mark.parametrize("entry", list_models(), ids=lambda entry: entry.name)
def test_every_system_trains_as_without(entry, toy_cache, earlier_runs, traced):
    all_sizes = {"widths": "4,4,4", "sizes": "64,256"} if entry.sizes == (64, 256) else {}
    config = of_system(entry, toy_cache, **TWO | all_sizes)
    plain = make(config, earlier_runs)
    start = copy.deepcopy(plain.state_dict())
    fast = make(override(config, {"compile": "true"}), earlier_runs)
    for index in range(3):
        expected, found = plain.update(index), fast.update(index)
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert near(plain, fast, start)
    used = [m for m in fast.discriminators.modules() if m._compiled_call_impl is not None]
    assert bool(used) == (entry.name != "dfgan")


@pytest.mark.slow
def test_a_run_goes_on_with_and_without(toy, earlier_runs, differentiated):
    """Through the three phases of a schedule, in micro-batches of a batch, whose statistics are noted once."""
    config = toy("gan", initial_steps=1, frozen_steps=1, accumulate=2, stream=0, cloze=0, **TWO)
    plain = make(config, earlier_runs)
    start = copy.deepcopy(plain.state_dict())
    step = make(config, earlier_runs)
    for index, on in enumerate((False, True, True, False)):
        plain.update(index)
        if index in (1, 3):
            kept, step = copy.deepcopy(step.state_dict()), make(override(config, {"compile": str(on)}), earlier_runs)
            step.load_state_dict(kept)
        step.update(index)
        assert near(plain, step, start)
        assert all(m._compiled_call_impl is None for m in step.ema.network.modules())


def small_networks():
    return UpBlock(4, 3), nn.ModuleList([Discriminator(64, 2, 5), Discriminator(128, 2, 5)])


def test_a_copy_is_not_compiled_and_hooks_and_names_stay(traced):
    generator, critics = small_networks()
    names = list(critics.state_dict())
    found = compiled.compile_blocks(find_model("dmgan"), generator, critics, torch.device("cpu"))
    assert found == [generator, *(part for critic in critics for part in (critic.trunk, critic.joint))]
    assert list(critics.state_dict()) == names and all(block._compiled_call_impl is not None for block in found)
    assert all(m._compiled_call_impl is None for m in copy.deepcopy(nn.ModuleList([generator, critics])).modules())
    seen, picture, other = [], torch.randn(2, 3, 64, 64), copy.deepcopy(critics[0])
    expected = [other.features(picture), other.features(picture)]  # each with a power iteration of its own
    torch.testing.assert_close(critics[0].features(picture), expected[0])
    critics[0].trunk.register_forward_hook(lambda module, args, result: seen.append(result))  # one that comes later
    torch.testing.assert_close(critics[0].features(picture), expected[1])
    assert len(seen) == 1
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2  # that of the trial, and the trunk, once for both calls


def test_what_cannot_be_compiled_is_left(traced, monkeypatch):
    monkeypatch.setattr(compiled, "_try", lambda device: None)
    generator, critics = small_networks()
    assert compiled.compile_blocks(find_model("dfgan"), generator, critics, torch.device("cpu")) == [generator]
    generator, critics = small_networks()
    generator.norm = SharedBatchNorm.of(generator.norm)
    assert generator not in compiled.compile_blocks(find_model("dmgan"), generator, critics, torch.device("cpu"))


@pytest.mark.slow
def test_the_compiler_makes_the_same_of_a_block():
    """An up block, with the gradients of everything and the statistics it notes."""
    block = UpBlock(4, 3)
    plain, x = copy.deepcopy(block), torch.randn(2, 4, 8, 8)
    try:
        compiled.compile_blocks(find_model("dmgan"), block, [], torch.device("cpu"))
    except ConfigError as error:
        pytest.skip(str(error))
    for network in (block, plain):
        network(x).square().mean().backward()
    for name, parameter in plain.named_parameters():
        torch.testing.assert_close(block.get_parameter(name).grad, parameter.grad, rtol=1e-4, atol=1e-6, msg=name)
    torch.testing.assert_close(block.state_dict(), plain.state_dict())
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2  # that of the trial, and the block


def test_without_a_compiler_a_run_does_not_begin(toy, earlier_runs, monkeypatch):
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    with pytest.raises(ConfigError, match=r"train.compile: torch.compile needs a C\+\+ compiler .* --set train.compile=false"):
        GanStep(toy("gan", compile=True), *earlier_runs)
