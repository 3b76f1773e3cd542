"""The sum of a step's terms."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from functools import reduce

from torch import Tensor


def total(terms: Iterable[Tensor]) -> Tensor:
    """Terms, at least one, added in their order: unlike that of ``sum``, the result is a tensor, never the number 0."""
    return reduce(operator.add, terms)
