"""Systems side by side on the same captions: DM-GAN Figs. 1 and 3, and Fig. 6a, the words that attention and a dynamic memory favour.

Every system is a model that is given (several ``--model``), called by its name. The noise of two systems is of one seed and not the same
numbers where their noise has different sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as Drawing

from dmm.trace import Trace
from explorer import statistics
from explorer.figures import style
from explorer.figures.registry import FigureError, Option, Result, captions_option, register_figure, seed_option
from explorer.figures.stop_words import KEY, ranked, shown_word, stop_words_option
from explorer.overlay import Limits, legend, limits, overlay, picture

PAPER = "DM-GAN (Zhu et al., CVPR 2019)"
WIDTH, MARGIN, GAP = style.SHEET, 0.1, 0.06  # inches: sheet (wider where there are many systems), its edge, between tiles
LARGEST, SMALLEST = 1.5, 0.8  # inches, a picture
EXAMPLES = (
    "this small bird has a yellow crown and a white belly",
    "a very small bird with a red nape, mantle and crown, and a white belly",
    "its nape, wings and upper back are brown, and it has a purple crown.",
)
#: The birds of DM-GAN's Fig. 3, captions of CUB-200-2011; Aviary's vocabulary has all of their words.
PRINTED = (
    "This bird has wings that are grey and has a white belly.",
    "This bird has wings that are black and has a white belly.",
    "This is a grey bird with a brown wing and a small orange beak.",
    "This bird has a short brown bill, a white eyering, and a medium brown crown.",
    "This bird has a white throat and a dark yellow bill and grey wings.",
    "This particular bird has a belly that is yellow and brown.",
    "This bird is a lime green with greyish wings and long legs.",
    "This yellow bird has a thin beak and jet black eyes and thin feet.",
)
SEED = seed_option("noise seed, the same for every caption and system")

Systems = Mapping[str, Sequence[Trace]]


@register_figure(
    "dmgan-fig1",
    title="Examples of the systems: captions above, systems below each other",
    source=f"{PAPER}, Fig. 1",
    shows="systems",
    needs=("image",),
    options=(captions_option(EXAMPLES, "one sentence for each column"), SEED),
)
def examples(systems: Systems) -> Result:
    """Columns are captions, rows are systems; the last picture of each."""
    captions = [trace.caption() for trace in next(iter(systems.values()))]
    side = min((WIDTH - 2 * MARGIN - (len(captions) - 1) * GAP) / len(captions), LARGEST)
    texts = [style.wrap(caption, side - 0.04) for caption in captions]
    head = max(style.text_height(text) for text in texts) + 0.05
    with style.sheet(_wide(len(captions), side), 2 * MARGIN + head + len(systems) * (style.LINE + side + GAP + 0.04)) as drawing:
        for column, text in enumerate(texts):
            style.write(drawing, MARGIN + column * (side + GAP), MARGIN, text)
        down = MARGIN + head
        for name, traces in systems.items():
            style.write(drawing, MARGIN, down, name, weight="bold")
            for column, trace in enumerate(traces):
                style.tile(drawing, MARGIN + column * (side + GAP), down + style.LINE, side, picture(trace.images[-1]))
            down += style.LINE + side + GAP + 0.04
    return Result(drawing, _rows(systems))


@register_figure(
    "dmgan-fig3",
    title="The systems side by side on each caption",
    source=f"{PAPER}, Fig. 3",
    shows="systems",
    printed="page",
    least=2,
    needs=("image",),
    options=(captions_option(PRINTED, "one sentence for each row"), SEED),
)
def side_by_side(systems: Systems) -> Result:
    """Rows are captions, columns are systems; the last picture of each."""
    side = max(min((WIDTH - 2 * MARGIN - (len(systems) - 1) * GAP) / len(systems), LARGEST), SMALLEST)
    width = max(_wide(len(systems), side), 3.0)
    rows = list(zip(*systems.values(), strict=True))
    texts = [style.wrap(row[0].caption(), width - 3 * MARGIN) for row in rows]
    names = [_broken(name, side) for name in systems]
    head = max(style.text_height(name) for name in names) + 0.08
    height = 2 * MARGIN + head + sum(style.text_height(text) + 0.04 + side + 0.1 for text in texts)
    with style.sheet(width, height) as drawing:
        for column, name in enumerate(names):
            top = MARGIN + head - 0.08 - style.text_height(name)
            style.write(drawing, MARGIN + column * (side + GAP) + side / 2, top, name, ha="center", weight="bold")
        down = MARGIN + head
        for row, text in zip(rows, texts, strict=True):
            style.write(drawing, MARGIN, down, text)
            down += style.text_height(text) + 0.04
            for column, trace in enumerate(row):
                style.tile(drawing, MARGIN + column * (side + GAP), down, side, picture(trace.images[-1]))
            down += side + 0.1
    return Result(drawing, _rows(systems))


def _wide(count: int, side: float) -> float:
    return 2 * MARGIN + count * side + (count - 1) * GAP


def _broken(name: str, inches: float) -> str:
    """A model's name over several lines, broken behind hyphens; a part that is wider than a picture by itself is cut."""
    lines = [""]
    for part in name.replace("-", "- ").split():
        joined = lines[-1] + part
        lines = [*lines[:-1], joined] if not lines[-1] or style.text_width(joined) * style.BOLD <= inches else [*lines, part]
    return "\n".join(style.clip(line, inches / style.BOLD) for line in lines)


