"""What every record of figures holds: which weights, and figures without digits that mean nothing."""

from __future__ import annotations

import hashlib

from torch import nn


def digest(network: nn.Module) -> str:
    """The first 16 digits of the SHA-256 of all weights, as they are in memory, in their order."""
    found = hashlib.sha256()
    for value in network.state_dict().values():
        found.update(value.cpu().numpy().tobytes())
    return found.hexdigest()[:16]


def rounded(value):
    """Four decimals of every figure in nested dicts and lists: more than N allows to tell apart."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
