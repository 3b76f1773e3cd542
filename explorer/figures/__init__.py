"""Figures of the papers and of training runs, each a pure function of what it shows. Importing this package registers them all."""

from explorer.figures import diversity, dmgan, effects, learning
from explorer.figures.registry import (
    Figure,
    FigureError,
    Option,
    Reference,
    Result,
    check_options,
    draw,
    get_figure,
    list_figures,
    register_figure,
    requests,
    wants_references,
)

__all__ = [
    "Figure",
    "FigureError",
    "Option",
    "Reference",
    "Result",
    "check_options",
    "diversity",
    "dmgan",
    "draw",
    "effects",
    "get_figure",
    "learning",
    "list_figures",
    "register_figure",
    "requests",
    "wants_references",
]
