"""What a sentence says of a bird: from words back to slots.

A left-to-right parser over a table of phrases. Adjectives wait in a buffer until a noun takes them ("grey wings"), a verb turns them
towards the noun before ("wings that are grey"), and a noun without adjectives shares its neighbour's colour ("a red head, throat and
breast"). It reads every sentence of :mod:`grammar` exactly, and reads on through words and orders that no person would write, as a
captioner's sentences have them.
"""

from __future__ import annotations

from collections.abc import Mapping

from dmm.aviary import lexicon
from dmm.data.vocab import tokenise

Slots = dict[str, tuple[str, ...]]

PATTERNED = ("wing", "breast", "belly", "back", "tail")
MARKS = ("eyering", "eyebrow", "malar", "crest", "mask")
_LENGTH_OF_SIZE = {"tiny": "short", "small": "short", "medium": "medium", "large": "long"}
# Words that end a run of adjectives.
_BREAKS = "a an the its it his her this these has have had s whose in one two also but except by near".split()
_VERBS = ("is", "are", "was", "were", "being")
_ON = ("on", "across", "along", "around", "over")
_ADJECTIVES = ("colour", "size", "length", "shape", "marking")


def _table() -> dict[tuple[str, ...], tuple[str, str | None]]:
    """Every phrase as tokens -> (kind, value)."""
    table: dict[tuple[str, ...], tuple[str, str | None]] = {}

    def add(kind: str, phrases: Mapping[str, str | None]) -> None:
        for phrase, value in phrases.items():
            table.setdefault(tuple(tokenise(phrase)), (kind, value))

    def names(source) -> dict[str, str | None]:
        return {phrase: value for value, phrases in source.items() for phrase, _ in phrases}

    add("size", names(lexicon.SIZE_NAMES) | {"sized": None})
    add("length", names(lexicon.BILL_LENGTH_NAMES) | lexicon.MORE_LENGTHS)
    add("shape", names(lexicon.BILL_SHAPE_NAMES) | lexicon.MORE_SHAPES)
    add("marking", names(lexicon.PATTERN_ADJECTIVES))
    add("colour", {phrase.split()[-1]: value for phrase, value in names(lexicon.COLOUR_NAMES).items()} | lexicon.MORE_COLOURS)
    for part, forms in lexicon.PART_NAMES.items():
        add("noun", {phrase: lexicon.SAME_SLOT.get(part, part) for form in forms for phrase, _ in form})
    add("noun", lexicon.MORE_PARTS)
    add("noun", dict.fromkeys(lexicon.OTHER_PARTS, "other"))
    add("noun", {"body": "body", "plumage": "body", "coat": "body"})
    add("feathers", {"feathers": "body", "feather": "body", "feathering": "body"})
    add("pattern", names(lexicon.PATTERN_NOUNS) | lexicon.MORE_PATTERNS)
    add("bird", {"bird": None} | names(lexicon.SHAPE_NAMES) | lexicon.MORE_BIRDS)
    add("pose", names(lexicon.POSE_NAMES))
    add("place", names(lexicon.PLACE_NAMES))
    add("and", dict.fromkeys(("and", "or", "as well as"), None))
    add("with", {"with": None})
    add("verb", dict.fromkeys(_VERBS, None))
    add("on", dict.fromkeys(_ON, None))
    add("break", dict.fromkeys(_BREAKS, None))
    return table


_TABLE = _table()
_LONGEST = max(map(len, _TABLE))


def _items(text: str) -> list[tuple[str, str | None]]:
    """The text as (kind, value), longest phrases first; words outside the table are passed over."""
    tokens, items, i = tokenise(text), [], 0
    while i < len(tokens):
        for length in range(min(_LONGEST, len(tokens) - i), 0, -1):
            if item := _TABLE.get(tuple(tokens[i : i + length])):
                items.append((item[0], tokens[i] if item[0] == "break" else item[1]))
                break
        i += length
    return items


