"""The outcome of a blind vote between two contenders (:mod:`explorer.ballots`): shares with their exact intervals, agreement of the voters.

Votes on one pair are not independent of each other, so the share of pairs, each counted once by its majority, is the one to report. The
share of the left side is a control: a vote without sides has it near one half.
"""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure as Drawing

from explorer.figures import style
from explorer.figures.registry import FigureError, Option, Result, register_figure
from explorer.figures.tables import LINES, MARGIN, WIDTH
from explorer.statistics import short

NAME, VALUE = 0.9, 1.05  # inches, left and right of the plot
ROW = 0.22  # inches
COUNTED = {"pairs": "pairs won", "votes": "votes", "left": "left side chosen"}


@register_figure(
    "dmmgan-vote",
    title="The outcome of a blind vote on pairs of pictures",
    source="DMM-GAN (Lynggaard, 2020), A/B vote; Clopper-Pearson intervals, kappa of Cohen or Fleiss",
    shows="votes",
    options=(
        Option("votes", "text", "", "file of votes: CSV as the page saves it, or SQLite with --model", makes="files"),
        Option("first", "text", "", "contender whose share is shown; empty: the page's first, or the first in the alphabet", makes="files"),
        Option("second", "text", "", "the other contender, of a SQLite file; empty: as on the page", makes="files"),
    ),
)
def vote(found: Mapping) -> Result:
    """Shares of the first contender over pairs and votes, and of the left side, against one half."""
    if not found["votes"]["of"]:
        raise FigureError(f"dmmgan-vote: nobody has voted on {found['first']} against {found['second']} in this file")
    kappa = found["agreement"]["kappa"]
    counts = [f"{found['voters']} voter{'s' * (found['voters'] != 1)}"]
    counts.append(f"{found['agreement']['measure']} {'undefined' if kappa is None else f'{kappa:.2f}'}")
    if tied := found["pairs"]["tied"]:
        counts.append(f"{tied} pair{'s' * (tied != 1)} tied")
    notes = (
        f"{', '.join(counts)}. Bars: exact 95 % intervals; p: exact test against one half (line). Votes on one pair are not independent."
    )
    names = style.wrap(f"For {found['first']}, against {found['second']}", LINES / style.BOLD)
    notes = style.wrap(notes, LINES, style.SMALL)
    head, plot = style.text_height(names) + 0.06, ROW * len(COUNTED)
    with style.sheet(WIDTH, 2 * MARGIN + head + plot + 0.24 + style.text_height(notes, style.SMALL)) as drawing:
        style.write(drawing, MARGIN, MARGIN, names, weight="bold")
        _plot(drawing, found, MARGIN + head)
        style.write(drawing, MARGIN, MARGIN + head + plot + 0.24, notes, size=style.SMALL, color=style.QUIET)
    common = {"first": found["first"], "second": found["second"], "voters": found["voters"]}
    fields = ("for_first", "of", "share", "low", "high", "p")
    agreement = {"agreement": found["agreement"]["measure"], "kappa": "" if kappa is None else kappa}
    return Result(drawing, [common | {"counted": name} | {f: found[name][f] for f in fields} | agreement for name in COUNTED])


def _plot(drawing: Drawing, found: Mapping, top: float) -> None:
    axes = style.place(drawing, MARGIN + NAME, top, WIDTH - 2 * MARGIN - NAME - VALUE, ROW * len(COUNTED))
    axes.set(xlim=(0, 1), ylim=(len(COUNTED), 0), yticks=[], xticks=[0, 0.5, 1])
    axes.set_xticklabels(["0", ".5", "1"], fontsize=style.SMALL)
    axes.tick_params(length=2, width=0.6, pad=1.5)
    axes.axvline(0.5, color=style.RULE, linewidth=1.0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for row, (name, said) in enumerate(COUNTED.items()):
        one, colour = found[name], style.QUIET if name == "left" else "#0072b2"
        style.write(drawing, MARGIN, top + row * ROW + 0.06, said, size=style.SMALL)
        if one["of"]:
            axes.plot([one["low"], one["high"]], [row + 0.5] * 2, color=colour, linewidth=1.4)
            axes.plot([one["share"]], [row + 0.5], color=colour, marker="o", markersize=4)
        chance = "p < .001" if one["p"] < 0.001 else f"p {short(one['p'])}"
        share = f"{short(one['share'])}, {chance}" if one["of"] else "none"
        text = f"{one['for_first']} of {one['of']}: {share}"
        style.write(drawing, WIDTH - MARGIN, top + row * ROW + 0.06, text, size=style.SMALL, ha="right")
