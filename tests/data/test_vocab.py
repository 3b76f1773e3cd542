"""Tokens, ids, padding and the word mask under both conventions, against the rules of the published loaders."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dmm.data.vocab import Vocabulary, read_captions_pickle, tokenise

WORDS = ["this", "bird", "is", "red", "and", "white"]
text = st.lists(st.sampled_from([*WORDS, "zebra", ",", "."]), max_size=30).map(" ".join)


def test_tokens_are_runs_of_word_characters_in_lower_case():
    assert tokenise("This bird has brown/black wing-bars, it's caf\u00e9\ufffd\ufffdred \u00e9") == [
        "this", "bird", "has", "brown", "black", "wing", "bars", "it", "s", "caf", "red",
    ]  # fmt: skip


def test_dmm_convention():
    vocab = Vocabulary(WORDS)
    ids = vocab.encode("This bird is zebra red.")
    assert ids == [0, 3, 4, 5, 6, 1] and len(vocab) == 9
    captions, lengths = vocab.batch([ids, vocab.encode("white")])
    assert captions.tolist() == [[0, 3, 4, 5, 6, 1], [0, 8, 1, 2, 2, 2]] and lengths.tolist() == [6, 3]
    assert vocab.mask(captions).tolist() == [[True, False, False, False, False, True], [True, False, True, True, True, True]]
    assert vocab.decode(captions[0]) == ["this", "bird", "is", "red"]
    assert vocab.labels(captions[1]) == ["<start>", "white", "<end>", "<pad>", "<pad>", "<pad>"]


def test_pad0_convention():
    vocab = Vocabulary(WORDS, "pad0")
    captions, lengths = vocab.batch([vocab.encode("a red bird"), vocab.encode("white")], width=4)
    assert captions.tolist() == [[4, 2, 0, 0], [6, 0, 0, 0]] and lengths.tolist() == [2, 1]
    assert vocab.mask(captions).tolist() == [[False, False, True, True], [False, True, True, True]]
    assert vocab.decode(captions[0]) == ["red", "bird"]


def test_unknown_words_are_named():
    assert Vocabulary(WORDS).known("red Zebra <start>") == [("red", 6), ("zebra", None), ("start", None)]


def test_what_gives_no_token_is_read_as_unknown():
    read = Vocabulary(WORDS).read("Red 🐦 кот naïve zebra, “red” — red-ish…")
    assert [(word, number is not None) for word, number in read] == [
        *[("red", True), ("🐦", False), ("кот", False), ("naïve", False), ("zebra", False)],
        *[("red", True), ("red", True), ("ish", False)],
    ]
    assert [pair for pair in read if pair[1] is not None] == [pair for pair in Vocabulary(WORDS).known("red red red") if pair[1]]


@pytest.mark.parametrize("convention", ["dmm", "pad0"])
@given(text=text, limit=st.integers(3, 12), seed=st.integers(0, 99))
def test_long_captions_keep_a_subset_in_order(convention, text, limit, seed):
    vocab = Vocabulary(WORDS, convention)
    full, first = vocab.encode(text), vocab.encode(text, limit)
    some = vocab.encode(text, limit, np.random.default_rng(seed))
    assert len(first) == len(some) == min(len(full), limit)
    assert vocab.decode(first) == vocab.decode(full)[: len(vocab.decode(first))]
    rest = iter(full)
    assert all(i in rest for i in some)


@pytest.mark.parametrize("convention", ["dmm", "pad0"])
@given(texts=st.lists(text, min_size=1, max_size=5))
def test_mask_marks_exactly_what_is_no_word(convention, texts):
    vocab = Vocabulary(WORDS, convention)
    captions, lengths = vocab.batch([vocab.encode(t) for t in texts])
    words = (~vocab.mask(captions)).sum(1)
    assert torch.equal(words, lengths - (2 if convention == "dmm" else 0))
    assert [vocab.decode(row) for row in captions] == [[t for t in tokenise(one) if t in WORDS] for one in texts]


def test_json_round_trip_and_build():
    vocab = Vocabulary.build(["A red bird.", "a white BIRD"], "pad0")
    assert vocab.words == ("a", "red", "bird", "white")
    assert Vocabulary.from_json(vocab.to_json()) == vocab


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Vocabulary(["a", "b", "a"]), "'a' twice"),
        (lambda: Vocabulary(WORDS, "other"), "known: dmm, pad0"),
        (lambda: Vocabulary(WORDS).encode("red", limit=2), "no room"),
        (lambda: Vocabulary(WORDS).batch([[0, 3, 1]], width=2), "does not fit"),
        (lambda: Vocabulary.from_json("{}"), "not a vocabulary"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_upstream_pickle(tmp_path):
    path = tmp_path / "captions.pickle"
    names = {0: "<start>", 1: "<end>", 2: "<pad>", 3: "red", 4: "bird"}
    path.write_bytes(pickle.dumps([[[0, 3, 4, 1]], [[4]], names, {v: k for k, v in names.items()}]))
    train, test, vocab = read_captions_pickle(path)
    assert vocab.decode(train[0]) == ["red", "bird"] and test == [[4]] and vocab.convention == "dmm"
    path.write_bytes(pickle.dumps([[], [], {0: "<end>", 1: "red"}, {}]))
    assert read_captions_pickle(path)[2].convention == "pad0"
    path.write_bytes(pickle.dumps([print, [], {}, {}]))
    with pytest.raises(ValueError, match="refused"):
        read_captions_pickle(path)
