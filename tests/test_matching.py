"""DAMSM over all pairs at once against the definition, written out pair by pair."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from dmm.matching import both_ways, mask_same_class, matching_losses, region_attention, sentence_scores, word_scores


def batch(samples: int, steps: int, side: int, channels: int, seed: int):
    """Random regions, words and lengths; the first caption is the longest."""
    random = torch.Generator().manual_seed(seed)
    regions = torch.randn(samples, channels, side, side, generator=random, dtype=torch.float64)
    words = torch.randn(samples, channels, steps, generator=random, dtype=torch.float64)
    lengths = torch.randint(1, steps + 1, (samples,), generator=random)
    lengths[0] = steps
    return regions, words, lengths


def one_pair(regions, words, gamma1: float, gamma2: float) -> float:
    """AttnGAN's Eqs. 7-10 for regions D H W and the words D T of one caption."""
    places = regions.flatten(1)  # D R
    over_words = (words.T @ places).softmax(0)  # T R
    attention = (gamma1 * over_words).softmax(1)
    context = places @ attention.T  # D T
    cosine = F.cosine_similarity(words, context, dim=0)
    return math.log(sum(math.exp(gamma2 * c) for c in cosine.tolist()))


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_all_pairs_at_once_equal_pair_by_pair(samples, steps, side, channels, seed):
    regions, words, lengths = batch(samples, steps, side, channels, seed)
    scores = word_scores(regions, words, lengths, 4.0, 5.0)
    for i in range(samples):
        for j in range(samples):
            assert scores[i, j].item() == pytest.approx(one_pair(regions[i], words[j, :, : lengths[j]], 4.0, 5.0), abs=1e-6)


def test_what_stands_behind_a_captions_end_does_not_count():
    regions, words, lengths = batch(3, 6, 4, 5, 0)
    other = words.clone()
    for row, length in zip(other, lengths, strict=True):
        row[:, length:] = 7.0
    assert torch.equal(word_scores(regions, words, lengths), word_scores(regions, other, lengths))


def test_attention_is_a_softmax_over_places_and_its_context_the_weighted_regions():
    regions, words, lengths = batch(3, 6, 4, 5, 1)
    attention, context = region_attention(regions, words, lengths)
    assert attention.shape == (3, 6, 4, 4)
    torch.testing.assert_close(attention.sum((2, 3)), torch.ones(3, 6, dtype=torch.float64))
    torch.testing.assert_close(context, torch.einsum("bdhw,bthw->bdt", regions, attention))


def test_sentence_score_is_the_cosine():
    embedding, sentence = torch.tensor([[3.0, 4.0]]), torch.tensor([[6.0, 8.0], [-4.0, 3.0], [0.0, 0.0]])
    torch.testing.assert_close(sentence_scores(embedding, sentence), torch.tensor([[1.0, 0.0, 0.0]]))


def test_same_class_is_no_mismatch():
    masked = mask_same_class(torch.zeros(3, 3), torch.tensor([4, 9, 4]))
    assert masked.isinf().nonzero().tolist() == [[0, 2], [2, 0]]
    losses = both_ways(masked)
    assert losses[0].item() == pytest.approx((math.log(2) + math.log(3) + math.log(2)) / 3)


def test_losses_fall_when_the_pairs_fit():
    regions, words, lengths = batch(4, 5, 3, 16, 2)
    words = regions.flatten(2)[:, :, :5].clone()  # each word is one region of its own picture
    embedding, sentence = regions.mean((2, 3)), regions.mean((2, 3))
    fit = matching_losses(regions, embedding, words, sentence, lengths)
    wrong = matching_losses(regions, embedding, words.roll(1, 0), sentence.roll(1, 0), lengths)
    assert set(fit) == {"words0", "words1", "sentence0", "sentence1", "total"}
    assert all(fit[name] < wrong[name] for name in fit)
    torch.testing.assert_close(fit["total"], sum(value for name, value in fit.items() if name != "total"))


def test_gradients_are_right():
    regions, words, lengths = batch(2, 3, 2, 3, 3)
    regions.requires_grad_(), words.requires_grad_()
    assert torch.autograd.gradcheck(lambda r, w: word_scores(r, w, lengths), (regions, words))
