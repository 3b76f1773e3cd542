"""Fused batch norms generate the same pictures, and everything a trace shows stays."""

import copy
import dataclasses

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from dmm.bench.systems import bench_config, random_inputs, warmed_generator
from dmm.models.kernels.fuse import fuse_batch_norms
from dmm.models.registry import list_models
from dmm.pipeline import load

CPU = torch.device("cpu")


def warmed(system):
    config = bench_config(system, "small", 2)
    model = dataclasses.replace(config.model, widths=(8, 8, 4), residuals=2)
    config = dataclasses.replace(config, model=model)
    inputs = random_inputs(config, 3, CPU)
    return warmed_generator(config, inputs), inputs


def exact(network):
    """A copy in fp64."""
    return copy.deepcopy(network).double()


def tensors(trace):
    """Name -> tensor of every field that is there."""
    found = {}
    for place, record in [("", trace), *((f"{number}.", stage) for number, stage in enumerate(trace.stages))]:
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            values = value if isinstance(value, list) else [value]
            found |= {f"{place}{field.name}.{i}": v for i, v in enumerate(values) if isinstance(v, torch.Tensor)}
    return found


@pytest.mark.parametrize("entry", list_models(), ids=lambda entry: entry.name)
@torch.no_grad()
def test_fusing_changes_no_number_of_the_trace(entry):
    generator, inputs = warmed(entry.name)
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    fused = fuse_batch_norms(generator)
    assert not any(isinstance(module, _BatchNorm) for module in fused.modules())
    for own, theirs in zip(fused(*inputs).images, generator(*inputs).images, strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-5, atol=2e-5)  # untrained: fp32 itself is 1e-5 away from fp64
    double = tuple(value if value.dtype == torch.bool else value.double() for value in inputs)
    own, theirs = (tensors(network(*double)) for network in (fuse_batch_norms(exact(generator)), exact(generator)))
    assert own.keys() == theirs.keys()
    for name, value in own.items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-9, atol=1e-9, msg=name)
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())


def test_a_trained_generator_generates_the_same():
    pipe = load("dmmgan-aviary")
    words, sentence, mask, _ = pipe.encode(["a small red bird with black wings", "a blue bird"])
    model, rng = pipe.config, torch.Generator().manual_seed(1)
    noise, eps = (torch.randn(2, size, generator=rng, dtype=torch.float64) for size in (model.noise_dim, model.condition_dim))
    with torch.no_grad():
        plain, fused = (
            network(sentence.double(), words.double(), mask, noise, eps)
            for network in (exact(pipe.generator), fuse_batch_norms(exact(pipe.generator)))
        )
    for own, theirs in zip(fused.images, plain.images, strict=True):
        torch.testing.assert_close(own, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["before", "after"])
@torch.no_grad()
def test_hooks_edit_a_fused_generator_alike(kind):
    """Hooks laid before fusing are copied, hooks laid after it find the same modules."""
    generator, inputs = warmed("dmmgan")
    untouched = generator(*inputs).images[-1]

    def mute(network):
        network.refinements[0].response_gate.register_forward_hook(lambda module, args, gate: torch.zeros_like(gate))
        network.refinements[1].up.register_forward_hook(lambda module, args, hidden: hidden.flip(3))

    fused = fuse_batch_norms(generator) if kind == "after" else None
    mute(generator)
    if kind == "after":
        mute(fused)
    fused = fused or fuse_batch_norms(generator)
    edited = generator(*inputs).images[-1]
    assert (edited - untouched).abs().max() > 1e-3
    torch.testing.assert_close(fused(*inputs).images[-1], edited, rtol=1e-5, atol=2e-5)


def test_hooks_on_fused_layers_still_fire():
    generator, inputs = warmed("dmmgan")
    block = generator.refinements[0]
    seen = []
    for name, module in (("conv", block.up.conv), ("norm", block.up.norm), ("residual", block.residuals[0])):
        module.register_forward_hook(lambda module, args, output, name=name: seen.append(name))
    fuse_batch_norms(generator)(*inputs)
    assert seen == ["residual", "conv", "norm"]


def test_a_norm_that_follows_nothing_stays():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 3, 1))
    assert isinstance(fuse_batch_norms(network)[0], torch.nn.BatchNorm2d)
