"""MirrorGAN's redescriptions: what STREAM reads back from the picture of each stage, beside the caption that the picture was made from.

A word that the caption says too (synonyms count) is underlined; words without a claim ("a", "with", "bird") are grey and count for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as Drawing
from matplotlib.lines import Line2D
from torch import Tensor

from dmm.trace import Trace
from explorer import statistics
from explorer.figures import style
from explorer.figures.registry import Result, captions_option, register_figure, seed_option
from explorer.overlay import picture

WIDTH, MARGIN, GAP = style.SHEET, 0.1, 0.08  # inches: sheet, its edge, between pictures
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
    system="mirrorgan",
    options=(
        captions_option(CAPTIONS, "one sentence for each block"),
        seed_option(),
    ),
)
def redescriptions(traces: Sequence[Trace]) -> Result:
    """For each caption the pictures of its stages, smallest first, with the sentence read back below each."""
    count = max(len(_told(trace)) for trace in traces)
    side = min((WIDTH - 2 * MARGIN - (count - 1) * GAP) / count, 1.55)
    heads = [style.wrap(f"“{trace.caption()}”", WIDTH - 3 * MARGIN, style.LARGE) for trace in traces]
    tall = [style.text_height(h, style.LARGE) + 0.06 + side + 0.04 + _depth(t, side) + 0.14 for h, t in zip(heads, traces, strict=True)]
    with style.sheet(WIDTH, 2 * MARGIN + sum(tall)) as drawing:
        top = MARGIN
        for head, trace, height in zip(heads, traces, tall, strict=True):
            style.write(drawing, MARGIN, top, head, size=style.LARGE)
            down = top + style.text_height(head, style.LARGE) + 0.06
            for place, told in enumerate(_told(trace)):
                left = MARGIN + place * (side + GAP)
                style.tile(drawing, left, down, side, picture(told.image))
                _below(drawing, trace, told, left, down + side + 0.04, side)
            top += height
    return Result(drawing, [_row(trace, told) for trace in traces for told in _told(trace)])


@dataclass(frozen=True)
class _Told:
    """The picture of a stage, and what is read back from it."""

    image: Tensor  # 1 3 S S
    sentence: str

    @property
    def size(self) -> int:
        """Px."""
        return self.image.shape[-1]


def _told(trace: Trace) -> list[_Told]:
    stages = trace.stages
    return [_Told(stage.image, stage.redescription[0]) for stage in stages if stage.redescription and stage.image is not None]


def _pairs(trace: Trace, told: _Told) -> list[tuple[str, bool | None]]:
    return statistics.agreement(trace.caption(), told.sentence)


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
    return style.LINE * (1 + max(len(_lines(_pairs(trace, told), side)) for told in _told(trace)))


def _below(drawing: Drawing, trace: Trace, told: _Told, left: float, down: float, side: float) -> None:
    pairs = _pairs(trace, told)
    agreeing, claims = _agreeing(pairs)
    said = f"{told.size} px: {agreeing} of {claims} agree" if claims else f"{told.size} px: no claim"
    style.write(drawing, left, down, said, weight="bold" if style.text_width(said) * style.BOLD < side else "normal")
    width, height = drawing.get_size_inches()
    for number, line in enumerate(_lines(pairs, side), start=1):
        at, y = left, down + number * style.LINE
        for word, agrees in line:
            style.write(drawing, at, y, word, color=style.QUIET if agrees is None else style.INK)
            wide = style.text_width(word)
            if agrees:
                under = 1 - (y + (style.ASCENT + 0.2) * style.BASE / 72) / height
                ends = [at / width, (at + wide) / width]
                drawing.add_artist(Line2D(ends, [under, under], color=style.INK, linewidth=0.9, transform=drawing.transFigure))
            at += style.text_width(f"{word} a") - style.text_width("a")


def _row(trace: Trace, told: _Told) -> dict:
    agreeing, claims = _agreeing(_pairs(trace, told))
    return {
        "caption": trace.caption(),
        "seed": trace.seed(),
        "size_px": told.size,
        "redescription": told.sentence,
        "words_with_a_claim": claims,
        "of_these_in_the_caption": agreeing,
    }
