"""Captions: true of their bird, readable back to what they say, varied, and in the words of CUB's captions."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmm.aviary.grammar import _FIELD, AVIARY_VOCABULARY, PATTERNS, captions, in_sight, read_slots
from dmm.aviary.parser import MARKS, PATTERNED
from dmm.aviary.species import bird
from dmm.aviary.traits import COLOURED_PARTS
from dmm.data.vocab import Vocabulary, tokenise

EXAMPLES = Path(__file__).parent / "captions"
PLUMAGE = ("belly", "wing", "breast", "tail", "crown", "back", "nape", "throat", "forehead")

birds = st.builds(
    bird,
    st.integers(0, 10**6),
    seed=st.integers(0, 50),
    level=st.sampled_from(["garden", "world"]),
    split=st.sampled_from(["train", "test"]),
)


def untrue(one, slots) -> list[str]:
    """The slots that are not so."""
    wrong = []
    for slot, values in slots.items():
        if slot in COLOURED_PARTS:
            right = values == one.colours[slot]
        elif slot in MARKS:
            right = values == (one.marks.get(slot),)
        elif slot == "head":
            right = all(values == one.colours[part] for part in ("crown", "forehead", "nape"))
        elif slot == "body":
            back = one.colours["back"]
            right = values[: len(back)] == back and all(any(v in one.colours[p] for p in PLUMAGE) for v in values)
            right = right and sum(in_sight(one)[colour] for colour in back) >= 0.25
        elif slot.endswith("_pattern_colour"):
            right = values == (one.pattern_colours[slot.split("_")[0]],)
        else:
            right = values == (getattr(one, slot),)
        wrong += [] if right else [slot]
    return wrong


@given(one=birds)
@settings(max_examples=60)
def test_what_is_said_is_true_and_enough(one):
    written = captions(one)
    assert len({c.text for c in written}) == 10 and captions(one) == written and captions(one, 3) == written[:3]
    for caption in written:
        assert untrue(one, caption.slots) == [], caption
        said = [slot for slot in caption.slots if not slot.endswith("_colour")]
        assert 2 <= len(said) <= 5, caption
        assert caption.text == caption.text.lower() and caption.text.isascii() and "{" not in caption.text


@pytest.mark.slow
def test_sentences_are_read_back_exactly():
    written = [c for i in range(500) for c in captions(bird(i, seed=5, level="world" if i % 4 == 0 else "garden"))]
    misread = [c for c in written if read_slots(c.text) != c.slots]
    assert len(written) == 5000 and len(misread) <= 50, misread[:5]
    words = set(AVIARY_VOCABULARY())
    assert all(token in words for c in written for token in tokenise(c.text))
    told = Counter(slot for c in written for slot in c.slots)
    for part in ("wing", "belly", "breast", "crown", "throat", "tail", "bill"):
        assert told[part] > 0.15 * len(written), (part, told)
    assert all(told[f"{part}_pattern"] for part in PATTERNED) and all(told[mark] for mark in MARKS)
    assert {len(tokenise(c.text)) for c in written} >= set(range(8, 19))


def test_patterns_and_vocabulary_have_the_size_asked_for():
    assert len({pattern for _, pattern in PATTERNS}) == len(PATTERNS) >= 60
    words = AVIARY_VOCABULARY()
    assert 250 <= len(words) <= 400 and list(words) == sorted(set(words))
    assert all(tokenise(word) == [word] for word in words)
    assert all(_FIELD.sub("", pattern).isascii() for _, pattern in PATTERNS)


def cub_captions() -> dict[str, list[str]]:
    figures = json.loads((EXAMPLES / "dmgan_figures.json").read_text())
    printed = figures["figure1"][:2] + figures["figure3_cub"] + figures["figure4_cub"] + figures["figure5"][:1]
    printed += [figures["figure6a"]["caption"], figures["figure6b"]["caption"]]
    return {"examples": (EXAMPLES / "cub_examples.txt").read_text().splitlines(), "figures": printed}


@pytest.mark.parametrize("source", ["examples", "figures"])
def test_the_words_of_cub_are_in_the_vocabulary(source):
    vocab = Vocabulary(AVIARY_VOCABULARY())
    tokens = [token for caption in cub_captions()[source] for token in vocab.known(caption)]
    assert sum(i is not None for _, i in tokens) >= 0.95 * len(tokens), [word for word, i in tokens if i is None]


@pytest.mark.parametrize(
    "text, slots",
    [
        ("This bird has wings that are grey and has a white belly.", {"wing": ("grey",), "belly": ("white",)}),
        ("this bird is blue with white and has a very short beak.", {"body": ("blue", "white"), "bill_length": ("short",)}),
        ("This bird has a red head, throat and chest, with a white belly.",
         {"head": ("red",), "throat": ("red",), "breast": ("red",), "belly": ("white",)}),
        ("This bird is a lime green with greyish wings and long legs.", {"body": ("green",), "wing": ("grey",)}),
        ("its wings and tail are black, and it has a has yellow and brown bill",
         {"wing": ("black",), "tail": ("black",), "bill": ("yellow", "brown")}),
        ("a throat that is red and black wings", {"throat": ("red",), "wing": ("black",)}),
        ("this orange and black small bird has a straight pointed beak.",
         {"body": ("orange", "black"), "size": ("small",), "bill_shape": ("dagger",)}),
        ("a very small bird with white spots on its black wings",
         {"size": ("tiny",), "wing": ("black",), "wing_pattern": ("spotted",), "wing_pattern_colour": ("white",)}),
        ("black wings with two white wing bars and red eyes",
         {"wing": ("black",), "wing_pattern": ("bars",), "wing_pattern_colour": ("white",), "eye": ("red",)}),
        ("a duck swimming near the water with a white eye ring",
         {"shape": ("duck",), "pose": ("swimming",), "place": ("sea",), "eyering": ("white",)}),
        ("", {}),
        ("the a a and and has is red red red of with", {}),
    ],
)  # fmt: skip
def test_sentences_by_hand(text, slots):
    assert read_slots(text) == slots


@given(words=st.lists(st.sampled_from(AVIARY_VOCABULARY()), max_size=25))
def test_any_words_are_read_without_an_error(words):
    for slot, values in read_slots(" ".join(words)).items():
        assert isinstance(slot, str) and values and all(isinstance(value, str) for value in values)
