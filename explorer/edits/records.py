"""The edits as records: what is changed, on which pathway, at which stages; each checks its own fields."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from dmm.data.vocab import tokenise
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
        if not _is_one_of(path, PATHS):
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
        if not _is_one_of(self.part, NOISES):
            raise EditError(f"a noise is one of {', '.join(NOISES)}; found {str(self.part)[:60]!r}")
        if self.seed is not None and not (_is_whole(self.seed) and 0 <= self.seed < SEEDS):
            raise EditError(f"a seed is a whole number from 0 to {SEEDS - 1}; found {self.seed!r}")


Edit = Mute | Exchange | ClampWritingGate | ClampResponseGate | DropGlobal | UniformAddressing | FreezeNoise


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < float("inf")


def _is_whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_one_of(value, names: Container[str]) -> bool:
    return isinstance(value, str) and value in names  # what cannot be hashed is no name either


def _check_word(word) -> None:
    if isinstance(word, str) and 0 < len(word) <= LONGEST_WORD:
        return
    if not _is_whole(word):
        raise EditError(f"word: expected a word of at most {LONGEST_WORD} characters, or a position, found {str(word)[:60]!r}")
    if word < 0:
        raise EditError(f"a position counts from 0, found {word}")


def _check_where(where, stages) -> None:
    if not _is_one_of(where, PATHWAYS):
        raise EditError(f"where: expected one of {', '.join(PATHWAYS)}; found {str(where)[:60]!r}")
    _check_stages(stages)
    if stages is not None and where not in ("memory", "global"):
        raise EditError(f"stages can be chosen for memory and global only, found them for {where!r}")


def _check_stages(stages) -> None:
    if stages is not None and not (isinstance(stages, tuple) and stages and all(_is_whole(stage) and stage >= 1 for stage in stages)):
        raise EditError(f"stages: expected numbers from 1, such as (1, 2), or None for all; found {str(stages)[:60]!r}")


def _check_region(region) -> None:
    if not (isinstance(region, tuple) and len(region) == 4 and all(map(_is_number, region))):
        raise EditError(f"region: expected (y0, x0, y1, x1) as shares of the side, found {str(region)[:60]!r}")
    try:
        cells(region, 1, 1)
    except ValueError as error:
        raise EditError(str(error)) from error
