"""Pipelines in folders and on the Hub: the same pixels come back, and the card says what is known."""

from __future__ import annotations

import inspect
import json

import pytest
import torch
import yaml
from huggingface_hub import PyTorchModelHubMixin

from dmm.checkpoint import FILE, CheckpointError, build, save
from dmm.config import ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.pipeline import Pipeline

SMALL = ModelConfig(widths=(4, 4, 4), noise_dim=4, condition_dim=6, text_dim=16, embedding_dim=8)


@pytest.fixture
def pipe():
    torch.manual_seed(1)
    vocab = Vocabulary("a small red bird".split())
    parts = {part: build(part, SMALL, vocab) for part in ("generator", "text_encoder")}
    return Pipeline(SMALL, vocab, **parts, card={"steps": 12})


def test_a_folder_gives_the_same_pixels(pipe, tmp_path):
    assert pipe.save_pretrained(tmp_path / "bird") is None
    assert sorted(path.name for path in (tmp_path / "bird").iterdir()) == ["README.md", FILE]
    again = Pipeline.from_pretrained(tmp_path / "bird")
    ours, theirs = again("a red bird", seed=7), pipe("a red bird", seed=7)
    assert all(torch.equal(a, b) for a, b in zip(ours.images, theirs.images, strict=True))
    assert (again.config, again.vocab, again.card) == (pipe.config, pipe.vocab, pipe.card) and not again.training


def test_half_precision_is_half_as_large(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "full")
    pipe.save_pretrained(tmp_path / "half", half=True)
    assert (tmp_path / "half" / FILE).stat().st_size < 0.7 * (tmp_path / "full" / FILE).stat().st_size


def test_a_card_that_is_there_stays(pipe, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    pipe.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_the_card_is_written_from_config_training_and_measured_figures(pipe, tmp_path, monkeypatch):
    row = {"generated": {"mean": 0.43}, "ceiling_rendered": {"mean": 0.977}, "floor_shuffled": None}
    results = {
        "command": "dmm evaluate x",
        "n": 9,
        "split": "unseen",
        "noise": "seed 100",
        "metrics": {"attributes": row | {"by_size": {64: row}}},
    }
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "bird.json").write_text(json.dumps(results))
    monkeypatch.setenv("DMM_ASSETS", str(tmp_path))
    card = pipe.model_card("bird")
    assert yaml.safe_load(card.split("---")[1])["pipeline_tag"] == "text-to-image"
    for said in (
        "# bird",
        "dmmgan (F. Lynggaard",
        "`dmm evaluate x`: 9 captions",
        "| attributes | 0.430 | 0.977 |  |",
        "| attributes, 64 px |",
    ):
        assert said in card
    assert '"steps": 12' in card and '"noise_dim": 4' in card and "7 ids" in card
    assert "Nothing yet." in pipe.model_card("unmeasured")


def test_what_is_not_there_is_named(tmp_path):
    for name in (tmp_path / "nowhere", "nowhere", "./a/b"):
        with pytest.raises(CheckpointError, match="no checkpoint there"):
            Pipeline.from_pretrained(name)
    with pytest.raises(CheckpointError, match="not to be had from the Hub"):
        Pipeline.from_pretrained("nobody/nothing", local_files_only=True, cache_dir=tmp_path)
    with pytest.raises(CheckpointError, match="not to be had from the Hub"):
        Pipeline.from_pretrained("no body/no..thing", cache_dir=tmp_path)


class FakeHub:
    """Stands for the Hub's client: notes what is uploaded, gives it back when it is asked for."""

    uploads: list = []

    def __init__(self, token=None):
        self.token = token

    def create_repo(self, repo_id, private=None, exist_ok=False):
        return type("Repo", (), {"repo_id": repo_id})

    def upload_folder(self, *, repo_id, folder_path, **options):
        self.uploads.append((repo_id, self.token, {path.name: path.read_bytes() for path in folder_path.iterdir()}, options))
        return f"https://huggingface.co/{repo_id}/commit/1"


def test_pushing_uploads_weights_and_card_and_pulling_gives_them_back(pipe, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", FakeHub)
    monkeypatch.setattr(FakeHub, "uploads", [])
    assert pipe.push_to_hub("me/bird", token="secret", branch="dev").endswith("me/bird/commit/1")
    pipe.save_pretrained(tmp_path / "bird", push_to_hub=True, repo_id="me/bird", commit_message="again")
    first, second = FakeHub.uploads
    assert first[0] == second[0] == "me/bird" and first[1] == "secret" and second[3]["commit_message"] == "again"
    assert set(first[2]) == {"README.md", FILE} and b"# bird" in first[2]["README.md"]

    def download(repo_id, filename, **options):
        assert (repo_id, filename, options) == ("me/bird", FILE, {"revision": "dev"})
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / FILE).write_bytes(first[2][FILE])
        return str(tmp_path / "cache" / FILE)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert torch.equal(Pipeline.from_pretrained("me/bird", revision="dev")("a red bird").images[0], pipe("a red bird").images[0])


def test_a_checkpoint_of_several_files_is_fetched_whole(pipe, tmp_path, monkeypatch):
    save(pipe, tmp_path / "hub", max_file_size=1)
    assert len(list((tmp_path / "hub").iterdir())) == 2
    fetched = []

    def download(repo_id, filename):
        fetched.append(filename)
        (tmp_path / "cache").mkdir(exist_ok=True)
        (tmp_path / "cache" / filename).write_bytes((tmp_path / "hub" / filename).read_bytes())
        return str(tmp_path / "cache" / filename)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert torch.equal(
        Pipeline.from_pretrained("me/bird")("a red bird").images[0], Pipeline.from_pretrained(tmp_path / "hub")("a red bird").images[0]
    )
    assert sorted(fetched) == sorted(path.name for path in (tmp_path / "hub").iterdir())


@pytest.mark.parametrize("method", ["save_pretrained", "from_pretrained", "push_to_hub"])
def test_the_protocol_is_that_of_the_mixin(method):
    ours, theirs = (inspect.signature(getattr(cls, method)).parameters for cls in (Pipeline, PyTorchModelHubMixin))
    assert len([p for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]) == len(
        [p for p in theirs.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    )
