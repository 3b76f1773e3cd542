"""The classifier of patterns and marks: what counts as said and as read, and that it learns what a mark looks like."""

import pytest
import torch

from dmm.aviary.grammar import captions, read_slots
from dmm.aviary.species import bird
from dmm.aviary.traits import HEAD_MARKS
from dmm.checkpoint import CheckpointError
from dmm.metrics.marks import HEADS, YES, agreement, answer_of, load_marks, rare_first, said, targets, train_marks
from dmm.metrics.measuring import Settings


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("a small bird with white wingbars and a red crest", {"wing_pattern": "bars", "crest": "yes"}),
        ("a bird with a spotted breast and a yellow eyering", {"breast_pattern": "spotted", "eyering": "yes"}),
        ("this is a plain blue bird", {}),
    ],
)
def test_what_a_sentence_says(sentence, expected):
    assert said(read_slots(sentence)) == expected


def test_what_captions_say_is_what_the_birds_have():
    for index in range(300):
        one = bird(index)
        for caption in captions(one):
            for name, answer in said(caption.slots).items():
                assert answer_of(one, name) == answer, caption.text


def test_perfect_answers_agree_and_others_do_not():
    birds = [bird(index) for index in range(60)]
    truth = targets(birds)
    logits = {name: torch.nn.functional.one_hot(truth[name], len(answers)).float() for name, answers in HEADS.items()}
    slots = [captions(one)[0].slots for one in birds]
    found = agreement(logits, slots)
    assert found["mean"] == 1 and found["interval_95"] == [1, 1] and found["said"] == sum(len(said(one)) for one in slots) > 10
    wrong = agreement({name: -rows for name, rows in logits.items()}, slots)
    assert wrong["mean"] == 0
    assert agreement(logits, [{}] * 60)["mean"] is agreement(logits, [{}] * 60)["interval_95"] is None
    half = agreement({name: torch.cat([rows[:30], -rows[30:]]) for name, rows in logits.items()}, slots)
    assert half["mean"] == pytest.approx(sum(len(said(one)) for one in slots[:30]) / found["said"])


def test_rare_answers_weigh_more():
    weight = rare_first(torch.tensor([0] * 90 + [2] * 10), 3)
    assert weight[1] == 0 and weight[2] / weight[0] == pytest.approx(3) and weight[weight > 0].mean() == pytest.approx(1)


def test_a_classifier_is_trained_written_and_read(tmp_path):
    card = train_marks(Settings(tmp_path, 64, 2, batch=8, test_images=20, cache=tmp_path / "cache", progress=False), width=4, input_size=32)
    assert card["images_seen"] == 16 and set(card["unseen_species"]["recall"]) == set(HEADS)
    network = load_marks(tmp_path)
    logits = network(torch.zeros(2, 3, 64, 64))["logits"]
    assert {name: rows.shape[1] for name, rows in logits.items()} == {name: len(answers) for name, answers in HEADS.items()}
    assert HEADS["crest"].index(YES) == 1 and set(HEAD_MARKS) < set(HEADS)
    assert "| wing_pattern |" in (tmp_path / "README.md").read_text()
    with pytest.raises(CheckpointError, match="no marks there. Train one: dmm train marks"):
        load_marks(tmp_path / "none")
