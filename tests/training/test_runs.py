"""Runs at toy size: they train, log, resume to the same weights, stop well, and refuse what they cannot do."""

import json
import math
import os
import signal

import pytest
import torch

from dmm.aviary.traits import COLOURS
from dmm.checkpoint import CheckpointError, read
from dmm.config import ConfigError
from dmm.pipeline import load
from dmm.training import ema, snapshots
from dmm.training.adversarial import GanStep
from dmm.training.loop import TrainingError, run
from dmm.training.optimisation import lr_at
from dmm.training.rng import Purpose, step_rng
from dmm.training.steps import CaptionStep, MatchStep
from tests.walk import Walk


def quiet(text):
    """Say nothing."""


@pytest.mark.parametrize(("kind", "attention"), [("match", 0), ("caption", 0), ("caption", 2)])
def test_resumed_encoders_equal_uninterrupted_ones(toy, tmp_path, earlier_runs, kind, attention):
    make = {"match": MatchStep, "caption": lambda config: CaptionStep(config, earlier_runs[0])}[kind]
    changes = {"lr_end_factor": 1.0, "caption_attention": attention}
    whole, half = toy(kind, **changes), toy(kind, steps=2, **changes)
    run(make(whole), whole, tmp_path / "whole", say=quiet)
    run(make(half), half, tmp_path / "parts", say=quiet)
    run(make(whole), whole, tmp_path / "parts", resume=True, say=quiet)
    once, twice = read(tmp_path / "whole")[0], read(tmp_path / "parts")[0]
    assert once.keys() == twice.keys()
    assert all(torch.equal(once[key], twice[key]) for key in once)


def test_a_run_leaves_log_config_and_card(toy, tmp_path):
    config = toy("match")
    run(MatchStep(config), config, tmp_path / "run", command="dmm train match", say=quiet)
    rows = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4] and rows[-1]["images"] == 16
    card = read(tmp_path / "run")[3]
    assert card["steps"] == 4 and card["images_seen"] == 16 and card["command"] == "dmm train match"


def test_resumed_gan_equals_uninterrupted_one(toy, tmp_path, earlier_runs):
    changes = {"initial_steps": 2, "initial_batch": 4, "frozen_steps": 1, "lr_end_factor": 1.0}
    whole, part = toy("gan", **changes), toy("gan", **{**changes, "steps": 3})
    run(GanStep(whole, *earlier_runs), whole, tmp_path / "whole", say=quiet)
    run(GanStep(part, *earlier_runs), part, tmp_path / "parts", say=quiet)
    run(GanStep(whole, *earlier_runs), whole, tmp_path / "parts", resume=True, say=quiet)
    once, twice = (torch.load(tmp_path / name / "last.pt", weights_only=True)["state"]["generator"] for name in ("whole", "parts"))
    assert all(torch.equal(once[key], twice[key]) for key in once)
    pipe = load(tmp_path / "parts")
    trace = pipe("a small red bird", seed=3)
    assert [stage.image.shape[-1] for stage in trace.stages] == [64, 128, 256]
    assert trace.stages[0].redescription is not None


def test_all_is_kept_once_at_a_step_with_statistics_measured_once(toy, tmp_path, earlier_runs, monkeypatch):
    """Checkpoint, model and samples of the last step, which is one to save at, too."""
    measured = []
    monkeypatch.setattr(snapshots, "reestimate", lambda network, *more: measured.append(ema.reestimate(network, *more)))
    config = toy("gan", steps=4, save_every=2)
    step = GanStep(config, *earlier_runs)
    run(step, config, tmp_path, say=quiet)
    assert len(measured) == 2
    steps = [torch.load(tmp_path / name, weights_only=True)["step"] for name in ("step-0000002.pt", "last.pt")]
    assert steps == [2, 4] and not (tmp_path / "step-0000004.pt").exists()
    step.snapshots.reestimate(1)
    assert len(measured) == 2
    step.load_state_dict(step.state_dict())  # other weights, or the same: nobody knows
    step.snapshots.reestimate(1)
    assert len(measured) == 3
    step.update(4)
    step.snapshots.reestimate(1)
    step.snapshots.reestimate(2)  # with the second picture, other statistics
    assert len(measured) == 5


