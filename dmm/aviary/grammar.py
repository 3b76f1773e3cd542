"""Captions in the manner of CUB's crowd-written ones: what a person might write of one bird, and nothing that is not so.

A pattern is a sentence with fields; each field is filled with something true of the bird, in one of several wordings. A sentence says
two to five things. A few are then roughened as hurried people write: a comma or an article left out, "has a has", "a orange beak".
"""

from __future__ import annotations

import re
from bisect import bisect
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from dmm.aviary import lexicon
from dmm.aviary.parser import MARKS, PATTERNED, Slots, read_slots
from dmm.aviary.traits import COLOURED_PARTS, Bird
from dmm.data.vocab import tokenise

__all__ = ["AVIARY_VOCABULARY", "PATTERNS", "Caption", "captions", "read_slots"]

MOST = 5  # things said in a sentence


@dataclass(frozen=True)
class Caption:
    """A sentence and what it says (the keys are those of :func:`read_slots`)."""

    text: str
    slots: Slots


#: (how often, sentence). Fields: np "a white belly", rel "a belly that is white", bare "belly is white", shared "a red crown and throat",
#: sharedbare "crown and throat are red", on "red on its crown", size, body one colour word, body2 "brown and white", bodywith "brown with
#: white", where "perched on a branch". [this|that] is one of the two.
PATTERNS: tuple[tuple[int, str], ...] = (
    (7, "this bird has {rel} and has {np}"),
    (5, "this bird has {np} and {np}"),
    (5, "this bird has {np}, {np} and {np}"),
    (5, "this bird has {np}, {np}, and {np}"),
    (4, "this bird is {body2} in color, and has {np}"),
    (3, "this bird is {body} in color, and has {np}"),
    (3, "this bird is {bodywith} and has {np}"),
    (2, "this bird is {bodywith} and has {np} and {np}"),
    (2, "this bird is {body2} in color with {np}"),
    (2, "this bird is {body2}, and has {np}"),
    (4, "this is a {size} {body} {bird} with {np} and {np}"),
    (3, "this is a {body} {bird} with {np} and {np}"),
    (2, "this is a {body} {bird} with {np}, {np} and {np}"),
    (2, "this is a {body} {bird} with {np} and {np} as well as {np}"),
    (3, "a {size} {bird} with {np}, {np} and {np}"),
    (4, "a {size} {body} {bird} with {np} and {np}"),
    (3, "a {size} {bird} with {np} and {np}"),
    (2, "a {size} {body} {bird} with {np}, {np}, and {np}"),
    (2, "the {bird} has {np}, {np} and {np}"),
    (2, "the {bird} has {np} and {np}"),
    (2, "the {size} {bird} has {np} and {np}"),
    (2, "the {size} {body} {bird} has {np} and {np}"),
    (2, "the {body} {bird} has {np} as well as {np}"),
    (2, "this {size} {bird} has {np} and {np}"),
    (2, "this {size} {body} {bird} has {np}"),
    (2, "this {body} {bird} has {np} and {np}"),
    (2, "this {body} {size} {bird} has {np}"),
    (2, "a {bird} with {np}, {np}, and {np}"),
    (1, "a {bird} with {np} and {np}"),
    (1, "a {bird} with {np} and {np}, with {np}"),
    (1, "bird has {np}, {np} and {np}"),
    (3, "this bird has {shared} with {np}"),
    (2, "this bird has {shared}, and {np}"),
    (2, "a {size} {bird} with {shared}, and {np}"),
    (2, "the {bird} has {shared}, and {np}"),
    (1, "a {body} {bird} with {shared}"),
    (1, "this {bird} has {np}, {np} and {shared}"),
    (2, "this bird has {rel}, with {np} and {np}"),
    (2, "this bird has {rel}, and it has {np}"),
    (2, "this bird has {rel} with {np}"),
    (1, "a {bird} with {rel} and that has {np}"),
    (1, "a {bird} with {rel} and with {np}"),
    (1, "this is a {bird} with {rel} and it also has {np}"),
    (2, "this {size} {bird} has {rel} and has {np}"),
    (2, "this particular bird has {rel} and has {np}"),
    (1, "this particular bird has {np} and {np}"),
    (1, "a {bird} whose {bare} and whose {bare}"),
    (1, "a {size} {bird} whose {bare} and has {np}"),
    (1, "a {body} {bird} whose {bare}, with {np}"),
    (1, "[its|the] {bare}, its {bare} and its {bare}"),
    (1, "[its|the] {bare}, and [its|the] {bare}"),
    (1, "this bird's {bare}, and it has {np}"),
    (1, "this bird has {np}, and its {bare}"),
    (1, "this {body} {bird} has {np}, while its {bare}"),
    (1, "{np}, {np} and {np} are seen on this {size} {bird}"),
    (1, "with {np} and {np}, this {bird} is {size} in size"),
    (1, "with {np} and {np}, this is a {size} {body} {bird}"),
    (1, "this bird is {size} with {np}, and {np}"),
    (1, "the {bird} is {size} and {body} with {np}"),
    (1, "this bird is {size}, {body}, and has {np}"),
    (1, "a {size} {bird} that is {body} with {np}"),
    (1, "a {size} {bird} that is {body2}, and has {np}"),
    (2, "this bird is [mostly|primarily|mainly|almost entirely] {body} with {np} and {np}"),
    (2, "a [mostly|primarily|predominantly|mainly] {body} {bird} with {np} and {np}"),
    (1, "this [mostly|primarily] {body} {bird} has {np}"),
    (1, "this bird is {body} with {np}, and it has {np}"),
    (2, "this bird is {body}, with {np} and {np}"),
    (1, "{size} {body} {bird} with {np} and {np}"),
    (1, "{size} {bird} with {np}, {np} and {np}"),
    (1, "{body} {bird} with {np} and {np}"),
    (1, "this is a {size} {bird} that has {np} and {np}"),
    (1, "this is a {bird} with {np}, {np} and {np}"),
    (1, "there is a {size} {body} {bird} with {np}"),
    (1, "a [beautiful|pretty|cute|colorful|nice] {size} {bird} with {np} and {np}"),
    (1, "an interesting {bird} with {np}, {np}, and {np}"),
    (1, "this bird has a {body} body, {np} and {np}"),
    (1, "the body of this bird is {body} and it has {np}"),
    (1, "its body is {body}, and its {bare}"),
    (1, "a {body} bodied {bird} with {np} and {np}"),
    (1, "this {body} [colored|feathered] {bird} has {np} and {np}"),
    (1, "covered in {body} feathers, this bird has {np}"),
    (1, "this bird has {body} feathers, {np} and {np}"),
    (1, "this bird is covered in {body} [feathers|plumage], with {np}"),
    (2, "a {size} {bird} with {np} and {on}"),
    (1, "this bird has {on} and {on}"),
    (2, "this bird has {np}, and [its|the] {sharedbare}"),
    (2, "[its|the] {sharedbare}, and it has {np}"),
    (1, "i see a {size} {body} {bird} with {np}"),
    (1, "a {size} {bird} {where} with {np} and {np}"),
    (1, "this {body} {bird} is {where} and has {np}"),
    (1, "a {body} {bird} {where}, with {np}"),
    (1, "this bird has {np}, {np}, {np} and {np}"),
    (1, "the {bird} is {body} and has {np}, {np} and {np}"),
    (1, "this bird has {np} but {np}"),
    (1, "this bird has {np} along with {np}"),
    (1, "this bird has {np}, and also has {np}"),
    (1, "the {bird} also has {np} and {np}"),
    (1, "the bird has features such as {np} and {np}"),
)

