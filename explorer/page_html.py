"""A trace as a page: three columns, one a stage, each with all that is known of it.

Pure functions from a :class:`~dmm.trace.Trace` to HTML; no Gradio, no network. Numbers come from :mod:`explorer.statistics`, colours from
:mod:`explorer.overlay`. All maps of the words travel once, as one palette PNG a stage (tiles below each other), so that selecting a
word is a matter of the browser alone (``static/page.js``). What a system does not have is said, not drawn empty.

Every text that a person typed goes through :func:`text`.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from dmm.images import to_pil
from dmm.trace import Trace
from explorer import overlay, slots
from explorer.reliability import Reliability
from explorer.statistics import (
    IN_MEMORY,
    QUANTITIES,
    SMALL_WORDS,
    Chip,
    MissingQuantity,
    Spoken,
    alike,
    bare,
    chips,
    has,
    maps_of,
    most_placed,
    reads_by,
    response_maps,
    response_shares,
    short,
    similarity,
    uniform,
    word_indices,
    word_map,
)

STRENGTH = 0.55  # opacity of a map over its picture
GATE = "writing_gate"
REGION = "Drag over a region of the picture to see which words it reads and who answers there."
CHANNEL_TRUTH = "The global read is a softmax over channels, not over places: it says what to recall, not where."


def text(value: object) -> str:
    """Escaped for HTML, quotes included, and for the template language of ``gr.HTML`` (``${}`` and ``{{}}``)."""
    escaped = html.escape(str(value), quote=True)
    for sign in "$`{}":
        escaped = escaped.replace(sign, f"&#{ord(sign)};")
    return escaped


def render(
    trace: Trace,
    spoken: Sequence[Spoken],
    model: str,
    vocabulary: int,
    step: int | None = None,
    moment: str = "",
    peaks: Mapping[int, float] | None = None,
    extra: str = "",
    measured: Mapping[int, Reliability] | None = None,
    above: str = "",
) -> str:
    """The page of one generated caption.

    Args:
        trace: a batch of one.
        spoken: the caption's tokens, known or not, from :func:`explorer.statistics.spoken`.
        model: name shown, and put into the link.
        vocabulary: words that the model knows.
        step: of its training at which the model generated this, put into the link; None for the finished model.
        moment: the same in words; empty for the finished model.
        peaks: stage -> the probability that its colours reach up to at least, for pages that are compared.
        above: HTML above the stages, e.g. the network of :mod:`explorer.overview`.
        measured: size of a stage's picture, px -> how far its maps can be believed.
        extra: HTML below the stages, e.g. the edits of :mod:`explorer.panels`.
    """
    caption, seed = trace.caption(), trace.seed()
    generated = [index for index, stage in enumerate(trace.stages) if stage.image is not None]  # some systems generate once, at the end
    found = {index: (measured or {}).get(trace.stages[index].quantity("image").shape[-1]) for index in generated}
    columns = "".join(_stage(trace, index, spoken, (peaks or {}).get(index, 0.0), _reliability(model, found[index])) for index in generated)
    table = base64.b64encode(overlay.legend("", (0, 1)).strip.tobytes()).decode()
    at = "" if step is None else f' data-step="{text(step)}"'
    at += f' data-edits="{text(json.dumps(trace.edits, separators=(",", ":")))}"' if trace.edits else ""
    reading = [index for index in generated if maps_of(trace, index)]
    if reading:
        indices = word_indices(trace)
        at += f' data-first="{indices.index(most_placed(trace, reading[0]))}" data-begin="{indices[0]}"'
    return (
        f'<article class="ex" data-caption="{text(caption)}" data-seed="{text(seed)}" data-model="{text(model)}"{at}'
        f' data-table="{table}" style="--strength:{STRENGTH}">'
        f"{_said(spoken, seed, model, vocabulary, moment)}"
        f'{above}<div class="ex-stages">{columns}</div>{extra}'
        '<p class="ex-live" aria-live="polite"></p></article>'
    )


def notice(message: str) -> str:
    """A friendly word instead of a picture; a screen reader says it at once."""
    return f'<p class="ex-notice" role="alert">{text(message)}</p>' if message else ""


def told(message: str) -> str:
    """Something worth knowing about the picture that is shown."""
    return f'<p class="ex-notice ex-told" role="status">{text(message)}</p>' if message else ""


def data_uri(image: Image.Image) -> str:
    """A picture as a PNG inside the page."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def strip(maps: Sequence[np.ndarray], limits: overlay.Limits) -> str:
    """Maps H W below each other as one palette PNG; the palette is the colour map of :mod:`explorer.overlay`."""
    levels = overlay.heat(np.concatenate(list(maps)), limits, cmap="gray")[..., 0]  # n*H W, 0..255 along the limits
    image = Image.fromarray(levels, mode="L").convert("P")
    image.putpalette(overlay.legend("", limits).strip.tobytes())
    return data_uri(image)


