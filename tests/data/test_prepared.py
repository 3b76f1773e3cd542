"""Preparing decodes each picture once, survives being stopped, and training reads the published crops from it."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from dmm.data import array_writer, prepared, transforms
from dmm.data.batch import BatchSampler
from dmm.data.prepared import BrokenPicture, Prepared, PrepareError, find, prepare
from dmm.data.sources import check, open_source
from dmm.data.transforms import Box, squares
from dmm.data.vocab import Vocabulary
from tests.data import layouts

SIZES = (16, 32)
CUTS = [[8, 10, 1], [0, 10, 1], [6, 6, 1]]  # y, x, mirrored: what seed 5 gave when 64 px pictures were first prepared


def ready(root, **options):
    return prepare(open_source(root), sizes=SIZES, **options)


def shown(data, seed):
    """The first picture, cut at random."""
    return data.pictures([0], SIZES, data.cuts(1, np.random.default_rng(seed)))


def test_what_a_prepared_directory_holds(tmp_path):
    card = ready(layouts.cub(tmp_path))
    assert (card["train"], card["test"], card["captions"], card["skipped"], card["vocabulary"]) == (2, 2, 12, [], 12)
    train, test = Prepared(tmp_path), Prepared(tmp_path / "prepared", "test")
    assert len(train) == len(test) == 2 and train.key(1) == "001.Wren/b" and test.class_id(0) == 2
    assert [c.text for c in train.captions(0)] == list(layouts.SENTENCES) and train.words[0] == "a"
    assert np.load(tmp_path / "prepared" / "32.npy").shape == (4, 3, 38, 38)
    assert sorted(p.name for p in (tmp_path / "prepared").iterdir() if p.name != "lock") == [
        "16.npy", "32.npy", "pictures.jsonl", "prepared.json", "words.json",
    ]  # fmt: skip


def published(image, box, size, largest):
    """The middle crop as the published codes make it: cut around the box, scaled to 76/64 of the largest size, cropped, scaled down."""
    half, x, y = int(0.75 * max(box.width, box.height)), int(2 * box.x + box.width) // 2, int(2 * box.y + box.height) // 2
    image = image.crop((max(0, x - half), max(0, y - half), min(image.width, x + half), min(image.height, y + half)))
    scale = int(largest * 76 / 64) / min(image.size)
    image = image.resize((int(image.width * scale), int(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - largest) // 2, (image.height - largest) // 2
    image = image.crop((left, top, left + largest, top + largest))
    return torch.from_numpy(np.array(image.resize((size, size), Image.Resampling.BILINEAR))).permute(2, 0, 1)


def test_crops_are_the_published_ones(tmp_path):
    """The middle crop, equal at the largest size; below it, scaled before the cut instead of after: within a level but at the border."""
    prepare(open_source(layouts.cub(tmp_path)), sizes=(32, 64))
    data, (image, box) = Prepared(tmp_path), open_source(tmp_path).picture(0)
    assert torch.equal(data.images(64, [0])[0], published(image, box, 64, 64))
    assert (data.images(32, [0])[0].int() - published(image, box, 32, 64))[:, 1:-1, 1:-1].abs().max() <= 1


def test_squares_around_a_box():
    """A 100 x 80 ramp, box 30 x 20 at (40, 30): centre (55, 40), half 22, so x 33..77 and y 18..62; 44 px become int(64 * 76/64) = 76."""
    ramp = np.zeros((80, 100, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(100)[None], np.arange(80)[:, None]
    tiles = squares(Image.fromarray(ramp), Box(40, 30, 30, 20), (16, 64))
    assert tiles[64].shape == (3, 76, 76) and tiles[16].shape == (3, 19, 19)
    scale = 44 / 76
    assert abs(int(tiles[64][0, 11, 6]) - (33 + 6.5 * scale - 0.5)) <= 1 and abs(int(tiles[64][1, 69, 13]) - (18 + 69.5 * scale - 0.5)) <= 1
    clipped = squares(Image.fromarray(ramp), Box(0, 0, 60, 20), (32,))[32]  # x 0..75, y 0..55
    assert clipped[0].max() <= 75 and clipped[1].max() <= 55


def test_squares_keep_the_middle_of_the_longer_side():
    ramp = np.zeros((20, 100, 3), np.uint8)
    ramp[..., 0] = np.arange(100)[None]
    tile = squares(Image.fromarray(ramp), None, (16,))[16]
    assert tile.shape == (3, 19, 19) and abs(int(tile[0, 9, 9]) - 50) <= 1 and abs(int(tile[0, 9, 0]) - 41) <= 2
    boxed = squares(Image.fromarray(ramp), Box(0, 0, 8, 8), (16,))[16]
    assert boxed[0].max() <= 10
    wide = squares(Image.fromarray(np.zeros((1, 5000, 3), np.uint8)), None, (16,))[16]
    assert wide.shape == (3, 19, 19)


def test_batches_depend_on_seed_and_step_only(tmp_path):
    ready(layouts.folder(tmp_path, 6))
    first, second = Prepared(tmp_path), Prepared(tmp_path)
    samplers = [BatchSampler(data, Vocabulary(data.words), seed=3) for data in (first, second)]
    batches = [samplers[0].batch(step, 4, SIZES) for step in range(4)]
    for step in (3, 1):
        again = samplers[1].batch(step, 4, SIZES)
        assert again.texts == batches[step].texts and all(torch.equal(again.images[s], batches[step].images[s]) for s in SIZES)
    alone = samplers[1].batch(1, 4, (32,))
    assert torch.equal(alone.images[32], batches[1].images[32])  # the sizes asked for do not change the crops
    assert batches[0].images[16].shape == (4, 3, 16, 16) and batches[0].images[16].dtype == torch.uint8


def test_crops_move_and_half_are_mirrored(tmp_path):
    ready(layouts.folder(tmp_path, 1))
    red = [shown(Prepared(tmp_path), k)[32][0, 0] for k in range(60)]
    mirrored = sum(bool(r[0, 0] > r[0, -1]) for r in red)
    assert 18 < mirrored < 42 and len({tuple(r[0, :2].tolist()) for r in red}) > 4
    straight = [shown(Prepared(tmp_path, mirror=False), k)[32][0, 0] for k in range(20)]
    assert all(r[0, 0] < r[0, -1] for r in straight)
    data = Prepared(tmp_path)
    assert torch.equal(data.images(32, [0]), data.pictures([0], (32,))[32])


def test_cuts_are_those_of_earlier_versions(tmp_path):
    """A run that is resumed must read what it would have read: corners of the whole batch first, then what is mirrored."""
    prepare(open_source(layouts.folder(tmp_path, 1)), sizes=(64,))
    assert Prepared(tmp_path).cuts(3, np.random.default_rng(5)).tolist() == CUTS
    assert Prepared(tmp_path, mirror=False).cuts(3, np.random.default_rng(5)).tolist() == [[y, x, 0] for y, x, _ in CUTS]


@pytest.mark.parametrize("rows", [slice(2, 4), [3], [0, 2, 0], torch.tensor([1])])
def test_some_pictures_of_a_batch_are_those_of_the_whole(tmp_path, monkeypatch, rows):
    ready(layouts.folder(tmp_path, 6))
    data, read = Prepared(tmp_path), []
    sampler, cut = BatchSampler(data, Vocabulary(data.words), seed=3), data._cut
    whole = dict(sampler.batch(5, 4, SIZES).images)
    monkeypatch.setattr(data, "_cut", lambda indices, *rest: read.extend(indices) or cut(indices, *rest))
    batch = sampler.batch(5, 4, SIZES)
    assert read == [] and batch.images.keys() == whole.keys()
    some = batch.images.read(rows)
    assert all(torch.equal(some[size], whole[size][rows]) for size in SIZES)
    assert read == len(SIZES) * np.array(batch.indices)[np.arange(4)[rows] if isinstance(rows, slice) else np.asarray(rows)].tolist()


def test_held_pictures_are_those_that_are_read(tmp_path):
    ready(layouts.cub(tmp_path))  # of four pictures two are training's
    read, held = Prepared(tmp_path), Prepared(tmp_path)
    held.hold(torch.device("cpu"), SIZES)
    assert held.weight(SIZES) == 2 * 3 * (19**2 + 38**2) == sum(held._held[size].nbytes for size in SIZES)
    held._arrays = dict.fromkeys(SIZES)  # nothing is read any more
    samplers = [BatchSampler(data, Vocabulary(data.words), seed=3) for data in (read, held)]
    mirrored = 0
    for step in range(4):
        first, second = (sampler.batch(step, 5, SIZES).images for sampler in samplers)
        assert all(torch.equal(first[size], second[size]) for size in SIZES)
        mirrored += int(first.cuts[:, 2].sum())
    assert 0 < mirrored < 20
    assert torch.equal(held.images(32, [1, 0]), read.images(32, [1, 0]))
    with pytest.raises(IndexError):
        held.images(32, [2])


def test_all_sizes_show_the_same_place(tmp_path):
    ready(layouts.folder(tmp_path, 1))
    for k in range(8):
        tiles = shown(Prepared(tmp_path), k)
        halved = torch.nn.functional.avg_pool2d(tiles[32].float(), 2)
        assert (halved - tiles[16])[..., 1:-1, 1:-1].abs().max() <= 2


def test_a_stopped_run_goes_on(tmp_path, monkeypatch):
    layouts.folder(tmp_path, 40)
    whole, seen = transforms.decode, []

    def stops(job, sizes):
        if len(seen) == 20:
            raise KeyboardInterrupt
        seen.append(job.row)
        return whole(job, sizes)

    monkeypatch.setattr(transforms, "decode", stops)
    with pytest.raises(KeyboardInterrupt):
        ready(tmp_path)
    with pytest.raises(PrepareError, match="not prepared to the end"):
        Prepared(tmp_path)
    seen.clear()
    monkeypatch.setattr(transforms, "decode", lambda job, sizes: seen.append(job.row) or whole(job, sizes))
    ready(tmp_path)
    assert seen == list(range(16, 40))  # a chunk of 16 was on disk
    resumed = np.load(tmp_path / "prepared" / "16.npy")
    prepare(open_source(tmp_path), tmp_path / "anew", SIZES)
    assert np.array_equal(resumed, np.load(tmp_path / "anew" / "16.npy"))


def test_nothing_is_decoded_twice_and_new_captions_are_taken_over(tmp_path, monkeypatch):
    layouts.folder(tmp_path)
    ready(tmp_path)
    seen = []
    monkeypatch.setattr(transforms, "decode", lambda job, sizes: seen.append(job.row) or "unreadable")
    text = (tmp_path / "metadata.jsonl").read_text().replace("picture number", "photograph number")
    (tmp_path / "metadata.jsonl").write_text(text)
    ready(tmp_path)
    assert seen == [] and "photograph" in Prepared(tmp_path).words


def test_changed_pictures_are_decoded_again(tmp_path):
    layouts.folder(tmp_path)
    ready(tmp_path)
    before = Prepared(tmp_path).images(16, [2])
    layouts.picture(tmp_path / "2.png", seed=9)
    os.utime(tmp_path / "2.png", ns=(1, 1))
    ready(tmp_path)
    assert not torch.equal(before, Prepared(tmp_path).images(16, [2]))


def test_broken_pictures_are_skipped_and_listed_or_stop(tmp_path):
    layouts.folder(tmp_path, 5)
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:60])
    with pytest.raises(BrokenPicture, match="3.png: not a readable picture"):
        ready(tmp_path, broken="stop")
    card = ready(tmp_path)
    assert card["train"] == 4 and [name for name, _ in card["skipped"]] == ["3.png"]
    data = Prepared(tmp_path)
    assert len(data) == 4 and [data.key(i) for i in range(4)] == ["0", "1", "2", "4"]
    assert torch.equal(
        data.images(16, [3])[0], torch.from_numpy(squares(Image.open(tmp_path / "4.png"), None, SIZES)[16][:, 1:17, 1:17].copy())
    )
    with pytest.raises(BrokenPicture):
        ready(tmp_path, broken="stop")
    assert len(Prepared(tmp_path)) == 4
    for k in range(5):
        (tmp_path / f"{k}.png").write_bytes(b"")
    with pytest.raises(PrepareError, match="not one picture"):
        ready(tmp_path)


def test_workers_write_the_same(tmp_path):
    layouts.folder(tmp_path, 70)
    (tmp_path / "20.png").write_bytes(b"nothing")
    source = open_source(tmp_path)
    cards = [prepare(source, tmp_path / name, SIZES, workers=w) for name, w in (("one", 1), ("two", 2))]
    assert cards[0] == cards[1] and len(cards[0]["skipped"]) == 1
    assert np.array_equal(np.load(tmp_path / "one" / "32.npy"), np.load(tmp_path / "two" / "32.npy"))
    found = [check(source, workers=w)["problems"] for w in (1, 2)]
    assert found[0] == found[1] and [problem["where"] for problem in found[0]] == ["20.png"]


def test_errors_say_what_to_do(tmp_path, monkeypatch):
    root = layouts.folder(tmp_path / "set")
    with pytest.raises(PrepareError, match=f"run: dmm data prepare {root}"):
        find(root)
    with pytest.raises(PrepareError, match="expected aviary or the folder"):
        find(tmp_path / "none")
    source = open_source(root)
    for sizes in ((), (20,), (32, 48), (0,)):
        with pytest.raises(PrepareError, match="multiples of 16"):
            prepare(source, sizes=sizes)
    with pytest.raises(PrepareError, match="skip or stop"):
        prepare(source, broken="ignore")
    layouts.write(tmp_path / "full" / "notes.txt", "mine")
    with pytest.raises(PrepareError, match="not empty"):
        prepare(source, tmp_path / "full")
    ready(root)
    with pytest.raises(PrepareError, match=r"not \[64\].*--sizes 16,32,64"):
        Prepared(root, sizes=(32, 64, 16))
    with pytest.raises(KeyError, match="16, 32"):
        Prepared(root).images(8, [0])
    card = json.loads((root / "prepared" / "prepared.json").read_text())
    (root / "prepared" / "prepared.json").write_text(json.dumps(card | {"version": 0}))
    with pytest.raises(PrepareError, match="another version"):
        Prepared(root)
    monkeypatch.setattr(array_writer.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(OSError, match="GB"):
        prepare(source, tmp_path / "new", SIZES)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("32.npy", None), ("32.npy", b""), ("32.npy", b"nothing"), ("32.npy", 3000), ("16.npy", "rows"),
        ("pictures.jsonl", None), ("pictures.jsonl", -9), ("pictures.jsonl", b""), ("words.json", b"["), ("prepared.json", b"{"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_and_preparing_anew_mends_it(tmp_path, name, content):
    ready(layouts.folder(tmp_path))
    whole, path = Prepared(tmp_path).images(32, [3]), tmp_path / "prepared" / name
    if content == "rows":
        np.save(path, np.load(path)[:2])
    elif content is None:
        path.unlink()
    else:
        path.write_bytes(content if isinstance(content, bytes) else path.read_bytes()[:content])
    with pytest.raises(PrepareError, match=f"{path}: damaged: expected .*found .*Remove {path.parent} and run dmm data prepare"):
        assert Prepared(tmp_path).words
    shutil.rmtree(path.parent)
    ready(tmp_path)
    assert torch.equal(Prepared(tmp_path).images(32, [3]), whole)


def test_a_damaged_card_is_written_anew(tmp_path):
    ready(layouts.folder(tmp_path))
    (tmp_path / "prepared" / "prepared.json").write_text("{")
    assert ready(tmp_path)["train"] == len(Prepared(tmp_path)) == 4


def test_captions_that_an_earlier_vocabulary_does_not_know(tmp_path):
    ready(layouts.folder(tmp_path))
    data = Prepared(tmp_path)
    data.keep_captions_of(Vocabulary(["red", "zebra"]))
    assert len(data) == 2 and [c.text for c in data.captions(1)] == ["a small red bird"] and data.key(1) == "3"
    assert torch.equal(data.images(16, [1]), Prepared(tmp_path).images(16, [3]))
    with pytest.raises(PrepareError, match="train match on this data"):
        Prepared(tmp_path).keep_captions_of(Vocabulary(["zebra"]))


def test_speed_counts_whole_samples(tmp_path):
    ready(layouts.folder(tmp_path))
    found = prepared.speed(tmp_path, batch=4, seconds=0.1)
    assert found["samples_per_second"] > 0 and found["sizes"] == [16, 32]
