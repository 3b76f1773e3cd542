"""Ctrl-C between steps: the first one waits until the step that is under way is whole, the second one leaves at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable


class Interrupts:
    """Within the context, a first SIGINT is noted in :attr:`asked`; a second one raises :class:`KeyboardInterrupt` wherever the program is.

    A step that is cut off would be saved half applied, and applied again when the run goes on. Outside the main thread, where Python
    takes no signals, nothing is changed.

    Args:
        say: receives what is done about the first one.
    """

    def __init__(self, say: Callable[[str], None] = print):
        self.say, self.asked = say, False

    def _note(self, number: int, frame) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self.say("stopping after this step; Ctrl-C again leaves at once, without saving it")

    def __enter__(self) -> Interrupts:
        self._taken = threading.current_thread() is threading.main_thread()
        if self._taken:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error) -> None:
        if self._taken:
            signal.signal(signal.SIGINT, self._before)