class _Parser:
    def __init__(self):
        self.slots: Slots = {}
        self.shared: set[str] = set()  # slots filled by sharing only; the parts' own words replace them
        self.waiting: list[tuple[str, str | None]] = []  # adjectives and connectors since the last noun
        self.nouns: list[str] = []  # the last noun, or nouns joined to one; none after a break
        self.last = ""  # the last noun, whatever came after
        self.colours: tuple[str, ...] = ()  # what the next bare noun shares
        self.predicate = False  # adjectives describe the nouns before
        self.on: tuple[str, ...] | None = None  # "white on its ...": colours for the nouns to come
        self.pattern: tuple[str, tuple[str, ...]] | None = None  # "white spots on its ...": pattern for the noun to come

    def describe(self, noun: str, adjectives: list[tuple[str, str | None]], shared: bool = False) -> None:
        """Give a noun its adjectives."""
        colours = tuple(dict.fromkeys(value for kind, value in adjectives if kind == "colour" and value))
        if colours and noun == "body":
            self.slots["body"] = tuple(dict.fromkeys(self.slots.get("body", ()) + colours))
        elif colours and noun != "other" and (noun not in self.slots or noun in self.shared):
            self.slots[noun] = colours
            (self.shared.add if shared else self.shared.discard)(noun)
        for kind, value in adjectives:
            if kind == "size" and value and noun == "body":
                self.slots.setdefault("size", (value,))
            elif kind == "marking" and value and noun in PATTERNED:
                self.slots.setdefault(f"{noun}_pattern", (value,))
            elif noun == "bill" and value and kind in ("size", "length"):
                self.slots.setdefault("bill_length", (_LENGTH_OF_SIZE[value] if kind == "size" else value,))
            elif noun == "bill" and value and kind == "shape":
                self.slots.setdefault("bill_shape", (value,))

    def take(self) -> list[tuple[str, str | None]]:
        """The adjectives for what comes next; under a verb, those before the last "with" (or "and") go to the nouns before it."""
        waiting, self.waiting = self.waiting, []
        if not self.predicate:
            return [item for item in waiting if item[0] in _ADJECTIVES]
        self.predicate = False
        cut = None
        for connector in ("with", "and"):
            places = [i for i, item in enumerate(waiting) if item[0] == connector and i > 0]
            if places:
                cut = places[-1]
                break
        before, after = ([], waiting) if cut is None else (waiting[:cut], waiting[cut + 1 :])
        for noun in self.nouns:
            self.describe(noun, before)
        return [item for item in after if item[0] in _ADJECTIVES]

    def flush(self) -> None:
        """A break: what waits under a verb belongs to the nouns before it."""
        waiting, self.waiting = self.waiting, []
        if self.predicate:
            for noun in self.nouns:
                self.describe(noun, waiting)
        else:
            self.describe("body", [item for item in waiting if item[0] == "size"])
        self.predicate = False

    def noun(self, noun: str) -> None:
        """A noun takes what waits, or shares."""
        self.last = noun
        joined = not self.predicate and all(kind == "and" for kind, _ in self.waiting)
        adjectives = self.take()
        if self.pattern and noun in PATTERNED:
            self.put_pattern(noun, *self.pattern)
            self.pattern = None
        if self.on is not None:
            adjectives, self.on = adjectives + [("colour", c) for c in self.on], None
        if adjectives:
            self.describe(noun, adjectives)
            self.colours = tuple(value for kind, value in adjectives if kind == "colour" and value)
            self.nouns = [noun]
        elif joined and self.colours and noun != "body":
            self.describe(noun, [("colour", c) for c in self.colours], shared=True)
            self.nouns.append(noun)
        elif joined and self.nouns:
            self.nouns.append(noun)
        else:
            self.nouns = [noun]

    def put_pattern(self, noun: str, pattern: str, colours: tuple[str, ...]) -> None:
        self.slots.setdefault(f"{noun}_pattern", (pattern,))
        if colours:
            self.slots.setdefault(f"{noun}_pattern_colour", colours)

    def break_off(self, word: str | None) -> None:
        """An article, "has", "its", ...: sharing ends here; "it" is the bird."""
        self.flush()
        self.colours, self.nouns = (), ["body"] if word == "it" else []

    def read(self, items: list[tuple[str, str | None]]) -> Slots:
        """The slots of a sentence."""
        for i, (kind, value) in enumerate(items):
            following = items[i + 1][0] if i + 1 < len(items) else ""
            if kind in _ADJECTIVES or kind == "and" or (kind == "with" and self.predicate):
                self.waiting.append((kind, value))
            elif kind == "bird":
                if value:
                    self.slots.setdefault("shape", (value,))
                self.noun("body")
            elif kind == "noun" and value:
                self.noun(value)
            elif kind == "feathers":
                if following != "on" and not (self.nouns and not self.waiting):
                    self.noun("body")
            elif kind == "verb":
                self.flush()
                self.predicate, self.colours = bool(self.nouns), ()
            elif kind == "pattern" and value:
                self.read_pattern(value, following == "on")
            elif kind == "on":
                colours = tuple(v for k, v in self.take() if k == "colour" and v)
                self.on = colours or None
                self.colours, self.nouns = (), []
            elif kind in ("pose", "place") and value:
                self.flush()
                self.slots.setdefault(kind, (value,))
                self.on = self.pattern = None
            elif not (kind == "break" and value in ("a", "an") and self.predicate and not self.waiting):
                self.break_off(value)
        self.flush()
        return self.slots

    def read_pattern(self, pattern: str, on: bool) -> None:
        """Read "white bars": of the wings if bars, of the part that "on its ..." names, or of the last part that can have a pattern."""
        colours = tuple(dict.fromkeys(v for k, v in self.take() if k == "colour" and v))
        self.colours = ()
        if pattern == "bars":
            self.put_pattern("wing", pattern, colours)
        elif on:
            self.pattern = (pattern, colours)
        elif self.last in PATTERNED:
            self.put_pattern(self.last, pattern, colours)


def read_slots(text: str) -> Slots:
    """What a sentence says, slot -> what is said of it; any text is read, and what it does not say is not in the result.

    Slots: parts ("wing", "belly", ..., "body", "head") -> colours in the order said; "size", "bill_shape", "bill_length";
    "wing_pattern", "wing_pattern_colour", ...; marks ("eyering", ...) -> colour; "shape", "pose", "place".
    """
    return _Parser().read(_items(text))
