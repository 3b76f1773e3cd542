"""From the published codes to ours: key tables, and the replay of reference cases that proves the networks equal."""

from dmm.convert.keys import ConvertError, KeyTable, load_upstream
from dmm.convert.reference_case import difference, register_case, replay, tolerance

__all__ = ["ConvertError", "KeyTable", "difference", "load_upstream", "register_case", "replay", "tolerance"]
