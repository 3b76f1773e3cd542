"""The sections below the page: what they answer, and that a ballot does not tell which picture is whose."""

from __future__ import annotations

import re

import gradio as gr
import pytest

from explorer import panels
from explorer.api import Endpoints
from explorer.sections import BlindVoting, ReadBack, TakeAway
from explorer.session import Session
from tests.explorer.toy import CAPTION, toy_pipeline


@pytest.fixture
def answers() -> Endpoints:
    return Endpoints(Session(["toy", "dm"], load=lambda name: toy_pipeline(global_memory=name == "toy")))


@pytest.fixture
def voting(answers) -> BlindVoting:
    with gr.Blocks():
        return BlindVoting(answers)


def test_a_voter_goes_from_pair_to_pair(voting):
    html, row, pair = voting.ballot("ann", "toy", "dm")
    assert "Pair 1 of 20" in html and row.visible and pair == 0 and html.count("<img") == 2
    html, row, pair = voting.choose("left", pair, "ann", "toy", "dm")
    assert "Pair 2 of 20" in html and pair == 1
    for _ in range(19):
        html, row, pair = voting.choose("right", pair, "ann", "toy", "dm")
    assert "voted on all 20 pairs" in html and not row.visible and pair is None
    result = voting.result("toy", "dm")[0]
    assert "of 20" in result and "Fleiss" in result and 'download="votes.csv"' in result


def test_a_ballot_names_no_contender(voting):
    html = voting.ballot("ann", "toy", "dm")[0]
    said = re.sub(r'src="data:image/png;base64,[^"]*"', "", html)
    assert not re.search(r"\b(toy|dm|image alone|contender|first|second)\b", said)
    pictures = re.findall(r'src="data:image/png;base64,([^"]*)"', html)
    assert len(set(pictures)) == 2


def test_a_name_that_is_none_is_refused_aloud(voting):
    html, row, pair = voting.ballot("<script>", "toy", "dm")
    assert 'role="alert"' in html and "<script>" not in html and not row.visible and pair is None
    assert "Nobody has voted" in voting.result("toy", "dm")[0]
    assert "two different" in voting.result("toy", "toy")[0]


def test_an_interval_and_a_kappa_are_said(voting):
    for voter in ("ann", "ben"):
        voting.answers.vote(voter, 0, "left", "toy", "dm")
    html = voting.result("toy", "dm")[0]
    assert "95 % interval" in html and "Cohen" in html and "of the voters (2)" in html


def test_a_picture_of_a_model_without_a_captioner_is_refused_and_let_go(answers):
    with gr.Blocks():
        section = ReadBack(answers)
    html, left = section.answer("data:image/png;base64,aaaa", CAPTION, "toy")
    assert "no captioner" in html and left == ""


def test_what_is_read_back_is_escaped():
    words = [{"word": "<b>", "probability": 0.5}]
    said = {"sentence": "<b>", "words": words, "probability": 0.5, "ended": False}
    row = said | {"picture": "handed in", "attributes": [{"attribute": "<i>", "said": ["x"], "read": [], "verdict": "differs"}]}
    html = panels.read_back([row | {"alternatives": [said]}])
    assert "<b>" not in html and "<i>" not in html and html.count("cut at its longest") == 2 and "<small>.50</small>" in html


def test_a_file_comes_with_the_python_that_makes_the_same(answers):
    with gr.Blocks():
        taking = TakeAway(answers)
    html = taking.answer("words", "csv", CAPTION, 3, "toy", '[{"edit":"mute","word":"red"}]')
    assert 'download="toy-3-words.csv"' in html and "with ex.edits(" in html and "mute" in html
    assert 'role="alert"' in taking.answer("", "exe", CAPTION, 3, "toy", "") and "whole number" in taking.answer(
        "", "png", CAPTION, "x", "toy", ""
    )
