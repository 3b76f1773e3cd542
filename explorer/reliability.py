"""How far the maps of a model can be believed, from what was measured of it (``dmm evaluate NAME --metrics memory``).

A map says where a word is read, not what came of it. The evaluation compares the maps of many captions with where the named parts are in
the pictures (*lift*: mean weight inside over mean weight everywhere; chance 1), and exchanges words to see how much of the change passes
through the memory. A record counts for a model only if it was measured on the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dmm.files import Table, Text, check, parse, read_text

CHANCE = 1.2  # a lift below it is said to be no better than chance
#: What of a record has to be as ``dmm evaluate --out`` writes it for it to be read at all.
RECORD = Table({"weights_sha256": Text(64), "metrics": Table({"memory": Table()})})
LITTLE = 2.0  # a lift below it is said to tell little: less than twice the weight inside as everywhere


@dataclass(frozen=True)
class Reliability:
    """What was measured of the maps and the memory of one stage."""

    size: int  # px of the stage's picture
    captions: int
    lift: float  # of the words of :attr:`kind`, see :attr:`where`
    kind: str  # "a colour word" or "a word"
    where: str  # which places the lift is of
    control: float  # the same for another word of the caption: what chance gives
    parts: float | None  # lift of words that name a part; None where it was not measured
    share: float | None  # of a word's change of this picture, through the word memories; None for a system without
    interval: tuple[float, float] | None  # of share, 95 %
    command: str  # that measured it

    @property
    def verdict(self) -> str:
        """Whether the maps tell places, in a few words."""
        if self.lift < CHANCE:
            return "these maps do not tell where a word acts"
        if self.lift < LITTLE:
            return "these maps tell little of where a word acts"
        if self.parts is not None and self.parts < CHANCE:
            return "the maps of colours can be believed, those of parts cannot"
        return "these maps tell where a word acts"


def find_record(weights: str, folder: Path) -> dict | None:
    """The record in a folder whose ``weights_sha256`` is that of the model; None if there is none.

    Args:
        weights: digest of the weights as they were loaded (:func:`dmm.metrics.records.digest`).
        folder: of records as ``dmm evaluate --out`` writes them; a file that is no such record is passed over.
    """
    for path in sorted(folder.glob("*.json")):
        try:
            record = check(parse(read_text(path), path.name, finite=False), RECORD, path.name)
        except (OSError, ValueError):  # not a record: nothing is claimed from it
            continue
        if record["weights_sha256"] == weights:
            return record
    return None


def reliability(record: Mapping | None) -> dict[int, Reliability]:
    """Size of a stage's picture, px -> what the record says of the maps that it reads; empty for no record, or one without maps."""
    if record is None:
        return {}
    memory, found = record["metrics"]["memory"], {}
    for side, maps in (memory.get("maps") or {}).items():
        size = 2 * int(side)  # a stage reads a map of half its picture's side
        share = (memory.get("memory_share") or {}).get(str(size)) or {}
        values = _in_parts(maps) or _where_it_changes(maps)
        if values is not None and all(map(math.isfinite, values[:2])):
            lift, control, kind, where, parts = values
            interval = tuple(share["interval_95"]) if share.get("interval_95") else None
            of_stage = (kind, where, control, parts, share.get("share"), interval, record.get("command", ""))
            found[size] = Reliability(size, int(memory.get("captions", record.get("n", 0))), lift, *of_stage)
    return found


def _in_parts(maps: Mapping) -> tuple[float, float, str, str, float | None] | None:
    """Lift inside the part that a word speaks of, where the parts are known."""
    kinds, lift = maps.get("by_kind") or {}, maps.get("lift_in_named_part") or {}
    if "colour" not in kinds or lift.get("other_word") is None:
        return None
    return kinds["colour"]["lift"], lift["other_word"], "a colour word", "in the part it colours", kinds.get("part", {}).get("lift")


def _where_it_changes(maps: Mapping) -> tuple[float, float, str, str, None] | None:
    """Lift where the picture changes with the word, which needs no known parts."""
    lift = (maps.get("lift_in_most_changed") or {}).get("total") or {}
    if lift.get("word") is None or lift.get("other_word") is None:
        return None
    return lift["word"], lift["other_word"], "a word", "where the picture changes with it", None
