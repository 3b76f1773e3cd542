"""The command line says what is wrong in one line, exits with 2, and writes nothing then."""

import dataclasses
import inspect
import json
import re

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import dmm.cli.evaluate
from dmm.checkpoint import save
from dmm.cli import app
from dmm.cli.options import read_config
from dmm.config import DataConfig, ModelConfig, TrainConfig, to_dict
from dmm.data.vocab import Vocabulary
from dmm.metrics import METRICS
from dmm.metrics.own import OWN_METRICS
from dmm.models.registry import find_model
from dmm.recipes import names, recipe
from dmm.training.objectives import objective_of
from tests.explorer.toy import toy_pipeline


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


def test_list_names_every_setting_with_its_meaning(cli):
    found = json.loads(cli.invoke(app, ["list", "--settings", "--json"]).output)
    sections = (("model", ModelConfig), ("data", DataConfig), ("train", TrainConfig))
    assert set(found) == {f"{section}.{field.name}" for section, kind in sections for field in dataclasses.fields(kind)}
    assert all(about["meaning"] for about in found.values())
    assert found["train.batch"]["default"] == "8" and found["model.widths"]["default"] == "64,64,64"
    assert found["data.mirror"]["default"] == "false"
    lines = cli.invoke(app, ["list", "--settings"]).output.splitlines()
    assert "train.batch=8  captions an optimiser step; paper" in lines and lines.count("# adversarial") == 1
    assert "train.recall=0.0  weight of naming masked words from the sentence feature alone; read by match; ours" in lines
    assert found["train.kl"]["steps"] == ["gan"] and {about["origin"] for about in found.values()} == {"paper", "published code", "ours"}
    known = {"train.kl": "paper", "train.initial_steps": "paper", "model.mask_pairing": "published code", "train.paired": "ours"}
    assert {key: found[key]["origin"] for key in known} == known


def test_a_recipe_is_shown_as_settings_that_give_it_again(cli):
    lines = cli.invoke(app, ["recipes", "show", "dmgan-cub-m"]).output.splitlines()
    assert lines[0].startswith("# dmgan-cub-m, gan: ")
    settings = [line for line in lines[1:] if line != "data.source="]
    assert read_config("aviary", "gan", settings, strict=False).train == recipe("dmgan-cub-m", "gan").train
    assert read_config("aviary", "gan", settings, strict=True).model == recipe("dmgan-cub-m", "gan").model


@pytest.mark.parametrize("name", names())
def test_a_recipe_is_shown_against_another(cli, name):
    found = json.loads(cli.invoke(app, ["recipes", "show", name, "--against", "dmgan-cub", "--json"]).output)
    own, other = to_dict(recipe(name, "gan")), to_dict(recipe("dmgan-cub", "gan"))
    for key, (value, theirs) in found.items():
        section, _, field = key.partition(".")
        assert value == json.loads(json.dumps(own[section][field])) and theirs == json.loads(json.dumps(other[section][field])) != value
    assert bool(found) == (name != "dmgan-cub")


def test_recipes_differ_in_what_the_paper_says(cli):
    text = cli.invoke(app, ["recipes", "show", "dmgan-cub-m-wg", "--against", "dmgan-cub"]).output
    assert "model.response_gate=false  # dmgan-cub: true" in text and len(text.splitlines()) == 3
    same = cli.invoke(app, ["recipes", "show", "dmgan-cub", "--against", "dmgan-cub"])
    assert same.exit_code == 0 and "the same in every setting of gan" in same.output
    wrong = cli.invoke(app, ["recipes", "show", "dmgan-club"])
    assert wrong.exit_code == 2 and "did you mean 'dmgan-cub'" in wrong.output
    wrong = cli.invoke(app, ["recipes", "show", "dmgan-cub", "--step", "gam"])
    assert wrong.exit_code == 2 and "expected match, caption or gan, found 'gam'" in wrong.output


@pytest.mark.parametrize("name", [name for name in names() if name.endswith("-aviary")])
def test_a_generator_of_other_data_is_trained_with_what_they_can_give(name, capsys):
    config = read_config(name, "gan", ["source=cats"])
    assert config.train.paired == config.train.corrupt_sentence == 0 and "paired=0" in capsys.readouterr().err
    assert config.train.adversarial_start == 0 and config.train.damsm > 0, "something has to say what a picture should be like"
    assert bool(config.train.kl) == bool(read_config(name, "gan", None).train.kl)
    objective_of(find_model(config.model.system), config.train)
    assert read_config(name, "gan", ["source=cats", "paired=2"]).train.paired == 2  # refused later, by name


@pytest.mark.parametrize("step", ["match", "caption"])
def test_an_aid_that_only_aviary_can_give_is_left_out_of_other_data_unless_asked_for(step, capsys):
    assert read_config("aviary", step, None).train.part_colours > 0 and not capsys.readouterr().err
    assert read_config("aviary", step, ["source=cats"]).train.part_colours == 0
    assert "for other data the recipe has part_colours=0" in capsys.readouterr().err
    assert read_config("aviary", step, ["source=cats", "part_colours=2"]).train.part_colours == 2  # refused later, by name
    assert not capsys.readouterr().err


def _commands(group, name="dmm"):
    yield name, group
    for word, command in getattr(group, "commands", {}).items():
        yield from _commands(command, f"{name} {word}")


