"""What kind of word a word of a caption is: a colour, a part of the bird, something else that it claims, or a word without a claim."""

from __future__ import annotations

from functools import lru_cache

from dmm.aviary import lexicon
from dmm.data.vocab import tokenise
from dmm.trace import Trace
from explorer import statistics

CLASSES = ("colour", "part", "other claim", "stop word")


@lru_cache(maxsize=1)
def _tables() -> tuple[frozenset[str], frozenset[str]]:
    """Words that name a colour, and words that name a part of a bird; shades ("bright") and words without a claim are neither."""
    colours = {word for phrases in lexicon.COLOUR_NAMES.values() for phrase, _ in phrases for word in tokenise(phrase)}
    colours |= {word for phrase in lexicon.MORE_COLOURS for word in tokenise(phrase)}
    nouns = [phrase for singular, plural in lexicon.PART_NAMES.values() for phrase, _ in (*singular, *plural)]
    parts = {word for phrase in (*nouns, *lexicon.MORE_PARTS, *lexicon.OTHER_PARTS) for word in tokenise(phrase)}
    parts -= {"upper", "lower", "flight", "around", "top", "ring"}
    return frozenset(colours) - set(lexicon.SHADES), frozenset(parts) - statistics.SMALL_WORDS - colours


def word_class(word: str) -> str:
    """One of :data:`CLASSES`."""
    colours, parts = _tables()
    if word in statistics.SMALL_WORDS:
        return "stop word"
    return "colour" if word in colours else "part" if word in parts else "other claim"


def of_class(trace: Trace, *classes: str) -> list[int]:
    """Positions on the T axis of the words of these classes, in the order of the sentence."""
    names = trace.tokens()
    return [i for i in statistics.word_indices(trace) if word_class(names[i]) in classes]
