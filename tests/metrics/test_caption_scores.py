"""Slot F1 by hand."""

import pytest

from dmm.aviary.grammar import read_slots
from dmm.metrics.caption_scores import slot_f1, slot_pairs


def test_by_hand():
    found = [{"wing": ("grey", "white"), "size": ("small",)}, {}]
    wanted = [{"wing": ("grey",), "belly": ("red",)}, {"tail": ("black",)}]
    got = slot_f1(found, wanted)  # 1 right of 3 said and 3 asked
    assert got.pop("interval_95") == [0, pytest.approx(0.4)]  # the second sentence twice; the first twice: 1 right of 3 said and 2 wanted
    assert got == {"f1": pytest.approx(1 / 3), "precision": pytest.approx(1 / 3), "recall": pytest.approx(1 / 3), "pairs": 3}


def test_bounds():
    said = [{"wing": ("grey",)}]
    assert slot_f1(said, said)["f1"] == 1
    assert slot_f1([{}], said) == {"f1": 0.0, "interval_95": [0.0, 0.0], "precision": 0.0, "recall": 0.0, "pairs": 1}
    assert slot_f1([{}], [{}])["f1"] == 0
    with pytest.raises(ValueError):
        slot_f1(said, [])


def test_word_order_does_not_matter():
    one, other = "this small bird has a red belly and grey wings", "a small bird with grey wings and a red belly"
    assert slot_pairs(read_slots(one)) == slot_pairs(read_slots(other)) != set()
