"""R-precision with encoders whose score is known."""

import pytest
import torch

from dmm.metrics.r_precision import distractors, hits, r_precision

CLASSES = torch.arange(300) % 30


def test_identical_codes_are_always_found():
    codes = torch.randn(300, 64, generator=torch.Generator().manual_seed(0))
    wrong = distractors(CLASSES, 99, seed=1)
    assert r_precision(3 * codes, codes, wrong) == {"mean": 1.0, "std": 0.0, "interval_95": [1.0, 1.0]}


def test_unrelated_codes_are_at_chance():
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(3000) % 30
    score = r_precision(
        torch.randn(3000, 32, generator=generator), torch.randn(3000, 32, generator=generator), distractors(classes, 99, seed=1)
    )
    assert score["mean"] == pytest.approx(0.01, abs=0.006)


def test_a_constant_encoder_scores_nothing():
    assert r_precision(torch.ones(300, 8), torch.ones(300, 8), distractors(CLASSES, 99, seed=1))["mean"] == 0


def test_wrong_sentences_are_of_other_classes_and_differ():
    wrong = distractors(CLASSES, 99, seed=1)
    assert wrong.shape == (300, 99)
    assert not (CLASSES[wrong] == CLASSES[:, None]).any()
    assert all(len(set(row)) == 99 for row in wrong.tolist())
    assert torch.equal(wrong, distractors(CLASSES, 99, seed=1))
    assert distractors(torch.tensor([0, 0, 1, 2]), 99, seed=0).shape == (4, 2)
    with pytest.raises(ValueError, match="two classes"):
        distractors(torch.zeros(4, dtype=torch.long), 99, seed=0)


def test_another_own_sentence():
    codes = torch.eye(4)
    wrong = torch.tensor([[1], [2], [3], [0]])
    assert hits(codes, codes, wrong).all()
    assert hits(codes, codes.roll(1, 0), wrong, own=torch.tensor([1, 2, 3, 0])).all()  # its own may be among the wrong ones
    assert not hits(codes, codes, wrong, own=torch.tensor([2, 3, 0, 1])).any()


def test_pieces_change_nothing(monkeypatch):
    """Of 30,000 pictures no square of similarities is held; the wrong sentences are those of before."""
    rng = torch.Generator().manual_seed(8)
    classes, codes, sentences = torch.arange(50) % 7, torch.randn(50, 4, generator=rng), torch.randn(50, 4, generator=rng)
    wrong, own = distractors(classes, 20, 3), torch.randperm(50, generator=rng)
    whole = hits(codes, sentences, wrong), hits(codes, sentences, wrong, own)
    monkeypatch.setattr("dmm.metrics.r_precision.PIECE", 8)
    assert torch.equal(distractors(classes, 20, 3), wrong)
    assert torch.equal(hits(codes, sentences, wrong), whole[0]) and torch.equal(hits(codes, sentences, wrong, own), whole[1])
