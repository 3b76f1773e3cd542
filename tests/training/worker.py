"""A toy run in a process of its own, which a test kills, or starts several of at once.

The process is a fork of a server that has imported PyTorch and this project once: seconds less than a new Python for each.
"""

import multiprocessing
import os
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import torch

from dmm.config import override
from dmm.recipes import recipe
from dmm.training.adversarial import GanStep
from dmm.training.loop import run
from dmm.training.steps import CaptionStep, MatchStep

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload([__name__, "torch._dynamo"])  # the compiler is what the first optimiser imports


def start(settings: dict, environment: dict[str, str] | None = None) -> ForkServerProcess:
    """Begin a run in a process of its own; what it says on standard error goes to a file, ``out`` and ".stderr".

    Args:
        settings: recipe, kind (match, caption, gan), changes (key -> value), out, match, caption, resume; and eps: Adam's, with which the
            run writes nothing but its states before and after, and notes which pictures it reads.
        environment: further variables.
    """
    process = SERVER.Process(target=_begin, args=(settings, environment or {}), daemon=True)  # ends with the tests, however they end
    process.start()
    return process


def _begin(settings: dict, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    with open(f"{settings['out']}.stderr", "a") as errors:
        os.dup2(errors.fileno(), 2)
    main(settings)


def main(settings: dict) -> None:
    """Train as the settings say; the process that writes also leaves the state of every rank beside the run."""
    torch.set_num_threads(1)
    config = override(recipe(settings["recipe"], settings["kind"]), settings["changes"])
    if settings["kind"] == "match":
        step = MatchStep(config)
    elif settings["kind"] == "caption":
        step = CaptionStep(config)
    else:
        step = GanStep(config, settings["match"], settings["caption"])
    out = Path(settings["out"])
    read: list[int] = []  # places of the pictures read, in order
    resume = settings.get("resume", False) and (out / "last.pt").exists()
    if "eps" in settings:
        optimisers = [optimiser for optimiser, _ in step.optimisers()]
        for group in [group for optimiser in optimisers for group in optimiser.param_groups]:
            group["eps"] = settings["eps"]
        step.sample = step.export = lambda *args: None
        pictures = step.data.cache.pictures
        step.data.cache.pictures = lambda indices, *rest: read.extend(indices.tolist()) or pictures(indices, *rest)
        if step.ranks.main:
            torch.save(step.state_dict(), out.with_name("start.pt"))
    run(step, config, out, resume=resume, say=lambda text: None)
    torch.save(step.state_dict() | {"read": read}, out / f"rank{step.ranks.rank}.pt")
