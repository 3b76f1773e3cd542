"""MirrorGAN: redescription (Qiao et al., "MirrorGAN: Learning Text-to-image Generation by Redescription", CVPR 2019).

Two additions to AttnGAN. In the generator (GLAM, Eqs. 3-7), each place attends to the sentence as well as to the words, and a 1x1
convolution fuses picture, word context and sentence context. In training, the finished picture must be described again by its own caption
(STREAM, Eq. 9): :mod:`dmm.models.captioner` reads it, :mod:`dmm.losses.stream` compares. There is no DAMSM term.

Where the published code departs from the paper it is followed, since its weights depend on it:

* sentence attention is a softmax over the channels at each place, not over the places;
* the sentence it attends to is the sampled conditioning code, not the sentence feature; the code's width, fixed at 100
  there, is an argument here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.models.attention import SentenceAttention, SentenceReading, WordProjection
from dmm.models.blocks import ResidualBlocks, UpBlock
from dmm.models.memory import KeyAddressing, ValueReading
from dmm.models.multistage import Conditions, MultiStage
from dmm.models.registry import register_model
from dmm.trace import StageTrace


class GlobalLocalStage(nn.Module):
    """One refinement: the map attends to words and sentence, fuses both contexts with itself, and doubles its size.

    Args:
        text_dim: channels of the word features.
        condition_dim: numbers in the conditioning code, which stands for the sentence.
        width: channels C of the incoming map; the residual blocks have 2C.
        outputs: channels of the outgoing map.
        residuals: number of residual blocks.
        mask_pairing: see :class:`dmm.models.memory.KeyAddressing`.
    """

    def __init__(self, text_dim: int, condition_dim: int, width: int, outputs: int, residuals: int = 2, mask_pairing: str = "right"):
        super().__init__()
        self.word_projection = WordProjection(text_dim, width)
        self.addressing = KeyAddressing(mask_pairing)
        self.reading = ValueReading()
        self.sentence_projection = nn.Linear(condition_dim, width)
        self.sentence_attention = SentenceAttention(width)
        self.sentence_reading = SentenceReading()
        self.fusion = nn.Conv2d(3 * width, 2 * width, 1, bias=False)
        self.residuals = ResidualBlocks(2 * width, residuals)
        self.up = UpBlock(2 * width, outputs)

    def forward(self, image: Tensor, conditions: Conditions) -> StageTrace:
        """Map B C H W -> the trace of this stage, with ``hidden`` B outputs 2H 2W; the picture is painted by the caller."""
        trace = StageTrace()
        words = self.word_projection(conditions.words)  # B C T
        trace.word_attention = self.addressing(image, words, conditions.mask)  # B T H W, Eq. 3
        trace.word_context = self.reading(trace.word_attention, words)  # B C H W
        sentence = self.sentence_projection(conditions.code)  # B C
        trace.sentence_attention = self.sentence_attention(image, sentence)  # B C H W, Eq. 5
        trace.sentence_context = self.sentence_reading(trace.sentence_attention, sentence)  # B C H W
        x = self.fusion(torch.cat((image, trace.word_context, trace.sentence_context), dim=1))  # B 2C H W
        trace.hidden = self.up(self.residuals(x))
        return trace


class MirrorGAN(MultiStage):
    """The MirrorGAN generator; see :meth:`dmm.models.multistage.MultiStage.forward` for the call.

    Args:
        text_dim: word and sentence features, channels.
        condition_dim: numbers in the conditioning code; published weights have 100.
        noise_dim: numbers in z.
        widths: channels of the maps at 64, 128 and 256 px; published: all equal.
        residuals: residual blocks a refinement stage.
        mask_pairing: "right", or "published" for the published tiling of the word mask.
    """

    def __init__(
        self,
        text_dim: int = 256,
        condition_dim: int = 100,
        noise_dim: int = 100,
        widths: Sequence[int] = (32, 32, 32),
        residuals: int = 2,
        mask_pairing: str = "right",
    ):
        refinements = [
            GlobalLocalStage(text_dim, condition_dim, width, outputs, residuals, mask_pairing)
            for width, outputs in zip(widths, widths[1:], strict=False)
        ]
        super().__init__(text_dim, condition_dim, noise_dim, widths, refinements)


@register_model(
    "mirrorgan",
    paper="Qiao et al., MirrorGAN, CVPR 2019",
    adds="to AttnGAN, attention to the sentence, and redescription (STREAM) in place of DAMSM",
    norm="batch",
    losses=("adversarial", "kl", "stream"),
)
def mirrorgan(config: ModelConfig) -> MirrorGAN:
    """MirrorGAN as a config describes it."""
    return MirrorGAN(config.text_dim, config.condition_dim, config.noise_dim, config.widths, config.residuals, config.mask_pairing)
