"""A table and its columns: published figures, and measured ones with the number of their protocol.

A measured column names the protocol of its figures by a number ([P1]) that the last table explains; a figure of another protocol says so in
its cell. What nobody measured reads "not measured".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat

from dmm.report.measures import applies, located
from dmm.report.records import Figure, Measure, Results, figure

MISSING = "not measured"
NONE = "–"  # a published table has no such row


@dataclass(frozen=True)
class Cell:
    """One figure of a table, as it is printed and as a number."""

    text: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    file: str = ""


@dataclass(frozen=True)
class Column:
    """One column of figures."""

    kind: str  # "published" or "measured"
    label: str  # what the figures are
    cells: Sequence[Cell]
    data: str = ""  # the data set, where published figures stand beside measured ones
    metric: str = ""  # of `dmm evaluate`, which measures them
    protocol: str = ""  # the number of the protocol of most of them

    @property
    def header(self) -> str:
        """As it is printed above the column."""
        where = f"{self.data} ({'measured here' if self.kind == 'measured' else self.kind}): " if self.data else ""
        return where + self.label + (f" [{self.protocol}]" if self.protocol else "")


@dataclass(frozen=True)
class Table:
    """One table."""

    key: str
    title: str
    about: str
    corner: str
    rows: Sequence[str]
    columns: Sequence[Column]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Document:
    """All of the report."""

    title: str
    made_by: str
    summary: Sequence[str]
    tables: Sequence[Table]


@dataclass
class Protocols:
    """Numbers of the protocols that the columns were measured by."""

    known: list[tuple[tuple[str, str], ...]] = field(default_factory=list)

    def name(self, protocol: tuple[tuple[str, str], ...]) -> str:
        """``P1``, ``P2``, ... in the order of first use."""
        if protocol not in self.known:
            self.known.append(protocol)
        return f"P{self.known.index(protocol) + 1}"

    def notes(self) -> list[str]:
        """What each number stands for."""
        return [
            f"P{i}: " + "; ".join(f"{name}: {said}" for name, said in known).rstrip(".") + "."
            for i, known in enumerate(self.known, start=1)
        ]


def measured(
    measure: Measure,
    subjects: Sequence[str | None],
    results: Results,
    protocols: Protocols,
    bounds: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
) -> Column:
    """The column of a measure, a cell for each subject (a recipe; None where the measure does not apply).

    ``seeds`` says with which seed the model of each subject was trained; by default the smallest. Cells follow for the ``bounds``, which
    any record of the subjects holds: "ceiling_rendered", "floor_shuffled".
    """
    subjects = [subject if subject and applies(measure, subject) else None for subject in subjects]
    trained = zip(subjects, seeds or repeat(None, len(subjects)), strict=True)
    figures = [figure(results, subject, located(measure, subject), seed) if subject else None for subject, seed in trained]
    counts = Counter(found.protocol for found in figures if found)
    usual = counts.most_common(1)[0][0] if counts else None
    cells = [_cell(found, measure, usual, protocols, subject) for found, subject in zip(figures, subjects, strict=True)]
    for bound in bounds:
        other = replace(measure, keys=tuple(bound if key == "generated" else key for key in measure.keys))
        held = [figure(results, subject, other) for subject in subjects if subject and other != measure]
        held = [found for found in held if found and found.protocol == usual]
        cells.append(_cell(held[0], measure, usual, protocols, "rendered") if held else Cell(NONE))
    return Column("measured", measure.label, cells, "Aviary", measure.metric, protocols.name(usual) if usual else "")


def _cell(found: Figure | None, measure: Measure, usual, protocols: Protocols, subject: str | None) -> Cell:
    if not subject:
        return Cell(NONE)
    if not found:
        return Cell(MISSING)
    text = f"{found.value:.{measure.digits}f}"
    if found.interval:
        text += " [" + ", ".join(f"{bound:.{measure.digits}f}" for bound in found.interval) + "]"
    if found.protocol != usual:
        text += f" ({protocols.name(found.protocol)})"
    return Cell(text, found.value, found.interval, found.file)


def quoted(data: str, label: str, rows: Sequence[str], figures: Mapping[str, str]) -> Column:
    """A column of published figures by row."""
    return Column("published", label, [Cell(figures.get(row, NONE)) for row in rows], data)
