"""The part segmenter: a small network that says which part of a bird each pixel shows, trained on rendered birds only.

No loss of any generator uses it. It tells :mod:`dmm.metrics.memory` where the named part of a generated bird is, so that one can ask
whether a word is read there. A U-Net (Ronneberger et al., MICCAI 2015) with additions in place of wide layers: convolutions down to an
eighth of 64 px, then up again with the finer maps beside; the last layer gives four pixels a place. Training blurs, coarsens, shifts, dims,
tints and adds noise, since generated birds are softer than rendered ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmm.aviary.cache import LABELLED, AviaryCache
from dmm.aviary.canvas import LABELS
from dmm.checkpoint import assets
from dmm.images import to_float
from dmm.metrics import measuring
from dmm.metrics.measuring import Residual, block, resize

FORMAT = "dmm-segmenter/1"
FILE = "segmenter.safetensors"
#: What a pixel can be -> the labels of the renderer that it joins. Left and right are one part; "face" is plumage of the head without name.
CLASSES: dict[str, tuple[str, ...]] = {
    "background": ("background",), "back": ("back",), "bill": ("beak",), "belly": ("belly",), "breast": ("breast",), "crown": ("crown",),
    "forehead": ("forehead",), "eye": ("left eye", "right eye"), "leg": ("left leg", "right leg"), "wing": ("left wing", "right wing"),
    "nape": ("nape",), "tail": ("tail",), "throat": ("throat",), "face": ("plumage",),
}  # fmt: skip
NAMES = tuple(CLASSES)
#: Parts that captions name and that are several classes.
UNIONS = {"head": ("crown", "forehead", "nape", "face", "eye")}
_CLASS_OF = torch.tensor([next(k for k, labels in enumerate(CLASSES.values()) if label in labels) for label in LABELS])  # LABELS' order


def classes_of(labels: Tensor) -> Tensor:
    """Labels of the renderer, integers of any shape, to class numbers, int64."""
    return _CLASS_OF.to(labels.device)[labels.long()]


class _Merge(nn.Module):
    """A coarse map, enlarged, and the finer one beside it: 1x1, then 3x3 convolution."""

    def __init__(self, coarse: int, fine: int, outputs: int):
        super().__init__()
        self.mix = block(coarse + fine, outputs, 1, 1)
        self.block = block(outputs, outputs, 3, 1)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """B C H W and B F 2H 2W -> B outputs 2H 2W."""
        return self.block(self.mix(torch.cat((F.interpolate(coarse, scale_factor=2.0), fine), 1)))


class Segmenter(measuring.MeasuringNetwork):
    """Part segmenter.

    Args:
        width: channels after the first convolution.
        input_size: side to which every picture is resized, px; a multiple of 16.
    """

    card: dict  # how it was trained, if it comes from a file

    def __init__(self, width: int = 16, input_size: int = LABELLED):
        super().__init__()
        self.config = {"width": width, "input_size": input_size}
        self.input_size = input_size
        widths = (width, 2 * width, 4 * width, 6 * width)
        self.stem = block(3, width, 5, 2)
        self.downs = nn.ModuleList(nn.Sequential(block(a, b, 3, 2), Residual(b)) for a, b in zip(widths, widths[1:], strict=False))
        self.ups = nn.ModuleList(_Merge(b, a, a) for a, b in reversed(list(zip(widths, widths[1:], strict=False))))
        self.head = nn.Conv2d(width, 4 * len(NAMES), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures B 3 S S in [-1, 1], of any S, to logits B classes I I, I the input size."""
        maps = [self.stem(resize(images, self.input_size))]
        for down in self.downs:
            maps.append(down(maps[-1]))
        x = maps.pop()
        for up in self.ups:
            x = up(x, maps.pop())
        return F.pixel_shuffle(self.head(x), 2)

    @torch.no_grad()
    def segment(self, images: Tensor) -> Tensor:
        """Pictures B 3 S S to the likeliest class of each pixel, B I I int64."""
        return self(images).argmax(1)

    def save(self, path: Path, card: dict) -> None:
        """Write ``path/segmenter.safetensors`` in fp16, with config and card in the metadata."""
        measuring.write(Path(path) / FILE, self, FORMAT, ("classes", NAMES), card)