# How often each thing is chosen to be told.
_TOLD = {
    "wing": 1.35, "belly": 1.2, "breast": 1.15, "crown": 1.15, "throat": 1.1, "tail": 1.05, "bill": 1.15, "leg": 0.4, "back": 0.25,
    "nape": 0.3, "forehead": 0.25, "eye": 0.2, "head": 0.5,
}  # fmt: skip
_TOLD_MARK, _TOLD_PATTERN = 0.6, 0.4
_SHARABLE = ("head", "crown", "throat", "breast", "belly", "nape", "back", "wing", "tail", "leg", "bill")
_HEAD = ("crown", "forehead", "nape")
# Share of the plumage in sight, measured on the garden's part masks. Nobody calls a bird by a colour that hardly shows.
_IN_SIGHT = {
    "wing": 0.30, "back": 0.13, "belly": 0.13, "tail": 0.12, "breast": 0.08, "nape": 0.08, "crown": 0.07, "throat": 0.06, "forehead": 0.03,
}  # fmt: skip
_LEAST_IN_SIGHT = 0.25  # of the body's colour, to be called the bird's
_WITH = (("with", 70), ("with some", 8), ("with touches of", 3), ("with hints of", 3), ("with patches of", 2), ("with bits of", 2))
_FIELD = re.compile(r"\{(\w+)\}|\[([^\]]+)\]")
_VOWEL = re.compile(r"\ba(?= [aeiou])")
_COUNT = {"np": 1, "rel": 1, "bare": 1, "on": 1, "shared": 2, "sharedbare": 2, "size": 1, "body": 1, "body2": 1, "bodywith": 1,
          "where": 2, "bird": 0}  # fmt: skip
