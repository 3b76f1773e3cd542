"""Every notebook of the course runs from top to bottom on the shipped checkpoint, is stored without outputs, and is built alike.

It says first what the reader will know, installs itself where it must, asks for a prediction, and has exercises with collapsed solutions.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def tagged(notebook, tag: str) -> list:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def prose(notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.notebook
def test_stored_without_outputs(notebook):
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells and all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.notebook
def test_is_built_like_the_others(notebook):
    assert "**At the end you will know**" in notebook.cells[0].source
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert [first] == tagged(notebook, "setup")
    assert re.search(r"^## .*Predict", prose(notebook), re.MULTILINE)


@pytest.mark.notebook
def test_solutions_are_collapsed_and_belong_to_exercises(notebook):
    solutions = tagged(notebook, "solution")
    assert 3 <= len(solutions) <= 6
    assert [int(n) for n in re.findall(r"^\*\*(\d)\.\*\*", prose(notebook), re.MULTILINE)] == list(range(1, len(solutions) + 1))
    for number, cell in enumerate(solutions, 1):
        assert cell.source.startswith(f"# @title Solution {number} ") and cell.metadata.cellView == "form"
        assert cell.metadata.jupyter.source_hidden and cell.metadata.jupyter.outputs_hidden


@pytest.mark.notebook
def test_links_lead_somewhere(notebook):
    links = re.findall(r"\]\(([^)#]+\.(?:ipynb|md|json|yaml|py))\)", prose(notebook))
    missing = [link for link in links if not (ROOT / "notebooks" / link).exists()]
    assert not missing


@pytest.mark.notebook
def test_every_code_cell_runs(notebook, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    resources = {"metadata": {"path": str(ROOT)}}
    NotebookClient(notebook, timeout=600, startup_timeout=300, kernel_name="python3", resources=resources).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count is not None for cell in cells)
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
