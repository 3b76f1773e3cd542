"""What the page can do, as named endpoints: plain values in, plain containers out. :mod:`explorer.ui` serves them.

    from gradio_client import Client

    client = Client("http://127.0.0.1:7860")
    client.predict("a small red bird", "red", api_name="/effects")

Pictures are PNG data URIs; regions are ``[y0, x0, y1, x1]`` as shares of the side; edits are lists as
:func:`explorer.interventions.to_data` writes them. A request that cannot be answered is refused with a sentence that says why.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import os
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from dmm.images import to_pil
from dmm.metrics.effects import WordEffect
from dmm.pipeline import CaptionError, Pipeline
from dmm.trace import Trace
from explorer import overlay, readings, slots, statistics, takeaway, walks
from explorer.ballots import BlindVote, contenders, two_of
from explorer.comparisons import compare
from explorer.courses import best_step, logged
from explorer.edits import EditError
from explorer.gate_changes import gate_changes
from explorer.interventions import describe, lacks, to_data
from explorer.page_html import data_uri
from explorer.questions import FIRST_SEED, Question, Refusal, read_seed
from explorer.readings import UPLOAD_BYTES
from explorer.regions import read_region
from explorer.session import Session
from explorer.votes import VoteError, VoteStore

MOST_MODELS = 8  # side by side
MOST_SEEDS = 16  # noises of one caption
MOST_ALTERNATIVES = 8  # sentences of a beam search


class Endpoints:
    """The endpoints of a session; each public method is one.

    Args:
        session: what is open.
        votes: keeps what is voted; None keeps it until this process ends.
        told: called after each step of what takes long with how many are done, and with their number; what it raises ends the answer.
    """

    def __init__(self, session: Session, votes: VoteStore | None = None, told: Callable[[int, int], None] = lambda done, steps: None):
        self.session = session
        self.store = VoteStore() if votes is None else votes
        self.told = told

    def models(self) -> list[dict]:
        """Open models: name, system, what it adds, and which edits it does not allow, how far its maps can be believed."""
        from dmm.models.registry import find_model

        found = []
        for name in self.session.models:
            pipe = self.session.pipeline(name)
            entry = find_model(pipe.config.system)
            about = {"name": name, "system": pipe.config.system, "paper": entry.paper, "adds": entry.adds}
            found.append(
                about
                | {
                    "words": len(pipe.vocab.words),
                    "redescribes": pipe.captioner is not None,
                    "lacks": lacks(pipe),
                    "maps": _measured(self.session, name),
                }
            )
        return found

    def trace(self, caption: str, seed: int = FIRST_SEED, model: str = "", edits: list[dict] | None = None) -> dict:
        """Generate a caption: pictures, words with their numbers, how alike their memories are, who answered, and what was read back."""
        asked = Question.read(self.session, caption, seed, model, edits)
        trace = asked.trace(self.session)
        vocab = self.session.pipeline(asked.model).vocab
        unknown = statistics.unknown_words(asked.caption, vocab)
        pictures = {str(stage.size): _png(stage.image) for stage in trace.stages if stage.image is not None}
        alike = [
            {"stage_px": stage.size or 64 << k, "of": of, "values": np.round(statistics.similarity(trace, k, of), 4).tolist()}
            for k, stage in enumerate(trace.stages)
            for of in statistics.alike(trace, k)
        ]
        return takeaway.summary(trace, asked.model) | {"unknown": unknown, "similarity": alike, "pictures": pictures}

    def words(
        self,
        caption: str,
        by: str = "",
        k: int = 5,
        stop_words: bool = True,
        region: list[float] | None = None,
        seed: int = FIRST_SEED,
        model: str = "",
        edits: list[dict] | None = None,
    ) -> list[dict]:
        """The k words with the largest numbers at every stage that has them, by writing_gate, addressing or word_attention."""
        trace = Question.read(self.session, caption, seed, model, edits).trace(self.session)
        if by and by not in statistics.QUANTITIES:
            raise Refusal(f"by: expected one of {', '.join(statistics.QUANTITIES)}; found {by[:40]!r}")
        if k < 1:
            raise Refusal(f"k: expected a number of words, 1 or more; found {k}")
        found = []
        for stage in range(len(trace.stages)):
            for name in [by] if by else list(statistics.QUANTITIES):
                if statistics.has(trace, stage, name):
                    ranked = statistics.top_words(trace, stage, name, len(trace.tokens()), _region(region))
                    ranked = [chip for chip in ranked if stop_words or chip.word not in statistics.SMALL_WORDS][:k]
                    size = trace.stages[stage].size or 64 << stage
                    found += [{"stage_px": size, "by": name, "word": c.word, "position": c.index, "value": c.value} for c in ranked]
        if not found:
            raise Refusal(f"no stage of this model has {by or 'a number for each word'}")
        return found

    def map(self, caption: str, word: str, seed: int = FIRST_SEED, model: str = "", edits: list[dict] | None = None) -> list[dict]:
        """Where a word, or several in a row, are read: the map at every stage that reads words, as numbers and laid over the picture."""
        trace = Question.read(self.session, caption, seed, model, edits).trace(self.session)
        indices = _positions(trace, word)
        even = len(indices) * statistics.uniform(trace)
        found = []
        for stage, record in enumerate(trace.stages):
            quantity = statistics.maps_of(trace, stage)
            if quantity:
                values = statistics.phrase_map(trace, stage, indices, quantity)
                limits = overlay.limits(values, uniform=even)
                row = {"stage_px": record.size or 64 << stage, "quantity": quantity, "uniform": even}
                row |= {"range": list(limits), "values": np.round(values, 6).tolist()}
                found.append(row | {"picture": _laid_over(record.image, values, limits)})
        if not found:
            raise Refusal("no stage of this model reads single words, so that there is no map")
        return found

    def region(
        self,
        caption: str,
        region: list[float],
        stage: int = -1,
        seed: int = FIRST_SEED,
        model: str = "",
        edits: list[dict] | None = None,
    ) -> dict:
        """Which words a region of a stage's picture reads, most first, and who answers there."""
        trace = Question.read(self.session, caption, seed, model, edits).trace(self.session)
        if not -len(trace.stages) <= stage < len(trace.stages):
            raise Refusal(f"stage: expected 0 to {len(trace.stages) - 1}, or -1 for the last; found {stage}")
        read = _refusing(lambda: read_region(trace, stage % len(trace.stages), _region(region) or (0, 0, 1, 1)))
        rows = [
            {"word": w.word, "position": w.index, "here": w.inside, "everywhere": w.everywhere, "lift": _number(w.lift)} for w in read.words
        ]
        answered = {"here": read.inside, "everywhere": read.everywhere} if read.inside else None
        return {"stage_px": read.size, "quantity": read.quantity, "words": rows, "answered_by": answered}

    def redescribe(
        self,
        caption: str = "",
        picture: str = "",
        seed: int = FIRST_SEED,
        model: str = "",
        edits: list[dict] | None = None,
        alternatives: int = readings.WIDTH,
    ) -> list[dict]:
        """What STREAM reads back, attribute by attribute: from each picture of a caption, or from one handed in as a data URI.

        The sentence is the one of the likeliest words; alternatives are those that a beam search finds, each word with its probability.
        A picture that is handed in is decoded in memory and not kept; with a caption it is compared with it.
        """
        if type(alternatives) is not int or not 0 <= alternatives <= MOST_ALTERNATIVES:
            raise Refusal(f"alternatives: expected 0 to {MOST_ALTERNATIVES}, found {str(alternatives)[:40]}")
        asked = Question.read(self.session, caption, seed, model, edits)
        pipe = self.session.pipeline(asked.model)
        if pipe.captioner is None:
            raise Refusal("no captioner (STREAM) came with this model, so that nothing is read back")
        if picture:
            images = {"handed in": readings.as_generated(read_upload(picture), pipe)}
        else:
            stages = asked.trace(self.session).stages
            images = {str(stage.size): stage.image for stage in stages if stage.image is not None}
        with self.session.using(asked.model):
            return [_read_back(pipe, asked.caption, name, image, alternatives) for name, image in images.items()]

    def intervene(self, caption: str, edits: list[dict], seed: int = FIRST_SEED, model: str = "") -> dict:
        """A caption with and without edits: both pictures, their difference, and the gates that changed."""
        asked = Question.read(self.session, caption, seed, model, edits)
        after, before = asked.trace(self.session), asked.bare().trace(self.session)
        change = overlay.difference(after.images[-1], before.images[-1])
        pictures = {"original": _png(before.images[-1]), "edited": _png(after.images[-1])}
        pictures["difference"] = data_uri(Image.fromarray(overlay.heat(change, overlay.limits(change))))
        said = [describe(edit) for edit in asked.edits]
        return {
            "edits": to_data(asked.edits),
            "in_words": said,
            "change": float(change.mean()),
            "gates": gate_changes(before, after),
        } | pictures

    def effects(
        self, caption: str, word: str = "", new: str = "", seed: int = FIRST_SEED, model: str = "", edits: list[dict] | None = None
    ) -> dict:
        """How a word reached the picture: exchanged for new, else for another of its kind or muted, on one pathway at a time.

        Without a word: for every word of the caption, without pictures. change is a share of the full range of the pixels.
        """
        asked = Question.read(self.session, caption, seed, model, edits)
        chosen = {_word(word): new or None} if word else None
        found = _refusing(lambda: self.session.effects(asked.model, asked.caption, asked.seed, chosen, asked.edits))
        lacking = {name.partition(":")[2]: why for name, why in self.session.lacks(asked.model).items() if name.startswith("mute:")}
        words = [{"word": one.word, "position": one.position, "other": one.other} for one in found.words]
        for row, one in zip(words, found.words, strict=True):
            row["pathways"] = [_pathway(one, name, pictures=bool(word)) for name in found.pathways]
        return {"original": _png(found.base[None]), "words": words, "lacks": lacking}

    def compare(self, caption: str, word: str = "", models: list[str] | None = None, seeds: list[int] | None = None) -> list[dict]:
        """One caption through several models and noises: the last picture of each, and the map of a word over it where it is read.

        reliability says how far the maps of that model can be, why what keeps a map from being there.
        """
        chosen, noises = models or list(self.session.models), [read_seed(seed) for seed in seeds or [FIRST_SEED]]
        if len(chosen) > MOST_MODELS or len(noises) > MOST_SEEDS:
            raise Refusal(f"expected at most {MOST_MODELS} models and {MOST_SEEDS} seeds, found {len(chosen)} and {len(noises)}")
        rows = []
        for one in compare(self.session, caption, _word(word), chosen, noises, self.told):
            row = {
                "model": one.model,
                "seed": one.seed,
                "picture": _png(one.trace.images[-1]),
                "reliability": one.reliability,
                "why": one.why,
            }
            row["map"] = None if one.over is None else data_uri(Image.fromarray(one.over))
            rows.append(row | {"read_back": one.read_back})
        return rows

    def walk(
        self, caption: str, other: str = "", seed: int = FIRST_SEED, other_seed: int = FIRST_SEED, steps: int = 8, model: str = ""
    ) -> dict:
        """From a caption and noise to another, picture by picture: a film strip and a GIF."""
        asked = Question.read(self.session, caption, seed, model)
        goal = Question.read(self.session, other or caption, other_seed, model)
        pipe = self.session.pipeline(asked.model)
        captions, seeds = (asked.caption, goal.caption), (asked.seed, goal.seed)
        with self.session.using(asked.model):
            stops = _refusing(lambda: walks.walk(pipe, captions, seeds, steps, self.told))
        animated = "data:image/gif;base64," + base64.b64encode(walks.gif(stops)).decode()
        return {
            "at": [stop.at for stop in stops],
            "reads": [stop.reads for stop in stops],
            "strip": data_uri(walks.strip(stops)),
            "gif": animated,
        }

    def ballot(self, voter: str, first: str = "", second: str = "") -> dict:
        """The next pair of a blind vote for a voter: a caption and two pictures, sides shuffled. pair is None after the last.

        first and second name what is voted on: a model, or one of the names that a refusal lists.
        """
        vote = self.blind_vote(first, second)
        found = _refusing(lambda: vote.ballot(voter))
        if found is None:
            return {"pair": None, "of": vote.study.pairs, "voted": vote.study.pairs}
        left, right = map(data_uri, found.pictures)
        return {"pair": found.pair, "of": found.of, "voted": found.voted, "caption": found.caption, "left": left, "right": right}

    def vote(self, voter: str, pair: int, choice: str, first: str = "", second: str = "") -> dict:
        """Keep which picture of a ballot's pair fits the caption better, left or right. The first vote of a voter on a pair counts."""
        return {"kept": _refusing(lambda: self.blind_vote(first, second).vote(voter, pair, choice))}

    def votes(self, first: str = "", second: str = "") -> dict:
        """What the votes say: the share of the first with its exact 95 % interval, agreement of the voters, and all votes as CSV.

        Over votes, and over pairs by the majority of their voters (votes on one pair are not independent). Agreement is Cohen's kappa of
        two voters, Fleiss' kappa of more.
        """
        vote = self.blind_vote(first, second)
        return _refusing(lambda: vote.result() | {"csv": vote.table(), "contenders": list(contenders(self.session.models))})

    def blind_vote(self, first: str = "", second: str = "") -> BlindVote:
        """The blind vote between two contenders, by name.

        Raises:
            Refusal: an unknown name, or models that know no caption in common.
        """
        return _refusing(lambda: BlindVote(self.session, self.store, two_of(self.session, first, second)))

    def export(
        self,
        caption: str,
        kind: str = "json",
        seed: int = FIRST_SEED,
        model: str = "",
        edits: list[dict] | None = None,
        panel: str = "",
    ) -> dict:
        """A file of a generated caption, base64: npz, json, csv, html (works offline), py (makes the same), png, svg or pdf.

        With a panel, that panel alone as png, svg, pdf, or its numbers as csv: maps, words, read back, noises, effects or learning.
        """
        asked = Question.read(self.session, caption, seed, model, edits)
        if panel:
            data = _refusing(lambda: takeaway.panel_file(self.session, asked, panel, kind))
        elif kind in takeaway.FORMATS:
            data = takeaway.FORMATS[kind](asked.trace(self.session), asked.model)
        else:
            raise Refusal(f"kind: expected one of {', '.join(takeaway.FORMATS)}; found {kind[:40]!r}")
        name = "-".join(filter(None, (asked.model, str(asked.seed), panel.replace(" ", "-"))))
        return {"name": f"{name}.{kind}", "base64": base64.b64encode(data).decode()}

    def learning(self, model: str = "", caption: int = 1, step: int = -1) -> dict:
        """What a training run of a model wrote: captions, steps, numbers of its memory at every step, the pictures of one step, its log.

        caption is counted from 1; step is the nearest one that was traced, -1 the last. The run may still be going on.
        """
        asked = Question.read(self.session, "", FIRST_SEED, model).model
        return _refusing(lambda: learning(self.session.source(asked), caption, step))