def _rows(systems: Systems) -> list[dict]:
    """One row for each picture."""
    return [
        {
            "system": name,
            "caption": trace.caption(),
            "seed": trace.seed(),
            "size_px": trace.images[-1].shape[-1],
            "not_in_vocabulary": " ".join(statistics.unspoken(trace)),
        }
        for name, traces in systems.items()
        for trace in traces
    ]


@register_figure(
    "dmgan-fig6a",
    title="The words that each system's attention or memory favours",
    source=f"{PAPER}, Fig. 6a",
    shows="systems",
    least=2,
    needs=("image",),
    reads=("addressing", "word_attention"),
    options=(
        Option("caption", "text", "This bird is blue with white and has a very short beak.", "the sentence", makes="trace"),
        SEED,
        Option("top", "int", 5, "words shown of each system and stage", low=1, high=6),
        stop_words_option(),
        Option("strength", "float", 0.65, "opacity of the heat over the grey picture, 0 to 1", low=0.0, high=1.0),
    ),
)  # fmt: skip
def favoured_words(systems: Systems, top: int = 5, stop_words: str = "mark", strength: float = 0.65) -> Result:
    """For each system and each stage that reads words: the picture, and its top words by the mean of their maps, each with its map."""
    lines = [(name, traces[0], stage) for name, traces in systems.items() for stage in _reading(traces[0])]
    without = ", ".join(name for name, traces in systems.items() if not _reading(traces[0]))
    if len({name for name, *_ in lines}) < 2:
        raise FigureError(f"dmgan-fig6a compares where words are read, and {without} reads no single words: name two that do, with --model")
    chosen = {(name, stage): ranked(trace, stage, statistics.required_maps(trace, stage), top, stop_words) for name, trace, stage in lines}
    shared = limits(*(m for name, trace, stage in lines for m in _maps(trace, stage, chosen[name, stage])), uniform=_even(lines))
    side = (WIDTH - 2 * MARGIN - top * GAP) / (top + 1)
    caption = lines[0][1].caption()
    heading = style.wrap(f"“{caption}”", WIDTH - 3 * MARGIN, style.LARGE)
    head = style.text_height(heading, style.LARGE) + 0.08
    row = 2 * style.LINE + 0.04 + side + style.LINE + 0.1
    notes = [KEY] if stop_words == "mark" else []
    notes += style.wrap(f"Read no single words: {without}", WIDTH - 3 * MARGIN).split("\n") if without else []
    with style.sheet(WIDTH, 2 * MARGIN + head + len(lines) * row + 0.42 + len(notes) * style.LINE) as drawing:
        style.write(drawing, MARGIN, MARGIN, heading, size=style.LARGE)
        down = MARGIN + head
        for name, trace, stage in lines:
            page = Line(drawing, name, trace, stage, chosen[name, stage], side)
            _favoured(page, shared, strength, stop_words, down)
            down += row
        _foot(drawing, lines, shared, notes, down)
    spans = {"drawn_from": shared[0], "drawn_to": shared[1]}
    return Result(drawing, [_ranked_row(name, trace, stage, chip) | spans for name, trace, stage in lines for chip in chosen[name, stage]])


