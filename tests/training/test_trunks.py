"""Runs of the published encoders, narrow: a frozen random trunk is refused at the start, and a checkpoint holds its trunk."""

from __future__ import annotations

import functools
import json

import pytest
import torch
from safetensors import safe_open

from dmm.checkpoint import CheckpointError, read
from dmm.config import ConfigError
from dmm.models import image_encoder
from dmm.models.inception import InceptionEncoder
from dmm.models.resnet import ResNetEncoder
from dmm.training.dry_run import dry_run
from dmm.training.loop import run
from dmm.training.steps import CaptionStep, MatchStep
from tests.convert.test_trunks import published_names


def quiet(text):
    """Say nothing."""


@pytest.fixture
def narrow(monkeypatch, tmp_path):
    """Narrow published encoders, and a folder with a file for each trunk."""
    made = {
        "InceptionEncoder": functools.partial(InceptionEncoder, width=2),
        "ResNetEncoder": functools.partial(ResNetEncoder, width=2, depths=(1, 1, 1, 1)),
    }
    (tmp_path / "trunks").mkdir()
    for name, build in made.items():
        monkeypatch.setattr(image_encoder, name, build)
        torch.manual_seed(5)
        encoder = build(4)
        names = published_names(encoder)
        state = {names[key]: value for key, value in encoder.state_dict().items() if key in names}
        torch.save(state, tmp_path / "trunks" / {"InceptionEncoder": "inception_v3_google.pth", "ResNetEncoder": "resnet152.pth"}[name])
    return tmp_path / "trunks"


PUBLISHED = {"image_encoder": "inception", "caption_encoder": "resnet"}
NO_AIDS = {"part_colours": 0, "cloze": 0, "recall": 0, "reconstruct": 0, "text_batch": 0, "augment": 0}


def test_a_frozen_random_trunk_is_refused_at_the_start_and_in_a_dry_run(toy, narrow, tmp_path):
    config = toy("match", **PUBLISHED, **NO_AIDS)
    for begin in (dry_run, lambda step, config, out: run(step, config, out, say=quiet)):
        with pytest.raises(ConfigError, match="trunk of Inception-v3 is frozen"):
            begin(MatchStep(config), config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    config = toy("caption", **PUBLISHED, part_colours=0, frozen_encoder=False)
    with pytest.raises(ConfigError, match="trunk of ResNet-152 is frozen"):
        run(CaptionStep(config), config, tmp_path / "run", say=quiet)


def test_a_trunk_for_encoders_without_one_is_refused(toy, tmp_path):
    config = toy("match", trunk="imagenet")
    with pytest.raises(ConfigError, match="model.trunk: the small image encoders are trained from the start; leave it out"):
        dry_run(MatchStep(config), config)


def test_matching_then_captioning_then_on_from_their_checkpoints_without_the_file(toy, narrow, tmp_path):
    changes = {**PUBLISHED, **NO_AIDS, "steps": 1, "save_every": 1}
    config = toy("match", trunk=narrow, **changes)
    run(MatchStep(config), config, tmp_path / "match", say=quiet)
    weights, model, _, card = read(tmp_path / "match")
    trunk = torch.load(narrow / "inception_v3_google.pth", weights_only=True)
    assert torch.equal(weights["image_encoder.stem.0.conv.weight"], trunk["Conv2d_1a_3x3.conv.weight"])
    config_of = json.loads(safe_open(tmp_path / "match/model.safetensors", "pt").metadata()["config"])
    assert model.trunk == "" and "trunk" not in config_of
    assert card["trunk"]["file"] == "inception_v3_google.pth" and len(card["trunk"]["sha256"]) == 64

    more = toy("match", **changes | {"steps": 2})
    run(MatchStep(more), more, tmp_path / "match", resume=True, say=quiet)
    again = read(tmp_path / "match")
    assert torch.equal(again[0]["image_encoder.stem.0.conv.weight"], trunk["Conv2d_1a_3x3.conv.weight"])
    assert again[3]["trunk"] == card["trunk"] and again[3]["steps"] == 2
    started = MatchStep(more, tmp_path / "match")
    started.begin()
    assert torch.equal(started.networks["image_encoder"].stem[0].conv.weight, trunk["Conv2d_1a_3x3.conv.weight"])

    caption = {"part_colours": 0, "augment": 0, "content": 0, **PUBLISHED, "steps": 1}
    for frozen in (False, True):
        config = toy("caption", **caption, trunk=narrow, frozen_encoder=frozen)
        run(CaptionStep(config, tmp_path / "match"), config, tmp_path / f"caption{frozen}", say=quiet)
        found = read(tmp_path / f"caption{frozen}")[0]["captioner.encoder.stem.0.weight"]
        assert torch.equal(found, torch.load(narrow / "resnet152.pth", weights_only=True)["conv1.weight"])


def test_an_encoder_of_another_kind_cannot_be_kept(toy, narrow, tmp_path, earlier_runs):
    config = toy("match", image_encoder="inception", trunk=narrow, steps=1, **NO_AIDS)
    run(MatchStep(config), config, tmp_path / "match", say=quiet)
    with pytest.raises(CheckpointError, match="train.frozen_encoder: its image encoder is of another kind"):
        CaptionStep(toy("caption", image_encoder="inception", part_colours=0), tmp_path / "match")
    with pytest.raises(CheckpointError, match="no start for the captioner.*encoder_width|instead of"):
        CaptionStep(toy("caption", encoder_width=8), earlier_runs[0])


def test_a_captioner_with_a_code_of_another_size_starts_from_the_trunk(toy, earlier_runs):
    step = CaptionStep(toy("caption", caption_embedding=8), earlier_runs[0])
    encoder, weights = step.networks["captioner"].encoder, read(earlier_runs[0])[0]
    assert torch.equal(encoder.stem[0].weight, weights["image_encoder.stem.0.weight"]) and encoder.code.out_features == 8
