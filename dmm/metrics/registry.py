"""Metrics by name: a metric is a function of what networks *read* from pictures, so that pictures are made once for all metrics.

A metric names the extractors it needs (:mod:`dmm.metrics.features`); :func:`dmm.metrics.evaluate` makes every picture once, shows it to
each extractor that any chosen metric asked for, and gives the features to the metrics.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dmm.config import ConfigError


@dataclass(frozen=True)
class Metric:
    """A registered metric."""

    name: str
    needs: tuple[str, ...]  # names of the extractors whose output it needs; "pipeline": it makes its own pictures
    compute: Callable  # Evaluation -> dict ready for JSON
    about: str  # one line for `dmm list`


_METRICS: dict[str, Metric] = {}


def register_metric(name: str, needs: Iterable[str]) -> Callable[[Callable], Callable]:
    """Register ``compute(evaluation) -> dict`` under ``name``; the first line of its docstring says what it measures.

    Raises:
        ValueError: the name is taken.
    """

    def add(compute: Callable) -> Callable:
        if name in _METRICS:
            raise ValueError(f"metric {name!r} is registered twice")
        _METRICS[name] = Metric(name, tuple(needs), compute, (compute.__doc__ or "").strip().splitlines()[0])
        return compute

    return add


def get_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        ConfigError: no such metric; the message names the nearest and all of them.
    """
    if name not in _METRICS:
        near = difflib.get_close_matches(name, _METRICS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"unknown metric {name!r}{hint} Known: {', '.join(list_metrics())}")
    return _METRICS[name]


def list_metrics() -> list[str]:
    """Names of all metrics, in alphabetical order."""
    return sorted(_METRICS)
