"""R-precision with encoders of another run: whose they are, what they read, and what is refused."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dmm.aviary.grammar import AVIARY_VOCABULARY, captions
from dmm.aviary.species import bird
from dmm.checkpoint import CheckpointError, build, write
from dmm.config import ConfigError, ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.metrics import evaluate
from dmm.metrics.independent import independent_precision, load_encoders

CONFIG = ModelConfig(text_dim=8, embedding_dim=8, encoder_width=4, encoder_size=32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A matching run that knows nothing."""
    torch.manual_seed(3)
    folder, vocab = tmp_path_factory.mktemp("match"), Vocabulary(list(AVIARY_VOCABULARY()))
    parts = {name: build(name, CONFIG, vocab).eval() for name in ("text_encoder", "image_encoder")}
    write(folder, parts, dataclasses.replace(CONFIG), vocab, {})
    return folder


@pytest.fixture
def pipe(run):
    """A pipeline of other encoders."""
    torch.manual_seed(4)
    vocab = Vocabulary(list(AVIARY_VOCABULARY()))
    networks = {name: build(name, CONFIG, vocab).eval() for name in ("text_encoder", "image_encoder")}
    return SimpleNamespace(name="toy", device="cpu", **networks)


def test_sentences_do_not_depend_on_the_batch_and_codes_are_the_image_encoders(run, pipe):
    encoders = load_encoders(run, pipe)
    texts = [captions(bird(i))[0].text for i in range(5)]
    torch.testing.assert_close(encoders.sentences(texts, batch=2), encoders.sentences(texts), rtol=1e-5, atol=1e-6)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(encoders.embeddings(images), encoders.image_encoder(images)[1])
    assert encoders.describe()["run"] == run.name and len(encoders.describe()["weights_sha256"]) == 32


def test_encoders_that_know_every_bird_find_all_of_them(run, pipe):
    encoders = load_encoders(run, pipe)
    chosen = [captions(bird(i))[0] for i in range(12)]
    codes = encoders.sentences([caption.text for caption in chosen])
    shuffle = torch.arange(12).roll(1)
    evaluation = SimpleNamespace(
        largest=32, encoders=encoders, captions=chosen, classes=torch.arange(12), seed=0, shuffle=shuffle,
        generated={"independent": {32: codes}}, rendered={"independent": {32: codes.roll(1, 0)}},
    )  # fmt: skip
    found = independent_precision(evaluation)
    assert found["generated"]["mean"] == 1 and found["ceiling_rendered"]["mean"] == found["floor_shuffled"]["mean"] == 0
    assert found["feature_network"] == encoders.describe() and "no loss of the generator" in found["protocol"]


def test_encoders_of_the_generator_itself_are_refused(run, pipe):
    pipe.text_encoder = load_encoders(run, pipe).text_encoder
    with pytest.raises(ConfigError, match="expected encoders that toy was not trained with.*dmm train match"):
        load_encoders(run, pipe)


def test_a_run_without_encoders_and_no_run_at_all(tmp_path, pipe):
    with pytest.raises(CheckpointError):
        load_encoders(tmp_path, pipe)
    with pytest.raises(ConfigError, match="r_precision_independent: expected --encoders RUN"):
        evaluate(nn.Identity(), metrics=("r_precision_independent",), progress=False)
