"""A network as data: its modules, and how numbers flow between them when it runs. Nothing here runs one (:mod:`explorer.describe`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Shape = tuple[int, ...]
WORDS = 13  # words T of the run that is described; no published width equals it, so that it is shown as T


class Operation(NamedTuple):
    """One operation on tensors."""

    where: str  # path of the module that it happened in, "" outside of all
    taken: tuple[int, ...]  # numbers of the tensors that it took, parameters left out
    given: tuple[int, ...]  # and gave


@dataclass(frozen=True)
class Node:
    """One module that ran."""

    path: str  # its name in the network, as of ``named_modules``
    kind: str  # name of its class
    parameters: int  # of it and all that it holds
    output: Shape  # of its largest output, without the batch axis
    order: int  # of its first call
    summary: str = ""  # first sentence of its class's docstring


@dataclass(frozen=True)
class Network:
    """A freshly built network that ran once."""

    name: str  # the recipe or system it was built from
    paper: str  # of the system
    parameters: int  # of the whole network, each counted once
    nodes: dict[str, Node] = field(repr=False)  # every module that ran, by path
    inputs: dict[str, Shape]  # by name, without the batch axis
    numbers: dict[str, int] = field(repr=False)  # of the inputs' tensors
    operations: tuple[Operation, ...] = field(repr=False)  # in order

    def children(self, path: str = "") -> list[str]:
        """Paths of the modules next below another one that ran, in the order of their first calls; lists of modules are passed through."""
        below = [p for p in self.nodes if inside(p, path) and p != path]
        return sorted((p for p in below if not any(inside(p, q) for q in below if q != p)), key=lambda p: self.nodes[p].order)


def inside(path: str, outer: str) -> bool:
    """Whether a module is another or lies in it."""
    return not outer or path == outer or path.startswith(f"{outer}.")


def flow(network: Network, drawn: Sequence[str]) -> set[tuple[str, str]]:
    """Which of the drawn modules use what another one of them gave, or an input: (from, to) pairs.

    What happens between the modules (means, sums, concatenations) is passed through; what happens in one is its own.
    """
    origin: dict[int, frozenset[str]] = {number: frozenset([name]) for name, number in network.numbers.items()}
    edges: set[tuple[str, str]] = set()
    for where, taken, given in network.operations:
        sources = frozenset().union(*(origin.get(number, frozenset()) for number in taken))
        into = next((path for path in drawn if inside(where, path)), None)
        if into is not None:
            edges |= {(source, into) for source in sources - {into}}
            sources = frozenset([into])
        for number in given:
            origin[number] = sources
    return edges


def used_inputs(network: Network, edges: Iterable[tuple[str, str]]) -> list[str]:
    """Inputs that a drawn module uses, in the order of the call."""
    first = {source for source, _ in edges}
    return [name for name in network.inputs if name in first]


def spelt(kind: str) -> str:
    """``KeyAddressing`` -> ``key addressing``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", kind.replace("ResNet", "Resnet")).lower()


def label(network: Network, path: str) -> str:
    """What a module is called: by its class where that says more than its name, with its number where it is one of several."""
    node, names = network.nodes[path], [part for part in path.split(".") if not part.isdigit()]
    said, kind = names[-1].replace("_", " "), spelt(node.kind)
    number = path.rsplit(".", 1)[-1]
    if number.isdigit():
        return f"{kind} {int(number) + 1}"
    return kind if set(said.split()) <= set(kind.split()) else said


def shape(sizes: Shape) -> str:
    """``(64, 13)`` -> ``64 × T``; a word less, as a decoder takes its targets, is T - 1."""
    return " × ".join({WORDS: "T", WORDS - 1: "(T - 1)"}.get(size, f"{size}") for size in sizes) or "1"


def count(parameters: int) -> str:
    """Parameters, short: 812, 12.3 k, 4.9 M."""
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if parameters >= unit:
            return f"{parameters / unit:.1f} {name}"
    return f"{parameters}"
