"""Of a batch that all processes draw, each reads the pictures of its own slices: what, and that they are those of a single process."""

import pytest
import torch

from dmm.data.prepared import prepare
from dmm.data.sources import open_source
from dmm.training.adversarial import GanStep
from dmm.training.objectives import other_pictures
from dmm.training.ranks import Ranks
from dmm.training.steps import CaptionStep, MatchStep
from dmm.training.transfer import split_batch
from tests.data import layouts

from .test_systems_train import shrunk

OWN = {"mirror": True, "cloze": 0, "recall": 0, "part_colours": 0}  # settings of pictures of one's own
SHARES = {  # rank of two, micro-batches -> rows of a batch of eight
    (0, 1): [0, 1, 2, 3],
    (1, 1): [4, 5, 6, 7],
    (0, 2): [0, 1, 4, 5],
    (1, 2): [2, 3, 6, 7],
}


@pytest.fixture
def process(monkeypatch):
    """Let steps that are made from now on take themselves for one of several processes; nothing may wait for the others."""

    def be(rank, world=2):
        monkeypatch.setattr(Ranks, "find", classmethod(lambda cls, device="auto": Ranks(rank=rank, world=world)))

    return be


@pytest.fixture(params=["drawn", "prepared"])
def source(request, tmp_path):
    """Settings of each kind of data."""
    if request.param == "drawn":
        return {}
    prepare(open_source(layouts.folder(tmp_path, 8)))
    return OWN | {"source": str(tmp_path)}


def noted(step):
    """The places of the pictures that a step reads from now on."""
    read, pictures = [], step.data.cache.pictures
    step.data.cache.pictures = lambda indices, *rest: read.extend(indices.tolist()) or pictures(indices, *rest)
    return read


@pytest.mark.parametrize(("rank", "accumulate"), SHARES)
def test_matching_reads_its_share(toy, process, source, rank, accumulate):
    config, rows = toy("match", batch=8, accumulate=accumulate, augment=0, **source), SHARES[rank, accumulate]
    whole = MatchStep(config)
    batch = whole.data.batch(1, 8)
    expected = whole.pictures(batch, torch.Generator())[rows]
    process(rank)
    step = MatchStep(config)
    read = noted(step)
    parts = split_batch(step.data.batch(1, 8), accumulate)
    assert read == []
    assert torch.equal(torch.cat([step.pictures(piece, torch.Generator()) for piece in parts]), expected)
    assert read == [batch.indices[row] for row in rows]


@pytest.mark.parametrize(("rank", "accumulate"), SHARES)
def test_a_step_reads_its_share(toy, earlier_runs, process, rank, accumulate):
    config, rows = toy("gan", batch=8, accumulate=accumulate, initial_steps=0), SHARES[rank, accumulate]
    batch = GanStep(config, *earlier_runs).data.batch(1, 8)
    process(rank)
    step = GanStep(config, *earlier_runs)
    read = noted(step)
    micro_batches = step.read(1)
    assert read == [batch.indices[row] for row in rows]
    for size in (64, 128, 256):
        assert torch.equal(torch.cat([micro_batch.real[size] for micro_batch in micro_batches]), batch.images[size][rows])
    assert torch.equal(torch.cat([micro_batch.batch.captions for micro_batch in micro_batches]), batch.captions)  # those of all processes


def test_mismatching_pictures_are_read_too(toy_cache, earlier_runs, process):
    config = shrunk("stackgan-cub", toy_cache, batch=8)
    batch = GanStep(config, *earlier_runs).data.batch(0, 8)
    wrong = other_pictures(batch.class_ids)[4:]
    process(1)
    step = GanStep(config, *earlier_runs)
    read = noted(step)
    (micro_batch,) = step.read(0)
    assert sorted(read) == sorted(batch.indices[row] for row in [4, 5, 6, 7, *wrong.tolist()])
    assert torch.equal(micro_batch.real[64], batch.images[64][4:]) and torch.equal(micro_batch.wrong_real[64], batch.images[64][wrong])


@pytest.mark.parametrize("attention", [0, 2])
def test_a_frozen_encoder_sees_every_picture_in_one_process(toy, earlier_runs, process, monkeypatch, attention):
    """What it sees is computed across ranks: here by two, one after the other, which leave each other's rows at 0."""
    config, chunk = toy("caption", caption_attention=attention), CaptionStep._maps
    alone = CaptionStep(config, earlier_runs[0])
    whole = chunk(alone, alone.networks["captioner"].encoder.eval(), attention > 0, size=3)
    monkeypatch.setattr(Ranks, "sum", lambda self, local: local)
    parts = []
    for rank in range(2):
        process(rank)
        step = CaptionStep(config, earlier_runs[0])
        parts.append(chunk(step, step.networks["captioner"].encoder.eval(), attention > 0, size=3))
    assert torch.equal(parts[0] + parts[1], whole) and whole.shape[:2] == (2, 8)
    first, second = ((part != 0).flatten(2).any(2) for part in parts)
    assert whole.dtype == (torch.float16 if attention else torch.float32)
    assert not (first & second).any() and first.any() and second.any()
