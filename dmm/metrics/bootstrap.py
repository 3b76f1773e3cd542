"""How sure a figure is: 95 % intervals over the captions that were measured (Efron, 1979)."""

from __future__ import annotations

from collections.abc import Sequence

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


def jackknife_interval(figure: float, without: Sequence[float]) -> list[float]:
    """95 % normal interval around a figure, by the delete-a-group jackknife (Quenouille 1956, Tukey 1958).

    For figures such as the Fréchet distance, which grow when rows repeat, so that draws with replacement would lie beside the figure.

    Args:
        figure: of all rows.
        without: the figure of all rows but those of one group, for each of two or more groups of about equal size.
    """
    values = torch.tensor(without, dtype=torch.double)
    width = NORMAL * ((len(values) - 1) / len(values) * (values - values.mean()).square().sum()).sqrt().item()
    return [figure - width, figure + width]


def parts_interval(values: Sequence[float]) -> list[float] | None:
    """95 % normal interval of the mean of figures of disjoint parts; None for fewer than two."""
    if len(values) < 2:
        return None
    found = torch.tensor(values, dtype=torch.double)
    width = NORMAL * (found.std() / len(found) ** 0.5).item()
    return [found.mean().item() - width, found.mean().item() + width]
