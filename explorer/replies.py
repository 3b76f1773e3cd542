"""What the page does when a reader does something: event functions, whose answers Gradio lays into the page's parts.

What is in the store is answered at once; what has to be generated is handed to the queue, through a hidden field that names it.
"""

from __future__ import annotations

import json
import random
import urllib.parse
from collections.abc import Sequence

import gradio as gr

from dmm.pipeline import CaptionError
from explorer import page_html
from explorer.api import Endpoints
from explorer.edits import EditError
from explorer.interventions import to_json
from explorer.page_answers import answer_page, ask, fitting, same_bird
from explorer.questions import FIRST_SEED, Refusal
from explorer.stopping import Stopped, Stops

BROKEN = "That did not work, and not because of your caption. The terminal that runs the explorer says more; it may just be busy."
PROGRESS = gr.Progress()


class Replies:
    """To the readers of one page.

    Args:
        answers: what is open.
        first: caption of the finished example.
        trained: models with a section of their training run, in the order of the page.
    """

    def __init__(self, answers: Endpoints, first: str, trained: Sequence[str]):
        self.answers, self.session, self.stops = answers, answers.session, Stops()
        self.first, self.trained = first, list(trained)

    def answer(self, caption, seed, model, edits="", before=None) -> tuple:
        """Message, page, the edits that are on, and the answer about a word (cleared)."""
        try:
            asked, left = fitting(self.session, caption, seed, model, edits)
            page = answer_page(self.session, asked)
            told = " ".join(filter(None, (left, same_bird(self.session, asked, before))))
        except Refusal as refusal:
            return page_html.notice(str(refusal)), gr.skip(), gr.skip(), gr.skip()
        return page_html.told(told), page, to_json(asked.edits), ""

    def at_once(self, caption, seed, model, edits="", before=None) -> tuple:
        """What is in the store, or a refusal, as :meth:`answer`, and nothing to wait for; else nothing, and what to wait for."""
        try:
            asked = fitting(self.session, caption, seed, model, edits)[0]
            there = all(self.session.holds(*question.key) for question in (asked, asked.bare()))
        except Refusal:
            there = True
        if there:
            return *self.answer(caption, seed, model, edits, before), gr.skip()
        return *[gr.skip()] * 4, json.dumps([caption, seed, model, edits, before, random.random()])

    def queued(self, waiting: str) -> tuple:
        """What was waited for, as :meth:`answer`."""
        return self.answer(*json.loads(waiting)[:5])

    def broken(self, _waiting: str) -> str:
        """The message when an answer failed."""
        return page_html.notice(BROKEN)

    def example(self, text, seed, model) -> tuple:
        """One of the captions to try."""
        return text, *self.at_once(text, seed, model)

    def reroll(self, caption, seed, model, edits) -> tuple:
        """Another seed."""
        other = random.randrange(10**6)
        return other, *self.at_once(caption, other, model, edits, seed)

    def why(self, asked, caption, seed, model, edits, request: gr.Request, progress=PROGRESS) -> tuple:
        """The answer to a question about the picture that is shown, and no message; or why it cannot be answered."""
        visitor = str(request.session_hash)

        def told(done: int, steps: int) -> None:
            self.stops.check(visitor)
            progress((done, steps), desc="Generating", unit="pictures")

        try:
            with self.stops.answering(visitor):
                about = fitting(self.session, caption, seed, model, edits)[0]
                return "", ask(Endpoints(self.session, self.answers.store, told), asked, about)
        except Stopped as error:  # as take_back says it, whichever comes last
            return page_html.told(str(error)), gr.skip()
        except (EditError, CaptionError, Refusal) as error:
            return page_html.notice(str(error)), gr.skip()

    def take_back(self, request: gr.Request) -> tuple:
        """End the answer that this visitor waits for: it is not waited for any more, and stops at its next step."""
        self.stops.stop(str(request.session_hash))
        return gr.Button(visible=False), page_html.told("Stopped; the picture is as it was.")

    def go_back(self, address: str) -> tuple:
        """What the address asks for to which a reader went back; without a caption it is the finished example."""
        names = self.session.models
        asked = dict(urllib.parse.parse_qsl(address.partition("?")[2]))
        text, number, name = asked.get("caption", self.first), asked.get("seed", FIRST_SEED), asked.get("model", names[0])
        return text, number, name if name in names else gr.skip(), *self.at_once(text, number, name, asked.get("edits", ""))

    def follow_link(self, request: gr.Request) -> list:
        """What the address bar asks for; no caption in it means: keep the finished example."""
        asked = dict(request.query_params)
        folds = [gr.skip()] * len(self.trained)
        if "caption" not in asked:
            return [gr.skip()] * 8 + folds
        caption, seed, model = asked["caption"], asked.get("seed", FIRST_SEED), asked.get("model")
        shown = [caption, gr.skip() if not str(seed).isdecimal() else int(seed), model if model in self.session.models else gr.skip()]
        if "step" not in asked:
            return [*shown, *self.at_once(caption, seed, model, asked.get("edits", "")), *folds]
        if model in self.trained:  # its section, once opened, shows the step
            folds[self.trained.index(model)] = gr.Accordion(open=True)
            return [*shown, "", *[gr.skip()] * 4, *folds]
        message = f"This link shows {model or 'a model'} at a step of its training; start the explorer with the folder of that run."
        return [*shown, page_html.notice(message), *[gr.skip()] * 4, *folds]
