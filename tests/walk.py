"""Which modules of this project a call walks through, noted by the interpreter's profiling hook."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Frames that stand for no step of their own: a decorator around a loss or a layer, and what a sum or a sort calls of its caller.
WRAPPER, PASSED = "dmm.fp32", ("<genexpr>", "<lambda>", "<listcomp>", "<dictcomp>", "<setcomp>")


class Walk:
    """What a function calls, as the modules that are entered; a module that waits for the caller's answer should not be."""

    def __init__(self, function, *arguments):
        self.entered: Counter[str] = Counter()  # "module.function" -> calls from another module
        self.returns: list[str] = []  # calls into a module that waits for the caller's answer
        self._waiting: list[str] = []
        sys.setprofile(self._note)
        try:
            function(*arguments)
        finally:
            sys.setprofile(None)

    def _note(self, frame, event: str, _argument) -> None:
        path = Path(frame.f_code.co_filename)
        if event not in ("call", "return") or not path.is_relative_to(ROOT) or path.relative_to(ROOT).parts[0] in ("tests", ".venv"):
            return
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if module == WRAPPER or frame.f_code.co_name in PASSED:
            return
        if event == "return":
            self._waiting.pop()
            return
        if not self._waiting or self._waiting[-1] != module:
            self.entered[f"{module}.{frame.f_code.co_name}"] += 1
            if module in self._waiting:
                self.returns.append(f"{self._waiting[-1]} -> {module}.{frame.f_code.co_name}")
        self._waiting.append(module)
