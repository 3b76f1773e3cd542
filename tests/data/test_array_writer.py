"""Arrays that fill up: stopped fills go on, foreign and damaged ones begin anew, and what earlier versions wrote is read and finished."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from dmm.aviary import cache as cache_module
from dmm.aviary.cache import AviaryCache
from dmm.data import transforms
from dmm.data.array_writer import ArrayWriter, clear, locked, write_rows
from dmm.data.prepared import Prepared, prepare
from dmm.data.sources import open_source

EARLIER = Path(__file__).parent / "earlier.zip"  # a prepared set and a cache, and one of each half done, by version 0.1.0
PAINTED = "f7877228a2d68f1c"  # what their renderer made of two birds
STAMP = (1_000_000_000, 1_000_000_000)  # times of the pictures' files, which a plan names


def begin(directory, plan=3) -> ArrayWriter:
    """Two arrays of four rows, in two parts."""
    return ArrayWriter(directory, {"a": (2,), "b": (1, 3)}, 4, {"plan": plan}, 2)


def fill(writer: ArrayWriter, part: int) -> None:
    """Rows of a part with their own numbers."""
    write_rows(
        writer.files, ((k, {"a": np.full(2, k, np.uint8), "b": np.full((1, 3), 10 * k, np.uint8)}) for k in (2 * part, 2 * part + 1))
    )
    writer.marks[part] = 1
    writer.marks.flush()


def test_a_stopped_fill_goes_on_and_is_named_at_its_end(tmp_path):
    fill(begin(tmp_path), 1)
    writer = begin(tmp_path)
    assert writer.marks.tolist() == [0, 1]
    fill(writer, 0)
    (tmp_path / "card.json").write_text("of what was there before")
    writer.finish(tmp_path / "card.json")
    clear(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "b.npy"]
    assert np.load(tmp_path / "a.npy").tolist() == [[k, k] for k in range(4)]
    assert np.load(tmp_path / "b.npy")[:, 0, 2].tolist() == [0, 10, 20, 30]


@pytest.mark.parametrize("how", ["plan", "marks", "gone", "short", "shape"])
def test_what_is_not_of_this_plan_begins_anew(tmp_path, how):
    fill(begin(tmp_path), 0)
    array = tmp_path / "b.npy.partial"
    if how == "marks":
        (tmp_path / "marks.partial").write_bytes(b"\1")
    elif how == "gone":
        array.unlink()
    elif how == "short":
        array.write_bytes(array.read_bytes()[:-1])
    elif how == "shape":
        with array.open("wb") as file:
            np.save(file, np.ones((4, 1, 2), np.uint8))
    writer = begin(tmp_path, plan=4 if how == "plan" else 3)
    assert writer.marks.tolist() == [0, 0]
    assert np.load(tmp_path / "a.npy.partial").sum() == np.load(array).sum() == 0


def test_one_process_fills_a_directory(tmp_path):
    hold = "import sys; from pathlib import Path; from dmm.data.array_writer import locked\n"
    hold += "with locked(Path(sys.argv[1])): print('held', flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    with pytest.raises(ValueError, match="filled by another process; wait for it"), locked(tmp_path, wait=False):
        pass
    other.communicate("\n")
    with locked(tmp_path, wait=False):
        pass


def test_a_decoding_worker_starts_without_torch():
    program = "import sys; import dmm.workers, dmm.data.transforms; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


# --- what earlier versions wrote -----------------------------------------------------------------------------------------------


@pytest.fixture
def earlier(tmp_path):
    with zipfile.ZipFile(EARLIER) as file:
        file.extractall(tmp_path)
    for path in tmp_path.rglob("*.*"):
        os.utime(path, STAMP)
    return tmp_path


def test_an_earlier_prepared_set_opens_as_it_is(earlier, monkeypatch):
    stored = np.load(earlier / "set" / "prepared" / "16.npy")
    monkeypatch.setattr(transforms, "decode", None)
    assert prepare(open_source(earlier / "set"), sizes=(16,))["train"] == 4
    assert torch.equal(Prepared(earlier / "set").images(16, [2])[0], torch.from_numpy(stored[2][:, 1:17, 1:17].copy()))


def test_an_earlier_prepared_set_half_done_goes_on(earlier, monkeypatch):
    rows = np.load(earlier / "half-set" / "prepared" / "16.npy.partial")
    whole, seen = transforms.decode, []
    monkeypatch.setattr(transforms, "decode", lambda job, sizes: seen.append(job.row) or whole(job, sizes))
    prepare(open_source(earlier / "half-set"), sizes=(16,))
    assert seen == [16, 17, 18, 19]
    finished = np.load(earlier / "half-set" / "prepared" / "16.npy")
    assert np.array_equal(finished[:16], rows[:16]) and all(finished[k].any() for k in seen) and not rows[16:].any()


def test_an_earlier_cache_opens_and_a_half_drawn_one_goes_on(earlier, monkeypatch):
    monkeypatch.setattr(cache_module, "_fingerprint", lambda *_: PAINTED)
    monkeypatch.setattr(cache_module, "CHUNK", 2)
    stored = np.load(earlier / "cache" / "garden-train-0-2" / "16.npy")
    half = np.load(earlier / "half-cache" / "garden-train-0-4" / "16.npy.partial")
    asked, draw = [], cache_module._draw_rows
    monkeypatch.setattr(cache_module, "_draw_rows", lambda *places: asked.append(places[-1]) or draw(*places))
    assert np.array_equal(AviaryCache.open(earlier / "cache", 2, sizes=(16,)).images(16, [0, 1]).numpy(), stored)
    store = AviaryCache.open(earlier / "half-cache", 4, sizes=(16,))
    assert asked == [range(2, 4)]
    assert np.array_equal(store.images(16, [0, 1]).numpy(), half[:2]) and not half[2:].any()
    assert torch.equal(store.images(16, [2, 3]), cache_module._draw(store.birds([2, 3]), (16,))["16"])
    assert torch.equal(store.labels([2, 3]), cache_module._draw(store.birds([2, 3]), (16,))["labels"])
