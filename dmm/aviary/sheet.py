"""A contact sheet of Aviary: birds in rows, a caption under each; the picture to look at after any change to the renderer."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from dmm.aviary.grammar import captions
from dmm.aviary.species import SPECIES, bird
from dmm.errors import InputError
from dmm.images import to_pil

_PAPER, _INK, _FAINT = (250, 248, 243), (52, 48, 44), (146, 138, 128)


def sheet(
    count: int = 24,
    columns: int = 6,
    size: int = 256,
    seed: int = 0,
    level: str = "garden",
    split: str = "train",
    start: int = 0,
) -> Image.Image:
    """Birds ``start`` to ``start + count - 1`` of a population, each with its species and first caption.

    Args:
        count: birds.
        columns: birds in a row.
        size: side of a bird's picture, px.

    Raises:
        ValueError: no birds or no columns, or no such population.
    """
    if count < 1 or columns < 1:
        raise InputError(f"expected at least one bird and one column, found {count} and {columns}")
    from dmm.aviary.renderer import render

    birds = [bird(i, seed, level, split) for i in range(start, start + count)]
    pictures = [to_pil(render([one], size)[0] * 2 - 1) for one in birds]
    gap, letter = max(8, size // 14), max(10, size // 17)
    font, small = ImageFont.load_default(letter), ImageFont.load_default(max(9, letter * 3 // 4))
    texts = [_wrap(captions(one)[0].text, font, size) for one in birds]
    rows = [range(k, min(count, k + columns)) for k in range(0, count, columns)]
    line = letter * 5 // 4
    heights = [size + line * (max(len(texts[i]) for i in row) + 1) + letter for row in rows]
    page = Image.new("RGB", (min(columns, count) * (size + gap) + gap, sum(heights) + gap * (len(rows) + 1)), _PAPER)
    draw, y = ImageDraw.Draw(page), gap
    for row, height in zip(rows, heights, strict=True):
        for column, i in enumerate(row):
            x = gap + column * (size + gap)
            page.paste(pictures[i], (x, y), _rounded(size, max(2, size // 32)))
            draw.text((x, y + size + letter // 2), SPECIES[birds[i].species].name.replace("_", " "), _FAINT, small)
            for k, words in enumerate(texts[i]):
                draw.text((x, y + size + letter // 2 + line * (k + 1)), words, _INK, font)
        y += height + gap
    return page


def _wrap(text: str, font, width: int) -> list[str]:
    """The text in lines no wider than ``width`` px (a longer word has a line of its own)."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _rounded(size: int, radius: int) -> Image.Image:
    """A mask with round corners, L, smooth at the edge."""
    large = Image.new("L", (2 * size, 2 * size), 0)
    ImageDraw.Draw(large).rounded_rectangle((0, 0, 2 * size - 1, 2 * size - 1), 2 * radius, fill=255)
    return large.resize((size, size), Image.Resampling.LANCZOS)
