"""The memory's modules, each against its equation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmm.models.memory import (
    GlobalAddressing,
    GlobalReading,
    KeyAddressing,
    MemoryWriting,
    Projection,
    Response,
    ResponseGate,
    ValueReading,
    WritingGate,
    paired_sample,
)


def test_writing_gate_is_one_sigmoid_a_word():
    gate = WritingGate(2, 3)
    with torch.no_grad():
        gate.text.weight.copy_(torch.tensor([[1.0, -1.0]]))
        gate.image.weight.copy_(torch.tensor([[0.5, 0.0, 0.0]]))
    words = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])  # two words: (2, 0) and (0, 1)
    found = gate(words, torch.tensor([[4.0, 9.0, 9.0]]))
    torch.testing.assert_close(found, torch.sigmoid(torch.tensor([[[4.0, 1.0]]])))


def test_writing_mixes_word_and_picture():
    text, image = torch.full((1, 2, 3), 10.0), torch.full((1, 2, 1), 2.0)
    found = MemoryWriting()(torch.tensor([[[0.0, 0.5, 1.0]]]), text, image)
    torch.testing.assert_close(found[0, 0], torch.tensor([2.0, 6.0, 10.0]))


def test_projection_is_never_negative():
    assert Projection(4, 5)(torch.randn(2, 4, 7)).min() >= 0


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 4), st.integers(0, 99))
def test_addressing_is_a_softmax_over_the_words_alone(batch, steps, side, seed):
    torch.manual_seed(seed)
    features, key, mask = torch.randn(batch, 3, side, side), torch.randn(batch, 3, steps), torch.rand(batch, steps) < 0.5
    mask[:, 0] = False
    found = KeyAddressing()(features, key, mask)
    torch.testing.assert_close(found.sum(1), torch.ones(batch, side, side))
    assert found[mask].abs().sum() == 0
    b, y, x = batch - 1, side - 1, side // 2
    logits = torch.tensor([float(key[b, :, t] @ features[b, :, y, x]) if not mask[b, t] else -float("inf") for t in range(steps)])
    torch.testing.assert_close(found[b, :, y, x], logits.softmax(0))


def test_published_pairing_masks_with_another_samples_mask():
    torch.manual_seed(0)
    features, key = torch.randn(3, 4, 5, 5), torch.randn(3, 4, 6)
    mask = torch.arange(6)[None] >= torch.tensor([6, 4, 2])[:, None]
    found = KeyAddressing("published")(features, key, mask).flatten(2)  # B T Q
    for b in range(3):
        for q in range(25):
            other = (b * 25 + q) % 3
            assert paired_sample(3, 25)[b, q] == other
            assert torch.equal(found[b, :, q] == 0, mask[other])


def test_both_pairings_agree_on_one_sample_and_on_equal_masks():
    torch.manual_seed(0)
    mask = torch.tensor([False, False, True])
    for batch in (1, 4):
        features, key = torch.randn(batch, 2, 3, 3), torch.randn(batch, 2, 3)
        arguments = features, key, mask.expand(batch, 3)
        torch.testing.assert_close(KeyAddressing("published")(*arguments), KeyAddressing("right")(*arguments))
    with pytest.raises(ValueError, match="mask_pairing"):
        KeyAddressing("other")


def test_reading_is_the_weighted_sum_of_values():
    addressing, value = torch.randn(2, 5, 3, 4).softmax(1), torch.randn(2, 6, 5)
    torch.testing.assert_close(ValueReading()(addressing, value), torch.einsum("bthw,bct->bchw", addressing, value))


def test_the_global_slot_is_read_over_channels():
    image, key, value = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 1), torch.randn(2, 4, 1)
    weights = GlobalAddressing()(image, key)
    torch.testing.assert_close(weights[1, :, 2, 0], (image[1, :, 2, 0] * key[1, :, 0]).softmax(0))
    torch.testing.assert_close(GlobalReading()(weights, value)[1, :, 2, 0], weights[1, :, 2, 0] * value[1, :, 0])


def test_the_memory_keeps_channels_last_order():
    image = torch.randn(2, 4, 6, 6).to(memory_format=torch.channels_last)
    weights = GlobalAddressing()(image, torch.randn(2, 4, 1))
    answer = ValueReading()(torch.rand(2, 5, 6, 6), torch.randn(2, 4, 5))
    assert all(maps.is_contiguous(memory_format=torch.channels_last) for maps in (weights, answer))
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 6, 6))


def test_three_way_gate_sums_to_one_and_weighs_in_order():
    image, words, sentence = (torch.full((1, 2, 3, 3), value) for value in (1.0, 10.0, 100.0))
    gate = ResponseGate(2, 2)(image, words, sentence)
    assert gate.shape == (1, 3, 3, 3)
    torch.testing.assert_close(gate.sum(1), torch.ones(1, 3, 3))
    for way, value in enumerate((1.0, 10.0, 100.0)):
        chosen = torch.zeros(1, 3, 3, 3)
        chosen[:, way] = 1
        assert (Response()(chosen, image, words, sentence) == value).all()


def test_one_answer_is_let_in_by_a_sigmoid():
    image, words = torch.zeros(1, 2, 3, 3), torch.ones(1, 2, 3, 3)
    gate = ResponseGate(2, 1)(image, words)
    assert gate.shape == (1, 1, 3, 3)
    torch.testing.assert_close(Response()(gate, image, words), gate.expand(1, 2, 3, 3))
