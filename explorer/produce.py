"""Figures as files: gather what each takes, draw it, write it, and note in a manifest how it came about.

``manifest.json`` beside the files says for each figure what it shows in words, the options, the SHA-256 of the models, records or votes
that it shows, the command that draws it again, the versions of the libraries, and the SHA-256 of each file. It holds no time and no path
of this machine beyond what was typed, so that a second run writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from dmm.checkpoint import assets, locate, system_of
from dmm.files import FileError, Table, lines_in, one_line, read_json, read_text
from dmm.images import write_atomic
from explorer import gather
from explorer.figures.export import export
from explorer.figures.registry import Figure, FigureError, Lacking, Result, check_options, draw, list_figures
from explorer.figures.runs import Run
from explorer.session import Session

MANIFEST = "manifest.json"
LIBRARIES = ("dmm-gan-explorer", "torch", "numpy", "matplotlib", "pillow", "safetensors")
ONE_MODEL = ("captions", "between", "effects")  # what figures of a single model show
TEXTS = ("captions", "text")  # kinds of options that hold sentences


@dataclass
class Sources:
    """Where figures come from.

    Args:
        models: checkpoints, names under assets/checkpoints or folders.
        runs: directories of training runs.
    """

    models: Sequence[str] = ()
    runs: Sequence[str] = ()
    session: Session | None = field(default=None, init=False)

    def __post_init__(self):
        for name in self.models:
            locate(name)  # a missing checkpoint is said before anything is computed
        self.session = Session(list(self.models)) if self.models else None


def read_captions(path: str | Path) -> tuple[str, ...]:
    """The sentences of a text file, one a line; empty lines are passed over.

    Raises:
        FigureError: no such file, no text, or no sentence in it.
    """
    try:
        lines = tuple(line.strip() for line in lines_in(read_text(path)) if line.strip())
    except (OSError, FileError) as error:
        raise FigureError(f"captions file {path}: expected a text file with a sentence a line ({one_line(error)})") from error
    if not lines:
        raise FigureError(f"captions file {path}: expected a sentence a line, found none")
    return lines


def with_captions(figure: Figure, values: Mapping[str, Any], sentences: Sequence[str]) -> dict[str, Any]:
    """The options with other sentences: all of them for a figure of captions, one each, in order, for a figure of one or two."""
    said = {o.name: tuple(sentences) if o.kind == "captions" else sentences[i % len(sentences)] for i, o in enumerate(texts_of(figure))}
    return dict(values) | said


def texts_of(figure: Figure) -> list:
    """The options that say what is generated."""
    return [o for o in figure.options if o.makes == "trace" and o.kind in TEXTS]


def produce(figure: Figure, values: Mapping[str, Any], sources: Sources, out: str | Path, formats: Sequence[str]) -> list[Path]:
    """Draw a figure and write it, and its entry of the manifest; returns the paths of its files.

    Raises:
        FigureError, CaptionError, RunError, CheckpointError, DescriptionError: ValueErrors that say what was expected.
        OSError: nothing can be written there.
    """
    values = check_options(figure, values)
    result, models = _drawn(figure, values, sources)
    paths = export(result, out, figure.name, formats)
    _note(Path(out) / MANIFEST, figure.name, _entry(figure, values, models, sources.runs, result, paths, formats))
    return paths


def _drawn(figure: Figure, values: Mapping[str, Any], sources: Sources) -> tuple[Result, Sequence[str]]:
    """A figure and the models that it shows. A figure of one model shows the first that has its quantity, its own system's before others.

    Raises:
        Lacking: none has it. And as :func:`produce`.
    """
    if figure.shows not in ONE_MODEL or sources.session is None:
        shown = gather.gather(figure, values, sources.session, sources.runs)
        judged = figure.shows == "votes" and not gather.is_table(values["votes"])  # a file that does not name them
        return draw(
            figure, shown, gather.references(figure, values), **values
        ), sources.models if figure.shows == "systems" or judged else ()
    why = ""
    pairs = zip(sources.models, sources.session.models, strict=False)  # the session calls a folder by its last part
    for model, name in sorted(pairs, key=lambda pair: bool(figure.system) and system_of(pair[0]) != figure.system):
        try:
            shown = gather.gather(figure, values, sources.session, model=name)
            return draw(figure, shown, gather.references(figure, values), **values), [model]
        except Lacking as error:
            why = str(error)
    raise Lacking(why + (f"; tried {', '.join(map(str, sources.models))}" if len(sources.models) > 1 else ""))


def produce_all(sources: Sources, out: str | Path, formats: Sequence[str], sentences: Sequence[str] = ()) -> Iterator[tuple[Figure, str]]:
    """Every figure of the register that the sources can give: (figure, "" or why it was left out), one after another.

    Raises:
        OSError: nothing can be written there.
    """
    for figure in list_figures():
        why = _lacking(figure, sources)
        if not why:
            try:
                produce(figure, with_captions(figure, {}, sentences) if sentences else {}, sources, out, formats)
            except ValueError as error:  # a system without the quantity, or a caption that it cannot generate
                why = str(error)
        yield figure, why


def _lacking(figure: Figure, sources: Sources) -> str:
    if figure.shows in ("run", "logs") and not sources.runs:
        return "shows a training run; name one with --run"
    if figure.shows == "run" and not Run.there(sources.runs[0]):
        return f"{sources.runs[0]} has no traces; train with --set trace_every=100"
    if figure.shows == "systems" and len(sources.models) < figure.least:
        return f"compares systems; name {figure.least} or more, each with --model"
    return ""


def _entry(
    figure: Figure,
    values: dict,
    models: Sequence[str],
    runs: Sequence[str],
    result: Result,
    paths: Sequence[Path],
    formats: Sequence[str],
) -> dict:
    runs = {"run": runs[:1], "logs": runs}.get(figure.shows, ())
    return {
        "title": figure.title,
        "source": figure.source,
        "printed": figure.printed,
        "alt": f"{figure.title}. {result.alt}",
        "options": {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()},
        "seed": values.get("seed"),
        "models": {str(name): _sha256(locate(name)) for name in models},
        "runs": [str(run) for run in runs],
        "read": _read(values, result),
        "command": command_of(figure, values, models, runs, formats),
        "versions": versions(),
        "files": {path.name: _sha256(path) for path in paths},
    }


def _read(values: Mapping[str, Any], result: Result) -> dict[str, str]:
    """The files of records or votes that a figure was drawn from, as they were named, with their SHA-256."""
    if "votes" in values:
        return {values["votes"]: _sha256(Path(values["votes"]))}
    files = sorted({row["file"] for row in result.rows if row.get("file")}) if "results" in values else []
    said, folder = values.get("results") or "assets/results", Path(values.get("results") or assets() / "results")
    return {f"{said}/{name}": _sha256(folder / name) for name in files}


def command_of(figure: Figure, values: Mapping[str, Any], models: Sequence[str], runs: Sequence[str], formats: Sequence[str]) -> str:
    """The command that draws a figure again."""
    words = ["explorer", "figures", figure.name]
    words += [word for name in models for word in ("--model", str(name))]
    words += [word for run in runs for word in ("--run", str(run))]
    for option in figure.options:
        value, flag = values[option.name], "--" + option.name.replace("_", "-")
        if value == option.check(option.default):
            continue
        if option.kind == "bool":
            words.append(flag if value else f"--no-{flag[2:]}")
        elif option.kind == "captions":
            words += [word for sentence in value for word in (flag.removesuffix("s"), sentence)]
        else:
            words += [flag, str(value)]
    return shlex.join([*words, "--format", ",".join(formats)])


def versions() -> dict[str, str]:
    """What the numbers and the drawing may depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a folder that is not installed
            found[name] = "not installed"
    return found


def _note(path: Path, name: str, entry: dict) -> None:
    """Put one entry into the manifest; the others stay.

    Raises:
        FigureError: a manifest that is none.
    """
    try:
        noted = read_json(path, Table()) if path.exists() else {}
    except FileError as error:
        raise FigureError(f"{path}: expected the manifest of figures, found {error}. Move it away") from error
    write_atomic(path, (json.dumps(dict(sorted((noted | {name: entry}).items())), indent=1, ensure_ascii=False) + "\n").encode())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()
