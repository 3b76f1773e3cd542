"""The memory being learned: one caption over the steps of a training run, from left to right.

Above, a few steps as pictures: what was generated, where one word is read (key addressing, DM-GAN Eq. 4), and what STREAM reads back.
Below, every step as numbers: how evenly the words are read (entropy over log T), who answers (response gate, Eq. 9), and what is written
of each word (writing gate, Eq. 7). The curve of evenness is as wide as the pictures together, and its ticks are their steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D

from dmm.trace import Trace
from explorer import statistics
from explorer.courses import StageCourse, gate_range, over_steps
from explorer.figures import style
from explorer.figures.registry import FigureError, Option, Result, register_figure
from explorer.figures.runs import Course, evenly
from explorer.overlay import SEQUENTIAL, Limits, legend, limits, overlay, picture

WIDTH, MARGIN, GAP = style.PAGE, 0.12, 0.08  # inches: sheet, its edge, between tiles
LEFT = MARGIN + 1.12  # inches, where the pictures begin
RIGHT = WIDTH - MARGIN  # inches, where they end
CURVE, SHARES, ROW = 0.8, 0.8, 0.118  # inches, heights: curve of evenness, response gate, one word's writing gate
BETWEEN = 0.62  # inches between the panels of two stages
PATHS = {"image": ("#d55e00", "-"), "words": ("#0072b2", "--"), "global": ("#009e73", "-.")}  # Okabe and Ito's colours
WAITING = "#ececec"  # what is not trained yet


@dataclass
class Sheet:
    """What the rows of the drawing share."""

    drawing: Drawing
    course: Course
    shown: list[int]  # positions of the steps that have a picture
    traces: list[Trace]  # at those steps
    numbers: list[list[statistics.Numbers]]  # of every step, by stage
    word: int  # position of the word whose maps are shown
    stages: list[int]  # that read words
    side: float  # inches, a picture

    @property
    def steps(self) -> tuple[int, ...]:
        """At which there are traces."""
        return self.course.steps

    def left(self, place: int) -> float:
        """Where a column begins, inches."""
        return LEFT + place * (self.side + GAP)

    def trained(self, place: int, stage: int) -> bool:
        """Whether the stage was trained at the step of a column."""
        return self.course.run.trained(self.steps[self.shown[place]], stage)

    def over(self, stage: int) -> StageCourse:
        """A stage's numbers over all steps."""
        return over_steps(self.traces[-1], self.numbers, stage)

    def size(self, stage: int) -> int:
        """Side of a stage's picture, px."""
        return self.traces[0].stages[stage].quantity("image").shape[-1]


@register_figure(
    "memory-learning",
    title="The memory being learned, step by step",
    source="traces of a training run",
    shows="run",
    printed="page",
    options=(
        Option("caption", "int", 1, "which of the run's traced captions, counted from 1", low=1, high=64, makes="trace"),
        Option("word", "text", "", "the word whose maps are shown; empty: the one whose last map differs most between places"),
        Option("columns", "int", 6, "steps shown as pictures, evenly spread, first and last included", low=2, high=8),
        Option("strength", "float", 0.6, "opacity of the heat over the grey picture, 0 to 1", low=0.0, high=1.0),
    ),
)
def memory(traces: Course, word: str = "", columns: int = 6, strength: float = 0.6) -> Result:
    """Pictures, maps and sentences of a few steps above the numbers of all; what a system does not have is left out."""
    shown = evenly(len(traces), columns)
    seen = [traces[i] for i in shown]
    last = seen[-1]
    stages = [i for i in range(len(last.stages)) if statistics.maps_of(last, i)]
    if not stages:
        raise FigureError("memory-learning shows where words are read; no stage of this system reads single words")
    index = _position(last, word) if word.strip() else statistics.most_placed(last, stages[-1])
    side = (RIGHT - LEFT - (max(len(shown), 4) - 1) * GAP) / max(len(shown), 4)
    maps = [statistics.word_map(t, s, index, statistics.required_maps(t, s)) for t in seen for s in stages]
    shared = limits(*maps, uniform=statistics.uniform(last))
    height = 1.0
    for _ in range(2):  # once to find how high the sheet is, once on a sheet of that height
        with style.sheet(WIDTH, height) as drawing:
            page = Sheet(drawing, traces, shown, seen, traces.numbers, index, stages, side)
            height = _compose(page, shared, strength) + MARGIN
    return Result(drawing, _records(page))


