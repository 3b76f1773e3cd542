"""Ranks of words with a stated way to treat those without a claim ("this", "and"): published lists contain them unmarked."""

from __future__ import annotations

import dataclasses

from dmm.trace import Trace
from explorer import statistics
from explorer.figures import style
from explorer.figures.registry import Option

STOP_WORDS = ("mark", "skip", "keep")
KEY = "(grey, in brackets): words without a claim"


def stop_words_option() -> Option:
    """How a figure of ranks treats them."""
    about = "words without a claim (this, and): marked, left out of the ranks, or kept unmarked"
    return Option("stop_words", "choice", STOP_WORDS[0], about, choices=STOP_WORDS)


def ranked(trace: Trace, stage: int, quantity: str, top: int, stop_words: str = "mark") -> list[statistics.Chip]:
    """The ``top`` words by their number, largest first; with "skip", ranks count the words that make a claim only."""
    chips = sorted(statistics.chips(trace, stage, quantity), key=lambda chip: chip.rank)
    if stop_words == "skip":
        kept = [chip for chip in chips if chip.word not in statistics.SMALL_WORDS]
        chips = [dataclasses.replace(chip, rank=rank) for rank, chip in enumerate(kept, start=1)]
    return chips[:top]


def shown_word(word: str, stop_words: str = "mark", name: str = "") -> tuple[str, str]:
    """How a word, or its ``name`` where a caption has it twice, is written, and in which colour."""
    marked = stop_words == "mark" and word in statistics.SMALL_WORDS
    return (f"({name or word})", style.QUIET) if marked else (name or word, style.INK)
