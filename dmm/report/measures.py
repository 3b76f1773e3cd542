"""What is measured, where a record has it, and which systems it applies to."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

from dmm.metrics.pathways import pathways, word_stages
from dmm.models.memory_stage import MemoryStage
from dmm.models.outline import outline
from dmm.models.registry import SYSTEM_MODULES, create_model, list_models, picture_sizes
from dmm.recipes import names
from dmm.recipes import recipe as recipe_of
from dmm.report.records import Measure, trained_by

AGREEMENT = Measure("captioned colours read back, 256 px ↑", "attributes", ("generated", "mean"))
FRECHET = Measure("Fréchet distance, judge's features ↓", "fid", ("generated", "distance"), 1)
KERNEL = Measure("kernel distance (KID), judge's features ↓", "kid", ("generated", "distance"), 1)
INCEPTION = Measure("Inception Score, judge as classifier ↑", "inception_score", ("generated", "mean"))
#: With the FID community's Inception-v3; columns that are there only where somebody measured them.
INCEPTION_FID = Measure("FID, Inception-v3 ↓", "fid", ("generated", "distance"), 2, "inception")
INCEPTION_KID = Measure("KID, Inception-v3 ↓", "kid", ("generated", "distance"), 4, "inception")
INCEPTION_IS = Measure("Inception Score, Inception-v3 ↑", "inception_score", ("generated", "mean"), 2, "inception")
FOUND = Measure("R-precision, independent encoders ↑", "r_precision_independent", ("generated", "mean"))
OWN_FOUND = Measure("R-precision, the model's own encoders (optimistic) ↑", "r_precision", ("generated", "mean"))
SPOKEN = Measure("slot F1 of STREAM's sentence ↑", "caption_f1", ("by_size", "256", "generated", "f1"))
OVERLAPS = [
    Measure("BLEU-4 of STREAM's sentence ↑", "caption_overlap", ("generated", "bleu4")),
    Measure("CIDEr of STREAM's sentence ↑", "caption_overlap", ("generated", "cider"), 2),
]
DIVERSE = Measure("distance between seeds, share of the possible ↑", "diversity", ("ratio",))
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
#: Of runs with another seed, of either size.
SECOND = [STAGES[1], AGREEMENT, FRECHET, FOUND, SHARE, MEMORY[2], SMALL[1], SMALL[2]]
SMALL_SPOKEN = Measure("slot F1 of STREAM's sentence ↑", "caption_f1", ("by_size", "128", "generated", "f1"))
ABLATION = {
    "baseline": "dmgan-aviary-baseline",
    "+M": "dmgan-aviary-m",
    "+M+WG": "dmgan-aviary-m-wg",
    "+M+WG+RG": "dmgan-aviary-m-wg-rg",
}
TWO_BY_TWO = {
    "neither": "dmgan-aviary-m-wg-rg",  # without its two parts DMM-GAN is DM-GAN, to the bit
    "GLDM": "dmmgan-aviary-gldm",
    "STREAM": "dmmgan-aviary-no-gldm",
    "GLDM and STREAM": "dmmgan-aviary-gldm-stream",
}


def systems() -> dict[str, str]:
    """The systems that have a recipe for Aviary, in the order of their papers: name as printed -> recipe."""
    found = {}
    for module in SYSTEM_MODULES:
        for entry in list_models():
            if entry.build.__module__ == f"dmm.models.{module}" and f"{entry.name}-aviary" in names():
                found[entry.paper.split(", ")[1]] = f"{entry.name}-aviary"
    return found


class Reading(NamedTuple):
    """What a recipe's system reads and generates."""

    sizes: tuple[int, ...]  # of its pictures, px
    pathways: tuple[str, ...]  # on which it reads a caption
    words: str  # what reads single words: "memory", "attention" or "nothing"


@cache
def reading(recipe: str) -> Reading:
    """What a recipe's system reads and generates, from the built network."""
    config = recipe_of(trained_by(recipe)[0]).model
    with outline():
        generator = create_model(config)
    memory = any(isinstance(part, MemoryStage) for part in generator.modules())
    words = "nothing" if not word_stages(generator) else "memory" if memory else "attention"
    return Reading(picture_sizes(config), tuple(pathways(generator)), words)


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
    return replace(measure, keys=measure.keys[2:]) if measure in STAGES and _size(measure) == last else measure
