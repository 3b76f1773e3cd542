"""What edits did, as HTML: the list of edits with controls, pictures beside each other, gates that changed, pathways of a word.

Pure functions, as :mod:`explorer.page_html`; the controls compose edits as data in the browser (``static/page.js``).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from PIL import Image
from torch import Tensor

from dmm.images import to_pil
from dmm.metrics.effects import WordEffect, WordEffects
from dmm.trace import Trace
from explorer import overlay
from explorer.edits import Edit
from explorer.gate_changes import gate_changes
from explorer.interventions import describe
from explorer.page_html import data_uri, strip, text
from explorer.statistics import reads_by, short

TRUTH = "An edit changes one quantity while the picture is generated; all else is computed as before."
MUTED = {
    "memory": "Muted in the memory, a word has no slot to read (DM-GAN, Eq. 4)",
    "attention": "Muted in the attention, a word is attended nowhere (AttnGAN, Eq. 2)",
}
STILL = "the first picture, generated from the sentence code, still knows it."
WHERE = (("memory", "the {} only"), ("caption", "the caption"), ("code", "the sentence code only"))
METHOD = (
    "Each word is exchanged for another of its kind, or muted if it has none, on one pathway at a time; noise and all other words stay "
    "(causal mediation analysis, Vig et al., NeurIPS 2020). Choose a number to see where the picture changes."
)
UNIT = (
    "mean absolute change of the last picture, as a share of the full range; the tick is the change with the word exchanged everywhere, to "
    "which the pathways need not add up"
)
OTHERWISE = "what else STREAM could have said of these pictures, with the probability of each word"
SEEDS = (("1", "this noise"), ("4", "4 noises"), ("8", "8 noises"))
HANDED_IN = (
    "It is shrunk in your browser, read in memory, and not kept. The middle square is read. The captioner knows pictures of the kind that "
    "it was trained on; of others it says what it can."
)
SURE = (
    "Below each word its probability, given the picture and the words before; that is how sure STREAM is, not how often it is right. The "
    "first sentence takes the likeliest word each time."
)
COUNTED = (
    "the interval is exact (Clopper-Pearson), p of the exact test against one half. Votes on one pair are not independent of each other: "
    "the row of pairs is the careful one. The last row shows whether the side mattered"
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
    result, reads = "" if original is None else _result(trace, original), reads_by(trace)
    truth = TRUTH if "mute:memory" in lacks else f"{TRUTH} {MUTED[reads]}; {STILL}"
    return (
        f'<section class="ex-intervene" data-reads="{reads}" aria-labelledby="ex-intervene"><h2 id="ex-intervene">Intervene</h2>'
        f'<p class="ex-note">{text(truth)}</p>{_controls(lacks, reads)}{_listed(edits, reads)}{result}{_missing(lacks)}</section>'
        f"{_questions(trace)}"
    )


def _questions(trace: Trace) -> str:
    """What can be asked of the picture that is shown; the answer comes below."""
    other = text(trace.caption())
    forms = [
        _form("why", "Ask", "how each word reached the picture"),
        _form("compare", "Compare", f"all open models and {_select('seeds', SEEDS)}, the map of the chosen word below each"),
        *([_form("sentences", "Read back", OTHERWISE)] if any(stage.redescription is not None for stage in trace.stages) else []),
        _form(
            "walk",
            "Walk",
            f'to <input name="other" size="28" maxlength="600" aria-label="words at the end" value="{other}"> and seed '
            f'<input name="seed" size="7" maxlength="10" inputmode="numeric" aria-label="noise at the end" value="{trace.seed() + 1}">',
        ),
    ]
    shown = "".join(forms)
    return f'<section class="ex-intervene" aria-labelledby="ex-ask"><h2 id="ex-ask">Ask</h2><div class="ex-forms">{shown}</div></section>'


def _controls(lacks: Mapping[str, str], reads: str) -> str:
    """Forms whose fields are the fields of an edit; a form that the system does not allow is left out and named below."""
    where = [(value, label.format(reads)) for value, label in WHERE if f"mute:{value}" not in lacks]
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
    return f'<div class="ex-forms">{"".join(forms)}</div><p class="ex-forms-note" role="status"></p>'


def _form(kind: str, verb: str, fields: str) -> str:
    button = f'<button type="button">{verb}</button>'
    return f'<div class="ex-form" data-edit="{kind}" role="group" aria-label="{verb}">{button} <span>{fields}</span></div>'


def _select(name: str, options: Sequence[tuple[str, str]]) -> str:
    said = {"seeds": "how many noises", "where": "where", "path": "who answers", "area": "at which places", "part": "which noise"}[name]
    items = "".join(f'<option value="{value}">{label}</option>' for value, label in options)
    return f'<select name="{name}" aria-label="{said}">{items}</select>'


def _listed(edits: Sequence[Edit], reads: str) -> str:
    if not edits:
        return '<p class="ex-lacks">No edit is on: this is the picture as the model generates it.</p>'
    items = "".join(
        f'<li>{text(said)} <button type="button" data-undo="{k}" aria-label="Take back: {text(said)}">×</button></li>'
        for k, said in enumerate(describe(edit, reads) for edit in edits)
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
        for row in gate_changes(original, trace)
        if short(row["before"]) != short(row["after"])
    ]
    gates = _table(rows, "Gates that changed") if rows else '<p class="ex-lacks">No gate changed in its first two digits.</p>'
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


def compared(rows: Sequence[Mapping], word: str) -> str:
    """One caption through models and noises; over each picture the map of a word, where there is one.

    Args:
        rows: as :meth:`explorer.api.Endpoints.compare` gives them.
        word: whose map was asked for; empty for none.
    """
    cells = ""
    for row in rows:
        name = f"{row['model']}, seed {row['seed']}"
        over = f'<img src="{row["map"]}" alt="{text(f"where “{word}” is read: {name}")}">' if row["map"] else ""
        lines = (f"“{row['read_back']}”" if row["read_back"] else "", row["reliability"], row["why"])
        said = "".join(f"<br>{text(line)}" for line in lines if line)
        cells += f'<figure><img src="{row["picture"]}" alt="{text(name)}">{over}<figcaption>{text(name)}{said}</figcaption></figure>'
    models = len({row["model"] for row in rows})
    more = "Start the explorer with several checkpoints to compare models." if models == 1 else ""
    shown = f"; below it, where “{word}” is read" if any(row["map"] for row in rows) else ""
    shown += "; the sentence is what STREAM reads back" if any(row["read_back"] for row in rows) else ""
    note = f'<p class="ex-note">{text(f"The last picture of each{shown}. {more}")}</p>'
    return f'<section class="ex-reached" data-models="{models}"><h2>Side by side</h2>{note}<div class="ex-many">{cells}</div></section>'


def walked(found: Mapping, reads_words: bool) -> str:
    """From one caption and noise to another: a film strip, and the same as a GIF that can be saved.

    Args:
        found: as :meth:`explorer.api.Endpoints.walk` gives it.
        reads_words: whether a stage of the model reads single words.
    """
    first, last = found["reads"][0], found["reads"][-1]
    way = f"from “{first}” to “{last}”" if first != last else f"“{first}” from one noise to another"
    note = "Noises go along the sphere, sentence features along a line" + (
        "; the first half reads the words of the first caption, the second half those of the second." if reads_words else "."
    )
    alt = text(f"{len(found['at'])} pictures {way}")
    return (
        f'<section class="ex-reached"><h2>A walk {text(way)}</h2><p class="ex-note">{text(note)}</p>'
        f'<div class="ex-wide" tabindex="0" role="group" aria-label="film"><img class="ex-film" src="{found["strip"]}" alt="{alt}"></div>'
        f'<p><a class="ex-quiet" download="walk.gif" href="{found["gif"]}">Save as GIF</a></p></section>'
    )


def drop_zone(side: int) -> str:
    """Where a picture is dropped or chosen; ``side`` in px is what the browser shrinks it to."""
    return (
        f'<div class="ex-drop" data-side="{side}"><label>Drop a picture here, or choose one: '
        f'<input type="file" accept="image/png,image/jpeg,image/webp"></label><canvas width="{side}" height="{side}" hidden role="img"'
        f' aria-label="your picture, as it is read"></canvas><p role="status" class="ex-note">{text(HANDED_IN)}</p></div>'
    )


def read_back(rows: Sequence[Mapping]) -> str:
    """What STREAM reads: the sentence and how it compares with the caption, then what it could have said.

    Args:
        rows: as :meth:`explorer.api.Endpoints.redescribe` gives them.
    """
    shown = ""
    for row in rows:
        size = "" if row["picture"] == "handed in" else f"<h3>{text(row['picture'])} × {text(row['picture'])}</h3>"
        compared = [
            {
                "attribute": one["attribute"],
                "caption": ", ".join(one["said"]),
                "read back": ", ".join(one["read"]),
                "verdict": one["verdict"],
            }
            for one in row["attributes"]
        ]
        table = _table(compared, "Attribute by attribute, against the caption above") if compared else ""
        table = f'<div class="ex-wide" tabindex="0" role="group" aria-label="attributes">{table}</div>' if table else ""
        others = "".join(map(_sentence, row["alternatives"]))
        listed = f"<p>What else a beam search finds, the likeliest as a whole first:</p><ol>{others}</ol>" if others else ""
        shown += f'<div>{size}<ul class="ex-readings">{_sentence(row)}</ul>{table}<div class="ex-readings">{listed}</div></div>'
    return (
        f'<section class="ex-reached"><h2>The captioner (STREAM) reads</h2><p class="ex-note">{text(SURE)}</p>'
        f'<div class="ex-read-stages">{shown}</div></section>'
    )


def _sentence(said: Mapping) -> str:
    """A sentence, the probability of each word below it."""
    words = " ".join(f"<span>{text(one['word'])}<small>{short(one['probability'])}</small></span>" for one in said["words"])
    cut = "" if said["ended"] else ", cut at its longest"
    return f'<li><p>{words or "<em>nothing</em>"}</p><p class="ex-label">probability {said["probability"]:.2g}{cut}</p></li>'


def taken(file: Mapping[str, str], code: str) -> str:
    """A file inside a link, which the browser saves at once, and the Python that makes the same picture.

    Args:
        file: as :meth:`explorer.api.Endpoints.export` gives it.
        code: some lines of Python.
    """
    name = text(file["name"])
    return (
        f'<p role="status"><a class="ex-quiet ex-file" href="#" download="{name}" data-base64="{file["base64"]}">Save {name} again</a></p>'
        f'<p class="ex-label">In a notebook:</p><pre class="ex-code" tabindex="0">{text(code)}</pre>'
    )


def vote_note(pairs: int) -> str:
    """How a blind vote of so many pairs goes."""
    note = (
        "Two pictures of one caption and one seed, without names, sides drawn anew for each voter: say which fits the caption better. "
        f"Everybody has the same {pairs} pairs in the same order; the first vote on a pair counts. Look at the result when you are done."
    )
    return f'<p class="ex-note">{text(note)}</p>'


def ballot(found: Mapping) -> str:
    """A pair of a blind vote; nothing in it says which is which.

    Args:
        found: as :meth:`explorer.api.Endpoints.ballot` gives it.
    """
    if found["pair"] is None:
        return f'<p class="ex-notice" role="status">You have voted on all {text(found["of"])} pairs; thank you. See the result.</p>'
    pictures = _figures({side: found[side] for side in ("left", "right")})
    return (
        f'<section class="ex-reached"><h2>Pair {found["pair"] + 1} of {found["of"]}</h2>'
        f'<p class="ex-asked" role="status">“{text(found["caption"])}”: which picture fits better?</p>'
        f'<div class="ex-pair">{pictures}</div></section>'
    )


def voted(found: Mapping) -> str:
    """What the votes say, and all of them as CSV.

    Args:
        found: as :meth:`explorer.api.Endpoints.votes` gives it.
    """
    if not found["votes"]["of"]:
        return '<p class="ex-notice" role="status">Nobody has voted on these two yet.</p>'
    counted = {"votes": "votes", "pairs": "pairs, each by the majority of its voters", "left": "votes for the left side"}
    rows = [
        {
            "counted": said,
            "for": f"{found[name]['for_first']} of {found[name]['of']}",
            "share": "–" if found[name]["share"] is None else short(found[name]["share"]),
            "95 % interval": f"{short(found[name]['low'])} to {short(found[name]['high'])}",
            "p": short(found[name]["p"]),
        }
        for name, said in counted.items()
    ]
    kappa = found["agreement"]["kappa"]
    agree = "not to be had: no pair has two votes, or all chose one" if kappa is None else short(kappa)
    href = "data:text/csv;base64," + base64.b64encode(found["csv"].encode()).decode()
    return (
        f'<section class="ex-reached"><h2>{text(found["first"])} <span>against</span> {text(found["second"])}</h2>'
        f'<div class="ex-wide" tabindex="0" role="group" aria-label="result">{_table(rows, f"For the first of the two; {COUNTED}")}</div>'
        f"<p>Agreement of the voters ({text(found['voters'])}), {text(found['agreement']['measure'])}: {text(agree)}.</p>"
        f'<p><a class="ex-quiet" download="votes.csv" href="{href}">Save every vote as CSV</a></p></section>'
    )


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
