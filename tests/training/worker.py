"""A toy run in a process of its own: ``python worker.py SETTINGS.json``; a test kills it, or starts several at once.

SETTINGS.json: recipe, kind (match, caption, gan), changes (key -> value), out, match, caption, resume; and eps: Adam's, with which the run
writes nothing but its states before and after, and notes which pictures it reads.
"""

import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from dmm.config import override
from dmm.recipes import recipe
from dmm.training.adversarial import GanStep
from dmm.training.loop import run
from dmm.training.steps import CaptionStep, MatchStep


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


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
