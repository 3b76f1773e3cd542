"""The page of the explorer: a caption box above, :mod:`explorer.page_html` below, in one Gradio app.

Python answers one question, "generate this caption with this seed" (:mod:`explorer.replies`); everything that happens to a generated page
(selecting a word, laying its map over the pictures, themes, the tour, the link) is done in the browser by ``static/page.js``. The page
needs nothing from outside: system fonts, no analytics, no share link, no file served (:mod:`explorer.launch`).
"""

from __future__ import annotations

from functools import partial

import gradio as gr

from explorer import endpoints, tour
from explorer.api import Endpoints
from explorer.ballots import CAPTIONS, sentences
from explorer.page_answers import generate
from explorer.questions import FIRST_SEED
from explorer.replies import Replies
from explorer.run_section import RunSection, learned
from explorer.sections import AtOnce, BlindVoting, Queued, ReadBack, TakeAway
from explorer.session import Session
from explorer.votes import VoteStore

EXAMPLES = CAPTIONS[:4]
QUEUE = "generate"  # what networks are used for takes turns in it
WAITING = 120  # requests that may wait: a class of 60, twice

HEADER = """
<a class="ex-skip" href="#result">Skip to the pictures</a>
<div class="ex-header"><h1>DMM-GAN explorer</h1><p>Type a caption, see it generated stage by stage, and what became of each word.</p>
<div class="ex-tools"><button type="button" data-do="tour">Tour</button>
<button type="button" data-do="about">About</button><button type="button" data-do="link">Copy link</button>
<button type="button" data-do="theme">Theme</button></div></div>
"""
ANSWERED = "(waiting) => { window.explorerPage.settle(waiting, false); return []; }"
SETTLE = "(waiting) => { window.explorerPage.settle(waiting, true); return []; }"
REACHED = "watch('value', () => window.explorerPage.reach(element));"
TOUR = "window.explorerPage.tour();"
MOUNT = "const mount = () => window.explorerPage.mount(element); mount(); watch('value', mount);"


def build(session: Session, votes: VoteStore | None = None) -> gr.Blocks:
    """The app, ready to launch with :func:`explorer.launch.launch_options`. The first model is loaded and the first example generated here.

    Args:
        session: what is open.
        votes: keeps the blind votes; None keeps them until this process ends.
    """
    answers = Endpoints(session, votes)
    with gr.Blocks(title="DMM-GAN explorer", analytics_enabled=False, fill_width=True) as app:
        endpoints.register(answers, QUEUE)  # first: the page's own functions are numbered where a name is taken
        _Page(answers).join(app)
    return app.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)


