"""`dmm train all`: three runs one after another, each what its own command would make of it."""

import json
import shutil

import pytest
import torch
from typer.testing import CliRunner

from dmm.checkpoint import read
from dmm.cli import app
from dmm.config import Config, override, require_read
from dmm.pipeline import load
from dmm.recipes import recipe
from dmm.training.sequence import TrainingSequence, part_names

SHORT = {"steps": 2, "initial_steps": 1, "frozen_steps": 0, "initial_batch": 4}


@pytest.fixture(scope="module")
def called(toy_options):
    """Call `dmm train ...` at toy size: exit code and output."""

    def call(*arguments: str, settings: bool = True, **changes):
        options = toy_options(arguments[0], **SHORT | changes) if settings else []
        result = CliRunner().invoke(app, ["train", *arguments, *options])
        return result.exit_code, result.output

    return call


@pytest.fixture
def train(tmp_path, monkeypatch, called):
    """The same, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return called


@pytest.fixture(scope="module")
def whole(called, tmp_path_factory):
    """A finished sequence, made once by `dmm train all --out one`: its folder, and what was said."""
    folder = tmp_path_factory.mktemp("sequence")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code, said = called("all", "--out", "one")
    assert code == 0, said
    return folder / "one", said


@pytest.fixture
def one(whole, tmp_path):
    """A copy of it in the test's own folder."""
    return shutil.copytree(whole[0], tmp_path / "one")


def _weights(directory):
    return read(directory)[0]


def _same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_the_sequence_is_the_three_commands(train, whole, tmp_path):
    one, said = whole
    assert [f"part {n} of 3, {name}: 2 steps, seed 0" in said for n, name in ((1, "match"), (2, "caption"), (3, "gan"))] == [True] * 3
    assert "one/gan/model.safetensors\n  next: dmm generate" in said
    for name in ("match", "caption", "gan"):
        given = {"match": [], "caption": ["--match", "match"], "gan": ["--match", "match", "--caption", "caption"]}[name]
        code, said = train(name, "--recipe", "dmmgan-aviary", "--out", name, *given)
        assert code == 0, said
        assert _same(_weights(one / name), _weights(tmp_path / name)), name
    assert load(one / "gan")("a small red bird", seed=3).images[-1].shape == (1, 3, 256, 256)


def test_the_card_says_how_each_part_was_made(train, tmp_path):
    assert train("all", "--out", "one", "--set", "caption.train.seed=5")[0] == 0
    card, plan = read(tmp_path / "one/gan")[3], json.loads((tmp_path / "one/run.json").read_text())
    assert list(card["parts"]) == ["match", "caption"] and list(plan["parts"]) == ["match", "caption", "gan"]
    for name, record in (card["parts"] | {"gan": card}).items():
        assert record["command"].startswith(f"dmm train {name} --recipe dmmgan-aviary --out one/{name}"), name
        assert record["steps"] == 2 and record["seconds"] >= 0 and record["machine"], name
        assert record["seed"] == (5 if name == "caption" else 0) and ("--set train.seed=5" in record["command"]) is (name == "caption")
    assert plan["parts"]["gan"]["command"] == card["command"] and "caption.train.seed=5" in plan["settings"]


def test_a_stopped_sequence_ends_as_one_that_was_not_stopped(train, whole, tmp_path):
    code, said = train("all", "--out", "parts", "--minutes", "0")
    assert code == 0 and "the time is over; go on with --resume" in said and not (tmp_path / "parts/match").exists()
    assert train("match", "--recipe", "dmmgan-aviary", "--out", "parts/match", "--minutes", "0")[0] == 0  # begun, not finished
    code, said = train("all", "--out", "parts", "--resume", settings=False)  # the settings are those that it was begun with
    assert code == 0 and "parts/match: 2 steps" in said, said
    for name in ("match", "caption", "gan"):
        assert _same(_weights(whole[0] / name), _weights(tmp_path / "parts" / name)), name


def test_finished_parts_are_passed_over(train, one):
    files = [one / name / "model.safetensors" for name in ("match", "caption", "gan")]
    before = [file.stat().st_mtime_ns for file in files]
    (one / "gan/last.pt").unlink()
    (one / "gan/model.safetensors").unlink()
    code, said = train("all", "--out", "one", "--resume", settings=False)
    assert code == 0 and said.count("done before, 2 steps") == 2, said
    after = [file.stat().st_mtime_ns for file in files]
    assert after[:2] == before[:2] and after[2] > before[2]


@pytest.mark.usefixtures("one")
def test_what_cannot_go_on_says_why(train, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for arguments, said in (
        (["--out", "one"], "a run is there already; go on with --resume"),
        (["--out", "other", "--resume"], "other/run.json: nothing to resume; leave out --resume"),
        (["--out", "one", "--resume", "--recipe", "dmmgan-cub", "--set", "source=cub"], "begun with --recipe dmmgan-aviary, not"),
        (["--out", "one", "--resume", "--set", "match.steps=3"], "one/match: has 2 of 3 steps, but one/caption was made from it"),
        (["--out", "new", "--recipe", "dmgan-cub", "--set", "source=cub", "--set", "caption.steps=3"], "its parts: match, gan"),
        (["--out", "new", "--set", "match.stream=1"], "match would not read it, but gan would"),
        (["--out", "new", "--recipe", "dmgan-cub", "--set", "source=cub", "--set", "content=1"], "match and gan would not read it"),
        (["--out", "new", "--set", "gan.noise_dimm=3"], "did you mean 'noise_dim'"),
    ):
        code, output = train("all", *arguments, settings=False)
        assert code == 2 and said in output, output
        assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_plan_is_named(train, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/run.json").write_text('{"recipe": 3}')
    code, output = train("all", "--out", "one", "--resume", settings=False)
    assert code == 2 and "one/run.json: damaged" in output


def test_a_dry_run_speaks_of_all_parts_and_writes_nothing(train, tmp_path):
    code, said = train("all", "--out", "one", "--dry-run")
    assert code == 0, said
    assert said.count("million parameters") >= 6 and said.count("time: 0 h") == 3 and "all parts: 0 h" in said
    assert not list(tmp_path.iterdir())


def test_captioning_belongs_to_the_recipes_that_use_or_show_it():
    def names(name, **changes):
        return part_names(name, override(recipe(name, "gan"), changes))

    assert names("dmmgan-aviary") == names("dmmgan-aviary", stream=0) == ("match", "caption", "gan")
    assert names("dmmgan-cub") == names("mirrorgan-cub") == names("dmgan-cub", stream=1) == ("match", "caption", "gan")
    assert names("dmgan-cub") == names("dmmgan-cub-gldm") == ("match", "gan")


def test_a_part_alone_is_told_what_it_reads(tmp_path):
    """So that `dmm train gan --out birds/gan --resume`, and the command on its card, are not refused for what the matching run read."""
    settings = ["recall=0.1", "gan.batch=4", "images=100", "kl=0.5"]
    names = ("match", "gan")
    sequence = TrainingSequence("dmmgan-aviary", settings, tmp_path, {name: Config() for name in names})
    told = {part.name: part.options.settings for part in sequence.parts}
    assert told == {"match": ("recall=0.1", "images=100"), "gan": ("batch=4", "images=100", "kl=0.5")}
    for name in names:
        for text in told[name]:
            require_read(text.partition("=")[0], name)
