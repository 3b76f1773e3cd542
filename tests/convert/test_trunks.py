"""ImageNet weights of frozen trunks: torchvision's keys, each accounted for; files, folders, the word that fetches; and what is refused."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path

import pytest
import torch

from dmm.config import ConfigError
from dmm.convert import trunks
from dmm.convert.keys import ConvertError
from dmm.convert.trunks import INCEPTION, RESNET, find_file, load_trunk, published_trunk
from dmm.models.image_encoder import SmallImageEncoder
from dmm.models.inception import InceptionEncoder
from dmm.models.resnet import ResNetEncoder

#: The published depth, so that the keys are those of torchvision's files; narrow, so that the files are small.
ENCODERS = {"inception": functools.partial(InceptionEncoder, 6, width=2), "resnet": functools.partial(ResNetEncoder, 5, width=1)}
CLASSIFIERS = {
    "inception": ("AuxLogits.conv0.conv.weight", "AuxLogits.conv1.bn.running_var", "AuxLogits.fc.bias", "fc.weight", "fc.bias"),
    "resnet": ("fc.weight", "fc.bias"),
}
#: Names that torchvision's files are known to have, and how many there are in all without the counters of batch norms.
KNOWN = {
    "inception": ("Conv2d_1a_3x3.conv.weight", "Mixed_5b.branch_pool.bn.running_mean", "Mixed_6e.branch7x7dbl_5.conv.weight",
                  "Mixed_7a.branch7x7x3_4.bn.bias", "Mixed_7c.branch3x3dbl_3b.bn.weight"),
    "resnet": ("conv1.weight", "bn1.running_var", "layer1.0.downsample.1.weight", "layer2.7.conv2.weight", "layer3.35.bn3.bias",
               "layer4.2.conv3.weight"),
}  # fmt: skip
COUNT = {"inception": 94 * 5, "resnet": 155 * 5}  # convolutions, each with a batch norm of four tensors


def published_names(encoder) -> dict[str, str]:
    """Ours -> torchvision's, found by asking the table for every name that its patterns could mean."""
    table, names = trunks.torchvision_table(encoder), {}
    for pattern, ours in table.rows:
        theirs = pattern.pattern.partition("(")[0].replace("\\", "")
        if ours is not None:
            names |= {key: theirs + key.removeprefix(ours) for key in encoder.state_dict() if key.startswith(f"{ours}.")}
    return names


def torchvision_state(kind: str, counters: bool = False) -> dict[str, torch.Tensor]:
    """What torchvision's file of a narrow network would hold."""
    torch.manual_seed(3)
    encoder = ENCODERS[kind]()
    names = published_names(encoder)
    state = {
        names[key]: torch.rand_like(value) + 0.5 if value.is_floating_point() else value
        for key, value in encoder.state_dict().items()
        if key in names and (counters or not key.endswith("num_batches_tracked"))
    }
    return state | {key: torch.rand(3, 2) for key in CLASSIFIERS[kind]}


@pytest.fixture(params=ENCODERS)
def kind(request):
    return request.param


@pytest.fixture
def file(kind, tmp_path):
    """Write a file of torchvision's, changed as asked for."""

    def write(change=lambda state: None, name="weights.pth", **options) -> Path:
        state = torchvision_state(kind, **options)
        change(state)
        torch.save(state, tmp_path / name)
        return tmp_path / name

    return write


@pytest.mark.parametrize("counters", [True, False])
def test_every_number_of_the_trunk_comes_from_the_file_and_the_heads_stay(kind, file, counters):
    path, encoder = file(counters=counters), ENCODERS[kind]()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    found = load_trunk(encoder, str(path))
    names, state = published_names(encoder), torch.load(path, weights_only=True)
    assert set(KNOWN[kind]) <= state.keys()
    assert len([key for key in state if not key.endswith("num_batches_tracked")]) == COUNT[kind] + len(CLASSIFIERS[kind])
    for key, value in encoder.state_dict().items():
        if key.startswith(trunks.HEADS):
            assert torch.equal(value, before[key]), key
        elif not key.endswith("num_batches_tracked"):
            assert torch.equal(value, state[names[key]]) and not torch.equal(value, before[key]), key
    assert found == {"file": "weights.pth", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop(next(iter(state))), "expected .* as torchvision publishes it.*missing stem.0"),
        (
            lambda state: state.update({"surprise.weight": torch.zeros(1)}),
            "expected .* as torchvision publishes it.*unknown key 'surprise.weight'",
        ),
        (
            lambda state: state.update({next(iter(state)): torch.zeros(1, 1)}),
            r"expected .* as torchvision publishes it.*stem.0\S* should be \(",
        ),
        (lambda state: next(iter(state.values())).fill_(float("nan")), r"\S+ holds NaN or infinite numbers"),
    ],
    ids=["missing", "unknown", "shape", "nan"],
)
def test_a_key_that_is_not_accounted_for_is_named(kind, file, change, said):
    encoder = ENCODERS[kind]()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(ConvertError, match=f"(?s)weights.pth: {said}"):
        load_trunk(encoder, str(file(change)))
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_the_file_of_the_other_network_is_refused(tmp_path):
    torch.save(torchvision_state("resnet"), tmp_path / "weights.pth")
    with pytest.raises(ConvertError, match="expected Inception-v3 as torchvision publishes it"):
        load_trunk(ENCODERS["inception"](), str(tmp_path / "weights.pth"))


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"conv1.weight": Hostile()}, tmp_path / "weights.pth")
    with pytest.raises(ConvertError, match="expected only tensors in plain containers"):
        load_trunk(ENCODERS["resnet"](), str(tmp_path / "weights.pth"))
    assert not (tmp_path / "ran").exists()


