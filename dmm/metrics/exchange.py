"""One word of a caption exchanged for another of its kind: the intervention of the causal measures of :mod:`dmm.metrics.memory`.

A colour word qualifies if exchanging it changes exactly one thing that the caption says (:func:`dmm.aviary.grammar.read_slots`): the
only colour of one part that the judge reads. The new colour is one that the caption does not mention. Both captions then have the same
length and the same word mask, and the picture that the second one describes differs in the colour of that part alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmm.aviary import lexicon
from dmm.aviary.grammar import read_slots
from dmm.aviary.traits import COLOURS
from dmm.config import ConfigError
from dmm.data.vocab import Vocabulary, tokenise
from dmm.metrics.attributes import PARTS

#: Single words -> the colour that they name.
COLOUR_WORDS = {phrase: colour for colour, names in lexicon.COLOUR_NAMES.items() for phrase, _ in names if " " not in phrase}


@dataclass(frozen=True)
class Exchange:
    """A caption, and the same caption with another colour word."""

    caption: str
    other: str  # the caption with the new word
    position: int  # of the word on the T axis of a trace
    word: str
    new_word: str
    part: str | None  # the part whose only colour the word is; None for captions of other things than Aviary's birds
    old: str  # colour, one of COLOURS
    new: str  # colour, one of COLOURS


def exchanges(caption: str, vocab: Vocabulary, parts: bool = True) -> list[Exchange]:
    """Every qualified exchange of one colour word of a caption, in the order of the words.

    Args:
        caption: a sentence.
        vocab: words that the text encoder knows; others are neither exchanged nor put in.
        parts: ask for exactly one changed part, as described above; else any colour word qualifies.
    """
    tokens, offset = tokenise(caption), 0 if vocab.start is None else 1
    said, known = read_slots(caption), {word for word in tokens if word in vocab.ids}
    mentioned = {COLOUR_WORDS[word] for word in known & COLOUR_WORDS.keys()} | {c for values in said.values() for c in values}
    found = []
    place = offset - 1  # on the T axis, where unknown words have no place
    for index, word in enumerate(tokens):
        place += word in known
        if word not in known or word not in COLOUR_WORDS:
            continue
        for new in COLOURS:
            if new in mentioned or new not in vocab.ids:
                continue
            other = " ".join([*tokens[:index], new, *tokens[index + 1 :]])
            part = changed_part(said, read_slots(other)) if parts else None
            if part or not parts:
                found.append(Exchange(caption, other, place, word, new, part, COLOUR_WORDS[word], new))
    return found


def changed_part(before: dict, after: dict) -> str | None:
    """The judged part whose only colour differs between the slots of two captions, if nothing else does."""
    changed = [slot for slot in before.keys() | after.keys() if before.get(slot) != after.get(slot)]
    if len(changed) != 1 or changed[0] not in PARTS:
        return None
    single = len(before.get(changed[0], ())) == len(after.get(changed[0], ())) == 1
    return changed[0] if single else None


def sample_exchange(captions: Sequence[str], vocab: Vocabulary, rng: np.random.Generator, parts: bool = True) -> Exchange | None:
    """One exchange, drawn at random, of the first of the captions that has any; None if none has."""
    for caption in captions:
        found = exchanges(caption, vocab, parts)
        if found:
            return found[int(rng.integers(len(found)))]
    return None


def sample_exchanges(captions: Sequence[Sequence[str]], vocab: Vocabulary, seed: int, parts: bool = True) -> list[Exchange | None]:
    """One exchange for each group of captions (those of one bird), or None; group i draws from (seed, i), whatever the others do.

    Raises:
        ConfigError: no group has a caption with a colour word that qualifies.
    """
    drawn = [sample_exchange(group, vocab, np.random.default_rng([seed, i]), parts) for i, group in enumerate(captions)]
    if not any(drawn):
        raise ConfigError(
            f"none of {len(captions)} captions has a colour word that the checkpoint's vocabulary of {len(vocab)} ids knows and "
            "can exchange; memory is measured by exchanging colour words"
        )
    return drawn
