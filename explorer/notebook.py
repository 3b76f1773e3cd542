"""The explorer from Python: one line to open a model, one to generate, one for each question. Every answer shows itself in a notebook.

    import explorer

    ex = explorer.open("dmmgan-aviary")
    t = ex("a small red bird with black wings", seed=3)
    t.words(k=5)
    t.show("wings")
    t.region((0, 0, 0.5, 0.5))
    t.effects("red")
    with ex.edits(mute="red"):
        muted = ex("a small red bird with black wings", seed=3)
    muted.against(t)
    ex.read_back("photo.jpg", "a small red bird")
    vote = ex.vote("ann", votes="votes.db")
    vote.choose("left")
    vote.result()
    ex.compare("a small red bird", "red", seeds=(3, 4))
    ex.walk("a small red bird", "a large blue bird")

Answers are HTML strings with plain data beside them (``rows``), so that they need no widget extension: JupyterLab, VS Code and Colab show
the same, and a script prints them as text.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from dmm.images import write_atomic
from dmm.trace import Trace
from explorer import cells, overlay, readings, slots, statistics, walks
from explorer.ballots import BlindVote, Contender, two_of
from explorer.comparisons import compare
from explorer.edits import (
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
from explorer.interventions import describe, from_data, lacks
from explorer.questions import FIRST_SEED, Question
from explorer.regions import read_region
from explorer.session import Session
from explorer.votes import VoteError, VoteStore, read_voter


@dataclass(frozen=True)
class Shown:
    """An answer: plain rows, and how they are shown."""

    title: str
    rows: list[dict] = field(repr=False)
    html: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        lines = ["  ".join(f"{name} {cells.said(value)}" for name, value in row.items()) for row in self.rows]
        return "\n".join([self.title, *lines])


class Explorer:
    """Open models, and the edits that are on now. Call it with a caption to generate.

    Args:
        session: what is open.
    """

    def __init__(self, session: Session):
        self.session = session
        self._edits: tuple[Edit, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the open models; the first is the default."""
        return self.session.models

    def __call__(self, caption: str, seed: int = 0, model: str | None = None) -> View:
        """Generate a caption, with the edits of the ``with`` block that this stands in.

        Args:
            caption: one sentence.
            seed: of the noise.
            model: name; None for the first.

        Raises:
            CaptionError: a caption that cannot be generated.
            EditError: an edit that this system or caption does not allow.
        """
        return View(self, caption, seed, model, self._edits)

    @contextmanager
    def edits(
        self,
        *edits: Edit | Mapping,
        mute: str | int | None = None,
        exchange: tuple[str | int, str] | None = None,
        where: str = "memory",
        stages: tuple[int, ...] | None = None,
        writing_gate: float | None = None,
        response: str | None = None,
        region: statistics.Region | None = None,
        uniform: bool = False,
        drop_global: bool = False,
        freeze: tuple[str, int | None] | None = None,
    ) -> Iterator[tuple[Edit, ...]]:
        """Edits of every picture generated inside the ``with`` block, after those of the blocks around it; taken back at its end.

        Args:
            edits: records of :mod:`explorer.edits`, or their plain data.
            mute: a word.
            exchange: a word, and the word that is read in its place.
            where: the pathway of ``mute`` and ``exchange``, of :data:`explorer.edits.PATHWAYS`.
            stages: stages of ``mute``, ``exchange``, ``writing_gate``, ``response`` and ``uniform``; None = every stage that reads.
            writing_gate: the share with which every word is written.
            response: "image", "words" or "global", which answers alone.
            region: where ``response`` holds, y0 x0 y1 x1 as shares of the side; None = everywhere.
            uniform: every place reads every word alike.
            drop_global: answer without the global memory.
            freeze: "z" or "eps", and the seed whose noise it keeps (None: zero).

        Yields:
            all edits that are on.
        """
        found = [from_data([edit])[0] if isinstance(edit, Mapping) else edit for edit in edits]
        found += [Mute(mute, where, stages)] if mute is not None else []
        found += [Exchange(*exchange, where, stages)] if exchange is not None else []
        found += [ClampWritingGate(writing_gate, stages=stages)] if writing_gate is not None else []
        found += [ClampResponseGate.only(response, region, stages)] if response is not None else []
        found += [UniformAddressing(stages)] if uniform else []
        found += [DropGlobal()] if drop_global else []
        found += [FreezeNoise(*freeze)] if freeze is not None else []
        before, self._edits = self._edits, (*self._edits, *found)
        try:
            yield self._edits
        finally:
            self._edits = before

    def lacks(self, model: str | None = None) -> Shown:
        """Edits that a model does not allow, and why."""
        rows = [{"edit": name, "why": why} for name, why in lacks(self.session.pipeline(model)).items()]
        return Shown("What this system does not have", rows, cells.table(rows, "What this system does not have"))

    def read_back(self, picture: str | os.PathLike, caption: str = "", model: str | None = None, alternatives: int = 4) -> Shown:
        """What STREAM reads in any picture, and how that compares with a caption.

        Args:
            picture: file of a PNG, JPEG or WebP.
            caption: one sentence; empty to compare with none.
            model: name; None for the first.
            alternatives: sentences of a beam search that are shown too.

        Raises:
            ValueError: no captioner, or a file that is no such picture.
            OSError: no such file.
        """
        with open(picture, "rb") as file:
            shown = readings.decode(file.read(readings.UPLOAD_BYTES + 1))
        with self.session.using(model):
            pipe = self.session.pipeline(model)
            found = readings.readings(pipe, readings.as_generated(shown, pipe), alternatives)
        return _read_back({Path(picture).name: found}, caption)

    def compare(
        self, caption: str, word: str | int = "", seeds: Sequence[int] = (FIRST_SEED,), models: Sequence[str] | None = None
    ) -> Shown:
        """A caption through several models and noises: the last picture of each, and below it where a word is read.

        Args:
            caption: one sentence.
            word: whose map is shown; empty for none.
            seeds: of the noises.
            models: names; None for all that are open.

        Raises:
            ValueError: a caption, model or seed that cannot be generated.
        """
        found = list(compare(self.session, caption, word, models or self.models, seeds))
        rows = [{"model": one.model, "seed": one.seed, "read back": one.read_back, "map": one.reliability or one.why} for one in found]
        pictures = {f"{one.model}, seed {one.seed}": overlay.picture(one.trace.images[-1]) for one in found}
        maps = {f"where “{word}” is read: {one.model}, seed {one.seed}": one.over for one in found if one.over is not None}
        return Shown(f"“{caption}” side by side", rows, cells.row(pictures, 160) + cells.row(maps, 160) + cells.table(rows))

    def walk(
        self, caption: str, other: str = "", seed: int = FIRST_SEED, other_seed: int = FIRST_SEED, steps: int = 8, model: str | None = None
    ) -> Shown:
        """From a caption and noise to another, picture by picture: a film strip, and the same as a GIF.

        Args:
            caption: the first sentence.
            other: the last one; empty for the same.
            seed: of the first noise.
            other_seed: of the last.
            steps: pictures, both ends included.
            model: name; None for the first.

        Raises:
            ValueError: a caption that cannot be generated, or another number of steps than 2 to 24.
        """
        with self.session.using(model):
            stops = walks.walk(self.session.pipeline(model), (caption, other or caption), (seed, other_seed), steps)
        rows = [{"at": stop.at, "reads": stop.reads} for stop in stops]
        said = f"From “{caption}”, seed {seed}, to “{other or caption}”, seed {other_seed}"
        return Shown(said, rows, cells.picture(walks.strip(stops), said, 160 * steps) + cells.film(walks.gif(stops), said))

    def learning(self, model: str | None = None, caption: int = 1) -> Shown:
        """What was learned in a training run: the figures ``memory-learning``, with its numbers at every step, and ``training-curves``.

        A run without a log shows the first alone, and one line that says so.

        Args:
            model: name of a model that was opened from the directory of its run; None for the first.
            caption: of those that the run traced, counted from 1.

        Raises:
            ValueError: a directory without traces, or no such caption.
        """
        from explorer.figures import Result, draw
        from explorer.figures.export import render
        from explorer.figures.runs import Run, RunError

        def shown(result: Result, title: str) -> str:
            return cells.picture(Image.open(io.BytesIO(render(result, "png"))).convert("RGB"), f"{title}. {result.alt}")

        run = Run(self.session.source(model))
        result = draw("memory-learning", run.course(caption), caption=caption)
        try:
            losses = shown(draw("training-curves", {run.name: run.log()}), "Losses and scores")
        except RunError as error:
            losses = cells.paragraph(f"No curves of losses and scores. {error}.")
        return Shown(f"The memory being learned in {run.name}", result.rows, shown(result, "The memory being learned") + losses)

    def vote(
        self,
        voter: str,
        first: str | Contender = "",
        second: str | Contender = "",
        votes: str | os.PathLike | None = None,
        captions: Sequence[str] | None = None,
    ) -> Voting:
        """A blind vote: which of two pictures fits the caption better.

        Args:
            voter: name, kept with the votes.
            first: a model, or another name that :func:`explorer.ballots.contenders` lists, or any edits as a Contender; empty for the
                first model.
            second: the same; empty for the second model, or, if one is open, for the first without its memory's answer.
            votes: file to keep the votes in, which others may use at the same time; None keeps them in memory.
            captions: of the pairs; None for ten birds.

        Raises:
            ValueError: a name or a file that is none, or captions that a model does not know.
        """
        own = [one if isinstance(one, Contender) else None for one in (first, second)]
        pair = two_of(self.session, *("" if isinstance(one, Contender) else one for one in (first, second)))
        pair = (own[0] or pair[0], own[1] or pair[1])
        return Voting(BlindVote(self.session, VoteStore(votes), pair, captions), read_voter(voter))

    def __repr__(self) -> str:
        on = f", {len(self._edits)} edits on" if self._edits else ""
        return f"Explorer({', '.join(self.models)}{on})"


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
        if not rows:
            raise statistics.MissingQuantity(f"no stage of {self.model} has {by or 'a number for each word'}")
        return Shown(f"Words of “{self.trace.caption()}”", rows, "".join(shown) + cells.paragraph(note))

    def show(self, word: str | int, stage: int | None = None) -> Shown:
        """Where a word, or several together, are read: the map over the pictures.

        Args:
            word: a word (its first occurrence; "red (2)" is its second), several that follow each other ("yellow crown"), or a position on
                the T axis.
            stage: position in ``trace.stages``; None for every stage that reads words.

        Raises:
            EditError: the word is not in the caption.
            MissingQuantity: the stage reads no words.
        """
        indices = self._indices(word)
        reading = [k for k in range(len(self.trace.stages)) if statistics.maps_of(self.trace, k)]
        stages = reading if stage is None else [stage % len(self.trace.stages)]
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
            stage: position in ``trace.stages``.

        Raises:
            MissingQuantity: the stage has no memory of words.
            ValueError: another ``of``.
        """
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
            stage: position in ``trace.stages``.
            k: how many words.

        Raises:
            MissingQuantity: the stage reads no words.
            ValueError: a region outside the picture.
        """
        read = read_region(self.trace, stage % len(self.trace.stages), region)
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
        rows = changed_numbers(other.trace, self.trace)
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
        return _read_back(found, self.trace.caption())

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

    def _size(self, stage: int) -> int:
        stage %= len(self.trace.stages)
        return self.trace.stages[stage].size or 64 << stage


