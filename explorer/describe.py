"""A freshly built network as data: its modules, their shapes and parameters, and how numbers flow between them.

The network is built on the meta device, where tensors have shapes and no numbers, and run once. Forward hooks note what every module gives;
a function mode notes every operation with the tensors that it takes and gives. Nothing is typed in, and no weights are needed: this works
for every registered system and every recipe.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dmm import recipes
from dmm.checkpoint import build
from dmm.config import ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.models.outline import outline
from dmm.models.registry import create_model, find_model, list_models
from explorer.figures.networks import WORDS, Network, Node, Operation

VOCABULARY = Vocabulary(["bird"])  # of a captioner that is described; its size is stated where its parameters are


class DescriptionError(ValueError):
    """A network that cannot be described: what was expected and what was found."""


def config_of(name: str) -> ModelConfig:
    """The configuration of a recipe, or the default one of a registered system.

    Raises:
        DescriptionError: neither, with the nearest name.
    """
    systems = [entry.name for entry in list_models()]
    if name in recipes.names():
        return recipes.recipe(name).model
    if name in systems:
        return ModelConfig(system=name)
    known = [*recipes.names(), *systems]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    raise DescriptionError(f"network: no recipe or system {name!r}; {hint}")


@lru_cache(maxsize=16)
def describe_recipe(name: str, part: str = "generator") -> Network:
    """The generator, or the captioner (STREAM), of a recipe or a registered system, freshly built.

    Raises:
        DescriptionError: no such recipe or system.
    """
    config = config_of(name)
    paper = find_model(config.system).paper
    with outline():
        network = create_model(config) if part == "generator" else build(part, config, VOCABULARY)
    with torch.device("meta"):
        inputs = _generator_inputs(config) if part == "generator" else _captioner_inputs()
    return describe(network, inputs, name, paper)


def _generator_inputs(config: ModelConfig) -> dict[str, Tensor]:
    return {
        "sentence": torch.empty(1, config.text_dim),
        "words": torch.empty(1, config.text_dim, WORDS),
        "mask": torch.empty(1, WORDS, dtype=torch.bool),
        "noise": torch.empty(1, config.noise_dim),
        "eps": torch.empty(1, config.condition_dim),
    }


def _captioner_inputs() -> dict[str, Tensor]:
    tokens = {"captions": torch.empty(1, WORDS, dtype=torch.long), "lengths": torch.tensor([WORDS], device="cpu")}
    return {"images": torch.empty(1, 3, 256, 256)} | tokens


def describe(network: nn.Module, inputs: Mapping[str, Tensor], name: str, paper: str = "") -> Network:
    """Run a network once and note what happens.

    Args:
        network: on any device, called with the inputs by name.
        inputs: by name, with a batch axis of 1.
        name: what it is called.
        paper: where it comes from.
    """
    network = network.eval()
    record = _Record()
    numbers = {key: record.number(value) for key, value in inputs.items()}
    hooks = [h for path, module in network.named_modules() if path for h in record.attach(path, module)]
    try:
        with torch.no_grad(), record:
            network(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return Network(
        name=name,
        paper=paper,
        parameters=sum(p.numel() for p in network.parameters()),
        nodes=record.nodes,
        inputs={key: tuple(value.shape[1:]) for key, value in inputs.items()},
        numbers=numbers,
        operations=tuple(record.operations),
    )


class _Record(TorchFunctionMode):
    """Notes every operation with the module that it happens in, and every module with its largest output."""

    def __init__(self):
        super().__init__()
        self.nodes: dict[str, Node] = {}
        self.operations: list[Operation] = []
        self._inside: list[str] = []
        self._numbers: dict[int, int] = {}
        self._kept: list[Tensor] = []  # so that no tensor takes the identity of one before it
        self._calls: dict[str, int] = {}

    def number(self, tensor: Tensor) -> int:
        """The number of a tensor in this record."""
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = len(self._kept)
            self._kept.append(tensor)
        return self._numbers[id(tensor)]

    def attach(self, path: str, module: nn.Module) -> list:
        """Hooks of one module; to be removed after the run."""

        def before(_module: nn.Module, _arguments: tuple) -> None:
            self._calls.setdefault(path, len(self._calls))
            self._inside.append(path)

        def after(_module: nn.Module, _arguments: tuple, output) -> None:
            self._inside.pop()
            shapes = sorted((tuple(t.shape[1:]) for t in _tensors(output)), key=lambda s: -torch.Size(s).numel())
            count = sum(p.numel() for p in module.parameters())
            said = " ".join((type(module).__doc__ or "").split()).partition(". ")[0].rstrip(".")
            own = type(module).__module__.startswith("dmm.")
            node = Node(path, type(module).__name__, count, shapes[0] if shapes else (), self._calls[path], said if own else "")
            self.nodes.setdefault(path, node)

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def __torch_function__(self, function: Callable, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given = _tensors(result)
        if given:
            taken = tuple(self.number(t) for t in _tensors((args, kwargs or {})) if not isinstance(t, nn.Parameter))
            where = self._inside[-1] if self._inside else ""
            self.operations.append(Operation(where, taken, tuple(self.number(t) for t in given)))
        return result


def _tensors(value) -> list[Tensor]:
    """Every tensor in nested containers and records."""
    if isinstance(value, Tensor):
        return [value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, f.name) for f in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [t for item in value for t in _tensors(item)] if isinstance(value, (list, tuple)) else []
