"""The judge: a small network that reads a bird's attributes from a picture, trained on rendered birds only.

No loss of any generator uses it, which makes it fit to measure them: its answers give the attribute agreement
(:mod:`dmm.metrics.attributes`), its penultimate features the Fréchet distance (:mod:`dmm.metrics.fid`).

Each attribute has its own place and its own features: convolutions give a map at an eighth of the input, a softmax over that map
(one for each attribute) says where to look, and a small layer of its own reads the attribute from what was seen there. A wing's colour is
so read at the wing, and not guessed from the tail. A part of two colours has a target of .6 on the first, which covers more, and .4 on
the other. Training blurs, shifts, coarsens, dims and adds noise, so that the judge reads colours and not the renderer's finest texture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmm.aviary.cache import AviaryCache
from dmm.aviary.traits import COLOURS, SIZES, WING_PATTERNS, Bird
from dmm.checkpoint import assets
from dmm.images import to_float
from dmm.metrics import measuring
from dmm.metrics.attributes import PARTS, agreement
from dmm.metrics.measuring import Residual, block, resize

FORMAT = "dmm-judge/1"
FILE = "judge.safetensors"
#: What the judge reads, and the possible answers of each.
HEADS: dict[str, tuple[str, ...]] = {part: COLOURS for part in PARTS} | {"size": SIZES, "wing_pattern": WING_PATTERNS}


class Judge(measuring.MeasuringNetwork):
    """Classifier of attributes.

    Args:
        width: channels after the first convolution.
        part_width: features of each attribute.
        input_size: side to which every picture is resized, px.
        heads: what it reads -> the possible answers.
    """

    card: dict  # how it was trained, if it comes from a file

    def __init__(self, width: int = 16, part_width: int = 20, input_size: int = 128, heads: Mapping[str, Sequence[str]] = HEADS):
        super().__init__()
        self.heads = dict(heads)
        self.config = {"width": width, "part_width": part_width, "input_size": input_size}
        self.input_size, self.part_width = input_size, part_width
        deep, side = 4 * width, input_size // 8
        self.body = nn.Sequential(
            block(3, width, 5, 2),
            block(width, 2 * width, 3, 2),
            Residual(2 * width),
            block(2 * width, deep, 3, 2),
            Residual(deep),
        )  # B 4w S/8 S/8
        self.place = nn.Parameter(torch.zeros(deep, side, side))
        self.look = nn.Conv2d(deep, len(heads), 1)
        self.parts = nn.ModuleList(nn.Linear(deep, part_width) for _ in heads)
        self.answers = nn.ModuleList(nn.Linear(part_width, len(answers)) for answers in heads.values())

    def forward(self, images: Tensor) -> dict:
        """Read pictures B 3 S S in [-1, 1], of any S.

        Returns:
            ``{"features": B F, "logits": {attribute of HEADS: B answers}}``.
        """
        h = self.body(resize(images, self.input_size)) + self.place  # B C H W
        where = self.look(h).flatten(2).softmax(-1)  # B heads HW
        seen = torch.einsum("bphw,bchw->pbc", where.unflatten(-1, h.shape[-2:]), h)  # heads B C
        features = [F.relu(layer(s)) for layer, s in zip(self.parts, seen, strict=True)]
        logits = {name: layer(f) for name, layer, f in zip(self.heads, self.answers, features, strict=True)}
        return {"features": torch.cat(features, 1), "logits": logits}

    def save(self, path: Path, card: dict) -> None:
        """Write ``path/judge.safetensors`` in fp16, with config and card in the metadata."""
        measuring.write(Path(path) / FILE, self, FORMAT, ("heads", self.heads), card)


def load_judge(path: str | Path | None = None, device: str | torch.device = "cpu") -> Judge:
    """The shipped judge (``assets/checkpoints/aviary-judge``), or the one in a directory, in eval mode; ``.card`` says how it was trained.

    Raises:
        CheckpointError: nothing there, or not a judge of these attributes.
    """
    file = Path(path or assets() / "checkpoints" / "aviary-judge") / FILE
    return measuring.load(file, Judge, FORMAT, ("heads", HEADS), "judge", tuple(HEADS)).to(device)


def targets(birds: Sequence[Bird]) -> dict[str, Tensor]:
    """The true answers as probabilities, attribute of ``HEADS`` -> N answers."""
    result = {}
    for name, answers in HEADS.items():
        rows = torch.zeros(len(birds), len(answers))
        for i, bird in enumerate(birds):
            true = bird.colours[name] if name in PARTS else (getattr(bird, name),)
            for answer, share in zip(true, (0.6, 0.4) if len(true) > 1 else (1.0,), strict=False):
                rows[i, answers.index(answer)] += share
        result[name] = rows
    return result


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures B 3 S S in [-1, 1] blurred, coarsened, shifted by up to 6 %, dimmed and with noise, each by chance and by its own amount."""
    count, side = len(images), images.shape[-1]

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator) * (high - low) + low

    choice = torch.rand(count, generator=generator)
    images = images.clone()
    blurred, coarse = choice < 0.3, (choice >= 0.3) & (choice < 0.5)
    if blurred.any():
        images[blurred] = F.avg_pool2d(images[blurred], 5, 1, 2, count_include_pad=False)
    if coarse.any():
        images[coarse] = resize(resize(images[coarse], side // 2), side)
    reach = round(0.06 * side)
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    corners = torch.randint(0, 2 * reach + 1, (count, 2), generator=generator).tolist()
    images = torch.stack([padded[i, :, y : y + side, x : x + side] for i, (y, x) in enumerate(corners)])
    images = images * uniform(0.88, 1.08) + uniform(-0.06, 0.06)
    noise = torch.randn(images.shape, generator=generator) * uniform(-0.1, 0.15).clamp_min(0)
    return (images + noise).clamp(-1, 1)


def attribute_loss(
    judge: Judge,
    store: AviaryCache,
    settings: measuring.Settings,
    rng: torch.Generator,
    truth: Mapping[str, Tensor],
    weights: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Scalar: the sum over the attributes of the cross-entropies of one batch of augmented pictures.

    Args:
        judge: or another classifier of attributes.
        store: the training birds.
        settings: says how many, and the batch.
        rng: of the batch and its augmentation.
        truth: attribute -> the N numbers of the true answers, or N x answers of probabilities.
        weights: attribute -> a weight for each answer; all alike where left out.
    """
    chosen = torch.randint(0, settings.images, (settings.batch,), generator=rng)
    pictures = augment(to_float(store.images(judge.input_size, chosen.tolist())), rng)
    logits = judge(pictures.contiguous(memory_format=torch.channels_last))["logits"]
    terms = [F.cross_entropy(logits[name], truth[name][chosen], None if weights is None else weights[name]) for name in judge.heads]
    return torch.stack(terms).sum()


def train_judge(settings: measuring.Settings, width: int = 16, input_size: int = 128) -> dict:
    """Train a judge of a width that reads pictures of a side, px, as :func:`dmm.metrics.measuring.train` does; returns the card."""

    def losses(judge: Judge, store: AviaryCache, rng: torch.Generator) -> Callable[[], Tensor]:
        return partial(attribute_loss, judge, store, settings, rng, targets(store.birds(range(settings.images))))

    def tested(judge: Judge) -> dict:
        return examine(judge, settings.test_images, settings.level, settings.cache, settings.progress)

    return measuring.train("judge", settings, partial(Judge, width, input_size=input_size), losses, tested, Judge.save, model_card)


def model_card(card: dict) -> str:
    """What a user of the weights must know, in Markdown."""
    test = card["unseen_species"]
    rows = [f"| {name} | {share:.3f} | {_captioned(test['captioned'], name)} |" for name, share in test["accuracy"].items()]
    return "\n".join([
        "# aviary-judge: reads the colours of a bird",
        "",
        f"A small convolutional network that reads the colours of {', '.join(PARTS)}, the size and the",
        "wing pattern of an Aviary bird from its picture. It measures generators and must never train one: no loss uses it. `dmm evaluate`",
        "takes the attribute agreement from its answers and the Fréchet distance from its penultimate features.",
        "",
        f"- Command: `{card['command']}` ({card['seconds']} s; seed {card['seed']})",
        f"- Trained on: {card['trained_on']}, {card['images_seen']} pictures seen, blurred, coarsened,",
        "  shifted, dimmed and with noise; on no generated picture, and not selected on any.",
        f"- Tested on: {test['images']} rendered birds of the 50 other species, 256 px. Accuracy: the first choice is a colour of",
        "  the part. Captioned: share of the colours in one caption each that are read back, the ceiling of the attribute agreement.",
        "",
        "| attribute | accuracy | captioned |",
        "|---|---|---|",
        *rows,
        f"| mean over captioned colours | | {test['captioned']['mean']:.3f} |",
        "",
        "Limits: it knows Aviary's renderer and its 11 colours, and answers with one of them whatever it is shown. A two-coloured part is",
        "read as its two likeliest colours. A picture unlike any rendered bird gets an answer too, and one that means little.",
        "",
    ])  # fmt: skip


def _captioned(scores: dict, name: str) -> str:
    share = scores["parts"].get(name, {}).get("share")
    return "" if share is None else f"{share:.3f}"


@torch.no_grad()
def read_unseen(
    judge: Judge, images: int, level: str, cache: str | Path, progress: bool, batch: int
) -> tuple[AviaryCache, dict[str, Tensor]]:
    """Rendered birds of the 50 unseen species at 256 px, and what a classifier of attributes answers: attribute -> N answers."""
    birds = AviaryCache.open(cache, images, 0, level, "test", (256,), progress)
    chunks = [range(start, min(start + batch, images)) for start in range(0, images, batch)]
    read = [judge(to_float(birds.images(256, rows)))["logits"] for rows in chunks]
    return birds, {name: torch.cat([one[name] for one in read]) for name in judge.heads}


@torch.no_grad()
def examine(
    judge: Judge,
    images: int = 1000,
    level: str = "garden",
    cache: str | Path = ".cache/aviary",
    progress: bool = False,
    batch: int = 50,
) -> dict:
    """How well a judge reads rendered birds of the 50 unseen species: plain accuracy, and agreement with their captions.

    Accuracy counts the first choice against the bird's first colour, or against either of two.
    """
    birds, logits = read_unseen(judge, images, level, cache, progress, batch)
    truth = targets(birds.birds(range(images)))
    right = {name: truth[name].gather(1, logits[name].argmax(1, keepdim=True)).gt(0).float().mean().item() for name in HEADS}
    slots = [birds.captions(i)[0].slots for i in range(images)]
    return {"images": images, "accuracy": {k: round(v, 4) for k, v in right.items()}, "captioned": agreement(logits, slots)}
