"""The reference implementation of DMM-GAN and its family, and its trainer.

    from dmm import load

    trace = load("dmmgan-aviary")("a small red bird", seed=3)

``load``, ``Pipeline`` and ``Trace`` are imported, and ``__version__`` is looked up, when they are first used: ``import dmm`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmm.pipeline import Pipeline, load
    from dmm.trace import Trace

    __version__: str

__all__ = ["Pipeline", "Trace", "load"]

_HOMES = {"Pipeline": "dmm.pipeline", "load": "dmm.pipeline", "Trace": "dmm.trace"}
_UNTAGGED = "0.1.0.dev0"  # of a tree that is not installed (a Space, an image); pyproject.toml says the same


def _version() -> str:
    """What the installation says, which took it from the newest git tag."""
    from importlib import metadata

    try:
        return metadata.version("dmm-gan-explorer")
    except metadata.PackageNotFoundError:
        return _UNTAGGED


def __getattr__(name: str):
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
