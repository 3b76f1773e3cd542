"""How a word reached the picture: the same caption and noise, with the word edited on one pathway at a time.

The change on each pathway is the mean absolute difference of the pictures. *Total* is the word edited in the caption, so that everything
reads the edited sentence (causal mediation analysis, as in :mod:`dmm.metrics.pathways`); the pathways' changes need not add up to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dmm.trace import Trace
from explorer.edits import Edit, EditError, Exchange, Mute
from explorer.session import Session
from explorer.statistics import maps_of


@dataclass(frozen=True)
class Effect:
    """What editing a word on one pathway did to the last picture."""

    pathway: str  # as it is shown, e.g. "memory 128"
    edit: Edit
    change: float  # mean absolute difference of the pictures, share of the full range 0 to 1
    share: float  # of the total change; nan where the word changes nothing
    trace: Trace  # with the edit


@dataclass(frozen=True)
class WordEffects:
    """What a word did on each pathway."""

    base: Trace  # without the edit
    effects: tuple[Effect, ...]  # the total first
    lacks: dict[str, str]  # pathway -> why the system does not have it


def difference(one: Tensor, other: Tensor) -> np.ndarray:
    """Mean absolute difference over the channels, as a share of the full range: 1 3 S S and 1 3 S S in [-1, 1] -> S S, 0 to 1."""
    return ((one - other).abs().mean(1)[0] / 2).numpy()


def word_pathways(trace: Trace, word: str | int, new: str | None = None) -> dict[str, Edit]:
    """Every pathway on which a word could reach a picture -> the edit that acts on it alone; which of them a system has, it says itself.

    Args:
        trace: of the caption without edits.
        word: a word or its position on the T axis.
        new: the word read in its place; None mutes the word.
    """

    def edit(where: str, stages: tuple[int, ...] | None = None) -> Edit:
        return Mute(word, where, stages) if new is None else Exchange(word, new, where, stages)

    reading = [number for number in range(1, len(trace.stages)) if maps_of(trace, number)]
    found = {"total": edit("caption"), "sentence code": edit("initial")}
    found |= {f"memory {64 << number}": edit("memory", (number,)) for number in reading}
    return found | {"global": edit("global")}


def word_effects(
    session: Session, model: str | None, caption: str, seed: int, word: str | int, new: str | None = None, edits: Sequence[Edit] = ()
) -> WordEffects:
    """The change that a word makes on each pathway.

    Args:
        session: what is open.
        model: name; None for the first.
        caption: one sentence.
        seed: of the noise.
        word: a word of the caption, or its position on the T axis.
        new: the word read in its place; None mutes the word.
        edits: further edits, of the picture that is compared with as well.

    Raises:
        EditError: the word is not in the caption, or is its only one.
        CaptionError: a caption that cannot be generated.
    """
    base = session.trace(model, caption, seed, edits)
    image = base.images[-1]
    total, found, lacks = 0.0, [], {}
    for name, edit in word_pathways(base, word, new).items():
        try:
            trace = session.trace(model, caption, seed, (*edits, edit))
        except EditError as error:
            if name == "total":  # the word itself does not fit
                raise
            lacks[name] = str(error)
            continue
        change = float(difference(trace.images[-1], image).mean())
        total = change if name == "total" else total
        found.append(Effect(name, edit, change, change / total if total else float("nan"), trace))
    return WordEffects(base, tuple(found), lacks)