class Voting:
    """One voter's blind vote. It shows the next pair; :meth:`choose` keeps a choice and shows the one after.

    Args:
        blind_vote: the two contenders and where votes are kept.
        voter: name.
    """

    def __init__(self, blind_vote: BlindVote, voter: str):
        self.blind_vote, self.voter = blind_vote, voter
        self.ballot = blind_vote.ballot(voter)

    def choose(self, side: str) -> Voting:
        """Keep which picture fits the caption better, "left" or "right".

        Raises:
            VoteError: another side, or no pair is left.
        """
        if self.ballot is None:
            raise VoteError("There is no pair left; see result().")
        self.blind_vote.vote(self.voter, self.ballot.pair, side)
        self.ballot = self.blind_vote.ballot(self.voter)
        return self

    def result(self) -> Shown:
        """What all votes on these contenders say, and how far the voters agree."""
        found = self.blind_vote.result()
        rows = [{"counted": name} | {k: v for k, v in found[name].items() if k != "tied"} for name in ("votes", "pairs", "left")]
        title = f"{found['first']} against {found['second']}, {found['voters']} voters"
        kappa = found["agreement"]["kappa"]
        line = f"{found['agreement']['measure']} {'–' if kappa is None else statistics.short(kappa)}"
        note = "low and high: exact 95 % interval (Clopper-Pearson). Votes on one pair are not independent; pairs count each once."
        return Shown(title, [*rows, {"counted": line}], cells.table(rows, title) + cells.paragraph(line) + cells.paragraph(note))

    def save(self, path: str | os.PathLike) -> Path:
        """Write every vote as CSV, whole or not at all."""
        write_atomic(path, self.blind_vote.table().encode())
        return Path(path)

    def _repr_html_(self) -> str:
        if self.ballot is None:
            return cells.paragraph("There is no pair left, thank you.")
        said = f"Pair {self.ballot.pair + 1} of {self.ballot.of}: “{self.ballot.caption}”. Which picture fits better?"
        pictures = dict(zip(("left", "right"), map(np.asarray, self.ballot.pictures), strict=True))
        return cells.paragraph(said) + cells.row(pictures)

    def __repr__(self) -> str:
        return f"Voting({self.voter!r}, {'no pair left' if self.ballot is None else f'pair {self.ballot.pair + 1} of {self.ballot.of}'})"


