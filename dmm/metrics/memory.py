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
from dmm.data.vocab import Vocabulary
from dmm.metrics import map_scores, named_parts
from dmm.metrics.diversity import interval
from dmm.metrics.exchange import Exchange, sample_exchanges
from dmm.metrics.pathways import Text, generate, parts_of_total, pathways, read_text, word_maps
from dmm.metrics.segmenter import Segmenter
from dmm.trace import Trace

Key = tuple[str, ...]
Changes = dict[tuple[str, str], Tensor]  # (size, pathway) -> change of the pictures, B S S
Named = Sequence[tuple[int, named_parts.NamedPart]]  # (sample of the batch, word)


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


def judged(judge: Callable, images: Tensor, exchange: Sequence[Exchange]) -> tuple[Tensor, Tensor]:
    """Whether the judge reads the new colour, and the old colour, of each named part: B and B, 0 or 1."""
    logits = judge(images)["logits"]
    first = torch.stack([logits[e.part][b].argmax() for b, e in enumerate(exchange)]).cpu()
    new, old = (torch.tensor([COLOURS.index(getattr(e, name)) for e in exchange]) for name in ("new", "old"))
    return (first == new).double(), (first == old).double()


def _measure_effects(rows: Rows, generator, batch: Batch, base: Trace, judge: Callable | None) -> Changes:
    """Effects of every pathway on the pictures of one batch."""
    found = pathways(generator)
    single = parts_of_total(list(found))
    changes: Changes = {}
    rest: dict[str, Tensor] = {}
    for stage in base.stages:
        _success(rows, "none", stage.image, batch, judge)
    for name, pathway in found.items():
        trace = generate(generator, batch.text, batch.noise, batch.eps, pathway, batch.other)
        for stage, own in zip(trace.stages, base.stages, strict=True):
            if stage.image is None or own.image is None:
                continue
            size, signed = str(own.size), stage.image - own.image
            changes[size, name] = signed.abs().mean(1)
            rows.add(("change", size, name), changes[size, name].mean((1, 2)))
            rows.add(("outside", size, name), map_scores.outside_most(changes[size, name]))
            _success(rows, name, stage.image, batch, judge)
            if name == "total" or name in single:
                rest[size] = signed if name == "total" else rest[size] - signed
    for size, signed in rest.items():
        rows.add(("interaction", size), signed.abs().mean((1, 2, 3)))
    return changes


def _success(rows: Rows, name: str, images: Tensor | None, batch: Batch, judge: Callable | None) -> None:
    """Whether the judge reads the new colour, and the old one, after an exchange on the pathway ``name``."""
    if images is not None and judge is not None:
        new, old = judged(judge, images, batch.exchanges)
        rows.add(("new", str(images.shape[-1]), name), new)
        rows.add(("old", str(images.shape[-1]), name), old)


def _measure_maps(rows: Rows, batch: Batch, base: Trace, changes: Changes, segmenter: Segmenter | None, tokens: Named) -> None:
    """Where the exchanged word is read, against where the picture changes, for each stage that has word maps; and all named words."""
    positions = torch.tensor([e.position for e in batch.exchanges])
    every, others = torch.arange(len(positions)), another(batch.text.mask, positions)
    for stage in base.stages:
        maps = word_maps(stage)
        if maps is None:
            continue
        side, size = str(maps.shape[-1]), str(stage.size)
        rows.add(("entropy", side), map_scores.entropy(maps, batch.text.mask))
        variants = {"word": maps[every, positions], "other word": maps[every, others]}
        if len(positions) > 1:  # the map of another caption is that of the next in the batch
            variants["other caption"] = variants["word"].roll(1, 0)
        for pathway in (name for name in ("total", "memory") if (size, name) in changes):
            effect = map_scores.at_places(changes[size, pathway], maps.shape[-1])
            inside = map_scores.most_changed(effect, map_scores.MOST_CHANGED)
            for name, weights in variants.items():
                rows.add(("lift", side, pathway, name), map_scores.lift(weights, inside))
                rows.add(("spearman", side, pathway, name), map_scores.rank_correlation(weights, effect))
        if segmenter is not None and stage.image is not None:
            score_named(rows, side, maps, batch.text.mask, segmenter.segment(stage.image), tokens)


