"""Cases of other sizes than the published ones, damaged cases, and how a kind registers."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dmm.convert import ConvertError, register_case, replay
from dmm.convert.__main__ import main
from dmm.convert.reference_case import Case, find_replay
from dmm.convert.systems import SYSTEMS
from dmm.models import registry
from dmm.models.captioner import CaptionDecoder
from dmm.models.discriminators import SIZES, Discriminator
from dmm.models.multistage import MultiStage
from dmm.models.registry import find_model

REFERENCE = Path(__file__).parent.parent / "data" / "reference"
CAPTIONING = {"CAP": {"embed_size": 6, "hidden": 8, "num_layers": 1, "vocab": 11}}
SIZES_OF = {  # hyper-parameters that no published case has
    "stackgan2": {"TEXT_DIMENSION": 9, "GAN_EMBEDDING_DIM": 7, "UNCOND_LOSS": 0.5, "COLOR_LOSS": 3.0, "KL": 1.5},
    "attngan": {"EMBEDDING_DIM": 10, "CONDITION_DIM": 7, "LAMBDA": 3.0},
    "mirrorgan": {"EMBEDDING_DIM": 10, "CONDITION_DIM": 7, "LAMBDA1": 3.0},
    "dmgan": {"EMBEDDING_DIM": 10, "CONDITION_DIM": 7, "LAMBDA": 3.0},
    "dmmgan_gldm": {"EMBEDDING_DIM": 10, "CONDITION_DIM": 7, "INCLUDE_GL_DM": True, "LAMBDA_STREAM": 3.0, "LAMBDA_DAMSM": 2.0},
    "dmmgan_nogldm": {"EMBEDDING_DIM": 10, "CONDITION_DIM": 7, "INCLUDE_GL_DM": False, "LAMBDA_STREAM": 3.0, "LAMBDA_DAMSM": 2.0},
}
COMMON = {"GF_DIM": 4, "DF_DIM": 1, "Z_DIM": 5, "R_NUM": 1, "GAMMA1": 2.0, "GAMMA2": 3.0, "GAMMA3": 4.0, "lr_g": 1e-3, "lr_d": 2e-3}
LENGTHS = (6, 2)
FROZEN = ("weights/imgenc/", "weights/capcnn/")


class OurNames:
    """Stands in for a key table: our own names are the upstream ones."""

    def ours(self, key: str) -> str:
        return key

    def state(self, upstream):
        return dict(upstream)


@pytest.fixture
def our_names(monkeypatch):
    """Every system under our own parameter names, so that a case can be made without the published code."""
    for name, system in SYSTEMS.items():
        changed = dataclasses.replace(system, generator_keys=OurNames(), discriminator_keys=lambda size: OurNames())
        monkeypatch.setitem(SYSTEMS, name, changed)
    monkeypatch.setattr("dmm.convert.stand_ins.CAPTION_DECODER", OurNames())


def inputs(hp: dict) -> dict[str, torch.Tensor]:
    batch, steps = len(LENGTHS), max(LENGTHS)
    lengths = torch.tensor(LENGTHS)
    mask = torch.arange(steps)[None] >= lengths[:, None]
    tensors = {f"in/real{size}_u8": torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8) for size in SIZES}
    tensors |= {"in/z": torch.randn(batch, hp["Z_DIM"])}
    if hp["system"] == "stackgan2":
        code = hp["GAN_EMBEDDING_DIM"]
        return tensors | {
            "in/text_embedding": torch.randn(batch, hp["TEXT_DIMENSION"]),
            "in/eps": torch.randn(batch, code),
            "in/mu": torch.randn(batch, code),
            "in/logvar": torch.randn(batch, code),
        }
    width = hp["EMBEDDING_DIM"]
    return tensors | {
        "in/eps": torch.randn(batch, hp["CONDITION_DIM"]),
        "in/sent_emb": torch.randn(batch, width),
        "in/word_embs": torch.randn(batch, width, steps).masked_fill(mask[:, None], 0.0),
        "in/mask": mask,
        "in/cap_lens": lengths,
        "in/captions": torch.randint(0, 11, (batch, steps)),
        "in/class_ids": torch.tensor([1, 2]),
        "weights/imgenc/feat_weight": torch.randn(width, 3),
        "weights/imgenc/code_weight": torch.randn(width, 48),
        "weights/capcnn/weight": torch.randn(6, 192),
        "weights/capcnn/bias": torch.randn(6),
    }


def weights(hp: dict) -> dict[str, torch.Tensor]:
    """Random weights of every network that the kind of case needs."""
    system, networks = SYSTEMS[hp["system"]], {}
    if hp["kind"] != "discriminators":
        networks["G/" if hp["kind"] == "step" else ""] = system.generator(hp)
    if hp["kind"] != "generator":
        networks |= {f"D{size}/": system.discriminator(hp, size) for size in SIZES}
        sizes = hp["CAP"]
        networks["CAPTION_RNN/"] = CaptionDecoder(sizes["vocab"], sizes["embed_size"], sizes["hidden"], sizes["num_layers"])
    return {f"weights/{prefix}{key}": value for prefix, network in networks.items() for key, value in network.state_dict().items()}


def make(system: str, kind: str, path: Path) -> Path:
    """A case of random weights, at sizes of its own, with what this project computes as its results."""
    torch.manual_seed(3)
    hp = COMMON | CAPTIONING | SIZES_OF[system] | {"system": system, "kind": kind}
    tensors = inputs(hp) | weights(hp)
    if kind == "generator":
        tensors = {name: value for name, value in tensors.items() if not name.startswith(FROZEN)}
    found = find_replay(hp)(Case({name: v.double() if v.is_floating_point() else v for name, v in tensors.items()}, hp))
    results = {name: value.detach().float() for name, value in found.items()}
    save_file({name: value.contiguous().clone() for name, value in (tensors | results).items()}, path, {"hp": json.dumps(hp)})
    return path


@pytest.mark.parametrize(
    ("system", "kind", "altered"),
    [
        ("stackgan2", "generator", "out/eval/img2"),
        ("stackgan2", "discriminators", "out/loss/errG_total"),
        pytest.param("mirrorgan", "generator", "out/train/att2", marks=pytest.mark.slow),
        ("mirrorgan", "discriminators", "out/loss/caption_ce"),
        pytest.param("dmgan", "generator", "mid/eval/h_net3/memory_out", marks=pytest.mark.slow),
        ("dmmgan_nogldm", "discriminators", "out/loss_damsm/w_loss1"),
        pytest.param("attngan", "step", "out/ema/initial.linear.weight", marks=pytest.mark.slow),
    ],
)
def test_a_case_of_other_sizes_is_replayed_and_an_altered_value_reported(system, kind, altered, tmp_path, our_names):
    path = make(system, kind, tmp_path / "case.safetensors")
    found = replay(path)
    assert altered in found and max(found.values()) < 1e-6
    with safe_open(path, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    value = tensors[altered]
    value.view(-1)[-1] += 1e-4 * max(1.0, float(value.abs().max()))
    save_file(tensors, path, metadata)
    assert {name for name, off in replay(path).items() if off > 1e-6} == {altered}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"in/x": torch.ones(1)}, "expected results under out/ or mid/ to compare with, found none"),
        ({"in/x": torch.ones(1), "out/y": torch.ones(1), "result/z": torch.ones(1)}, "expected tensors under .*, found result/z"),
    ],
)
def test_a_case_with_something_that_nothing_would_compare_is_refused(tmp_path, tensors, said):
    save_file(tensors, tmp_path / "case.safetensors", {"hp": '{"kind": "mask"}'})
    with pytest.raises(ConvertError, match=said):
        replay(tmp_path / "case.safetensors")


@pytest.mark.parametrize("name", ["text_encoder", "damsm_losses", "stream_decoder", "mask_pairing"])
def test_every_result_of_a_case_is_compared(name, reference, tmp_path):
    """Each in turn is altered in the file; it is the one that differs."""
    with safe_open(reference / f"{name}.safetensors", "pt") as file:
        tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
    results = [key for key in tensors if key.startswith(("out/", "mid/"))]
    assert results
    for key in results:
        value = tensors[key].clone()
        value.view(-1)[0] = ~value.view(-1)[0] if value.dtype == torch.bool else value.view(-1)[0] + 1
        save_file(tensors | {key: value}, tmp_path / "case.safetensors", metadata)
        if value.is_floating_point() and not tensors[key].view(-1)[0].isfinite():
            continue  # minus infinity plus one
        assert {other for other, off in replay(tmp_path / "case.safetensors").items() if off > 1e-6} == {key}


@pytest.mark.parametrize("system", SIZES_OF)
def test_networks_of_a_case_are_those_of_the_registry(system, monkeypatch):
    """What parity proves is what training builds: another builder in the registry is the one that is called."""
    known, hp = SYSTEMS[system], COMMON | CAPTIONING | SIZES_OF[system] | {"system": system}
    asked = []
    entry = find_model(known.name)

    class Other(MultiStage):
        def __init__(self):
            torch.nn.Module.__init__(self)

    class OtherDiscriminator(Discriminator):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.size = 128

    def build(config):
        asked.append(config)
        return Other()

    def discriminators(config):
        asked.append(config)
        return torch.nn.ModuleList([OtherDiscriminator()])

    monkeypatch.setitem(registry._MODELS, known.name, dataclasses.replace(entry, build=build, discriminators=discriminators))
    assert isinstance(known.generator(hp), Other) and isinstance(known.discriminator(hp, 128), OtherDiscriminator)
    assert asked[0] == asked[1] and asked[0].system == known.name and asked[0].widths[0] == hp["GF_DIM"]


def test_a_kind_registers_for_systems_or_for_all(monkeypatch):
    monkeypatch.setattr("dmm.convert.reference_case._KINDS", {})
    monkeypatch.setattr("dmm.convert.reference_case.REGISTERING", ())
    special = register_case("novel", "a", "b")(lambda case: {"out/x": 1})
    general = register_case("novel")(lambda case: {"out/x": 2})
    only = register_case("other", "a")(lambda case: {})
    assert find_replay({"kind": "novel", "system": "b"}) is special
    assert find_replay({"kind": "novel", "system": "c"}) is find_replay({"kind": "novel"}) is general
    assert find_replay({"kind": "other", "system": "a"}) is only
    with pytest.raises(ConvertError, match="other case of a system of a, found 'c'"):
        find_replay({"kind": "other", "system": "c"})
    with pytest.raises(ConvertError, match="novel, other, found 'odd'"):
        find_replay({"kind": "odd"})
    with pytest.raises(ValueError, match="already"):
        register_case("novel", "a")(lambda case: {})


def rewrite(name: str, target: Path, drop: str = "", **hp) -> Path:
    with safe_open(REFERENCE / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys() if key != drop}
        values = json.loads(file.metadata()["hp"]) | hp
    save_file(tensors, target, {"hp": json.dumps({key: value for key, value in values.items() if value is not None})})
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drop": "in/cap_lens"}, "tensors: expected 'in/cap_lens'"),
        ({"vocab": None}, "hyper-parameters: expected 'vocab'"),
        ({"vocab": 7}, r"embedding.weight should be \(7, 24\)"),
        ({"drop": "weights/rnn.weight_hh_l0"}, "missing lstm.weight_hh_l0"),
        ({"ninput": "wide"}, "case.safetensors"),
    ],
)
def test_what_does_not_fit_is_named(changes, message, tmp_path, capsys):
    path = rewrite("text_encoder", tmp_path / "case.safetensors", **changes)
    with pytest.raises(ConvertError, match=message):
        replay(path)
    assert main(["replay", str(path)]) == 2
    assert capsys.readouterr().err.startswith(str(path))


def test_damaged_files_are_refused_or_differ_and_never_crash(tmp_path):
    good = (REFERENCE / "text_encoder.safetensors").read_bytes()
    random.seed(0)
    path, refused = tmp_path / "damaged.safetensors", 0
    for number in range(200):
        data = bytearray(good)
        if number % 4 == 0:
            data = data[: random.randrange(len(data))]
        else:  # in the header as often as in the numbers
            for _ in range(random.randrange(1, 8)):
                data[random.randrange(2000 if number % 2 else len(data))] = random.randrange(256)
        path.write_bytes(data)
        try:
            assert replay(path)
        except ConvertError as error:
            assert "\n" not in str(error) and str(error).startswith(str(path))
            refused += 1
    assert refused > 100
