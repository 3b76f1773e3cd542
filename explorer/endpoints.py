"""The named endpoints of :mod:`explorer.api`, served by Gradio beside the page."""

from __future__ import annotations

import functools
import inspect
import types
import typing

import gradio as gr

from dmm.files import FileError, Flag, List, Number, Optional, Table, Text, Whole, check
from explorer.api import NAMES, Endpoints
from explorer.questions import Refusal

#: What an argument of a type has to be; a picture is the longest text.
SCHEMAS = {str: Text(1 << 21), int: Whole(), float: Number(), bool: Flag(), dict: Table()}
OWN = {"seed", "other_seed", "edits"}  # arguments that are read by a function of their own, from text too


def register(answers: Endpoints, concurrency_id: str) -> None:
    """Add every endpoint to the app that is being built; they take turns with the page's own requests.

    Args:
        answers: of what is open.
        concurrency_id: of the networks' queue.
    """
    for name in NAMES:
        function = getattr(answers, name)
        about = inspect.getdoc(function)
        gr.api(_refusing(function), api_name=name, api_description=about, concurrency_id=concurrency_id, concurrency_limit=1)


def _refusing(function):
    """A refusal reaches the client as its sentence; one is that an argument is not of its type."""
    signature = inspect.signature(function)
    schemas = {name: _schema(kind) for name, kind in typing.get_type_hints(function).items() if name not in OWN | {"return"}}

    @functools.wraps(function)
    def answer(*args, **kwargs):
        try:
            for name, value in signature.bind(*args, **kwargs).arguments.items():
                if name in schemas:
                    check(value, schemas[name], name)
            return function(*args, **kwargs)
        except (Refusal, FileError) as refusal:
            raise gr.Error(str(refusal), print_exception=False) from refusal

    return answer


def _schema(kind: object) -> object:
    """What a value of an annotated type has to be."""
    inside = typing.get_args(kind)
    if isinstance(kind, types.UnionType):  # with None
        return Optional(_schema(inside[0]))
    return List(_schema(inside[0])) if typing.get_origin(kind) is list else SCHEMAS[kind]  # type: ignore[index]  # a class
