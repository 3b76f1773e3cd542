"""Patterns and marks: are the captioned bars, spots, streaks, crests and eyerings in the picture?

A second classifier of the judge's kind (:class:`dmm.metrics.judge.Judge`), trained on rendered birds only and used in no loss, names the
pattern of five parts and says which of five marks the head has. What a caption says of them is *read back* when it is the network's answer.
Solid parts are not counted: captions do not speak of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from dmm.aviary.cache import AviaryCache
from dmm.aviary.traits import HEAD_MARKS, PATTERNS, WING_PATTERNS, Bird
from dmm.checkpoint import assets
from dmm.metrics import measuring
from dmm.metrics.bootstrap import ratio_interval
from dmm.metrics.judge import Judge, attribute_loss, read_unseen
from dmm.metrics.records import digest
from dmm.metrics.registry import register_metric

FORMAT = "dmm-marks/1"
FILE = "marks.safetensors"
NO, YES = "no", "yes"
#: What is read, and the possible answers of each.
HEADS: dict[str, tuple[str, ...]] = {"wing_pattern": WING_PATTERNS}
HEADS |= {f"{part}_pattern": PATTERNS for part in ("breast", "belly", "back", "tail")} | dict.fromkeys(HEAD_MARKS, (NO, YES))


def _network(**config) -> Judge:
    return Judge(**config, heads=HEADS)


def load_marks(path: str | Path | None = None, device: str | torch.device = "cpu") -> Judge:
    """The classifier of patterns and marks in a directory, default ``assets/checkpoints/aviary-marks``, in eval mode, with its ``.card``.

    Raises:
        CheckpointError: nothing there, or a classifier of other things.
    """
    file = Path(path or assets() / "checkpoints" / "aviary-marks") / FILE
    return measuring.load(file, _network, FORMAT, ("heads", HEADS), "marks", tuple(HEADS)).to(device)


def targets(birds: Sequence[Bird]) -> dict[str, Tensor]:
    """The number of each true answer, attribute of ``HEADS`` -> N int64."""
    return {
        name: torch.tensor([answers.index(answer_of(bird, name)) for bird in birds])
        for name, answers in HEADS.items()
    }  # fmt: skip


def answer_of(bird: Bird, name: str) -> str:
    """The truth of one attribute of ``HEADS``."""
    return (YES if name in bird.marks else NO) if name in HEAD_MARKS else getattr(bird, name)


def said(slots: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What a sentence says of patterns and marks, attribute of ``HEADS`` -> the answer that agrees with it."""
    found = {}
    for name in (name for name in HEADS if name in slots):
        found[name] = YES if name in HEAD_MARKS else next((one for one in slots[name] if one in HEADS[name]), "")
    return {name: answer for name, answer in found.items() if answer not in ("", "solid")}


def agreement(logits: Mapping[str, Tensor], slots: Sequence[Mapping[str, Sequence[str]]]) -> dict:
    """Share of captioned patterns and marks that are read back.

    Args:
        logits: attribute of ``HEADS`` -> N answers.
        slots: what each of the N sentences says.

    Returns:
        ``{"mean", "interval_95", "said": how many in all, "attributes": {attribute: {"share", "said"}}}``; a share is None where no
        sentence speaks of it. The interval is of ``mean``, over sentences.
    """
    right, count = (torch.zeros(len(slots), len(HEADS)) for _ in range(2))  # N A
    for row, sentence in enumerate(slots):
        for name, answer in said(sentence).items():
            column = list(HEADS).index(name)
            right[row, column] = HEADS[name][int(logits[name][row].argmax())] == answer
            count[row, column] = 1
    total = int(count.sum())
    each = zip(HEADS, right.sum(0).tolist(), count.sum(0).int().tolist(), strict=True)
    return {
        "mean": right.sum().item() / total if total else None,
        "interval_95": ratio_interval(right.sum(1), count.sum(1)),
        "said": total,
        "attributes": {name: {"share": read / number if number else None, "said": number} for name, read, number in each},
    }


