"""A directed graph of boxes from top to bottom: layers by the longest path, few crossings, edges that go around boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from explorer.figures import style

PAD, GAP, BETWEEN = 0.05, 0.08, 0.2  # inches: inside a box, between boxes of a layer, between layers
PLAIN = "#8a8a8a"  # of an edge, and where edges of several colours run together
SWEEPS = 12  # passes that reduce crossings

#: What a box says of its module: fill, edge. Safe for colour-blind takers, and each also has its own edge style.
LOOKS = {
    "plain": ("#f4f4f4", "#7a7a7a", "-"),
    "input": ("#ffffff", "#9a9a9a", (0, (3, 1.5))),
    "text": ("#e3edf7", "#0072b2", "-"),  # reads text or a memory of it
    "added": ("#dff2ea", "#009e73", "-"),
    "removed": ("#f9e4dc", "#d55e00", (0, (4, 1.5))),
}


@dataclass
class Box:
    """One node."""

    key: str
    lines: tuple[str, ...]  # the first is its name
    look: str = "plain"  # a key of LOOKS
    names: int = field(default=1, init=False)  # lines that the name takes
    x: float = field(default=0.0, init=False)  # centre, inches
    y: float = field(default=0.0, init=False)  # top, inches
    layer: int = field(default=0, init=False)

    @property
    def width(self) -> float:
        """Inches."""
        widths = [style.text_width(line) * (style.BOLD if self.bold(i) else 1.03) for i, line in enumerate(self.lines)]
        return max(widths) + 2 * PAD

    def bold(self, line: int) -> bool:
        """Whether a line is set in bold type: the name of a module."""
        return line < self.names and self.look != "input"

    def fold(self) -> bool:
        """Break the name into two lines where that is narrowest; False if it has one word, or is broken already."""
        words = self.lines[0].split()
        if self.names > 1 or len(words) < 2 or self.look == "input":
            return False
        halves = [(" ".join(words[:n]), " ".join(words[n:])) for n in range(1, len(words))]
        self.lines = (*min(halves, key=lambda pair: max(map(style.text_width, pair))), *self.lines[1:])
        self.names = 2
        return True

    @property
    def height(self) -> float:
        """Inches."""
        return len(self.lines) * style.LINE + 2 * PAD - 0.03


@dataclass
class Layout:
    """Boxes at their places, and for each edge the points that it runs through, inches from the upper left corner."""

    boxes: dict[str, Box]
    paths: dict[tuple[str, str], list[tuple[float, float]]]
    width: float
    height: float


def layers_of(keys: Sequence[str], edges: set[tuple[str, str]]) -> dict[str, int]:
    """The layer of each node: below all that it takes from; what takes from nothing stands just above what first takes from it.

    Raises:
        ValueError: the edges form a circle.
    """
    before: dict[str, set[str]] = {key: {a for a, b in edges if b == key} for key in keys}
    found: dict[str, int] = {}
    while len(found) < len(keys):
        ready = [key for key in keys if key not in found and before[key] <= found.keys()]
        if not ready:
            raise ValueError(f"the graph has a circle among {sorted(set(keys) - found.keys())}")
        found |= {key: max((found[a] for a in before[key]), default=-1) + 1 for key in ready}
    for key in keys:
        takers = [found[b] for a, b in edges if a == key]
        if not before[key] and takers:
            found[key] = min(takers) - 1
    low = min(found.values())
    return {key: layer - low for key, layer in found.items()}


def layout(boxes: Sequence[Box], edges: set[tuple[str, str]], width: float) -> Layout:
    """Place boxes in layers within a width in inches; long edges pass between the boxes of the layers that they cross."""
    by_key = {box.key: box for box in boxes}
    layer = layers_of(list(by_key), edges)
    rows: list[list[str]] = [[] for _ in range(max(layer.values()) + 1)]
    for key in by_key:
        rows[layer[key]].append(key)
    chains: dict[tuple[str, str], list[str]] = {}
    passing: set[str] = set()
    for a, b in sorted(edges, key=lambda e: (layer[e[0]], list(by_key).index(e[0]), list(by_key).index(e[1]))):
        through = [f"{a}>{n}" for n in range(layer[a] + 1, layer[b])]  # edges from one box run together as far as they can
        for key, n in zip(through, range(layer[a] + 1, layer[b]), strict=True):
            if key not in passing:
                passing.add(key)
                rows[n].append(key)
        chains[a, b] = [a, *through, b]
    _fold(by_key, rows, width)
    widths = {key: by_key[key].width if key in by_key else 0.0 for row in rows for key in row}
    links = list(dict.fromkeys(pair for chain in chains.values() for pair in zip(chain, chain[1:], strict=False)))  # a sum has one order
    rows = _uncross(rows, links)
    x = _centred(_spread(rows, links, widths, width), widths, width)
    return _placed(by_key, rows, chains, x, width)


def _fold(boxes: Mapping[str, Box], rows: Sequence[Sequence[str]], width: float) -> None:
    """Break names, the widest first, in layers that would not fit into the width."""
    for row in rows:
        own = [boxes[key] for key in row if key in boxes]
        while sum(box.width for box in own) + GAP * (len(row) - 1) > width:
            if not any(box.fold() for box in sorted(own, key=lambda box: -box.width)):
                break


def _centred(x: Mapping[str, float], widths: Mapping[str, float], width: float) -> dict[str, float]:
    """The centres moved together, so that what is drawn lies in the middle of the width."""
    left, right = min(x[key] - widths[key] / 2 for key in x), max(x[key] + widths[key] / 2 for key in x)
    move = (width - left - right) / 2 if right - left < width else 0.0
    return {key: at + move for key, at in x.items()}


def _uncross(rows: list[list[str]], links: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Order each layer by the mean place of its neighbours, up and down, and keep the order with the fewest crossings."""

    def crossings(rows: list[list[str]]) -> int:
        at = {key: i for row in rows for i, key in enumerate(row)}
        total = 0
        for row in rows:
            ends = [(at[a], at[b]) for a, b in links if a in set(row)]
            total += sum((a - c) * (b - d) < 0 for i, (a, b) in enumerate(ends) for c, d in ends[:i])
        return total

    best, least = rows, crossings(rows)
    for sweep in range(SWEEPS):
        at = {key: i / max(len(row) - 1, 1) for row in rows for i, key in enumerate(row)}
        order = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        rows = list(rows)
        for n in order:
            near = {
                key: [at[a] for a, b in links if b == key] if sweep % 2 == 0 else [at[b] for a, b in links if a == key] for key in rows[n]
            }
            middle = {key: sum(v) / len(v) if v else at[key] for key, v in near.items()}
            rows[n] = sorted(rows[n], key=lambda key: (middle[key], at[key]))
            at |= {key: i / max(len(rows[n]) - 1, 1) for i, key in enumerate(rows[n])}
        if crossings(rows) < least:
            best, least = rows, crossings(rows)
    return best


