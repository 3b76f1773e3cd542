"""Reference cases: reading one, finding who can replay it, comparing what was found.

A case is one ``.safetensors`` file with ``weights/``, ``in/``, ``out/`` and ``mid/`` tensors, and its hyper-parameters as JSON under the
metadata key ``hp``. A *kind* of case is one function from a :class:`Case` to what this project computes, under the file's names; it
registers itself with one decorator, in a module that :data:`REGISTERING` names::

    @register_case("generator", "dfgan")        # hp["kind"], then the names of hp["system"] that it is for;
    def replay_generator(case: Case) -> Tensors:  # without names: for every system, or for a kind without one
        net = load(case, NetG(case.hp["nf"]), "weights/", DFGAN_GENERATOR)
        image = net(case["z"], case["sent_emb"]).image  # case["z"] is the file's in/z, in the precision of the replay
        return {"out/img": image}                # whole: "out/img__s5" and "out/img__mean" are cut from it by `replay`

It returns more than the file asks for if that is convenient; what the file asks for and it does not return is infinitely far off.
Inputs or hyper-parameters that a file lacks become a :class:`ConvertError` that names them, so no function needs to look.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from dmm.convert.keys import ConvertError, KeyTable, load_upstream
from dmm.files import FileError, parse
from dmm.images import to_float
from dmm.models.modules import Network

Tensors = dict[str, Tensor]
Replay = Callable[["Case"], Tensors]

#: Modules of this package that register kinds of cases.
REGISTERING = ("generators", "discriminators", "stackgan", "texts", "dfgan", "encoders")


class _Named(dict):
    """A dict whose missing keys are an error that a person can act on."""

    def __init__(self, what: str, values: Mapping):
        super().__init__(values)
        self.what = what

    def __missing__(self, key: str):
        raise ConvertError(f"{self.what}: expected {key!r}, found {', '.join(sorted(self)[:8]) or 'none'}, ...")


@dataclass(frozen=True)
class Case:
    """One file, read: tensors by name and hyper-parameters ``hp``; floats in the precision of the replay."""

    tensors: Tensors
    hp: dict

    @classmethod
    def read(cls, path: str | os.PathLike, dtype: torch.dtype) -> Case:
        """Read a case.

        Raises:
            ConvertError: not a safetensors file, or one without hyper-parameters, without results, or with tensors that nothing looks at.
        """
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (SafetensorError, OSError) as error:
            raise ConvertError(f"{path}: expected a safetensors file, found {error}") from None
        if "hp" not in metadata:
            raise ConvertError(f"{path}: expected hyper-parameters under the metadata key 'hp', found {sorted(metadata) or 'none'}")
        try:
            hp = parse(metadata["hp"])
        except FileError as error:
            raise ConvertError(f"{path}: expected JSON under the metadata key 'hp', found {error}") from None
        if not isinstance(hp, dict):
            raise ConvertError(f"{path}: expected an object under the metadata key 'hp', found {hp!r}")
        unknown = sorted(name for name in tensors if not name.startswith(("weights/", "in/", "out/", "mid/")))
        if unknown:
            raise ConvertError(f"{path}: expected tensors under weights/, in/, out/ and mid/, found {', '.join(unknown[:5])}")
        if not any(name.startswith(("out/", "mid/")) for name in tensors):
            raise ConvertError(f"{path}: expected results under out/ or mid/ to compare with, found none")
        tensors = {name: _cast(value, dtype) for name, value in tensors.items()}
        return cls(_Named("tensors", tensors), _Named("hyper-parameters", hp))

    def __getitem__(self, name: str) -> Tensor:
        """The input ``in/<name>``."""
        return self.tensors[f"in/{name}"]

    def below(self, prefix: str) -> Tensors:
        """Every tensor under a prefix, by the rest of its name."""
        return {name[len(prefix) :]: value for name, value in self.tensors.items() if name.startswith(prefix)}

    def expected(self) -> Tensors:
        """What the replay has to reproduce: every ``out/`` and ``mid/`` tensor."""
        return {name: value for name, value in self.tensors.items() if name.startswith(("out/", "mid/"))}

    def real(self, size: int) -> Tensor:
        """Real pictures B 3 S S; converted in float32, as the published data are."""
        return to_float(self[f"real{size}_u8"]).to(self.dtype)

    def fake(self, size: int) -> Tensor:
        """The stand-in for generated pictures: real ones of the sample before, mirrored."""
        return self.real(size).roll(1, 0).flip(3)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the replay."""
        return next((value.dtype for value in self.tensors.values() if value.is_floating_point()), torch.float64)


