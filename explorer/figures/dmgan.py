"""Figures of the DM-GAN paper (CVPR 2019), drawn from the traces of any model that has their quantities.

Fig. 4 shows the three stages of four captions. Fig. 6b shows which words the memory writing (the gate, Eq. 7) and the key addressing
(Eq. 4) favour when 128 and 256 px are generated.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure as Drawing

from dmm.trace import Trace
from explorer import statistics
from explorer.figures import style
from explorer.figures.registry import FigureError, Option, Result, captions_option, register_figure, seed_option
from explorer.figures.stop_words import KEY, ranked, shown_word, stop_words_option
from explorer.overlay import Limits, legend, limits, overlay, picture

PAPER = "DM-GAN (Zhu et al., CVPR 2019)"
FIGURE_4 = (
    "This small bird has a yellow crown and a white belly.",
    "This bird has a blue crown with white throat and brown secondaries.",
    "This bird has a red head, throat and chest, with a white belly.",
    "A primarily black bird with streaks of white and yellow and a medium sized beak.",
)
FIGURE_6B = "This bird is blue with white and has a very short beak."

SEED = seed_option()

WIDTH = style.PAGE  # inches
MARGIN = 0.12  # inches
GAP = 0.08  # inches between tiles
SIDE = 1.9  # inches, the picture of Fig. 6b
BAND = 0.2  # inches between bands of Fig. 4
SCALES = ("shared", "own")
PARAGRAPH = 0.03  # inches after a paragraph
LEFT = MARGIN + SIDE + 0.25  # inches, where the words of Fig. 6b begin
RANKED = {
    "writing_gate": ("Memory writing", "writing gate, bar from 0 to 1 (Eq. 7)"),
    "addressing": ("Key addressing", "mean over the picture, bar from 0 to {high}, tick at 1/T (Eq. 4)"),
}
STAGE_NAMES = ("initial image", "after one refinement", "after two refinements")
ONLY = ("generated image",)  # of a system with one picture


@register_figure(
    "dmgan-fig4",
    title="The three stages of several captions",
    source=f"{PAPER}, Fig. 4",
    printed="page",
    system="dmgan",
    needs=("image",),
    options=(
        captions_option(FIGURE_4, "one sentence for each column"),
        SEED,
        Option("columns", "int", 4, "captions side by side before a new band begins", low=1, high=6),
        Option("redescription", "bool", False, "also print what STREAM reads back from the last picture"),
    ),
)
def stages(traces: Sequence[Trace], columns: int = 4, redescription: bool = False) -> Result:
    """Columns are captions, rows are stages; the caption stands under its column. Every stage is shown at one size, pixels unsmoothed."""
    columns = min(columns, len(traces))
    label, gap = 0.85, GAP  # inches
    side = min((WIDTH - 2 * MARGIN - label - columns * gap) / columns, 2.2)
    bands = [traces[i : i + columns] for i in range(0, len(traces), columns)]
    texts = [[_under(trace, side, redescription) for trace in band] for band in bands]
    depth = max(len(trace.images) for trace in traces)
    heights = [
        depth * (side + gap) + max(sum(style.text_height(t, s) + PARAGRAPH for t, s, _ in column) for column in band) + BAND
        for band in texts
    ]
    rows = [row for trace in traces for row in _stage_rows(trace, redescription)]
    with style.sheet(2 * MARGIN + label + columns * (side + gap), 2 * MARGIN + sum(heights) - BAND) as drawing:
        top = MARGIN
        for band, columns_text, height in zip(bands, texts, heights, strict=True):
            _band(drawing, band, columns_text, top, label, side, gap)
            top += height
    return Result(drawing, rows)


def _band(drawing: Drawing, band: Sequence[Trace], texts, top: float, label: float, side: float, gap: float) -> None:
    names = STAGE_NAMES if len(band[0].images) > 1 else ONLY
    for row, image in enumerate(band[0].images):
        size = image.shape[-1]
        middle = top + row * (side + gap) + side / 2
        name = style.wrap(names[row], label - 0.1, style.SMALL) if row < len(names) else ""
        style.write(drawing, MARGIN, middle - 0.16, f"{size} × {size}", weight="bold")
        style.write(drawing, MARGIN, middle + 0.02, name, size=style.SMALL, color=style.QUIET)
    for column, (trace, text) in enumerate(zip(band, texts, strict=True)):
        left = MARGIN + label + column * (side + gap)
        for row, image in enumerate(trace.images):
            style.tile(drawing, left, top + row * (side + gap), side, picture(image))
        under = top + len(trace.images) * (side + gap)
        for line, size, colour in text:
            style.write(drawing, left, under, line, size=size, color=colour)
            under += style.text_height(line, size) + PARAGRAPH


def _under(trace: Trace, side: float, redescription: bool) -> list[tuple[str, float, str]]:
    """The texts under a column: (wrapped text, size in points, colour)."""
    lines = [(style.wrap(trace.caption(), side, style.BASE), style.BASE, style.INK)]
    missing = statistics.unspoken(trace)
    if missing:
        lines.append((style.wrap(f"not in the vocabulary: {', '.join(missing)}", side, style.SMALL), style.SMALL, style.QUIET))
    last = trace.stages[-1].redescription
    if redescription and last:
        lines.append((style.wrap(f"STREAM: “{last[0]}”", side, style.SMALL), style.SMALL, style.QUIET))
    return lines


def _stage_rows(trace: Trace, redescription: bool) -> list[dict]:
    last = trace.stages[-1] if redescription else None  # the one whose sentence is printed
    return [
        {
            "caption": trace.caption(),
            "seed": trace.seed(),
            "stage": number,
            "size_px": stage.size,
            "not_in_vocabulary": " ".join(statistics.unspoken(trace)),
            "redescription": stage.redescription[0] if stage is last and stage.redescription else "",
        }
        for number, stage in enumerate(trace.stages)
        if stage.image is not None
    ]


@register_figure(
    "dmgan-fig6b",
    title="Top words by memory writing and by key addressing",
    source=f"{PAPER}, Fig. 6b",
    printed="page",
    system="dmgan",
    needs=("image", "writing_gate", "addressing"),
    options=(
        Option("caption", "text", FIGURE_6B, "the sentence", makes="trace"),
        SEED,
        Option("top", "int", 5, "words shown in each row", low=1, high=8),
        stop_words_option(),
        Option("strength", "float", 0.6, "opacity of the heat over the grey picture, 0 to 1", low=0.0, high=1.0),
        Option(
            "scale", "choice", "shared", "one range for all maps, or each map stretched over its own, as papers print them", choices=SCALES
        ),
    ),
)
def top_words(traces: Sequence[Trace], top: int = 5, stop_words: str = "mark", strength: float = 0.6, scale: str = "shared") -> Result:
    """For each refinement stage: its picture, and two rows of words with the map of each word's key addressing over the grey picture."""
    if len(traces) != 1:
        raise FigureError(f"dmgan-fig6b shows one caption, found {len(traces)}")
    trace = traces[0]
    numbers = [i for i in range(len(trace.stages)) if statistics.has(trace, i, "writing_gate") and statistics.has(trace, i, "addressing")]
    rows = {(i, quantity): ranked(trace, i, quantity, top, stop_words) for i in numbers for quantity in RANKED}
    maps = [statistics.word_map(trace, i, chip.index) for (i, _), chips in rows.items() for chip in chips]
    shared = limits(*maps, uniform=statistics.uniform(trace))
    heading = style.wrap(f"“{trace.caption()}”", WIDTH - 2 * MARGIN, style.LARGE)
    head = style.text_height(heading, style.LARGE) + 0.14
    row = _thumb(top) + (0.71 if scale == "shared" else 0.84)
    with style.sheet(WIDTH, 2 * MARGIN + head + len(numbers) * (2 * row + 0.1) + 0.5) as drawing:
        style.write(drawing, MARGIN, MARGIN, heading, size=style.LARGE)
        down = MARGIN + head
        for number in numbers:
            _stage_picture(drawing, trace, number, down)
            for quantity in RANKED:
                _word_heading(drawing, quantity, shared[1], down)
                for place, chip in enumerate(rows[number, quantity]):
                    left = LEFT + place * (_thumb(top) + GAP)
                    said, colour = shown_word(chip.word, stop_words, statistics.names(trace)[chip.index])
                    style.write(drawing, left, down + 0.2, style.clip(said, _thumb(top)), color=colour)
                    _word(drawing, trace, number, chip, shared if scale == "shared" else None, strength, left, down + 0.2, _thumb(top))
                    _word_value(drawing, trace, quantity, chip, shared[1], left, down + 0.42 + _thumb(top), _thumb(top))
                down += row
            down += 0.1
        _key(drawing, trace, shared, scale, down)
        if stop_words == "mark":
            style.write(drawing, LEFT, down + 0.42, KEY, size=style.SMALL, color=style.QUIET)
    spans = None if scale == "own" else shared
    return Result(drawing, [_word_record(trace, i, quantity, chip, spans) for (i, quantity), chips in rows.items() for chip in chips])


