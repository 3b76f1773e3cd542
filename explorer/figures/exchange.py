"""Whom the picture believes: a word exchanged on one pathway alone, sentence code or memory, while the others keep the caption's word.

The pictures are those whose changes ``memory-effects`` measures (:mod:`dmm.metrics.effects`; causal mediation analysis, Vig et al., NeurIPS
2020): the same noise, one word read as another of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence

from dmm.metrics.effects import WordEffects
from explorer.figures import style
from explorer.figures.effects import OPTIONS, SOURCE, of_one_caption
from explorer.figures.registry import Option, Result, register_figure
from explorer.overlay import PATHWAYS, picture
from explorer.statistics import short

WIDTH, MARGIN, GAP = style.SHEET, 0.1, 0.06  # inches: sheet, its edge, between pictures
LARGEST = 1.1  # inches, a picture
AS_GENERATED = "as generated"


@register_figure(
    "word-exchange",
    title="A word exchanged on one pathway alone",
    source=SOURCE,
    options=(*OPTIONS, Option("rows", "int", 2, "exchanged words to show, those of the largest total effect", low=1, high=10)),
    shows="effects",
    printed="page",
)
def word_exchange(effects: Sequence[WordEffects], rows: int = 2) -> Result:
    """A row for each exchanged word: the caption's picture, the word exchanged on each pathway, and everywhere; below each its change."""
    found = of_one_caption("word-exchange", effects)
    exchanged = sorted((word for word in found.words if word.other is not None), key=lambda word: -word.changes["total"])[:rows]
    exchanged.sort(key=lambda word: word.position)
    names = (AS_GENERATED, *(PATHWAYS[name][0] for name in found.pathways))
    side = min((WIDTH - 2 * MARGIN - (len(names) - 1) * GAP) / len(names), LARGEST)
    titles = [style.wrap(name, side) for name in names]
    heading = style.wrap(f"“{found.caption}”, seed {found.seed}: the word exchanged …", WIDTH - 3 * MARGIN, style.LARGE)
    top = MARGIN + style.text_height(heading, style.LARGE) + 0.06
    head = max(style.text_height(title) for title in titles) + 0.04
    note = (
        "Below: mean absolute change of the pixels in [-1, 1]."
        if exchanged
        else "No word of this caption can be exchanged for another of its kind."
    )
    row = style.LINE + side + style.LINE + 0.06
    with style.sheet(WIDTH, top + head + len(exchanged) * row + style.LINE + MARGIN) as drawing:
        style.write(drawing, MARGIN, MARGIN, heading, size=style.LARGE)
        lefts = [MARGIN + column * (side + GAP) for column in range(len(names))]
        for left, title in zip(lefts, titles, strict=True):
            style.write(drawing, left, top, title)
        for place, word in enumerate(exchanged):
            down = top + head + place * row
            style.write(drawing, MARGIN, down, style.clip(f"{word.word} → {word.other}", WIDTH - 3 * MARGIN), weight="bold")
            pictures = [found.base, *(word.pictures[name] for name in found.pathways)]
            for left, shown in zip(lefts, pictures, strict=True):
                style.tile(drawing, left, down + style.LINE, side, picture(shown[None]))
            for left, name in zip(lefts[1:], found.pathways, strict=True):
                style.write(drawing, left, down + style.LINE + side + 0.02, short(word.changes[name]), color=style.QUIET)
        style.write(drawing, MARGIN, top + head + len(exchanged) * row, note, color=style.QUIET)
    return Result(drawing, [
        {"caption": found.caption, "seed": found.seed, "word": word.word, "position": word.position, "other": word.other,
         "pathway": name, "change": word.changes[name]}
        for word in exchanged for name in found.pathways
    ])  # fmt: skip
