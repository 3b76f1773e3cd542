"""Architectures are drawn from built networks: what is described is what is there, arrows are what runs, layouts keep boxes apart."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from dmm import recipes
from dmm.models.registry import create_model, list_models
from explorer import figures, gather
from explorer.describe import DescriptionError, config_of, describe, describe_recipe
from explorer.figures import FigureError
from explorer.figures.architecture import drawn_modules, first_stage
from explorer.figures.export import render
from explorer.figures.graph import PLAIN, Box, draw_graph, layers_of, layout
from explorer.figures.networks import Network, count, flow, label, shape, spelt, used_inputs
from tests.explorer.test_figures import boxes, legible

READ_WORDS = ("attngan", "attngan-dcgan", "mirrorgan", "dmgan", "dmmgan")
ARCHITECTURES = [figure for figure in figures.list_figures() if figure.shows == "networks"]


class Chain(nn.Module):
    """b uses a's output and the input; c uses what lies between a and b; unused is never called."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.unused = (nn.Linear(3, 3) for _ in range(4))

    def forward(self, x, y):
        hidden = self.a(x)
        return self.b(hidden + y), self.c(torch.relu(hidden).mean(0, keepdim=True))


def chain() -> Network:
    return describe(Chain(), {"x": torch.zeros(1, 3), "y": torch.zeros(1, 3)}, "chain")


def test_arrows_are_what_modules_take():
    found = chain()
    assert flow(found, found.children()) == {("x", "a"), ("a", "b"), ("y", "b"), ("a", "c")}
    assert flow(found, ["b"]) == {("x", "b"), ("y", "b")}
    assert found.children() == ["a", "b", "c"] and found.nodes["a"].parameters == 12 and found.parameters == 48
    assert used_inputs(found, flow(found, ["c"])) == ["x"]


@pytest.mark.parametrize("system", [entry.name for entry in list_models()])
def test_every_registered_system_is_described_as_it_is_built(system):
    with torch.device("meta"):  # no numbers are needed
        built = create_model(config_of(system))
    found = describe_recipe(system)
    modules = dict(built.named_modules())
    assert found.parameters == sum(p.numel() for p in built.parameters())
    for path, node in found.nodes.items():
        assert node.kind == type(modules[path]).__name__ and node.parameters == sum(p.numel() for p in modules[path].parameters())
    stage = first_stage(found)
    edges = flow(found, drawn_modules(found, [stage]))
    assert "noise" in {a for a, _ in edges} and ("words" in {a for a, _ in edges}) == (system in READ_WORDS)


def test_the_arrows_of_a_memory_stage_are_the_equations():
    found = describe_recipe("dmgan")
    stage = "refinements.0."
    edges = flow(found, drawn_modules(found, ["refinements.0"]))
    into = {
        name: {a.removeprefix(stage) for a, b in edges if b == stage + name} for name in ("writing_gate", "key", "addressing", "reading")
    }
    assert into["writing_gate"] == {"words", "initial"}  # Eq. 7: the words and the mean of the image features
    assert into["key"] == {"writing"} and into["addressing"] == {"key", "initial", "mask"}  # Eq. 4
    assert into["reading"] == {"addressing", "value"}  # Eq. 5
    without = describe_recipe("dmgan-cub-m")
    assert not any("gate" in b for _, b in flow(without, drawn_modules(without, ["refinements.0"])))


@pytest.mark.parametrize("figure", ARCHITECTURES, ids=lambda figure: figure.name)
def test_every_architecture_draws_with_boxes_apart_and_counts_from_the_network(figure):
    result = figures.draw(figure, gather.gather(figure, {}))
    legible(figure.name, result.figure)
    (axes,) = [a for a in result.figure.axes if a.patches and len(a.patches) > 2]
    spans = [p.get_bbox().extents for p in axes.patches]
    for one, two in itertools.combinations([s for s in spans if s[2] - s[0] > 0.3 and s[3] - s[1] > 0.1], 2):
        assert one[2] <= two[0] + 1e-6 or two[2] <= one[0] + 1e-6 or one[3] <= two[1] + 1e-6 or two[3] <= one[1] + 1e-6
    said = {text for text, _ in boxes(result.figure)}
    named = gather.networks(figure, figures.check_options(figure, {}))
    for row in result.rows:
        network = next(n for n in named.values() if row["module"] in n.nodes or row["module"] in n.inputs)
        if row["module"] in network.nodes and row.get("network") in (network.name,):
            assert row["parameters"] == network.nodes[row["module"]].parameters
            assert not row["parameters"] or f"{count(row['parameters'])} par." in said or row.get("look") == "input"


