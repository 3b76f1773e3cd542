"""The register of figures: name -> what it needs, which options it takes, and the function that draws it.

A figure is a pure function of traces, of descriptions of networks, or of records. It declares its options as data (:class:`Option`); the
command line, the notebook and the page draw those (:mod:`explorer.controls`). It never shows, never saves and never runs a network: it
returns a :class:`Result`. What it takes is gathered elsewhere (:mod:`explorer.gather`).
"""

from __future__ import annotations

import base64
import difflib
import html
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure as Drawing
from torch import Tensor

from dmm.metrics.effects import WordEffects
from dmm.report.records import Results
from dmm.trace import Trace
from explorer.figures.runs import Course
from explorer.figures.style import COLUMN, PAGE

KINDS = ("int", "float", "bool", "text", "choice", "captions")
#: What a figure takes, and what it is called in messages.
SHOWS = {
    "captions": "generated captions, a trace each",
    "systems": "for each model its generated captions",
    "between": "for each seed the pictures between two sentences",
    "effects": "effects of words, for each caption",
    "run": "the course of a training run",
    "networks": "descriptions of networks",
    "logs": "the logs of training runs",
    "records": "records of dmm evaluate",
    "votes": "what a blind vote says",
}
#: Where a figure is printed, and how wide that is, inches: its smallest type is about 5 pt there.
PRINTED = {"column": COLUMN, "page": PAGE}
#: What an option decides. "trace": what is generated, that is the captions (or one text), the first noise ``seed``, and how many ``seeds``
#: from there on for each caption; "references": whether rendered pictures of the captions are needed too;
#: "network": a recipe or a registered system whose freshly built network is described; "files": which records or votes are read;
#: "drawing": how all is shown.
MAKES = ("trace", "references", "network", "files", "drawing")


class FigureError(ValueError):
    """A figure that cannot be drawn as asked: what was expected and what was found."""


class Lacking(FigureError):
    """A figure of a quantity that this system does not have; another may have it."""


@dataclass(frozen=True)
class Option:
    """One option of a figure, said once for every surface."""

    name: str  # a Python identifier; the flag is --name
    kind: str  # one of KINDS; "captions" is a list of sentences
    default: Any
    help: str  # one phrase, with the unit
    low: float | None = None  # smallest number allowed
    high: float | None = None  # largest number allowed
    choices: tuple[str, ...] = ()  # of a "choice"
    makes: str = "drawing"  # one of MAKES

    def __post_init__(self):
        for said, value, known in (("kind", self.kind, KINDS), ("makes", self.makes, MAKES)):
            if value not in known:
                raise ValueError(f"option {self.name}: {said} {value!r} is none of {', '.join(known)}")

    def check(self, value):
        """The value in its own type.

        Raises:
            FigureError: outside the range, or not of this kind.
        """
        try:
            value = self._convert(value)
        except (TypeError, ValueError, OverflowError):
            raise FigureError(f"{self.name}: expected {self.kind}, found {value!r:.80}") from None
        if self.kind == "choice" and value not in self.choices:
            raise FigureError(f"{self.name}: expected one of {', '.join(self.choices)}, found {value!r}")
        if self.kind in ("int", "float"):
            if not (-math.inf if self.low is None else self.low) <= value <= (math.inf if self.high is None else self.high):  # NaN too
                raise FigureError(f"{self.name}: expected {self.low} to {self.high}, found {value}")
        if self.kind == "captions" and not value:
            raise FigureError(f"{self.name}: expected at least one sentence")
        return value

    def _convert(self, value):
        if self.kind == "int":
            if int(value) != float(value):
                raise ValueError
            return int(value)
        if self.kind == "float":
            return float(value)
        if self.kind == "bool":
            if not isinstance(value, bool):
                raise ValueError
            return value
        if self.kind == "captions":
            lines = value.splitlines() if isinstance(value, str) else list(value)
            return tuple(line.strip() for line in lines if line.strip())
        return str(value)


def captions_option(default: Sequence[str], about: str) -> Option:
    """The sentences that a figure shows."""
    return Option("captions", "captions", tuple(default), about, makes="trace")


def seed_option(about: str = "noise seed, the same for every caption", default: int = 3) -> Option:
    """The noise that a figure is generated from."""
    return Option("seed", "int", default, about, low=0, high=2**31 - 1, makes="trace")


