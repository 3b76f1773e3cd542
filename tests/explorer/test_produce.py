"""Figures as files: several at once, the manifest, equal bytes on a second run, captions from a file, refusals."""

from __future__ import annotations

import hashlib
import json
import shlex

import pytest

from dmm.checkpoint import save
from explorer import figures
from explorer.produce import MANIFEST, Sources, command_of, produce_all, with_captions
from tests.explorer.handmade import write_run
from tests.explorer.test_cli import explorer
from tests.explorer.toy import toy_pipeline, toy_system


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoints") / "toy"
    save(toy_pipeline(), path)
    return path


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_several_figures_by_one_command_and_the_same_bytes_again(model, tmp_path):
    flags = ["dmgan-fig6b", "dmgan-fig5", "--model", model, "--seed", 4, "--format", "png,csv"]
    for folder in ("one", "two"):
        answer = explorer("figures", *flags, "--out", tmp_path / folder)
        assert answer.exit_code == 0, answer.output
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert names == ["dmgan-fig5.csv", "dmgan-fig5.png", "dmgan-fig6b.csv", "dmgan-fig6b.png", MANIFEST]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


def test_the_manifest_says_how_a_figure_came_about(model, tmp_path):
    explorer("figures", "dmgan-fig5", "--model", model, "--out", tmp_path, "--seeds", 2, "--caption", "a red bird", "--format", "csv")
    explorer("figures", "dmgan-fig6b", "--model", model, "--out", tmp_path, "--format", "csv", "--caption", "a small red bird")
    noted = json.loads((tmp_path / MANIFEST).read_text())
    assert list(noted) == ["dmgan-fig5", "dmgan-fig6b"]
    entry = noted["dmgan-fig5"]
    assert entry["models"] == {str(model): sha256(model / "model.safetensors")} and entry["seed"] == 0
    assert entry["files"] == {"dmgan-fig5.csv": sha256(tmp_path / "dmgan-fig5.csv")}
    assert entry["command"] == shlex.join(
        ["explorer", "figures", "dmgan-fig5", "--model", str(model), "--caption", "a red bird", "--seeds", "2", "--format", "csv"]
    )
    assert entry["versions"]["torch"] and "2 rows" in entry["alt"] and "a red bird" in entry["alt"]


def test_the_command_of_the_manifest_draws_the_same_file(model, tmp_path):
    explorer(
        "figures", "word-maps", "--model", model, "--out", tmp_path / "a", "--caption", "a red bird", "--scale", "shared", "--format", "csv"
    )
    command = json.loads((tmp_path / "a" / MANIFEST).read_text())["word-maps"]["command"]
    answer = explorer(*shlex.split(command)[1:], "--out", tmp_path / "b")
    assert answer.exit_code == 0, answer.output
    assert sha256(tmp_path / "a" / "word-maps.csv") == sha256(tmp_path / "b" / "word-maps.csv")


