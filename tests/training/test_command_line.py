"""From nothing to a picture by the commands that a newcomer types, at toy size."""

import json
from pathlib import Path

from PIL import Image
from typer.testing import CliRunner

from dmm.checkpoint import read
from dmm.cli import app
from dmm.recipes import recipe
from dmm.training.typed_options import TypedOptions


def test_the_three_steps_and_generate_end_to_end(tmp_path, monkeypatch, toy_options):
    monkeypatch.chdir(tmp_path)
    cli = CliRunner()
    for arguments in (
        ["train", "match"],
        ["train", "caption", "--match", "runs/aviary-match"],
        ["train", "gan", "--set", "initial_steps=1", "--set", "frozen_steps=0", "--set", "initial_batch=4"],
        ["generate", "a small red bird", "--model", "runs/dmmgan-aviary-gan", "--trace"],
    ):
        result = cli.invoke(app, arguments + (toy_options(arguments[1], steps=2) if arguments[0] == "train" else []))
        assert result.exit_code == 0, result.output
        assert arguments[0] != "train" or "  next: dmm " in result.output
    captions = read(tmp_path / "runs/dmmgan-aviary-gan")[3]["captions"]
    assert len(captions) == 8 and all(" bird" in f" {caption}" for caption in captions)
    assert Image.open(tmp_path / "generated/00-256.png").size == (256, 256)
    assert (tmp_path / "generated/trace.npz").is_file()


def test_a_run_too_short_for_the_larger_pictures_says_so(tmp_path, monkeypatch, earlier_runs, toy_options):
    monkeypatch.chdir(tmp_path)
    match, caption = map(str, earlier_runs)
    arguments = ["train", "gan", "--match", match, "--caption", caption, *toy_options("gan", steps=2, initial_batch=4)]
    for first, stages, said in ((2, 1, "64 px picture"), (2, 2, "64 and 128 px pictures"), (2, 3, None), (1, 1, None)):
        schedule = {"initial_steps": first, "initial_stages": stages, "frozen_steps": 0}
        changes = [part for key, value in schedule.items() for part in ("--set", f"{key}={value}")]
        result = CliRunner().invoke(app, [*arguments, *changes, "--dry-run"])
        assert result.exit_code == 0 and ("note: all" in result.output) is (said is not None)
        assert said is None or (f"train the {said} alone" in result.output and "for all sizes: --set initial_steps=0\n" in result.output)


def test_the_guide_says_how_long_the_small_recipe_trains_its_first_pictures_alone():
    guide, settings = (Path(__file__).parents[2] / "docs/training.md").read_text(), recipe("dmmgan-aviary", "gan").train
    assert f"64 and 128 px alone for {settings.initial_steps:,} of its {settings.steps:,} steps and freezes nothing" in guide
    assert f"captions every {settings.sample_every} steps" in guide and (settings.initial_stages, settings.frozen_steps) == (2, 0)


def test_going_on_needs_the_run_directory_alone(tmp_path, monkeypatch, earlier_runs, toy_options):
    monkeypatch.chdir(tmp_path)
    match, caption = map(str, earlier_runs)
    cli, again = CliRunner(), ["train", "gan", "--out", "run", "--resume"]
    begin = [
        "train",
        "gan",
        "--recipe",
        "dmgan-aviary",
        "--match",
        match,
        "--caption",
        caption,
        "--out",
        "run",
        *toy_options("gan", steps=2),
    ]
    result = cli.invoke(
        app, [*begin, *toy_options("gan", steps=2), "--set", "initial_steps=0", "--set", "frozen_steps=0", "--set", "generator_lr=0.004"]
    )
    assert result.exit_code == 0, result.output
    begun, settings = json.loads(Path("run/options.json").read_text()), json.loads(Path("run/config.json").read_text())
    assert (begun["recipe"], begun["match"]) == ("dmgan-aviary", match) and settings["train"]["generator_lr"] == 0.004

    result = cli.invoke(app, [*again, "--set", "steps=3"])
    assert result.exit_code == 0 and "goes on with other settings than before: steps=3 (was 2)" in result.output
    assert json.loads(Path("run/config.json").read_text())["train"] == settings["train"] | {"steps": 3}
    assert read(Path("run"))[3]["steps"] == 3

    result = cli.invoke(app, again)  # what was typed last time is kept
    assert result.exit_code == 0 and "3 steps" in result.output and "other settings" not in result.output
    result = cli.invoke(app, [*again, "--recipe", "dmmgan-aviary"])
    assert result.exit_code == 2 and "was begun with model.system=dmgan, not dmmgan" in result.output
    Path("run/options.json").write_text("{")
    result = cli.invoke(app, again)
    assert result.exit_code == 2 and "options.json: damaged" in result.output


def test_options_that_are_typed_again_count():
    earlier = TypedOptions("dmgan-aviary", ("steps=3", "seed=1"), match="a")
    assert TypedOptions().over(earlier) == earlier and earlier.over(None) == earlier
    later = TypedOptions(settings=("seed=2",), match="b").over(earlier)
    assert later == TypedOptions("dmgan-aviary", ("steps=3", "seed=1", "seed=2"), match="b")
    assert TypedOptions(settings=("seed=1",)).over(later).settings == ("steps=3", "seed=2", "seed=1")
    assert later.command("gan", Path("my run")) == (
        "dmm train gan --recipe dmgan-aviary --out 'my run' --match b --set steps=3 --set seed=1 --set seed=2"
    )
