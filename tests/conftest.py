"""What every test shares: one thread each, reproducible examples, and a page in a real Chromium."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import hypothesis
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side; one core each
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
OUTPUT = Path(__file__).parent / "output"
FAILED = pytest.StashKey[bool]()

hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, max_examples=50, database=None)
hypothesis.settings.load_profile("tests")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of the reference files: inputs, weights and outputs at toy size."""
    return DATA / "reference"


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, one for each test module: Playwright's event loop must end before a notebook starts its own."""
    from playwright.sync_api import sync_playwright

    from tests import chromium

    path = chromium.find()
    if path is None:
        pytest.fail("no Chromium: run `python tests/chromium.py`, or set CHROMIUM to the path of one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.hookimpl(optionalhook=True)  # without xdist (`-p no:xdist`) nobody asks
def pytest_xdist_auto_num_workers(config) -> int | None:
    """For `-n auto`, one process more than there are cores, four at most: tests in a browser wait for pages most of the time."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or config.option.numprocesses != "auto":
        return None  # as xdist decides
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(4, cores + 1)


def pytest_collection_modifyitems(items):
    """Files that fork for each test first, while their process is small; then those that take long; then those of many tests.

    So, of several processes, none has much to do when the others have nothing left.
    """
    long = {item.path for item in items if any(map(item.get_closest_marker, ("slow", "notebook", "browser")))}
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path.parent.name != "hostile", item.path not in long, -tests[item.path], item.path))


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or outcome.get_result().failed


@pytest.fixture
def page(browser, request):
    """A new page, 1280 x 900. A test that fails leaves its screenshot in tests/output."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    yield page
    if request.node.stash.get(FAILED, False):
        OUTPUT.mkdir(exist_ok=True)
        page.screenshot(path=OUTPUT / f"{request.node.name}.png", full_page=True)
    context.close()
