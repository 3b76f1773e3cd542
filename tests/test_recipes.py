"""The recipes: every resolved value against a table of what the configuration files and the code of the publications say."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from dmm.config import Config, ConfigError, ModelConfig, TrainConfig, require_source, to_dict
from dmm.models.registry import create_model, find_model, list_models
from dmm.recipes import describe, encoders, merged, names, recipe, step_names

CUB, COCO = 8855, 82783  # training pictures
STEPS = ("match", "caption", "gan")
ORIGIN = {one.name: one.metadata["origin"] for part in (ModelConfig, TrainConfig) for one in fields(part)}


def epochs(count: int, pictures: int, batch: int) -> int:
    """Optimiser steps; the last, smaller batch of an epoch is left out, as published."""
    return count * (pictures // batch)


#: The attention systems share these; a row below says what differs. Keys are fields of the config.
ATTENTION = {
    "noise_dim": 100,
    "condition_dim": 100,
    "text_dim": 256,
    "embedding_dim": 300,
    "residuals": 2,
    "mask_pairing": "published",
    "convention": "pad0",
    "words_limit": 18,
    "image_encoder": "inception",
    "image_align_corners": True,
    "noise_truncation": 0.0,
    "noise_scale": 1.0,
    "sizes": (64, 128, 256),
    "mirror": True,
    "source": "",
    "generator_lr": 2e-4,
    "discriminator_lr": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "ema_decay": 0.999,
    "ema_warmup": False,
    "adversarial": "bce",
    "initial_steps": 0,
    "frozen_steps": 0,
    "lr_end_factor": 1.0,
    "kl": 1.0,
    "gamma1": 4.0,
    "gamma2": 5.0,
    "gamma3": 10.0,
    "unconditional": 1.0,
    "interpolation": 0.0,
    "one_pass": False,
    "damsm": 0.0,
    "stream": 0.0,
    "text_losses_on": "last",
    "precision": "fp32",
}
#: Off in every published recipe: ours, but for the colour consistency (published for birds: 0) and the clipping of matching.
AIDS = (
    "calibrate",
    "key_spread",
    "consistency",
    "cloze",
    "hard_wrong",
    "augment",
    "reconstruct",
    "part_colours",
    "frozen_text",
    "recall",
    "frozen_encoder",
    "content",
    "text_batch",
    "colour",
    "paired",
    "clip",
)


def sizes(width: int, discriminator: int, **more) -> dict:
    """GF_DIM and DF_DIM."""
    return {"widths": (width,) * 3, "discriminator_width": discriminator} | more


def long(batch: int, count: int, pictures: int, save_every: int | None = None, **more) -> dict:
    """Batch, epochs, epochs between snapshots."""
    found = {"batch": batch, "steps": epochs(count, pictures, batch)} | more
    return found | ({"save_every": epochs(save_every, pictures, batch)} if save_every else {})


DMGAN = ATTENTION | sizes(64, 32, system="dmgan")
DMMGAN = DMGAN | {"system": "dmmgan", "convention": "dmm", "words_limit": 20, "global_memory": True} | long(8, 650, CUB, 25)
STREAM = {"caption_encoder": "resnet", "caption_embedding": 256, "caption_hidden": 512}
DFGAN = ATTENTION | {
    "system": "dfgan",
    "widths": (128, 64, 32),
    "discriminator_width": 32,
    "mask_pairing": "right",  # its words and their mask are never read
    "image_align_corners": False,
    "noise_truncation": 2.0,
    "noise_scale": 0.88,
    "generator_lr": 1e-4,
    "discriminator_lr": 4e-4,
    "beta1": 0.0,
    "beta2": 0.9,
    "ema_decay": 0.0,
    "adversarial": "hinge",
    "kl": 0.0,
    "one_pass": True,  # its discriminator has no state that passes could differ in
}
#: GAN-INT-CLS and StackGAN, as described: no words, char-CNN-RNN sentences, live weights.
PLAIN = ATTENTION | {"condition_dim": 128, "text_dim": 1024, "mask_pairing": "right", "image_encoder": "small"}
PLAIN |= {"one_pass": True, "ema_decay": 0.0}
ON_COCO = {"words_limit": 12, "residuals": 3}
SWITCHES = ("memory", "writing_gate", "response_gate")

#: recipe -> its adversarial run.
GAN = {
    "attngan-cub": ATTENTION | sizes(32, 64, system="attngan") | long(20, 600, CUB, 50, damsm=5.0),
    "attngan-coco": ATTENTION | sizes(48, 96, system="attngan") | ON_COCO | long(14, 120, COCO, damsm=50.0),
    "attngan-dcgan-cub": ATTENTION | sizes(32, 64, system="attngan-dcgan", residuals=0) | long(30, 400, CUB, 50, damsm=1.0),
    "mirrorgan-cub": ATTENTION | sizes(32, 64, system="mirrorgan") | STREAM | long(12, 650, CUB, 50, stream=10.0),
    "dmgan-cub": DMGAN | long(10, 800, CUB, 25, damsm=5.0),
    "dmgan-coco": DMGAN | ON_COCO | long(16, 200, COCO, damsm=50.0),
    "dmgan-cub-baseline": DMGAN | long(10, 800, CUB, 25, damsm=5.0) | dict.fromkeys(SWITCHES, False),
    "dmgan-cub-m": DMGAN | long(10, 800, CUB, 25, damsm=5.0) | {"memory": True, "writing_gate": False, "response_gate": False},
    "dmgan-cub-m-wg": DMGAN | long(10, 800, CUB, 25, damsm=5.0) | {"memory": True, "writing_gate": True, "response_gate": False},
    "dmmgan-cub": DMMGAN | STREAM | {"stream": 20.0},
    "dmmgan-cub-gldm": DMMGAN | STREAM,
    "dmmgan-cub-stream": DMMGAN | STREAM | {"stream": 20.0, "global_memory": False},
    "dmmgan-cub-damsm": DMMGAN | STREAM | {"damsm": 5.0, "global_memory": False},
    "stackgan-cub": ATTENTION
    | {"system": "stackgan", "widths": (64, 32, 16), "discriminator_width": 64, "condition_dim": 128, "text_dim": 1024}
    | {"mask_pairing": "right", "image_encoder": "small", "one_pass": True, "kl": 2.0}  # no words; char-CNN-RNN sentences
    | long(24, 600, CUB, save_every=None)
    | {"save_every": 2000},
    "gan-int-cls-cub": PLAIN
    | {"system": "gan-int-cls", "widths": (64,), "discriminator_width": 64, "kl": 0.0, "interpolation": 1.0}
    | long(64, 600, CUB, 25),
    "stackgan-v1-cub": PLAIN
    | {"system": "stackgan-v1", "widths": (64, 64, 32), "discriminator_width": 64, "residuals": 4, "kl": 1.0, "lr_end_factor": 1 / 64}
    | long(64, 1200, CUB, 25)
    | {"initial_steps": epochs(600, CUB, 64), "initial_stages": 1, "frozen_steps": epochs(600, CUB, 64)},
    "dfgan-cub": DFGAN | long(32, 1300, CUB, 10),
    "dfgan-coco": DFGAN | long(32, 300, COCO, 10, words_limit=12),
}
for _name in ("dmgan-cub", "dmgan-coco", "dmmgan-cub", "dmmgan-cub-gldm", "dmmgan-cub-stream", "dmmgan-cub-damsm"):
    GAN[_name] |= dict.fromkeys(SWITCHES, True)

#: Pretraining of the text encoder, the same for all: batch 48, up to 600 epochs (200 for birds), lr 0.002 down to a tenth, clipped at 0.25.
MATCH = {"batch": 48, "generator_lr": 2e-3, "lr_end_factor": 0.1, "clip": 0.25, "beta1": 0.5, "beta2": 0.999, "precision": "fp32"}
MATCH |= {"gamma1": 4.0, "gamma2": 5.0, "gamma3": 10.0}


def resolved(name: str, step: str) -> dict:
    """Every value of a recipe, by the bare name of its field."""
    sections = to_dict(recipe(name, step))
    return {key: value for section in ("data", "model", "train") for key, value in sections[section].items()}


def lost(name: str, step: str, table: dict) -> list[str]:
    """The values of a recipe that differ from a table, as lines."""
    found = resolved(name, step)
    return [f"{name} {step}: {key} is {found[key]!r}, published {value!r}" for key, value in table.items() if found[key] != value]


def published() -> list[str]:
    """The recipes of a published data set."""
    return [name for name in names() if "cub" in name or "coco" in name]


def test_the_table_has_every_recipe_of_a_published_data_set():
    assert set(GAN) == set(published()) and len(GAN) == 18


@pytest.mark.parametrize("name", published())
def test_no_published_value_is_lost(name):
    words = 15 if name.endswith("coco") else GAN[name]["words_limit"]
    pictures, count = (COCO, 600) if name.endswith("coco") else (CUB, 200)
    matching = MATCH | {"steps": epochs(count, pictures, 48), "words_limit": words, "source": "", "mirror": True}
    wrong = lost(name, "gan", GAN[name] | {aid: resolved_off(aid) for aid in AIDS}) + lost(name, "match", matching)
    assert not wrong, "\n" + "\n".join(wrong)


def resolved_off(aid: str) -> object:
    """What an option that is off is."""
    return type(getattr(Config().train, aid))(0)


@pytest.mark.parametrize("name", names())
def test_a_recipe_reads_for_every_step_and_builds(name):
    assert describe(name)
    for step in STEPS:
        assert recipe(name, step).train.step == step
    with torch.device("meta"):
        create_model(recipe(name).model)


def test_every_system_has_a_published_recipe_for_birds():
    assert {f"{entry.name}-cub" for entry in list_models()} <= set(names())


@pytest.mark.parametrize("name", published())
def test_discriminators_with_spectral_norm_are_called_as_often_as_published(name):
    if find_model(recipe(name).model.system).norm == "spectral" and "magp" not in find_model(recipe(name).model.system).losses:
        assert recipe(name, "gan").train.one_pass is False


@pytest.mark.parametrize("name", published())
def test_a_captioner_is_trained_where_redescription_has_a_weight(name):
    assert ("caption" in step_names(name)) == (GAN[name]["stream"] > 0)
    assert {"match", "gan"} <= set(step_names(name))


def test_merging_is_deep_and_leaves_its_arguments_alone():
    base = {"steps": {"gan": {"one_pass": False, "batch": 10}, "match": {"batch": 48}}, "model": {"widths": [1, 2]}}
    child = {"steps": {"gan": {"batch": 16}}, "model": {"widths": [3]}, "data": {"mirror": True}}
    both = merged(base, child)
    assert both["steps"] == {"gan": {"one_pass": False, "batch": 16}, "match": {"batch": 48}}
    assert both["model"] == {"widths": [3]} and both["data"] == {"mirror": True}
    assert base["steps"]["gan"]["batch"] == 10 and set(child["steps"]) == {"gan"}


def test_encoders_are_trained_by_the_recipe_that_is_named():
    assert encoders("dmmgan-aviary") == "aviary" and encoders("dmmgan-cub") == "dmmgan-cub" and encoders("aviary") == "aviary"


@pytest.mark.parametrize("name", published())
def test_a_published_recipe_wants_to_know_where_its_data_set_lies(name):
    with pytest.raises(ConfigError, match="data.source: expected the folder.*--set source=DIR"):
        require_source(recipe(name, "gan"))


def test_aviary_needs_no_folder():
    assert recipe("dmmgan-aviary", "gan").data.source == "aviary"
    require_source(recipe("dmmgan-aviary", "gan"))


#: recipe of Aviary -> what its adversarial run has otherwise than dmmgan-aviary. Each is explained in the recipe's comment.
NO_WORDS = {"corrupt_sentence": 0.0, "corrupt_words": 0.0, "key_spread": 0.0, "stream": 0.0}
#: The budget of the ablation and of the 2x2: two stages, paired training alone.
SMALL = {"sizes": (64, 128), "widths": (32, 16), "steps": 1600, "initial_steps": 0, "adversarial_start": 1600, "corrupt_words": 0.0}
AVIARY = {
    "dmmgan-aviary": {},
    "stackgan-aviary": NO_WORDS | {"system": "stackgan", "hard_wrong": False},
    "gan-int-cls-aviary": NO_WORDS
    | {"system": "gan-int-cls", "widths": (32,), "interpolation": 1.0, "hard_wrong": False, "kl": 0.0, "calibrate": False}
    | {"initial_steps": 0, "initial_stages": 1},
    "stackgan-v1-aviary": NO_WORDS | {"system": "stackgan-v1", "hard_wrong": False, "initial_stages": 1},
    "attngan-aviary": {"system": "attngan", "key_spread": 0.0, "stream": 0.0},
    "mirrorgan-aviary": {"system": "mirrorgan", "key_spread": 0.0},
    "dmgan-aviary": {"system": "dmgan", "stream": 0.0},
    "dmgan-aviary-baseline": SMALL | NO_WORDS | {"system": "dmgan"} | dict.fromkeys(SWITCHES, False),
    "dmgan-aviary-m": SMALL | {"system": "dmgan", "stream": 0.0, "writing_gate": False, "response_gate": False},
    "dmgan-aviary-m-wg": SMALL | {"system": "dmgan", "stream": 0.0, "response_gate": False},
    "dmgan-aviary-m-wg-rg": SMALL | {"system": "dmgan", "stream": 0.0},
    "dfgan-aviary": NO_WORDS
    | {
        "system": "dfgan",
        "widths": (64, 32, 16),
        "initial_steps": 0,
        "initial_stages": 1,
        "kl": 0.0,
        "calibrate": False,
        "feature_limit": 0.0,
    },
    "dmmgan-aviary-no-gldm": SMALL | {"global_memory": False},
    "dmmgan-aviary-gldm": SMALL | {"stream": 0.0},
    "dmmgan-aviary-gldm-stream": SMALL,
}


def of_aviary() -> list[str]:
    """The recipes of generators of Aviary's birds."""
    return [name for name in names() if "-aviary" in name]


