"""The words of Aviary's captions: what people call a colour, a part, a pattern, a size. Writing and reading share these tables.

A phrase is written with single spaces; its number is how often it is chosen. Words that only the parser knows (what a person may
type, and what upstream vocabularies hold) stand in the tables at the end.
"""

from __future__ import annotations

Phrases = tuple[tuple[str, float], ...]

#: Colour -> its names. "bright", "dark", ... say how that colour looks and add nothing.
COLOUR_NAMES: dict[str, Phrases] = {
    "red": (("red", 88), ("bright red", 4), ("deep red", 1), ("reddish", 2), ("scarlet", 2), ("crimson", 2)),
    "orange": (("orange", 92), ("bright orange", 4), ("vivid orange", 1), ("orangish", 1)),
    "yellow": (("yellow", 86), ("bright yellow", 6), ("golden", 2), ("golden yellow", 1), ("lemon yellow", 1), ("yellowish", 2)),
    "green": (("green", 90), ("dark green", 2), ("emerald", 2), ("leaf green", 1), ("greenish", 2)),
    "blue": (("blue", 88), ("bright blue", 4), ("royal blue", 2), ("deep blue", 2), ("bluish", 2), ("cobalt", 1)),
    "purple": (("purple", 90), ("deep purple", 2), ("violet", 4), ("purplish", 2)),
    "pink": (("pink", 90), ("light pink", 2), ("bright pink", 1), ("pinkish", 2), ("rosy", 1), ("rose", 1)),
    "brown": (("brown", 86), ("dark brown", 6), ("brownish", 3), ("chocolate brown", 1), ("chestnut", 2)),
    "grey": (("grey", 58), ("gray", 30), ("light grey", 2), ("greyish", 3), ("grayish", 1), ("silver", 2), ("ash grey", 1), ("slate", 1)),
    "black": (("black", 90), ("jet black", 4), ("solid black", 2), ("blackish", 1), ("ebony", 1)),
    "white": (("white", 91), ("bright white", 2), ("pure white", 2), ("snowy white", 1), ("whitish", 2)),
}

#: Adverbs and shades that the parser passes over.
SHADES = ("bright", "deep", "vivid", "dark", "light", "leaf", "royal", "chocolate", "ash", "jet", "solid", "pure", "snowy", "lemon", "lime")

#: Part -> (nouns in the singular, nouns in the plural).
PART_NAMES: dict[str, tuple[Phrases, Phrases]] = {
    "wing": (
        (("wing", 5),),
        (("wings", 78), ("wing feathers", 4), ("primaries", 3), ("secondaries", 3), ("coverts", 2), ("flight feathers", 2)),
    ),
    "belly": ((("belly", 82), ("abdomen", 6), ("stomach", 4), ("underbelly", 3), ("lower belly", 1)), (("belly feathers", 2),)),
    "breast": ((("breast", 64), ("chest", 31)), (("breast feathers", 3),)),
    "throat": ((("throat", 94), ("chin", 5)), ()),
    "crown": ((("crown", 92), ("cap", 7)), (("crown feathers", 1),)),
    "forehead": ((("forehead", 1),), ()),
    "nape": ((("nape", 1),), ()),
    "neck": ((("neck", 1),), ()),
    "head": ((("head", 1),), ()),
    "back": ((("back", 9), ("mantle", 1), ("upper back", 1)), (("back feathers", 0.5),)),
    "tail": ((("tail", 84),), (("tail feathers", 10), ("rectrices", 4), ("retrices", 1))),
    "bill": ((("beak", 54), ("bill", 45)), ()),
    "leg": ((("tarsus", 6),), (("feet", 42), ("legs", 40), ("tarsals", 3), ("claws", 3))),
    "eye": ((("eye", 20),), (("eyes", 80),)),
    "eyering": ((("eyering", 60), ("eye ring", 25), ("ring around its eye", 5)), (("eyerings", 4), ("eye rings", 6))),
    "eyebrow": ((("eyebrow", 45), ("superciliary", 12), ("eye stripe", 8)), (("eyebrows", 35),)),
    "malar": ((("malar stripe", 35), ("cheek stripe", 10), ("mustache", 4)), (("malar stripes", 35), ("cheek stripes", 10))),
    "crest": ((("crest", 85), ("tuft on its head", 5)), (("crest feathers", 5),)),
    "mask": ((("mask", 70), ("eye mask", 15), ("face mask", 10)), ()),
}
#: Slot a part's name fills; the rest fill their own.
SAME_SLOT = {"neck": "nape"}

