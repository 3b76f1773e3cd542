"""The quantities of the tables: how each is called, where a record has it, and to which systems it applies."""

from __future__ import annotations

from dataclasses import replace

from dmm.report.records import Measure
from dmm.report.subjects import reading

LAST = "last"  # stands in a measure for the side of a subject's last picture
AGREEMENT = Measure("captioned colours read back, 256 px ↑", "attributes", ("generated", "mean"))
FRECHET = Measure("Fréchet distance, judge's features ↓", "fid", ("generated", "distance"), 1)
KERNEL = Measure("kernel distance (KID), judge's features ↓", "kid", ("generated", "distance"), 1)
INCEPTION = Measure("Inception Score, judge as classifier ↑", "inception_score", ("generated", "mean"))
#: With the FID community's Inception-v3; columns that are there only where somebody measured them.
INCEPTION_FID = Measure("FID, Inception-v3 ↓", "fid", ("generated", "distance"), 2, "inception")
INCEPTION_KID = Measure("KID, Inception-v3 ↓", "kid", ("generated", "distance"), 4, "inception")
INCEPTION_IS = Measure("Inception Score, Inception-v3 ↑", "inception_score", ("generated", "mean"), 2, "inception")
R_PRECISION = Measure("R-precision, independent encoders ↑", "r_precision_independent", ("generated", "mean"))
OWN_R_PRECISION = Measure("R-precision, the model's own encoders (optimistic) ↑", "r_precision", ("generated", "mean"))
SLOT_F1 = Measure("slot F1 of STREAM's sentence ↑", "caption_f1", ("by_size", "256", "generated", "f1"))
OVERLAPS = [
    Measure("BLEU-4 of STREAM's sentence ↑", "caption_overlap", ("generated", "bleu4")),
    Measure("CIDEr of STREAM's sentence ↑", "caption_overlap", ("generated", "cider"), 2),
]
DIVERSITY = Measure("distance between seeds, share of the possible ↑", "diversity", ("ratio",))
MARKS = Measure("captioned patterns, crests and eyerings read back, last picture ↑", "marks", ("generated", "mean"))
LIFT = ("by_kind", "colour", "lift")
SHARE = Measure("share of a colour word's effect that passes through what refinements read", "memory", ("memory_share", "256", "share"))
STAGES = [
    Measure(f"captioned colours read back, {size} px ↑", "attributes", ("by_size", size, "generated", "mean")) for size in ("64", "128")
]
MEMORY = [
    SHARE,
    *(
        Measure(label, "memory", ("success", "256", pathway))
        for label, pathway in (
            ("new colour read where the word is exchanged everywhere ↑", "total"),
            ("in the words that refinements read (memory, or attention) ↑", "memory"),
            ("in the first stage only", "initial"),
            ("in the global memory only", "global"),
        )
    ),
    *(
        Measure(f"map of a colour word at {size} px: weight inside the named part over elsewhere ↑", "memory", ("maps", size, *LIFT), 1)
        for size in ("64", "128")
    ),
]
#: Of the networks of the ablation and of the 2x2, whose last picture has 128 px.
SMALL = [
    STAGES[1],
    Measure("share of a colour word's effect that passes through the memory", "memory", ("memory_share", "128", "share")),
    Measure("new colour read where a word is exchanged in the memory alone ↑", "memory", ("success", "128", "memory")),
    Measure("map of a colour word at 64 px: weight inside the named part over elsewhere ↑", "memory", ("maps", "64", *LIFT), 1),
]
SMALL_SLOT_F1 = Measure("slot F1 of STREAM's sentence ↑", "caption_f1", ("by_size", "128", "generated", "f1"))
#: Of two runs of one recipe; systems and ablations, whose last pictures have 256 and 128 px.
SECOND_RUN = [
    Measure("captioned colours read back, last picture ↑", "attributes", ("generated", "mean")),
    FRECHET,
    R_PRECISION,
    Measure(
        "share of a colour word's effect on the last picture that passes through the memory", "memory", ("memory_share", LAST, "share")
    ),
    Measure("new colour read where a word is exchanged in the memory alone, last picture ↑", "memory", ("success", LAST, "memory")),
    SMALL[-1],
]


def applies(measure: Measure, recipe: str) -> bool:
    """Whether a recipe's system has what a measure measures: a picture of that size, words that refinements read, a global memory."""
    found = reading(recipe)
    if _size(measure) not in (None, *found.sizes):
        return False
    if measure.metric != "memory" or measure.keys[-1] in (*found.pathways, "none"):
        return True
    return measure.keys[0] != "success" and found.words != "nothing"


def _size(measure: Measure) -> int | None:
    """The side of the picture that a measure is of, px; None for one of a system's last picture, whatever its side."""
    if measure == AGREEMENT:
        return 256
    return next((int(key) for key in measure.keys if key in ("64", "128", "256") and measure.keys[0] != "maps"), None)


def located(measure: Measure, recipe: str) -> Measure:
    """The measure where a record of a recipe's model has it: records keep the attributes of the last picture apart from smaller ones."""
    last = reading(recipe).sizes[-1]
    measure = replace(measure, keys=tuple(str(last) if key == LAST else key for key in measure.keys))
    return replace(measure, keys=measure.keys[2:]) if measure in STAGES and _size(measure) == last else measure
