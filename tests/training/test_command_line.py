"""From nothing to a picture by the commands that a newcomer types, at toy size."""

from PIL import Image
from typer.testing import CliRunner

from dmm.checkpoint import read
from dmm.cli import app


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
    for first, said in ((2, True), (1, False)):
        result = CliRunner().invoke(app, [*arguments, "--set", f"initial_steps={first}", "--set", "frozen_steps=0", "--dry-run"])
        assert result.exit_code == 0 and ("train the 64 px picture alone" in result.output) is said
