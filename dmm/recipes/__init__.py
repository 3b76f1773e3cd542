"""Named settings: one small YAML file each, overriding the defaults of :mod:`dmm.config`, which are the published bird settings."""

from __future__ import annotations

import difflib
from importlib import resources

import yaml

from dmm.config import Config, ConfigError, from_dict, to_dict


def names() -> list[str]:
    """Every recipe, sorted."""
    return sorted(f.name.removesuffix(".yaml") for f in resources.files(__name__).iterdir() if f.name.endswith(".yaml"))


def describe(name: str) -> str:
    """The first comment line of a recipe."""
    return _text(name).splitlines()[0].lstrip("# ")


def step_names(name: str) -> tuple[str, ...]:
    """The steps of training ("match", "caption", "gan") that a recipe, or its base, has settings for."""
    return tuple(_values(name).get("steps", {}))


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
    unknown = set(values) - {"model", "data", "train"}
    if unknown:
        raise ConfigError(f"recipe {name}: unknown section {sorted(unknown)[0]!r}; expected model, data, train, steps")
    if step is not None:
        values["train"] = {**values.get("train", {}), **steps.get(step, {}), "step": step}
    base = to_dict(Config())
    return from_dict(Config, {section: {**base[section], **values.get(section, {})} for section in base}, f"recipe {name}")


def _values(name: str) -> dict:
    """The YAML of a recipe over that of its ``base``, section by section."""
    values = yaml.safe_load(_text(name)) or {}
    base = _values(values.pop("base")) if "base" in values else {}
    return {section: {**base.get(section, {}), **values.get(section, {})} for section in {**base, **values}}


def _text(name: str) -> str:
    file = resources.files(__name__) / f"{name}.yaml"
    if not file.is_file():
        near = difflib.get_close_matches(name, names(), n=1)
        raise ConfigError(f"no recipe {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; recipes: {', '.join(names())}"))
    return file.read_text()
