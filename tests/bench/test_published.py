"""A published code beside ours, by stand-ins of our own: that both are given the same, and compute it; never how fast."""

import json
import sys

import pytest
import torch
from typer.testing import CliRunner

from dmm.bench import published, systems
from dmm.cli import app
from dmm.errors import InputError
from tests.bench.stand_in import write_checkout
from tests.bench.test_systems import TOY

SYSTEMS = {adapter.system: adapter.name for adapter in published.ADAPTERS}


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(systems, "SMALL", TOY)


def run(*arguments):
    return CliRunner().invoke(app, ["bench", *map(str, arguments), "--sizes", "small", "--seconds", "0", "--batch", "2"])


@pytest.mark.parametrize("system", SYSTEMS)
def test_both_generate_and_learn_the_same(system, toy, tmp_path):
    folder, before = write_checkout(tmp_path / "theirs", system), (torch.get_num_threads(), list(sys.path))
    files = sorted(folder.rglob("*"))
    result = published.bench_against(folder, None, ("small",), 0.0, 2)
    (row,) = result["rows"]
    assert (result["published"], result["system"], result["threads"]) == (SYSTEMS[system], system, 1)
    assert 0 < row["generation"]["difference"] <= published.SAME and row["generation"]["ratio"] > 0
    if system == "dfgan":
        assert row["training"] is None and "not without a GPU" in published.table(result)
    else:
        assert row["training"]["loss_difference"] < 1e-4 and row["training"]["ratio"] > 0
    assert published.same(result) and json.loads(json.dumps(result)) == result
    assert (torch.get_num_threads(), sys.path) == before and sorted(folder.rglob("*")) == files
    assert not {name.partition(".")[0] for name in sys.modules} & set(published.NAMES)


def test_other_pictures_are_told(toy, tmp_path):
    write_checkout(tmp_path, "dfgan")
    path = tmp_path / "code/models/GAN.py"
    path.write_text(path.read_text().replace("nn.LeakyReLU(0.2), nn.Conv2d", "nn.LeakyReLU(0.1), nn.Conv2d"))
    found = run("--against", tmp_path)
    assert found.exit_code == 1 and "pictures differ" in found.output and "DF-GAN as published beside dfgan" in found.output


@pytest.mark.parametrize(("adapter", "file"), [(adapter, file) for adapter in published.ADAPTERS for file in adapter.files])
def test_a_missing_file_is_named(adapter, file, tmp_path):
    write_checkout(tmp_path, adapter.system)
    (tmp_path / file).unlink()
    with pytest.raises(InputError, match=f"no checkout of {adapter.name}: it lacks {file}; --only"):
        published.find_adapter(tmp_path, adapter.system)


def test_a_checkout_is_known_by_its_files(tmp_path):
    for system in SYSTEMS:
        assert published.find_adapter(write_checkout(tmp_path / system, system)).system == system


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("print 'Python 2'", "SyntaxError"),
        ("raise KeyError('a\\nb')", "KeyError"),
        ("class NetG: pass", "NetG() takes no arguments"),
        ("from torch import nn\nclass NetG(nn.Linear):\n    def __init__(self, *sizes): super().__init__(2, 3)", "unknown key 'weight'"),
    ],
)
def test_a_checkout_that_does_not_run_is_one_line(damage, said, toy, tmp_path):
    write_checkout(tmp_path, "dfgan")
    (tmp_path / "code/models/GAN.py").write_text(damage)
    found = run("--against", tmp_path)
    assert found.exit_code == 2 and said in found.stderr and len(found.stderr.splitlines()) == 1 and str(tmp_path) in found.stderr


def test_arguments_that_do_not_fit_are_refused(tmp_path):
    assert "found none at" in run("--against", tmp_path / "nowhere").stderr
    assert (
        "--only: expected with --against one of dmgan, attngan, dfgan, found 'dmmgan'"
        in run("--against", tmp_path, "--only", "dmmgan").stderr
    )
    with pytest.raises(InputError, match="--batch: expected at least 2"):
        published.bench_against(write_checkout(tmp_path, "dfgan"), None, ("small",), 0.0, 1)