# --- the sentence that was generated ------------------------------------------------------------------------------------


def _said(spoken: Sequence[Spoken], seed: int, model: str, vocabulary: int, moment: str) -> str:
    words = " ".join(_caption_words(spoken))
    missing = list(dict.fromkeys(w.word for w in spoken if not w.known))
    note = ""
    if missing:
        quoted = ", ".join(f"“{text(word)}”" for word in missing)
        verb, pronoun = ("is", "it was") if len(missing) == 1 else ("are", "they were")
        told = f"{quoted} {verb} not among the {text(vocabulary)} words that {text(model)} knows; {pronoun} left out."
        note = f'<p class="ex-missing">{told}</p>'
    return (
        f'<header class="ex-said"><p class="ex-caption" role="group" aria-label="Words; choose one to see where it is read">{words}</p>'
        f'<p class="ex-origin">{text(f"{model} {moment}".strip())} <span aria-hidden="true">·</span> seed {text(seed)}</p>{note}</header>'
    )


def _caption_words(spoken: Sequence[Spoken]) -> Iterator[str]:
    """The caption's words: a button for each that was generated, in the order of the tiles of every map."""
    tile = 0
    for said in spoken:
        if said.known:
            reached = "0" if tile == 0 else "-1"
            yield (
                f'<button type="button" class="ex-word" aria-pressed="false" tabindex="{reached}" data-tile="{tile}"'
                f' data-word="{text(said.word)}">{text(said.word)}</button>'
            )
            tile += 1
        else:
            yield _unknown(said.word)


def _unknown(word: str) -> str:
    return f'<s class="ex-unknown" title="not in the vocabulary">{text(word)}</s>'


# --- one column a stage: six rows that line up across the columns --------------------------------------------------------


def _stage(trace: Trace, index: int, spoken: Sequence[Spoken], peak: float, believed: str) -> str:
    stage = trace.stages[index]
    maps = maps_of(trace, index)
    if maps is None:
        later = any(maps_of(trace, i) for i in range(len(trace.stages)))
        role = "from the whole sentence; no word is read" + (" yet" if later else "")
        rows = _notes(trace) if index == next(i for i, one in enumerate(trace.stages) if one.image is not None) else ""
    else:
        height, width = getattr(stage, QUANTITIES[maps].field).shape[-2:]
        role = f"reads the words at {height} × {width}"
        rows = _addressing(trace, index, maps, peak, believed) + _memory(trace, index, maps, spoken) + _response(trace, index)
    return (
        f'<section class="ex-stage" data-stage="{index}" aria-label="{stage.size} pixel stage">'
        f"<h2><b>{stage.size} × {stage.size}</b> <span>{role}</span></h2>"
        f"{_picture(trace, index, maps, peak)}{_stream(trace, index)}{rows}</section>"
    )


def _tiles(trace: Trace, index: int, maps: str, peak: float) -> tuple[list[np.ndarray], overlay.Limits]:
    """The maps of all words and the range they share: it reaches ``peak`` and 2/T, at most 1: even reading lies within the colours."""
    tiles = [word_map(trace, index, i, maps) for i in word_indices(trace)]
    return tiles, overlay.limits(*tiles, np.float32(max(peak, min(2 * uniform(trace), 1.0))))


def _picture(trace: Trace, index: int, maps: str | None, peak: float) -> str:
    stage = trace.stages[index]
    alt = text(f"Generated at {stage.size} pixels from: {trace.caption()}")
    source = data_uri(to_pil(stage.quantity("image")[0]))
    image = f'<img class="ex-image" src="{source}" width="{stage.size}" height="{stage.size}" alt="{alt}">'
    if maps is None:
        return f'<div class="ex-picture">{image}</div>'
    tiles, limits = _tiles(trace, index, maps, peak)
    height, width = tiles[0].shape
    own = [overlay.limits(tile, uniform=uniform(trace))[1] for tile in tiles]
    shades = strip([tile / top for tile, top in zip(tiles, own, strict=True)], (0, 1))
    label = f"{stage.size} pixel picture: drag over a region, or move with the arrow keys, to see which words it reads"
    return (
        f'<div class="ex-picture" data-top="{limits[1]:.6g}" data-own="{",".join(f"{top:.6g}" for top in own)}" tabindex="0" role="group"'
        f' aria-label="{label}">{image}'
        f'<img class="ex-strip" hidden alt="" src="{shades}">'
        f'<canvas class="ex-heat" width="{width}" height="{height}" aria-hidden="true"></canvas>'
        '<i class="ex-brush" hidden></i><p class="ex-tag" aria-hidden="true"></p></div>'
    )