def test_which_encoders_have_a_trunk():
    assert published_trunk(ENCODERS["inception"]()) is INCEPTION and published_trunk(ENCODERS["resnet"]()) is RESNET
    assert published_trunk(SmallImageEncoder(2)) is None


@pytest.mark.parametrize("known", [INCEPTION, RESNET])
def test_a_trunk_that_nothing_fills_is_refused_with_both_ways_out(known):
    with pytest.raises(ConfigError, match=f"(?s)trunk of {known.name} is frozen.*--set trunk=FILE.*{known.file}.*--set trunk=imagenet"):
        find_file(known, "")


def test_a_folder_gives_each_network_its_file(tmp_path):
    with pytest.raises(ConfigError, match="expected a file, a folder or the word imagenet, found nothing"):
        find_file(RESNET, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"expected one file resnet152\*.pth in .*, found none"):
        find_file(RESNET, str(tmp_path))
    for name in (INCEPTION.file, RESNET.file):
        (tmp_path / name).touch()
    assert find_file(INCEPTION, str(tmp_path)).name == INCEPTION.file and find_file(RESNET, str(tmp_path)).name == RESNET.file
    (tmp_path / "resnet152-b121ed2d.pth").touch()
    with pytest.raises(ConfigError, match="found resnet152-394f9c45.pth, resnet152-b121ed2d.pth"):
        find_file(RESNET, str(tmp_path))


@pytest.fixture
def host(file, kind, tmp_path, monkeypatch):
    """A host that publishes a narrow network under a name with its hash; torch.hub keeps its files in tmp_path/hub."""
    path = file()
    name = f"weights-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth"
    (tmp_path / "host").mkdir()
    path.rename(tmp_path / "host" / name)
    monkeypatch.setattr(trunks, "HOST", (tmp_path / "host").as_uri())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    known = {"inception": "INCEPTION", "resnet": "RESNET"}[kind]
    monkeypatch.setattr(trunks, known, dataclasses.replace(getattr(trunks, known), file=name))
    return tmp_path / "host" / name


def test_the_word_imagenet_fetches_once_and_checks_the_hash(host, kind, tmp_path, capfd):
    encoder = ENCODERS[kind]()
    assert load_trunk(encoder, "imagenet")["file"] == host.name
    kept = tmp_path / "hub/checkpoints" / host.name
    assert kept.is_file() and "100%" in capfd.readouterr().err  # the bar
    host.unlink()
    load_trunk(encoder, "imagenet")  # from what is kept
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(ConfigError, match="is damaged: expected a SHA-256 that begins with"):
        load_trunk(encoder, "imagenet")


def test_what_was_fetched_has_to_have_the_hash_of_its_name(host, kind, tmp_path):
    host.write_bytes(host.read_bytes()[:-1] + b"x")
    with pytest.raises(ConfigError, match="cannot fetch .*invalid hash value"):
        load_trunk(ENCODERS[kind](), "imagenet")
    assert list((tmp_path / "hub/checkpoints").iterdir()) == []


def test_without_a_network_one_line_says_where_to_put_the_file(host, kind, tmp_path):
    host.unlink()
    with pytest.raises(ConfigError) as caught:
        load_trunk(ENCODERS[kind](), "imagenet")
    said = str(caught.value)
    assert "\n" not in said and f"put that file into {tmp_path / 'hub/checkpoints'}, or say where it lies: --set trunk=FILE" in said
