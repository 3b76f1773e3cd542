"""The page of the explorer: a caption box above, :mod:`explorer.page` below, in one Gradio app.

Python answers one question, "paint this caption with this seed"; everything that happens to a painted page (selecting a word, laying its
map over the pictures, themes, hints, the link) is done in the browser by ``static/page.js``. The page needs nothing from outside: system
fonts, no analytics, no share link, no file served.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import gradio as gr

from dmm.pipeline import CaptionError
from explorer import page
from explorer.session import Session, UnknownModel
from explorer.words import spoken

STATIC = Path(__file__).parent / "static"
EXAMPLES = (
    "this small bird has a yellow crown and a white belly",
    "a large blue bird with black wings and a long bill",
    "an all red bird with a short bill",
    "a brown bird with a streaked breast",
)
FIRST_SEED = 3
SEEDS = 2**31  # seeds are below this
LONGEST = 600  # characters of a caption
WAITING = 16  # requests that may wait
FONTS = ("Seravek", "Gill Sans Nova", "Open Sans", "Noto Sans", "Ubuntu", "Calibri", "Segoe UI", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "DejaVu Sans Mono", "monospace")

HEADER = """
<div class="ex-header"><h1>DMM-GAN explorer</h1><p>Type a caption, see a bird painted in three stages, and what its memory did.</p>
<div class="ex-tools"><button type="button" data-do="hints">Hints</button><button type="button" data-do="link">Copy link</button>
<button type="button" data-do="theme">Theme</button></div></div>
"""
HINTS = (
    "Type a caption and press Paint. Words the model does not know are struck through.",
    "Point at a word to see where it was read; click to keep it, Esc to let go.",
    "See who answered at each place: the image itself, the words, or the whole sentence.",
)
BROKEN = "That did not work, and not because of your caption. The terminal that runs the explorer says more; it may just be busy."
SETTLE = "() => { window.explorerPage.settle(); return []; }"
SHOW_HINTS = "window.explorerPage.hint();"
MOUNT = "const mount = () => window.explorerPage.mount(element); mount(); watch('value', mount);"


def hints() -> str:
    """Three numbered hints; the browser shows them until they have been dismissed once."""
    items = "".join(
        f'<li data-hint="{i}"><b>{i}</b><span>{page.text(hint)}</span><button type="button" aria-label="Dismiss hint {i}">×</button></li>'
        for i, hint in enumerate(HINTS, start=1)
    )
    return f'<ol class="ex-hints" aria-label="Hints">{items}</ol>'


class Refusal(ValueError):
    """A request that cannot be painted, said in a way that can be shown."""


def paint(session: Session, caption: str | None, seed, model: str | None) -> str:
    """The HTML of one painted caption.

    Raises:
        Refusal: an empty, overlong or unknown caption, a seed or a model that does not exist.
    """
    caption = (caption or "").strip()
    if len(caption) > LONGEST:
        raise Refusal(f"That is {len(caption)} characters; a caption may have {LONGEST}. One sentence about one bird works best.")
    try:
        trace = session.trace(model or None, caption, _seed(seed))
    except (CaptionError, UnknownModel) as error:
        raise Refusal(str(error)) from error
    vocab = session.pipeline(model or None).vocab
    return page.render(trace, spoken(caption, vocab), model or session.models[0], len(vocab.words))


def _seed(value) -> int:
    try:
        seed = int(value if value not in (None, "") else FIRST_SEED)
    except (TypeError, ValueError, OverflowError):
        seed = -1
    if not 0 <= seed < SEEDS:
        raise Refusal(f"A seed is a whole number from 0 to {SEEDS - 1}; found {str(value)[:40]!r}.")
    return seed


def build(session: Session) -> gr.Blocks:
    """The app, ready to launch with :func:`launch_options`. The first model is loaded and the first example painted here."""

    def answer(caption, seed, model):
        try:
            return "", paint(session, caption, seed, model)
        except Refusal as refusal:
            return page.notice(str(refusal)), gr.skip()

    def example(text, seed, model):
        return text, *answer(text, seed, model)

    def reroll(caption, model):
        seed = random.randrange(10**6)
        return seed, *answer(caption, seed, model)

    def follow_link(request: gr.Request):
        """What the address bar asks for; no caption in it means: keep the finished example."""
        asked = dict(request.query_params)
        if "caption" not in asked:
            return [gr.skip()] * 5
        caption, seed, model = asked["caption"], asked.get("seed", FIRST_SEED), asked.get("model")
        shown = [caption, gr.skip() if not str(seed).isdigit() else int(seed), model if model in session.models else gr.skip()]
        return *shown, *answer(caption, seed, model)

    with gr.Blocks(title="DMM-GAN explorer", analytics_enabled=False, fill_width=True) as app:
        gr.HTML(HEADER, apply_default_css=False, js_on_load=None)
        with gr.Row(elem_id="controls", equal_height=False):
            caption = gr.Textbox(EXAMPLES[0], label="Caption", lines=1, max_lines=3, elem_id="caption", scale=8, max_length=LONGEST)
            names = list(session.models)
            model = gr.Dropdown(names, value=names[0], label="Model", elem_id="model", visible=len(names) > 1, scale=2)
            seed = gr.Number(FIRST_SEED, label="Seed", precision=0, elem_id="seed", min_width=96, scale=1)
            again = gr.Button("Re-roll", elem_id="reroll", min_width=92, scale=0)
            go = gr.Button("Paint", variant="primary", elem_id="paint", min_width=96, scale=0)
        with gr.Row(elem_id="examples"):
            gr.HTML('<span class="ex-anchor" data-hint="1">Try</span>', apply_default_css=False, js_on_load=SHOW_HINTS)
            buttons = [gr.Button(text, elem_classes="ex-example", size="sm", scale=0, min_width=0) for text in EXAMPLES]
        message = gr.HTML("", elem_id="message", apply_default_css=False, js_on_load=None)
        gr.HTML(hints(), elem_id="hints", apply_default_css=False, js_on_load=SHOW_HINTS)
        result = gr.HTML(
            paint(session, EXAMPLES[0], FIRST_SEED, None),
            elem_id="result",
            apply_default_css=False,
            js_on_load=MOUNT,
        )

        asked = {"concurrency_limit": 1, "concurrency_id": "paint", "show_progress": "hidden", "api_visibility": "private"}
        inputs, outputs = [caption, seed, model], [message, result]
        events = [trigger(answer, inputs, outputs, **asked) for trigger in (go.click, caption.submit, seed.submit, model.input)]
        events.append(again.click(reroll, [caption, model], [seed, *outputs], **asked))
        for text, button in zip(EXAMPLES, buttons, strict=True):
            events.append(button.click(partial(example, text), [seed, model], [caption, *outputs], **asked))
        events.append(app.load(follow_link, None, [caption, seed, model, *outputs], **asked))
        for event in events:
            event.success(None, js=SETTLE)
            event.failure(lambda: page.notice(BROKEN), None, message, js=SETTLE, show_progress="hidden", api_visibility="private")
    return app.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)


def launch_options(host: str = "127.0.0.1", port: int = 7860) -> dict:
    """What :meth:`gradio.Blocks.launch` needs for this page: loopback, nothing shared, nothing served but the page."""
    script = (STATIC / "page.js").read_text(encoding="utf-8")
    return {
        "server_name": host,
        "server_port": port,
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
        "strict_cors": True,
        "allowed_paths": [],
        "max_file_size": "1b",
    }
