"""The words that the training aids choose."""

import pytest
import torch
from torch.testing import assert_close

from dmm.aviary.traits import COLOURED_PARTS, COLOURS
from dmm.config import ConfigError
from dmm.data.prepared import prepare
from dmm.data.sources import open_source
from dmm.data.vocab import Vocabulary
from dmm.training.adversarial import GanStep
from dmm.training.data import CONTENT_WORDS, TrainingData
from dmm.training.steps import CaptionStep, MatchStep
from tests.data import layouts


def test_exchanged_words_stay_in_their_group_and_differ_once(toy):
    data = TrainingData(toy("match"))
    group_of = {data.vocab.ids[w]: g for g, group in enumerate(CONTENT_WORDS) for w in group if w in data.vocab.ids}
    for step in range(6):
        batch = data.batch(step, 8, ())
        changed = data.exchange_words(batch, torch.Generator().manual_seed(step))
        for before, after in zip(batch.captions.tolist(), changed.tolist(), strict=True):
            different = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
            holds_content = any(word in group_of for word in before)
            assert len(different) == (1 if holds_content else 0)
            assert all(group_of[a] == group_of[b] for a, b in different)


def test_masked_words_are_content_words(toy):
    data = TrainingData(toy("match"))
    batch = data.batch(0, 8, ())
    chosen = data.mask_words(batch, 3, torch.Generator().manual_seed(0))
    content = {data.vocab.ids[w] for group in CONTENT_WORDS for w in group if w in data.vocab.ids}
    assert len(chosen.captions) == 24 and set(chosen.targets.tolist()) <= content
    assert (chosen.captions[chosen.masked] == len(data.vocab)).all()


def test_fixed_captions_are_of_unseen_species_and_always_the_same(toy):
    first, second = TrainingData(toy("match")).fixed_captions, TrainingData(toy("match")).fixed_captions
    assert first == second and len(first) == 8


def test_part_colours_are_the_birds_own(toy):
    data = TrainingData(toy("match"))
    target = data.part_colours(torch.tensor([3, 0]))
    assert target.shape == (2, len(COLOURED_PARTS), len(COLOURS)) and torch.allclose(target.sum(2), torch.ones(2, len(COLOURED_PARTS)))
    bird = data.cache.bird(3)
    for row, part in zip(target[0], COLOURED_PARTS, strict=True):
        assert COLOURS[int(row.argmax())] == bird.colours[part][0]
        assert {COLOURS[i] for i in row.nonzero().flatten().tolist()} == set(bird.colours[part])


def test_told_colours_are_the_caption_s(toy):
    data = TrainingData(toy("match"))
    batch = data.batch(0, 3, ())
    batch.slots = [{"wing": ("red", "black"), "size": ("small",)}, {}, {"bill": ("grey",)}]
    target = data.told_colours(batch)
    wing, bill = COLOURED_PARTS.index("wing"), COLOURED_PARTS.index("bill")
    assert target.sum() == 2 and target[1].sum() == 0
    assert target[0, wing, COLOURS.index("red")] == target[0, wing, COLOURS.index("black")] == 0.5
    assert target[2, bill, COLOURS.index("grey")] == 1


@pytest.fixture
def folder(tmp_path):
    """Six pictures of one's own, prepared."""
    prepare(open_source(layouts.folder(tmp_path, 6)))
    return tmp_path


def test_a_prepared_folder_gives_the_same_kind_of_batch(toy, folder):
    off = {"cloze": 0, "recall": 0, "part_colours": 0}
    data, drawn = TrainingData(toy("match", source=folder, **off)), TrainingData(toy("match"))
    mine, birds = data.batch(1, 4), drawn.batch(1, 4)
    assert len(mine) == 4 and mine.images.keys() == birds.images.keys()
    assert all(mine.images[s].shape == birds.images[s].shape and mine.images[s].dtype == birds.images[s].dtype for s in birds.images)
    assert [type(getattr(mine, name)) for name in vars(mine)] == [type(getattr(birds, name)) for name in vars(birds)]
    again = TrainingData(toy("match", source=folder, **off)).batch(1, 4)
    assert torch.equal(again.captions, mine.captions) and torch.equal(again.images[256], mine.images[256])
    assert data.vocab.words[:3] == ("a", "small", "red") and data.vocab.convention == "dmm"