def _compose(page: Sheet, shared: Limits, strength: float) -> float:
    """All rows below each other; returns where they end, inches from above."""
    down = _pictures(page, _heading(page))
    for stage in page.stages:
        down = _maps(page, down, stage, shared, strength)
    down = _scale(page, down, shared)
    for row in (_sentences, _evenness, _answers, _gates):
        down = row(page, down)
    return down


def _position(trace: Trace, word: str) -> int:
    """Where a word stands on the T axis; of a word said twice the first."""
    known = trace.tokens()
    places = [i for i in statistics.word_indices(trace) if known[i] == word.strip().lower()]
    if not places:
        raise FigureError(
            f"word: expected one of {', '.join(dict.fromkeys(known[i] for i in statistics.word_indices(trace)))}; found {word!r}"
        )
    return places[0]


# --- above: a few steps as pictures -------------------------------------------------------------------------------------


def _heading(page: Sheet) -> float:
    drawing, trace, steps = page.drawing, page.traces[-1], page.steps
    caption = style.wrap(f"“{trace.caption()}”", WIDTH - 2 * MARGIN, style.LARGE)
    style.write(drawing, MARGIN, MARGIN, caption, size=style.LARGE)
    down = MARGIN + style.text_height(caption, style.LARGE)
    said = f"{page.course.run.name}, seed {trace.seed()}: {len(steps)} traces from step {steps[0]:,} to {steps[-1]:,}"
    style.write(drawing, MARGIN, down, said, size=style.SMALL, color=style.QUIET)
    return down + 0.24


def _label(page: Sheet, down: float, title: str, note: str, colour: str = style.INK) -> float:
    """The name of a row beside it; returns where it ends."""
    inches = LEFT - MARGIN - 0.22
    for text, size, tone, weight in ((title, style.BASE, colour, "bold"), (note, style.SMALL, style.QUIET, "normal")):
        lines = style.wrap(text, inches * (0.9 if weight == "bold" else 1), size)
        style.write(page.drawing, MARGIN, down, lines, size=size, color=tone, weight=weight)
        down += style.text_height(lines, size) + 0.02
    return down


def _pictures(page: Sheet, down: float) -> float:
    for place, i in enumerate(page.shown):
        name = f"step {page.steps[i]:,}" if place == 0 else f"{page.steps[i]:,}"
        style.write(page.drawing, page.left(place) + page.side / 2, down, name, ha="center", weight="bold")
    down += 0.17
    for place, trace in enumerate(page.traces):
        stage = max(i for i, s in enumerate(trace.stages) if s.image is not None and (page.trained(place, i) or i == 0))
        style.tile(page.drawing, page.left(place), down, page.side, picture(trace.stages[stage].quantity("image")))
    sizes = [s.size for s in page.traces[-1].stages if s.image is not None]
    waits = not page.trained(0, 1)
    note = f"{sizes[-1]} px" + (f"; {sizes[0]} px while that stage was trained alone" if waits else "")
    _label(page, down, "What it generates", note)
    return down + page.side + GAP


def _maps(page: Sheet, down: float, stage: int, shared: Limits, strength: float) -> float:
    """One row: the map of the word at each step, over that stage's picture in grey."""
    last = page.traces[-1]
    kind = statistics.required_maps(last, stage)
    places = last.stages[stage].quantity(statistics.QUANTITIES[kind].field).shape[-1]
    name = last.tokens()[page.word]
    _label(page, down, f"Where “{name}” is read", f"for {page.size(stage)} px, at {places}² places")
    for place, trace in enumerate(page.traces):
        if page.trained(place, stage):
            values = statistics.word_map(trace, stage, page.word, kind)
            style.tile(
                page.drawing, page.left(place), down, page.side, overlay(trace.stages[stage].quantity("image"), values, shared, strength)
            )
        else:
            _waiting(page, page.left(place), down)
    return down + page.side + GAP


def _waiting(page: Sheet, left: float, down: float) -> None:
    style.tile(page.drawing, left, down, page.side, np.full((1, 1, 3), int(WAITING[1:3], 16), np.uint8))
    for number, line in enumerate(("not trained", "yet")):
        at = down + page.side / 2 - 0.12 + number * 0.12
        style.write(page.drawing, left + page.side / 2, at, line, size=style.SMALL, color=style.QUIET, ha="center")


