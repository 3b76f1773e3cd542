"""A trace made by hand with known numbers, in the shapes that dmm/trace.py says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from dmm.trace import StageTrace, Trace

WORDS = ["<start>", "a", "small", "bird", "with", "a", "yellow", "crown", "<end>"]
GATE = [0.9, 0.30, 0.50, 0.70, 0.10, 0.30, 0.80, 0.60, 0.95]  # start and end are large on purpose: they must never be shown


def ramp_picture(size: int) -> torch.Tensor:
    """1 3 S S: red grows to the right, green downwards, blue is low."""
    line = torch.linspace(-1, 1, size)
    return torch.stack([line.expand(size, size), line[:, None].expand(size, size), torch.full((size, size), -0.8)])[None]


def addressing(side: int) -> torch.Tensor:
    """1 T H W, a softmax over the words: "yellow" owns the top left quarter, "small" the bottom right, elsewhere all words are even."""
    weights = torch.zeros(1, len(WORDS), side, side)
    real = slice(1, len(WORDS) - 1)
    weights[:, real] = 1 / 7
    half = side // 2
    for word, rows, columns in ((6, slice(0, half), slice(0, half)), (2, slice(half, side), slice(half, side))):
        weights[:, real, rows, columns] = 0.05
        weights[:, word, rows, columns] = 0.70
    return weights


def refine_stage(side: int) -> StageTrace:
    """A refinement stage that reads an H W map of ``side`` and generates twice that."""
    column = torch.linspace(0, 1, side).expand(side, side)
    gate = torch.stack([0.5 * column, 0.3 * torch.ones(side, side), 0.7 - 0.5 * column])[None]  # 1 3 H W, adds up to 1
    return StageTrace(
        image=ramp_picture(2 * side),
        writing_gate=torch.tensor(GATE)[None, None],
        addressing=addressing(side),
        response_gate=gate,
        redescription=["this little bird has a yellow crown and red wings"],
    )


def make_trace(caption: str = "a small bird with a yellow crown", seed: int = 0) -> Trace:
    """The hand-made trace, batch of 1."""
    return Trace(
        stages=[StageTrace(image=ramp_picture(64), redescription=["a bird"]), refine_stage(64), refine_stage(128)],
        mask=torch.tensor([[True] + [False] * 7 + [True]]),
        captions=[caption],
        words=[list(WORDS)],
        seeds=[seed],
    )


def chosen(share: float, seed: int = 0) -> Trace:
    """The hand-made trace with addressing between even (share 0) and one word alone (share 1: "yellow")."""
    trace = make_trace(seed=seed)
    for stage in trace.stages[1:]:
        stage.addressing = torch.zeros_like(stage.addressing)
        stage.addressing[:, 1:-1] = (1 - share) / 7
        stage.addressing[:, 6] += share
    return trace


def both(one: Trace, other: Trace) -> Trace:
    """Two traces as one batch."""

    def joined(a, b):
        pairs = {f.name: (getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a) if f.name != "stages"}
        merged = {name: torch.cat(pair) if isinstance(pair[0], Tensor) else pair[0] and pair[0] + pair[1] for name, pair in pairs.items()}
        return dataclasses.replace(a, **merged)

    return dataclasses.replace(joined(one, other), stages=[joined(a, b) for a, b in zip(one.stages, other.stages, strict=True)])


def write_run(directory: Path, steps: Sequence[int] = (10, 20, 30, 40, 50), begins: int = 0) -> Path:
    """A run directory with the traces of two captions: the first is read evenly at the first step and one word alone at the last."""
    (directory / "traces").mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps({"train": {"initial_steps": begins}}))
    for place, step in enumerate(steps):
        trace = both(chosen(place / (len(steps) - 1)), make_trace("a small bird with a yellow crown, again", seed=1))
        trace.save(directory / "traces" / f"{step:07d}.npz")
    return directory


def write_log(directory: Path) -> Path:
    """Its log up to step 60, as if training went on: two losses, and scores of which the second is the best."""
    log = [{"step": s, "seconds": 1.0, "generator": 40.0 - s / 2, "feature_limit": 0.001 * (s % 20)} for s in range(2, 61, 2)]
    scores = [{"step": s, "score": score} for s, score in ((20, 0.2), (40, 0.6), (60, 0.5))]
    for name, rows in (("log", log), ("evaluations", scores)):
        (directory / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return directory


class CountingPipeline:
    """Answers like a pipeline, and remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, caption, seed=0):
        self.asked.append((caption, seed))
        return make_trace(caption, seed)
