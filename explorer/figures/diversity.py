"""DM-GAN, Fig. 5: is one caption one picture? Rows are captions, columns are noise seeds.

With ``rendered``, a bird of Aviary's unseen species that the caption is about stands before each row. It is one of many birds that the
caption would allow: what the caption leaves open (pose, background, the parts it does not name) may differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure as Drawing

from dmm.trace import Trace
from explorer.figures import style
from explorer.figures.registry import FigureError, Option, Reference, Result, captions_option, register_figure, seed_option
from explorer.overlay import picture

WIDTH, MARGIN, GAP = style.SHEET, 0.1, 0.05  # inches: sheet, its edge, between tiles
GROUP = 0.16  # inches between the rendered column and the generated ones
ROW = 0.1  # inches between rows
CAPTIONS = (
    "this small bird has a yellow crown and a white belly",
    "a very small bird with a red nape, mantle and crown, and a white belly",
    "orange wings, a yellow crown and a bright yellow belly are seen on this large bird",
    "the bird has a blue forehead, a yellow throat and a long, black beak.",
    "its nape, wings and upper back are brown, and it has a purple crown.",
    "a small bird with a black throat, a purple tail and a snowy white beak",
)


@register_figure(
    "dmgan-fig5",
    title="The pictures of one caption over noise seeds",
    source="DM-GAN (Zhu et al., CVPR 2019), Fig. 5",
    system="dmgan",
    needs=("image",),
    options=(
        captions_option(CAPTIONS, "one sentence for each row"),
        seed_option("first noise seed, the same for every caption", default=0),
        Option("seeds", "int", 6, "noise seeds of each caption, counted up from the first", low=1, high=10, makes="trace"),
        Option("rendered", "bool", False, "before each row, a rendered Aviary bird of an unseen species that has all the caption says",
               makes="references"),
    ),
)  # fmt: skip
def diversity(traces: Sequence[Trace], references: Mapping[str, Reference | None] | None = None) -> Result:
    """Each caption above its row of last pictures, one a seed; with ``references``, the rendered bird of the caption comes first."""
    rows = _by_caption(traces)
    beside = references is not None
    count = len(rows[0])
    side = (WIDTH - 2 * MARGIN - (count - 1) * GAP - beside * GROUP) / (count + beside)
    side = min(side, 1.4)
    texts = [style.wrap(row[0].caption(), WIDTH - 2 * MARGIN) for row in rows]
    head = 0.2
    height = 2 * MARGIN + head + sum(style.text_height(text) + 0.04 + side + ROW for text in texts) - ROW
    with style.sheet(WIDTH, height) as drawing:
        lefts = [MARGIN + beside * (side + GROUP) + n * (side + GAP) for n in range(count)]
        _heads(drawing, [row[0].seed() for row in zip(*rows, strict=True)], lefts, side, beside)
        down = MARGIN + head
        for row, text in zip(rows, texts, strict=True):
            style.write(drawing, MARGIN, down, text)
            down += style.text_height(text) + 0.04
            if references is not None:
                _rendered(drawing, references.get(row[0].caption()), down, side)
            for trace, left in zip(row, lefts, strict=True):
                style.tile(drawing, left, down, side, picture(trace.images[-1]))
            down += side + ROW
    return Result(drawing, [record for row in rows for record in _records(row, references)])


def _by_caption(traces: Sequence[Trace]) -> list[list[Trace]]:
    """Traces of equal captions together, in their order; each caption with the same seeds."""
    rows: dict[str, list[Trace]] = {}
    for trace in traces:
        rows.setdefault(trace.caption(), []).append(trace)
    seeds = {tuple(trace.seed() for trace in row) for row in rows.values()}
    if len(seeds) > 1:
        raise FigureError(f"dmgan-fig5: expected the same seeds for every caption, each caption once; found {sorted(seeds)}")
    return list(rows.values())


def _heads(drawing: Drawing, seeds: Sequence[int], lefts: Sequence[float], side: float, beside: bool) -> None:
    """What each column is."""
    if beside:
        style.write(drawing, MARGIN + side / 2, MARGIN, "rendered", ha="center", weight="bold")
    for place, (seed, left) in enumerate(zip(seeds, lefts, strict=True)):
        name = f"seed {seed}" if place == 0 and style.text_width(f"seed {seed}") < side else f"{seed}"
        style.write(drawing, left + side / 2, MARGIN, name, ha="center", weight="bold")


def _rendered(drawing: Drawing, reference: Reference | None, down: float, side: float) -> None:
    if reference is not None:
        style.tile(drawing, MARGIN, down, side, picture(reference.image))
        return
    style.write(drawing, MARGIN, down, style.wrap("no rendered bird fits", side), color=style.QUIET)


def _records(row: Sequence[Trace], references: Mapping[str, Reference | None] | None) -> list[dict]:
    """One record for each picture of a row, from left to right."""
    caption, found = row[0].caption(), []
    if references is not None:
        reference = references.get(caption)
        note = "none fits" if reference is None else "the caption is its own" if reference.exact else "has all that the caption says"
        size = "" if reference is None else reference.image.shape[-1]
        found.append({"picture": "rendered", "seed": "", "size_px": size, "bird": reference.name if reference else "", "match": note})
    for trace in row:
        found.append({"picture": "generated", "seed": trace.seed(), "size_px": trace.images[-1].shape[-1], "bird": "", "match": ""})
    return [{"caption": caption} | record for record in found]
