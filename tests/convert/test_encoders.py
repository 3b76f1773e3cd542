"""Published names of the encoders, their weights by recipe, and the published numbers at full size."""

from __future__ import annotations

import pytest
import torch

from dmm.convert import replay
from dmm.convert.encoders import INCEPTION, RESNET, inception_names, recipe_weight, resnet_names, upstream_keys
from dmm.convert.keys import ConvertError, KeyTable, load_upstream
from dmm.models.inception import InceptionEncoder
from dmm.models.resnet import ResNetEncoder


def toys():
    depths = (1, 2, 1, 1)
    yield InceptionEncoder(6, width=2), inception_names(), KeyTable(inception_names())
    yield ResNetEncoder(5, width=2, depths=depths), resnet_names(depths), KeyTable(resnet_names(depths))


@pytest.mark.parametrize(("network", "names", "table"), list(toys()), ids=["inception", "resnet"])
def test_names_lead_there_and_back(network, names, table):
    upstream = {key: value.clone() for key, value in upstream_keys(network, names)}
    ours, state = table.state(upstream), network.state_dict()
    assert ours.keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in ours.items())
    missing = next(key for key in upstream if key.endswith("running_mean"))
    with pytest.raises(ConvertError, match="missing"):
        load_upstream(network, {key: value for key, value in upstream.items() if key != missing}, table)


def test_names_at_the_published_size():
    for table, keys in (
        (INCEPTION, {"Mixed_7c.branch3x3dbl_3b.bn.running_var": "late.2.branches.2.2.branches.1.norm.running_var"}),
        (
            INCEPTION,
            {"Conv2d_4a_3x3.conv.weight": "stem.5.conv.weight", "Mixed_6e.branch_pool.conv.weight": "early.7.branches.3.1.conv.weight"},
        ),
        (INCEPTION, {"emb_features.weight": "regions.weight", "emb_cnn_code.bias": "code.bias"}),
        (RESNET, {"resnet.6.35.conv2.weight": "rows.2.35.conv2.weight", "resnet.7.0.downsample.1.bias": "rows.3.0.shortcut.1.bias"}),
        (RESNET, {"bn.running_mean": "norm.running_mean", "resnet.1.weight": "stem.1.weight"}),
    ):
        assert {key: table.ours(key) for key in keys} == keys
    with torch.device("meta"):
        assert len(dict(upstream_keys(InceptionEncoder(), inception_names()))) == 567
        assert len(dict(upstream_keys(ResNetEncoder(), resnet_names()))) == 937


def test_classifiers_of_imagenet_are_left_out():
    assert INCEPTION.ours("AuxLogits.conv0.conv.weight") is None and INCEPTION.ours("fc.bias") is None
    assert RESNET.ours("resnet.fc.weight") is None
    for table in (INCEPTION, RESNET):
        with pytest.raises(ConvertError, match="unknown key 'novel.weight'"):
            table.ours("novel.weight")


def test_the_recipe_draws_by_name_and_kind():
    conv = recipe_weight("a.conv.weight", (64, 8, 3, 3), gain=2.0, salt="")
    assert conv.dtype == torch.float32 and conv.std().item() == pytest.approx(2 / 72**0.5, rel=0.05)
    assert torch.equal(conv, recipe_weight("a.conv.weight", (64, 8, 3, 3), gain=2.0, salt=""))
    assert not torch.equal(conv, recipe_weight("a.conv.weight", (64, 8, 3, 3), gain=2.0, salt="x"))
    assert torch.equal(recipe_weight("b", (4, 2), 1.0, "a."), recipe_weight("a.b", (4, 2), 1.0, ""))
    for key, low, high in (("bn.weight", 0.8, 1.2), ("bn.running_var", 0.5, 1.5)):
        values = recipe_weight(key, (1000,), 1.0, "")
        assert low <= values.min() < low + 0.05 and high - 0.05 < values.max() <= high
    assert recipe_weight("bn.bias", (1000,), 1.0, "").std().item() == pytest.approx(0.1, rel=0.1)
    assert recipe_weight("bn.num_batches_tracked", (), 1.0, "").dtype == torch.int64


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tensors"), [("cnn_encoder", 4), ("caption_cnn", 2)])
def test_published_numbers_at_full_size(reference, name, tensors):
    found = replay(reference / f"{name}.safetensors", torch.float32)
    assert len(found) == tensors and max(found.values()) < 3e-5
