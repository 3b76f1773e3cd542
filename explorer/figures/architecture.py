"""The architectures, drawn from built networks: every name, shape, parameter count and arrow comes from a network that ran once.

A box is a module: its name, the shape of its output (channels × height × width; T words) and its parameters. An arrow goes from one module
to another that uses what it gave; sums, means and concatenations between modules are passed through. DM-GAN Fig. 2; DMM-GAN Figs. 1 and
2, its global-local memory and its STREAM module; DF-GAN's fusion block; the workflows of the survey "A deep dive into generative modeling"
(Tong).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from matplotlib.figure import Figure as Drawing

from explorer.figures import style
from explorer.figures.graph import LOOKS, PLAIN, Box, draw_graph, layout
from explorer.figures.networks import Network, count, flow, inside, label, shape, used_inputs
from explorer.figures.registry import FigureError, Option, Result, register_figure

WIDTH, MARGIN = style.SHEET, 0.1  # inches: sheet (wider if a layer needs it), its edge
TEXT = ("words", "mask", "captions")  # inputs that tell single words


def _network(default: str, name: str = "network") -> Option:
    return Option(name, "text", default, "a recipe or a registered system (dmm list); it is built without weights", makes="network")


DETAIL = Option("detail", "bool", True, "open the first refinement stage, or the first block, and draw its modules")


def drawn_modules(network: Network, opened: Sequence[str] = ()) -> list[str]:
    """Paths of the modules to draw, in the order of calls: those next below the network, the opened ones replaced by what they hold."""
    found = network.children()
    for path in opened:
        found = [p for q in found for p in (network.children(q) if q == path and network.children(q) else [q])]
    return sorted(found, key=lambda p: network.nodes[p].order)


def first_stage(network: Network) -> str | None:
    """The first refinement stage, or the first block of a network that has none."""
    return next((p for p in network.children() if p.rsplit(".", 1)[0] in ("refinements", "blocks")), None)


def boxes_of(network: Network, drawn: Sequence[str], edges: set[tuple[str, str]], looks: Mapping[str, str] | None = None) -> list[Box]:
    """A box for each input that is used and each module; modules that read words, or what was made of them, have their own look."""
    looks = looks or {}
    reads = _reading_words(edges)
    boxes = [Box(name, (f"{name}: {shape(network.inputs[name])}",), "input") for name in used_inputs(network, edges)]
    for path in drawn:
        node = network.nodes[path]
        lines = [_name(network, path, drawn), shape(node.output)]
        lines += [f"{count(node.parameters)} par."] if node.parameters else []
        boxes.append(Box(path, tuple(lines), looks.get(path, "text" if path in reads else "plain")))
    return boxes


def _reading_words(edges: set[tuple[str, str]]) -> set[str]:
    """Modules that take words directly."""
    return {b for a, b in edges if a in TEXT}


def _name(network: Network, path: str, drawn: Sequence[str]) -> str:
    """The label, with that of an opened module before it where two would be called alike."""
    own = label(network, path)
    same = [p for p in drawn if p != path and label(network, p) == own]
    outer = path.rsplit(".", 1)[0]
    return f"{label(network, outer).split()[0]} {own}" if same and "memory" in outer else own


def _sheet(
    title: str,
    notes: Sequence[str],
    boxes: list[Box],
    edges: set[tuple[str, str]],
    keys: Sequence[tuple[str, str]] = (),
    colours: Mapping[tuple[str, str], str] | None = None,
) -> Drawing:
    """Draw boxes below a title and notes; the sheet is as wide as they need."""
    marked = {b.key: LOOKS[b.look][1] for b in boxes if b.look == "added"}
    colours = {e: marked.get(e[1], marked.get(e[0], PLAIN)) for e in edges} if colours is None else colours
    found = layout(boxes, edges, WIDTH - 2 * MARGIN)
    width = found.width + 2 * MARGIN
    heading = style.wrap(title, width - 3 * MARGIN, style.LARGE)
    said = [style.wrap(note, width - 3 * MARGIN) for note in notes]
    head = style.text_height(heading, style.LARGE) + 0.04 + sum(style.text_height(text) for text in said) + 0.1
    foot = style.LINE * 1.5 if keys else 0.0
    with style.sheet(width, 2 * MARGIN + head + found.height + foot) as drawing:
        style.write(drawing, MARGIN, MARGIN, heading, size=style.LARGE)
        down = MARGIN + style.text_height(heading, style.LARGE) + 0.04
        for text in said:
            style.write(drawing, MARGIN, down, text, color=style.QUIET)
            down += style.text_height(text)
        axes = style.place(drawing, MARGIN, MARGIN + head, found.width, found.height)
        axes.set(xlim=(0, found.width), ylim=(found.height, 0))
        axes.axis("off")
        draw_graph(axes, found, colours)
        _keys(drawing, keys, MARGIN + head + found.height + 0.08)
    return drawing


def _keys(drawing: Drawing, keys: Sequence[tuple[str, str]], down: float) -> None:
    """What the looks mean, in one line."""
    left = MARGIN
    for look, said in keys:
        fill, edge, dash = LOOKS[look]
        axes = style.place(drawing, left, down + 0.01, 0.16, 0.1)
        axes.set(xticks=[], yticks=[])
        axes.set_facecolor(fill)
        for spine in axes.spines.values():
            spine.set(edgecolor=edge, linestyle=dash)
        style.write(drawing, left + 0.21, down, said)
        left += 0.21 + style.text_width(said) + 0.2


def _rows(network: Network, drawn: Sequence[str], edges: set[tuple[str, str]], looks: Mapping[str, str] | None = None) -> list[dict]:
    """One row for each box, with what it takes from."""
    rows = []
    for path in [*used_inputs(network, edges), *drawn]:
        node = network.nodes.get(path)
        rows.append(
            {
                "network": network.name,
                "module": path,
                "class": node.kind if node else "input",
                "output": shape(node.output if node else network.inputs[path]),
                "parameters": node.parameters if node else "",
                "takes_from": " ".join(sorted(a for a, b in edges if b == path)),
                "look": (looks or {}).get(path, ""),
            }
        )
    return rows


def _drawn(network: Network, title: str, opened: Sequence[str], notes: Sequence[str] = ()) -> Result:
    """A network with some modules opened."""
    drawn = drawn_modules(network, opened)
    edges = flow(network, drawn)
    about = f"{network.paper}. Recipe or system {network.name}: {count(network.parameters)} parameters in all; freshly built, no weights."
    about += " Words and sentence are the text encoder's features." if "sentence" in network.inputs else ""
    keys = [("input", "input"), ("text", "reads single words")] if _reading_words(edges) else [("input", "input")]
    return Result(_sheet(title, [about, *notes], boxes_of(network, drawn, edges), edges, keys), _rows(network, drawn, edges))


def _overview(network: Network, detail: bool, name: str) -> Result:
    stage = first_stage(network)
    if not detail or stage is None:
        return _drawn(network, name, [])
    notes = [f"{label(network, stage).capitalize()} is opened; further ones of its kind are built alike."]
    return _drawn(network, name, [stage], notes)


def _generator_figure(name: str, title: str, source: str, recipe: str, heading: str, opened: bool) -> None:
    """Register a drawing of a generator, with its first stage that reads words opened or as a chain of its largest parts."""

    @register_figure(
        name,
        title=f"{title}, from the built network",
        source=source,
        shows="networks",
        options=(_network(recipe), replace(DETAIL, default=opened)),
    )
    def generator(networks: Mapping[str, Network], detail: bool = opened) -> Result:
        """The generator as a chain of its largest parts; with ``detail``, its first stage that reads words is opened."""
        return _overview(networks["network"], detail, heading)


_generator_figure(
    "dmgan-fig2", "The architecture of DM-GAN", "DM-GAN (Zhu et al., CVPR 2019), Fig. 2", "dmgan-cub", "DM-GAN: the generator", True
)
_generator_figure(
    "dmmgan-fig1", "An overview of AttnGAN", "DMM-GAN (Lynggaard, 2020), Fig. 1", "attngan-cub", "AttnGAN: the generator", True
)
for number, said in enumerate(("DF-GAN", "DM-GAN", "AttnGAN"), 1):
    system = said.lower().replace("-", "")
    _generator_figure(
        f"workflow-{system}",
        f"The workflow of {said}",
        f"survey (Tong), Fig. {number}",
        f"{system}-cub",
        f"{said}: workflow of the generator",
        False,
    )


@register_figure(
    "dfgan-fusion",
    title="DF-GAN's block of deep text-image fusion, from the built network",
    source="DF-GAN (Tao et al., CVPR 2022)",
    shows="networks",
    options=(_network("dfgan-cub"),),
)
def fusion(networks: Mapping[str, Network]) -> Result:
    """A block that changes the number of channels, with its fusions opened; the condition is concat(noise, sentence)."""
    network = networks["network"]
    blocks = [p for p in network.children() if any(network.nodes[q].kind == "Fusion" for q in network.children(p))]
    if not blocks:
        raise FigureError(f"dfgan-fusion shows blocks that fuse text by affine layers; {network.name} has none. Choose dfgan-cub")
    block = next((p for p in blocks if network.nodes[f"{p}.shortcut"].parameters), blocks[0])  # one whose shortcut is a convolution
    fusions = [p for p in network.children(block) if network.nodes[p].kind == "Fusion"]
    return _part(network, [block, *fusions], block, "DF-GAN: one block")


def _part(network: Network, opened: Sequence[str], outer: str, title: str, looks: Mapping[str, str] | None = None, keys=()) -> Result:
    """What lies in one module, what it takes from outside, and what takes its output."""
    drawn = drawn_modules(network, opened)
    edges = flow(network, drawn)
    kept = [p for p in drawn if inside(p, outer) and any(p in edge for edge in edges)]
    edges = {(a, b) for a, b in edges if a in kept or b in kept}
    near = {p for edge in edges for p in edge}
    shown = [p for p in drawn if p in near]
    looks = {p: "input" for p in shown if p not in kept} | dict(looks or {})
    boxes = boxes_of(network, shown, edges, looks)
    for box in boxes:  # what lies outside is named in one line
        if box.key in near and box.key not in kept and box.key in network.nodes:
            box.lines = (f"{box.lines[0]}: {box.lines[1]}",)
    total = sum(network.nodes[p].parameters for p in kept)
    about = f"Recipe or system {network.name}; {label(network, outer)}: {count(total)} of {count(network.parameters)} parameters."
    keys = keys or [("input", "outside"), ("text", "reads single words")]
    keys = [key for key in keys if any(box.look == key[0] for box in boxes)]
    return Result(_sheet(title, [about], boxes, edges, keys), _rows(network, shown, edges, looks))


@register_figure(
    "dmmgan-memory",
    title="The global-local dynamic memory, from the built network",
    source="DMM-GAN (Lynggaard, 2020)",
    shows="networks",
    options=(_network("dmmgan-cub"),),
)
def memory(networks: Mapping[str, Network]) -> Result:
    """The first memory stage with its global memory opened; what the global memory adds has its own look."""
    network = networks["network"]
    stage = first_stage(network)
    outer = next((p for p in network.children(stage or "") if network.nodes[p].kind == "GlobalMemory"), None)
    if stage is None or outer is None:
        raise FigureError(f"dmmgan-memory shows a global memory, which {network.name} does not have. Choose dmmgan-cub or dmmgan-aviary")
    added = {p: "added" for p in network.children(outer)}
    keys = [("input", "outside"), ("text", "reads single words"), ("added", "global memory, one slot for the sentence")]
    return _part(network, [stage, outer], stage, "DMM-GAN: one memory stage, words and sentence", added, keys)


@register_figure(
    "dmmgan-stream",
    title="The STREAM module that reads a picture back, from the built network",
    source="DMM-GAN (Lynggaard, 2020), MirrorGAN (Qiao et al., CVPR 2019)",
    shows="networks",
    options=(Option("captioner", "text", "dmmgan-cub", "a recipe or a registered system; it is built without weights", makes="network"),),
)
def stream(networks: Mapping[str, Network]) -> Result:
    """The captioner: an image encoder, and the decoder with its parts opened."""
    network = networks["captioner"]
    about = "A vocabulary of 5 entries is built in; each word more adds a row to embedding and linear."
    return _drawn(network, "STREAM: the captioner", ["decoder"], [about])


@register_figure(
    "dmmgan-fig2",
    title="DMM-GAN against AttnGAN: what is added and what is removed",
    source="DMM-GAN (Lynggaard, 2020), Fig. 2",
    shows="networks",
    options=(_network("dmmgan-cub"), _network("attngan-cub", "against")),
)
def against(networks: Mapping[str, Network]) -> Result:
    """Both generators in one graph: modules of both, of the first only (added), of the second only (removed), by path and class."""
    ours, theirs = networks["network"], networks["against"]
    sides = [(network, *_opened_memories(network)) for network in (ours, theirs)]
    keys = [{p: f"{p}|{n.nodes[p].kind}" for p in drawn} for n, drawn, _ in sides]
    both = set(keys[0].values()) & set(keys[1].values())
    boxes: dict[str, Box] = {}
    rows, found = [], []
    for (network, drawn, edges), key, look in zip(sides, keys, ("added", "removed"), strict=True):
        for box in boxes_of(network, drawn, edges, {p: "plain" if key[p] in both else look for p in drawn}):
            box.key = key.get(box.key, box.key)
            boxes.setdefault(box.key, box)
        found.append({(key.get(a, a), key[b]) for a, b in edges})
        rows += [_compared(network, p, key[p] in both, look) for p in drawn if key[p] not in both or network is ours]
    colours = {edge: LOOKS["added" if edge not in found[1] else "removed"][1] for edge in found[0] ^ found[1]}
    counts = f"{ours.name}: {count(ours.parameters)} parameters; {theirs.name}: {count(theirs.parameters)}. "
    counts += "A module of equal name and class counts as in both, whatever its size; the size shown is the first's."
    said = [("plain", "in both"), ("added", f"added by {ours.name}"), ("removed", f"only in {theirs.name}")]
    said = [key for key in said if any(box.look == key[0] for box in boxes.values())]
    title = f"{ours.name} against {theirs.name}" if (ours.name, theirs.name) != ("dmmgan-cub", "attngan-cub") else "DMM-GAN against AttnGAN"
    return Result(_sheet(title, [counts], list(boxes.values()), found[0] | found[1], said, colours), rows)


def _opened_memories(network: Network) -> tuple[list[str], set[tuple[str, str]]]:
    """The modules of a generator with its first stage and the further memory in it opened, and the arrows between them."""
    stage = first_stage(network)
    further = [p for p in network.children(stage) if "memory" in p.rsplit(".", 1)[-1]] if stage else []
    drawn = drawn_modules(network, [stage, *further] if stage else [])
    return drawn, flow(network, drawn)


def _compared(network: Network, path: str, both: bool, look: str) -> dict:
    node = network.nodes[path]
    return {
        "module": path,
        "class": node.kind,
        "state": "both" if both else look,
        "network": "both" if both else network.name,
        "output": shape(node.output),
        "parameters": node.parameters,
    }
