"""Between two sentences: pictures of features on the straight line from one sentence feature to another, with the same noise (DF-GAN).

For a system that reads the sentence alone (DF-GAN, StackGAN++) this is all of its text. One that reads words keeps those of the first
sentence; what then changes comes through the sentence only.
"""

from __future__ import annotations

from collections.abc import Sequence

from dmm.trace import Trace
from explorer import statistics
from explorer.figures import style
from explorer.figures.registry import Option, Result, register_figure, seed_option
from explorer.overlay import picture

WIDTH, MARGIN, GAP = style.SHEET, 0.1, 0.05  # inches: sheet, its edge, between pictures


@register_figure(
    "dfgan-interpolation",
    title="Pictures between two sentences",
    source="DF-GAN (Tao et al., CVPR 2022)",
    shows="between",
    system="dfgan",
    needs=("image",),
    reads=("word_attention", "addressing"),
    options=(
        Option("first", "text", "a small red bird with a white belly", "the sentence at the left", makes="trace"),
        Option("last", "text", "a small blue bird with a yellow belly", "the sentence at the right", makes="trace"),
        Option("steps", "int", 6, "pictures, both ends included", low=2, high=9, makes="trace"),
        seed_option("first noise seed, the same along a row", default=0),
        Option("seeds", "int", 2, "rows, noise seeds counted up from the first", low=1, high=6, makes="trace"),
    ),
)
def between(rows: Sequence[Sequence[Trace]]) -> Result:
    """Rows are noise seeds, columns are shares of the last sentence from 0 to 1."""
    steps = len(rows[0])
    side = (WIDTH - 2 * MARGIN - (steps - 1) * GAP) / steps
    shares = [place / (steps - 1) for place in range(steps)]
    first, last = rows[0][0].caption(), rows[0][-1].caption()
    half = (WIDTH - 2 * MARGIN) / 2 - 0.1
    left, right = style.wrap(f"0: {first}", half), style.wrap(f"1: {last}", half)
    reads = any(statistics.maps_of(rows[0][0], i) for i in range(len(rows[0][0].stages)))
    note = (
        "This system also reads single words: they stay those of the first sentence." if reads else "This system reads the sentence alone."
    )
    head = max(style.text_height(left), style.text_height(right)) + 0.06
    with style.sheet(WIDTH, 2 * MARGIN + head + style.LINE + len(rows) * (side + GAP) + style.LINE) as drawing:
        style.write(drawing, MARGIN, MARGIN, left)
        style.write(drawing, WIDTH - MARGIN - half, MARGIN, right)
        for place, share in enumerate(shares):
            style.write(
                drawing, MARGIN + place * (side + GAP) + side / 2, MARGIN + head, statistics.short(share), ha="center", weight="bold"
            )
        down = MARGIN + head + style.LINE
        for row in rows:
            for place, trace in enumerate(row):
                style.tile(drawing, MARGIN + place * (side + GAP), down, side, picture(trace.images[-1]))
            down += side + GAP
        style.write(drawing, MARGIN, down, note, color=style.QUIET)
    return Result(
        drawing,
        [
            {"first": first, "last": last, "seed": trace.seed(), "share_of_last": share, "size_px": trace.images[-1].shape[-1],
             "words_of_first_read": reads}
            for row in rows
            for share, trace in zip(shares, row, strict=True)
        ],
    )  # fmt: skip
