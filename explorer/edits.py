"""Interventions: change one named quantity while a caption is generated, and see what the picture owed to it.

Each edit is a small record, so that it can be listed, taken back, stored and sent (:mod:`explorer.interventions`). :func:`attached` applies
a list of them with ordinary forward hooks on the modules whose outputs carry the quantities, and removes the hooks again, whatever happens
in between::

    caption = "a red bird"
    with attached(pipe, Mute("red"), DropGlobal(), caption=caption) as edited:
        trace = pipe(edited, seed=3)

The Trace then holds what the network computed *with* the edits. Without edits nothing is attached, so the numbers are the very same.

A word reaches a picture on several pathways (:mod:`dmm.metrics.pathways`); :data:`PATHWAYS` names them, and an edit of a word says on which
of them it acts. Stages are numbered as in ``trace.stages``: stage 1 generates 128 px, stage 2 generates 256 px.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import overload

import torch
from torch import Tensor, nn

from dmm.data.vocab import tokenise
from dmm.metrics.pathways import CODE_READERS
from dmm.models.memory import KeyAddressing
from dmm.models.multistage import Conditions
from explorer.statistics import Region, cells

#: Pathway of a word -> what is edited there.
PATHWAYS = {
    "memory": "the words that the refinement stages read (memory, or word attention)",
    "caption": "the caption itself: everything that reads it",
    "code": "the sentence code wherever it is read",
    "initial": "the sentence code that the first stage reads",
    "global": "the sentence code that the refinement stages read (global memory, sentence attention, joining)",
}
PATHS = ("image", "words", "global")  # of the response gate
NOISES = {"z": "the noise z of the first stage", "eps": "the noise of conditioning augmentation"}
LONGEST_WORD = 40  # characters
SEEDS = 2**31  # seeds are below this


class EditError(ValueError):
    """An edit that this system or caption does not allow, and why."""


# --- the records -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mute:
    """Take a word away on one pathway.

    In the memory, its slot is masked in the key addressing (DM-GAN Eq. 4), and the other words share what it had. In the caption or the
    sentence code, the sentence is read without it.
    """

    word: str | int  # every occurrence of a word, or one position on the T axis of the caption as given
    where: str = "memory"  # of PATHWAYS
    stages: tuple[int, ...] | None = None  # for "memory" and "global"; None = every stage that reads

    def __post_init__(self):
        _check_word(self.word)
        _check_where(self.where, self.stages)


@dataclass(frozen=True)
class Exchange:
    """Read another word in the place of a word on one pathway; all others read the caption as it is."""

    word: str | int
    new: str  # one word of the vocabulary
    where: str = "memory"
    stages: tuple[int, ...] | None = None

    def __post_init__(self):
        _check_word(self.word)
        if not isinstance(self.new, str) or len(tokenise(self.new)) != 1 or len(self.new) > LONGEST_WORD:
            raise EditError(f"new: expected one word, found {str(self.new)[:60]!r}")
        _check_where(self.where, self.stages)


@dataclass(frozen=True)
class ClampWritingGate:
    """Write every word (or one) with this share, whatever the gate says (DM-GAN Eq. 7): 0 writes only the picture, 1 only the word."""

    value: float  # 0 to 1
    word: str | int | None = None  # None = all words
    stages: tuple[int, ...] | None = None

    def __post_init__(self):
        if not _is_number(self.value) or not 0 <= self.value <= 1:
            raise EditError(f"a writing gate is a share between 0 and 1, found {self.value}")
        if self.word is not None:
            _check_word(self.word)
        _check_stages(self.stages)


@dataclass(frozen=True)
class ClampResponseGate:
    """Let every place take the same shares of its answer from image, words and global memory (DM-GAN Eq. 9): they add up to 1."""

    image: float
    words: float
    global_: float = 0.0
    region: Region | None = None  # y0 x0 y1 x1 as shares of the side; None = everywhere
    stages: tuple[int, ...] | None = None

    def __post_init__(self):
        shares = (self.image, self.words, self.global_)
        if not all(map(_is_number, shares)) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise EditError(f"the shares of image, words and global memory must be 0 to 1 and add up to 1, found {shares}")
        if self.region is not None:
            _check_region(self.region)
        _check_stages(self.stages)

    @classmethod
    def only(cls, path: str, region: Region | None = None, stages: tuple[int, ...] | None = None) -> ClampResponseGate:
        """Take all from one path of :data:`PATHS`.

        Raises:
            EditError: no such path.
        """
        if path not in PATHS:
            raise EditError(f"a path of the response gate is one of {', '.join(PATHS)}; found {path!r}")
        image, words, global_ = (float(path == name) for name in PATHS)
        return cls(image, words, global_, region, stages)


@dataclass(frozen=True)
class DropGlobal:
    """Answer without the global memory: its share goes to image and words in the proportion that they had (the softmax over two)."""

    stages: tuple[int, ...] | None = None

    def __post_init__(self):
        _check_stages(self.stages)


@dataclass(frozen=True)
class UniformAddressing:
    """Let every place read every word alike, 1/T each, whatever key addressing or word attention says (DM-GAN Eq. 4)."""

    stages: tuple[int, ...] | None = None

    def __post_init__(self):
        _check_stages(self.stages)


@dataclass(frozen=True)
class FreezeNoise:
    """Hold one of the two noises, whatever the seed of the picture is."""

    part: str = "z"  # of NOISES
    seed: int | None = None  # the noise of this seed; None = zero, the mean

    def __post_init__(self):
        if self.part not in NOISES:
            raise EditError(f"a noise is one of {', '.join(NOISES)}; found {self.part!r}")
        if self.seed is not None and not (_is_whole(self.seed) and 0 <= self.seed < SEEDS):
            raise EditError(f"a seed is a whole number from 0 to {SEEDS - 1}; found {self.seed!r}")


Edit = Mute | Exchange | ClampWritingGate | ClampResponseGate | DropGlobal | UniformAddressing | FreezeNoise


# --- applying them -----------------------------------------------------------------------------------------------------------


@overload
@contextmanager
def attached(pipe, *edits: Edit, caption: str) -> Iterator[str]: ...


@overload
@contextmanager
def attached(pipe, *edits: Edit, caption: None = None) -> Iterator[None]: ...


@contextmanager
def attached(pipe, *edits: Edit, caption: str | None = None) -> Iterator[str | None]:
    """Apply edits, in order, to every picture generated inside the ``with`` block.

    Args:
        pipe: a :class:`dmm.pipeline.Pipeline`.
        edits: records of this module.
        caption: the sentence that will be generated; needed by edits that name a word.

    Yields:
        the caption to generate: with the edits of the caption itself, else as given.

    Raises:
        EditError: an edit that does not fit; nothing stays attached.
    """
    sentence = None if caption is None else Sentence.read(pipe, caption)
    for edit in edits:
        if isinstance(edit, (Mute, Exchange)) and edit.where == "caption":
            sentence = _needed(sentence, edit.word).edited(edit)
    with ExitStack() as stack:
        for edit in edits:
            for handle in _HOOKS[type(edit)](edit, pipe, sentence):
                stack.callback(handle.remove)
        reads = [edit for edit in edits if isinstance(edit, (Mute, Exchange)) and is_read(edit)]
        for handle in _other_reads(reads, pipe, sentence):
            stack.callback(handle.remove)
        yield caption if sentence is None or not sentence.changed else sentence.text


@dataclass(frozen=True)
class Sentence:
    """A caption as words, each with its position on the T axis of the caption as given; unknown words have none."""

    tokens: tuple[tuple[str, int | None], ...]
    ids: dict  # word -> id, of the vocabulary
    changed: bool = False

    @classmethod
    def read(cls, pipe, caption: str) -> Sentence:
        """The words of a caption, with their positions under the vocabulary's convention."""
        place = 0 if pipe.vocab.start is None else 1
        tokens = []
        for word, number in pipe.vocab.known(caption):
            tokens.append((word, None if number is None else place))
            place += number is not None
        return cls(tuple(tokens), pipe.vocab.ids)

    @property
    def text(self) -> str:
        """The words, joined by blanks."""
        return " ".join(word for word, _ in self.tokens)

    def find(self, word: str | int) -> list[int]:
        """Positions, on the T axis of the caption as given, that a word names.

        Raises:
            EditError: the word is not among the known words.
        """
        if isinstance(word, int):
            if all(place != word for _, place in self.tokens):
                raise EditError(f"position {word} is no word of “{self.text}”: words count from {self._first()}")
            return [word]
        found = [place for token, place in self.tokens if token == word.lower() and place is not None]
        if not found:
            raise EditError(f"{word!r} is not among the known words of “{self.text}”")
        return found

    def now(self, word: str | int) -> list[int]:
        """As :meth:`find`, on the T axis of the sentence as it is now, where muted words have no place."""
        known = [place for _, place in self.tokens if place is not None]
        return [self._start + known.index(place) for place in self.find(word)]

    @property
    def _start(self) -> int:
        return 0 if self.ids.get("<start>") is None else 1

    def _first(self) -> int:
        return min((place for _, place in self.tokens if place is not None), default=0)

    def edited(self, edit: Mute | Exchange) -> Sentence:
        """The sentence with a word muted or exchanged.

        Raises:
            EditError: no such word, no word left, or a new word that the vocabulary does not have.
        """
        places = self.find(edit.word)
        if isinstance(edit, Mute):
            tokens = tuple(token for token in self.tokens if token[1] not in places)
            if all(place is None for _, place in tokens):
                raise EditError(f"muting {edit.word!r} would leave no word to read")
            return replace(self, tokens=tokens, changed=True)
        (new,) = tokenise(edit.new)
        if new not in self.ids:
            raise EditError(f"{edit.new!r} is not in this model's vocabulary, so it cannot take the place of {edit.word!r}")
        return replace(self, tokens=tuple((new if place in places else word, place) for word, place in self.tokens), changed=True)


