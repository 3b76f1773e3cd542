"""What a trace says about words and places, as numbers.

Two quantities rank the words of a caption (DM-GAN): the *writing gate* (Eq. 7), the share of a word that is written into its memory
slot, and *key addressing* (Eq. 4), the probability that a place of the map reads this word's slot. The gate has one number a word; the
addressing has a map a word, so it can be averaged over a region. Start, end and padding are never shown as words.

Nothing is computed that the network did not compute: these functions select, average and sort.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dmm.data.vocab import tokenise
from dmm.trace import StageTrace, Trace

Region = tuple[float, float, float, float]  # y0 x0 y1 x1 as shares of the side, (0, 0, 1, 1) = the whole picture


class MissingQuantity(LookupError):
    """The stage does not have the quantity: it is said, not drawn empty."""


class NotRead(LookupError):
    """Words that the network did not read; the message names those that it did."""


@dataclass(frozen=True)
class Quantity:
    """How a quantity is called, what its numbers are and where it is defined."""

    field: str  # of StageTrace
    label: str  # as shown
    unit: str  # what a number means
    equation: str
    limits: tuple[float, float]  # the range it can take
    places: bool  # has a map a word
    note: str = ""  # one true line to show next to it


QUANTITIES = {
    "writing_gate": Quantity(
        field="writing_gate",
        label="writing gate",
        unit="share of the word written into its memory slot",
        equation="DM-GAN Eq. 7",
        limits=(0.0, 1.0),
        places=False,
        note="The gate ranks words the same way for every picture (Eq. 7: its image term is equal for all words).",
    ),
    "addressing": Quantity(
        field="addressing",
        label="key addressing",
        unit="probability that a place reads the word's slot",
        equation="DM-GAN Eq. 4",
        limits=(0.0, 1.0),
        places=True,
        note="At each place the probabilities of all words add up to 1; even reading would give 1/T, with T words.",
    ),
    "word_attention": Quantity(
        field="word_attention",
        label="word attention",
        unit="probability that a place attends to the word",
        equation="AttnGAN Eq. 2",
        limits=(0.0, 1.0),
        places=True,
        note="At each place the probabilities of all words add up to 1; even attention would give 1/T, with T words.",
    ),
}


@dataclass(frozen=True)
class Chip:
    """One real word of the caption with its number."""

    word: str
    index: int  # position on the T axis of the trace (start token included)
    value: float
    rank: int  # 1 = largest; of equal values the earlier word ranks first


@dataclass(frozen=True)
class Numbers:
    """One stage in a few numbers, as they are followed over training; None or empty where the system does not have it."""

    evenness: float | None  # entropy of the maps of the words over log T, 0 to 1
    gates: dict[int, float]  # position on the T axis -> writing gate, 0 to 1
    shares: dict[str, float]  # who answered: path -> mean response gate, adds up to 1
    peak: float | None  # the largest probability of a word at any place: maps of several steps share a range up to it


@dataclass(frozen=True)
class Spoken:
    """One token of a typed caption and whether the model's vocabulary has it."""

    word: str
    known: bool


def short(value: float) -> str:
    """A number as it is shown everywhere: two significant digits without a leading zero, .083, .63, 1.00."""
    return bare(f"{value:.2f}" if abs(value) >= 0.0995 or value == 0 else f"{value:.3f}")


def bare(shown: str) -> str:
    """The first number of a text without the zero before its point: ``1/T = 0.12`` is ``1/T = .12``."""
    return re.sub(r"(?<!\d)0\.", ".", shown, count=1)


def stage_of(trace: Trace, stage: int) -> StageTrace:
    """The stage by position (0 = the first, 64 px; -1 = the last).

    Raises:
        IndexError: the trace does not have it.
    """
    try:
        return trace.stages[stage]
    except IndexError:
        raise IndexError(f"stage {stage} asked for; this trace has {len(trace.stages)} stages, counted from 0") from None


def has(trace: Trace, stage: int, quantity: str) -> bool:
    """Whether this stage computed the quantity."""
    return getattr(stage_of(trace, stage), _quantity(quantity).field) is not None


def word_indices(trace: Trace, sample: int = 0) -> list[int]:
    """Positions of the real words on the T axis, in the order of the sentence.

    Raises:
        MissingQuantity: the trace carries no mask.
    """
    if trace.mask is None:
        raise MissingQuantity("this trace has no word mask, so words cannot be told from start, end and padding")
    return [i for i, hidden in enumerate(trace.mask[sample].tolist()) if not hidden]


