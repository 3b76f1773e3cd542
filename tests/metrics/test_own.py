"""Fréchet distance and R-precision on one's own pictures: known answers from encoders made by hand, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch

from dmm.config import ConfigError
from dmm.data.prepared import prepare
from dmm.data.sources import open_source
from dmm.data.vocab import Vocabulary
from dmm.metrics.own import evaluate_own
from dmm.trace import StageTrace, Trace
from tests.data import layouts

COLOURS = ("red", "green", "blue", "white")


class Coloured:
    """Generates a picture of one colour, the one that its caption says, or always the first."""

    name, device = "coloured", torch.device("cpu")
    vocab = Vocabulary(["a", "bird", *COLOURS])

    def __init__(self, knows: bool):
        self.knows = knows
        self.image_encoder = lambda images: (None, images.mean((2, 3)))  # B 3

    def rgb(self, caption: str) -> torch.Tensor:
        place = next(i for i, colour in enumerate(COLOURS) if colour in caption)
        return torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, 1]])[place]

    def __call__(self, captions, seed, redescribe=False):
        colours = torch.stack([self.rgb(caption if self.knows else COLOURS[0]) for caption in captions])  # B 3
        return Trace(stages=[StageTrace(image=colours[:, :, None, None].expand(-1, -1, 16, 16))])

    def encode(self, captions):
        return None, torch.stack([self.rgb(caption) for caption in captions]), None, None


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from PIL import Image

    root = tmp_path_factory.mktemp("own")
    rows = []
    for k in range(8):
        Image.new("RGB", (32, 32), COLOURS[k % 4] if COLOURS[k % 4] != "green" else "lime").save(root / f"{k}.png")
        rows.append({"file_name": f"{k}.png", "text": f"a {COLOURS[k % 4]} bird", "label": COLOURS[k % 4], "split": "train"})
        rows.append(rows[-1] | {"file_name": f"t{k}.png", "split": "test"})
        Image.open(root / f"{k}.png").save(root / f"t{k}.png")
    layouts.write(root / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
    prepare(open_source(root), sizes=(16,), progress=False)
    return str(root)


def test_a_model_that_does_as_told_reaches_the_ceiling(data):
    found = evaluate_own(Coloured(knows=True), data, progress=False)
    assert found["n"] == 8 and found["split"].startswith("test split")
    assert found["metrics"]["fid"]["generated"]["distance"] == pytest.approx(0, abs=1e-3)
    assert found["metrics"]["r_precision"]["generated"]["mean"] == found["metrics"]["r_precision"]["ceiling_real"]["mean"] == 1


def test_a_model_that_does_not_is_told_apart(data):
    found = evaluate_own(Coloured(knows=False), data, progress=False)["metrics"]
    assert found["fid"]["generated"]["distance"] > 1 > found["fid"]["ceiling_real"]["distance"]
    assert found["r_precision"]["generated"]["mean"] == pytest.approx(0.25)


def test_other_features_than_the_checkpoints_own(data):
    blind = Coloured(knows=True)
    blind.image_encoder = None
    features = "tests.metrics.test_feature_networks:MEANS"
    found = evaluate_own(blind, data, metrics=("fid",), features=features, progress=False)["metrics"]["fid"]
    assert found["generated"]["distance"] == pytest.approx(0, abs=1e-3) and found["feature_network"]["name"] == features
    with pytest.raises(ConfigError, match="no image encoder"):
        evaluate_own(blind, data, features=features, progress=False)


def test_what_is_refused(data):
    with pytest.raises(ConfigError, match="expected some of fid, r_precision, found 'attributes'"):
        evaluate_own(Coloured(True), data, metrics=("fid", "attributes"))
    with pytest.raises(ConfigError, match="at least 4 pictures"):
        evaluate_own(Coloured(True), data, captions=3)
    blind = Coloured(True)
    blind.image_encoder = None
    with pytest.raises(ConfigError, match="no image encoder"):
        evaluate_own(blind, data)
