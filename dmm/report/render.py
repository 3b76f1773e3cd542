"""A document of tables as Markdown, HTML, LaTeX or CSV."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable

from dmm.report.layout import Cell, Column, Document


def _markdown(document: Document) -> str:
    lines = [f"# {document.title}", "", f"*{document.made_by}*", ""]
    lines += [*(f"- {text}" for text in document.summary), ""]
    for table in document.tables:
        lines += [f"## {table.title}", "", table.about, ""]
        if table.columns:
            lines += [_row([table.corner, *(column.header for column in table.columns)]), _row(["---"] * (len(table.columns) + 1))]
            lines += [_row([label, *(column.cells[i].text for column in table.columns)]) for i, label in enumerate(table.rows)] + [""]
        lines += [line for note in table.notes for line in (note, "")]
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}th,td{border-bottom:1px solid #ccc;padding:.3rem .8rem;text-align:left}"
    "th.published,td.published{background:#f3f0e8}p.note{font-size:.85rem;margin:.2rem 0;color:#444}"
)


def _html(document: Document) -> str:
    def cell(kind: str, text: str, name: str = "td") -> str:
        return f'<{name} class="{kind}">{html.escape(text)}</{name}>'

    body = [f"<h1>{html.escape(document.title)}</h1>", f"<p><em>{html.escape(document.made_by)}</em></p>", "<ul>"]
    body += [f"<li>{html.escape(text)}</li>" for text in document.summary] + ["</ul>"]
    for table in document.tables:
        head = "".join([cell("row", table.corner, "th"), *(cell(c.kind, c.header, "th") for c in table.columns)])
        cells = [[cell("row", label, "th"), *(cell(c.kind, c.cells[i].text) for c in table.columns)] for i, label in enumerate(table.rows)]
        body += [f"<h2>{html.escape(table.title)}</h2>", f"<p>{html.escape(table.about)}</p>"]
        body += [f"<table><tr>{head}</tr>", *(f"<tr>{''.join(row)}</tr>" for row in cells), "</table>"] if table.columns else []
        body += [*(f'<p class="note">{html.escape(note)}</p>' for note in table.notes)]
    head = f'<meta charset="utf-8"><title>{html.escape(document.title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


#: Characters that LaTeX reads as commands, and signs that its fonts lack.
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
    "×": r"$\times$", "²": "$^2$", "–": "--",
}  # fmt: skip


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(LATEX.get(character, character) for character in text)


def _latex(document: Document) -> str:
    lines = [f"% {document.made_by}", "% Needs \\usepackage{booktabs} and \\usepackage{graphicx}."]
    for table in document.tables:
        notes = [f"\\par{{\\footnotesize {escaped(note)}}}" for note in table.notes]
        if not table.columns:
            lines += ["", f"\\section*{{{escaped(table.title)}}}", escaped(table.about), *notes]
            continue
        lines += ["", "\\begin{table}", "\\centering", f"\\caption{{{escaped(table.title + '. ' + table.about)}}}"]
        lines += ["\\resizebox{\\linewidth}{!}{%", f"\\begin{{tabular}}{{l{'c' * len(table.columns)}}}", "\\toprule"]
        lines += [_latex_row([table.corner, *(column.header for column in table.columns)]), "\\midrule"]
        lines += [_latex_row([label, *(column.cells[i].text for column in table.columns)]) for i, label in enumerate(table.rows)]
        lines += ["\\bottomrule", "\\end{tabular}}", *notes, "\\end{table}"]
    return "\n".join(lines) + "\n"


def _latex_row(cells: list[str]) -> str:
    return " & ".join(escaped(cell) for cell in cells) + r" \\"


def cell_row(label: str, column: Column, cell: Cell) -> dict[str, str | float]:
    """A cell with all that is known of it, for CSV; empty where there is no such number."""
    low, high = cell.interval or ("", "")
    return {
        "row": label,
        "column": column.header,
        "kind": column.kind,
        "text": cell.text,
        "value": "" if cell.value is None else cell.value,
        "low": low,
        "high": high,
        "file": cell.file,
    }


def _csv(document: Document) -> str:
    """One line a cell."""
    rows = [
        {"table": table.key, **cell_row(label, column, column.cells[i])}
        for table in document.tables
        for i, label in enumerate(table.rows)
        for column in table.columns
    ]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


#: Name -> writer, and what such a file's name ends in.
FORMATS: dict[str, tuple[Callable[[Document], str], str]] = {
    "markdown": (_markdown, ".md"),
    "html": (_html, ".html"),
    "latex": (_latex, ".tex"),
    "csv": (_csv, ".csv"),
}


def render(document: Document, form: str) -> str:
    """A document in one of the :data:`FORMATS`."""
    return FORMATS[form][0](document)
