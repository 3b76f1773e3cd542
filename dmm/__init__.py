"""The reference implementation of DMM-GAN and its family, and its trainer.

    from dmm import load

    trace = load("dmmgan-aviary")("a small red bird", seed=3)

``load``, ``Pipeline`` and ``Trace`` are imported when they are first used: ``import dmm`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmm.pipeline import Pipeline, load
    from dmm.trace import Trace

__version__ = "0.1.0"  # setup.cfg takes it from here; CITATION.cff says the same
__all__ = ["Pipeline", "Trace", "load"]

_HOMES = {"Pipeline": "dmm.pipeline", "load": "dmm.pipeline", "Trace": "dmm.trace"}


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
