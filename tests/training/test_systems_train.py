"""Every system and every published recipe trains: finite losses, nothing left behind; and the step is the one that was proved."""

import copy
import math

import pytest
import torch

from dmm.config import ConfigError, override
from dmm.images import to_float
from dmm.losses.adversarial import discriminator_loss, generator_loss
from dmm.losses.damsm import damsm_loss
from dmm.losses.kl import kl_loss
from dmm.losses.stream import caption_loss
from dmm.models.inception import InceptionEncoder
from dmm.models.registry import find_model, list_models, picture_sizes
from dmm.recipes import names, recipe
from dmm.trace import Trace
from dmm.training import steps
from dmm.training.adversarial import GanStep
from dmm.training.adversarial_losses import interpolated
from dmm.training.rng import Purpose, step_rng
from dmm.training.snapshots import TRACED
from dmm.training.steps import MatchStep

from .conftest import AIDS, TOY

SMALL = {"source": "aviary", "image_encoder": "small", "caption_encoder": "small", "convention": "dmm", "initial_steps": "0",
         "frozen_steps": "0", "consistency": "0", "key_spread": "0"}  # fmt: skip
RECIPES = [name for name in names() if name != "aviary"]


def shrunk(name, cache, **changes):
    """A recipe at toy size, its stages and losses as they are."""
    config = recipe(name, "gan")
    stages = {"widths": ",".join(["4"] * min(3, len(config.model.widths)))}
    return override(config, {**TOY, **SMALL, **stages, "cache": str(cache), "steps": "2", **{k: str(v) for k, v in changes.items()}})


def of_system(entry, cache, **changes):
    """A toy config for a system, with every loss that its entry names."""
    weights = {name: float(name in entry.losses) for name in ("kl", "damsm", "stream", "colour", "interpolation")}
    plain = {"cloze": 0, "hard_wrong": False, "calibrate": False, "adversarial": "hinge" if "hinge" in entry.losses else "bce"}
    config = override(recipe("dmmgan-aviary", "gan"), {**AIDS, **TOY, **SMALL, "cache": str(cache), "system": entry.name})
    return override(config, {k: str(v) for k, v in (weights | plain | changes).items()})


def train_two_steps(config, earlier_runs):
    step = GanStep(config, *earlier_runs)
    networks = {"generator": step.generator} | {f"d{d.size}": d for d in step.discriminators}
    before = {name: {k: p.detach().clone() for k, p in net.named_parameters()} for name, net in networks.items()}
    values = [step.update(index) for index in range(2)]
    assert all(math.isfinite(value) for row in values for value in row.values()), values
    still = {
        f"{name}.{key}"
        for name, net in networks.items()
        for key, p in net.named_parameters()
        if torch.equal(p, before[name][key]) and not key.endswith(("bias", "key.linear.weight"))  # four channels of ReLU may all be off
    }
    return step, values[-1], still


@pytest.mark.parametrize("entry", list_models(), ids=lambda entry: entry.name)
def test_every_system_trains(entry, toy_cache, earlier_runs):
    step, values, still = train_two_steps(of_system(entry, toy_cache), earlier_runs)
    assert still == set()
    assert {name for name in ("kl", "damsm", "stream", "interpolation") if name in entry.losses} <= values.keys()
    assert ("colour" in values) == ("colour" in entry.losses)
    discriminated = picture_sizes(step.config.model)
    assert {n for n in values if n[0] in "dg" and n[1:].isdigit()} == {f"{side}{size}" for side in "dg" for size in discriminated}


@pytest.mark.parametrize("system", ["attngan-dcgan", "dmgan"])
def test_pictures_traces_and_evaluation_of_a_run(system, toy_cache, earlier_runs, tmp_path):
    entry = find_model(system)
    step = GanStep(of_system(entry, toy_cache), *earlier_runs)
    step.sample(tmp_path, 2)
    step.trace(tmp_path, 2)
    assert (tmp_path / "0000002.png").is_file()
    trace = Trace.load(tmp_path / "0000002.npz")
    fine = trace.stages[-1]
    assert fine.hidden is None and len(fine.redescription) == TRACED == len(trace.captions)
    assert (fine.word_attention if system == "attngan-dcgan" else fine.addressing) is not None
    assert 0 <= step.evaluate(8)["score"] <= 1


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains(name, toy_cache, earlier_runs):
    _, _, still = train_two_steps(shrunk(name, toy_cache), earlier_runs)
    assert still == set()


