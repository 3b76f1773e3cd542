"""The rehearsal of docs/training.md, word for word: from a folder of pictures to a model that generates, by the default recipes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def rehearsal() -> str:
    """The shell lines of the section, without the one that serves the page."""
    section = (ROOT / "docs" / "training.md").read_text(encoding="utf-8").partition("## A rehearsal in minutes")[2]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block, "docs/training.md: the rehearsal has no shell lines"
    return "\n".join(line for line in block[1].splitlines() if "app.py" not in line)


@pytest.mark.slow
def test_the_rehearsal_of_the_documentation_gives_a_model_that_generates(tmp_path):
    dmm = f'dmm() {{ {shlex.quote(sys.executable)} -m dmm.cli "$@"; }}\n'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DMM_WORKERS": "1"}
    done = subprocess.run(["bash", "-ec", dmm + rehearsal()], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "runs" / "toy-gan" / "model.safetensors").is_file()
    assert list(tmp_path.rglob("*-256.png")), "dmm generate wrote no picture"