class _Page:
    """The parts of the page, made in the order in which they stand, and the events that join them."""

    def __init__(self, answers: Endpoints):
        self.session, self.answers = answers.session, answers
        self.tries, self.trained = sentences(self.session.pipeline(), EXAMPLES), learned(self.session)
        self.replies = Replies(answers, self.tries[0], self.trained)
        gr.HTML(HEADER, apply_default_css=False, js_on_load=None)
        self._make_controls()
        self._make_examples()
        self._make_results()
        self.readback, self.voting, self.taking = ReadBack(answers), BlindVoting(answers), TakeAway(answers)
        self.edits, self.question, self.waiting, self.address = (
            gr.Textbox("", elem_id=name, elem_classes="ex-wire", container=False, show_label=False)
            for name in ("edits", "asked", "waiting", "address")
        )

    def _make_controls(self) -> None:
        with gr.Row(elem_id="controls", equal_height=False):
            self.caption = gr.Textbox(self.tries[0], label="Caption", lines=1, max_lines=3, elem_id="caption", scale=8)
            names = list(self.session.models)
            listed = [*((name, name) for name in names), *((f"{name} (cannot be opened)", name) for name in self.session.unreadable)]
            several = len(listed) > 1
            self.model = gr.Dropdown(listed, value=names[0], label="Model", elem_id="model", visible=several, scale=2, min_width=200)
            self.seed = gr.Number(FIRST_SEED, label="Seed", elem_id="seed", min_width=96, scale=1)
            self.again = gr.Button("Re-roll", elem_id="reroll", min_width=92, scale=0)
            self.go = gr.Button("Generate", variant="primary", elem_id="generate", min_width=96, scale=0)

    def _make_examples(self) -> None:
        with gr.Row(elem_id="examples"):
            gr.HTML("<span>Try</span>", apply_default_css=False, js_on_load=None)
            self.examples = {text: gr.Button(text, elem_classes="ex-example", size="sm", scale=0, min_width=0) for text in self.tries}

    def _make_results(self) -> None:
        self.message = gr.HTML("", elem_id="message", apply_default_css=False, js_on_load=None)
        self.runs = [RunSection(self.session, model) for model in self.trained]
        example = generate(self.session, self.tries[0], FIRST_SEED, None)
        self.result = gr.HTML(example, elem_id="result", apply_default_css=False, js_on_load=MOUNT)
        gr.HTML(tour.render(), elem_id="tour", apply_default_css=False, js_on_load=TOUR)
        self.stop = gr.Button("Stop", elem_id="stop", size="sm", visible=False, scale=0)
        self.reached = gr.HTML("", elem_id="reached", apply_default_css=False, js_on_load=REACHED)

    def join(self, app: gr.Blocks) -> None:
        """Say what is answered when a reader does something."""
        asked: Queued = {"concurrency_limit": 1, "concurrency_id": QUEUE, "show_progress_on": self.message, "api_visibility": "private"}
        free: AtOnce = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        events = self._generating(free) + self._asking(asked, free)
        outputs = [self.message, self.result, self.edits, self.reached]
        later = self.waiting.change(self.replies.queued, self.waiting, outputs, **asked)
        followed = [self.caption, self.seed, self.model, *outputs, self.waiting, *(run.fold for run in self.runs)]
        loaded = app.load(self.replies.follow_link, None, followed, **free)
        for run in self.runs:
            events += run.events([self.message, self.result], asked, free)
        events += self.readback.events(self.caption, self.model, asked) + self.voting.events(asked)
        events += self.taking.events([self.caption, self.seed, self.model, self.edits], asked)
        for event in (*events, loaded):
            event.success(None, self.waiting, js=ANSWERED)
        later.success(None, self.waiting, js=SETTLE)
        for event in (*events, loaded, later):
            broken = {"js": SETTLE, "show_progress": "hidden", "api_visibility": "private"}
            event.failure(self.replies.broken, self.waiting, self.message, **broken)

    def _generating(self, free: AtOnce) -> list:
        """A caption, a seed, a model, an edit, an example, another address: each is answered by a page."""
        asked, replies = [self.caption, self.seed, self.model, self.edits], self.replies
        page = [self.message, self.result, self.edits, self.reached, self.waiting]
        triggers = (self.go.click, self.caption.submit, self.seed.submit, self.model.input, self.edits.submit)
        events = [trigger(replies.at_once, asked, page, **free) for trigger in triggers]
        events.append(self.again.click(replies.reroll, asked, [self.seed, *page], **free))
        for text, button in self.examples.items():
            events.append(button.click(partial(replies.example, text), [self.seed, self.model], [self.caption, *page], **free))
        back = [self.caption, self.seed, self.model, *page]
        events.append(self.address.submit(replies.go_back, self.address, back, trigger_mode="always_last", **free))
        return events

    def _asking(self, asked: Queued, free: AtOnce) -> list:
        """A question about the picture, which may take long and can be stopped."""
        there: Queued = {**asked, "show_progress_on": self.reached}
        about = [self.question, self.caption, self.seed, self.model, self.edits]
        self.question.submit(lambda: gr.Button(visible=True), None, self.stop, **free)
        slow = self.question.submit(self.replies.why, about, [self.message, self.reached], **there)
        slow.then(lambda: gr.Button(visible=False), None, self.stop, **free)
        self.stop.click(self.replies.take_back, None, [self.stop, self.message], cancels=[slow], **free)
        return [slow]
