"""AttnGAN: attention to words (Xu et al., "AttnGAN: Fine-Grained Text to Image Generation with Attentional GANs", CVPR 2018).

StackGAN++ refines a picture with the sentence alone. AttnGAN lets each place of the picture look at the words it needs (Eqs. 3-5):

* the words are projected into the space of the picture's features, e' = U e;
* each place weighs them by a softmax over e'_i . h_j and reads their weighted sum, the word context c_j;
* the refinement sees concat(h, c): residual blocks, then twice the size.

Its second addition is a loss, the text-image matching of DAMSM (Eqs. 7-13): :mod:`dmm.matching`, :mod:`dmm.losses.damsm`.

The plain-DCGAN variant of the published code has the same attention but no residual blocks, one image head, at 256 px, and one
discriminator, which has no head without the sentence.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.models.attention import WordProjection
from dmm.models.blocks import ResidualBlocks, UpBlock
from dmm.models.memory import KeyAddressing, ValueReading
from dmm.models.multistage import Conditions, MultiStage
from dmm.models.registry import register_model
from dmm.trace import StageTrace


class AttentionStage(nn.Module):
    """One refinement: the map attends to the words, takes their context in beside itself, and doubles its size.

    Args:
        text_dim: channels of the word features.
        width: channels C of the incoming map; the residual blocks have 2C.
        outputs: channels of the outgoing map.
        residuals: number of residual blocks; 0 in the plain-DCGAN variant.
        mask_pairing: see :class:`dmm.models.memory.KeyAddressing`.
    """

    def __init__(self, text_dim: int, width: int, outputs: int, residuals: int = 2, mask_pairing: str = "right"):
        super().__init__()
        self.word_projection = WordProjection(text_dim, width)
        self.addressing = KeyAddressing(mask_pairing)
        self.reading = ValueReading()
        self.residuals = ResidualBlocks(2 * width, residuals)
        self.up = UpBlock(2 * width, outputs)

    def forward(self, image: Tensor, conditions: Conditions) -> StageTrace:
        """Map B C H W -> the trace of this stage, with ``hidden`` B outputs 2H 2W; the picture is painted by the caller."""
        trace = StageTrace()
        words = self.word_projection(conditions.words)  # B C T
        trace.word_attention = self.addressing(image, words, conditions.mask)  # B T H W
        trace.word_context = self.reading(trace.word_attention, words)  # B C H W
        x = torch.cat((image, trace.word_context), dim=1)  # B 2C H W
        trace.hidden = self.up(self.residuals(x))
        return trace


class AttnGAN(MultiStage):
    """The AttnGAN generator; see :meth:`dmm.models.multistage.MultiStage.forward` for the call.

    Args:
        text_dim: word and sentence features, channels.
        condition_dim: numbers in the conditioning code.
        noise_dim: numbers in z.
        widths: channels of the maps at 64, 128 and 256 px; published: all equal.
        residuals: residual blocks a refinement stage.
        mask_pairing: "right", or "published" for the published tiling of the word mask.
        one_head: paint the 256 px picture only, as the plain-DCGAN variant does.
    """

    def __init__(
        self,
        text_dim: int = 256,
        condition_dim: int = 100,
        noise_dim: int = 100,
        widths: Sequence[int] = (32, 32, 32),
        residuals: int = 2,
        mask_pairing: str = "right",
        one_head: bool = False,
    ):
        refinements = [
            AttentionStage(text_dim, width, outputs, residuals, mask_pairing) for width, outputs in zip(widths, widths[1:], strict=False)
        ]
        super().__init__(text_dim, condition_dim, noise_dim, widths, refinements, one_head)


def _build(config: ModelConfig, residuals: int, one_head: bool) -> AttnGAN:
    return AttnGAN(config.text_dim, config.condition_dim, config.noise_dim, config.widths, residuals, config.mask_pairing, one_head)


@register_model(
    "attngan",
    paper="Xu et al., AttnGAN, CVPR 2018",
    adds="to StackGAN++, attention to words and the text-image matching loss (DAMSM)",
    norm="batch",
    losses=("adversarial", "kl", "damsm"),
)
def attngan(config: ModelConfig) -> AttnGAN:
    """AttnGAN as a config describes it."""
    return _build(config, config.residuals, one_head=False)


@register_model(
    "attngan-dcgan",
    paper="Xu et al., AttnGAN, CVPR 2018, the published code's plain-DCGAN variant",
    adds="to a DCGAN, attention to words: no residual blocks, one picture, one discriminator",
    norm="batch",
    losses=("adversarial", "kl", "damsm"),
    unconditional=False,
    judged="last",
)
def attngan_dcgan(config: ModelConfig) -> AttnGAN:
    """The plain-DCGAN variant as a config describes it; it has no residual blocks, whatever the config says."""
    return _build(config, residuals=0, one_head=True)
