"""What the page answers, as HTML: a generated caption with its edits, and the questions that are asked about it. No Gradio."""

from __future__ import annotations

import json
from dataclasses import replace

from explorer import overlay, overview, page_html, panels
from explorer.about import about
from explorer.api import MOST_MODELS, MOST_SEEDS, Endpoints
from explorer.edits import Edit, EditError, attached
from explorer.interventions import describe, to_data
from explorer.questions import Question, Refusal, read_seed
from explorer.session import Session
from explorer.statistics import Spoken, short, spoken, word_indices

NEARLY_SAME = 0.02  # mean change between two noises, share of the full range, below which the reader is told


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
