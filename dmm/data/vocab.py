"""Words and numbers: tokens, special ids, padding and THE word mask.

Two conventions are in the field. AttnGAN, DM-GAN, MirrorGAN and DF-GAN store words only and pad with id 0, which also reads as
``<end>`` ("pad0"). DMM-GAN wraps every caption in ``<start>`` (0) and ``<end>`` (1) and pads with ``<pad>`` (2); its encoder sees
start and end, the generator's memory does not ("dmm"). Everything that depends on the difference is in this file.
"""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from dmm.data.pickles import PickleError, content, describe, loads
from dmm.errors import InputError
from dmm.files import FileError, List, Table, Text, check, limit, parse, shown

SPECIALS = {"dmm": ("<start>", "<end>", "<pad>"), "pad0": ("<end>",)}
VOCABULARY = Table({"words": List(Text(limit("caption_characters"))), "convention": Text(20)})
_RUN = re.compile(r"\w+")
_PIECE = re.compile(r"\w+|[^\w\s]+")


def tokenise(text: str) -> list[str]:
    """Maximal runs of word characters in lower case; characters outside ASCII are dropped from each, empty ones dropped."""
    runs = _RUN.findall(text.replace("\ufffd\ufffd", " ").lower())
    return [token for token in (run.encode("ascii", "ignore").decode() for run in runs) if token]


class Vocabulary:
    """A fixed list of words with their ids.

    Args:
        words: the words, without special tokens, in id order; no word twice.
        convention: "dmm" (ids 0 ``<start>``, 1 ``<end>``, 2 ``<pad>``, words from 3) or "pad0" (0 ``<end>`` and padding, words from 1).

    Raises:
        ValueError: unknown convention, a word twice, or a special token among the words.
    """

    def __init__(self, words: Sequence[str], convention: str = "dmm"):
        if convention not in SPECIALS:
            raise InputError(f"unknown vocabulary convention {shown(convention)}; known: {', '.join(SPECIALS)}")
        self.convention = convention
        self.words = tuple(words)
        self.specials = SPECIALS[convention]
        self.tokens = self.specials + self.words  #: every id's string, specials first
        self.ids = {word: i for i, word in enumerate(self.tokens)}
        if len(self.ids) != len(self.tokens):
            twice = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise ValueError(f"the vocabulary holds {shown(twice)} twice")
        self.start = self.ids.get("<start>")  #: id, or None under "pad0"
        self.end = self.ids["<end>"]
        self.pad = self.ids.get("<pad>", self.end)

    @classmethod
    def build(cls, captions: Iterable[str], convention: str = "dmm") -> Vocabulary:
        """Every word of the captions, ids in order of first appearance."""
        return cls(list(dict.fromkeys(token for caption in captions for token in tokenise(caption))), convention)

    def __len__(self) -> int:
        """Number of ids, specials included: rows of an embedding table."""
        return len(self.tokens)

    def __eq__(self, other) -> bool:
        return isinstance(other, Vocabulary) and (self.words, self.convention) == (other.words, other.convention)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.words)} words, {self.convention!r})"

    def tokenise(self, text: str) -> list[str]:
        """See :func:`tokenise`."""
        return tokenise(text)

    def known(self, text: str) -> list[tuple[str, int | None]]:
        """Each token of the text with its id, ``None`` where the vocabulary does not hold it."""
        offset = len(self.specials)
        return [(token, i if (i := self.ids.get(token, -1)) >= offset else None) for token in tokenise(text)]

    def read(self, text: str) -> list[tuple[str, int | None]]:
        """As :meth:`known`, unknown words as they were typed, and with those that give no token: other scripts and emoji."""
        found: list[tuple[str, int | None]] = []
        for piece in _PIECE.findall(text.lower()):
            tokens = self.known(piece)
            if tokens and tokens[0][1] is not None:
                found.append(tokens[0])
            elif tokens or any(not sign.isascii() and unicodedata.category(sign)[0] in "LNS" for sign in piece):  # not punctuation
                found.append((piece, None))
        return found

    def encode(self, text: str, limit: int | None = None, rng: np.random.Generator | None = None) -> list[int]:
        """Ids of the known words, between start and end under "dmm".

        Args:
            limit: most ids in the result, start and end included. A longer caption keeps a random subset in order (``rng``) or,
                without ``rng``, its first words.

        Raises:
            ValueError: a limit that leaves no room for a word.
        """
        ids = [i for _, i in self.known(text) if i is not None]
        if limit is not None:
            room = limit - (2 if self.start is not None else 0)
            if room < 1:
                raise InputError(f"limit {limit} leaves no room for a word under the {self.convention!r} convention")
            if len(ids) > room:
                keep = range(room) if rng is None else sorted(rng.permutation(len(ids))[:room].tolist())
                ids = [ids[k] for k in keep]
        return ids if self.start is None else [self.start, *ids, self.end]

    def batch(self, captions: Sequence[Sequence[int]], width: int | None = None) -> tuple[Tensor, Tensor]:
        """Captions of unequal length as one padded tensor, in the order given.

        Args:
            width: columns L; the longest caption when left out.

        Returns:
            (captions B L int64, lengths B int64); start and end count in the lengths.
        """
        lengths = [len(caption) for caption in captions]
        width = max(lengths, default=0) if width is None else width
        if max(lengths, default=0) > width:
            raise ValueError(f"a caption of {max(lengths)} ids does not fit in {width} columns")
        table = np.full((len(captions), width), self.pad, np.int64)
        for row, caption in zip(table, captions, strict=True):
            row[: len(caption)] = caption
        return torch.from_numpy(table), torch.tensor(lengths, dtype=torch.int64)

    def mask(self, captions: Tensor) -> Tensor:
        """THE word mask, B T bool: true where a position is no word (start, end, padding)."""
        return captions < len(self.specials)

    def decode(self, ids: Iterable[int] | Tensor) -> list[str]:
        """Words up to the first end token; start and padding are left out.

        Raises:
            IndexError: an id outside the vocabulary.
        """
        words = []
        for i in ids.tolist() if isinstance(ids, Tensor) else ids:
            if i == self.end:
                break
            if not 0 <= i < len(self.tokens):
                raise IndexError(f"id {i} is outside this vocabulary of {len(self.tokens)} ids")
            if i >= len(self.specials):
                words.append(self.tokens[i])
        return words

    def labels(self, ids: Iterable[int] | Tensor) -> list[str]:
        """The string of every id, special tokens included; for showing what each column of a caption is."""
        return [self.tokens[i] for i in (ids.tolist() if isinstance(ids, Tensor) else ids)]

    def to_json(self) -> str:
        """Words and convention as JSON."""
        return json.dumps({"convention": self.convention, "words": list(self.words)})

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """What :meth:`to_json` wrote.

        Raises:
            ValueError: not such a text.
        """
        try:
            values = check(parse(text), VOCABULARY, "vocabulary")
            return cls(values["words"], values["convention"])
        except FileError as error:
            raise ValueError(f"not a vocabulary: expected JSON with 'words' and 'convention' ({error})") from error


