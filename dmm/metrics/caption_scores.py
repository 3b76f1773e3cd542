"""STREAM slot F1: does the sentence that STREAM reads back from a picture say what the input sentence said?

Both sentences are parsed to slots (``wing: grey``, ``size: small``, ...) by :func:`dmm.aviary.grammar.read_slots`; each (slot, value)
pair counts once a sentence. Micro F1 over all pairs of all sentences, with precision and recall. A regenerated sentence may well
mention something true that the input did not say, and is then marked down; the rendered birds show how much that costs. Word-overlap
scores (BLEU and kin) would reward the grammar; this one sees only what is claimed.

STREAM reads pictures in the generator's own loss wherever a recipe weighs it, so this figure is an optimistic one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from dmm.aviary.grammar import read_slots
from dmm.metrics.bootstrap import ratio_interval
from dmm.metrics.registry import register_metric

Slots = Mapping[str, Sequence[str]]


def slot_pairs(slots: Slots) -> set[tuple[str, str]]:
    """Each claim of a sentence as a (slot, value) pair."""
    return {(slot, value) for slot, values in slots.items() for value in values}


def slot_f1(found: Sequence[Slots], wanted: Sequence[Slots]) -> dict:
    """Micro ``{"f1", "interval_95", "precision", "recall", "pairs": wanted pairs}`` of found slots against wanted ones.

    0 where nothing was found; the interval is of F1, over sentences, and None where nothing was said and asked.

    Raises:
        ValueError: the two are not of one length.
    """
    pairs = [(slot_pairs(f), slot_pairs(w)) for f, w in zip(found, wanted, strict=True)]
    both = sum(len(f & w) for f, w in pairs)
    each = torch.tensor([(2 * len(f & w), len(f) + len(w)) for f, w in pairs], dtype=torch.float).view(-1, 2)
    said, asked = sum(len(f) for f, _ in pairs), sum(len(w) for _, w in pairs)
    return {
        "f1": 2 * both / (said + asked) if said + asked else 0.0,
        "interval_95": ratio_interval(each[:, 0], each[:, 1]),
        "precision": both / said if said else 0.0,
        "recall": both / asked if asked else 0.0,
        "pairs": asked,
    }


@register_metric("caption_f1", needs=("redescription",))
def caption_f1(evaluation) -> dict:
    """Slot F1 of the sentence that STREAM reads back from each of the pictures (higher is better)."""
    wanted = [read_slots(caption.text) for caption in evaluation.captions]
    shuffled = [wanted[i] for i in evaluation.shuffle.tolist()]
    result = {}
    for size, sentences in evaluation.generated["redescription"].items():
        found = [read_slots(sentence) for sentence in sentences]
        real = [read_slots(sentence) for sentence in evaluation.rendered["redescription"][size]]
        result[str(size)] = {
            "generated": slot_f1(found, wanted),
            "ceiling_rendered": slot_f1(real, wanted),
            "floor_shuffled": slot_f1(found, shuffled),
        }
    return {
        "by_size": result,
        "protocol": (
            "micro F1 of (slot, value) pairs, sentence regenerated greedily by the captioner that the record names against the input, "
            "both parsed by the Aviary grammar, for each picture size. Ceiling: rendered birds of the same captions. Floor: the generated "
            "pictures' sentences against the caption of a bird of another species. The captioner may have trained the generator: an "
            "optimistic figure."
        ),
    }