def _scale(page: Sheet, down: float, shared: Limits) -> float:
    """The colour bar of all maps."""
    about = statistics.QUANTITIES[statistics.required_maps(page.traces[-1], page.stages[-1])]
    key = legend(f"{about.label} ({about.equation})", shared, about.unit, statistics.uniform(page.traces[-1]))
    style.colour_bar(page.drawing, LEFT, down + 0.02, RIGHT - LEFT, key)
    return down + 0.56


def _sentences(page: Sheet, down: float) -> float:
    """What STREAM reads back from the last trained picture; words that the caption says too are underlined."""
    found = [_read_back(page, place) for place in range(len(page.shown))]
    if not any(found):
        return down
    end = _label(page, down, "STREAM reads back", "underlined: the caption says it too; grey: claims nothing")
    for place, told in enumerate(found):
        pairs = statistics.agreement(page.traces[place].caption(), told[1] if told else "")
        claims = [agrees for _, agrees in pairs if agrees is not None]
        head = f"{sum(claims)} of {len(claims)} agree" if claims else "no claim"
        style.write(page.drawing, page.left(place), down + 0.005, head, weight="bold", size=style.SMALL)
        end = max(end, _flow(page.drawing, page.left(place), down + 0.15, page.side, pairs))
    return end + 0.14


def _read_back(page: Sheet, place: int) -> tuple[int, str] | None:
    """The last stage that is trained by then and has a sentence, and that sentence."""
    stages = enumerate(page.traces[place].stages)
    found = [(i, stage.redescription[0]) for i, stage in stages if stage.redescription and (i == 0 or page.trained(place, i))]
    return found[-1] if found else None


def _flow(drawing: Drawing, left: float, down: float, inches: float, pairs: list[tuple[str, bool | None]]) -> float:
    """Words set in lines, each in its own manner; returns where they end."""
    size, x, step = style.SMALL, 0.0, style.SMALL * style.LEADING / 72
    blank = style.text_width("a a", size) - 2 * style.text_width("a", size)
    width, height = drawing.get_size_inches()
    for word, agrees in pairs:
        wide = style.text_width(word, size)
        if x and x + wide > inches:
            x, down = 0.0, down + step
        style.write(drawing, left + x, down, word, size=size, color=style.QUIET if agrees is None else style.INK)
        if agrees:
            y = 1 - (down + (style.ASCENT + 0.2) * size / 72) / height
            ends = [(left + x) / width, (left + x + wide) / width]
            drawing.add_artist(Line2D(ends, [y, y], color=style.INK, linewidth=0.9, transform=drawing.transFigure))
        x += wide + blank
    return down + step


# --- below: every step as numbers ------------------------------------------------------------------------------------------


def _frame(page: Sheet, left: float, down: float, width: float, height: float, ticks: Sequence[float], span: float) -> Axes:
    """Axes from 0 to 1 over the steps, with hairlines; the ticks span ``span`` inches."""
    axes = style.place(page.drawing, left, down, width, height)
    axes.set(ylim=(0, 1.0), yticks=[0, 0.5, 1], yticklabels=["0", ".5", "1"], xticks=ticks)
    axes.set_xticklabels(_apart([f"{round(t):,}" for t in ticks], ticks, span), fontsize=style.SMALL)
    axes.tick_params(length=2, width=0.6, pad=1.5, labelsize=style.SMALL)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    axes.set_axisbelow(True)
    for name in ("top", "right"):
        axes.spines[name].set_visible(False)
    return axes


def _apart(labels: list[str], ticks: Sequence[float], inches: float) -> list[str]:
    """Labels of ticks that span ``inches``, empty where one would touch the one before it or the last."""
    inch = inches / max(ticks[-1] - ticks[0], 1)
    halves = [style.text_width(label, style.SMALL) / 2 + 0.04 for label in labels]
    spans = [(tick * inch - half, tick * inch + half) for tick, half in zip(ticks, halves, strict=True)]
    kept, free = [], float("-inf")
    for (left, right), label in zip(spans[:-1], labels[:-1], strict=True):
        fits = left > free and right < spans[-1][0]
        kept.append(label if fits else "")
        free = right if fits else free
    return [*kept, labels[-1]]


def _unlike(page: Sheet, axes: Axes, low: float) -> None:
    """Shade the steps before the refinements were trained."""
    if page.course.run.begins > page.steps[0]:
        axes.axvspan(low, min(page.course.run.begins, page.steps[-1]), color=WAITING, linewidth=0, zorder=0)


