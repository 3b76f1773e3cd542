"""A GPU that is not there: tensors that say they are on another device, and refuse what a GPU refuses.

Each holds an ordinary tensor and computes with it, so numbers are those of the CPU, to the bit. What a GPU would refuse is refused:

* an operation on tensors of both devices, unless one is a lone number, an index, or what is copied from one to the other;
* random numbers for one device from a generator of the other;
* ``numpy`` and other views of memory that a CPU cannot see.

The device is the one that PyTorch keeps for backends of others ("privateuseone", here named "pretend"), written in Python. It stays
registered for the rest of the process, so use it in one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "pretend"
aten = torch.ops.aten
COPIES = {aten._to_copy, aten.copy_}
#: Operations on a tensor of either device that take an index from the CPU.
INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
#: Operations of which every result after the first stays on the CPU.
LENGTHS = {aten._pack_padded_sequence}


_CPU_GENERATOR = torch.Generator


class PretendGenerator(_CPU_GENERATOR):
    """Random numbers for either device, in the sequence of a CPU's; ``place`` says for which."""

    def __new__(cls, device: str | torch.device = "cpu") -> PretendGenerator:
        generator = super().__new__(cls, "cpu")
        generator.place = torch.device(device).type
        return generator


class _Module(backend_registration._DummyBackendModule):
    """What PyTorch asks of a backend's Python module."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    def get_rng_state(self, *device) -> torch.Tensor:
        return torch.get_rng_state()


class PretendTensor(torch.Tensor):
    """A tensor on the pretended device; ``held`` is where its numbers are."""

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> PretendTensor:
        return torch.Tensor._make_wrapper_subclass(
            cls, held.size(), held.stride(), held.storage_offset(), dtype=held.dtype, layout=held.layout, device=torch.device(NAME, 0)
        )

    def __init__(self, held: torch.Tensor):
        self.held = held

    def __repr__(self) -> str:
        return f"PretendTensor({self.held})"

    def __reduce_ex__(self, protocol: int) -> tuple:
        return self.held.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Dispatch(TorchDispatchMode):
    """Sends every operation to :func:`_run`, also those that make tensors."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class _Function(TorchFunctionMode):
    """Refuses random numbers from the wrong generator; below this level generators have lost their class."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        generator = kwargs.get("generator")
        if generator is not None:
            place = kwargs.get("device") or next((a.device for a in args if isinstance(a, torch.Tensor)), "cpu")
            if torch.device(place).type != getattr(generator, "place", "cpu"):
                raise RuntimeError(f"{func}: numbers for {place} from a generator of {getattr(generator, 'place', 'cpu')}")
        if func is torch.Tensor.tolist:
            return func(args[0].cpu())
        if func is torch.Tensor.__getitem__:  # lists become tensors beneath the level that is replaced here
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            args = (args[0], tuple(torch.tensor(i) if isinstance(i, list) else i for i in index))
        return func(*args, **kwargs)


def _held(value):
    return value.held if isinstance(value, PretendTensor) else value


def _lstm_cell(input_gates, hidden_gates, cell, input_bias=None, hidden_bias=None):
    """One step of an LSTM, which GPUs do in one go: the next hidden and cell state, B H each, and the gates, B 4H."""
    gates = input_gates + hidden_gates + (0 if input_bias is None else input_bias + hidden_bias)
    enter, forget, candidate, leave = gates.chunk(4, 1)
    enter, forget, candidate, leave = enter.sigmoid(), forget.sigmoid(), candidate.tanh(), leave.sigmoid()
    following = forget * cell + enter * candidate
    return leave * following.tanh(), following, torch.cat((enter, forget, candidate, leave), 1)


def _lstm_cell_backward(hidden_gradient, cell_gradient, cell, following, gates, has_bias):
    """The gradients of the gates, B 4H, of the cell before, B H, and of the biases, 4H."""
    enter, forget, candidate, leave = gates.chunk(4, 1)
    bent = following.tanh()
    hidden_gradient = torch.zeros_like(cell) if hidden_gradient is None else hidden_gradient
    onto = hidden_gradient * leave * (1 - bent * bent) + (0 if cell_gradient is None else cell_gradient)
    parts = (onto * candidate * enter * (1 - enter), onto * cell * forget * (1 - forget), onto * enter * (1 - candidate * candidate))
    gradient = torch.cat((*parts, hidden_gradient * bent * leave * (1 - leave)), 1)
    return gradient, onto * forget, gradient.sum(0) if has_bias else None


#: Operations that only GPUs have.
FUSED = {aten._thnn_fused_lstm_cell: _lstm_cell, aten._thnn_fused_lstm_cell_backward_impl: _lstm_cell_backward}


def _check(func, tensors: list[torch.Tensor], onto: bool) -> None:
    """Refuse what a GPU would."""
    strangers = [t for t in tensors if isinstance(t, PretendTensor) != onto and t.ndim > 0]
    if func.overloadpacket in INDEXED and isinstance(tensors[0], PretendTensor):
        strangers = [t for t in strangers if t.is_floating_point()]
    if strangers and func.overloadpacket not in COPIES | LENGTHS:
        raise RuntimeError(f"{func}: expected all tensors on one device, found {[(str(t.device), tuple(t.shape)) for t in tensors]}")


def _run(func, args: tuple, kwargs: dict):
    """Do what is asked with the tensors held, on whichever device the result belongs."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    device = kwargs.get("device")
    here = any(isinstance(t, PretendTensor) for t in tensors)
    onto = torch.device(device).type == NAME if device is not None else here
    _check(func, tensors, onto)
    inner = {**kwargs, "device": torch.device("cpu")} if device is not None else kwargs
    result = FUSED.get(func.overloadpacket, func)(*tree_map(_held, args), **tree_map(_held, inner))
    if not onto:
        return result
    if func.overloadpacket in LENGTHS:
        return (PretendTensor(result[0]), *result[1:])
    wrapped = tree_map(lambda value: PretendTensor(value) if isinstance(value, torch.Tensor) else value, result)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if here else wrapped


@contextmanager
def pretended() -> Iterator[torch.device]:
    """The device, for as long as the block lasts."""
    if torch._C._get_privateuse1_backend_name() != NAME:
        backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    torch.Generator = PretendGenerator
    try:
        with _Dispatch(), _Function(), torch.autograd.set_multithreading_enabled(False):
            yield torch.device(NAME, 0)
    finally:
        torch.Generator = _CPU_GENERATOR
