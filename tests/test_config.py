"""Configs: they survive plain containers, and every wrong key or value is answered with what was meant or expected."""

from __future__ import annotations

import dataclasses
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dmm.config import RENAMED_KEYS, Config, ConfigError, DataConfig, ModelConfig, TrainConfig, from_dict, override, to_dict

COUNT = st.integers(1, 10**6)
RATE = st.floats(1e-8, 1e3)
SIZES = st.lists(st.integers(1, 4096), min_size=1, max_size=4).map(tuple)
WORD = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)
configs = st.builds(
    Config,
    model=st.builds(ModelConfig, widths=SIZES, noise_dim=COUNT, global_memory=st.booleans(), system=WORD),
    data=st.builds(DataConfig, sizes=SIZES, cache=WORD, mirror=st.booleans()),
    train=st.builds(TrainConfig, batch=COUNT, generator_lr=RATE, damsm=RATE, adversarial=WORD),
)


@given(configs)
def test_json_and_yaml_give_the_same_config_back(config):
    assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config
    plain = json.loads(json.dumps(to_dict(config)))  # tuples become lists, as in a recipe
    assert from_dict(Config, yaml.safe_load(yaml.safe_dump(plain))) == config


def test_the_defaults_are_the_published_bird_settings():
    config = Config()
    assert config.model.widths == (64, 64, 64)
    assert (config.model.noise_dim, config.model.condition_dim, config.model.text_dim, config.model.residuals) == (100, 100, 256, 2)
    assert (config.train.generator_lr, config.train.discriminator_lr) == (2e-4, 2e-4)
    assert (config.train.beta1, config.train.beta2) == (0.5, 0.999)
    assert (config.train.gamma1, config.train.gamma2, config.train.gamma3) == (4.0, 5.0, 10.0)
    assert config.data.sizes == (64, 128, 256)


@pytest.mark.parametrize("section", ["model", "data", "train"])
def test_a_config_cannot_be_changed_in_place(section):
    with pytest.raises(dataclasses.FrozenInstanceError):
        getattr(Config(), section).seed = 1


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("train.batch", "4", 4),
        ("batch", "4", 4),
        ("generator_lr", "1e-4", 1e-4),
        ("widths", "32,24,16", (32, 24, 16)),
        ("model.widths", [32, 24, 16], (32, 24, 16)),
        ("widths", "(32, 24, 16)", (32, 24, 16)),
        ("global_memory", "False", False),
        ("mirror", True, True),
        ("data.seed", "7", 7),
    ],
)
def test_override(key, text, value):
    name = key.rpartition(".")[2]
    before, after = to_dict(Config()), to_dict(override(Config(), {key: text}))
    changed = {(s, k): after[s][k] for s in after for k in after[s] if after[s][k] != before[s][k]}
    assert [(k, v) for (_, k), v in changed.items()] == [(name, value)], "this key changed, and no other"
    if "." in key:
        assert set(changed) == {tuple(key.split("."))}


@pytest.mark.parametrize(
    ("key", "meant"),
    [("train.bach", "batch"), ("genrator_lr", "generator_lr"), ("nose_dim", "noise_dim"), ("training.batch", "batch")],
)
def test_a_wrong_key_is_answered_with_the_nearest(key, meant):
    with pytest.raises(ConfigError, match=f"(?s){key.rpartition('.')[2]}.*did you mean '{meant}'"):
        override(Config(), {key: 1})


def test_a_key_of_another_section_is_not_taken():
    with pytest.raises(ConfigError, match="model: unknown key 'batch'"):
        override(Config(), {"model.batch": 3})


def test_an_ambiguous_key_names_both_homes():
    with pytest.raises(ConfigError, match="data.seed or train.seed"):
        override(Config(), {"seed": 3})


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (ModelConfig, {"wdths": [1]}, "did you mean 'widths'"),
        (ModelConfig, {"zzzzzz": 1}, "known keys: system, widths"),
        (TrainConfig, {"batch": "many"}, "config.batch: expected int, found 'many'"),
        (TrainConfig, {"batch": 2.5}, "expected int, found 2.5"),
        (TrainConfig, {"batch": None}, "expected int, found None"),
        (DataConfig, {"mirror": "perhaps"}, "config.mirror: expected true or false"),
        (DataConfig, {"sizes": 64}, "config.sizes: expected a list, found 64"),
        (DataConfig, {"sizes": ["small"]}, "config.sizes: expected int, found 'small'"),
        (Config, {"train": {"bathc": 3}}, "config.train: unknown key 'bathc'; did you mean 'batch'"),
    ],
)
def test_a_value_that_does_not_fit_says_what_was_expected(cls, values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(cls, values)


@pytest.mark.parametrize(("old", "new"), RENAMED_KEYS.items())
def test_keys_that_were_renamed_are_understood_by_their_old_names(old, new):
    value = "true" if new == "ema_warmup" else "0.25"
    wanted = override(Config(), {new: value})
    assert override(Config(), {old: value}) == override(Config(), {f"train.{old}": value}) == wanted != Config()
    assert from_dict(TrainConfig, {old: value}) == wanted.train
    with pytest.raises(ConfigError, match=f"'{old}' is now called '{new}', and both are given"):
        from_dict(TrainConfig, {old: value, new: value})