_FIXED_WORDS = "a an that which is are its it has had have and with two of some colored on"
_ROUGH = 0.13  # share of roughened sentences


@lru_cache(maxsize=4096)
def _edges(weights: tuple[float, ...]) -> tuple[float, ...]:
    total = sum(weights)
    return tuple(edge / total for edge in accumulate(weights))[:-1]


@lru_cache(maxsize=4096)
def _split(phrases: lexicon.Phrases) -> tuple[tuple[str, ...], tuple[float, ...]]:
    return tuple(name for name, _ in phrases), tuple(weight for _, weight in phrases)


def _join(parts: list[str], comma: bool = False) -> str:
    """Joined as people do: "a", "a and b", "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}{',' if comma else ''} and {parts[-1]}"


def in_sight(bird: Bird) -> dict[str, float]:
    """Colour -> share of the plumage in sight; of two colours of a part, the second counts less."""
    shares: dict[str, float] = {}
    for part, share in _IN_SIGHT.items():
        colours = bird.colours[part]
        for colour, much in zip(colours, (1.0,) if len(colours) == 1 else (0.6, 0.4), strict=True):
            shares[colour] = shares.get(colour, 0.0) + share * much
    return shares


class _Writer:
    """Fills one sentence about one bird."""

    def __init__(self, bird: Bird, rng: np.random.Generator):
        self.bird, self.rng = bird, rng
        self.slots: Slots = {}
        self.room = 0  # things that may still be added beside the pattern's own
        self.in_sight = in_sight(bird)
        alike = all(bird.colours[part] == bird.colours["crown"] for part in _HEAD)
        self.untold = {part: weight for part, weight in _TOLD.items() if part != "head" or alike}
        self.untold |= dict.fromkeys(bird.marks, _TOLD_MARK)
        self.untold |= {f"{part} pattern": _TOLD_PATTERN for part in PATTERNED if part in bird.pattern_colours}

    # Choosing

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def pick(self, phrases: lexicon.Phrases) -> str:
        names, weights = _split(phrases)
        return names[bisect(_edges(weights), self.rng.random())]

    def choose(self, only: tuple[str, ...] = ()) -> str:
        """Something not yet told; it and what would repeat it are told from now on."""
        options = {name: w for name, w in self.untold.items() if not only or name in only}
        name = list(options)[bisect(_edges(tuple(options.values())), self.rng.random())]
        self.tell(name)
        return name

    def tell(self, name: str) -> None:
        repeats = {"head": _HEAD, **dict.fromkeys(_HEAD, ("head",))}.get(name, ())
        for other in (name, *repeats):
            self.untold.pop(other, None)

    def names(self, colours: tuple[str, ...]) -> str:
        words = [self.pick(lexicon.COLOUR_NAMES[c]) for c in colours]
        return "/".join(words) if len(words) == 2 and self.chance(0.05) else _join(words)

    def part_colours(self, part: str) -> tuple[str, ...]:
        return self.bird.colours["crown" if part == "head" else part]

    def part_noun(self, part: str) -> tuple[str, bool]:
        """(noun, plural)."""
        if part == "nape" and self.bird.colours["throat"] == self.bird.colours["nape"] and self.chance(0.5):
            part = "neck"
        one, many = lexicon.PART_NAMES[part]
        noun = self.pick(one + many)
        return noun, any(noun == name for name, _ in many)

    # Describing

    def bill(self, colour_first: bool) -> list[str]:
        """Adjectives of the bill, as many as there is room for: length, shape, colour."""
        said = [kind for kind, share in (("length", 0.42), ("shape", 0.32), ("colour", 0.8)) if self.chance(share)] or ["colour"]
        while len(said) - 1 > self.room:
            said.pop(0)
        self.room -= len(said) - 1
        words = []
        for kind in said:
            if kind == "colour":
                words.append(self.names(self.say("bill", self.bird.colours["bill"])))
            else:
                table = lexicon.BILL_LENGTH_NAMES if kind == "length" else lexicon.BILL_SHAPE_NAMES
                words.append(self.pick(table[self.say(f"bill_{kind}", (getattr(self.bird, f"bill_{kind}"),))[0]]))
        return words[::-1] if colour_first else words

    def say(self, slot: str, values: tuple[str, ...]) -> tuple[str, ...]:
        self.slots[slot] = values
        return values

    def adjectives(self, part: str, predicate: bool) -> str:
        if part == "bill":
            words = self.bill(predicate and self.chance(0.5))
            if predicate or (len(words) == 2 and self.chance(0.15)):
                return _join(words)
            return (", " if self.chance(0.35) else " ").join(words)
        if part in MARKS:
            return self.names(self.say(part, (self.bird.marks[part],)))
        return self.names(self.say(part, self.part_colours(part)))

    def pattern(self, part: str, adjective_too: bool) -> tuple[str, str]:
        """(adjective before the noun, words after it) for a part with bars, spots or streaks; both empty if it stays unsaid."""
        key = f"{part} pattern"
        if key not in self.untold or self.room < 1 or not self.chance(0.55):
            return "", ""
        self.room -= 1
        del self.untold[key]
        pattern = self.say(f"{part}_pattern", (getattr(self.bird, f"{part}_pattern"),))[0]
        if adjective_too and self.chance(0.1 if pattern == "bars" else 0.5):
            return self.pick(lexicon.PATTERN_ADJECTIVES[pattern]), ""
        return "", " with " + self.pattern_words(part, pattern)

    def pattern_words(self, part: str, pattern: str) -> str:
        colour = self.names(self.say(f"{part}_pattern_colour", (self.bird.pattern_colours[part],)))
        number = "two " if pattern == "bars" and self.chance(0.2) else ""
        return f"{number}{colour} {self.pick(lexicon.PATTERN_NOUNS[pattern])}"

    def lone_pattern(self, key: str) -> str:
        """A pattern by itself: "white wingbars", "black spots on its breast"."""
        part = key.split()[0]
        pattern = self.say(f"{part}_pattern", (getattr(self.bird, f"{part}_pattern"),))[0]
        words = self.pattern_words(part, pattern)
        if pattern == "bars" and self.chance(0.8):
            return words
        return f"{words} on [its|the] {'wings' if part == 'wing' else part}"

    # Fields

    def np(self) -> str:
        part = self.choose()
        if part.endswith(" pattern"):
            self.untold.pop(part.split()[0], None)
            return self.lone_pattern(part)
        noun, plural = self.part_noun(part)
        before, after = self.pattern(part, True) if part in PATTERNED else ("", "")
        adjectives = self.adjectives(part, False)
        if self.chance(0.03) and part not in MARKS and part in self.slots:
            adjectives += " colored"
        if before:
            adjectives = f"{before} {adjectives}" if self.chance(0.6) else f"{adjectives} {before}"
        return f"{'' if plural else 'a '}{adjectives} {noun}{after}"

    def told_part(self) -> str:
        return self.choose(tuple(part for part in (*COLOURED_PARTS, "head") if part in self.untold))

    def rel(self) -> str:
        part = self.told_part()
        noun, plural = self.part_noun(part)
        link = ("that" if self.chance(0.85) else "which") + (" are" if plural else " is")
        after = self.pattern(part, False)[1] if part in PATTERNED else ""
        return f"{'' if plural else 'a '}{noun} {link} {self.adjectives(part, True)}{after}"

    def bare(self) -> str:
        part = self.told_part()
        noun, plural = self.part_noun(part)
        after = self.pattern(part, False)[1] if part in PATTERNED else ""
        return f"{noun} {'are' if plural else 'is'} {self.adjectives(part, True)}{after}"

    def on(self) -> str:
        parts = [p for p in self.untold if p in _SHARABLE and p not in ("bill", "leg")]
        part = self.choose(tuple(parts))
        return f"{self.names(self.say(part, self.part_colours(part)))} on [its|the] {self.part_noun(part)[0]}"

    def group(self) -> tuple[str, list[tuple[str, bool]]]:
        """(colour words, nouns) of two or three parts of one colour, or of one part where no two are alike."""
        by_colour: dict[tuple[str, ...], list[str]] = {}
        for part in (p for p in _SHARABLE if p in self.untold):
            by_colour.setdefault(self.part_colours(part), []).append(part)
        groups = [(c, parts) for c, parts in by_colour.items() if len(c) == 1 and len(set(parts) - {"head"}) > 1]
        if not groups:
            part = self.choose(_SHARABLE)
            return self.names(self.say(part, self.part_colours(part))), [self.part_noun(part)]
        colours, parts = groups[int(self.rng.integers(len(groups)))]
        told: list[str] = []
        for part in self.rng.permutation(parts).tolist():
            if part in self.untold and len(told) < 2 + (self.room > 0):
                told.append(part)
                self.tell(part)
                self.say(part, colours)
        self.room -= max(0, len(told) - 2)
        return self.names(colours), [self.part_noun(part) for part in told]

    def shared(self) -> str:
        colour, nouns = self.group()
        return f"{'' if nouns[0][1] else 'a '}{colour} {_join([noun for noun, _ in nouns], self.chance(0.2))}"

    def sharedbare(self) -> str:
        colour, nouns = self.group()
        many = len(nouns) > 1 or nouns[0][1]
        return f"{_join([noun for noun, _ in nouns])} {'are' if many else 'is'} {colour}"

    def size(self) -> str:
        return self.pick(lexicon.SIZE_NAMES[self.say("size", (self.bird.size,))[0]])

    def body(self) -> str:
        return self.names(self.say("body", self.bird.colours["back"]))

    def seconds(self) -> list[str]:
        """Colours of the plumage beside the body's, those that show most first."""
        others = [colour for colour in self.in_sight if colour not in self.bird.colours["back"]]
        return sorted(others, key=self.in_sight.__getitem__, reverse=True)

    def body2(self) -> str:
        others = self.seconds()[: 2 if self.chance(0.15) else 1]
        return self.names(self.say("body", (*self.bird.colours["back"], *others)))

    def bodywith(self) -> str:
        others = self.seconds()[:1]
        words = self.body()
        if others:
            words = f"{words} {self.pick(_WITH)} {self.names(self.say('body', (*self.slots['body'], *others))[-1:])}"
        return words

    def where(self) -> str:
        pose, place = self.say("pose", (self.bird.pose,))[0], self.say("place", (self.bird.place,))[0]
        return f"{self.pick(lexicon.POSE_NAMES[pose])} {self.pick(lexicon.PLACE_NAMES[place])}"

    def bird_noun(self) -> str:
        if self.room < 1 or not self.chance(0.02 if self.bird.shape == "songbird" else 0.35):
            return "bird"
        self.room -= 1
        return self.pick(lexicon.SHAPE_NAMES[self.say("shape", (self.bird.shape,))[0]])

    def field(self, match: re.Match) -> str:
        name, options = match.groups()
        if options:
            names = options.split("|")
            return names[int(self.rng.integers(len(names)))]
        return self.bird_noun() if name == "bird" else getattr(self, name)()

    def sentence(self, pattern: str) -> Caption:
        """The pattern, filled."""
        self.room = MOST - sum(_COUNT[name] for name, _ in _FIELD.findall(pattern) if name)
        text = _FIELD.sub(self.field, pattern)
        text = _FIELD.sub(self.field, text)  # choices inside fields
        text = _VOWEL.sub("an", text)
        if self.chance(_ROUGH):
            text = self.roughen(text)
        return Caption(text + ("." if self.chance(0.75) else ""), self.slots)

    def roughen(self, text: str) -> str:
        """One slip of a hurried writer; the sense stays."""
        slips = (
            lambda: text.replace(",", ""),
            lambda: re.sub(r"\b(has|with) an? ", r"\1 ", text, count=1),
            lambda: text.replace("has a ", "has a has a ", 1),
            lambda: re.sub(r"\ban\b", "a", text),
            lambda: re.sub(r"\b(has|with|and) ", r"\1 \1 ", text, count=1),
            lambda: text.replace("its ", "it's "),
            lambda: text.replace(" has ", " had ", 1),
            lambda: re.sub(r"^this bird has", "this bird have", text),
            lambda: re.sub(r"^(this|the) bird", "bird", text),
            lambda: text.replace(" are ", " is ", 1),
            lambda: text.replace(", and ", " , and "),
            lambda: text.replace(",", " ,", 1),
        )
        changed = [result for slip in slips if (result := slip()) != text]
        return changed[int(self.rng.integers(len(changed)))] if changed else text