@register_metric("marks", needs=("marks",))
def marks_agreement(evaluation) -> dict:
    """Share of captioned patterns, crests and eyerings that are read back from the picture (higher is better)."""
    slots, classifier = [caption.slots for caption in evaluation.captions], load_marks()
    read = evaluation.generated["marks"][evaluation.largest]["logits"]
    return {
        "generated": agreement(read, slots),
        "ceiling_rendered": agreement(evaluation.rendered["marks"][evaluation.largest]["logits"], slots),
        "floor_shuffled": agreement(read, [slots[i] for i in evaluation.shuffle.tolist()]),
        "classifier": {"weights_sha256": digest(classifier), "unseen_species": classifier.card.get("unseen_species")},
        "protocol": (
            f"patterns of wing, breast, belly, back and tail, and {', '.join(HEAD_MARKS)}, as captioned, read from the "
            f"{evaluation.largest} px picture by a network that was trained on rendered birds of other species and that no loss has used. "
            "Ceiling: rendered birds of the same captions. Floor: the generated pictures against the caption of a bird of another species. "
            "95 % intervals: 1,000 bootstrap draws of captions."
        ),
    }


def train_marks(settings: measuring.Settings, width: int = 16, input_size: int = 256) -> dict:
    """Train the classifier, of a width and for pictures of a side, px, as :func:`dmm.metrics.measuring.train` does; returns the card.

    An eyering is a pixel or two wide, so it is looked for at the full 256 px. Rare answers weigh more (the inverse root of their share):
    most parts are solid, and most heads have no crest.
    """

    def losses(network: Judge, store: AviaryCache, rng: torch.Generator) -> Callable[[], Tensor]:
        truth = targets(store.birds(range(settings.images)))
        weights = {name: rare_first(truth[name], len(answers)) for name, answers in HEADS.items()}
        return partial(attribute_loss, network, store, settings, rng, truth, weights)

    def tested(network: Judge) -> dict:
        return examine(network, settings.test_images, settings.level, settings.cache, settings.progress)

    def save(network: Judge, folder: Path, card: dict) -> None:
        measuring.write(folder / FILE, network, FORMAT, ("heads", HEADS), card)

    return measuring.train("marks", settings, partial(_network, width=width, input_size=input_size), losses, tested, save, model_card)


def rare_first(numbers: Tensor, answers: int) -> Tensor:
    """Weight of each answer in the loss: the inverse root of its share, mean 1 over the answers that occur; 0 for the others."""
    share = torch.bincount(numbers, minlength=answers).double() / len(numbers)
    weight = torch.where(share > 0, share.clamp_min(1e-4).rsqrt(), 0.0)
    return (weight / weight[share > 0].mean()).float()


@torch.no_grad()
def examine(
    network: Judge, images: int = 1000, level: str = "garden", cache: str | Path = ".cache/aviary", progress: bool = False, batch: int = 50
) -> dict:
    """How well rendered birds of the 50 unseen species are read: of each answer, the share of the birds that have it which are told it."""
    birds, logits = read_unseen(network, images, level, cache, progress, batch)
    truth = targets(birds.birds(range(images)))
    recall = {
        name: {
            answer: round((logits[name].argmax(1) == k)[truth[name] == k].float().mean().item(), 4)
            for k, answer in enumerate(answers)
            if (truth[name] == k).any()
        }
        for name, answers in HEADS.items()
    }
    slots = [birds.captions(i)[0].slots for i in range(images)]
    return {"images": images, "recall": recall, "captioned": agreement(logits, slots)}


def model_card(card: dict) -> str:
    """What a user of the weights must know, in Markdown."""
    test = card["unseen_species"]
    captioned = test["captioned"]["attributes"]
    rows = [
        f"| {name} | {', '.join(f'{answer} {share:.2f}' for answer, share in recall.items())} | "
        f"{'' if captioned[name]['share'] is None else format(captioned[name]['share'], '.3f')} |"
        for name, recall in test["recall"].items()
    ]
    return "\n".join([
        "# aviary-marks: reads patterns and marks of a bird",
        "",
        "A small convolutional network that names the pattern of wing, breast, belly, back and tail of an Aviary bird, and says whether",
        f"its head has one of {', '.join(HEAD_MARKS)}. It measures generators and must never train one: no loss uses it.",
        "`dmm evaluate --metrics marks` takes the agreement of patterns and marks from its answers.",
        "",
        f"- Command: `{card['command']}` ({card['seconds']} s; seed {card['seed']})",
        f"- Trained on: {card['trained_on']}, {card['images_seen']} pictures seen, blurred, coarsened, shifted, dimmed and with",
        "  noise; on no generated picture, and not selected on any.",
        f"- Tested on: {test['images']} rendered birds of the 50 other species, 256 px. Recall: of the birds that have an answer, the",
        "  share that is told it. Captioned: share of what one caption each says that is read back, the ceiling of the agreement.",
        "",
        "| attribute | recall | captioned |",
        "|---|---|---|",
        *rows,
        f"| all that is captioned | | {test['captioned']['mean'] or 0:.3f} |",
        "",
    ])  # fmt: skip