def test_captions_come_from_a_file(model, tmp_path):
    (tmp_path / "mine.txt").write_text("a red bird\n\nthis small blue bird has a white belly\n")
    flags = ("--model", model, "--out", tmp_path, "--format", "csv", "--captions-file", tmp_path / "mine.txt")
    assert explorer("figures", "dmgan-fig4", "dmgan-fig6b", *flags).exit_code == 0
    assert {"a red bird", "this small blue bird has a white belly"} == {
        row.split(",")[0] for row in (tmp_path / "dmgan-fig4.csv").read_text().splitlines()[1:]
    }
    assert (tmp_path / "dmgan-fig6b.csv").read_text().splitlines()[1].startswith("a red bird,")
    one = figures.get_figure("dmgan-fig6b")
    assert with_captions(one, {"top": 2}, ["first", "second"]) == {"top": 2, "caption": "first"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dmgan-fig66",), "no figure 'dmgan-fig66'; did you mean 'dmgan-fig6b'?"),
        (("dmgan-fig5", "dmgan-fig66"), "no figure 'dmgan-fig66'; did you mean 'dmgan-fig6b'?"),
        (("dmgan-fig5", "--captions-file", "nowhere.txt"), "nowhere.txt: expected a text file"),
        (("dmgan-fig2", "--captions-file", "nowhere.txt"), "dmgan-fig2 generates no captions"),
        (("dmgan-fig2", "--network", "nothing-like-it"), "no recipe or system 'nothing-like-it'"),
        (("dmgan-fig5", "--model", "no-such-model"), "no checkpoint there"),
        (("all", "--model", "no-such-model"), "no checkpoint there"),
        (("memory-learning",), "name one with --run"),
    ],
)
def test_refusals_are_one_line_with_code_2_and_write_nothing(arguments, said, tmp_path):
    answer = explorer("figures", *arguments, "--out", tmp_path)
    assert answer.exit_code == 2 and said in answer.output and len(answer.output.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_manifest_that_is_none_is_left_alone(model, tmp_path):
    (tmp_path / MANIFEST).write_text("[]")
    answer = explorer("figures", "dmgan-fig6b", "--model", model, "--out", tmp_path, "--format", "csv", "--caption", "a red bird")
    assert answer.exit_code == 2 and "Move it away" in answer.output and (tmp_path / MANIFEST).read_text() == "[]"


@pytest.mark.slow
def test_all_draws_what_it_can_and_says_what_it_left_out(model, tmp_path):
    run = write_run(tmp_path / "run")
    done = dict((figure.name, why) for figure, why in produce_all(Sources([str(model)], [str(run)]), tmp_path / "out", ["csv"]))
    assert set(done) == {figure.name for figure in figures.list_figures()}
    drawn = {name for name, why in done.items() if not why}
    assert {"dmgan-fig2", "dmgan-fig4", "dmgan-fig5", "memory-learning", "word-maps"} <= drawn
    assert {path.stem for path in (tmp_path / "out").glob("*.csv")} == drawn
    assert "name 2 or more, each with --model" in done["dmgan-fig3"]


def test_a_figure_of_a_system_without_the_quantity_is_left_out_with_the_reason(tmp_path):
    from dmm.config import ModelConfig
    from dmm.data.vocab import Vocabulary
    from dmm.models.registry import create_model
    from dmm.models.text_encoder import TextEncoder
    from dmm.pipeline import Pipeline

    config = ModelConfig(system="stackgan", widths=(4, 4, 4), noise_dim=5, condition_dim=6, text_dim=8, embedding_dim=8, residuals=1)
    vocab = Vocabulary("a small bird with yellow crown and white belly".split())
    save(Pipeline(config, vocab, create_model(config).eval(), TextEncoder(len(vocab), 8, 8)), tmp_path / "stack")
    answer = explorer("figures", "dmgan-fig6b", "--model", tmp_path / "stack", "--out", tmp_path / "out")
    assert answer.exit_code == 2 and "shows writing gate, which this system does not have" in answer.output
    answer = explorer("figures", "word-maps", "--model", tmp_path / "stack", "--out", tmp_path / "out")
    assert answer.exit_code == 2 and "reads no single words" in answer.output


def test_a_figure_of_one_model_shows_the_first_that_has_its_quantity(model, tmp_path):
    save(toy_system("attngan"), tmp_path / "attn")
    flags = ("--model", model, "--model", tmp_path / "attn", "--caption", "a red bird", "--format", "csv", "--out", tmp_path / "out")
    answer = explorer("figures", "attngan-maps", "dmgan-fig6b", *flags)
    assert answer.exit_code == 0, answer.output
    noted = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert list(noted["attngan-maps"]["models"]) == [str(tmp_path / "attn")] and list(noted["dmgan-fig6b"]["models"]) == [str(model)]
    answer = explorer("figures", "attngan-maps", "--model", model, "--model", model, "--out", tmp_path / "none")
    said = f"which this system does not have: name a model that has it with --model; tried {model}"
    assert answer.exit_code == 2 and said in answer.output


def test_a_figure_of_one_model_prefers_the_system_that_it_is_about(model, tmp_path):
    save(toy_system("mirrorgan"), tmp_path / "mirror")
    save(toy_system("attngan"), tmp_path / "attn")
    flags = [word for name in (tmp_path / "mirror", model, tmp_path / "attn") for word in ("--model", name)]
    answer = explorer("figures", "attngan-maps", "dfgan-interpolation", *flags, "--format", "csv", "--out", tmp_path / "out")
    assert answer.exit_code == 0, answer.output
    noted = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert list(noted["attngan-maps"]["models"]) == [str(tmp_path / "attn")]  # MirrorGAN attends to words too
    assert list(noted["dfgan-interpolation"]["models"]) == [str(tmp_path / "mirror")]  # there is no DF-GAN: the first
    assert noted["attngan-maps"]["printed"] == "column"


def test_flags_that_are_the_defaults_are_not_in_the_command():
    figure = figures.get_figure("dmgan-fig5")
    values = figures.check_options(figure, {"rendered": True})
    assert command_of(figure, values, ["m"], [], ["png"]) == "explorer figures dmgan-fig5 --model m --rendered --format png"
