"""Pieces of HTML that stand alone, for a notebook's cell or an exported file: pictures in a row, shaded words, legends, tables.

Pure functions to strings; styles are inline and inherit the colour of the text, so that they read in light and dark notebooks.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from dmm.trace import Trace
from explorer import overlay, statistics
from explorer.page_html import data_uri, text
from explorer.readings import Reading

FONT = "font:14px/1.5 system-ui,sans-serif"
SMALL = "font-size:12px;opacity:.75"


def chips(row: Sequence[statistics.Chip], quantity: str, uniform: float | None = None) -> str:
    """Words in order, shaded by their number; the number stands below each word, the legend below all.

    Args:
        row: from :func:`explorer.statistics.chips`.
        quantity: key of :data:`explorer.statistics.QUANTITIES`.
        uniform: 1/T, for a quantity with places.
    """
    about = statistics.QUANTITIES[quantity]
    mark = uniform if about.places else None
    limits = overlay.limits([chip.value for chip in row], uniform=mark or 0.0) if about.places else about.limits
    cells = []
    for chip in row:
        colour = overlay.heat([[chip.value]], limits)[0, 0]
        cells.append(
            f'<span style="display:inline-block;text-align:center;margin:2px"><span style="display:block;padding:1px 8px;border-radius:4px;'
            f'background:#{bytes(colour).hex()};color:{overlay.ink(colour)}">{text(chip.word)}</span><small>{statistics.short(chip.value)}</small></span>'
        )
    return f'<div style="{FONT}">{"".join(cells)}{legend(overlay.legend(about.label, limits, about.unit, mark))}</div>'


def legend(key: overlay.Legend) -> str:
    """A legend as a bar: quantity and unit, range, and the marked numbers."""
    low, high = (statistics.bare(f"{limit:g}") for limit in key.limits)
    marks = "".join(f'<i style="position:absolute;left:{at:.1%};width:2px;height:10px;background:#fff"></i>' for at, _ in key.marks)
    said = "".join(f"; white line: {text(statistics.bare(label))}" for _, label in key.marks)
    return (
        f'<div style="{FONT};font-size:12px">{text(key.label)}: {text(key.unit)}{said}<br>{low} '
        f'<span style="display:inline-block;position:relative;width:200px;height:10px;background:{key.css}">{marks}</span> {high}</div>'
    )


def row(pictures: Mapping[str, np.ndarray], side: int = 256) -> str:
    """Pictures H W 3 uint8 side by side at one size (``side`` in px, their own pixels visible), each with its name below."""
    cells = [
        f'<figure style="margin:0;max-width:{side}px"><img src="{data_uri(Image.fromarray(pixels))}" alt="{text(name)}" '
        f'style="width:{side}px;height:{side}px;image-rendering:pixelated"><figcaption>{text(name)}</figcaption></figure>'
        for name, pixels in pictures.items()
    ]
    return f'<div style="{FONT};display:flex;flex-wrap:wrap;gap:12px">{"".join(cells)}</div>'


def picture(image: Image.Image, name: str, width: int = 900) -> str:
    """One picture, at most ``width`` px wide."""
    return f'<img src="{data_uri(image)}" alt="{text(name)}" style="width:100%;max-width:{width}px;background:#fff">'


def film(data: bytes, name: str, side: int = 256) -> str:
    """An animated GIF, ``side`` px wide."""
    return f'<img src="data:image/gif;base64,{base64.b64encode(data).decode()}" alt="{text(name)}" style="width:{side}px">'


def word_row(trace: Trace, stage: int, indices: Sequence[int], quantity: str = "addressing", strength: float = 0.6) -> str:
    """A stage's picture, and the map of words (their positions on the T axis) over the grey picture, with the legend."""
    values, name = statistics.phrase_map(trace, stage, indices, quantity), called(trace, indices)
    even, image = len(indices) * statistics.uniform(trace), trace.stages[stage].image
    limits = overlay.limits(values, uniform=even)
    about = statistics.QUANTITIES[quantity]
    size = trace.stages[stage].size or 2 * values.shape[-1]
    pictures = {f"{size} px": overlay.picture(image)} if image is not None else {}
    over = overlay.heat(values, limits) if image is None else overlay.overlay(image, values, limits, strength)
    key = overlay.legend(about.label, limits, about.unit, even if len(indices) == 1 else None)
    return row(pictures | {f"where “{name}” is read for {size} px": over}) + legend(key)


def called(trace: Trace, indices: Sequence[int]) -> str:
    """What words at these positions are called: one that stands again is numbered, several are as they stand."""
    if len(indices) == 1:
        return statistics.names(trace)[indices[0]]
    return " ".join(trace.tokens()[index] for index in indices)


def table(rows: Sequence[Mapping[str, object]], caption: str = "") -> str:
    """Rows with the same keys as a table; numbers as :func:`explorer.statistics.short` says them."""
    if not rows:
        return f'<p style="{FONT}">{text(caption)}: none</p>'
    head = "".join(f'<th style="text-align:left;padding:2px 14px 2px 0">{text(name)}</th>' for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f'<td style="padding:2px 14px 2px 0;text-align:left">{text(said(value))}</td>' for value in one.values()) + "</tr>"
        for one in rows
    )
    above = f'<caption style="text-align:left;{SMALL}">{text(caption)}</caption>' if caption else ""
    return (
        f'<table style="{FONT};border-collapse:collapse;font-variant-numeric:tabular-nums">{above}'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def readings(found: Sequence[Reading]) -> str:
    """Sentences with the probability of each word below it, and of the whole; nothing for none."""
    said = ""
    for one in found:
        words = "".join(
            f'<span style="display:inline-block;text-align:center;margin:0 5px 4px 0">{text(word)}<br>'
            f"<small>{statistics.short(share)}</small></span>"
            for word, share in one.words
        )
        said += f'<li><span style="{SMALL}">probability {one.probability:.2g}</span><br>{words}</li>'
    return f'<ol style="{FONT}">{said}</ol>' if said else ""


def paragraph(line: str) -> str:
    """One line of text."""
    return f'<p style="{FONT};margin:6px 0">{text(line)}</p>' if line else ""


def said(value: object) -> str:
    """A value as it is shown in a table: a dash for what is not a number."""
    if isinstance(value, float):
        return statistics.short(value) if value == value else "–"
    return "" if value is None else str(value)
