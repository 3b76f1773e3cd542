"""What edits did, as HTML: the list of edits with controls, pictures beside each other, gates that changed, pathways of a word.

Pure functions, as :mod:`explorer.page_html`; the controls compose edits as data in the browser (``static/page.js``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image
from torch import Tensor

from dmm.images import to_pil
from dmm.metrics.effects import WordEffect, WordEffects
from dmm.trace import Trace
from explorer import overlay
from explorer.edits import Edit
from explorer.interventions import describe
from explorer.notebook import changed_numbers
from explorer.page_html import data_uri, strip, text
from explorer.statistics import short

TRUTH = (
    "An edit changes one quantity while the picture is generated; all else is computed as before. Muted in the memory, a word has no "
    "slot to read (DM-GAN, Eq. 4); the first picture, generated from the sentence code, still knows it."
)
WHERE = (("memory", "the memory only"), ("caption", "the caption"), ("code", "the sentence code only"))
METHOD = (
    "Each word is exchanged for another of its kind, or muted if it has none, on one pathway at a time; noise and all other words stay "
    "(causal mediation analysis, Vig et al., NeurIPS 2020). Choose a number to see where the picture changes."
)
UNIT = (
    "mean absolute change of the last picture, as a share of the full range; the tick is the change with the word exchanged everywhere, to "
    "which the pathways need not add up"
)
DIFFERENCE = 128  # px, side of a difference picture
PATHS = (("image", "the image"), ("words", "the words"), ("global", "the global memory"))


def intervene(trace: Trace, original: Trace | None, edits: Sequence[Edit], lacks: Mapping[str, str]) -> str:
    """The Intervene panel of a generated caption.

    Args:
        trace: with the edits.
        original: without them; None if there are no edits.
        edits: that are on.
        lacks: edits that the system does not allow -> why (:func:`explorer.interventions.lacks`).
    """
    result = "" if original is None else _result(trace, original)
    return (
        f'<section class="ex-intervene" aria-labelledby="ex-intervene"><h2 id="ex-intervene">Intervene</h2>'
        f'<p class="ex-note">{text(TRUTH)}</p>{_controls(lacks)}{_listed(edits)}{result}{_missing(lacks)}</section>'
    )


def _controls(lacks: Mapping[str, str]) -> str:
    """Forms whose fields are the fields of an edit; a form that the system does not allow is left out and named below."""
    where = [(value, label) for value, label in WHERE if f"mute:{value}" not in lacks]
    paths = [(value, label) for value, label in PATHS if value != "global" or "response_gate:global" not in lacks]
    forms = [
        _form("mute", "Mute", f'<output class="ex-chosen">a word</output> in {_select("where", where)}'),
        _form(
            "exchange",
            "Read",
            f'<input name="new" size="8" maxlength="40" aria-label="word to read instead" placeholder="blue"> for '
            f'<output class="ex-chosen">a word</output> in {_select("where", where)}',
        ),
    ]
    if "response_gate" not in lacks:
        area = _select("area", (("", "everywhere"), ("region", "in the region")))
        forms.append(_form("response_gate", "Answer by", f"{_select('path', paths)} {area}"))
    if "writing_gate" not in lacks:
        slider = '<input name="value" type="range" min="0" max="1" step="0.05" value="0" aria-label="writing gate"><output>0</output>'
        forms.append(_form("writing_gate", "Writing gate", slider))
    if "uniform_addressing" not in lacks:
        forms.append(_form("uniform_addressing", "Read evenly", "every place reads every word alike"))
    if "drop_global" not in lacks:
        forms.append(_form("drop_global", "Drop", "the global memory"))
    noises = [("z", "the noise"), ("eps", "the conditioning noise")]
    noises = [(value, label) for value, label in noises if f"freeze_noise:{value}" not in lacks]
    forms.append(_form("freeze_noise", "Hold", f"{_select('part', noises)} of this seed while you re-roll"))
    why = _form("why", "Ask", "how each word reached the picture")
    return f'<div class="ex-forms">{"".join(forms)}{why}</div><p class="ex-forms-note" role="status"></p>'


def _form(kind: str, verb: str, fields: str) -> str:
    button = f'<button type="button">{verb}</button>'
    return f'<div class="ex-form" data-edit="{kind}" role="group" aria-label="{verb}">{button} <span>{fields}</span></div>'


def _select(name: str, options: Sequence[tuple[str, str]]) -> str:
    said = {"where": "where", "path": "who answers", "area": "at which places", "part": "which noise"}[name]
    items = "".join(f'<option value="{value}">{label}</option>' for value, label in options)
    return f'<select name="{name}" aria-label="{said}">{items}</select>'


def _listed(edits: Sequence[Edit]) -> str:
    if not edits:
        return '<p class="ex-lacks">No edit is on: this is the picture as the model generates it.</p>'
    items = "".join(
        f'<li>{text(describe(edit))} <button type="button" data-undo="{k}" aria-label="Take back: {text(describe(edit))}">×</button></li>'
        for k, edit in enumerate(edits)
    )
    return f'<ol class="ex-edits">{items}</ol><p><button type="button" class="ex-quiet" data-undo="all">Take all back</button></p>'


def _result(trace: Trace, original: Trace) -> str:
    before, after = original.images[-1], trace.images[-1]
    change = overlay.difference(after, before)  # S S
    limits = overlay.limits(change)
    mean = float(change.mean())
    shown = {
        "original": _uri(before),
        "edited": _uri(after),
        f"difference, mean {short(mean)}, largest {short(float(change.max()))}": data_uri(Image.fromarray(overlay.heat(change, limits))),
    }
    key = overlay.legend("difference", limits, "mean absolute change of a pixel")
    legend = f'<p class="ex-label">0 <span class="ex-bar" style="background:{key.css}"></span> {limits[1]:g} of the full range</p>'
    rows = [
        {"stage": row["stage"], "gate": row["gate"], "original": short(row["before"]), "edited": short(row["after"])}
        for row in changed_numbers(original, trace)
    ]
    gates = _table(rows, "Gates that changed") if rows else '<p class="ex-lacks">No gate changed by .001 or more.</p>'
    nothing = '<p class="ex-notice">The picture is the same, pixel for pixel.</p>' if mean == 0 else ""
    return f'<div class="ex-triple">{_figures(shown)}</div>{legend}{nothing}{gates}'


def _missing(lacks: Mapping[str, str]) -> str:
    """Every reason once."""
    reasons = list(dict.fromkeys(lacks.values()))
    if not reasons:
        return ""
    items = "".join(f"<li>{text(reason)}</li>" for reason in reasons)
    return f'<details class="ex-lacks"><summary>What cannot be edited in this system</summary><ul>{items}</ul></details>'


def effects(found: WordEffects, lacks: Mapping[str, str]) -> str:
    """How each word reached the picture: a bar and its numbers for every word; a number shows its difference picture.

    Args:
        found: of every word of a caption.
        lacks: as of :func:`intervene`.
    """
    if not found.words:
        return '<section class="ex-reached"><p class="ex-lacks">No word of this caption can be left out or exchanged.</p></section>'
    names = [name for name in found.pathways if name != "total"]
    high = max(max(word.changes["total"], sum(word.changes[name] for name in names)) for word in found.words) or 1.0
    head = "".join(f'<th scope="col">{_swatch(name)}{text(overlay.PATHWAYS[name][0])}</th>' for name in found.pathways)
    rows = "".join(_effect_row(word, row, names, high) for row, word in enumerate(found.words))
    missing = [why for name, why in lacks.items() if name in ("mute:memory", "mute:global")]
    said = "".join(f'<p class="ex-lacks">{text(why[0].upper() + why[1:])}.</p>' for why in dict.fromkeys(missing))
    strips = "".join(_differences(found, name) for name in found.pathways)
    side = min(DIFFERENCE, found.base.shape[-1])
    key = overlay.legend("difference", (0, 1)).css
    return (
        f'<section class="ex-reached" aria-labelledby="ex-reached"><h2 id="ex-reached">How each word reached the picture</h2>'
        f'<p class="ex-note">{text(METHOD)}</p><div class="ex-reached-both"><div class="ex-wide"><table class="ex-table ex-bars">'
        f"<caption>{text(UNIT)}</caption>"
        f'<thead><tr><th scope="col">word</th><th scope="col">read instead</th><th scope="col">change</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>{said}</div>"
        f'<div class="ex-triple"><figure><img src="{_uri(found.base)}" alt="as generated"><figcaption>as generated</figcaption></figure>'
        f'<figure><canvas class="ex-difference" width="{side}" height="{side}" role="img" aria-label="difference"></canvas>'
        f'<figcaption aria-live="polite">difference</figcaption><p class="ex-label" aria-hidden="true">0 '
        f'<span class="ex-bar" style="background:{key}"></span> <span class="ex-top"></span></p></figure></div></div>{strips}</section>'
    )


def _effect_row(word: WordEffect, row: int, names: Sequence[str], high: float) -> str:
    """A word, what was read instead, its bar split into pathways with a tick at the total, and each number as a button."""
    parts = "".join(f'<i style="width:{word.changes[name] / high:.2%};background:{overlay.PATHWAYS[name][1]}"></i>' for name in names)
    tick = f'<b style="left:{word.changes["total"] / high:.2%}"></b>'
    cells = "".join(
        f'<td><button type="button" class="ex-effect" data-row="{row}" data-path="{name}" data-in="{text(overlay.PATHWAYS[name][0])}"'
        f' aria-pressed="false">{short(word.changes[name] / 2)}</button></td>'
        for name in (*names, "total")
    )
    other = '<span class="ex-lacks">muted</span>' if word.other is None else text(word.other)
    return (
        f'<tr data-word="{text(word.word)}" data-position="{word.position}"><th scope="row">{text(word.word)}</th><td>{other}</td>'
        f'<td><span class="ex-stack" aria-hidden="true">{parts}{tick}</span></td>{cells}</tr>'
    )


def _differences(found: WordEffects, name: str) -> str:
    """The difference pictures of all words on a pathway below each other, each up to its own largest number."""
    side = min(DIFFERENCE, found.base.shape[-1])
    maps = [overlay.resize(word.difference(name) / 2, side) for word in found.words]
    tops = [overlay.limits(values)[1] for values in maps]
    shades = strip([values / top for values, top in zip(maps, tops, strict=True)], (0, 1))
    return (
        f'<img class="ex-differences" hidden alt="" data-path="{name}" data-tops="{",".join(f"{top:g}" for top in tops)}" src="{shades}">'
    )


def _swatch(name: str) -> str:
    return "" if name == "total" else f'<i class="ex-swatch" style="background:{overlay.PATHWAYS[name][1]}"></i>'


def _figures(shown: Mapping[str, str]) -> str:
    return "".join(
        f'<figure><img src="{uri}" alt="{text(name)}"><figcaption>{text(name)}</figcaption></figure>' for name, uri in shown.items()
    )


def _table(rows: Sequence[Mapping[str, str]], caption: str) -> str:
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{text(value)}</td>" for value in row.values()) + "</tr>" for row in rows)
    return f'<table class="ex-table"><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _uri(image: Tensor) -> str:
    return data_uri(to_pil(image))
