"""``python -m dmm.cli``: the command line, for launchers that start a module."""

from dmm.cli import app

app()