def test_dmm_gan_with_neither_of_its_parts_is_dm_gan():
    neither, own = recipe("dmgan-aviary-m-wg-rg", "gan"), recipe("dmmgan-aviary-gldm", "gan")
    without = replace(own, model=replace(own.model, global_memory=False))
    assert replace(without, model=replace(without.model, system="dmgan", global_memory=True)) == neither
    states = []
    for config in (neither, without):
        torch.manual_seed(0)
        states.append(create_model(config.model).state_dict())
    assert list(states[0]) == list(states[1]) and all(map(torch.equal, states[0].values(), states[1].values()))


def test_every_system_is_trained_on_aviary_but_the_variant_without_stages():
    assert {entry.name for entry in list_models() if f"{entry.name}-aviary" not in names()} == {"attngan-dcgan"}
    assert set(AVIARY) == set(of_aviary())


@pytest.mark.parametrize("name", of_aviary())
def test_all_systems_of_aviary_share_one_budget(name):
    own, shared = resolved(name, "gan"), resolved("dmmgan-aviary", "gan")
    assert {key: value for key, value in own.items() if value != shared[key]} == AVIARY[name]
    assert encoders(name) == "aviary"
    for step in ("match", "caption"):
        assert resolved(name, step) | AVIARY[name] == resolved("aviary", step) | _networks("dmmgan-aviary") | AVIARY[name]


def _networks(name: str) -> dict:
    """What a recipe's generator and discriminators are made of, which the encoders of `aviary` do not read."""
    found = resolved(name, "match")
    return {key: found[key] for key in ("system", "widths", "residuals", "discriminator_width", "noise_dim", "condition_dim")}


def test_the_aids_are_said_to_be_ours():
    assert {aid: ORIGIN[aid] for aid in AIDS if ORIGIN[aid] != "ours"} == {"colour": "paper", "clip": "published code"}
