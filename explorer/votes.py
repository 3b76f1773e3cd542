"""Votes in SQLite: one row for each voter and pair, in a file that several processes may write, or in memory.

A file is opened in WAL mode; each vote is one transaction, so that it is kept whole or not at all. The first vote of a voter on a pair
counts. A file that is no such store is refused before anything is written to it.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dmm.files import printable

MOST = 20_000  # votes in one store
NAME = re.compile(r"[^\W_][\w .-]{0,39}")  # of a voter; begins with a letter or digit, so that no spreadsheet takes it for a formula
APPLICATION = 0x444D4D56  # "DMMV", in the file's head
WAIT = 10.0  # seconds for another process to end its transaction
SCHEMA = (
    "CREATE TABLE votes (study TEXT NOT NULL, voter TEXT NOT NULL, pair INTEGER NOT NULL, chosen INTEGER NOT NULL, "
    "shown_left INTEGER NOT NULL, PRIMARY KEY (study, voter, pair)) WITHOUT ROWID"
)


class VoteError(ValueError):
    """A vote or a store of votes that cannot be used: what was expected, what was found, what to do."""


@dataclass(frozen=True)
class Vote:
    """One voter's choice of one pair. Contenders are 0, the first of the study, and 1."""

    study: str  # its key
    voter: str
    pair: int  # from 0
    chosen: int  # contender
    shown_left: int  # contender

    def __post_init__(self):
        texts = all(type(value) is str and value for value in (self.study, self.voter))
        if not texts or type(self.pair) is not int or self.pair < 0 or {self.chosen, self.shown_left} - {0, 1}:
            raise VoteError(f"expected a vote, found {printable(str((self.study, self.voter, self.pair, self.chosen)), 80)}")


def read_voter(name: object) -> str:
    """A voter's name with its white space reduced.

    Raises:
        VoteError: none, or one of other signs.
    """
    tidy = " ".join(name.split()) if isinstance(name, str) else ""
    if not NAME.fullmatch(tidy):
        found = printable(str(name), 60)
        raise VoteError(f"A voter's name has 1 to 40 letters, digits, blanks, dots or hyphens; found {found!r}.")
    return tidy


class VoteStore:
    """Votes that are kept. Safe to use from several threads and, with a file, from several processes.

    Args:
        path: of a file, made if there is none; None keeps the votes until this process ends.

    Raises:
        VoteError: a file that is no store of votes, or that cannot be written.
    """

    def __init__(self, path: str | os.PathLike | None = None):
        self.path = None if path is None else Path(path)
        self._guard = threading.Lock()
        if self.path is not None and not self.path.parent.is_dir():
            raise VoteError(f"{self.path}: no such folder; make it first")
        try:
            self._open()
        except sqlite3.Error as error:
            raise VoteError(f"{self.path}: expected a file of votes, or none yet ({error}); choose another name") from error

    def _open(self) -> None:
        name = ":memory:" if self.path is None else str(self.path)
        self._connection = sqlite3.connect(name, timeout=WAIT, isolation_level=None, check_same_thread=False)
        try:
            self._connection.execute("PRAGMA trusted_schema = OFF")
            self._connection.execute("BEGIN IMMEDIATE")
            self._check()
            self._connection.execute("COMMIT")
            self._connection.execute("PRAGMA journal_mode = WAL")
        except (sqlite3.Error, VoteError):
            self._connection.close()
            raise

    def _check(self) -> None:
        """A new file is made a store; an old one has to be one.

        Raises:
            VoteError: it is something else.
        """
        (mark,), tables = (
            self._connection.execute("PRAGMA application_id").fetchone(),
            self._connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall(),
        )
        if not mark and not tables:
            self._connection.execute(SCHEMA)
            self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
        elif mark != APPLICATION or tables != [(SCHEMA,)]:
            raise VoteError(f"{self.path}: expected a file of votes, found another database; choose another name")

    def add(self, vote: Vote) -> bool:
        """Keep a vote; False if this voter has voted on the pair before.

        Raises:
            VoteError: the store is full, or cannot be written.
        """
        values = (vote.study, vote.voter, vote.pair, vote.chosen, vote.shown_left)
        with self._guard:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    if self._count() >= MOST:
                        raise VoteError(f"This store holds {MOST:,} votes and takes no more.")
                    added = self._connection.execute("INSERT OR IGNORE INTO votes VALUES (?, ?, ?, ?, ?)", values).rowcount
                    self._connection.execute("COMMIT")
                except (sqlite3.Error, VoteError):
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise VoteError(f"The vote was not kept ({error}).") from error
        return added == 1

    def votes(self, study: str) -> list[Vote]:
        """All votes of a study, by pair and voter.

        Raises:
            VoteError: a store that cannot be read, or a row that is no vote.
        """
        with self._guard:
            try:
                rows = self._connection.execute("SELECT * FROM votes WHERE study = ? ORDER BY pair, voter", (study,)).fetchall()
            except sqlite3.Error as error:
                raise VoteError(f"The votes could not be read ({error}).") from error
        return [Vote(*row) for row in rows]

    def voted(self, study: str, voter: str) -> set[int]:
        """Pairs that a voter has voted on. Raises as :meth:`votes`."""
        return {vote.pair for vote in self.votes(study) if vote.voter == voter}

    def __len__(self) -> int:
        with self._guard:
            return self._count()

    def _count(self) -> int:
        with closing(self._connection.execute("SELECT count(*) FROM votes")) as found:
            return found.fetchone()[0]

    def close(self) -> None:
        """Write all to the file and let go of it."""
        with self._guard:
            self._connection.close()
