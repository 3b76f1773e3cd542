"""Edits as plain data: what they are called, how they are stored, sent and said, and which of them a system allows.

A list of edits is JSON wherever it leaves Python (the link of the page, an endpoint, ``Trace.edits`` in an exported trace)::

    [{"edit": "mute", "word": "red", "where": "memory", "stages": [1]}, {"edit": "uniform_addressing"}]

Values that an edit has by default are left out. Reading is strict: a name, field or value that no edit has is refused.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import partial

from dmm.files import FileError, parse
from explorer import edits
from explorer.edits import Edit, EditError, attached

KINDS: dict[str, type] = {
    "mute": edits.Mute,
    "exchange": edits.Exchange,
    "writing_gate": edits.ClampWritingGate,
    "response_gate": edits.ClampResponseGate,
    "drop_global": edits.DropGlobal,
    "uniform_addressing": edits.UniformAddressing,
    "freeze_noise": edits.FreezeNoise,
}
MOST_EDITS = 16  # of one picture
LONGEST = 4000  # characters of a list of edits as JSON
_NAMES = {kind: name for name, kind in KINDS.items()}
_PLACES = {
    "memory": "in the {} only",
    "caption": "in the caption",
    "code": "in the sentence code only",
    "initial": "in the first stage's sentence code only",
    "global": "in the sentence code that the refinement stages read",
}


def to_data(chosen: Sequence[Edit]) -> list[dict]:
    """Edits as plain containers."""
    return [{"edit": _NAMES[type(edit)]} | _fields(edit) for edit in chosen]


def to_json(chosen: Sequence[Edit]) -> str:
    """Edits as one line of JSON; empty for none."""
    return json.dumps(to_data(chosen), ensure_ascii=False, separators=(",", ":")) if chosen else ""


def from_data(items) -> tuple[Edit, ...]:
    """What :func:`to_data` gave.

    Raises:
        EditError: what was expected and what was found.
    """
    if not isinstance(items, (list, tuple)) or len(items) > MOST_EDITS:
        raise EditError(f"edits: expected a list of at most {MOST_EDITS}, found {_shown(items)}")
    return tuple(_read(item) for item in items)


def from_json(text: str | None) -> tuple[Edit, ...]:
    """What :func:`to_json` wrote; nothing for an empty text.

    Raises:
        EditError: what was expected and what was found.
    """
    if not text:
        return ()
    if len(text) > LONGEST:
        raise EditError(f"edits: expected at most {LONGEST} characters of JSON, found {len(text)}")
    try:
        items = parse(text, "edits", finite=False)  # what a number may be is said of each field
    except FileError as error:
        raise EditError(f"{error}; found {_shown(text)}") from error
    return from_data(items)


def describe(edit: Edit, reads: str = "memory") -> str:
    """An edit as one line, as it is listed; ``reads`` as of :func:`explorer.statistics.reads_by`."""
    said = {
        edits.Mute: lambda e: f"mute {_word(e.word)} {_PLACES[e.where].format(reads)}",
        edits.Exchange: lambda e: f"read “{e.new}” for {_word(e.word)} {_PLACES[e.where].format(reads)}",
        edits.ClampWritingGate: lambda e: f"writing gate of {'every word' if e.word is None else _word(e.word)} = {e.value:g}",
        edits.ClampResponseGate: _response,
        edits.DropGlobal: lambda e: "answer without the global memory",
        edits.UniformAddressing: lambda e: "every place reads every word alike",
        edits.FreezeNoise: lambda e: f"{edits.NOISES[e.part]} " + ("set to zero" if e.seed is None else f"of seed {e.seed}"),
    }[type(edit)](edit)
    stages = getattr(edit, "stages", None)
    return said if stages is None else f"{said}, at {' and '.join(str(64 << number) for number in stages)} px"


def lacks(pipe) -> dict[str, str]:
    """Edits that a system does not allow -> the reason. Keys are names of :data:`KINDS`; pathways of words as ``mute:memory``."""
    words = [word for word in pipe.vocab.words if len(word) <= edits.LONGEST_WORD][:2]
    caption = " ".join(words)
    tries: dict[str, Callable[[], Edit]] = {f"mute:{where}": partial(edits.Mute, words[0], where) for where in edits.PATHWAYS}
    tries |= {f"exchange:{where}": partial(edits.Exchange, words[0], words[-1], where) for where in edits.PATHWAYS}
    tries |= {
        "writing_gate": lambda: edits.ClampWritingGate(0.5),
        "response_gate": lambda: edits.ClampResponseGate(1.0, 0.0),
        "response_gate:global": lambda: edits.ClampResponseGate.only("global"),
        "drop_global": edits.DropGlobal,
        "uniform_addressing": edits.UniformAddressing,
        "freeze_noise:z": lambda: edits.FreezeNoise("z"),
        "freeze_noise:eps": lambda: edits.FreezeNoise("eps"),
    }
    found = {}
    for name, make in tries.items():
        try:
            with attached(pipe, make(), caption=caption):
                pass
        except EditError as error:
            found[name] = str(error)
    return found


def _fields(edit: Edit) -> dict:
    """The values of an edit that are not its defaults; tuples as lists."""
    values = {}
    for field in dataclasses.fields(edit):
        value = getattr(edit, field.name)
        if field.default is dataclasses.MISSING or value != field.default:
            values[field.name.rstrip("_")] = list(value) if isinstance(value, tuple) else value
    return values


def _read(item) -> Edit:
    if not isinstance(item, dict) or not isinstance(item.get("edit"), str) or item["edit"] not in KINDS:
        raise EditError(f"edits: expected each to name one of {', '.join(KINDS)} as “edit”, found {_shown(item)}")
    kind = KINDS[item["edit"]]
    names = {field.name.rstrip("_"): field.name for field in dataclasses.fields(kind)}
    unknown = sorted(map(str, item.keys() - names.keys() - {"edit"}))
    if unknown:
        raise EditError(f"{item['edit']}: expected some of {', '.join(names) or 'nothing'}, found {_shown(unknown[0])}")
    values = {names[key]: tuple(value) if isinstance(value, list) else value for key, value in item.items() if key != "edit"}
    try:
        return kind(**values)
    except TypeError as error:
        needed = [f.name.rstrip("_") for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING]
        raise EditError(f"{item['edit']}: expected {', '.join(needed)}, found {_shown(item)}") from error


def _word(word: str | int) -> str:
    return f"“{word}”" if isinstance(word, str) else f"the word at position {word}"


def _response(edit: edits.ClampResponseGate) -> str:
    shares = {"image": edit.image, "words": edit.words, "global memory": edit.global_}
    alone = [name for name, share in shares.items() if share == 1]
    said = f"answered by {alone[0]} alone" if alone else "answered by " + ", ".join(f"{n} {s:g}" for n, s in shares.items() if s)
    return said if edit.region is None else f"{said}, in the region {', '.join(f'{edge:.2f}' for edge in edit.region)}"


def _shown(value) -> str:
    text = value if isinstance(value, str) else repr(value)
    return f"“{text[:80]}”"
