"""A blind vote between two models, or two ways of using one: pairs of pictures of the same captions, and what the votes say.

Which picture stands left is drawn for each voter by a seeded rng, and is left for half of the pairs. All have the same pairs in the
same order, so that their agreement can be measured (:mod:`explorer.agreement`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from dmm.files import FileError, read_text, shown
from dmm.images import to_pil
from dmm.pipeline import MOST_WORDS, Pipeline
from explorer.agreement import cohen, exact_interval, fleiss, two_sided
from explorer.edits import ClampResponseGate, Edit
from explorer.interventions import describe, to_data
from explorer.questions import FIRST_SEED, LONGEST, Question, Refusal
from explorer.session import Session
from explorer.votes import Vote, VoteError, VoteStore, read_voter

PAIRS = 20  # of a study
OTHER_NOISE = 1000  # added to the seed by the contender that takes another noise
SIDES = ("left", "right")
CAPTIONS = (
    "this small bird has a yellow crown and a white belly",
    "a large blue bird with black wings and a long bill",
    "an all red bird with a short bill",
    "a brown bird with a streaked breast",
    "a white bird with grey wings and orange legs",
    "this bird has a green back and a red throat",
    "a black bird with a yellow bill",
    "a small grey bird with a white throat",
    "this bird has blue wings and a brown breast",
    "a yellow bird with black wings and a black crown",
)
COLUMNS = ("pair", "caption", "seed", "voter", "left", "right", "chosen")  # of a table of votes
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes a cell that begins with it for


@dataclass(frozen=True)
class Contender:
    """One of the two: a model, the edits under which it generates, and what is added to the seed of a pair."""

    model: str
    edits: tuple[Edit, ...] = ()
    later: int = 0

    @property
    def name(self) -> str:
        """As the result says it."""
        return ": ".join([self.model, *map(describe, self.edits)]) + (": another noise" if self.later else "")

    def question(self, caption: str, seed: int) -> Question:
        """What it generates for a pair."""
        return Question(self.model, caption, seed + self.later, self.edits)


@dataclass(frozen=True)
class Study:
    """Two contenders and the captions of their pairs."""

    contenders: tuple[Contender, Contender]
    captions: tuple[str, ...]
    seed: int = FIRST_SEED
    pairs: int = PAIRS

    @property
    def key(self) -> str:
        """Names this study in a store of votes: equal contenders, captions and seed give an equal key."""
        sides = [[one.model, to_data(one.edits), one.later] for one in self.contenders]
        said = json.dumps([sides, self.captions, self.seed, self.pairs], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def pair(self, number: int) -> tuple[str, int]:
        """Caption and seed of a pair, counted from 0."""
        return self.captions[number % len(self.captions)], self.seed + number // len(self.captions)

    def left(self, voter: str) -> list[int]:
        """The contender that stands left, for each pair; each of the two does for half of them."""
        sides = [number % 2 for number in range(self.pairs)]
        random.Random(f"{self.key}:{voter}").shuffle(sides)
        return sides


def contenders(models: Sequence[str]) -> dict[str, Contender]:
    """What can be voted on, by name: every model, with its memory silenced, and from another noise."""
    alone = ClampResponseGate.only("image")
    found = [Contender(model) for model in models]
    found += [Contender(model, (alone,)) for model in models] + [Contender(model, later=OTHER_NOISE) for model in models]
    return {one.name: one for one in found}


def two_of(session: Session, first: str = "", second: str = "") -> tuple[Contender, Contender]:
    """Contenders by name; empty: the first model, and the second one, or with one model open the same without its memory's answer.

    Raises:
        Refusal: an unknown name, or twice the same.
    """
    known = contenders(session.models)
    names = list(known)
    chosen = [first or names[0], second or next(name for name in names if name != (first or names[0]))]
    if not second and len(session.models) == 1 and "response_gate" in session.lacks(session.models[0]):
        chosen[1] = names[-1]
    for name in chosen:
        if name not in known:
            raise Refusal(f"no contender {str(name)[:80]!r}; there are {'; '.join(names)}")
    if chosen[0] == chosen[1]:
        raise Refusal("A vote needs two different contenders.")
    return known[chosen[0]], known[chosen[1]]


def sentences(pipe: Pipeline, birds: Sequence[str] = CAPTIONS) -> list[str]:
    """Captions that suit a model: the birds, if it knows all their words, else as many of its card, else its first words."""
    if all(word is not None for caption in birds for _, word in pipe.vocab.known(caption)):
        return list(birds)
    own = [caption for caption in dict.fromkeys(pipe.card.get("captions", ())) if _told(pipe, caption)]
    found = own or [caption for caption in birds if _told(pipe, caption)]
    return found[: len(birds)] or [" ".join(pipe.vocab.words[:5])]


def _told(pipe: Pipeline, caption: str) -> bool:
    return len(caption) <= LONGEST and 0 < len(pipe.vocab.decode(pipe.vocab.encode(caption))) <= MOST_WORDS


@dataclass(frozen=True)
class Ballot:
    """One pair for one voter. It does not say which contender stands where."""

    pair: int  # from 0
    of: int
    voted: int  # by this voter so far
    caption: str
    pictures: tuple[Image.Image, Image.Image]  # left, right, of one size


class BlindVote:
    """A study, its pictures and its votes.

    Args:
        session: generates the pictures.
        store: keeps the votes.
        pair: the two contenders.
        captions: of the pairs; None for those of :func:`sentences` that both can generate.

    Raises:
        Refusal: no caption that both can generate.
    """

    def __init__(self, session: Session, store: VoteStore, pair: tuple[Contender, Contender], captions: Sequence[str] | None = None):
        self.session, self.store = session, store
        pipes = [session.pipeline(one.model) for one in pair]
        known = tuple(c for c in (captions or sentences(pipes[0])) if all(_told(pipe, c) for pipe in pipes))
        if not known:
            raise Refusal("These two models know no caption in common.")
        self.study = Study(pair, known)

    def ballot(self, voter: str) -> Ballot | None:
        """The next pair of a voter; None after the last.

        Raises:
            VoteError: a name that is none.
            Refusal: a contender that cannot generate, such as an edit that its system does not have.
        """
        voter = read_voter(voter)
        voted = self.store.voted(self.study.key, voter)
        open_pairs = [number for number in range(self.study.pairs) if number not in voted]
        if not open_pairs:
            return None
        caption, seed = self.study.pair(open_pairs[0])
        images = [to_pil(one.question(caption, seed).trace(self.session).images[-1]) for one in self.study.contenders]
        side = min(image.width for image in images)
        images = [image if image.width == side else image.resize((side, side), Image.Resampling.BICUBIC) for image in images]
        left = self.study.left(voter)[open_pairs[0]]
        return Ballot(open_pairs[0], self.study.pairs, len(voted), caption, (images[left], images[1 - left]))

    def vote(self, voter: str, pair: int, side: str) -> bool:
        """Keep a choice; False if this voter has voted on the pair before.

        Raises:
            VoteError: a name, a pair or a side that is none, or a store that takes no more.
        """
        voter = read_voter(voter)
        if type(pair) is not int or not 0 <= pair < self.study.pairs:
            raise VoteError(f"pair: expected 0 to {self.study.pairs - 1}, found {str(pair)[:40]}")
        if side not in SIDES:
            raise VoteError(f"choice: expected left or right, found {str(side)[:40]!r}")
        left = self.study.left(voter)[pair]
        return self.store.add(Vote(self.study.key, voter, pair, left if side == "left" else 1 - left, left))

    def result(self) -> dict:
        """What the votes say; see :func:`outcome`."""
        votes = [vote for vote in self.store.votes(self.study.key) if vote.pair < self.study.pairs]
        return outcome((self.study.contenders[0].name, self.study.contenders[1].name), votes)

    def table(self) -> str:
        """Every vote as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        names = [one.name for one in self.study.contenders]
        for vote in self.store.votes(self.study.key):
            caption, seed = self.study.pair(vote.pair)
            row = (vote.pair, caption, seed, vote.voter, names[vote.shown_left], names[1 - vote.shown_left], names[vote.chosen])
            writer.writerow(f"'{cell}" if str(cell).startswith(FORMULAS) else cell for cell in row)
        return text.getvalue()


