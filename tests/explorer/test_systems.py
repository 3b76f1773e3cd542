"""Every registered system goes through the session onto the page: what it has is shown, what it has not is said, nothing is made up."""

from __future__ import annotations

import pytest

from dmm.checkpoint import save
from dmm.config import ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.models.registry import create_model, list_models
from dmm.models.text_encoder import TextEncoder
from dmm.pipeline import Pipeline
from explorer.session import Session
from explorer.ui import generate


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
    assert "No captioner (STREAM) came with this model" in html
