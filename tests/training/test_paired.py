"""Paired training: what is corrupted, what is asked for, when which stage and discriminator is trained."""

import copy
import math

import pytest
import torch

from dmm.config import ConfigError
from dmm.training.adversarial import GanStep
from dmm.training.paired import first_refinement_reads

PAIRED = {"images": 100, "noise_dim": 96, "paired": 1, "corrupt_sentence": 0.5,
          "initial_steps": 2, "initial_stages": 2, "adversarial_start": 3}  # fmt: skip


@pytest.fixture
def step(toy, earlier_runs):
    return GanStep(toy("gan", batch=8, stream=0, damsm=0, cloze=0, consistency=0, frozen_steps=0, **PAIRED), *earlier_runs)


def test_a_paired_run_trains_its_stages_and_discriminators_in_turn(step):
    assert [step.schedule.stages(index) for index in range(4)] == [[0, 1], [0, 1], [0, 1, 2], [0, 1, 2]]
    fresh = [p.detach().clone() for p in step.discriminators.parameters()]
    rows = [step.update(index) for index in range(3)]
    assert all(math.isfinite(value) for row in rows for value in row.values())
    assert "paired" in rows[0] and not any(name.startswith(("d", "g64")) for name in rows[2])
    assert all(torch.equal(p, old) for p, old in zip(step.discriminators.parameters(), fresh, strict=True))
    assert {"d64", "d128", "d256", "g256"} <= set(step.update(3))
    (generator, lr), (discriminator, own), *_ = step.optimisers()
    assert discriminator.param_groups[0]["lr"] == own and generator.param_groups[0]["lr"] < lr  # discriminators begin now


def test_keys_of_a_stage_that_starts_later_are_spread_when_it_starts(toy, earlier_runs):
    step = GanStep(toy("gan", batch=8, stream=0, damsm=0, cloze=0, consistency=0, frozen_steps=0, key_spread=2, **PAIRED), *earlier_runs)
    for index in range(2):
        step.update(index)
    keys = [copy.deepcopy(refinement.key.state_dict()) for refinement in step.generator.refinements]
    step.refinements.begin(step.ema)
    first, second = step.generator.refinements
    assert torch.equal(first.key.linear.weight, keys[0]["linear.weight"])
    assert not torch.equal(second.key.linear.weight, keys[1]["linear.weight"])
    assert torch.equal(second.key.linear.weight, step.ema.network.refinements[1].key.linear.weight)


def test_only_colours_of_some_captions_are_exchanged(step):
    batch = step.data.batch(0, 64, ())
    captions, rows = step.paired.corrupted(batch, torch.Generator().manual_seed(1))
    differs = captions != batch.captions
    assert torch.equal(differs.any(1), rows) and 0.2 < rows.float().mean() < 0.7
    colours = step.paired.colours
    assert torch.isin(batch.captions[differs], colours).all() and torch.isin(captions[differs], colours).all()


def test_the_memory_reads_the_right_words(step):
    micro_batch = step.read(0)[0]
    rows = micro_batch.corrupted
    assert rows.any() and not rows.all()
    assert torch.equal(micro_batch.read_sentence[~rows], micro_batch.text[1][~rows])
    assert (micro_batch.read_sentence[rows] != micro_batch.text[1][rows]).any(1).all()
    words, _ = step.frozen.text_encoder(micro_batch.batch.captions, micro_batch.batch.lengths)
    assert torch.equal(micro_batch.text[0], words)


def test_the_first_picture_of_a_corrupted_sample_is_not_asked_for(step):
    batch, share = step.data.batch(0, 4, (64, 128)), slice(None)
    real = {size: batch.images[size].float() / 127.5 - 1 for size in (64, 128)}
    images = [torch.zeros(4, 3, size, size, requires_grad=True) for size in (64, 128)]
    step.paired.loss(images, real, batch, share, [torch.tensor([True, False, True, False])]).backward()
    assert [row.any().item() for row in images[0].grad] == [False, True, False, True]
    assert all(row.any() for row in images[1].grad)


