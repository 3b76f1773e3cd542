"""The records of a results folder, and one figure of one of them with its interval and protocol.

A record is the JSON that ``dmm evaluate --out`` writes: ``metrics`` by name, each with its own ``protocol``, and what holds for all of them
(N, split, noise, seed, judge, hash of the weights, command). ``dmm bench`` writes ``rows`` and ``machine``.
"""

from __future__ import annotations

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
    subject: str  # of :func:`subject_of`: the recipe of the measured model, with "-seed-N" if that was not its seed; else its own name
    content: dict


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
            evaluations.append(Record(path.name, subject_of(content["checkpoint"], path.stem), content))
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


def trained_by(subject: str) -> tuple[str, int]:
    """The recipe of a measured model and the seed of its training: N where the name ends with ``-seed-N``, else 0."""
    recipe, found, seed = subject.partition("-seed-")
    return (recipe, int(seed)) if found and seed.isdecimal() else (subject, 0)


def subject_of(checkpoint: str, stem: str) -> str:
    """The recipe of a measured model: the one of the checkpoint's name, else the longest one that the file's name begins with.

    A run of a recipe with another seed is a subject of its own, see :func:`trained_by`.
    """
    known = names()
    name = Path(checkpoint).name.removesuffix("-gan")
    if trained_by(name)[0] in known:
        return name
    fits = [recipe for recipe in known if stem == recipe or stem.startswith(recipe + "-")]
    return max(fits, key=len) if fits else name


def second_runs(results: Results) -> list[str]:
    """Subjects that are runs of a recipe with another seed than 0."""
    return sorted({record.subject for record in results.evaluations if trained_by(record.subject)[1]})


def figure(results: Results, subject: str, measure: Measure) -> Figure | None:
    """The figure of the record with the most captions, or None where nobody measured it."""
    found = []
    for record in results.evaluations:
        metric = record.content["metrics"].get(measure.metric)
        if record.subject == subject and _features(metric) == measure.features:
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
