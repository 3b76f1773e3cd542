"""What is measured: the systems in the order of their papers, DM-GAN's ablation, the 2x2 of DMM-GAN, and what each of them reads."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from dmm.metrics.pathways import pathways, word_stages
from dmm.models.memory_stage import MemoryStage
from dmm.models.outline import outline
from dmm.models.registry import create_model, in_order_of_papers, picture_sizes
from dmm.recipes import names
from dmm.recipes import recipe as recipe_of
from dmm.report.records import Results, seeds_of

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
    own = [entry for entry in in_order_of_papers() if f"{entry.name}-aviary" in names()]
    return {entry.paper.split(", ")[1]: f"{entry.name}-aviary" for entry in own}


class Reading(NamedTuple):
    """What a recipe's system reads and generates."""

    sizes: tuple[int, ...]  # of its pictures, px
    pathways: tuple[str, ...]  # on which it reads a caption
    words: str  # what reads single words: "memory", "attention" or "nothing"


@cache
def reading(recipe: str) -> Reading:
    """What a recipe's system reads and generates, from the built network."""
    config = recipe_of(recipe).model
    with outline():
        generator = create_model(config)
    memory = any(isinstance(part, MemoryStage) for part in generator.modules())
    words = "nothing" if not word_stages(generator) else "memory" if memory else "attention"
    return Reading(picture_sizes(config), tuple(pathways(generator)), words)


def second_runs(results: Results) -> list[tuple[str, str, list[int]]]:
    """Label, recipe and seeds of those subjects of the tables that were trained and measured more than once."""
    variants = [(f"DM-GAN {name}", recipe) for name, recipe in ABLATION.items()]
    variants += [(f"DMM-GAN with {name}", recipe) for name, recipe in TWO_BY_TWO.items() if recipe not in ABLATION.values()]
    found = [(label, recipe, seeds_of(results, recipe)) for label, recipe in [*systems().items(), *variants]]
    return [(label, recipe, seeds) for label, recipe, seeds in found if len(seeds) > 1]
