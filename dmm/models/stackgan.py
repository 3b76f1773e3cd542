"""StackGAN++ (Zhang et al., "StackGAN++: Realistic Image Synthesis with Stacked Generative Adversarial Networks", TPAMI 2018).

The skeleton on which all the attention systems stand: a Gaussian around the sentence gives the conditioning code (Eq. 2), code and noise
give a first map at 64x64, and each further stage joins the code to the map again and doubles its size (Eq. 5), with a discriminator for
every size. There are no words, so a trace holds no attention.

* A refinement: concat(code, map), in this order, through a joint convolution back to the map's width, residual blocks, and an up block that
  halves the channels.
* Discriminators join concat(code, picture), the code being the *mean* of the Gaussian; mismatches are real pictures of other sentences, and
  all three kinds of pictures are judged with and without the text (Eqs. 6-7):
  :func:`dmm.losses.adversarial.six_term_loss`.
* Colour consistency between neighbouring sizes (Eqs. 8-9) is for unconditional pictures, and off for birds: :mod:`dmm.losses.colour`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.models.blocks import GLU, ResidualBlocks, UpBlock, conv3x3
from dmm.models.multistage import Conditions, MultiStage
from dmm.models.registry import register_model
from dmm.trace import StageTrace


class Joint(nn.Module):
    """The code at every place, before the map's channels; 3x3 convolution, batch norm, GLU, back to the map's width."""

    def __init__(self, condition_dim: int, width: int):
        super().__init__()
        self.conv = conv3x3(condition_dim + width, 2 * width)
        self.norm = nn.BatchNorm2d(2 * width)
        self.glu = GLU()

    def forward(self, code: Tensor, image: Tensor) -> Tensor:
        """Code B K, map B C H W -> B C H W."""
        code = code[:, :, None, None].expand(-1, -1, *image.shape[2:])
        return self.glu(self.norm(self.conv(torch.cat((code, image), dim=1))))


class JoiningStage(nn.Module):
    """One refinement: the map takes the code in and doubles its size.

    Args:
        condition_dim: numbers in the conditioning code.
        width: channels C of the incoming map and of the residual blocks.
        outputs: channels of the outgoing map; published: half of ``width``.
        residuals: number of residual blocks.
    """

    def __init__(self, condition_dim: int, width: int, outputs: int, residuals: int = 2):
        super().__init__()
        self.joint = Joint(condition_dim, width)
        self.residuals = ResidualBlocks(width, residuals)
        self.up = UpBlock(width, outputs)

    def forward(self, image: Tensor, conditions: Conditions) -> StageTrace:
        """Map B C H W -> a trace with ``hidden`` B outputs 2H 2W; the picture is painted by the caller."""
        return StageTrace(hidden=self.up(self.residuals(self.joint(conditions.code, image))))


class StackGAN(MultiStage):
    """The StackGAN++ generator; see :meth:`dmm.models.multistage.MultiStage.forward` for the call, whose words and mask it does not read.

    Args:
        text_dim: numbers in the sentence feature; published: a char-CNN-RNN vector of 1024.
        condition_dim: numbers in the conditioning code.
        noise_dim: numbers in z.
        widths: channels of the maps at 64, 128 and 256 px; published: each half of the one before.
        residuals: residual blocks a refinement stage.
    """

    def __init__(
        self,
        text_dim: int = 1024,
        condition_dim: int = 128,
        noise_dim: int = 100,
        widths: Sequence[int] = (64, 32, 16),
        residuals: int = 2,
    ):
        refinements = [JoiningStage(condition_dim, width, outputs, residuals) for width, outputs in zip(widths, widths[1:], strict=False)]
        super().__init__(text_dim, condition_dim, noise_dim, widths, refinements)


@register_model(
    "stackgan",
    paper="Zhang et al., StackGAN++, TPAMI 2018",
    adds="to a conditional GAN, three sizes from coarse to fine, each with a discriminator, and conditioning augmentation",
    norm="batch",
    losses=("adversarial", "kl", "colour"),
    text_first=True,
    condition="mean",
    wrong="image",
)
def stackgan(config: ModelConfig) -> StackGAN:
    """StackGAN++ as a config describes it."""
    return StackGAN(config.text_dim, config.condition_dim, config.noise_dim, config.widths, config.residuals)
