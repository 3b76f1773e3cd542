"""The page of the explorer: a caption box above, :mod:`explorer.page_html` below, in one Gradio app.

Python answers one question, "generate this caption with this seed"; everything that happens to a generated page (selecting a word, laying
its map over the pictures, themes, the tour, the link) is done in the browser by ``static/page.js``. The page needs nothing from outside:
system fonts, no analytics, no share link, no file served.
"""

from __future__ import annotations

import json
import random
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from starlette.middleware import Middleware

from dmm.pipeline import CaptionError
from explorer import endpoints, learning_html, overlay, overview, page_html, panels, tour
from explorer.about import about
from explorer.api import MOST_MODELS, MOST_SEEDS, Endpoints
from explorer.ballots import CAPTIONS, sentences
from explorer.connections import closing
from explorer.edits import Edit, EditError, attached
from explorer.headers import SecurityHeaders
from explorer.interventions import describe, to_data, to_json
from explorer.questions import FIRST_SEED, Question, Refusal, read_seed
from explorer.request_guard import PATIENCE, RequestGuard, names_of
from explorer.sections import CLASS, AtOnce, BlindVoting, Queued, ReadBack, TakeAway
from explorer.session import Session
from explorer.sign_in import RULE, SignIn
from explorer.statistics import Spoken, short, spoken, word_indices
from explorer.stopping import Stopped, Stops
from explorer.votes import VoteStore

if TYPE_CHECKING:
    from explorer.figures.runs import Run

STATIC = Path(__file__).parent / "static"
EXAMPLES = CAPTIONS[:4]
QUEUE = "generate"  # what networks are used for takes turns in it
NEARLY_SAME = 0.02  # mean change between two noises, share of the full range, below which the reader is told
WAITING = 120  # requests that may wait: a class of 60, twice
SESSIONS = 40  # visitors whose last page Gradio keeps; older ones are forgotten, and lose nothing that they see
PLAY, PAUSE = "Play", "Pause"
TICK = 1.2  # seconds between two steps of a run that is played
CURVE = 60  # most steps of a training run that its curves are drawn from
FONTS = ("Seravek", "Gill Sans Nova", "Open Sans", "Noto Sans", "Ubuntu", "Calibri", "Segoe UI", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "DejaVu Sans Mono", "monospace")

HEADER = """
<a class="ex-skip" href="#result">Skip to the pictures</a>
<div class="ex-header"><h1>DMM-GAN explorer</h1><p>Type a caption, see it generated stage by stage, and what became of each word.</p>
<div class="ex-tools"><button type="button" data-do="tour">Tour</button>
<button type="button" data-do="about">About</button><button type="button" data-do="link">Copy link</button>
<button type="button" data-do="theme">Theme</button></div></div>
"""
BROKEN = "That did not work, and not because of your caption. The terminal that runs the explorer says more; it may just be busy."
ANSWERED = "(waiting) => { window.explorerPage.settle(waiting, false); return []; }"
SETTLE = "(waiting) => { window.explorerPage.settle(waiting, true); return []; }"
REACHED = "watch('value', () => window.explorerPage.reach(element));"
PROGRESS = gr.Progress()
TOUR = "window.explorerPage.tour();"
MOUNT = "const mount = () => window.explorerPage.mount(element); mount(); watch('value', mount);"


def generate(session: Session, caption: str | None, seed, model: str | None, edits: str | None = "") -> str:
    """The HTML of one generated caption.

    Args:
        session: what is open.
        caption: one sentence.
        seed: a whole number, or empty for the first.
        model: a name; empty for the first.
        edits: JSON of :mod:`explorer.interventions`; empty for none.

    Raises:
        Refusal: an empty, overlong or unknown caption, a seed or a model that does not exist, or an edit that does not fit.
    """
    return answer_page(session, Question.read(session, caption, seed, model, edits))


