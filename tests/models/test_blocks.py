"""Blocks against their definitions: the cheap orders of computation give the same numbers and gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from dmm.models.blocks import FUSE_FROM, GLU, SHORT_RUNS, ConditioningAugmentation, ImageHead, InitialStage, ResidualBlock, UpBlock, UpConv


def test_glu_by_hand():
    x = torch.tensor([[2.0, 3.0, 0.0, 100.0]])
    torch.testing.assert_close(GLU()(x), torch.tensor([[1.0, 3.0]]))


def test_glu_keeps_the_order_of_memory_both_ways():
    x = torch.randn(2, 8, 6, 6).to(memory_format=torch.channels_last).requires_grad_()
    y = GLU()(x)
    y.backward(torch.ones_like(y))
    torch.testing.assert_close(y, F.glu(x, dim=1))
    assert y.is_contiguous(memory_format=torch.channels_last) and x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [16, 2 * SHORT_RUNS])
def test_glu_is_the_same_numbers_in_either_order_of_memory(channels):
    x = torch.randn(2, channels, 9, 9).bfloat16()
    plain = GLU()(x.clone().requires_grad_())
    torch.testing.assert_close(GLU()(x.contiguous(memory_format=torch.channels_last).requires_grad_()), plain)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(FUSE_FROM, FUSE_FROM + 5), st.integers(1, 9), st.integers(0, 99))
def test_fused_upsampling_equals_the_plain_one(inputs, outputs, width, height, seed):
    torch.manual_seed(seed)
    conv = UpConv(inputs, outputs).double()
    x = torch.randn(2, inputs, height, width, dtype=torch.float64, requires_grad=True)
    plain = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), conv.weight, padding=1)
    fused = conv(x)
    torch.testing.assert_close(fused, plain)
    weights = torch.randn_like(plain)
    found, wanted = (torch.autograd.grad((result * weights).sum(), (x, conv.weight)) for result in (fused, plain))
    torch.testing.assert_close(found, wanted)


def test_fusing_can_be_switched_off():
    conv, x = UpConv(3, 4), torch.randn(2, 3, 16, 16)
    fused = conv(x)
    conv.fused = False
    torch.testing.assert_close(conv(x), fused, atol=1e-5, rtol=1e-5)
    assert list(conv.state_dict()) == ["weight"]


@pytest.mark.parametrize("train", [True, False])
def test_a_doubled_input_equals_the_concatenation(train):
    torch.manual_seed(0)
    block = ResidualBlock(6).double().train(train)
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(block(x, doubled=True), block(torch.cat((x, x), dim=1)))


def test_shapes():
    assert UpBlock(8, 3)(torch.randn(2, 8, 4, 4)).shape == (2, 3, 8, 8)
    assert ResidualBlock(4)(torch.randn(2, 4, 6, 6)).shape == (2, 4, 6, 6)
    assert InitialStage(5, 7, 2)(torch.randn(2, 5), torch.randn(2, 7)).shape == (2, 2, 64, 64)
    image = ImageHead(4)(100 * torch.randn(2, 4, 6, 6))
    assert image.shape == (2, 3, 6, 6) and image.abs().max() <= 1


def test_conditioning_code_is_mean_plus_noise_times_deviation():
    torch.manual_seed(0)
    augment = ConditioningAugmentation(6, 4)
    sentence = torch.randn(3, 6)
    code, mean, logvar = augment(sentence, torch.zeros(3, 4))
    torch.testing.assert_close(code, mean)
    code, _, _ = augment(sentence, torch.full((3, 4), 2.0))
    torch.testing.assert_close(code, mean + 2 * logvar.exp().sqrt())
