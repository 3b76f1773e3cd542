"""DMM-GAN: dual dynamic memory (F. Lynggaard, 2020) on top of DM-GAN (Zhu et al., CVPR 2019).

DM-GAN refines a picture by writing the words into a memory and letting every place of the picture read it. DMM-GAN adds a *global* memory
with one slot, written from the conditioning code of the whole sentence, and a three-way response gate over image, words and sentence.
Without the global memory the network is DM-GAN's.

Read :meth:`MemoryStage.forward` from top to bottom: write (Eqs. 6-7), address (Eq. 4), read (Eq. 5), respond (Eqs. 8-9), refine.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.models.blocks import ResidualBlock, UpBlock
from dmm.models.memory import (
    GlobalAddressing,
    GlobalReading,
    KeyAddressing,
    MemoryWriting,
    Projection,
    Response,
    ResponseGate,
    ValueReading,
    WritingGate,
)
from dmm.models.multistage import Conditions, MultiStage
from dmm.models.registry import register_model
from dmm.trace import StageTrace


class GlobalMemory(nn.Module):
    """The single slot of the whole sentence: its writing gate, its projection, and how it is addressed and read.

    The image projection, key and value layers are the word memory's own, as published; the stage passes their outputs in.

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

    def write(self, code: Tensor, average: Tensor, image_slot: Tensor) -> tuple[Tensor, Tensor]:
        """Code B K, average B C, projected average B 2C 1 -> gate B 1 1 and slot B 2C 1."""
        code = code[:, :, None]  # B K 1
        gate = self.writing_gate(code, average)
        return gate, self.writing(gate, self.code_projection(code), image_slot)


class MemoryStage(nn.Module):
    """One refinement: the map asks the memory, takes the answers in, and doubles its size.

    Args:
        text_dim: channels of the word features.
        condition_dim: numbers in the conditioning code.
        width: channels C of the incoming map; the memory and the residual blocks have 2C.
        outputs: channels of the outgoing map.
        residuals: number of residual blocks.
        global_memory: add the global slot.
        mask_pairing: see :class:`dmm.models.memory.KeyAddressing`.
    """

    def __init__(
        self,
        text_dim: int,
        condition_dim: int,
        width: int,
        outputs: int,
        residuals: int = 2,
        global_memory: bool = True,
        mask_pairing: str = "right",
    ):
        super().__init__()
        self.writing_gate = WritingGate(text_dim, width)
        self.word_projection = Projection(text_dim, 2 * width)
        self.image_projection = Projection(width, 2 * width)
        self.writing = MemoryWriting()
        self.key = Projection(2 * width, width)
        self.value = Projection(2 * width, width)
        self.addressing = KeyAddressing(mask_pairing)
        self.reading = ValueReading()
        self.global_memory = GlobalMemory(condition_dim, width) if global_memory else None
        self.response_gate = ResponseGate(width, 2 if global_memory else 1)
        self.response = Response()
        self.residuals = nn.ModuleList(ResidualBlock(2 * width) for _ in range(residuals))
        self.up = UpBlock(2 * width, outputs)

    def forward(self, image: Tensor, conditions: Conditions) -> StageTrace:
        """Map B C H W -> the trace of this stage, with ``hidden`` B outputs 2H 2W; the picture is painted by the caller."""
        trace = StageTrace()
        average = image.detach().mean((2, 3))  # B C
        image_slot = self.image_projection(average[:, :, None])  # B 2C 1
        trace.writing_gate = self.writing_gate(conditions.words, average)
        trace.memory = self.writing(trace.writing_gate, self.word_projection(conditions.words), image_slot)
        trace.key, trace.value = self.key(trace.memory), self.value(trace.memory)
        trace.addressing = self.addressing(image, trace.key, conditions.mask)
        trace.response = self.reading(trace.addressing, trace.value)
        answers = [trace.response]
        if self.global_memory is not None:
            answers.append(self._ask_global(trace, image, average, image_slot, conditions.code))
        trace.response_gate = self.response_gate(image, *answers)
        trace.hidden = self.up(self.refine(self.response(trace.response_gate, image, *answers)))
        return trace

    def _ask_global(self, trace: StageTrace, image: Tensor, average: Tensor, image_slot: Tensor, code: Tensor) -> Tensor:
        trace.global_gate, trace.global_memory = self.global_memory.write(code, average, image_slot)
        trace.global_key, trace.global_value = self.key(trace.global_memory), self.value(trace.global_memory)
        trace.global_weights = self.global_memory.addressing(image, trace.global_key)
        trace.global_response = self.global_memory.reading(trace.global_weights, trace.global_value)
        return trace.global_response

    def refine(self, x: Tensor) -> Tensor:
        """B C H W -> B 2C H W: concat(x, x) through the residual blocks."""
        if not self.residuals:
            return torch.cat((x, x), dim=1)
        x = self.residuals[0](x, doubled=True)
        for block in self.residuals[1:]:
            x = block(x)
        return x


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
        refinements = [
            MemoryStage(text_dim, condition_dim, width, outputs, residuals, global_memory, mask_pairing)
            for width, outputs in zip(widths, widths[1:], strict=False)
        ]
        super().__init__(text_dim, condition_dim, noise_dim, widths, refinements)


@register_model(
    "dmmgan",
    paper="F. Lynggaard, DMM-GAN, master's thesis, 2020",
    adds="a global memory, a three-way response gate and redescription (STREAM)",
)
def dmmgan(config: ModelConfig) -> DMMGAN:
    """DMM-GAN as a config describes it."""
    return DMMGAN(
        config.text_dim, config.condition_dim, config.noise_dim, config.widths, config.residuals, config.global_memory, config.mask_pairing
    )
