"""A blind vote in a notebook."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dmm.images import write_atomic
from explorer import cells, statistics
from explorer.ballots import BlindVote
from explorer.notebook.shown import Shown
from explorer.votes import VoteError


class Voting:
    """One voter's blind vote. It shows the next pair; :meth:`choose` keeps a choice and shows the one after.

    Args:
        blind_vote: the two contenders and where votes are kept.
        voter: name.
    """

    def __init__(self, blind_vote: BlindVote, voter: str):
        self.blind_vote, self.voter = blind_vote, voter
        self.ballot = blind_vote.ballot(voter)

    def choose(self, side: str) -> Voting:
        """Keep which picture fits the caption better, "left" or "right".

        Raises:
            VoteError: another side, or no pair is left.
        """
        if self.ballot is None:
            raise VoteError("There is no pair left; see result().")
        self.blind_vote.vote(self.voter, self.ballot.pair, side)
        self.ballot = self.blind_vote.ballot(self.voter)
        return self

    def result(self) -> Shown:
        """What all votes on these contenders say, and how far the voters agree."""
        found = self.blind_vote.result()
        rows = [{"counted": name} | {k: v for k, v in found[name].items() if k != "tied"} for name in ("votes", "pairs", "left")]
        title = f"{found['first']} against {found['second']}, {found['voters']} voters"
        kappa = found["agreement"]["kappa"]
        line = f"{found['agreement']['measure']} {'–' if kappa is None else statistics.short(kappa)}"
        note = "low and high: exact 95 % interval (Clopper-Pearson). Votes on one pair are not independent; pairs count each once."
        return Shown(title, [*rows, {"counted": line}], cells.table(rows, title) + cells.paragraph(line) + cells.paragraph(note))

    def save(self, path: str | os.PathLike) -> Path:
        """Write every vote as CSV, whole or not at all."""
        write_atomic(path, self.blind_vote.table().encode())
        return Path(path)

    def _repr_html_(self) -> str:
        if self.ballot is None:
            return cells.paragraph("There is no pair left, thank you.")
        said = f"Pair {self.ballot.pair + 1} of {self.ballot.of}: “{self.ballot.caption}”. Which picture fits better?"
        pictures = dict(zip(("left", "right"), map(np.asarray, self.ballot.pictures), strict=True))
        return cells.paragraph(said) + cells.row(pictures)

    def __repr__(self) -> str:
        return f"Voting({self.voter!r}, {'no pair left' if self.ballot is None else f'pair {self.ballot.pair + 1} of {self.ballot.of}'})"
