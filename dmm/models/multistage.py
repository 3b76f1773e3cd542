"""Coarse to fine: conditioning, a first map at 64x64, then refinement stages, each followed by a picture.

Every multi-stage system is this one skeleton with other refinement stages, which are passed in. A refinement stage is a module called
with the map, or the picture, so far and a :class:`Conditions`; it returns a :class:`dmm.trace.StageTrace` whose ``hidden`` is the finer
map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from dmm.errors import InputError
from dmm.models.blocks import ConditioningAugmentation, ImageHead, InitialStage, ResidualBlocks, initialise
from dmm.models.modules import Modules
from dmm.trace import StageTrace, Trace


@dataclass(frozen=True)
class Conditions:
    """What a refinement stage may read of the text."""

    sentence: Tensor  # B D
    words: Tensor | None  # B D T; None for a system that reads no words
    mask: Tensor | None  # B T, true = not a word
    code: Tensor  # B K sampled conditioning code


class Refinement(nn.Module):
    """A refinement stage of any system: it reads the text in its own way, then come residual blocks and an up block."""

    residuals: ResidualBlocks
    up: nn.Module
    reads_picture = False  # True: it is called with the picture so far, B 3 S S, and not with the map

    def forward(self, features: Tensor, conditions: Conditions) -> StageTrace:
        """Map B C H W -> the trace of this stage, with ``hidden``, a finer map."""
        raise NotImplementedError


class MultiStage(nn.Module):
    """A generator of pictures of several sizes: 64 px, then one for each refinement stage.

    Args:
        text_dim: word and sentence features, channels.
        condition_dim: numbers in the conditioning code.
        noise_dim: numbers in z.
        widths: channels of the map at 64 px and after each refinement stage.
        refinements: one module a further stage.
        one_head: generate the last picture only; the stages before it have none.

    Raises:
        ValueError: not one more width than refinement stages.
    """

    def __init__(
        self,
        text_dim: int,
        condition_dim: int,
        noise_dim: int,
        widths: Sequence[int],
        refinements: Sequence[Refinement],
        one_head: bool = False,
    ):
        super().__init__()
        if len(widths) != len(refinements) + 1:
            raise InputError(f"{len(refinements)} refinement stages need {len(refinements) + 1} widths, found {tuple(widths)}")
        self.text_dim, self.condition_dim, self.noise_dim = text_dim, condition_dim, noise_dim
        self.conditioning = ConditioningAugmentation(text_dim, condition_dim)
        self.initial = InitialStage(condition_dim, noise_dim, widths[0])
        self.refinements: Modules[Refinement] = Modules(refinements)
        self.heads: Modules[ImageHead] = Modules(ImageHead(width) for width in (widths[-1:] if one_head else widths))
        initialise(self)

    def forward(
        self, sentence: Tensor, words: Tensor | None, mask: Tensor | None, noise: Tensor, eps: Tensor, stages: int | None = None
    ) -> Trace:
        """Generate pictures.

        Args:
            sentence: B D sentence features.
            words: B D T word features; None for a system that reads no words.
            mask: B T, true = this position is not a word; at least one word a row.
            noise: B Z standard normal.
            eps: B K standard normal, of the conditioning code.
            stages: how many stages to compute; all by default.
        """
        code, mean, logvar = self.conditioning(sentence, eps)
        conditions = Conditions(sentence, words, mask, code)
        record = StageTrace(hidden=self.initial(code, noise))
        trace = Trace(code=code, mean=mean, logvar=logvar, mask=mask)
        for index, head in list(enumerate(self._heads()))[:stages]:
            if index:
                stage = self.refinements[index - 1]
                record = stage(record.image if stage.reads_picture else record.hidden, conditions)
            record.image = None if head is None else head(record.hidden)
            trace.stages.append(record)
        return trace

    def _heads(self) -> list[nn.Module | None]:
        """The image head of each stage, if it has one."""
        return [None] * (len(self.refinements) + 1 - len(self.heads)) + list(self.heads)


def as_multi_stage(generator: nn.Module) -> MultiStage:
    """A generator that is known to be one of several stages."""
    assert isinstance(generator, MultiStage), type(generator).__name__
    return generator
