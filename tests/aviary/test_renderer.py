"""The renderer of Aviary: same bird same pixels, the same scene at every size, masks and colours that are what they say."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dmm.aviary import canvas as canvas_module
from dmm.aviary.palette import SRGB, nearest
from dmm.aviary.renderer import render, render_with_masks
from dmm.aviary.species import bird
from dmm.aviary.traits import COLOURS, CUB_PARTS, LEVELS, Bird

PART_OF = {"beak": "bill", "right leg": "leg", "left leg": "leg", "right wing": "wing", "right eye": "eye"}  # CUB's name -> ours


@pytest.fixture(scope="module")
def garden():
    birds = [bird(i, seed=5) for i in range(40)]
    return birds, *render_with_masks(birds, 96)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [16, 33, 64])
def test_pictures_are_in_range(level, size):
    images = render([bird(i, seed=1, level=level) for i in range(4)], size)
    assert images.shape == (4, 3, size, size) and images.dtype == torch.float32
    assert torch.isfinite(images).all() and images.min() >= 0 and images.max() <= 1
    assert images.std() > 0.05


def test_no_birds_no_pictures():
    assert render([], 32).shape == (0, 3, 32, 32)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [33, 64, 200])
def test_same_bird_same_pixels_in_any_batch(level, size):
    birds = [bird(i, seed=2, level=level) for i in range(6)]
    together, masks = render_with_masks(birds, size)
    assert torch.equal(together, render(birds[::-1], size).flip(0))
    for b in (0, 5):
        alone, mask = render_with_masks([birds[b]], size)
        assert torch.equal(together[b], alone[0]) and torch.equal(masks[b], mask[0])


def test_threads_do_not_change_pixels_and_are_left_as_they_were():
    birds, before = [bird(i, seed=3) for i in range(20)], torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = render(birds, 96)
        torch.set_num_threads(2)
        assert torch.equal(one, render(birds, 96)) and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("level", LEVELS)
def test_same_scene_at_every_size(level):
    birds = [bird(i, seed=4, level=level) for i in range(6)]
    small, large = render(birds, 64), F.avg_pool2d(render(birds, 256), 4)
    difference = (small - large).abs()
    assert difference.mean() < 0.005 and difference.flatten().quantile(0.99) < 0.06


@pytest.mark.parametrize("level", LEVELS)
def test_windows_cut_nothing_off(level, monkeypatch):
    """What is rendered fades out before its window ends (but at the picture's border), so a window's size cannot show."""
    fill_window = canvas_module.Window.fill

    def checked(window, colour, alpha, *args, **kwargs):
        for b, (_, labels) in enumerate(window._home if isinstance(window._home, list) else [window._home]):
            side = labels.stride(0)
            row, column = divmod(labels.storage_offset() % side**2, side)
            inner = [row > 0, row + labels.shape[0] < side, column > 0, column + labels.shape[1] < side]
            edges = [alpha[b, 0], alpha[b, -1], alpha[b, :, 0], alpha[b, :, -1]]
            assert not any(edge.any() for edge, counts in zip(edges, inner, strict=True) if counts)
        fill_window(window, colour, alpha, *args, **kwargs)

    monkeypatch.setattr(canvas_module.Window, "fill", checked)
    for i in range(24):
        render_with_masks([bird(i, seed=6, level=level)], 40)


def test_masks_are_disjoint_and_show_the_right_side(garden):
    birds, _, masks = garden
    assert masks.shape == (len(birds), 15, 96, 96) and masks.dtype == torch.bool
    assert masks.sum(1).max() <= 1
    seen = dict(zip(CUB_PARTS, masks.flatten(2).any(2).T, strict=True))
    assert not seen["left eye"].any() and not seen["left wing"].any()
    for part in set(CUB_PARTS) - {"left eye", "left wing"}:
        assert seen[part].all(), part


def test_garden_birds_fill_the_frame_and_are_aligned(garden):
    _, _, masks = garden
    columns = masks.any(1).any(1).float()  # B W
    assert 0.62 < columns.sum(1).mean() / 96 < 0.80
    assert columns[:, [0, -1]].sum() == 0  # nothing is cut off
    place = torch.arange(96.0)
    for part, spread in (("right wing", 6.0), ("crown", 8.0)):
        where = masks[:, CUB_PARTS.index(part)].float()
        centre = (where.sum(1) * place).sum(1) / where.sum((1, 2))
        assert centre.std() < spread, part


def test_parts_have_the_colours_they_are_named(garden):
    birds, images, masks = garden
    right = wrong = 0
    for b, k in np.ndindex(len(birds), len(CUB_PARTS)):
        part = PART_OF.get(CUB_PARTS[k], CUB_PARTS[k])
        names, mask = birds[b].colours.get(part, ()), masks[b, k]
        plain = getattr(birds[b], f"{part}_pattern", "solid") == "solid" and not (part == "crown" and "crest" in birds[b].marks)
        if len(names) != 1 or not plain or mask.sum() < 4:
            continue
        seen = nearest(images[b][:, mask].median(1).values.numpy())
        right, wrong = right + (seen == names[0]), wrong + (seen != names[0])
    assert right + wrong > 200 and right / (right + wrong) >= 0.95


def test_colours_have_their_own_names():
    assert [nearest(np.array(SRGB[name])) for name in COLOURS] == list(COLOURS)
    assert [nearest(0.75 * np.array(SRGB[name])) for name in COLOURS] == list(COLOURS)


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="at least 16"):
        render([bird(0)], 8)
    with pytest.raises(ValueError, match="no colour for its"):
        render([Bird(index=3, seed=0, species=1)], 32)
