"""DMM-GAN: dual dynamic memory (F. Lynggaard, 2020) on top of DM-GAN (Zhu et al., CVPR 2019).

DM-GAN refines a picture by writing the words into a memory and letting every place of the picture read it. DMM-GAN adds a *global* memory
with one slot (GLDM), written from the conditioning code of the whole sentence, and a three-way response gate over image, words and
sentence; and it has the picture described again (STREAM, as MirrorGAN does), which is a loss of training, not a part of this network.
Without the global memory the network is DM-GAN's.

The refinement itself is :class:`dmm.models.memory_stage.MemoryStage`; read :meth:`GlobalMemory.forward` from top to bottom: write
(as DM-GAN's Eqs. 7 and 8 write a word), address, read. Published details kept: image projection, key and value layers are the word memory's
own; the slot is written from the *sampled* code, not from the sentence feature; having no other slots to compete with, it is addressed by a
softmax over the channels.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.models.memory import GlobalAddressing, GlobalReading, MemoryWriting, Projection, WritingGate
from dmm.models.memory_stage import MemoryStage
from dmm.models.multistage import Conditions, MultiStage
from dmm.models.registry import register_model
from dmm.trace import StageTrace


class GlobalMemory(nn.Module):
    """The single slot of the whole sentence: its writing gate, its projection, and how it is addressed and read.

    Args:
        condition_dim: numbers in the conditioning code.
        width: channels C of the map.
    """

    def __init__(self, condition_dim: int, width: int):
        super().__init__()
        self.writing_gate = WritingGate(condition_dim, width)
        self.code_projection = Projection(condition_dim, 2 * width)
        self.writing = MemoryWriting()
        self.addressing = GlobalAddressing()
        self.reading = GlobalReading()

    def forward(
        self,
        features: Tensor,
        average: Tensor,
        image_slot: Tensor,
        conditions: Conditions,
        key: nn.Module,
        value: nn.Module,
        trace: StageTrace,
    ) -> Tensor:
        """Write the slot, ask it, and note everything in the trace.

        Args:
            features: B C H W, the map that asks.
            average: B C, its average.
            image_slot: B 2C 1, the average projected by the word memory.
            conditions: of which the conditioning code is read.
            key: the word memory's key layer.
            value: the word memory's value layer.
            trace: where the ``global_...`` fields are filled.

        Returns:
            the answer B C H W.
        """
        code = conditions.code[:, :, None]  # B K 1
        trace.global_gate = self.writing_gate(code, average)  # B 1 1
        trace.global_memory = self.writing(trace.global_gate, self.code_projection(code), image_slot)  # B 2C 1
        trace.global_key, trace.global_value = key(trace.global_memory), value(trace.global_memory)  # B C 1
        trace.global_weights = self.addressing(features, trace.global_key)
        trace.global_response = self.reading(trace.global_weights, trace.global_value)
        return trace.global_response


class DMMGAN(MultiStage):
    """The DMM-GAN generator; see :meth:`dmm.models.multistage.MultiStage.forward` for the call.

    Args:
        text_dim: word and sentence features, channels.
        condition_dim: numbers in the conditioning code.
        noise_dim: numbers in z.
        widths: channels of the maps at 64, 128 and 256 px; published: all equal.
        residuals: residual blocks a refinement stage.
        global_memory: GLDM, the single global slot and the three-way response gate.
        mask_pairing: "right", or "published" for the published tiling of the word mask.
    """

    def __init__(
        self,
        text_dim: int = 256,
        condition_dim: int = 100,
        noise_dim: int = 100,
        widths: Sequence[int] = (64, 64, 64),
        residuals: int = 2,
        global_memory: bool = True,
        mask_pairing: str = "right",
    ):
        def stage(width: int, outputs: int) -> MemoryStage:
            further = GlobalMemory(condition_dim, width) if global_memory else None
            return MemoryStage(text_dim, width, outputs, residuals, mask_pairing, global_memory=further)

        refinements = [stage(width, outputs) for width, outputs in zip(widths, widths[1:], strict=False)]
        super().__init__(text_dim, condition_dim, noise_dim, widths, refinements)


@register_model(
    "dmmgan",
    paper="F. Lynggaard, DMM-GAN, master's thesis, 2020",
    adds="to DM-GAN, a global memory, a three-way response gate and redescription (STREAM)",
    reference="DMM-GAN, commit 47cb5433",
    losses=("adversarial", "kl", "stream", "damsm"),
    convention="dmm",
)
def dmmgan(config: ModelConfig) -> DMMGAN:
    """DMM-GAN as a config describes it."""
    return DMMGAN(
        config.text_dim, config.condition_dim, config.noise_dim, config.widths, config.residuals, config.global_memory, config.mask_pairing
    )