def _spread(rows: list[list[str]], links: Sequence[tuple[str, str]], widths: Mapping[str, float], width: float) -> dict[str, float]:
    """Centres of all nodes, inches: near their neighbours, in the order of the layer, apart from each other."""
    x = {key: width * (i + 0.5) / len(row) for row in rows for i, key in enumerate(row)}
    for sweep in range(8):
        for row in rows if sweep % 2 == 0 else rows[::-1]:
            near = {key: [x[b if a == key else a] for a, b in links if key in (a, b)] for key in row}
            wish = [sum(near[key]) / len(near[key]) if near[key] else x[key] for key in row]
            x |= dict(zip(row, _apart(wish, [widths[key] for key in row], width), strict=True))
    return x


def _apart(wish: Sequence[float], widths: Sequence[float], width: float) -> list[float]:
    """Centres near the wished ones that keep their order and do not overlap, within 0 to ``width``."""
    found = list(wish)
    for _ in range(60):
        for i in range(1, len(found)):
            need = (widths[i - 1] + widths[i]) / 2 + GAP
            short = need - (found[i] - found[i - 1])
            if short > 0:
                found[i - 1] -= short / 2
                found[i] += short / 2
        found = [min(max(v, w / 2), width - w / 2) for v, w in zip(found, widths, strict=True)]
    for i in range(1, len(found)):  # what the passes left
        found[i] = max(found[i], found[i - 1] + (widths[i - 1] + widths[i]) / 2 + 0.03)
    return found


