"""What a model is and what it cannot do, as the page says it: from its registration, its words, and the card beside its weights."""

from __future__ import annotations

import os
import re

from dmm.checkpoint import CheckpointError, locate
from dmm.models.registry import find_model
from explorer.page_html import text

CARD = "README.md"
LIMITS = "**What it cannot do.**"
LONGEST = 1200  # characters of a paragraph of a card
TERMS = (
    ("memory slot", "what a word is written into for one refinement; places of the picture read it (Eq. 8)"),
    ("writing gate", "the share of the word that is written, 0 to 1; the rest is the picture so far (Eq. 7)"),
    ("key addressing", "at each place, with which probability each word's slot is read; all words share 1 (Eq. 4)"),
    ("1/T", "the probability if all T words of the caption were read alike"),
    ("response gate", "who answers at a place: the picture so far, the words, or the global memory (Eq. 9)"),
    ("global memory", "one slot, written from the whole sentence; its read is a softmax over channels, so that it has no map of places"),
    ("lift", "how much stronger a word's map is inside the part that the word speaks of than everywhere; 1 is chance"),
    ("memory share", "of the change that a word makes, the part that passes through the word memories"),
    ("STREAM", "a captioner that sees the picture alone and says what it shows"),
)
READ_ON = (
    "docs/explorer.md leads through this page; docs/experiments.md says how these models came about, docs/evaluation.md how they are "
    "measured, docs/results.md what came of it; notebooks/ is a course."
)


def about(pipe, name: str, source: str | os.PathLike) -> str:
    """The section above the pictures, closed at first.

    Args:
        pipe: a :class:`dmm.pipeline.Pipeline`.
        name: of the model, as the page has it.
        source: where it came from, a checkpoint's name or a folder.
    """
    entry = find_model(pipe.config.system)
    what, limits = _card(source)
    paragraphs = [f"{name} is of the kind {entry.name} ({entry.paper}), which adds {entry.adds}.", what]
    paragraphs.append(f"It knows {len(pipe.vocab.words)} words; all others are left out. {limits}")
    paragraphs.append("Equations are numbered as in DM-GAN (Zhu et al., CVPR 2019).")
    said = "".join(f"<p>{text(line)}</p>" for line in paragraphs if line)
    terms = "".join(f"<dt>{text(term)}</dt><dd>{text(meaning)}</dd>" for term, meaning in TERMS)
    return (
        f'<details class="ex-about" id="about"><summary>About {text(name)}, what it cannot do, and the terms</summary>{said}'
        f"<dl>{terms}</dl><p>{text(READ_ON)}</p></details>"
    )


def _card(source: str | os.PathLike) -> tuple[str, str]:
    """The first paragraph of the card beside a model's weights, and the one that says what it cannot do; empty where there is none."""
    try:
        lines = (locate(source).parent / CARD).read_text(encoding="utf-8")
    except (CheckpointError, OSError, UnicodeDecodeError):
        return "", ""
    found = [" ".join(paragraph.split()) for paragraph in lines.partition("\n## ")[0].split("\n\n")]
    what = next((one for one in found if one and not one.startswith(("#", "---", "**"))), "")
    limits = next((one.removeprefix(LIMITS).strip() for one in found if one.startswith(LIMITS)), "")
    return _plain(what), _plain(limits)


def _plain(markdown: str) -> str:
    """Markdown without its signs: links as their words."""
    return re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", markdown).replace("`", "").replace("**", "")[:LONGEST]
