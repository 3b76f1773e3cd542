"""Losses against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from dmm.losses.adversarial import discriminator_loss, generator_loss, generator_term, is_fake, is_real
from dmm.losses.cloze import cloze_loss, mask_words
from dmm.losses.consistency import consistency_loss
from dmm.losses.damsm import damsm_loss
from dmm.losses.kl import kl_loss
from dmm.losses.stream import caption_loss, repetition_loss
from dmm.matching import matching_losses
from dmm.models.discriminators import Discriminator
from dmm.models.spectral import SpectralConv2d


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=6))
def test_bce_is_that_of_the_probabilities(values):
    logits = torch.tensor(values, dtype=torch.float64)
    probabilities, one = logits.sigmoid(), torch.ones_like(logits)
    torch.testing.assert_close(is_real(logits), F.binary_cross_entropy(probabilities, one))
    torch.testing.assert_close(is_fake(logits), F.binary_cross_entropy(probabilities, 0 * one))
    assert generator_term(logits) == is_real(logits)


def test_bce_stays_finite_and_keeps_its_gradient_far_out():
    logits = torch.tensor([-200.0], requires_grad=True)
    is_real(logits).backward()
    assert logits.grad.item() == pytest.approx(-1)


def test_hinge_by_hand():
    logits = torch.tensor([-2.0, 0.0, 3.0])
    assert is_real(logits, "hinge").item() == pytest.approx(4 / 3)
    assert is_fake(logits, "hinge").item() == pytest.approx(5 / 3)
    assert generator_term(logits, "hinge").item() == pytest.approx(-1 / 3)
    with pytest.raises(ValueError, match="bce, hinge"):
        is_real(logits, "wasserstein")


class Reads:
    """A discriminator whose logits are the picture's first pixel, plus the sentence's first number."""

    def features(self, image):
        return image[:, 0, 0, 0]

    def conditional(self, features, sentence):
        return features + sentence[:, 0]

    def unconditional(self, features):
        return features


@pytest.mark.parametrize("together", [False, True])
def test_parts_and_weights_of_the_discriminator_loss(together):
    real, fake = torch.tensor([2.0, 1.0]).view(2, 1, 1, 1), torch.tensor([-1.0, 0.0]).view(2, 1, 1, 1)
    sentence = torch.tensor([[0.5], [-3.0]])
    parts = discriminator_loss(Reads(), real, fake, sentence, together=together)

    def no(*logits):
        return sum(math.log1p(math.exp(logit)) for logit in logits) / len(logits)

    def yes(*logits):
        return no(*(-logit for logit in logits))

    wanted = {"real": yes(2, 1), "fake": no(-1, 0), "cond_real": yes(2.5, -2), "cond_fake": no(-0.5, -3), "cond_wrong": no(2 - 3)}
    for name, value in wanted.items():
        assert parts[name].item() == pytest.approx(value, rel=1e-5)
    total = (wanted["real"] + wanted["cond_real"]) / 2 + (wanted["fake"] + wanted["cond_fake"] + wanted["cond_wrong"]) / 3
    assert parts["total"].item() == pytest.approx(total, rel=1e-5)
    chosen = discriminator_loss(Reads(), real, fake, sentence, together=together, wrong=torch.tensor([[7.0], [8.0]]))
    assert chosen["cond_wrong"].item() == pytest.approx(no(2 + 7, 1 + 8), rel=1e-5)


def test_one_pass_equals_separate_calls_while_the_vectors_are_frozen():
    torch.manual_seed(0)
    net = Discriminator(64, width=2, text_dim=4)
    for module in net.modules():
        if isinstance(module, SpectralConv2d):
            module.power_iterations = 0
    pictures = torch.randn(2, 3, 3, 64, 64)
    sentence = torch.randn(3, 4)
    apart, joined = (discriminator_loss(net, *pictures, sentence, together=together) for together in (False, True))
    for name in apart:
        torch.testing.assert_close(apart[name], joined[name])


def test_a_single_sample_has_no_mismatch():
    with pytest.raises(ValueError, match="at least 2"):
        discriminator_loss(Reads(), torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.zeros(1, 1))


def test_the_generator_is_asked_twice():
    fake, sentence = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).requires_grad_(), torch.tensor([[0.5], [1.0]])
    parts = generator_loss(Reads(), fake, sentence, "hinge")
    assert (parts["cond"].item(), parts["uncond"].item(), parts["total"].item()) == (-2.25, -1.5, -3.75)
    parts["total"].backward()
    assert fake.grad.flatten().tolist() == [-1.0, -1.0]


def test_kl_of_a_standard_normal_is_zero_and_is_a_mean():
    assert kl_loss(torch.zeros(2, 3), torch.zeros(2, 3)).item() == 0
    assert kl_loss(torch.full((2, 3), 2.0), torch.zeros(2, 3)).item() == pytest.approx(2)
    assert kl_loss(torch.zeros(2, 3), torch.full((2, 3), math.log(4))).item() == pytest.approx(0.5 * (4 - 1 - math.log(4)))


def test_repetition_loss_counts_words_that_are_done_with():
    """Caption 1 2 1 3: at the last position 1 and 2 are done with, at the third 2 alone, since 1 comes again; padding does not count."""
    captions, lengths = torch.tensor([[1, 2, 1, 3], [2, 2, 2, 2]]), torch.tensor([4, 1])
    logits = torch.zeros(2, 4, 4)  # a quarter each
    assert repetition_loss(logits, captions, lengths).item() == pytest.approx(3 * -math.log(0.75) / 5)
    for position, word, loss in ((3, 1, 1), (3, 3, 1), (2, 1, 2), (0, 1, 3)):  # sure of a word there: what is left of the three
        sure = logits.clone()
        sure[0, position] = 1000 * torch.eye(4)[word]
        expected = loss * -math.log(0.75) + (-math.log(1e-5) if (position, word) == (3, 1) else 0)
        assert repetition_loss(sure, captions, lengths).item() == pytest.approx(expected / 5, rel=1e-2)
    certain = (1000 * F.one_hot(captions, 4)).float()
    assert repetition_loss(certain, captions, lengths).item() == pytest.approx(0, abs=1e-4)


def test_caption_loss_counts_real_positions_only():
    captions, lengths = torch.tensor([[1, 2, 0], [2, 0, 0]]), torch.tensor([3, 1])
    logits = torch.zeros(2, 3, 4)
    assert caption_loss(logits, captions, lengths).item() == pytest.approx(math.log(4))
    logits[1, 1:] = 1000 * torch.eye(4)[3]  # past the second caption's end
    assert caption_loss(logits, captions, lengths).item() == pytest.approx(math.log(4))
    logits[0, 0] = 1000 * torch.eye(4)[1]
    assert caption_loss(logits, captions, lengths).item() == pytest.approx(0.75 * math.log(4))


def test_damsm_is_the_matching_loss_of_the_encoded_pictures():
    torch.manual_seed(0)
    regions, code, words, sentence = torch.randn(3, 4, 2, 2), torch.randn(3, 4), torch.randn(3, 4, 5), torch.randn(3, 4)
    lengths = torch.tensor([5, 3, 4])
    found = damsm_loss(lambda images: (regions, code), None, words, sentence, lengths)
    assert found == matching_losses(regions, code, words, sentence, lengths)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 2), st.integers(0, 99))
def test_masked_words_are_allowed_ones_and_their_targets_the_originals(batch, variants, words, seed):
    random = torch.Generator().manual_seed(seed)
    captions, lengths = torch.randint(3, 30, (batch, 7), generator=random), torch.full((batch,), 7)
    allowed = torch.rand(batch, 7, generator=random) < 0.5
    made = mask_words(captions, lengths, allowed, 99, variants, words, random)
    assert made.captions.shape == (batch * variants, 7) and made.image.tolist() == [b for b in range(batch) for _ in range(variants)]
    assert torch.equal(made.captions == 99, made.masked)
    assert allowed[made.image][made.masked].all()
    assert torch.equal(captions[made.image][made.masked], made.targets)
    for b in range(batch):  # different words as far as there are enough
        different = made.masked[made.image == b].any(0).sum()
        assert different == min(int(allowed[b].sum()), variants * words)


def test_cloze_loss_names_the_missing_word():
    made = mask_words(torch.tensor([[3, 4]]), torch.tensor([2]), torch.tensor([[False, True]]), 9)
    right = cloze_loss(lambda *_: 1000 * torch.eye(6)[[4]], None, made)
    assert right["total"].item() == 0 and right["accuracy"].item() == 1
    none = mask_words(torch.tensor([[3, 4]]), torch.tensor([2]), torch.zeros(1, 2, dtype=torch.bool), 9)
    assert cloze_loss(lambda *_: torch.zeros(0, 6), None, none)["total"].item() == 0


def test_consistency_sees_what_survives_averaging_down():
    coarse = torch.zeros(1, 3, 8, 8)
    fine = torch.full((1, 3, 16, 16), 0.5)
    assert consistency_loss(coarse, fine).item() == 0.5
    checks = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1  # detail of mean zero
    assert consistency_loss(coarse, checks.expand(1, 3, 16, 16)).item() == 0
    coarse.requires_grad_()
    assert not consistency_loss(coarse, fine).requires_grad
