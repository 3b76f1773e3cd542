"""What the page says of a model: its kind, its words, its own card, and the terms."""

from __future__ import annotations

import pytest

from dmm.checkpoint import save, shipped
from dmm.pipeline import load
from explorer.about import about
from explorer.page_answers import generate
from explorer.session import Session
from tests.explorer.toy import CAPTION, toy_pipeline, toy_system

CARD = """# my-gan

A toy for `tests`, beside [`other`](../other).

**What it does.** Little.

**What it cannot do.** It draws
nothing <b>well</b>.

## Trained

**What it cannot do.** Not this.
"""


def test_a_model_is_introduced_by_its_card(tmp_path):
    save(toy_pipeline(), tmp_path / "my-gan")
    (tmp_path / "my-gan" / "README.md").write_text(CARD, encoding="utf-8")
    html = generate(Session([tmp_path / "my-gan"]), CAPTION, 3, None)
    assert "my-gan is of the kind dmmgan (F. Lynggaard" in html and "<p>A toy for tests, beside other.</p>" in html
    assert "It knows 13 words; all others are left out. It draws nothing &lt;b&gt;well&lt;/b&gt;.</p>" in html
    assert "<dt>1/T</dt>" in html and "Not this" not in html and "Little" not in html


@pytest.mark.parametrize("system", ["attngan", "stackgan"])
def test_a_model_without_a_card_is_introduced_by_what_it_is(system):
    html = about(toy_system(system), "mine", "nowhere")
    assert f"mine is of the kind {system} (" in html and "all others are left out. </p>" in html


def test_every_shipped_model_says_what_it_cannot_do():
    assert all("nothing of photographs" in about(load(name), name, name) for name in shipped())
