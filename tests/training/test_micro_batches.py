"""What a step draws at random: by generators of its own, on which its micro-batches draw one after the other."""

import pytest
import torch

from dmm.training import text_guidance
from dmm.training.adversarial import GanStep
from dmm.training.rng import Purpose, step_rng
from dmm.training.steps import MatchStep

PAIRED = {"images": 100, "noise_dim": 96, "paired": 1, "corrupt_sentence": 0.5, "initial_stages": 2, "hard_wrong": True}


@pytest.fixture
def drawn(monkeypatch):
    """Where a function is given its generator last, note the generator's state at every call: ``drawn(data, "mask_words")``."""

    def note(owner, name):
        states, function = [], getattr(owner, name)

        def noting(*args):
            states.append(args[-1].get_state())
            return function(*args)

        monkeypatch.setattr(owner, name, noting)
        return states

    return note


def begins_as(states, *purposes, **part):
    """Are the first states those of generators that nothing was drawn from yet?"""
    fresh = [step_rng(0, 1, purpose, **part).get_state() for purpose in purposes]
    return all(torch.equal(state, first) for state, first in zip(states, fresh, strict=False))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_matching_masks_other_words_in_each_piece(toy, drawn, accumulate):
    step = MatchStep(toy("match", accumulate=accumulate, text_batch=0))
    states = drawn(step.data, "mask_words")
    step.update(1)
    assert len(states) == 2 * accumulate and begins_as(states, Purpose.MASKED_WORDS, Purpose.RECALLED_WORDS)
    for first, second in zip(states[:2], states[2:], strict=False):
        assert not torch.equal(first, second)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_text_guidance_reads_each_piece_by_draws_of_its_own(toy, earlier_runs, drawn, accumulate):
    settings = {"initial_steps": 0, "frozen_steps": 0, "damsm": 0, "stream": 0, "text_losses_on": "last"}
    step = GanStep(toy("gan", accumulate=accumulate, **settings), *earlier_runs)
    masked, seen = drawn(step.data, "mask_words"), drawn(text_guidance, "augment")
    step.update(1)
    assert len(masked) == len(seen) == accumulate
    assert begins_as(masked, Purpose.GUIDANCE_WORDS) and begins_as(seen, Purpose.GUIDANCE_AUGMENTATION, ranks=step.ranks)
    for states in (masked, seen):
        assert accumulate == 1 or not torch.equal(*states)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_pieces_are_corrupted_and_mismatched_by_draws_of_their_own(toy, earlier_runs, drawn, accumulate):
    step = GanStep(toy("gan", batch=8, accumulate=accumulate, stream=0, damsm=0, cloze=0, **PAIRED), *earlier_runs)
    exchanged = drawn(step.data, "exchange_words")
    told, corrupted = drawn(step.paired, "noise"), drawn(step.paired, "corrupted")
    step.read(1)
    assert len(exchanged) == len(told) == len(corrupted) == accumulate
    assert begins_as(exchanged, Purpose.EXCHANGED_WORDS) and begins_as(told, Purpose.CORRUPTED_SENTENCES)
    for states in (exchanged, told, corrupted):
        assert accumulate == 1 or not torch.equal(*states)
