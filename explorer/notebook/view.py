"""One generated caption, and what can be asked of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dmm.images import write_atomic
from dmm.trace import Trace
from explorer import cells, overlay, readings, statistics
from explorer.edits import (
    Edit,
    EditError,
)
from explorer.gate_changes import gate_changes
from explorer.interventions import describe
from explorer.notebook.shown import Shown, read_back
from explorer.questions import Question
from explorer.regions import read_region

if TYPE_CHECKING:
    from explorer.notebook.models import Explorer


class View:
    """One generated caption, and what can be asked of it. ``trace`` holds the numbers.

    Args:
        explorer: whose models and store are used.
        caption: as given.
        seed: of the noise.
        model: name; None for the first.
        edits: under which it is generated.
    """

    def __init__(self, explorer: Explorer, caption: str, seed: int, model: str | None, edits: Sequence[Edit] = ()):
        self.explorer, self.caption, self.seed = explorer, caption, seed
        self.model = explorer.models[0] if model is None else model
        self.edits = tuple(edits)
        self.trace: Trace = explorer.session.trace(self.model, caption, seed, self.edits)

    # -- questions

    def words(self, k: int = 5, by: str | None = None, region: statistics.Region | None = None, stop_words: bool = True) -> Shown:
        """The ``k`` words with the largest numbers at every stage that reads words.

        Args:
            k: how many.
            by: key of :data:`explorer.statistics.QUANTITIES`; by default the writing gate, or what the system has.
            region: where a map is averaged; the writing gate has no places.
            stop_words: whether :data:`explorer.statistics.SMALL_WORDS`, such as "a" and "with", are among them.

        Raises:
            MissingQuantity: no stage has the quantity.
        """
        shown, rows = [], []
        for stage in range(len(self.trace.stages)):
            quantity = by or next((name for name in statistics.QUANTITIES if statistics.has(self.trace, stage, name)), None)
            if quantity is None or not statistics.has(self.trace, stage, quantity):
                continue
            size = self._size(stage)
            ranked = statistics.top_words(self.trace, stage, quantity, len(self.trace.tokens()), region)
            top = [chip for chip in ranked if stop_words or chip.word not in statistics.SMALL_WORDS][:k]
            label = statistics.QUANTITIES[quantity].label
            rows += [{"stage": f"{size} px", "rank": c.rank, "word": c.word, label: c.value} for c in top]
            shown.append(cells.paragraph(f"For {size} px, by {label}") + cells.chips(top, quantity, statistics.uniform(self.trace)))
            note = statistics.QUANTITIES[quantity].note
        if not shown:
            raise statistics.MissingQuantity(f"no stage of {self.model} has {by or 'a number for each word'}")
        return Shown(f"Words of “{self.trace.caption()}”", rows, "".join(shown) + cells.paragraph(note))

    def show(self, word: str | int, stage: int | None = None) -> Shown:
        """Where a word, or several together, are read: the map over the pictures.

        Args:
            word: a word (its first occurrence; "red (2)" is its second), several that follow each other ("yellow crown"), or a position on
                the T axis.
            stage: position in ``trace.stages``, -1 for the last; None for every stage that reads words.

        Raises:
            EditError: the word is not in the caption.
            IndexError: no such stage.
            MissingQuantity: the stage reads no words.
        """
        indices = self._indices(word)
        reading = [k for k in range(len(self.trace.stages)) if statistics.maps_of(self.trace, k)]
        stages = reading if stage is None else [self._stage(stage)]
        if not reading or any(k not in reading for k in stages):
            raise statistics.MissingQuantity(f"{self.model} reads words at stages {reading or 'none'}, found {stages}")
        rows, html = [], ""
        for k in stages:
            quantity = statistics.required_maps(self.trace, k)
            values = statistics.phrase_map(self.trace, k, indices, quantity)
            rows.append({"stage": f"{self._size(k)} px", "mean": float(values.mean()), "max": float(values.max())})
            html += cells.word_row(self.trace, k, indices, quantity)
        note = statistics.QUANTITIES[quantity].note
        measured = self.explorer.session.reliability(self.model)
        for size in dict.fromkeys(self._size(k) for k in stages):
            note += f" In this model, at {size} px, {measured[size].verdict} (lift {measured[size].lift:.1f})." if size in measured else ""
        return Shown(f"Where “{cells.called(self.trace, indices)}” is read", rows, html + cells.paragraph(note))

    def similarity(self, of: str = "memory", stage: int = -1) -> Shown:
        """How alike the words are in the memory: the cosine of their slots, keys or values, a row and a column a word.

        Args:
            of: "memory" (the slots), "key" or "value".
            stage: position in ``trace.stages``, -1 for the last.

        Raises:
            IndexError: no such stage.
            MissingQuantity: the stage has no memory of words.
            ValueError: another ``of``.
        """
        stage = self._stage(stage)
        values, names = statistics.similarity(self.trace, stage, of), list(statistics.names(self.trace).values())
        rows = [
            {"word": name} | {other: float(x) for other, x in zip(names, row, strict=True)} for name, row in zip(names, values, strict=True)
        ]
        title = f"Cosine of every two words' {statistics.IN_MEMORY[of]}s, {self._size(stage)} px"
        return Shown(title, rows, cells.table(rows, title))

    def region(self, region: statistics.Region, stage: int = -1, k: int = 5) -> Shown:
        """Which words a region reads most, and who answers there.

        Args:
            region: y0 x0 y1 x1 as shares of the side.
            stage: position in ``trace.stages``, -1 for the last.
            k: how many words.

        Raises:
            IndexError: no such stage.
            MissingQuantity: the stage reads no words.
            ValueError: a region outside the picture.
        """
        stage = self._stage(stage)
        read = read_region(self.trace, stage, region)
        rows = [{"word": w.word, "read here": w.inside, "everywhere": w.everywhere, "times": w.lift} for w in read.words[:k]]
        html = cells.table(rows, f"{statistics.QUANTITIES[read.quantity].label} in the region, {self._size(stage)} px")
        if read.inside is None or read.everywhere is None:
            html += cells.paragraph("This system has no response gate.")
        else:
            answers = [{"answered by": p, "here": share, "everywhere": read.everywhere[p]} for p, share in read.inside.items()]
            rows += answers
            html += cells.table(answers, "response gate (DM-GAN, Eq. 9)")
        return Shown(f"Region {region}", rows, html)

    def effects(self, word: str | int | None = None, new: str | None = None) -> Shown:
        """How a word reached the picture: exchanged for ``new``, else for another of its kind or muted, on one pathway at a time.

        Without a word: the same for every word of the caption, in numbers.

        Raises:
            EditError: the word is not in the caption, or is its only one; edits that take a word from one pathway alone are on.
        """
        session = self.explorer.session
        found = session.effects(self.model, self.caption, self.seed, None if word is None else {word: new}, self.edits)
        names = {name: overlay.PATHWAYS[name][0] for name in found.pathways}
        rows = [
            {"word": one.word, "read instead": one.other or "–"} | {names[name]: one.changes[name] / 2 for name in names}
            for one in found.words
        ]
        line = "Mean absolute change of the last picture, as a share of the full range. The pathways need not add up to the total."
        if word is None:
            return Shown("Every word on each pathway", rows, cells.table(rows, line))
        (one,) = found.words
        pictures = {"as generated": overlay.picture(found.base)}
        pictures |= {f"{names[name]}: {statistics.short(one.changes[name] / 2)}": overlay.picture(one.pictures[name]) for name in names}
        title = f"“{one.word}” " + ("muted" if one.other is None else f"read as “{one.other}”")
        lacking = [why for name, why in session.lacks(self.model).items() if name in ("mute:memory", "mute:global")]
        notes = "".join(cells.paragraph(f"{why[0].upper()}{why[1:]}.") for why in dict.fromkeys(lacking))
        return Shown(f"{title} on each pathway", rows, cells.row(pictures, 160) + cells.table(rows, line) + notes)

    def against(self, other: View) -> Shown:
        """This picture beside another of the same size, their difference, and the gates that changed.

        Raises:
            EditError: pictures of other sizes.
        """
        mine, others = self.trace.images[-1], other.trace.images[-1]
        if mine.shape != others.shape:
            raise EditError(f"the pictures have {mine.shape[-1]} and {others.shape[-1]} px; compare models of one size")
        change = overlay.difference(mine, others)
        limits = overlay.limits(change)
        pictures = {other.title: overlay.picture(others), self.title: overlay.picture(mine)}
        pictures |= {f"difference, mean {statistics.short(float(change.mean()))}": overlay.heat(change, limits)}
        rows = gate_changes(other.trace, self.trace)
        key = overlay.legend("difference", limits, "mean absolute change of a pixel, share of the full range")
        return Shown("Against", rows, cells.row(pictures) + cells.legend(key) + cells.table(rows, "gates"))

    def redescribe(self, alternatives: int = 0) -> Shown:
        """What STREAM reads back from each picture, attribute by attribute.

        Args:
            alternatives: sentences of a beam search that are shown too, each word with its probability.
        """
        session = self.explorer.session
        found: dict[str, Sequence[str | readings.Reading]] = {}
        with session.using(self.model):
            pipe = session.pipeline(self.model)
            for stage in self.trace.stages:
                if stage.redescription and alternatives and stage.image is not None:
                    found[f"{stage.size} px"] = readings.readings(pipe, stage.image, alternatives)
                elif stage.redescription:
                    found[f"{stage.size} px"] = stage.redescription
        return read_back(found, self.trace.caption())

    def export(self, path: str | os.PathLike, panel: str = "") -> Path:
        """Write a file, whole or not at all; its ending says what it is.

        Args:
            path: ends in one of :data:`explorer.takeaway.FORMATS`.
            panel: of :data:`explorer.takeaway.PANELS`, saved alone as .png, .svg, .pdf or .csv; empty for the whole caption.

        Raises:
            ValueError: another ending, or a panel that this model or caption does not have.
        """
        from explorer import takeaway  # draws figures; most notebooks do not

        kind = Path(path).suffix.removeprefix(".")
        asked = Question(self.model, self.caption, self.seed, self.edits)
        if not panel and kind not in takeaway.FORMATS:
            raise ValueError(f"{path}: expected an ending of {', '.join(takeaway.FORMATS)}")
        session = self.explorer.session
        data = takeaway.panel_file(session, asked, panel, kind) if panel else takeaway.FORMATS[kind](self.trace, self.model)
        write_atomic(path, data)
        return Path(path)

    def save(self, path: str | os.PathLike) -> Path:
        """Write the trace, edits included, as ``.npz`` with JSON inside (:meth:`dmm.trace.Trace.save`)."""
        self.trace.save(path)
        return Path(path)

    # -- how it shows itself

    @property
    def title(self) -> str:
        """Its edits in words, or "as generated"."""
        return "; ".join(map(describe, self.edits)) or "as generated"

    @property
    def unknown(self) -> list[str]:
        """Words of the caption that the model does not know and left out."""
        return statistics.unknown_words(self.caption, self.explorer.session.pipeline(self.model).vocab)

    def _repr_html_(self) -> str:
        pictures = {f"{stage.size} × {stage.size}": overlay.picture(stage.image) for stage in self.trace.stages if stage.image is not None}
        html = cells.paragraph(f"{self.trace.caption()} · {self.model} · seed {self.seed}") + cells.row(pictures)
        if self.unknown:
            html += cells.paragraph(f"Not in this model's vocabulary, left out: {', '.join(self.unknown)}.")
        if self.edits:
            html += cells.paragraph(f"Edits: {self.title}.")
        for stage in self.trace.stages:
            for sentence in stage.redescription or []:
                html += cells.paragraph(f"STREAM at {stage.size} px: “{sentence}”")
        return html

    def __repr__(self) -> str:
        left = f", left out: {', '.join(self.unknown)}" if self.unknown else ""
        return f"View({self.trace.caption()!r}, seed={self.seed}, model={self.model!r}, {self.title}{left})"

    def _indices(self, word: str | int) -> tuple[int, ...]:
        try:
            return statistics.find(self.trace, word)
        except statistics.NotRead as error:
            raise EditError(str(error)) from error

    def _stage(self, stage: int) -> int:
        """A position in ``trace.stages``, counted from the end where it is negative, as one from 0 on."""
        count = len(self.trace.stages)
        if not -count <= stage < count:
            sizes = ", ".join(f"{k} ({self._size(k)} px)" for k in range(count))
            raise IndexError(f"stage: expected one of {sizes}, or -1 to -{count} from the last on; found {stage}")
        return stage % count

    def _size(self, stage: int) -> int:
        return self.trace.stages[stage].size or 64 << stage
