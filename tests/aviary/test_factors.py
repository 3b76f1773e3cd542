"""The renderer's knowledge as z: standard normal over the birds, and silent where a caption speaks."""

import numpy as np
import pytest
import torch

from dmm.aviary.factors import BODY_PARTS, Factors, normal_scores, whitened
from dmm.aviary.species import bird
from dmm.aviary.traits import COLOURED_PARTS

COUNT = 300


@pytest.fixture(scope="module")
def factors():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 3, 64, 64), dtype=np.uint8)
    return Factors([bird(i) for i in range(COUNT)], images, np.zeros((COUNT, 64, 64), np.uint8))


def columns(factors, name):
    return [k for k, found in enumerate(factors.names) if found == name]


def test_normal_scores_are_the_quantiles_of_the_ranks():
    scores = normal_scores(np.array([[3.0], [1.0], [2.0]]))
    assert np.allclose(scores[:, 0], [0.967421566, -0.967421566, 0.0])
    assert np.allclose(normal_scores(np.array([[5.0], [5.0]]))[:, 0], [-0.67448975, 0.67448975])  # equal values stay apart


def test_whitened_components_are_uncorrelated():
    values = np.random.default_rng(1).normal(size=(50, 3)) @ np.array([[2.0, 1, 0], [0, 1, 1], [0, 0, 3]])
    assert np.allclose(whitened(values, 3).T @ whitened(values, 3) / 50, np.eye(3), atol=1e-9)


def test_every_number_is_standard_over_the_birds(factors):
    assert factors.values.shape == (COUNT, len(factors.names)) and factors.values.abs().max() <= 3
    assert torch.allclose(factors.values.mean(0), torch.zeros(()), atol=0.08)
    assert torch.allclose(factors.values.std(0), torch.ones(()), atol=0.12)
    assert all(len(columns(factors, part)) == 3 for part in COLOURED_PARTS)


def test_the_colour_of_a_part_can_be_read_back(factors):
    """The back comes first, so its three numbers are a function of its colour alone, one to one."""
    found = {}
    for index in range(COUNT):
        row = factors.values[index, columns(factors, "back")]
        found.setdefault(bird(index).colours["back"][0], []).append(row)
    means = {name: torch.stack(rows) for name, rows in found.items()}
    assert all(torch.allclose(rows, rows[:1].expand_as(rows), atol=1e-4) for rows in means.values())
    assert len({tuple(rows[0].round(decimals=3).tolist()) for rows in means.values()}) == len(means)


def test_captions_decide_what_they_name(factors):
    decided = factors.decided({"wing": ("red",), "size": ("small",)})
    assert {name for name, yes in zip(factors.names, decided, strict=True) if yes} == {"wing", "size"}
    body = factors.decided({"body": ("red",)})
    assert {name for name, yes in zip(factors.names, body, strict=True) if yes} == set(BODY_PARTS)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_noise_stays_where_the_caption_speaks(factors, share):
    noise = torch.randn(2, factors.count + 5, generator=torch.Generator().manual_seed(3))
    z = factors.noise([4, 9], [{"wing": ("red",)}, {}], noise, share, torch.Generator().manual_seed(0))
    wing = columns(factors, "wing")
    assert torch.equal(z[0, wing], noise[0, wing]) and torch.equal(z[:, factors.count :], noise[:, factors.count :])
    tail = columns(factors, "tail")
    assert torch.equal(z[0, tail], factors.values[4, tail] if share else noise[0, tail])
    pose = columns(factors, "")
    assert torch.equal(z[1, pose], factors.values[9, pose])
