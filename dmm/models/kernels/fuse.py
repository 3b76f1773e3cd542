"""Batch norms fused into the layers before them, for inference only.

In evaluation mode a batch norm is a fixed scale and shift of each channel, so after a linear layer or a convolution it is one with it:

    norm(W x) = (s W) x + (beta - s mean),  s = gamma / sqrt(variance + epsilon).

Which layer feeds a batch norm is read from the names, which every block here keeps: ``norm`` after ``conv`` or ``linear``, ``norm1`` after
``conv1``. The up block's convolution is stored as the 16 sums of its weights (:class:`dmm.models.blocks.UpConv`), and the residual
block's as the sum of its halves, so that neither is added up again for every picture; wide 3x3 convolutions of large maps take Winograd's
order (:mod:`dmm.models.kernels.winograd`). Kernels are stored channels last, which is faster on a CPU (in training it does not).

All modules whose outputs the papers name stay, and so do hooks.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dmm.models.blocks import FUSE_FROM, ResidualBlock, UpConv, enlarge
from dmm.models.kernels.memory_format import channels_last
from dmm.models.kernels.winograd import NARROWEST, TiledConv, pays


class FusedConv(nn.Module):
    """A 3x3 convolution, padding 1, in whichever order is the faster.

    Args:
        weight: O I 3 3.
        bias: O.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor):
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.tiled = TiledConv(weight, bias) if min(weight.shape[:2]) >= NARROWEST else None

    def forward(self, x: Tensor) -> Tensor:
        """B I H W -> B O H W."""
        if self.tiled is not None and pays(x):
            return self.tiled(x)
        return F.conv2d(x, self.weight, self.bias, padding=1)


class FusedUpConv(nn.Module):
    """:class:`~dmm.models.blocks.UpConv` with its kernel added up beforehand.

    Args:
        weight: O I 3 3.
        bias: O, or None.
        sums: 9 16, which taps each of the kernel's 16 numbers adds up.
    """

    weight: Tensor
    bias: Tensor | None
    kernel: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None, sums: Tensor):
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.register_buffer("kernel", (weight.flatten(2) @ sums).unflatten(2, (4, 4)).transpose(0, 1).contiguous())  # I O 4 4

    def fuses(self, x: Tensor) -> bool:
        """As :meth:`dmm.models.blocks.UpConv.fuses`."""
        return x.shape[-1] >= FUSE_FROM

    def forward(self, x: Tensor, enlarged: bool = False) -> Tensor:
        """B I H W -> B O 2H 2W; ``enlarged``: ``x`` is B I 2H 2W already."""
        if enlarged or not self.fuses(x):
            return F.conv2d(x if enlarged else enlarge(x), self.weight, self.bias, padding=1)
        return F.conv_transpose2d(x, self.kernel, self.bias, stride=2, padding=1)


class FusedResidualBlock(nn.Module):
    """:class:`~dmm.models.blocks.ResidualBlock` whose convolutions, with biases, have taken its batch norms in.

    Args:
        block: a block whose norms are fused already.
    """

    def __init__(self, block: ResidualBlock):
        super().__init__()
        bias1, bias2 = block.conv1.bias, block.conv2.bias
        assert bias1 is not None and bias2 is not None, "a convolution that has taken in a batch norm has a bias"
        first, second = block.conv1.weight.chunk(2, dim=1)
        self.halves = FusedConv(first + second, bias1)  # of concat(x, x)
        self.conv1 = _moved_hooks(block.conv1, FusedConv(block.conv1.weight, bias1))
        self.glu = block.glu
        self.conv2 = _moved_hooks(block.conv2, FusedConv(block.conv2.weight, bias2))

    def forward(self, x: Tensor, doubled: bool = False) -> Tensor:
        """B C H W -> B C H W; with ``doubled``, ``x`` has C/2 channels and stands for concat(x, x)."""
        hidden = self.halves(x) if doubled else self.conv1(x)
        return (torch.cat((x, x), dim=1) if doubled else x) + self.conv2(self.glu(hidden))


def fuse_batch_norms(network: nn.Module) -> nn.Module:
    """A copy of a network in evaluation mode, with every batch norm fused that follows a layer; it cannot be trained.

    A batch norm without such a layer is left as it is. The result generates the same pictures up to rounding.

    Args:
        network: a generator; not changed.
    """
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _BatchNorm):
                _fuse(parent, name, child)
    _replace(network)
    return channels_last(network)


def _replace(parent: nn.Module) -> None:
    """Put faster modules in the places of the modules below ``parent``, with their hooks."""
    for name, child in list(parent.named_children()):
        faster = _faster(child)
        if faster is None:
            _replace(child)
        else:
            setattr(parent, name, _moved_hooks(child, faster))


def _faster(module: nn.Module) -> nn.Module | None:
    """The faster module in the place of a module whose norms, if it has any, are fused already."""
    if isinstance(module, ResidualBlock) and isinstance(module.norm1, nn.Identity) and isinstance(module.norm2, nn.Identity):
        return FusedResidualBlock(module)
    if isinstance(module, UpConv):
        return FusedUpConv(module.weight.detach(), None if module.bias is None else module.bias.detach(), module.sums)
    if isinstance(module, nn.Conv2d) and module.bias is not None and _is_plain_3x3(module):
        return FusedConv(module.weight.detach(), module.bias.detach())
    return None


def _is_plain_3x3(conv: nn.Conv2d) -> bool:
    """Has it 3x3 taps, one apart, and a frame of zeros that keeps the map's size?"""
    taps = (conv.kernel_size, conv.stride, conv.dilation, conv.groups)
    return taps == ((3, 3), (1, 1), (1, 1), 1) and (conv.padding, conv.padding_mode) == ((1, 1), "zeros")


def _fuse(parent: nn.Module, name: str, norm: _BatchNorm) -> None:
    """Fuse ``parent.name`` into the layer of ``parent`` that feeds it, if there is one; an identity takes its place, with its hooks."""
    number = name.removeprefix("norm")
    feeding = [place for place in (f"conv{number}", f"linear{number}") if isinstance(getattr(parent, place, None), (*_PLAIN, UpConv))]
    if not name.startswith("norm") or len(feeding) != 1 or norm.running_mean is None or norm.running_var is None:
        return
    layer = getattr(parent, feeding[0])
    scale = (norm.running_var + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight)  # O
    shift = -norm.running_mean * scale + (0 if norm.bias is None else norm.bias)
    outputs = 1 if isinstance(layer, nn.ConvTranspose2d) else 0  # axis of the weight
    weight = layer.weight * scale.view(*[1] * outputs, -1, *[1] * (layer.weight.ndim - 1 - outputs))
    bias = shift if getattr(layer, "bias", None) is None else shift + layer.bias * scale
    if isinstance(layer, UpConv):
        setattr(parent, feeding[0], _moved_hooks(layer, FusedUpConv(weight, bias, layer.sums)))
    else:
        layer.weight, layer.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
    setattr(parent, name, _moved_hooks(norm, nn.Identity()))


_PLAIN = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)


def _moved_hooks(old: nn.Module, new: nn.Module) -> nn.Module:
    """``new`` in the mode of ``old``, with its forward hooks."""
    for kept in ("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
                 "_forward_pre_hooks_with_kwargs"):  # fmt: skip
        setattr(new, kept, getattr(old, kept))
    return new.train(old.training)