def outcome(names: tuple[str, str], votes: Sequence[Vote]) -> dict:
    """What votes on two contenders say, in plain data; numbers that there are not are None.

    ``votes`` counts for the first contender with its exact 95 % interval and the exact test against one half; ``pairs`` the same over
    pairs, each counted once by the majority of its voters, since votes on one pair are not independent of each other; ``left`` counts for
    the picture on the left side.
    """
    counts = [(row.count(0), row.count(1)) for row in _by_pair(votes)]
    voters = sorted({vote.voter for vote in votes})
    measure, kappa = _agreement(votes, voters, counts)
    decided = [first > second for first, second in counts if first != second]
    return {
        "first": names[0],
        "second": names[1],
        "voters": len(voters),
        "votes": _share(sum(vote.chosen == 0 for vote in votes), len(votes)),
        "pairs": _share(sum(decided), len(decided)) | {"tied": len(counts) - len(decided)},
        "left": _share(sum(vote.chosen == vote.shown_left for vote in votes), len(votes)),
        "agreement": {"measure": measure, "kappa": kappa if kappa == kappa else None},
    }


def read_table(path: str | os.PathLike, first: str = "") -> tuple[tuple[str, str], list[Vote]]:
    """The two contenders and the votes of a CSV file as :meth:`BlindVote.table` writes it.

    Args:
        path: of the file.
        first: the contender that comes first; empty: the one whose name is first in the alphabet.

    Raises:
        VoteError: no such table, other than two contenders, or ``first`` is none of them.
    """
    try:
        head, *rows = list(csv.reader(io.StringIO(read_text(path), newline=""), strict=True)) or [[]]
    except (OSError, FileError, csv.Error) as error:
        raise VoteError(f"{path}: expected a table of votes as CSV ({error})") from error
    if tuple(head) != COLUMNS or any(len(row) != len(COLUMNS) or not (row[0].isdecimal() and len(row[0]) < 10) for row in rows):
        raise VoteError(f"{path}: expected a table of votes with the columns {', '.join(COLUMNS)}; save it anew from the page")
    cells = [[cell[1:] if cell[:1] == "'" and cell[1:2] in FORMULAS else cell for cell in row] for row in rows]
    twice = next((key for key, count in Counter((row[0], row[3]) for row in cells).items() if count > 1), None)
    if twice is not None:
        raise VoteError(f"{path}: {shown(twice[1])} voted twice on pair {twice[0]}; which vote is meant?")
    alone = next((row[0] for row in cells if row[6] not in row[4:6] or row[4] == row[5]), None)
    if alone is not None:
        raise VoteError(f"{path}: pair {alone}: expected two contenders and one of them chosen")
    found = sorted({name for row in cells for name in row[4:]}, key=lambda name: (name != first, name))
    if len(found) != 2 or (first and found[0] != first):
        raise VoteError(f"{path}: expected votes on two contenders{f', {first} one of them' if first else ''}; found {'; '.join(found)}")
    votes = [Vote("table", voter, int(pair), found.index(chosen), found.index(left)) for pair, _, _, voter, left, _, chosen in cells]
    return (found[0], found[1]), votes


def _by_pair(votes: Sequence[Vote]) -> list[list[int]]:
    """The contenders that were chosen, a list for each pair with a vote."""
    found: dict[int, list[int]] = {}
    for vote in votes:
        found.setdefault(vote.pair, []).append(vote.chosen)
    return list(found.values())


def _share(count: int, of: int) -> dict:
    low, high = exact_interval(count, of)
    return {"for_first": count, "of": of, "share": count / of if of else None, "low": low, "high": high, "p": two_sided(count, of)}


def _agreement(votes: Sequence[Vote], voters: Sequence[str], counts: Sequence[Sequence[int]]) -> tuple[str, float]:
    """Cohen's kappa of two voters over the pairs that both voted on, Fleiss' kappa of more; NaN where there is none."""
    if len(voters) != 2:
        return "Fleiss' kappa", fleiss(counts)
    chosen = [{vote.pair: vote.chosen for vote in votes if vote.voter == voter} for voter in voters]
    both = Counter((chosen[0][pair], chosen[1][pair]) for pair in chosen[0].keys() & chosen[1].keys())
    table = [[both[row, column] for column in (0, 1)] for row in (0, 1)]
    return "Cohen's kappa", cohen(table) if both else float("nan")