def answer_page(session: Session, asked: Question) -> str:
    """The HTML of what was asked: the page, and the Intervene panel below it. Raises as :meth:`Question.trace`."""
    trace = asked.trace(session)
    original = asked.bare().trace(session) if asked.edits else None
    pipe = session.pipeline(asked.model)
    said = spoken(asked.caption, pipe.vocab)
    if any(getattr(edit, "where", "") == "caption" for edit in asked.edits):  # the words that were generated are others
        said = [Spoken(trace.tokens()[i], True) for i in word_indices(trace)]
    above = overview.render(overview.parts(pipe, trace), overview.missing(pipe, trace)) + about(
        pipe, asked.model, session.source(asked.model)
    )
    panel = panels.intervene(trace, original, asked.edits, session.lacks(asked.model))
    return page_html.render(
        trace, said, asked.model, len(pipe.vocab.words), extra=panel, measured=session.reliability(asked.model), above=above
    )


def fitting(session: Session, caption, seed, model, edits) -> tuple[Question, str]:
    """What was asked without those edits that do not fit the caption or the model, and a line that names them.

    Raises:
        Refusal: anything else that cannot be answered.
    """
    asked = Question.read(session, caption, seed, model, edits)
    pipe = session.pipeline(asked.model)
    kept: list[Edit] = []
    left: list[str] = []
    for edit in asked.edits:
        try:
            with session.using(asked.model), attached(pipe, *kept, edit, caption=asked.caption):  # no picture is generated meanwhile
                kept.append(edit)
        except EditError as error:
            left.append(f"{describe(edit)} ({error})")
    return replace(asked, edits=tuple(kept)), f"Left out: {'; '.join(left)}." if left else ""


def same_bird(session: Session, asked: Question, before) -> str:
    """A line about another seed's picture, where it is nearly the same; empty where it is not, or nothing was there before."""
    try:
        earlier = replace(asked, seed=read_seed(before))
    except Refusal:
        return ""
    if not session.holds(*earlier.key) or earlier.seed == asked.seed:
        return ""
    images = [question.trace(session).images[-1] for question in (asked, earlier)]
    change = float(overlay.difference(*images).mean()) if images[0].shape == images[1].shape else 1.0
    if change >= NEARLY_SAME:
        return ""
    return (
        f"Seed {asked.seed} is another noise, but this model generates nearly the same picture from it: "
        f"a mean change of {short(change)} of the full range."
    )


def ask(answers: Endpoints, asked: str, about: Question) -> str:
    """The HTML of an answer that is given on request.

    Args:
        answers: of what is open.
        asked: JSON with ``kind``: "why", "compare" (``seeds``, ``word``), "walk" (``other``, ``seed``) or "sentences".
        about: the picture that is shown.

    Raises:
        Refusal: a question that cannot be read or answered.
    """
    try:
        wanted = json.loads(asked)
        kind = wanted["kind"]
        values = {name: str(wanted.get(name) or "") for name in ("word", "seeds", "other", "seed")}
        count = int(values["seeds"] or 1)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Refusal("That question could not be read; ask it again from the page.") from error
    session = answers.session
    if kind == "why":
        found = session.effects(about.model, about.caption, about.seed, None, about.edits, answers.told)
        return panels.effects(found, session.lacks(about.model))
    if kind == "compare":
        models = list(session.models)[:MOST_MODELS]
        rows = answers.compare(about.caption, values["word"], models, [about.seed + k for k in range(min(count, MOST_SEEDS))])
        return panels.compared(rows, values["word"])
    if kind == "walk":
        goal = read_seed(values["seed"] or about.seed)
        way = answers.walk(about.caption, values["other"], about.seed, goal, model=about.model)
        return panels.walked(way, "mute:memory" not in session.lacks(about.model))
    if kind == "sentences":
        return panels.read_back(answers.redescribe(about.caption, "", about.seed, about.model, to_data(about.edits)))
    raise Refusal(f"kind: expected why, compare, walk or sentences; found {str(kind)[:40]!r}")


def learned(session: Session) -> list[str]:
    """Models whose directory holds traces of their training (``train.trace_every``)."""
    found = [model for model in session.models if (Path(session.source(model)) / "traces").is_dir()]
    if found:
        from explorer.figures.runs import Run  # loads what draws figures; a page without a training run does not need it

        found = [model for model in found if Run.there(session.source(model))]
    return found