_PATTERN_WEIGHTS = tuple(float(weight) for weight, _ in PATTERNS)


def captions(bird: Bird, n: int = 10) -> list[Caption]:
    """``n`` different sentences about a bird, the same ones every time.

    Raises:
        ValueError: the bird does not have so many things to say.
    """
    rng = bird.rng("captions")
    found: dict[str, Caption] = {}
    called_by_colour = sum(in_sight(bird)[colour] for colour in bird.colours["back"]) >= _LEAST_IN_SIGHT
    for _ in range(30 * n + 30):
        if len(found) == n:
            break
        pattern = PATTERNS[bisect(_edges(_PATTERN_WEIGHTS), rng.random())][1]
        if "{body" in pattern and not called_by_colour:
            continue
        caption = _Writer(bird, rng).sentence(pattern)
        found.setdefault(caption.text.rstrip("."), caption)
    if len(found) < n:
        raise ValueError(f"found only {len(found)} different captions of the {n} asked for")
    return list(found.values())


@lru_cache(maxsize=1)
def AVIARY_VOCABULARY() -> tuple[str, ...]:
    """Every word that a caption can hold, in alphabetical order; read from the grammar itself, not from a sample."""
    texts = [_FIELD.sub(lambda m: (m.group(2) or "").replace("|", " "), pattern) for _, pattern in PATTERNS]
    texts += [_FIXED_WORDS, "it's", *(words for words, _ in _WITH), *lexicon.EXTRA_WORDS]
    single = (lexicon.COLOUR_NAMES, lexicon.SIZE_NAMES, lexicon.BILL_LENGTH_NAMES, lexicon.BILL_SHAPE_NAMES, lexicon.PATTERN_ADJECTIVES,
              lexicon.PATTERN_NOUNS, lexicon.SHAPE_NAMES, lexicon.POSE_NAMES, lexicon.PLACE_NAMES)  # fmt: skip
    texts += [phrase for table in single for phrases in table.values() for phrase, _ in phrases]
    texts += [phrase for one, many in lexicon.PART_NAMES.values() for phrase, _ in one + many]
    return tuple(sorted({word for text in texts for word in tokenise(text)}))
