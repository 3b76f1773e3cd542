"""Attribute agreement: perfect, random and counted by hand."""

import pytest
import torch

from dmm.aviary.traits import COLOURS
from dmm.metrics.attributes import PARTS, agreement, captioned_colours


def scores(*ranked: str) -> torch.Tensor:
    """One row that prefers these colours in this order."""
    row = torch.zeros(1, len(COLOURS))
    for place, colour in enumerate(ranked):
        row[0, COLOURS.index(colour)] = 10 - place
    return row


def test_captioned_colours_keep_judged_parts_and_colours_only():
    slots = {"wing": ("black", "white", "black"), "size": ("small",), "body": ("red",), "bill": ("pointed",), "tail": ()}
    assert captioned_colours(slots) == {"wing": ("black", "white")}


def test_counted_by_hand():
    predictions = {part: torch.cat([scores("red", "black"), scores("white", "grey")]) for part in PARTS}
    slots = [
        {"wing": ("black", "white"), "belly": ("red",)},  # black is among the first two, white is not; belly right
        {"wing": ("white",), "tail": ("grey",)},  # wing right; tail is only the second choice
    ]
    got = agreement(predictions, slots)
    assert got["colours"] == 5
    assert got["mean"] == pytest.approx(3 / 5)
    assert got["parts"]["wing"] == {"share": pytest.approx(2 / 3), "colours": 3}
    assert got["parts"]["belly"]["share"] == 1 and got["parts"]["tail"]["share"] == 0
    assert got["parts"]["crown"] == {"share": None, "colours": 0}
    assert got["macro"] == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_perfect_and_random_predictions():
    generator = torch.Generator().manual_seed(0)
    colours = torch.randint(0, len(COLOURS), (4000, len(PARTS)), generator=generator)
    slots = [{part: (COLOURS[c],) for part, c in zip(PARTS, row, strict=True)} for row in colours.tolist()]
    perfect = {part: torch.eye(len(COLOURS))[colours[:, i]] for i, part in enumerate(PARTS)}
    assert agreement(perfect, slots)["mean"] == agreement(perfect, slots)["macro"] == 1
    chance = {part: torch.rand(4000, len(COLOURS), generator=generator) for part in PARTS}
    assert agreement(chance, slots)["mean"] == pytest.approx(1 / len(COLOURS), abs=0.01)


def test_nothing_said_and_wrong_lengths():
    predictions = {part: scores("red") for part in PARTS}
    assert agreement(predictions, [{}])["mean"] is None
    with pytest.raises(ValueError, match="predictions of 2"):
        agreement(predictions, [{}, {}])
