"""How far two pictures' gates differ: what an edit did to them."""

from __future__ import annotations

from dmm.trace import Trace
from explorer import statistics


def gate_changes(before: Trace, after: Trace) -> list[dict]:
    """Gates of two traces side by side: shares of the response gate, and writing gates of words that both have.

    Returns:
        rows of stage, gate, before, after; only those that differ by more than .0005.
    """
    rows = []
    for stage, (one, other) in enumerate(zip(before.stages, after.stages, strict=False)):
        size = f"{one.size or 64 << stage} px"
        found: dict[str, tuple[float, float]] = {}
        if one.writing_gate is not None and other.writing_gate is not None:
            later = {(c.word, c.index): c.value for c in statistics.chips(after, stage)}
            for chip in statistics.chips(before, stage):
                if (chip.word, chip.index) in later:
                    found[f"writing gate of “{chip.word}”"] = (chip.value, later[chip.word, chip.index])
        if one.response_gate is not None and other.response_gate is not None:
            shares, then = statistics.response_shares(before, stage), statistics.response_shares(after, stage)
            found |= {f"answered by {path}": (share, then[path]) for path, share in shares.items() if path in then}
        rows += [{"stage": size, "gate": name, "before": a, "after": b} for name, (a, b) in found.items() if abs(a - b) > 5e-4]
    return rows
