"""How every word of one caption reached one picture: each word exchanged on one pathway at a time, all words in a few forward passes.

    effects = word_effects(pipe, "a small bird with a yellow crown", seed=3)
    for word in effects.words:
        print(word.word, word.other, word.changes)  # {"total": .., "initial": .., "memory_128": .., "memory_256": .., "global": ..}
    effects.for_word(6).difference("memory_128")  # S S

The counterfactual of a word of a kind (:data:`KINDS`: colours, parts, sizes, lengths and shapes of bills, patterns) is another word of its
kind with another meaning that the caption does not have, drawn from the seed. A word without a kind ("a", "bird", "with") has no
counterpart; it is *muted*: its slot is masked in the key addressing (DM-GAN Eq. 4), and the sentence code is that of the caption without
the word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from dmm.aviary import lexicon
from dmm.data.vocab import Vocabulary, tokenise
from dmm.metrics.pathways import Text, generate, pathways, read_text

AT_ONCE = 8  # pictures of a forward pass
LEFT_OUT = ("memory", "sentence")  # pathways that are several others together


def _parts(form: int) -> dict[str, lexicon.Phrases]:
    """Part -> its names in the singular (form 0) or in the plural (form 1); the neck is the nape."""
    return {part: names[form] for part, names in lexicon.PART_NAMES.items() if names[form] and part not in lexicon.SAME_SLOT}


#: Kind -> meaning -> phrases and how often each is used; a word belongs to the kind of which it is a phrase.
KINDS: dict[str, dict[str, lexicon.Phrases]] = {
    "colour": lexicon.COLOUR_NAMES,
    "part": _parts(0),
    "parts": _parts(1),
    "size": lexicon.SIZE_NAMES,
    "length": lexicon.BILL_LENGTH_NAMES,
    "shape": lexicon.BILL_SHAPE_NAMES,
    "pattern": lexicon.PATTERN_NOUNS,
    "marking": lexicon.PATTERN_ADJECTIVES,
}


@dataclass(frozen=True)
class WordEffect:
    """What one word did to the last picture on each pathway."""

    position: int  # on the T axis of the trace
    word: str
    other: str | None  # the word read in its place; None: it was muted
    changes: dict[str, float]  # pathway -> mean absolute change of the pixels, which lie in [-1, 1]
    pictures: dict[str, Tensor] = field(repr=False)  # pathway -> picture 3 S S with the word exchanged there
    base: Tensor = field(repr=False)  # 3 S S, the caption's own picture

    def difference(self, pathway: str = "total") -> Tensor:
        """Mean absolute change over the channels, S S.

        Raises:
            KeyError: a pathway that the system does not have.
        """
        if pathway not in self.pictures:
            raise KeyError(f"no pathway {pathway!r}; this system has {', '.join(self.pictures)}")
        return (self.pictures[pathway] - self.base).abs().mean(0)


@dataclass(frozen=True)
class WordEffects:
    """Effects of all words of one caption and seed."""

    caption: str
    seed: int
    pathways: tuple[str, ...]  # "total" last, before it those that the total is made of
    words: tuple[WordEffect, ...]  # in the order of the caption; a word that alone is known has no effect to tell and is left out
    base: Tensor = field(repr=False)  # 3 S S

    def for_word(self, position: int) -> WordEffect:
        """The effect of the word at a position of the T axis.

        Raises:
            KeyError: no such word.
        """
        for word in self.words:
            if word.position == position:
                return word
        raise KeyError(f"no word at position {position} of “{self.caption}”; words are at {[word.position for word in self.words]}")


@dataclass(frozen=True)
class _Counterfactual:
    position: int
    word: str
    other: str | None
    caption: str  # with the other word, or without the word


def counterfactual(word: str, tokens: Sequence[str], vocab: Vocabulary, rng: np.random.Generator) -> str | None:
    """Another word of the word's kind: the most frequent name of a meaning that the caption does not have, if it is a single known word.

    None: the word has no kind, or its kind has no such name.
    """
    for meanings in KINDS.values():
        names = {phrase: meaning for meaning, phrases in meanings.items() for phrase, _ in phrases}
        if word not in names:
            continue
        said = {names[token] for token in tokens if token in names}
        usual = [max(phrases, key=lambda phrase: phrase[1])[0] for meaning, phrases in meanings.items() if meaning not in said]
        options = [name for name in usual if name in vocab.ids]  # phrases of several words are no ids
        if options:
            return options[int(rng.integers(len(options)))]
    return None


def _counterfactuals(caption: str, vocab: Vocabulary, seed: int, chosen: Mapping[int, str | None] | None) -> list[_Counterfactual]:
    """One for each known word, or for those chosen; none for a word without a kind that is the only known one."""
    tokens, place, found = tokenise(caption), 0 if vocab.start is None else 1, []
    known = [index is not None for _, index in vocab.known(caption)]
    for k, word in enumerate(tokens):
        if not known[k]:
            continue
        if chosen is not None and place not in chosen:
            place += 1
            continue
        other = (chosen or {}).get(place) or counterfactual(word, tokens, vocab, np.random.default_rng([seed, k]))
        if other is not None or sum(known) > 1:
            changed = [*tokens[:k], *([] if other is None else [other]), *tokens[k + 1 :]]
            found.append(_Counterfactual(place, word, other, " ".join(changed)))
        place += 1
    return found


def _texts(pipe, caption: str, found: Sequence[_Counterfactual], eps: Tensor) -> tuple[Text, Text]:
    """The caption's text, one row, and the texts of the counterfactuals, a row each."""
    both = read_text(pipe, [caption, *(one.caption for one in found)], eps.expand(len(found) + 1, -1))
    own, others = both.rows(slice(1)), both.rows(slice(1, None))
    muted = torch.tensor([one.other is None for one in found], dtype=torch.bool, device=own.words.device)
    masks = own.mask.repeat(len(found), 1)
    masks[torch.arange(len(found)), [one.position for one in found]] = True
    return own, replace(
        others,
        words=torch.where(muted[:, None, None], own.words, others.words),
        mask=torch.where(muted[:, None], masks, others.mask),
    )


