"""Words that are read otherwise on one pathway: each stage is given a sentence of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeGuard

import torch
from torch import Tensor, nn

from dmm.metrics.pathways import CODE_READERS
from dmm.models.multistage import Conditions
from explorer.edits.parts import module_of, refinements, stages_of
from explorer.edits.records import Edit, EditError, Exchange, Mute
from explorer.edits.sentence import Sentence, require_sentence


def changes_reading(edit: Edit) -> TypeGuard[Mute | Exchange]:
    """Whether the edit gives a stage another sentence to read; a mute in the memory masks a slot instead."""
    if not isinstance(edit, (Mute, Exchange)):
        return False
    return edit.where in ("code", "initial", "global") or (edit.where == "memory" and isinstance(edit, Exchange))


def reading_hooks(edits: Sequence[Mute | Exchange], pipe, sentence: Sentence | None) -> list:
    """Hooks that give each stage its own sentence: the first its code, each refinement stage its words and its code."""
    if not edits:
        return []
    count = len(refinements(pipe))
    sentence = require_sentence(sentence, edits[0].word)
    first, words, codes = sentence, [sentence] * count, [sentence] * count
    for edit in edits:
        if edit.where in ("code", "initial"):
            first = first.edited(edit)
        for k in reading_stages(edit, pipe):
            chosen = words if edit.where == "memory" else codes
            chosen[k - 1] = chosen[k - 1].edited(edit)
    read = _TextFeatures(pipe)
    given = {}  # what the generator was called with

    def begin(_module: nn.Module, inputs: tuple) -> tuple:
        own, *rest = inputs
        given["sentence"], given["eps"] = own, rest[3] if len(rest) > 3 else None
        return (own if first is sentence else read.sentence(first).expand_as(own), *rest)

    def give(k: int):
        def hook(_module: nn.Module, inputs: tuple) -> tuple:
            features, conditions = inputs
            own = given["sentence"] if codes[k] is sentence else read.sentence(codes[k]).expand_as(given["sentence"])
            code, _, _ = pipe.generator.conditioning(own, given["eps"])
            changed = replace(conditions, sentence=own, code=code)
            return features, changed if words[k] is sentence else replace(changed, words=read.words(words[k], conditions))

        return hook

    handles = [pipe.generator.register_forward_pre_hook(begin)]
    return handles + [stage.register_forward_pre_hook(give(k)) for k, stage in enumerate(refinements(pipe))]


class _TextFeatures:
    """Text features of sentences, each encoded once."""

    def __init__(self, pipe):
        self.pipe = pipe
        self.found: dict[str, tuple[Tensor, Tensor]] = {}

    def _read(self, sentence: Sentence) -> tuple[Tensor, Tensor]:
        text = sentence.text
        if text not in self.found:
            with torch.no_grad():
                words, whole, _, _ = self.pipe.encode([text])
            self.found[text] = words, whole
        return self.found[text]

    def sentence(self, sentence: Sentence) -> Tensor:
        """1 D."""
        return self._read(sentence)[1]

    def words(self, sentence: Sentence, conditions: Conditions) -> Tensor:
        """B D T, for a sentence of as many words as the conditions have."""
        words, given = self._read(sentence)[0], conditions.words
        if given is None:
            raise EditError("this system reads no words")
        if words.shape[2] != given.shape[2]:
            raise EditError(f"the edits are of a caption of {words.shape[2]} tokens, found one of {given.shape[2]}")
        return words.expand_as(given)


def reading_stages(edit: Mute | Exchange, pipe) -> list[int]:
    """Refinement stages, counted from 1, that read on the pathway of an edit.

    Raises:
        EditError: there is none, or not at one of the stages asked for.
    """
    if edit.where == "initial":
        return []
    every = refinements(pipe)
    if edit.where == "memory":
        stages = stages_of(pipe, edit.stages)
        for stage in stages:
            module_of(stage, "addressing")
        return [k for k, stage in enumerate(every, 1) if stage in stages]
    reads = [k for k, stage in enumerate(every, 1) if any(getattr(stage, name, None) is not None for name in CODE_READERS)]
    if edit.where == "code":
        return reads
    stages = stages_of(pipe, edit.stages)
    chosen = [k for k, stage in enumerate(every, 1) if stage in stages]
    if not set(chosen) <= set(reads):
        raise EditError("the refinement stages of this system do not read the sentence code")
    return chosen
