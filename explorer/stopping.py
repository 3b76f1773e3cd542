"""Visitors who took a question back: what answers it asks at every step, and ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from explorer.questions import Refusal


class Stopped(Refusal):
    """The question was taken back."""


class Stops:
    """Whose questions are being answered, and which of these are to end. Safe to use from several threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken_back: dict[str, bool] = {}

    @contextmanager
    def answering(self, visitor: str) -> Iterator[None]:
        """While a visitor's question is answered."""
        with self._guard:
            self._taken_back[visitor] = False
        try:
            yield
        finally:
            with self._guard:
                self._taken_back.pop(visitor, None)

    def stop(self, visitor: str) -> None:
        """Take back what a visitor is being answered, if anything."""
        with self._guard:
            if visitor in self._taken_back:
                self._taken_back[visitor] = True

    def check(self, visitor: str) -> None:
        """Go on.

        Raises:
            Stopped: the visitor has taken the question back.
        """
        with self._guard:
            if self._taken_back.get(visitor):
                raise Stopped("Stopped; the picture is as it was.")
