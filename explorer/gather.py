"""What a figure takes, gathered: captions are generated with a model, a run's traces are read, birds are rendered.

The command line and the notebook ask here, so that a figure itself stays a pure function. Of a trace that is generated for a figure only
the fields that the figure reads are kept: a sheet of many pictures would fill the memory otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from dmm.metrics.effects import WordEffects, word_effects
from dmm.trace import StageTrace, Trace
from explorer.figures.registry import Figure, Reference, check_options, requests, wants_references
from explorer.figures.runs import Run
from explorer.session import Session

ALWAYS = {"image", "redescription"}  # fields of a stage that every figure may show


def traces(figure: Figure, values: Mapping[str, Any], session: Session, model: str | None = None) -> list[Trace]:
    """The traces that a figure of captions takes, generated with a model of the session (None: its first).

    Raises:
        explorer.figures.FigureError: options that do not fit.
        dmm.pipeline.CaptionError: a caption that cannot be generated.
    """
    return [_slim(session.trace(model, caption, seed), figure) for caption, seed in requests(figure, values)]


def effects(figure: Figure, values: Mapping[str, Any], session: Session, model: str | None = None) -> list[WordEffects]:
    """What each word of a figure's captions did to the picture of a model of the session (None: its first).

    Raises:
        explorer.figures.FigureError: options that do not fit.
        dmm.pipeline.CaptionError: a caption that cannot be generated.
    """
    return [word_effects(session.pipeline(model), caption, seed) for caption, seed in requests(figure, values)]


def references(figure: Figure, values: Mapping[str, Any]) -> dict[str, Reference | None]:
    """Rendered birds of a figure's captions, if it shows any: caption -> picture, or None where no bird fits."""
    values = check_options(figure, values)
    if not wants_references(figure, values):
        return {}
    from explorer.references import rendered  # the renderer is slow to import; most figures do not need it

    return rendered(tuple(dict.fromkeys(caption for caption, _ in requests(figure, values))))


def course(figure: Figure, values: Mapping[str, Any], run: str) -> Sequence[Trace]:
    """One caption over the steps of a training run.

    Raises:
        explorer.figures.runs.RunError: no such run, or no such caption in it.
    """
    return Run(run).course(check_options(figure, values)["caption"])


def _slim(trace: Trace, figure: Figure) -> Trace:
    """The trace without the fields of stages that the figure does not read."""
    kept = ALWAYS | set(figure.needs) | set(figure.reads)
    dropped = {f.name: None for f in dataclasses.fields(StageTrace) if f.name not in kept}
    return dataclasses.replace(trace, stages=[dataclasses.replace(stage, **dropped) for stage in trace.stages])
