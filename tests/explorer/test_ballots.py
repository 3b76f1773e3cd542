"""A blind vote: sides are shuffled evenly, nothing tells which is which, and the result is what the votes say."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from explorer.ballots import CAPTIONS, PAIRS, BlindVote, Contender, contenders, sentences, two_of
from explorer.edits import Mute
from explorer.questions import Refusal
from explorer.session import Session
from explorer.votes import VoteError, VoteStore
from tests.explorer.toy import CAPTION, toy_pipeline, toy_system


def load(name: str):
    return toy_pipeline(global_memory=name == "toy") if name in ("toy", "dm") else toy_system(name)


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(["toy", "dm"], load=load)


@pytest.fixture
def blind_vote(session) -> BlindVote:
    return BlindVote(session, VoteStore(), two_of(session), [CAPTION])


def pictures_of(blind_vote: BlindVote, pair: int) -> list[np.ndarray]:
    """Of the two contenders, in order."""
    from dmm.images import to_pil

    caption, seed = blind_vote.study.pair(pair)
    return [np.asarray(to_pil(one.question(caption, seed).trace(blind_vote.session).images[-1])) for one in blind_vote.study.contenders]


def vote_for(blind_vote: BlindVote, voter: str, chosen: list[int]) -> None:
    """A voter who prefers these contenders, pair by pair."""
    for pair, contender in enumerate(chosen):
        assert blind_vote.vote(voter, pair, "left" if blind_vote.study.left(voter)[pair] == contender else "right")


def test_each_contender_stands_left_for_half_of_the_pairs(blind_vote):
    sides = np.array([blind_vote.study.left(f"voter {k}") for k in range(400)])
    assert (sides.sum(1) == PAIRS // 2).all()
    assert np.abs(sides.mean(0) - 0.5).max() < 4 * 0.5 / 20  # four standard errors, for each pair over the voters
    assert len({tuple(row) for row in sides}) > 390  # each voter has an order of their own
    assert blind_vote.study.left("voter 7") == list(sides[7])


def test_a_ballot_shows_both_pictures_where_the_drawn_sides_say(blind_vote):
    for voter in ("ann", "ben", "eve"):
        ballot = blind_vote.ballot(voter)
        first, second = pictures_of(blind_vote, 0)
        expected = (first, second) if blind_vote.study.left(voter)[0] == 0 else (second, first)
        assert all((np.asarray(shown) == of).all() for shown, of in zip(ballot.pictures, expected, strict=True))
        assert (ballot.pair, ballot.of, ballot.voted, ballot.caption) == (0, PAIRS, 0, CAPTION)


def test_pairs_come_one_after_another_until_none_is_left(blind_vote):
    for pair in range(PAIRS):
        assert blind_vote.ballot("ann").pair == pair
        blind_vote.vote("ann", pair, "left")
    assert blind_vote.ballot("ann") is None and blind_vote.ballot("ben").pair == 0
    assert not blind_vote.vote("ann", 0, "right")  # the first vote counts
    assert blind_vote.result()["left"]["for_first"] == PAIRS


def test_the_result_counts_contenders_and_not_sides(blind_vote):
    vote_for(blind_vote, "ann", [0] * 6 + [1] * 2)
    result = blind_vote.result()
    assert result["votes"]["for_first"] == 6 and result["votes"]["of"] == 8 and result["votes"]["share"] == 0.75
    assert result["votes"]["low"] == pytest.approx(0.34914, abs=1e-5) and result["votes"]["high"] == pytest.approx(0.96815, abs=1e-5)
    assert result["agreement"] == {"measure": "Fleiss' kappa", "kappa": None}  # nobody to agree with


def test_two_voters_are_compared_by_cohens_kappa_and_more_by_fleiss(blind_vote):
    vote_for(blind_vote, "ann", [0, 0, 0, 1, 1, 1, 0, 1])
    vote_for(blind_vote, "ben", [0, 0, 0, 1, 1, 1, 1, 0])
    assert blind_vote.result()["agreement"] == {"measure": "Cohen's kappa", "kappa": pytest.approx(0.5)}
    vote_for(blind_vote, "eve", [0, 0, 0, 1, 1, 1, 1, 0])
    result = blind_vote.result()
    assert result["voters"] == 3 and result["pairs"]["for_first"] == 4 and result["pairs"]["of"] == 8
    same = (6 * 1 + 2 * (1 / 3)) / 8
    chance = (12 / 24) ** 2 * 2
    assert result["agreement"] == {"measure": "Fleiss' kappa", "kappa": pytest.approx((same - chance) / (1 - chance))}


def test_a_pair_on_which_voters_are_split_evenly_decides_nothing(blind_vote):
    vote_for(blind_vote, "ann", [0, 0])
    vote_for(blind_vote, "ben", [0, 1])
    pairs = blind_vote.result()["pairs"]
    assert (pairs["for_first"], pairs["of"], pairs["tied"]) == (1, 1, 1)


def test_without_votes_the_result_is_open(blind_vote):
    result = blind_vote.result()
    assert result["votes"]["share"] is None and (result["votes"]["low"], result["votes"]["high"]) == (0, 1)
    assert blind_vote.table() == "pair,caption,seed,voter,left,right,chosen\n"


def test_votes_as_csv(blind_vote):
    vote_for(blind_vote, "ann", [1])
    (row,) = csv.DictReader(io.StringIO(blind_vote.table()))
    assert row["caption"] == CAPTION and row["voter"] == "ann" and row["chosen"] == "dm" and {row["left"], row["right"]} == {"toy", "dm"}


def test_no_cell_is_a_formula_for_a_spreadsheet(session):
    blind_vote = BlindVote(session, VoteStore(), two_of(session), ["=1+1 a red bird"])
    vote_for(blind_vote, "ann", [0])
    (row,) = csv.DictReader(io.StringIO(blind_vote.table()))
    assert row["caption"] == "'=1+1 a red bird"


def test_studies_do_not_mix(session):
    store = VoteStore()
    one, other = (BlindVote(session, store, pair, [CAPTION]) for pair in (two_of(session), two_of(session, "dm", "toy")))
    vote_for(one, "ann", [0])
    assert other.result()["voters"] == 0 and one.study.key != other.study.key
    assert BlindVote(session, store, two_of(session), [CAPTION]).result()["voters"] == 1


def test_with_one_model_open_it_competes_without_its_memory_or_with_another_noise():
    lone = Session("toy", load=load)
    assert [one.name for one in two_of(lone)] == ["toy", "toy: answered by image alone"]
    plain = Session("dfgan", load=load)
    assert [one.name for one in two_of(plain)] == ["dfgan", "dfgan: another noise"]
    blind_vote = BlindVote(plain, VoteStore(), two_of(plain), [CAPTION])
    left, right = blind_vote.ballot("ann").pictures
    assert (np.asarray(left) != np.asarray(right)).any()


def test_any_edits_can_be_voted_on(session):
    pair = (Contender("toy"), Contender("toy", (Mute("red"),)))
    assert BlindVote(session, VoteStore(), pair, [CAPTION]).ballot("ann").caption == CAPTION


def test_captions_that_suit_the_model(session):
    pipe = toy_pipeline()
    assert set(sentences(pipe)) <= set(CAPTIONS)
    pipe.card = {"captions": ["zorp", "a red bird", "a red bird"]}
    assert sentences(pipe) == ["a red bird"]


@pytest.mark.parametrize(("first", "second"), [("zorp", ""), ("toy", "toy"), ("", "../x")])
def test_contenders_that_are_none_are_refused(session, first, second):
    with pytest.raises(Refusal, match="no contender|two different"):
        two_of(session, first, second)
    assert set(contenders(session.models)) >= {"toy", "dm"}


HOSTILE = [(-1, "left"), (PAIRS, "left"), ("0", "left"), (0.0, "left"), (True, "left"), (0, "first"), (0, None)]


@pytest.mark.parametrize(("pair", "side"), HOSTILE)
def test_votes_that_are_none_are_refused(blind_vote, pair, side):
    with pytest.raises(VoteError, match="expected"):
        blind_vote.vote("ann", pair, side)
    assert len(blind_vote.store) == 0


def test_models_without_a_common_caption_are_refused(session):
    with pytest.raises(Refusal, match="no caption in common"):
        BlindVote(session, VoteStore(), two_of(session), ["zorp"])
