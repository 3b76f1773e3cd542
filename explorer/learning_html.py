"""A training run as HTML: what its traces and its log say, step by step, above the page of the step that is looked at.

Pure functions, as :mod:`explorer.page_html`; the numbers are those of :mod:`explorer.courses`, which the figure of a run draws too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeGuard

import numpy as np
from PIL import Image

from dmm.images import to_pil
from dmm.trace import Trace
from explorer import overlay
from explorer.courses import best_step, gate_range, logged, over_steps
from explorer.page_html import GATE, data_uri, legend_row, named, note, notice, strip, text, together
from explorer.statistics import QUANTITIES, Numbers, bare, maps_of, required_maps, short, word_indices

Curve = Sequence[float | None]  # a number at each step; None or not a number where there is none
Points = Sequence[tuple[int, float | None]]  # step and number
POINTS = 300  # most rows of a log that a curve is drawn through; more are averaged
SHEET = 1200  # px, longer side of a grid of samples
CHART = (300, 96)  # user units of a chart, stretched over its column
HOW = "The page below shows it with all its maps. Choose a word there, then move the slider, to see where it comes to be read."


def learning(trace: Trace, steps: Sequence[int], course: Sequence[Sequence[Numbers]], now: int, begins: int) -> str:
    """Every step of a training run as numbers, in the columns of the page; the step ``now`` is marked and its numbers are named.

    Args:
        trace: the caption at step ``now``, a batch of one.
        steps: of the run, in order; at least two.
        course: the numbers of each step, by stage.
        now: one of ``steps``.
        begins: the step after which the refinements were trained; those before are shaded.
    """
    reading = [index for index in range(len(trace.stages)) if maps_of(trace, index)]
    if not reading:
        return notice("No stage of this system reads single words; the slider shows its pictures.")
    place, span = list(steps).index(now), (steps[0], steps[-1])
    over = {index: over_steps(trace, course, index) for index in reading}
    lines = {f"for {trace.stages[i].size}": _points(steps, over[i].evenness) for i in reading}
    maps = QUANTITIES[required_maps(trace, reading[0])].label
    even = _chart("How evenly words are read", f"entropy of {maps} over log T; 1 = nothing chosen", lines, span, now, begins)
    columns = [f'<div class="ex-course">{even}{_at_step(trace, now, begins)}{note([HOW])}</div>']
    limits = gate_range(over.values())
    for index in reading:
        size, cells = trace.stages[index].size, ""
        if over[index].shares:
            shares = {name: _points(steps, values) for name, values in over[index].shares.items()}
            cells += _chart(f"Who answers for {size}", "response gate, mean over places", shares, span, now, begins)
        gates = over[index].gates
        if gates is not None:
            cells += _gates(trace, index, steps, gates, place, limits)
        columns.append(f'<div class="ex-course">{cells}</div>')
    return f'<div class="ex-courses">{"".join(columns)}</div>'


def losses(rows: Sequence[dict], now: int, begins: int) -> str:
    """The losses and scores of a run's log, a chart each; the step ``now`` is marked on all, and so is the best step.

    Args:
        rows: as :func:`explorer.figures.runs.read_log` gives them.
        now: a step.
        begins: as of :func:`learning`.
    """
    best, span = best_step(rows), (rows[0]["step"], max(rows[-1]["step"], now))
    charts = ""
    for name, (steps, values) in logged(rows, -(-len(rows) // POINTS)).items():
        found = [value for value in values if math.isfinite(value)] or [0.0]
        limits = (min(found), max(found)) if max(found) > min(found) else (min(found) - 0.5, min(found) + 0.5)
        chart = _chart(name.replace("_", " "), "", {"": _points(steps, values)}, span, now, begins, limits, best)
        charts += f'<div class="ex-course">{chart}</div>'
    chosen = f"best step {best[0]:,} (dotted), score {bare(f'{best[1]:.3g}')}" if best else "no evaluation, so no best step"
    said = text(f"logged to step {rows[-1]['step']:,}; {chosen}")
    return f'<div class="ex-losses"><h3>Losses and scores <span>{said}</span></h3><div>{charts}</div></div>'


def samples(step: int, sheet: Image.Image) -> str:
    """A run's grid of sample pictures: fixed captions, a column each, the stages below each other."""
    sheet = sheet.copy()
    sheet.thumbnail((SHEET, SHEET))
    said = f"Sample pictures at step {step:,}: fixed captions, a column each"
    return f'<div class="ex-sheet"><h3>{said}</h3><img src="{data_uri(sheet)}" alt="{said}"></div>'


