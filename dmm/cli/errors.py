"""What a command says when it cannot go on: one line, and exit code 1 for work that failed, 2 for input that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import typer


def readable(command: Callable) -> Callable:
    """Turn errors that a person can mend into one line and an exit code."""

    @wraps(command)
    def wrapped(*args, **kwargs):
        from dmm.data.prepared import BrokenPicture
        from dmm.training.checkpoints import RunFailed, TrainingError

        try:
            return command(*args, **kwargs)
        except (BrokenPicture, RunFailed) as error:
            hint = "\nMend or remove it, or go on without it: --broken skip" if isinstance(error, BrokenPicture) else ""
            typer.echo(f"dmm: {error}{hint}", err=True)
            raise typer.Exit(1) from error
        except (TrainingError, ValueError, OSError) as error:  # what config, checkpoint, caption and data cannot use are ValueErrors
            typer.echo(f"dmm: {error}", err=True)
            raise typer.Exit(2) from error

    return wrapped
