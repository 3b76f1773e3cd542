"""The `explorer` command, from flags to files, on a toy checkpoint."""

from __future__ import annotations

import csv
import errno

import pytest
from PIL import Image
from typer.testing import CliRunner

from dmm.checkpoint import save
from explorer.cli import app
from tests.explorer.toy import CAPTION, toy_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("checkpoints") / "toy"
    save(toy_pipeline(), path)
    return str(path)


def explorer(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.mark.parametrize("arguments", [("figures", "--list"), ("figures",)])
def test_list(arguments):
    answer = explorer(*arguments)
    assert answer.exit_code == 0
    assert "dmgan-fig4" in answer.output and "dmgan-fig6b" in answer.output and "Fig. 6b" in answer.output


def test_options_of_a_figure_are_its_flags():
    assert "--top" in explorer("figures", "dmgan-fig6b", "--help").output
    assert "--top" not in explorer("figures", "dmgan-fig4", "--help").output


def test_fig4_writes_what_was_asked(model, tmp_path):
    captions = ("a small red bird", "this blue bird has yellow wings")
    flags = [word for caption in captions for word in ("--caption", caption)]
    answer = explorer("figures", "dmgan-fig4", "--model", model, "--out", tmp_path, "--format", "png,pdf,csv", "--seed", 7, *flags)
    assert answer.exit_code == 0, answer.output
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dmgan-fig4.csv", "dmgan-fig4.pdf", "dmgan-fig4.png", "manifest.json"]
    rows = list(csv.DictReader((tmp_path / "dmgan-fig4.csv").open()))
    assert [r["caption"] for r in rows] == [captions[0]] * 3 + [captions[1]] * 3 and rows[0]["seed"] == "7"
    assert rows[3]["not_in_vocabulary"] == "wings"
    assert (tmp_path / "dmgan-fig4.pdf").read_bytes().startswith(b"%PDF")


def test_fig6b_writes_what_was_asked(model, tmp_path):
    answer = explorer("figures", "dmgan-fig6b", "--model", model, "--out", tmp_path / "new", "--caption", CAPTION, "--top", 2)
    assert answer.exit_code == 0, answer.output
    Image.open(tmp_path / "new" / "dmgan-fig6b.png").verify()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dmgan-fig4", "--format", "bmp"), "expected some of png,pdf,svg,csv"),
        (("dmgan-fig4", "--format", ","), "expected some of png,pdf,svg,csv"),
        (("dmgan-fig4", "--model", "no-such-model"), "no checkpoint there"),
        (("dmgan-fig4", "--columns", "9"), "6"),
        (("dmgan-fig9",), "no figure 'dmgan-fig9'; did you mean 'dmgan-fig5'?"),
    ],
)
def test_mistakes_end_with_code_2_and_a_reason(arguments, said, tmp_path):
    answer = explorer("figures", *arguments, *(() if arguments == ("dmgan-fig9",) else ("--out", tmp_path)))
    assert answer.exit_code == 2 and said in answer.output
    assert not list(tmp_path.iterdir())


def test_unknown_caption_is_answered(model, tmp_path):
    answer = explorer("figures", "dmgan-fig6b", "--model", model, "--out", tmp_path, "--caption", "zeppelin")
    assert answer.exit_code == 2 and "vocabulary" in answer.output


def test_a_reader_who_leaves_early_is_no_error(monkeypatch):
    def closed(*_args, **_options):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("explorer.cli.produce_all", closed)
    result = CliRunner().invoke(app, ["figures", "all"])
    assert (result.exit_code, result.output) == (1, "")
