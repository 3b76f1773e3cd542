"""The architecture of the code, drawn from its imports: parts of `dmm` and `explorer`, and who reads whom.

An arrow leads from a part to one that it imports. Arrows that follow from others are left out of the drawing; the table has all.
"""

from __future__ import annotations

import ast
import functools
import io
from pathlib import Path

from explorer.figures import style
from explorer.figures.graph import Box, draw_graph, layout

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"dmm": 60, "explorer": 100}  # width of the drawing on its page, per cent
WIDTH = 11.0  # inches


def imports(root: Path = ROOT) -> dict[str, set[str]]:
    """Part (``dmm.data``) -> the parts that its files import, wherever in the file."""
    files = {path: _module(path, root) for package in PACKAGES for path in sorted((root / package).rglob("*.py"))}
    names = frozenset(files.values())
    found: dict[str, set[str]] = {}
    for path, name in files.items():
        if len(name.split(".")) < 2:
            continue  # the package's own __init__
        read = {_part(other) for other in _imported(path.read_text(encoding="utf-8"), names) if "." in other}
        found.setdefault(_part(name), set()).update(read - {_part(name)})
    return found


def _module(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _part(name: str) -> str:
    return ".".join(name.split(".")[:2])


@functools.cache
def _imported(source: str, names: frozenset[str]) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= full & names or {node.module}
    return names & found


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """All parts that a part reads, at any distance."""
    found: set[str] = set()
    waiting = list(graph.get(start, ()))
    while waiting:
        part = waiting.pop()
        if part not in found:
            found.add(part)
            waiting += graph.get(part, ())
    return found


def groups(graph: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    """Part -> the parts that it reads and that read it, itself included."""
    far = {part: reachable(graph, part) for part in graph}
    return {part: frozenset({part} | {other for other in far[part] if part in far.get(other, ())}) for part in graph}


def reduced(graph: dict[frozenset[str], set[frozenset[str]]]) -> set[tuple[frozenset[str], frozenset[str]]]:
    """Edges of a graph without circles that do not follow from others."""

    def below(start: frozenset[str]) -> set[frozenset[str]]:
        return set().union(*({other} | below(other) for other in graph[start]), set())

    deep = {group: below(group) for group in graph}
    return {(a, b) for a in graph for b in graph[a] if not any(b in deep[other] for other in graph[a] - {b})}


def drawing(package: str) -> bytes:
    """SVG of the parts of one package."""
    every = imports()
    graph = {
        part: {other for other in read if other.startswith(f"{package}.")} for part, read in every.items() if part.startswith(f"{package}.")
    }
    of = groups(graph)
    joined = {group: {of[other] for part in group for other in graph[part]} - {group} for group in set(of.values())}
    key = {group: ", ".join(sorted(part.split(".")[1] for part in group)) for group in joined}
    boxes = [Box(key[group], tuple(sorted(part.split(".")[1] for part in group))) for group in sorted(joined, key=key.__getitem__)]
    edges = {(key[a], key[b]) for a, b in reduced(joined)}
    placed = layout(boxes, edges, WIDTH)
    across = [x for path in placed.paths.values() for x, _ in path]
    across += [box.x + side * box.width / 2 for box in placed.boxes.values() for side in (-1, 1)]
    left, width = min(across), max(across) - min(across)
    with style.sheet(width + 0.2, placed.height + 0.2) as sheet:
        axes = style.place(sheet, 0.1, 0.1, width, placed.height)
        axes.set(xlim=(left, left + width), ylim=(placed.height, 0))
        axes.axis("off")
        draw_graph(axes, placed)
        file = io.BytesIO()
        sheet.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def page() -> str:
    """The page: drawings, then every import."""
    lines = ["# Architecture of the code", "", *(__doc__ or "").strip().split("\n\n")[1].split("\n"), ""]
    for package, width in PACKAGES.items():
        lines += [f"## {package}", "", f"![Imports between the parts of {package}](files/code-{package}.svg){{ width={width}% }}", ""]
        lines += ["| part | imports |", "|---|---|"]
        for part, read in sorted(imports().items()):
            if part.startswith(f"{package}."):
                said = ", ".join(f"[{other}]({_page(other)})" for other in sorted(read))
                lines.append(f"| [{part}]({_page(part)}) | {said} |")
        lines.append("")
    return "\n".join(lines)


def _page(part: str) -> str:
    folder = ROOT / part.replace(".", "/")
    return f"api/{part.replace('.', '/')}/index.md" if folder.is_dir() else f"api/{part.replace('.', '/')}.md"
