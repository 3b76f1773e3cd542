"""Winograd's order of a 3x3 convolution: its matrices from their definition, its results and gradients beside the plain order."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dmm.models.kernels.fuse import FusedConv
from dmm.models.kernels.winograd import DENSEST, NARROWEST, OUTPUTS, SIZE, SMALLEST, TAPS, Conv3x3, TiledConv, pays, tiled_conv, transforms


def example(batch, inputs, outputs, high, wide, dtype=torch.float64):
    rng = torch.Generator().manual_seed(high * 1000 + wide)
    x = torch.randn(batch, inputs, high, wide, generator=rng, dtype=dtype)
    weight = torch.randn(outputs, inputs, 3, 3, generator=rng, dtype=dtype) / (9 * inputs) ** 0.5
    return x, weight, torch.randn(outputs, generator=rng, dtype=dtype)


def test_one_dimension_is_a_correlation():
    outputs, kernel, inputs = transforms()
    assert outputs.shape == (OUTPUTS, SIZE) and kernel.shape == (SIZE, TAPS) and inputs.shape == (SIZE, SIZE)
    taps, signal = torch.tensor([2.0, -3.0, 5.0]).double(), torch.tensor([1.0, 0.0, -2.0, 4.0, 7.0, -1.0]).double()
    expected = [2 * 1 - 3 * 0 + 5 * -2, 0 - 3 * -2 + 5 * 4, 2 * -2 - 3 * 4 + 5 * 7, 2 * 4 - 3 * 7 + 5 * -1]
    found = outputs @ ((kernel @ taps) * (inputs @ signal))
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=0, atol=1e-12)


@given(st.integers(1, 3), st.integers(1, 19), st.integers(1, 19))
@settings(max_examples=40, deadline=None)
def test_every_size_gives_the_convolution(batch, high, wide):
    x, weight, bias = example(batch, 3, 5, high, wide)
    found = TiledConv(weight, bias)(x)
    torch.testing.assert_close(found, F.conv2d(x, weight, bias, padding=1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("piece", [1, 10**9])
def test_the_pieces_do_not_matter(piece, monkeypatch):
    x, weight, bias = example(2, 4, 6, 33, 40)
    monkeypatch.setattr("dmm.models.kernels.winograd._PIECE", piece)
    torch.testing.assert_close(TiledConv(weight, bias)(x), F.conv2d(x, weight, bias, padding=1), rtol=0, atol=1e-12)


def test_rounding_stays_near_that_of_the_plain_order():
    x, weight, bias = example(1, 128, 64, 32, 32)
    exact = F.conv2d(x, weight, bias, padding=1)
    x, weight, bias = x.float(), weight.float(), bias.float()
    tiled, plain = ((found.double() - exact).abs().mean() for found in (TiledConv(weight, bias)(x), F.conv2d(x, weight, bias, padding=1)))
    assert tiled < 1e-5 and tiled < 8 * plain


def test_a_picture_does_not_depend_on_its_batch():
    x, weight, bias = example(3, NARROWEST, NARROWEST, 36, 32, torch.float32)
    conv = TiledConv(weight, bias)
    together = conv(x)
    for picture, own in zip(x, together, strict=True):
        assert torch.equal(conv(picture[None])[0], own)


def test_only_wide_convolutions_of_large_maps_take_it():
    def takes(channels, side, dtype=torch.float32):
        x, weight, bias = example(1, channels, channels, side, side, dtype)
        conv, called = FusedConv(weight, bias), []
        if conv.tiled is not None:
            conv.tiled.register_forward_hook(lambda *_: called.append(1))
        torch.testing.assert_close(conv(x), F.conv2d(x, weight, bias, padding=1), rtol=0, atol=1e-4)
        return bool(called)

    assert takes(NARROWEST, SMALLEST)
    assert not takes(NARROWEST - 1, SMALLEST)
    assert not takes(NARROWEST, SMALLEST - 1)
    assert not takes(NARROWEST, SMALLEST, torch.float64)


def test_autocast_takes_the_plain_order():
    x, *_ = example(1, NARROWEST, NARROWEST, SMALLEST, SMALLEST, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert not pays(x)
    assert pays(x)


ORDERS = (torch.contiguous_format, torch.channels_last)


@given(st.integers(1, 3), st.integers(1, 19), st.integers(1, 19), st.sampled_from(ORDERS))
@settings(max_examples=40, deadline=None)
def test_gradients_of_every_size_are_the_convolutions(batch, high, wide, order):
    x, weight, _ = example(batch, 3, 5, high, wide)
    x, weight = x.to(memory_format=order).requires_grad_(), weight.requires_grad_()
    pulled = torch.randn(batch, 5, high, wide, dtype=x.dtype).to(memory_format=order)
    found, plain = tiled_conv(x, weight), F.conv2d(x, weight, padding=1)
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-12)
    own, theirs = (torch.autograd.grad(y, (x, weight), pulled) for y in (found, plain))
    torch.testing.assert_close(own, theirs, rtol=1e-10, atol=1e-10)


def test_gradients_of_both_orders_by_differences():
    x, weight, _ = example(2, 2, 3, 5, 6)
    given = x.requires_grad_(), weight.requires_grad_()
    assert torch.autograd.gradcheck(tiled_conv, given)
    assert torch.autograd.gradgradcheck(tiled_conv, given)


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_memory_stays(order):
    x, weight, _ = example(2, 3, 4, 9, 8)
    x = x.to(memory_format=order).requires_grad_()
    y = tiled_conv(x, weight)
    assert y.is_contiguous(memory_format=order)
    (gradient,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert gradient.is_contiguous(memory_format=order)


def test_the_pieces_of_a_kernels_gradient_add_up(monkeypatch):
    x, weight, _ = example(2, 4, 6, 33, 40)
    weight.requires_grad_()
    (whole,) = torch.autograd.grad(tiled_conv(x, weight).square().sum(), weight)
    monkeypatch.setattr("dmm.models.kernels.winograd._PIECE", 1)
    (rows,) = torch.autograd.grad(tiled_conv(x, weight).square().sum(), weight)
    torch.testing.assert_close(rows, whole, rtol=1e-10, atol=1e-10)


def test_gradients_round_near_the_outputs_of_the_plain_order():
    x, weight, _ = example(1, 128, 64, 32, 32)
    pulled = torch.randn(1, 64, 32, 32, generator=torch.Generator().manual_seed(0), dtype=x.dtype)

    def results(conv, dtype):
        given = [value.detach().to(dtype).requires_grad_() for value in (x, weight)]
        y = conv(*given)
        return [y, *torch.autograd.grad(y, given, pulled.to(dtype))]

    def plain(x, weight):
        return F.conv2d(x, weight, padding=1)

    exact = results(plain, torch.float64)

    def errors(conv):
        found = results(conv, torch.float32)
        return [((a.double() - b).abs().mean() / b.abs().mean()).item() for a, b in zip(found, exact, strict=True)]

    assert max(errors(tiled_conv)) < 8 * errors(plain)[0]


def test_training_takes_it_where_channels_are_many_and_twice_alike():
    def gradients(conv, x):
        y = conv(x)
        return y.grad_fn.name(), [y, *torch.autograd.grad(y.square().sum(), list(conv.parameters()))]

    torch.manual_seed(0)
    width = 2 * DENSEST
    conv, x = Conv3x3(width, width, bias=True), torch.randn(2, width, SMALLEST, SMALLEST)
    first, found = gradients(conv, x)
    assert "Add" in first and all(torch.equal(a, b) for a, b in zip(found, gradients(conv, x)[1], strict=True)), "to the bit"
    conv.tiled = False
    second, plain = gradients(conv, x)
    assert "Convolution" in second
    for own, theirs in zip(found, plain, strict=True):
        torch.testing.assert_close(own, theirs, rtol=1e-4, atol=1e-4 * theirs.abs().max().item())
    for other, y in ((Conv3x3(width - 1, width), x[:, 1:]), (Conv3x3(width, width), x[..., 1:])):
        assert "Convolution" in gradients(other, y)[0] and "Function" not in gradients(other, y)[0]
