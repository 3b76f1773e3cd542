"""The published settings: every recipe reads for every step, and says what the configuration files say."""

from __future__ import annotations

import pytest
import torch

from dmm.models.registry import create_model, list_models
from dmm.recipes import describe, names, recipe

#: recipe -> batch, epochs, pictures of the data set, DAMSM, redescription, GF, DF, residual blocks
PUBLISHED = {
    "attngan-cub": (20, 600, 8855, 5, 0, 32, 64, 2),
    "attngan-coco": (14, 120, 82783, 50, 0, 48, 96, 3),
    "attngan-dcgan-cub": (30, 400, 8855, 1, 0, 32, 64, 0),
    "mirrorgan-cub": (12, 650, 8855, 0, 10, 32, 64, 2),
    "dmgan-cub": (10, 800, 8855, 5, 0, 64, 32, 2),
    "dmgan-coco": (16, 200, 82783, 50, 0, 64, 32, 3),
    "dmmgan-cub": (8, 650, 8855, 0, 20, 64, 32, 2),
    "stackgan-cub": (24, 600, 8855, 0, 0, 64, 64, 2),
}


@pytest.mark.parametrize("name", names())
def test_a_recipe_reads_for_every_step_and_builds(name):
    assert describe(name)
    for step in ("match", "caption", "gan"):
        config = recipe(name, step)
        assert config.train.step == step
    with torch.device("meta"):
        create_model(config.model)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_numbers(name):
    batch, epochs, pictures, damsm, stream, width, discriminator_width, residuals = PUBLISHED[name]
    config = recipe(name, "gan")
    train, model = config.train, config.model
    assert (train.batch, train.steps, train.damsm, train.stream) == (batch, epochs * (pictures // batch), damsm, stream)
    assert (model.widths[0], model.discriminator_width, model.residuals) == (width, discriminator_width, residuals)
    assert (train.generator_rate, train.discriminator_rate, train.beta1, train.beta2, train.average) == (2e-4, 2e-4, 0.5, 0.999, 0.999)
    assert (train.gamma1, train.gamma2, train.gamma3, train.adversarial) == (4, 5, 10, "bce")
    if name.startswith("stackgan"):
        assert (model.text_dim, model.condition_dim, train.kl) == (1024, 128, 2)
    else:
        assert (model.noise_dim, model.condition_dim, model.text_dim, train.kl) == (100, 100, 256, 1)
        assert model.mask_pairing == "published"
    convention = ("dmm", 20) if name.startswith("dmmgan") else ("pad0", 12 if name.endswith("coco") else 18)
    assert (model.convention, model.words_limit) == convention


@pytest.mark.parametrize(
    ("name", "switches"), {"": (True, 0, 20), "-gldm": (True, 0, 0), "-stream": (False, 0, 20), "-damsm": (False, 5, 0)}.items()
)
def test_the_two_by_two_of_dmmgan(name, switches):
    config = recipe(f"dmmgan-cub{name}", "gan")
    assert (config.model.global_memory, config.train.damsm, config.train.stream) == switches
    assert config.train.steps == recipe("dmmgan-cub", "gan").train.steps


@pytest.mark.parametrize(
    ("name", "parts"),
    {"-baseline": (False, False, False), "-m": (True, False, False), "-m-wg": (True, True, False), "": (True,) * 3}.items(),
)
def test_the_ablations_of_dmgan(name, parts):
    config = recipe(f"dmgan-cub{name}", "gan")
    assert (config.model.memory, config.model.writing_gate, config.model.response_gate) == parts
    assert config.train == recipe("dmgan-cub", "gan").train


def test_every_system_has_a_published_recipe_for_birds():
    assert {f"{entry.name}-cub" for entry in list_models()} <= set(names())
