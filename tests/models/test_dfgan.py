"""DF-GAN: sizes by widths, what starts as nothing, what its trace holds, and its parameters at the published size."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dmm.config import ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.models.blocks import UpConv
from dmm.models.dfgan import (
    DFGAN,
    ConditionalAffine,
    DownBlock,
    TargetAwareDiscriminator,
    UpFusionBlock,
    config_widths,
    dfgan,
    map_widths,
)
from dmm.models.discriminators import create_discriminators
from dmm.models.registry import create_model, find_model
from dmm.models.text_encoder import TextEncoder
from dmm.pipeline import Pipeline, truncate
from dmm.recipes import recipe

TEXT, NOISE = 6, 4


def inputs(batch: int = 3, seed: int = 0) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {
        "sentence": torch.randn(batch, TEXT, generator=random),
        "words": torch.randn(batch, TEXT, 5, generator=random),
        "mask": torch.zeros(batch, 5, dtype=torch.bool),
        "noise": torch.randn(batch, NOISE, generator=random),
        "eps": torch.randn(batch, 7, generator=random),
    }


def trained(widths=(8, 8, 4)) -> DFGAN:
    """With affine layers that say something, as after training."""
    torch.manual_seed(3)
    model = DFGAN(TEXT, NOISE, widths).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("linear2.weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_published_widths_by_size():
    assert map_widths(32, 256) == (256, 256, 256, 256, 128, 64, 32)
    assert map_widths(1, 128) == (8, 8, 8, 4, 2, 1)
    assert map_widths(1, 64) == (8, 8, 4, 2, 1)
    for size in (4, 100):
        with pytest.raises(ValueError, match="power of two"):
            map_widths(1, size)


def test_a_config_says_the_widths_from_64_px_up():
    assert config_widths((128, 64, 32)) == map_widths(32, 256)
    assert config_widths((2, 1)) == map_widths(1, 128)
    assert config_widths((3,)) == map_widths(3, 64)
    assert config_widths((4, 4, 4)) == (32, 32, 16, 8, 4, 4, 4)
    assert config_widths((64, 2, 2)) == (64, 64, 64, 64, 64, 2, 2)


@torch.no_grad()
@pytest.mark.parametrize("size", [8, 32, 64])
def test_one_picture_and_the_affine_numbers_of_every_block(size):
    widths = map_widths(1, size)
    trace = DFGAN(TEXT, NOISE, widths)(**inputs())
    (stage,) = trace.stages
    assert stage.image.shape == (3, 3, size, size) and stage.image.abs().max() <= 1
    assert stage.hidden.shape == (3, widths[-1], size, size)
    channels = [c for a, b in zip(widths, widths[1:], strict=False) for c in (a, a, b, b)]
    assert [tuple(affine.shape) for affine in stage.affines] == [(3, 2, c) for c in channels]
    held = {f.name for f in dataclasses.fields(stage) if getattr(stage, f.name) is not None}
    assert held == {"image", "hidden", "affines"}, "what the architecture does not have is absent"
    assert trace.code is None and trace.mean is None and trace.mask.shape == (3, 5)


@torch.no_grad()
def test_words_mask_and_eps_change_nothing_noise_and_sentence_do():
    model, given = trained(), inputs()
    image = model(**given).stages[0].image
    for unread in ("words", "mask", "eps"):
        assert torch.equal(model(**given | {unread: None}).stages[0].image, image)
    for read in ("sentence", "noise"):
        assert (model(**given | {read: given[read].flip(0)}).stages[0].image - image).abs().max() > 1e-3
    assert torch.equal(model(**given, stages=1).stages[0].image, image)


@torch.no_grad()
def test_a_fresh_affine_layer_changes_nothing():
    layer, x = ConditionalAffine(5, 3), torch.randn(2, 3, 4, 4)
    y, affine = layer(x, torch.randn(2, 5))
    assert torch.equal(x, y)
    assert torch.equal(affine, torch.tensor([[1.0] * 3, [0.0] * 3]).expand(2, 2, 3))


@torch.no_grad()
def test_scale_then_shift_by_hand():
    layer = ConditionalAffine(5, 2)
    for branch, value in ((layer.parameters_of.scale, 3.0), (layer.parameters_of.shift, -1.0)):
        branch.linear2.bias.fill_(value)
    torch.testing.assert_close(layer(torch.full((1, 2, 1, 1), 2.0), torch.zeros(1, 5))[0], torch.full((1, 2, 1, 1), 5.0))


@torch.no_grad()
def test_a_hook_edits_what_a_layer_reads():
    model, given = trained(), inputs(1)
    before = model(**given).stages[0]
    layer = model.blocks[1].fusion1.affines[0].parameters_of
    hook = layer.register_forward_hook(lambda module, _, affine: affine * torch.tensor([1.0, 0.0])[:, None])  # no shift
    try:
        after = model(**given).stages[0]
    finally:
        hook.remove()
    changed = [i for i, (a, b) in enumerate(zip(before.affines, after.affines, strict=True)) if not torch.equal(a, b)]
    assert changed == [4] and after.affines[4][:, 1].abs().sum() == 0
    assert (after.image - before.image).abs().max() > 1e-4


def test_every_parameter_gets_a_gradient():
    model = trained()
    model(**inputs()).stages[0].image.square().sum().backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def gradients(block: torch.nn.Module, y: torch.Tensor, x: torch.Tensor) -> list[torch.Tensor]:
    """Of a weighted sum of ``y``, for ``x`` and every parameter."""
    weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=y.dtype)
    return list(torch.autograd.grad((y * weights).sum(), (x, *block.parameters()), create_graph=True))


@pytest.mark.parametrize(("inputs", "outputs", "side"), [(4, 3, 8), (3, 3, 9), (4, 3, 4)])
def test_a_block_that_enlarges_late_is_the_published_one(inputs, outputs, side):
    torch.manual_seed(0)
    block = UpFusionBlock(5, inputs, outputs).double()
    for name, parameter in block.named_parameters():
        if name.endswith("linear2.weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    x, condition = torch.randn(2, inputs, side, side).double().requires_grad_(), torch.randn(2, 5).double()
    found, affines = block(x, condition)
    block.conv1.fused = False
    published, same = block(x, condition)
    torch.testing.assert_close(found, published)
    torch.testing.assert_close(affines, same, rtol=0, atol=0)
    torch.testing.assert_close(gradients(block, found, x), gradients(block, published, x))


def test_a_block_starts_with_the_numbers_of_plain_convolutions():
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(4, 3, 3, padding=1)
    torch.manual_seed(0)
    conv = UpConv(4, 3, bias=True)
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), conv.state_dict().values(), strict=True))
    assert plain.state_dict().keys() == conv.state_dict().keys()


def test_averaging_first_changes_no_gradient_of_a_penalty():
    torch.manual_seed(0)
    block, x = DownBlock(3, 4).double(), torch.randn(2, 3, 8, 8).double().requires_grad_()
    torch.nn.init.constant_(block.gamma, 0.5)
    found = []
    for block.average_first in (True, False):
        y = block(x).tanh()
        first = gradients(block, y, x)
        found.append([y, *first, *torch.autograd.grad(first[0].square().sum(), list(block.parameters()))])
    torch.testing.assert_close(*found)


@torch.no_grad()
def test_a_fresh_down_block_is_its_averaged_shortcut():
    block, x = DownBlock(3, 3), torch.randn(1, 3, 4, 4)
    torch.testing.assert_close(block(x), torch.nn.functional.avg_pool2d(x, 2))
    assert isinstance(DownBlock(2, 3).shortcut, torch.nn.Conv2d)


@torch.no_grad()
@pytest.mark.parametrize("size", [32, 64])
def test_the_discriminator_has_no_opinion_without_a_sentence(size):
    net = TargetAwareDiscriminator(size, 2, TEXT)
    image, sentence = torch.randn(3, 3, size, size), torch.randn(3, TEXT)
    features = net.features(image)
    assert features.shape == (3, 16, 4, 4)
    assert torch.equal(net(image, sentence), net.conditional(features, sentence)) and net(image, sentence).shape == (3,)
    assert not hasattr(net, "unconditional")


def test_parameters_at_the_published_size():
    config = ModelConfig(system="dfgan", widths=(128, 64, 32), discriminator_width=32)
    with torch.device("meta"):
        generator, discriminator = dfgan(config), TargetAwareDiscriminator()
    assert len(list(generator.parameters())) == 226
    assert sum(p.numel() for p in generator.parameters()) == 9_744_131
    unused = 3 * (256 * 256 + 256)  # shortcuts that the published NetD holds in blocks 3 to 5 and never calls
    assert sum(p.numel() for p in discriminator.trunk.parameters()) == 6_619_206 - unused
    assert sum(p.numel() for p in discriminator.head.parameters()) == 295_936


def test_the_registered_system_is_discriminated_once_at_the_size_it_generates():
    config = ModelConfig(system="dfgan", widths=(4, 2), discriminator_width=2, text_dim=TEXT, noise_dim=NOISE)
    (net,) = create_discriminators(config)
    image = create_model(config)(**inputs()).stages[0].image
    assert isinstance(net, TargetAwareDiscriminator) and net.size == image.shape[-1] == 128
    assert net(image, inputs()["sentence"]).shape == (3,)
    entry = find_model("dfgan")
    assert entry.losses == ("hinge", "magp") and not entry.unconditional and entry.discriminated == "last"


def test_one_width_is_too_few():
    with pytest.raises(ValueError, match="two maps"):
        DFGAN(widths=(4,))


def test_the_pipeline_generates_with_published_noise():
    config = ModelConfig(system="dfgan", widths=(2,), noise_dim=NOISE, text_dim=TEXT, condition_dim=3)
    vocab = Vocabulary(["red", "bird"])
    parts = (vocab, dfgan(config), TextEncoder(len(vocab), 5, TEXT))
    free = Pipeline(config, *parts)
    limited = Pipeline(dataclasses.replace(config, noise_truncation=2.0, noise_scale=0.88), *parts)
    trace = limited(["a red bird", "bird"], seed=[1, 2])
    assert [image.shape for image in trace.images] == [(2, 3, 64, 64)] and trace.words[0] and trace.seeds == [1, 2]
    seeds = range(200)
    (plain, eps), (noise, same) = free.noise(seeds), limited.noise(seeds)
    assert torch.equal(eps, same), "the noise of conditioning augmentation is not touched"
    assert plain.abs().max() > 2 and 1.6 < noise.abs().max() <= 1.76
    assert torch.equal(plain.flatten().argsort(), noise.flatten().argsort()), "the same draw, by rank"


def test_truncated_numbers_have_the_truncated_distribution():
    values = truncate(torch.randn(100_000, generator=torch.Generator().manual_seed(0)), 2.0)
    assert values.abs().max() <= 2 and values.mean().abs() < 0.01
    assert values.var().item() == pytest.approx(0.7737, abs=0.01)  # 1 - 2 * 2 pdf(2) / (cdf(2) - cdf(-2))
    extreme = truncate(torch.tensor([-40.0, 0.0, 40.0]), 2.0)
    torch.testing.assert_close(extreme, torch.tensor([-2.0, 0.0, 2.0]))


@pytest.mark.parametrize(("name", "steps", "words"), [("dfgan-cub", 1300 * (8855 // 32), 18), ("dfgan-coco", 300 * (82783 // 32), 12)])
def test_published_recipes(name, steps, words):
    config = recipe(name, "gan")
    settings, model = config.train, config.model
    assert (settings.batch, settings.steps, model.words_limit) == (32, steps, words)
    assert (settings.generator_lr, settings.discriminator_lr, settings.beta1, settings.beta2) == (1e-4, 4e-4, 0.0, 0.9)
    assert (model.noise_truncation, model.noise_scale, settings.ema_decay) == (2.0, 0.88, 0.0)
    assert (settings.kl, settings.damsm, settings.stream, settings.adversarial) == (0.0, 0.0, 0.0, "hinge")
    with torch.device("meta"):
        assert sum(p.numel() for p in create_model(model).parameters()) == 9_744_131
        assert create_discriminators(model)[0].size == 256
