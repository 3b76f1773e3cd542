"""Training in 16 bits: the losses of fp32, nearly, for every system and both earlier_runs; and fp16's scaling of gradients."""

import functools
import math

import pytest
import torch

from dmm.config import override
from dmm.models.registry import list_models
from dmm.recipes import recipe
from dmm.training import adversarial, steps
from dmm.training.adversarial import GanStep
from dmm.training.precision import resolve
from dmm.training.steps import CaptionStep, MatchStep

from .conftest import TOY
from .test_systems_train import of_system

SHORT = [torch.float16, torch.bfloat16]
#: Of discriminators: oneDNN on CPUs with avx512_bf16 (PyTorch 2.13) is wrong in bf16 where a 4x4 kernel covers a map of 16 or 24 channels.
WIDTH = 4


@pytest.fixture
def computed_in(monkeypatch):
    """Let the next steps compute in a dtype, fp16 on a CPU included, where no user would want it."""

    def choose(dtype):
        for module in (adversarial, steps):
            monkeypatch.setattr(module, "resolve", lambda precision, device: dtype)

    return choose


def _near(values, exact, bound):
    assert values.keys() == exact.keys()
    for name, value in values.items():
        if not name.endswith("accuracy"):
            assert math.isfinite(value)
            assert abs(value - exact[name]) <= bound * max(abs(exact[name]), 0.1), (name, value, exact[name])


@pytest.fixture(scope="module")
def exact_costs(earlier_runs):
    """The losses of a config's first step in fp32, computed once for both dtypes."""

    @functools.cache
    def costs(config):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adversarial, "resolve", lambda precision, device: torch.float32)
            return GanStep(config, *earlier_runs).update(0)

    return costs


@pytest.mark.parametrize("dtype", SHORT, ids=str)
@pytest.mark.parametrize("entry", list_models(), ids=lambda entry: entry.name)
def test_a_step_of_every_system_costs_the_same(entry, dtype, toy_cache, earlier_runs, exact_costs, computed_in):
    config = of_system(entry, toy_cache, augment=0, discriminator_width=WIDTH)
    exact = exact_costs(config)
    computed_in(dtype)
    step = GanStep(config, *earlier_runs)
    step.scaler = torch.amp.GradScaler("cpu", init_scale=256.0, enabled=step.scaler.is_enabled())  # one at which no gradient overflows
    before = [p.clone() for p in step.generator.parameters()]
    _near(step.update(0), exact, 0.02 if dtype == torch.float16 else 0.05)
    assert any(not torch.equal(a, b) for a, b in zip(before, step.generator.parameters(), strict=True))
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in step.generator.parameters())


@pytest.mark.parametrize("dtype", SHORT, ids=str)
def test_augmented_pictures_and_every_aid(dtype, toy, earlier_runs, exact_costs, computed_in):
    """The recipes' own settings: augmentation, masked words, exchanged words, colour and consistency."""
    # without the limit of features: the square of a small excess is many times as far off as the features are
    # Adam's first step is the gradient's sign, which rounding turns near 0: the generator meets discriminators as they were made
    config = toy("gan", initial_steps=0, frozen_steps=0, discriminator_width=WIDTH, feature_limit=0, discriminator_lr=1e-9)
    exact = exact_costs(config)
    computed_in(dtype)
    _near(GanStep(config, *earlier_runs).update(0), exact, 0.05)


@pytest.mark.parametrize("dtype", SHORT, ids=str)
def test_the_encoders(dtype, toy_cache, earlier_runs, computed_in):
    settings = {**TOY, "cache": str(toy_cache)}
    match, caption = (override(recipe("aviary", kind), settings) for kind in ("match", "caption"))
    computed_in(torch.float32)
    exact = MatchStep(match).update(0), CaptionStep(caption, earlier_runs[0]).update(0)
    computed_in(dtype)
    for step, wanted in zip((MatchStep(match), CaptionStep(caption, earlier_runs[0])), exact, strict=True):
        _near(step.update(0), wanted, 0.05)


def test_gradients_that_overflow_cost_a_step_and_halve_the_scale(toy_cache, earlier_runs, computed_in):
    computed_in(torch.float16)
    step = GanStep(of_system(next(e for e in list_models() if e.name == "dmgan"), toy_cache), *earlier_runs)
    step.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    before = {name: value.clone() for name, value in step.generator.named_parameters()}
    values = step.update(0)
    assert all(math.isfinite(value) for value in values.values())
    assert step.scaler.get_scale() == 2.0**119
    assert all(torch.equal(value, before[name]) for name, value in step.generator.named_parameters())
    step.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    step.update(1)
    assert step.scaler.get_scale() == 2.0**8
    assert any(not torch.equal(value, before[name]) for name, value in step.generator.named_parameters())
    other = GanStep(step.config, *earlier_runs)
    other.load_state_dict(step.state_dict())
    assert other.scaler.get_scale() == 2.0**8


def test_what_a_cpu_is_asked_for():
    assert resolve("bf16", torch.device("cpu")) == torch.bfloat16
    assert resolve("fp32", torch.device("cpu")) == torch.float32
