"""A blind vote: sides are shuffled evenly, nothing tells which is which, and the result is what the votes say."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from explorer.ballots import CAPTIONS, PAIRS, Contender, Judge, contenders, sentences, two_of
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
def judge(session) -> Judge:
    return Judge(session, VoteStore(), two_of(session), [CAPTION])


def pictures_of(judge: Judge, pair: int) -> list[np.ndarray]:
    """Of the two contenders, in order."""
    from dmm.images import to_pil

    caption, seed = judge.study.pair(pair)
    return [np.asarray(to_pil(one.question(caption, seed).trace(judge.session).images[-1])) for one in judge.study.contenders]


def vote_for(judge: Judge, voter: str, chosen: list[int]) -> None:
    """A voter who prefers these contenders, pair by pair."""
    for pair, contender in enumerate(chosen):
        assert judge.vote(voter, pair, "left" if judge.study.left(voter)[pair] == contender else "right")


def test_each_contender_stands_left_for_half_of_the_pairs(judge):
    sides = np.array([judge.study.left(f"voter {k}") for k in range(400)])
    assert (sides.sum(1) == PAIRS // 2).all()
    assert np.abs(sides.mean(0) - 0.5).max() < 4 * 0.5 / 20  # four standard errors, for each pair over the voters
    assert len({tuple(row) for row in sides}) > 390  # each voter has an order of their own
    assert judge.study.left("voter 7") == list(sides[7])


def test_a_ballot_shows_both_pictures_where_the_drawn_sides_say(judge):
    for voter in ("ann", "ben", "eve"):
        ballot = judge.ballot(voter)
        first, second = pictures_of(judge, 0)
        expected = (first, second) if judge.study.left(voter)[0] == 0 else (second, first)
        assert all((np.asarray(shown) == of).all() for shown, of in zip(ballot.pictures, expected, strict=True))
        assert (ballot.pair, ballot.of, ballot.judged, ballot.caption) == (0, PAIRS, 0, CAPTION)


def test_pairs_come_one_after_another_until_all_are_judged(judge):
    for pair in range(PAIRS):
        assert judge.ballot("ann").pair == pair
        judge.vote("ann", pair, "left")
    assert judge.ballot("ann") is None and judge.ballot("ben").pair == 0
    assert not judge.vote("ann", 0, "right")  # the first vote counts
    assert judge.result()["left"]["for_first"] == PAIRS


def test_the_result_counts_contenders_and_not_sides(judge):
    vote_for(judge, "ann", [0] * 6 + [1] * 2)
    result = judge.result()
    assert result["votes"]["for_first"] == 6 and result["votes"]["of"] == 8 and result["votes"]["share"] == 0.75
    assert result["votes"]["low"] == pytest.approx(0.34914, abs=1e-5) and result["votes"]["high"] == pytest.approx(0.96815, abs=1e-5)
    assert result["agreement"] == {"measure": "Fleiss' kappa", "kappa": None}  # nobody to agree with


def test_two_voters_are_compared_by_cohens_kappa_and_more_by_fleiss(judge):
    vote_for(judge, "ann", [0, 0, 0, 1, 1, 1, 0, 1])
    vote_for(judge, "ben", [0, 0, 0, 1, 1, 1, 1, 0])
    assert judge.result()["agreement"] == {"measure": "Cohen's kappa", "kappa": pytest.approx(0.5)}
    vote_for(judge, "eve", [0, 0, 0, 1, 1, 1, 1, 0])
    result = judge.result()
    assert result["voters"] == 3 and result["pairs"]["for_first"] == 4 and result["pairs"]["of"] == 8
    same = (6 * 1 + 2 * (1 / 3)) / 8
    chance = (12 / 24) ** 2 * 2
    assert result["agreement"] == {"measure": "Fleiss' kappa", "kappa": pytest.approx((same - chance) / (1 - chance))}


def test_a_pair_on_which_voters_are_split_evenly_decides_nothing(judge):
    vote_for(judge, "ann", [0, 0])
    vote_for(judge, "ben", [0, 1])
    pairs = judge.result()["pairs"]
    assert (pairs["for_first"], pairs["of"], pairs["tied"]) == (1, 1, 1)


def test_without_votes_the_result_is_open(judge):
    result = judge.result()
    assert result["votes"]["share"] is None and (result["votes"]["low"], result["votes"]["high"]) == (0, 1)
    assert judge.table() == "pair,caption,seed,voter,left,right,chosen\n"


def test_votes_as_csv(judge):
    vote_for(judge, "ann", [1])
    (row,) = csv.DictReader(io.StringIO(judge.table()))
    assert row["caption"] == CAPTION and row["voter"] == "ann" and row["chosen"] == "dm" and {row["left"], row["right"]} == {"toy", "dm"}


def test_no_cell_is_a_formula_for_a_spreadsheet(session):
    judge = Judge(session, VoteStore(), two_of(session), ["=1+1 a red bird"])
    vote_for(judge, "ann", [0])
    (row,) = csv.DictReader(io.StringIO(judge.table()))
    assert row["caption"] == "'=1+1 a red bird"


def test_studies_do_not_mix(session):
    store = VoteStore()
    one, other = (Judge(session, store, pair, [CAPTION]) for pair in (two_of(session), two_of(session, "dm", "toy")))
    vote_for(one, "ann", [0])
    assert other.result()["voters"] == 0 and one.study.key != other.study.key
    assert Judge(session, store, two_of(session), [CAPTION]).result()["voters"] == 1


def test_with_one_model_open_it_is_judged_without_its_memory_or_with_another_noise():
    lone = Session("toy", load=load)
    assert [one.name for one in two_of(lone)] == ["toy", "toy: answered by image alone"]
    plain = Session("dfgan", load=load)
    assert [one.name for one in two_of(plain)] == ["dfgan", "dfgan: another noise"]
    judge = Judge(plain, VoteStore(), two_of(plain), [CAPTION])
    left, right = judge.ballot("ann").pictures
    assert (np.asarray(left) != np.asarray(right)).any()


def test_any_edits_can_be_judged(session):
    pair = (Contender("toy"), Contender("toy", (Mute("red"),)))
    assert Judge(session, VoteStore(), pair, [CAPTION]).ballot("ann").caption == CAPTION


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
def test_votes_that_are_none_are_refused(judge, pair, side):
    with pytest.raises(VoteError, match="expected"):
        judge.vote("ann", pair, side)
    assert len(judge.store) == 0


def test_models_without_a_common_caption_are_refused(session):
    with pytest.raises(Refusal, match="no caption in common"):
        Judge(session, VoteStore(), two_of(session), ["zorp"])
