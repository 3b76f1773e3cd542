"""Networks whose features are compared: the FID community's Inception-v3 from its file, any module by its path, and what is refused."""

from __future__ import annotations

import functools
import hashlib

import pytest
import torch
from torch import Tensor, nn

from dmm.config import ConfigError
from dmm.convert import fid_inception
from dmm.convert.fid_inception import fid_names, load_fid_inception
from dmm.convert.keys import ConvertError
from dmm.metrics import feature_networks
from dmm.metrics.feature_networks import load_feature_network
from dmm.models.inception import FIDInception


class Means(nn.Module):
    """The mean of each channel and that of the upper half."""

    def __init__(self, width: int = 2):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, images: Tensor) -> Tensor:
        half = images[:, :, : images.shape[2] // 2].mean((1, 2, 3))
        return torch.stack((images.mean((1, 2, 3)), half), 1) * self.scale


class Classifier(Means):
    """The same, with three classes."""

    def forward(self, images: Tensor) -> dict:
        features = super().forward(images)
        return {"features": features, "logits": torch.cat((features, features.sum(1, keepdim=True)), 1)}


MEANS = Means()
NUMBER = 3


class Flat(nn.Module):
    """Gives what is no features."""

    def forward(self, images: Tensor) -> Tensor:
        return images


#: Names that the published file is known to have; 94 units of a convolution and four tensors of a batch norm, and the classifier.
KNOWN = ("Conv2d_1a_3x3.conv.weight", "Mixed_5b.branch_pool.bn.running_mean", "Mixed_7c.branch3x3dbl_3b.bn.weight", "fc.weight", "fc.bias")


def state(**changes) -> dict[str, Tensor]:
    """What a file of a narrow network would hold."""
    torch.manual_seed(2)
    theirs = {ours: name for name, ours in fid_names().items()}
    found = {}
    for key, value in FIDInception(width=2, classes=5).state_dict().items():
        module, _, leaf = key.rpartition(".")
        if leaf != "num_batches_tracked":
            found[f"{theirs[module]}.{leaf}"] = torch.rand_like(value) + 0.5
    return found | changes


@pytest.fixture
def file(tmp_path):
    def write(content) -> str:
        torch.save(content, tmp_path / "inception.pth")
        return str(tmp_path / "inception.pth")

    return write


@torch.no_grad()
def test_every_key_of_the_file_is_used_under_its_name(file):
    content = state()
    assert set(KNOWN) <= content.keys() and len(content) == 94 * 5 + 2
    network = load_fid_inception(file(content), width=2, classes=5)
    own = network.state_dict()
    for theirs, ours in fid_names().items():
        for key in content:
            if key.rpartition(".")[0] == theirs:
                assert torch.equal(own[f"{ours}.{key.rpartition('.')[2]}"], content[key])
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    counted = content | {f"{key.rpartition('.')[0]}.num_batches_tracked": torch.tensor(7) for key in content if key.endswith("running_var")}
    assert load_fid_inception(file(counted), width=2, classes=5).stem[0].norm.num_batches_tracked == 7


def test_a_file_that_is_not_the_network_is_refused_by_name(file, tmp_path):
    load = functools.partial(load_fid_inception, width=2, classes=5)
    without = {key: value for key, value in state().items() if key != "fc.bias"}
    for content, said in (
        (without, "missing classifier.bias"),
        (state(**{"AuxLogits.fc.bias": torch.zeros(2)}), "unknown key 'AuxLogits.fc.bias'"),
        (state(**{"fc.weight": torch.zeros(4, 128)}), r"classifier.weight should be \(5, 128\), found \(4, 128\)"),
        ({"weights": "none"}, "expected the state dict"),
    ):
        with pytest.raises(ConvertError, match=said):
            load(file(content))
    with pytest.raises(ConvertError, match="found nothing"):
        load(tmp_path / "none.pth")
    with pytest.raises(ConvertError):  # a module is code, which is not run
        load(file(Means()))


@torch.no_grad()
def test_the_network_is_loaded_by_its_name_with_the_hash_of_the_file(file, tmp_path, monkeypatch):
    path = file(state())
    monkeypatch.setattr(feature_networks, "load_fid_inception", functools.partial(fid_inception.load_fid_inception, width=2, classes=5))
    network = load_feature_network(f"inception:{path}")
    assert network.describe() == {
        "name": "inception:inception.pth",
        "weights_sha256": hashlib.sha256((tmp_path / "inception.pth").read_bytes()).hexdigest(),
    }
    read = network(torch.rand(2, 3, 16, 16) * 2 - 1)
    assert read["features"].shape == (2, 128) and read["logits"]["classes"].shape == (2, 5)


def test_any_module_by_its_path():
    assert load_feature_network("judge") is None
    images = torch.rand(3, 3, 4, 4)
    for name in ("MEANS", "Means"):
        network = load_feature_network(f"{__name__}:{name}")
        assert torch.equal(network(images)["features"], MEANS(images)) and "logits" not in network(images)
    for name, said in (
        ("means", "expected judge, inception:FILE or MODULE:ATTRIBUTE, found 'means'"),
        (f"{__name__}:Medians", "expected a module that Python can import and a name in it"),
        ("no_such_module_here:x", "expected a module that Python can import"),
        (f"{__name__}:NUMBER", "expected an nn.Module, or what makes one without arguments; found int"),
    ):
        with pytest.raises(ConfigError, match=said):
            load_feature_network(name)
    with pytest.raises(ConfigError, match=r"expected features of shape \(3, F\), found shape \(3, 3, 4, 4\)"):
        load_feature_network(f"{__name__}:Flat")(images)