def _cast(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.to(dtype) if value.is_floating_point() else value


# --- what the kinds share ---------------------------------------------------------------------------------------------


def load(case: Case, network: Network, prefix: str, table: KeyTable) -> Network:
    """The case's weights under ``prefix`` in one of our networks, in the precision of the replay.

    Raises:
        ConvertError: unknown or missing keys, or a shape mismatch.
    """
    return load_upstream(network.to(case.dtype), case.below(prefix), table)


def under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Each name with ``prefix/`` before it."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


def there(tensors: Mapping[str, Tensor | None]) -> Tensors:
    """Those that there are."""
    return {name: value for name, value in tensors.items() if value is not None}


def upstream_state(network: nn.Module, weights: Mapping[str, Tensor], table: KeyTable) -> Tensors:
    """A network's numbers under the upstream keys of ``weights``; what has no place in ours stays as it was."""
    state = network.state_dict()
    names = {key: table.ours(key) for key in weights}
    return {key: before if (ours := names[key]) is None else state[ours].clone() for key, before in weights.items()}


def upstream_gradients(network: nn.Module, weights: Mapping[str, Tensor], table: KeyTable) -> Tensors:
    """A network's gradients under the upstream keys of ``weights``; without those that have none."""
    grads = {name: parameter.grad for name, parameter in network.named_parameters()}
    found = {key: grads.get(ours) for key in weights if (ours := table.ours(key)) is not None}
    return {key: grad.clone() for key, grad in found.items() if grad is not None}


# --- kinds ------------------------------------------------------------------------------------------------------------

_KINDS: dict[tuple[str, str | None], Replay] = {}


def register_case(kind: str, *systems: str) -> Callable[[Replay], Replay]:
    """Register a function that replays cases of a kind, for some systems or, without names, for all that have no function of their own.

    Raises:
        ValueError: the kind is taken for that system.
    """

    def decorate(function: Replay) -> Replay:
        for system in systems or (None,):
            if (kind, system) in _KINDS:
                raise ValueError(f"cases of kind {kind!r} of {system or 'any system'} are replayed by {_KINDS[kind, system]} already")
            _KINDS[kind, system] = function
        return function

    return decorate


def find_replay(hp: Mapping) -> Replay:
    """The function for a case with these hyper-parameters.

    Raises:
        ConvertError: a kind or a system that nobody registered.
    """
    for module in REGISTERING:
        importlib.import_module(f"dmm.convert.{module}")
    kind, system = hp.get("kind"), hp.get("system")
    kinds = sorted({known for known, _ in _KINDS})
    if kind not in kinds:
        raise ConvertError(f"expected a case of kind {', '.join(kinds)}, found {kind!r}")
    function = _KINDS.get((kind, system)) or _KINDS.get((kind, None))
    if function is None:
        known = sorted(name for other, name in _KINDS if other == kind and name is not None)
        raise ConvertError(f"expected a {kind} case of a system of {', '.join(known)}, found {system!r}")
    return function


# --- comparison -------------------------------------------------------------------------------------------------------


def difference(found: Tensor | None, expected: Tensor) -> float:
    """Largest |found - expected| relative to max(1, largest finite |expected|); infinite for another shape, NaN or infinity."""
    if found is None or found.shape != expected.shape:
        return float("inf")
    found, expected = found.detach().double(), expected.double()
    if not len(expected.flatten()):
        return 0.0
    gap = torch.where(found == expected, torch.zeros_like(expected), (found - expected).abs())  # equal infinities agree
    gap = gap.nan_to_num(nan=float("inf"), posinf=float("inf"))
    finite = expected[expected.isfinite()].abs()
    return float(gap.max()) / max(1.0, float(finite.max()) if len(finite) else 0.0)


def _reduced(produced: Tensors, name: str) -> Tensor | None:
    """A produced tensor by its name in the file, sub-sampled or averaged as the name's ending says."""
    base, _, ending = name.rpartition("__")
    if name in produced or base not in produced:
        return produced.get(name)
    value = produced[base]
    return value[..., ::5, ::5] if ending == "s5" else value.mean((-2, -1)) if ending == "mean" else None


def replay(path: str | os.PathLike, dtype: torch.dtype = torch.float64) -> dict[str, float]:
    """Replay a case file and compare.

    Args:
        path: a ``.safetensors`` case.
        dtype: precision of the replay; the stored results are float64 results rounded to float32.

    Returns:
        for each ``out/`` and ``mid/`` tensor of the file its largest difference (see :func:`difference`).

    Raises:
        ConvertError: not a case, a kind or system that is not known, or weights and inputs that do not fit.
    """
    case = Case.read(path, dtype)
    try:
        produced = find_replay(case.hp)(case)
    except ConvertError as error:
        raise ConvertError(f"{path}: {error}") from None
    except (ArithmeticError, IndexError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ConvertError(f"{path}: inputs that do not fit each other or the hyper-parameters: {_first_line(error)}") from error
    return {name: difference(_reduced(produced, name), value) for name, value in case.expected().items()}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def tolerance(name: str, dtype: torch.dtype, step: bool = False) -> float:
    """How far a tensor may be off: 1e-6 in float64; in float32 3e-5, 1e-4 for gradients, and 4e-4 for weights after a step.

    The first step of Adam moves each weight by nearly the learning rate times the gradient's sign, so a float32 gradient at rounding
    level may turn a weight by twice the learning rate.
    """
    if dtype == torch.float64:
        return 1e-6
    if name.startswith("mid/grad"):
        return 1e-4
    return 4e-4 + 3e-5 if step and name.startswith(("out/G/", "out/D", "out/ema/", "out/Net")) else 3e-5
