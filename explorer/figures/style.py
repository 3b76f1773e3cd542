"""What the figures share: type, spacing, picture tiles, legends. Drawn without pyplot, so no window and no global state is touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Drawing
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from explorer.overlay import Legend
from explorer.statistics import bare

INK = "#1a1a1a"
QUIET = "#5f5f5f"
RULE = "#c8c8c8"
SMALL, BASE, LARGE = 6.5, 7.5, 9.0  # type sizes, points
LEADING = 1.35  # from baseline to baseline, in type sizes
LINE, SMALL_LINE = BASE * LEADING / 72, SMALL * LEADING / 72  # inches
ASCENT = 0.8  # of the letters above the baseline, in type sizes
BOLD = 1.12  # width of bold type, of the plain
COLUMN, PAGE = 8.4 / 2.54, 17.4 / 2.54  # inches, what a paper prints: a column, or across the page
SHEET = 5.0  # inches: printed in a column, its BASE type is about 5 pt; anything smaller is for a sheet of that width, or for a page

FONTS = ["DejaVu Sans"]
RC = matplotlib.RcParams(
    {
        "font.family": "sans-serif",
        "font.sans-serif": FONTS,
        "font.size": BASE,
        "text.color": INK,
        "axes.edgecolor": RULE,
        "axes.linewidth": 0.6,
        "axes.labelcolor": INK,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "pdf.fonttype": 42,  # text stays text
        "svg.fonttype": "none",
        "svg.hashsalt": "dmm-gan-explorer",  # the same figure gives the same file
    }
)


@contextmanager
def sheet(width: float, height: float) -> Iterator[Drawing]:
    """A blank figure of this size in inches, in the figures' style."""
    with matplotlib.rc_context(RC):
        drawing = Drawing(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(drawing)
        yield drawing


def place(drawing: Drawing, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place measured in inches from the upper left corner."""
    full_width, full_height = drawing.get_size_inches()
    return drawing.add_axes((left / full_width, 1 - (top + height) / full_height, width / full_width, height / full_height))


def write(drawing: Drawing, left: float, top: float, text: str, size: float = BASE, ha: str = "left", **style) -> None:
    """Lines of text, the first one's upper edge at a place measured in inches from the upper left corner. Signs stand for themselves.

    Every line is set on its own baseline, so that neighbours line up whatever letters they hold.
    """
    full_width, full_height = drawing.get_size_inches()
    for number, line in enumerate(text.split("\n")):
        down = top + (ASCENT + number * LEADING) * size / 72
        drawing.text(left / full_width, 1 - down / full_height, line, size=size, ha=ha, va="baseline", parse_math=False, **style)


def tile(drawing: Drawing, left: float, top: float, side: float, pixels: np.ndarray) -> Axes:
    """A picture S S 3 uint8 as a square of ``side`` inches, its pixels unsmoothed, with a hairline frame."""
    axes = place(drawing, left, top, side, side)
    axes.imshow(pixels, interpolation="nearest", aspect="auto")
    axes.set(xticks=[], yticks=[])
    return axes


def text_width(text: str, size: float = BASE) -> float:
    """Width of one line, inches, by the font's own metrics."""
    font = FontProperties(family=FONTS, size=size)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def wrap(text: str, inches: float, size: float = BASE) -> str:
    """Text broken into lines that fit a column, measured with the font's own widths; a word wider than the column stands alone."""
    lines: list[str] = []
    for word in text.split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= inches:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


def clip(text: str, inches: float) -> str:
    """Text as it is where it fits a column in one line, else its beginning with an ellipsis."""
    if text_width(text) <= inches:
        return text
    while text and text_width(text + "…") > inches:
        text = text[:-1]
    return text + "…"


def text_height(text: str, size: float = BASE) -> float:
    """Height of wrapped text as :func:`write` sets it, inches."""
    return (text.count("\n") + 1) * LEADING * size / 72


def colour_bar(
    drawing: Drawing, left: float, top: float, width: float, legend: Legend, ends: tuple[str, str] | None = None, size: float = SMALL
) -> Axes:
    """A horizontal bar, 0.4 inches high in all: quantity and unit above; below, its range (or ``ends``) and the marked number between."""
    height = 0.09
    label = legend.label + (f": {legend.unit}" if legend.unit else "")
    write(drawing, left, top, label, size=size)
    top += 0.16
    axes = place(drawing, left, top, width, height)
    low, high = legend.limits
    axes.imshow(legend.strip, aspect="auto", extent=(low, high, 0, 1))
    axes.set(xticks=[], yticks=[], xlim=(low, high), ylim=(0, 1))
    for position, _ in legend.marks:
        value = low + position * (high - low)
        axes.axvline(value, color="white", linewidth=2.2)
        axes.axvline(value, color=INK, linewidth=0.9)
    top += height + 0.04
    write(drawing, left, top, ends[0] if ends else bare(f"{low:g}"), size=size, color=QUIET)
    write(drawing, left + width, top, ends[1] if ends else bare(f"{high:g}"), size=size, color=QUIET, ha="right")
    for _, text in legend.marks[:1]:
        write(drawing, left + width / 2, top, f"line: {bare(text)}", size=size, color=QUIET, ha="center")
    return axes


def value_bar(drawing: Drawing, left: float, top: float, width: float, value: float, high: float, mark: float | None = None) -> Axes:
    """A thin bar from 0 to ``high`` filled up to ``value``, with an optional tick."""
    axes = place(drawing, left, top, width, 0.055)
    axes.set(xlim=(0, high), ylim=(0, 1), xticks=[], yticks=[])
    axes.set_facecolor("#ececec")
    axes.axvspan(0, min(value, high), color="#3b528b", linewidth=0)
    if mark is not None:
        axes.axvline(mark, color=INK, linewidth=0.9)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes
