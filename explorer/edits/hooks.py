"""Forward hooks that carry out edits: one function for each kind of record, on the modules whose outputs carry the quantities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import overload

import torch
from torch import Tensor, nn

from dmm.models.memory import KeyAddressing
from explorer.edits import records
from explorer.edits.parts import change_output, module_of, stages_of
from explorer.edits.pathways import changes_reading, reading_hooks
from explorer.edits.sentence import Sentence, places_of, require_sentence
from explorer.statistics import cells


@overload
@contextmanager
def attached(pipe, *edits: records.Edit, caption: str) -> Iterator[str]: ...


@overload
@contextmanager
def attached(pipe, *edits: records.Edit, caption: None = None) -> Iterator[None]: ...


@contextmanager
def attached(pipe, *edits: records.Edit, caption: str | None = None) -> Iterator[str | None]:
    """Apply edits, in order, to every picture generated inside the ``with`` block.

    Args:
        pipe: a :class:`dmm.pipeline.Pipeline`.
        edits: records of :mod:`explorer.edits.records`.
        caption: the sentence that will be generated; needed by edits that name a word.

    Yields:
        the caption to generate: with the edits of the caption itself, else as given.

    Raises:
        EditError: an edit that does not fit the system or the caption. What depends on the caption that is generated (a position outside
            it, no word left to read, another number of words) is said within the block, when it is generated. Nothing stays attached.
    """
    sentence = None if caption is None else Sentence.read(pipe, caption)
    for edit in edits:
        if isinstance(edit, (records.Mute, records.Exchange)) and edit.where == "caption":
            sentence = require_sentence(sentence, edit.word).edited(edit)
    with ExitStack() as stack:
        for edit in edits:
            for handle in _HOOKS[type(edit)](edit, pipe, sentence):
                stack.callback(handle.remove)
        reads = [edit for edit in edits if changes_reading(edit)]
        for handle in reading_hooks(reads, pipe, sentence):
            stack.callback(handle.remove)
        yield caption if sentence is None or not sentence.changed else sentence.text


def _mute(edit: records.Mute, pipe, sentence: Sentence | None) -> list:
    if edit.where != "memory":
        return []
    places = places_of(sentence, edit.word)

    def hide(_module: nn.Module, inputs: tuple) -> tuple:
        features, key, mask = inputs
        if max(places) >= mask.shape[1]:
            raise records.EditError(f"position {max(places)} is outside the caption's {mask.shape[1]} tokens")
        mask = mask.clone()
        mask[:, places] = True
        if mask.all(dim=1).any():
            raise records.EditError(f"muting {edit.word!r} would leave no word to read")
        return features, key, mask

    return [module_of(stage, "addressing").register_forward_pre_hook(hide) for stage in stages_of(pipe, edit.stages)]


def _clamp_writing_gate(edit: records.ClampWritingGate, pipe, sentence: Sentence | None) -> list:
    places = slice(None) if edit.word is None else places_of(sentence, edit.word)

    def clamp(gate: Tensor) -> Tensor:  # B 1 T
        gate = gate.clone()
        gate[..., places] = edit.value
        return gate

    return [change_output(module_of(stage, "writing_gate"), clamp) for stage in stages_of(pipe, edit.stages)]


def _clamp_response_gate(edit: records.ClampResponseGate, pipe, _sentence: Sentence | None) -> list:
    def clamp(gate: Tensor) -> Tensor:  # B 3 H W, or B 1 H W = the share of the words
        shares = [edit.words] if gate.shape[1] == 1 else [edit.image, edit.words, edit.global_]
        rows, columns = cells(edit.region, *gate.shape[-2:])
        gate = gate.clone()
        gate[:, :, rows, columns] = gate.new_tensor(shares)[None, :, None, None]
        return gate

    chosen = stages_of(pipe, edit.stages)
    modules = [module_of(stage, "response_gate") for stage in chosen]
    if edit.global_ and any(getattr(stage, "global_memory", None) is None for stage in chosen):
        raise records.EditError("this system has no global memory to take a share from")
    return [change_output(module, clamp) for module in modules]


def _drop_global(edit: records.DropGlobal, pipe, _sentence: Sentence | None) -> list:
    def drop(gate: Tensor) -> Tensor:  # B 3 H W
        kept = gate[:, :2] / gate[:, :2].sum(dim=1, keepdim=True).clamp_min(torch.finfo(gate.dtype).tiny)
        return torch.cat((kept, torch.zeros_like(gate[:, :1])), dim=1)

    chosen = stages_of(pipe, edit.stages)
    if any(getattr(stage, "global_memory", None) is None for stage in chosen):
        raise records.EditError("this system has no global memory to drop")
    return [change_output(module_of(stage, "response_gate"), drop) for stage in chosen]


def _uniform_addressing(edit: records.UniformAddressing, pipe, _sentence: Sentence | None) -> list:
    def even(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if not isinstance(module, KeyAddressing):
            raise records.EditError(f"expected key addressing, found {type(module).__name__}")
        _features, _key, mask = inputs
        height, width = output.shape[2:]
        read = (~module.pair(mask, height * width)).to(output.dtype)  # B T 1, or B T Q
        read = (read / read.sum(dim=1, keepdim=True)).expand(-1, -1, height * width)
        return read.unflatten(2, (height, width)).contiguous()

    return [module_of(stage, "addressing").register_forward_hook(even) for stage in stages_of(pipe, edit.stages)]


def _freeze_noise(edit: records.FreezeNoise, pipe, _sentence: Sentence | None) -> list:
    if edit.part == "eps" and getattr(pipe.generator, "conditioning", None) is None:
        raise records.EditError("this system has no conditioning augmentation, and so no noise of it to freeze")
    index = {"z": 0, "eps": 1}[edit.part]

    def freeze(_module: nn.Module, inputs: tuple) -> tuple:
        sentence, words, mask, *noises = inputs
        given = noises[index]
        held = torch.zeros_like(given) if edit.seed is None else pipe.noise([edit.seed])[index].to(given).expand_as(given)
        noises[index] = held
        return sentence, words, mask, *noises

    return [pipe.generator.register_forward_pre_hook(freeze)]


def _no_hook(_edit, _pipe, _sentence) -> list:
    """An exchange changes what is read; see :func:`reading_hooks`."""
    return []


_HOOKS: dict[type, Callable[..., list]] = {
    records.Mute: _mute,
    records.Exchange: _no_hook,
    records.ClampWritingGate: _clamp_writing_gate,
    records.ClampResponseGate: _clamp_response_gate,
    records.DropGlobal: _drop_global,
    records.UniformAddressing: _uniform_addressing,
    records.FreezeNoise: _freeze_noise,
}
