"""The rehearsal of docs/training.md, word for word: from a folder of pictures to a model that generates, by the default recipes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dmm.cli import app

ROOT = Path(__file__).parents[2]


def rehearsal() -> str:
    """The shell lines of the section, without the one that serves the page."""
    section = (ROOT / "docs" / "training.md").read_text(encoding="utf-8").partition("## A rehearsal in minutes")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block, "docs/training.md: the rehearsal has no shell lines"
    return "\n".join(line for line in block[1].splitlines() if "app.py" not in line)


def commands() -> list[list[str]]:
    """The arguments of each `dmm` of the section, as the shell hands them over."""
    said = subprocess.run(["bash", "-ec", 'dmm() { printf "%q " "$@"; echo; }\n' + rehearsal()], capture_output=True, text=True, check=True)
    return [shlex.split(line) for line in said.stdout.splitlines()]


@pytest.mark.slow
def test_the_rehearsal_of_the_documentation_gives_a_model_that_generates(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DMM_WORKERS", "1")
    *steps, generate = commands()
    said = ["data aviary", "data check", "data prepare", "train match", "train caption", "train gan"]
    assert [" ".join(step[:2]) for step in steps] == said and generate[0] == "generate"
    for step in steps:
        done = CliRunner().invoke(app, step)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "runs" / "toy-gan" / "model.safetensors").is_file()
    # in a process that knows nothing of the training
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", "dmm.cli", *generate], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(tmp_path.rglob("*-256.png")), "dmm generate wrote no picture"
