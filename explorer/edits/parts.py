"""The refinement stages of a system and their named parts, which edits attach hooks to."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from explorer.edits.records import EditError


def refinements(pipe) -> list[nn.Module]:
    """The refinement stages; none in a system that generates in one stage."""
    return list(getattr(pipe.generator, "refinements", []))


def stages_of(pipe, numbers: tuple[int, ...] | None) -> list[nn.Module]:
    """The refinement stages of these numbers, counted from 1; None = every one.

    Raises:
        EditError: there is no such stage.
    """
    every = refinements(pipe)
    if not every:
        raise EditError("this system generates in one stage: it has no refinement stages to edit")
    for number in numbers or ():
        if number > len(every):
            raise EditError(f"stages with a memory are 1 to {len(every)}, found {number}")
    return every if numbers is None else [every[number - 1] for number in numbers]


def module_of(stage: nn.Module, name: str) -> nn.Module:
    """The module of a stage that gives a quantity of :class:`dmm.trace.StageTrace`.

    Raises:
        EditError: the system has none.
    """
    module = getattr(stage, name, None)
    if module is None:
        raise EditError(f"this system has no {'key addressing: it reads no words' if name == 'addressing' else name.replace('_', ' ')}")
    return module


def change_output(module: nn.Module, change: Callable[[Tensor], Tensor]):
    """Change what a module returns; the handle of the hook."""
    return module.register_forward_hook(lambda _module, _inputs, output: change(output))