def remember(session: Session, model: str, run: Run, number: int, step: float) -> tuple[str, str]:
    """HTML of a training run: curves and samples; and what it generated of a caption, counted from 1, at the step nearest to ``step``.

    Raises:
        Refusal: traces that cannot be read.
    """
    try:
        course = run.course(number, CURVE)
        now = min(course.steps, key=lambda s: abs(s - step))
        trace, numbers, sheet = run.trace(now, course.sample), course.numbers, run.sheet(now)
    except ValueError as error:  # RunError, TraceError: which file, and what was found
        raise Refusal(str(error)) from error
    vocab = session.pipeline(model).vocab
    moment = f"at step {now:,} of its training" + ("" if run.trained(now, 1) else ", the first stage alone so far")
    seen = {i: [peak for at in numbers if (peak := at[i].peak) is not None] for i in range(len(numbers[-1]))}
    peaks = {i: max(found) for i, found in seen.items() if found}
    generated = page_html.render(trace, spoken(trace.caption(), vocab), model, len(vocab.words), now, moment, peaks)
    grid = learning_html.samples(*sheet) if sheet else ""
    return learning_html.learning(trace, course.steps, numbers, now, run.begins) + _losses(run, now) + grid, generated


def _losses(run: Run, step: int) -> str:
    """HTML of the curves in a run's log, marked at a step; or a line that says why there are none."""
    try:
        return learning_html.losses(run.log(), step, run.begins)
    except ValueError as error:  # RunError: which file, and what was expected
        return page_html.told(f"No curves of losses and scores. {error}.")