def _at_step(trace: Trace, now: int, begins: int) -> str:
    """The largest picture that was trained at the marked step, so that it changes beside the slider."""
    stage = [stage for stage in trace.stages if stage.image is not None][0 if now <= begins else -1]
    alt = text(f"Generated at step {now:,} at {stage.size} pixels from: {trace.caption()}")
    image = (
        f'<img class="ex-now" src="{data_uri(to_pil(stage.quantity("image")[0]))}" width="{stage.size}" height="{stage.size}" alt="{alt}">'
    )
    return f"<h3>Generated at step {now:,} <span>{stage.size} × {stage.size}</span></h3>{image}"


def _along(step: int, span: tuple[int, int]) -> float:
    """Where a step lies between the first and the last, 0 to 1; a step outside of them at the nearer one."""
    return min(max((step - span[0]) / max(span[1] - span[0], 1), 0.0), 1.0)


def _points(steps: Sequence[int], values: Curve) -> Points:
    return list(zip(steps, values, strict=True))


def _chart(
    title: str,
    unit: str,
    lines: Mapping[str, Points],
    span: tuple[int, int],
    now: int,
    begins: int,
    limits: overlay.Limits = (0.0, 1.0),
    best: tuple[int, float] | None = None,
) -> str:
    """Curves over the steps of ``span`` within ``limits``; below, each with its number at the step ``now``, which is marked."""
    width, height = CHART
    low, high = limits
    curves, keys, numbers = "", "", []
    for number, (name, points) in enumerate(lines.items()):
        kind = f"ex-line-{name}" if name in ("image", "words", "global") else f"ex-line-{number}"
        drawn = " ".join(f"{_along(s, span) * width:.1f},{(high - v) / (high - low) * height:.1f}" for s, v in points if _is_number(v))
        curves += f'<polyline class="{kind}" points="{drawn}"/>'
        swatch = f'<svg viewBox="0 0 24 8" aria-hidden="true"><line class="{kind}" x1="0" y1="4" x2="24" y2="4"/></svg>'
        told = _told(next((v for s, v in reversed(points) if s <= now), None), limits)
        keys += f"<span>{swatch}{text(name)} <b>{told}</b></span>"
        numbers.append(f"{name} {told}".strip())
    said = text(f"{', '.join(filter(None, (title, unit)))}, at step {now:,}: {', '.join(numbers)}")
    marks = "".join(f'<line class="ex-hair" x1="0" x2="{width}" y1="{y * height}" y2="{y * height}"/>' for y in (0, 0.5, 1))
    for name, step in ([("best", best[0])] if best else []) + [("cursor", now)]:
        x = _along(step, span) * width
        marks += f'<line class="ex-{name}" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>'
    ticks = "".join(f"<i>{bare(f'{tick:.3g}')}</i>" for tick in (high, (low + high) / 2, low))
    return (
        f'<h3>{text(title)} <span>{text(unit)}</span></h3><div class="ex-axes">{ticks}'
        f'<svg class="ex-chart" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" aria-label="{said}">'
        f'<rect class="ex-shade" width="{_along(begins, span) * width:.1f}" height="{height}"/>{marks}{curves}</svg></div>'
        f'<p class="ex-span"><span>{span[0]:,}</span><span>training step</span><span>{span[1]:,}</span></p><p class="ex-keys">{keys}</p>'
    )


def _told(value: float | None, limits: overlay.Limits) -> str:
    """A number, or a dash for one that is none: a caption of one word is read neither evenly nor unevenly."""
    if not _is_number(value):
        return "–"
    return short(value) if limits == (0, 1) else bare(f"{value:.3g}")


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _gates(trace: Trace, index: int, steps: Sequence[int], values: np.ndarray, place: int, limits: overlay.Limits) -> str:
    """The writing gate of each word over the steps, a row a word; each cell is one step."""
    names = "".join(f"<span>{text(trace.tokens()[i])}</span>" for i in word_indices(trace))
    shown = "".join(f"<span>{short(value)}</span>" for value in values[:, place])
    legend = legend_row(overlay.legend(QUANTITIES[GATE].label, limits, QUANTITIES[GATE].unit))
    return (
        f"<h3>Memory written for {trace.stages[index].size} <span>{together(named(GATE))}</span></h3>{legend}"
        f'<div class="ex-gates"><div>{names}</div><div class="ex-cells"><img alt="" src="{strip([values], limits)}">'
        f'<i style="left:{place / len(steps):.2%};width:{1 / len(steps):.2%}"></i></div><div>{shown}</div>'
        f'<p class="ex-span"><span>{steps[0]:,}</span><span>training step</span><span>{steps[-1]:,}</span></p></div>'
    )
