"""How sure a figure is: 95 % intervals over the captions that were measured (Efron, 1979)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

DRAWS = 1000
MOST = 4_000_000  # row numbers that are drawn at once
NORMAL = 1.96  # standard deviations that 95 % of a normal distribution lie within


def ratio_interval(part: Tensor, whole: Tensor, draws: int = DRAWS) -> list[float] | None:
    """95 % percentile interval of sum(part) / sum(whole), over rows drawn with replacement.

    Args:
        part: N, what each row has of the numerator.
        whole: N, of the denominator; ones for a mean.
        draws: of N rows each.

    Returns:
        the 2.5 % and 97.5 % quantiles; None where the denominator is 0.
    """
    if not whole.sum():
        return None
    rng, count, found = torch.Generator().manual_seed(0), len(whole), []
    part, whole = part.double(), whole.double()
    for start in range(0, draws, max(1, MOST // count)):
        rows = torch.randint(count, (min(max(1, MOST // count), draws - start), count), generator=rng)
        found.append(part[rows].sum(1) / whole[rows].sum(1).clamp(min=1))
    return torch.cat(found).quantile(torch.tensor([0.025, 0.975], dtype=torch.double)).tolist()


def spread_interval(figure: float, again: Callable[[Sequence[Tensor]], float], counts: Sequence[int], draws: int = 100) -> list[float]:
    """95 % interval around a figure of sets of rows, as wide as the deviation of the figure over sets drawn with replacement.

    For figures such as the Fréchet distance, which grow when rows repeat: the percentiles of the draws would lie beside the figure.

    Args:
        figure: of all rows.
        again: the figure of some rows, one tensor of row numbers for each set.
        counts: rows of each set.
        draws: how many.
    """
    rng = torch.Generator().manual_seed(0)
    values = [again([torch.randint(count, (count,), generator=rng) for count in counts]) for _ in range(draws)]
    width = NORMAL * torch.tensor(values, dtype=torch.double).std().item()
    return [figure - width, figure + width]


def parts_interval(values: Sequence[float]) -> list[float] | None:
    """95 % normal interval of the mean of figures of disjoint parts; None for fewer than two."""
    if len(values) < 2:
        return None
    found = torch.tensor(values, dtype=torch.double)
    width = NORMAL * (found.std() / len(found) ** 0.5).item()
    return [found.mean().item() - width, found.mean().item() + width]
