"""One option, every surface: an :class:`~explorer.figures.registry.Option` as a command-line flag, a notebook widget or a page component.

A figure says its options once; nothing here knows a figure. Each surface hands raw values back to
:func:`explorer.figures.registry.check_options`, which is the only judge of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from explorer.figures.registry import Option

PYTHON_TYPES = {"int": int, "float": float, "bool": bool, "text": str, "captions": list[str]}


def flag(option: Option) -> inspect.Parameter:
    """A keyword-only parameter that Typer reads as ``--name``; captions are given once for each sentence."""
    limits = {"min": option.low, "max": option.high} if option.kind in ("int", "float") else {}
    if option.kind == "captions":
        declared = typer.Option(f"--{_dashed(option.name.removesuffix('s'))}", help=f"{option.help}; repeat the flag", show_default=False)
        kind, default = list[str], list(option.default)
    else:
        declared = typer.Option(help=option.help, **limits)
        kind = Literal[option.choices] if option.kind == "choice" else PYTHON_TYPES[option.kind]
        default = option.default
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, declared])


def widget(option: Option):
    """An ipywidget whose ``value`` is the option's raw value."""
    import ipywidgets  # an extra: only notebooks need it

    common = {"description": _label(option), "tooltip": option.help, "style": {"description_width": "8em"}}
    wide = ipywidgets.Layout(width="40em")
    if option.kind == "bool":
        return ipywidgets.Checkbox(value=option.default, **common)
    if option.kind == "choice":
        return ipywidgets.Dropdown(options=option.choices, value=option.default, **common)
    if option.kind == "text":
        return ipywidgets.Text(value=option.default, layout=wide, **common)
    if option.kind == "captions":
        return ipywidgets.Textarea(value="\n".join(option.default), rows=len(option.default) + 1, layout=wide, **common)
    if option.kind == "int":
        if _slides(option):
            return ipywidgets.IntSlider(option.default, min=option.low, max=option.high, **common)
        return ipywidgets.BoundedIntText(option.default, min=option.low, max=option.high, **common)
    return ipywidgets.FloatSlider(option.default, min=option.low, max=option.high, step=_step(option), **common)


def component(option: Option):
    """A Gradio component whose value is the option's raw value."""
    import gradio  # heavy: only the page needs it

    common = {"label": _label(option), "info": option.help}
    if option.kind == "bool":
        return gradio.Checkbox(option.default, **common)
    if option.kind == "choice":
        return gradio.Dropdown(list(option.choices), value=option.default, **common)
    if option.kind == "text":
        return gradio.Textbox(option.default, lines=1, **common)
    if option.kind == "captions":
        return gradio.Textbox("\n".join(option.default), lines=len(option.default), **common)
    if _slides(option):
        step = 1 if option.kind == "int" else _step(option)
        return gradio.Slider(option.low, option.high, value=option.default, step=step, **common)
    return gradio.Number(option.default, minimum=option.low, maximum=option.high, precision=0 if option.kind == "int" else None, **common)


def named(options: Sequence[Option], values: Sequence[Any]) -> dict[str, Any]:
    """Raw values in the options' order, by name."""
    return {option.name: value for option, value in zip(options, values, strict=True)}


def _label(option: Option) -> str:
    return option.name.replace("_", " ")


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _slides(option: Option) -> bool:
    """A slider fits a range of up to a hundred steps; a seed is typed."""
    return option.low is not None and option.high is not None and (option.kind == "float" or option.high - option.low <= 100)


def _step(option: Option) -> float:
    return (option.high - option.low) / 20
