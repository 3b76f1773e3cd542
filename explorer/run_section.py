"""The section of the page for a model whose training left traces: what its memory did at each step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from explorer import learning_html, page_html
from explorer.questions import Refusal, read_seed
from explorer.sections import CLASS, AtOnce, Queued
from explorer.session import Session
from explorer.statistics import spoken

if TYPE_CHECKING:
    from explorer.figures.runs import Run

PLAY, PAUSE = "Play", "Pause"
TICK = 1.2  # seconds between two steps of a run that is played
CURVE = 60  # most steps of a training run that its curves are drawn from


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


class RunSection:
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
