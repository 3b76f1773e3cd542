"""From nothing to a picture by the commands that a newcomer types, at toy size."""

from PIL import Image
from typer.testing import CliRunner

from dmm.cli import app


def test_the_three_steps_and_generate_end_to_end(tmp_path, monkeypatch, toy_options):
    monkeypatch.chdir(tmp_path)
    cli, toy = CliRunner(), toy_options(steps=2)
    for arguments in (
        ["train", "match"],
        ["train", "caption", "--match", "runs/aviary-match"],
        ["train", "gan", "--set", "initial_steps=1", "--set", "frozen_steps=0", "--set", "initial_batch=4"],
        ["generate", "a small red bird", "--model", "runs/dmmgan-aviary-gan", "--trace"],
    ):
        result = cli.invoke(app, arguments + (toy if arguments[0] == "train" else []))
        assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "generated/00-256.png").size == (256, 256)
    assert (tmp_path / "generated/trace.npz").is_file()
