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
from dmm.models.attngan import AttnGAN
from dmm.models.captioner import CaptionDecoder
from dmm.models.discriminators import SIZES, Discriminator
from dmm.models.dmgan import DMGAN
from dmm.models.dmmgan import DMMGAN
from dmm.models.mirrorgan import MirrorGAN
from dmm.models.stackgan import StackGAN
from dmm.models.text_encoder import TextEncoder

REFERENCE = Path(__file__).parent / "data" / "reference"
CASES = {  # name -> tensors to reproduce
    "stackgan2_generator": 79,
    "attngan_generator": 79,
    "attngan_discriminators": 95,
    "mirrorgan_generator": 88,
    "dmgan_generator": 95,
    "dmmgan_gldm_generator": 108,
    "dmmgan_gldm_step": 473,
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
        ("mirrorgan_generator", "mid/eval/h_net2/sent_att__s5"),
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
    save_file({"in/x": torch.zeros(1)}, path, {"hp": '{"kind": "novel"}'})
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
    rows = [line.split("\t") for line in (REFERENCE / "keys" / f"{name}.tsv").read_text().splitlines()[1:]]
    shapes = {key: () if shape == "scalar" else tuple(map(int, shape.split("x"))) for key, shape, *_ in rows}
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def networks():
    """Key list, our network at the published size, key table."""
    spectral, batch = {"norm": "spectral"}, {"width": 64, "norm": "batch"}
    yield "stackgan2_G_NET", StackGAN, TABLES["stackgan", "generator"]
    yield "attngan_G_NET", AttnGAN, TABLES["attngan", "generator"]
    yield "attngan_dcgan_G_DCGAN", lambda: AttnGAN(residuals=0, one_head=True), TABLES["attngan-dcgan", "generator"]
    yield "mirrorgan_G_NET", MirrorGAN, TABLES["mirrorgan", "generator"]
    yield "dmgan_G_NET", DMGAN, TABLES["dmgan", "generator"]
    yield "dmmgan_gldm_G_NET", DMMGAN, TABLES["dmmgan", "generator"]
    yield "dmmgan_nogldm_G_NET", lambda: DMMGAN(global_memory=False), TABLES["dmmgan", "generator"]
    yield "attngan_dcgan_D_NET256", lambda: Discriminator(256, unconditional=False, **batch), TABLES["attngan-dcgan", "discriminator256"]
    for name, options in (("attngan", batch), ("mirrorgan", batch), ("dmgan", spectral), ("dmmgan", spectral)):
        yield f"{name}_RNN_ENCODER_vocab5450", lambda: TextEncoder(5450), TABLES[name, "text_encoder"]
        for size in SIZES:
            table = TABLES[name, f"discriminator{size}"]
            yield f"{name}_D_NET{size}", lambda size=size, options=options: Discriminator(size, **options), table
    for size in SIZES:
        table = TABLES["stackgan", f"discriminator{size}"]
        yield f"stackgan2_D_NET{size}", lambda size=size: Discriminator(size, text_dim=128, text_first=True, **batch), table
    for name in ("mirrorgan", "dmmgan"):
        yield f"{name}_CAPTION_RNN_vocab5450", lambda: CaptionDecoder(5450), TABLES[name, "caption_decoder"]


@pytest.mark.parametrize(("name", "build", "table"), list(networks()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_published_parameter_has_its_place(name, build, table):
    with torch.device("meta"):
        network = build()
    load_upstream(network, published(name), table)


def test_unknown_missing_and_misshapen_keys_are_named():
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
