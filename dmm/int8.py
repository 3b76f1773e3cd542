"""Weights stored in 8 bits: half the space of fp16, for models that lie in a repository.

Absolute-maximum quantisation: of each row of a matrix, or filter of a convolution, w = s q with q a whole number in -127 to 127 and s the
row's largest magnitude over 127, so that no weight is off by more than s / 2. Biases, scales and statistics of norms, and small
tensors stay in fp16. It is a form of storage only: a file is read into fp32 and computed with as any other.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = ":scale"  # what the name of a tensor's scales adds to its own; no parameter has a colon in its name
LEVELS = 127
WORTH_QUANTISING = 4096  # numbers from which a matrix is stored in 8 bits


def quantise(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Large matrices and filters as int8 with an fp32 scale a row (``<name>:scale``), other floats as fp16, the rest as it is.

    Args:
        tensors: finite; N ... of a matrix or filters, N rows.
    """
    stored: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if value.is_floating_point() and value.dim() > 1 and value.numel() >= WORTH_QUANTISING:
            rows = value.float().flatten(1)  # N M
            scale = rows.abs().amax(1) / LEVELS  # N
            stored[name] = (rows / scale.clamp(min=torch.finfo().tiny)[:, None]).round().to(torch.int8).view_as(value)
            stored[name + SCALE] = scale
        else:
            stored[name] = value.half() if value.dtype == torch.float32 else value
    return stored


def dequantise(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of :func:`quantise`, up to rounding, in fp32; tensors without scales are handed on.

    Raises:
        ValueError: scales of a tensor that is not there, is not int8, or has another number of rows.
    """
    values = {name: value for name, value in tensors.items() if not name.endswith(SCALE)}
    for name in tensors.keys() - values.keys():
        own, scale = name.removesuffix(SCALE), tensors[name]
        stored = values.get(own)
        if (
            stored is None
            or stored.dtype != torch.int8
            or stored.dim() < 2
            or scale.shape != stored.shape[:1]
            or scale.dtype != torch.float32
        ):
            raise ValueError(f"{name[:100]!r}: expected one fp32 scale for each row of an int8 tensor")
        values[own] = (stored.flatten(1).float() * scale[:, None]).view_as(stored)
    return values
