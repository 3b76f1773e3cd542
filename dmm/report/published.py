"""Figures that papers and published codes print, and where they print them."""

from __future__ import annotations

import json
from importlib import resources


def published() -> dict:
    """Published figures and the sources that print them."""
    return json.loads(resources.files("dmm.report").joinpath("published.json").read_text(encoding="utf-8"))
