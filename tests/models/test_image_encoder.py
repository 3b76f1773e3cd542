"""The encoders of the published systems at toy width: shapes, corner rules, what is trained, and their size when published."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from dmm.config import ModelConfig
from dmm.models.captioner import CaptionDecoder, Captioner
from dmm.models.image_encoder import SmallImageEncoder, create_caption_encoder, create_image_encoder
from dmm.models.inception import (
    ConvUnit,
    FIDInception,
    InceptionEncoder,
    Mixed,
    average,
    average_within,
    chain,
    maximum,
    mixed8,
    mixed17,
    mixed35,
)
from dmm.models.resnet import Bottleneck, ResNetEncoder


def toy_inception(**changes) -> InceptionEncoder:
    torch.manual_seed(0)
    return InceptionEncoder(6, width=2, **changes).eval()


def toy_resnet(**changes) -> ResNetEncoder:
    torch.manual_seed(0)
    return ResNetEncoder(5, width=2, depths=(1, 2, 1, 1), **changes).eval()


def count(parameters) -> int:
    return sum(parameter.numel() for parameter in parameters)


@torch.no_grad()
@pytest.mark.parametrize("side", [64, 299])
def test_inception_gives_17_by_17_regions_and_a_code(side):
    regions, code = toy_inception()(torch.randn(2, 3, side, side))
    assert regions.shape == (2, 6, 17, 17) and code.shape == (2, 6)


@torch.no_grad()
def test_resnet_gives_a_code_and_no_regions():
    regions, code = toy_resnet()(torch.randn(2, 3, 64, 64))
    assert regions is None and code.shape == (2, 5)


@torch.no_grad()
@pytest.mark.parametrize("build", [toy_inception, toy_resnet])
def test_the_corner_rule_counts_unless_nothing_is_resized(build):
    encoders = [build(align_corners=align) for align in (True, False)]
    side = 299 if build is toy_inception else 224
    same, other = torch.randn(1, 3, side, side), torch.randn(1, 3, 64, 64)
    assert torch.equal(*(encoder(same)[1] for encoder in encoders))
    assert not torch.equal(*(encoder(other)[1] for encoder in encoders))


@torch.no_grad()
@pytest.mark.parametrize("build", [toy_inception, toy_resnet])
def test_the_code_comes_from_the_summary_of_the_features(build):
    encoder, image = build(), torch.randn(2, 3, 32, 32)
    features = encoder.features(image)
    torch.testing.assert_close(encoder.code(encoder.summary(features)), encoder(image)[1])


@torch.no_grad()
def test_mixed_blocks_keep_the_map_and_add_their_channels():
    x = torch.randn(1, 4, 9, 9)
    assert mixed35(4, 3, 2)(x).shape == (1, 2 * 2 + 2 * 2 + 3 * 2 + 3, 9, 9)
    assert mixed17(4, 5, 2)(x).shape == (1, 24 * 2, 9, 9)
    assert mixed8(4, 2)(x).shape == (1, 64 * 2, 9, 9)
    first, second = chain(4, (2, 1)), chain(4, (3, 3), pool=average)
    torch.testing.assert_close(Mixed([first, second])(x), torch.cat((first(x), second(x)), dim=1))


def test_the_pooling_of_the_fid_network_by_hand():
    """A 2x2 map of 1, 2, 3, 6: each place sees all four; a frame of zeros counts to nine, or not at all."""
    x = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert torch.allclose(average()(x), torch.full((1, 1, 2, 2), 12 / 9))
    assert torch.equal(average_within()(x), torch.full((1, 1, 2, 2), 3.0)) and torch.equal(maximum()(x), torch.full((1, 1, 2, 2), 6.0))


@torch.no_grad()
def test_the_fid_network_pools_otherwise_and_has_1008_classes():
    torch.manual_seed(0)
    network = FIDInception(width=2).eval()
    kinds = {name: (type(m), getattr(m, "count_include_pad", None)) for name, m in network.named_modules() if name.endswith("branches.3.0")}
    assert kinds.pop("late.2.branches.3.0") == (torch.nn.MaxPool2d, None)
    assert len(kinds) == 8 and set(kinds.values()) == {(torch.nn.AvgPool2d, False)}
    read = network(torch.rand(2, 3, 32, 32) * 2 - 1)
    assert read["features"].shape == (2, 128) and read["logits"].shape == (2, 1008)
    torch.testing.assert_close(read["logits"], network.classifier(read["features"]) - network.classifier.bias)
    same = torch.rand(1, 3, 299, 299) * 2 - 1  # of the size that it reads: nothing is resized
    torch.testing.assert_close(network(same)["features"], network.late(network.early(network.stem(same))).mean((2, 3)))


@torch.no_grad()
def test_a_unit_by_hand():
    unit = ConvUnit(1, 1, 1).eval()
    unit.conv.weight.fill_(2.0)
    unit.norm.running_var.fill_(0.999)  # with eps 1e-3 the deviation is 1
    unit.norm.running_mean.fill_(1.0)
    torch.testing.assert_close(unit(torch.tensor([[[[3.0, 0.0]]]])), torch.tensor([[[[5.0, 0.0]]]]))
    assert ConvUnit(1, 1, (1, 7))(torch.zeros(2, 1, 8, 8)).shape == (2, 1, 8, 8)
    assert ConvUnit(1, 1, 3, 2)(torch.zeros(2, 1, 9, 9)).shape == (2, 1, 4, 4)


@torch.no_grad()
def test_a_bottleneck_has_a_shortcut_of_its_own_only_where_shapes_change():
    assert isinstance(Bottleneck(8, 2).shortcut, nn.Identity)
    for block in (Bottleneck(4, 2), Bottleneck(8, 2, 2)):
        assert block(torch.randn(1, block.conv1.in_channels, 8, 8)).shape == (1, 8, 8 // block.conv2.stride[0], 8 // block.conv2.stride[0])
        assert isinstance(block.shortcut, nn.Sequential)


@pytest.mark.parametrize("build", [toy_inception, toy_resnet])
def test_only_the_heads_are_trained_and_pictures_still_get_a_gradient(build):
    encoder, image = build(), torch.randn(2, 3, 32, 32, requires_grad=True)
    trained = {name.partition(".")[0] for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trained == ({"regions", "code"} if build is toy_inception else {"linear", "norm"})
    encoder(image)[1].square().sum().backward()
    assert image.grad.abs().sum() > 0


def test_parameters_at_the_published_size():
    with torch.device("meta"):
        inception, resnet = InceptionEncoder(), ResNetEncoder()
    heads = 768 * 256 + 2048 * 256 + 256
    assert count(inception.parameters()) == 22_506_720 == 21_785_568 + heads  # Inception-v3 without classifiers
    assert len(list(inception.parameters())) == 285 and len(list(inception.buffers())) == 282
    heads = 2048 * 256 + 256 + 2 * 256
    assert count(resnet.parameters()) == 58_668_864 == 58_143_808 + heads  # ResNet-152 without its classifier
    assert len(list(resnet.parameters())) == 469 and len(list(resnet.buffers())) == 468
    assert count(p for p in resnet.parameters() if p.requires_grad) == heads


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match="even"):
        InceptionEncoder(width=3)


def test_a_config_chooses():
    config = ModelConfig(encoder_width=2, text_dim=6, caption_embedding=5, encoder_size=32)
    small, caption = create_image_encoder(config), create_caption_encoder(config)
    assert isinstance(small, SmallImageEncoder) and small.regions.out_channels == 6 and caption.regions.out_channels == 5
    published = dataclasses.replace(config, image_encoder="inception", caption_encoder="resnet", image_align_corners=False)
    with torch.device("meta"):
        inception, resnet = create_image_encoder(published), create_caption_encoder(published)
    assert not inception.align_corners and inception.code.out_features == 6
    assert not resnet.align_corners and resnet.linear.out_features == 5
    for field, create in (("image_encoder", create_image_encoder), ("caption_encoder", create_caption_encoder)):
        with pytest.raises(ValueError, match=f"{field} must be 'small' or .*'vgg'"):
            create(dataclasses.replace(config, **{field: "vgg"}))


@torch.no_grad()
def test_a_captioner_takes_either_encoder():
    captioner = Captioner(toy_resnet(), CaptionDecoder(9, 5, 4)).eval()
    logits = captioner(torch.randn(2, 3, 32, 32), torch.ones(2, 3, dtype=torch.long), torch.tensor([3, 2]))
    assert logits.shape == (2, 3, 9)
