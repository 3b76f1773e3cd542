"""Random generators of training: the same whenever asked for, another one for every seed, purpose, step, part and process."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from dmm.data.batch import BatchSampler
from dmm.training.ranks import Ranks
from dmm.training.rng import Purpose, seed_dropout, step_rng


def first(*args, **kwargs) -> tuple[int, ...]:
    return tuple(torch.randint(2**62, (2,), generator=step_rng(*args, **kwargs)).tolist())


def test_no_two_purposes_steps_seeds_parts_or_processes_share_numbers():
    steps = [0, 1, 999_999, 1_000_000, 1_000_003, 2_000_000, 2_000_003, 2**31, 2**32, 2**32 + 1, 2**40]
    asked = list(itertools.product((0, 1, 2**32, -1), steps, Purpose))
    found = [first(seed, index, purpose) for seed, index, purpose in asked]
    found += [first(0, 5, Purpose.NOISE, part=part) for part in (1, 2)]
    found += [first(0, 5, Purpose.NOISE, Ranks(rank=rank, world=2)) for rank in (0, 1)]
    assert len(set(found)) == len(asked) + 4


def test_long_runs_do_not_meet_the_numbers_of_earlier_steps_or_other_seeds():
    """One step after the other number 1,000,003 used to begin the next seed's run."""
    assert first(0, 1_000_003, Purpose.NOISE) != first(1, 0, Purpose.NOISE)
    assert first(0, 1_000_003, Purpose.NOISE) == first(0, 1_000_003, Purpose.NOISE)


def test_a_generator_made_from_a_state_draws_good_normal_numbers():
    numbers = torch.randn(200_000, generator=step_rng(0, 0, Purpose.NOISE)).double()
    assert abs(numbers.mean()) < 0.01 and abs(numbers.std() - 1) < 0.01
    neighbour = torch.randn(200_000, generator=step_rng(0, 1, Purpose.NOISE)).double()
    assert abs(torch.corrcoef(torch.stack([numbers, neighbour]))[0, 1]) < 0.01


def test_the_words_of_the_state_are_those_that_a_seeded_generator_has():
    """Where the words lie in a state is checked against PyTorch's own seeding (Mersenne Twister, Knuth's recurrence)."""
    from dmm.training.rng import STATE

    words = torch.Generator().manual_seed(5489).get_state().numpy()[STATE].view(np.uint64)
    assert words[:3].tolist() == [5489, 1301868182, 2938499221] and words.max() < 2**32


def test_dropout_is_set_by_step():
    drawn = []
    for index in (3, 4, 3):
        seed_dropout(0, index)
        drawn.append(torch.rand(3))
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])


class Caption:
    text, slots = "a bird", {}


class Pictures:
    """A source of a hundred pictures with one caption."""

    def __len__(self):
        return 100

    def captions(self, index):
        return [Caption]

    def class_id(self, index):
        return index

    def key(self, index):
        return str(index)


class Vocab:
    """Every caption is one word."""

    def encode(self, text, limit, rng):
        return [1]

    def batch(self, rows):
        return torch.ones(len(rows), 1, dtype=torch.long), torch.ones(len(rows), dtype=torch.long)


def test_batches_for_other_purposes_are_not_those_of_training():
    sampler = BatchSampler(Pictures(), Vocab())
    training = sampler.batch(0, 8, ()).indices
    assert training == sampler.batch(0, 8, (), 0).indices
    others = [tuple(sampler.batch(0, 8, (), purpose).indices) for purpose in Purpose]
    assert len(set(others)) == len(Purpose) and sorted(sampler.indices(0, 100, Purpose.STATISTICS)) == list(range(100))
