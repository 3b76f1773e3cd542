"""Named settings: one small YAML file each, overriding the defaults of :mod:`dmm.config`.

A recipe has the sections ``model``, ``data`` and ``train``, ``steps`` with further settings of one step each ("match", "caption", "gan";
keys of ``train``, or of another section with its name before a dot), ``base``, the recipe that it goes on from, ``encoders``, the
recipe whose matching and captioning runs its generator is trained on, if they are not its own, and ``other_data``, as ``steps``: settings
that take the place of those for data that do not know what Aviary knows of its birds. It is laid over its base key by key, at every depth:
what it does not name stays as the base has it.
"""

from __future__ import annotations

import copy
import difflib
import functools
from collections.abc import Mapping
from importlib import resources

import yaml

from dmm.config import Config, ConfigError, from_dict, override, to_dict


def names() -> list[str]:
    """Every recipe, sorted."""
    return sorted(f.name.removesuffix(".yaml") for f in resources.files(__name__).iterdir() if f.name.endswith(".yaml"))


def describe(name: str) -> str:
    """The first comment line of a recipe."""
    return _text(name).splitlines()[0].lstrip("# ")


def step_names(name: str) -> tuple[str, ...]:
    """The steps of training ("match", "caption", "gan") that a recipe, or its base, has settings for."""
    return tuple(step for step, settings in _values(name).get("steps", {}).items() if settings)


def recipe(name: str, step: str | None = None) -> Config:
    """The config of a recipe.

    Args:
        name: one of :func:`names`.
        step: "match", "caption" or "gan"; a recipe may hold settings for each under ``steps``.

    Raises:
        ConfigError: unknown recipe (with the nearest name) or a key that no config has.
    """
    values = _values(name)
    steps = values.pop("steps", {})
    for section in ("encoders", "other_data"):
        values.pop(section, None)
    unknown = set(values) - {"model", "data", "train"}
    if unknown:
        expected = "model, data, train, steps, base, encoders, other_data"
        raise ConfigError(f"recipe {name}: unknown section {sorted(unknown)[0]!r}; expected {expected}")
    config = from_dict(Config, merged(to_dict(Config()), values), f"recipe {name}")
    if step is None:
        return config
    own = {key if "." in key else f"train.{key}": value for key, value in (steps.get(step) or {}).items()}
    try:
        return override(config, own | {"train.step": step})
    except ConfigError as error:
        raise ConfigError(f"recipe {name}, steps.{step}: {error}") from error


def other_data(name: str, step: str) -> dict[str, object]:
    """Settings of ``train`` that a step of recipe ``name`` has for data other than Aviary's, by key."""
    return dict(_values(name).get("other_data", {}).get(step) or {})


def encoders(name: str) -> str:
    """The recipe whose matching and captioning runs the generator of recipe ``name`` is trained on."""
    return _values(name).get("encoders", name)


def merged(base: Mapping, values: Mapping) -> dict:
    """``values`` laid over ``base``, key by key at every depth; lists are replaced whole."""
    both = {key: merged(base[key], value) for key, value in values.items() if isinstance(value, Mapping) and key in base}
    return {**base, **values, **both}


def _values(name: str) -> dict:
    """The YAML of a recipe over that of its ``base``."""
    values = copy.deepcopy(_parsed(_text(name)))
    return merged(_values(values.pop("base")), values) if "base" in values else values


@functools.cache
def _parsed(text: str) -> dict:
    """What a recipe's YAML says, parsed once: not to be changed."""
    return yaml.safe_load(text) or {}


def _text(name: str) -> str:
    file = resources.files(__name__) / f"{name}.yaml"
    if not file.is_file():
        near = difflib.get_close_matches(name, names(), n=1)
        raise ConfigError(f"no recipe {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; recipes: {', '.join(names())}"))
    return file.read_text()
