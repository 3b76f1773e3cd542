"""The losses of StackGAN++ and of the plain-DCGAN variant, and colour consistency, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from dmm.losses.adversarial import conditional_loss, discriminator_loss, generator_loss, six_term_loss
from dmm.losses.colour import colour_loss, colour_statistics


class Mean:
    """A discriminator whose features are the pictures' means: the logit alone is that mean, with text the sum of both means."""

    def features(self, image):
        return image.mean((1, 2, 3))

    def conditional(self, features, text):
        return features + text.mean(1)

    def unconditional(self, features):
        return features


def flat(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None, None].expand(-1, 3, 4, 4)


def plus(x: float) -> float:
    return math.log1p(math.exp(x))


TEXT = torch.tensor([[0.5, 1.5], [-1.0, -1.0]])  # means 1 and -1


def test_six_terms_by_hand():
    parts = six_term_loss(Mean(), flat(2, 2), flat(3, 3), flat(-1, -1), TEXT, unconditional=0.5)
    expected = {
        "real_cond": (plus(-3) + plus(-1)) / 2,
        "wrong_cond": (plus(4) + plus(2)) / 2,
        "fake_cond": (plus(0) + plus(-2)) / 2,
        "real_uncond": plus(-2),
        "wrong_uncond": plus(-3),  # labelled real
        "fake_uncond": plus(-1),
    }
    for name, value in expected.items():
        assert parts[name].item() == pytest.approx(value, abs=1e-6), name
    total = sum(value * (1 if name.endswith("_cond") else 0.5) for name, value in expected.items())
    assert parts["total"].item() == pytest.approx(total, abs=1e-6)


def test_six_terms_teach_the_discriminator_only():
    fake, text = flat(0, 1).clone().requires_grad_(), TEXT.clone().requires_grad_()
    real = flat(1, 2).clone().requires_grad_()
    six_term_loss(Mean(), real, flat(3, 3), fake, text)["total"].backward()
    assert fake.grad is None and text.grad is None and real.grad is not None


def test_conditional_loss_by_hand():
    parts = conditional_loss(Mean(), flat(2, 0), flat(-1, 1), TEXT)
    assert parts["cond_real"].item() == pytest.approx((plus(-3) + plus(1)) / 2, abs=1e-6)
    assert parts["cond_fake"].item() == pytest.approx((plus(0) + plus(0)) / 2, abs=1e-6)
    assert parts["cond_wrong"].item() == pytest.approx(plus(1), abs=1e-6)  # the first picture with the second sentence
    total = parts["cond_real"] + (parts["cond_fake"] + parts["cond_wrong"]) / 2
    assert parts["total"].item() == pytest.approx(total.item())
    with pytest.raises(ValueError, match="at least 2"):
        conditional_loss(Mean(), flat(2), flat(1), TEXT[:1])


@pytest.mark.parametrize("together", [False, True])
def test_fakes_may_be_joined_with_sentences_of_their_own(together):
    parts = discriminator_loss(Mean(), flat(2, 0), flat(-1, 1), TEXT, together=together, fake_sentence=-TEXT)
    assert parts["cond_fake"].item() == pytest.approx((plus(-2) + plus(2)) / 2, abs=1e-6)
    assert parts["cond_real"].item() == pytest.approx((plus(-3) + plus(1)) / 2, abs=1e-6)
    plain = discriminator_loss(Mean(), flat(2, 0), flat(-1, 1), TEXT, together=together)
    assert plain["cond_fake"].item() == pytest.approx(plus(0), abs=1e-6)


def test_a_generator_may_be_discriminated_with_the_text_alone():
    both, half, alone = (generator_loss(Mean(), flat(1, 1), TEXT, unconditional=weight) for weight in (1.0, 0.5, 0.0))
    assert both["total"].item() == pytest.approx((both["cond"] + both["uncond"]).item())
    assert half["total"].item() == pytest.approx((both["cond"] + both["uncond"] / 2).item())
    assert "uncond" not in alone and alone["total"].item() == alone["cond"].item()


def test_colour_statistics_of_two_flat_halves():
    image = torch.zeros(1, 3, 2, 2)
    image[0, 0, 0], image[0, 1, 1] = 1.0, 2.0  # red above, green below
    mean, covariance = colour_statistics(image)
    torch.testing.assert_close(mean, torch.tensor([[0.5, 1.0, 0.0]]))
    torch.testing.assert_close(covariance[0], torch.tensor([[0.25, -0.5, 0.0], [-0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]))


def test_colour_loss_is_zero_for_one_picture_at_several_sizes_and_counts_shifts():
    torch.manual_seed(0)
    small = torch.randn(2, 3, 4, 4)
    large = F.interpolate(small, scale_factor=2)
    assert colour_loss([small, large])["total"].item() == pytest.approx(0, abs=1e-10)
    assert colour_loss([small, large + 0.5])["total"].item() == pytest.approx(0.25, abs=1e-5)
    assert colour_loss([small, large + 0.5, large])["total"].item() == pytest.approx(0.5, abs=1e-5)
    covariance = colour_statistics(small)[1]
    scaled = (small - small.mean((2, 3), keepdim=True)) * 2 + small.mean((2, 3), keepdim=True)  # four times the covariance
    assert colour_loss([small, scaled])["total"].item() == pytest.approx(5 * 9 * covariance.square().mean().item(), rel=1e-4)


def test_the_smaller_picture_is_the_model():
    small, large = torch.randn(1, 3, 4, 4, requires_grad=True), torch.randn(1, 3, 8, 8, requires_grad=True)
    colour_loss([small, large])["total"].backward()
    assert small.grad is None and large.grad is not None
