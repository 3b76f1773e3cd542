"""Weights in 8 bits: each is off by at most half a step of its row, and what is not such a weight is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

from dmm.checkpoint import FILE, CheckpointError, save
from dmm.cli import app
from dmm.int8 import SCALE, WORTH_QUANTISING, dequantise, quantise
from dmm.pipeline import load


@given(seed=st.integers(0, 2**31), magnitude=st.floats(1e-6, 1e6), rows=st.integers(1, 40))
def test_no_weight_is_off_by_more_than_half_a_step_of_its_row(seed, magnitude, rows):
    rng = torch.Generator().manual_seed(seed)
    weight = magnitude * torch.randn(rows, -(-WORTH_QUANTISING // rows // 9), 3, 3, generator=rng)
    stored = quantise({"w": weight})
    if weight.numel() < WORTH_QUANTISING:
        return
    assert stored["w"].dtype == torch.int8 and stored["w"].shape == weight.shape and stored["w" + SCALE].shape == (rows,)
    off = (dequantise(stored)["w"] - weight).abs().flatten(1).amax(1)
    assert (off <= stored["w" + SCALE] * 0.5001).all()


def test_the_largest_weight_of_a_row_zeros_and_small_tensors_come_back():
    weight = torch.zeros(64, 64)
    weight[3, 5], weight[3, 6], weight[8, 1] = -12.7, 6.4, 254.0
    back = dequantise(quantise({"w": weight, "b": torch.tensor([0.5, -2.0]), "count": torch.tensor(7)}))
    assert back["w"][3, 5].item() == pytest.approx(-12.7) and back["w"][3, 6].item() == pytest.approx(6.4) and back["w"][8, 1] == 254
    assert (back["w"] != 0).sum() == 3 and torch.equal(back["b"].float(), torch.tensor([0.5, -2.0])) and back["count"] == 7


@pytest.mark.parametrize(
    "tensors",
    [
        {"w:scale": torch.ones(3)},
        {"w": torch.ones(3, 2), "w:scale": torch.ones(3)},
        {"w": torch.ones(3, 2, dtype=torch.int8), "w:scale": torch.ones(2)},
        {"w": torch.ones(3, 2, dtype=torch.int8), "w:scale": torch.ones(3).half()},
        {"w": torch.ones(3, dtype=torch.int8), "w:scale": torch.ones(3)},
    ],
    ids=["without weights", "of floats", "of another number", "of another kind", "of a vector"],
)
def test_scales_that_belong_to_nothing_are_refused(tensors):
    with pytest.raises(ValueError, match="one fp32 scale for each row of an int8 tensor"):
        dequantise(tensors)


def test_a_shipped_model_exported_in_8_bits_generates_nearly_the_same(tmp_path):
    said = CliRunner().invoke(app, ["export", "dmmgan-aviary", str(tmp_path / "small"), "--weights", "int8", "--leave-out", "captioner"])
    assert said.exit_code == 0, said.output
    pipe, small = load("dmmgan-aviary"), load(tmp_path / "small")
    assert small.captioner is None and small.card == pipe.card and (tmp_path / "small" / "README.md").exists()
    numbers = sum(p.numel() for p in small.parameters())
    assert (tmp_path / "small" / FILE).stat().st_size < 1.1 * numbers  # bytes: one a number and a few more
    caption = "a small red bird with black wings"
    before, after = (model(caption, seed=1, redescribe=False).images[-1] for model in (pipe, small))
    assert 0 < (before - after).abs().mean() < 0.01
    save(small, tmp_path / "again", "fp32")
    assert torch.equal(load(tmp_path / "again")(caption, seed=1).images[-1], after)


def test_a_file_whose_scales_are_false_is_one_error(tmp_path):
    pipe = load("dmmgan-aviary")
    save(pipe, tmp_path, "int8")
    with safe_open(tmp_path / FILE, "pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
    name = next(key for key in tensors if key.endswith(SCALE))
    save_file(tensors | {name: tensors[name][:-1].clone()}, tmp_path / FILE, metadata)
    with pytest.raises(CheckpointError, match="one fp32 scale for each row"):
        load(tmp_path)
    save_file(tensors | {name: tensors[name] * float("nan")}, tmp_path / FILE, metadata)
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        load(tmp_path)


def test_examples_take_the_place_of_the_runs_own(tmp_path):
    examples = ["--example", "a red bird", "--example", "a blue bird"]
    said = CliRunner().invoke(app, ["export", "dmmgan-aviary", str(tmp_path / "out"), *examples])
    assert said.exit_code == 0 and load(tmp_path / "out").card["captions"] == ["a red bird", "a blue bird"]
    said = CliRunner().invoke(app, ["export", "dmmgan-aviary", str(tmp_path / "not"), "--example", "zorp"])
    assert said.exit_code == 2 and "zorp" in said.output and not (tmp_path / "not").exists()


def test_only_parts_that_generating_does_without_are_left_out(tmp_path):
    said = CliRunner().invoke(app, ["export", "dmmgan-aviary", str(tmp_path / "out"), "--leave-out", "generator"])
    assert said.exit_code == 2 and "--leave-out: expected image_encoder or captioner" in said.output and not (tmp_path / "out").exists()
