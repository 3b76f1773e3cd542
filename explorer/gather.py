"""What a figure takes, gathered: captions are generated; runs, records, votes read; birds rendered; networks built and described.

The command line and the notebook ask here, so that a figure itself stays a pure function. Of a trace that is generated for a figure only
the fields that the figure reads are kept: a sheet of many pictures would fill the memory otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dmm.checkpoint import assets
from dmm.metrics.effects import WordEffects
from dmm.pipeline import Pipeline
from dmm.report import read_results
from dmm.trace import StageTrace, Trace
from explorer.figures.networks import Network
from explorer.figures.registry import Figure, FigureError, Reference, check_options, requests, wants_references
from explorer.figures.runs import Run, read_log
from explorer.session import Session
from explorer.votes import VoteStore

ALWAYS = {"image", "redescription"}  # fields of a stage that every figure may show


def gather(figure: Figure, values: Mapping[str, Any], session: Session | None = None, runs: Sequence[str] = (), model: str | None = None):
    """What a figure takes (:data:`explorer.figures.registry.SHOWS`).

    Args:
        figure: of the register.
        values: its options.
        session: the models; a figure of captions takes ``model`` (None: the first), a figure of systems takes all.
        runs: directories of training runs; a figure of one run takes the first.
        model: a name of the session.

    Raises:
        FigureError: options that do not fit, or no model or run where one is needed.
        dmm.pipeline.CaptionError: a caption that cannot be generated.
        explorer.figures.runs.RunError: a run that cannot be read.
        explorer.describe.DescriptionError: no such network.
        dmm.errors.InputError: a folder of records that cannot be read.
        explorer.votes.VoteError, explorer.questions.Refusal: votes that cannot be read, or contenders that are none.
    """
    values = check_options(figure, values)
    if figure.shows == "networks":
        return networks(figure, values)
    if figure.shows in ("run", "logs"):
        if not runs:
            raise FigureError(f"{figure.name} shows a training run: name one with --run, a directory that dmm train wrote")
        return Run(runs[0]).course(values.get("caption", 1)) if figure.shows == "run" else {str(run): read_log(run) for run in runs}
    if figure.shows == "records":
        return read_results(values["results"] or assets() / "results")
    if figure.shows == "votes":
        return votes(figure, values, session)
    if session is None:
        raise FigureError(f"{figure.name} shows generated pictures: name a model with --model")
    if figure.shows == "systems":
        return {name: traces(figure, values, session, name) for name in session.models}
    if figure.shows == "effects":
        return effects(figure, values, session, model)
    if figure.shows == "between":
        return between(figure, values, session.pipeline(model))
    return traces(figure, values, session, model)


def votes(figure: Figure, values: Mapping[str, Any], session: Session | None = None) -> dict:
    """What the votes of a file say: the CSV that the page saves, or its SQLite file, which takes the models that were judged.

    Raises:
        FigureError: no file is named, or a SQLite file without models.
        explorer.votes.VoteError, explorer.questions.Refusal: see :func:`gather`.
    """
    from explorer import ballots  # most figures show no votes

    path = Path(values["votes"])
    if not values["votes"]:
        raise FigureError(f"{figure.name} shows blind votes: name their file with --votes, as `explorer app --votes FILE` keeps it")
    if not path.is_file():
        raise FigureError(f"--votes {path}: no such file; `explorer app --votes {path}` makes it, and the blind vote on the page saves CSV")
    if is_table(path):
        return ballots.outcome(*ballots.read_table(path, values["first"]))
    if session is None:
        raise FigureError(f"--votes {path}: a SQLite file holds no names; name the models that were judged with --model")
    return ballots.BlindVote(session, VoteStore(path), ballots.two_of(session, values["first"], values["second"])).result()


def is_table(path: str | Path) -> bool:
    """Whether a file of votes is CSV, which names its contenders, by its ending."""
    return Path(path).suffix.lower() == ".csv"


@torch.no_grad()
def between(figure: Figure, values: Mapping[str, Any], pipe: Pipeline) -> list[list[Trace]]:
    """For each noise seed, pictures along the line from one sentence feature to another; words, where they are read, stay the first's.

    Raises:
        dmm.pipeline.CaptionError: a sentence that cannot be generated.
    """
    words, first, mask, names = pipe.encode([values["first"]])
    last, steps, rows = pipe.encode([values["last"]])[1], values["steps"], []
    for seed in range(values["seed"], values["seed"] + values["seeds"]):
        row = []
        for place in range(steps):
            trace = pipe.generator(first.lerp(last, place / (steps - 1)), words, mask, *pipe.noise([seed])).to("cpu")
            said = values["last"] if place == steps - 1 else values["first"]
            row.append(_slim(dataclasses.replace(trace, mask=mask, words=names, captions=[said], seeds=[seed]), figure))
        rows.append(row)
    return rows


def traces(figure: Figure, values: Mapping[str, Any], session: Session, model: str | None = None) -> list[Trace]:
    """Captions generated with one model of the session. Raises as :func:`gather`."""
    return [_slim(session.trace(model, caption, seed), figure) for caption, seed in requests(figure, values)]


def effects(figure: Figure, values: Mapping[str, Any], session: Session, model: str | None = None) -> list[WordEffects]:
    """What each word of a figure's captions did to the picture of one model of the session. Raises as :func:`gather`."""
    return [session.effects(model, caption, seed) for caption, seed in requests(figure, values)]


def networks(figure: Figure, values: Mapping[str, Any]) -> dict[str, Network]:
    """The freshly built networks that a figure's options name, described: option -> network; "captioner" is STREAM's."""
    from explorer.describe import describe_recipe  # builds networks; most figures do not need it

    asked = {o.name: values[o.name] for o in figure.options if o.makes == "network"}
    return {name: describe_recipe(said, "captioner" if name == "captioner" else "generator") for name, said in asked.items()}


def references(figure: Figure, values: Mapping[str, Any]) -> dict[str, Reference | None]:
    """Rendered birds of a figure's captions, if it shows any: caption -> picture, or None where no bird fits."""
    values = check_options(figure, values)
    if not wants_references(figure, values):
        return {}
    from explorer.references import rendered  # the renderer is slow to import; most figures do not need it

    return rendered(tuple(dict.fromkeys(caption for caption, _ in requests(figure, values))))


def _slim(trace: Trace, figure: Figure) -> Trace:
    """The trace without the fields of stages that the figure does not read."""
    kept = ALWAYS | set(figure.needs) | set(figure.reads)
    dropped = {f.name: None for f in dataclasses.fields(StageTrace) if f.name not in kept}
    return dataclasses.replace(trace, stages=[dataclasses.replace(stage, **dropped) for stage in trace.stages])
