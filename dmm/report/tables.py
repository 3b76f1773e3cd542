"""The tables: DM-GAN's three, the thesis's 2x2, memory effects, stages, speed. Published and measured figures have columns of their own.

A measured column names the protocol of its figures by a number ([P1]) that the last table explains; a figure of another protocol says so in
its cell. What nobody measured reads "not measured".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import NamedTuple

import torch

from dmm.metrics.pathways import pathways, word_stages
from dmm.models.memory_stage import MemoryStage
from dmm.models.registry import SYSTEM_MODULES, create_model, list_models, picture_sizes
from dmm.recipes import names
from dmm.recipes import recipe as recipe_of
from dmm.report.records import Figure, Measure, Results, figure

MISSING = "not measured"
NONE = "–"  # a published table has no such row

AGREEMENT = Measure("captioned colours read back, 256 px ↑", "attributes", ("generated", "mean"))
FRECHET = Measure("Fréchet distance, judge's features ↓", "fid", ("generated", "distance"), 1)
KERNEL = Measure("kernel distance (KID), judge's features ↓", "kid", ("generated", "distance"), 1)
INCEPTION = Measure("Inception Score, judge as classifier ↑", "inception_score", ("generated", "mean"))
#: With the FID community's Inception-v3; columns that are there only where somebody measured them.
INCEPTION_FID = Measure("FID, Inception-v3 ↓", "fid", ("generated", "distance"), 2, "inception")
INCEPTION_KID = Measure("KID, Inception-v3 ↓", "kid", ("generated", "distance"), 4, "inception")
INCEPTION_IS = Measure("Inception Score, Inception-v3 ↑", "inception_score", ("generated", "mean"), 2, "inception")
FOUND = Measure("R-precision, independent encoders ↑", "r_precision_independent", ("generated", "mean"))
OWN_FOUND = Measure("R-precision, the model's own encoders (optimistic) ↑", "r_precision", ("generated", "mean"))
SPOKEN = Measure("slot F1 of STREAM's sentence ↑", "caption_f1", ("by_size", "256", "generated", "f1"))
OVERLAPS = [
    Measure("BLEU-4 of STREAM's sentence ↑", "caption_overlap", ("generated", "bleu4")),
    Measure("CIDEr of STREAM's sentence ↑", "caption_overlap", ("generated", "cider"), 2),
]
DIVERSE = Measure("distance between seeds, share of the possible ↑", "diversity", ("ratio",))
MARKS = Measure("captioned patterns, crests and eyerings read back, last picture ↑", "marks", ("generated", "mean"))
LIFT = ("by_kind", "colour", "lift")
SHARE = Measure("share of a colour word's effect that passes through what refinements read", "memory", ("memory_share", "256", "share"))
STAGES = [
    Measure(f"captioned colours read back, {size} px ↑", "attributes", ("by_size", size, "generated", "mean")) for size in ("64", "128")
]
MEMORY = [
    SHARE,
    *(
        Measure(label, "memory", ("success", "256", pathway))
        for label, pathway in (
            ("new colour read where the word is exchanged everywhere ↑", "total"),
            ("in the words that refinements read (memory, or attention) ↑", "memory"),
            ("in the first stage only", "initial"),
            ("in the global memory only", "global"),
        )
    ),
    *(
        Measure(f"map of a colour word at {size} px: weight inside the named part over elsewhere ↑", "memory", ("maps", size, *LIFT), 1)
        for size in ("64", "128")
    ),
]
#: Of the networks of the ablation and of the 2x2, whose last picture has 128 px.
SMALL = [
    STAGES[1],
    Measure("share of a colour word's effect that passes through the memory", "memory", ("memory_share", "128", "share")),
    Measure("new colour read where a word is exchanged in the memory alone ↑", "memory", ("success", "128", "memory")),
    Measure("map of a colour word at 64 px: weight inside the named part over elsewhere ↑", "memory", ("maps", "64", *LIFT), 1),
]
SMALL_SPOKEN = Measure("slot F1 of STREAM's sentence ↑", "caption_f1", ("by_size", "128", "generated", "f1"))
ABLATION = {
    "baseline": "dmgan-aviary-baseline",
    "+M": "dmgan-aviary-m",
    "+M+WG": "dmgan-aviary-m-wg",
    "+M+WG+RG": "dmgan-aviary-m-wg-rg",
}
#: Rows below those of the systems -> what a record calls them.
BOUNDS = {"rendered birds (ceiling)": "ceiling_rendered", "captions of other species (floor)": "floor_shuffled"}
TWO_BY_TWO = {
    "neither": "dmgan-aviary-m-wg-rg",  # without its two parts DMM-GAN is DM-GAN, to the bit
    "GLDM": "dmmgan-aviary-gldm",
    "STREAM": "dmmgan-aviary-no-gldm",
    "GLDM and STREAM": "dmmgan-aviary-gldm-stream",
}


@dataclass(frozen=True)
class Cell:
    """One figure of a table, as it is printed and as a number."""

    text: str
    value: float | None = None
    interval: tuple[float, float] | None = None
    file: str = ""


@dataclass(frozen=True)
class Column:
    """One column of figures."""

    kind: str  # "published" or "measured"
    label: str  # what the figures are
    cells: Sequence[Cell]
    data: str = ""  # the data set, where published figures stand beside measured ones
    metric: str = ""  # of `dmm evaluate`, which measures them
    protocol: str = ""  # the number of the protocol of most of them

    @property
    def header(self) -> str:
        """As it is printed above the column."""
        where = f"{self.data} ({'measured here' if self.kind == 'measured' else self.kind}): " if self.data else ""
        return where + self.label + (f" [{self.protocol}]" if self.protocol else "")


@dataclass(frozen=True)
class Table:
    """One table."""

    key: str
    title: str
    about: str
    corner: str
    rows: Sequence[str]
    columns: Sequence[Column]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Document:
    """All of the report."""

    title: str
    made_by: str
    summary: Sequence[str]
    tables: Sequence[Table]


@dataclass
class Protocols:
    """Numbers of the protocols that the columns were measured by."""

    known: list[tuple[tuple[str, str], ...]] = field(default_factory=list)

    def name(self, protocol: tuple[tuple[str, str], ...]) -> str:
        """``P1``, ``P2``, ... in the order of first use."""
        if protocol not in self.known:
            self.known.append(protocol)
        return f"P{self.known.index(protocol) + 1}"

    def notes(self) -> list[str]:
        """What each number stands for."""
        return [
            f"P{i}: " + "; ".join(f"{name}: {said}" for name, said in known).rstrip(".") + "."
            for i, known in enumerate(self.known, start=1)
        ]


def systems() -> dict[str, str]:
    """The systems that have a recipe for Aviary, in the order of their papers: name as printed -> recipe."""
    found = {}
    for module in SYSTEM_MODULES:
        for entry in list_models():
            if entry.build.__module__ == f"dmm.models.{module}" and f"{entry.name}-aviary" in names():
                found[entry.paper.split(", ")[1]] = f"{entry.name}-aviary"
    return found


class Reading(NamedTuple):
    """What a recipe's system reads and generates."""

    sizes: tuple[int, ...]  # of its pictures, px
    pathways: tuple[str, ...]  # on which it reads a caption
    words: str  # what reads single words: "memory", "attention" or "nothing"