NAMES = (
    *("models", "trace", "words", "map", "region", "redescribe", "intervene", "effects", "compare", "walk"),
    *("ballot", "vote", "votes", "learning", "export"),
)


def learning(source: str | os.PathLike, caption: int, step: int) -> dict:
    """A run's directory as plain data, for one caption; as :meth:`Endpoints.learning`.

    Raises:
        ValueError: a directory without the traces of a run, or no such caption.
    """
    from explorer.figures import draw  # loads what draws figures; a page that nobody asks this does not need it
    from explorer.figures.runs import Run, RunError

    run = Run(source)
    course = run.course(caption)
    try:
        rows, lacking = run.log(), ""
    except RunError as error:
        rows, lacking = [], str(error)
    best = best_step(rows)
    now = course.steps[-1] if step < 0 else min(course.steps, key=lambda s: abs(s - step))
    trace = run.trace(now, course.sample)
    return {
        "captions": [{"caption": said, "seed": seed} for said, seed in zip(run.captions, run.seeds, strict=True)],
        "steps": list(course.steps),
        "step": now,
        "numbers": draw("memory-learning", course, caption=caption).rows,
        "pictures": {str(stage.size): _png(stage.image) for stage in trace.stages if stage.image is not None},
        "curves": {name: {"steps": s, "values": list(map(_number, v))} for name, (s, v) in logged(rows).items()},
        "best_step": best and best[0],
        "no_curves": lacking,
    }