def read_captions_pickle(path: str | os.PathLike) -> tuple[list[list[int]], list[list[int]], Vocabulary]:
    """A published ``captions.pickle``: (train captions, test captions, vocabulary). Ids are the file's own. Runs no code from it.

    Raises:
        PickleError: not such a file, with what was found; or ids and words that contradict each other.
        OSError: no such file.
    """
    data = content(path)
    found = loads(data, path)
    expected = f"{path}: expected [train captions, test captions, id to word, word to id], found "
    if not isinstance(found, (list, tuple)) or [type(part) for part in found[:4]] != [list, list, dict, dict]:
        raise PickleError(expected + describe(found))
    train, test, names, numbers = found[:4]
    missing = next((i for i in range(len(names)) if not isinstance(names.get(i), str)), None)
    if missing is not None:
        raise PickleError(f"{expected}no word for id {missing}, of {len(names)} ids")
    wrong = next((word for word, i in numbers.items() if type(i) is not int or names.get(i) != word), None)
    if wrong is not None:
        raise PickleError(f"{expected}dictionaries that contradict each other about {shown(wrong)}")
    vocab = _published_vocabulary([names[i] for i in range(len(names))], path)
    return _published_captions(train, len(vocab), len(data), path), _published_captions(test, len(vocab), len(data), path), vocab


def _published_vocabulary(tokens: list[str], path) -> Vocabulary:
    odd = next((token for token in tokens if not token.isprintable() or len(token) > limit("word_characters")), None)
    if odd is not None:
        most = limit("word_characters")
        raise PickleError(f"{path}: expected words of at most {most} characters, without control characters, found {shown(odd)}")
    for convention, specials in SPECIALS.items():
        found = tuple(token.replace("<sos>", "<start>").replace("<eos>", "<end>") for token in tokens[: len(specials)])
        if found == specials:
            try:
                return Vocabulary(tokens[len(specials) :], convention)
            except ValueError as error:
                raise PickleError(f"{path}: {error}") from error
    raise PickleError(f"{path}: the first ids are {tokens[:3]}, neither {SPECIALS['dmm']} nor {SPECIALS['pad0']}")


def _published_captions(captions: list, size: int, most: int, path) -> list[list[int]]:
    """Captions as lists of ids below ``size``; ``most`` bounds the ids in all, which a file cannot hold more of than it has bytes."""
    flat = (isinstance(caption, (list, tuple)) or isinstance(caption, np.ndarray) and caption.ndim == 1 for caption in captions)
    if not all(flat) or sum(map(len, captions)) > most:
        raise PickleError(f"{path}: expected captions as lists of ids, found {describe(captions)}")
    rows = [caption.tolist() if isinstance(caption, np.ndarray) else list(caption) for caption in captions]
    for number, row in enumerate(rows):
        if not all(type(i) is int and 0 <= i < size for i in row):
            raise PickleError(f"{path}: caption {number} holds {_odd(row, size)}; expected ids from 0 to {size - 1}")
    return rows


def _odd(row: list, size: int) -> str:
    item = next(i for i in row if not (type(i) is int and 0 <= i < size))
    return str(item) if type(item) is int and abs(item) < 1 << 64 else f"a {type(item).__name__}"
