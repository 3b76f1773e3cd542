"""Discriminators and their spectral norm."""

from __future__ import annotations

import pytest
import torch

from dmm.config import ModelConfig
from dmm.models.discriminators import Discriminator, create_discriminators
from dmm.models.spectral import SpectralConv2d


def test_many_iterations_find_the_largest_singular_value():
    torch.manual_seed(0)
    conv = SpectralConv2d(3, 5, 2, power_iterations=200)
    torch.nn.init.normal_(conv.weight)
    assert torch.linalg.matrix_norm(conv.normalised_weight().flatten(1), 2).item() == pytest.approx(1, abs=1e-4)


def test_one_iteration_a_call_v_then_u_in_evaluation_too():
    torch.manual_seed(0)
    conv = SpectralConv2d(2, 3, 2).eval()
    matrix, u = conv.weight.detach().flatten(1), conv.u.clone()
    v = torch.nn.functional.normalize(matrix.T @ u, dim=0)
    u = torch.nn.functional.normalize(matrix @ v, dim=0)
    weight = conv.normalised_weight()
    torch.testing.assert_close(conv.u, u)
    torch.testing.assert_close(conv.v, v)
    torch.testing.assert_close(weight, conv.weight / (u @ matrix @ v))
    conv.iterate_in_eval = False
    assert torch.equal(conv.normalised_weight(), conv.normalised_weight())


def test_each_call_keeps_its_own_vectors_for_the_gradient():
    def gradient(alias: bool, again: int) -> torch.Tensor:
        torch.manual_seed(1)
        conv, x = SpectralConv2d(2, 3, 2, alias_vectors=alias), torch.randn(1, 2, 4, 4)
        torch.nn.init.normal_(conv.weight)
        first = conv(x)
        for _ in range(again):  # other passes before the backward one
            conv(x)
        first.square().sum().backward()
        return conv.weight.grad

    alone = gradient(alias=False, again=0)
    torch.testing.assert_close(gradient(alias=False, again=1), alone)
    assert (gradient(alias=True, again=1) - alone).abs().max() > 1e-3


@pytest.mark.parametrize("norm", ["spectral", "batch"])
@pytest.mark.parametrize("size", [64, 128, 256])
def test_every_size_ends_at_four_by_four(size, norm):
    net = Discriminator(size, width=2, text_dim=5, norm=norm)
    features = net.features(torch.randn(2, 3, size, size))
    assert features.shape == (2, 16, 4, 4)
    assert net.conditional(features, torch.randn(2, 5)).shape == net.unconditional(features).shape == (2,)


def test_forward_is_features_and_both_heads():
    torch.manual_seed(0)
    net = Discriminator(64, width=2, text_dim=5)
    for module in net.modules():
        if isinstance(module, SpectralConv2d):
            module.power_iterations = 0
    image, sentence = torch.randn(2, 3, 64, 64), torch.randn(2, 5)
    features = net.features(image)
    cond, uncond = net(image, sentence)
    assert torch.equal(cond, net.conditional(features, sentence)) and torch.equal(uncond, net.unconditional(features))


def test_options():
    with pytest.raises(ValueError, match="100"):
        Discriminator(100)
    with pytest.raises(ValueError, match="layer"):
        Discriminator(64, norm="layer")
    with pytest.raises(RuntimeError, match="unconditional=False"):
        Discriminator(64, width=2, unconditional=False).unconditional(torch.randn(1, 16, 4, 4))
    nets = create_discriminators(ModelConfig(discriminator_width=2, text_dim=5))
    assert [net.size for net in nets] == [64, 128, 256]
