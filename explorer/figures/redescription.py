"""MirrorGAN's redescriptions: what STREAM reads back from the picture of each stage, beside the caption that the picture was made from.

A word that the caption says too (synonyms count) is underlined; words without a claim ("a", "with", "bird") are grey and count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D

from dmm.trace import StageTrace, Trace
from explorer import statistics
from explorer.figures import style
from explorer.figures.registry import Result, captions_option, register_figure, seed_option
from explorer.overlay import picture

WIDTH, MARGIN, GAP = 5.0, 0.1, 0.08  # inches: sheet, its edge, between pictures
LINE = style.BASE * style.LEADING / 72  # inches
CAPTIONS = (
    "this small bird has a yellow crown and a white belly",
    "orange wings, a yellow crown and a bright yellow belly are seen on this large bird",
    "the bird has a blue forehead, a yellow throat and a long, black beak.",
)


@register_figure(
    "mirrorgan-redescriptions",
    title="What is read back from each picture",
    source="MirrorGAN (Qiao et al., CVPR 2019); DMM-GAN (Lynggaard, 2020)",
    needs=("image", "redescription"),
    options=(
        captions_option(CAPTIONS, "one sentence for each block"),
        seed_option(),
    ),
)
def redescriptions(traces: Sequence[Trace]) -> Result:
    """For each caption the pictures of its stages, smallest first, with the sentence read back below each."""
    count = max(len(_told(trace)) for trace in traces)
    side = min((WIDTH - 2 * MARGIN - (count - 1) * GAP) / count, 1.55)
    heads = [style.wrap(f"“{trace.captions[0]}”", WIDTH - 3 * MARGIN, style.LARGE) for trace in traces]
    tall = [style.text_height(h, style.LARGE) + 0.06 + side + 0.04 + _depth(t, side) + 0.14 for h, t in zip(heads, traces, strict=True)]
    with style.sheet(WIDTH, 2 * MARGIN + sum(tall)) as drawing:
        top = MARGIN
        for head, trace, height in zip(heads, traces, tall, strict=True):
            style.write(drawing, MARGIN, top, head, size=style.LARGE)
            down = top + style.text_height(head, style.LARGE) + 0.06
            for place, stage in enumerate(_told(trace)):
                left = MARGIN + place * (side + GAP)
                style.tile(drawing, left, down, side, picture(stage.image))
                _below(drawing, trace, stage, left, down + side + 0.04, side)
            top += height
    return Result(drawing, [_row(trace, stage) for trace in traces for stage in _told(trace)])


def _told(trace: Trace) -> list[StageTrace]:
    return [stage for stage in trace.stages if stage.redescription and stage.image is not None]


def _pairs(trace: Trace, stage: StageTrace) -> list[tuple[str, bool | None]]:
    return statistics.agreement(trace.captions[0], stage.redescription[0])


def _agreeing(pairs: Sequence[tuple[str, bool | None]]) -> tuple[int, int]:
    """How many of the words that make a claim agree, and how many there are."""
    claims = [agrees for _, agrees in pairs if agrees is not None]
    return sum(claims), len(claims)


def _lines(pairs: Sequence[tuple[str, bool | None]], inches: float) -> list[list[tuple[str, bool | None]]]:
    """Words in lines that fit a column."""
    lines: list[list[tuple[str, bool | None]]] = []
    for pair in pairs:
        if lines and style.text_width(" ".join([*(word for word, _ in lines[-1]), pair[0]])) <= inches - 0.05:
            lines[-1].append(pair)
        else:
            lines.append([pair])
    return lines


def _depth(trace: Trace, side: float) -> float:
    """Inches below the pictures: a line with size and agreement, and the longest sentence."""
    return LINE * (1 + max(len(_lines(_pairs(trace, stage), side)) for stage in _told(trace)))


def _below(drawing: Drawing, trace: Trace, stage: StageTrace, left: float, down: float, side: float) -> None:
    pairs = _pairs(trace, stage)
    agreeing, claims = _agreeing(pairs)
    said = f"{stage.size} px: {agreeing} of {claims} agree" if claims else f"{stage.size} px: no claim"
    style.write(drawing, left, down, said, weight="bold" if style.text_width(said) * 1.12 < side else "normal")
    width, height = drawing.get_size_inches()
    for number, line in enumerate(_lines(pairs, side), start=1):
        at, y = left, down + number * LINE
        for word, agrees in line:
            style.write(drawing, at, y, word, color=style.QUIET if agrees is None else style.INK)
            wide = style.text_width(word)
            if agrees:
                under = 1 - (y + (style.ASCENT + 0.2) * style.BASE / 72) / height
                ends = [at / width, (at + wide) / width]
                drawing.add_artist(Line2D(ends, [under, under], color=style.INK, linewidth=0.9, transform=drawing.transFigure))
            at += style.text_width(f"{word} a") - style.text_width("a")


def _row(trace: Trace, stage: StageTrace) -> dict:
    agreeing, claims = _agreeing(_pairs(trace, stage))
    return {
        "caption": trace.captions[0],
        "seed": trace.seeds[0],
        "size_px": stage.size,
        "redescription": stage.redescription[0],
        "words_with_a_claim": claims,
        "of_these_in_the_caption": agreeing,
    }