def build(session: Session, votes: VoteStore | None = None) -> gr.Blocks:
    """The app, ready to launch with :func:`launch_options`. The first model is loaded and the first example generated here.

    Args:
        session: what is open.
        votes: keeps the blind votes; None keeps them until this process ends.
    """
    answers, stops = Endpoints(session, votes), Stops()

    def answer(caption, seed, model, edits="", before=None):
        """Message, page, the edits that are on, the answer about a word (cleared), and nothing left to wait for."""
        try:
            asked, left = fitting(session, caption, seed, model, edits)
            page = answer_page(session, asked)
            told = " ".join(filter(None, (left, same_bird(session, asked, before))))
        except Refusal as refusal:
            return page_html.notice(str(refusal)), gr.skip(), gr.skip(), gr.skip()
        return page_html.told(told), page, to_json(asked.edits), ""

    def at_once(caption, seed, model, edits="", before=None):
        """What is in the store, or a refusal, is answered without queueing; else the request is handed to the queue."""
        try:
            asked = fitting(session, caption, seed, model, edits)[0]
            there = all(session.holds(*question.key) for question in (asked, asked.bare()))
        except Refusal:
            there = True
        if there:
            return *answer(caption, seed, model, edits, before), gr.skip()
        return *[gr.skip()] * 4, json.dumps([caption, seed, model, edits, before, random.random()])

    def broken(_waiting):
        return page_html.notice(BROKEN)

    def queued(waiting):
        return answer(*json.loads(waiting)[:5])

    def example(text, seed, model):
        return text, *at_once(text, seed, model)

    def reroll(caption, seed, model, edits):
        other = random.randrange(10**6)
        return other, *at_once(caption, other, model, edits, seed)

    def why(asked, caption, seed, model, edits, request: gr.Request, progress=PROGRESS):
        """The answer to a question about the picture that is shown, and no message; or why it cannot be answered."""
        visitor = str(request.session_hash)

        def told(done: int, steps: int) -> None:
            stops.check(visitor)
            progress((done, steps), desc="Generating", unit="pictures")

        try:
            with stops.answering(visitor):
                about = fitting(session, caption, seed, model, edits)[0]
                return "", ask(Endpoints(session, answers.store, told), asked, about)
        except Stopped as error:  # as take_back says it, whichever comes last
            return page_html.told(str(error)), gr.skip()
        except (EditError, CaptionError, Refusal) as error:
            return page_html.notice(str(error)), gr.skip()

    def take_back(request: gr.Request):
        """End the answer that this visitor waits for: it is not waited for any more, and stops at its next step."""
        stops.stop(str(request.session_hash))
        return gr.Button(visible=False), page_html.told("Stopped; the picture is as it was.")

    def go_back(address):
        """What the address asks for to which a reader went back; without a caption it is the finished example."""
        asked = dict(urllib.parse.parse_qsl(address.partition("?")[2]))
        text, number, name = asked.get("caption", tries[0]), asked.get("seed", FIRST_SEED), asked.get("model", names[0])
        return text, number, name if name in names else gr.skip(), *at_once(text, number, name, asked.get("edits", ""))

    def follow_link(request: gr.Request):
        """What the address bar asks for; no caption in it means: keep the finished example."""
        asked = dict(request.query_params)
        folds = [gr.skip()] * len(sections)
        if "caption" not in asked:
            return [gr.skip()] * 8 + folds
        caption, seed, model = asked["caption"], asked.get("seed", FIRST_SEED), asked.get("model")
        shown = [caption, gr.skip() if not str(seed).isdecimal() else int(seed), model if model in session.models else gr.skip()]
        if "step" not in asked:
            return *shown, *at_once(caption, seed, model, asked.get("edits", "")), *folds
        if model in (trained := [section.model for section in sections]):  # its section, once opened, shows the step
            folds[trained.index(model)] = gr.Accordion(open=True)
            return *shown, "", *[gr.skip()] * 4, *folds
        message = f"This link shows {model or 'a model'} at a step of its training; start the explorer with the folder of that run."
        return *shown, page_html.notice(message), *[gr.skip()] * 4, *folds

    tries = sentences(session.pipeline(), EXAMPLES)
    with gr.Blocks(title="DMM-GAN explorer", analytics_enabled=False, fill_width=True) as app:
        endpoints.register(answers, QUEUE)  # first: the page's own functions are numbered where a name is taken
        gr.HTML(HEADER, apply_default_css=False, js_on_load=None)
        with gr.Row(elem_id="controls", equal_height=False):
            caption = gr.Textbox(tries[0], label="Caption", lines=1, max_lines=3, elem_id="caption", scale=8)
            names = list(session.models)
            listed = [*((name, name) for name in names), *((f"{name} (cannot be opened)", name) for name in session.unreadable)]
            model = gr.Dropdown(listed, value=names[0], label="Model", elem_id="model", visible=len(listed) > 1, scale=2, min_width=200)
            seed = gr.Number(FIRST_SEED, label="Seed", elem_id="seed", min_width=96, scale=1)
            again = gr.Button("Re-roll", elem_id="reroll", min_width=92, scale=0)
            go = gr.Button("Generate", variant="primary", elem_id="generate", min_width=96, scale=0)
        with gr.Row(elem_id="examples"):
            gr.HTML("<span>Try</span>", apply_default_css=False, js_on_load=None)
            buttons = [gr.Button(text, elem_classes="ex-example", size="sm", scale=0, min_width=0) for text in tries]
        message = gr.HTML("", elem_id="message", apply_default_css=False, js_on_load=None)
        sections = [_Section(session, model) for model in learned(session)]
        result = gr.HTML(
            generate(session, tries[0], FIRST_SEED, None),
            elem_id="result",
            apply_default_css=False,
            js_on_load=MOUNT,
        )

        gr.HTML(tour.render(), elem_id="tour", apply_default_css=False, js_on_load=TOUR)
        stop = gr.Button("Stop", elem_id="stop", size="sm", visible=False, scale=0)
        reached = gr.HTML("", elem_id="reached", apply_default_css=False, js_on_load=REACHED)
        readback, voting, taking = ReadBack(answers), BlindVoting(answers), TakeAway(answers)
        edits, question, waiting, address = (
            gr.Textbox("", elem_id=name, elem_classes="ex-wire", container=False, show_label=False)
            for name in ("edits", "asked", "waiting", "address")
        )
        asked: Queued = {"concurrency_limit": 1, "concurrency_id": QUEUE, "show_progress_on": message, "api_visibility": "private"}
        free: AtOnce = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        inputs, outputs = [caption, seed, model, edits], [message, result, edits, reached]
        events = [
            trigger(at_once, inputs, [*outputs, waiting], **free)
            for trigger in (go.click, caption.submit, seed.submit, model.input, edits.submit)
        ]
        events.append(again.click(reroll, [caption, seed, model, edits], [seed, *outputs, waiting], **free))
        for text, button in zip(tries, buttons, strict=True):
            events.append(button.click(partial(example, text), [seed, model], [caption, *outputs, waiting], **free))
        question.submit(lambda: gr.Button(visible=True), None, stop, **free)
        there: Queued = {**asked, "show_progress_on": reached}
        slow = question.submit(why, [question, *inputs], [message, reached], **there)
        slow.then(lambda: gr.Button(visible=False), None, stop, **free)
        stop.click(take_back, None, [stop, message], cancels=[slow], **free)
        events.append(slow)
        back = [caption, seed, model, *outputs, waiting]
        events.append(address.submit(go_back, address, back, trigger_mode="always_last", **free))
        later = waiting.change(queued, waiting, outputs, **asked)
        folds = [section.fold for section in sections]
        loaded = app.load(follow_link, None, [caption, seed, model, *outputs, waiting, *folds], **free)
        for section in sections:
            events += section.events([message, result], asked, free)
        events += readback.events(caption, model, asked) + voting.events(asked) + taking.events(inputs, asked)
        for event in (*events, loaded):
            event.success(None, waiting, js=ANSWERED)
        later.success(None, waiting, js=SETTLE)
        for event in (*events, loaded, later):
            event.failure(broken, waiting, message, js=SETTLE, show_progress="hidden", api_visibility="private")
    return app.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)