@torch.no_grad()
def word_effects(
    pipe,
    caption: str,
    seed: int = 0,
    chosen: Mapping[int, str | None] | None = None,
    told: Callable[[int, int], None] | None = None,
) -> WordEffects:
    """The effect of every word of a caption on every pathway, with the same z and eps.

    Args:
        pipe: a :class:`dmm.pipeline.Pipeline`; fused, it takes half the time.
        caption: one sentence.
        seed: of the noise, and of the words that are put in.
        chosen: position on the T axis -> the word that is read there, one of the vocabulary, or None for another of the word's kind; None
            for every word of the caption.
        told: called after each of a number of steps with how many are done, and with their number.

    Raises:
        CaptionError: a caption that cannot be generated.
    """
    noise, eps = pipe.noise([seed])
    found = _counterfactuals(caption, pipe.vocab, seed, chosen)
    own, others = _texts(pipe, caption, found, eps)
    base = generate(pipe.generator, own, noise, eps).images[-1]  # 1 3 S S
    ways = {name: way for name, way in pathways(pipe.generator).items() if name not in LEFT_OUT}
    names = [*(name for name in ways if name != "total"), "total"]
    pictures: dict[str, Tensor] = {}
    for k, name in enumerate(names):
        rows = [others.rows(slice(at, at + AT_ONCE)) for at in range(0, len(found), AT_ONCE)]
        parts = [generate(pipe.generator, own, noise, eps, ways[name], other).images[-1] for other in rows]
        pictures[name] = torch.cat(parts).cpu() if parts else base[:0].cpu()
        if told is not None:
            told(k + 1, len(names))
    changes = {name: (images - base.cpu()).abs().mean((1, 2, 3)).tolist() for name, images in pictures.items()}
    words = [
        WordEffect(
            one.position,
            one.word,
            one.other,
            {name: changes[name][k] for name in names},
            {name: pictures[name][k] for name in names},
            base[0].cpu(),
        )
        for k, one in enumerate(found)
    ]
    return WordEffects(caption, seed, tuple(names), tuple(words), base[0].cpu())
