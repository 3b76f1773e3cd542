"""A command run in a child process under declared limits of memory, CPU time and file size."""

from __future__ import annotations

import functools
import json
import os
import resource
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import typer
from typer.testing import CliRunner

from dmm.training import checkpoints  # noqa: F401 - every command imports it, once here rather than in every child

MEMORY = 200 << 20  # bytes beyond what the process has already; the most that a command takes is 174 MB, for a pickle of memos
SECONDS = 2  # of CPU time; what is imported already is not counted


class Outcome(NamedTuple):
    """How a command ended."""

    code: int  # its exit code; -9 and the like: killed by that signal
    said: str  # stdout and stderr
    error: str  # a traceback that nobody turned into a message, or nothing


def run(app, arguments: list[str], memory: int = MEMORY, seconds: int = SECONDS) -> Outcome:
    """A Typer command, with its arguments, in a child process of its own."""

    _load_parser()

    def command() -> Outcome:
        result = CliRunner().invoke(app, arguments)
        odd = result.exception if not isinstance(result.exception, SystemExit) else None
        lines = "".join(traceback.format_exception(odd)[-6:]) if odd else ""
        return Outcome(result.exit_code, result.output, lines)

    return limited(command, memory, seconds)


@functools.cache
def _load_parser() -> None:
    """Typer imports its parser when it is first used: once here, rather than in every child."""
    app = typer.Typer()
    app.command()(_nothing)
    CliRunner().invoke(app, ["1"], catch_exceptions=False)


def _nothing(number: int) -> None:
    """A command with an argument."""


def limited(function: Callable[[], Outcome], memory: int = MEMORY, seconds: int = SECONDS, file_size: int | None = None) -> Outcome:
    """What a function returns when it runs in a child process under limits."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _limit(memory, seconds, file_size)
        try:
            outcome = function()
        except BaseException as error:  # whatever it is, the parent has to hear of it
            outcome = Outcome(99, "", "".join(traceback.format_exception(error)[-6:]))
        with os.fdopen(writer, "w") as pipe:
            pipe.write(json.dumps(outcome))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return Outcome(*json.loads(said)) if said else Outcome(-os.WTERMSIG(status), "", "the process was ended by a limit or a signal")


def _limit(memory: int, seconds: int, file_size: int | None) -> None:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
    most = int(spent.ru_utime + spent.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, most))
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}
