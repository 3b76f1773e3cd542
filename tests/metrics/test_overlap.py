"""BLEU and CIDEr by hand, and by the examples of BLEU's paper."""

import math

import pytest

from dmm.metrics.overlap import bleu, cider

THE = "the the the the the the the"
REFERENCES = ["the cat is on the mat", "there is a cat on the mat"]


def test_clipped_precision_of_the_paper():
    """Papineni et al., Example 2: 2 of 7."""
    assert bleu([THE], [REFERENCES], longest=1) == pytest.approx(2 / 7)


def test_equal_sentences_and_sentences_without_a_common_word():
    assert bleu(REFERENCES, [[REFERENCES[0]], [REFERENCES[1]]]) == pytest.approx(1)
    assert bleu(["a b c d e"], [["f g h i j"]]) == 0 and cider(["a b c d e"], [["f g h i j"]]) == 0


def test_short_candidates_are_penalised_by_the_closest_length():
    """3 words of 6: exp(1 - 6/3); the reference of 7 words is farther."""
    assert bleu(["the cat is"], [REFERENCES], longest=2) == pytest.approx(math.exp(-1))
    assert bleu(["the cat is on the mat today"], [["the cat is on the mat today yes", "the cat is on the mat"]], longest=1) == 1


def test_bleu_is_of_the_corpus():
    """1-grams 3 of 4, 2-grams 1 of 2, over both sentences."""
    found = bleu(["a b", "c d"], [["a b"], ["c x"]], longest=2)
    assert found == pytest.approx(math.sqrt(3 / 4 * 1 / 2))


def test_cider_of_equal_sentences_is_ten_and_common_words_weigh_nothing():
    sentences = ["a red bird sings here", "one blue fish swims there"]
    assert cider(sentences, [[text] for text in sentences]) == pytest.approx(10)
    assert cider(["bird"], [["bird"]]) == 0  # in every document


def test_cider_by_hand():
    """Two documents, "a x" and "a y": a weighs log 1 = 0, x and y log 2; "x x" and "a x" have cosine 1 for words, 0 for pairs."""
    assert cider(["x x", "z"], [["a x"], ["a y"]]) == pytest.approx(10 * (1 / 4) / 2)


def test_sets_that_do_not_fit_are_refused():
    for candidates, references in ((["a"], []), ([], []), (["a"], [[]])):
        with pytest.raises(ValueError, match="references"):
            bleu(candidates, references)
