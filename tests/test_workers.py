"""Worker processes: the same bits whoever renders, a draw that is stopped in any way goes on, and any kind of caller can use them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import numpy as np
import pytest

from dmm import workers
from dmm.aviary import cache as cache_module
from dmm.aviary import disk
from dmm.aviary.cache import AviaryCache
from dmm.workers import WorkerError, WorkerPool, useful_workers, work

CHUNK = 2
OPEN = f"""import signal
from dmm.aviary import cache
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts the tests in the background has it ignored
cache.CHUNK = {CHUNK}
cache.AviaryCache.open({{root!r}}, {{images}}, sizes=(16,), workers=2, progress=False)
"""


def double(number: int) -> int:
    return 2 * number


def fail(number: int) -> None:
    raise FileNotFoundError(2, "No such nest", f"{number}.nest")


def die(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def shout(number: int) -> int:
    print("not an answer")
    os.write(1, b"nor this")
    return number


def tell(_) -> tuple:
    import torch

    return torch.get_num_threads(), os.getpid()


@pytest.fixture(scope="module")
def pair():
    with WorkerPool(2) as two:
        two.ready()
        yield two


def test_jobs_are_answered(pair):
    assert sorted(pair.run(double, range(20))) == [(k, 2 * k) for k in range(20)] and list(pair.run(double, [])) == []
    told = [answer for _, answer in pair.run(tell, range(8))]
    assert {threads for threads, _ in told} == {1} and os.getpid() not in {pid for _, pid in told}
    assert sorted(answer for _, answer in pair.run(shout, range(4))) == [0, 1, 2, 3]


def test_errors_come_back_and_the_pool_goes_on(pair):
    with pytest.raises(FileNotFoundError, match="No such nest: '5.nest'") as caught:
        list(pair.run(fail, [5]))
    assert "in fail" in str(caught.value.__cause__)
    assert list(pair.run(double, [4])) == [(4, 8)]


def test_how_many(monkeypatch):
    monkeypatch.delenv("DMM_WORKERS", raising=False)
    monkeypatch.setattr(workers, "cores", lambda: 4)
    assert [useful_workers(birds) for birds in (0, 12, 399, 400, 10_000)] == [1, 1, 1, 2, 4]
    assert useful_workers(3, workers=2) == 2 and useful_workers(1, workers=2) == 1
    monkeypatch.setenv("DMM_WORKERS", "3")
    assert useful_workers(10_000) == 3
    for wrong in ("0", "many", "-1"):
        monkeypatch.setenv("DMM_WORKERS", wrong)
        with pytest.raises(ValueError, match="DMM_WORKERS: expected a whole number"):
            useful_workers(10)
    with pytest.raises(ValueError, match="at least one worker"):
        useful_workers(10, workers=0)


def test_few_birds_start_no_process(monkeypatch):
    monkeypatch.setattr(workers, "WorkerPool", None)
    assert list(work(double, [1, 2], pictures=40)) == [(1, 2), (2, 4)]


def test_two_workers_draw_the_same_bits(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "WorkerPool", lambda *_: nullcontext(pair))
    monkeypatch.setattr(cache_module, "CHUNK", CHUNK)
    one, two = (AviaryCache.open(tmp_path / str(n), 7, seed=3, level="world", sizes=(64, 256), workers=n) for n in (1, 2))
    for size in (64, 256):
        assert (one.directory / f"{size}.npy").read_bytes() == (two.directory / f"{size}.npy").read_bytes()
    trees = [disk.write(tmp_path / f"set{n}", 6, 32, batch=1, workers=n) for n in (1, 2)]
    files = [{p.relative_to(tree): p.read_bytes() for p in tree.rglob("*") if p.is_file()} for tree in trees]
    assert files[0] == files[1] and len(files[0]) > 6 * 3


def test_a_dead_worker_ends_the_work_and_leaves_nothing_behind():
    done = []
    with pytest.raises(WorkerError, match="ended by signal 9.*run this again to go on"):
        for job, _ in work(die, range(40), pictures=40, workers=2):
            done.append(job)
    assert 3 not in done and len(done) < 40


def test_a_worker_that_cannot_start(monkeypatch):
    monkeypatch.setattr(workers, "_START", "raise SystemExit(3)")
    with pytest.raises(WorkerError, match="could not start, it ended with exit code 3; DMM_WORKERS=1"), WorkerPool(2) as two:
        two.ready()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(WorkerError, match="could not start .*No such file"):
        WorkerPool(2)


def drawn(root) -> np.ndarray:
    """The numbers of the chunks that a stopped draw has marked."""
    marks = list(root.glob("*/chunks.partial"))
    return np.flatnonzero(np.fromfile(marks[0], np.uint8)) if marks else np.empty(0, int)


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_draw_goes_on(tmp_path, monkeypatch, how):
    """Its parent killed, or Ctrl-C, which reaches the whole group: the pool ends too, and the next call draws the rest."""
    root, images = tmp_path / "cache", 64
    parent = subprocess.Popen(
        [sys.executable, "-c", OPEN.format(root=str(root), images=images)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not len(drawn(root)):
        assert parent.poll() is None, parent.stderr.read()
        time.sleep(0.01)
    (os.killpg if how == signal.SIGINT else os.kill)(parent.pid, how)
    errors = parent.communicate(timeout=60)[1]  # ends when the last of them has closed standard error
    assert how == signal.SIGKILL or (errors.rstrip().endswith("KeyboardInterrupt") and errors.count("Traceback") == 1)
    kept = drawn(root)
    assert 0 < len(kept) < images // CHUNK
    monkeypatch.setattr(cache_module, "CHUNK", CHUNK)
    went_on, asked = cache_module._draw_rows, []
    monkeypatch.setattr(cache_module, "_draw_rows", lambda *places: asked.append(places[-1].start // CHUNK) or went_on(*places))
    store = AviaryCache.open(root, images, sizes=(16,), progress=False)
    assert sorted([*asked, *kept]) == list(range(images // CHUNK))
    rows = [row for k in kept[:4] for row in range(k * CHUNK, (k + 1) * CHUNK)]
    assert np.array_equal(store.images(16, rows), cache_module._draw(store.birds(rows), (16,))["16"])


def test_a_script_without_a_main_guard_can_draw(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("print('once')\n" + OPEN.format(root=str(tmp_path / "cache"), images=4))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "once\n", "")
    assert len(AviaryCache.open(tmp_path / "cache", 4, sizes=(16,))) == 4
