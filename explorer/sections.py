"""Sections below the generated page, each closed at first: read back a picture of one's own, vote blind, take away.

A section is made inside the app that is being built; its answers come from :mod:`explorer.api`, so that the page and other programs get
the same.
"""

from __future__ import annotations

import base64
from typing import Literal, TypedDict

import gradio as gr

from dmm.models.registry import picture_sizes
from explorer import page_html, panels, takeaway
from explorer.api import Endpoints
from explorer.ballots import PAIRS, contenders
from explorer.interventions import to_data
from explorer.questions import Question, Refusal

CLASS = "ex-section"
KINDS = {
    "a picture (PNG)": "png",
    "a drawing (SVG)": "svg",
    "a drawing (PDF)": "pdf",
    "its numbers (CSV)": "csv",
    "the trace for Python (.npz)": "npz",
    "the trace without maps (JSON)": "json",
    "a page that works offline (HTML)": "html",
    "Python that makes the same": "py",
}
SAVED = "watch('value', () => window.explorerPage.save(element));"
HANDED = "window.explorerPage.handing(element);"


class Queued(TypedDict):
    """How Gradio hears an event for which a network is used: one at a time, in the queue of all that use networks."""

    concurrency_limit: int
    concurrency_id: str
    show_progress_on: gr.HTML
    api_visibility: Literal["private"]


class AtOnce(TypedDict):
    """How Gradio hears an event that is answered without queueing."""

    queue: bool
    show_progress: Literal["hidden"]
    api_visibility: Literal["private"]


class ReadBack:
    """A picture is chosen or dropped; the browser shrinks it and sends it inside the question; what STREAM reads is shown."""

    def __init__(self, answers: Endpoints):
        self.answers = answers
        pipe = answers.session.pipeline()
        with gr.Accordion("Read back a picture of your own", open=False, elem_classes=CLASS, elem_id="readback"):
            gr.HTML(panels.drop_zone(picture_sizes(pipe.config)[-1]), apply_default_css=False, js_on_load=HANDED)
            self.shown = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id="handed-answer")
            self.handed = gr.Textbox("", elem_id="handed", elem_classes="ex-wire", container=False, show_label=False)

    def events(self, caption: gr.Textbox, model: gr.Dropdown, asked: Queued) -> list:
        """Answer when a picture was handed in; it is compared with the caption that is typed above."""
        options: Queued = {**asked, "show_progress_on": self.shown}
        inputs, outputs = [self.handed, caption, model], [self.shown, self.handed]
        return [self.handed.submit(self.answer, inputs, outputs, api_name="read_picture", **options)]

    def answer(self, picture: str, caption: str, model: str) -> tuple[str, str]:
        """What was read, and nothing left of the picture in the page's fields."""
        try:
            return panels.read_back(self.answers.redescribe(caption or "", picture, model=model)), ""
        except Refusal as refusal:
            return page_html.notice(str(refusal)), ""