def score_named(rows: Rows, side: str, maps: Tensor, mask: Tensor, segmentation: Tensor, tokens: Named) -> None:
    """Maps B T H W of all words that speak of a part, against that part in class numbers B I I; with controls."""
    samples, named = [b for b, _ in tokens], [word for _, word in tokens]
    if not named:
        return
    masks = named_parts.masks_of(segmentation, samples, [word.part for word in named])
    rows.add(("area", side), masks.mean((1, 2)).where(masks.sum((1, 2)) >= named_parts.FEWEST, torch.nan))
    rows.add(("kind", side), torch.tensor([float(word.kind == "colour") for word in named]))
    rows.add(("part", side), torch.tensor([float(named_parts.PLACES.index(word.part)) for word in named]))
    before = rows.parts.get(("caption", side))
    rows.add(("caption", side), torch.tensor(samples) + (int(before[-1].max()) + 1 if before else 0))
    chosen, positions = torch.tensor(samples), torch.tensor([word.position for word in named])
    variants = {"word": maps[chosen, positions], "other word": maps[chosen, another(mask[chosen], positions)]}
    variants["other caption"] = _of_another_caption(maps, samples, positions)
    variants["uniform"] = torch.ones_like(variants["word"])
    for name, weights in variants.items():
        for score, values in named_parts.score_maps(weights, masks).items():
            rows.add((score, side, name), values)


def _of_another_caption(maps: Tensor, samples: Sequence[int], positions: Tensor) -> Tensor:
    """W H W': for each word the map of a word of another caption that speaks of a part as well; nan where the batch has no other."""
    result = []
    for sample in samples:
        other = next((k for k in range(len(samples)) if samples[k] > sample), 0)
        of_other = maps[samples[other], positions[other]]
        result.append(torch.full_like(of_other, torch.nan) if samples[other] == sample else of_other)
    return torch.stack(result)


def _measure_locality(rows: Rows, batch: Batch, base: Trace, changes: Changes, segmenter: Segmenter) -> None:
    """Share of each pathway's change that lies inside the named part, in the picture before the exchange."""
    parts = [e.part for e in batch.exchanges if e.part is not None]
    assert len(parts) == len(batch.exchanges), "parts are found where exchanges name them"
    for image in base.images:
        masks = named_parts.masks_of(segmenter.segment(image), range(len(parts)), parts)
        there = masks.sum((1, 2)) >= named_parts.FEWEST
        size = str(image.shape[-1])
        rows.add(("part there", size), there.double())
        rows.add(("named area", size), masks.mean((1, 2)).where(there, torch.nan))
        for (of, pathway), difference in changes.items():
            if of == size:
                side = min(masks.shape[-1], difference.shape[-1])
                inside = map_scores.at_places(masks, side)
                share = map_scores.mass(map_scores.at_places(difference, side), inside)
                rows.add(("locality", size, pathway), share.where(there, torch.nan))


def another(mask: Tensor, positions: Tensor) -> Tensor:
    """B: the next word of each caption after its position, past the last the first; words permuted in this way keep no word in place."""
    result = []
    for row, position in zip(mask, positions.tolist(), strict=True):
        words = (~row).nonzero()[:, 0].tolist()
        result.append(words[(words.index(position) + 1) % len(words)])
    return torch.tensor(result)