def _evenness(page: Sheet, down: float) -> float:
    """Entropy over log T, one curve a stage; where traces are evenly spaced, each picture stands above its step."""
    maps = statistics.QUANTITIES[statistics.required_maps(page.traces[-1], page.stages[-1])].label
    note = "; shaded: not trained yet" if page.course.run.begins > page.steps[0] else ""
    end = _label(page, down, "How evenly words are read", f"entropy of {maps} over log T, mean over places; 1 = nothing is chosen" + note)
    shown = [page.steps[i] for i in page.shown]
    inch = (shown[-1] - shown[0]) / (page.left(len(shown) - 1) - page.left(0))  # steps an inch
    low, width = shown[0] - page.side / 2 * inch, page.left(len(shown) - 1) + page.side - LEFT
    axes = _frame(page, LEFT, down + 0.03, width, CURVE, shown, (shown[-1] - shown[0]) / inch)
    axes.set(xlim=(low, low + width * inch), ylim=(0, 1.05))
    _unlike(page, axes, low)
    axes.plot([low, page.steps[-1]], [1, 1], color=style.INK, linewidth=0.6, linestyle=(0, (1, 2)))
    lines = []
    for stage in page.stages:
        values = [np.nan if (even := at[stage].evenness) is None else even for at in page.numbers]
        deep = stage == page.stages[-1]
        axes.plot(page.steps, values, color=style.INK if deep else "#8a8a8a", linewidth=1.2, linestyle="-" if deep else (0, (4, 1.5)))
        lines.append((values[-1], f"{page.size(stage)} px", style.INK if deep else "#6f6f6f"))
    _ends(axes, page.steps[-1] + 0.05 * inch, lines, CURVE)
    _x_label(page, down + 0.03 + CURVE, LEFT + width / 2)
    return max(down + CURVE + 0.45, end + 0.15)


def _x_label(page: Sheet, down: float, middle: float) -> None:
    style.write(page.drawing, middle, down + 0.16, "training step", size=style.SMALL, color=style.QUIET, ha="center")


def _ends(axes: Axes, x: float, lines: list[tuple[float, str, str]], height: float) -> None:
    """Name curves at their ends; names that would lie over each other are moved apart."""
    low, high = axes.get_ylim()
    need = 0.115 / height * (high - low)
    places = sorted((value, i) for i, (value, *_) in enumerate(lines) if np.isfinite(value))
    groups: list[list[float]] = []  # names that stand together, about the mean of their values
    for value, _ in places:
        groups.append([value])
        while len(groups) > 1 and np.mean(groups[-1]) - np.mean(groups[-2]) < need * (len(groups[-1]) + len(groups[-2])) / 2:
            groups[-2:] = [groups[-2] + groups[-1]]
    at: list[float] = []
    for group in groups:
        half = need * len(group) / 2
        first = min(max(float(np.mean(group)), low + half), high - half) - half + need / 2
        at += [first + need * place for place in range(len(group))]
    for y, (_, i) in zip(at, places, strict=True):
        axes.text(x, y, lines[i][1], color=lines[i][2], size=style.SMALL, va="center", parse_math=False)


def _panels(page: Sheet, stages: list[int]) -> list[tuple[float, float]]:
    """(left, width) of one panel a stage, side by side, inches; each leaves room for names at its right."""
    width = (RIGHT - LEFT - (len(stages) - 1) * 0.16) / len(stages)
    return [(LEFT + n * (width + 0.16), width - BETWEEN) for n in range(len(stages))]


def _answers(page: Sheet, down: float) -> float:
    """The mean response gate of each path, one panel a stage."""
    stages = [i for i in page.stages if page.numbers[-1][i].shares]
    if not stages:
        return down
    _label(page, down + 0.17, "Who answers", "mean response gate (Eq. 9); the paths sum to 1")
    for stage, (left, width) in zip(stages, _panels(page, stages), strict=True):
        style.write(page.drawing, left, down, f"for {page.size(stage)} px", weight="bold")
        axes = _frame(page, left, down + 0.2, width, SHARES, [page.steps[0], page.steps[-1]], width)
        pad = 0.02 * (page.steps[-1] - page.steps[0])
        axes.set_xlim(page.steps[0] - pad, page.steps[-1] + pad)
        _unlike(page, axes, page.steps[0] - pad)
        lines = []
        for path, values in page.over(stage).shares.items():
            colour, dash = PATHS[path]
            axes.plot(page.steps, values, color=colour, linewidth=1.2, linestyle=dash)
            lines.append((values[-1], f"{path} {statistics.short(values[-1])}", colour))
        _ends(axes, page.steps[-1] + 2 * pad, lines, SHARES)
        _x_label(page, down + 0.2 + SHARES, left + width / 2)
    return down + SHARES + 0.6


