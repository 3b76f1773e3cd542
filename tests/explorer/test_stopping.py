"""A question that is taken back ends at its next step, and only that one."""

from __future__ import annotations

import pytest

from explorer.api import Endpoints
from explorer.page_answers import Question, ask
from explorer.session import Session
from explorer.stopping import Stopped, Stops
from tests.explorer.toy import CAPTION, toy_pipeline


def test_only_what_is_being_answered_is_taken_back():
    stops = Stops()
    stops.stop("ann")  # nothing is being answered
    with stops.answering("ann"), stops.answering("ben"):
        stops.check("ann")
        stops.stop("ann")
        stops.check("ben")
        with pytest.raises(Stopped):
            stops.check("ann")
    stops.check("ann")
    with stops.answering("ann"):
        stops.check("ann")


@pytest.mark.parametrize("asked", ['{"kind":"why"}', '{"kind":"compare","seeds":"8"}', '{"kind":"walk","seed":"9"}'])
def test_each_long_answer_ends_at_its_next_step(asked):
    stops, steps = Stops(), []
    session = Session("toy", load=lambda name: toy_pipeline())

    def told(done: int, of: int) -> None:
        steps.append((done, of))
        stops.stop("ann") if done == 2 else None
        stops.check("ann")

    with stops.answering("ann"), pytest.raises(Stopped):
        ask(Endpoints(session, told=told), asked, Question.read(session, CAPTION, 3, "toy"))
    assert [done for done, _ in steps] == [1, 2] and steps[0][1] > 2