def _stream(trace: Trace, index: int) -> str:
    sentences = trace.stages[index].redescription
    if sentences is None:
        return '<p class="ex-stream ex-lacks">No captioner (STREAM) came with this model, so the picture is not read back.</p>'
    words = " ".join(f'<span data-word="{text(word)}">{text(word)}</span>' for word in sentences[0].split()) or "<em>nothing</em>"
    label = '<span class="ex-label">The captioner (STREAM) reads back</span>'
    return f'<div class="ex-stream"><p>{label} {words}</p>{_attributes(slots.compare(trace.caption(), sentences[0]))}</div>'


def _attributes(rows: Sequence[slots.Slot]) -> str:
    """Each attribute that caption or redescription names, and whether they agree."""
    if not rows:
        return '<p class="ex-lacks">Neither sentence names an attribute that can be compared.</p>'
    signs = {slots.AGREES: "=", slots.PARTLY: "≈", slots.DIFFERS: "≠", slots.UNSAID: "–", slots.ADDED: "+"}
    items = "".join(
        f'<li data-verdict="{row.verdict}"><b aria-hidden="true">{signs[row.verdict]}</b> {text(row.sentence)}</li>' for row in rows
    )
    summary = f"<summary>{len(rows)} attribute{'s' * (len(rows) != 1)}: {text(slots.summary(rows))}</summary>"
    return f'<details class="ex-slots" open>{summary}<ul>{items}</ul></details>'


def _notes(trace: Trace) -> str:
    """Beside the rows of the later stages, in the column of the stage that has none: what is true of each."""
    later = [maps_of(trace, i) for i in range(len(trace.stages))]
    maps = next((QUANTITIES[name] for name in later if name), None)
    if maps is None:
        return note(["No stage of this system reads single words: all that it knows of the caption is one vector of the sentence."])
    reading = [maps.note]
    gated = any(has(trace, i, GATE) for i in range(len(trace.stages)))
    writing = [QUANTITIES[GATE].note if gated else f"This system has no writing gate; its {reads_by(trace)} takes the words as they are."]
    answer = [CHANNEL_TRUTH] if any(stage.global_weights is not None for stage in trace.stages) else []
    answer.append("Equations are numbered as in DM-GAN (Zhu et al., CVPR 2019) unless another paper is named.")
    return note(reading) + note(writing) + note(answer)


def note(lines: Sequence[str]) -> str:
    """What is said below a row, a paragraph a line."""
    return '<div class="ex-note">' + "".join(f"<p>{text(line)}</p>" for line in lines) + "</div>"


# --- legends, chips, maps -------------------------------------------------------------------------------------------------


def legend_row(legend: overlay.Legend) -> str:
    """A bar of the colours between its two ends, with the marked values; a screen reader is told all of it."""
    low, high = (bare(f"{limit:g}") for limit in legend.limits)
    marks = "".join(f'<span class="ex-mark" style="--at:{at:.1%}"><i></i>{text(bare(label))}</span>' for at, label in legend.marks)
    spoken = text(f"{legend.label}, {legend.unit}: from {low} to {high}" + "".join(f"; {label}" for _, label in legend.marks))
    return (
        f'<div class="ex-legend" role="img" aria-label="{spoken}" title="{text(legend.unit)}">'
        f'<span>{low}</span><span class="ex-bar" style="background:{legend.css}">{marks}</span><span>{high}</span></div>'
    )


def _heading(title: str, name: str) -> str:
    return f"<h3>{text(title)} <span>{together(name)}</span></h3>"


def together(name: str) -> str:
    """A quantity's name, its equation's number on the line of "Eq."."""
    return text(name).replace("Eq. ", "Eq.&nbsp;")


def named(quantity: str) -> str:
    """A quantity with its equation, DM-GAN's without the paper's name."""
    found = QUANTITIES[quantity]
    return f"{found.label}, {found.equation.removeprefix('DM-GAN ')}"


