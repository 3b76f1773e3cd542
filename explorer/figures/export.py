"""A result on disk: PNG, PDF, SVG, and its numbers as CSV. Each file is written whole or not at all; equal figures give equal files.

The pictures carry a description of what is shown, made from the rows, for readers who cannot see them.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib

from dmm.images import write_atomic
from explorer.figures.registry import FigureError, Result
from explorer.figures.style import RC

FORMATS = ("png", "pdf", "svg", "csv")
DPI = 300  # of the PNG, and of pictures inside PDF and SVG


def render(result: Result, kind: str) -> bytes:
    """The result in one format.

    Raises:
        FigureError: a format that is none of :data:`FORMATS`.
    """
    if kind not in FORMATS:
        raise FigureError(f"format {kind!r} is none of {', '.join(FORMATS)}")
    if kind == "csv":
        return _csv(result.rows).encode()
    said = result.alt
    no_clock = {
        "png": {"Software": None, "Description": said},
        "pdf": {"CreationDate": None, "Subject": said},
        "svg": {"Date": None, "Description": said},
    }[kind]
    buffer = io.BytesIO()
    with matplotlib.rc_context(RC):
        result.figure.savefig(buffer, format=kind, dpi=DPI, metadata=no_clock)
    return buffer.getvalue()


def export(result: Result, directory: str | os.PathLike, name: str, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Write ``directory/name.png`` and so on; returns the paths.

    Raises:
        FigureError: an unknown format; then nothing is written.
    """
    files = {Path(directory) / f"{name}.{kind}": render(result, kind) for kind in formats}
    for path, data in files.items():
        write_atomic(path, data)
    return list(files)


def _csv(rows: list[dict]) -> str:
    if not rows:
        return ""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
