"""DF-GAN equals its published code: pictures, features, losses, second-order gradients and a whole step; other sizes replay too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dmm.convert import ConvertError, replay, tolerance
from dmm.convert.dfgan import GENERATOR, discriminator_table
from dmm.models.dfgan import DFGAN, TargetAwareDiscriminator, map_widths

CASES = {"dfgan_generator": 13, "dfgan_step": 518}


def upstream_names(network: torch.nn.Module, table, candidates: list[str]) -> dict[str, torch.Tensor]:
    """A network's numbers under those published names that the table leads to them."""
    state = network.state_dict()
    return {key: state[table.ours(key)].clone() for key in candidates if table.ours(key) in state}


def generator_keys(blocks: int) -> list[str]:
    leaves = [f"fuse{f}.affine{a}.fc_{kind}.linear{i}" for f in (1, 2) for a in (0, 1) for kind in ("gamma", "beta") for i in (1, 2)]
    modules = ["fc", "to_rgb.1"] + [f"GBlocks.{n}.{leaf}" for n in range(blocks) for leaf in [*leaves, "c1", "c2", "c_sc"]]
    return [f"{module}.{kind}" for module in modules for kind in ("weight", "bias")]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * name.endswith("step")) for name in CASES])
def test_every_stored_tensor_is_reproduced(reference, name, dtype):
    found = replay(reference / f"{name}.safetensors", dtype)
    assert len(found) == CASES[name]
    assert not {key: value for key, value in found.items() if value > tolerance(key, dtype, step=name.endswith("step"))}


def write_case(path: Path, size: int, **changes) -> Path:
    """A generator case of another size, filled with this project's own numbers in single precision."""
    torch.manual_seed(0)
    generator = DFGAN(5, 4, map_widths(2, size))
    weights = upstream_names(generator, GENERATOR, generator_keys(len(generator.blocks)))
    assert len(weights) == len(generator.state_dict())
    inputs = {"in/z": torch.randn(2, 4), "in/sent_emb": torch.randn(2, 5)}
    seen = {}
    generator.blocks[1].fusion2.register_forward_hook(lambda module, inputs, output: seen.update({"mid/GBlocks.1.fuse2": output[0]}))
    with torch.no_grad():
        image = generator(inputs["in/sent_emb"], None, None, inputs["in/z"]).stages[0].image
    out = {"out/img__s5": image[..., ::5, ::5], "out/img__mean": image.mean((2, 3))} | seen | changes
    hp = {"system": "dfgan", "kind": "generator", "imsize": size, "nf": 2, "cond_dim": 5, "z_dim": 4}
    tensors = {f"weights/{key}": value for key, value in weights.items()} | inputs | out
    save_file({key: value.contiguous() for key, value in tensors.items()}, path, {"hp": json.dumps(hp)})
    return path


@pytest.mark.parametrize("size", [32, 64])
def test_other_sizes_and_other_modules_replay(tmp_path, size):
    assert max(replay(write_case(tmp_path / "case.safetensors", size)).values()) < 1e-5


def test_an_altered_picture_is_reported(tmp_path):
    path = write_case(tmp_path / "case.safetensors", 32)
    with safe_open(path, "pt") as file:
        mean = file.get_tensor("out/img__mean")
    mean[0, 0] += 1e-3
    found = replay(write_case(tmp_path / "case.safetensors", 32, **{"out/img__mean": mean}))
    assert {key for key, value in found.items() if value > 1e-4} == {"out/img__mean"}


def test_a_module_that_is_not_there_is_named(tmp_path):
    path = write_case(tmp_path / "case.safetensors", 32, **{"mid/GBlocks.7": torch.zeros(1)})
    with pytest.raises(ConvertError, match="GBlocks.7.*3 blocks"):
        replay(path)


def test_unused_shortcuts_are_left_out():
    table = discriminator_table(256)
    assert table.ours("DBlocks.2.conv_s.weight") == "trunk.blocks.2.shortcut.weight"
    assert [table.ours(f"DBlocks.{n}.conv_s.bias") for n in (3, 4, 5)] == [None] * 3
    with pytest.raises(ConvertError, match="unknown key"):
        table.ours("DBlocks.6.conv_s.weight")
    assert discriminator_table(64).ours("DBlocks.3.conv_s.bias") is None
    net = TargetAwareDiscriminator(32, 2, 5)
    assert [type(block.shortcut).__name__ for block in net.trunk.blocks] == ["Conv2d"] * 3
