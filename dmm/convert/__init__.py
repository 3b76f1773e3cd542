"""From the published codes to ours: key tables, and the replay of reference cases that proves the networks equal."""

from dmm.convert.case import difference, register_case, replay, tolerance
from dmm.convert.keys import ConvertError, KeyTable, load_upstream

__all__ = ["ConvertError", "KeyTable", "difference", "load_upstream", "register_case", "replay", "tolerance"]
