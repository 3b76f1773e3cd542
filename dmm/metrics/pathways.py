"""The pathways on which a word reaches a picture, and pictures with the word exchanged on one of them alone.

A multi-stage generator reads a caption at several places: the first stage reads the conditioning code of the sentence; each refinement
stage reads the words (the memory of DM-GAN and DMM-GAN, the attention of AttnGAN and MirrorGAN), and some read the code once more
(DMM-GAN's global memory, MirrorGAN's sentence attention, the joining of StackGAN++). A :class:`Pathway` names some of these reads; inside
:func:`exchanged` exactly these read another text, through ordinary forward pre-hooks of the refinement stages. With the same z and eps,
the difference of the pictures is the effect that passes through the pathway (causal mediation analysis: total, direct and indirect
effect; Pearl, UAI 2001; Vig et al., NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import overload

import torch
from torch import Tensor, nn

from dmm.models.multistage import Conditions
from dmm.trace import StageTrace, Trace

FIRST = 64  # px, the first stage's picture; each refinement doubles it
#: Module of a refinement stage that reads the conditioning code -> name of its pathway.
CODE_READERS = {"global_memory": "global", "sentence_projection": "sentence_attention", "joint": "joining"}


@dataclass(frozen=True)
class Pathway:
    """Some of a generator's reads of the text. Refinement stages count from 1, which generates 128 px."""

    initial: bool = False  # the first stage's read of the conditioning code
    code: tuple[int, ...] = ()  # refinement stages whose read of the code
    words: tuple[int, ...] = ()  # refinement stages whose read of the words


@dataclass(frozen=True)
class Text:
    """What generators read of B captions."""

    sentence: Tensor  # B D
    words: Tensor  # B D T
    mask: Tensor  # B T, true = not a word
    code: Tensor | None = None  # B K conditioning code; None for a generator without

    def rows(self, which: slice | Sequence[int] | Tensor) -> Text:
        """The text of some of the captions."""
        code = None if self.code is None else self.code[which]
        return Text(self.sentence[which], self.words[which], self.mask[which], code)


def word_stages(generator: nn.Module) -> tuple[int, ...]:
    """Refinement stages that address words, by number from 1."""
    return tuple(k for k, stage in enumerate(_refinements(generator), 1) if getattr(stage, "addressing", None) is not None)


def code_stages(generator: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name of a pathway -> refinement stages that read the conditioning code in this way."""
    found: dict[str, tuple[int, ...]] = {}
    for number, stage in enumerate(_refinements(generator), 1):
        for module, name in CODE_READERS.items():
            if getattr(stage, module, None) is not None:
                found[name] = (*found.get(name, ()), number)
    return found


def pathways(generator: nn.Module) -> dict[str, Pathway]:
    """The pathways that a generator has, by name.

    ``total``: every read. ``initial``: the first stage's code, the direct effect. ``memory_128``, ``memory_256``: the words read by that
    stage; ``memory``: those of all stages. ``global``, ``sentence_attention`` or ``joining``: the code read by the refinements.
    ``sentence``: every read of the code. A generator without refinements has ``total`` alone.
    """
    stages, words, codes = len(_refinements(generator)), word_stages(generator), code_stages(generator)
    if not stages:
        return {"total": Pathway(initial=True)}
    everything = tuple(range(1, stages + 1))
    found = {"total": Pathway(True, everything, everything), "initial": Pathway(initial=True)}
    found |= {f"memory_{FIRST << k}": Pathway(words=(k,)) for k in words}
    if words:
        found["memory"] = Pathway(words=words)
    found |= {name: Pathway(code=numbers) for name, numbers in codes.items()}
    if codes:
        found["sentence"] = Pathway(True, everything)
    return found


def parts_of_total(names: Sequence[str]) -> list[str]:
    """The pathways that together are all of ``total`` and do not overlap."""
    return [name for name in ("initial", "memory", *CODE_READERS.values()) if name in names]


@torch.no_grad()
def read_text(pipe, captions: Sequence[str], eps: Tensor) -> Text:
    """Captions as a pipeline's generator reads them; eps B K as of ``pipe.noise``."""
    words, sentence, mask, _ = pipe.encode(captions)
    conditioning = getattr(pipe.generator, "conditioning", None)
    return Text(sentence, words, mask, None if conditioning is None else conditioning(sentence, eps)[0])


@contextmanager
def exchanged(generator: nn.Module, pathway: Pathway, text: Text, other: Text) -> Iterator[Text]:
    """Inside, the refinements' reads of a pathway are of ``other``, all other reads of ``text``; yields what the first stage shall read."""
    handles = []
    try:
        for number, stage in enumerate(_refinements(generator), 1):
            words, code = (other if number in chosen else text for chosen in (pathway.words, pathway.code))
            handles.append(stage.register_forward_pre_hook(_give(words, code)))
        yield other if pathway.initial else text
    finally:
        for handle in handles:
            handle.remove()


def _give(words: Text, code: Text):
    """A forward pre-hook that gives a stage these words and this code. A map, or a text, of one row stands for all rows."""

    def give(_module: nn.Module, inputs: tuple) -> tuple[Tensor, Conditions]:
        features, conditions = inputs
        rows = max(len(features), len(words.words), len(code.sentence))
        reads = {"sentence": code.sentence, "code": code.code, "words": words.words, "mask": words.mask}
        return _rows(features, rows), replace(conditions, **{name: _rows(value, rows) for name, value in reads.items()})

    return give


@overload
def _rows(value: Tensor, count: int) -> Tensor: ...


@overload
def _rows(value: Tensor | None, count: int) -> Tensor | None: ...


def _rows(value: Tensor | None, count: int) -> Tensor | None:
    """One row as ``count`` equal rows; what has so many is left as it is."""
    return value if value is None or len(value) == count else value.expand(count, *value.shape[1:])


@torch.no_grad()
def generate(
    generator: nn.Module, text: Text, noise: Tensor, eps: Tensor, pathway: Pathway | None = None, other: Text | None = None
) -> Trace:
    """Generate B pictures of ``text``, with the reads of a pathway, if one is given, from ``other``.

    One row of ``text``, noise and eps may stand for all rows of ``other``; stages before the first exchanged read then compute one row.

    Args:
        generator: as :func:`dmm.pipeline.load` gives it.
        text: of B captions, or of one.
        noise, eps: B Z and B K, or 1 Z and 1 K.
        pathway: which reads are of ``other``.
        other: B captions, padded to the same T.
    """
    if pathway is None:
        return generator(text.sentence, text.words, text.mask, noise, eps)
    assert other is not None, "a pathway reads another caption"
    with exchanged(generator, pathway, text, other) as first:
        rows = len(first.sentence)
        return generator(first.sentence, _rows(text.words, rows), _rows(text.mask, rows), _rows(noise, rows), _rows(eps, rows))


def word_maps(stage: StageTrace) -> Tensor | None:
    """Where each word is read, B T H W: key addressing, or AttnGAN's and MirrorGAN's word attention."""
    return stage.word_attention if stage.addressing is None else stage.addressing


def _refinements(generator: nn.Module) -> Sequence[nn.Module]:
    return getattr(generator, "refinements", ())
