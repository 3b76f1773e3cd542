"""Features that stay within a range. A training aid; none of the papers has it.

Batch norm divides by the deviation over the whole batch. A generator can therefore send a few places far out and have all others made
smaller by it: a blot at one place of some pictures, in every stage. What exceeds the range costs its square.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dmm.losses.total import total

LIMIT = 4.0  # features of a place are within about 3 where nothing burns in


def feature_limit_loss(maps: Sequence[Tensor]) -> Tensor:
    """Mean over the stages' maps B C H W of the squared excess of a feature's magnitude over ``LIMIT``; scalar."""
    # a norm adds up in fp32 without an fp32 copy of the map: a third of the time of squaring one in bf16 training
    excesses = (torch.linalg.vector_norm(F.softshrink(features, LIMIT), dtype=torch.float32) for features in maps)
    return total(excess.square() / features.numel() for excess, features in zip(excesses, maps, strict=True)) / len(maps)
