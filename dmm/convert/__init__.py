"""From the published codes to ours: key tables, and the replay of reference cases that proves the networks equal."""

from dmm.convert.cases import difference, replay, tolerance
from dmm.convert.keys import ConvertError, KeyTable, load_upstream

__all__ = ["ConvertError", "KeyTable", "difference", "load_upstream", "replay", "tolerance"]