@cache
def reading(recipe: str) -> Reading:
    """What a recipe's system reads and generates, from the built network."""
    config = recipe_of(recipe).model
    with torch.device("meta"):
        generator = create_model(config)
    memory = any(isinstance(part, MemoryStage) for part in generator.modules())
    words = "nothing" if not word_stages(generator) else "memory" if memory else "attention"
    return Reading(picture_sizes(config), tuple(pathways(generator)), words)


def applies(measure: Measure, recipe: str) -> bool:
    """Whether a recipe's system has what a measure measures: a picture of that size, words that refinements read, a global memory."""
    found = reading(recipe)
    if _size(measure) not in (None, *found.sizes):
        return False
    if measure.metric != "memory" or measure.keys[-1] in (*found.pathways, "none"):
        return True
    return measure.keys[0] != "success" and found.words != "nothing"


def _size(measure: Measure) -> int | None:
    """The side of the picture that a measure is of, px; None for one of a system's last picture, whatever its side."""
    if measure == AGREEMENT:
        return 256
    return next((int(key) for key in measure.keys if key in ("64", "128", "256") and measure.keys[0] != "maps"), None)


def located(measure: Measure, recipe: str) -> Measure:
    """The measure where a record of a recipe's model has it: records keep the attributes of the last picture apart from smaller ones."""
    last = reading(recipe).sizes[-1]
    return replace(measure, keys=measure.keys[2:]) if measure in STAGES and _size(measure) == last else measure