def names(trace: Trace, sample: int = 0) -> dict[int, str]:
    """Position -> what a word is called where one is chosen or named: a word that stands again is numbered, "red (2)"."""
    found: dict[int, str] = {}
    seen: dict[str, int] = {}
    for index in word_indices(trace, sample):
        word = trace.tokens(sample)[index]
        seen[word] = seen.get(word, 0) + 1
        found[index] = word if seen[word] == 1 else f"{word} ({seen[word]})"
    return found


def find(trace: Trace, said: str | int, sample: int = 0) -> tuple[int, ...]:
    """Positions on the T axis of what is said: of a word, or of several that follow each other ("yellow crown"), where they first stand so.

    Args:
        trace: of any generator.
        said: words; one as :func:`names` numbers it ("red (2)"); or a position on the T axis.
        sample: position in the batch.

    Raises:
        NotRead: the network read no such words.
    """
    called = names(trace, sample)
    indices, read = list(called), [trace.tokens(sample)[i] for i in called]
    if isinstance(said, int) and said in called:
        return (said,)
    if isinstance(said, str):
        numbered = [i for i, name in called.items() if name == said.strip().lower()]
        if numbered:
            return (numbered[0],)
        words = tokenise(said)
        for first in range(len(read) - len(words) + 1 if words else 0):
            if read[first : first + len(words)] == words:
                return tuple(indices[first : first + len(words)])
    raise NotRead(f"{str(said)[:80]!r} is not among the words that were read: {', '.join(dict.fromkeys(read))}")


def uniform(trace: Trace, sample: int = 0) -> float:
    """1/T over the real words: the addressing probability if every word were read evenly."""
    return 1.0 / len(word_indices(trace, sample))


def maps_of(trace: Trace, stage: int) -> str | None:
    """The quantity with one map a word that this stage has (a key of :data:`QUANTITIES`), if any."""
    return next((name for name, quantity in QUANTITIES.items() if quantity.places and has(trace, stage, name)), None)


def reads_by(trace: Trace) -> str:
    """What the words of a caption are read from: "memory", or "attention" in a system without one."""
    return "attention" if any(stage.word_attention is not None for stage in trace.stages) else "memory"


def required_maps(trace: Trace, stage: int) -> str:
    """As :func:`maps_of`, for a stage that must read words.

    Raises:
        MissingQuantity: it has no map a word.
    """
    quantity = maps_of(trace, stage)
    if quantity is None:
        raise MissingQuantity(f"{_stage_name(trace, stage)} has no map a word")
    return quantity


def word_map(trace: Trace, stage: int, index: int, quantity: str = "addressing", sample: int = 0) -> np.ndarray:
    """The map of one word, H W float32 (64 64 or 128 128): its probability at each place.

    Raises:
        MissingQuantity: the stage has no such map.
        IndexError: ``index`` is not a real word of this caption.
    """
    if not _quantity(quantity).places:
        raise MissingQuantity(f"the {_quantity(quantity).label} has one number a word, not a map")
    maps = _field(trace, stage, quantity)  # B T H W
    if index not in word_indices(trace, sample):
        raise IndexError(f"position {index} is not a word of this caption; words are at {word_indices(trace, sample)}")
    return maps[sample, index].float().cpu().numpy()


def phrase_map(trace: Trace, stage: int, indices: Sequence[int], quantity: str = "addressing", sample: int = 0) -> np.ndarray:
    """The map of several words, H W float32: the probability that a place reads one of them, the sum of their maps.

    Raises:
        MissingQuantity, IndexError: as :func:`word_map`.
    """
    return np.stack([word_map(trace, stage, index, quantity, sample) for index in dict.fromkeys(indices)]).sum(axis=0, dtype=np.float32)


def cells(region: Region | None, height: int, width: int) -> tuple[slice, slice]:
    """The cells of an H W map that a region touches: at least one.

    Raises:
        ValueError: the region is reversed or outside the picture.
    """
    if region is None:
        return slice(0, height), slice(0, width)
    y0, x0, y1, x1 = region
    if not (0 <= y0 <= y1 <= 1 and 0 <= x0 <= x1 <= 1):
        raise ValueError(f"a region is (y0, x0, y1, x1) as shares of the side, 0 <= y0 <= y1 <= 1; found {tuple(region)}")

    def span(low: float, high: float, side: int) -> slice:
        first = min(int(np.floor(low * side + 1e-9)), side - 1)
        return slice(first, max(first + 1, int(np.ceil(high * side - 1e-9))))

    return span(y0, y1, height), span(x0, x1, width)


