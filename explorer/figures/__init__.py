"""Figures of the papers, each a pure function of traces. Importing this package registers them all."""

from explorer.figures import dmgan
from explorer.figures.registry import (
    Figure,
    FigureError,
    Option,
    Result,
    check_options,
    draw,
    get_figure,
    list_figures,
    register_figure,
    requests,
)

__all__ = [
    "Figure",
    "FigureError",
    "Option",
    "Result",
    "check_options",
    "dmgan",
    "draw",
    "get_figure",
    "list_figures",
    "register_figure",
    "requests",
]
