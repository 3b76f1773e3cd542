"""The command line as pages: walks the commands of a Typer application and writes what their ``--help`` says."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import typer

EXAMPLE = re.compile(r"^Examples?: ", re.MULTILINE)
#: Annotations of parameters, in words.
KINDS = {"str": "text", "int": "whole number", "float": "number", "Path": "path", "bool": "yes or no"}


def page(app: typer.Typer, name: str) -> str:
    """All commands of an application: what each does, its usage, arguments and options."""
    return "\n".join(_lines(typer.main.get_command(app), name, 1)) + "\n"


def _lines(command, path: str, level: int) -> Iterator[str]:
    yield f"{'#' * min(level, 4)} {path}"
    yield ""
    yield from _about(command.help or "")
    usage = " ".join(command.collect_usage_pieces(typer.Context(command, info_name=path)))
    yield from ("```sh", f"{path} {usage}", "```", "")
    yield from _parameters(command)
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _lines(inner, f"{path} {name}", level + 1)


def _about(text: str) -> Iterator[str]:
    """Paragraphs; examples and indented lines are commands."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if EXAMPLE.match(paragraph) or paragraph.startswith("  "):
            yield from ("```sh", EXAMPLE.sub("", inspect.cleandoc(paragraph)), "```", "")
        else:
            yield from (paragraph, "")


def _parameters(command) -> Iterator[str]:
    """A table of arguments and options, ``--help`` left out."""
    rows = [parameter for parameter in command.params if parameter.name != "help" and not getattr(parameter, "hidden", False)]
    if rows:
        yield from ("| | takes | default | |", "|---|---|---|---|")
    for parameter in rows:
        names = ", ".join(f"`{name}`" for name in parameter.opts)
        yield f"| {names} | {_cell(_takes(parameter))} | {_cell(_default(parameter))} | {_cell(parameter.help or '')} |"
    if rows:
        yield ""


def _takes(parameter) -> str:
    """The kind of value, and its bounds; nothing for a flag."""
    if getattr(parameter, "is_flag", False):
        return ""
    kinds = [part for part in re.findall(r"\w+", str(parameter.type_descriptor.annotation)) if part in KINDS]
    low, high = getattr(parameter, "min", None), getattr(parameter, "max", None)
    bounds = [f"from {low}" if low is not None else "", f"to {high:,}" if high is not None else ""]
    several = "several" if "list" in str(parameter.type_descriptor.annotation) else ""
    return " ".join(text for text in (KINDS[kinds[-1]] if kinds else "", *bounds, several) if text)


def _default(parameter) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if value is None or value is False or value in ("", [], ()):
        return ""
    return f"`{', '.join(map(str, value)) if isinstance(value, (list, tuple)) else value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
