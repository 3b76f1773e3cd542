"""One run a directory: the second is told who holds it; what a killed run or another machine left can be taken over."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import pytest

from dmm.training.checkpoints import TrainingError
from dmm.training.lock import LOCK, RunLock


def test_a_second_run_is_told_who_holds_the_directory(tmp_path):
    with RunLock(tmp_path):
        with pytest.raises(TrainingError, match=f"process {os.getpid()} on {socket.gethostname()}.*is running"):
            RunLock(tmp_path).__enter__()
        with pytest.raises(TrainingError, match="is running"):
            RunLock(tmp_path, force=True).__enter__()
    assert not (tmp_path / LOCK).exists()
    with RunLock(tmp_path):
        pass


def test_what_a_killed_run_left_is_taken_over(tmp_path):
    child = os.fork()
    if child == 0:
        held = RunLock(tmp_path)  # a name keeps its file open
        held.__enter__()
        time.sleep(60)
        os._exit(0)
    while not (tmp_path / LOCK).exists() or not (tmp_path / LOCK).read_bytes():
        time.sleep(0.01)
    with pytest.raises(TrainingError, match=f"process {child}"):
        RunLock(tmp_path).__enter__()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == child
    with RunLock(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()


def test_another_machine_has_to_be_forced(tmp_path):
    (tmp_path / LOCK).write_text(json.dumps({"pid": 7, "host": "another"}))
    with pytest.raises(TrainingError, match="process 7 on another.*--force"):
        RunLock(tmp_path).__enter__()
    assert json.loads((tmp_path / LOCK).read_text())["host"] == "another"
    with RunLock(tmp_path, force=True):
        pass


@pytest.mark.parametrize("text", ["", "[" * 50_000, '{"pid": -1}', "\x00"])
def test_a_damaged_lock_is_no_lock(tmp_path, text):
    (tmp_path / LOCK).write_text(text)
    with RunLock(tmp_path):
        pass