def _read_back(found: Mapping[str, Sequence[str | readings.Reading]], caption: str) -> Shown:
    """What was read in pictures, by name: the sentence that is compared with the caption, then others."""
    rows, html = [], ""
    for name, sentences in found.items():
        sentence = sentences[0] if isinstance(sentences[0], str) else sentences[0].sentence
        compared = slots.compare(caption, sentence)
        mine = [
            {"attribute": slot.name, "said": ", ".join(slot.said), "read back": ", ".join(slot.read), "verdict": slot.verdict}
            for slot in compared
        ]
        rows += [{"stage": name} | row for row in mine]
        line = slots.summary(compared) or "no attribute is named"
        html += cells.paragraph(f"{name}: “{sentence}”") + cells.table(mine, line)
        html += cells.readings([one for one in sentences if isinstance(one, readings.Reading)])
    if not html:
        html = cells.paragraph("No captioner (STREAM) came with this model, so the picture is not read back.")
    return Shown("Read back", rows, html)


def changed_numbers(before: Trace, after: Trace) -> list[dict]:
    """Gates of two traces side by side: shares of the response gate, and writing gates of words that both have.

    Returns:
        rows of stage, gate, before, after; only those that differ by more than .0005.
    """
    rows = []
    for stage, (one, other) in enumerate(zip(before.stages, after.stages, strict=False)):
        size = f"{one.size or 64 << stage} px"
        found: dict[str, tuple[float, float]] = {}
        if one.writing_gate is not None and other.writing_gate is not None:
            later = {(c.word, c.index): c.value for c in statistics.chips(after, stage)}
            for chip in statistics.chips(before, stage):
                if (chip.word, chip.index) in later:
                    found[f"writing gate of “{chip.word}”"] = (chip.value, later[chip.word, chip.index])
        if one.response_gate is not None and other.response_gate is not None:
            shares, then = statistics.response_shares(before, stage), statistics.response_shares(after, stage)
            found |= {f"answered by {path}": (share, then[path]) for path, share in shares.items() if path in then}
        rows += [{"stage": size, "gate": name, "before": a, "after": b} for name, (a, b) in found.items() if abs(a - b) > 5e-4]
    return rows


def open_models(names: str | Path | Sequence[str | Path] = "dmmgan-aviary", **options) -> Explorer:
    """Open checkpoints by name (under ``assets/checkpoints``) or folder; options are those of :class:`explorer.session.Session`."""
    return Explorer(Session(names, **options))
