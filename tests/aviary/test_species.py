"""Species and individuals: the same bird for the same arguments, varied individuals, every colour on every part."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmm.aviary.species import SPECIES, TEST_SPECIES, TRAIN_SPECIES, bird
from dmm.aviary.traits import (
    BILL_LENGTHS,
    BILL_SHAPES,
    COLOURED_PARTS,
    COLOURS,
    HEAD_MARKS,
    PATTERNS,
    PLACES,
    POSES,
    SHAPES,
    SIZES,
    WING_PATTERNS,
)

anyone = st.builds(
    bird,
    st.integers(0, 10**6),
    seed=st.integers(0, 50),
    level=st.sampled_from(["garden", "world"]),
    split=st.sampled_from(["train", "test"]),
)


def test_the_split_is_by_species():
    assert len(SPECIES) == 200 and [s.index for s in SPECIES] == list(range(200))
    assert Counter(s.split for s in SPECIES) == {"train": 150, "test": 50}
    assert len({s.name for s in SPECIES}) == 200 and {s.shape for s in SPECIES} == set(SHAPES)
    for split, low, high in (("train", 0, 150), ("test", 150, 200)):
        assert {bird(i, seed=4, split=split).species for i in range(high - low)} == set(range(low, high))
    assert (TRAIN_SPECIES, TEST_SPECIES) == (150, 50)


def test_a_known_bird():
    """Pins the drawing: a checkpoint's data set must not change under it."""
    one = bird(7, seed=3)
    known = one.species, one.size, one.colours["wing"], one.colours["belly"], one.bill_shape
    assert known == (87, "medium", ("pink",), ("white",), "pointed")


@given(one=anyone)
def test_every_bird_is_complete_and_consistent(one):
    assert one == bird(one.index, one.seed, one.level, SPECIES[one.species].split)
    assert set(one.colours) == set(COLOURED_PARTS)
    assert all(1 <= len(names) <= 2 and len(set(names)) == len(names) and set(names) <= set(COLOURS) for names in one.colours.values())
    assert one.size in SIZES and one.bill_shape in BILL_SHAPES and one.bill_length in BILL_LENGTHS
    assert one.shape in SHAPES and one.pose in POSES and one.place in PLACES
    for part in ("wing", "breast", "belly", "back", "tail"):
        pattern = getattr(one, f"{part}_pattern")
        assert pattern in (WING_PATTERNS if part == "wing" else PATTERNS)
        assert (pattern == "multi-colored") == (len(one.colours[part]) == 2)
        assert (part in one.pattern_colours) == (pattern not in ("solid", "multi-colored"))
        assert one.pattern_colours.get(part) not in one.colours[part]
    assert set(one.marks) <= set(HEAD_MARKS) and set(one.marks.values()) <= set(COLOURS)
    assert "eyering" not in one.marks or one.marks["eyering"] not in (one.colours["crown"][0], one.colours["nape"][0])
    if one.level == "garden":
        assert (one.shape, one.pose) == ("songbird", "perched") and one.place in ("branch", "ground")


@pytest.mark.parametrize("split", ["train", "test"])
def test_colours_are_free_enough_to_learn_from(split):
    birds = [bird(i, split=split) for i in range(1500)]
    for part in COLOURED_PARTS:
        counts = Counter(one.colours[part][0] for one in birds)
        assert min(counts[name] for name in COLOURS) >= (10 if part == "eye" else 30), (part, counts)
    for part in ("wing", "belly", "crown"):
        assert 0.45 < sum(one.colours[part][0] != one.colours["back"][0] for one in birds) / len(birds) < 0.7
    for part, source, share in (("forehead", "crown", 0.55), ("tail", "wing", 0.4), ("nape", "crown", 0.35), ("throat", "breast", 0.3)):
        assert sum(one.colours[part][0] == one.colours[source][0] for one in birds) / len(birds) > share


def test_individuals_of_a_species_vary_and_resemble_each_other():
    birds = [bird(i, species=12) for i in range(200)]
    wings = Counter(one.colours["wing"][0] for one in birds)
    assert len({str(one.colours) for one in birds}) > 60 and wings.most_common(1)[0][1] > 80


def test_the_world_has_all_shapes_and_poses():
    birds = [bird(i, level="world") for i in range(600)]
    assert {one.shape for one in birds} == set(SHAPES) and {one.pose for one in birds} == set(POSES)
    assert {one.place for one in birds} == set(PLACES)
    assert all(one.bill_shape == "spatulate" for one in birds if one.shape == "duck")


@pytest.mark.parametrize("bad", [{"level": "moon"}, {"split": "validation"}, {"index": -1}, {"species": 200}])
def test_errors_name_what_exists(bad):
    with pytest.raises(ValueError, match="no such"):
        bird(**{"index": 0, **bad})
