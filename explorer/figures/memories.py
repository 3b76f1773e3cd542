"""What does a memory do that attention does not? The records of every system that has one, side by side.

One colour word of a caption is exchanged, with the same noise (:mod:`dmm.metrics.memory`). Three questions, a panel each: how much of what
the word changes passes through the words that refinements read (memory or attention); how often the named part takes the new colour when
the word is exchanged everywhere, in those words alone, or in the first stage alone; and how much more of the word's map lies inside the
named part than elsewhere. Each has its control beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from dmm.report.measures import SHARE, applies
from dmm.report.records import Figure, Measure, Results, figure
from dmm.report.subjects import reading, systems
from dmm.report.summary import difference
from explorer.agreement import exact_interval
from explorer.figures import style
from explorer.figures.registry import FigureError, Result, register_figure, results_option
from explorer.figures.tables import LINES, MARGIN, WIDTH, missing
from explorer.statistics import short

NAME, DETAIL, VALUE = 0.72, 0.72, 0.3  # inches: system, what was exchanged, the figure at the right
ROW = 0.135  # inches
SIDES = ("64", "128")  # of the maps
#: What reads words -> its colour and mark; colours of Okabe and Ito.
KINDS = {"memory": ("#0072b2", "o"), "attention": ("#d55e00", "s"), "nothing": ("#5f5f5f", "D")}
SAID = {"memory": "memory", "attention": "attention", "nothing": "reads no single words"}


@dataclass(frozen=True)
class Panel:
    """One question: a quantity of every system that has it."""

    key: str
    title: str
    about: str  # its controls
    control: Mapping[str, str]  # mark -> what it stands for, as the rows say it
    chance: float | None = None  # drawn as a line


PANELS = (
    Panel("share", "Share of the word's effect that passes through the words read", "×: the same with another noise", {"x": "other noise"}),
    Panel("success", "New colour read in the named part, word exchanged …", "×: nothing exchanged", {"x": "nothing exchanged"}),
    Panel(
        "lift",
        "Map of a colour word: weight inside the named part over elsewhere",
        "×: map of another word; +: of another caption, both of all words that name parts; line: even reading. Places a side, logarithmic.",
        {"x": "other word", "+": "other caption"},
        1.0,
    ),
)


@dataclass(frozen=True)
class Line:
    """One figure of one system with its controls."""

    system: str
    words: str  # what reads them, a key of KINDS
    panel: str
    detail: str
    found: Figure
    controls: Mapping[str, float]  # by mark


@register_figure(
    "memory-systems",
    title="What a memory does that attention does not",
    source="records of dmm evaluate --metrics memory; causal mediation analysis (Vig et al., NeurIPS 2020)",
    shows="records",
    options=(results_option(),),
)
def memory_systems(results: Results) -> Result:
    """For each system with a record: share through the words, success by pathway, lift of its maps, with intervals and controls."""
    own = _subjects(results)
    found = [line for name, recipe in own.items() for line in _lines(results, name, recipe)]
    lacking = [name for name, recipe in systems().items() if recipe not in own.values()]
    if not found:
        raise FigureError(f"memory-systems: no record of a memory in the folder of results. {missing(['every system'], ['memory'])}")
    notes = [*_answers(found), missing(lacking, ["memory"])]
    notes.append(
        "Bars: 95 % intervals where the record has one: bootstrap over captions; of the new colour exact binomial. Aviary, drawn birds."
    )
    text = "\n".join(style.wrap(note, LINES, style.SMALL) for note in notes if note)
    panels = [(panel, [line for line in found if line.panel == panel.key]) for panel in PANELS]
    panels = [(panel, lines) for panel, lines in panels if lines]
    heights = [_head(panel) + len(lines) * ROW + 0.3 for panel, lines in panels]
    with style.sheet(WIDTH, 2 * MARGIN + style.LINE + 0.06 + sum(heights) + style.text_height(text, style.SMALL)) as drawing:
        _key(drawing, {line.words for line in found})
        top = MARGIN + style.LINE + 0.06
        for (panel, lines), height in zip(panels, heights, strict=True):
            _panel(drawing, panel, lines, top)
            top += height
        style.write(drawing, MARGIN, top, text, size=style.SMALL, color=style.QUIET)
    rows = [row for line in found for row in _rows(line)]
    return Result(drawing, rows, "; ".join(_told(row) for row in rows) + ".")


def _subjects(results: Results) -> dict[str, str]:
    """Name -> recipe of every system with a record of the metric, attention before memory. Ablations have another budget, and tables."""
    measured = {record.subject for record in results.evaluations if "memory" in record.content["metrics"]}
    found = {name: recipe for name, recipe in systems().items() if recipe in measured}
    order = ("nothing", "attention", "memory")
    return dict(sorted(found.items(), key=lambda item: order.index(reading(item[1]).words)))


def _lines(results: Results, name: str, recipe: str) -> Iterator[Line]:
    words, last = reading(recipe).words, str(reading(recipe).sizes[-1])

    def at(*keys: str) -> Figure | None:
        measure = Measure("", "memory", keys)
        return figure(results, recipe, measure) if applies(measure, recipe) else None

    def line(panel: str, detail: str, found: Figure | None, **controls: Figure | None) -> Iterator[Line]:
        if found:
            yield Line(name, words, panel, detail, found, {mark: one.value for mark, one in controls.items() if one})

    yield from line("share", "", at(*SHARE.keys), x=at("controls", "second_noise", *SHARE.keys))
    captions = figure(results, recipe, Measure("", "memory", ("captions",)))
    for pathway, detail in (("total", "everywhere"), ("memory", "in these words"), ("initial", "in stage 1")):
        success = at("success", last, pathway)
        if success and captions:
            count = round(captions.value)
            success = replace(success, interval=exact_interval(round(success.value * count), count))
        yield from line("success", detail, success, x=at("success", last, "none"))
    for side in SIDES:
        controls = {mark: at("maps", side, "lift_in_named_part", key) for mark, key in (("x", "other_word"), ("+", "other_caption"))}
        yield from line("lift", f"{side} × {side}", at("maps", side, "by_kind", "colour", "lift"), **controls)


def _answers(found: Sequence[Line]) -> Iterator[str]:
    """How far a memory and attention differ, where both were measured: DM-GAN against AttnGAN before others."""
    chosen = {}
    for words in ("memory", "attention"):
        there = list(dict.fromkeys(line.system for line in found if line.words == words))
        chosen[words] = next((name for name in ("DM-GAN", "AttnGAN", *there) if name in there), None)
    if None in chosen.values():
        return
    for panel, detail, said in (("share", "", "Share"), ("success", "in these words", "New colour through the words read")):
        pair = [next((x for x in found if (x.system, x.panel, x.detail) == (name, panel, detail)), None) for name in chosen.values()]
        if pair[0] and pair[1]:
            yield difference(f"{said}, {chosen['memory']} against {chosen['attention']}", pair[0].found, pair[1].found, 2)


def _head(panel: Panel) -> float:
    return sum(style.text_height(text, size) for text, size in _heading(panel)) + 0.03


def _heading(panel: Panel) -> tuple[tuple[str, float], tuple[str, float]]:
    return (style.wrap(panel.title, LINES / style.BOLD), style.BASE), (style.wrap(panel.about, LINES, style.SMALL), style.SMALL)


def _key(drawing: Drawing, there: set[str]) -> None:
    """The mark and colour of each way to read words."""
    left = MARGIN
    for words in (words for words in KINDS if words in there):
        axes = style.place(drawing, left, MARGIN, 0.12, style.LINE)
        axes.plot([0], [0], color=KINDS[words][0], marker=KINDS[words][1], markersize=4)
        axes.set_axis_off()
        style.write(drawing, left + 0.15, MARGIN, SAID[words])
        left += 0.15 + style.text_width(SAID[words]) + 0.2


def _panel(drawing: Drawing, panel: Panel, lines: Sequence[Line], top: float) -> None:
    (title, _), (about, _) = _heading(panel)
    style.write(drawing, MARGIN, top, title, weight="bold")
    style.write(drawing, MARGIN, top + style.text_height(title), about, size=style.SMALL, color=style.QUIET)
    top += _head(panel)
    left = MARGIN + NAME + DETAIL
    axes = style.place(drawing, left, top, WIDTH - MARGIN - VALUE - left, len(lines) * ROW)
    _axis(axes, panel, lines)
    for row, line in enumerate(lines):
        colour, mark = KINDS[line.words]
        y, first = top + row * ROW, row == 0 or lines[row - 1].system != line.system
        if first:
            name = style.wrap(line.system, NAME + DETAIL * (not line.detail) - 0.06, style.SMALL)
            style.write(drawing, MARGIN, y, name, size=style.SMALL, color=colour)
        style.write(drawing, MARGIN + NAME, y, line.detail, size=style.SMALL, color=style.QUIET)
        style.write(drawing, WIDTH - MARGIN, y, _figure(line.found.value), size=style.SMALL, ha="right")
        if line.found.interval:
            axes.plot(line.found.interval, [row + 0.5] * 2, color=colour, linewidth=1.2)
        axes.plot([line.found.value], [row + 0.5], color=colour, marker=mark, markersize=3.5)
        for sign, value in line.controls.items():
            axes.plot([value], [row + 0.5], color=style.INK, marker=sign, markersize=3.5, markeredgewidth=0.8)


def _figure(value: float) -> str:
    return short(value) if value < 10 else f"{value:.1f}"


def _axis(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    """Shares from 0 to 1; lifts on a logarithmic axis about even reading."""
    axes.set(ylim=(len(lines), 0), yticks=[])
    ticks: Sequence[float] = (0, 0.5, 1)
    if panel.chance is None:
        axes.set_xlim(-0.02, 1.02)
    else:
        values = [value for line in lines for value in (line.found.value, *(line.found.interval or ()), *line.controls.values())]
        low, high = min(0.5, *values) / 1.2, max(2.0, *values) * 1.2
        axes.set(xscale="log", xlim=(low, high))
        axes.minorticks_off()
        ticks = [tick for tick in (0.01, 0.1, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= tick <= high]
        axes.axvline(panel.chance, color=style.RULE, linewidth=1.0)
    axes.set_xticks(list(ticks), [f"{tick:g}".removeprefix("0") or "0" for tick in ticks], fontsize=style.SMALL)
    axes.tick_params(length=2, width=0.6, pad=1.5)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for row in range(1, len(lines)):
        if lines[row].system != lines[row - 1].system:
            axes.axhline(row, color="#ececec", linewidth=0.6)


def _told(row: Mapping) -> str:
    named = " ".join(str(row[key]) for key in ("system", "quantity", "of", "control") if row[key])
    return f"{named} {_figure(row['value'])}"


def _rows(line: Line) -> Iterator[dict]:
    """The figure, then its controls."""
    panel = next(panel for panel in PANELS if panel.key == line.panel)
    low, high = line.found.interval or ("", "")
    common = {"system": line.system, "words_read_by": line.words, "quantity": line.panel, "of": line.detail}
    yield common | {"control": "", "value": line.found.value, "low": low, "high": high, "file": line.found.file}
    for mark, value in line.controls.items():
        yield common | {"control": panel.control[mark], "value": value, "low": "", "high": "", "file": line.found.file}
