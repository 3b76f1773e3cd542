"""A finer picture must be the coarser one, with detail added. A training aid, not in any of the papers.

StackGAN++ asks neighbouring scales to agree in the mean and covariance of their colours; here they must agree place by place, but only
after both are averaged down, so that the finer stage may repair what the coarser one did not get sharp.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dmm.fp32 import in_fp32


@in_fp32
def consistency_loss(coarse: Tensor, fine: Tensor, blur: int = 2) -> Tensor:
    """Mean absolute difference of two scales, both averaged down to ``1 / blur`` of the coarser side; scalar.

    Args:
        coarse: B 3 S S in [-1, 1]; it is the target and gets no gradient.
        fine: B 3 nS nS in [-1, 1].
        blur: divisor of S.
    """
    side = coarse.shape[-1] // blur
    return F.l1_loss(F.adaptive_avg_pool2d(fine, side), F.adaptive_avg_pool2d(coarse.detach(), side))
