"""Aviary's 200 species, as distributions, and the individuals drawn from them.

A species says how likely each colour is on each part, and which parts tend to follow another (a crown is often the body's colour, a
tail often the wing's). An individual is one draw. Main colours are dealt from balanced decks, so that every part shows every one of
the 11 colours, among the 150 training species and among the 50 test species alike: what a picture can teach is which colour word
belongs to which part, not which colours go together.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

from dmm.aviary.traits import BILL_LENGTHS, BILL_SHAPES, COLOURED_PARTS, COLOURS, LEVELS, SIZES, Bird
from dmm.errors import InputError

TRAIN_SPECIES, TEST_SPECIES = 150, 50
SPLITS = ("train", "test")
_SEED = 20110718  # of the species themselves; individuals have their own

# Weights over COLOURS (red, orange, yellow, green, blue, purple, pink, brown, grey, black, white) of the colours dealt to species.
_PLUMAGE = (9, 8, 10, 8, 10, 7, 7, 10, 11, 11, 11)
_WEIGHTS = {
    "bill": (9, 12, 11, 6, 6, 5, 7, 10, 12, 15, 8),
    "leg": (9, 13, 11, 6, 6, 5, 9, 11, 11, 13, 6),
    "eye": (9, 7, 8, 3, 4, 2, 2, 12, 3, 44, 6),
}
# Which part a part tends to follow: (source, share of the species where it does). The rest have a colour of their own.
_FOLLOWS = {
    "wing": (("back", 0.42),),
    "belly": (("back", 0.40),),
    "breast": (("belly", 0.40), ("back", 0.18)),
    "throat": (("breast", 0.36), ("back", 0.14)),
    "crown": (("back", 0.38), ("wing", 0.08)),
    "forehead": (("crown", 0.72), ("throat", 0.10)),
    "nape": (("crown", 0.34), ("back", 0.46)),
    "tail": (("wing", 0.48), ("back", 0.14)),
    "leg": (("bill", 0.25),),
}
_ORDER = ("back", "wing", "belly", "breast", "throat", "crown", "forehead", "nape", "tail", "bill", "leg", "eye")
_TWO_COLOURS = {"wing": 0.08, "breast": 0.06, "belly": 0.06, "tail": 0.06, "back": 0.03}  # share of species
_PATTERNS = {  # share of species with each pattern; the rest are solid
    "wing": (("bars", 0.24), ("spotted", 0.10), ("streaked", 0.10)),
    "breast": (("spotted", 0.14), ("streaked", 0.14)),
    "belly": (("spotted", 0.06), ("streaked", 0.06)),
    "back": (("spotted", 0.05), ("streaked", 0.06)),
    "tail": (("streaked", 0.07), ("spotted", 0.03)),
}
_MARKS = {"eyering": 0.22, "eyebrow": 0.14, "malar": 0.13, "crest": 0.14, "mask": 0.11}  # share of species
_NEAR = {  # parts around a mark, whose colours it must not have
    "eyering": ("crown", "nape", "back"), "eyebrow": ("crown", "nape", "back", "forehead"), "malar": ("throat", "back", "nape"),
    "mask": ("crown", "back", "forehead", "nape"), "crest": (),
}  # fmt: skip
_MARK_WEIGHTS = {
    "eyering": (3, 4, 8, 1, 3, 1, 1, 1, 2, 5, 30), "eyebrow": (3, 3, 10, 1, 2, 1, 1, 3, 3, 8, 30),
    "malar": (8, 2, 4, 1, 3, 1, 1, 5, 3, 30, 10), "mask": (1, 1, 1, 1, 1, 1, 1, 4, 3, 40, 2), "crest": _PLUMAGE,
}  # fmt: skip
_PALE = ("orange", "yellow", "pink", "white", "grey")
_ON_PALE = (2, 1, 0, 1, 2, 1, 0, 6, 0, 14, 0)  # a pattern's colours over a pale part
_ON_DARK = (0, 2, 5, 0, 0, 0, 1, 0, 1, 0, 16)  # and over a dark one

_Weights = tuple[int, ...]
# The world level: shape -> (share, sizes, bill shapes, bill lengths, poses with places). Weights in the order of traits.py.
_WORLD: dict[str, tuple[int, _Weights, _Weights | None, _Weights | None, dict[str, tuple[int, tuple[str, ...]]]]] = {
    "songbird": (6, (4, 8, 4, 1), None, None, {"perched": (6, ("branch", "branch", "ground", "reeds", "snow")), "flying": (1, ("sky",))}),
    "wader": (2, (0, 3, 5, 4), (0, 6, 5, 0, 5, 2), (0, 1, 4), {"standing": (5, ("reeds", "sea", "ground")), "flying": (1, ("sky", "sea"))}),
    "gull": (2, (0, 0, 4, 6), (0, 2, 0, 6, 4, 0), (1, 4, 2), {
        "standing": (3, ("sea", "ground", "snow")), "flying": (3, ("sky", "sea")), "swimming": (2, ("sea",))}),
    "duck": (2, (0, 0, 5, 5), (0, 0, 0, 0, 0, 1), (1, 4, 1), {
        "swimming": (4, ("sea", "reeds")), "standing": (2, ("ground", "reeds", "snow")), "flying": (1, ("sky",))}),
    "raptor": (2, (0, 0, 3, 7), (0, 0, 0, 1, 0, 0), (3, 2, 0), {"perched": (3, ("branch", "branch", "snow")), "flying": (2, ("sky",))}),
    "hummingbird": (2, (1, 0, 0, 0), (0, 4, 4, 0, 3, 0), (0, 1, 6), {"flying": (3, ("sky", "branch")), "perched": (1, ("branch",))}),
    "owl": (2, (0, 2, 4, 4), (0, 0, 0, 1, 0, 0), (1, 0, 0), {"perched": (5, ("branch", "branch", "snow")), "flying": (1, ("sky", "snow"))}),
    "woodpecker": (2, (0, 5, 4, 1), (0, 4, 0, 0, 6, 0), (0, 3, 4), {"perched": (1, ("branch",))}),
}  # fmt: skip
_FAMILIES = {
    "songbird": ("Finch", "Warbler", "Bunting", "Sparrow", "Thrush", "Tanager", "Flycatcher", "Wren", "Oriole", "Vireo", "Robin"),
    "wader": ("Plover", "Sandpiper", "Stilt"), "gull": ("Gull", "Tern"), "duck": ("Duck", "Teal"), "raptor": ("Hawk", "Kite", "Falcon"),
    "hummingbird": ("Hummingbird",), "owl": ("Owl",), "woodpecker": ("Woodpecker", "Flicker"),
}  # fmt: skip
_ADJECTIVES = {
    "wing": "winged", "belly": "bellied", "breast": "breasted", "throat": "throated", "crown": "crowned", "tail": "tailed",
    "back": "backed", "nape": "naped", "bill": "billed", "leg": "legged",
}  # fmt: skip


class Odds:
    """A categorical distribution over names, cheap to draw from."""

    def __init__(self, names, weights):
        total = float(sum(weights))
        self.names = tuple(names)
        self.probabilities = tuple(w / total for w in weights)
        self._edges = list(accumulate(self.probabilities))[:-1]

    def draw(self, rng: np.random.Generator) -> str:
        """One name."""
        return self.names[bisect(self._edges, rng.random())]

    def excluding(self, *names: str) -> Odds:
        """The same without some names (uniform over the rest if nothing else had weight)."""
        rest = [(n, p) for n, p in zip(self.names, self.probabilities, strict=True) if n not in names]
        weights = [p for _, p in rest]
        return Odds([n for n, _ in rest], weights if sum(weights) > 0 else [1] * len(rest))


@dataclass(frozen=True)
class Species:
    """One species: how its individuals are distributed."""

    index: int  # 0..199
    split: str  # "train" or "test"
    name: str  # as in CUB's classes.txt, unique
    shape: str  # of the world level; in the garden all are songbirds
    follows: dict[str, str]  # part -> the part whose colour it nearly always takes
    colours: dict[str, Odds]  # part -> its own colours
    two_colours: dict[str, Odds]  # part -> second colours, for parts of two
    patterns: dict[str, str]  # part -> its usual pattern
    pattern_colours: dict[str, dict[str, str]]  # part -> "pale" / "dark" -> usual colour of the pattern over such a part
    marks: dict[str, str]  # mark -> its usual colour
    sizes: Odds
    bill_shapes: Odds
    bill_lengths: Odds
    garden_sizes: Odds
    garden_bill_shapes: Odds
    garden_bill_lengths: Odds


def _peaked(names, main: str, base, peak: float = 0.72, second: str | None = None) -> Odds:
    """``main`` with probability ``peak``, ``second`` with half of the rest, the remainder spread as ``base``."""
    rest = (1 - peak) * (0.5 if second else 1.0)
    weights = [rest * b / sum(base) + peak * (n == main) + (1 - peak - rest) * (n == second) for n, b in zip(names, base, strict=True)]
    return Odds(names, weights)


def _deck(rng: np.random.Generator, names, weights, count: int) -> list[str]:
    """``count`` names in random order, each as often as its weight says (largest remainders make up the number)."""
    shares = np.asarray(weights, float) / sum(weights) * count
    numbers = np.floor(shares).astype(int)
    for i in np.argsort(numbers - shares, kind="stable")[: count - numbers.sum()]:
        numbers[i] += 1
    return rng.permutation([n for n, k in zip(names, numbers, strict=True) for _ in range(k)]).tolist()


def _choices(options, nothing: str = "") -> tuple[list[str], list[float]]:
    names, shares = [n for n, _ in options], [s for _, s in options]
    return [*names, nothing], [*shares, 1 - sum(shares)]


class _Dealer:
    """Deals main traits to the species of one split from balanced decks."""

    def __init__(self, rng: np.random.Generator, count: int):
        self.rng = rng
        self.decks: dict[str, list[str]] = {}
        self.count = count

    def deal(self, deck: str, names, weights) -> str:
        """The next card of a deck, which is made on first use."""
        if not self.decks.get(deck):
            self.decks[deck] = _deck(self.rng, names, weights, self.count)
        return self.decks[deck].pop()

    def species(self, index: int, split: str, taken: set[str]) -> Species:
        """One species."""
        rng = self.rng
        colours, mains, follows, two, patterns = {}, {}, {}, {}, {}
        for part in _ORDER:
            base = _WEIGHTS.get(part, _PLUMAGE)
            mains[part] = self.deal(f"{part} colour", COLOURS, base)
            colours[part] = _peaked(COLOURS, mains[part], base, second=Odds(COLOURS, base).draw(rng))
            if source := self.deal(f"{part} follows", *_choices(_FOLLOWS.get(part, ()))):
                follows[part] = source
        for part, share in _TWO_COLOURS.items():
            if self.deal(f"{part} two", ("yes", ""), (share, 1 - share)):
                two[part] = _peaked(COLOURS, Odds(COLOURS, _PLUMAGE).draw(rng), _PLUMAGE)
        for part, options in _PATTERNS.items():
            if part not in two and (pattern := self.deal(f"{part} pattern", *_choices(options))):
                patterns[part] = pattern
        shape = self.deal("shape", _WORLD, [row[0] for row in _WORLD.values()])
        bills = self.deal("bill shape", BILL_SHAPES, (26, 30, 14, 10, 12, 8)), self.deal("bill length", BILL_LENGTHS, (40, 34, 26))
        size = self.deal("size", SIZES, (20, 34, 26, 20))
        garden = (
            _peaked(SIZES, size, (1, 1, 1, 1), 0.8),
            _peaked(BILL_SHAPES, bills[0], (4, 6, 2, 1, 2, 1), 0.85),
            _peaked(BILL_LENGTHS, bills[1], (1, 1, 1), 0.85),
        )
        _, sizes, bill_shapes, bill_lengths, _ = _WORLD[shape]
        return Species(
            index, split, _name(rng, index, shape, mains, follows, taken), shape, follows, colours, two, patterns,
            {p: {"pale": Odds(COLOURS, _ON_PALE).draw(rng), "dark": Odds(COLOURS, _ON_DARK).draw(rng)} for p in patterns},
            self.marks(), Odds(SIZES, sizes),
            Odds(BILL_SHAPES, bill_shapes) if bill_shapes else garden[1],
            Odds(BILL_LENGTHS, bill_lengths) if bill_lengths else garden[2], *garden,
        )  # fmt: skip

    def marks(self) -> dict[str, str]:
        """Marks of a head that can be seen beside each other, with their usual colours."""
        marks = {m: Odds(COLOURS, _MARK_WEIGHTS[m]).draw(self.rng) for m, s in _MARKS.items() if self.deal(m, ("yes", ""), (s, 1 - s))}
        if "mask" in marks:
            marks.pop("eyebrow", None)
        if {"eyering", "eyebrow", "malar"} <= set(marks):
            del marks["malar"]
        return marks


def _name(rng, index: int, shape: str, mains: dict[str, str], follows: dict[str, str], taken: set[str]) -> str:
    """A name that no other species has, from a part with a colour of its own."""
    parts = [p for p in _ADJECTIVES if p not in follows]
    options = [(p, f) for p in rng.permutation(parts) for f in rng.permutation(_FAMILIES[shape])]
    for part, family in options:
        name = f"{mains[part].title()}_{_ADJECTIVES[part]}_{family}"
        if name not in taken:
            taken.add(name)
            return name
    raise RuntimeError(f"no name is left for species {index}")


def _make_species() -> tuple[Species, ...]:
    taken: set[str] = set()
    made: list[Species] = []
    for k, (split, count) in enumerate(zip(SPLITS, (TRAIN_SPECIES, TEST_SPECIES), strict=True)):
        dealer = _Dealer(np.random.default_rng([_SEED, k]), count)
        made += [dealer.species(len(made) + i, split, taken) for i in range(count)]
    return tuple(made)


SPECIES: tuple[Species, ...] = _make_species()


@lru_cache(maxsize=32)
def _turns(seed: int, split: str) -> list[int]:
    """The order in which a split's species take turns."""
    count = TRAIN_SPECIES if split == "train" else TEST_SPECIES
    first = 0 if split == "train" else TRAIN_SPECIES
    return (first + np.random.default_rng([_SEED, seed, SPLITS.index(split)]).permutation(count)).tolist()


