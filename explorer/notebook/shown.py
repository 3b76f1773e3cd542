"""An answer in a notebook: plain rows, and the HTML that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from explorer import cells, readings, slots


@dataclass(frozen=True)
class Shown:
    """An answer: plain rows, and how they are shown."""

    title: str
    rows: list[dict] = field(repr=False)
    html: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        lines = ["  ".join(f"{name} {cells.said(value)}" for name, value in row.items()) for row in self.rows]
        return "\n".join([self.title, *lines])


def read_back(found: Mapping[str, Sequence[str | readings.Reading]], caption: str) -> Shown:
    """What was read in pictures, by name: the sentence that is compared with the caption, then others."""
    rows, html = [], ""
    for name, sentences in found.items():
        sentence = sentences[0] if isinstance(sentences[0], str) else sentences[0].sentence
        compared = slots.compare(caption, sentence)
        mine = [
            {"attribute": slot.name, "said": ", ".join(slot.said), "read back": ", ".join(slot.read), "verdict": slot.verdict}
            for slot in compared
        ]
        rows += [{"stage": name} | row for row in mine]
        line = slots.summary(compared) or "no attribute is named"
        html += cells.paragraph(f"{name}: “{sentence}”") + cells.table(mine, line)
        html += cells.readings([one for one in sentences if isinstance(one, readings.Reading)])
    if not html:
        html = cells.paragraph("No captioner (STREAM) came with this model, so the picture is not read back.")
    return Shown("Read back", rows, html)