def chips(
    trace: Trace,
    stage: int,
    quantity: str = "writing_gate",
    region: Region | None = None,
    sample: int = 0,
) -> list[Chip]:
    """The words of the caption in reading order, each with its number and rank.

    Args:
        trace: of any generator with the quantity.
        stage: position in ``trace.stages``; 1 generates 128 px, 2 generates 256 px.
        quantity: a key of :data:`QUANTITIES`.
        region: where to average a map, shares of the side; the gate has no places, so it does not use it.
        sample: position in the batch.

    Raises:
        MissingQuantity: the stage does not have the quantity.
    """
    field = _field(trace, stage, quantity)[sample].float()  # 1 T, or T H W
    if _quantity(quantity).places:
        rows, columns = cells(region, *field.shape[-2:])
        field = field[:, rows, columns].mean(dim=(-2, -1))  # T
    values: list[float] = field.flatten().tolist()
    indices = word_indices(trace, sample)
    order = sorted(indices, key=lambda i: (-round(values[i], 6), i))  # rounding noise does not decide between equal words
    ranks = {index: rank for rank, index in enumerate(order, start=1)}
    names = trace.tokens(sample)
    return [Chip(names[i], i, values[i], ranks[i]) for i in indices]


def top_words(
    trace: Trace,
    stage: int,
    quantity: str = "writing_gate",
    k: int = 5,
    region: Region | None = None,
    sample: int = 0,
) -> list[Chip]:
    """The ``k`` words with the largest numbers, largest first; fewer if the caption is shorter."""
    return sorted(chips(trace, stage, quantity, region, sample), key=lambda chip: chip.rank)[:k]


#: What a word has in the memory, as fields of StageTrace -> how it is called.
IN_MEMORY = {"memory": "slot", "key": "key", "value": "value"}


def alike(trace: Trace, stage: int) -> list[str]:
    """Keys of :data:`IN_MEMORY` that this stage has; none where words are not in a memory."""
    return [name for name in IN_MEMORY if getattr(stage_of(trace, stage), name) is not None]


def similarity(trace: Trace, stage: int, of: str = "memory", sample: int = 0) -> np.ndarray:
    """How alike the words are in the memory: the cosine of their slots (Eq. 8), keys (Eq. 4) or values (Eq. 5), N N for N words, -1 to 1.

    Raises:
        MissingQuantity: the stage has no memory of words.
        ValueError: another ``of``.
    """
    if of not in IN_MEMORY:
        raise ValueError(f"of: expected one of {', '.join(IN_MEMORY)}, found {str(of)[:40]!r}")
    columns = getattr(stage_of(trace, stage), of)
    if columns is None:
        raise MissingQuantity(f"{_stage_name(trace, stage)} has no memory of words")
    words = columns[sample][:, word_indices(trace, sample)].double()  # C N
    words = words / words.norm(dim=0).clamp_min(1e-12)
    return (words.T @ words).clamp(-1, 1).cpu().numpy()


def evenness(trace: Trace, stage: int, quantity: str = "addressing", sample: int = 0) -> float:
    """How evenly the words are read: the entropy over the words relative to log T, mean over the places.

    1 = every place reads all words alike, nothing is chosen; 0 = every place reads one word alone. Probabilities are taken among the real
    words. Not a number for a caption of one word, which leaves nothing to choose.

    Raises:
        MissingQuantity: the stage has no such maps.
    """
    indices = word_indices(trace, sample)
    if len(indices) < 2:
        return float("nan")
    weights = _field(trace, stage, quantity)[sample, indices].double()  # T H W
    weights = weights / weights.sum(0, keepdim=True).clamp_min(1e-12)
    entropy = -(weights * weights.clamp_min(1e-12).log()).sum(0)  # H W, nats
    return float(entropy.mean() / np.log(len(indices)))


def most_placed(trace: Trace, stage: int, sample: int = 0) -> int:
    """Position of the word that makes a claim (none of :data:`SMALL_WORDS`) and whose map differs most between the places.

    Of equal words the earlier; among all words if none makes a claim.

    Raises:
        MissingQuantity: the stage has no maps.
    """
    quantity = required_maps(trace, stage)
    indices, names = word_indices(trace, sample), trace.tokens(sample)
    claims = [i for i in indices if names[i] not in SMALL_WORDS] or indices
    return max(claims, key=lambda i: (round(float(word_map(trace, stage, i, quantity, sample).std()), 6), -i))


