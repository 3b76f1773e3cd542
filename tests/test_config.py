"""Configs: they survive plain containers, and every wrong key or value is answered with what was meant or expected."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import typing

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dmm.config import (
    READ_BY,
    RENAMED_KEYS,
    Config,
    ConfigError,
    DataConfig,
    ModelConfig,
    Range,
    TrainConfig,
    from_dict,
    override,
    require_read,
    to_dict,
)

COUNT = st.integers(1, 16384)
LR = st.floats(1e-8, 10)
SIZES = st.lists(st.integers(8, 2048), min_size=1, max_size=4).map(tuple)
WORD = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)
configs = st.builds(
    Config,
    model=st.builds(ModelConfig, widths=SIZES, noise_dim=COUNT, global_memory=st.booleans(), system=WORD),
    data=st.builds(DataConfig, sizes=SIZES, cache=WORD, mirror=st.booleans()),
    train=st.builds(TrainConfig, batch=COUNT, generator_lr=LR, damsm=LR, adversarial=st.sampled_from(("bce", "hinge"))),
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
        (TrainConfig, {"batch": "many"}, "config.batch: expected a whole number, found 'many'"),
        (TrainConfig, {"batch": 2.5}, "expected a whole number, found 2.5"),
        (TrainConfig, {"batch": None}, "expected a whole number, found None"),
        (DataConfig, {"mirror": "perhaps"}, "config.mirror: expected true or false"),
        (DataConfig, {"sizes": 64}, "config.sizes: expected a list, found 64"),
        (DataConfig, {"sizes": ["small"]}, "config.sizes: expected a whole number, found 'small'"),
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


def test_what_a_step_is_said_to_read_it_reads(root):
    """Names in the sources: a setting of one step only occurs where that step is written, and nowhere in the others."""
    fields = {field.name for field in dataclasses.fields(TrainConfig)}
    assert set(READ_BY) <= fields and all(set(steps) < {"match", "caption", "gan"} for steps in READ_BY.values())
    folder = root / "dmm" / "training"
    encoders = (folder / "steps.py").read_text()
    first, second = encoders.index("class MatchStep"), encoders.index("class CaptionStep")
    shared, matching, captioning = encoders[:first], encoders[first:second], encoders[second:]
    gan = "".join(
        (folder / f"{name}.py").read_text()
        for name in (
            "adversarial",
            "adversarial_losses",
            "refinements",
            "micro_batches",
            "schedule",
            "snapshots",
            "frozen",
            "text_guidance",
            "objectives",
            "paired",
        )
    )
    source = {"match": shared + matching, "caption": shared + captioning, "gan": gan}
    loop = "".join((folder / f"{name}.py").read_text() for name in ("loop", "data", "dry_run"))
    for name in fields - {"step"}:
        for step in READ_BY.get(name, ("match", "caption", "gan")):
            assert re.search(rf"(settings|train)\.{name}\b", source[step] + loop), f"{name} in {step}"
        for step in {"match", "caption", "gan"} - set(READ_BY.get(name, ("match", "caption", "gan"))):
            assert not re.search(rf"(settings|train)\.{name}\b", source[step]), f"{name} in {step}"


def test_renamed_settings_and_other_sections_are_known():
    for key, step in (("average", "match"), ("train.recall", "gan"), ("content", "match")):
        with pytest.raises(ConfigError, match="would not read it, but"):
            require_read(key, step)
    for key in ("batch", "widths", "model.text_dim", "data.source", "generator_rate"):
        require_read(key, "match")
    require_read("cloze", "match", "caption")


NUMBERS = [
    (section, name, kind)
    for section in (ModelConfig, DataConfig, TrainConfig)
    for name, kind in typing.get_type_hints(section, include_extras=True).items()
    if type(getattr(section(), name)) in (int, float, tuple)
]


@pytest.mark.parametrize(("section", "name", "kind"), NUMBERS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_number_declares_its_range_and_every_way_in_keeps_it(section, name, kind):
    several = typing.get_origin(kind) is tuple
    item = typing.get_args(kind)[0] if several else kind
    (bounds,) = [one for one in item.__metadata__ if isinstance(one, Range)]
    outside = [bounds.low - 1, bounds.high + 1, 10**30] + [math.nan, math.inf] * (type(getattr(section(), name)) is float)
    for value in outside:
        value = (value,) if several else value
        with pytest.raises(ConfigError, match=name):
            section(**{name: value})
        with pytest.raises(ConfigError, match=name):
            from_dict(section, {name: list(value) if several else value})
        with pytest.raises(ConfigError, match=name):
            override(Config(), {f"{section.__name__.removesuffix('Config').lower()}.{name}": str(value)})


@pytest.mark.parametrize("value", [None, [], {}, [4], True, "four", "nan", "1e400", "9" * 5000, "x" * 10**6])
def test_what_is_no_number_is_named_and_cut(value):
    with pytest.raises(ConfigError, match=r"train\.batch: expected") as error:
        from_dict(TrainConfig, {"batch": value}, "train")
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("value", [[], 3, "words", {"model": []}, {"model": {"widths": [8] * 10**6}}, {"model": {3: 4}}, {"x" * 10**6: 1}])
def test_what_is_no_config_is_named_and_cut(value):
    with pytest.raises(ConfigError) as error:
        from_dict(Config, value)
    assert len(str(error.value)) < 1000
