"""Open models, the edits that are on, and what can be asked of a model rather than of one picture."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from explorer import cells, overlay, readings, statistics, walks
from explorer.ballots import BlindVote, Contender, two_of
from explorer.comparisons import compare
from explorer.edits import records
from explorer.edits.records import Edit, EditError
from explorer.interventions import from_data, lacks
from explorer.notebook.shown import Shown, read_back
from explorer.notebook.view import View
from explorer.notebook.voting import Voting
from explorer.questions import FIRST_SEED
from explorer.session import Session
from explorer.votes import VoteStore, read_voter


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
        where: str | None = None,
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
            where: the pathway of ``mute`` and ``exchange``, of :data:`explorer.edits.PATHWAYS`; None = "memory".
            stages: stages, counted from 1, of every edit that is named here but ``freeze``; None = every stage that reads.
            writing_gate: the share with which every word is written.
            response: "image", "words" or "global", which answers alone.
            region: where ``response`` holds, y0 x0 y1 x1 as shares of the side; None = everywhere.
            uniform: every place reads every word alike.
            drop_global: answer without the global memory.
            freeze: "z" or "eps", and the seed whose noise it keeps (None: zero).

        Yields:
            all edits that are on.

        Raises:
            EditError: a value that no edit has, or ``where``, ``stages`` or ``region`` without an edit that reads it.
        """
        worded: dict[str, object] = {"mute": mute, "exchange": exchange}
        staged = worded | {
            "writing_gate": writing_gate,
            "response": response,
            "uniform": uniform or None,
            "drop_global": drop_global or None,
        }
        _require_reader("where", where, worded)
        _require_reader("stages", stages, staged)
        _require_reader("region", region, {"response": response})
        pathway = "memory" if where is None else where
        found = [from_data([edit])[0] if isinstance(edit, Mapping) else edit for edit in edits]
        found += [records.Mute(mute, pathway, stages)] if mute is not None else []
        found += [records.Exchange(*exchange, pathway, stages)] if exchange is not None else []
        found += [records.ClampWritingGate(writing_gate, stages=stages)] if writing_gate is not None else []
        found += [records.ClampResponseGate.only(response, region, stages)] if response is not None else []
        found += [records.UniformAddressing(stages)] if uniform else []
        found += [records.DropGlobal(stages)] if drop_global else []
        found += [records.FreezeNoise(*freeze)] if freeze is not None else []
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
        return read_back({Path(picture).name: found}, caption)

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


def _require_reader(name: str, value: object, readers: Mapping[str, object]) -> None:
    """Refuse an argument that was given while none of the edits that read it was."""
    if value is not None and all(reader is None for reader in readers.values()):
        raise EditError(f"{name}: expected beside {', '.join(readers)}, which read it, found it alone; a record of an edit has its own")


def open_models(names: str | Path | Sequence[str | Path] = "dmmgan-aviary", **options) -> Explorer:
    """Open checkpoints by name (under ``assets/checkpoints``) or folder; options are those of :class:`explorer.session.Session`."""
    return Explorer(Session(names, **options))