def results_option() -> Option:
    """The records that a figure shows."""
    return Option("results", "text", "", "folder with the records of dmm evaluate; empty: assets/results", makes="files")


@dataclass(frozen=True)
class Reference:
    """A rendered picture that fits a caption, to stand beside generated ones."""

    image: Tensor = field(repr=False)  # 3 S S uint8
    name: str  # which bird it is
    exact: bool  # the caption is one of the bird's own; otherwise the bird's traits agree with all that it says


@dataclass
class Result:
    """What a figure function returns."""

    figure: Drawing  # a matplotlib figure that no window owns
    rows: list[dict[str, Any]]  # the numbers shown, one mapping a row, all with the same keys
    said: str = ""  # the rows in words, where a figure says them better than :attr:`alt` does by itself

    @property
    def alt(self) -> str:
        """What is shown, in words, from the rows: each column with its values, its range, or how many different ones it has."""
        if self.said:
            return self.said
        columns = {name: [row[name] for row in self.rows] for name in (self.rows[0] if self.rows else ())}
        said = [f"{name.replace('_', ' ')} {text}" for name, values in columns.items() if (text := _spelt(values))]
        return f"{len(self.rows)} rows. " + "; ".join(said) + "."

    def _repr_html_(self) -> str:
        """The drawing, as a notebook shows it, and what it says to those who cannot see it: notebooks drop the words beside a bare PNG."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=120)
        data = base64.b64encode(buffer.getvalue()).decode()
        return f'<img src="data:image/png;base64,{data}" alt="{html.escape(self.alt)}" style="max-width:100%">'


@dataclass(frozen=True)
class Figure:
    """A registered figure."""

    name: str
    title: str
    source: str  # the paper and its figure number
    needs: tuple[str, ...]  # fields of StageTrace that at least one stage must have
    function: Callable[..., Result] = field(repr=False)
    options: tuple[Option, ...] = ()
    shows: str = "captions"  # a key of SHOWS
    reads: tuple[str, ...] = ()  # fields of StageTrace that are shown where a stage has them, beside ``needs``
    least: int = 1  # models of a figure of systems
    printed: str = "column"  # a key of PRINTED: how wide it must be to be legible
    system: str = ""  # a figure of one model shows one of this system, where there is one

    def option(self, name: str) -> Option:
        """An option by name.

        Raises:
            FigureError: unknown name, with the nearest.
        """
        for option in self.options:
            if option.name == name:
                return option
        raise FigureError(f"{self.name} has no option {name!r}{_instead(name, [o.name for o in self.options])}")


_FIGURES: dict[str, Figure] = {}


def register_figure(
    name: str,
    *,
    title: str,
    source: str,
    needs: Sequence[str] = (),
    options: Sequence[Option] = (),
    shows: str = "captions",
    reads: Sequence[str] = (),
    least: int = 1,
    printed: str = "column",
    system: str = "",
) -> Callable:
    """Put a function ``(traces, **drawing options) -> Result`` into the register; the function itself is returned unchanged.

    Raises:
        ValueError: the name is taken, or ``shows`` or ``printed`` is none of :data:`SHOWS`, :data:`PRINTED`.
    """
    for said, value, known in (("shows", shows, SHOWS), ("printed", printed, PRINTED)):
        if value not in known:
            raise ValueError(f"figure {name}: {said} {value!r} is none of {', '.join(known)}")

    def put(function: Callable[..., Result]) -> Callable[..., Result]:
        if name in _FIGURES:
            raise ValueError(f"figure {name!r} is registered twice")
        _FIGURES[name] = Figure(name, title, source, tuple(needs), function, tuple(options), shows, tuple(reads), least, printed, system)
        return function

    return put


def list_figures() -> list[Figure]:
    """Every figure, by name."""
    return [_FIGURES[name] for name in sorted(_FIGURES)]


def get_figure(name: str) -> Figure:
    """A figure by name.

    Raises:
        FigureError: unknown name, with the nearest.
    """
    if name not in _FIGURES:
        raise FigureError(f"no figure {name!r}{_instead(name, sorted(_FIGURES))}")
    return _FIGURES[name]


def check_options(figure: Figure, values: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of the figure with its value or default, each checked.

    Raises:
        FigureError: an unknown option or a value it cannot take.
    """
    for name in values:
        figure.option(name)
    return {o.name: o.check(values.get(o.name, o.default)) for o in figure.options}