def published() -> dict:
    """Published figures and the sources that print them."""
    return json.loads(resources.files("dmm.report").joinpath("published.json").read_text(encoding="utf-8"))


def measured(
    measure: Measure, subjects: Sequence[str | None], results: Results, protocols: Protocols, bounds: Sequence[str] = ()
) -> Column:
    """The column of a measure, a cell for each subject (a recipe; None where the measure does not apply).

    Cells follow for the ``bounds``, which any record of the subjects holds: "ceiling_rendered", "floor_shuffled".
    """
    subjects = [subject if subject and applies(measure, subject) else None for subject in subjects]
    figures = [figure(results, subject, located(measure, subject)) if subject else None for subject in subjects]
    counts = Counter(found.protocol for found in figures if found)
    usual = counts.most_common(1)[0][0] if counts else None
    cells = [_cell(found, measure, usual, protocols, subject) for found, subject in zip(figures, subjects, strict=True)]
    for bound in bounds:
        other = replace(measure, keys=tuple(bound if key == "generated" else key for key in measure.keys))
        held = [figure(results, subject, other) for subject in subjects if subject and other != measure]
        held = [found for found in held if found and found.protocol == usual]
        cells.append(_cell(held[0], measure, usual, protocols, "rendered") if held else Cell(NONE))
    return Column("measured", measure.label, cells, "Aviary", measure.metric, protocols.name(usual) if usual else "")


def _cell(found: Figure | None, measure: Measure, usual, protocols: Protocols, subject: str | None) -> Cell:
    if not subject:
        return Cell(NONE)
    if not found:
        return Cell(MISSING)
    text = f"{found.value:.{measure.digits}f}"
    if found.interval:
        text += " [" + ", ".join(f"{bound:.{measure.digits}f}" for bound in found.interval) + "]"
    if found.protocol != usual:
        text += f" ({protocols.name(found.protocol)})"
    return Cell(text, found.value, found.interval, found.file)


def quoted(data: str, label: str, rows: Sequence[str], figures: Mapping[str, str]) -> Column:
    """A column of published figures by row."""
    return Column("published", label, [Cell(figures.get(row, NONE)) for row in rows], data)


def _of(source: Mapping, data: str, name: str) -> dict[str, str]:
    """One published figure by row."""
    return {row: figures[name] for row, figures in source[data].items() if name in figures}


def _source(source: Mapping) -> list[str]:
    return [f"Published: {source['source']}."]


def _chosen(measures: Sequence[Measure], results: Results) -> list[Measure]:
    """Those of the measures that some system has a figure of."""
    return [measure for measure in measures if any(figure(results, recipe, measure) for recipe in systems().values())]


def _inception_table(results: Results, protocols: Protocols) -> Table:
    source, own = published()["sources"]["dmgan_table1"], systems()
    rows = [*(row for row in {**source["CUB"], **source["COCO"]} if row not in own), *own]
    columns = [quoted(data, "Inception Score ↑", rows, source[data]) for data in ("CUB", "COCO")]
    columns += [measured(m, [own.get(row) for row in rows], results, protocols) for m in (INCEPTION, *_chosen([INCEPTION_IS], results))]
    return Table(
        "dmgan_table1", "DM-GAN's Table 1: Inception Score", SEPARATE, "system", rows, columns, [f"Published: {source['source']}."]
    )


