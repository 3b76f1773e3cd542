"""The command line says what is wrong in one line, exits with 2, and writes nothing then."""

import dataclasses
import json
import re

import pytest
from PIL import Image
from typer.testing import CliRunner

from dmm.cli import app
from dmm.config import DataConfig, ModelConfig, TrainConfig


@pytest.fixture
def cli():
    return CliRunner()


def test_list_names_systems_recipes_and_checkpoints(cli):
    result = cli.invoke(app, ["list", "--json"])
    found = json.loads(result.output)
    assert result.exit_code == 0 and "dmmgan" in found["systems"] and "dmmgan-aviary" in found["recipes"]


def test_list_says_of_each_system_what_it_is(cli):
    found = json.loads(cli.invoke(app, ["list", "--json"]).output)["systems"]
    assert set(found) >= {"stackgan", "attngan", "mirrorgan", "dmgan", "dmmgan", "dfgan"}
    for name, about in found.items():
        assert about["paper"] and about["adds"] and about["losses"], name
        assert about["parameters"] > 1e6 and f"{name}-cub" in about["recipes"], name
    assert found["dmmgan"]["parameters"] > found["dmgan"]["parameters"]
    text = cli.invoke(app, ["list"]).output
    assert all(
        f"  {name}  {about['paper']}" in text and f"{about['parameters'] / 1e6:.1f} million" in text for name, about in found.items()
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "match", "--recipe", "avary"], "did you mean 'aviary'"),
        (["train", "match", "--set", "batchs=3"], "did you mean 'batch'"),
        (["train", "match", "--set", "batch"], "expected key=value"),
        (["train", "match", "--set", "batch=many"], "expected int"),
        (["train", "match", "--set", "precision=fp8", "--set", "images=2"], "expected fp32, bf16, fp16 or auto"),
        (["train", "gan", "--match", "nowhere"], "nowhere: no checkpoint there"),
        (["generate", "a red bird", "--model", "nowhere"], "nowhere: no checkpoint there"),
        (["bench", "--only", "everything"], "expected one of aviary"),
        (
            ["convert", "--system", "dmgan", "--network", "generator", "nowhere.pth", "runs"],
            "expected a .pth or .safetensors file, found nothing",
        ),
        (["convert", "--system", "gan", "--vocab", "nowhere.pickle", "runs"], "--system: expected one of attngan"),
        (["convert", "--system", "dmgan", "--vocab", "nowhere.pickle", "runs"], "nowhere.pickle"),
        (["convert", "--system", "dmgan", "a", "b", "runs"], "expected [FILE] OUT, found 3 paths"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(cli, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    result = cli.invoke(app, arguments)
    assert result.exit_code == 2 and said in result.output.replace("\n", " ")
    assert not (tmp_path / "runs").exists() and not (tmp_path / "generated").exists()


def test_a_contact_sheet(cli, tmp_path):
    result = cli.invoke(app, ["data", "sheet", "--out", str(tmp_path / "s.png"), "--count", "2", "--columns", "2", "--size", "64"])
    assert result.exit_code == 0 and Image.open(tmp_path / "s.png").width >= 128


def test_the_table_of_fidelity_names_only_flags_that_exist(root):
    rows = [line for line in (root / "docs" / "fidelity.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    fields = {f.name for section in (ModelConfig, DataConfig, TrainConfig) for f in dataclasses.fields(section)}
    functions = {"discriminator_loss", "six_term_loss", "conditional_loss", "matching_aware_penalty", "crop", "SpectralConv2d"}
    source = "\n".join(path.read_text(encoding="utf-8") for path in (root / "dmm").rglob("*.py"))
    assert len(rows) > 40 and all(row.count("|") == 6 for row in rows)
    for row in rows:
        for name in re.findall(r"`([A-Za-z_0-9]+)\(?", row.split("|")[5]):
            assert name in fields or (name in functions and re.search(rf"(def|class) {name}\(", source)), f"{name} in {row}"