class _Section:
    """A section of the page, closed at first, for a model whose training left traces: a caption, a slider over the steps, and the curves.

    What was generated at a step is shown where generated captions are shown, with everything that can be done there.
    """

    def __init__(self, session: Session, model: str):
        self.session, self.model = session, model
        self.run: Run | None = None  # read when the section is opened
        with gr.Accordion(f"Memory being learned: {model}", open=False, elem_classes=CLASS) as self.fold:
            with gr.Row(equal_height=False):
                self.number = gr.Dropdown([], label="Caption of the run", scale=2, min_width=280)
                self.step = gr.Slider(0, 1, label="Training step", scale=3, min_width=280)
                self.play = gr.Button(PLAY, scale=0, min_width=110)
            self.clock = gr.Timer(TICK, active=False)
            self.curves = gr.HTML("", apply_default_css=False, js_on_load=None)

    def events(self, outputs: list[gr.HTML], asked: Queued, free: AtOnce) -> list:
        """Answer when the section is opened and when a caption or a step is chosen; ``outputs`` are the message and the generated page."""
        chosen, shown = [self.number, self.step], [self.curves, *outputs]
        return [
            self.fold.expand(self.open, None, [*chosen, *shown], **asked),
            self.number.input(self.answer, chosen, shown, **asked),
            self.step.input(self.answer, chosen, shown, trigger_mode="always_last", **asked),
            self.play.click(self.turn, [self.play, self.step], [self.play, self.clock, self.step], **free),
            self.clock.tick(self.onward, chosen, [self.step, self.play, self.clock, *shown], trigger_mode="once", **asked),
        ]

    def turn(self, said: str, step: float) -> tuple:
        """Play from here, from the first step if this is the last, or pause."""
        if said == PAUSE or self.run is None:
            return PLAY, gr.Timer(active=False), gr.skip()
        ended = step >= self.run.steps[-1]
        return PAUSE, gr.Timer(active=True), self.run.steps[0] if ended else gr.skip()

    def onward(self, number: int, step: float) -> tuple:
        """The next step that was traced; at the last one playing ends."""
        steps = self.run.steps if self.run else ()
        later = [s for s in steps if s > step]
        if not later:
            return gr.skip(), PLAY, gr.Timer(active=False), gr.skip(), gr.skip(), gr.skip()
        slider = gr.Slider(value=later[0], maximum=steps[-1])  # training may have gone on
        return slider, gr.skip(), gr.skip(), *self.answer(number, later[0])

    def open(self, request: gr.Request) -> tuple:
        """The captions and steps that are there now, and what the address bar asks for, else the last step of the first caption."""
        from explorer.figures.runs import Run

        try:
            self.run = self.run or Run(self.session.source(self.model))
            number, step = self._asked(self.run, dict(request.query_params))
        except ValueError as error:  # Refusal, RunError, TraceError
            return gr.skip(), gr.skip(), gr.skip(), page_html.notice(str(error)), gr.skip()
        steps = self.run.steps
        apart = min(b - a for a, b in zip(steps, steps[1:], strict=False))
        captions = gr.Dropdown([(caption, i) for i, caption in enumerate(self.run.captions, start=1)], value=number)
        slider = gr.Slider(steps[0], steps[-1], value=min(steps, key=lambda s: abs(s - step)), step=apart)
        return captions, slider, *self.answer(number, step)

    def _asked(self, run: Run, asked: dict[str, str]) -> tuple[int, int]:
        """Caption, counted from 1, and step that a link to this run names.

        Raises:
            Refusal: a seed or a step that is none.
            RunError: a caption that the run did not trace.
        """
        if "step" not in asked or asked.get("model") != self.model:
            return 1, run.steps[-1]
        if not asked["step"].isdecimal():
            raise Refusal(f"A step of the training is a whole number; found {asked['step'][:40]!r}.")
        return run.find(asked.get("caption", ""), read_seed(asked.get("seed"))), int(asked["step"])

    def answer(self, number: int, step: float) -> tuple:
        """The curves, no message, and the page of a step; or the message why not."""
        if self.run is None or number is None:  # a page that was open before this process began
            return gr.skip(), page_html.notice("Close and open this section again; the explorer was started anew."), gr.skip()
        try:
            curves, generated = remember(self.session, self.model, self.run, number, step)
        except Refusal as refusal:
            return gr.skip(), page_html.notice(str(refusal)), gr.skip()
        return curves, "", generated