def _distance_table(results: Results, protocols: Protocols) -> Table:
    source, own = published()["sources"]["dmgan_table2"], systems()
    rows = [*own, *BOUNDS]
    columns = [
        quoted(data, f"{name} {arrow}", rows, _of(source, data, name))
        for data in ("CUB", "COCO")
        for name, arrow in (("FID", "↓"), ("R-precision", "↑"))
    ]
    columns += [
        measured(measure, list(own.values()), results, protocols, list(BOUNDS.values()))
        for measure in (FRECHET, KERNEL, *_chosen([INCEPTION_FID, INCEPTION_KID], results), FOUND, OWN_FOUND)
    ]
    title = "DM-GAN's Table 2: distance to real pictures, and R-precision"
    return Table("dmgan_table2", title, SEPARATE, "system", rows, columns, _source(source))


def _ablation_table(results: Results, protocols: Protocols) -> Table:
    source, rows = published()["sources"]["dmgan_table3"], list(ABLATION)
    columns = [
        quoted("CUB", label, rows, _of(source, "CUB", name))
        for name, label in (("IS", "Inception Score ↑"), ("FID", "FID ↓"), ("R-precision", "R-precision ↑"))
    ]
    columns += [measured(m, list(ABLATION.values()), results, protocols) for m in (INCEPTION, FRECHET, FOUND, *SMALL)]
    notes = [
        *_source(source),
        "M: memory; WG: writing gate; RG: response gate. On Aviary the baseline is trained without corrupted sentences, which only a "
        "memory can correct (recipe `dmgan-aviary-baseline`).",
        SMALL_BUDGET,
    ]
    return Table("dmgan_table3", "DM-GAN's Table 3: ablation", SEPARATE, "DM-GAN", rows, columns, notes)


def _two_by_two(results: Results, protocols: Protocols) -> Table:
    columns = [measured(measure, list(TWO_BY_TWO.values()), results, protocols) for measure in (FRECHET, SMALL_SPOKEN, *SMALL)]
    about = "The global memory (GLDM) and redescription in the loss (STREAM), each on and off. " + published()["thesis"]
    return Table("dmmgan_2x2", "DMM-GAN's global memory × STREAM", about, "DMM-GAN", list(TWO_BY_TWO), columns, [NEITHER, SMALL_BUDGET])


def _aviary_table(
    key: str, title: str, about: str, measures: Sequence[Measure], bounds: Mapping[str, str]
) -> Callable[[Results, Protocols], Table]:
    def build(results: Results, protocols: Protocols) -> Table:
        own = systems()
        columns = [measured(measure, list(own.values()), results, protocols, list(bounds.values())) for measure in measures]
        return Table(key, title, about, "system", [*own, *bounds], columns)

    return build


def _other_published(results: Results, protocols: Protocols) -> Table:
    sources = published()["sources"]
    chosen = [sources[name] for name in ("tise", "dmgan_readme", "dfgan_readme")]
    pairs = [(source["source"], row, figures) for source in chosen for row, figures in source["CUB"].items()]
    rows = [f"{row} ({source})" for source, row, _ in pairs]
    kinds = dict.fromkeys(name for *_, figures in pairs for name in figures)
    columns = [Column("published", kind, [Cell(figures.get(kind, NONE)) for *_, figures in pairs], "CUB") for kind in kinds]
    about = "How far figures of one system lie apart between protocols. Rows of different sources are not comparable."
    return Table("other_published", "Other published figures", about, "system (source)", rows, columns, published()["protocol_notes"])


