"""A disk that takes no more: what was whole stays whole, no half file stays, and the message names what could not be written."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from dmm.checkpoint import write_tensors
from dmm.config import ModelConfig
from dmm.data.arrays import ArrayError, Rows
from dmm.data.prepared import Prepared, prepare
from dmm.data.sources import open_source
from dmm.data.vocab import Vocabulary
from dmm.images import save, write_atomic
from dmm.trace import Trace
from dmm.training.checkpoints import REMEDIES, Keeper, RunFailed, writing
from dmm.training.logs import Log
from tests.data import layouts
from tests.hostile import sandbox

MOST = 4096  # bytes that a file may have
NOISE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def write_log(path: Path) -> None:
    log = Log(path.parent, 10**6, 0, "x")
    with writing(path.parent):
        for step in range(1, 10**6):
            log.add({"loss": 0.123456})
            log.flush(step)


#: What is written -> (its file, the writer of a version larger than ``MOST``).
WRITERS = {
    "write_atomic": ("a.bin", lambda path: write_atomic(path, bytes(100_000))),
    "a picture": ("a.png", lambda path: save(NOISE, path)),
    "a trace": ("a.npz", lambda path: Trace(code=torch.rand(1, 5000)).save(path)),
    "a model": (
        "model.safetensors",
        lambda path: write_tensors(path.parent, {"generator.x": torch.rand(5000)}, ModelConfig(), Vocabulary(["a"]), {}),
    ),
    "a checkpoint": ("last.pt", lambda path: Keeper(path.parent).write({"step": 2, "x": torch.rand(5000)})),
    "a log": ("log.jsonl", write_log),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk(tmp_path, kind):
    name, write = WRITERS[kind]
    old = b"" if kind == "a log" else b"what was whole"
    (tmp_path / name).write_bytes(old)

    def fill() -> sandbox.Outcome:
        try:
            write(tmp_path / name)
        except (OSError, RunFailed) as error:
            return sandbox.Outcome(2, str(error), "")
        return sandbox.Outcome(0, "", "")

    outcome = sandbox.limited(fill, memory=1 << 30, seconds=30, file_size=MOST)
    assert outcome.code == 2 and str(tmp_path) in outcome.said, outcome
    assert (tmp_path / name).read_bytes().startswith(old) and not list(tmp_path.glob("*.partial"))
    if kind == "a log":  # a row that was not written to its end is left out when the run goes on
        Log(tmp_path, 10, 10**6, "x").close()
        assert all(json.loads(line)["step"] for line in (tmp_path / name).read_text().splitlines())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_the_remedy_fits_the_fault(tmp_path, number):
    with pytest.raises(RunFailed, match=f"{os.strerror(number)}.*{REMEDIES[number]}.*--resume") as error, writing(tmp_path, held=3):
        raise OSError(number, os.strerror(number), str(tmp_path / "last.pt"))
    assert "last.pt" in str(error.value) and ("Make room" in str(error.value)) == (number == errno.ENOSPC)


def test_an_array_that_is_cut_short_while_it_is_read(tmp_path):
    root = layouts.folder(tmp_path)
    prepare(open_source(root), sizes=(16,), progress=False)
    data = Prepared(root, sizes=(16,))
    assert data.images(16, [3]).shape == (1, 3, 16, 16)
    path = root / "prepared" / "16.npy"
    os.truncate(path, path.stat().st_size - 10)
    with pytest.raises(ArrayError, match=r"16\.npy: expected .* bytes, found .*cut short"):
        data.images(16, [3])
    assert data.images(16, [0]).shape == (1, 3, 16, 16)
    with pytest.raises(ArrayError, match="cut short"):
        Rows(path)


def test_rows_are_those_of_the_array(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (5, 3, 4), dtype=np.uint8)
    np.save(tmp_path / "a.npy", values)
    rows = Rows(tmp_path / "a.npy")
    assert len(rows) == 5 and rows.shape == (5, 3, 4) and rows.row_bytes == 12
    assert (rows[np.array([4, 0, 4])] == values[[4, 0, 4]]).all() and (rows.row(2) == values[2]).all()
    with pytest.raises(IndexError, match="row -1"):
        rows.row(-1)
    for wrong in (values.astype(np.int64), np.asfortranarray(values), np.array(["a"])):
        np.save(tmp_path / "b.npy", wrong)
        with pytest.raises(ArrayError, match=r"b\.npy"):
            Rows(tmp_path / "b.npy")
