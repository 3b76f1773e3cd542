"""``dmm evaluate --metrics memory``: the measures of :mod:`dmm.metrics.memory` with their controls, as a metric."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dmm.aviary.grammar import captions
from dmm.config import ConfigError
from dmm.files import FileError, lines_in, read_text
from dmm.metrics.exchange import sample_exchanges
from dmm.metrics.memory import measure
from dmm.metrics.memory_controls import controls
from dmm.metrics.records import digest, rounded
from dmm.metrics.registry import register_metric
from dmm.metrics.segmenter import load_segmenter

CONTROLLED = 4, 128  # controls that need pictures of their own take one caption in so many, at most so many

GENERAL = (
    "one colour word of one caption each, exchanged for a colour that the caption does not mention; same z and eps; exchanged everywhere "
    "(total) or only in what one pathway reads. change: mean absolute difference of the pictures in [-1, 1]. memory_share: change through "
    "all word memories over total change, means over captions. interaction: mean absolute difference between the total change and the sum "
    "of the changes through initial code, memories and global memory, over the total change. lift: mean weight of the exchanged word's map "
    "inside the 5 % of places that change most, over its mean everywhere; chance 1. outside: share of the change outside the most changed "
    "tenth of the pixels. Maps of other_word, other_caption and uniform are controls."
)
AVIARY = (
    " The word is the only colour of one judged part, and of each bird the first caption that has such a word. success: share of captions "
    "whose named part the judge reads in the new colour as its first choice (none: without any exchange). locality: share of the change "
    "inside the named part; chance: its area. in_named_part: maps of all words that name a part or its colour, against the part as a "
    "segmenter trained on rendered birds finds it in the picture of that stage; pointing counts the place with the largest weight as a hit "
    "if it or one of its eight neighbours holds any of the part."
)


@register_metric("memory", needs=("pipeline",))
def memory(evaluation) -> dict:
    """Share of a word's effect that passes through the memories, effect and success of each pathway, and where words are read."""
    groups = [[caption.text for caption in captions(bird)] for bird in evaluation.population]
    segmenter = load_segmenter(device=evaluation.pipe.device)
    found = _with_controls(evaluation.pipe, evaluation.original, groups, evaluation, evaluation.judge, segmenter)
    return found | {"segmenter": segmenter.card.get("unseen_species"), "protocol": GENERAL + AVIARY}


@dataclass(frozen=True)
class _Settings:
    """What :func:`measure_sentences` settles of an evaluation."""

    seed: int
    batch: int
    progress: bool


def measure_sentences(pipe, file: str | Path, seed: int, metrics: Sequence[str], command: str = "", progress: bool = False) -> dict:
    """The measures that need no ground truth, on captions of the user's own: for models of photographs.

    Args:
        pipe: a :class:`dmm.pipeline.Pipeline`, not fused.
        file: captions, one a line; those without a colour word that the checkpoint knows are passed over.
        seed: of the noise and of the exchanges.
        metrics: must be ("memory",).
        command: the command line that was typed.
        progress: bars on stderr.

    Raises:
        ConfigError: another metric, a file that cannot be read, or no caption with a colour word.
    """
    if tuple(metrics) != ("memory",):
        raise ConfigError(f"--sentences goes with --metrics memory alone, found {','.join(metrics)}: the others need Aviary's birds")
    try:
        lines = [line.strip() for line in lines_in(read_text(file)) if line.strip()]
    except (OSError, FileError) as error:
        raise ConfigError(f"--sentences {file}: expected a text file with a caption a line ({error})") from error
    if not lines:
        raise ConfigError(f"--sentences {file}: expected a caption a line, found none")
    began, fast = time.monotonic(), pipe.fused()
    found = _with_controls(fast, pipe, [[line] for line in lines], _Settings(seed, 16, progress), None, None)
    return {
        "checkpoint": pipe.name,
        "command": command,
        "n": len(lines),
        "split": f"captions of {Path(file).name}",
        "noise": f"sample i draws z and eps from seed {seed} + i; no truncation",
        "seed": seed,
        "weights_sha256": digest(pipe),
        "metrics": {"memory": rounded(found | {"protocol": GENERAL})},
        "seconds": round(time.monotonic() - began),
    }


def _with_controls(pipe, original, groups: Sequence[Sequence[str]], settings, judge, segmenter) -> dict:
    result = measure(pipe, groups, settings.seed, judge, segmenter, settings.batch, settings.progress)
    share, most = CONTROLLED
    drawn = sample_exchanges(groups, pipe.vocab, settings.seed, judge is not None)[: min(most, max(2, len(groups) // share))]
    if any(drawn):
        settled = (settings.seed, judge, segmenter, settings.batch, original, settings.progress)
        result["controls"] = controls(pipe, drawn, *settled)
    return result
