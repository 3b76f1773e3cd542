"""Interventions: change one named quantity while a caption is generated, and see what the picture owed to it.

Each edit is a small record, so that it can be listed, taken back, stored and sent (:mod:`explorer.interventions`). :func:`attached` applies
a list of them with ordinary forward hooks on the modules whose outputs carry the quantities, and removes the hooks again, whatever happens
in between::

    caption = "a red bird"
    with attached(pipe, Mute("red"), DropGlobal(), caption=caption) as edited:
        trace = pipe(edited, seed=3)

The Trace then holds what the network computed *with* the edits. Without edits nothing is attached, so the numbers are the very same.

A word reaches a picture on several pathways (:mod:`dmm.metrics.pathways`); :data:`PATHWAYS` names them, and an edit of a word says on which
of them it acts. Stages are numbered as in ``trace.stages``: stage 1 generates 128 px, stage 2 generates 256 px.
"""

from explorer.edits.hooks import attached
from explorer.edits.pathways import changes_reading
from explorer.edits.records import (
    LONGEST_WORD,
    NOISES,
    PATHS,
    PATHWAYS,
    SEEDS,
    ClampResponseGate,
    ClampWritingGate,
    DropGlobal,
    Edit,
    EditError,
    Exchange,
    FreezeNoise,
    Mute,
    UniformAddressing,
)
from explorer.edits.sentence import Sentence

__all__ = [
    "LONGEST_WORD", "NOISES", "PATHS", "PATHWAYS", "SEEDS", "ClampResponseGate", "ClampWritingGate", "DropGlobal", "Edit", "EditError",
    "Exchange", "FreezeNoise", "Mute", "Sentence", "UniformAddressing", "attached", "changes_reading",
]  # fmt: skip
