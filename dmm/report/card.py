"""The measured part of a shipped checkpoint's model card, made from its records: ``dmm report --cards``.

A card is the README.md of the checkpoint's folder. What stands above the line ``MARK`` is written by hand: what the model is for, what it
cannot do, how it was trained. What stands below it is made here, so that no card can say another figure than its records do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dmm.errors import InputError
from dmm.report.records import Record, Results

MARK = "<!-- Everything below this line is made by `dmm report --cards` from the records in assets/results; do not edit it. -->"

#: Pathways of the memory record -> how a card calls the words that are exchanged.
EXCHANGED = {
    "total": "everywhere",
    "memory": "in the words that refinements read (memory or attention)",
    "memory_128": "in those that the refinement to 128 px reads",
    "memory_256": "in those that the refinement to 256 px reads",
    "global": "in the global memory",
    "sentence_attention": "in the sentence that refinements attend to",
    "joining": "in the code that refinements join",
    "initial": "in the first stage",
    "sentence": "in the sentence feature, wherever it is read",
}
#: What stands in the record's columns -> the column.
READ = {"generated": "generated", "ceiling_rendered": "rendered birds (ceiling)", "floor_shuffled": "captions of other species (floor)"}
#: Metric -> label and digits of one row each.
ROWS = {
    "fid": ("Fréchet distance, judge's features ↓", "distance", 1),
    "kid": ("kernel distance (KID), judge's features ↓", "distance", 1),
    "inception_score": ("Inception Score, judge as classifier ↑", "mean", 2),
    "r_precision": ("R-precision (1 of 100), the model's own encoders (optimistic) ↑", "mean", 3),
    "r_precision_independent": ("R-precision (1 of 100), independent encoders ↑", "mean", 3),
}


def cards(checkpoints: Path, results: Results) -> dict[Path, str]:
    """README.md of each checkpoint that has a record of Aviary's birds -> its text with the measured part made anew.

    A record without a judge (`--sentences`, `--source`) is of other captions or pictures than the tables of a card, which pass it over.

    Args:
        checkpoints: folder of checkpoint folders.
        results: the records.

    Raises:
        InputError: a card without the line that the measured part follows.
    """
    found = {}
    for card in sorted(checkpoints.glob("*/README.md")):
        records = [one for one in results.evaluations if one.content["checkpoint"] == card.parent.name and "judge" in one.content]
        if records:
            found[card] = with_measured(card.read_text(encoding="utf-8"), records, str(card))
    return found


def with_measured(card: str, records: Sequence[Record], where: str = "card") -> str:
    """A card with the part below ``MARK`` made from records.

    Raises:
        InputError: no ``MARK`` in it.
    """
    by_hand, mark, _ = card.partition(MARK)
    if not mark:
        raise InputError(f"{where}: expected the line {MARK!r}, below which the measured part is written; add it")
    return f"{by_hand}{MARK}\n\n" + "\n".join(_measured(records)).rstrip() + "\n"


def _measured(records: Sequence[Record]) -> Iterator[str]:
    yield from (
        "## Measured",
        "",
        "Brackets: 95 % interval. Rendered: drawn birds of the same captions. The judge and the segmenter were trained on rendered birds "
        "of the training species; no loss of any generator used them.",
        "",
    )
    for metric, table in _TABLES.items():
        for record in records:
            if metric in record.content["metrics"]:
                yield from table(record.content["metrics"])
    yield from ("### Commands", "")
    for record in sorted(records, key=lambda record: -record.content["n"]):
        told, weights = record.content, record.content.get("weights_sha256", "not stated")
        yield (
            f"- `{told['command']}`: {told['n']:,} captions; {told['split']}; {told['noise']}. Weights {weights}, judge "
            f"{told['judge']['weights_sha256']}. All figures, with the protocol of each: "
            f"[`assets/results/{record.file}`](../../results/{record.file})."
        )


def _agreement(metrics: Mapping) -> Iterator[str]:
    found = metrics["attributes"]
    finest = {key: found[key] for key in READ}
    sizes = {f"{size} px, mean": part for size, part in found.get("by_size", {}).items()} | {"last picture, mean": finest}
    yield from _head("captioned colours that the judge reads back", [*READ.values(), "captioned colours"])
    for label, part in sizes.items():
        yield _row(label, *(_figure(part[key], "mean", 3) for key in READ), str(part["generated"]["colours"]))
    for part, one in finest["generated"]["parts"].items():
        yield _row(f"{part}, last picture", *(f"{finest[key]['parts'][part]['share']:.3f}" for key in READ), str(one["colours"]))
    yield ""


def _marks(metrics: Mapping) -> Iterator[str]:
    found = metrics["marks"]
    yield from _head("captioned patterns and marks that a classifier reads back", [*READ.values(), "captioned"])
    yield _row("mean", *(_figure(found[key], "mean", 3) for key in READ), str(found["generated"]["said"]))
    for name, one in found["generated"]["attributes"].items():
        if one["said"]:
            yield _row(name.replace("_", " "), *(f"{found[key]['attributes'][name]['share']:.3f}" for key in READ), str(one["said"]))
    yield ""


def _distances(metrics: Mapping) -> Iterator[str]:
    yield from _head("", READ.values())
    for metric, (label, key, digits) in ROWS.items():
        if metric in metrics:
            yield _row(label, *(_figure(metrics[metric][read], key, digits) for read in READ))
    if "diversity" in metrics:
        found = metrics["diversity"]
        label = f"distance between {found['pictures_a_caption']} seeds of a caption, share of that between rendered birds that fit it"
        yield _row(label, _figure(found, "ratio", 3), "1", "")
    yield ""


def _memory(metrics: Mapping) -> Iterator[str]:
    found = metrics["memory"]
    last = list(found["success"])[-1]
    share, none = found.get("memory_share", {}).get(last), found["success"][last]["none"]
    yield from _head(
        f"one colour word exchanged ({found['captions']} captions, {last} px)", ["new colour read ↑", "mean change of the picture"]
    )
    yield _row("nowhere", f"{none:.3f}", "0")
    for pathway, label in EXCHANGED.items():
        if pathway in found["success"][last]:
            yield _row(label, f"{found['success'][last][pathway]:.3f}", f"{found['change'][last][pathway]:.4f}")
    yield ""
    if share:
        yield f"Share of the effect that passes through what refinements read: {_figure(share, 'share', 3)}."
        yield ""
    if found.get("maps"):
        yield from _maps(found["maps"])


def _maps(maps: Mapping) -> Iterator[str]:
    names = ["colour words", "part words", "another word of the caption", "uniform addressing"]
    yield from _head("maps: weight inside the named part over elsewhere (maximum inside it)", names)
    for size, found in maps.items():
        lift, pointing, kinds = found["lift_in_named_part"], found["pointing_in_named_part"], found["by_kind"]
        cells = [(kinds[kind]["lift"], kinds[kind]["pointing"]) for kind in ("colour", "part")]
        cells += [(lift[control], pointing[control]) for control in ("other_word", "uniform")]
        yield _row(f"{size} px", *(f"{a:.2f} ({b:.2f})" for a, b in cells))
    yield ""


def _spoken(metrics: Mapping) -> Iterator[str]:
    found, last = metrics["claims"]["by_size"], list(metrics["claims"]["by_size"])[-1]
    scores = {"slot F1 against the caption": ("caption_f1", "f1", 3), "BLEU-4": ("caption_overlap", "bleu4", 3),
              "CIDEr": ("caption_overlap", "cider", 2)}  # fmt: skip
    yield from _head(f"STREAM's sentences of the {last} px picture", ["generated", "rendered birds (ceiling)"])
    truth = (_figure(found[last][of]["judged"], "true", 3) for of in ("generated", "rendered"))
    yield _row("colours that they claim and the judge finds", *truth)
    for label, (metric, key, digits) in scores.items():
        if metric in metrics:
            held = metrics[metric].get("by_size", {}).get(last, metrics[metric])
            yield _row(label, *(_figure(held[read], key, digits) for read in ("generated", "ceiling_rendered")))
    yield ""


#: Metric that a record has -> what it gives, in the order of the card.
_TABLES: Mapping[str, Callable[[Mapping], Iterator[str]]] = {
    "attributes": _agreement,
    "marks": _marks,
    "fid": _distances,
    "memory": _memory,
    "claims": _spoken,
}


def _figure(holder: Mapping | None, key: str, digits: int) -> str:
    """A figure with its interval, if there is one; nothing where there is no figure."""
    if holder is None or holder.get(key) is None:
        return ""
    interval = holder.get("interval_95")
    return f"{holder[key]:.{digits}f}" + (f" [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]" if interval else "")


def _head(corner: str, names: Iterable[str]) -> tuple[str, str]:
    names = list(names)
    return _row(corner, *names), _row(*["---"] * (1 + len(names)))


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"
