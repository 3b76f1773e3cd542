"""3x3 convolutions with a quarter of the multiplications (S. Winograd, 1980; Lavin and Gray, CVPR 2016, section 4).

A convolution with r taps gives m outputs from n = m + r - 1 inputs with n multiplications instead of m r. In two dimensions, with tiles d
of n x n inputs, kernel g and outputs Y of m x m,

    Y = A^T [ (G g G^T) * (B^T d B) ] A,

where ``*`` multiplies number by number. Summed over the input channels, each of the n^2 numbers of a tile is one product of matrices (tiles
by channels in, channels in by channels out), which is what CPUs do best. Here r = 3 and m = 4: 36 multiplications instead of 144.

A, B and G follow from the points at which the polynomials of taps and outputs are evaluated (Toom and Cook); 0, 1, -1, 2, -1/2 and infinity
keep the rounding within some three times that of the plain order. Tiles are worked off in pieces that stay in the cache, each of one
picture, so that a picture does not depend on the batch it is generated in.

The gradient for the input is the convolution of the outputs' gradient E with the kernel turned by half a circle. That for the kernel is
the transpose of the formula above, summed over tiles and pictures in their order,

    G^T [ (B^T d B) * (A E A^T) ] G.

Both are convolutions again, so that gradients of any order exist.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

TAPS, OUTPUTS = 3, 4  # r and m, along each axis
SIZE = TAPS + OUTPUTS - 1  # n
POINTS = (0.0, 1.0, -1.0, 2.0, -0.5)  # and infinity
SMALLEST = 32  # px; smaller maps have too few tiles for the larger kernel to be read
NARROWEST = 64  # at inference: channels in and out, the smaller of the two; for fewer, moving tiles costs more than it saves
DENSEST = 50  # in training: products of channels for each tile moved, I O / (I + O); 64 channels to 256 have 51, 96 to 96 have 48
_PIECE = 2**20  # numbers of transformed tiles that are worked on at once, 4 MiB


def transforms() -> tuple[Tensor, Tensor, Tensor]:
    """A^T m n, G n r and B^T n n in float64.

    Correlation is the transpose of multiplying polynomials: with V_k the values of a polynomial of k coefficients at the n points,
    A^T = V_m^T, G = V_r and B^T = V_n^-T. Rows of B^T are scaled to a largest entry of 1, and those of G the other way.
    """
    finite = torch.tensor(POINTS, dtype=torch.float64)

    def values(count: int) -> Tensor:
        infinity = F.one_hot(torch.tensor([count - 1]), count).double()  # the leading coefficient
        return torch.cat((finite[:, None] ** torch.arange(count), infinity))  # n k

    inputs = torch.linalg.inv(values(SIZE)).T
    scale = inputs.abs().amax(1, keepdim=True)
    return values(OUTPUTS).T.contiguous(), values(TAPS) * scale, inputs / scale


def both_axes() -> tuple[Tensor, Tensor, Tensor]:
    """The transforms of the rows, then of the columns: m^2 n^2, n^2 r^2 and n^2 n^2 in float64."""
    outputs, taps, inputs = (torch.kron(matrix, matrix) for matrix in transforms())
    return outputs, taps, inputs


def transformed(weight: Tensor) -> Tensor:
    """G g G^T of a kernel O I 3 3: n^2 I O, computed in float64."""
    taps = weight.double().permute(2, 3, 1, 0)  # 3 3 I O
    return (both_axes()[1] @ taps.flatten(0, 1).flatten(1)).view(-1, *taps.shape[2:]).to(weight.dtype)


def pays(x: Tensor) -> bool:
    """Can the method be faster than the plain order for a map ``x``, B I H W, if its channels are enough?"""
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
        return False  # a compiler has orders of its own, and 16-bit products have units of their own
    return x.device.type == "cpu" and x.dtype == torch.float32 and min(x.shape[-2:]) >= SMALLEST


class _Plan:
    """How maps B I H W are cut into tiles of n x n that overlap, and these into pieces of some rows of tiles.

    Args:
        x: B I H W.
        outputs: channels O of the other side of the convolution.
    """

    def __init__(self, x: Tensor, outputs: int):
        self.high, self.wide = x.shape[-2:]
        self.down, self.across = -(-self.high // OUTPUTS), -(-self.wide // OUTPUTS)  # tiles
        self.step = max(1, _PIECE // (self.across * SIZE**2 * (x.shape[1] + outputs)))  # rows of tiles in a piece
        self.inputs = both_axes()[2].to(x.dtype)  # n^2 n^2
        self.frame = x.new_zeros(self.down * OUTPUTS + 2, self.across * OUTPUTS + 2, x.shape[1])  # H' W' I
        self.turned = x.new_empty(self.high * self.wide * max(x.shape[1], outputs))

    def padded(self, picture: Tensor) -> Tensor:
        """I H W -> H' W' I with the zeros around it that its tiles reach; the next picture takes its memory."""
        self.frame[1 : self.high + 1, 1 : self.wide + 1] = self.lines(picture)
        return self.frame

    def lines(self, picture: Tensor) -> Tensor:
        """C H W -> H W C, contiguous, as one matrix: that is transposed faster than a map is permuted. The next call takes its memory."""
        lines = picture.permute(1, 2, 0)
        if lines.is_contiguous() or not picture.is_contiguous():
            return lines.contiguous()
        turned = self.turned[: picture.numel()].view(lines.shape)
        turned.flatten(0, 1).copy_(picture.flatten(1).t())
        return turned

    def pieces(self) -> list[slice]:
        """Rows of tiles, piece by piece."""
        return [slice(top, min(top + self.step, self.down)) for top in range(0, self.down, self.step)]

    def tiles(self, picture: Tensor, rows: slice) -> Tensor:
        """B^T d B of some rows of tiles of a padded picture H' W' I: n^2 tiles I."""
        n, count = SIZE, rows.stop - rows.start
        line, place, _ = picture.stride()
        shape, strides = (n, n, count, self.across, picture.shape[-1]), (line, place, OUTPUTS * line, OUTPUTS * place, 1)
        tiles = picture.as_strided(shape, strides, picture.storage_offset() + rows.start * OUTPUTS * line)
        return (self.inputs @ tiles.reshape(n * n, -1)).view(n * n, count * self.across, -1)

    def whole(self) -> bool:
        """Do the tiles' outputs end where the map does?"""
        return (self.down * OUTPUTS, self.across * OUTPUTS) == (self.high, self.wide)


