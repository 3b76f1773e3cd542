"""Every registered system goes through the session onto the page: what it has is shown, what it has not is said, nothing is made up."""

from __future__ import annotations

import re

import pytest

from dmm.checkpoint import save
from dmm.config import ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.models.registry import create_model, list_models
from dmm.models.text_encoder import TextEncoder
from dmm.pipeline import Pipeline
from explorer import page_answers
from explorer.api import Endpoints
from explorer.page_answers import generate
from explorer.questions import Question
from explorer.session import Session
from tests.explorer.toy import CAPTION, toy_pipeline, toy_system


@pytest.mark.parametrize("system", [entry.name for entry in list_models()])
def test_every_system_reaches_the_page(tmp_path, system):
    config = ModelConfig(system=system, widths=(8, 4, 2) if system in ("stackgan", "dfgan") else (8, 8, 8), noise_dim=4, condition_dim=6,
                         text_dim=16, embedding_dim=8, discriminator_width=2)  # fmt: skip
    vocab = Vocabulary(["a", "small", "red", "bird"], config.convention)
    save(Pipeline(config, vocab, create_model(config), TextEncoder(len(vocab), 8, 16), None, None, card={}), tmp_path / system)
    session = Session([str(tmp_path / system)])
    html = generate(session, "a small red bird", 3, None)
    trace = session.trace(None, "a small red bird", 3)
    assert html.count('class="ex-image"') == len(trace.images)
    reads = any(stage.addressing is not None or stage.word_attention is not None for stage in trace.stages)
    assert ('class="ex-row ex-where"' in html) == ('class="ex-chip"' in html) == reads
    assert ("key addressing, Eq." in html.replace("&nbsp;", " ")) == any(stage.addressing is not None for stage in trace.stages)
    assert "No captioner (STREAM) came with this model" in html and 'data-edit="sentences"' not in html
    by = "attention" if any(stage.word_attention is not None for stage in trace.stages) else "memory"
    for said in ("memory", "attention"):  # what its words are read from is called by its name
        assert (f"in the {said}, a word" in html) == (f"the {said} only" in html) == (reads and by == said)
    assert html.count("No stage of this system reads single words") == (not reads)
    noted = reads and trace.stages[0].image is not None  # notes stand in the column of the first picture
    assert ("has no writing gate; its" in html) == (noted and all(stage.writing_gate is None for stage in trace.stages))
    with_edit = generate(session, "a small red bird", 3, None, '[{"edit":"mute","word":"red"}]') if reads else ""
    assert (f"mute “red” in the {by} only" in with_edit) == reads


@pytest.mark.parametrize("system", ["stackgan", "attngan"])
def test_a_walk_says_what_is_read_on_the_way(system):
    session = Session("toy", load=lambda _: toy_system(system))
    html = page_answers.ask(Endpoints(session), '{"kind":"walk","seed":"4"}', Question("toy", CAPTION, 3))
    assert ("reads the words of the first caption" in html) == (system == "attngan")


def test_only_gates_that_changed_in_what_is_shown_are_listed():
    session = Session("toy", load=lambda _: toy_pipeline())
    html = generate(session, CAPTION, 3, None, '[{"edit":"writing_gate","value":1}]')
    rows = re.findall(r"<tr><td>\d+ px</td><td>[^<]+</td><td>([^<]+)</td><td>([^<]+)</td></tr>", html)
    assert rows and all(before != after for before, after in rows)
