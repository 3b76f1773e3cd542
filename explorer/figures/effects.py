"""How the words of a caption reached the picture: for each word a bar, split into the pathways on which it changes the picture.

A word is exchanged for another of its kind, or muted, on one pathway at a time, with the same noise (:mod:`dmm.metrics.effects`; causal
mediation analysis, Vig et al., NeurIPS 2020). The length of a segment is the change of the picture through its pathway alone; the tick is
the change when the word is exchanged everywhere. Segments need not add up to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Patch

from dmm.metrics.effects import WordEffect, WordEffects
from explorer.figures import style
from explorer.figures.registry import FigureError, Option, Result, register_figure, seed_option
from explorer.overlay import PATHWAYS, picture
from explorer.statistics import bare, short

CAPTION = "this small bird has a yellow crown and a white belly"
WIDTH, MARGIN = 6.6, 0.12  # inches
SIDE = 1.5  # inches, the picture
NAME = 1.55  # inches, a word and what it was exchanged for
VALUE = 0.5  # inches, the total at the right
ROW = 0.2  # inches
BAR = 0.12  # inches


@register_figure(
    "memory-effects",
    title="How each word reached the picture",
    source="causal mediation analysis (Vig et al., NeurIPS 2020, Fig. 1) of the memories of DM-GAN and DMM-GAN",
    options=(
        Option("caption", "text", CAPTION, "the sentence", makes="trace"),
        seed_option("noise seed"),
    ),
    shows="effects",
)
def memory_effects(effects: Sequence[WordEffects]) -> Result:
    """The picture, and beside it a bar for each word: the change through each pathway, and the total as a tick."""
    if len(effects) != 1:
        raise FigureError(f"memory-effects shows one caption, found {len(effects)}")
    found = effects[0]
    parts = [name for name in found.pathways if name != "total"]
    high = max((max(word.changes["total"], sum(word.changes[name] for name in parts)) for word in found.words), default=0.0) or 1.0
    heading = style.wrap(f"“{found.caption}”, seed {found.seed}", WIDTH - 2 * MARGIN, style.LARGE)
    head = style.text_height(heading, style.LARGE) + 0.14
    body = max(SIDE, len(found.words) * ROW) + 0.25
    with style.sheet(WIDTH, 2 * MARGIN + head + body + 0.55) as drawing:
        style.write(drawing, MARGIN, MARGIN, heading, size=style.LARGE)
        style.tile(drawing, MARGIN, MARGIN + head, SIDE, picture(found.base[None]))
        for place, word in enumerate(found.words):
            _bar(drawing, word, parts, high, MARGIN + head + place * ROW)
        if not found.words:
            style.write(drawing, MARGIN + SIDE + 0.2, MARGIN + head, "No word can be left out or exchanged.", color=style.QUIET)
        _key(drawing, parts, high, MARGIN + head + body)
    return Result(drawing, [_record(found, word, name) for word in found.words for name in found.pathways])


def _left() -> float:
    return MARGIN + SIDE + 0.2 + NAME


def _bar(drawing: Drawing, word: WordEffect, parts: Sequence[str], high: float, top: float) -> None:
    other = "muted" if word.other is None else f"→ {word.other}"
    style.write(drawing, MARGIN + SIDE + 0.2, top, style.clip(word.word, 0.75))
    style.write(drawing, MARGIN + SIDE + 1.0, top, style.clip(other, NAME - 0.85), color=style.QUIET)
    axes = style.place(drawing, _left(), top + 0.01, WIDTH - MARGIN - VALUE - _left(), BAR)
    axes.set(xlim=(0, 1.02 * high), ylim=(0, 1), xticks=[], yticks=[])
    axes.set_facecolor("#f2f2f2")
    start = 0.0
    for name in parts:
        axes.axvspan(start, start + word.changes[name], color=PATHWAYS[name][1], linewidth=0)
        start += word.changes[name]
    axes.axvline(word.changes["total"], color=style.INK, linewidth=1.4)
    for spine in axes.spines.values():
        spine.set_visible(False)
    style.write(drawing, WIDTH - MARGIN, top, short(word.changes["total"]), size=style.SMALL, ha="right")


def _key(drawing: Drawing, parts: Sequence[str], high: float, top: float) -> None:
    """What the colours, the tick and the lengths mean."""
    axes = style.place(drawing, MARGIN, top, WIDTH - 2 * MARGIN, 0.4)
    axes.set_axis_off()
    patches = [Patch(color=PATHWAYS[name][1], label=PATHWAYS[name][0]) for name in parts]
    axes.legend(handles=patches, ncols=2, loc="upper left", frameon=False, fontsize=style.SMALL, borderpad=0, borderaxespad=0)
    note = f"Mean absolute change of the pixels in [-1, 1], bars from 0 to {bare(f'{high:.3g}')}; tick and number: exchanged everywhere."
    style.write(drawing, MARGIN, top + 0.36, style.wrap(note, WIDTH - 2 * MARGIN, style.SMALL), size=style.SMALL, color=style.QUIET)


def _record(found: WordEffects, word: WordEffect, pathway: str) -> dict:
    total = word.changes["total"]
    return {
        "caption": found.caption,
        "seed": found.seed,
        "word": word.word,
        "position": word.position,
        "other": word.other or "",
        "pathway": pathway,
        "change": word.changes[pathway],
        "share_of_total": word.changes[pathway] / total if total else "",
    }