def serve(
    app: gr.Blocks, host: str, port: int, root_path: str = "", names: Sequence[str] = (), people: Sequence[tuple[str, str]] = ()
) -> None:
    """Serve the page until it is stopped, and say where.

    Args:
        root_path: where a reverse proxy shows the page, such as ``/bird``; empty for the root of its host.
        names: further host names by which the page may be addressed.
        people: name and password of each who may see the page; empty for everybody.

    Raises:
        ValueError: an address that cannot be listened on, or a path that is none.
    """
    try:
        app.launch(**launch_options(host, port, root_path, names, people), prevent_thread_lock=True, quiet=True)
    except OSError as error:
        raise ValueError(f"cannot listen on {host}, port {port}: in use, or not this machine's; choose another --port") from error
    settings = app.server.config
    settings.http_protocol_class = closing(settings.http_protocol_class, PATIENCE)
    print(f"The explorer is at {app.local_url} (Ctrl+C stops it).", flush=True)
    app.block_thread()


def launch_options(
    host: str = "127.0.0.1", port: int = 7860, root_path: str = "", names: Sequence[str] = (), people: Sequence[tuple[str, str]] = ()
) -> dict:
    """What :meth:`gradio.Blocks.launch` needs for this page: loopback, nothing shared, nothing served but the page; as :func:`serve`.

    Raises:
        ValueError: a ``root_path`` that is no path from the root.
    """
    root_path = root_path.rstrip("/")
    if root_path and not re.fullmatch(r"(/[\w.~-]+)+", root_path, re.ASCII):
        raise ValueError(f"--root-path: expected a path such as /bird, found {root_path[:60]!r}")
    script = (STATIC / "page.js").read_text(encoding="utf-8")
    return {
        "server_name": host,
        "server_port": port,
        "root_path": root_path or None,
        "auth": SignIn(people) if people else None,
        "auth_message": RULE if people else None,
        "share": False,
        "theme": gr.themes.Base(font=list(FONTS), font_mono=list(MONO)),
        "css_paths": [STATIC / "page.css"],
        "head": f"<script>{script}</script>",
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "mcp_server": False,
        "pwa": False,
        "ssr_mode": False,
        "state_session_capacity": SESSIONS,
        "strict_cors": True,
        "allowed_paths": [],
        "max_file_size": "1b",
        "app_kwargs": {"middleware": [Middleware(SecurityHeaders), Middleware(RequestGuard, names=names_of(host, names))]},
    }