SIZE_NAMES: dict[str, Phrases] = {
    "tiny": (("tiny", 60), ("very small", 30), ("petite", 5)),
    "small": (("small", 72), ("little", 25), ("small sized", 3)),
    "medium": (("medium sized", 55), ("medium", 20), ("average sized", 10), ("mid sized", 10), ("moderately sized", 2)),
    "large": (("large", 65), ("big", 30), ("large sized", 3)),
}
BILL_LENGTH_NAMES: dict[str, Phrases] = {
    "short": (("short", 55), ("very short", 20), ("small", 14), ("stubby", 5), ("tiny", 3), ("little", 2)),
    "medium": (("medium sized", 45), ("medium", 15), ("medium length", 20), ("average sized", 4)),
    "long": (("long", 76), ("very long", 12), ("elongated", 5), ("lengthy", 2)),
}
BILL_SHAPE_NAMES: dict[str, Phrases] = {
    "cone": (("cone shaped", 30), ("conical", 30), ("cone like", 5), ("triangular", 8), ("thick", 10)),
    "pointed": (("pointed", 45), ("pointy", 40), ("sharp", 12), ("needle like", 4)),
    "curved": (("curved", 60), ("downward curved", 10), ("down curved", 10), ("curving", 4)),
    "hooked": (("hooked", 80), ("hook shaped", 10)),
    "dagger": (("dagger shaped", 25), ("straight", 35), ("dagger like", 15), ("straight pointed", 8)),
    "spatulate": (("flat", 40), ("spatulate", 15), ("flattened", 10), ("broad", 15), ("spoon shaped", 8)),
}
#: Pattern -> adjectives before the noun, nouns after a colour.
PATTERN_ADJECTIVES: dict[str, Phrases] = {
    "bars": (("barred", 1),),
    "spotted": (("spotted", 60), ("speckled", 30), ("dotted", 5)),
    "streaked": (("streaked", 50), ("striped", 45)),
}
PATTERN_NOUNS: dict[str, Phrases] = {
    "bars": (("bars", 35), ("wingbars", 40), ("wing bars", 25)),
    "spotted": (("spots", 55), ("speckles", 25), ("dots", 10), ("flecks", 5), ("specks", 5)),
    "streaked": (("streaks", 50), ("stripes", 42), ("lines", 5)),
}
#: World shape -> what such a bird is called, besides "bird".
SHAPE_NAMES: dict[str, Phrases] = {
    "songbird": (("songbird", 1),),
    "wader": (("shorebird", 2), ("wader", 1)),
    "gull": (("gull", 1), ("seagull", 1)),
    "duck": (("duck", 1),),
    "raptor": (("hawk", 2), ("raptor", 1)),
    "hummingbird": (("hummingbird", 1),),
    "owl": (("owl", 1),),
    "woodpecker": (("woodpecker", 1),),
}
POSE_NAMES: dict[str, Phrases] = {
    "perched": (("perched", 3), ("sitting", 2)),
    "standing": (("standing", 1),),
    "swimming": (("swimming", 2), ("floating", 1)),
    "flying": (("flying", 3), ("in flight", 1)),
}
PLACE_NAMES: dict[str, Phrases] = {
    "branch": (("on a branch", 4), ("on a twig", 1), ("on a tree branch", 1)),
    "ground": (("on the ground", 4), ("on the grass", 1)),
    "reeds": (("in the reeds", 1),),
    "snow": (("in the snow", 1),),
    "sea": (("by the sea", 1), ("near the water", 1)),
    "sky": (("in the sky", 2), ("in the air", 1)),
}

# What only the parser knows: names that are never written here but that a caption may hold.
MORE_COLOURS = {
    "maroon": "red", "ruby": "red", "rust": "orange", "rufous": "brown", "tan": "brown", "beige": "brown", "buff": "brown",
    "gold": "yellow", "olive": "green", "teal": "green", "turquoise": "blue", "navy": "blue", "azure": "blue", "indigo": "blue",
    "lavender": "purple", "magenta": "pink", "charcoal": "grey", "cream": "white", "ivory": "white",
}  # fmt: skip
MORE_PARTS = {
    "primary": "wing", "secondary": "wing", "wingfeathers": "wing", "tummy": "belly", "underparts": "belly", "underside": "belly",
    "breasts": "breast", "bellies": "belly", "crowns": "crown", "tails": "tail", "tailfeathers": "tail", "beaks": "bill", "bills": "bill",
    "foot": "leg", "leg": "leg", "thighs": "leg", "talons": "leg", "brow": "eyebrow", "brows": "eyebrow", "superciliaries": "eyebrow",
    "malars": "malar", "malar": "malar", "moustache": "malar", "top of its head": "crown",
    "top of the head": "crown", "back of its neck": "nape", "ring around the eye": "eyering", "eyebrow stripe": "eyebrow",
}  # fmt: skip
#: Parts of a bird that Aviary has no trait for; they take their adjectives with them.
OTHER_PARTS = ("face", "cheek", "cheeks", "rump", "sides", "side", "flanks", "vent", "tips", "edges", "cheek patch", "cheek patches")
MORE_LENGTHS = {"narrow": None, "large": "long", "big": "long", "large sized": "long"}
MORE_SHAPES = {"pointing": "pointed", "sharply pointed": "pointed", "hooking": "hooked", "cone": "cone", "wide": "spatulate"}
MORE_PATTERNS = {"stripe": "streaked", "streak": "streaked", "streaking": "streaked", "spot": "spotted", "bar": "bars", "wingbar": "bars",
                 "wing bar": "bars"}  # fmt: skip
MORE_BIRDS = {"birds": None, "songbirds": "songbird", "ducks": "duck", "owls": "owl", "finch": None, "sparrow": None, "warbler": None}

#: Words of CUB's captions that mean one of these traits, or nothing, and that the patterns happen not to use.
EXTRA_WORDS = (
    "primary", "secondary", "underparts", "underside", "malar", "cone", "thin", "gold", "tan", "olive", "maroon", "thighs", "talons",
    "foot", "leg", "stripe", "spot", "wingbar", "rest", "along", "top", "regularly", "lime", "yellows", "except",
)  # fmt: skip
