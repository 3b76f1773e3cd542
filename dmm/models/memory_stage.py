"""One refinement of a picture through a memory of the words, as DM-GAN and DMM-GAN do it.

Read :meth:`MemoryStage.forward` from top to bottom: write (DM-GAN Eqs. 3, 6-7), address (Eq. 4), read (Eq. 5), respond (Eqs. 8-9), refine.
Each gate can be left out, as in DM-GAN's ablation; a further memory, with an answer of its own, can be put beside that of the words.
"""

from __future__ import annotations

from torch import Tensor, nn

from dmm.models.blocks import ResidualBlocks, UpBlock
from dmm.models.memory import (
    Concatenation,
    KeyAddressing,
    MemoryWriting,
    Projection,
    Response,
    ResponseGate,
    ValueReading,
    WritingGate,
)
from dmm.models.multistage import Conditions
from dmm.trace import StageTrace


class MemoryStage(nn.Module):
    """One refinement: the map asks the memory, takes the answers in, and doubles its size.

    Args:
        text_dim: channels of the word features.
        width: channels C of the incoming map; the memory and the residual blocks have 2C.
        outputs: channels of the outgoing map.
        residuals: number of residual blocks.
        mask_pairing: see :class:`dmm.models.memory.KeyAddressing`.
        writing_gate: mix each word with the picture, Eqs. 6-7; without, a slot is the projected word alone, Eq. 3.
        response_gate: weigh picture and answer at each place, Eqs. 8-9; without, they are concatenated.
        global_memory: a further memory, called with the map B C H W, its average B C, the average projected B 2C 1, the conditions, this
            stage's key and value layers, and the trace that it fills; it returns its answer B C H W.

    Raises:
        ValueError: a further memory without writing gate or without response gate.
    """

    def __init__(
        self,
        text_dim: int,
        width: int,
        outputs: int,
        residuals: int = 2,
        mask_pairing: str = "right",
        writing_gate: bool = True,
        response_gate: bool = True,
        global_memory: nn.Module | None = None,
    ):
        super().__init__()
        if global_memory is not None and not (writing_gate and response_gate):
            raise ValueError("a global memory needs the writing gate and the response gate")
        self.writing_gate = WritingGate(text_dim, width) if writing_gate else None
        self.word_projection = Projection(text_dim, 2 * width)
        self.image_projection = Projection(width, 2 * width) if writing_gate else None
        self.writing = MemoryWriting() if writing_gate else None
        self.key = Projection(2 * width, width)
        self.value = Projection(2 * width, width)
        self.addressing = KeyAddressing(mask_pairing)
        self.reading = ValueReading()
        self.global_memory = global_memory
        self.response_gate = ResponseGate(width, 1 if global_memory is None else 2) if response_gate else None
        self.response = Response() if response_gate else Concatenation()
        self.residuals = ResidualBlocks(2 * width, residuals)
        self.up = UpBlock(2 * width, outputs)

    def forward(self, image: Tensor, conditions: Conditions) -> StageTrace:
        """Map B C H W -> the trace of this stage, with ``hidden`` B outputs 2H 2W; the picture is painted by the caller."""
        trace = StageTrace()
        average = image.detach().mean((2, 3))  # B C
        image_slot = self.image_projection(average[:, :, None]) if self.writing_gate is not None else None  # B 2C 1
        trace.memory = self.write(trace, conditions.words, average, image_slot)
        trace.key, trace.value = self.key(trace.memory), self.value(trace.memory)
        trace.addressing = self.addressing(image, trace.key, conditions.mask)
        trace.response = self.reading(trace.addressing, trace.value)
        answers = [trace.response]
        if self.global_memory is not None:
            answers.append(self.global_memory(image, average, image_slot, conditions, self.key, self.value, trace))
        x = self.respond(trace, image, *answers)
        trace.hidden = self.up(self.residuals(x, doubled=self.response_gate is not None))  # a gated response is doubled, as published
        return trace

    def write(self, trace: StageTrace, words: Tensor, average: Tensor, image_slot: Tensor | None) -> Tensor:
        """Words B D T -> slots B 2C T; a slot is the projected word, mixed with the projected picture if there is a gate."""
        slots = self.word_projection(words)
        if self.writing_gate is None:
            return slots
        trace.writing_gate = self.writing_gate(words, average)
        return self.writing(trace.writing_gate, slots, image_slot)

    def respond(self, trace: StageTrace, image: Tensor, *answers: Tensor) -> Tensor:
        """Image and answers, each B C H W -> B C H W by the gate, or B 2C H W concatenated without."""
        if self.response_gate is None:
            return self.response(image, *answers)
        trace.response_gate = self.response_gate(image, *answers)
        return self.response(trace.response_gate, image, *answers)