@pytest.mark.parametrize(("captions", "batches"), [(8, [8]), (70, [23, 23, 24]), (128, [32] * 4)])
def test_the_statistics_are_of_as_many_captions_as_asked(toy, earlier_runs, monkeypatch, captions, batches):
    step = GanStep(toy("gan", ema_captions=captions), *earlier_runs)
    asked, batch = [], step.data.batch
    monkeypatch.setattr(step.data, "batch", lambda number, size, *more: asked.append((number, size)) or batch(number, size, *more))
    seen, norms = [], [module for module in step.ema.network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    handle = step.ema.network.register_forward_pre_hook(lambda network, inputs: seen.append(len(inputs[0])))
    step.snapshots.reestimate(1)
    handle.remove()
    assert seen == batches and norms[0].num_batches_tracked == len(batches)
    assert len({place for number, size in asked for place in range(number * size, (number + 1) * size)}) == captions  # none twice


def test_a_run_from_before_the_ema_had_its_name_goes_on(toy, tmp_path, earlier_runs):
    config = toy("gan", steps=2)
    run(GanStep(config, *earlier_runs), config, tmp_path, say=quiet)
    kept = torch.load(tmp_path / "last.pt", weights_only=True)
    kept["state"]["average"] = kept["state"].pop("ema")
    for old, new in (("generator_rate", "generator_lr"), ("average", "ema_decay")):
        kept["config"]["train"][old] = kept["config"]["train"].pop(new)
    torch.save(kept, tmp_path / "last.pt")
    longer = toy("gan", steps=3)
    step = GanStep(longer, *earlier_runs)
    assert run(step, longer, tmp_path, resume=True, say=quiet) == 3 and step.ema.updates == 3


def test_a_step_reads_its_batch_once_and_generates_once(toy, earlier_runs):
    step = GanStep(toy("gan", initial_steps=0, frozen_steps=0), *earlier_runs)
    step.update(0)  # what is found out once is found out
    walk = Walk(step.update, 1)
    assert walk.returns == []
    once = [f"dmm.training.{name}" for name in ("micro_batches.__call__", "data.batch", "text_guidance.__call__", "ema.update")]
    once.append("dmm.models.multistage.forward")
    assert {name: walk.entered[name] for name in once} == dict.fromkeys(once, 1)
    assert walk.entered["dmm.training.optimisation.descend"] == 4  # three discriminators and the generator


def test_the_schedule_trains_what_it_says(toy, earlier_runs):
    config = toy("gan", initial_steps=1, initial_batch=3, frozen_steps=1, ema_decay=0.5, ema_warmup=False)
    step = GanStep(config, *earlier_runs)
    weights = {name: p.detach().clone() for name, p in step.generator.named_parameters()}

    def moved(prefix):
        return any(not torch.equal(p, weights[n]) for n, p in step.generator.named_parameters() if n.startswith(prefix))

    step.update(0)
    assert moved("initial") and not moved("refinements")
    weights = {name: p.detach().clone() for name, p in step.generator.named_parameters()}
    step.refinements.adopt(step.snapshots)
    adopted = {name: p.detach().clone() for name, p in step.generator.named_parameters()}
    weights = adopted
    values = step.update(2)
    assert moved("initial") and moved("refinements.1")
    assert {"d64", "d128", "d256", "damsm", "stream", "cloze", "kl"} <= values.keys()
    assert [step.batch_at(index) for index in range(3)] == [3, config.train.batch, config.train.batch]


def test_a_frozen_initial_stage_stays(toy, earlier_runs):
    config = toy("gan", initial_steps=0, frozen_steps=2)
    step = GanStep(config, *earlier_runs)
    before = step.generator.initial.linear.weight.detach().clone()
    values = step.update(0)
    assert torch.equal(step.generator.initial.linear.weight, before) and "d64" not in values
    assert torch.equal(step.generator.initial.norm.running_mean, torch.zeros_like(step.generator.initial.norm.running_mean))


def test_keys_start_with_the_asked_spread(toy, earlier_runs):
    step = GanStep(toy("gan", key_spread=2.0), *earlier_runs)
    step.refinements.spread_keys()
    text = step.frozen.text(step.data.batch(0, 32, (), Purpose.KEY_SPREAD))
    with torch.no_grad():
        trace = step._generate(step.generator, text, step_rng(0, 0, Purpose.KEY_SPREAD), 3)
    for coarse, fine in zip(trace.stages, trace.stages[1:], strict=False):
        logits = fine.addressing.clamp(min=1e-30).log().flatten(2).transpose(1, 2)  # B Q T, up to a constant of each place
        deviations = [row[:, ~masked].var(1, unbiased=False) for row, masked in zip(logits, trace.mask, strict=True)]
        assert torch.cat(deviations).mean().sqrt().item() == pytest.approx(2.0, rel=0.15)  # the live statistics have moved a little
        assert coarse.hidden is not None


def test_finer_pictures_learn_to_agree_with_coarser_ones(toy, earlier_runs):
    config = toy("gan", initial_steps=0, frozen_steps=9, consistency=50.0, generator_lr=5e-3, damsm=0, stream=0, cloze=0)
    step = GanStep(config, *earlier_runs)
    values = [step.update(index)["consistency"] for index in range(6)]
    assert values[-1] < 0.7 * values[0]


def test_a_frozen_text_encoder_stays_while_the_parts_are_learnt(toy, earlier_runs):
    step = MatchStep(toy("match", frozen_text=True, part_colours=1.0, recall=0, reconstruct=0), earlier_runs[0])
    before = {key: value.clone() for key, value in step.networks["text_encoder"].state_dict().items()}
    answers = step.networks["part_colours"].answers.detach().clone()
    values = step.update(0)
    assert all(torch.equal(value, before[key]) for key, value in step.networks["text_encoder"].state_dict().items())
    assert not torch.equal(step.networks["part_colours"].answers, answers) and 0 <= values["colour_accuracy"] <= 1


def test_sentence_features_learn_to_tell_the_captioned_colours_apart(toy):
    step = MatchStep(toy("match", part_colours=5.0, recall=0, reconstruct=0, cloze=0, generator_lr=1e-2))
    torch.nn.init.zeros_(step.networks["told_colours"].weight)
    torch.nn.init.zeros_(step.networks["told_colours"].bias)
    losses = [step.update(0)["told_colours"] for _ in range(40)]
    assert losses[0] == pytest.approx(5 * math.log(len(COLOURS)), rel=1e-4)  # knows nothing: even over the colours
    assert losses[-1] < 0.6 * losses[0] and 0 <= step.seen["told_accuracy"] <= 1


def test_a_frozen_encoder_stays_and_must_come_from_somewhere(toy, earlier_runs):
    step = CaptionStep(toy("caption", frozen_encoder=True), earlier_runs[0])
    before = {key: value.clone() for key, value in step.networks["captioner"].encoder.state_dict().items()}
    step.update(0)
    assert step.maps.shape == (2, 8, 64 * 4)
    moved = {key for key, value in step.networks["captioner"].encoder.state_dict().items() if not torch.equal(value, before[key])}
    assert moved == {"code.weight", "code.bias"}
    with pytest.raises(ConfigError, match="give --match"):
        CaptionStep(toy("caption", frozen_encoder=True))


def test_a_captioner_that_looks_learns_from_maps_computed_once(toy, earlier_runs):
    """The maps give what the pictures give; everything of the decoder moves, and of the encoder its last layer alone."""
    step = CaptionStep(toy("caption", frozen_encoder=True, caption_attention=2, augment=0), earlier_runs[0])
    captioner, batch = step.networks["captioner"], step.data.batch(0, 4)
    step.read_pictures()
    assert step.maps.shape == (2, 8, 16, 8, 8)
    with torch.no_grad():
        regions, embedding = step._seen(captioner.encoder, batch, None, 0)
        seen = captioner.encoder(step.data.cache.images(64, batch.indices) / 127.5 - 1)
    torch.testing.assert_close(regions, seen[0], atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(embedding, seen[1], atol=2e-3, rtol=1e-3)
    before = {key: value.clone() for key, value in captioner.state_dict().items()}
    step.update(0)
    moved = {key for key, value in captioner.state_dict().items() if not torch.equal(value, before[key])}
    assert {key for key in moved if key.startswith("encoder.")} == {"encoder.code.weight", "encoder.code.bias"}
    assert {key for key in before if key.startswith("decoder.")} <= moved


def test_a_captioner_that_looks_reads_pictures_in_the_generator_s_loss(toy, tmp_path, earlier_runs):
    caption = toy("caption", steps=1, caption_attention=2)
    run(CaptionStep(caption, earlier_runs[0]), caption, tmp_path / "caption", say=quiet)
    step = GanStep(
        toy("gan", steps=1, caption_attention=2, stream=1, initial_steps=0, frozen_steps=0), earlier_runs[0], tmp_path / "caption"
    )
    assert step.update(0)["stream"] > 0
    with pytest.raises(CheckpointError, match="caption_attention is 2, the recipe says 0"):
        GanStep(toy("gan", caption_attention=0), earlier_runs[0], tmp_path / "caption")


def test_saying_a_word_again_costs_where_asked(toy, earlier_runs):
    values = [CaptionStep(toy("caption", unlikelihood=weight), earlier_runs[0]).update(0) for weight in (0, 1, 2)]
    assert "repetition" not in values[0] and values[1]["repetition"] > 0
    assert values[2]["repetition"] == pytest.approx(2 * values[1]["repetition"], rel=1e-4)


def test_an_encoder_without_regions_cannot_be_looked_at(toy, earlier_runs):
    with pytest.raises(ValueError, match="model.caption_attention: expected caption_encoder 'small'"):
        CaptionStep(toy("caption", caption_attention=2, caption_encoder="resnet", frozen_encoder=False))


def test_an_encoder_that_is_not_frozen_learns(toy):
    step = CaptionStep(toy("caption", frozen_encoder=False))
    before = step.networks["captioner"].encoder.code.weight.detach().clone()
    step.update(0)
    assert not torch.equal(step.networks["captioner"].encoder.code.weight, before)


def test_networks_of_another_recipe_are_refused(toy, earlier_runs):
    with pytest.raises(CheckpointError, match="text_dim is 16, the recipe says 32"):
        GanStep(toy("gan", text_dim=32), *earlier_runs)


def test_the_captioner_s_sizes_are_the_captioning_run_s_alone(toy, earlier_runs):
    with pytest.raises(CheckpointError, match="caption_hidden is 8, the recipe says 9"):
        GanStep(toy("gan", caption_hidden=9), *earlier_runs)
    assert GanStep(toy("gan", caption_hidden=9, stream=0), earlier_runs[0]).frozen.captioner is None


def interrupted_at(step, index, times):
    """Press Ctrl-C ``times`` times in the middle of update ``index``."""
    losses = step.losses

    def pressed(batch, images, rng):
        for _ in range(times if rng.index == index else 0):
            os.kill(os.getpid(), signal.SIGINT)
        return losses(batch, images, rng)

    step.losses = pressed
    return step


def test_an_interrupt_waits_for_the_end_of_the_step(toy, tmp_path):
    """An interrupted run, resumed, takes as many updates as an uninterrupted one and ends with the same weights."""
    config, said = toy("match", lr_end_factor=1.0), []
    before = signal.getsignal(signal.SIGINT)
    assert run(interrupted_at(MatchStep(config), 2, 1), config, tmp_path / "parts", say=said.append) == 3
    assert read(tmp_path / "parts")[3]["steps"] == 3 and signal.getsignal(signal.SIGINT) is before
    assert any("stopping after this step" in text for text in said) and any("stopped at step 3; go on with --resume" in t for t in said)
    assert run(MatchStep(config), config, tmp_path / "parts", resume=True, say=quiet) == 4
    run(MatchStep(config), config, tmp_path / "whole", say=quiet)
    once, twice = (torch.load(tmp_path / name / "last.pt", weights_only=True)["state"] for name in ("whole", "parts"))
    assert all(torch.equal(value, twice["networks"]["text_encoder"][key]) for key, value in once["networks"]["text_encoder"].items())
    steps = [state["optimiser"]["state"][0]["step"] for state in (once, twice)]
    assert steps[0] == steps[1] == 4


def test_a_second_interrupt_leaves_at_once_with_the_last_checkpoint_as_it_was(toy, tmp_path):
    config = toy("match")
    step = interrupted_at(MatchStep(config), 2, 2)
    kept = []
    update = step.update

    def noted(index):
        if index == 2:
            kept.append((tmp_path / "run/last.pt").read_bytes())
        return update(index)

    step.update = noted
    with pytest.raises(KeyboardInterrupt):
        run(step, config, tmp_path / "run", say=quiet)
    assert (tmp_path / "run/last.pt").read_bytes() == kept[0] and read(tmp_path / "run")[3]["steps"] == 2
    assert not list((tmp_path / "run").glob("*.partial"))
    assert run(MatchStep(config), config, tmp_path / "run", resume=True, say=quiet) == 4


def test_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(toy, tmp_path):
    config = toy("match")
    step = MatchStep(config)
    update = step.update
    step.update = lambda index: {"loss": float("nan")} if index == 2 else update(index)
    with pytest.raises(TrainingError, match="step 3: loss is not finite.*step 2"):
        run(step, config, tmp_path / "run", say=quiet)
    assert read(tmp_path / "run")[3]["steps"] == 2
    step.update = lambda index: {"loss": float("inf")}
    with pytest.raises(TrainingError, match="step 1: loss is not finite; there is no checkpoint yet.*then start again"):
        run(step, config, tmp_path / "early", say=quiet)


def test_a_second_run_in_the_same_place_and_resuming_nothing_are_refused(toy, tmp_path):
    config = toy("match", steps=1)
    with pytest.raises(TrainingError, match="nothing to resume"):
        run(MatchStep(config), config, tmp_path / "run", resume=True, say=quiet)
    run(MatchStep(config), config, tmp_path / "run", say=quiet)
    with pytest.raises(TrainingError, match="--resume"):
        run(MatchStep(config), config, tmp_path / "run", say=quiet)


def test_learning_rate_line():
    assert lr_at(1.0, 0.2, 0, 10) == 1.0
    assert lr_at(1.0, 0.2, 5, 10) == pytest.approx(0.6)
    assert lr_at(1.0, 0.2, 20, 10) == pytest.approx(0.2)
