"""Controls of the measures of the memory: what the figures are where no word can be in the right place.

* ``second_noise``: the same captions and exchanges with other z and eps. The figures must agree.
* ``other_captions_words``: the memories read the words of another caption; the judge should read the new colour only by chance.
* ``uniform_addressing``: every place reads all words alike, before and after the exchange in the memories.
* ``random_weights``: cascading randomisation (Adebayo et al., NeurIPS 2018): the parameters of the generator re-drawn block by block from
  the last to the first, each tensor from a normal distribution with its own mean and deviation. Maps are compared with the parts in the
  pictures of the intact generator; lift and pointing must fall to chance.

Maps of permuted words and of other captions, and uniform maps, stand beside the figures themselves: a memory has no order, so permuting
its words permutes its maps and changes nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from tqdm import tqdm

from dmm.metrics import map_scores
from dmm.metrics.exchange import Exchange
from dmm.metrics.memory import Batch, Rows, batches, collect, judged, score_named, summary, tokens_of
from dmm.metrics.pathways import Text, generate, pathways, word_maps
from dmm.metrics.segmenter import Segmenter
from dmm.models.kernels.fuse import fuse_batch_norms

OTHER_NOISE = 1_000_000  # added to the seeds of the second noise


@contextmanager
def uniform_addressing(generator: nn.Module) -> Iterator[None]:
    """Inside, every place of every refinement stage reads all words of its caption alike."""

    def even(_module: nn.Module, inputs: tuple, maps: Tensor) -> Tensor:
        words = (~inputs[2]).to(maps.dtype)  # B T
        return (words / words.sum(1, keepdim=True))[:, :, None, None].expand_as(maps).contiguous()

    stages = [stage for stage in getattr(generator, "refinements", ()) if getattr(stage, "addressing", None) is not None]
    handles = [stage.addressing.register_forward_hook(even) for stage in stages]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def blocks(generator: nn.Module) -> list[tuple[str, nn.Module]]:
    """The parts of a generator from the last to the first; refinement stages one by one."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in generator.named_children():
        found += [(f"{name}.{k}", one) for k, one in enumerate(child.children())] if name == "refinements" else [(name, child)]
    return found[::-1]


@torch.no_grad()
def redraw(module: nn.Module, rng: torch.Generator) -> None:
    """Every parameter tensor becomes normal numbers with its own mean and standard deviation."""
    for parameter in module.parameters():
        drawn = torch.randn(parameter.shape, generator=rng).to(parameter)
        parameter.copy_(parameter.mean() + drawn * parameter.std(correction=0))


