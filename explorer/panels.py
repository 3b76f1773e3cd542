"""What edits did, as HTML: the list of edits with controls, pictures beside each other, gates that changed, pathways of a word.

Pure functions, as :mod:`explorer.page_html`; the controls compose edits as data in the browser (``static/page.js``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image
from torch import Tensor

from dmm.images import to_pil
from dmm.trace import Trace
from explorer import overlay
from explorer.edits import Edit
from explorer.effects import WordEffects, difference
from explorer.interventions import describe
from explorer.notebook import changed_numbers
from explorer.page_html import data_uri, text
from explorer.statistics import short

TRUTH = (
    "An edit changes one quantity while the picture is generated; all else is computed as before. Muted in the memory, a word has no "
    "slot to read (DM-GAN, Eq. 4); the first picture, generated from the sentence code, still knows it."
)
WHERE = (("memory", "the memory only"), ("caption", "the caption"), ("code", "the sentence code only"))
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
    why = _form("why", "Ask", 'how <output class="ex-chosen">the word</output> reached the picture')
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
    change = difference(after, before)  # S S
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


def effects(found: WordEffects, word: str) -> str:
    """How a word reached the picture: one picture a pathway, and a table."""
    shown = {"as generated": _uri(found.base.images[-1])}
    shown |= {f"{effect.pathway}: {short(effect.change)}": _uri(effect.trace.images[-1]) for effect in found.effects}
    rows = [
        {
            "pathway": effect.pathway,
            "mean change": short(effect.change),
            "of the total": short(effect.share) if effect.share == effect.share else "–",
        }
        for effect in found.effects
    ]
    lacks = "".join(f'<p class="ex-lacks">{text(name)}: {text(why)}</p>' for name, why in found.lacks.items())
    caption = f"“{word}” muted on one pathway at a time: mean absolute change of the last picture, as a share of the full range"
    return f'<h3>How “{text(word)}” reached the picture</h3><div class="ex-many">{_figures(shown)}</div>{_table(rows, caption)}{lacks}'


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
