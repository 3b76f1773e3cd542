"""Votes in SQLite: what is kept, what several users do at once, and which files are refused."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading

import pytest

from explorer import votes
from explorer.votes import SCHEMA, Vote, VoteError, VoteStore, read_voter


def vote(pair: int = 0, voter: str = "ann", chosen: int = 0, study: str = "s") -> Vote:
    return Vote(study, voter, pair, chosen, 0)


def add_many(path, voter: str) -> None:
    store = VoteStore(path)
    for pair in range(50):
        store.add(vote(pair, voter))
    store.close()


def test_votes_outlive_the_process_that_took_them(tmp_path):
    path = tmp_path / "votes.db"
    store = VoteStore(path)
    assert store.add(vote(3)) and store.add(vote(1, "ben", 1)) and store.add(vote(3, study="other"))
    store.close()
    again = VoteStore(path)
    assert again.votes("s") == [vote(1, "ben", 1), vote(3)] and len(again) == 3
    assert again.voted("s", "ann") == {3} and again.voted("s", "eve") == set()


def test_the_first_vote_of_a_voter_on_a_pair_counts():
    store = VoteStore()
    assert store.add(vote(chosen=1)) and not store.add(vote(chosen=0))
    assert store.votes("s") == [vote(chosen=1)]


def test_several_threads_and_processes_lose_no_vote(tmp_path):
    path = tmp_path / "votes.db"
    here = VoteStore(path)
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=add_many, args=(path, f"process {k}")) for k in range(2)]
    for process in others:
        process.start()
    threads = [threading.Thread(target=lambda k=k: [here.add(vote(p, f"thread {k}")) for p in range(50)]) for k in range(4)]
    for thread in threads:
        thread.start()
    for each in (*threads, *others):
        each.join()
    assert [process.exitcode for process in others] == [0, 0] and len(here) == 6 * 50


def test_a_file_is_written_ahead_and_whole(tmp_path):
    VoteStore(tmp_path / "votes.db").close()
    with sqlite3.connect(tmp_path / "votes.db") as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def other_database(path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE money (sum)")


def with_a_trigger(path) -> None:
    VoteStore(path).close()
    with sqlite3.connect(path) as file:
        file.execute("CREATE TRIGGER t AFTER INSERT ON votes BEGIN DELETE FROM votes; END")


FILES = {
    "text": lambda path: path.write_text("no database, but long enough to be looked at " * 40),
    "another database": other_database,
    "a trigger": with_a_trigger,
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", FILES)
def test_other_files_are_refused_and_left_as_they_are(kind, tmp_path):
    path = tmp_path / "votes.db"
    FILES[kind](path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(VoteError, match="expected a file of votes"):
        VoteStore(path)
    assert before is None or path.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(VoteError, match="no such folder"):
        VoteStore(tmp_path / "none" / "votes.db")


def test_a_row_that_is_no_vote_is_refused(tmp_path):
    path = tmp_path / "votes.db"
    VoteStore(path).close()
    with sqlite3.connect(path) as file:
        file.execute("INSERT INTO votes VALUES ('s', 'ann', 0, 7, 0)")
    with pytest.raises(VoteError, match="expected a vote"):
        VoteStore(path).votes("s")


def test_a_full_store_takes_no_more_and_says_so(monkeypatch):
    monkeypatch.setattr(votes, "MOST", 2)
    store = VoteStore()
    store.add(vote(0))
    store.add(vote(1))
    with pytest.raises(VoteError, match="holds 2 votes"):
        store.add(vote(2))
    assert len(store) == 2


@pytest.mark.parametrize("name", ["Ann", "  Ann   B. ", "ann-2", "Zoë", "李"])
def test_names_of_voters(name):
    assert read_voter(name) == " ".join(name.split())


NONE = ["", " ", None, 5, "=1+1", "-a", "@x", "_x", "a" * 41, "<b>", "a\x00b", "a'; DROP TABLE votes; --", "a\u202eb"]


@pytest.mark.parametrize("name", NONE)
def test_names_that_are_none(name):
    with pytest.raises(VoteError, match="1 to 40 letters"):
        read_voter(name)


def test_the_table_is_the_one_that_is_checked(tmp_path):
    VoteStore(tmp_path / "votes.db").close()
    with sqlite3.connect(tmp_path / "votes.db") as file:
        assert file.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall() == [(SCHEMA,)]