def cascade(generator: nn.Module, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Copies of a generator with more and more blocks re-drawn: (the last block re-drawn, copy)."""
    rng, current = torch.Generator().manual_seed(seed), copy.deepcopy(generator).eval()
    for name, _ in blocks(generator):
        current = copy.deepcopy(current)
        redraw(current.get_submodule(name), rng)
        yield name, current


@torch.no_grad()
def random_weights(
    pipe,
    drawn: Sequence[Exchange | None],
    seed: int,
    judge: Callable | None,
    segmenter: Segmenter | None,
    batch: int,
    progress: bool = False,
) -> dict:
    """Scores of the maps, and success of the total exchange, after each step of the cascade; ``pipe`` is not fused."""
    levels = [(name, fuse_batch_norms(generator)) for name, generator in (("none", pipe.generator), *cascade(pipe.generator, seed))]
    rows = {name: Rows() for name, _ in levels}
    for one in tqdm(batches(pipe, drawn, seed, batch), "random weights", unit="batch", disable=not progress):
        intact = generate(levels[0][1], one.text, one.noise, one.eps)
        found = {}
        if segmenter is not None:
            found = {stage.size: segmenter.segment(stage.image) for stage in intact.stages if stage.image is not None}
        tokens = tokens_of(one, pipe.vocab)
        for name, generator in levels:
            _score_level(rows[name], generator, one, found, tokens, judge)
    return {name: _level_figures(rows[name]) for name, _ in levels}


def _score_level(rows: Rows, generator: nn.Module, one: Batch, found: dict, tokens: Sequence, judge: Callable | None) -> None:
    base, total = (generate(generator, text, one.noise, one.eps) for text in (one.text, one.other))
    positions = torch.tensor([e.position for e in one.exchanges])
    for stage, other in zip(base.stages, total.stages, strict=True):
        maps = word_maps(stage)
        if maps is None or stage.image is None or other.image is None:
            continue
        side = maps.shape[-1]
        change = map_scores.at_places((other.image - stage.image).abs().mean(1), side)
        inside = map_scores.most_changed(change, map_scores.MOST_CHANGED)
        rows.add(("lift_in_most_changed", str(side)), map_scores.lift(maps[torch.arange(len(positions)), positions], inside))
        if stage.size in found:
            score_named(rows, str(side), maps, one.text.mask, found[stage.size], tokens)
    if judge is not None:
        rows.add(("success", "total"), judged(judge, total.images[-1], one.exchanges)[0])


def _level_figures(rows: Rows) -> dict:
    result: dict = {"success_total": rows.mean(("success", "total"))} if rows.keys("success") else {}
    for _, side in rows.keys("lift_in_most_changed"):
        result[side] = {"lift_in_most_changed": rows.mean(("lift_in_most_changed", side))}
        if rows.keys("area", side):
            result[side] |= {f"{score}_in_named_part": rows.mean((score, side, "word")) for score in ("lift", "pointing")}
    return result


@torch.no_grad()
def swapped_reads(pipe, drawn: Sequence[Exchange | None], seed: int, judge: Callable | None, batch: int) -> dict:
    """Other captions' words in the memories, and uniform addressing: change of the picture and success of the exchange in the memories."""
    rows, found = Rows(), pathways(pipe.generator)
    for one in batches(pipe, drawn, seed, batch) if "memory" in found else ():
        count = len(one.exchanges)
        strange = replace(one.other, words=one.text.words.roll(1, 0), mask=one.text.mask.roll(1, 0))
        for name, other, held in (
            ("other_captions_words", strange, nullcontext),
            ("uniform_addressing", one.other, lambda: uniform_addressing(pipe.generator)),
        ):
            if other is strange and count == 1:
                continue
            with held():
                own = generate(pipe.generator, one.text, one.noise, one.eps).images[-1]
                images = _through_memory(pipe, one, other)
            rows.add((name, "change"), (images - own).abs().mean((1, 2, 3)))
            if judge is not None:
                rows.add((name, "success"), judged(judge, images, one.exchanges)[0])
    return {name: {key[1]: rows.mean(key) for key in rows.keys(name)} for name in dict.fromkeys(key[0] for key in rows.parts)}


def _through_memory(pipe, one: Batch, other: Text) -> Tensor:
    return generate(pipe.generator, one.text, one.noise, one.eps, pathways(pipe.generator)["memory"], other).images[-1]


def controls(
    pipe,
    drawn: Sequence[Exchange | None],
    seed: int,
    judge: Callable | None,
    segmenter: Segmenter | None,
    batch: int = 8,
    original=None,
    progress: bool = False,
) -> dict:
    """All controls that need pictures of their own.

    Args:
        pipe, drawn, seed, judge, segmenter, batch: as of :func:`dmm.metrics.memory.collect`.
        original: the pipeline that is not fused, for random weights; ``pipe`` itself where it is not.
    """
    second = summary(collect(pipe, drawn, seed + OTHER_NOISE, judge, segmenter, batch, progress))
    return {
        "captions": sum(exchange is not None for exchange in drawn),
        "second_noise": {name: second[name] for name in ("memory_share", "change", "success", "maps") if name in second},
        **swapped_reads(pipe, drawn, seed, judge, batch),
        "random_weights": random_weights(original or pipe, drawn, seed, judge, segmenter, batch, progress),
    }