def _is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _convolved(x: Tensor, kernel: Tensor, bias: Tensor | None, channels_last: bool) -> Tensor:
    """B I H W with a transformed kernel n^2 I O and a bias O -> B O H W in the order of memory that is asked for."""
    plan, (m, width) = _Plan(x, kernel.shape[2]), (OUTPUTS, kernel.shape[2])
    outputs = both_axes()[0].to(x.dtype)  # m^2 n^2
    order = torch.channels_last if channels_last else torch.contiguous_format
    result = torch.empty((len(x), width, plan.high, plan.wide), dtype=x.dtype, memory_format=order)
    in_place = channels_last and plan.whole()
    lines = x.new_empty(0 if in_place else plan.down * m, plan.across * m, width)
    for source, plane in zip(x, result, strict=True):
        picture = plan.padded(source)
        lines = plane.permute(1, 2, 0) if in_place else lines
        for rows in plan.pieces():
            tiles = outputs @ torch.bmm(plan.tiles(picture, rows), kernel).view(SIZE**2, -1)  # m^2 (tiles O)
            tiles = tiles.view(m, m, -1, plan.across, width).permute(2, 0, 3, 1, 4)
            place = lines[rows.start * m : rows.stop * m].view(tiles.shape)
            place.copy_(tiles) if bias is None else torch.add(tiles, bias, out=place)
        if not in_place:
            cut = lines[: plan.high, : plan.wide]
            plane.copy_(cut.permute(2, 0, 1)) if channels_last else plane.flatten(1).copy_(cut.reshape(-1, width).t())
    return result


