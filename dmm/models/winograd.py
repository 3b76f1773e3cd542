"""3x3 convolutions with a quarter of the multiplications (S. Winograd, 1980; Lavin and Gray, CVPR 2016, section 4), for painting.

A convolution with r taps gives m outputs from n = m + r - 1 inputs with n multiplications instead of m r. In two dimensions, with tiles d
of n x n inputs, kernel g and outputs Y of m x m,

    Y = A^T [ (G g G^T) * (B^T d B) ] A,

where ``*`` multiplies number by number. Summed over the input channels, each of the n^2 numbers of a tile is one product of matrices (tiles
by channels in, channels in by channels out), which is what processors do best. Here r = 3 and m = 4: 36 multiplications instead of 144.

A, B and G follow from the points at which the polynomials of taps and outputs are evaluated (Toom and Cook); 0, 1, -1, 2, -1/2 and infinity
keep the rounding within some three times that of the plain order. Tiles are worked off in pieces that stay in the cache, each of one
picture, so that a picture does not depend on the batch it is painted in.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS, OUTPUTS = 3, 4  # r and m, along each axis
SIZE = TAPS + OUTPUTS - 1  # n
POINTS = (0.0, 1.0, -1.0, 2.0, -0.5)  # and infinity
SMALLEST = 32  # px; smaller maps have too few tiles for the larger kernel to be read
NARROWEST = 64  # channels in and out, the smaller of the two; for fewer, moving the tiles costs more than the multiplications saved
_PIECE = 2**21  # numbers of transformed tiles that are worked on at once, 8 MiB


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


class TiledConv(nn.Module):
    """A 3x3 convolution, padding 1, by Winograd's method; for inference in fp32 on a processor.

    Args:
        weight: O I 3 3.
        bias: O.
    """

    def __init__(self, weight: Tensor, bias: Tensor):
        super().__init__()
        outputs, kernel, inputs = (torch.kron(matrix, matrix) for matrix in transforms())  # of the rows, then of the columns
        taps = weight.double().permute(2, 3, 1, 0)  # 3 3 I O
        self.register_buffer("kernel", (kernel @ taps.flatten(0, 1).flatten(1)).view(-1, *taps.shape[2:]).to(weight.dtype))  # n^2 I O
        self.register_buffer("outputs", outputs.to(weight.dtype))  # m^2 n^2
        self.register_buffer("inputs", inputs.to(weight.dtype))  # n^2 n^2
        self.register_buffer("bias", bias.clone())

    @staticmethod
    def pays(x: Tensor) -> bool:
        """Is it faster than the plain order for a map ``x``, B I H W, if its channels are :data:`NARROWEST` or more?"""
        if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu"):
            return False  # a compiler has orders of its own, and 16-bit products have units of their own
        return x.device.type == "cpu" and x.dtype == torch.float32 and min(x.shape[-2:]) >= SMALLEST

    def forward(self, x: Tensor) -> Tensor:
        """B I H W -> B O H W, channels last."""
        high, wide = x.shape[-2:]
        down, across = -(-high // OUTPUTS), -(-wide // OUTPUTS)  # tiles
        maps = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, across * OUTPUTS + 1 - wide, 1, down * OUTPUTS + 1 - high))  # B H' W' I
        result = x.new_empty(len(x), down * OUTPUTS, across * OUTPUTS, len(self.bias))
        rows = max(1, _PIECE // (across * SIZE**2 * sum(self.kernel.shape[1:])))  # of tiles
        for picture, painted in zip(maps, result, strict=True):
            for top in range(0, down, rows):
                self._piece(picture[top * OUTPUTS :], painted[top * OUTPUTS : (top + rows) * OUTPUTS], across)
        return result[:, :high, :wide].permute(0, 3, 1, 2)

    def _piece(self, picture: Tensor, painted: Tensor, across: int) -> None:
        """Some rows of tiles, from H' W' I to ``painted``, H W O."""
        m, n, rows = OUTPUTS, SIZE, len(painted) // OUTPUTS
        line, place, _ = picture.stride()
        tiles = picture.as_strided((n, n, rows, across, picture.shape[-1]), (line, place, m * line, m * place, 1), picture.storage_offset())
        tiles = (self.inputs @ tiles.reshape(n * n, -1)).view(n * n, rows * across, -1)  # n^2 tiles I
        painted_tiles = self.outputs @ torch.bmm(tiles, self.kernel).view(n * n, -1)  # m^2 (tiles O)
        painted_tiles = painted_tiles.view(m, m, rows, across, -1).permute(2, 0, 3, 1, 4)
        torch.add(painted_tiles, self.bias, out=painted.view(painted_tiles.shape))