def _addressing(trace: Trace, index: int, maps: str, peak: float, believed: str) -> str:
    quantity = QUANTITIES[maps]
    legend = overlay.legend(quantity.label, _tiles(trace, index, maps, peak)[1], quantity.unit, uniform(trace))
    ranges = "".join(
        f'<button type="button" data-range="{name}" aria-pressed="{"true" if name == "own" else "false"}">{label}</button>'
        for name, label in (("own", "own range"), ("shared", "one range"))
    )
    chosen = f'<div class="ex-range" role="group" aria-label="Colours reach up to">{ranges}</div>'
    where = f'<p class="ex-region" aria-live="polite">{REGION}</p>'
    heading = _heading("Where a word is read", named(maps))
    return f'<div class="ex-row ex-where" data-uniform="{uniform(trace):.6g}">{heading}{chosen}{legend_row(legend)}{believed}{where}</div>'


def _reliability(model: str, found: Reliability | None) -> str:
    """How far the maps of a stage can be believed in this model: one line, and what it rests on."""
    if found is None:
        said = "Not measured for this model: how far its maps can be believed."
        command = f"dmm evaluate {text(model)} --metrics memory"
        return f'<details class="ex-reliable"><summary>{said}</summary><p><code>{command}</code></p></details>'
    parts = "" if found.parts is None else f", the map of a part's name {found.parts:.1f} times"
    lines = [
        f"The map of {found.kind} is {found.lift:.1f} times as strong {found.where} as everywhere{parts}; that of another word "
        f"{found.control:.1f} times (chance 1).",
        *([] if found.share is None else [_shared(found.share, found.interval)]),
        f"Measured on {found.captions} captions:",
    ]
    return (
        f'<details class="ex-reliable"><summary>In this model {text(found.verdict)}: lift {found.lift:.1f}'
        f"{'' if found.share is None else f', memory share {short(found.share)}'}.</summary>"
        f"<p>{text(' '.join(lines))} <code>{text(found.command)}</code></p></details>"
    )


def _shared(share: float, interval: tuple[float, float] | None) -> str:
    between = "" if interval is None else f" (95 %: {' to '.join(map(short, interval))})"
    return f"Of the change of this picture when a colour is exchanged, {short(share)}{between} passes through the word memories."


def _memory(trace: Trace, index: int, maps: str, spoken: Sequence[Spoken]) -> str:
    reads = {chip.index: (chip.value, float(word_map(trace, index, chip.index, maps).max())) for chip in chips(trace, index, maps)}
    gated = has(trace, index, GATE)
    if gated:
        heading = _heading(f"Memory written for {trace.stages[index].size}", named(GATE))
        legend = legend_row(overlay.legend(QUANTITIES[GATE].label, QUANTITIES[GATE].limits, QUANTITIES[GATE].unit))
    else:
        heading = _heading(f"Words attended for {trace.stages[index].size}", named(maps))
        legend = '<p class="ex-lacks">No writing gate: the words are not shaded.</p>'
    buttons = " ".join(_chips(chips(trace, index, GATE if gated else maps), spoken, reads, gated))
    return (
        f'<div class="ex-row ex-memory">{heading}{legend}'
        f'<div class="ex-chips" role="group" aria-label="Words; select one to see where it is read">{buttons}</div>'
        f"{_numbers(trace, index, maps, reads)}</div>"
    )


#: Columns of a stage's numbers, as the browser sorts by them -> their headings.
SORTED = {"gate": "writing gate", "mean": "read, mean", "max": "read, largest"}


