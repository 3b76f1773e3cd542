"""The app as its users get it: ``python app.py`` in a process of its own, on a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dmm.checkpoint import save
from tests.explorer.handmade import write_log, write_run
from tests.explorer.toy import toy_pipeline

ROOT = Path(__file__).parent.parent.parent
CHECKPOINT = os.environ.get("DMM_TEST_CHECKPOINT", "dmmgan-aviary")  #: the shipped one, or a folder
PATIENCE = 300  # seconds until the app must answer


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(process: subprocess.Popen, url: str, log: Path) -> None:
    """Return when the app answers.

    Raises:
        RuntimeError: it ended, or did not answer in time; with what it printed.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise RuntimeError(f"the app did not come up at {url}; it printed:\n{log.read_text(encoding='utf-8')}")


@contextmanager
def serving(checkpoint: str | Path, log: Path, *options: str) -> Iterator[str]:
    """A running app, started with further options; its address."""
    port = free_port()
    environment = os.environ | {"HOST": "127.0.0.1", "PORT": str(port)}
    environment.pop("GRADIO_ANALYTICS_ENABLED", None)  # the app must be quiet of its own accord
    with log.open("w", encoding="utf-8") as out:
        command = [sys.executable, "app.py", str(checkpoint), *options]
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=environment)
        try:
            url = f"http://127.0.0.1:{port}/"
            wait_until_up(process, url, log)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)


@pytest.fixture(scope="session")
def app_url(tmp_path_factory) -> Iterator[str]:
    """Address of the app with the shipped checkpoint."""
    with serving(CHECKPOINT, tmp_path_factory.mktemp("app") / "log.txt") as url:
        yield url


@pytest.fixture(scope="module")
def run_url(tmp_path_factory) -> Iterator[str]:
    """Address of an app with a toy model and five traced steps of its training, which goes on."""
    run = write_log(write_run(tmp_path_factory.mktemp("runs") / "my-gan"))
    save(toy_pipeline(), run)
    with serving(run, tmp_path_factory.mktemp("run") / "log.txt") as url:
        yield url


@pytest.fixture
def explorer(page, app_url):
    """A page of the app with the shipped checkpoint."""
    with watched(page, app_url):
        yield page


@pytest.fixture
def learner(page, run_url):
    """A page of the app with a training run."""
    with watched(page, run_url):
        yield page


@contextmanager
def watched(page, url: str) -> Iterator[None]:
    """A page may talk to its app only; console errors and requests elsewhere fail the test."""
    errors, strangers = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith((url, "data:", "blob:")) else strangers.append(request.url))
    yield
    assert errors == []
    assert strangers == []
