"""The records of a results folder, and one figure of one of them with its interval and protocol.

A record is the JSON that ``dmm evaluate --out`` writes: ``metrics`` by name, each with its own ``protocol``, and what holds for all of them
(N, split, noise, seed, judge, hash of the weights, command). ``dmm bench`` writes ``rows`` and ``machine``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmm.errors import InputError
from dmm.files import parse, read_text
from dmm.recipes import names

#: What two figures must agree in before they may share a column unsaid: key of a record -> how it is called.
PROTOCOL = {"n": "N", "split": "data", "noise": "noise", "judge": "judge", "captioner": "captioner", "feature_network": "feature network"}


@dataclass(frozen=True)
class Record:
    """One JSON file."""

    file: str  # its name in the folder
    subject: str  # the recipe that the measured model was trained by; its own name where there is no such recipe
    content: dict
    seed: int = 0  # of its training


@dataclass(frozen=True)
class Results:
    """A folder of records."""

    evaluations: Sequence[Record]
    benches: Sequence[Record]
    others: Sequence[str]  # files that no table reads


@dataclass(frozen=True)
class Measure:
    """Where a figure stands in a record."""

    label: str  # with an arrow that says which way is better
    metric: str  # name in ``metrics``
    keys: tuple[str, ...]  # below the metric
    digits: int = 3
    features: str = ""  # kind of the network that was chosen by ``--features`` ("inception"); "": none was, so the judge or the model's own


@dataclass(frozen=True)
class Figure:
    """A figure of a record."""

    value: float
    interval: tuple[float, float] | None  # 95 %; None where the record has none
    protocol: tuple[tuple[str, str], ...]  # what it was measured with, by name
    file: str
    n: int


def read_results(folder: str | Path) -> Results:
    """Every ``*.json`` of a folder.

    Raises:
        InputError: no folder, or a file that is not a JSON object.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"--results {folder}: expected a folder with the JSON files of `dmm evaluate --out`, found none")
    evaluations, benches, others = [], [], []
    for path in sorted(folder.glob("*.json")):
        content = _read(path)
        if isinstance(content.get("metrics"), dict) and "checkpoint" in content:
            subject, seed = subject_of(str(content["checkpoint"]), path.stem)
            said = content.get("train_seed")
            evaluations.append(Record(path.name, subject, content, said if isinstance(said, int) else seed))
        elif any(isinstance(row, dict) and "sampling" in row for row in _rows(content)):
            benches.append(Record(path.name, str(content.get("machine", path.stem)), content))
        else:
            others.append(path.name)
    return Results(evaluations, benches, others)


def _rows(content: Mapping) -> Sequence:
    """The rows of a bench; none in a file that has something else there."""
    rows = content.get("rows")
    return rows if isinstance(rows, list) else ()


def _read(path: Path) -> dict:
    try:
        content = parse(read_text(path), path.name, finite=False)
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: expected JSON of `dmm evaluate --out` or `dmm bench --out` ({error}); remove or mend it") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, found a {type(content).__name__}; remove it from the folder of results")
    return content


def subject_of(checkpoint: str, stem: str) -> tuple[str, int]:
    """The recipe of a measured model and the seed of its training, from the checkpoint's name or else from the record's.

    A run's name is its recipe's, perhaps with ``-seed-N`` and ``-gan`` behind it; a record's begins so. No number is seed 0.
    """
    known = names()
    name, seed = _apart(Path(checkpoint).name.removesuffix("-gan"))
    if name in known:
        return name, seed
    fits = [recipe for recipe in known if stem == recipe or stem.startswith(recipe + "-")]
    if not fits:
        return name, seed
    recipe = max(fits, key=len)
    return recipe, _apart(stem)[1]


def _apart(name: str) -> tuple[str, int]:
    """What stands before ``-seed-N``, and N; 0 without it."""
    found = re.match(r"(.*)-seed-(\d{1,9})(-|$)", name)
    return (found[1], int(found[2])) if found else (name, 0)


def seeds_of(results: Results, subject: str) -> list[int]:
    """The seeds with which a recipe's measured models were trained, the smallest first."""
    return sorted({record.seed for record in results.evaluations if record.subject == subject})


def figure(results: Results, subject: str, measure: Measure, seed: int | None = None) -> Figure | None:
    """The figure of the record with the most captions, or None where nobody measured it.

    It is of the model that was trained with ``seed``; by default of the one with the smallest.
    """
    seed = next(iter(seeds_of(results, subject)), 0) if seed is None else seed
    found = []
    for record in results.evaluations:
        metric = record.content["metrics"].get(measure.metric)
        if (record.subject, record.seed) == (subject, seed) and _features(metric) == measure.features:
            holder, value = _look(metric, measure.keys)
            if isinstance(value, (int, float)):
                found.append(_figure(record, measure, float(value), holder))
    return max(found, key=lambda figure: (figure.n, figure.file), default=None)


def _features(metric: object) -> str:
    """The kind of network that a metric's features were chosen from, as :class:`Measure` has it."""
    chosen = metric.get("feature_network") if isinstance(metric, Mapping) else None
    return str(chosen.get("name", "")).partition(":")[0] if isinstance(chosen, Mapping) else ""


def _look(metric: object, keys: Sequence[str]) -> tuple[object, object]:
    """What stands under ``keys``, and what holds it."""
    holder, value = None, metric
    for key in keys:
        holder, value = value, value.get(key) if isinstance(value, Mapping) else None
    return holder, value


def _figure(record: Record, measure: Measure, value: float, holder: object) -> Figure:
    own = f"{measure.keys[-1]}_interval_95"  # where one mapping holds several figures
    interval = holder.get(own, holder.get("interval_95")) if isinstance(holder, Mapping) else None
    content, metric = record.content, record.content["metrics"][measure.metric]
    protocol = {said: _said(content.get(key)) for key, said in PROTOCOL.items() if content.get(key) is not None}
    if isinstance(metric.get("feature_network"), (str, Mapping)):
        protocol["feature network"] = _said(metric["feature_network"])
    protocol["protocol"] = str(metric.get("protocol", "not stated"))
    return Figure(value, tuple(interval) if interval else None, tuple(protocol.items()), record.file, int(content.get("n", 0)))


def _said(value: object) -> str:
    return str(value.get("weights_sha256", value)) if isinstance(value, Mapping) else str(value)
