"""DM-GAN: dynamic memory (Zhu et al., "DM-GAN: Dynamic Memory Generative Adversarial Networks for Text-to-Image Synthesis", CVPR 2019).

AttnGAN lets every place of the picture attend to fixed word features. DM-GAN writes the words into a memory first, each mixed with the
picture so far, and weighs the answer against the picture place by place:

* memory writing m_i = M(w_i) (Eq. 3); with the writing gate g = sigmoid(A w_i + B average(R)), m_i = g M_w(w_i) + (1 - g) M_r(average)
  (Eqs. 7, 8);
* key addressing: softmax over the words of key(m_i) . r_j (Eq. 4); value reading: the sum of value(m_i) so weighted (Eq. 5);
* response: gate = sigmoid(W [r_j, o_j] + b), r_j' = gate o_j + (1 - gate) r_j (Eq. 9).

All of it is :class:`dmm.models.memory_stage.MemoryStage`; each gate is a module of its own. Discriminators are normalised spectrally and
have no batch norm; the losses are AttnGAN's.

Ablation (paper, Table 3). The published code has the full model only, so what is left when a part is taken out is our reading of the text:

================  =========================================================================================================
baseline          ``memory=False``: a refinement is residual blocks and the up block; the words are not read at all
+M                ``writing_gate=False, response_gate=False``: slots are projected words (Eq. 3), the answer is concatenated (Eq. 6)
+M +WG            ``response_gate=False``: slots are written by the gate (Eqs. 7, 8), the answer concatenated
+M +WG +RG        the full model
================  =========================================================================================================

The residual blocks have twice the map's channels in each: concat(picture, answer) without the response gate, concat(x, x) with it (as
published) and in the baseline. So the ablations differ in nothing but the parts they name.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from dmm.config import ModelConfig
from dmm.errors import InputError
from dmm.models.blocks import ResidualBlocks, UpBlock
from dmm.models.memory_stage import MemoryStage
from dmm.models.multistage import Conditions, MultiStage, Refinement
from dmm.models.registry import register_model
from dmm.trace import StageTrace


class PlainStage(Refinement):
    """The ablation's baseline: a refinement that reads no text.

    Args:
        width: channels C of the incoming map; the residual blocks have 2C.
        outputs: channels of the outgoing map.
        residuals: number of residual blocks.
    """

    def __init__(self, width: int, outputs: int, residuals: int = 2):
        super().__init__()
        self.residuals = ResidualBlocks(2 * width, residuals)
        self.up = UpBlock(2 * width, outputs)

    def forward(self, features: Tensor, conditions: Conditions) -> StageTrace:
        """Map B C H W -> a trace with ``hidden`` B outputs 2H 2W and nothing of a memory."""
        return StageTrace(hidden=self.up(self.residuals(features, doubled=True)))


class DMGAN(MultiStage):
    """The DM-GAN generator; see :meth:`dmm.models.multistage.MultiStage.forward` for the call.

    Args:
        text_dim: word and sentence features, channels.
        condition_dim: numbers in the conditioning code.
        noise_dim: numbers in z.
        widths: channels of the maps at 64, 128 and 256 px; published: all equal.
        residuals: residual blocks a refinement stage.
        memory: M, the memory of the words.
        writing_gate: WG, Eqs. 7 and 8.
        response_gate: RG, Eq. 9; without it Eq. 6.
        mask_pairing: "right", or "published" for the published tiling of the word mask.

    Raises:
        ValueError: a gate without the memory that it belongs to.
    """

    def __init__(
        self,
        text_dim: int = 256,
        condition_dim: int = 100,
        noise_dim: int = 100,
        widths: Sequence[int] = (64, 64, 64),
        residuals: int = 2,
        memory: bool = True,
        writing_gate: bool = True,
        response_gate: bool = True,
        mask_pairing: str = "right",
    ):
        if not memory and (writing_gate or response_gate):
            raise InputError("without a memory there is nothing to gate: set writing_gate and response_gate to false too")

        def stage(width: int, outputs: int) -> Refinement:
            if not memory:
                return PlainStage(width, outputs, residuals)
            return MemoryStage(text_dim, width, outputs, residuals, mask_pairing, writing_gate, response_gate)

        refinements = [stage(width, outputs) for width, outputs in zip(widths, widths[1:], strict=False)]
        super().__init__(text_dim, condition_dim, noise_dim, widths, refinements)


@register_model(
    "dmgan",
    paper="Zhu et al., DM-GAN, CVPR 2019",
    adds="to AttnGAN, a memory that the words are written into, with a writing gate and a response gate",
    reference="DM-GAN, commit d515995b",
    losses=("adversarial", "kl", "damsm"),
)
def dmgan(config: ModelConfig) -> DMGAN:
    """DM-GAN, or one of its ablations, as a config describes it."""
    return DMGAN(
        config.text_dim,
        config.condition_dim,
        config.noise_dim,
        config.widths,
        config.residuals,
        config.memory,
        config.writing_gate,
        config.response_gate,
        config.mask_pairing,
    )