def read_upload(uri: str) -> Image.Image:
    """A picture handed in as a data URI, decoded in memory and never kept; PNG, JPEG or WebP of bounded size.

    Raises:
        Refusal: anything else.
    """
    head, _, body = uri.partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64") or len(body) > UPLOAD_BYTES * 4 // 3 + 4:
        raise Refusal(f"picture: expected a data URI of a PNG, JPEG or WebP of at most {UPLOAD_BYTES >> 20} MiB")
    try:
        data = base64.b64decode(body, validate=True)
    except ValueError as error:
        raise Refusal("picture: expected base64 after the comma") from error
    return _refusing(lambda: readings.decode(data))


def _read_back(pipe: Pipeline, caption: str, name: str, image: torch.Tensor, alternatives: int) -> dict:
    """What is read in one picture 1 3 S S, and how it compares with a caption."""
    first, *others = readings.readings(pipe, image, alternatives)
    found = slots.compare(caption, first.sentence)
    listed = [{"attribute": s.name, "said": list(s.said), "read": list(s.read), "verdict": s.verdict} for s in found]
    row = {"picture": name, "sentence": first.sentence, "attributes": listed, "summary": slots.summary(found)}
    return row | _sure(first) | {"alternatives": [{"sentence": one.sentence} | _sure(one) for one in others]}


