"""One region of a picture: which words it reads, and who answers there."""

from __future__ import annotations

from dataclasses import dataclass

from dmm.trace import Trace
from explorer.statistics import MissingQuantity, Region, chips, maps_of, response_shares, stage_of


@dataclass(frozen=True)
class RegionWord:
    """How much a region reads a word, against the whole map."""

    word: str
    index: int  # position on the T axis of the trace
    inside: float  # mean probability at the places of the region
    everywhere: float  # mean probability at all places

    @property
    def lift(self) -> float:
        """Inside over everywhere: 1 = the region reads the word as every place does; nan if no place reads it."""
        return self.inside / self.everywhere if self.everywhere else float("nan")


@dataclass(frozen=True)
class RegionReading:
    """What one stage reads and answers in a region."""

    stage: int  # position in ``trace.stages``
    size: int | None  # px of the stage's picture
    region: Region
    quantity: str  # key of explorer.statistics.QUANTITIES: key addressing, or word attention
    words: tuple[RegionWord, ...]  # most read first
    inside: dict[str, float] | None  # path of the response gate -> mean share in the region; None without a response gate
    everywhere: dict[str, float] | None  # the same over all places


def read_region(trace: Trace, stage: int, region: Region, sample: int = 0) -> RegionReading:
    """Which words a region reads and who answers there.

    Args:
        trace: of any generator whose stage has a map a word.
        stage: position in ``trace.stages``; 1 generates 128 px, 2 generates 256 px.
        region: y0 x0 y1 x1 as shares of the side; the places that it touches count.
        sample: position in the batch.

    Raises:
        MissingQuantity: this stage reads no words.
        IndexError: the trace does not have the stage.
        ValueError: a region that is empty, reversed or outside the picture.
    """
    quantity = maps_of(trace, stage)
    size = stage_of(trace, stage).size
    if quantity is None:
        raise MissingQuantity(f"stage {stage} ({size} px) reads no words: it has neither key addressing nor word attention")
    everywhere = {chip.index: chip.value for chip in chips(trace, stage, quantity, None, sample)}
    inside = sorted(chips(trace, stage, quantity, region, sample), key=lambda chip: chip.rank)
    words = tuple(RegionWord(chip.word, chip.index, chip.value, everywhere[chip.index]) for chip in inside)
    if stage_of(trace, stage).response_gate is None:
        return RegionReading(stage, size, region, quantity, words, None, None)
    shares = [response_shares(trace, stage, where, sample) for where in (region, None)]
    return RegionReading(stage, size, region, quantity, words, *shares)
