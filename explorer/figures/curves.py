"""Training as curves: every number of a run's log over its steps, the evaluations with their best step marked.

Rows of ``log.jsonl`` are means since the row before; rows of ``evaluations.jsonl`` are measured at a step. The best step is that of the
largest evaluation score, which is also the one that a run keeps in ``best/``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from explorer.courses import best_step, logged
from explorer.figures import style
from explorer.figures.registry import FigureError, Option, Result, register_figure

WIDTH, MARGIN = style.SHEET, 0.1  # inches: sheet, its edge
HEIGHT, COLUMNS = 0.85, 2  # inches of a panel; panels side by side
LOOKS = (("#0072b2", "-"), ("#d55e00", "--"), ("#009e73", "-."), ("#1a1a1a", ":"))  # Okabe and Ito's colours, a run each

Logs = Mapping[str, Sequence[dict]]


@register_figure(
    "training-curves",
    title="Losses and scores over training, the best step marked",
    source="logs of training runs",
    shows="logs",
    options=(
        Option("quantities", "text", "", "names of columns, with commas between; empty: all numbers that the logs hold"),
        Option("smooth", "int", 1, "rows of the log averaged to a point", low=1, high=1000),
    ),
)
def curves(logs: Logs, quantities: str = "", smooth: int = 1) -> Result:
    """One panel a quantity, one line a run."""
    if len(logs) > len(LOOKS):
        raise FigureError(f"training-curves: at most {len(LOOKS)} runs in one figure, found {len(logs)}")
    series = {name: logged(rows, smooth) for name, rows in logs.items()}
    known = list(dict.fromkeys(q for found in series.values() for q in found))
    chosen = [q.strip() for q in quantities.split(",") if q.strip()] or known
    for name in chosen:
        if name not in known:
            raise FigureError(f"quantities: expected some of {', '.join(known)}; found {name!r}")
    best = {name: best_step(rows) for name, rows in logs.items()}
    lines = -(-len(chosen) // COLUMNS)
    head = len(logs) * style.LINE + 0.08
    left, width = 0.42, (WIDTH - 2 * MARGIN) / COLUMNS - 0.52
    with style.sheet(WIDTH, 2 * MARGIN + head + lines * (HEIGHT + style.LINE + 0.42)) as drawing:
        _names(drawing, best)
        for place, quantity in enumerate(chosen):
            x = MARGIN + place % COLUMNS * (WIDTH - 2 * MARGIN) / COLUMNS
            y = MARGIN + head + place // COLUMNS * (HEIGHT + style.LINE + 0.42)
            style.write(drawing, x + left, y, quantity.replace("_", " "), weight="bold")
            _panel(style.place(drawing, x + left, y + style.LINE + 0.02, width, HEIGHT), series, best, quantity)
    return Result(drawing, [row for quantity in chosen for name in series for row in _rows(name, series[name], best[name], quantity)])


def _names(drawing: Drawing, best: Mapping[str, tuple[int, float] | None]) -> None:
    """Each run with its line and its best step."""
    for number, (name, found) in enumerate(best.items()):
        colour, dash = LOOKS[number]
        axes = style.place(drawing, MARGIN, MARGIN + number * style.LINE, 0.3, style.LINE * 0.8)
        axes.plot([0, 1], [0.5, 0.5], color=colour, linestyle=dash, linewidth=1.2)
        axes.axis("off")
        said = f"best step {found[0]:,} (vertical line), score {found[1]:.3f}" if found else "no evaluation, so no best step"
        short = name.rstrip("/").rsplit("/", 1)[-1]
        style.write(drawing, MARGIN + 0.38, MARGIN + number * style.LINE, f"{short}: {said}")


def _panel(axes: Axes, series: Mapping, best: Mapping[str, tuple[int, float] | None], quantity: str) -> None:
    ends = [step for found in series.values() if quantity in found for step in (found[quantity][0][0], found[quantity][0][-1])]
    for number, (name, found) in enumerate(series.items()):
        colour, dash = LOOKS[number]
        if quantity in found:
            steps, values = found[quantity]
            axes.plot(steps, values, color=colour, linestyle=dash, linewidth=1.0, marker="o" if len(steps) == 1 else None, markersize=2)
        if (chosen := best[name]) is not None:
            axes.axvline(chosen[0], color=colour, linewidth=0.8, linestyle=(0, (1, 1)))
    low, high = min(ends), max(ends)
    axes.set_xticks([low, high] if high > low else [low])
    axes.set_xticklabels([f"{step:,}" for step in ([low, high] if high > low else [low])], fontsize=style.BASE)
    axes.tick_params(length=2, width=0.6, pad=1.5, labelsize=style.BASE)
    axes.locator_params(axis="y", nbins=3)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _rows(name: str, series: Mapping, best: tuple[int, float] | None, quantity: str) -> list[dict]:
    steps, values = series.get(quantity, ([], []))
    at = best[0] if best else ""
    return [{"run": name, "quantity": quantity, "step": s, "value": v, "best_step": at} for s, v in zip(steps, values, strict=True)]
