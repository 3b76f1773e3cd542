"""How words of each class are read, over many captions: colours, parts, other claims, and words without a claim.

Of each word at each stage: the writing gate (DM-GAN, Eq. 7); the *entropy* of its map over the places relative to log N, 1 if it is read
alike everywhere; its *lift*, the mean of its map in the 5 % of places where it is read most over its mean everywhere, 1 if it is read alike
everywhere. The lift is that of a map over itself: it says how concentrated the reading is, not whether it is at the right place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from dmm.trace import Trace
from explorer import statistics
from explorer.figures import style
from explorer.figures.registry import Lacking, Result, captions_option, register_figure, seed_option
from explorer.figures.word_classes import CLASSES, word_class
from explorer.figures.word_maps import CAPTIONS as SOME

WIDTH, MARGIN = style.SHEET, 0.1  # inches: sheet, its edge
ROW = 0.2  # inches, a class
MOST_READ = 0.05  # share of the places
PANELS = {
    "writing_gate": ("writing gate", (0.0, 1.0)),
    "entropy": ("entropy of the map / log N", (0.0, 1.0)),
    "lift": ("lift in the map's top 5 %", None),
}
CAPTIONS = (*SOME, "orange wings, a yellow crown and a bright yellow belly are seen on this large bird",
            "its nape, wings and upper back are brown, and it has a purple crown.",
            "a small bird with a black throat, a purple tail and a snowy white beak")  # fmt: skip


@register_figure(
    "word-classes",
    title="Entropy, lift and gates by word class",
    source="key addressing and writing gate (DM-GAN, Eqs. 4 and 7), word attention (AttnGAN)",
    needs=("image",),
    reads=("addressing", "word_attention", "writing_gate"),
    options=(
        captions_option(CAPTIONS, "the sentences that the words are taken from"),
        seed_option(),
    ),
)
def classes(traces: Sequence[Trace]) -> Result:
    """For each stage a line of panels: a dot a word, a bar at the mean of the class; classes below each other."""
    rows = [row for trace in traces for row in measured(trace)]
    if not rows:
        raise Lacking("word-classes shows how words are read; this system reads no single words: choose one with a memory or attention")
    stages = sorted({row["stage"] for row in rows})
    panels = [p for p in PANELS if any(row[p] != "" for row in rows)]
    left = 1.0
    width = (WIDTH - 2 * MARGIN - left - 0.14 * (len(panels) - 1)) / len(panels)
    tall = 2 * style.LINE + 0.05 + len(CLASSES) * ROW + style.LINE + 0.16
    foot = style.wrap(f"{len(traces)} captions; a dot is a word, a bar the mean of its class. Lift and entropy say how concentrated a map "
                      "is, not whether it lies at the right place.", WIDTH - 3 * MARGIN)  # fmt: skip
    with style.sheet(WIDTH, 2 * MARGIN + len(stages) * tall + style.text_height(foot)) as drawing:
        for number, stage in enumerate(stages):
            own, top = [row for row in rows if row["stage"] == stage], MARGIN + number * tall
            style.write(drawing, MARGIN, top, f"for {own[0]['size_px']} px", weight="bold")
            for place, kind in enumerate(CLASSES):
                count = sum(row["class"] == kind for row in own)
                style.write(drawing, MARGIN, top + 2 * style.LINE + 0.05 + place * ROW + 0.03, f"{kind} ({count})")
            for place, panel in enumerate(panels):
                x = MARGIN + left + place * (width + 0.14)
                style.write(drawing, x, top + style.LINE, _name(panel, width))
                _dots(style.place(drawing, x, top + 2 * style.LINE + 0.05, width, len(CLASSES) * ROW), own, panel)
        style.write(drawing, MARGIN, MARGIN + len(stages) * tall, foot, color=style.QUIET)
    return Result(drawing, rows)


def _name(panel: str, inches: float) -> str:
    said = PANELS[panel][0]
    return said if style.text_width(said) <= inches else said.partition(" of ")[0].partition(" in ")[0]


def measured(trace: Trace) -> list[dict]:
    """One row for each word of each stage that reads words."""
    rows = []
    for stage in range(len(trace.stages)):
        quantity = statistics.maps_of(trace, stage)
        if quantity is None:
            continue
        gates = {c.index: c.value for c in statistics.chips(trace, stage)} if statistics.has(trace, stage, "writing_gate") else {}
        for index in statistics.word_indices(trace):
            values = statistics.word_map(trace, stage, index, quantity)
            word = trace.tokens()[index]
            rows.append({
                "caption": trace.caption(), "seed": trace.seed(), "stage": stage, "size_px": trace.stages[stage].size,
                "quantity": quantity, "word": word, "position": index, "class": word_class(word),
                "writing_gate": gates.get(index, ""), "entropy": spread(values), "lift": lift(values),
            })  # fmt: skip
    return rows


def spread(values: np.ndarray) -> float:
    """Entropy of a map over its places, relative to log N: 1 if all are alike, 0 if one has all; 0 for a map of zeros."""
    total = float(values.sum())
    if total <= 0:
        return 0.0
    share = values.astype(np.float64).ravel() / total
    share = share[share > 0]
    return float(-(share * np.log(share)).sum() / np.log(values.size))


def lift(values: np.ndarray) -> float:
    """Mean in the places where a map is largest (:data:`MOST_READ` of them, at least one) over its mean; 1 for a map of zeros."""
    mean = float(values.mean())
    most = np.sort(values, axis=None)[::-1][: max(1, round(MOST_READ * values.size))]
    return float(most.mean()) / mean if mean > 0 else 1.0


def _dots(axes: Axes, rows: Sequence[dict], panel: str) -> None:
    limits = PANELS[panel][1]
    for place, kind in enumerate(CLASSES):
        values = [row[panel] for row in rows if row["class"] == kind and row[panel] != ""]
        axes.plot(values, [place + 0.5] * len(values), linestyle="none", marker="o", markersize=2.2, color="#0072b2", alpha=0.45, mew=0)
        if values:
            axes.plot([np.mean(values)] * 2, [place + 0.12, place + 0.88], color=style.INK, linewidth=1.4)
    high = max([2.0, *(row[panel] for row in rows if row[panel] != "")]) if limits is None else limits[1]
    low = 1.0 if limits is None else limits[0]
    pad = 0.03 * (high - low)
    axes.set(xlim=(low - pad, high + pad), ylim=(len(CLASSES), 0), yticks=[], xticks=[low, high])
    axes.set_xticklabels([statistics.bare(f"{low:g}"), statistics.bare(f"{high:.3g}")], fontsize=style.BASE)
    axes.tick_params(length=2, width=0.6, pad=1.5)
    for place in range(1, len(CLASSES)):
        axes.axhline(place, color="#e6e6e6", linewidth=0.5, zorder=0)
