"""What the networks share that measure generators: blocks, one training loop on rendered birds, and their files.

They are the judge (:mod:`dmm.metrics.judge`), the classifier of patterns and marks (:mod:`dmm.metrics.marks`) and the part segmenter
(:mod:`dmm.metrics.segmenter`). None is used in a loss of a generator.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn
from tqdm import tqdm

from dmm.aviary.cache import AviaryCache
from dmm.checkpoint import UNFIT, CheckpointError, compare, not_finite
from dmm.files import Table, Whole, check, one_line, parse
from dmm.images import write_atomic
from dmm.models.kernels.memory_format import channels_last
from dmm.models.outline import outline


class MeasuringNetwork(nn.Module):
    """A network that reads pictures."""

    input_size: int  # side to which every picture is resized, px
    config: dict  # the arguments of its class
    card: dict  # how it was trained


Network = TypeVar("Network", bound=MeasuringNetwork)


def block(inside: int, outside: int, kernel: int, stride: int) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    convolution = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """x + block(x), B C H W."""

    def __init__(self, channels: int):
        super().__init__()
        self.block = block(channels, channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """B C H W -> B C H W."""
        return x + self.block(x)


def resize(images: Tensor, size: int) -> Tensor:
    """Pictures B 3 S S at another side, bilinear, antialiased where they shrink."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bilinear", antialias=images.shape[-1] > size, align_corners=False)


def fit(network: nn.Module, name: str, steps: int, lr: float, loss_of: Callable[[], Tensor], progress: bool = True) -> int:
    """AdamW in one cycle of the learning rate; the network is left in eval mode.

    Args:
        network: in training mode meanwhile, channels last.
        name: of the bar.
        steps: optimiser steps.
        lr: the largest learning rate.
        loss_of: draws a batch; its loss, a scalar.
        progress: a bar on stderr.

    Returns:
        Seconds.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps, pct_start=0.15)
    began, mean = time.monotonic(), None
    channels_last(network.train())
    for _ in (bar := tqdm(range(steps), name, disable=not progress)):
        loss = loss_of()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        bar.set_postfix(loss=f"{mean:.3f}")
    network.eval()
    return round(time.monotonic() - began)


@dataclass(frozen=True)
class Settings:
    """How a network that measures is trained.

    Args:
        out: directory to write the weights and their model card, ``README.md``, into.
        images: rendered training birds of the 150 training species, drawn once into ``cache``.
        steps: optimiser steps of ``batch`` pictures.
        seed: of weights, order and augmentation (the birds are those of Aviary seed 0).
        batch: pictures a step.
        lr: largest learning rate of AdamW; one cycle.
        level: of the birds.
        cache: where rendered birds are kept.
        test_images: rendered birds of the 50 unseen species to test on.
        command: the command line, for the card.
        progress: bars on stderr.
    """

    out: str | Path
    images: int
    steps: int = 900
    seed: int = 0
    batch: int = 64
    lr: float = 4e-3
    level: str = "garden"
    cache: str | Path = ".cache/aviary"
    test_images: int = 1000
    command: str = ""
    progress: bool = True


def train(
    name: str,
    settings: Settings,
    build: Callable[[], Network],
    losses: Callable[[Network, AviaryCache, torch.Generator], Callable[[], Tensor]],
    examine: Callable[[Network], dict],
    save: Callable[[Network, Path, dict], None],
    model_card: Callable[[dict], str],
) -> dict:
    """Train a network that measures on rendered birds of the training species, test it on rendered birds of the others, write both down.

    Args:
        name: of the network, that of the command that trains it.
        settings: the settings.
        build: the network, with its ``input_size``.
        losses: network, pictures and rng -> what draws a batch and gives its loss, a scalar.
        examine: what the trained network reaches on unseen species.
        save: writes network and card into a directory.
        model_card: the card in Markdown.

    Returns:
        The card: settings, time, and ``unseen_species``, what was reached.
    """
    torch.manual_seed(settings.seed)
    rng, network = torch.Generator().manual_seed(settings.seed), build()
    store = AviaryCache.open(settings.cache, settings.images, 0, settings.level, "train", (network.input_size,), settings.progress)
    seconds = fit(network, name, settings.steps, settings.lr, losses(network, store, rng), settings.progress)
    typed = f"dmm train {name} --out {settings.out} --images {settings.images} --steps {settings.steps} --seed {settings.seed}"
    card = {
        "command": settings.command or typed,
        "trained_on": f"{settings.images} rendered {settings.level} birds of the 150 training species",
        "images_seen": settings.steps * settings.batch,
        "seed": settings.seed,
        "seconds": seconds,
        "unseen_species": examine(network),
    }
    save(network, Path(settings.out), card)
    write_atomic(Path(settings.out) / "README.md", model_card(card).encode())
    return card


def write(file: Path, network: MeasuringNetwork, form: str, answers: tuple[str, object], card: dict) -> None:
    """A network in fp16 with its sizes (``network.config``), its answers and its card in the metadata.

    Args:
        file: a .safetensors file.
        network: with the arguments of its class in ``config``.
        form: name and version of the format.
        answers: the metadata's name of what the network answers, and what it answers, for JSON.
        card: as of :func:`train`.
    """
    tensors = {key: value.half().contiguous() if value.is_floating_point() else value for key, value in network.state_dict().items()}
    metadata = {"format": form, "config": json.dumps(network.config), answers[0]: json.dumps(answers[1]), "card": json.dumps(card)}
    write_atomic(file, serialise(tensors, metadata))


def load(file: Path, build: Callable[..., Network], form: str, answers: tuple[str, object], what: str, known: Sequence[str]) -> Network:
    """A network that :func:`write` wrote, in eval mode, with its ``card``.

    Args:
        file: the .safetensors file.
        build: makes the network from the arguments in the file.
        form: as of :func:`write`.
        answers: as of :func:`write`.
        what: the network's name, that of the command that trains it.
        known: names of the answers, for the message.

    Raises:
        CheckpointError: nothing there, a damaged file, or a network of other answers.
    """
    if not file.is_file():
        raise CheckpointError(f"{file}: no {what} there. Train one: dmm train {what} --out {file.parent}")
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: expected a safetensors file, found a damaged one ({error})") from error
    if metadata.get("format") != form or metadata.get(answers[0]) != json.dumps(answers[1]):
        raise CheckpointError(f"{file}: expected a {what} of format {form} with {answers[0]} {', '.join(known)}; train it again")
    try:
        config = check(parse(metadata["config"]), Table(others=Whole(1, 4096)), "config")
        with outline():
            problems = compare(build(**config), tensors)  # before memory is taken for what a config asks for
        odd = problems or next(not_finite(tensors), "")
        if odd:
            raise ValueError(f"weights that do not fit or are not finite: {odd}")
        network = build(**config)
        network.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in tensors.items()})
        network.card = check(parse(metadata["card"], finite=False), Table(), "card")
    except UNFIT as error:
        raise CheckpointError(f"{file}: expected a {what}, found {one_line(error, 300)}; train it again") from error
    return network.eval()