def requests(figure: Figure, values: Mapping[str, Any]) -> list[tuple[str, int]]:
    """What must be generated for a figure: (caption, seed) in the order of the traces it takes, the seeds of a caption together.

    Raises:
        FigureError: nothing is generated for this figure; or options that do not fit.
    """
    if figure.shows not in ("captions", "systems", "effects"):
        hint = "; read its traces with explorer.figures.runs.Run(directory).course()" if figure.shows == "run" else ""
        raise FigureError(f"{figure.name} shows {SHOWS[figure.shows]}{hint}")
    values = check_options(figure, values)
    texts = next(values[o.name] for o in figure.options if o.makes == "trace" and o.kind in ("captions", "text"))
    captions = (texts,) if isinstance(texts, str) else texts
    first, count = values["seed"], values.get("seeds", 1)
    return [(caption, seed) for caption in captions for seed in range(first, first + count)]


def wants_references(figure: Figure, values: Mapping[str, Any]) -> bool:
    """Whether the figure shows rendered pictures of its captions too, as its options say."""
    return any(values.get(o.name, o.default) for o in figure.options if o.makes == "references")


def draw(figure: Figure | str, shown, references: Mapping[str, Reference | None] | None = None, /, **options) -> Result:
    """Draw a figure from what is already gathered. Options that decide what is gathered are checked and left out.

    Args:
        figure: itself or its name.
        shown: what the figure takes (:data:`SHOWS`): traces in the order of :func:`requests`, each with a batch axis of 1; for each model
            such traces; a :class:`~explorer.figures.runs.Course`; for each option a :class:`~explorer.figures.networks.Network`; for each
            run its log; :class:`~dmm.report.records.Results`; or the mapping of :func:`explorer.ballots.outcome`.
        references: caption -> rendered picture, or None where none fits, for a figure that :func:`wants_references`.

    Raises:
        FigureError: nothing to show, or not what this figure takes; an option that does not fit; a quantity that these traces do not have.
    """
    figure = get_figure(figure) if isinstance(figure, str) else figure
    kind = _kind(shown)
    if kind != {"run": "run", "captions": "captions", "between": "captions", "effects": "effects", "records": "records"}.get(
        figure.shows, "a mapping"
    ):
        raise FigureError(f"{figure.name}: expected {SHOWS[figure.shows]}, found {SHOWS.get(kind, kind)}")
    if not shown:
        raise FigureError(f"{figure.name}: expected {'at least one trace' if kind == 'captions' else SHOWS[figure.shows]}, found nothing")
    if figure.shows == "systems" and len(shown) < figure.least:
        raise FigureError(f"{figure.name} compares systems: name {figure.least} or more, each with --model; found {len(shown)}")
    nested = {"systems": list(shown.values()) if figure.shows == "systems" else (), "between": shown}.get(figure.shows, [])
    _check_needs(figure, shown if figure.shows == "captions" else [trace for row in nested for trace in row])
    values = check_options(figure, options)
    drawing = {o.name: values[o.name] for o in figure.options if o.makes == "drawing"}
    if wants_references(figure, values):
        drawing["references"] = references or {}
    return figure.function(shown, **drawing)


def _kind(shown) -> str:
    """What is handed to a figure, a key of :data:`SHOWS` where that can be told."""
    if isinstance(shown, (Course, Results)):
        return "run" if isinstance(shown, Course) else "records"
    if not isinstance(shown, Sequence):
        return "a mapping"
    return "effects" if shown and all(isinstance(one, WordEffects) for one in shown) else "captions"


def _check_needs(figure: Figure, traces: Sequence[Trace]) -> None:
    for need in figure.needs:
        for trace in traces:
            if all(getattr(stage, need) is None for stage in trace.stages):
                said = f"{figure.name} shows {need.replace('_', ' ')}, which this system does not have"
                raise Lacking(f"{said}: name a model that has it with --model")


def _spelt(values: Sequence[Any]) -> str:
    """A column of rows in words."""
    found = list(dict.fromkeys(v for v in values if v not in ("", None)))
    if len(found) > 3 and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in found):
        return f"from {min(found):.3g} to {max(found):.3g}"
    if len(found) > 8:
        return f"of {len(found)} kinds"
    return ", ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in found)


def _instead(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
