"""Does STREAM tell the truth? The claims of its sentences, against what is known of the birds.

A sentence is parsed (:func:`dmm.aviary.grammar.read_slots`); each colour that it gives to a slot is one claim. Of a rendered bird
everything is known, so each claim is true or false. Of a generated picture two things are known: its caption, which settles the claims of
the slots that it names, and what the attribute judge reads, which settles those of seven parts. The share of true claims is a precision:
a captioner that says little can be right, so claims and slots a sentence stand beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from dmm.aviary.cache import AviaryCache
from dmm.aviary.factors import HEAD_PARTS
from dmm.aviary.grammar import in_sight, read_slots
from dmm.aviary.traits import COLOURED_PARTS, COLOURS, Bird
from dmm.checkpoint import load_parts
from dmm.images import to_float
from dmm.metrics.attributes import PARTS
from dmm.metrics.bootstrap import ratio_interval
from dmm.metrics.registry import register_metric
from dmm.models.captioner import Captioner

Slots = Mapping[str, Sequence[str]]
PROTOCOL = (
    "colours that STREAM's sentences (greedy, the captioner that the record names) give to slots, both parsed by the Aviary "
    "grammar. rendered: true if the bird has the colour there (a head: in crown, forehead and nape; a body: first colour of "
    "the back, further ones anywhere in sight; marks and patterns: their own; a mark that is not there is false). generated: "
    "true if the caption gives the slot that colour, false if it gives another, unknown where it is silent. judged: seven "
    "parts, against the judge's first choice, or first k for k colours. Floors: the same sentences against the bird or "
    "caption of another species, parts only. 95 % intervals: 1,000 bootstrap draws of sentences."
)


@dataclass(frozen=True)
class Claim:
    """A colour given to a slot, and whether it is so; None where that is not known."""

    slot: str
    colour: str
    true: bool | None


def part_colours(bird: Bird) -> dict[str, frozenset[str]]:
    """The colours that a sentence may truly give to each slot of a bird but "body"; a slot that the bird lacks is left out.

    A head has the colours that crown, forehead and nape share; marks and patterns have their own.
    """
    found = {part: frozenset(bird.colours[part]) for part in COLOURED_PARTS}
    found["head"] = frozenset.intersection(*(found[part] for part in HEAD_PARTS))
    found |= {mark: frozenset((colour,)) for mark, colour in bird.marks.items()}
    return found | {f"{part}_pattern_colour": frozenset((colour,)) for part, colour in bird.pattern_colours.items()}


def claims_of_bird(slots: Slots, bird: Bird) -> list[Claim]:
    """Each colour that a sentence claims, true or false of the bird.

    Of the body the first colour must be the back's, as in the captions; any further one must be one of the plumage in sight.
    """
    known, body = part_colours(bird), bird.colours["back"]
    found = []
    for slot, colours in slots.items():
        for number, colour in enumerate(colour for colour in colours if colour in COLOURS):
            if slot == "body":
                true = colour in body or (number > 0 and colour in in_sight(bird))
            else:
                true = colour in known.get(slot, ())
            found.append(Claim(slot, colour, true))
    return found


def claims_of_caption(slots: Slots, caption: Slots) -> list[Claim]:
    """Each colour that a sentence claims: true if the caption gives it to the slot too, false if it gives others, else not known."""
    return [
        Claim(slot, colour, colour in caption[slot] if slot in caption else None)
        for slot, colours in slots.items()
        for colour in colours
        if colour in COLOURS
    ]


def claims_of_judge(slots: Slots, logits: Mapping[str, Tensor]) -> list[Claim]:
    """Each colour claimed of the seven judged parts: true if it is among the judge's first k, for k colours of a part.

    Args:
        slots: of the sentence.
        logits: part -> a score for each of the ``COLOURS``, 11.
    """
    found = []
    for part in PARTS:
        colours = [colour for colour in slots.get(part, ()) if colour in COLOURS]
        first = {COLOURS[c] for c in logits[part].topk(len(colours)).indices.tolist()}
        found += [Claim(part, colour, colour in first) for colour in colours]
    return found


def share_true(sentences: Sequence[Sequence[Claim]], counts: Callable[[Claim], bool] = lambda claim: True) -> dict:
    """``{"true": share, "interval_95", "claims": of known truth, "unknown": others}`` of the claims that count, over all sentences."""
    kept = [[claim.true for claim in claims if counts(claim)] for claims in sentences]
    true = torch.tensor([sum(value is True for value in values) for values in kept], dtype=torch.float)
    known = torch.tensor([sum(value is not None for value in values) for values in kept], dtype=torch.float)
    total = int(known.sum())
    return {
        "true": float(true.sum()) / total if total else None,
        "interval_95": ratio_interval(true, known),
        "claims": total,
        "unknown": sum(map(len, kept)) - total,
    }


def _of_part(claim: Claim) -> bool:
    return claim.slot in COLOURED_PARTS or claim.slot == "head"


def summary(sentences: Sequence[Sequence[Claim]]) -> dict:
    """Shares of true claims: of all, of the parts' colours alone, and of each slot; how much is claimed."""
    slots = sorted({claim.slot for claims in sentences for claim in claims})
    each = {}
    for slot in slots:
        values = [claim.true for claims in sentences for claim in claims if claim.slot == slot and claim.true is not None]
        each[slot] = {"true": sum(values) / len(values) if values else None, "claims": len(values)}
    return {
        "all": share_true(sentences),
        "parts": share_true(sentences, _of_part),
        "slots": each,
        "claims_a_sentence": sum(map(len, sentences)) / max(len(sentences), 1),
        "slots_a_sentence": sum(len({claim.slot for claim in claims}) for claims in sentences) / max(len(sentences), 1),
        "sentences": len(sentences),
    }


