"""The one-way losses of DF-GAN against hand-worked numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dmm.losses.magp import matching_aware_penalty, one_way_generator_loss, one_way_loss


class Linear(nn.Module):
    """D(x, e) = 3 * sum of the picture's first pixel + 4 * e_0 + bias, so that every gradient has norm 5."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def features(self, image):
        return image[:, 0, 0, 0]

    def conditional(self, features, sentence):
        return self.scale * (3 * features + 4 * sentence[:, 0])


def pair(first: list[float], sentence: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    image = torch.zeros(len(first), 3, 2, 2)
    image[:, 0, 0, 0] = torch.tensor(first)
    return image, torch.tensor(sentence)[:, None]


@pytest.mark.parametrize(("weight", "power"), [(2.0, 6.0), (1.0, 2.0), (0.5, 1.0)])
def test_the_penalty_of_a_linear_discriminator(weight, power):
    net, (image, sentence) = Linear(), pair([0.1, -0.3], [0.2, 0.4])
    image.requires_grad_(), sentence.requires_grad_()
    penalty = matching_aware_penalty(net.conditional(net.features(image), sentence), image, sentence, weight, power)
    assert penalty.item() == pytest.approx(weight * 5**power, rel=1e-5), "the joint norm of (3, 4)"
    penalty.backward()
    assert net.scale.grad.item() == pytest.approx(weight * power * 5**power, rel=1e-5), "second order: d/ds (5 s)^p"


def test_each_term_by_hand():
    real, sentence = pair([0.0, 1.0], [0.1, 0.0])
    fake, _ = pair([-1.0, 0.5], [0.0, 0.0])
    parts = one_way_loss(Linear(), real, fake, sentence, weight=0.01, power=2)
    assert parts["real"].item() == pytest.approx((0.6 + 0.0) / 2)  # outputs 0.4 and 3
    assert parts["fake"].item() == pytest.approx((0.0 + 2.5) / 2)  # outputs -2.6 and 1.5
    assert parts["wrong"].item() == pytest.approx((4.4 + 1.0) / 2)  # features of the next sample: outputs 3.4 and 0
    assert parts["magp"].item() == pytest.approx(0.25)
    assert parts["total"].item() == pytest.approx(0.3 + (1.25 + 2.7) / 2 + 0.25)
    chosen = one_way_loss(Linear(), real, fake, sentence, wrong=torch.tensor([[-1.0], [1.0]]))
    assert chosen["wrong"].item() == pytest.approx((0.0 + 8.0) / 2)  # outputs -4 and 7
    assert one_way_generator_loss(Linear(), fake, sentence)["total"].item() == pytest.approx((2.6 - 1.5) / 2)


def test_the_discriminators_loss_reaches_neither_generator_nor_text_encoder():
    real, sentence = pair([0.0, 1.0], [0.1, 0.0])
    fake = (real * 0.5).requires_grad_()
    sentence.requires_grad_()
    one_way_loss(Linear(), real, fake, sentence)["total"].backward()
    assert fake.grad is None and sentence.grad is None and not real.requires_grad
    one_way_generator_loss(Linear(), fake, sentence)["total"].backward()
    assert fake.grad.abs().sum() > 0


def test_one_sample_has_no_mismatch():
    image, sentence = pair([0.0], [0.0])
    with pytest.raises(ValueError, match="at least 2"):
        one_way_loss(Linear(), image, image, sentence)


def test_a_discriminator_that_is_flat_already_gets_no_broken_gradient():
    net, (image, sentence) = Linear(), pair([0.1, -0.3], [0.2, 0.4])
    net.scale.data.zero_()
    image.requires_grad_(), sentence.requires_grad_()
    penalty = matching_aware_penalty(net.conditional(net.features(image), sentence), image, sentence)
    penalty.backward()
    assert penalty.item() == 0 and net.scale.grad.item() == 0
