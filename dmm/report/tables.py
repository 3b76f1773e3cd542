"""The tables: DM-GAN's three, the thesis's 2x2, memory effects, stages, speed. Published and measured figures have columns of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dmm.report.layout import NONE, Cell, Column, Document, Protocols, Table, measured, quoted
from dmm.report.measures import (
    AGREEMENT,
    DIVERSITY,
    FRECHET,
    INCEPTION,
    INCEPTION_FID,
    INCEPTION_IS,
    INCEPTION_KID,
    KERNEL,
    MARKS,
    MEMORY,
    OVERLAPS,
    OWN_R_PRECISION,
    R_PRECISION,
    SECOND_RUN,
    SLOT_F1,
    SMALL,
    SMALL_SLOT_F1,
    STAGES,
)
from dmm.report.published import published
from dmm.report.records import Measure, Results, figure
from dmm.report.subjects import ABLATION, TWO_BY_TWO, reading, second_runs, systems
from dmm.report.summary import summary

#: Rows below those of the systems -> what a record calls them.
BOUNDS = {"rendered birds (ceiling)": "ceiling_rendered", "captions of other species (floor)": "floor_shuffled"}


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
        for measure in (FRECHET, KERNEL, *_chosen([INCEPTION_FID, INCEPTION_KID], results), R_PRECISION, OWN_R_PRECISION)
    ]
    title = "DM-GAN's Table 2: distance to real pictures, and R-precision"
    return Table("dmgan_table2", title, SEPARATE, "system", rows, columns, _source(source))


def _ablation_table(results: Results, protocols: Protocols) -> Table:
    source, rows = published()["sources"]["dmgan_table3"], list(ABLATION)
    columns = [
        quoted("CUB", label, rows, _of(source, "CUB", name))
        for name, label in (("IS", "Inception Score ↑"), ("FID", "FID ↓"), ("R-precision", "R-precision ↑"))
    ]
    columns += [measured(m, list(ABLATION.values()), results, protocols) for m in (INCEPTION, FRECHET, R_PRECISION, *SMALL)]
    notes = [
        *_source(source),
        "M: memory; WG: writing gate; RG: response gate. On Aviary the baseline is trained without corrupted sentences, which only a "
        "memory can correct (recipe `dmgan-aviary-baseline`).",
        SMALL_BUDGET,
    ]
    return Table("dmgan_table3", "DM-GAN's Table 3: ablation", SEPARATE, "DM-GAN", rows, columns, notes)


def _two_by_two(results: Results, protocols: Protocols) -> Table:
    columns = [measured(measure, list(TWO_BY_TWO.values()), results, protocols) for measure in (FRECHET, SMALL_SLOT_F1, *SMALL)]
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


def _second_runs(results: Results, protocols: Protocols) -> Table | None:
    runs = [(label, recipe, seed) for label, recipe, seeds in second_runs(results) for seed in seeds]
    if not runs:
        return None
    labels, recipes, seeds = zip(*runs, strict=True)
    rows = [f"{label}, {reading(recipe).sizes[-1]} px, seed {seed}" for label, recipe, seed in runs]
    columns = [measured(measure, recipes, results, protocols, seeds=seeds) for measure in SECOND_RUN]
    return Table("second_runs", "Aviary: the same recipe trained with another seed", SECOND_ABOUT, "training run", rows, columns)


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


NEITHER = "Neither: without its two parts DMM-GAN is DM-GAN, to the bit, and its figures are those of `dmgan-aviary-m-wg-rg`."
SMALL_BUDGET = (
    "On Aviary: two stages (64 and 128 px), 1,600 steps of paired training, no discriminators (recipe `dmmgan-aviary-gldm-stream`), "
    "one training run each, but for those in the table of second runs. Their pictures are softer than those of the shipped models, whose "
    "figures are of another budget."
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
SECOND_ABOUT = (
    "How much of a difference is chance of training: initial weights, noise, the order and corruption of captions differ "
    "(`--set train.seed=1`), data and encoders do not. The models of the other tables are those of the smallest seed; the others are not "
    "shipped."
)
BUILDERS: tuple[Callable[[Results, Protocols], Table | None], ...] = (
    _aviary_table(
        "stages",
        STAGE_TITLE,
        STAGE_ABOUT,
        [*STAGES, AGREEMENT, MARKS, DIVERSITY],
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
        [SLOT_F1, *OVERLAPS],
        BOUNDS,
    ),
    _inception_table,
    _distance_table,
    _ablation_table,
    _two_by_two,
    _second_runs,
    _speed_table,
    _other_published,
)


def document(results: Results, made_by: str) -> Document:
    """Every table of a folder of records; ``made_by`` is the command that is printed in it."""
    protocols = Protocols()
    tables = [table for build in BUILDERS if (table := build(results, protocols))]
    tables.append(_protocol_table(protocols, results))
    return Document("Results", f"Made by `{made_by}` from the records in assets/results; do not edit.", summary(results), tables)


def _protocol_table(protocols: Protocols, results: Results) -> Table:
    used = sorted(record.file for record in [*results.evaluations, *results.benches])
    about = "What stands behind [P1], [P2], ... Two figures compare only within one of them."
    hashes: dict[str, set[str]] = {}
    for record in results.evaluations:
        label = record.subject + (f", seed {record.seed}" if record.seed else "")
        hashes.setdefault(label, set()).add(record.content.get("weights_sha256", "not stated"))
    mixed = [f"{subject}: records of different weights ({', '.join(sorted(h))})." for subject, h in hashes.items() if len(h) > 1]
    files = f"Read: {', '.join(used) or 'nothing'}." + (f" Read by no table: {', '.join(results.others)}." if results.others else "")
    return Table("protocols", "Protocols", about, "protocol", [], [], [*protocols.notes(), *mixed, files])
