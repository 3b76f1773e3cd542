"""What a command says when it cannot go on: one line, and exit code 1 for work that failed, 2 for input that cannot be used.

Only the project's own errors and those of the operating system are about something that the user can mend; any other is a mistake in this
program, and keeps its traceback.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, get_type_hints

import typer

Traceback = Annotated[bool, typer.Option("--traceback", help="Of an error, also show where in the code it arose.")]


def readable(command: Callable) -> Callable:
    """Turn errors that a person can mend into one line and an exit code; add ``--traceback``, which shows them whole."""

    @wraps(command)
    def wrapped(*args, traceback: bool = False, **kwargs):
        from dmm.data.prepared import BrokenPicture
        from dmm.errors import InputError
        from dmm.training.checkpoints import RunFailed, TrainingError

        if traceback:
            return command(*args, **kwargs)
        try:
            return command(*args, **kwargs)
        except BrokenPipeError:  # whoever read the output has gone, as `| head` does: click ends quietly
            raise
        except (BrokenPicture, RunFailed) as error:
            hint = "\nMend or remove it, or go on without it: --broken skip" if isinstance(error, BrokenPicture) else ""
            typer.echo(f"dmm: {error}{hint}", err=True)
            raise typer.Exit(1) from error
        except (TrainingError, InputError, OSError) as error:
            typer.echo(f"dmm: {error}", err=True)
            raise typer.Exit(2) from error

    hints = get_type_hints(command, include_extras=True) | {"traceback": Traceback}
    own = [parameter.replace(annotation=hints[name]) for name, parameter in inspect.signature(command).parameters.items()]
    extra = inspect.Parameter("traceback", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Traceback)
    wrapped.__signature__ = inspect.Signature([*own, extra])  # type: ignore[attr-defined]  # any function may have one
    wrapped.__annotations__ = hints
    return wrapped