def bird(index: int, seed: int = 0, level: str = "garden", split: str = "train", species: int | None = None) -> Bird:
    """One individual; the same arguments are the same bird on every machine.

    Args:
        index: which individual, 0 or more; the species of the split take turns.
        seed: of the whole population.
        level: "garden" (perched songbirds, nearly aligned) or "world" (all shapes, poses and places).
        split: "train" (species 0..149) or "test" (150..199).
        species: this species, whatever the split, instead of the one whose turn it is.

    Raises:
        ValueError: an unknown level or split, a negative index or seed, or no such species.
    """
    if level not in LEVELS or split not in SPLITS or index < 0 or seed < 0:
        raise InputError(
            f"no such bird: level {level!r} (of {', '.join(LEVELS)}), split {split!r} (of {', '.join(SPLITS)}), index {index}, seed {seed}"
        )
    if species is not None and not 0 <= species < len(SPECIES):
        raise InputError(f"no such species: {species}; there are 0 to {len(SPECIES) - 1}")
    turns = _turns(seed, split)
    kind = SPECIES[turns[index % len(turns)] if species is None else species]
    rng = np.random.default_rng([_SEED, seed, index, SPLITS.index(split), LEVELS.index(level), kind.index])
    colours = _colours(kind, rng)
    patterns, pattern_colours = _patterns(kind, colours, rng)
    garden = level == "garden"
    pose, place = ("perched", "branch" if rng.random() < 0.75 else "ground") if garden else _pose(kind.shape, rng)
    return Bird(
        index=index,
        seed=seed,
        species=kind.index,
        level=level,
        shape="songbird" if garden else kind.shape,
        pose=pose,
        place=place,
        size=(kind.garden_sizes if garden else kind.sizes).draw(rng),
        bill_shape=(kind.garden_bill_shapes if garden else kind.bill_shapes).draw(rng),
        bill_length=(kind.garden_bill_lengths if garden else kind.bill_lengths).draw(rng),
        colours=colours,
        **{f"{part}_pattern": pattern for part, pattern in patterns.items()},
        pattern_colours=pattern_colours,
        marks=_marks(kind, colours, rng),
    )


