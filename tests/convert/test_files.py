"""`dmm convert`: every published network becomes part of a checkpoint, and what does not fit is named and changes nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import random
import warnings
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

from dmm.checkpoint import FILE, CheckpointError, build, read_file, write
from dmm.cli import app
from dmm.config import ModelConfig
from dmm.convert.files import read_state
from dmm.convert.keys import ConvertError
from dmm.convert.upstream import ALL_TABLES, Folder, _published_name, convert, networks, systems, translate
from dmm.data.pickles import PickleError
from dmm.data.vocab import Vocabulary
from dmm.models.discriminators import create_discriminators
from dmm.models.registry import list_models
from dmm.pipeline import Pipeline, load

KEYS = Path(__file__).parent.parent / "data" / "keys"
REFERENCE = Path(__file__).parent.parent / "data" / "reference"
WORDS = "this bird is red and has a white belly with black wings".split()
TOY = {"widths": (4, 4, 4), "noise_dim": 5, "condition_dim": 6, "text_dim": 8, "embedding_dim": 7}
TOYS = {  # system -> a config of a few channels
    "stackgan": ModelConfig("stackgan", **(TOY | {"widths": (8, 4, 2), "embedding_dim": 300}), convention="pad0"),
    "attngan": ModelConfig("attngan", **TOY, convention="pad0"),
    "attngan-dcgan": ModelConfig("attngan-dcgan", **TOY, residuals=0, convention="pad0"),
    "mirrorgan": ModelConfig("mirrorgan", **TOY, convention="pad0"),
    "dmgan": ModelConfig("dmgan", **TOY, convention="pad0"),
    "dmmgan": ModelConfig("dmmgan", **TOY),
    "dfgan": ModelConfig(
        "dfgan", **(TOY | {"widths": (8, 4, 2), "condition_dim": 100}), convention="pad0", noise_truncation=2.0, noise_scale=0.88
    ),
}
LISTS = {  # (system, network) -> its lists of keys
    ("stackgan", "generator"): ["stackgan2_G_NET"],
    ("attngan", "generator"): ["attngan_G_NET"],
    ("attngan-dcgan", "generator"): ["attngan_dcgan_G_DCGAN"],
    ("attngan-dcgan", "discriminator256"): ["attngan_dcgan_D_NET256"],
    ("mirrorgan", "generator"): ["mirrorgan_G_NET"],
    ("dmgan", "generator"): ["dmgan_G_NET"],
    ("dmmgan", "generator"): ["dmmgan_gldm_G_NET", "dmmgan_nogldm_G_NET"],
    ("dfgan", "generator"): ["dfgan_NetG"],
    ("dfgan", "discriminator256"): ["dfgan_NetD", "dfgan_NetC"],
}
for _size in (64, 128, 256):
    for _system, _name in (
        ("stackgan", "stackgan2"),
        ("attngan", "attngan"),
        ("mirrorgan", "attngan"),
        ("dmgan", "dmgan"),
        ("dmmgan", "dmgan"),
    ):
        LISTS[_system, f"discriminator{_size}"] = [f"{_name}_D_NET{_size}"]
for _system in ("attngan", "attngan-dcgan", "mirrorgan", "dmgan", "dmmgan", "dfgan"):
    LISTS[_system, "text_encoder"] = ["RNN_ENCODER_vocab5450"]
    LISTS[_system, "image_encoder"] = ["CNN_ENCODER"]
for _system in ("mirrorgan", "dmmgan"):
    LISTS[_system, "caption_encoder"] = ["CAPTION_CNN"]
    LISTS[_system, "caption_decoder"] = ["CAPTION_RNN_vocab5450"]
CASES = [(system, network, name) for (system, network), names in LISTS.items() for name in names]


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    """A published list of keys."""
    rows = [line.split("\t") for line in (KEYS / f"{name}.tsv").read_text().splitlines()]
    return {key: () if shape == "scalar" else tuple(map(int, shape.split("x"))) for key, shape in rows}


def published(name: str) -> dict[str, torch.Tensor]:
    """The full-size state dict of a list: every tensor shows one stored zero again and again."""
    one = {True: torch.zeros(1, dtype=torch.int64), False: torch.zeros(1)}
    return {key: one[key.endswith("num_batches_tracked")].expand(shape or (1,)).reshape(shape) for key, shape in shapes(name).items()}


def stored(name: str) -> dict[str, torch.Tensor]:
    """The same with every number stored, as a file has to hold it."""
    return {key: value.contiguous() for key, value in published(name).items()}


def upstream(network: torch.nn.Module, system: str, kind: str, name: str) -> dict[str, torch.Tensor]:
    """A network of ours under the published names of a list."""
    state, table = network.state_dict(), ALL_TABLES[system, kind]
    return {key: torch.zeros(1) if table.ours(key) is None else state[table.ours(key)] for key in shapes(name)}


def toy(system: str, **changes) -> Pipeline:
    """A small system with random weights."""
    torch.manual_seed(3)
    config = dataclasses.replace(TOYS[system], **changes)
    vocab = Vocabulary(WORDS, config.convention)
    return Pipeline(config, vocab, build("generator", config, vocab), build("text_encoder", config, vocab))


def captions_pickle(path: Path, vocab: Vocabulary) -> Path:
    """A published vocabulary file, as Python 2 wrote them."""
    names = dict(enumerate(vocab.tokens))
    path.write_bytes(pickle.dumps([[vocab.encode("this bird is red")], [], names, {word: i for i, word in names.items()}], 2))
    return path


def files(folder: Path, pipe: Pipeline) -> dict[str, Path]:
    """The published files of a toy system: generator, text encoder, vocabulary."""
    system = pipe.config.system
    name = LISTS[system, "generator"][0 if pipe.config.global_memory else -1]
    paths = {network: folder / f"{network}.pth" for network in ("generator", "text_encoder")}
    generator = upstream(pipe.generator, system, "generator", name)
    torch.save({"model": {"netG": generator}} if system == "dfgan" else generator, paths["generator"])
    encoder = upstream(pipe.text_encoder, system, "text_encoder", "RNN_ENCODER_vocab5450")
    torch.save(encoder, paths["text_encoder"], _use_new_zipfile_serialization=False)  # as old as the published ones
    return paths | {"vocab": captions_pickle(folder / "captions.pickle", pipe.vocab)}


def join(out: Path, system: str, paths: dict[str, Path]) -> Folder:
    convert(out, system, "generator", paths["generator"])
    return convert(out, None, "text_encoder", paths["text_encoder"], paths["vocab"])


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("system", "network", "name"), CASES, ids=lambda value: value)
def test_every_published_list_converts(system, network, name):
    state, sizes = translate(system, network, {key.removeprefix("module."): value for key, value in published(name).items()})
    left_out = [key for key in shapes(name) if ALL_TABLES[system, network].ours(key) is None]
    assert len(state) == len(shapes(name)) - len(left_out)
    assert sum(value.numel() for value in state.values()) > 1000
    assert sizes.get("text_dim", 256) == (1024 if (system, network) == ("stackgan", "generator") else 256)


def test_every_system_and_network_has_a_list():
    assert set(LISTS) == set(ALL_TABLES)
    assert systems() == sorted(entry.name for entry in list_models() if not entry.reference.startswith("none"))


@pytest.mark.parametrize(("system", "network", "name"), CASES, ids=lambda value: value)
def test_errors_speak_of_published_names(system, network, name):
    table = ALL_TABLES[system, network]
    names = [key for key in shapes(name) if table.ours(key) is not None]
    assert [_published_name(table, table.ours(key)) for key in names] == names


def test_sizes_are_read_from_the_shapes():
    config = ModelConfig()
    assert translate("dmmgan", "generator", published("dmmgan_gldm_G_NET"))[1] == {
        "text_dim": 256, "condition_dim": 100, "noise_dim": 100, "widths": [64, 64, 64], "residuals": 2, "global_memory": True,
    }  # fmt: skip
    assert translate("dmmgan", "generator", published("dmmgan_nogldm_G_NET"))[1]["global_memory"] is False
    assert translate("stackgan", "generator", published("stackgan2_G_NET"))[1]["widths"] == [64, 32, 16]
    assert translate("dfgan", "generator", published("dfgan_NetG"))[1]["widths"] == [128, 64, 32]
    encoder = translate("dmgan", "text_encoder", published("RNN_ENCODER_vocab5450"))[1]
    assert encoder == {"embedding_dim": config.embedding_dim, "text_dim": config.text_dim}


# --- whole systems at toy width ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "changes"), [*((name, {}) for name in TOYS if name != "stackgan"), ("dmmgan", {"global_memory": False})]
)
def test_a_converted_system_generates_what_its_weights_generate(system, changes, tmp_path):
    pipe = toy(system, **changes)
    folder = join(tmp_path / "out", system, files(tmp_path, pipe))
    assert folder.lacks() == []
    found = load(tmp_path / "out")
    assert found.config == pipe.config and found.vocab == pipe.vocab
    ours, theirs = found("a red bird", seed=5), pipe("a red bird", seed=5)
    assert all(torch.equal(a, b) for a, b in zip(ours.images, theirs.images, strict=True))


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*_generator.safetensors")), ids=lambda path: path.stem)
def test_published_weights_generate_the_published_pictures_after_conversion(path, tmp_path):
    with safe_open(path, "pt") as file:
        case, hp = {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()["hp"])
    system = {"stackgan2": "stackgan"}.get(hp["system"], hp["system"].partition("_")[0])
    torch.save({key.removeprefix("weights/"): value for key, value in case.items() if key.startswith("weights/")}, tmp_path / "g.pth")
    convert(tmp_path / "out", system, "generator", tmp_path / "g.pth")
    tensors, config, _, _ = read_file(tmp_path / "out" / FILE)
    generator = build("generator", dataclasses.replace(config, mask_pairing="published"), Vocabulary([])).eval()
    generator.load_state_dict({key.removeprefix("generator."): value for key, value in tensors.items()})
    sentence = case.get("in/sent_emb", case.get("in/text_embedding"))
    with torch.no_grad():
        images = generator(sentence, *(case.get(f"in/{name}") for name in ("word_embs", "mask", "z", "eps"))).images
    expected = {f"out/eval/img{i}__mean": image for i, image in enumerate(images, start=1)} | {"out/img__mean": images[-1]}
    compared = [name for name in expected if name in case]
    assert compared
    for name in compared:
        torch.testing.assert_close(expected[name].mean((2, 3)), case[name], rtol=0, atol=3e-5)


def test_generate_and_the_app_session_take_a_converted_checkpoint(tmp_path, monkeypatch):
    from explorer.session import Session

    monkeypatch.chdir(tmp_path)
    paths, cli = files(tmp_path, toy("dmgan")), CliRunner()
    for arguments in (
        ["--system", "dmgan", "--network", "generator", str(paths["generator"]), "birds"],
        ["--network", "text_encoder", str(paths["text_encoder"]), "birds"],
        ["--vocab", str(paths["vocab"]), "birds"],
    ):
        result = cli.invoke(app, ["convert", *arguments])
        assert result.exit_code == 0, result.output
    assert "try: dmm generate" in result.output
    result = cli.invoke(app, ["generate", "a red bird", "--model", "birds", "--trace"])
    assert result.exit_code == 0 and len(list((tmp_path / "generated").glob("*.png"))) == 3
    session = Session("birds")
    trace = session.trace(None, "a red bird", 0)
    assert session.models == ("birds",) and trace.words[0] == ["a", "red", "bird"] and trace.images[-1].shape[-1] == 256


def test_the_app_opens_published_files_as_they_are(tmp_path, monkeypatch):
    from explorer import launch, ui
    from explorer.cli import app as explorer

    paths, served = files(tmp_path, toy("dmgan")), []
    monkeypatch.setattr(launch, "serve", lambda built, *_: served.append(built))
    monkeypatch.setattr(ui, "build", lambda session, votes: (session.models, session.trace(None, "a red bird", 0).words[0]))
    command = [
        "app",
        str(paths["generator"]),
        "--system",
        "dmgan",
        "--text-encoder",
        str(paths["text_encoder"]),
        "--vocab",
        str(paths["vocab"]),
    ]
    result = CliRunner().invoke(explorer, command)
    assert result.exit_code == 0 and served == [(("generator",), ["a", "red", "bird"])], result.output
    for arguments, said in (
        (command[:4], "generator.pth without --text-encoder, --vocab"),
        (["app", "dmmgan-aviary", *command[2:]], "found no .pth"),
        ([*command, str(paths["text_encoder"])], "generator.pth, "),
        ([*command[:3], "dfgan", *command[4:]], "generator"),
    ):
        result = CliRunner().invoke(explorer, arguments)
        assert result.exit_code == 2 and said in result.output and result.output.count("\n") == 1, result.output


def test_stackgan_keeps_its_generator_and_says_what_is_missing(tmp_path):
    config = TOYS["stackgan"]
    torch.save(upstream(build("generator", config, Vocabulary([])), "stackgan", "generator", "stackgan2_G_NET"), tmp_path / "g.pth")
    folder = convert(tmp_path / "out", "stackgan", "generator", tmp_path / "g.pth")
    assert folder.config == config and folder.lacks() == ["text_encoder", "--vocab captions.pickle"]
    with pytest.raises(CheckpointError, match="no vocabulary yet"):
        load(tmp_path / "out")


def test_encoders_and_discriminators_join_too(tmp_path):
    pipe = toy("dmmgan", caption_embedding=6, caption_hidden=5, discriminator_width=2)
    join(tmp_path / "out", "dmmgan", files(tmp_path, pipe))
    decoder = build("captioner", pipe.config, pipe.vocab).decoder
    torch.save(upstream(decoder, "dmmgan", "caption_decoder", "CAPTION_RNN_vocab5450"), tmp_path / "d.pth")
    convert(tmp_path / "out", None, "caption_decoder", tmp_path / "d.pth")
    assert load(tmp_path / "out").captioner is None  # one half only
    for size, judge in zip((64, 128, 256), create_discriminators(pipe.config), strict=True):
        torch.save(upstream(judge, "dmmgan", f"discriminator{size}", f"dmgan_D_NET{size}"), tmp_path / "d.pth")
        folder = convert(tmp_path / "out", None, f"discriminator{size}", tmp_path / "d.pth")
    assert set(folder.card["converted"]) >= {"generator", "vocabulary", "caption_decoder", "discriminator256"}
    assert folder.config.discriminator_width == 2 and folder.config.caption_hidden == 5
    assert len(load(tmp_path / "out")("a red bird").images) == 3


def test_the_halves_of_dfgans_discriminator_come_together_or_apart(tmp_path):
    judge = create_discriminators(dataclasses.replace(TOYS["dfgan"], discriminator_width=2))[0]
    halves = {name: upstream(judge, "dfgan", "discriminator256", f"dfgan_{name.replace('n', 'N')}") for name in ("netD", "netC")}
    torch.save({"model": {"netG": {}, **halves}, "epoch": 3}, tmp_path / "both.pth")
    whole = convert(tmp_path / "a", "dfgan", "discriminator256", tmp_path / "both.pth")
    for name, half in halves.items():
        torch.save(half, tmp_path / f"{name}.pth")
        apart = convert(tmp_path / "b", "dfgan", "discriminator256", tmp_path / f"{name}.pth")
    assert whole.tensors.keys() == apart.tensors.keys() == {f"discriminators.0.{key}" for key in judge.state_dict()}


def test_converting_again_replaces(tmp_path):
    paths = files(tmp_path, toy("dmmgan"))
    first = join(tmp_path / "out", "dmmgan", paths).tensors["generator.heads.0.conv.weight"]
    pipe = toy("dmmgan", global_memory=False)
    torch.nn.init.ones_(pipe.generator.heads[0].conv.weight)
    again = convert(tmp_path / "out", "dmmgan", "generator", files(tmp_path, pipe)["generator"])
    assert not again.config.global_memory and not torch.equal(again.tensors["generator.heads.0.conv.weight"], first)
    assert load(tmp_path / "out")("a red bird").stages[1].global_gate is None


# --- containers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", ["bare", "module.", "state_dict", "model", "nested", "safetensors", "legacy", "half", "uncounted"])
def test_the_usual_wrappings_are_undone(wrap, tmp_path):
    pipe, path = toy("dmgan"), tmp_path / "g.pth"
    state = upstream(pipe.generator, "dmgan", "generator", "dmgan_G_NET")
    wrapped = {
        "module.": {f"module.{key}": value for key, value in state.items()},
        "state_dict": {"epoch": 3, "state_dict": state},
        "model": {"model": state, "optimizer": {"state": {}}},
        "nested": {"state_dict": {"netG": {f"module.{key}": value for key, value in state.items()}}},
        "half": {key: value.half() if value.is_floating_point() else value for key, value in state.items()},
        "uncounted": {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")},
    }.get(wrap, state)
    if wrap == "safetensors":
        save_file({key: value.clone() for key, value in state.items()}, path)
    else:
        torch.save(wrapped, path, _use_new_zipfile_serialization=wrap != "legacy")
    folder = convert(tmp_path / "out", "dmgan", "generator", path)
    for key, value in pipe.generator.state_dict().items():
        torch.testing.assert_close(
            folder.tensors[f"generator.{key}"], value, rtol=1e-3 if wrap == "half" else 0, atol=1e-3 if wrap == "half" else 0
        )
    assert read_file(tmp_path / "out" / FILE)[1] == folder.config


def averages(raw: dict, mean: dict) -> dict[str, dict]:
    """Files that hold a generator as it was trained and its average: kind -> content."""
    found = {name: {"G": raw, "D": raw, name: mean} for name in ("G_ema", "g_ema", "netG_ema", "generator_ema", "params_ema", "ema")}
    found |= {name: {wrapper: raw, name: mean} for wrapper, name in (("params", "params_ema"), ("state_dict", "ema_state_dict"))}
    found["beside netG"] = {"netG": raw, "netD": raw, "ema": mean}
    found["_state_dict"] = {"netG_state_dict": raw, "netG_ema_state_dict": mean}
    found["below"] = {"model": {"netG": raw}, "ema": {"netG": mean}}
    found["AveragedModel"] = {"netG": raw, "ema": {"n_averaged": torch.tensor(3), **{f"module.{key}": mean[key] for key in mean}}}
    found["compiled"] = {"netG_ema": {f"_orig_mod.module.{key}": mean[key] for key in mean}, "netG": raw}
    return found


def one_number(value: float) -> dict:
    return {"a.weight": torch.full((2,), value)}


@pytest.mark.parametrize("kind", averages({}, {}))
def test_an_average_is_taken_where_a_file_holds_one(kind, tmp_path):
    torch.save(averages(one_number(1.0), one_number(2.0))[kind], tmp_path / "g.pth")
    assert read_state(tmp_path / "g.pth", "generator")["a.weight"].tolist() == [2.0, 2.0]


WRAPPED = {
    "netG_state_dict": ("generator", lambda state: {"epoch": 3, "netG_state_dict": state, "netD_state_dict": one_number(9.0)}),
    "netD_state_dict": ("discriminator64", lambda state: {"netG_state_dict": one_number(9.0), "netD_state_dict": state}),
    "_orig_mod.": ("generator", lambda state: {f"_orig_mod.{key}": value for key, value in state.items()}),
    "settings of an average": ("generator", lambda state: {"netG": state, "ema": {"decay": 0.999}}),
    "no average of an encoder": ("text_encoder", lambda state: {"state_dict": state, "ema": one_number(9.0)}),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_further_wrappings_are_undone(kind, tmp_path):
    network, wrap = WRAPPED[kind]
    torch.save(wrap(one_number(1.0)), tmp_path / "g.pth")
    assert {key: value.tolist() for key, value in read_state(tmp_path / "g.pth", network).items()} == {"a.weight": [1.0, 1.0]}


MISTAKEN = {
    "page": (b"\n<!DOCTYPE html><html>404</html>", "Download it again"),
    "page without a type": (b"<html>confirm the download</html>", "Download it again"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "gzip": (b"\x1f\x8b\x08\x00", "Unpack it first"),
}


@pytest.mark.parametrize("kind", MISTAKEN)
def test_what_was_saved_in_place_of_weights_gets_its_remedy(kind, tmp_path):
    content, remedy = MISTAKEN[kind]
    (tmp_path / "g.pth").write_bytes(content)
    refused(remedy, tmp_path / "out", "dmgan", "generator", tmp_path / "g.pth")


# --- what does not fit ------------------------------------------------------------------------------------------------


def refused(said: str, out: Path, *arguments, **options) -> None:
    """A conversion that fails with one line that holds ``said``, and changes nothing."""
    before = (out / FILE).read_bytes() if (out / FILE).exists() else None
    with pytest.raises((ConvertError, CheckpointError, PickleError)) as caught:
        convert(out, *arguments, **options)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert before == ((out / FILE).read_bytes() if (out / FILE).exists() else None)
    assert before is not None or not out.exists()
    assert not list(out.parent.rglob("*.partial"))


def test_unknown_missing_and_mismatched_keys_are_all_named(tmp_path):
    path, out = tmp_path / "g.pth", tmp_path / "out"
    state = upstream(toy("dmgan").generator, "dmgan", "generator", "dmgan_G_NET")
    state["novel.weight"] = state.pop("h_net2.A.weight")
    state["img_net1.img.0.weight"] = torch.zeros(3, 9, 3, 3)
    torch.save(state, path)
    refused(f"{path}: not the generator of dmgan: unknown novel.weight", out, "dmgan", "generator", path)
    refused("missing h_net2.A.weight", out, "dmgan", "generator", path)
    refused("shape mismatch img_net1.img.0.weight (3, 9, 3, 3) instead of (3, 4, 3, 3)", out, "dmgan", "generator", path)


def test_another_architecture_is_refused(tmp_path):
    paths, out = files(tmp_path, toy("attngan")), tmp_path / "out"
    refused("not the generator of dmgan: unknown h_net2.att.conv_context.weight", out, "dmgan", "generator", paths["generator"])
    refused("none of its 9 keys belongs to a generator of attngan", out, "attngan", "generator", paths["text_encoder"])
    refused("not the text_encoder of attngan", out, "attngan", "text_encoder", paths["generator"])
    paths = files(tmp_path, toy("dfgan"))
    refused("expected the state dict of a text_encoder, found a dict with", out, "dfgan", "text_encoder", paths["generator"])


def test_tensors_that_share_a_storage_are_taken_apart(tmp_path):
    encoder = toy("dmgan").text_encoder
    flat = torch.cat([value.flatten() for value in encoder.state_dict().values()])  # as cuDNN keeps an LSTM's weights
    sizes = [value.numel() for value in encoder.state_dict().values()]
    pieces = dict(zip(encoder.state_dict(), flat.split(sizes), strict=True))
    encoder.load_state_dict({key: pieces[key].view_as(value) for key, value in encoder.state_dict().items()}, assign=True)
    torch.save(upstream(encoder, "dmgan", "text_encoder", "RNN_ENCODER_vocab5450"), tmp_path / "x.pth")
    found = convert(tmp_path / "out", "dmgan", "text_encoder", tmp_path / "x.pth").tensors
    assert all(torch.equal(found[f"text_encoder.{key}"], value) for key, value in encoder.state_dict().items())


def test_words_that_do_not_fit_are_refused_with_both_sizes(tmp_path):
    pipe, out = toy("dmgan"), tmp_path / "out"
    paths = files(tmp_path, pipe)
    captions_pickle(tmp_path / "coco.pickle", Vocabulary([*WORDS, "zebra", "pizza"], "pad0"))
    convert(out, "dmgan", "text_encoder", paths["text_encoder"])
    refused("text_encoder has 13, captions.pickle has 15", out, vocab=tmp_path / "coco.pickle")
    convert(tmp_path / "other", "dmgan", vocab=tmp_path / "coco.pickle")
    refused("text_encoder has 13, captions.pickle has 15", tmp_path / "other", None, "text_encoder", paths["text_encoder"])
    vocab = Vocabulary([*WORDS, "zebra"], "pad0")
    parts = {"generator": pipe.generator, "text_encoder": pipe.text_encoder}
    write(tmp_path / "hand", parts, pipe.config, vocab, {})
    with pytest.raises(CheckpointError, match="a vocabulary of 13 ids, this one has 14"):
        load(tmp_path / "hand")


def test_networks_of_other_sizes_are_refused(tmp_path):
    paths, out = files(tmp_path, toy("dmgan")), tmp_path / "out"
    convert(out, "dmgan", "generator", paths["generator"])
    (tmp_path / "more").mkdir()
    other = files(tmp_path / "more", toy("dmgan", text_dim=12))
    refused("text_dim is 12, but the generator in the folder (generator.pth) has 8", out, None, "text_encoder", other["text_encoder"])
    refused("expected more of dmgan, which it holds, found --system attngan", out, "attngan", "text_encoder", paths["text_encoder"])


def test_a_trained_checkpoint_is_not_written_over(tmp_path):
    pipe = toy("dmmgan")
    write(tmp_path / "run", {"generator": pipe.generator, "text_encoder": pipe.text_encoder}, pipe.config, pipe.vocab, {"steps": 3})
    refused("found a trained checkpoint", tmp_path / "run", "dmmgan", "generator", files(tmp_path, pipe)["generator"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((None, "generator", "x.pth"), "--system: expected one of attngan"),
        (("dmgann", "generator", "x.pth"), "--system: expected one of"),
        (("dmgan", "renderer", "x.pth"), "nothing"),
        (("dmgan", "generator", "."), "found a folder"),
        (("dmgan", "generator", None), "expected a file with --network"),
        (("dmgan", None, None), "expected a file with --network"),
    ],
)
def test_commands_that_say_too_little(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(said, Path("out"), *arguments)


def test_a_network_that_a_system_does_not_have(tmp_path):
    torch.save(stored("RNN_ENCODER_vocab5450"), tmp_path / "x.pth")
    said = "stackgan has generator, discriminator64, discriminator128, discriminator256; found 'text_encoder'"
    refused(said, tmp_path / "out", "stackgan", "text_encoder", tmp_path / "x.pth")
    assert "text_encoder" in networks("dmgan")


def test_the_command_says_it_in_one_line_and_exits_with_2(tmp_path):
    result = CliRunner().invoke(
        app, ["convert", "--system", "dmgan", "--network", "generator", str(tmp_path / "x.pth"), str(tmp_path / "out")]
    )
    assert result.exit_code == 2 and "expected a .pth or .safetensors file, found nothing" in result.output.replace("\n", " ")
    result = CliRunner().invoke(app, ["convert", "a", "b", "c"])
    assert result.exit_code == 2 and not (tmp_path / "out").exists()


# --- hostile and damaged files ----------------------------------------------------------------------------------------


class Touch:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize(
    "kind", ["zip", "legacy", "bare pickle", "a whole network", "in the dict", "TorchScript", "text", "empty", "a list"]
)
def test_hostile_and_foreign_files_are_refused_and_nothing_runs(kind, tmp_path):
    marker, path, out = tmp_path / "marker", tmp_path / "x.pth", tmp_path / "out"
    state = upstream(toy("dmgan").text_encoder, "dmgan", "text_encoder", "RNN_ENCODER_vocab5450")
    if kind in ("bare pickle", "text", "empty"):
        path.write_bytes({"bare pickle": pickle.dumps(Touch(marker)), "text": b"<html>404</html>", "empty": b""}[kind])
    elif kind == "TorchScript":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    else:
        content = {"in the dict": state | {"x": Touch(marker)}, "a whole network": torch.nn.Linear(2, 2), "a list": [torch.ones(2)]}
        torch.save(content.get(kind, Touch(marker)), path, _use_new_zipfile_serialization=kind != "legacy")
    refused(f"{path}: expected", out, "dmgan", "text_encoder", path)
    assert not marker.exists()


def damage(whole: bytes, rng: random.Random) -> bytes:
    """A copy that is cut, overwritten in up to four places, or both."""
    damaged = bytearray(whole[: rng.randrange(len(whole))] if rng.random() < 0.25 else whole)
    for _ in range(rng.randint(1, 4)):
        if damaged:
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    return bytes(damaged)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_random_corruptions_of_weights_are_refused_or_change_values_only(kind, tmp_path):
    path, out, rng = tmp_path / "x.pth", tmp_path / "out", random.Random(kind)
    state = upstream(toy("dmgan").text_encoder, "dmgan", "text_encoder", "RNN_ENCODER_vocab5450")
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    whole, expected = path.read_bytes(), translate("dmgan", "text_encoder", state)[0]
    outcomes = {"refused": 0, "taken": 0}
    for _ in range(250):
        path.write_bytes(damage(whole, rng))
        try:
            found = convert(out, "dmgan", "text_encoder", path).tensors
        except ConvertError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            assert not out.exists()
            outcomes["refused"] += 1
            continue
        outcomes["taken"] += 1
        assert {key: value.shape for key, value in found.items()} == {f"text_encoder.{key}": value.shape for key, value in expected.items()}
        (out / FILE).unlink()
        out.rmdir()
    assert min(outcomes.values()) > 20, outcomes


def test_a_damaged_folder_is_named(tmp_path):
    paths, out = files(tmp_path, toy("dmgan")), tmp_path / "out"
    convert(out, "dmgan", "text_encoder", paths["text_encoder"])
    whole = (out / FILE).read_bytes()
    (out / FILE).write_bytes(whole.replace(b"pad0", b"pad1"))
    refused("the file is damaged", out, None, "generator", paths["generator"])
    (out / FILE).write_bytes(whole[:-5])
    refused("found a damaged one", out, None, "generator", paths["generator"])


@pytest.mark.slow
def test_a_published_size_goes_all_the_way(tmp_path):
    torch.save(stored("dmgan_G_NET"), tmp_path / "g.pth")
    torch.save(stored("RNN_ENCODER_vocab5450"), tmp_path / "t.pth")
    vocab = captions_pickle(tmp_path / "captions.pickle", Vocabulary([*WORDS, *(f"word{i}" for i in range(5449 - len(WORDS)))], "pad0"))
    join(tmp_path / "out", "dmgan", {"generator": tmp_path / "g.pth", "text_encoder": tmp_path / "t.pth", "vocab": vocab})
    pipe = load(tmp_path / "out")
    assert len(pipe.vocab) == 5450 and pipe.config == ModelConfig("dmgan", convention="pad0")
    card = json.loads(json.dumps(pipe.card))
    assert card["converted"]["text_encoder"]["file"] == "t.pth"
    (tmp_path / "out" / FILE).unlink()


def test_nested_tensors_are_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nested tensors are new
        torch.save({"a": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])}, tmp_path / "x.pth")
    with pytest.raises(ConvertError, match=r"a: expected a dense tensor of real numbers, found torch\.float32 nested"):
        read_state(tmp_path / "x.pth", "generator")