@pytest.mark.parametrize("kind", ["match", "gan"])
def test_a_run_with_the_pictures_on_the_device_is_the_same_run(kind, toy, earlier_runs, folder):
    own = {"source": folder, "mirror": True, "cloze": 0, "recall": 0, "part_colours": 0, "hard_wrong": False}
    states = []
    for settings in ({}, own):
        for kept in (False, True):
            config = toy(kind, on_device=kept, **({"initial_steps": 1, "frozen_steps": 0} if kind == "gan" else {}), **settings)
            step = MatchStep(config) if kind == "match" else GanStep(config, *earlier_runs)
            states.append(([step.update(index) for index in range(2)], step.state_dict()))
            assert (step.data.held > 0) == kept
            if kept:
                assert_close(states[-1], states[-2], rtol=0, atol=0)


def test_pictures_that_do_not_fit_the_gpu_are_refused(toy, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**30, 80 * 2**30))
    data = TrainingData(toy("match", on_device=True))
    monkeypatch.setattr(data.cache, "weight", lambda sizes: 5 * 2**29)
    with pytest.raises(ConfigError, match=r"8 pictures of 64, 256 px need 2.5 GiB, 1.0 GiB are free .* --set data.on_device=false"):
        data.hold(torch.device("cuda"), [64, 256])
    assert data.held == 0
    TrainingData(toy("match")).hold(torch.device("cuda"), [64, 256])  # not asked for


def test_a_captioner_whose_encoder_is_frozen_keeps_no_pictures(toy, earlier_runs):
    assert CaptionStep(toy("caption", on_device=True), earlier_runs[0]).data.held == 0


def test_fixed_captions_of_a_folder_are_its_first_ones(toy, folder):
    data = TrainingData(toy("match", source=folder, part_colours=0))
    assert len(data.fixed_captions) == 8 and data.fixed_captions[0] == layouts.SENTENCES[0] and data.fixed_captions[6] == "picture number 0"


def test_fixed_captions_are_of_the_test_split_where_there_is_one(toy, tmp_path):
    root = layouts.cub(tmp_path)
    for name in layouts.NAMES[2:]:
        layouts.write(root / "text" / f"{name}.txt", "zebra\na red test bird\n")
    prepare(open_source(root))
    data = TrainingData(toy("match", source=root, cloze=0, recall=0, part_colours=0))
    assert data.fixed_captions == ["a red test bird"] * 2  # of "zebra" the training captions know no word


def test_what_a_folder_cannot_give_is_said_at_the_start(toy, folder, tmp_path):
    with pytest.raises(ConfigError, match="part_colours: only data.source=aviary"):
        TrainingData(toy("match", source=folder, part_colours=1))
    with pytest.raises(ConfigError, match="part_colours"):
        TrainingData(toy("match", source=folder, part_colours=0)).part_colours(torch.tensor([0]))
    with pytest.raises(ConfigError, match="dmm data prepare"):
        TrainingData(toy("match", source=layouts.folder(tmp_path / "raw"), part_colours=0))
    with pytest.raises(ConfigError, match="earlier run"):
        TrainingData(toy("match", source=folder, part_colours=0), Vocabulary(["zebra"]))


def test_masked_words_need_words_to_mask(toy, tmp_path):
    layouts.folder(tmp_path)
    text = (tmp_path / "metadata.jsonl").read_text()
    for word in ("red", "blue", "white", "small", "long"):
        text = text.replace(word, "nice")
    (tmp_path / "metadata.jsonl").write_text(text)
    prepare(open_source(tmp_path))
    with pytest.raises(ConfigError, match="--set train.cloze=0 --set train.recall=0"):
        TrainingData(toy("match", source=tmp_path, part_colours=0))
    with pytest.raises(ConfigError, match="--set train.cloze=0 --set train.hard_wrong=false"):
        TrainingData(toy("gan", source=tmp_path))
    data = TrainingData(toy("match", source=tmp_path, cloze=0, recall=0, part_colours=0))
    batch = data.batch(0, 4, ())
    assert len(data.content) == 0 and torch.equal(data.exchange_words(batch, torch.Generator()), batch.captions)
    with pytest.raises(ConfigError, match="CONTENT_WORDS"):
        data.mask_words(batch, 3, torch.Generator())