@pytest.mark.parametrize("name", ["dmgan-cub", "dmmgan-cub", "dmmgan-cub-damsm"])
def test_a_step_is_the_reference_step(name, toy_cache, earlier_runs):
    """The published order written out: generate, each discriminator, the generator through them, the EMA."""
    step = GanStep(shrunk(name, toy_cache, one_pass=False, precision="fp32"), *earlier_runs)
    generator, critics = copy.deepcopy(step.generator).train(), copy.deepcopy(step.discriminators)
    ema = {key: p.detach().clone() for key, p in generator.named_parameters()}
    settings = step.config.train
    step.update(0)

    batch = step.data.batch(0, settings.batch)
    words, sentence, mask = step.frozen.text(batch)
    rng = step_rng(settings.seed, 0, Purpose.NOISE)
    noise = torch.randn(len(batch), step.config.model.noise_dim, generator=rng)
    eps = torch.randn(len(batch), step.config.model.condition_dim, generator=rng)
    trace = generator(sentence, words, mask, noise, eps)
    for critic, image in zip(critics, trace.images, strict=True):
        optimiser = torch.optim.Adam(critic.parameters(), 2e-4, (0.5, 0.999), fused=True)
        discriminator_loss(critic, to_float(batch.images[critic.size]), image, sentence)["total"].backward()
        optimiser.step()
    total = sum(generator_loss(critic, image, sentence)["total"] for critic, image in zip(critics, trace.images, strict=True))
    total = total + kl_loss(trace.mean, trace.logvar)
    if settings.damsm:
        compared = (trace.images[-1], words, sentence, batch.lengths, batch.class_ids)
        total = total + settings.damsm * damsm_loss(step.frozen.image_encoder, *compared)["total"]
    if settings.stream:
        logits = step.frozen.captioner(trace.images[-1], batch.captions, batch.lengths)
        total = total + settings.stream * caption_loss(logits, batch.captions, batch.lengths)
    optimiser = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999), fused=True)
    optimiser.zero_grad()
    total.backward()
    optimiser.step()

    for own, reference in ((step.generator, generator), (step.discriminators, critics)):
        theirs = reference.state_dict()
        for key, value in own.state_dict().items():
            torch.testing.assert_close(value, theirs[key], rtol=0, atol=0, msg=key)
    for key, p in step.ema.network.named_parameters():
        torch.testing.assert_close(p, 0.999 * ema[key] + 0.001 * generator.get_parameter(key), rtol=1e-5, atol=1e-6, msg=key)


@pytest.mark.parametrize("system", ["dfgan", "attngan-dcgan", "gan-int-cls"])
@pytest.mark.parametrize("name", ["initial_steps", "frozen_steps", "consistency", "key_spread"])
def test_one_picture_has_no_schedule(system, name, toy_cache, earlier_runs):
    with pytest.raises(ConfigError, match=f"train.{name}: {system} has no such parts"):
        GanStep(of_system(find_model(system), toy_cache, **{name: 1}), *earlier_runs)


@pytest.mark.parametrize(
    ("system", "changes", "said"),
    [
        ("dfgan", {"kl": 1}, "train.kl"),
        ("dfgan", {"adversarial": "bce"}, "train.adversarial: dfgan is trained with hinge"),
        ("stackgan", {"hard_wrong": True}, "train.hard_wrong"),
        ("gan-int-cls", {"kl": 1}, "train.kl"),
        ("stackgan-v1", {"interpolation": 1}, "train.interpolation: stackgan-v1 is not trained on sentences between two"),
        ("stackgan-v1", {"initial_steps": 1, "initial_stages": 3}, "train.initial_stages: stackgan-v1 generates 2 pictures, found 3"),
        ("dmgan", {"accumulate": 3}, "cannot be split into 3 equal micro-batches"),
        ("dmgan", {"device": "tpu"}, "train.device"),
        ("dmgan", {"precision": "fp16", "device": "cpu"}, "fp16 needs a GPU"),
    ],
)
def test_settings_that_do_not_fit_are_refused(system, changes, said, toy_cache, earlier_runs):
    with pytest.raises(ConfigError, match=said):
        GanStep(of_system(find_model(system), toy_cache, **changes), *earlier_runs).update(0)