def _key(drawing: Drawing, trace: Trace, shared: Limits, scale: str, down: float) -> None:
    """The foot of the sheet: what the gate can say, and what a shade means."""
    addressing = statistics.QUANTITIES["addressing"]
    if scale == "shared":
        key = legend(addressing.label, shared, addressing.unit, statistics.uniform(trace))
        style.colour_bar(drawing, LEFT, down, WIDTH - MARGIN - LEFT, key)
    else:
        key = legend(f"{addressing.label}, each map over its own range", (0, 1), addressing.unit)
        style.colour_bar(drawing, LEFT, down, WIDTH - MARGIN - LEFT, key, ends=("smallest of the map", "largest of the map"))
    note = style.wrap(statistics.QUANTITIES["writing_gate"].note, SIDE, style.SMALL)
    style.write(drawing, MARGIN, down, note, size=style.SMALL, color=style.QUIET)


def _thumb(top: int) -> float:
    """Side of a thumbnail, inches, so that ``top`` of them (at least 5) fill the width beside the picture."""
    count = max(top, 5)
    return (WIDTH - MARGIN - LEFT - (count - 1) * GAP) / count


def _stage_picture(drawing: Drawing, trace: Trace, number: int, down: float) -> None:
    stage = trace.stages[number]
    size, cells = stage.size, stage.quantity("addressing").shape[-1]
    style.write(drawing, MARGIN, down, f"{size} × {size}", weight="bold")
    style.tile(drawing, MARGIN, down + 0.2, SIDE, picture(stage.quantity("image")))
    note = style.wrap(f"The memory is read on the {cells} × {cells} map before this picture.", SIDE, style.SMALL)
    style.write(drawing, MARGIN, down + 0.26 + SIDE, note, size=style.SMALL, color=style.QUIET)