def _numbers(trace: Trace, index: int, maps: str, reads: Mapping[int, tuple[float, float]]) -> str:
    """The maps and chips of a stage as a table, a row a word; the browser sorts it, and compares the memories with the chosen word's."""
    gates = {chip.index: chip.value for chip in chips(trace, index, GATE)} if has(trace, index, GATE) else {}
    memories = {of: similarity(trace, index, of) for of in alike(trace, index)}
    sorts = [name for name in SORTED if gates or name != "gate"]
    rows = ""
    for tile, place in enumerate(word_indices(trace)):
        numbers = dict(zip(("mean", "max", "gate"), (*reads[place], gates.get(place, 0.0)), strict=True))
        shown = "".join(f"<td>{short(numbers[name])}</td>" for name in sorts)
        shown += "".join(f'<td data-alike="{",".join(map(short, values[tile]))}"></td>' for values in memories.values())
        rows += _numbered(trace.tokens()[place], tile, {name: numbers[name] for name in sorts}, shown)
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("word", *map(SORTED.__getitem__, sorts), *map(IN_MEMORY.__getitem__, memories))
    )
    cosine = '; slot, key, value: cosine with those of <output class="ex-chosen">a word</output>' if memories else ""
    return (
        f'<details class="ex-numbers"><summary>Words in numbers</summary>{_arranged(sorts)}'
        f'<div class="ex-wide" tabindex="0" role="group" aria-label="words in numbers, {trace.stages[index].size} px">'
        f'<table class="ex-table">'
        f"<caption>{text(named(maps))}{cosine}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _numbered(word: str, tile: int, numbers: Mapping[str, float], cells: str) -> str:
    """A row of a stage's numbers; small words are marked, so that they can be left out."""
    sorts = "".join(f' data-{name}="{value:.6f}"' for name, value in numbers.items())
    return f'<tr data-tile="{tile}"{sorts}{" data-small" * (word in SMALL_WORDS)}><th scope="row">{text(word)}</th>{cells}</tr>'


def _arranged(sorts: Sequence[str]) -> str:
    """How many words a table of numbers shows, in which order, and whether small words are among them."""
    several = "".join(f'<option value="{k}">{label}</option>' for k, label in ((0, "all words"), (3, "first 3"), (5, "first 5")))
    orders = "".join(f'<option value="{name}">by {SORTED[name]}</option>' for name in sorts)
    return (
        f'<p><select name="k" aria-label="how many words">{several}</select> <select name="order" aria-label="order of the words">'
        f'<option value="tile">as in the caption</option>{orders}</select> '
        '<label><input type="checkbox" name="small" checked> small words</label></p>'
    )


def _chips(row: Sequence[Chip], spoken: Sequence[Spoken], reads: dict[int, tuple[float, float]], gated: bool) -> Iterator[str]:
    """The caption's words in order: a button for each word that was generated, struck through where it is unknown."""
    generated = iter(enumerate(row))
    for said in spoken:
        if said.known:
            tile, chip = next(generated)
            yield _chip(chip, tile, *reads[chip.index], gated)
        else:
            yield _unknown(said.word)


def _chip(chip: Chip, tile: int, mean: float, largest: float, gated: bool) -> str:
    style, shown = "", f"read {short(mean)}"
    if gated:
        colour = overlay.heat(np.array([[chip.value]]))[0, 0]
        style = f' style="background:rgb({",".join(map(str, colour))});color:{overlay.ink(colour)}"'
        shown = f"gate {short(chip.value)}"
    return (
        f'<button type="button" class="ex-chip" aria-pressed="false" tabindex="{"0" if tile == 0 else "-1"}" data-tile="{tile}"'
        f' data-word="{text(chip.word)}"'
        f' data-mean="{short(mean)}" data-max="{short(largest)}" data-shown="{shown}"'
        f' aria-label="{text(chip.word)}, {shown}"{style}>{text(chip.word)}</button>'
    )


def _response(trace: Trace, index: int) -> str:
    try:
        maps, shares = response_maps(trace, index), response_shares(trace, index)
    except MissingQuantity:
        return '<div class="ex-row"><p class="ex-lacks">No response gate: what was attended is taken in without weighing it.</p></div>'
    legend = overlay.legend("response gate", (0, 1), "share of the answer at each place")
    cells = "".join(_path(name, values, shares[name]) for name, values in maps.items())
    lacks = "" if "global" in maps else '<p class="ex-lacks">No global memory: image and words share the answer.</p>'
    return (
        f'<div class="ex-row ex-response">{_heading("Answered by", "response gate, Eq. 9")}{legend_row(legend)}'
        f'<div class="ex-paths">{cells}</div>{lacks}</div>'
    )


def _path(name: str, values: np.ndarray, share: float) -> str:
    return (
        f'<button type="button" class="ex-path" aria-pressed="false" data-path="{name}" data-shown="{short(share)}"'
        f' aria-label="{name}, {short(share)} of the answer on average">'
        f'<img class="ex-map" alt="" width="{values.shape[1]}" height="{values.shape[0]}" src="{strip([values], (0, 1))}">'
        f'<span class="ex-share"><span>{name}</span><span>{short(share)}</span></span>'
        f'<span class="ex-meter"><i style="width:{share:.1%}"></i></span></button>'
    )