def test_with_three_stages_the_first_refinement_misreads_some_of_the_corrupted_samples(toy, earlier_runs):
    settings = {**PAIRED, "corrupt_words": 0.5, "adversarial_start": 0}
    step = GanStep(toy("gan", batch=16, stream=0, damsm=0, cloze=0, consistency=0, frozen_steps=0, **settings), *earlier_runs)
    assert step.read(0)[0].misread is None  # two stages: the last one has to be right
    step.trained = 3
    micro_batch = step.read(2)[0]
    rows = micro_batch.misread
    assert rows.any() and not rows.all() and not (rows & ~micro_batch.corrupted).any()
    differs = (micro_batch.read_words != micro_batch.text.words).flatten(1).any(1)
    assert torch.equal(differs, rows)
    assert torch.equal(step.losses.fake_condition(micro_batch, 1)[rows], micro_batch.read_sentence[rows])
    assert torch.equal(step.losses.fake_condition(micro_batch, 1)[~rows], micro_batch.text.sentence[~rows])
    assert torch.equal(step.losses.fake_condition(micro_batch, 2), micro_batch.text.sentence)
    assert [torch.equal(a, b) for a, b in zip(micro_batch.unasked, (micro_batch.corrupted, rows), strict=True)] == [True, True]
    assert all(math.isfinite(value) for value in step.update(2).values())


def test_only_the_first_refinement_reads_other_words(step):
    micro_batch, seen = step.read(0)[0], []
    other = torch.zeros_like(micro_batch.text.words)
    for refinement in step.generator.refinements:
        refinement.register_forward_hook(lambda stage, inputs, out: seen.append(inputs[1].words))
    inputs = (*micro_batch.text[1::-1], micro_batch.text.mask, micro_batch.noise, micro_batch.eps)
    with torch.no_grad():
        with first_refinement_reads(step.generator, other):
            step.generator(*inputs)
        step.generator(*inputs)
    assert [torch.equal(words, other) for words in seen] == [True, False, False, False]


def test_colours_in_z_grow_over_the_run(step, monkeypatch):
    shares = []
    monkeypatch.setattr(step.paired.factors, "noise", lambda i, s, noise, share, rng: shares.append(share) or noise)
    batch = step.data.batch(0, 4, ())
    for index in (0, 2, 3, 4):
        step.paired.noise(batch, torch.zeros(4, 96), index, torch.Generator())
    assert shares == [0.25, 0.25, 0.625, 1.0]


def test_the_first_discriminator_joins_fakes_with_the_sentence_that_was_read(step):
    micro_batch = step.read(0)[0]
    assert torch.equal(step.losses.fake_condition(micro_batch, 0), micro_batch.read_sentence)
    assert torch.equal(step.losses.fake_condition(micro_batch, 1), micro_batch.text[1])
    assert torch.equal(step.losses.condition(micro_batch), micro_batch.text[1])


def test_what_cannot_work_is_refused(toy, earlier_runs):
    with pytest.raises(ConfigError, match="corrupt_sentence.*refinements read words, found stackgan"):
        GanStep(toy("gan", **{**PAIRED, "system": "stackgan", "hard_wrong": False}), *earlier_runs)
    with pytest.raises(ConfigError, match="corrupt_words.*corrupt_sentence"):
        GanStep(toy("gan", **{**PAIRED, "corrupt_sentence": 0, "corrupt_words": 0.5}), *earlier_runs)
    with pytest.raises(ConfigError, match="noise_dim.*at least"):
        GanStep(toy("gan", **{**PAIRED, "noise_dim": 4}), *earlier_runs)
    with pytest.raises(ConfigError, match="images.*100 pictures, found 8"):
        GanStep(toy("gan", **{**PAIRED, "images": 8}), *earlier_runs)
