"""On a device that is not the CPU: nothing is left behind, nothing is mixed, and the numbers are the same.

No GPU is needed: :mod:`tests.pretend_gpu` refuses what a GPU would refuse.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dmm.models.registry import list_models

HERE = Path(__file__).parent
REFUSALS = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from tests.pretend_gpu import pretended
with pretended() as device:
    there, here, pick = torch.ones(3, 4, device=device), torch.ones(4), torch.tensor([1, 0])
    own, other = torch.Generator(device), torch.Generator()
    refused = {
        "sum": lambda: there + here,
        "product": lambda: torch.nn.functional.linear(there, torch.ones(2, 4)),
        "index": lambda: here[pick.to(device)],
        "assigned": lambda: there.add_(here),
        "generator": lambda: torch.rand(3, generator=other, device=device),
        "its generator": lambda: torch.rand(3, generator=own),
        "memory": lambda: there.numpy(),
        "concatenated": lambda: torch.cat((there[0], here)),
    }
    for name, attempt in refused.items():
        try:
            attempt()
        except (RuntimeError, TypeError):
            continue
        raise SystemExit(f"{name} was not refused")
    assert (there + torch.tensor(1.0)).cpu().tolist() == (torch.ones(3, 4) + 1).tolist()
    assert there[pick].device == device and there[:, pick.to(device)].shape == (3, 2)
    assert torch.equal(torch.rand(3, generator=own.manual_seed(1), device=device).cpu(), torch.rand(3, generator=other.manual_seed(1)))
"""


def _run(*command) -> str:
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_what_a_gpu_refuses_is_refused():
    _run("-c", REFUSALS, HERE.parents[1])


@pytest.fixture(scope="module")
def compared(toy_cache, tmp_path_factory):
    return json.loads(_run(HERE / "pretend.py", tmp_path_factory.mktemp("pretended"), toy_cache).splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("part", ["match", "caption", "recipe", *(entry.name for entry in list_models()), "generating"])
def test_it_trains_and_generates_there_as_here(part, compared):
    assert compared[part]["device"] == "pretend"
    assert compared[part]["difference"] < 2e-4  # of the largest number of each tensor, or of 1
