"""What a caption says of a bird against what STREAM reads back, attribute by attribute.

Sentences are read into slots (:func:`dmm.aviary.grammar.read_slots`): a part and its colour, size, bill and pattern. So "yellow
wings" does not agree with a yellow crown, synonyms are one ("violet" is purple, "beak" is bill), and what is said twice counts once. A
sentence of other things than birds has no slots; then nothing is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dmm.aviary.grammar import read_slots
from dmm.aviary.traits import COLOURED_PARTS

AGREES, PARTLY, DIFFERS, UNSAID, ADDED = "agrees", "agrees in part", "differs", "not mentioned", "not in the caption"
VERDICTS = (AGREES, PARTLY, DIFFERS, UNSAID, ADDED)
_NAMES = {"body": "bird", "wing": "wings", "leg": "legs", "eye": "eyes"}


@dataclass(frozen=True)
class Slot:
    """One attribute, as the caption says it and as it was read back."""

    name: str  # as shown: "crown", "wings pattern", "bill length"
    said: tuple[str, ...]  # in the caption; empty if it does not say it
    read: tuple[str, ...]  # in the redescription; empty if it does not say it
    verdict: str  # of VERDICTS

    @property
    def sentence(self) -> str:
        """``crown: yellow, read back yellow``."""
        said, read = " and ".join(self.said), " and ".join(self.read)
        if not self.read:
            return f"{self.name}: {said}, not mentioned"
        if not self.said:
            return f"{self.name}: read back {read}, not in the caption"
        return f"{self.name}: {said}, read back {read}"


def compare(caption: str, redescription: str) -> list[Slot]:
    """Every attribute that one of two sentences names: those of the caption first, in its order.

    A part that the caption does not name agrees where it has the colour of the whole bird ("an all red bird": the wings may be read red).
    """
    said, read = read_slots(caption), read_slots(redescription)
    body = said.get("body", ())
    rows = []
    for slot in dict.fromkeys((*said, *read)):
        mine, other = said.get(slot, ()), read.get(slot, ())
        if not mine and slot in COLOURED_PARTS and set(other) <= set(body):
            mine = other
        rows.append(Slot(_shown(slot), mine, other, _verdict(mine, other)))
    return rows


def summary(rows: Sequence[Slot]) -> str:
    """How many attributes of the caption were read back, how many otherwise: one line; empty if the sentences name none."""
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in VERDICTS}
    said = {AGREES: "read back as said", PARTLY: "in part", DIFFERS: "otherwise", UNSAID: "not mentioned", ADDED: "added"}
    return ", ".join(f"{count} {said[verdict]}" for verdict, count in counts.items() if count)


def _verdict(said: tuple[str, ...], read: tuple[str, ...]) -> str:
    if not read:
        return UNSAID
    if not said:
        return ADDED
    if set(said) == set(read):
        return AGREES
    return PARTLY if set(said) & set(read) else DIFFERS


def _shown(slot: str) -> str:
    part, _, rest = slot.partition("_")
    return f"{_NAMES.get(part, part)} {rest.replace('_', ' ')}".strip()