def _kernel_gradient(x: Tensor, gradient: Tensor) -> Tensor:
    """Inputs B I H W and the outputs' gradient B O H W -> the kernel's, O I 3 3."""
    plan, m, (width, inputs) = _Plan(x, gradient.shape[1]), OUTPUTS, (gradient.shape[1], x.shape[1])
    outputs, kernel, _ = (matrix.T.contiguous().to(x.dtype) for matrix in both_axes())  # n^2 m^2 and r^2 n^2
    total = x.new_zeros(SIZE**2, inputs, width)
    for source, pulled in zip(x, gradient, strict=True):
        picture, lines = plan.padded(source), plan.lines(pulled)
        if not plan.whole():
            lines = F.pad(lines, (0, 0, 0, plan.across * m - plan.wide, 0, plan.down * m - plan.high))
        for rows in plan.pieces():
            tiles = lines[rows.start * m : rows.stop * m].view(-1, m, plan.across, m, width).permute(1, 3, 0, 2, 4)
            tiles = (outputs @ tiles.reshape(m * m, -1)).view(SIZE**2, -1, width)  # n^2 tiles O
            total.baddbmm_(plan.tiles(picture, rows).transpose(1, 2), tiles)
    return (kernel @ total.flatten(1)).view(TAPS, TAPS, inputs, width).permute(3, 2, 0, 1)


def _turned(weight: Tensor) -> Tensor:
    """The kernel that takes outputs back to inputs: O I 3 3 -> I O 3 3, turned by half a circle."""
    return weight.flip(2, 3).transpose(0, 1)


class _Context(Protocol):
    """What a gradient is computed from."""

    saved_tensors: tuple[Tensor, Tensor]
    needs_input_grad: tuple[bool, bool]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Convolution(Function):
    """B I H W and O I 3 3 -> B O H W."""

    @staticmethod
    def forward(ctx: _Context, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolved(x, transformed(weight), None, _is_channels_last(x))

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x = _Convolution.apply(gradient, _turned(weight)) if ctx.needs_input_grad[0] else None
        return for_x, _KernelGradient.apply(x, gradient) if ctx.needs_input_grad[1] else None


class _KernelGradient(Function):
    """B I H W and B O H W -> O I 3 3."""

    @staticmethod
    def forward(ctx: _Context, x: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(x, gradient)
        return _kernel_gradient(x, gradient)

    @staticmethod
    def backward(ctx: _Context, weight: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, gradient = ctx.saved_tensors
        for_x = _Convolution.apply(gradient, _turned(weight)) if ctx.needs_input_grad[0] else None
        return for_x, _Convolution.apply(x, weight) if ctx.needs_input_grad[1] else None


def tiled_conv(x: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 convolution, padding 1, with gradients: B I H W and O I 3 3 -> B O H W in the order of memory of ``x``."""
    return _Convolution.apply(x, weight)


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution, padding 1, that is trained in whichever order is the faster; parameters and start are those of ``nn.Conv2d``.

    Args:
        inputs: channels in.
        outputs: channels out.
        bias: add a number for each channel.
    """

    tiled = True  # allowed to

    def __init__(self, inputs: int, outputs: int, bias: bool = False):
        super().__init__(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """B I H W -> B O H W."""
        return self.of(x, self.weight)

    def of(self, x: Tensor, weight: Tensor) -> Tensor:
        """The same with another kernel, O J 3 3, for a map B J H W."""
        outputs, inputs = weight.shape[:2]
        if not self.tiled or outputs * inputs < DENSEST * (outputs + inputs) or not pays(x):
            return F.conv2d(x, weight, self.bias, padding=1)
        y = tiled_conv(x, weight)
        return y if self.bias is None else y + self.bias[:, None, None]


class TiledConv(nn.Module):
    """A 3x3 convolution, padding 1, by Winograd's method with its kernel transformed beforehand; for inference in fp32 on a CPU.

    Args:
        weight: O I 3 3.
        bias: O.
    """

    kernel: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor):
        super().__init__()
        self.register_buffer("kernel", transformed(weight))  # n^2 I O
        self.register_buffer("bias", bias.clone())

    def forward(self, x: Tensor) -> Tensor:
        """B I H W -> B O H W, channels last."""
        return _convolved(x, self.kernel, self.bias, channels_last=True)
