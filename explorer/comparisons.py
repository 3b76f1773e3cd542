"""One caption through several models and noises, with the same word selected: for page, notebook and endpoint alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dmm.trace import Trace
from explorer import overlay, statistics
from explorer.questions import Question
from explorer.session import Session

UNMEASURED = "not measured how far its maps can be believed"


@dataclass(frozen=True)
class Compared:
    """What one model generated from one noise."""

    model: str
    seed: int
    trace: Trace
    over: np.ndarray | None = None  # H W 3 uint8, the last picture with the map of the word over it
    reliability: str = ""  # how far such maps can be believed in this model
    why: str = ""  # what keeps the map from being there

    @property
    def read_back(self) -> str:
        """STREAM's sentence of the last picture; empty without a captioner."""
        return (self.trace.stages[-1].redescription or [""])[0]


def compare(
    session: Session,
    caption: str,
    word: str | int,
    models: Sequence[str],
    seeds: Sequence[int],
    told: Callable[[int, int], None] = lambda done, steps: None,
) -> Iterator[Compared]:
    """Every model with every noise, in this order.

    Args:
        session: what is open.
        caption: one sentence.
        word: as of :func:`explorer.statistics.find`; empty for none.
        models: names.
        seeds: of the noises.
        told: called after each picture with how many are done, and with their number.

    Raises:
        Refusal: a caption, model or seed that cannot be generated.
    """
    asked = [(model, seed) for model in models for seed in seeds]
    for done, (model, seed) in enumerate(asked, 1):
        question = Question.read(session, caption, seed, model)
        yield _with_map(session, question, question.trace(session), word)
        told(done, len(asked))


def _with_map(session: Session, asked: Question, trace: Trace, word: str | int) -> Compared:
    stage = len(trace.stages) - 1
    maps, image = statistics.maps_of(trace, stage), trace.stages[stage].image
    if word == "":
        return Compared(asked.model, asked.seed, trace)
    if maps is None:
        return Compared(asked.model, asked.seed, trace, why="this system reads no single words")
    try:
        indices = statistics.find(trace, word)
    except statistics.NotRead:
        return Compared(asked.model, asked.seed, trace, why=f"this model does not know “{str(word)[:40]}”")
    values = statistics.phrase_map(trace, stage, indices, maps)
    limits = overlay.limits(values, uniform=len(indices) * statistics.uniform(trace))
    over = overlay.heat(values, limits) if image is None else overlay.overlay(image, values, limits)
    measured = session.reliability(asked.model).get(trace.images[-1].shape[-1])
    return Compared(asked.model, asked.seed, trace, over, measured.verdict if measured else UNMEASURED)