@pytest.mark.parametrize(
    ("figure", "options", "said"),
    [
        ("dmmgan-memory", {"network": "dmgan"}, "does not have. Choose dmmgan-cub"),
        ("dfgan-fusion", {"network": "dmgan"}, "has none. Choose dfgan-cub"),
        ("dmgan-fig2", {"network": "dmgam"}, "did you mean 'dmgan'"),
    ],
)
def test_networks_that_do_not_fit_are_refused_in_one_line(figure, options, said):
    chosen = figures.get_figure(figure)
    with pytest.raises((FigureError, DescriptionError), match=said):
        figures.draw(chosen, gather.gather(chosen, options), **options)


def test_added_and_removed_modules_are_those_of_one_side():
    figure = figures.get_figure("dmmgan-fig2")
    rows = figures.draw(figure, gather.gather(figure, {})).rows
    state = {(r["module"], r["class"]): r["state"] for r in rows}
    assert state["refinements.0.response_gate", "ResponseGate"] == "added" and state["initial", "InitialStage"] == "both"
    assert state["refinements.0.word_projection", "WordProjection"] == "removed"
    assert state["refinements.0.word_projection", "Projection"] == "added"
    same = figures.draw(figure, gather.gather(figure, {"network": "attngan"} | {"against": "attngan"}))
    assert {r["state"] for r in same.rows} == {"both"}


def test_layers_follow_the_longest_path():
    edges = {("in", "a"), ("a", "b"), ("b", "c"), ("a", "c"), ("late", "c")}
    assert layers_of(["in", "a", "b", "c", "late"], edges) == {"in": 0, "a": 1, "b": 2, "c": 3, "late": 2}
    with pytest.raises(ValueError, match="circle"):
        layers_of(["a", "b"], {("a", "b"), ("b", "a")})
    found = layout([Box(key, (key,)) for key in ("in", "a", "b", "c", "late")], edges, 3.0)
    assert found.boxes["a"].y < found.boxes["b"].y < found.boxes["c"].y and len(found.paths["a", "c"]) == 4


def test_a_name_is_broken_where_its_layer_is_too_wide_and_all_lies_in_the_middle():
    def boxes_in(width: float):
        made = [Box(f"layer {n}", ("a long name", "1 × 1")) for n in range(3)]
        return layout([Box("in", ("in",)), *made], {("in", box.key) for box in made}, width)

    wide, narrow = boxes_in(8.0), boxes_in(2.0)
    assert wide.boxes["layer 0"].lines == ("a long name", "1 × 1") and narrow.boxes["layer 0"].lines == ("a long", "name", "1 × 1")
    assert not narrow.boxes["layer 0"].fold() and [narrow.boxes["layer 0"].bold(n) for n in range(3)] == [True, True, False]
    ends = [(box.x - box.width / 2, box.x + box.width / 2) for box in wide.boxes.values()]
    assert wide.width == 8.0 and min(left for left, _ in ends) + max(right for _, right in ends) == pytest.approx(8.0)


def test_edges_of_two_colours_that_run_together_are_plain_until_they_part():
    found = layout([Box(key, (key,)) for key in "abcde"], {("a", "b"), ("b", "c"), ("c", "d"), ("c", "e"), ("a", "d"), ("a", "e")}, 3.0)
    axes = Figure().add_subplot()
    draw_graph(axes, found, {("a", "d"): "#ff0000", ("a", "e"): "#0000ff"})
    drawn = {tuple(zip(*(map(float, way) for way in line.get_data()), strict=True)): line.get_color() for line in axes.lines}
    red, blue = (list(itertools.pairwise(found.paths["a", end])) for end in "de")
    assert len(set(red) & set(blue)) >= 3 and all(drawn[piece] == PLAIN for piece in set(red) & set(blue))
    assert drawn[red[-1]] == "#ff0000" and drawn[blue[-1]] == "#0000ff"


@pytest.mark.slow
def test_another_process_draws_the_same_file():
    """A layout is a matter of sums; a set of strings has another order in each process."""
    script = "import sys; from explorer import figures, gather; from explorer.figures.export import render;"
    script += "f = figures.get_figure('dmmgan-fig2'); sys.stdout.buffer.write(render(figures.draw(f, gather.gather(f, {})), 'svg'))"
    other = {"PYTHONHASHSEED": "3" if os.environ.get("PYTHONHASHSEED") == "2" else "2"}
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | other, capture_output=True, check=True)
    figure = figures.get_figure("dmmgan-fig2")
    here = render(figures.draw(figure, gather.gather(figure, {})), "svg")
    assert here == done.stdout and b"</svg>" in here


def test_words_for_names_shapes_and_counts():
    assert spelt("KeyAddressing") == "key addressing" and shape((64, 13)) == "64 × T" and shape(()) == "1"
    assert [count(n) for n in (812, 12_345, 4_900_000)] == ["812", "12.3 k", "4.9 M"]
    found = describe_recipe("dmgan")
    assert label(found, "refinements.0.addressing") == "key addressing" and label(found, "refinements.1") == "memory stage 2"
    assert label(found, "refinements.0.key") == "key"
    assert config_of("dmgan-cub") == recipes.recipe("dmgan-cub").model
