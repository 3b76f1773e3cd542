"""Aviary written in CUB's layout and read back; the reader's crop and its errors on a hand-made data set; the contact sheet."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dmm.aviary import disk, renderer
from dmm.aviary.attributes import ATTRIBUTES, attributes
from dmm.aviary.grammar import captions
from dmm.aviary.sheet import sheet
from dmm.aviary.species import bird
from dmm.aviary.traits import CUB_PARTS
from dmm.data.batch import BatchSampler
from dmm.data.cub import CUB, Box, LayoutError, crop
from dmm.data.vocab import Vocabulary

IMAGES, SIZE = 6, 48


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return disk.write(tmp_path_factory.mktemp("aviary") / "set", IMAGES, SIZE, seed=4)


def test_attributes_are_cubs_and_true():
    assert len(ATTRIBUTES) == len(set(ATTRIBUTES)) == 312
    assert ATTRIBUTES[9] == "has_wing_color::blue" and ATTRIBUTES[0] == "has_bill_shape::curved_(up_or_down)"
    assert ATTRIBUTES[-1] == "has_wing_pattern::multi-colored" and ATTRIBUTES[248] == "has_primary_color::blue"
    for i in range(40):
        one = bird(i, level="world")
        found = attributes(one)
        assert set(found) <= set(ATTRIBUTES)
        wings = [name for name in found if name.startswith("has_wing_color")]
        assert set(wings) == {f"has_wing_color::{colour}" for colour in one.colours["wing"]}
        assert sum(name.startswith("has_size") for name in found) == 1
        assert ("has_head_pattern::eyering" in found) == ("eyering" in one.marks)


def test_what_is_written_is_read_back(written):
    data, entries = CUB(written, "all"), disk.entries(IMAGES, seed=4)
    assert len(data) == IMAGES and data.part_names == list(CUB_PARTS)
    for i, entry in enumerate(entries):
        assert data.ids[i] == entry.id == i + 1 and data.key(i) == entry.name
        assert data.class_id(i) == entry.bird.species and data.classes[entry.bird.species + 1] == disk.class_name(entry.bird.species)
        assert [c.text for c in data.captions(i)] == [c.text for c in captions(entry.bird)]
        assert data.attributes(i) == attributes(entry.bird)
        picture = torch.from_numpy(np.array(data.image(i))).permute(2, 0, 1) / 255
        assert picture.shape == (3, SIZE, SIZE)
        assert (picture - renderer.render([entry.bird], SIZE)[0]).abs().mean() < 0.03  # JPEG
    assert len(CUB(written, "train")) + len(CUB(written, "test")) == IMAGES
    assert all(CUB(written, "test").class_id(i) >= 150 for i in range(len(CUB(written, "test"))))


def test_boxes_and_parts_are_those_of_the_masks(written):
    data = CUB(written, "all")
    for i, entry in enumerate(disk.entries(IMAGES, seed=4)):
        masks = renderer.render_with_masks([entry.bird], SIZE)[1][0].numpy()
        labels = data.segmentation(i)
        for k, part in enumerate(CUB_PARTS):
            assert np.array_equal(labels == k + 1, masks[k])
            assert (part in data.parts(i)) == masks[k].any()
            if part in data.parts(i):
                x, y = data.parts(i)[part]
                assert masks[k][int(y), int(x)]
        assert labels.max() <= disk.UNNAMED
        y, x = np.nonzero(labels)
        assert data.box(i) == (x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1)


def test_every_pixel_of_a_bird_has_a_label():
    """Face and marks are plumage that CUB does not name (16), wherever they lie; a mark changes no other label; a crest is crown."""
    plain = replace(bird(0, seed=4), marks={})
    colours = dict.fromkeys(("eyering", "eyebrow", "malar", "mask", "crest"), "white")
    birds = [plain, *(replace(plain, marks={mark: colour}) for mark, colour in colours.items())]
    without, *others = renderer.render_with_labels(birds, 128)[1].numpy()
    for mark, labels in zip(colours, others, strict=True):
        changed = labels != without
        assert changed.sum() >= 10 and (labels[changed] == (5 if mark == "crest" else disk.UNNAMED)).all(), mark
    for labels in (without, *others[:-1]):  # a crest is ragged
        whole, head = labels > 0, np.argwhere(np.isin(labels, [5, 6, 11, 15]))  # crown, forehead, right eye, throat
        (top, left), (bottom, right) = head.min(0), head.max(0)
        for row in whole[top : bottom + 1, left : right + 1]:  # from its first to its last pixel the head has no gap
            seen = np.flatnonzero(row)
            assert not len(seen) or row[seen[0] : seen[-1] + 1].all()
    swimming = next(one for one in (bird(i, level="world") for i in range(400)) if one.pose == "swimming")
    labels = renderer.render_with_labels([swimming], 96)[1][0].numpy()
    assert (labels[-8:] == 0).all()  # water before the bird is no bird


def test_boxes_and_middles_of_a_label_map():
    labels = np.zeros((7, 7), np.uint8)
    labels[1:5, 1:5], labels[2:4, 2:5], labels[2, 4:6] = 5, disk.UNNAMED, 14
    seen = disk.see(labels)
    assert seen.box == (1, 1, 5, 4) and seen.parts[13] == (4, 2) and seen.parts[0] is None
    assert labels[seen.parts[4][1], seen.parts[4][0]] == 5
    with pytest.raises(ValueError, match="no bird"):
        disk.see(np.zeros((4, 4), np.uint8))


def test_writing_resumes_and_grows(tmp_path, written, monkeypatch):
    drawn = []
    whole = renderer.render_with_labels

    def counted(birds, size):
        drawn.extend(birds)
        if len(drawn) > 3:
            raise KeyboardInterrupt
        return whole(birds, size)

    monkeypatch.setattr(renderer, "render_with_labels", counted)
    with pytest.raises(KeyboardInterrupt):
        disk.write(tmp_path / "set", IMAGES, SIZE, seed=4, batch=2)
    assert not list((tmp_path / "set").rglob("*.partial")) and not (tmp_path / "set" / "images.txt").exists()
    monkeypatch.setattr(renderer, "render_with_labels", lambda birds, size: drawn.extend(birds) or whole(birds, size))
    drawn.clear()
    disk.write(tmp_path / "set", IMAGES, SIZE, seed=4)
    assert len(drawn) == IMAGES - 2
    for path in sorted(p for p in written.rglob("*") if p.is_file()):
        assert (tmp_path / "set" / path.relative_to(written)).read_bytes() == path.read_bytes(), path
    drawn.clear()
    disk.write(tmp_path / "set", 7, SIZE, seed=4)
    assert len(drawn) < 7 and len(CUB(tmp_path / "set", "all")) == 7


def test_foreign_directories_are_left_alone(tmp_path, written):
    with pytest.raises(ValueError, match="another directory"):
        disk.write(written, IMAGES, SIZE, seed=5)
    (tmp_path / "mine.txt").write_text("notes")
    with pytest.raises(ValueError, match="not empty"):
        disk.write(tmp_path, 3, SIZE)
    with pytest.raises(ValueError, match="level"):
        disk.write(tmp_path / "new", 3, SIZE, level="moon")


def test_species_share_the_images_evenly():
    assert [e.bird.species for e in disk.entries(200)] == list(range(200))
    assert {e.bird.species >= 150 for e in disk.entries(8)} == {True, False}
    birds = [e.bird.index for e in disk.entries(600)]
    assert len(set(birds)) == 600


def test_batches_from_disk(written):
    data = CUB(written, "train")
    sampler = BatchSampler(data, Vocabulary.build(c.text for i in range(len(data)) for c in data.captions(i)), seed=1)
    one, again = sampler.batch(2, 3, (16, 32)), sampler.batch(2, 3, (16, 32))
    assert one.images[32].shape == (3, 3, 32, 32) and torch.equal(one.images[16], again.images[16])
    assert one.keys == again.keys and len(one.slots) == 3


def test_the_published_crop():
    """A 100 x 80 ramp, box 30 x 20 at (40, 30): centre (55, 40), half 22, so x 33..77 and y 18..62; 44 px become int(64 * 76/64) = 76."""
    ramp = np.zeros((80, 100, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(100)[None], np.arange(80)[:, None]
    tiles = crop(Image.fromarray(ramp), Box(40, 30, 30, 20), (16, 64))
    assert tiles[64].shape == (3, 64, 64) and tiles[16].shape == (3, 16, 16)
    scale = 44 / 76
    assert abs(int(tiles[64][0, 5, 0]) - (33 + 6.5 * scale - 0.5)) <= 1 and abs(int(tiles[64][1, 63, 7]) - (18 + 69.5 * scale - 0.5)) <= 1
    mirrored = [crop(Image.fromarray(ramp), Box(40, 30, 30, 20), (64,), np.random.default_rng(i))[64] for i in range(20)]
    directions = {bool(tile[0, 0, 0] > tile[0, 0, -1]) for tile in mirrored}
    assert directions == {True, False} and len({tile[1, 0, 0].item() for tile in mirrored}) > 3
    clipped = crop(Image.fromarray(ramp), Box(0, 0, 60, 20), (32,))[32]  # x 0..75, y 0..55
    assert clipped[0].max() <= 75 and clipped[1].max() <= 55


BY_HAND = {
    "images.txt": "1 001.Wren/a.png\n2 002.Teal/b.png\n",
    "classes.txt": "1 001.Wren\n2 002.Teal\n",
    "image_class_labels.txt": "1 1\n2 2\n",
    "train_test_split.txt": "1 1\n2 0\n",
    "bounding_boxes.txt": "1 1.0 2.0 10.0 12.0\n2 0.0 0.0 8.0 8.0\n",
    "parts/parts.txt": "1 back\n2 left eye\n",
    "parts/part_locs.txt": "1 1 3.0 4.0 1\n1 2 0.0 0.0 0\n2 2 5.0 6.0 1\n",
    "attributes/attributes.txt": "1 has_wing_color::blue\n2 has_size::medium_(9_-_16_in)\n",
    "attributes/image_attribute_labels.txt": "1 1 0 3 1.0\n1 2 1 4 2.0\n2 1 1 4 0.5 9\n",
    "text/001.Wren/a.txt": "A small bird.\n\nIt has grey wings.\n",
    "text/002.Teal/b.txt": "blue\n",
}


@pytest.fixture
def by_hand(tmp_path) -> Path:
    for name, text in BY_HAND.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in ("001.Wren/a", "002.Teal/b"):
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        Image.new("L", (20, 16), 200).save(tmp_path / "images" / f"{name}.png")
    return tmp_path


def test_reading_a_data_set_made_by_hand(by_hand):
    train = CUB(by_hand)
    assert len(train) == 1 and train.box(0) == (1, 2, 10, 12) and train.class_id(0) == 0 and train.classes == {1: "001.Wren", 2: "002.Teal"}
    assert [c.text for c in train.captions(0)] == ["A small bird.", "It has grey wings."]
    assert train.captions(0)[1].slots == {"wing": ("grey",)}
    assert train.parts(0) == {"back": (3, 4)} and train.attributes(0) == ["has_size::medium_(9_-_16_in)"]
    assert CUB(by_hand, "test").parts(0) == {"left eye": (5, 6)} and train.image(0).mode == "RGB"
    assert CUB(by_hand, "test", test_classes={1}).key(0) == "001.Wren/a" and len(CUB(by_hand, "train", test_classes={1})) == 1


@pytest.mark.parametrize(
    "file, text, message",
    [
        ("images.txt", "1 a.png\nx b.png\n", r"images.txt:2: expected <image id> <path>, found 'x b.png'"),
        ("bounding_boxes.txt", "1 1.0 2.0 10.0\n", r"bounding_boxes.txt:1: expected <image id> <x> <y> <width> <height>"),
        ("bounding_boxes.txt", "1 1 2 3 4\n", r"expected a line for image 2 \(002.Teal/b.png\), found none"),
        ("image_class_labels.txt", "1 1\n1 2\n", "image_class_labels.txt:2: id 1 stands here a second time"),
        ("train_test_split.txt", "1 yes\n2 0\n", "train_test_split.txt:1"),
        ("classes.txt", None, "classes.txt: this file is missing"),
        ("text/001.Wren/a.txt", "\n", "a.txt: expected one sentence a line, found none"),
        ("parts/part_locs.txt", "1 7 1 1 1\n", "part_locs.txt:1"),
        ("attributes/image_attribute_labels.txt", "1 9 1 1 1\n", "image_attribute_labels.txt:1"),
        ("images/001.Wren/a.png", "text", "a.png: expected a picture"),
    ],
)
def test_errors_name_file_line_and_what_was_found(by_hand, file, text, message):
    if text is None:
        (by_hand / file).unlink()
    else:
        (by_hand / file).write_text(text)
    with pytest.raises(LayoutError, match=message):
        data = CUB(by_hand)
        data.captions(0), data.parts(0), data.attributes(0), data.image(0)


def test_the_card_and_the_sheet(written):
    assert json.loads((written / "aviary.json").read_text())["seed"] == 4
    page = sheet(count=5, columns=3, size=64)
    assert page.mode == "RGB" and page.width == 3 * 64 + 4 * 8 and page.height > 2 * 64
    with pytest.raises(ValueError, match="at least one"):
        sheet(count=0)