def _reading(trace: Trace) -> list[int]:
    """The stages that read single words."""
    return [i for i in range(len(trace.stages)) if statistics.maps_of(trace, i)]


def _maps(trace: Trace, stage: int, chips: Sequence[statistics.Chip]) -> list:
    return [statistics.word_map(trace, stage, chip.index, statistics.required_maps(trace, stage)) for chip in chips]


def _even(lines: Sequence[tuple[str, Trace, int]]) -> float:
    return max(statistics.uniform(trace) for _, trace, _ in lines)


@dataclass(frozen=True)
class Line:
    """One system at one stage."""

    drawing: Drawing
    name: str
    trace: Trace
    stage: int
    chips: Sequence[statistics.Chip]
    side: float  # inches, a tile


def _favoured(line: Line, shared: Limits, strength: float, stop_words: str, top: float) -> None:
    """A line that says which system and stage, the picture, and the maps of its words with their means."""
    drawing, trace, side = line.drawing, line.trace, line.side
    quantity = statistics.required_maps(trace, line.stage)
    image = next(s.image for s in trace.stages[line.stage :] if s.image is not None)
    style.write(drawing, MARGIN, top, line.name, weight="bold")
    said = f"{statistics.QUANTITIES[quantity].label}, for {image.shape[-1]} px"
    style.write(drawing, WIDTH - MARGIN, top, said, color=style.QUIET, ha="right")
    tile = top + 2 * style.LINE + 0.04
    style.tile(drawing, MARGIN, tile, side, picture(image))
    for place, (chip, values) in enumerate(zip(line.chips, _maps(trace, line.stage, line.chips), strict=True), start=1):
        left = MARGIN + place * (side + GAP)
        word, colour = shown_word(chip.word, stop_words)
        style.write(drawing, left, top + style.LINE + 0.02, style.clip(word, side), color=colour)
        style.tile(drawing, left, tile, side, overlay(image, values, shared, strength))
        style.write(drawing, left, tile + side + 0.02, statistics.short(chip.value), color=style.QUIET)


def _foot(drawing: Drawing, lines: Sequence[tuple[str, Trace, int]], shared: Limits, notes: Sequence[str], down: float) -> None:
    """What a shade and a number mean, and notes, a line each."""
    unit = "probability of the word at a place; below each map its mean"
    key = legend("all maps", shared, unit, _even(lines))
    style.colour_bar(drawing, MARGIN, down, WIDTH - 2 * MARGIN, key, size=style.BASE)
    if notes:
        style.write(drawing, MARGIN, down + 0.44, "\n".join(notes), color=style.QUIET)


def _ranked_row(name: str, trace: Trace, stage: int, chip: statistics.Chip) -> dict:
    return {
        "system": name,
        "caption": trace.caption(),
        "seed": trace.seed(),
        "stage": stage,
        "quantity": statistics.maps_of(trace, stage),
        "rank": chip.rank,
        "word": chip.word,
        "position": chip.index,
        "mean": chip.value,
        "stop_word": chip.word in statistics.SMALL_WORDS,
        "uniform": statistics.uniform(trace),
    }
