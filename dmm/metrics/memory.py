"""What the memory does: causal mediation analysis of one exchanged word.

    caption  "a small bird with a yellow crown"  ─┐ same z, same eps   ┌─ memory_128 ─ picture ┐
    other    "a small bird with a red crown"     ─┴─ each pathway once ┼─ memory_256 ─ picture ┼─ change against the caption's own picture,
                                                                       ├─ initial    ─ picture │  and: is the crown red to the judge?
                                                                       └─ total      ─ picture ┘

*Total effect*: the word exchanged everywhere. *Indirect effect*: exchanged only in what one mediator reads (the word memory of a stage, the
global memory). *Direct effect*: exchanged only in the first stage's conditioning code. Each is given as the mean absolute change of the
picture (pixels in [-1, 1]) and as success: the share of captions whose named part the judge reads in the new colour. ``memory_share`` is
the change through all word memories over the total change. What the pathways' changes do not add up to is given as ``interaction``.

Where the word is read (:mod:`dmm.metrics.map_scores`) is compared with where the picture changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm import tqdm

from dmm.aviary.traits import COLOURS
from dmm.metrics import map_scores
from dmm.metrics.diversity import interval
from dmm.metrics.exchange import Exchange, sample_exchanges
from dmm.metrics.pathways import Text, generate, parts_of_total, pathways, read_text, word_maps
from dmm.metrics.registry import register_metric
from dmm.trace import Trace

Key = tuple[str, ...]


@dataclass
class Rows:
    """Named numbers, one a caption; what is undefined for a caption is nan."""

    parts: dict[Key, list[Tensor]] = field(default_factory=dict)

    def add(self, key: Key, values: Tensor) -> None:
        """Append the values B of a batch."""
        self.parts.setdefault(key, []).append(values.detach().double().cpu())

    def __getitem__(self, key: Key) -> Tensor:
        return torch.cat(self.parts[key])

    def keys(self, *first: str) -> list[Key]:
        """Keys that begin so."""
        return [key for key in self.parts if key[: len(first)] == first]

    def mean(self, key: Key) -> float | None:
        """Mean over the captions for which it is defined; None if there is none, or no such numbers."""
        if key not in self.parts:
            return None
        value = self[key].nanmean().item()
        return None if value != value else value


@dataclass(frozen=True)
class Batch:
    """B exchanges, both texts, and their noise."""

    exchanges: Sequence[Exchange]
    text: Text
    other: Text
    noise: Tensor  # B Z
    eps: Tensor  # B K


def batches(pipe, drawn: Sequence[Exchange | None], seed: int, batch: int) -> Iterator[Batch]:
    """The exchanges that there are, ``batch`` at a time; exchange i has the noise of seed + i."""
    chosen = [(i, exchange) for i, exchange in enumerate(drawn) if exchange is not None]
    for start in range(0, len(chosen), batch):
        numbers, found = zip(*chosen[start : start + batch], strict=True)
        noise, eps = pipe.noise([seed + i for i in numbers])
        both = read_text(pipe, [e.caption for e in found] + [e.other for e in found], torch.cat((eps, eps)))
        yield Batch(found, both.rows(slice(len(found))), both.rows(slice(len(found), None)), noise, eps)


def change(images: Tensor, base: Tensor) -> Tensor:
    """Mean absolute change over the channels, B 3 S S and B 3 S S -> B S S."""
    return (images - base).abs().mean(1)


def judged(judge: Callable, images: Tensor, exchange: Sequence[Exchange]) -> tuple[Tensor, Tensor]:
    """Whether the judge reads the new colour, and the old colour, of each named part: B and B, 0 or 1."""
    logits = judge(images)["logits"]
    first = torch.stack([logits[e.part][b].argmax() for b, e in enumerate(exchange)]).cpu()
    new, old = (torch.tensor([COLOURS.index(getattr(e, name)) for e in exchange]) for name in ("new", "old"))
    return (first == new).double(), (first == old).double()


def _measure_effects(rows: Rows, generator, batch: Batch, base: Trace, judge: Callable | None) -> dict[str, Tensor]:
    """Effects of every pathway on the pictures of one batch; returns the total change by size, B S S."""
    found, total = pathways(generator), {}
    single, sums = parts_of_total(list(found)), {}
    if judge is not None:
        for stage in base.stages:
            _success(rows, "none", stage.image, batch, judge)
    for name, pathway in found.items():
        trace = generate(generator, batch.text, batch.noise, batch.eps, pathway, batch.other)
        for stage, own in zip(trace.stages, base.stages, strict=True):
            if stage.image is None:
                continue
            size, difference = str(own.size), change(stage.image, own.image)
            rows.add(("change", size, name), difference.mean((1, 2)))
            rows.add(("outside", size, name), map_scores.outside_most(difference))
            if judge is not None:
                _success(rows, name, stage.image, batch, judge)
            if name == "total":
                total[size] = difference
                sums[size] = stage.image - own.image
            elif name in single:
                sums[size] = sums[size] - (stage.image - own.image)
    for size, rest in sums.items():
        rows.add(("interaction", size), rest.abs().mean((1, 2, 3)))
    return total


def _success(rows: Rows, name: str, images: Tensor | None, batch: Batch, judge: Callable) -> None:
    if images is not None:
        new, old = judged(judge, images, batch.exchanges)
        rows.add(("new", str(images.shape[-1]), name), new)
        rows.add(("old", str(images.shape[-1]), name), old)


def _measure_maps(rows: Rows, batch: Batch, base: Trace, total: dict[str, Tensor]) -> None:
    """Where the exchanged word is read, against where the picture changes, for each stage that has word maps."""
    positions = torch.tensor([e.position for e in batch.exchanges])
    every = torch.arange(len(positions))
    for stage in base.stages:
        maps = word_maps(stage)
        if maps is None:
            continue
        side = str(maps.shape[-1])
        rows.add(("entropy", side), map_scores.entropy(maps, batch.text.mask))
        size = str(stage.size)
        if size not in total:
            continue
        inside = map_scores.most_changed(map_scores.at_places(total[size], maps.shape[-1]), map_scores.MOST_CHANGED)
        rows.add(("lift", side, "word"), map_scores.lift(maps[every, positions], inside))
        rows.add(("lift", side, "other word"), map_scores.lift(maps[every, another(batch.text.mask, positions)], inside))
        rows.add(("lift", side, "other caption"), map_scores.lift(maps[every, positions].roll(1, 0), inside))


def another(mask: Tensor, positions: Tensor) -> Tensor:
    """B: the next word of each caption after its position, past the last the first; words permuted in this way keep no word in place."""
    result = []
    for row, position in zip(mask, positions.tolist(), strict=True):
        words = (~row).nonzero()[:, 0].tolist()
        result.append(words[(words.index(position) + 1) % len(words)])
    return torch.tensor(result)


@register_metric("memory", needs=("pipeline",))
def memory(evaluation) -> dict:
    """Share of a word's effect that passes through the memories, effect and success of each pathway, and where words are read."""
    groups = [[caption.text for caption in evaluation.birds.captions(i)] for i in range(len(evaluation.captions))]
    result = measure(evaluation.pipe, groups, evaluation.seed, evaluation.judge, evaluation.batch, evaluation.progress)
    return result | {
        "protocol": (
            "one colour word of one caption of each bird, the only colour of one judged part, exchanged for a colour that the caption does "
            "not mention; same z and eps; exchanged everywhere (total) or only in what one pathway reads. change: mean absolute difference "
            "of the pictures in [-1, 1]. success: share of captions whose named part the judge reads in the new colour as its first choice "
            "(none: without any exchange). memory_share: change through all word memories over total change, means over captions. "
            "interaction: mean absolute difference between the total change and the sum of the changes through initial code, memories and "
            "global memory, over the total change. lift: mean weight of the exchanged word's map inside the 5 % of places that change "
            "most, over its mean everywhere; chance 1."
        )
    }


