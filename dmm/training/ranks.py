"""Several processes that train as one: the same batch, the same losses, the same weights as a single process, up to rounding.

Every process draws the same global batch: which pictures, how each is cut, captions and noise. Of the pictures it reads its own slice and
no others (of each micro-batch; and the mismatching pictures of its slice, in an objective that asks for them),
generates its slice, and gathers what the losses compare: features of the discriminators' trunks, regions and embeddings of the image
encoders. Small heads then see the whole batch everywhere, so mismatching pairs and contrasts do not depend on the number of processes.
Three rules make the gradients right:

* what is gathered passes back world times the gradient of the own slice, and gradients are averaged over the processes: a part that
  worked on slices ends with the sum over all slices, a part that saw everything with its own gradient;
* batch norms that see slices take mean and variance over all of them (:class:`SharedBatchNorm`; PyTorch's SyncBatchNorm needs a GPU);
* averages of weights need nothing: they follow weights that are the same everywhere.

What still depends on the number of processes: the random numbers of augmented pictures, and ``mask_pairing: published``, which lays the
word masks of a process's other samples on a picture.

Hugging Face Accelerate finds the processes and the devices. Networks are not wrapped for data parallelism: a discriminator is called by
its parts, is frozen while the generator is updated, and leaves parameters unused, each of which the wrapper forbids.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dmm.config import ConfigError
from dmm.models.modules import AnyDiscriminator


def launched() -> int:
    """Processes of this run, as a launcher (`accelerate launch`, `torchrun`) says; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def find_device(name: str, asked: str = "train.device") -> torch.device:
    """The device of "auto", "cpu" or "cuda".

    Args:
        name: the word.
        asked: the setting or option that it came from, for the message.

    Raises:
        ConfigError: another word, or no GPU where one is asked for.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"{asked}: expected auto, cpu or cuda, found {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"{asked}: no GPU that this build of PyTorch can use; take cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@dataclass(frozen=True)
class Ranks:
    """One process among ``world``."""

    device: torch.device = torch.device("cpu")
    rank: int = 0
    world: int = 1

    @classmethod
    def find(cls, device: str = "auto") -> Ranks:
        """This process and its device.

        Raises:
            ConfigError: no such device, several processes without Accelerate, or a launcher that was asked for several and started one.
        """
        place = find_device(device)
        if launched() == 1:
            if os.environ.get("ACCELERATE_USE_CPU") == "True" and "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:
                raise ConfigError(
                    "accelerate launch --cpu starts one process, whatever their number; take --multi_gpu and --set device=cpu"
                )
            return cls(place)
        try:
            from accelerate import PartialState
        except ImportError:
            raise ConfigError('several processes need Accelerate: pip install "dmm-gan-explorer[train]"') from None
        state = PartialState(cpu=place.type == "cpu")
        return cls(state.device, state.process_index, state.num_processes)

    @property
    def main(self) -> bool:
        """Is this the one process that writes?"""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """This process's slice of ``count`` samples.

        Raises:
            ConfigError: they cannot be divided evenly.
        """
        if count % self.world:
            raise ConfigError(f"a batch (or a micro-batch) of {count} cannot be divided among {self.world} processes; choose a multiple")
        size = count // self.world
        return slice(self.rank * size, (self.rank + 1) * size)

    def gather(self, local: Tensor) -> Tensor:
        """Slices b ... of all processes to B ..., with gradients as the module's docstring says; all must have one shape."""
        return local if self.world == 1 else _Gather.apply(local, self)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes; all travel as one message."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None] if self.world > 1 else []
        if not gradients:
            return
        message = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(message)
        parts = (message / self.world).split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view(gradient.shape) for part, gradient in zip(parts, gradients, strict=True)])

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Each value's mean over the processes: all then see the same, and decide the same."""
        if self.world == 1:
            return values
        numbers = torch.tensor(list(values.values()), dtype=torch.float32, device=self.device)
        dist.all_reduce(numbers)
        return dict(zip(values, (numbers / self.world).tolist(), strict=True))

    def sum(self, local: Tensor) -> Tensor:
        """The sum of a tensor over the processes, in place; no gradients."""
        if self.world > 1:
            dist.all_reduce(local)
        return local

    def wait(self) -> None:
        """Until every process is here."""
        if self.world > 1:
            dist.barrier()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, local: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        slices = [torch.empty_like(local, memory_format=torch.contiguous_format) for _ in range(ranks.world)]
        dist.all_gather(slices, local.contiguous())
        return torch.cat(slices)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient[ctx.ranks.share(len(gradient))] * ctx.ranks.world, None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, local: Tensor) -> Tensor:
        total = local.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class SharedBatchNorm(_BatchNorm):
    """Batch norm over the slices of all processes, equal in size; of any number of dimensions. In evaluation mode an ordinary one."""

    @classmethod
    def of(cls, norm: _BatchNorm) -> SharedBatchNorm:
        """One with the parameters and the buffers of ``norm``."""
        shared = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        shared._parameters, shared._buffers, shared.training = norm._parameters, norm._buffers, norm.training
        return shared

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of dimensions will do."""

    def forward(self, x: Tensor) -> Tensor:
        """B C ... -> B C ..."""
        if not self.training:
            return super().forward(x)
        values, axes, shape = x.float(), [0, *range(2, x.ndim)], (1, -1) + (1,) * (x.ndim - 2)
        count = x.numel() // x.shape[1] * dist.get_world_size()
        mean = _Sum.apply(values.sum(axes)) / count  # C
        centred = values - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None, "statistics are kept as a moving average in training"
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked += 1
        scaled = centred * (variance + self.eps).rsqrt().view(shape)
        return (scaled * self.weight.view(shape) + self.bias.view(shape)).to(x.dtype)


def share_batch_norms(network: nn.Module, ranks: Ranks) -> nn.Module:
    """Let the batch norms of a network that sees slices take their statistics over all processes; in place, nothing for one process."""
    if ranks.world > 1:
        for module in network.modules():
            for name, child in list(module.named_children()):
                if isinstance(child, _BatchNorm) and not isinstance(child, SharedBatchNorm):
                    setattr(module, name, SharedBatchNorm.of(child))
    return network


class GatheringDiscriminator:
    """A discriminator whose trunk sees this process's pictures and whose heads see everybody's features."""

    def __init__(self, network: AnyDiscriminator, ranks: Ranks):
        self.network, self.ranks = network, ranks
        self.conditional, self.unconditional = network.conditional, getattr(network, "unconditional", None)

    def features(self, image: Tensor) -> Tensor:
        """Own slice b 3 S S -> all features B C 4 4."""
        return self.ranks.gather(self.network.features(image))


def gathering(encoder, ranks: Ranks):
    """An image encoder called with this process's pictures that answers regions and embedding of everybody's."""

    def read(images: Tensor) -> tuple[Tensor | None, Tensor]:
        regions, embedding = encoder(images)
        return None if regions is None else ranks.gather(regions), ranks.gather(embedding)

    return encoder if ranks.world == 1 else read
