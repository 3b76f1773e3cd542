"""The notebook's surface in JupyterLab, in a real browser: answers show themselves, and the widget answers to clicks and typing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import nbformat
import pytest

from dmm.checkpoint import save
from tests.browser.conftest import ROOT, free_port, wait_until_up
from tests.explorer.toy import CAPTION, toy_pipeline

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OUTPUT = ROOT / "tests" / "output"
PATIENCE = 120_000  # ms: a kernel starts and loads PyTorch
QUIET = (
    *("--no-browser", "--allow-root", "--ServerApp.token=", "--ServerApp.password=", "--LabApp.news_url=None"),
    *("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.extension_manager=readonly"),
)
CELLS = (
    "import explorer\nex = explorer.open('toy')\nt = ex({caption!r}, seed=3)\nt",
    "t.show('yellow')",
    "with ex.edits(mute='red'):\n    muted = ex({caption!r}, seed=3)\nmuted.against(t)",
    "from explorer.widgets import explore\nexplore(ex.session, {caption!r})",
)


@pytest.fixture(scope="module")
def lab_url(tmp_path_factory) -> Iterator[str]:
    """Address of a notebook in a JupyterLab of its own, beside a toy checkpoint."""
    folder = tmp_path_factory.mktemp("lab")
    save(toy_pipeline(), folder / "toy")
    cells = [nbformat.v4.new_code_cell(cell.format(caption=CAPTION)) for cell in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "try.ipynb")
    own = {f"JUPYTER{name}_DIR": str(folder / name) for name in ("_CONFIG", "_RUNTIME", "LAB_SETTINGS", "LAB_WORKSPACES")}
    own |= {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]), "IPYTHONDIR": str(folder / "ipython")}
    port, log = free_port(), folder / "log.txt"
    command = [sys.executable, "-m", "jupyterlab", *QUIET, f"--ServerApp.port={port}", f"--ServerApp.root_dir={folder}"]
    with log.open("w", encoding="utf-8") as out:
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env=os.environ | own)
        try:
            wait_until_up(process, f"http://127.0.0.1:{port}/api", log)
            yield f"http://127.0.0.1:{port}/lab/tree/try.ipynb?reset"
        finally:
            process.terminate()
            process.wait(timeout=60)


def test_a_notebook_answers_in_jupyterlab(page, lab_url):
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.goto(lab_url)
    cells = page.locator(".jp-CodeCell")
    cells.nth(len(CELLS) - 1).wait_for(timeout=PATIENCE)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=PATIENCE)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    shown = [cells.nth(k).locator(".jp-OutputArea") for k in range(len(CELLS))]
    shown[0].locator("img").nth(2).wait_for(timeout=PATIENCE)
    shown[1].get_by_text("where “yellow” is read for 256 px").wait_for(timeout=PATIENCE)
    shown[2].get_by_text("mute “red” in the memory only").wait_for(timeout=PATIENCE)
    words = shown[3].locator(".widget-toggle-button")
    words.first.wait_for(timeout=PATIENCE)
    assert words.all_inner_texts() == ["a", "small", "red", "bird", "with", "a (2)", "yellow", "crown"]
    words.get_by_text("crown").click()
    shown[3].get_by_text("where “crown” is read").wait_for(timeout=PATIENCE)
    assert shown[3].locator(".widget-toggle-button.mod-active").all_inner_texts() == ["crown"]
    typed = shown[3].locator("input[type=text]").first
    typed.fill("a blue zorp bird")
    typed.press("Enter")
    shown[3].get_by_text("Not in this model's vocabulary, left out: zorp.").wait_for(timeout=PATIENCE)
    assert words.all_inner_texts() == ["a", "blue", "bird"]
    assert page.locator(".jp-RenderedText[data-mime-type$=stderr]").count() == 0
    OUTPUT.mkdir(exist_ok=True)
    shown[3].scroll_into_view_if_needed()
    page.screenshot(path=OUTPUT / "notebook.png")