def _word_heading(drawing: Drawing, quantity: str, high: float, down: float) -> None:
    name, note = RANKED[quantity]
    style.write(drawing, LEFT, down, name, weight="bold")
    note = note.format(high=statistics.bare(f"{high:g}"))
    style.write(drawing, WIDTH - MARGIN, down + 0.01, note, size=style.SMALL, color=style.QUIET, ha="right")


def _word(
    drawing: Drawing,
    trace: Trace,
    number: int,
    chip: statistics.Chip,
    shared: Limits | None,
    strength: float,
    left: float,
    top: float,
    thumb: float,
) -> None:
    """A word's map over the grey picture, below its name, and without a shared range the map's own range below the value."""
    values = statistics.word_map(trace, number, chip.index)
    low, high = float(values.min()), float(values.max())
    own = (low, high) if high > low else (low, low + 1)
    style.tile(drawing, left, top + 0.17, thumb, overlay(trace.stages[number].quantity("image"), values, shared or own, strength))
    if shared is None:
        ends = f"{statistics.short(low)} to {statistics.short(high)}"
        style.write(drawing, left, top + thumb + 0.35, ends, size=style.SMALL - 0.5, color=style.QUIET)


def _word_value(
    drawing: Drawing, trace: Trace, quantity: str, chip: statistics.Chip, high: float, left: float, top: float, thumb: float
) -> None:
    high, mark = (1.0, None) if quantity == "writing_gate" else (high, statistics.uniform(trace))
    style.value_bar(drawing, left, top + 0.012, thumb - 0.3, chip.value, high, mark)
    style.write(drawing, left + thumb, top, statistics.short(chip.value), size=style.SMALL, ha="right")


def _word_record(trace: Trace, number: int, quantity: str, chip: statistics.Chip, shared: Limits | None) -> dict:
    values = statistics.word_map(trace, number, chip.index)
    low, high = shared or (float(values.min()), float(values.max()))
    return {
        "caption": trace.caption(),
        "seed": trace.seed(),
        "stage": number,
        "size_px": trace.stages[number].size,
        "quantity": quantity,
        "rank": chip.rank,
        "word": chip.word,
        "position": chip.index,
        "value": chip.value,
        "uniform": statistics.uniform(trace) if quantity == "addressing" else "",
        "drawn_from": low,
        "drawn_to": high,
    }
