"""Which network's features are compared by Fréchet distance, KID and Inception Score: ``dmm evaluate --features NAME``.

==================  ==================================================================================================================
NAME                network
==================  ==================================================================================================================
judge               the attribute judge (the default): trained on rendered birds of other species, in no loss
inception:FILE      the FID community's Inception-v3, with the weights of FILE (:mod:`dmm.convert.fid_inception`)
MODULE:ATTRIBUTE    any ``nn.Module`` of an importable Python module, or what a function or class there makes without arguments
==================  ==================================================================================================================

A network of the last kind is called with pictures B 3 S S in [-1, 1] and gives features B F, or ``{"features": B F, "logits": B C}`` if it
also classifies. Its module is imported, as by ``import`` in Python: name only one that you trust.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dmm.config import ConfigError
from dmm.convert.fid_inception import load_fid_inception
from dmm.metrics.records import digest

JUDGE, INCEPTION = "judge", "inception"


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that reads features, in eval mode."""

    name: str  # as typed, without the folder of a file
    about: str  # which it is, for a record's protocol
    network: Callable[[Tensor], Tensor | dict[str, Tensor]]
    sha256: str  # of its file, or the digest of its weights

    def __call__(self, images: Tensor) -> dict:
        """Pictures B 3 S S in [-1, 1] -> ``{"features": B F, "logits": {"classes": B C}}``, without logits where it does not classify.

        Raises:
            ConfigError: it gives something else.
        """
        read = self.network(images)
        read = read if isinstance(read, dict) else {"features": read}
        features, logits = read.get("features"), read.get("logits")
        for name, value in (("features", features), ("logits", logits)):
            if value is None and name == "logits":
                continue
            if not isinstance(value, Tensor) or value.ndim != 2 or len(value) != len(images):
                found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
                raise ConfigError(f"--features {self.name}: expected {name} of shape ({len(images)}, F), found {found}")
        return {"features": features} | ({} if logits is None else {"logits": {"classes": logits}})

    def describe(self) -> dict:
        """What a record says of it."""
        return {"name": self.name, "weights_sha256": self.sha256}


def load_feature_network(name: str, device: torch.device | str = "cpu") -> FeatureNetwork | None:
    """The network that ``--features`` names; None for the judge, which every evaluation has already.

    Raises:
        ConfigError: no such network.
        ConvertError: a file that is not the FID community's Inception-v3.
    """
    if name == JUDGE:
        return None
    kind, colon, rest = name.partition(":")
    if not colon or not rest or not kind:
        raise ConfigError(f"--features: expected {JUDGE}, {INCEPTION}:FILE or MODULE:ATTRIBUTE, found {name!r}")
    if kind == INCEPTION:
        inception = load_fid_inception(rest).to(device)
        with Path(rest).open("rb") as file:
            found = hashlib.sha256()
            while block := file.read(1 << 20):
                found.update(block)
        about = f"the 2048 pooled features of Inception-v3 with the weights of {Path(rest).name} (pictures resized to 299 px, bilinear)"
        return FeatureNetwork(f"{INCEPTION}:{Path(rest).name}", about, inception, found.hexdigest())
    network = _imported(name, kind, rest).to(device).eval().requires_grad_(False)
    return FeatureNetwork(name, f"the features of {name}", network, digest(network))


def _imported(name: str, module: str, attribute: str) -> nn.Module:
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"--features {name}: expected a module that Python can import and a name in it ({error})") from error
    made = found if isinstance(found, nn.Module) else found() if callable(found) else found
    if not isinstance(made, nn.Module):
        raise ConfigError(f"--features {name}: expected an nn.Module, or what makes one without arguments; found {type(made).__name__}")
    return made
