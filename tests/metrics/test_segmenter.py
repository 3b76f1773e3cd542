"""The part segmenter: classes, augmentation, training, files, and what the shipped one reaches."""

from __future__ import annotations

import json

import pytest
import torch

from dmm.aviary.cache import AviaryCache
from dmm.aviary.canvas import LABELS
from dmm.checkpoint import CheckpointError
from dmm.metrics.measuring import Settings
from dmm.metrics.segmenter import (
    CLASSES,
    NAMES,
    Segmenter,
    augment,
    class_weights,
    classes_of,
    examine,
    intersection_over_union,
    load_segmenter,
    part_mask,
    train_segmenter,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Rendered birds, drawn once for this file."""
    root = tmp_path_factory.mktemp("aviary")
    AviaryCache.open(root, 12, 0, "garden", "test", (128,), progress=False)
    AviaryCache.open(root, 8, 0, "garden", "train", (128,), progress=False)
    return root


def test_every_label_of_the_renderer_has_one_class():
    joined = [label for labels in CLASSES.values() for label in labels]
    assert sorted(joined) == sorted(LABELS)
    numbers = classes_of(torch.tensor([LABELS["left wing"], LABELS["right wing"], LABELS["plumage"], 0]))
    assert [NAMES[k] for k in numbers.tolist()] == ["wing", "wing", "face", "background"]


def test_part_masks_and_unions():
    numbers = torch.tensor([[NAMES.index("crown"), NAMES.index("eye"), NAMES.index("wing")]])
    assert part_mask(numbers, "crown").tolist() == [[True, False, False]]
    assert part_mask(numbers, "head").tolist() == [[True, True, False]]
    with pytest.raises(KeyError, match="no part 'beard'"):
        part_mask(numbers, "beard")


def test_augmentation_moves_pictures_and_classes_alike():
    rng = torch.Generator().manual_seed(0)
    classes = torch.zeros(16, 40, 40, dtype=torch.int64)
    classes[:, 10:30, 10:30] = 3
    images = (classes[:, None].float() - 1.5).clamp(-1, 1).expand(-1, 3, -1, -1)  # bright where class 3 is
    moved, numbers = augment(images, classes, rng)
    assert moved.shape == images.shape and moved.abs().max() <= 1 and set(numbers.unique().tolist()) == {0, 3}
    assert not torch.equal(numbers, classes)
    for picture, there in zip(moved, numbers == 3, strict=True):
        assert picture[:, there].mean() > picture[:, ~there].mean() + 1
    again = augment(images, classes, torch.Generator().manual_seed(0))
    assert torch.equal(again[0], moved) and torch.equal(again[1], numbers)


def test_intersection_over_union_and_weights():
    true = torch.tensor([[0, 0, 1, 1]])
    found = torch.tensor([[0, 1, 1, 1]])
    result = intersection_over_union([(found, true), (true, true)])
    assert result[NAMES[0]] == pytest.approx(3 / 4) and result[NAMES[1]] == pytest.approx(4 / 5)
    assert result[NAMES[2]] is None
    weights = class_weights(torch.tensor([0] * 90 + [1] * 10))
    assert weights[1] / weights[0] == pytest.approx(3, rel=1e-5)


def test_network_reads_any_size_and_learns_where_colours_are():
    torch.manual_seed(0)
    network = Segmenter(width=4, input_size=32).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-2)
    for _ in range(60):
        classes = torch.randint(0, 2, (8, 4, 4)).repeat_interleave(8, 1).repeat_interleave(8, 2)
        images = (2.0 * classes - 1)[:, None].expand(-1, 3, -1, -1)
        loss = torch.nn.functional.cross_entropy(network(images), classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    assert (network.segment(images) == classes).float().mean() > 0.95
    assert network.segment(torch.zeros(1, 3, 64, 64)).shape == (1, 32, 32)


def test_training_writes_a_segmenter_and_its_card(tmp_path, cache):
    card = train_segmenter(Settings(tmp_path, 8, 2, batch=4, cache=cache, test_images=12, progress=False), width=4)
    network = load_segmenter(tmp_path)
    assert network.card == json.loads(json.dumps(card)) and not network.training
    assert "| crown |" in (tmp_path / "README.md").read_text()
    again = examine(network, 12, cache=cache)
    assert again["iou"]["mean"] == pytest.approx(card["unseen_species"]["iou"]["mean"], abs=0.01)  # kept in fp16


def test_segmenter_that_is_not_there_or_damaged(tmp_path):
    with pytest.raises(CheckpointError, match="dmm train segmenter"):
        load_segmenter(tmp_path)
    (tmp_path / "segmenter.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="damaged"):
        load_segmenter(tmp_path)


def test_the_shipped_segmenter_finds_the_parts_of_rendered_birds(cache):
    report = examine(load_segmenter(), 12, cache=cache)
    assert report["iou"]["mean"] > 0.7 and report["iou_blurred"]["mean"] > 0.6
    assert min(report["iou"][part] for part in ("crown", "throat", "breast", "belly", "wing", "tail", "bill")) > 0.6