def _speed_table(results: Results, protocols: Protocols) -> Table:
    rows, lines = [], []
    for record in results.benches:
        for row in record.content["rows"]:
            if row.get("size") in ("aviary", "published") and "sampling" in row:
                rows.append((record, row))
                lines.append(f"{row['system']}, {row['size']} size")
    shared = {record.subject: record.content for record, _ in rows}
    notes = [
        f"Measured on {machine}; precision {content.get('precision', 'not stated')}, `{content.get('command', 'no command')}`."
        for machine, content in shared.items()
    ]

    def column(header: str, read: Callable[[dict], float], digits: int) -> Column:
        return Column(
            "measured",
            header,
            [Cell(f"{read(row):.{digits}f}", round(read(row), digits), None, record.file) for record, row in rows],
        )

    columns = [
        column("generator, million parameters", lambda row: row["sampling"]["parameters"] / 1e6, 2),
        column("generating, GFLOP a picture", lambda row: row["sampling"]["fast"]["gflops_per_image"], 2),
        column("generating, pictures/s", lambda row: row["sampling"]["fast"]["images_per_second"], 2),
        column("training, pictures/s", lambda row: row["training"]["fast"]["images_per_second"], 2),
    ]
    about = (
        "Sizes of `dmm bench` as of the record; figures of different machines do not compare."
        if rows
        else "Not measured: no record of `dmm bench`."
    )
    return Table("speed", "Speed and size", about, "system", lines, columns, notes)


ONE_RUN = "Intervals are over captions, of one trained model for each system: how far a second training run would differ is not in them."
NEITHER = "Neither: without its two parts DMM-GAN is DM-GAN, to the bit, and its figures are those of `dmgan-aviary-m-wg-rg`."
SMALL_BUDGET = (
    "On Aviary: two stages (64 and 128 px), 1,600 steps of paired training, no discriminators (recipe `dmmgan-aviary-gldm-stream`), "
    "one training run each. Their pictures are softer than those of the shipped models, whose figures are of another budget."
)
SEPARATE = (
    "Published figures (photographs, Inception features) and those measured here (drawn birds, the judge's features) stand in separate "
    "columns and cannot be compared with each other. Brackets: 95 % interval; a figure without brackets has none in its record."
)
STAGE_TITLE = "Aviary: from the first picture to the last, and diversity"
STAGE_ABOUT = (
    "The share of captioned colours that a judge reads back from the pictures of 64, 128 and 256 px, and variety over noise. Brackets: "
    "95 % interval; a figure without brackets has none in its record."
)
MEMORY_ABOUT = (
    "One colour word of a caption exchanged, everywhere or only in what one pathway reads; same noise. The judge reads the named part. "
    "What refinements read of the words is the memory's in DM-GAN and DMM-GAN, attention in AttnGAN and MirrorGAN."
)
BUILDERS: tuple[Callable[[Results, Protocols], Table], ...] = (
    _aviary_table(
        "stages",
        STAGE_TITLE,
        STAGE_ABOUT,
        [*STAGES, AGREEMENT, MARKS, DIVERSE],
        BOUNDS,
    ),
    _aviary_table(
        "memory",
        "Aviary: what the memory does",
        MEMORY_ABOUT,
        MEMORY,
        {},
    ),
    _aviary_table(
        "sentences",
        "Aviary: what STREAM reads back",
        "What the model's own captioner reads from the last picture, against the caption (slot F1) or all captions of the bird.",
        [SPOKEN, *OVERLAPS],
        BOUNDS,
    ),
    _inception_table,
    _distance_table,
    _ablation_table,
    _two_by_two,
    _speed_table,
    _other_published,
)


def document(results: Results, made_by: str) -> Document:
    """Every table of a folder of records; ``made_by`` is the command that is printed in it."""
    protocols = Protocols()
    tables = [build(results, protocols) for build in BUILDERS]
    tables.append(_protocol_table(protocols, results))
    return Document("Results", f"Made by `{made_by}` from the records in assets/results; do not edit.", summary(results), tables)