def positions(pipe, caption: str | None, word: str | int) -> list[int]:
    """Where a word stands on the T axis of the trace.

    Raises:
        EditError: no caption given, or the word is not among its known words.
    """
    if isinstance(word, int):
        _check_word(word)
        return [word]
    return _needed(None if caption is None else Sentence.read(pipe, caption), word).find(word)


def _places(sentence: Sentence | None, word: str | int) -> list[int]:
    """Positions on the T axis that will be generated; a position without a sentence is taken as it is."""
    return [word] if sentence is None and isinstance(word, int) else _needed(sentence, word).now(word)


def _needed(sentence: Sentence | None, word: str | int) -> Sentence:
    if sentence is None:
        raise EditError(f"to find {word!r}, say which caption will be generated: attached(pipe, ..., caption=...)")
    return sentence


# --- hooks of the quantities of a stage: each returns its handles -------------------------------------------------------------


def _mute(edit: Mute, pipe, sentence: Sentence | None) -> list:
    if edit.where != "memory":
        return []
    places = _places(sentence, edit.word)

    def hide(_module: nn.Module, inputs: tuple) -> tuple:
        features, key, mask = inputs
        if max(places) >= mask.shape[1]:
            raise EditError(f"position {max(places)} is outside the caption's {mask.shape[1]} tokens")
        mask = mask.clone()
        mask[:, places] = True
        if mask.all(dim=1).any():
            raise EditError(f"muting {edit.word!r} would leave no word to read")
        return features, key, mask

    return [_module(stage, "addressing").register_forward_pre_hook(hide) for stage in _stages(pipe, edit.stages)]


