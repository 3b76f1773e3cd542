"""What colour is each part? A training aid for image encoders, where the data set says so (Aviary does); not in any of the papers.

Matching alone teaches an encoder what tells one caption of a batch from the others; few of the colours do. Here each part looks for itself:
a softmax over the picture's regions says where it is, a linear layer what colour is seen there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PartColours(nn.Module):
    """Region features to a colour for each part.

    Args:
        region_dim: channels of the region features.
        parts: number of parts P.
        colours: number of colours K.
    """

    def __init__(self, region_dim: int, parts: int, colours: int):
        super().__init__()
        self.look = nn.Conv2d(region_dim, parts, 1)
        self.answers = nn.Parameter(torch.randn(parts, region_dim, colours).mul_(region_dim**-0.5))

    def forward(self, regions: Tensor) -> Tensor:
        """Regions B D H W -> logits B P K."""
        where = self.look(regions).flatten(2).softmax(-1)  # B P HW
        seen = where @ regions.flatten(2).transpose(1, 2)  # B P D
        return torch.einsum("bpd,pdk->bpk", seen, self.answers)
