"""Small differentiable changes to the pictures that the text losses read.

A frozen network can be satisfied by faint patterns that no eye sees. Pictures that are shifted, blurred and made noisy a little differently
at every step leave less room for that: the colour itself has to be there. Not in the papers; strength 0 switches it off.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dmm.fp32 import to_fp32

NOISE = 0.15  # standard deviation at full strength, of pictures in [-1, 1]
SHIFT = 0.05  # largest shift at full strength, share of the side
BRIGHTNESS = 0.15  # largest change of brightness at full strength
CONTRAST = 0.15  # largest relative change of contrast at full strength


def augment(images: Tensor, strength: float, generator: torch.Generator | None = None) -> Tensor:
    """Shift, blur, relight and roughen each picture at random.

    Args:
        images: B 3 S S in [-1, 1].
        strength: 0 (unchanged) to 1.
        generator: of the random numbers, on the pictures' device.

    Returns:
        B 3 S S; differentiable with respect to ``images``.
    """
    if strength == 0:
        return images
    images = to_fp32(images)  # two types do not mix, and 8 digits are too few for the noise
    batch, _, size, _ = images.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=images.device) * 2 - 1

    most = round(SHIFT * strength * size)
    if most:
        rows = (uniform(batch) * (most + 0.499)).round().long()[:, None] + torch.arange(size, device=images.device)
        columns = (uniform(batch) * (most + 0.499)).round().long()[:, None] + torch.arange(size, device=images.device)
        samples = torch.arange(batch, device=images.device)[:, None, None]
        images = images.permute(0, 2, 3, 1)[samples, rows.clamp(0, size - 1)[:, :, None], columns.clamp(0, size - 1)[:, None, :]]  # B S S 3
        images = images.permute(0, 3, 1, 2)
    blur = (uniform(batch, 1, 1, 1) * strength).clamp(0)  # half of the pictures stay sharp
    images = torch.lerp(images, F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1), blur)
    images = images * (1 + CONTRAST * strength * uniform(batch, 1, 1, 1)) + BRIGHTNESS * strength * uniform(batch, 1, 1, 1)
    level = NOISE * strength * uniform(batch, 1, 1, 1).abs()
    return images + level * torch.randn(images.shape, generator=generator, device=images.device)
