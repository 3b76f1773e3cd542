"""Effects of every word of a caption, on every pathway: known generators, counterfactuals, and one row that stands for all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dmm.data.vocab import tokenise
from dmm.metrics.effects import counterfactual, word_effects
from dmm.metrics.pathways import generate, pathways
from tests.metrics.test_memory import VOCAB, HandMadeGenerator, HandMadePipeline, texts, toy_pipeline

CAPTION = "this small bird has a yellow crown and black wings"


def other_of(word: str, caption: str = CAPTION) -> str | None:
    return counterfactual(word, tokenise(caption), VOCAB, np.random.default_rng(0))


def test_counterfactuals_are_of_the_words_kind_and_new():
    assert other_of("yellow") in {"red", "orange", "green", "blue", "purple", "pink", "brown", "grey", "white"}
    assert other_of("crown") in set("belly breast throat forehead nape head back tail beak tarsus eye eyering eyebrow crest mask".split())
    assert other_of("wings") in {"feet", "eyes", "eyebrows"}
    assert other_of("small") in {"tiny", "large"}
    assert [other_of(word) for word in ("this", "bird", "has", "and")] == [None] * 4


@pytest.mark.parametrize("memory", [1.0, 0.0])
def test_a_memory_that_does_all_or_nothing(memory):
    effects = word_effects(HandMadePipeline(HandMadeGenerator(memory)), CAPTION, seed=3)
    assert [word.word for word in effects.words] == tokenise(CAPTION)
    assert effects.pathways == ("initial", "memory_128", "memory_256", "total")
    for word in effects.words:
        through = {name: word.changes[name] for name in ("initial", "memory_128", "memory_256")}
        if word.other is None:
            continue  # muted: the hand-made stage reads a mean over the words, so the others count for more
        half = pytest.approx(word.changes["total"] / 2, rel=1e-4)
        assert through == ({"initial": 0, "memory_128": half, "memory_256": half} if memory else
                           {"initial": pytest.approx(word.changes["total"]), "memory_128": 0, "memory_256": 0})  # fmt: skip
        assert word.difference().mean().item() == pytest.approx(word.changes["total"], rel=1e-5)


def test_words_are_found_by_position():
    effects = word_effects(toy_pipeline(), CAPTION, seed=3)
    labels = VOCAB.labels(VOCAB.encode(CAPTION))
    for word in effects.words:
        assert labels[word.position] == word.word and effects.for_word(word.position) is word
    assert effects.for_word(labels.index("yellow")).difference("global").shape == effects.base.shape[1:]
    with pytest.raises(KeyError, match="no word at position 99"):
        effects.for_word(99)
    with pytest.raises(KeyError, match="this system has initial, memory_128"):
        effects.words[0].difference("sentence_attention")


def test_a_word_alone():
    assert word_effects(toy_pipeline(), "bird").words == ()  # nothing would be left to read
    (only,) = word_effects(toy_pipeline(), "red").words
    assert only.other is not None and only.changes["total"] > 0


def test_chosen_words_alone():
    pipe, steps = toy_pipeline(), []
    yellow = VOCAB.labels(VOCAB.encode(CAPTION)).index("yellow")
    every = word_effects(pipe, CAPTION, seed=3)
    (one,) = word_effects(pipe, CAPTION, 3, {yellow: None}, lambda done, of: steps.append((done, of))).words
    assert one.other == every.for_word(yellow).other and one.changes == pytest.approx(every.for_word(yellow).changes, rel=1e-4)
    (blue,) = word_effects(pipe, CAPTION, 3, {yellow: "blue"}).words
    assert (blue.word, blue.other, blue.position) == ("yellow", "blue", yellow)
    assert steps == [(k, 5) for k in range(1, 6)]


def test_the_same_seed_gives_the_same_effects():
    one, two = (word_effects(toy_pipeline(), CAPTION, seed=5) for _ in range(2))
    assert [word.other for word in one.words] == [word.other for word in two.words]
    assert [word.changes for word in one.words] == [word.changes for word in two.words]


@pytest.mark.parametrize("system", ["dmmgan", "stackgan", "dfgan"])
def test_systems_tell_what_they_have(system):
    effects = word_effects(toy_pipeline(system), CAPTION)
    expected = {"dmmgan": ("initial", "memory_128", "memory_256", "global", "total"), "stackgan": ("initial", "joining", "total")}
    assert effects.pathways == expected.get(system, ("total",))


@torch.no_grad()
def test_one_row_stands_for_all_rows():
    generator = toy_pipeline().generator
    text, other = texts(generator)
    text = text.rows(slice(1))
    noise, eps = torch.randn(1, 4), torch.zeros(1, 5)
    for name, pathway in pathways(generator).items():
        together = generate(generator, text, noise, eps, pathway, other).images[-1]
        alone = [generate(generator, text, noise, eps, pathway, other.rows(slice(k, k + 1))).images[-1] for k in range(2)]
        torch.testing.assert_close(together, torch.cat(alone), msg=name)
