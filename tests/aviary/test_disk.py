"""Aviary written in CUB's layout and read back as CUB is read; the contact sheet."""

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
from dmm.data.prepared import Prepared, prepare
from dmm.data.sources import open_source
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


def table(path: Path, columns: int) -> list[list[str]]:
    """The lines of one of CUB's lists, cut at blanks."""
    return [line.split(maxsplit=columns - 1) for line in path.read_text().splitlines()]


def test_what_is_written_is_read_back(written):
    data, entries = open_source(written), disk.entries(IMAGES, seed=4)
    assert len(data) == IMAGES and not data.problems and data.own_classes
    classes = dict(table(written / "classes.txt", 2))
    for i, entry in enumerate(entries):
        assert data.records[i].key == entry.name and data.captions(i) == [caption.text for caption in captions(entry.bird)]
        assert data.class_id(i) == entry.bird.species + 1 and classes[str(entry.bird.species + 1)] == disk.class_name(entry.bird.species)
        assert data.split(i) == ("test" if entry.bird.species >= 150 else "train")
        picture = torch.from_numpy(np.array(data.picture(i)[0])).permute(2, 0, 1) / 255
        assert picture.shape == (3, SIZE, SIZE)
        assert (picture - renderer.render([entry.bird], SIZE)[0]).abs().mean() < 0.03  # JPEG
    assert {data.split(i) for i in range(IMAGES)} == {"train", "test"}


def test_attributes_are_listed_for_each_image(written):
    names = dict(table(written / "attributes" / "attributes.txt", 2))
    present: dict[str, list[str]] = {}
    for image, attribute, there, certainty, _ in table(written / "attributes" / "image_attribute_labels.txt", 5):
        assert certainty == "4"
        present.setdefault(image, []).extend([names[attribute]] if there == "1" else [])
    assert present == {str(entry.id): attributes(entry.bird) for entry in disk.entries(IMAGES, seed=4)}


def test_boxes_and_parts_are_those_of_the_masks(written):
    data = open_source(written)
    assert [name for _, name in table(written / "parts" / "parts.txt", 2)] == list(CUB_PARTS)
    places = {
        (int(image), int(part)): (float(x), float(y), seen) for image, part, x, y, seen in table(written / "parts" / "part_locs.txt", 5)
    }
    for i, entry in enumerate(disk.entries(IMAGES, seed=4)):
        masks = renderer.render_with_masks([entry.bird], SIZE)[1][0].numpy()
        labels = np.asarray(Image.open(written / "segmentations" / f"{entry.name}.png"))
        for k in range(len(CUB_PARTS)):
            assert np.array_equal(labels == k + 1, masks[k])
            x, y, seen = places[entry.id, k + 1]
            assert (seen == "1") == masks[k].any() and (seen == "0" or masks[k][int(y), int(x)])
        assert labels.max() <= disk.UNNAMED
        y, x = np.nonzero(labels)
        assert data.picture(i)[1] == (x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1)


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
    assert len(drawn) < 7 and len(open_source(tmp_path / "set")) == 7


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


def test_batches_from_disk(written, tmp_path):
    prepare(open_source(written), tmp_path, sizes=(16, 32))
    data = Prepared(tmp_path)
    sampler = BatchSampler(data, Vocabulary(data.words), seed=1)
    one, again = sampler.batch(2, 3, (16, 32)), sampler.batch(2, 3, (16, 32))
    assert one.images[32].shape == (3, 3, 32, 32) and torch.equal(one.images[16], again.images[16])
    assert one.keys == again.keys and len(one.texts) == 3


def test_the_card_and_the_sheet(written):
    assert json.loads((written / "aviary.json").read_text())["seed"] == 4
    page = sheet(count=5, columns=3, size=64)
    assert page.mode == "RGB" and page.width == 3 * 64 + 4 * 8 and page.height > 2 * 64
    with pytest.raises(ValueError, match="at least one"):
        sheet(count=0)