def _colours(kind: Species, rng: np.random.Generator) -> dict[str, tuple[str, ...]]:
    colours: dict[str, tuple[str, ...]] = {}
    for part in _ORDER:
        own = kind.colours[part].draw(rng)
        following = rng.random() < 0.92
        first = colours[kind.follows[part]][0] if part in kind.follows and following else own
        colours[part] = (first,)
        if part in kind.two_colours and rng.random() < 0.9:
            colours[part] = (first, kind.two_colours[part].excluding(first).draw(rng))
    return {part: colours[part] for part in COLOURED_PARTS}


def _patterns(kind: Species, colours, rng: np.random.Generator) -> tuple[dict[str, str], dict[str, str]]:
    patterns, pattern_colours = {}, {}
    for part in _PATTERNS:
        usual = rng.random() < 0.88
        if len(colours[part]) == 2:
            patterns[part] = "multi-colored"
        elif usual and part in kind.patterns:
            base = colours[part][0]
            over = "pale" if base in _PALE else "dark"
            colour = kind.pattern_colours[part][over]
            if colour == base or rng.random() < 0.15:
                colour = Odds(COLOURS, _ON_PALE if over == "pale" else _ON_DARK).excluding(base).draw(rng)
            patterns[part], pattern_colours[part] = kind.patterns[part], colour
    return patterns, pattern_colours


def _marks(kind: Species, colours, rng: np.random.Generator) -> dict[str, str]:
    marks = {}
    for mark, usual in kind.marks.items():
        if rng.random() < 0.88:
            near = {colours[part][0] for part in _NEAR[mark]}
            marks[mark] = usual if usual not in near else Odds(COLOURS, _MARK_WEIGHTS[mark]).excluding(*near).draw(rng)
    return marks


def _pose(shape: str, rng: np.random.Generator) -> tuple[str, str]:
    poses = _WORLD[shape][4]
    pose = Odds(poses, [weight for weight, _ in poses.values()]).draw(rng)
    places = poses[pose][1]
    return pose, places[int(rng.integers(len(places)))]
