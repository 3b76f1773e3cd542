"""What the charts of a training run show, once for page and figures: each number of its traces and its log over the steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dmm.trace import Trace
from explorer.overlay import Limits
from explorer.statistics import Numbers, word_indices

NOT_CURVES = {"step", "seconds", "images", "evaluation"}  #: columns of a log that say when, not how well


@dataclass(frozen=True)
class StageCourse:
    """One stage over the S steps of a run."""

    evenness: list[float | None]  # S: entropy of the map over log T; None for a system without one
    shares: dict[str, list[float]]  # path -> S: mean response gate; empty for a system without one
    gates: np.ndarray | None  # words S: writing gate of each word, in the caption's order; None for a system without one


def over_steps(trace: Trace, numbers: Sequence[Sequence[Numbers]], stage: int) -> StageCourse:
    """A stage of a caption over the steps.

    Args:
        trace: the caption at one of the steps; names its words.
        numbers: of each step, by stage (:func:`explorer.statistics.numbers`); at least one step.
        stage: position in ``trace.stages``.
    """
    at = [step[stage] for step in numbers]
    shares = {path: [found.shares[path] for found in at] for path in at[-1].shares}
    gates = np.array([[found.gates[i] for found in at] for i in word_indices(trace)]) if at[-1].gates else None
    return StageCourse([found.evenness for found in at], shares, gates)


def gate_range(courses: Iterable[StageCourse]) -> Limits:
    """The tenths around all writing gates: they stay close together for long, and a range from 0 to 1 would hide what moves."""
    found = [course.gates for course in courses if course.gates is not None]
    if not found:
        return 0.0, 1.0
    low = np.floor(10 * min(gates.min() for gates in found) + 1e-6) / 10
    high = np.ceil(10 * max(gates.max() for gates in found) - 1e-6) / 10
    return float(low), float(max(high, low + 0.1))


def logged(rows: Sequence[dict], smooth: int = 1) -> dict[str, tuple[list[int], list[float]]]:
    """Quantity -> steps and values; logged means are averaged over ``smooth`` rows, evaluations stay as they are."""
    found: dict[str, list[tuple[int, float, bool]]] = {}
    for row in rows:
        for name, value in row.items():
            if name not in NOT_CURVES and isinstance(value, (int, float)) and not isinstance(value, bool):
                found.setdefault(name, []).append((row["step"], float(value), bool(row.get("evaluation"))))
    return {name: _averaged(points, 1 if points[0][2] else smooth) for name, points in found.items()}


def _averaged(points: list[tuple[int, float, bool]], smooth: int) -> tuple[list[int], list[float]]:
    pieces = [points[i : i + smooth] for i in range(0, len(points), smooth)]
    return [piece[-1][0] for piece in pieces], [sum(value for _, value, _ in piece) / len(piece) for piece in pieces]


def best_step(rows: Sequence[dict]) -> tuple[int, float] | None:
    """Step and score of the evaluation with the largest score, the first of equal ones; None if nothing was evaluated."""
    scored = [(row["score"], -row["step"]) for row in rows if row.get("evaluation") and "score" in row]
    return (-max(scored)[1], max(scored)[0]) if scored else None