def _sure(reading: readings.Reading) -> dict:
    """How sure STREAM is of a sentence and of each of its words."""
    words = [{"word": word, "probability": share} for word, share in reading.words]
    return {"probability": reading.probability, "words": words, "ended": reading.ended}


def _png(image: torch.Tensor) -> str:
    return data_uri(to_pil(image))


def _laid_over(image: torch.Tensor | None, values: np.ndarray, limits: overlay.Limits) -> str:
    pixels = overlay.heat(values, limits) if image is None else overlay.overlay(image, values, limits)
    return data_uri(Image.fromarray(pixels))


def _measured(session: Session, model: str) -> list[dict]:
    """How far the maps of a model can be believed, a row a stage; empty where it was not measured."""
    return [dataclasses.asdict(found) | {"verdict": found.verdict} for found in session.reliability(model).values()]


def _pathway(one: WordEffect, name: str, pictures: bool) -> dict:
    """What a word did on a pathway, as plain data."""
    total = one.changes["total"]
    row = {"pathway": name, "in_words": overlay.PATHWAYS[name][0], "change": one.changes[name] / 2}
    row["share"] = one.changes[name] / total if total else None
    return row | ({"picture": _png(one.pictures[name][None])} if pictures else {})


def _number(value: float) -> float | None:
    """JSON has neither NaN nor infinity."""
    return value if math.isfinite(value) else None


def _word(word: str) -> str | int:
    """A word, or its position written as a number."""
    return int(word) if word.isdecimal() and len(word) < 4 else word


def _positions(trace: Trace, word: str) -> tuple[int, ...]:
    """Positions on the T axis of a word (its first occurrence), of several that follow each other, or of a position written as a number.

    Raises:
        Refusal: they are not among the words that were read.
    """
    try:
        return statistics.find(trace, _word(word))
    except statistics.NotRead as error:
        raise Refusal(str(error)) from error


def _region(region) -> statistics.Region | None:
    if region is None:
        return None
    if len(region) != 4 or not all(isinstance(edge, (int, float)) for edge in region):
        raise Refusal(f"region: expected [y0, x0, y1, x1] as shares of the side, found {str(region)[:80]}")
    _refusing(lambda: statistics.cells(tuple(region), 1, 1))
    return tuple(region)


def _refusing(ask: Callable):
    """The answer, or a refusal with the reason."""
    try:
        return ask()
    except Refusal:
        raise
    except (EditError, CaptionError, VoteError, ValueError, statistics.MissingQuantity, IndexError) as error:
        raise Refusal(str(error)) from error
