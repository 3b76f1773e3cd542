"""A bird in the words of CUB-200-2011's 312 attributes, under CUB's own names and numbers."""

from __future__ import annotations

from dmm.aviary.traits import Bird

_COLOURS = "blue brown iridescent purple rufous grey yellow olive green pink orange black white red buff".split()
_EYE_COLOURS = [colour for colour in _COLOURS if colour != "iridescent"]
_PATTERNS = "solid spotted striped multi-colored".split()
_GROUPS: tuple[tuple[str, list[str]], ...] = (
    ("bill_shape", "curved_(up_or_down) dagger hooked needle hooked_seabird spatulate all-purpose cone specialized".split()),
    ("wing_color", _COLOURS),
    ("upperparts_color", _COLOURS),
    ("underparts_color", _COLOURS),
    ("breast_pattern", _PATTERNS),
    ("back_color", _COLOURS),
    ("tail_shape", "forked_tail rounded_tail notched_tail fan-shaped_tail pointed_tail squared_tail".split()),
    ("upper_tail_color", _COLOURS),
    ("head_pattern", "spotted malar crested masked unique_pattern eyebrow eyering plain eyeline striped capped".split()),
    ("breast_color", _COLOURS),
    ("throat_color", _COLOURS),
    ("eye_color", _EYE_COLOURS),
    ("bill_length", "about_the_same_as_head longer_than_head shorter_than_head".split()),
    ("forehead_color", _COLOURS),
    ("under_tail_color", _COLOURS),
    ("nape_color", _COLOURS),
    ("belly_color", _COLOURS),
    ("wing_shape", "rounded-wings pointed-wings broad-wings tapered-wings long-wings".split()),
    ("size", "large_(16_-_32_in) small_(5_-_9_in) very_large_(32_-_72_in) medium_(9_-_16_in) very_small_(3_-_5_in)".split()),
    (
        "shape",
        "upright-perching_water-like chicken-like-marsh long-legged-like duck-like owl-like gull-like hummingbird-like pigeon-like "
        "tree-clinging-like hawk-like sandpiper-like upland-ground-like swallow-like perching-like".split(),
    ),
    ("back_pattern", _PATTERNS),
    ("tail_pattern", _PATTERNS),
    ("belly_pattern", _PATTERNS),
    ("primary_color", _COLOURS),
    ("leg_color", _COLOURS),
    ("bill_color", _COLOURS),
    ("crown_color", _COLOURS),
    ("wing_pattern", _PATTERNS),
)

#: CUB's attribute names in CUB's order: attribute id k is ``ATTRIBUTES[k - 1]``.
ATTRIBUTES: tuple[str, ...] = tuple(f"has_{group}::{value}" for group, values in _GROUPS for value in values)

_BILL_SHAPES = {
    "cone": "cone", "pointed": "all-purpose", "curved": "curved_(up_or_down)", "hooked": "hooked", "dagger": "dagger",
    "spatulate": "spatulate",
}  # fmt: skip
_BILL_LENGTHS = {"short": "shorter_than_head", "medium": "about_the_same_as_head", "long": "longer_than_head"}
_PATTERN_NAMES = {"streaked": "striped", "bars": "striped"}
_SIZES = {"tiny": "very_small_(3_-_5_in)", "small": "small_(5_-_9_in)", "medium": "medium_(9_-_16_in)", "large": "large_(16_-_32_in)"}
_SHAPES = {
    "songbird": "perching-like", "wader": "sandpiper-like", "gull": "gull-like", "duck": "duck-like", "raptor": "hawk-like",
    "hummingbird": "hummingbird-like", "owl": "owl-like", "woodpecker": "tree-clinging-like",
}  # fmt: skip
_HEAD_PATTERNS = {"crest": "crested", "mask": "masked", "eyering": "eyering", "eyebrow": "eyebrow", "malar": "malar"}
_COLOUR_GROUPS = {  # CUB's group -> the parts it speaks of
    "wing_color": ("wing",), "upperparts_color": ("back",), "underparts_color": ("breast", "belly"), "back_color": ("back",),
    "upper_tail_color": ("tail",), "breast_color": ("breast",), "throat_color": ("throat",), "eye_color": ("eye",),
    "forehead_color": ("forehead",), "nape_color": ("nape",), "belly_color": ("belly",), "primary_color": ("back",),
    "leg_color": ("leg",), "bill_color": ("bill",), "crown_color": ("crown",),
}  # fmt: skip


def attributes(bird: Bird) -> list[str]:
    """The attributes a bird has, in CUB's order.

    Nothing is said of what an Aviary bird has no trait for: the shapes of wing and tail, the tail's underside.
    """
    has = {
        f"has_bill_shape::{_bill_shape(bird)}",
        f"has_bill_length::{_BILL_LENGTHS[bird.bill_length]}",
        f"has_size::{_SIZES[bird.size]}",
        f"has_shape::{_SHAPES[bird.shape]}",
    }
    for group, parts in _COLOUR_GROUPS.items():
        has |= {f"has_{group}::{colour}" for part in parts for colour in bird.colours[part]}
    for part in ("wing", "breast", "belly", "back", "tail"):
        pattern = getattr(bird, f"{part}_pattern")
        has.add(f"has_{part}_pattern::{_PATTERN_NAMES.get(pattern, pattern)}")
    has |= {f"has_head_pattern::{name}" for name in _head_patterns(bird)}
    return [name for name in ATTRIBUTES if name in has]


def _bill_shape(bird: Bird) -> str:
    special = {("hummingbird", "pointed"): "needle", ("gull", "hooked"): "hooked_seabird"}
    return special.get((bird.shape, bird.bill_shape), _BILL_SHAPES[bird.bill_shape])


def _head_patterns(bird: Bird) -> list[str]:
    names = [_HEAD_PATTERNS[mark] for mark in bird.marks]
    if bird.colours["crown"] != bird.colours["nape"] and bird.colours["crown"] != bird.colours["forehead"]:
        names.append("capped")
    return names or ["plain"]
