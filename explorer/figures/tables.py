"""DM-GAN's Tables 1 to 3 and DMM-GAN's 2x2, typeset for one column of a page from the tables of ``dmm report``.

Figures that the papers print (photographs) and those measured here (drawn birds) stand in blocks of their own, each under its heading:
they cannot be compared. A block takes as many columns as fit side by side. Systems and quantities without any figure are one line below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as Drawing

from dmm.report.layout import MISSING, NONE, Cell, Column, Table
from dmm.report.records import Results
from dmm.report.render import cell_row
from dmm.report.subjects import TWO_BY_TWO
from dmm.report.tables import document
from explorer.figures import style
from explorer.figures.registry import Result, register_figure, results_option

WIDTH, MARGIN = style.COLUMN, 0.04  # inches: sheet, its edge
INSIDE = WIDTH - 2 * MARGIN
LINES = 0.95 * INSIDE  # inches that a line of text may take by the font's metrics: hinting makes some wider
NAMES, GAP = 0.8, 0.08  # inches: names of rows; between columns
HEADINGS = {"published": "Published", "measured": "Measured here"}


@dataclass(frozen=True)
class Block:
    """Columns of one kind that stand side by side, and the rows that have a figure in any of them."""

    columns: Sequence[Column]
    rows: Sequence[int]
    continued: bool = False  # the columns before it did not leave room

    @property
    def heading(self) -> str:
        """Kind and data sets."""
        data = list(dict.fromkeys(column.data for column in self.columns))
        return f"{HEADINGS[self.columns[0].kind]}: {', '.join(data)}" + ", continued" * self.continued


def _register(name: str, key: str, title: str, source: str) -> None:
    @register_figure(name, title=title, source=source, shows="records", options=(results_option(),))
    def draw(results: Results) -> Result:
        return typeset(_table(results, key))


for _number, _title in enumerate(("Inception Score", "distance to real pictures, and R-precision", "the ablation"), 1):
    _register(f"dmgan-table{_number}", f"dmgan_table{_number}", _title.capitalize(), f"DM-GAN (Zhu et al., CVPR 2019), Table {_number}")


def _table(results: Results, key: str) -> Table:
    return next(table for table in document(results, "").tables if table.key == key)


def typeset(table: Table) -> Result:
    """A table as blocks below each other."""
    blocks = list(_blocks(table))
    notes = _notes(table)
    heights = [_height(table, block) for block in blocks]
    with style.sheet(WIDTH, 2 * MARGIN + sum(heights) + style.text_height(notes, style.SMALL)) as drawing:
        top = MARGIN
        for block, height in zip(blocks, heights, strict=True):
            _draw(drawing, table, block, top)
            top += height
        style.write(drawing, MARGIN, top, notes, size=style.SMALL, color=style.QUIET)
    rows = [cell_row(table.rows[i], column, column.cells[i]) for block in blocks for i in block.rows for column in block.columns]
    return Result(drawing, rows, told(rows))


def told(rows: Sequence[Mapping]) -> str:
    """Every figure in words, column by column."""
    columns: dict[str, list[str]] = {}
    for row in rows:
        columns.setdefault(row["column"], []).append(f"{row['row']} {row['text']}")
    return " ".join(f"{name}: {'; '.join(cells)}." for name, cells in columns.items())


def _blocks(table: Table) -> Iterator[Block]:
    """Published figures first; a new block begins where a column no longer fits."""
    for kind in HEADINGS:
        beside: list[Column] = []
        first = True
        for column in (c for c in table.columns if c.kind == kind and any(_there(cell) for cell in c.cells)):
            if beside and NAMES + sum(_width(c) + GAP for c in [*beside, column]) > INSIDE:
                yield _block(table, beside, not first)
                beside, first = [], False
            beside.append(column)
        if beside:
            yield _block(table, beside, not first)


def _block(table: Table, columns: Sequence[Column], continued: bool) -> Block:
    return Block(columns, [i for i in range(len(table.rows)) if any(_there(column.cells[i]) for column in columns)], continued)


def _there(cell: Cell) -> bool:
    return cell.text not in (NONE, MISSING)


def _absent(table: Table) -> str:
    """What nobody measured, and the command that measures it; empty where nothing is missing."""
    own = [column for column in table.columns if column.kind == "measured"]
    rows = [
        label
        for i, label in enumerate(table.rows)
        if any(c.cells[i].text == MISSING for c in own) and not any(_there(c.cells[i]) for c in own)
    ]
    if len(rows) == len(table.rows):
        rows = ["everything"]
    labels = [column.label for column in own if not any(_there(cell) for cell in column.cells)]
    metrics = dict.fromkeys(column.metric for column in own if any(cell.text == MISSING for cell in column.cells))
    return missing(rows + (labels if rows != ["everything"] else []), list(metrics))


def _notes(table: Table) -> str:
    """What stands below a table, a paragraph each."""
    protocols = "[P1], …: how it was measured, as dmm report spells it out." if any(c.protocol for c in table.columns) else ""
    texts = (_absent(table), *table.notes, table.about, protocols)
    return "\n".join(style.wrap(text.replace("`", ""), LINES, style.SMALL) for text in texts if text)


def missing(what: Sequence[str], metrics: Sequence[str]) -> str:
    """What has no record, and the command that makes one; empty where nothing is missing."""
    command = f"dmm evaluate MODEL --metrics {','.join(metrics)} --out assets/results/MODEL.json"
    return f"Not measured: {'; '.join(what)}. To measure: {command}." if what else ""


def parted(cell: Cell) -> tuple[str, str]:
    """A cell's figure, with the number of a protocol that is not the column's, and its interval."""
    figure, _, rest = cell.text.partition(" [")
    bounds, _, protocol = rest.partition("]")
    return figure + protocol, f"[{bounds}]" if bounds else ""


def _width(column: Column) -> float:
    """Inches that a column takes: its widest figure, interval or word of its label."""
    parts = [parted(cell) for cell in column.cells]
    texts = [(figure, style.BASE) for figure, _ in parts] + [(bounds, style.SMALL) for _, bounds in parts]
    texts += [(word, style.SMALL) for word in _label(column).split()]
    return max(style.text_width(text, size) for text, size in texts)


def _label(column: Column) -> str:
    return column.label + (f" [{column.protocol}]" if column.protocol else "")


def _heads(block: Block) -> list[str]:
    """Labels of the columns, broken into lines; where data sets stand side by side, each label says its own."""
    several = len({column.data for column in block.columns}) > 1
    return [
        (f"{column.data}\n" if several else "") + style.wrap(_label(column), _width(column) + 0.02, style.SMALL) for column in block.columns
    ]


def _row_height(table: Table, block: Block, i: int) -> float:
    interval = any(parted(column.cells[i])[1] for column in block.columns)
    return max(style.LINE + style.SMALL_LINE * interval, style.text_height(style.wrap(table.rows[i], NAMES))) + 0.02


def _height(table: Table, block: Block) -> float:
    head = max(style.text_height(text, style.SMALL) for text in _heads(block))
    return style.LINE + head + 0.08 + sum(_row_height(table, block, i) for i in block.rows) + 0.1


def _draw(drawing: Drawing, table: Table, block: Block, top: float) -> None:
    heads = _heads(block)
    head = max(style.text_height(text, style.SMALL) for text in heads)
    style.write(drawing, MARGIN, top, block.heading, weight="bold")
    top += style.LINE
    style.write(drawing, MARGIN, top + head - style.SMALL_LINE, table.corner, size=style.SMALL, color=style.QUIET)
    alone = len(block.columns) == 1  # then it stands beside the names
    right = MARGIN + NAMES + GAP + _width(block.columns[0]) if alone else WIDTH - MARGIN
    rights: list[float] = []
    for column in reversed(block.columns):
        rights.insert(0, right)
        right -= _width(column) + GAP
    for text, x in zip(heads, rights, strict=True):
        style.write(drawing, x, top + head - style.text_height(text, style.SMALL), text, size=style.SMALL, ha="right", color=style.QUIET)
    top += head + 0.03
    rule(drawing, MARGIN, top, INSIDE)
    top += 0.05
    for i in block.rows:
        style.write(drawing, MARGIN, top, style.wrap(table.rows[i], NAMES))
        for column, x in zip(block.columns, rights, strict=True):
            write_cell(drawing, x, top, column.cells[i], "right")
        top += _row_height(table, block, i)


def write_cell(drawing: Drawing, x: float, top: float, cell: Cell, ha: str) -> None:
    """A figure and its interval below each other; that there is none is said quietly."""
    figure, bounds = parted(cell)
    style.write(drawing, x, top, figure, ha=ha, color=style.INK if _there(cell) else style.QUIET)
    if bounds:
        style.write(drawing, x, top + style.LINE, bounds, size=style.SMALL, ha=ha, color=style.QUIET)


def rule(drawing: Drawing, left: float, top: float, width: float) -> None:
    """A horizontal hairline."""
    axes = style.place(drawing, left, top, width, 0.01)
    axes.axhline(0, color=style.INK, linewidth=0.6)
    axes.set_axis_off()


@register_figure(
    "dmmgan-2x2",
    title="The global memory (GLDM) and redescription in the loss (STREAM), each on and off",
    source="DMM-GAN (Lynggaard, 2020)",
    shows="records",
    options=(results_option(),),
)
def two_by_two(results: Results) -> Result:
    """For each quantity a square of four figures: without and with the global memory, without and with STREAM."""
    table = _table(results, "dmmgan_2x2")
    titles = [style.wrap(text[0].upper() + text[1:], LINES / style.BOLD) for text in map(_label, table.columns)]
    notes = _notes(table)
    heights = [style.text_height(text) + _square_height(column) for text, column in zip(titles, table.columns, strict=True)]
    with style.sheet(WIDTH, 2 * MARGIN + sum(heights) + style.text_height(notes, style.SMALL)) as drawing:
        top = MARGIN
        for column, title, height in zip(table.columns, titles, heights, strict=True):
            style.write(drawing, MARGIN, top, title, weight="bold")
            _square(drawing, column, top + style.text_height(title))
            top += height
        style.write(drawing, MARGIN, top, notes, size=style.SMALL, color=style.QUIET)
    rows = [cell_row(label, column, column.cells[i]) for column in table.columns for i, label in enumerate(table.rows)]
    return Result(drawing, rows, told(rows))


def _pairs(column: Column) -> list[list[Cell]]:
    """The cells of a square: rows with the global memory off and on, in each STREAM off and on."""
    cells = dict(zip(TWO_BY_TWO, column.cells, strict=True))
    return [[cells["neither"], cells["STREAM"]], [cells["GLDM"], cells["GLDM and STREAM"]]]


def _pair_height(pair: Sequence[Cell]) -> float:
    return style.LINE + style.SMALL_LINE * any(cell.interval for cell in pair) + 0.03


def _square_height(column: Column) -> float:
    return style.SMALL_LINE + 0.06 + sum(map(_pair_height, _pairs(column))) + 0.1


def _square(drawing: Drawing, column: Column, top: float) -> None:
    """Four figures below the names of their columns."""
    places = [MARGIN + NAMES + (INSIDE - NAMES) * share for share in (0.25, 0.75)]
    for x, said in zip(places, ("without STREAM", "with STREAM"), strict=True):
        style.write(drawing, x, top, said, size=style.SMALL, ha="center", color=style.QUIET)
    rule(drawing, MARGIN, top + style.SMALL_LINE + 0.02, INSIDE)
    top += style.SMALL_LINE + 0.06
    for said, pair in zip(("without GLDM", "with GLDM"), _pairs(column), strict=True):
        style.write(drawing, MARGIN, top, said, size=style.SMALL, color=style.QUIET)
        for x, cell in zip(places, pair, strict=True):
            write_cell(drawing, x, top, cell, "center")
        top += _pair_height(pair)
