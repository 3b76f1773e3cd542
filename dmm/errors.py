"""What every error about input has in common, so that a command can tell it from a mistake in this program."""

from __future__ import annotations


class InputError(ValueError):
    """Input that cannot be used: a file, a setting or an argument. The message says which, what was expected and what was found."""
