"""Errors about input are one line; mistakes of the program keep their traceback; ``--traceback`` shows everything."""

from __future__ import annotations

import errno

import typer
from typer.testing import CliRunner

from dmm.cli.errors import readable
from dmm.convert.keys import ConvertError
from dmm.data.prepared import BrokenPicture
from dmm.errors import InputError
from dmm.training.checkpoints import RunFailed, TrainingError


def outcome(error: Exception, *options: str):
    """What a command that raises ``error`` ends with."""
    app = typer.Typer()

    @app.command()
    @readable
    def fail(name: str = "x") -> None:
        raise error

    return CliRunner().invoke(app, list(options))


def test_input_that_cannot_be_used_is_one_line_and_exit_code_2():
    for error in (InputError("seed: expected"), ConvertError("a key"), TrainingError("a run"), FileNotFoundError("no file")):
        result = outcome(error)
        assert result.exit_code == 2 and result.output == f"dmm: {error}\n" and isinstance(result.exception, SystemExit)


def test_work_that_failed_is_exit_code_1():
    for error in (RunFailed("not finite"), BrokenPicture("a.png")):
        result = outcome(error)
        assert result.exit_code == 1 and result.output.startswith(f"dmm: {error}\n")


def test_a_mistake_of_the_program_keeps_its_traceback():
    for error in (ValueError("a shape"), TypeError("None"), KeyError("x"), RuntimeError("size mismatch")):
        result = outcome(error)
        assert result.exception is error and "dmm:" not in result.output


def test_traceback_shows_errors_about_input_too():
    error = InputError("seed: expected")
    assert outcome(error, "--traceback").exception is error


def test_a_reader_who_leaves_early_is_no_error():
    result = outcome(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert (result.exit_code, result.output) == (1, "")
