"""Blocks of a generator and its discriminators compiled by ``torch.compile``, each where it stands.

Compiled is how a block is called, nothing else: parameters, buffers, names, checkpoints and hooks stay as they are, a copy of a network
(the EMA of the generator, a pipeline) is not compiled, and a run may go on from a checkpoint that was written without, or the other way
round. The blocks are the outermost of :data:`BLOCKS` in a network: chains of up blocks, residual blocks and convolutions, where a
compiler can join normalisation, gates and activations between two convolutions. Every shape is compiled on its own, so a schedule that
changes the batch or freezes a stage compiles anew when it does; memories and attention stay outside, for the number of words changes with
every batch.

On a CPU it does not pay. Whole training steps on one core (AVX2, fp32, batch 4, the size of ``dmmgan-aviary``), measured twice:
DMM-GAN 0.96 and 0.98 times as fast as without, DF-GAN 0.97 and 1.05 times, after four minutes of compiling; and that was before training
took Winograd's order there (:mod:`dmm.models.kernels.winograd`), which compiled blocks leave out. What it saves on a GPU is not measured.

Left as they are:

* discriminators with a gradient penalty (DF-GAN's MA-GP): its loss holds a gradient, so training differentiates twice, and what
  ``torch.compile`` makes can be differentiated once;
* blocks whose batch norms are shared among processes (:class:`~dmm.training.ranks.SharedBatchNorm`): those talk to each other in between.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dmm.config import ConfigError
from dmm.models.blocks import ResidualBlocks, UpBlock
from dmm.models.dfgan import UpFusionBlock
from dmm.models.registry import ModelEntry
from dmm.training.ranks import SharedBatchNorm

BLOCKS = (nn.Sequential, ResidualBlocks, UpBlock, UpFusionBlock)
BACKEND = "inductor"
VERSIONS = 256  # of one function that PyTorch may hold; its own limit is 8, and all chains of a run share one


class Chain(nn.Sequential):
    """A sequence that can be compiled: a plain one has no code outside PyTorch, and ``compile`` would pass over it without a word."""

    def forward(self, x: Tensor) -> Tensor:
        """What its parts make of ``x``, one after another."""
        return super().forward(x)


def blocks(network: nn.Module) -> list[nn.Module]:
    """The outermost blocks of a network."""
    if isinstance(network, BLOCKS):
        return [network]
    return [block for child in network.children() for block in blocks(child)]


def compile_blocks(entry: ModelEntry, generator: nn.Module, discriminators: Iterable[nn.Module], device: torch.device) -> list[nn.Module]:
    """Compile the blocks of a system's networks in place, each at its first call; the networks are on ``device``.

    Returns:
        the blocks.

    Raises:
        ConfigError: nothing can be compiled here.
    """
    _try(device)
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, VERSIONS)
    networks = [generator] if "magp" in entry.losses else [generator, *discriminators]
    found = [block for network in networks for block in blocks(network)]
    found = [block for block in found if not any(isinstance(module, SharedBatchNorm) for module in block.modules())]
    for block in found:
        if type(block) is nn.Sequential:
            block.__class__ = Chain
        block.compile(backend=BACKEND, dynamic=False)
    return found


def _try(device: torch.device) -> None:
    """Compile something small.

    Raises:
        ConfigError: it fails.
    """
    needed = "Triton and a C compiler" if device.type == "cuda" else "a C++ compiler (g++ or clang++)"
    try:
        torch.compile(lambda x: (x + 1).sigmoid(), backend=BACKEND, dynamic=False)(torch.ones(8, device=device))
    except RuntimeError as error:
        said = " ".join(str(error).split())[:200]
        raise ConfigError(f"train.compile: torch.compile needs {needed} and fails here ({said}); --set train.compile=false") from error
