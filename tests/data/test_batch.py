"""The cache of drawn birds and the batches read from it: drawn once, resumable, the same batch for the same step."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dmm.aviary import cache as cache_module
from dmm.aviary import renderer
from dmm.aviary.cache import AviaryCache
from dmm.aviary.grammar import AVIARY_VOCABULARY, captions
from dmm.aviary.species import bird
from dmm.data import array_writer
from dmm.data.batch import BatchSampler
from dmm.data.vocab import Vocabulary


def flat_render(birds, size=256, device="cpu"):
    """Instead of birds: plain squares whose colour tells the bird, all of it part number ``index % 7``."""
    values = torch.tensor([[one.index % 7, one.species, one.seed] for one in birds]) / 255
    labels = torch.tensor([one.index % 7 for one in birds], dtype=torch.uint8)
    return (side[..., None, None].expand(*side.shape, size, size).contiguous() for side in (values, labels))


@pytest.fixture
def drawn(monkeypatch):
    """Counts the birds drawn, quickly."""
    indices = []
    monkeypatch.setattr(
        renderer, "render_with_labels", lambda birds, size=256: indices.extend(b.index for b in birds) or flat_render(birds, size)
    )
    monkeypatch.setattr(cache_module, "CHUNK", 4)
    cache_module._fingerprint.cache_clear()
    yield indices
    cache_module._fingerprint.cache_clear()


def test_the_cache_holds_the_renderers_pictures(tmp_path):
    store = AviaryCache.open(tmp_path, 3, seed=2, sizes=(64, 256))
    pictures, labels = renderer.render_with_labels([bird(i, 2) for i in range(3)], 256)
    assert torch.equal(store.labels([2, 0]), labels[[2, 0], 1::2, 1::2]) and len(store.labels([0]).unique()) > 8
    assert torch.equal(store.images(256, [0, 2]), (pictures[[0, 2]] * 255).round().to(torch.uint8))
    small = F.interpolate(pictures, scale_factor=0.25, mode="area") * 255
    assert (store.images(64, torch.arange(3)) - small).abs().max() <= 0.501
    assert len(store) == 3 and store.bird(1) == bird(1, 2) and store.birds([0, 2]) == [bird(0, 2), bird(2, 2)]
    assert store.captions(1) == captions(bird(1, 2)) and store.class_id(1) == bird(1, 2).species


def test_drawn_once_and_shared_by_smaller_requests(tmp_path, drawn):
    AviaryCache.open(tmp_path, 10, sizes=(8, 16))
    assert sorted(drawn) == sorted([0, 1, *range(10)])
    drawn.clear()
    again = AviaryCache.open(tmp_path, 6, sizes=(16,))
    assert drawn == [] and len(again) == 6
    assert again.images(16, [5])[0, :, 0, 0].tolist() == [5, bird(5).species, 0]
    AviaryCache.open(tmp_path, 10, sizes=(8,), split="test")
    assert len(drawn) == 12


def test_held_pictures_are_those_that_are_read(tmp_path, drawn):
    read, held = (AviaryCache.open(tmp_path, 10, sizes=(8, 16)) for _ in range(2))
    held.hold(torch.device("cpu"), (8,))
    assert held.weight((8,)) == 10 * 3 * 8 * 8 and torch.equal(held.images(16, [3]), read.images(16, [3]))  # that size is still read
    held._arrays[8] = None  # nothing is read any more
    vocab = Vocabulary(AVIARY_VOCABULARY(), "dmm")
    first, second = (BatchSampler(store, vocab).batch(2, 7, (8,)).images for store in (read, held))
    assert torch.equal(first[8], second[8]) and len(first[8].flatten(1).unique(dim=0)) > 1
    with pytest.raises(IndexError):
        held.images(8, [10])


def test_a_stopped_draw_goes_on(tmp_path, drawn, monkeypatch):
    whole = renderer.render_with_labels

    def stops(birds, size=256):
        if birds[0].index == 8:
            raise KeyboardInterrupt
        return whole(birds, size)

    monkeypatch.setattr(renderer, "render_with_labels", stops)
    with pytest.raises(KeyboardInterrupt):
        AviaryCache.open(tmp_path, 11, sizes=(8,))
    monkeypatch.setattr(renderer, "render_with_labels", whole)
    drawn.clear()
    store = AviaryCache.open(tmp_path, 11, sizes=(8,))
    assert drawn == [8, 9, 10]
    assert store.images(8, range(11))[:, 0, 0, 0].tolist() == [i % 7 for i in range(11)]
    assert sorted(p.name for p in store.directory.iterdir()) == ["8.npy", "cache.json", "labels.npy", "lock"]
    assert store.labels([0, 9]).flatten(1).unique(dim=1).tolist() == [[0], [2]]


def test_another_renderer_draws_anew(tmp_path, drawn, monkeypatch):
    old = AviaryCache.open(tmp_path, 5, sizes=(8,))
    monkeypatch.setattr(renderer, "render_with_labels", lambda birds, size=256: (1 - side for side in flat_render(birds, size)))
    cache_module._fingerprint.cache_clear()
    new = AviaryCache.open(tmp_path, 5, sizes=(8,))
    assert new.images(8, [1])[0, 0, 0, 0] == 254 and old.images(8, [1])[0, 0, 0, 0] == 1
    assert len(list(tmp_path.glob("*/cache.json"))) == 1


def test_errors_say_what_was_expected(tmp_path, drawn, monkeypatch):
    with pytest.raises(ValueError, match="divide 256"):
        AviaryCache.open(tmp_path, 4, sizes=(60,))
    store = AviaryCache.open(tmp_path, 4, sizes=(8,))
    with pytest.raises(IndexError, match="holds 0 to 3"):
        store.images(8, [4])
    with pytest.raises(KeyError, match="sizes"):
        store.images(16, [0])
    monkeypatch.setattr(array_writer.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(OSError, match="GB"):
        AviaryCache.open(tmp_path, 5, sizes=(8,))


def test_batches_depend_on_seed_and_step_only(tmp_path, drawn):
    store, vocab = AviaryCache.open(tmp_path, 10, sizes=(8, 16)), Vocabulary(AVIARY_VOCABULARY())
    sampler = BatchSampler(store, vocab, seed=3, words_limit=12)
    first = [sampler.batch(step, 4, (8, 16)) for step in range(5)]
    fresh = BatchSampler(store, vocab, seed=3, words_limit=12)
    for step in (4, 0, 2):
        again = fresh.batch(step, 4, (8, 16))
        assert torch.equal(again.captions, first[step].captions) and again.texts == first[step].texts
        assert all(torch.equal(again.images[s], first[step].images[s]) for s in (8, 16))
    assert first[0].texts != BatchSampler(store, vocab, seed=4).batch(0, 4, (8,)).texts
    assert sorted(i for b in first for i in b.indices) == sorted(2 * list(range(10)))  # 5 x 4 = two epochs of 10


def test_a_batch_fits_together(tmp_path, drawn):
    store, vocab = AviaryCache.open(tmp_path, 10, sizes=(8,)), Vocabulary(AVIARY_VOCABULARY())
    batch = BatchSampler(store, vocab, words_limit=9).batch(1, 6, (8,))
    assert len(batch) == 6 and batch.images[8].shape == (6, 3, 8, 8) and batch.images[8].dtype == torch.uint8
    assert batch.captions.shape == (6, int(batch.lengths.max())) and batch.lengths.max() <= 9
    for row, index in enumerate(batch.indices):
        one = store.bird(index)
        assert batch.images[8][row, 1, 0, 0] == batch.class_ids[row] == one.species
        assert any(c.text == batch.texts[row] and c.slots == batch.slots[row] for c in store.captions(index))
        assert batch.keys[row] == f"aviary/garden/train/0/{index:06d}"
        assert vocab.decode(batch.captions[row])[0] in batch.texts[row]


def test_pictures_are_read_when_they_are_asked_for(tmp_path, drawn, monkeypatch):
    store, vocab, read = AviaryCache.open(tmp_path, 10, sizes=(8, 16)), Vocabulary(AVIARY_VOCABULARY()), []
    whole = store.pictures
    monkeypatch.setattr(store, "pictures", lambda indices, *rest: read.extend(indices) or whole(indices, *rest))
    batch = BatchSampler(store, vocab).batch(1, 6, (8, 16))
    assert read == []
    some = batch.images.read(slice(2, 5))
    assert read == batch.indices[2:5]
    assert all(torch.equal(some[size], batch.images[size][2:5]) for size in (8, 16))
    assert read == batch.indices[2:5] + batch.indices  # once for both sizes


def test_every_caption_gets_its_turn(tmp_path, drawn):
    store, vocab = AviaryCache.open(tmp_path, 1, sizes=(8,)), Vocabulary(AVIARY_VOCABULARY())
    sampler = BatchSampler(store, vocab)
    assert {sampler.batch(step, 1, (8,)).texts[0] for step in range(150)} == {c.text for c in store.captions(0)}


def test_the_card_says_what_was_drawn(tmp_path, drawn):
    store = AviaryCache.open(tmp_path, 4, seed=5, level="world", split="test", sizes=(8,))
    card = json.loads((store.directory / "cache.json").read_text())
    assert (card["images"], card["seed"], card["level"], card["split"], card["sizes"]) == (4, 5, "world", "test", [8])
    assert np.load(store.directory / "8.npy", mmap_mode="r").shape == (4, 3, 8, 8)