def part_mask(segmentation: Tensor, part: str) -> Tensor:
    """Where a part is in B I I class numbers, bool.

    Raises:
        KeyError: a part that is no class and no union of classes.
    """
    if part not in NAMES and part not in UNIONS:
        raise KeyError(f"no part {part!r}; known: {', '.join((*NAMES, *UNIONS))}")
    numbers = torch.tensor([NAMES.index(name) for name in UNIONS.get(part, (part,))], device=segmentation.device)
    return torch.isin(segmentation, numbers)


def load_segmenter(path: str | Path | None = None, device: str | torch.device = "cpu") -> Segmenter:
    """The shipped segmenter (``assets/checkpoints/aviary-segmenter``), or the one in a directory, in eval mode, with its ``.card``.

    Raises:
        CheckpointError: nothing there, or not a segmenter of these classes.
    """
    file = Path(path or assets() / "checkpoints" / "aviary-segmenter") / FILE
    return measuring.load(file, Segmenter, FORMAT, ("classes", NAMES), "segmenter", NAMES).to(device)


def augment(images: Tensor, classes: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures B 3 S S in [-1, 1] blurred or coarsened, shifted by up to 10 %, dimmed, tinted, with noise; classes B S S, shifted too."""
    count, side = len(images), images.shape[-1]

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        return torch.rand(count, channels, 1, 1, generator=rng) * (high - low) + low

    images, choice = images.clone(), torch.rand(count, generator=rng)
    for kernel, low, high in ((3, 0.0, 0.2), (5, 0.2, 0.4)):
        blurred = (choice >= low) & (choice < high)
        if blurred.any():
            images[blurred] = F.avg_pool2d(images[blurred], kernel, 1, kernel // 2, count_include_pad=False)
    for factor, low, high in ((2, 0.4, 0.6), (4, 0.6, 0.7)):
        coarse = (choice >= low) & (choice < high)
        if coarse.any():
            images[coarse] = resize(resize(images[coarse], side // factor), side)
    reach = round(0.1 * side)
    padded = F.pad(images, (reach,) * 4, mode="replicate")
    around = F.pad(classes[:, None].float(), (reach,) * 4, mode="replicate")[:, 0].long()
    corners = torch.randint(0, 2 * reach + 1, (count, 2), generator=rng).tolist()
    boxes = [(slice(y, y + side), slice(x, x + side)) for y, x in corners]
    images = torch.stack([padded[i, :, rows, columns] for i, (rows, columns) in enumerate(boxes)])
    classes = torch.stack([around[i, rows, columns] for i, (rows, columns) in enumerate(boxes)])
    images = images * uniform(0.8, 1.15) * uniform(0.93, 1.07, 3) + uniform(-0.1, 0.1) + uniform(-0.05, 0.05, 3)
    noise = torch.randn(images.shape, generator=rng) * uniform(-0.1, 0.15).clamp_min(0)
    return (images + noise).clamp(-1, 1), classes


def class_weights(classes: Tensor) -> Tensor:
    """Weight of each class in the loss: the inverse root of its share of the pixels, mean 1 over the classes."""
    share = torch.bincount(classes.flatten(), minlength=len(NAMES)).double() / classes.numel()
    weight = share.clamp_min(1e-4).rsqrt()
    return (weight / weight.mean()).float()


def intersection_over_union(pairs: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float | None]:
    """Class -> intersection over union of (found, true) class numbers over all pixels; None where neither ever has the class."""
    table = torch.zeros(len(NAMES), len(NAMES), dtype=torch.float64)  # found, true
    for found, true in pairs:
        cells = found.flatten().cpu() * len(NAMES) + true.flatten().cpu()
        table += torch.bincount(cells, minlength=len(NAMES) ** 2).view_as(table)
    both, either = table.diagonal(), table.sum(0) + table.sum(1) - table.diagonal()
    return {name: (both[k] / either[k]).item() if either[k] else None for k, name in enumerate(NAMES)}


def train_segmenter(settings: measuring.Settings, width: int = 16) -> dict:
    """Train a segmenter of a width as :func:`dmm.metrics.measuring.train` does; returns the card."""

    def losses(network: Segmenter, store: AviaryCache, rng: torch.Generator) -> Callable[[], Tensor]:
        weight = class_weights(classes_of(store.labels(range(min(settings.images, 200)))))

        def loss() -> Tensor:
            chosen = torch.randint(0, settings.images, (settings.batch,), generator=rng).tolist()
            pictures, classes = augment(to_float(store.images(network.input_size, chosen)), classes_of(store.labels(chosen)), rng)
            return F.cross_entropy(network(pictures.contiguous(memory_format=torch.channels_last)), classes, weight)

        return loss

    def tested(network: Segmenter) -> dict:
        return examine(network, settings.test_images, settings.level, settings.cache, settings.progress)

    return measuring.train("segmenter", settings, partial(Segmenter, width), losses, tested, Segmenter.save, model_card)


@torch.no_grad()
def examine(
    network: Segmenter,
    images: int = 500,
    level: str = "garden",
    cache: str | Path = ".cache/aviary",
    progress: bool = False,
    batch: int = 50,
) -> dict:
    """Intersection over union on rendered birds of the 50 unseen species, as they are and blurred (mean of 5 x 5 pixels)."""
    birds = AviaryCache.open(cache, images, 0, level, "test", (network.input_size,), progress)

    def compare(blurred: bool):
        for start in range(0, images, batch):
            rows = range(start, min(start + batch, images))
            pictures = to_float(birds.images(network.input_size, rows))
            if blurred:
                pictures = F.avg_pool2d(pictures, 5, 1, 2, count_include_pad=False)
            yield network.segment(pictures), classes_of(birds.labels(rows))

    result: dict = {"images": images}
    for name, blurred in (("iou", False), ("iou_blurred", True)):
        found = intersection_over_union(compare(blurred))
        result[name] = {"mean": _mean(found.values()), **{part: None if v is None else round(v, 4) for part, v in found.items()}}
    return result


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 4)


def model_card(card: dict) -> str:
    """What a user of the weights must know, in Markdown."""
    test = card["unseen_species"]
    rows = [f"| {name} | {_three(test['iou'][name])} | {_three(test['iou_blurred'][name])} |" for name in ("mean", *NAMES)]
    return "\n".join([
        "# aviary-segmenter: which part of a bird each pixel shows",
        "",
        f"A small U-Net with {len(NAMES)} classes at {LABELLED} px. It tells where the named part of a generated Aviary bird is, so that",
        "`dmm evaluate --metrics memory` can say whether a word is read there. It measures generators and must never train one: no loss",
        "uses it.",
        "",
        f"- Command: `{card['command']}` ({card['seconds']} s; seed {card['seed']})",
        f"- Trained on: {card['trained_on']}, {card['images_seen']} pictures seen, blurred or coarsened, shifted, dimmed, tinted",
        "  and with noise; on no generated picture, and not selected on any.",
        f"- Tested on: {test['images']} rendered birds of the 50 other species: intersection over union over all pixels, of pictures as",
        "  they are and blurred over 5 x 5 pixels of 128.",
        "",
        "| class | IoU | blurred |",
        "|---|---|---|",
        *rows,
        "",
        "Limits: it knows Aviary's renderer. Eyebrow, mask and malar stripe are \"face\"; what is hidden is not found; a picture unlike",
        "any rendered bird gets an answer too, and one that means little.",
        "",
    ])  # fmt: skip


def _three(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