def test_the_generator_answers_for_sentences_between_two(toy_cache, earlier_runs):
    """GAN-INT's term, written out: a picture of the mean of two sentences, joined with that mean (GAN-INT)."""
    step = GanStep(of_system(find_model("gan-int-cls"), toy_cache, precision="fp32"), *earlier_runs)
    (micro_batch,) = step.read(0)
    sentence = micro_batch.text.sentence
    between = torch.stack([(sentence[i] + sentence[i - 1]) / 2 for i in range(len(sentence))])
    generator, (critic,) = copy.deepcopy(step.generator), copy.deepcopy(step.discriminators)
    image = generator(between, None, None, micro_batch.noise).images[0]
    wanted = torch.nn.functional.softplus(-critic.conditional(critic.features(image), between)).mean()
    trace = step._generate_share(micro_batch, interpolated(micro_batch))
    found = step.losses.interpolation(interpolated(micro_batch), trace, micro_batch.share, [0])
    torch.testing.assert_close(found, wanted)


def test_stage_one_is_trained_alone_and_then_held(toy_cache, earlier_runs):
    """StackGAN's schedule: 64 px alone, then 256 px from the pictures of a first stage that no longer changes."""
    step = GanStep(of_system(find_model("stackgan-v1"), toy_cache, initial_steps=1, frozen_steps=1, ema_decay=0), *earlier_runs)

    def state(*parts):
        return {k: v.detach().clone() for k, v in step.generator.named_parameters() if k.startswith(parts)}

    second, first = ("refinements", "heads.1"), ("conditioning", "initial", "heads.0")
    before = state(*second)
    assert {"d64", "g64"} <= step.update(0).keys() and all(torch.equal(v, before[k]) for k, v in state(*second).items())
    held, before = state(*first), state(*second)
    values = step.update(1)
    assert {"d256", "g256"} <= values.keys() and not {"d64", "g64", "kl"} & values.keys()
    assert all(torch.equal(v, held[k]) for k, v in state(*first).items())
    assert any(not torch.equal(v, before[k]) for k, v in state(*second).items())
    assert {"d64", "d256", "kl"} <= step.update(2).keys()


def test_without_redescription_no_captioner_is_needed(toy_cache, earlier_runs, tmp_path):
    entry = find_model("dmgan")
    for caption in (None, tmp_path / "none"):
        step = GanStep(of_system(entry, toy_cache, one_pass=False), earlier_runs[0], caption)
        assert step.frozen.captioner is None and "stream" not in step.update(0)
    with pytest.raises(ConfigError, match="give --caption"):
        GanStep(of_system(entry, toy_cache, stream=1), earlier_runs[0])


def test_pieces_of_a_batch_add_up(toy_cache, earlier_runs):
    """Pieces have batch norms and mismatching pairs of their own, so the steps are near, not equal; statistics are noted once."""
    entry = find_model("dmgan")
    changes = {"one_pass": False, "precision": "fp32", "damsm": 0}
    whole, cut = (GanStep(of_system(entry, toy_cache, accumulate=n, **changes), *earlier_runs) for n in (1, 2))
    statistics = {k: v.clone() for k, v in cut.generator.state_dict().items() if "running" in k}
    for step in (whole, cut):
        values = step.update(0)
        assert all(math.isfinite(value) for value in values.values())
    noted = {k: v for k, v in cut.generator.state_dict().items() if "running_mean" in k and not torch.equal(v, statistics[k])}
    assert noted
    for key, p in whole.generator.named_parameters():
        assert (p - cut.generator.get_parameter(key)).abs().max() < 5 * whole.config.train.generator_lr


def test_a_trunk_that_came_trained_stays(toy, monkeypatch):
    build = steps.build

    def made(part, model, vocab):
        return InceptionEncoder(model.text_dim, width=2) if part == "image_encoder" else build(part, model, vocab)

    monkeypatch.setattr(steps, "build", made)
    step = MatchStep(toy("match", cloze=0))
    learning = {name for name, p in step.networks["image_encoder"].named_parameters() if p.requires_grad}
    assert learning == {"regions.weight", "code.weight", "code.bias"}