def _gates(page: Sheet, down: float) -> float:
    """The writing gate of each word over the steps: a row a word, one panel a stage."""
    stages = [i for i in page.stages if page.numbers[-1][i].gates]
    if not stages:
        return down
    last, quantity = page.traces[-1], statistics.QUANTITIES["writing_gate"]
    indices = statistics.word_indices(last)
    low, high = gate_range(page.over(stage) for stage in stages)
    for place, index in enumerate(indices):
        at, weight = down + 0.2 + (place + 0.5) * ROW - 0.055, "bold" if index == page.word else "normal"
        style.write(page.drawing, LEFT - 0.06, at, last.tokens()[index], size=style.SMALL, ha="right", weight=weight)
    height = len(indices) * ROW
    for stage, (left, width) in zip(stages, _panels(page, stages), strict=True):
        style.write(page.drawing, left, down, f"for {page.size(stage)} px", weight="bold")
        axes = style.place(page.drawing, left, down + 0.2, width, height)
        values = np.asarray(page.over(stage).gates)  # words steps
        axes.pcolormesh(_edges(page.steps), np.arange(len(indices) + 1), values, vmin=low, vmax=high, cmap=SEQUENTIAL)
        axes.set(ylim=(len(indices), 0), yticks=[], xticks=[page.steps[0], page.steps[-1]])
        axes.set_xticklabels([f"{s:,}" for s in (page.steps[0], page.steps[-1])], fontsize=style.SMALL)
        axes.tick_params(length=2, width=0.6, pad=1.5)
        for place, row in enumerate(values):
            at = down + 0.2 + (place + 0.5) * ROW - 0.055
            style.write(page.drawing, left + width + 0.06, at, statistics.short(row[-1]), size=style.SMALL, color=style.QUIET)
        _x_label(page, down + 0.2 + height, left + width / 2)
    style.write(page.drawing, MARGIN, down, "Writing gate", weight="bold")
    down += height + 0.58
    key = legend(f"{quantity.label} of each word (Eq. 7)", (low, high), quantity.unit)
    style.colour_bar(page.drawing, LEFT, down, RIGHT - LEFT, key)
    return down + 0.4


def _edges(steps: tuple[int, ...]) -> np.ndarray:
    """Borders of the cells of steps: halfway to the neighbours."""
    middle = (np.array(steps[1:]) + np.array(steps[:-1])) / 2
    return np.concatenate([[2 * steps[0] - middle[0]], middle, [2 * steps[-1] - middle[-1]]])


# --- the numbers ----------------------------------------------------------------------------------------------------------


def _records(page: Sheet) -> list[dict]:
    """One row for each step, stage and number shown, and for each sentence read back."""
    last, found = page.traces[-1], []
    names = last.tokens()
    for step, at in zip(page.steps, page.numbers, strict=True):
        for stage in page.stages:
            common = {"caption": last.caption(), "seed": last.seed(), "step": step, "size_px": page.size(stage)}
            common["trained"] = page.course.run.trained(step, stage)
            values: list[tuple[str, str, int | str, float | None]] = [("evenness", "", "", at[stage].evenness)]
            values += [("response_gate", path, "", share) for path, share in at[stage].shares.items()]
            values += [("writing_gate", names[i], i, gate) for i, gate in at[stage].gates.items()]
            found += [common | {"quantity": q, "of": of, "position": i, "value": v} for q, of, i, v in values]
    return found + [row for place in range(len(page.shown)) for row in _sentence_record(page, place)]


def _sentence_record(page: Sheet, place: int) -> list[dict]:
    """The sentence of a column and the share of its claims that agree; nothing where none is read back."""
    told, trace = _read_back(page, place), page.traces[place]
    if told is None:
        return []
    stage, sentence = told
    claims = [agrees for _, agrees in statistics.agreement(trace.caption(), sentence) if agrees is not None]
    row = {"caption": trace.caption(), "seed": trace.seed(), "step": page.steps[page.shown[place]], "size_px": page.size(stage)}
    share = sum(claims) / len(claims) if claims else None
    return [row | {"trained": page.trained(place, stage), "quantity": "redescription", "of": sentence, "position": "", "value": share}]
