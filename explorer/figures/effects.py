"""How the words of a caption reached the picture: for each word a bar, split into the pathways on which it changes the picture.

A word is exchanged for another of its kind, or muted, on one pathway at a time, with the same noise (:mod:`dmm.metrics.effects`; causal
mediation analysis, Vig et al., NeurIPS 2020). The length of a segment is the change of the picture through its pathway alone; the tick is
the change when the word is exchanged everywhere. Segments need not add up to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure as Drawing

from dmm.metrics.effects import WordEffect, WordEffects
from explorer.figures import style
from explorer.figures.registry import FigureError, Option, Result, register_figure, seed_option
from explorer.overlay import PATHWAYS, picture
from explorer.statistics import bare, short

CAPTION = "this small bird has a yellow crown and a white belly"
WIDTH, MARGIN = style.SHEET, 0.1  # inches: sheet, its edge
SIDE = 1.1  # inches, the picture
NAMES = MARGIN + SIDE + 0.14  # inches, where the words begin
WORD, OTHER = 0.72, 0.78  # inches, a word, and what it was exchanged for
BARS = NAMES + WORD + OTHER + 0.08  # inches, where the bars begin
VALUE = 0.4  # inches, the total at the right
ROW = 0.2  # inches
BAR = 0.12  # inches


#: What the figures of the words of one caption have in common.
SOURCE = "causal mediation analysis (Vig et al., NeurIPS 2020, Fig. 1) of the memories of DM-GAN and DMM-GAN"
OPTIONS = (Option("caption", "text", CAPTION, "the sentence", makes="trace"), seed_option("noise seed"))


def of_one_caption(name: str, effects: Sequence[WordEffects]) -> WordEffects:
    """The effects that a figure shows.

    Raises:
        FigureError: those of several captions.
    """
    if len(effects) != 1:
        raise FigureError(f"{name} shows one caption, found {len(effects)}")
    return effects[0]


@register_figure("memory-effects", title="How each word reached the picture", source=SOURCE, options=OPTIONS, shows="effects")
def memory_effects(effects: Sequence[WordEffects]) -> Result:
    """The picture, and beside it a bar for each word: the change through each pathway, and the total as a tick."""
    found = of_one_caption("memory-effects", effects)
    parts = [name for name in found.pathways if name != "total"]
    high = max((max(word.changes["total"], sum(word.changes[name] for name in parts)) for word in found.words), default=0.0) or 1.0
    heading = style.wrap(f"“{found.caption}”, seed {found.seed}", WIDTH - 3 * MARGIN, style.LARGE)
    head = style.text_height(heading, style.LARGE) + 0.06
    body = max(SIDE, len(found.words) * ROW) + 0.1
    note = f"Mean absolute change of the pixels in [-1, 1], bars from 0 to {bare(f'{high:.3g}')}; tick and number: exchanged everywhere."
    note = style.wrap(note, WIDTH - 3 * MARGIN)
    keys = -(-len(parts) // 2) * style.LINE + 0.04
    with style.sheet(WIDTH, 2 * MARGIN + head + body + keys + style.text_height(note)) as drawing:
        style.write(drawing, MARGIN, MARGIN, heading, size=style.LARGE)
        style.tile(drawing, MARGIN, MARGIN + head, SIDE, picture(found.base[None]))
        for place, word in enumerate(found.words):
            _bar(drawing, word, parts, high, MARGIN + head + place * ROW)
        if not found.words:
            style.write(drawing, NAMES, MARGIN + head, "No word can be left out or exchanged.", color=style.QUIET)
        _key(drawing, parts, MARGIN + head + body)
        style.write(drawing, MARGIN, MARGIN + head + body + keys, note, color=style.QUIET)
    return Result(drawing, [_record(found, word, name) for word in found.words for name in found.pathways])


def _bar(drawing: Drawing, word: WordEffect, parts: Sequence[str], high: float, top: float) -> None:
    other = "muted" if word.other is None else f"→ {word.other}"
    style.write(drawing, NAMES, top, style.clip(word.word, WORD - 0.06))
    style.write(drawing, NAMES + WORD, top, style.clip(other, OTHER), color=style.QUIET)
    axes = style.place(drawing, BARS, top + 0.01, WIDTH - MARGIN - VALUE - BARS, BAR)
    axes.set(xlim=(0, 1.02 * high), ylim=(0, 1), xticks=[], yticks=[])
    axes.set_facecolor("#f2f2f2")
    start = 0.0
    for name in parts:
        axes.axvspan(start, start + word.changes[name], color=PATHWAYS[name][1], linewidth=0)
        start += word.changes[name]
    axes.axvline(word.changes["total"], color=style.INK, linewidth=1.4)
    for spine in axes.spines.values():
        spine.set_visible(False)
    style.write(drawing, WIDTH - MARGIN, top, short(word.changes["total"]), ha="right")


def _key(drawing: Drawing, parts: Sequence[str], top: float) -> None:
    """What the colours mean, in two columns."""
    for place, name in enumerate(parts):
        said, colour = PATHWAYS[name]
        left, down = MARGIN + place % 2 * (WIDTH / 2 - MARGIN), top + place // 2 * style.LINE
        style.place(drawing, left, down + 0.01, 0.16, 0.1).set(xticks=[], yticks=[], facecolor=colour)
        style.write(drawing, left + 0.21, down, said)


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
