"""Under autocast, what needs 32 bits gets them; elsewhere nothing changes."""

import pytest
import torch

from dmm.fp32 import in_fp32, to_fp32
from dmm.losses.adversarial import is_fake
from dmm.matching import matching_losses

SHORT = [torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", SHORT)
def test_arguments_come_wide_and_products_stay_wide(dtype):
    @in_fp32
    def product(a, b, kind, others=()):
        assert kind == "kept" and others[0].dtype == torch.float32 and others[1] is None
        return a @ b

    a = torch.full((2, 2), 1 / 3).to(dtype)
    with torch.autocast("cpu", dtype):
        assert (a @ a).dtype == dtype
        found = product(a, b=a, kind="kept", others=[a, None])
        assert (a @ a).dtype == dtype  # autocast goes on behind it
    assert torch.equal(found, a.float() @ a.float())


def test_without_autocast_the_very_arguments_are_handed_on():
    a = torch.ones(2, dtype=torch.bfloat16)
    assert in_fp32(lambda x: x)(a) is a


def test_other_types_are_not_touched():
    kept = (torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.int64), "word", None)
    assert all(a is b for a, b in zip(to_fp32(kept), kept, strict=True))


def test_gradients_of_a_widened_argument_arrive():
    x = torch.tensor([2.0], requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        in_fp32(torch.square)(x.bfloat16()).sum().backward()
    assert x.grad.item() == 4.0


@pytest.mark.parametrize("dtype", SHORT)
def test_matching_of_a_black_picture_is_finite_in_16_bits(dtype):
    """Its cosines divide by an epsilon, which fp16 would round to 0."""
    words, lengths = torch.randn(3, 4, 5), torch.tensor([5, 3, 1])
    with torch.autocast("cpu", dtype):
        found = matching_losses(torch.zeros(3, 4, 2, 2, dtype=dtype), torch.zeros(3, 4, dtype=dtype), words, words[:, :, 0], lengths)
    assert all(value.isfinite() and value.dtype == torch.float32 for value in found.values())


def test_an_outspoken_discriminator_costs_what_it_says():
    """exp of 20 is beyond fp16; the loss is that of fp32."""
    logits = torch.tensor([20.0, -20.0], dtype=torch.float16)
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(is_fake(logits), is_fake(logits.float()))
