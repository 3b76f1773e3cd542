"""Figures of the papers and of training runs, each a pure function of traces. Importing this package registers them all."""

from explorer.figures import dmgan, learning
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
    "learning",
    "list_figures",
    "register_figure",
    "requests",
]
