"""Interventions: change one named quantity while a caption is painted, and see what the picture owed to it.

Each edit is a small record that attaches ordinary forward hooks to the module whose output carries the quantity, and removes them again,
whatever happens in between::

    with attached(pipe, Mute("red"), DropGlobal(), caption="a red bird"):
        trace = pipe("a red bird", seed=3)

The Trace then holds what the network computed *with* the edit. Without edits nothing is attached, so the numbers are the very same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class EditError(ValueError):
    """An edit that this system or caption does not allow, and why."""


@contextmanager
def attached(pipe, *edits, caption: str | None = None) -> Iterator[None]:
    """Apply edits, in order, to every picture painted inside the ``with`` block.

    Args:
        pipe: a :class:`dmm.pipeline.Pipeline`.
        edits: records of this module.
        caption: the sentence to be painted; needed by edits that name a word.

    Raises:
        EditError: an edit that does not fit; nothing stays attached.
    """
    with ExitStack() as stack:
        for edit in edits:
            stack.enter_context(edit.attached(pipe, caption))
        yield


class _Edit:
    """Shared by all edits: attach the hooks of every chosen stage, remove them in ``finally``."""

    stages: tuple[int, ...] | None

    @contextmanager
    def attached(self, pipe, caption: str | None = None) -> Iterator[None]:
        """This edit alone, as a context manager.

        Raises:
            EditError: the system does not have the quantity, or the caption does not have the word.
        """
        handles = []
        try:
            for stage in _stages(pipe, self.stages):
                handles.append(self._hook(stage, pipe, caption))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, stage: nn.Module, pipe, caption: str | None):
        raise NotImplementedError


@dataclass(frozen=True)
class Mute(_Edit):
    """No place may read this word: its slot is masked in the key addressing (Eq. 4), and the other words share what it had.

    The sentence feature, from which the first picture is painted, still contains the word.
    """

    word: str | int  # all occurrences of a word, or one position on the T axis
    stages: tuple[int, ...] | None = None  # numbers in ``trace.stages`` (1 paints 128 px); None = every stage with a memory

    def _hook(self, stage: nn.Module, pipe, caption: str | None):
        places = positions(pipe, caption, self.word)

        def hide(module: nn.Module, inputs: tuple) -> tuple:
            image, key, mask = inputs
            if max(places) >= mask.shape[1]:
                raise EditError(f"position {max(places)} is outside the caption's {mask.shape[1]} tokens")
            mask = mask.clone()
            mask[:, places] = True
            if mask.all(dim=1).any():
                raise EditError(f"muting {self.word!r} would leave no word to read")
            return image, key, mask

        return _module(stage, "addressing").register_forward_pre_hook(hide)


@dataclass(frozen=True)
class ClampWritingGate(_Edit):
    """Write every word (or one) with this share, whatever the gate says (Eq. 7): 0 writes only the picture, 1 only the word."""

    value: float  # 0 to 1
    word: str | int | None = None  # None = all words
    stages: tuple[int, ...] | None = None

    def __post_init__(self):
        if not 0 <= self.value <= 1:
            raise EditError(f"a writing gate is a share between 0 and 1, found {self.value}")

    def _hook(self, stage: nn.Module, pipe, caption: str | None):
        places = None if self.word is None else positions(pipe, caption, self.word)

        def clamp(gate: Tensor) -> Tensor:  # B 1 T
            gate = gate.clone()
            gate[..., slice(None) if places is None else places] = self.value
            return gate

        return _after(_module(stage, "writing_gate"), clamp)


@dataclass(frozen=True)
class ClampResponseGate(_Edit):
    """Let every place take the same shares of its answer from image, words and global memory (Eq. 8): they add up to 1."""

    image: float
    words: float
    global_: float = 0.0
    stages: tuple[int, ...] | None = None

    def __post_init__(self):
        shares = (self.image, self.words, self.global_)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise EditError(f"the shares of image, words and global memory must be 0 to 1 and add up to 1, found {shares}")

    def _hook(self, stage: nn.Module, pipe, caption: str | None):
        def clamp(gate: Tensor) -> Tensor:  # B 3 H W, or B 1 H W = the share of the words
            if gate.shape[1] == 1 and self.global_:
                raise EditError("this system has no global memory to take a share from")
            shares = [self.words] if gate.shape[1] == 1 else [self.image, self.words, self.global_]
            return gate.new_tensor(shares)[None, :, None, None].expand_as(gate).contiguous()

        return _after(_module(stage, "response_gate"), clamp)


@dataclass(frozen=True)
class DropGlobal(_Edit):
    """Answer without the global memory: its share goes to image and words in the proportion that they had (the softmax over two)."""

    stages: tuple[int, ...] | None = None

    def _hook(self, stage: nn.Module, pipe, caption: str | None):
        if getattr(stage, "global_memory", None) is None:
            raise EditError("this system has no global memory to drop")

        def drop(gate: Tensor) -> Tensor:  # B 3 H W
            kept = gate[:, :2] / gate[:, :2].sum(dim=1, keepdim=True).clamp_min(torch.finfo(gate.dtype).tiny)
            return torch.cat((kept, torch.zeros_like(gate[:, :1])), dim=1)

        return _after(_module(stage, "response_gate"), drop)


def positions(pipe, caption: str | None, word: str | int) -> list[int]:
    """Where a word stands on the T axis of the trace.

    Raises:
        EditError: no caption given, or the word is not among its known words.
    """
    if isinstance(word, int):
        if word < 0:
            raise EditError(f"a position counts from 0, found {word}")
        return [word]
    if caption is None:
        raise EditError(f"to find {word!r}, say which caption will be painted: attached(pipe, ..., caption=...)")
    wanted = pipe.vocab.ids.get(word.lower())
    found = [i for i, token in enumerate(pipe.vocab.encode(caption)) if token == wanted]
    if not found:
        raise EditError(f"{word!r} is not among the known words of “{caption}”")
    return found


def _stages(pipe, numbers: tuple[int, ...] | None) -> list[nn.Module]:
    refinements = list(getattr(pipe.generator, "refinements", []))
    if not refinements:
        raise EditError("this system has no refinement stages to edit")
    for number in numbers or ():
        if not 1 <= number <= len(refinements):
            raise EditError(f"stages with a memory are 1 to {len(refinements)}, found {number}")
    return refinements if numbers is None else [refinements[number - 1] for number in numbers]


def _module(stage: nn.Module, name: str) -> nn.Module:
    module = getattr(stage, name, None)
    if module is None:
        raise EditError(f"this system has no {name.replace('_', ' ')}")
    return module


def _after(module: nn.Module, change: Callable[[Tensor], Tensor]):
    return module.register_forward_hook(lambda _module, _inputs, output: change(output))
