"""Name -> system. Registering is one decorator on a function from :class:`dmm.config.ModelConfig` to a generator.

What training must know of a system beside its generator is data here, so that no loop asks for a system's name. The systems of this
package register themselves when one is first asked for; one from elsewhere does so when its module is imported.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from dmm.config import ModelConfig
from dmm.errors import InputError
from dmm.models.modules import AnyDiscriminator, Modules

#: Modules of dmm.models that register systems, in the order of their papers.
SYSTEM_MODULES = ("gan_int_cls", "stackgan_v1", "stackgan", "attngan", "mirrorgan", "dmgan", "dmmgan", "dfgan")


@dataclass(frozen=True)
class ModelEntry:
    """One registered system; the defaults are those of the attention systems."""

    name: str
    paper: str  # author, title or venue, year
    adds: str  # what it adds to its parent, one phrase
    build: Callable[[ModelConfig], nn.Module]
    norm: str = "spectral"  # normalisation of its discriminators, "spectral" or "batch"
    reference: str = "none: built from its description"  # the code that its numbers were compared with
    sizes: tuple[int, ...] = tuple(64 << k for k in range(8))  # px of its pictures, the first `len(widths)` of them; see picture_sizes
    losses: tuple[str, ...] = ()  # its terms: adversarial, colour, hinge, magp, kl, damsm, stream, interpolation
    unconditional: bool = True  # discriminators have a head without the sentence
    text_first: bool = False  # they join concat(text, picture), not concat(picture, text)
    compressed: bool = False  # they compress the text to `condition_dim` numbers first, and join it by a 1x1 convolution
    condition: str = "sentence"  # the text they join: the "sentence" feature, or the "mean" of the conditioning code
    objective: str = "pairs"  # of discriminators and generator, a name of dmm.training.objectives.OBJECTIVES
    discriminated: str = "all"  # pictures with a discriminator: of "all" stages, or of the "last"
    discriminators: Callable[[ModelConfig], Modules[AnyDiscriminator]] | None = None  # makes them, if not dmm.models.discriminators
    discriminator_halves: bool = False  # each discriminator is published as two networks, trunk and head, which may come in two files
    convention: str = "pad0"  # vocabulary of its published weights: "pad0", or "dmm" with a start token (dmm.data.vocab)
    damsm_encoders: bool = True  # its published weights come with AttnGAN's text encoder and image encoder
    image_align_corners: bool = True  # corner rule of its published Inception encoder's resize; PyTorch's own when most were published


_MODELS: dict[str, ModelEntry] = {}


def register_model(name: str, paper: str, adds: str, **facts) -> Callable:
    """Register a builder ``config -> generator`` under a name; ``facts`` are further fields of :class:`ModelEntry`.

    Raises:
        ValueError: the name is taken.
    """

    def decorate(build: Callable[[ModelConfig], nn.Module]):
        if name in _MODELS:
            raise ValueError(f"a model named {name!r} is registered already")
        _MODELS[name] = ModelEntry(name, paper, adds, build, **facts)
        return build

    return decorate


def _models() -> dict[str, ModelEntry]:
    for module in SYSTEM_MODULES:
        importlib.import_module(f"dmm.models.{module}")
    return _MODELS


def list_models() -> list[ModelEntry]:
    """Every registered system, by name."""
    return [entry for _, entry in sorted(_models().items())]


def in_order_of_papers() -> list[ModelEntry]:
    """Every registered system, each behind those that it builds on."""
    modules = [f"dmm.models.{module}" for module in SYSTEM_MODULES]
    return sorted(list_models(), key=lambda entry: modules.index(entry.build.__module__))


def find_model(name: str) -> ModelEntry:
    """One registered system.

    Raises:
        ValueError: no such system, with the nearest name.
    """
    models = _models()
    if name not in models:
        near = difflib.get_close_matches(name, models, n=1)
        raise InputError(f"no system {name!r}; " + (f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(models))}"))
    return models[name]


def picture_sizes(config: ModelConfig) -> tuple[int, ...]:
    """Sides of the pictures that ``config.system`` generates, px, smallest first."""
    entry = find_model(config.system)
    sizes = entry.sizes[: len(config.widths)]
    return sizes[-1:] if entry.discriminated == "last" else sizes


def create_model(config: ModelConfig) -> nn.Module:
    """The generator of ``config.system``, freshly initialised."""
    return find_model(config.system).build(config)
