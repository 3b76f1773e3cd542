"""One option, every surface: an :class:`~explorer.figures.registry.Option` as a command-line flag, a notebook widget or a page component.

A figure says its options once; nothing here knows a figure. Each surface hands raw values back to
:func:`explorer.figures.registry.check_options`, which alone decides on them.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from explorer.figures.registry import Option

PYTHON_TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "text": str, "captions": list[str]}


def flag(option: Option) -> inspect.Parameter:
    """A keyword-only parameter that Typer reads as ``--name``; captions are given once for each sentence."""
    if option.kind == "captions":
        declared = typer.Option(f"--{_dashed(option.name.removesuffix('s'))}", help=f"{option.help}; repeat the flag", show_default=False)
    else:
        low, high = (option.low, option.high) if option.kind in ("int", "float") else (None, None)
        declared = typer.Option(help=option.help, min=low, max=high)
    kind = Literal[option.choices] if option.kind == "choice" else PYTHON_TYPES[option.kind]
    default = list(option.default) if option.kind == "captions" else option.default
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
        kind = ipywidgets.BoundedIntText if _slides(option) is None else ipywidgets.IntSlider
        return kind(option.default, min=option.low, max=option.high, **common)
    if (ends := _slides(option)) is None:
        return ipywidgets.FloatText(option.default, **common)
    return ipywidgets.FloatSlider(option.default, min=option.low, max=option.high, step=_step(*ends), **common)


def component(option: Option):
    """A Gradio component whose value is the option's raw value."""
    import gradio  # heavy: only the page needs it

    label, info = _label(option), option.help
    if option.kind == "bool":
        return gradio.Checkbox(option.default, label=label, info=info)
    if option.kind == "choice":
        return gradio.Dropdown(list(option.choices), value=option.default, label=label, info=info)
    if option.kind == "text":
        return gradio.Textbox(option.default, lines=1, label=label, info=info)
    if option.kind == "captions":
        return gradio.Textbox("\n".join(option.default), lines=len(option.default), label=label, info=info)
    if (ends := _slides(option)) is not None:
        step = 1 if option.kind == "int" else _step(*ends)
        return gradio.Slider(*ends, value=option.default, step=step, label=label, info=info)
    low, high, precision = option.low, option.high, 0 if option.kind == "int" else None
    return gradio.Number(option.default, minimum=low, maximum=high, precision=precision, label=label, info=info)


def named(options: Sequence[Option], values: Sequence[Any]) -> dict[str, Any]:
    """Raw values in the options' order, by name."""
    return {option.name: value for option, value in zip(options, values, strict=True)}


def _label(option: Option) -> str:
    return option.name.replace("_", " ")


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _slides(option: Option) -> tuple[float, float] | None:
    """The ends of a slider, which fits a range of up to a hundred steps; None for a number that is typed, such as a seed."""
    if option.low is None or option.high is None or (option.kind != "float" and option.high - option.low > 100):
        return None
    return option.low, option.high


def _step(low: float, high: float) -> float:
    return (high - low) / 20
