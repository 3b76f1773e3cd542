"""Everything that trains and generates, once on the CPU and once on a pretended GPU: ``python pretend.py FOLDER CACHE``.

Prints JSON: for each part the largest difference of the two, and the device that it was on.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from dmm.config import Config, override
from dmm.metrics import evaluate
from dmm.models.registry import list_models
from dmm.pipeline import load
from dmm.recipes import recipe
from dmm.training import ranks
from dmm.training.adversarial import GanStep
from dmm.training.loop import run
from dmm.training.steps import CaptionStep, MatchStep
from tests.pretend_gpu import NAME, pretended
from tests.training.conftest import AIDS, TOY
from tests.training.test_systems_train import of_system

EPS = 1e-2  # Adam's; with the usual one its first steps take the sign of rounding
SEED = 1  # with 0, AttnGAN's step lies on a kink of an activation: one thread against two of one CPU differs by .06
FP32 = {"train.precision": "fp32"}  # "auto" is bf16 on some CPUs, for which the pretended device has not all operations
STATISTICS = {"ema_captions": "128"}  # of a toy's eight, a channel may hardly vary: batch norms divide rounding by that
CAPTION = "this small bird has a red crown and a white belly"


def _quiet(text: str) -> None:
    """Say nothing."""


def _tensors(state, prefix: str = "") -> dict[str, torch.Tensor]:
    """The floats of a nested state by name, on the CPU."""
    if isinstance(state, torch.Tensor):
        return {prefix: state.detach().cpu().float()}
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, (list, tuple)) else ()
    return {name: value for key, item in items for name, value in _tensors(item, f"{prefix}.{key}").items()}


def _gentle(step) -> None:
    optimisers = [optimiser for optimiser, _ in step.optimisers()]
    for group in [group for optimiser in optimisers for group in optimiser.param_groups]:
        group["eps"] = EPS


def _train(make: Callable, config: Config, directory: Path) -> dict:
    """A run of two steps with all that it writes, and a third after resuming; what it leaves, and where it was."""
    for steps in (2, 3):
        step = make(override(config, {"steps": str(steps)}))
        _gentle(step)
        run(step, override(config, {"steps": str(steps)}), directory, resume=steps > 2, say=_quiet)
    rows = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
    return {"device": step.ranks.device.type, "numbers": {f"{row.pop('step')}": _numbers(row) for row in rows}}


def everything(folder: Path, cache: str) -> dict[str, dict]:
    """Part -> its device and its tensors."""
    found, settings = {}, {**TOY, "cache": cache, "save_every": "9", "trace_every": "2", "evaluate_every": "2", **STATISTICS, **FP32}
    match, caption = (override(recipe("aviary", kind), settings) for kind in ("match", "caption"))
    found["match"] = _train(MatchStep, match, folder / "match")
    found["caption"] = _train(lambda config: CaptionStep(config, folder / "match"), caption, folder / "caption")
    earlier_runs = folder / "match", folder / "caption"
    every_aid = override(recipe("dmmgan-aviary", "gan"), AIDS | settings | {"initial_steps": "1", "frozen_steps": "0", "on_device": "true"})
    found["recipe"] = _train(lambda config: GanStep(config, *earlier_runs), every_aid, folder / "recipe")
    for entry in list_models():
        step = GanStep(of_system(entry, cache, **{"train.seed": SEED, **FP32}), *earlier_runs)
        _gentle(step)
        values = step.update(0)
        found[entry.name] = {"device": step.ranks.device.type, "numbers": [step.state_dict(), _numbers(values)]}
    return found


def _numbers(values: dict[str, float]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in values.items() if name != "seconds"}


def generating(folder: Path, device: torch.device, cache: str) -> dict:
    """A caption generated, told again and measured by the model of the recipe's run."""
    pipe = load(folder / "recipe", device).fused()
    trace = pipe([CAPTION], seed=3)
    trace.save(folder / "trace.npz")
    figures = evaluate(pipe, 8, 0, cache=cache)
    return {"device": pipe.device.type, "numbers": [trace.images, _numbers(_flat(figures["metrics"]))]}


def _flat(figures: dict, prefix: str = "") -> dict[str, float]:
    found = {}
    for name, value in figures.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return {name: value for name, value in found.items() if isinstance(value, (int, float))}


def difference(plain, there) -> float:
    """The largest difference of two nested states, as a share of each tensor's largest number, or of 1."""
    plain, there = _tensors(plain), _tensors(there)
    assert plain and plain.keys() == there.keys()
    return max(((value - there[name]).abs().max() / value.abs().max().clamp(min=1)).item() for name, value in plain.items())


def main(folder: Path, cache: str) -> dict:
    """Compare."""
    torch.set_num_threads(1)
    plain = everything(folder / "CPU", cache)
    plain["generating"] = generating(folder / "CPU", torch.device("cpu"), cache)
    with pretended() as device:
        ranks.find_device = lambda name, asked="": device
        there = everything(folder / NAME, cache)
        there["generating"] = generating(folder / "CPU", device, cache)
    return {
        part: {"device": there[part]["device"], "difference": difference(plain[part]["numbers"], there[part]["numbers"])} for part in plain
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
