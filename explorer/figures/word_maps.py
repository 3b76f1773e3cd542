"""Where each word is read: the map of every colour and part word at every stage, over the grey picture of that stage.

A map is key addressing (DM-GAN, Eq. 4; DMM-GAN) or word attention (AttnGAN, MirrorGAN): at each place a probability for each word. If
nothing is chosen, every word has 1/T everywhere; that value is marked. Beside each stage stands how evenly its words are read, the entropy
over the words relative to log T, mean over the places: 1 means that nothing is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure as Drawing

from dmm.trace import Trace
from explorer import statistics
from explorer.figures import style
from explorer.figures.registry import FigureError, Lacking, Option, Result, captions_option, register_figure, seed_option
from explorer.figures.word_classes import of_class, word_class
from explorer.overlay import Limits, legend, limits, overlay, picture

WIDTH, MARGIN, GAP = style.SHEET, 0.1, 0.06  # inches: sheet, its edge, between tiles
SIDE = 1.1  # inches, the picture
LEFT = MARGIN + SIDE + 0.14  # inches, where the maps begin
FEWEST, MOST = 4, 6  # words side by side
ABOVE, BELOW = style.LINE + 0.02, style.LINE + 0.05  # inches around a map: its word, its range
CAPTIONS = (
    "a small bird with a yellow crown and a white belly",
    "a very small bird with a red nape, mantle and crown, and a white belly",
    "the bird has a blue forehead, a yellow throat and a long, black beak.",
)
WORDS = ("colours and parts", "all but stop words", "all")
SCALES = ("own", "shared")


@dataclass(frozen=True)
class Band:
    """The maps of one stage of one caption."""

    trace: Trace
    stage: int
    quantity: str  # a key of statistics.QUANTITIES
    indices: tuple[int, ...]  # positions of the words on the T axis
    shared: Limits  # of all maps of the caption

    def map(self, index: int) -> np.ndarray:
        """H W, the map of one word."""
        return statistics.word_map(self.trace, self.stage, index, self.quantity)

    @property
    def lines(self) -> int:
        """Rows of maps."""
        return -(-len(self.indices) // MOST)

    @property
    def side(self) -> float:
        """Inches, a map."""
        columns = min(max(len(self.indices), FEWEST), MOST)
        return (WIDTH - MARGIN - LEFT - (columns - 1) * GAP) / columns

    @property
    def height(self) -> float:
        """Inches, its heading included."""
        return style.LINE + 0.04 + self.lines * (ABOVE + self.side + BELOW)


@register_figure(
    "word-maps",
    title="Where each colour and part word is read, stage by stage",
    source="key addressing (DM-GAN, Eq. 4) or word attention (AttnGAN, MirrorGAN)",
    needs=("image",),
    reads=("addressing", "word_attention"),
    options=(
        captions_option(CAPTIONS, "one sentence for each block"),
        seed_option(),
        Option("shown", "choice", "colours and parts", "the words whose maps are shown", choices=WORDS),
        Option("scale", "choice", "own", "each map stretched over its own range, or one range for all maps of a caption", choices=SCALES),
        Option("strength", "float", 0.65, "opacity of the heat over the grey picture, 0 to 1", low=0.0, high=1.0),
    ),
)
def word_maps(traces: Sequence[Trace], shown: str = WORDS[0], scale: str = "own", strength: float = 0.65) -> Result:
    """For each caption its last picture, and at every stage that reads words a row of maps with range and evenness."""
    blocks = [_bands(trace, shown) for trace in traces]
    heads = [style.wrap(f"“{trace.caption()}”", WIDTH - 3 * MARGIN, style.LARGE) for trace in traces]
    foot = 0.46
    heights = [
        style.text_height(head, style.LARGE) + 0.06 + max(sum(b.height for b in block), SIDE + style.LINE) + foot
        for head, block in zip(heads, blocks, strict=True)
    ]
    with style.sheet(WIDTH, 2 * MARGIN + sum(heights) + 0.16 * (len(heights) - 1)) as drawing:
        top = MARGIN
        for head, block, height in zip(heads, blocks, heights, strict=True):
            _block(drawing, head, block, top, scale, strength)
            top += height + 0.16
    return Result(drawing, [record for block in blocks for band in block for record in _records(band, scale)])


def _bands(trace: Trace, chosen: str) -> list[Band]:
    """One band for each stage that reads words.

    Raises:
        FigureError: no stage does, or the caption has none of the words asked for.
    """
    stages = [i for i in range(len(trace.stages)) if statistics.maps_of(trace, i)]
    if not stages:
        raise Lacking("word-maps shows where words are read, and this system reads no single words: choose one with a memory or attention")
    classes = {WORDS[0]: ("colour", "part"), WORDS[1]: ("colour", "part", "other claim")}.get(chosen)
    indices = tuple(of_class(trace, *classes) if classes else statistics.word_indices(trace))
    if not indices:
        raise FigureError(f"word-maps: “{trace.caption()}” has none of the words asked for ({chosen}); choose shown: all")
    kinds = {i: statistics.required_maps(trace, i) for i in stages}
    shared = limits(*(statistics.word_map(trace, i, w, kinds[i]) for i in stages for w in indices), uniform=statistics.uniform(trace))
    return [Band(trace, i, kinds[i], indices, shared) for i in stages]


def _block(drawing: Drawing, head: str, block: Sequence[Band], top: float, scale: str, strength: float) -> None:
    """A caption, its picture, and below each other the maps of its stages and what a shade means."""
    trace = block[0].trace
    style.write(drawing, MARGIN, top, head, size=style.LARGE)
    top += style.text_height(head, style.LARGE) + 0.06
    image = trace.images[-1]
    style.tile(drawing, MARGIN, top, SIDE, picture(image))
    style.write(drawing, MARGIN, top + SIDE + 0.03, f"{image.shape[-1]} px, seed {trace.seed()}", color=style.QUIET)
    down = top
    for band in block:
        _band(drawing, band, down, scale, strength)
        down += band.height
    _key(drawing, block[-1], max(down, top + SIDE + style.LINE), scale)


def _band(drawing: Drawing, band: Band, top: float, scale: str, strength: float) -> None:
    """The maps of a stage, each below its word, its range below it."""
    size, places = band.trace.stages[band.stage].size, band.map(band.indices[0]).shape[-1]
    even = statistics.evenness(band.trace, band.stage, band.quantity)
    style.write(drawing, LEFT, top, f"for {size} px" if size else f"stage {band.stage}", weight="bold")
    note = f"{places} × {places} places, entropy {statistics.short(even)} log T"
    style.write(drawing, WIDTH - MARGIN, top, note, color=style.QUIET, ha="right")
    top += style.LINE + 0.04
    for place, index in enumerate(band.indices):
        left = LEFT + place % MOST * (band.side + GAP)
        down = top + place // MOST * (ABOVE + band.side + BELOW)
        values = band.map(index)
        low, high = float(values.min()), float(values.max())
        own = (low, high) if high > low else (low, low + 1)
        style.write(drawing, left, down, style.clip(band.trace.tokens()[index], band.side))
        over = overlay(_image(band), values, own if scale == "own" else band.shared, strength)
        style.tile(drawing, left, down + ABOVE, band.side, over)
        ends = f"{statistics.short(low)}–{statistics.short(high)}"
        style.write(drawing, left, down + ABOVE + band.side + 0.02, ends, color=style.QUIET)


def _image(band: Band):
    """The picture of the stage, or the next one if the stage has none."""
    return next(s.image for s in band.trace.stages[band.stage :] if s.image is not None)


def _key(drawing: Drawing, band: Band, down: float, scale: str) -> None:
    """What a shade means, and the value that every word would have if nothing were chosen."""
    about, even = statistics.QUANTITIES[band.quantity], statistics.uniform(band.trace)
    width = WIDTH - MARGIN - LEFT
    if scale == "shared":
        style.colour_bar(drawing, LEFT, down, width, legend(about.label, band.shared, about.unit, even), size=style.BASE)
        return
    key = legend(f"{about.label} over its own range; if even, 1/T = {statistics.short(even)}", (0, 1))
    style.colour_bar(drawing, LEFT, down, width, key, ends=("least of the map", "most"), size=style.BASE)


def _records(band: Band, scale: str) -> list[dict]:
    """One record for each map."""
    trace, found = band.trace, []
    for index in band.indices:
        values = band.map(index)
        low, high = (float(values.min()), float(values.max())) if scale == "own" else band.shared
        word = trace.tokens()[index]
        found.append(
            {
                "caption": trace.caption(),
                "seed": trace.seed(),
                "stage": band.stage,
                "size_px": trace.stages[band.stage].size,
                "places": values.shape[-1],
                "quantity": band.quantity,
                "word": word,
                "position": index,
                "class": word_class(word),
                "smallest": float(values.min()),
                "mean": float(values.mean()),
                "largest": float(values.max()),
                "uniform": statistics.uniform(trace),
                "stage_entropy_over_log_t": statistics.evenness(trace, band.stage, band.quantity),
                "drawn_from": low,
                "drawn_to": high,
            }
        )
    return found


@register_figure(
    "attngan-maps",
    title="Attention to every word, stage by stage",
    source="AttnGAN (Xu et al., CVPR 2018)",
    system="attngan",
    needs=("image", "word_attention"),
    options=(
        captions_option(CAPTIONS[:1], "one sentence for each block"),
        seed_option(),
        Option("scale", "choice", "own", "each map stretched over its own range, or one range for all maps of a caption", choices=SCALES),
        Option("strength", "float", 0.65, "opacity of the heat over the grey picture, 0 to 1", low=0.0, high=1.0),
    ),
)
def attention_maps(traces: Sequence[Trace], scale: str = "own", strength: float = 0.65) -> Result:
    """As ``word-maps`` with all words, for systems that attend to words (AttnGAN, MirrorGAN)."""
    return word_maps(traces, WORDS[2], scale, strength)