def test_every_help_page_teaches_with_a_command_that_exists():
    every = dict(_commands(typer.main.get_command(app)))
    assert len(every) > 14
    for name, command in every.items():
        example = re.findall(r"^\s*(?:Example[^:]*: )?(dmm [^\n]*)$", command.help, re.MULTILINE)
        assert example, name
        for line in example:
            path = max((other for other in every if f"{line} ".startswith(f"{other} ")), key=len)
            options = {option for parameter in every[path].params for option in parameter.opts}
            assert set(re.findall(r"(?<= )--[a-z-]+", line)) <= options, (name, line)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "match", "--recipe", "avary"], "did you mean 'aviary'"),
        (["train", "match", "--set", "batchs=3"], "did you mean 'batch'"),
        (["train", "match", "--set", "train.batchs=3"], "did you mean 'batch'"),
        (["train", "gan", "--set", "recall=4"], "--set recall: dmm train gan would not read it, but match would; leave it out"),
        (["train", "match", "--set", "train.stream=1"], "--set train.stream: dmm train match would not read it, but gan would"),
        (["train", "match", "--set", "average=0.9"], "but gan would"),
        (["train", "caption", "--set", "gamma1=4"], "but match and gan would"),
        (["train", "gan", "--set", "zzzzzz=3"], "dmm list --settings names them all"),
        (["train", "match", "--set", "batch"], "expected key=value"),
        (["train", "match", "--set", "batch=many"], "expected a whole number"),
        (["train", "match", "--set", "precision=fp8", "--set", "images=2"], "expected one of auto, fp32, bf16, fp16"),
        (["train", "gan", "--match", "nowhere"], "nowhere: no checkpoint there"),
        (["train", "gan", "--match", "nowhere", "--set", "stream=0"], "Train it first: dmm train match --recipe aviary --out nowhere"),
        (["train", "gan", "--recipe", "dmmgan-cub"], "data.source: expected the folder"),
        (["train", "match", "--recipe", "dmgan-coco", "--dry-run"], "give it: --set source=DIR"),
        (["train", "gan", "--recipe", "dmmgan-cub", "--set", "source=cub"], "train match --recipe dmmgan-cub --out runs/dmmgan-cub-match"),
        (["train", "caption"], "Train it first: dmm train match --recipe aviary --out runs/aviary-match"),
        (["generate", "a red bird", "--model", "nowhere"], "nowhere: no checkpoint there"),
        (["generate", "a red bird", "--device", "gpu"], "--device: expected auto, cpu or cuda, found 'gpu'"),
        (["evaluate", "--device", "gpu"], "--device: expected auto, cpu or cuda, found 'gpu'"),
        (["bench", "--only", "everything"], "expected one of app, aviary"),
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


def test_the_help_of_evaluate_names_what_is_measured_by_default(cli):
    shown = " ".join(re.sub("[^a-z0-9_,.; -]", " ", cli.invoke(app, ["evaluate", "--help"], terminal_width=400).output).split())
    assert f"by default {', '.join(METRICS)}; with --source {', '.join(OWN_METRICS)}." in shown


@pytest.mark.parametrize(
    "measured, unread",
    [
        (["--source", "cats"], ["--judge", "--encoders", "--captioner", "--sheet", "--sentences", "--save-every=1000"]),
        (
            ["--sentences", "cats.txt", "--metrics", "memory"],
            ["--captions=2000", "--judge", "--encoders", "--captioner", "--features=judge", "--sheet", "--save-every=7"],
        ),
    ],
)
def test_evaluate_refuses_options_that_have_no_effect(cli, tmp_path, monkeypatch, measured, unread):
    """Also those that were typed as they are by default; "dmmgan-aviary" is not even opened."""
    monkeypatch.chdir(tmp_path)
    for option in unread:
        name, _, value = option.partition("=")
        result = cli.invoke(app, ["evaluate", *measured, name, value or "mine"])
        assert (result.exit_code, result.output) == (2, f"dmm: {name}: has no effect with {measured[0]}; leave one of them out\n")
    for read in ["--seed", "3"], ["--device", "cpu"], ["--out", "new.json"], ["--traceback"]:
        assert "no effect" not in str(cli.invoke(app, ["evaluate", "nowhere", *measured, *read]).output)


def test_the_table_of_what_evaluate_reads_names_its_options(cli):
    named = inspect.signature(dmm.cli.evaluate.evaluate).parameters.keys()
    for read in (*dmm.cli.evaluate._READ.values(), dmm.cli.evaluate._EVERY):
        assert read <= named


def test_evaluating_a_model_of_other_things_says_what_is_measured(cli, tmp_path):
    pipe = toy_pipeline()
    pipe.vocab = Vocabulary([f"word{k}" for k in range(len(pipe.vocab.words))])
    pipe.card = {"captions": ["word3 word4"]}
    save(pipe, tmp_path)
    result = cli.invoke(app, ["evaluate", str(tmp_path), "--captions", "2", "--metrics", "attributes"])
    assert result.exit_code == 2 and "trained on other words than those of Aviary's birds" in result.output
    result = cli.invoke(app, ["generate", "a red bird", "--model", str(tmp_path), "--out", str(tmp_path)])
    assert result.exit_code == 2 and "Try: word3 word4" in result.output
    result = cli.invoke(app, ["generate", "word3 zorp \N{BIRD}", "--model", str(tmp_path), "--out", str(tmp_path)])
    assert result.exit_code == 0 and f"left out, not among the 13 words that {tmp_path} knows: zorp, \N{BIRD}\n" in result.output
