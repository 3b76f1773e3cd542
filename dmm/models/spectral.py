"""Spectral normalisation as the DM-GAN and DMM-GAN discriminators do it (after Miyato et al., ICLR 2018).

One power iteration a forward call, first v then u, in evaluation mode as well; sigma = u . W v, with the gradient through W. Each call
keeps its own u and v for the backward pass, as autograd did when the code was published. Run unmodified on current PyTorch, that code
silently uses the latest u and v for the gradients of all earlier calls; ``alias_vectors`` reproduces it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmm.fp32 import in_fp32

EPSILON = 1e-12


class SpectralConv2d(nn.Module):
    """A convolution with bias whose weight, seen as a matrix [outputs, rest], is divided by its largest singular value.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: side of the kernel, px.
        stride: px.
        padding: px.
        power_iterations: a forward call; 0 keeps u and v as they are.
        iterate_in_eval: iterate in evaluation mode too, as published; then two calls in a row differ.
        alias_vectors: let gradients see the u and v of the latest call, not of their own; for comparison only.
    """

    u: Tensor
    v: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        power_iterations: int = 1,
        iterate_in_eval: bool = True,
        alias_vectors: bool = False,
    ):
        super().__init__()
        self.stride, self.padding, self.alias_vectors = stride, padding, alias_vectors
        self.power_iterations, self.iterate_in_eval = power_iterations, iterate_in_eval
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.orthogonal_(self.weight)
        self.register_buffer("u", F.normalize(torch.randn(outputs), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(inputs * kernel * kernel), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        """B inputs H W -> B outputs H' W'."""
        return F.conv2d(x, self.normalised_weight(), self.bias, self.stride, self.padding)

    @in_fp32
    def normalised_weight(self) -> Tensor:
        """Weight / sigma after this call's power iteration, outputs inputs k k."""
        matrix = self.weight.flatten(1)
        u, v = self._iterate(matrix)
        sigma = torch.dot(u, torch.mv(matrix, v))
        return self.weight / sigma

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        u, v = self.u.clone(), self.v.clone()
        if self.training or self.iterate_in_eval:
            for _ in range(self.power_iterations):
                v = torch.mv(matrix.T, u)
                v = v / (v.norm() + EPSILON)
                u = torch.mv(matrix, v)
                u = u / (u.norm() + EPSILON)
            self.u.data.copy_(u)  # .data: unseen by autograd, which may hold the buffers if they are aliased
            self.v.data.copy_(v)
        return (self.u, self.v) if self.alias_vectors else (u, v)
