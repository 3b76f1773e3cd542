"""What needs 32 bits gets them, whatever the networks around it compute in.

Under autocast, maps and features come in 16 bits: bf16 keeps 8 of a number's digits, fp16 has none below 6e-8 and none above 65,504. That
does for convolutions. It does not for a cosine with an epsilon of 1e-8, a sum over a vocabulary, a singular value that divides every
weight, or a state that a recurrent network passes on forty times.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_SHORT = (torch.float16, torch.bfloat16)


def to_fp32(value):
    """A 16-bit tensor, or a list or tuple with some, in fp32; anything else as it is."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in _SHORT else value
    return type(value)(map(to_fp32, value)) if type(value) in (list, tuple) else value


def in_fp32(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Call ``function`` outside autocast, with its 16-bit arguments widened; without autocast nothing changes."""

    @wraps(function)
    def wrapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        places = [place for place in ("cuda", "cpu") if torch.is_autocast_enabled(place)]
        if not places:
            return function(*args, **kwargs)
        with ExitStack() as stack:
            for place in places:
                stack.enter_context(torch.autocast(place, enabled=False))
            return function(*map(to_fp32, args), **{name: to_fp32(value) for name, value in kwargs.items()})

    return wrapped
