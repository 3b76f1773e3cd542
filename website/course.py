"""Notebooks as pages: text as it stands, code as blocks, solutions collapsed. Nothing is executed; the tests do that."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path


def page(path: Path) -> str:
    """The Markdown of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    shown = [_cell("".join(cell["source"]), cell) for cell in cells]
    heading, *rest = [text for text in shown if text]
    first, _, below = heading.partition("\n")
    note = f"*This page shows [the notebook](../files/notebooks/{path.name}) without its outputs: `make notebook` opens it.*"
    return "\n\n".join([first, note, below.strip(), *rest]) + "\n"


def title(path: Path) -> str:
    """A notebook's heading."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "".join(cells[0]["source"]).split("\n")[0].lstrip("# ")


def _cell(source: str, cell: dict) -> str:
    """One cell; the setup, alike in all notebooks, is left out."""
    tags = cell["metadata"].get("tags", [])
    if cell["cell_type"] == "markdown":
        return source
    if "setup" in tags:
        return ""
    if "solution" not in tags:
        return f"```python\n{source}\n```"
    first, _, code = source.partition("\n")
    name = first.removeprefix("# @title ").split(" {")[0]
    return f'??? success "{name}"\n\n' + textwrap.indent(f"```python\n{code}\n```", "    ")


def index(paths: dict[str, str], root: Path) -> str:
    """The list of notebooks. ``paths``: notebook -> page."""
    lines = ["# Course", "", "Notebooks, each executed by the tests. `make notebook` opens them in JupyterLab.", ""]
    lines += [f"- [{title(root / path)}]({page.removeprefix('course/')})" for path, page in paths.items()]
    return "\n".join(lines) + "\n"
