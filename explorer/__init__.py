"""The visual explorer: what the memory wrote, where it was read, what it answered."""

from __future__ import annotations


def open(names="dmmgan-aviary", **options):
    """Open checkpoints for a notebook or a script; see :func:`explorer.notebook.open_models`.

    Args:
        names: a name under ``assets/checkpoints``, a folder, or several.
        options: of :class:`explorer.session.Session`.

    Returns:
        an :class:`explorer.notebook.Explorer`.
    """
    from explorer.notebook import open_models  # loads torch; importing the package does not

    return open_models(names, **options)
