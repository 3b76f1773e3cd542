"""Scales that a new generator starts with, measured on captions. Training aids; none is in the papers.

Features of a trained text encoder differ little from word to word and from caption to caption. A generator with the usual initialisation
then learns for a long time that captions say nothing, and its memory that all words are one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from dmm.models.blocks import ConditioningAugmentation
from dmm.models.memory_stage import MemoryStage
from dmm.trace import Trace
from dmm.training.frozen import Text


@torch.no_grad()
def calibrate(conditioning: ConditioningAugmentation, sentence: Tensor, size: int) -> None:
    """Scale the conditioning layer so that the mean code has unit variance over captions and the noise a fifth of it.

    Sentence features of a trained encoder can be a tenth as large as the noise that conditioning augmentation adds.

    Args:
        conditioning: of a generator, with its ``linear`` D -> 4K.
        sentence: B D of many captions.
        size: K.
    """
    linear = conditioning.linear
    spread = linear(sentence)[:, :size].std(0)  # K
    linear.weight[:size] *= 2 / spread[:, None]  # GLU halves it again: sigmoid(0) = 1/2
    linear.bias[:size] = -linear(sentence)[:, :size].mean(0)
    linear.bias[size : 2 * size] = -6.0  # log variance -3


@torch.no_grad()
def scale_words(refinements: Sequence[MemoryStage], text: Text) -> None:
    """Centre and scale each refinement's word projection to unit deviation over the words: slots that start out equal teach nothing."""
    for refinement in refinements:
        linear = refinement.word_projection.linear
        out = linear(text.words).transpose(1, 2)[~text.mask]  # M 2C
        scale = 1 / out.std(0)
        assert linear.bias is not None, "a projection has a bias"
        linear.bias.copy_((linear.bias - out.mean(0)) * scale)
        linear.weight.mul_(scale[:, None, None])


@torch.no_grad()
def spread_keys(refinements: Sequence[MemoryStage], generate: Callable[[int], Trace], spread: float, first: int = 1) -> None:
    """Scale the key layer of each refinement from number ``first``: logits then differ over the words by ``spread`` (deviation).

    As initialised the logits hardly differ, every place then reads the mean of all slots, and little tells the network which word to
    ask. Keys pass a ReLU, so scaling their layer scales the logits.

    Args:
        refinements: of a generator, with their ``key`` layers.
        generate: number of stages -> trace of some captions.
        spread: deviation asked for.
        first: number of the first refinement to scale; they are numbered from 1.
    """
    for number, refinement in list(enumerate(refinements, start=1))[first - 1 :]:
        trace = generate(number + 1)
        key, features = trace.stages[number].key, trace.stages[number - 1].hidden
        assert key is not None and features is not None and trace.mask is not None, "a memory leaves its key in the trace"
        logits = key.transpose(1, 2) @ features.flatten(2)  # B T Q
        word = ~trace.mask[:, :, None]
        count = word.sum(1, keepdim=True)
        mean = (logits * word).sum(1, keepdim=True) / count
        deviation = (((logits - mean) * word).pow(2).sum(1, keepdim=True) / count).mean().sqrt()
        for parameter in refinement.key.parameters():
            parameter.mul_(spread / deviation)