@torch.no_grad()
def collect(
    pipe,
    drawn: Sequence[Exchange | None],
    seed: int,
    judge: Callable | None,
    segmenter: Segmenter | None,
    batch: int = 8,
    progress: bool = False,
) -> Rows:
    """All numbers of all exchanges; arguments as of :func:`measure`."""
    rows, count = Rows(), sum(exchange is not None for exchange in drawn)
    for one in tqdm(batches(pipe, drawn, seed, batch), "memory", -(-count // batch), unit="batch", disable=not progress):
        base = generate(pipe.generator, one.text, one.noise, one.eps)
        changes = _measure_effects(rows, pipe.generator, one, base, judge)
        _measure_maps(rows, one, base, changes, segmenter, tokens_of(one, pipe.vocab))
        if segmenter is not None:
            _measure_locality(rows, one, base, changes, segmenter)
    return rows


def tokens_of(batch: Batch, vocab: Vocabulary) -> Named:
    """Every word of the captions of a batch that speaks of a part."""
    return [(b, word) for b, e in enumerate(batch.exchanges) for word in named_parts.named_parts(e.caption, vocab)]


def measure(
    pipe,
    groups: Sequence[Sequence[str]],
    seed: int,
    judge: Callable | None,
    segmenter: Segmenter | None = None,
    batch: int = 8,
    progress: bool = False,
) -> dict:
    """What the memory does in a pipeline, on one exchanged colour word of a caption of each group.

    Args:
        pipe: a :class:`dmm.pipeline.Pipeline`.
        groups: captions of N birds; of each, the first that has a qualified word is used.
        seed: of the noise (seed + i) and of the exchanges.
        judge: reads colours of parts; None where there is no ground truth (photographs), then any colour word qualifies.
        segmenter: finds parts in pictures; None where there is no ground truth.
        batch: pictures at a time.

    Returns:
        Plain containers for JSON.

    Raises:
        ConfigError: no caption has a colour word to exchange.
    """
    drawn = sample_exchanges(groups, pipe.vocab, seed, judge is not None)
    rows = collect(pipe, drawn, seed, judge, segmenter, batch, progress)
    count = sum(exchange is not None for exchange in drawn)
    return {"captions": count, "pathways": list(pathways(pipe.generator)), **summary(rows)}


def summary(rows: Rows) -> dict:
    """The figures of all captions."""
    sizes = list(dict.fromkeys(key[1] for key in rows.keys("change")))
    reached = [size for size in sizes if rows.mean(("change", size, "memory"))]  # a memory acts before the picture
    changed = [size for size in sizes if rows.mean(("change", size, "total"))]
    result: dict = {"memory_share": {size: _share(rows, size) for size in reached}}
    for name, label in _TABLES.items():
        if rows.keys(name):
            result[label] = {size: {key[2]: rows.mean(key) for key in rows.keys(name, size)} for size in sizes}
    result["interaction"] = {size: _ratio(rows.mean(("interaction", size)), rows.mean(("change", size, "total"))) for size in changed}
    if rows.keys("part there"):
        there = {size: {"found": rows.mean(("part there", size)), "area": rows.mean(("named area", size))} for size in sizes}
        result["named_part_in_picture"] = there
    result["maps"] = {key[1]: _map_figures(rows, key[1]) for key in rows.keys("entropy")}
    return result


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


#: First word of the rows' keys -> name of their table in the summary: size, then pathway.
_TABLES = {
    "change": "change", "new": "success", "old": "old_colour_read", "outside": "outside_most_changed_tenth", "locality": "locality",
}  # fmt: skip


def _share(rows: Rows, size: str) -> dict:
    """Change through the word memories over the total change, with a 95 % bootstrap interval over the captions."""
    memory, total = rows["change", size, "memory"], rows["change", size, "total"]

    def share(chosen: Tensor) -> float:
        return (memory[chosen].sum() / total[chosen].sum()).item()

    return {"share": share(torch.arange(len(total))), "interval_95": list(interval(share, len(total)))}


def _map_figures(rows: Rows, side: str) -> dict:
    """What is known of the maps of one stage, read at side x side places."""
    found: dict = {"entropy_over_log_words": rows.mean(("entropy", side))}
    for score, label in (("lift", "lift_in_most_changed"), ("spearman", "spearman_of_map_and_change")):
        for pathway in ("total", "memory"):
            keys = [key for key in rows.keys(score, side, pathway) if len(key) == 4]
            if keys and any(rows.mean(key) is not None for key in keys):
                found.setdefault(label, {})[pathway] = {_plain(key[3]): rows.mean(key) for key in keys}
    if rows.keys("area", side):
        area = rows["area", side]
        found["words_of_parts"] = int(area.isfinite().sum())
        found["highest_possible_lift"] = (1 / area).nanmean().item()
        for score in named_parts.SCORES:
            names = [key[2] for key in rows.keys(score, side) if len(key) == 3]
            found[f"{score}_in_named_part"] = {_plain(name): rows.mean((score, side, name)) for name in names}
        found["by_kind"] = _by(rows, side, "kind", ("part", "colour"))
        for number, kind in enumerate(("part", "colour")):
            if kind in found["by_kind"]:
                found["by_kind"][kind]["lift_interval_95"] = _lift_interval(rows, side, rows["kind", side] == number)
        found["by_part"] = _by(rows, side, "part", named_parts.PLACES)
    return found


def _by(rows: Rows, side: str, key: str, names: Sequence[str]) -> dict:
    """Scores of the words of each kind, or of each part; those that no caption has are left out."""
    group, result = rows[key, side], {}
    for number, name in enumerate(names):
        chosen = (group == number) & rows["area", side].isfinite()
        if chosen.any():
            means = {score: rows[score, side, "word"][chosen].nanmean().item() for score in named_parts.SCORES}
            result[name] = {"words": int(chosen.sum()), **means}
    return result


def _lift_interval(rows: Rows, side: str, words: Tensor) -> list[float] | None:
    """95 % bootstrap interval of the lift of some words, over the captions that have any: words of one caption are not independent."""
    words = words & rows["area", side].isfinite() & rows["lift", side, "word"].isfinite()
    captions, place = rows["caption", side][words].unique(return_inverse=True)
    sums, counts = torch.zeros(2, len(captions), dtype=torch.float64)
    sums.index_add_(0, place, rows["lift", side, "word"][words])
    counts.index_add_(0, place, torch.ones(len(place), dtype=torch.float64))
    return list(interval(lambda drawn: (sums[drawn].sum() / counts[drawn].sum()).item(), len(captions))) if len(captions) else None


def _plain(name: str) -> str:
    return name.replace(" ", "_")