def _of_judge(said: Sequence[Slots], predictions: Mapping[str, Tensor]) -> dict:
    """Share of the claims of seven parts that the judge's logits, N 11 for each part, confirm."""
    return share_true([claims_of_judge(slots, {part: predictions[part][i] for part in PARTS}) for i, slots in enumerate(said)])


def _rendered(sentences: Sequence[str], birds: Sequence[Bird], shuffle: Sequence[int]) -> dict:
    """The figures of rendered birds, and the floor: the same sentences against birds of another species, parts only."""
    said = [read_slots(text) for text in sentences]
    other = [birds[i] for i in shuffle]
    return {
        "rendered": summary([claims_of_bird(slots, bird) for slots, bird in zip(said, birds, strict=True)])
        | {"distinct_sentences": len(set(sentences))},
        "rendered_floor_shuffled": share_true([claims_of_bird(slots, bird) for slots, bird in zip(said, other, strict=True)], _of_part),
    }


@register_metric("claims", needs=("redescription", "judge"))
def claims(evaluation) -> dict:
    """Share of the colours that STREAM's sentences claim which are true (higher is better), and how many they claim."""
    wanted, shuffle = [caption.slots for caption in evaluation.captions], evaluation.shuffle.tolist()
    birds, result = [evaluation.birds.bird(i) for i in range(len(wanted))], {}
    for size, sentences in evaluation.generated["redescription"].items():
        generated, seen = [read_slots(text) for text in sentences], evaluation.rendered["redescription"][size]
        other = [wanted[i] for i in shuffle]
        result[str(size)] = _rendered(seen, birds, shuffle) | {
            "generated": summary([claims_of_caption(slots, caption) for slots, caption in zip(generated, wanted, strict=True)])
            | {"distinct_sentences": len(set(sentences))},
            "generated_floor_shuffled": share_true(
                [claims_of_caption(slots, caption) for slots, caption in zip(generated, other, strict=True)], _of_part
            ),
        }
        if size in evaluation.generated["judge"]:
            result[str(size)]["generated"]["judged"] = _of_judge(generated, evaluation.generated["judge"][size]["logits"])
            result[str(size)]["rendered"]["judged"] = _of_judge(
                [read_slots(text) for text in seen], evaluation.rendered["judge"][size]["logits"]
            )
    return {"by_size": result, "protocol": PROTOCOL}


@torch.no_grad()
def evaluate_captioner(
    name: str | Path,
    count: int = 2000,
    seed: int = 100,
    level: str = "garden",
    size: int = 64,
    cache: str | Path = ".cache/aviary",
    command: str = "",
    batch: int = 64,
    progress: bool = True,
) -> dict:
    """The record of a checkpoint that has a captioner and no generator, such as a captioning run: rendered birds of unseen species alone.

    Args:
        name: of the checkpoint.
        count: birds.
        seed: of the floor's shuffle.
        level: "garden" or "world".
        size: side of the pictures, px.
        cache: where rendered birds are kept; rendered on first use.
        command: the command line that was typed.
        batch: pictures at a time.
        progress: bars on stderr.

    Raises:
        CheckpointError: no captioner, or a file that cannot be used.
    """
    from dmm.metrics.evaluation import rounded, shuffled

    parts, _, vocab = load_parts(name, ("captioner",))
    captioner = parts["captioner"]
    assert isinstance(captioner, Captioner)
    cached = AviaryCache.open(cache, count, 0, level, "test", (size,), progress)
    birds = [cached.bird(i) for i in range(count)]
    sentences: list[str] = []
    for start in tqdm(range(0, count, batch), "rendered", disable=not progress):
        pictures = to_float(cached.images(size, range(start, min(start + batch, count))))
        sentences += captioner.sentences(pictures, vocab)
    shuffle = shuffled(torch.tensor([bird.species for bird in birds]), seed).tolist()
    return {
        "checkpoint": str(name),
        "command": command,
        "n": count,
        "split": f"Aviary {level}, birds 0 to {count - 1} of the 50 unseen species (data seed 0)",
        "seed": seed,
        "metrics": {"claims": {"by_size": {str(size): rounded(_rendered(sentences, birds, shuffle))}, "protocol": PROTOCOL}},
    }
