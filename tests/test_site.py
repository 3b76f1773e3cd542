"""The documentation site: it is built without a warning, every page leads somewhere, and nothing is fetched from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "website"))

import badges  # noqa: E402
import code_map  # noqa: E402
import commands  # noqa: E402
import course  # noqa: E402
import hooks  # noqa: E402
import repository  # noqa: E402

#: Addresses in tags and styles that a browser would fetch.
FETCHED = re.compile(r"""(?:<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=|@import\s*|url\()["']?(?:https?:)?//[^"')\s>]+""")


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path):
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", "website/mkdocs.yml", "--site-dir", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    built = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=560, env=environment)
    assert built.returncode == 0, built.stderr[-3000:]
    assert "WARNING" not in built.stderr
    for name in ("index", "training", "glossary", "commands/dmm", "api/dmm/trace", "architecture", "course/01_quickstart", "settings"):
        assert (tmp_path / f"{name}.html").is_file()
    for page in [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")]:
        assert FETCHED.findall(page.read_text(encoding="utf-8")) == [], page
    assert "writing_gate" in (tmp_path / "search" / "search_index.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("link", "source", "page", "found"),
    [
        ("docs/training.md#4-train", "README.md", "index.md", "training.md#4-train"),
        ("../README.md", "docs/faq.md", "faq.md", "index.md"),
        ("../dmm/config.py", "docs/fidelity.md", "fidelity.md", "api/dmm/config.md"),
        ("dmm/aviary", "README.md", "index.md", "aviary.md"),
        ("02_text_to_memory.ipynb", "notebooks/03_reading.ipynb", "course/03_reading.md", "02_text_to_memory.md"),
        ("LICENSE", "README.md", "index.md", "files/LICENSE"),
        ("tests/hostile", "SECURITY.md", "security.md", None),
        ("#glossary", "CONTRIBUTING.md", "contributing.md", "#glossary"),
        ("https://example.org/x", "README.md", "index.md", "https://example.org/x"),
    ],
)
def test_links_between_files_become_links_between_pages(link, source, page, found):
    assert repository.site_link(link, source, page) == found


def test_every_shipped_model_has_its_place_in_the_navigation():
    config = {"nav": [{"Start": "index.md"}, {"Evaluate": [{"Results": "results.md"}, {"Shipped models": "models/"}]}], "watch": []}
    start, evaluate = hooks.on_config(config)["nav"]
    results, models = evaluate["Evaluate"]
    assert start == {"Start": "index.md"} and results == {"Results": "results.md"}
    cards = sorted((ROOT / "assets" / "checkpoints").glob("*/README.md"))
    assert models == {"Shipped models": [{card.parent.name: f"models/{card.parent.name}.md"} for card in cards]}


def test_links_in_code_stay_and_those_that_lead_nowhere_lose_their_address():
    text = "see [a](x) and [b](y)\n```\n[a](x)\n```"
    assert repository.change_links(text, {"x": "z"}.get) == "see [a](z) and b\n```\n[a](x)\n```"


def test_lists_stand_apart_from_paragraphs():
    assert repository.set_lists_apart("said:\n- one\n- two\n```\na\n- b\n```") == "said:\n\n- one\n- two\n```\na\n- b\n```"


def test_a_section_ends_at_the_next():
    assert repository.section("# T\n## A\nx\n### B\ny\n## C\nz", "A") == "x\n### B\ny\n"
    with pytest.raises(ValueError, match="## D"):
        repository.section("## A\nx", "D")


def test_every_command_and_option_has_its_place():
    from dmm.cli import app

    page = commands.page(app, "dmm")
    assert "## dmm generate" in page and "### dmm train gan" in page
    assert "| `--seed` | whole number from 0" in page and "| `caption` | text several | required |" in page
    assert "--help" not in "".join(line for line in page.splitlines() if line.startswith("| `"))


def test_a_notebook_is_shown_without_setup_and_with_collapsed_solutions():
    page = course.page(ROOT / "notebooks" / "03_reading.ipynb")
    assert page.startswith("# 3. ") and "REPOSITORY" not in page
    assert '??? success "Solution 1"\n\n    ```python\n' in page


def test_the_map_of_the_code_shows_what_the_imports_say(tmp_path):
    for name, text in {"a": "import dmm.b\n", "b": "from dmm.c import one\n", "c": "one = 1\n"}.items():
        (tmp_path / "dmm").mkdir(exist_ok=True)
        (tmp_path / "dmm" / f"{name}.py").write_text(text)
    assert code_map.imports(tmp_path) == {"dmm.a": {"dmm.b"}, "dmm.b": {"dmm.c"}, "dmm.c": set()}
    one, two, three = (frozenset({name}) for name in "abc")
    assert code_map.reduced({one: {two, three}, two: {three}, three: set()}) == {(one, two), (two, three)}
    assert code_map.groups({"a": {"b"}, "b": {"a"}, "c": {"a"}})["a"] == {"a", "b"}


def test_the_badges_say_what_setup_cfg_says():
    for name, svg in badges.badges().items():
        assert (ROOT / "assets" / "readme" / name).read_text(encoding="utf-8") == svg
    assert "3.10 | 3.11 | 3.12 | 3.13" in badges.badges()["badge-python.svg"]
    assert 'aria-label="a: &lt;b"' in badges.badge("a", "<b", "#000")


def test_the_moving_picture_is_small_and_moves():
    path = ROOT / "assets" / "readme" / "page.gif"
    with Image.open(path) as film:
        assert film.n_frames >= 8 and film.width <= 1000
    assert path.stat().st_size < 2_000_000
