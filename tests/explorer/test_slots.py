"""Attributes are compared part by part; the examples are the faults that counting shared words had."""

from __future__ import annotations

import pytest

from explorer.slots import ADDED, AGREES, DIFFERS, PARTLY, UNSAID, compare, summary


def verdicts(caption: str, redescription: str) -> dict[str, str]:
    return {row.name: row.verdict for row in compare(caption, redescription)}


def test_yellow_wings_do_not_agree_with_a_yellow_crown():
    found = verdicts("this bird has a yellow crown and black wings", "this bird has yellow wings")
    assert found == {"crown": UNSAID, "wings": DIFFERS}


def test_synonyms_are_one():
    assert verdicts("a violet bird with a short beak", "a purple bird with a short bill") == {"bird": AGREES, "bill length": AGREES}
    assert verdicts("a little bird", "a small bird") == {"size": AGREES}


def test_a_sentence_of_noise_agrees_with_nothing():
    found = verdicts("this small bird has a yellow crown and a white belly", "eyering black black eyering black black")
    assert AGREES not in found.values() and found["crown"] == found["belly"] == found["size"] == UNSAID


def test_repeats_count_once():
    rows = compare("a bird with a red crown", "a bird with a red crown and a red crown and a red crown")
    assert [(row.name, row.verdict) for row in rows] == [("crown", AGREES)]


def test_the_colour_of_the_whole_bird_is_that_of_its_parts():
    found = verdicts("an all red bird with black wings", "this bird has a red crown and red wings and a white belly")
    assert found == {"bird": UNSAID, "wings": DIFFERS, "crown": AGREES, "belly": ADDED}


def test_two_colours_may_agree_in_part():
    assert verdicts("a bird with black and white wings", "a bird with black wings")["wings"] == PARTLY


def test_rows_are_said_in_words():
    rows = compare("a bird with a yellow crown and black wings", "a bird with a yellow crown and a white belly")
    assert [row.sentence for row in rows] == [
        "crown: yellow, read back yellow",
        "wings: black, not mentioned",
        "belly: read back white, not in the caption",
    ]
    assert summary(rows) == "1 read back as said, 1 not mentioned, 1 added"


@pytest.mark.parametrize("sentence", ["", "a grey cat on a chair", "zorp"])
def test_sentences_of_other_things_are_not_compared(sentence):
    assert compare(sentence, "zorp") == [] and summary([]) == ""