def response_maps(trace: Trace, stage: int, sample: int = 0) -> dict[str, np.ndarray]:
    """The response gate as maps, H W float32 each, that add up to 1 at each place.

    ``image``, ``words`` and, where the system has a global memory, ``global`` (DMM-GAN). DM-GAN's single gate (Eq. 9) is the share of
    the words; the image has the rest.

    Raises:
        MissingQuantity: the stage has no response gate.
    """
    gate = stage_of(trace, stage).response_gate
    if gate is None:
        raise MissingQuantity(f"{_stage_name(trace, stage)} has no response gate")
    maps = gate[sample].float().cpu().numpy()  # 1 H W or 3 H W
    if len(maps) == 1:
        return {"image": 1 - maps[0], "words": maps[0]}
    return dict(zip(("image", "words", "global"), maps, strict=True))


def response_shares(trace: Trace, stage: int, region: Region | None = None, sample: int = 0) -> dict[str, float]:
    """Mean of each map of :func:`response_maps` over a region; they add up to 1."""
    maps = response_maps(trace, stage, sample)
    return {name: float(values[cells(region, *values.shape)].mean()) for name, values in maps.items()}


def numbers(trace: Trace, sample: int = 0) -> list[Numbers]:
    """Every stage of a trace in a few numbers."""
    found = []
    for index, stage in enumerate(trace.stages):
        maps = maps_of(trace, index)
        gates = {chip.index: chip.value for chip in chips(trace, index, sample=sample)} if stage.writing_gate is not None else {}
        shares = response_shares(trace, index, sample=sample) if stage.response_gate is not None else {}
        peak = float(_field(trace, index, maps)[sample, word_indices(trace, sample)].max()) if maps else None
        found.append(Numbers(evenness(trace, index, maps, sample) if maps else None, gates, shares, peak))
    return found


def spoken(caption: str, vocab) -> list[Spoken]:
    """The caption's words in order, each known or unknown to a :class:`dmm.data.vocab.Vocabulary`; emoji and other scripts are unknown."""
    return [Spoken(word, number is not None) for word, number in vocab.read(caption)]


def unknown_words(caption: str, vocab) -> list[str]:
    """Words of a caption that a vocabulary lacks, each once, in order."""
    return list(dict.fromkeys(said.word for said in spoken(caption, vocab) if not said.known))


def unspoken(trace: Trace, sample: int = 0) -> list[str]:
    """Words of the caption that the network never saw because its vocabulary lacks them, each once, in order."""
    seen = set(trace.tokens(sample))
    return [word for word in dict.fromkeys(tokenise(trace.caption(sample))) if word not in seen]


#: Words that say the same of a bird; anything not listed stands for itself.
SYNONYMS = {
    "gray": "grey", "greyish": "grey", "grayish": "grey",
    "beak": "bill", "beaks": "bill", "bills": "bill",
    "chest": "breast", "breasted": "breast",
    "feet": "leg", "foot": "leg", "legs": "leg", "tarsus": "leg", "tarsals": "leg",
    "wings": "wing", "wingbar": "bar", "wingbars": "bar", "bars": "bar",
    "eyes": "eye", "feathers": "feather", "birds": "bird", "spots": "spot", "spotted": "spot", "stripes": "stripe", "striped": "stripe",
    "streaks": "streak", "streaked": "streak", "stomach": "belly", "abdomen": "belly", "little": "small", "big": "large",
}  # fmt: skip

#: Words that carry no claim about the bird: they neither agree nor disagree.
SMALL_WORDS = frozenset(
    "a an and are as at be but by for from had has have in is it its of on or particular that the there they this to very was which while "
    "who with bird".split()
)


def agreement(caption: str, redescription: str) -> list[tuple[str, bool | None]]:
    """Each word of a regenerated sentence: does the caption say it too?

    Returns:
        (word, agrees) in the order of ``redescription``: True, False, or None for words without a claim ("a", "with", "bird").
        Synonyms agree (grey / gray, bill / beak, breast / chest, legs / feet).
    """
    said = {SYNONYMS.get(word, word) for word in tokenise(caption)}
    return [(word, None if word in SMALL_WORDS else SYNONYMS.get(word, word) in said) for word in tokenise(redescription)]


def _quantity(name: str) -> Quantity:
    if name not in QUANTITIES:
        raise KeyError(f"unknown quantity {name!r}; known: {', '.join(QUANTITIES)}")
    return QUANTITIES[name]


def _stage_name(trace: Trace, stage: int) -> str:
    size = stage_of(trace, stage).size
    return f"stage {stage % len(trace.stages)}" + (f" ({size} x {size})" if size else "")


def _field(trace: Trace, stage: int, quantity: str) -> Tensor:
    value = getattr(stage_of(trace, stage), _quantity(quantity).field)
    if value is None:
        raise MissingQuantity(f"{_stage_name(trace, stage)} has no {_quantity(quantity).label} ({_quantity(quantity).equation})")
    return value