def _placed(
    boxes: dict[str, Box], rows: list[list[str]], chains: Mapping[tuple[str, str], Sequence[str]], x: dict[str, float], width: float
) -> Layout:
    tops: dict[str, float] = {}
    down = 0.0
    heights = []
    for row in rows:
        high = max((boxes[key].height for key in row if key in boxes), default=0.1)
        tops |= {key: down for key in row}
        heights.append(high)
        for key in row:
            if key in boxes:
                boxes[key].x, boxes[key].y, boxes[key].layer = x[key], down + (high - boxes[key].height) / 2, len(heights) - 1
        down += high + BETWEEN
    high_of = {key: high for row, high in zip(rows, heights, strict=True) for key in row}
    paths = {}
    for (a, b), chain in chains.items():
        points = [(x[a], boxes[a].y + boxes[a].height)]
        for key in chain[1:-1]:
            points += [(x[key], tops[key]), (x[key], tops[key] + high_of[key])]
        paths[a, b] = [*points, (_entry(boxes, x, chain, b), boxes[b].y)]
    reach = max([width, *(box.x + box.width / 2 for box in boxes.values()), *(at + 0.03 for at in x.values())])
    return Layout(boxes, paths, reach, down - BETWEEN + 0.02)


def _entry(boxes: dict[str, Box], x: dict[str, float], chain: Sequence[str], b: str) -> float:
    """Where an edge meets the top of a box: towards where it comes from."""
    box = boxes[b]
    return min(max(x[chain[-2]], box.x - 0.3 * box.width), box.x + 0.3 * box.width)


def draw_graph(axes: Axes, found: Layout, colours: Mapping[tuple[str, str], str] | None = None) -> None:
    """Draw into axes whose units are inches, y downwards; an edge of which nothing is said is plain."""
    runs: dict[tuple, set[str]] = {}  # pieces of edges; what two edges share is drawn once
    for edge, points in found.paths.items():
        colour = (colours or {}).get(edge, PLAIN)
        for piece in zip(points, points[1:], strict=False):
            runs.setdefault(piece, set()).add(colour)
        axes.annotate("", xy=points[-1], xytext=points[-2], zorder=2,
                      arrowprops={"arrowstyle": "-|>,head_width=0.12,head_length=0.22", "color": colour, "linewidth": 0.6, "shrinkA": 0,
                                  "shrinkB": 0})  # fmt: skip
    for piece, said in runs.items():
        xs, ys = zip(*piece, strict=True)
        colour = said.pop() if len(said) == 1 else PLAIN
        axes.plot(xs, ys, color=colour, linewidth=0.7, solid_capstyle="round", zorder=1)
    for box in found.boxes.values():
        fill, border, dash = LOOKS[box.look]
        patch = FancyBboxPatch((box.x - box.width / 2, box.y), box.width, box.height, boxstyle="round,pad=0,rounding_size=0.04",
                               facecolor=fill, edgecolor=border, linewidth=0.7, linestyle=dash, zorder=3, clip_on=False)  # fmt: skip
        axes.add_patch(patch)
        for number, line in enumerate(box.lines):
            weight, colour = ("bold" if box.bold(number) else "normal"), style.INK if number < box.names else style.QUIET
            axes.text(box.x, box.y + PAD + (style.ASCENT + number * style.LEADING) * style.BASE / 72, line, size=style.BASE, ha="center",
                      va="baseline", weight=weight, color=colour,
                      parse_math=False, zorder=4)  # fmt: skip
