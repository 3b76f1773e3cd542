"""Rendered birds beside generated ones: which bird of Aviary's unseen species a caption is about, and its picture.

A caption that is one of a bird's own ten names that bird. Any other sentence is read for what it says of parts, colours, size and marks
(:func:`~dmm.aviary.grammar.read_slots`), and the first bird whose traits agree with all of it stands for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch

from dmm.aviary.factors import BODY_PARTS, HEAD_PARTS
from dmm.aviary.grammar import captions, read_slots
from dmm.aviary.renderer import render
from dmm.aviary.species import bird
from dmm.aviary.traits import COLOURED_PARTS, HEAD_MARKS, Bird
from explorer.figures.registry import Reference

SEARCHED = 2000  # birds of the unseen species, those that ``dmm evaluate`` measures with
SIZE = 256  # px


def agrees(one: Bird, slots: Mapping[str, Sequence[str]]) -> bool:
    """Whether a bird has everything that a sentence says (``slots``, as of ``read_slots``); True for a sentence that says nothing."""
    return all(set(said) <= _traits(one, slot) for slot, said in slots.items())


def _traits(one: Bird, slot: str) -> set[str]:
    """What may be said of a bird in one slot."""
    if slot in COLOURED_PARTS:
        return set(one.colours[slot])
    if slot == "head":
        return set.intersection(*(set(one.colours[part]) for part in HEAD_PARTS))
    if slot == "body":  # a bird is called by any colour of its plumage that shows
        return {colour for part in (*BODY_PARTS, "throat") for colour in one.colours[part]}
    if slot in HEAD_MARKS:
        return {one.marks[slot]} if slot in one.marks else set()
    if slot.endswith("_pattern_colour"):
        return {one.pattern_colours.get(slot.removesuffix("_pattern_colour"), "")}
    return {getattr(one, slot)}


@lru_cache(maxsize=256)
def find_bird(caption: str, count: int = SEARCHED) -> tuple[Bird, bool] | None:
    """The first of ``count`` garden birds of the unseen species that has all the caption says, and whether the caption is its own.

    A bird whose own caption it is goes before birds that merely agree. None if no bird agrees.
    """
    slots, said = read_slots(caption), _plain(caption)
    fitting = [one for one in _birds(count) if agrees(one, slots)]
    for one in fitting[:100]:
        if any(_plain(own.text) == said for own in captions(one)):
            return one, True
    return (fitting[0], False) if fitting else None


@lru_cache(maxsize=2)
def _birds(count: int) -> tuple[Bird, ...]:
    return tuple(bird(i, split="test") for i in range(count))


def _plain(caption: str) -> str:
    return " ".join(caption.lower().split()).rstrip(".")


def rendered(sentences: Sequence[str]) -> dict[str, Reference | None]:
    """Each caption with the picture of its bird, rendered at 256 px; None where no bird agrees with the caption."""
    found = {caption: find_bird(caption) for caption in sentences}
    return {caption: None if hit is None else _reference(*hit) for caption, hit in found.items()}


def _reference(one: Bird, exact: bool) -> Reference:
    picture = (render([one], SIZE)[0] * 255).round().to(torch.uint8)  # 3 S S
    return Reference(picture, f"Aviary garden, unseen species {one.species}, test bird {one.index}", exact)
