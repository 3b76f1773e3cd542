"""Attribute agreement: are the captioned colours in the picture, part by part?

The judge (:mod:`dmm.metrics.judge`), trained on rendered birds only and held out from every loss, reads the colour of seven parts from a
picture. A captioned colour is *read back* when it is the judge's first choice for that part; where the caption gives one part k colours
("a black and white wing"), when it is among the first k. The share of captioned colours read back is given for each part, over all
captioned colours (``mean``), and as the plain mean of the parts (``macro``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dmm.aviary.traits import COLOURS
from dmm.metrics.bootstrap import ratio_interval
from dmm.metrics.registry import register_metric

#: Parts whose colour is judged.
PARTS = ("wing", "belly", "breast", "crown", "throat", "tail", "bill")


def captioned_colours(slots: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """What a sentence says of the judged parts: part -> its colours, without repetition; parts not spoken of are left out."""
    said = {part: tuple(dict.fromkeys(c for c in slots.get(part, ()) if c in COLOURS)) for part in PARTS}
    return {part: colours for part, colours in said.items() if colours}


def agreement(predictions: Mapping[str, Tensor], slots: Sequence[Mapping[str, Sequence[str]]]) -> dict:
    """Share of captioned colours that are read back.

    Args:
        predictions: part -> a score for each of the 11 ``COLOURS``, N 11 (logits or probabilities).
        slots: what each of the N sentences says.

    Returns:
        ``{"mean", "interval_95", "macro", "colours": captioned colours in all, "parts": {part: {"share", "colours"}}}``; a share is None
        where no sentence speaks of the part. The interval is of ``mean``, over sentences.

    Raises:
        ValueError: as many sentences as predictions were expected.
    """
    ranked = {part: predictions[part].argsort(dim=1, descending=True).tolist() for part in PARTS}
    if any(len(rows) != len(slots) for rows in ranked.values()):
        raise ValueError(f"expected predictions of {len(slots)} pictures, found {[len(rows) for rows in ranked.values()]}")
    read, said = torch.zeros(2, len(slots), len(PARTS))  # N P
    for i, sentence in enumerate(slots):
        for part, colours in captioned_colours(sentence).items():
            first = {COLOURS[c] for c in ranked[part][i][: len(colours)]}
            read[i, PARTS.index(part)] = len(first & set(colours))
            said[i, PARTS.index(part)] = len(colours)
    counts = dict(zip(PARTS, said.sum(0).int().tolist(), strict=True))
    shares = {part: float(share) if counts[part] else None for part, share in zip(PARTS, read.sum(0) / said.sum(0), strict=True)}
    spoken = [share for share in shares.values() if share is not None]
    total = sum(counts.values())
    return {
        "mean": read.sum().item() / total if total else None,
        "interval_95": ratio_interval(read.sum(1), said.sum(1)),
        "macro": sum(spoken) / len(spoken) if spoken else None,
        "colours": total,
        "parts": {part: {"share": shares[part], "colours": counts[part]} for part in PARTS},
    }


@register_metric("attributes", needs=("judge",))
def attribute_agreement(evaluation) -> dict:
    """Share of captioned colours that the judge reads back from the picture (higher is better)."""
    slots = [caption.slots for caption in evaluation.captions]
    shuffled = [slots[i] for i in evaluation.shuffle.tolist()]

    def at(size: int) -> dict:
        return {
            "generated": agreement(evaluation.generated["judge"][size]["logits"], slots),
            "ceiling_rendered": agreement(evaluation.rendered["judge"][size]["logits"], slots),
            "floor_shuffled": agreement(evaluation.generated["judge"][size]["logits"], shuffled),
        }

    result = at(evaluation.largest) | {
        "protocol": (
            f"colours of {', '.join(PARTS)} as captioned, read from the {evaluation.largest} px picture by a judge that was trained on "
            "rendered birds of other species and that no loss has used; first choice, or among the first k where a caption gives one part "
            "k colours. Ceiling: rendered birds of the same captions. Floor: the generated pictures against the caption of a bird of "
            "another species. 95 % intervals: 1,000 bootstrap draws of captions."
        )
    }
    smaller = [size for size in evaluation.generated["judge"] if size != evaluation.largest]
    if smaller:
        result["by_size"] = {str(size): at(size) for size in smaller}
    return result
