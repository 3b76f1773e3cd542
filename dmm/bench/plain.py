"""The plain path that every figure of ``dmm bench`` is compared with: the published computation, written out.

Eager, fp32, contiguous; nearest x2 before the 3x3 convolution; concat(x, x) before the residual blocks; discriminators' heads one by
one; the DAMSM word loss caption by caption; Adam as PyTorch chooses it. Same parameters, same results up to rounding, and up to the power
iterations of the spectral norm, of which heads one by one make more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmm import matching
from dmm.config import Config
from dmm.models.blocks import ResidualBlocks, UpConv
from dmm.models.dfgan import DownBlock
from dmm.models.kernels.winograd import Conv3x3
from dmm.training.adversarial import GanStep


def unfuse(network: nn.Module) -> nn.Module:
    """Undo the cheaper orders of the modules of :mod:`dmm.models` in a network; it is changed and returned."""
    for module in network.modules():
        if isinstance(module, UpConv):
            module.fused = False
        if isinstance(module, Conv3x3):
            module.tiled = False
        if isinstance(module, DownBlock):
            module.average_first = False
        if isinstance(module, ResidualBlocks):
            module.register_forward_pre_hook(_double, with_kwargs=True)
    return network


def _double(blocks: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """A map that stands for concat(x, x) becomes it."""
    if not kwargs.get("doubled"):
        return args, kwargs
    return (torch.cat((args[0], args[0]), dim=1), *args[1:]), kwargs | {"doubled": False}


def word_scores_one_by_one(regions: Tensor, words: Tensor, lengths: Tensor, gamma1: float = 4.0, gamma2: float = 5.0) -> Tensor:
    """:func:`dmm.matching.word_scores` as its equations stand (AttnGAN, Eqs. 7-10), one caption after another; same arguments, I J."""
    places = regions.flatten(2)  # I D R
    columns = []
    for caption, length in zip(words, lengths.tolist(), strict=True):
        caption = caption[None, :, :length].expand(len(places), -1, -1)  # I D T
        attention = (gamma1 * (caption.transpose(1, 2) @ places).softmax(1)).softmax(2)  # I T R
        contexts = places @ attention.transpose(1, 2)  # I D T
        columns.append((gamma2 * F.cosine_similarity(caption, contexts, dim=1, eps=matching.EPSILON)).logsumexp(1))
    return torch.stack(columns, dim=1)


@contextmanager
def captions_one_by_one() -> Iterator[None]:
    """Meanwhile DAMSM scores captions one after another."""
    together = matching.word_scores
    matching.word_scores = word_scores_one_by_one
    try:
        yield
    finally:
        matching.word_scores = together


def plain_config(config: Config) -> Config:
    """A run in fp32, as its networks are written, that reads its pictures and whose discriminators read one kind of them at a time."""
    train = dataclasses.replace(config.train, precision="fp32", one_pass=False, compile=False)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, on_device=False), train=train)


class PlainStep:
    """A :class:`~dmm.training.adversarial.GanStep` on the plain path. Arguments as its."""

    def __init__(self, config: Config, match, caption=None):
        self.step = GanStep(plain_config(config), match, caption)
        unfuse(self.step.generator)
        unfuse(self.step.discriminators)
        for optimiser in (optimiser for optimiser, _ in self.step.optimisers()):
            for group in optimiser.param_groups:
                group["fused"] = None

    def update(self, index: int) -> dict[str, float]:
        """One adversarial step."""
        with captions_one_by_one():
            return self.step.update(index)
