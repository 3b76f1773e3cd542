"""The published code's numbers, reproduced: every stored tensor of the reference cases, in float32 and float64."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from dmm.convert import ConvertError, KeyTable, difference, load_upstream, replay, tolerance
from dmm.convert.__main__ import main
from dmm.convert.keys import TABLES
from dmm.convert.upstream import ALL_TABLES
from dmm.models.captioner import CaptionDecoder
from dmm.models.discriminators import create_discriminators
from dmm.models.registry import create_model
from dmm.models.text_encoder import TextEncoder
from dmm.recipes import recipe

REFERENCE = Path(__file__).parent / "data" / "reference"
KEYS = Path(__file__).parent / "data" / "keys"
CASES = {  # name -> tensors to reproduce
    "stackgan2_generator": 74,
    "attngan_generator": 72,
    "attngan_discriminators": 95,
    "mirrorgan_generator": 78,
    "dmgan_generator": 87,
    "dmmgan_gldm_generator": 100,
    "dmmgan_gldm_step": 440,
    "text_encoder": 6,
    "stream_decoder": 5,
    "damsm_losses": 19,
    "mask_pairing": 20,
}


def copy(name: str, target: Path, **changes: torch.Tensor) -> Path:
    """A case with some tensors replaced or added."""
    with safe_open(REFERENCE / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}
        metadata = file.metadata()
    save_file(tensors | changes, target, metadata)
    return target


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_every_stored_tensor_is_reproduced(name, dtype):
    found = replay(REFERENCE / f"{name}.safetensors", dtype)
    assert len(found) == CASES[name]
    too_far = {key: value for key, value in found.items() if value > tolerance(key, dtype, step=name.endswith("step"))}
    assert not too_far


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("stackgan2_generator", "out/train/bn/h_net3.jointConv.1.running_var"),
        ("mirrorgan_generator", "mid/eval/h_net2/sent_att__mean"),
        ("dmgan_generator", "out/eval/img3__mean"),
        ("attngan_discriminators", "out/loss/D128/cond_wrong"),
        ("text_encoder", "out/dmm/words_emb"),
        ("stream_decoder", "out/caption_loss"),
        ("damsm_losses", "out/class/words_scores"),
        ("mask_pairing", "out/b3/memory_out"),
    ],
)
def test_an_altered_value_is_reported(name, tensor, tmp_path, capsys):
    with safe_open(REFERENCE / f"{name}.safetensors", "pt") as file:
        value = file.get_tensor(tensor)
    value.view(-1)[0] += 1e-5 * max(1.0, float(value[value.isfinite()].abs().max()))
    path = copy(name, tmp_path / "altered.safetensors", **{tensor: value})
    wrong = {key for key, off in replay(path).items() if off > tolerance(key, torch.float64)}
    assert wrong == {tensor}
    assert main(["replay", "--quiet", str(path)]) == 1
    assert tensor in capsys.readouterr().out


def test_a_tensor_that_is_not_produced_is_infinitely_far(tmp_path):
    path = copy("text_encoder", tmp_path / "more.safetensors", **{"out/dmm/novel": torch.zeros(2)})
    assert replay(path)["out/dmm/novel"] == float("inf")


def test_the_command_passes_and_fails_as_it_should(tmp_path, capsys):
    assert main(["replay", *(str(REFERENCE / f"{name}.safetensors") for name in ("text_encoder", "mask_pairing"))]) == 0
    assert "all within tolerance" in capsys.readouterr().out
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a case")
    assert main(["replay", str(broken)]) == 2
    assert "broken.safetensors" in capsys.readouterr().err


def test_a_case_of_unknown_kind_is_refused(tmp_path):
    path = tmp_path / "odd.safetensors"
    save_file({"in/x": torch.zeros(1), "out/x": torch.zeros(1)}, path, {"hp": '{"kind": "novel"}'})
    with pytest.raises(ConvertError, match="'novel'"):
        replay(path)
    save_file({"in/x": torch.zeros(1)}, path)
    with pytest.raises(ConvertError, match="hp"):
        replay(path)


def test_difference_by_hand():
    inf = float("inf")
    assert difference(torch.tensor([1.0, 4.5]), torch.tensor([1.0, 4.0])) == pytest.approx(0.125)
    assert difference(torch.tensor([0.1]), torch.tensor([0.2])) == pytest.approx(0.1)
    assert difference(torch.tensor([-inf, 2.0]), torch.tensor([-inf, 2.0])) == 0
    assert difference(torch.tensor([0.0]), torch.tensor([-inf])) == inf
    assert difference(torch.tensor([float("nan")]), torch.tensor([1.0])) == inf
    assert difference(torch.zeros(2), torch.zeros(3)) == inf
    assert difference(None, torch.zeros(3)) == inf


# --- parameter names --------------------------------------------------------------------------------------------------


def published(name: str) -> dict[str, torch.Tensor]:
    """The full-size state dict of a key list, without storage."""
    rows = [line.split("\t") for line in (KEYS / f"{name}.tsv").read_text().splitlines()]
    shapes = {key: () if shape == "scalar" else tuple(map(int, shape.split("x"))) for key, shape, *_ in rows}
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


GENERATORS = [  # key list, the recipe that has its sizes, the key lists of its discriminators
    ("stackgan2_G_NET", "stackgan-cub", "stackgan2"),
    ("attngan_G_NET", "attngan-cub", "attngan"),
    ("attngan_dcgan_G_DCGAN", "attngan-dcgan-cub", "attngan_dcgan"),
    ("mirrorgan_G_NET", "mirrorgan-cub", "attngan"),
    ("dmgan_G_NET", "dmgan-cub", "dmgan"),
    ("dmmgan_gldm_G_NET", "dmmgan-cub", "dmgan"),
    ("dmmgan_nogldm_G_NET", "dmmgan-cub-damsm", "dmgan"),
]


@pytest.mark.parametrize(("name", "source", "judge"), GENERATORS)
def test_every_published_parameter_of_a_system_has_its_place(name, source, judge):
    config = recipe(source).model
    with torch.device("meta"):
        generator, discriminators = create_model(config), create_discriminators(config)
    load_upstream(generator, published(name), TABLES[config.system, "generator"])
    for net in discriminators:
        load_upstream(net, published(f"{judge}_D_NET{net.size}"), TABLES[config.system, f"discriminator{net.size}"])


@pytest.mark.parametrize("system", ["attngan", "mirrorgan", "dmgan", "dmmgan"])
def test_every_published_parameter_of_the_text_side_has_its_place(system):
    with torch.device("meta"):
        encoder, decoder = TextEncoder(5450), CaptionDecoder(5450)
    load_upstream(encoder, published("RNN_ENCODER_vocab5450"), ALL_TABLES[system, "text_encoder"])
    if (system, "caption_decoder") in ALL_TABLES:
        load_upstream(decoder, published("CAPTION_RNN_vocab5450"), ALL_TABLES[system, "caption_decoder"])


def test_unknown_missing_and_mismatched_keys_are_named():
    network = nn.Linear(2, 3)
    with pytest.raises(ConvertError, match="unknown key 'novel.weight'"):
        KeyTable({"fc": "linear"}).ours("novel.weight")
    table = KeyTable({"fc.weight": "weight", "fc.bias": "bias", "unused": None})
    good = {"fc.weight": torch.ones(3, 2), "fc.bias": torch.zeros(3), "unused.weight": torch.ones(1)}
    assert load_upstream(network, good, table).weight.sum() == 6
    with pytest.raises(ConvertError, match="missing bias"):
        load_upstream(network, {"fc.weight": torch.ones(3, 2)}, table)
    with pytest.raises(ConvertError, match=r"weight should be \(3, 2\), found \(3, 3\)"):
        load_upstream(network, good | {"fc.weight": torch.ones(3, 3)}, table)


def test_a_name_stands_for_everything_below_it_and_for_no_neighbour():
    table = KeyTable({"net{s}.conv": "stages.{s-2}.conv"})
    assert table.ours("net3.conv.weight") == "stages.1.conv.weight"
    with pytest.raises(ConvertError):
        table.ours("net3.conv2.weight")
