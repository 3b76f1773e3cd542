"""Name -> generator. Registering is one decorator on a function from :class:`dmm.config.ModelConfig` to a network."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from dmm.config import ModelConfig


@dataclass(frozen=True)
class ModelEntry:
    """One registered system."""

    name: str
    paper: str  # author, title or venue, year
    adds: str  # what it adds to its parent, one phrase
    build: Callable[[ModelConfig], nn.Module]
    norm: str  # normalisation of its discriminators, "spectral" or "batch"


_MODELS: dict[str, ModelEntry] = {}


def register_model(name: str, paper: str, adds: str, norm: str = "spectral") -> Callable:
    """Register a builder ``config -> generator`` under a name.

    Raises:
        ValueError: the name is taken.
    """

    def decorate(build: Callable[[ModelConfig], nn.Module]):
        if name in _MODELS:
            raise ValueError(f"a model named {name!r} is registered already")
        _MODELS[name] = ModelEntry(name, paper, adds, build, norm)
        return build

    return decorate


def list_models() -> list[ModelEntry]:
    """Every registered system, by name."""
    return [_MODELS[name] for name in sorted(_MODELS)]


def find_model(name: str) -> ModelEntry:
    """One registered system.

    Raises:
        ValueError: no such system, with the nearest name.
    """
    if name not in _MODELS:
        near = difflib.get_close_matches(name, _MODELS, n=1)
        raise ValueError(f"no system {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(_MODELS))}"))
    return _MODELS[name]


def create_model(config: ModelConfig) -> nn.Module:
    """The generator of ``config.system``, freshly initialised."""
    return find_model(config.system).build(config)
