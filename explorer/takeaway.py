"""A generated caption as files: the trace, its numbers, a drawing, and a page that works without a server.

A panel of the page as a file is a figure of the register, drawn from the same traces; its CSV holds the numbers that it shows.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dmm.trace import Trace
from explorer import statistics
from explorer.interventions import describe, from_data
from explorer.page_html import render as page_of
from explorer.page_html import text
from explorer.questions import Question
from explorer.session import Session

if TYPE_CHECKING:
    from explorer.figures import Result

#: panel -> (its title, the figure that draws it).
PANELS = {
    "maps": ("Where each colour and part is read", "word-maps"),
    "words": ("Top words by writing gate and by key addressing", "dmgan-fig6b"),
    "read back": ("What the captioner reads back", "mirrorgan-redescriptions"),
    "noises": ("Pictures of other noises", "dmgan-fig5"),
    "effects": ("How each word reached the picture", "memory-effects"),
    "learning": ("The memory being learned", "memory-learning"),
}
STATIC = Path(__file__).parent / "static"


def numbers(trace: Trace) -> list[dict]:
    """Every number that the page shows, a row each: stage, quantity, word or path, value."""
    rows = []
    for stage, record in enumerate(trace.stages):
        size = record.size or 64 << stage
        for name, about in statistics.QUANTITIES.items():
            if statistics.has(trace, stage, name):
                rows += [
                    {"stage_px": size, "quantity": about.label, "of": chip.word, "position": chip.index, "value": f"{chip.value:.6f}"}
                    for chip in statistics.chips(trace, stage, name)
                ]
        if record.response_gate is not None:
            rows += [
                {"stage_px": size, "quantity": "response gate", "of": path, "position": "", "value": f"{share:.6f}"}
                for path, share in statistics.response_shares(trace, stage).items()
            ]
    return rows


def summary(trace: Trace, model: str) -> dict:
    """The trace in plain containers: what was asked, which edits were on, what was read back, and :func:`numbers`."""
    return {
        "model": model,
        "caption": trace.caption(),
        "seed": trace.seed(),
        "edits": trace.edits or [],
        "edits_in_words": [describe(edit) for edit in from_data(trace.edits or [])],
        "words": [{"word": trace.tokens()[i], "position": i} for i in statistics.word_indices(trace)],
        "read_back": {str(stage.size): stage.redescription[0] for stage in trace.stages if stage.redescription},
        "numbers": numbers(trace),
    }


def snippet(trace: Trace, model: str) -> str:
    """Python that makes the same trace."""
    caption = trace.caption()
    call = f"ex({caption!r}, seed={trace.seed()})"
    if not trace.edits:
        return f'import explorer\nex = explorer.open("{model}")\n{call}\n'
    return f'import explorer\nex = explorer.open("{model}")\nwith ex.edits(*{trace.edits!r}):\n    view = {call}\nview\n'


def as_npz(trace: Trace, _model: str) -> bytes:
    """What :meth:`dmm.trace.Trace.save` writes: every tensor, and JSON for the rest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.npz"
        trace.save(path)
        return path.read_bytes()


def as_json(trace: Trace, model: str) -> bytes:
    """:func:`summary`."""
    return json.dumps(summary(trace, model), ensure_ascii=False, indent=1).encode()


def as_csv(trace: Trace, _model: str) -> bytes:
    """:func:`numbers`; empty for a system without them."""
    rows, table = numbers(trace), io.StringIO()
    if rows:
        writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return table.getvalue().encode()


def as_html(trace: Trace, model: str) -> bytes:
    """A page that works offline: pictures, maps and numbers inside, nothing fetched from anywhere."""
    spoken = [statistics.Spoken(trace.tokens()[i], True) for i in statistics.word_indices(trace)]
    script = (STATIC / "page.js").read_text(encoding="utf-8") + "\nwindow.explorerPage.mount(document.getElementById('result'));\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (STATIC / "page.css").read_text(encoding="utf-8")
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    said = "".join(f"<li>{text(describe(edit))}</li>" for edit in from_data(trace.edits or []))
    listed = f'<ul class="ex-edits">{said}</ul>' if said else ""
    body = page_of(trace, spoken, model, len(spoken))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>{text(trace.caption())}</title>'
        f'<style>{style}</style></head><body><div class="gradio-container"><main class="app">{listed}'
        f'<div id="result">{body}</div><pre>{text(snippet(trace, model))}</pre></main></div><script>{script}</script></body></html>'
    ).encode()


def _drawn(kind: str) -> Callable[[Trace, str], bytes]:
    def drawn(trace: Trace, _model: str) -> bytes:
        from explorer.figures import draw  # loads what draws figures; a page starts sooner without
        from explorer.figures.export import render

        ranked = any(stage.writing_gate is not None and stage.addressing is not None for stage in trace.stages)
        return render(draw("dmgan-fig6b" if ranked else "dmgan-fig4", [trace]), kind)

    return drawn


#: ending -> bytes of a trace and its model's name.
FORMATS: dict[str, Callable[[Trace, str], bytes]] = {
    "npz": as_npz,
    "json": as_json,
    "csv": as_csv,
    "html": as_html,
    "py": lambda trace, model: snippet(trace, model).encode(),
    "png": _drawn("png"),
    "svg": _drawn("svg"),
    "pdf": _drawn("pdf"),
}


def draw_panel(session: Session, asked: Question, panel: str) -> Result:
    """A panel of the page as a figure, with the numbers that it shows.

    Args:
        session: what is open.
        asked: the picture that the page shows; for "learning", a caption and seed that the model's run traced.
        panel: a key of :data:`PANELS`.

    Raises:
        ValueError: no such panel, or what it shows this model or caption does not have.
    """
    from explorer.figures import draw, get_figure
    from explorer.figures.runs import Run

    if panel not in PANELS:
        raise ValueError(f"panel: expected one of {', '.join(PANELS)}; found {panel[:40]!r}")
    figure = get_figure(PANELS[panel][1])
    if figure.shows == "run":
        run = Run(session.source(asked.model))
        return draw(figure, run.course(run.find(asked.caption, asked.seed)))
    if figure.shows == "effects":
        found = session.effects(asked.model, asked.caption, asked.seed, None, asked.edits)
        return draw(figure, [found], caption=asked.caption, seed=asked.seed)
    options = {option.name: option for option in figure.options}
    values = {"captions": (asked.caption,)} if "captions" in options else {"caption": asked.caption}
    count = options["seeds"].default if "seeds" in options else 1
    traces = [replace(asked, seed=asked.seed + k).trace(session) for k in range(count)]
    return draw(figure, traces, seed=asked.seed, **values)


def panel_file(session: Session, asked: Question, panel: str, kind: str) -> bytes:
    """:func:`draw_panel` as PNG, SVG or PDF, or its numbers as CSV. Raises as it, and for another kind."""
    from explorer.figures.export import FORMATS as DRAWINGS
    from explorer.figures.export import render

    if kind not in DRAWINGS:
        raise ValueError(f"kind: a panel is saved as one of {', '.join(DRAWINGS)}; found {kind[:40]!r}")
    return render(draw_panel(session, asked, panel), kind)
