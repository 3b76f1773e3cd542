"""The named endpoints of :mod:`explorer.api`, served by Gradio beside the page."""

from __future__ import annotations

import functools
import inspect

import gradio as gr

from explorer.api import NAMES, Endpoints
from explorer.questions import Refusal


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
    """A refusal reaches the client as its sentence."""

    @functools.wraps(function)
    def answer(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Refusal as refusal:
            raise gr.Error(str(refusal), print_exception=False) from refusal

    return answer
