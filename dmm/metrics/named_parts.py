"""Which words of a caption name a part of the bird, or its colour, and do their maps lie on that part?

A part word is a noun of the captions' lexicon ("crown", "cap", "wings"); a colour word belongs to a part if exchanging it changes what the
caption says of that part and nothing else. The part segmenter (:mod:`dmm.metrics.segmenter`) says where the part is in the picture that the
stage generated. Marks of the head (eyering, crest, ...) have no place of their own there and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dmm.aviary import lexicon
from dmm.aviary.grammar import read_slots
from dmm.aviary.traits import COLOURS
from dmm.data.vocab import Vocabulary, tokenise
from dmm.metrics import map_scores
from dmm.metrics.exchange import COLOUR_WORDS
from dmm.metrics.segmenter import NAMES, UNIONS, part_mask

FEWEST = 4  # pixels of 128 x 128 that a part must have to be there
PLACES = (*(name for name in NAMES if name not in ("background", "face")), *UNIONS)  # parts that captions name
SCORES = ("lift", "pointing", "mass")


@dataclass(frozen=True)
class NamedPart:
    """A word and the part that it speaks of."""

    position: int  # on the T axis of a trace
    word: str
    part: str  # of PLACES
    kind: str  # "colour" or "part"


def _nouns() -> dict[tuple[str, ...], str]:
    """Tokens of a noun phrase -> its part, or "" for a mark of the head."""
    found = {}
    for part, forms in lexicon.PART_NAMES.items():
        slot = lexicon.SAME_SLOT.get(part, part)
        for phrase, _ in (*forms[0], *forms[1]):
            found[tuple(tokenise(phrase))] = slot if slot in PLACES else ""
    return found


_NOUNS = _nouns()
_LONGEST = max(map(len, _NOUNS))


def named_parts(caption: str, vocab: Vocabulary) -> list[NamedPart]:
    """The words of a caption that speak of a part, in order."""
    tokens, known = tokenise(caption), [word for word, index in vocab.known(caption) if index is not None]
    places, place = [], -1 if vocab.start is None else 0
    for word in tokens:  # unknown words have no place on the T axis
        place += word in known
        places.append(place if word in known else None)
    found = [*_part_words(tokens, places), *_colour_words(tokens, places)]
    return sorted(found, key=lambda named: named.position)


def _part_words(tokens: Sequence[str], places: Sequence[int | None]) -> list[NamedPart]:
    found, i = [], 0
    while i < len(tokens):
        length = next((n for n in range(min(_LONGEST, len(tokens) - i), 0, -1) if tuple(tokens[i : i + n]) in _NOUNS), 0)
        if part := _NOUNS.get(tuple(tokens[i : i + length]), ""):
            alone = [k for k in range(i, i + length) if _NOUNS.get((tokens[k],)) == part]
            k = alone[0] if alone else i + length - 1
            if (place := places[k]) is not None:
                found.append(NamedPart(place, tokens[k], part, "part"))
        i += max(1, length)
    return found


def _colour_words(tokens: Sequence[str], places: Sequence[int | None]) -> list[NamedPart]:
    found, before = [], read_slots(" ".join(tokens))
    mentioned = {colour for values in before.values() for colour in values}
    other = next((colour for colour in COLOURS if colour not in mentioned), None)
    for k, (word, place) in enumerate(zip(tokens, places, strict=True)):
        if word not in COLOUR_WORDS or place is None or other is None:
            continue
        after = read_slots(" ".join([*tokens[:k], other, *tokens[k + 1 :]]))
        changed = [slot for slot in before.keys() | after.keys() if before.get(slot) != after.get(slot)]
        if len(changed) == 1 and changed[0] in PLACES:
            found.append(NamedPart(place, word, changed[0], "colour"))
    return found


def score_maps(weights: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Every score of W maps against W masks: weights W H W', masks W I I in {0, 1} -> name -> W, nan where the part is not there."""
    inside = map_scores.at_places(masks, weights.shape[-1])  # share of each place
    there = masks.sum((1, 2)) >= FEWEST
    scores = {
        "lift": map_scores.lift(weights, inside),
        "pointing": map_scores.points(weights, inside),
        "mass": map_scores.mass(weights, inside),
    }
    return {name: torch.where(there, score, torch.nan) for name, score in scores.items()}


def masks_of(segmentation: Tensor, samples: Sequence[int], parts: Sequence[str]) -> Tensor:
    """Masks W I I, float, of W parts in pictures ``samples`` of class numbers B I I."""
    return torch.stack([part_mask(segmentation[b], part) for b, part in zip(samples, parts, strict=True)]).float()
