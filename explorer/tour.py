"""The guided tour of the page: five steps in which the reader does something, and one sentence of what was learned at the end of each.

The steps are data. The browser (``static/page.js``) shows one at a time, marks where it happens, and notices that it was done: the test of
a step is named by :attr:`Step.name`. A step whose place the page does not have, because the system lacks it, says so and is passed.
"""

from __future__ import annotations

from dataclasses import dataclass

from explorer.page_html import text


@dataclass(frozen=True)
class Step:
    """One step of the tour."""

    name: str  # of its test in static/page.js
    title: str
    do: str  # what the reader is asked to do
    learned: str  # shown once it was done
    lacking: str  # shown where the page does not have the place
    place: str  # CSS selector of the place that is marked


STEPS = (
    Step(
        "word",
        "Where is a word read?",
        "Point at a word of the caption, then click it.",
        "At each place the words share one probability; the map is this word's part of it (DM-GAN, Eq. 4).",
        "No stage of this system reads single words, so that a word has no map.",
        ".ex-caption:has(.ex-word)",
    ),
    Step(
        "mute",
        "What does the memory do with it?",
        "Mute the word in the memory only: press Mute, then compare the pictures below it.",
        "What differs hung on this word's memory slot, whose share went to the other words; all else came from them and the sentence code.",
        "This system has no memory of words to mute in.",
        '[data-reads="memory"] .ex-form[data-edit="mute"]:has(option[value="memory"])',
    ),
    Step(
        "read",
        "What does the picture say?",
        "Let the captioner read it back: choose a word of its sentence, or open its list of attributes.",
        "STREAM sees the picture alone: an attribute that it does not read back was not drawn, or was overlooked.",
        "No captioner (STREAM) came with this model, so that pictures are not read back.",
        ".ex-stage:last-child .ex-stream:has(.ex-slots, [data-word])",
    ),
    Step(
        "without",
        "What would it draw without a memory?",
        "Press “Answer by” with “the image”, so that no memory answers. Or press “Compare” below: other models have none.",
        "What the image alone gives reads no word (Eq. 9); all that differs is what was read, here from a memory, elsewhere by attention.",
        "This system has no response gate that could leave its memory out.",
        '.ex-form[data-edit="response_gate"]',
    ),
    Step(
        "caption",
        "What do the words decide?",
        "Take all edits back, change a colour in the caption and press Generate.",
        "The noise is the same as before: what changed is what the words decide.",
        "There is no caption to change.",
        "#caption",
    ),
)


def render() -> str:
    """The tour as HTML; hidden until the browser opens it."""
    steps = "".join(
        f'<li data-step="{step.name}" data-place="{text(step.place)}" hidden><h2>{text(step.title)}</h2><p>{text(step.do)}</p>'
        f'<p class="ex-learned-line" hidden>{text(step.learned)}</p><p class="ex-lacking" hidden>{text(step.lacking)}</p></li>'
        for step in STEPS
    )
    return (
        f'<section class="ex-tour" aria-label="Tour" hidden><p class="ex-tour-count"></p><ol aria-live="polite">{steps}</ol>'
        '<div><button type="button" data-tour="back">Back</button><button type="button" data-tour="next">Skip this step</button>'
        '<button type="button" data-tour="end">End the tour</button></div></section>'
    )