@torch.no_grad()
def measure(pipe, groups: Sequence[Sequence[str]], seed: int, judge: Callable | None, batch: int = 8, progress: bool = False) -> dict:
    """What the memory does in a pipeline, on one exchanged colour word of a caption of each group.

    Args:
        pipe: a :class:`dmm.pipeline.Pipeline`.
        groups: captions of N birds; of each, the first that has a qualified word is used.
        seed: of the noise (seed + i) and of the exchanges.
        judge: reads colours of parts; None where there is no ground truth (photographs), then any colour word qualifies.
        batch: pictures at a time.

    Returns:
        Plain containers for JSON.

    Raises:
        ConfigError: no caption has a colour word to exchange.
    """
    drawn = sample_exchanges(groups, pipe.vocab, seed, judge is not None)
    count = sum(exchange is not None for exchange in drawn)
    rows = Rows()
    for one in tqdm(batches(pipe, drawn, seed, batch), "memory", -(-count // batch), unit="batch", disable=not progress):
        base = generate(pipe.generator, one.text, one.noise, one.eps)
        total = _measure_effects(rows, pipe.generator, one, base, judge)
        _measure_maps(rows, one, base, total)
    return {"captions": count, "pathways": list(pathways(pipe.generator)), **summary(rows)}


def summary(rows: Rows) -> dict:
    """The figures of all captions."""
    result: dict = {}
    sizes = list(dict.fromkeys(key[1] for key in rows.keys("change")))
    result["change"] = {size: {key[2]: rows.mean(key) for key in rows.keys("change", size)} for size in sizes}
    reached = [size for size in sizes if rows.mean(("change", size, "memory"))]  # a memory acts before the picture
    result["memory_share"] = {size: _share(rows, size) for size in reached}
    changed = [size for size in sizes if rows.mean(("change", size, "total"))]
    result["interaction"] = {size: rows.mean(("interaction", size)) / rows.mean(("change", size, "total")) for size in changed}
    for name, label in (("new", "success"), ("old", "old_colour_read")):
        if rows.keys(name):
            result[label] = {size: {key[2]: rows.mean(key) for key in rows.keys(name, size)} for size in sizes}
    result["outside_most_changed_tenth"] = {size: {key[2]: rows.mean(key) for key in rows.keys("outside", size)} for size in sizes}
    sides = list(dict.fromkeys(key[1] for key in rows.keys("entropy")))
    result["maps"] = {
        side: {
            "entropy_over_log_words": rows.mean(("entropy", side)),
            "lift_in_most_changed": {key[2].replace(" ", "_"): rows.mean(key) for key in rows.keys("lift", side)} | {"uniform": 1.0},
        }
        for side in sides
    }
    return result


def _share(rows: Rows, size: str) -> dict:
    """Change through the word memories over the total change, with a 95 % bootstrap interval over the captions."""
    memory, total = rows["change", size, "memory"], rows["change", size, "total"]

    def share(chosen: Tensor) -> float:
        return (memory[chosen].sum() / total[chosen].sum()).item()

    return {"share": share(torch.arange(len(total))), "interval_95": list(interval(share, len(total)))}