def _clamp_writing_gate(edit: ClampWritingGate, pipe, sentence: Sentence | None) -> list:
    places = slice(None) if edit.word is None else _places(sentence, edit.word)

    def clamp(gate: Tensor) -> Tensor:  # B 1 T
        gate = gate.clone()
        gate[..., places] = edit.value
        return gate

    return [_after(_module(stage, "writing_gate"), clamp) for stage in _stages(pipe, edit.stages)]


def _clamp_response_gate(edit: ClampResponseGate, pipe, _sentence: Sentence | None) -> list:
    def clamp(gate: Tensor) -> Tensor:  # B 3 H W, or B 1 H W = the share of the words
        shares = [edit.words] if gate.shape[1] == 1 else [edit.image, edit.words, edit.global_]
        rows, columns = cells(edit.region, *gate.shape[-2:])
        gate = gate.clone()
        gate[:, :, rows, columns] = gate.new_tensor(shares)[None, :, None, None]
        return gate

    chosen = _stages(pipe, edit.stages)
    modules = [_module(stage, "response_gate") for stage in chosen]
    if edit.global_ and any(getattr(stage, "global_memory", None) is None for stage in chosen):
        raise EditError("this system has no global memory to take a share from")
    return [_after(module, clamp) for module in modules]


def _drop_global(edit: DropGlobal, pipe, _sentence: Sentence | None) -> list:
    def drop(gate: Tensor) -> Tensor:  # B 3 H W
        kept = gate[:, :2] / gate[:, :2].sum(dim=1, keepdim=True).clamp_min(torch.finfo(gate.dtype).tiny)
        return torch.cat((kept, torch.zeros_like(gate[:, :1])), dim=1)

    chosen = _stages(pipe, edit.stages)
    if any(getattr(stage, "global_memory", None) is None for stage in chosen):
        raise EditError("this system has no global memory to drop")
    return [_after(_module(stage, "response_gate"), drop) for stage in chosen]