class BlindVoting:
    """A blind vote: two contenders, a name, one pair after another, and what all votes say."""

    def __init__(self, answers: Endpoints):
        self.answers = answers
        names = list(contenders(answers.session.models))
        other = answers.blind_vote().study.contenders[1].name
        with gr.Accordion("Blind vote", open=False, elem_classes=CLASS, elem_id="blind-vote"):
            gr.HTML(panels.vote_note(PAIRS), apply_default_css=False, js_on_load=None)
            with gr.Row(equal_height=False):
                self.first = gr.Dropdown(names, value=names[0], label="One", scale=2, min_width=220)
                self.second = gr.Dropdown(names, value=other, label="The other", scale=2, min_width=220)
                self.voter = gr.Textbox("", label="Your name (kept with your votes)", max_length=40, scale=2, min_width=200)
            with gr.Row(equal_height=False):
                self.begin = gr.Button("Show me a pair", min_width=140, scale=0)
                self.look = gr.Button("Show the result", min_width=140, scale=0)
            self.shown = gr.HTML("", apply_default_css=False, js_on_load=None, elem_id="ballot")
            with gr.Row(visible=False, elem_id="choices") as self.choices:
                self.sides = {side: gr.Button(f"The {side} one fits better", elem_id=f"vote-{side}") for side in ("left", "right")}
            self.pair = gr.State(None)

    def events(self, asked: Queued) -> list:
        """Answer to the buttons; a change of the contenders takes the pair away."""
        options: Queued = {**asked, "show_progress_on": self.shown}
        study, outputs = [self.voter, self.first, self.second], [self.shown, self.choices, self.pair]
        events = [trigger(self.ballot, study, outputs, **options) for trigger in (self.begin.click, self.voter.submit)]
        for side, button in self.sides.items():
            events.append(button.click(_choice(self, side), [self.pair, *study], outputs, **options))
        events.append(self.look.click(self.result, study[1:], outputs, **options))
        free: AtOnce = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        return events + [field.input(self.nothing, None, outputs, **free) for field in (self.first, self.second)]

    def nothing(self) -> tuple:
        """No pair."""
        return "", gr.Row(visible=False), None

    def ballot(self, voter: str, first: str, second: str) -> tuple:
        """The next pair of a voter, or why there is none."""
        try:
            found = self.answers.ballot(voter, first, second)
        except Refusal as refusal:
            return page_html.notice(str(refusal)), gr.Row(visible=False), None
        return panels.ballot(found), gr.Row(visible=found["pair"] is not None), found["pair"]

    def choose(self, side: str, pair: int | None, voter: str, first: str, second: str) -> tuple:
        """Keep a choice and show the next pair."""
        try:
            if pair is not None:
                self.answers.vote(voter, pair, side, first, second)
        except Refusal as refusal:
            return page_html.notice(str(refusal)), gr.skip(), gr.skip()
        return self.ballot(voter, first, second)

    def result(self, first: str, second: str) -> tuple:
        """What all votes say."""
        try:
            return panels.voted(self.answers.votes(first, second)), gr.Row(visible=False), None
        except Refusal as refusal:
            return page_html.notice(str(refusal)), gr.Row(visible=False), None


def _choice(voting: BlindVoting, side: str):
    """What a button of a side does."""
    return lambda pair, voter, first, second: voting.choose(side, pair, voter, first, second)


class TakeAway:
    """What the page shows, as a file: the whole caption, or one panel; the browser saves it at once."""

    def __init__(self, answers: Endpoints):
        self.answers = answers
        whats = [("Everything of this caption", ""), *((title, name) for name, (title, _) in takeaway.PANELS.items())]
        with gr.Accordion("Take away", open=False, elem_classes=CLASS, elem_id="takeaway"):
            with gr.Row(equal_height=False):
                self.what = gr.Dropdown(whats, value="", label="What", scale=3, min_width=240)
                self.kind = gr.Dropdown(list(KINDS.items()), value="png", label="As", scale=3, min_width=240)
                self.save = gr.Button("Save", min_width=110, scale=0, elem_id="save")
            self.shown = gr.HTML("", apply_default_css=False, js_on_load=SAVED, elem_id="taken")

    def events(self, inputs: list, asked: Queued) -> list:
        """Answer the button; ``inputs`` are the caption, seed, model and edits."""
        options: Queued = {**asked, "show_progress_on": self.shown}
        return [self.save.click(self.answer, [self.what, self.kind, *inputs], self.shown, **options)]

    def answer(self, panel: str, kind: str, caption: str, seed, model: str, edits: str) -> str:
        """A link that holds the file, and the Python that makes the same picture."""
        try:
            on = to_data(Question.read(self.answers.session, caption, seed, model, edits).edits)
            file = self.answers.export(caption, kind, seed, model, on, panel or "")
            code = base64.b64decode(self.answers.export(caption, "py", seed, model, on)["base64"]).decode()
        except Refusal as refusal:
            return page_html.notice(str(refusal))
        return panels.taken(file, code)
