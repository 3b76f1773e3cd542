"""Diversity over noise against closed forms, and the birds that fit a caption."""

from types import SimpleNamespace

import pytest
import torch

from dmm.aviary.grammar import captions
from dmm.aviary.renderer import render
from dmm.aviary.species import bird
from dmm.metrics.attributes import PARTS
from dmm.metrics.diversity import SEEDS, compare, diversity, fitting, spread
from dmm.metrics.registry import get_metric


def test_spread_of_three_points():
    points = torch.tensor([[[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]], [[1.0, 1.0]] * 3])
    assert spread(points).tolist() == pytest.approx([4.0, 0.0])
    with pytest.raises(ValueError, match="at least two"):
        spread(points[:, :1])


def test_the_ratio_of_equal_sets_is_one_and_scales():
    features = torch.randn(20, 4, 6, generator=torch.Generator().manual_seed(0))
    same, half = compare(features, features), compare(features / 2, features)
    assert same["ratio"] == pytest.approx(1) and same["interval_95"] == pytest.approx([1, 1])
    assert half["ratio"] == pytest.approx(0.5) and half["captions"] == 20


@pytest.mark.parametrize("index", range(12))
def test_a_bird_that_fits_has_what_the_caption_says_and_the_rest_of_its_own(index):
    own, other = bird(index, split="test"), bird(index + 17, split="test")
    for caption in captions(own):
        found = fitting(own, caption.slots, other)
        for part in PARTS:
            named = part in caption.slots or "body" in caption.slots or ("head" in caption.slots and part == "crown")
            if part in caption.slots:
                assert found.colours[part] == own.colours[part]
            elif not named:
                assert found.colours[part] == other.colours[part]
        for name in ("size", "bill_shape", "bill_length"):
            assert getattr(found, name) == getattr(own if name in caption.slots else other, name)
        for mark in ("eyering", "crest"):
            assert found.marks.get(mark) == (own if mark in caption.slots else other).marks.get(mark)
        assert (found.species, found.index) == (other.species, other.index)  # pose and background are its own


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_pipeline_that_ignores_its_seeds_has_no_diversity(share):
    """Pictures of the fitting birds themselves reach 1, one picture for every seed 0."""
    own = [bird(i, split="test") for i in range(8)]
    texts = [captions(one)[0] for one in own]

    def pipe(asked, seed, redescribe):
        i = [caption.text for caption in texts].index(asked[0])
        others = [own[(i + 1 + k * 2) % 8] for k in range(SEEDS)]
        birds = [fitting(own[i], texts[i].slots, other) for other in (others if share else others[:1] * SEEDS)]
        return SimpleNamespace(images=[2 * render(birds, 32) - 1])

    pipe.device = "cpu"
    evaluation = SimpleNamespace(
        captions=texts, pipe=pipe, seed=5, largest=32, progress=False, population=own,
        judge=lambda images: {"features": images.flatten(1)},
    )  # fmt: skip
    assert get_metric("diversity").compute is diversity
    assert diversity(evaluation)["ratio"] == pytest.approx(share, abs=1e-5)
