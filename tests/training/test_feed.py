"""The words that the training aids choose."""

import torch

from dmm.data.aviary.traits import COLOURED_PARTS, COLOURS
from dmm.training.feed import CONTENT_WORDS, Feed


def test_exchanged_words_stay_in_their_group_and_differ_once(toy):
    feed = Feed(toy("match"))
    group_of = {feed.vocab.ids[w]: g for g, group in enumerate(CONTENT_WORDS) for w in group if w in feed.vocab.ids}
    for step in range(6):
        batch = feed.batch(step, 8, ())
        changed = feed.exchange_words(batch, torch.Generator().manual_seed(step))
        for before, after in zip(batch.captions.tolist(), changed.tolist(), strict=True):
            different = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
            holds_content = any(word in group_of for word in before)
            assert len(different) == (1 if holds_content else 0)
            assert all(group_of[a] == group_of[b] for a, b in different)


def test_masked_words_are_content_words(toy):
    feed = Feed(toy("match"))
    batch = feed.batch(0, 8, ())
    chosen = feed.mask_words(batch, 3, torch.Generator().manual_seed(0))
    content = {feed.vocab.ids[w] for group in CONTENT_WORDS for w in group if w in feed.vocab.ids}
    assert len(chosen.captions) == 24 and set(chosen.targets.tolist()) <= content
    assert (chosen.captions[chosen.masked] == len(feed.vocab)).all()


def test_fixed_captions_are_of_unseen_species_and_always_the_same(toy):
    first, second = Feed(toy("match")).fixed_captions, Feed(toy("match")).fixed_captions
    assert first == second and len(first) == 8


def test_part_colours_are_the_birds_own(toy):
    feed = Feed(toy("match"))
    target = feed.part_colours(torch.tensor([3, 0]))
    assert target.shape == (2, len(COLOURED_PARTS), len(COLOURS)) and torch.allclose(target.sum(2), torch.ones(2, len(COLOURED_PARTS)))
    bird = feed.cache.bird(3)
    for row, part in zip(target[0], COLOURED_PARTS, strict=True):
        assert COLOURS[int(row.argmax())] == bird.colours[part][0]
        assert {COLOURS[i] for i in row.nonzero().flatten().tolist()} == set(bird.colours[part])