def _uniform_addressing(edit: UniformAddressing, pipe, _sentence: Sentence | None) -> list:
    def even(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if not isinstance(module, KeyAddressing):
            raise EditError(f"expected key addressing, found {type(module).__name__}")
        _features, _key, mask = inputs
        height, width = output.shape[2:]
        read = (~module.pair(mask, height * width)).to(output.dtype)  # B T 1, or B T Q
        read = (read / read.sum(dim=1, keepdim=True)).expand(-1, -1, height * width)
        return read.unflatten(2, (height, width)).contiguous()

    return [_module(stage, "addressing").register_forward_hook(even) for stage in _stages(pipe, edit.stages)]


def _freeze_noise(edit: FreezeNoise, pipe, _sentence: Sentence | None) -> list:
    if edit.part == "eps" and getattr(pipe.generator, "conditioning", None) is None:
        raise EditError("this system has no conditioning augmentation, and so no noise of it to freeze")
    index = {"z": 0, "eps": 1}[edit.part]

    def freeze(_module: nn.Module, inputs: tuple) -> tuple:
        sentence, words, mask, *noises = inputs
        given = noises[index]
        held = torch.zeros_like(given) if edit.seed is None else pipe.noise([edit.seed])[index].to(given).expand_as(given)
        noises[index] = held
        return sentence, words, mask, *noises

    return [pipe.generator.register_forward_pre_hook(freeze)]


def _no_hook(_edit, _pipe, _sentence) -> list:
    """An exchange changes what is read; see :func:`_other_reads`."""
    return []


_HOOKS: dict[type, Callable[..., list]] = {
    Mute: _mute,
    Exchange: _no_hook,
    ClampWritingGate: _clamp_writing_gate,
    ClampResponseGate: _clamp_response_gate,
    DropGlobal: _drop_global,
    UniformAddressing: _uniform_addressing,
    FreezeNoise: _freeze_noise,
}


# --- words that are read otherwise on one pathway ------------------------------------------------------------------------------


def is_read(edit: Edit) -> bool:
    """Whether the edit gives a stage another sentence to read; a mute in the memory masks a slot instead."""
    if not isinstance(edit, (Mute, Exchange)):
        return False
    return edit.where in ("code", "initial", "global") or (edit.where == "memory" and isinstance(edit, Exchange))


def _other_reads(edits: Sequence[Mute | Exchange], pipe, sentence: Sentence | None) -> list:
    """Hooks that give each stage its own sentence: the first its code, each refinement stage its words and its code."""
    if not edits:
        return []
    count = len(_refinements(pipe))
    sentence = _needed(sentence, edits[0].word)
    first, words, codes = sentence, [sentence] * count, [sentence] * count
    for edit in edits:
        if edit.where in ("code", "initial"):
            first = first.edited(edit)
        for k in _reading_stages(edit, pipe):
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
    return handles + [stage.register_forward_pre_hook(give(k)) for k, stage in enumerate(_refinements(pipe))]


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


def _reading_stages(edit: Mute | Exchange, pipe) -> list[int]:
    """Refinement stages, counted from 1, that read on the pathway of an edit.

    Raises:
        EditError: there is none, or not at one of the stages asked for.
    """
    if edit.where == "initial":
        return []
    every = _refinements(pipe)
    if edit.where == "memory":
        stages = _stages(pipe, edit.stages)
        for stage in stages:
            _module(stage, "addressing")
        return [k for k, stage in enumerate(every, 1) if stage in stages]
    reads = [k for k, stage in enumerate(every, 1) if any(getattr(stage, name, None) is not None for name in CODE_READERS)]
    if edit.where == "code":
        return reads
    stages = _stages(pipe, edit.stages)
    chosen = [k for k, stage in enumerate(every, 1) if stage in stages]
    if not set(chosen) <= set(reads):
        raise EditError("the refinement stages of this system do not read the sentence code")
    return chosen


# --- parts of a system, and checks ---------------------------------------------------------------------------------------------


def _refinements(pipe) -> list[nn.Module]:
    return list(getattr(pipe.generator, "refinements", []))


def _stages(pipe, numbers: tuple[int, ...] | None) -> list[nn.Module]:
    refinements = _refinements(pipe)
    if not refinements:
        raise EditError("this system generates in one stage: it has no refinement stages to edit")
    for number in numbers or ():
        if not 1 <= number <= len(refinements):
            raise EditError(f"stages with a memory are 1 to {len(refinements)}, found {number}")
    return refinements if numbers is None else [refinements[number - 1] for number in numbers]


def _module(stage: nn.Module, name: str) -> nn.Module:
    module = getattr(stage, name, None)
    if module is None:
        raise EditError(f"this system has no {'key addressing: it reads no words' if name == 'addressing' else name.replace('_', ' ')}")
    return module


def _after(module: nn.Module, change: Callable[[Tensor], Tensor]):
    return module.register_forward_hook(lambda _module, _inputs, output: change(output))


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_word(word) -> None:
    if isinstance(word, str) and 0 < len(word) <= LONGEST_WORD:
        return
    if not _is_whole(word):
        raise EditError(f"word: expected a word of at most {LONGEST_WORD} characters, or a position, found {str(word)[:60]!r}")
    if word < 0:
        raise EditError(f"a position counts from 0, found {word}")


def _check_where(where, stages) -> None:
    if where not in PATHWAYS:
        raise EditError(f"where: expected one of {', '.join(PATHWAYS)}; found {str(where)[:60]!r}")
    _check_stages(stages)
    if stages is not None and where not in ("memory", "global"):
        raise EditError(f"stages can be chosen for memory and global only, found them for {where!r}")


def _check_stages(stages) -> None:
    if stages is not None and not (isinstance(stages, tuple) and stages and all(map(_is_whole, stages))):
        raise EditError(f"stages: expected numbers such as (1, 2), or None for all; found {str(stages)[:60]!r}")


def _check_region(region) -> None:
    if not (isinstance(region, tuple) and len(region) == 4 and all(map(_is_number, region))):
        raise EditError(f"region: expected (y0, x0, y1, x1) as shares of the side, found {str(region)[:60]!r}")
    try:
        cells(region, 1, 1)
    except ValueError as error:
        raise EditError(str(error)) from error