def _protocol_table(protocols: Protocols, results: Results) -> Table:
    used = sorted(record.file for record in [*results.evaluations, *results.benches])
    about = "What stands behind [P1], [P2], ... Two figures compare only within one of them."
    hashes: dict[str, set[str]] = {}
    for record in results.evaluations:
        hashes.setdefault(record.subject, set()).add(record.content.get("weights_sha256", "not stated"))
    mixed = [f"{subject}: records of different weights ({', '.join(sorted(h))})." for subject, h in hashes.items() if len(h) > 1]
    files = f"Read: {', '.join(used) or 'nothing'}." + (f" Read by no table: {', '.join(results.others)}." if results.others else "")
    return Table("protocols", "Protocols", about, "protocol", [], [], [*protocols.notes(), *mixed, files])


def summary(results: Results) -> list[str]:
    """What the tables say, in sentences made from the figures."""
    own = systems()
    finest = {label: recipe for label, recipe in own.items() if applies(AGREEMENT, recipe)}
    found = {label: one for label, recipe in finest.items() if (one := figure(results, recipe, AGREEMENT))}
    have = sorted(found, key=lambda label: -found[label].value)
    lack = [label for label in finest if label not in found]
    lines = ["Share of captioned colours read back from the 256 px picture, the best first: " + _listing(have, found) + "."] if have else []
    lines += [f"Not measured: {', '.join(lack)}."] if lack else []
    lines += [_difference("a memory (DM-GAN) against attention (AttnGAN)", found.get("DM-GAN"), found.get("AttnGAN"))]
    lines += [_difference("a global memory with STREAM in the loss (DMM-GAN against DM-GAN)", found.get("DMM-GAN"), found.get("DM-GAN"))]
    shares = {label: figure(results, recipe, SHARE) for label, recipe in own.items()}
    told = [f"{label} {_plain(share, SHARE)}" for label, share in shares.items() if share]
    lines += (
        ["Share of a colour word's effect that passes through the words that refinements read: " + ", ".join(told) + "."] if told else []
    )
    parts = {"DM-GAN's parts": ABLATION, "GLDM and STREAM": TWO_BY_TWO}
    lines += [line for name, variants in parts.items() if (line := _added(name, variants, results))]
    return [*lines, ONE_RUN, published()["protocol_notes"][-1]]


def _added(parts: str, variants: Mapping[str, str], results: Results) -> str:
    """What parts of a system add to the captioned colours at 128 px, under the budget of the ablation; empty without records."""
    measure = STAGES[1]
    found = {label: figure(results, recipe, located(measure, recipe)) for label, recipe in variants.items()}
    told = [f"{label} {_plain(one, measure)}" for label, one in found.items() if one]
    return f"What {parts} add, at 128 px under a smaller budget of their own: {', '.join(told)}." if told else ""


def _plain(found: Figure, measure: Measure) -> str:
    text = f"{found.value:.{measure.digits}f}"
    return text + (" [" + ", ".join(f"{bound:.{measure.digits}f}" for bound in found.interval) + "]" if found.interval else "")


def _listing(labels: Sequence[str], found: Mapping[str, Figure]) -> str:
    text = ", ".join(f"{label} {_plain(found[label], AGREEMENT)}" for label in labels)
    one = len({found[label].protocol for label in labels}) == 1
    return text if one else text + " (measured by different protocols, see the table)"


def _difference(what: str, first: Figure | None, second: Figure | None) -> str:
    return difference(f"What {what} adds to that share", first, second) if first and second else f"What {what} adds: not measured."


def difference(what: str, first: Figure, second: Figure, digits: int = 3) -> str:
    """How far two figures differ, and whether by more than chance, as far as their intervals say."""
    text = f"{what}: {first.value - second.value:+.{digits}f}"
    if first.protocol != second.protocol:
        return text + ", by different protocols: no comparison."
    if not first.interval or not second.interval:
        return text + "; without intervals, so whether that is chance is not known."
    apart = first.interval[0] > second.interval[1] or second.interval[0] > first.interval[1]
    return text + ("; the intervals do not overlap." if apart else "; the intervals overlap: no difference could be shown.")
