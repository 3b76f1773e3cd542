"""What an explorer has open: checkpoints, and the traces that were made with them.

Every surface (page, notebook, command line) asks here for a :class:`~dmm.trace.Trace`. The same question is answered once: traces are
kept in a bounded, least-recently-used store keyed by (model, caption, seed, edits). An edit is a context manager on forward hooks
(:mod:`explorer.edits`); without edits nothing is attached to the network.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from dmm.trace import StageTrace, Trace
from explorer.reliability import Reliability, find_record, reliability

if TYPE_CHECKING:
    from dmm.metrics.effects import WordEffects


class UnknownModel(KeyError):
    """A model name that this session does not hold; the message lists those it does."""

    def __str__(self) -> str:
        return str(self.args[0])


def nbytes(trace: Trace) -> int:
    """Memory of every tensor of a trace, bytes."""
    records: list[Trace | StageTrace] = [trace, *trace.stages]
    values = [getattr(record, f.name) for record in records for f in dataclasses.fields(record)]
    return sum(v.numel() * v.element_size() for v in values if isinstance(v, Tensor))


def tidy(caption: str) -> str:
    """A caption with its white space reduced to single blanks."""
    return " ".join(caption.split())


def _held(source: str | Path) -> list[str | Path]:
    """A checkpoint, or those in a directory that is none itself."""
    from dmm.checkpoint import FILE

    if not Path(source).is_dir() or (Path(source) / FILE).exists():
        return [source]
    return sorted((path.parent for path in Path(source).glob(f"*/{FILE}")), key=str) or [source]


def give_back() -> bool:
    """Give freed memory back to the system; False where the C library cannot.

    A trace is let go while others that were made before and after it are held: glibc keeps the holes, half as much again as the traces.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    return trim is not None and bool(trim(0))


def measured(pipe) -> dict[int, Reliability]:
    """How far the maps of a pipeline, as it was loaded, can be believed, from the records that are shipped."""
    from dmm.checkpoint import assets
    from dmm.metrics.records import digest

    return reliability(find_record(digest(pipe), assets() / "results"))


class Session:
    """Checkpoints by name, loaded when first used, and a bounded store of traces. Safe to use from several threads.

    Args:
        names: checkpoint names (under ``assets/checkpoints``) or directories; a single one may be given bare. A directory of
            checkpoints stands for each of them. None: all that are shipped.
        capacity: the most traces kept, at least 1.
        megabytes: the most memory the kept traces may hold; the newest trace is always kept.
        load: name or directory -> pipeline; the default is :func:`dmm.pipeline.load`, fused for generating.
    """

    def __init__(
        self,
        names: str | Path | Sequence[str | Path] | None = "dmmgan-aviary",
        capacity: int = 32,
        megabytes: int = 512,
        load: Callable | None = None,
    ):
        if names is None:
            from dmm.checkpoint import shipped

            names = shipped()
        elif isinstance(names, (str, Path)):
            names = [names]
        if not names:
            raise ValueError("a session needs at least one checkpoint name or directory")
        if capacity < 1:
            raise ValueError(f"capacity is the number of traces kept, at least 1; found {capacity}")
        self.capacity = capacity
        self.megabytes = megabytes
        self._load = load
        self._sources: dict[str, str | os.PathLike] = {}
        self.unreadable: dict[str, str] = {}  # name -> why, after :meth:`check`
        for source in (one for name in names for one in _held(name)):
            short = Path(source).name or str(source)
            self._sources[short if short not in self._sources else str(source)] = source
        self._pipelines: dict[str, Callable] = {}
        self._reliability: dict[str, dict[int, Reliability]] = {}
        self._lacks: dict[str, dict[str, str]] = {}
        self._busy = {name: threading.RLock() for name in self._sources}  # one forward pass at a time for each network
        self._traces: OrderedDict[tuple, Trace] = OrderedDict()
        self._guard = threading.Lock()  # of the store

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, the first is the default."""
        return tuple(self._sources)

    def check(self) -> Session:
        """Read every checkpoint that is not shipped once, fetching "user/name" that is not here from the Hub.

        One that cannot be used is taken from :attr:`models` and kept in :attr:`unreadable` with the reason.

        Raises:
            CheckpointError: none can be used; what is wrong with the first.
        """
        from dmm.checkpoint import CheckpointError, read_parts, shipped
        from dmm.hub import find

        ours = set(shipped())
        for name, source in self._sources.items():
            if source in ours:
                continue
            try:
                self._sources[name] = find(source)
                read_parts(self._sources[name])
            except CheckpointError as error:
                self.unreadable[name] = str(error)
        if len(self.unreadable) == len(self._sources):
            raise CheckpointError(next(iter(self.unreadable.values())))
        self._sources = {name: source for name, source in self._sources.items() if name not in self.unreadable}
        return self

    def source(self, model: str | None = None) -> str | os.PathLike:
        """Where a model (None: the first) comes from: a checkpoint's name, or a directory. Raises as :meth:`pipeline`."""
        return self._sources[self._resolve(model)]

    def pipeline(self, model: str | None = None):
        """The ready pipeline of a model (None: the first), loaded on first use.

        Raises:
            UnknownModel: a name that is not in :attr:`models`.
        """
        model = self._resolve(model)
        with self._busy[model]:
            if model not in self._pipelines:
                if self._load is None:
                    from dmm.pipeline import load  # the networks are only imported when one is used

                    whole = load(self._sources[model])
                    self._reliability[model], self._pipelines[model] = measured(whole), whole.fused()
                else:
                    self._pipelines[model] = self._load(self._sources[model])
            return self._pipelines[model]

    def reliability(self, model: str | None = None) -> dict[int, Reliability]:
        """Size of a stage's picture, px -> how far its maps can be believed (:mod:`explorer.reliability`); empty if not measured.

        Raises:
            UnknownModel: as :meth:`pipeline`.
        """
        self.pipeline(model)
        return self._reliability.get(self._resolve(model), {})

    def holds(self, model: str | None, caption: str, seed: int = 0, edits: Sequence = ()) -> bool:
        """Whether :meth:`trace` would answer from the store. Raises as :meth:`pipeline`."""
        with self._guard:
            return (self._resolve(model), tidy(caption), int(seed), tuple(edits)) in self._traces

    def lacks(self, model: str | None = None) -> dict[str, str]:
        """Edits that a model does not allow -> why (:func:`explorer.interventions.lacks`), found once. Raises as :meth:`pipeline`."""
        model = self._resolve(model)
        with self._busy[model]:
            if model not in self._lacks:
                from explorer.interventions import lacks

                self._lacks[model] = lacks(self.pipeline(model))
            return self._lacks[model]

    def using(self, model: str | None = None) -> threading.RLock:
        """Held while a network is used without :meth:`trace`: one forward pass at a time for each.

        Raises:
            UnknownModel: as :meth:`pipeline`.
        """
        return self._busy[self._resolve(model)]

    def trace(self, model: str | None, caption: str, seed: int = 0, edits: Sequence = ()) -> Trace:
        """One caption generated: a trace with a batch axis of 1, without graph, on the CPU. It is shared: read it, do not write to it.

        Args:
            model: a name of :attr:`models`; None is the first.
            caption: one sentence.
            seed: noise seed; the same (model, caption, seed, edits) gives the same numbers.
            edits: :mod:`explorer.edits` records, applied in order; the trace then says them in ``Trace.edits``; its caption is the one
                given, its words are those that were generated.

        Raises:
            UnknownModel: as :meth:`pipeline`.
            dmm.pipeline.CaptionError: no word of the caption is in the model's vocabulary.
            explorer.edits.EditError: an edit that the system or the caption does not allow.
        """
        model = self._resolve(model)
        key = (model, tidy(caption), int(seed), tuple(edits))
        found = self._find(key)
        if found is not None:
            return found
        with self._busy[model]:
            found = self._find(key)  # another thread may have generated it meanwhile
            if found is not None:
                return found
            pipe = self.pipeline(model)
            if key[3]:
                from explorer import edits as interventions
                from explorer.interventions import to_data

                with interventions.attached(pipe, *key[3], caption=key[1]) as edited:
                    trace = pipe(edited, seed=key[2])
                trace.edits, trace.captions = to_data(key[3]), [key[1]]
            else:
                trace = pipe(key[1], seed=key[2])
            trace = trace.detach().to("cpu")
        self._keep(key, trace)
        return trace

    def effects(
        self,
        model: str | None,
        caption: str,
        seed: int = 0,
        chosen: Mapping[str | int, str | None] | None = None,
        edits: Sequence = (),
        told: Callable[[int, int], None] | None = None,
    ) -> WordEffects:
        """How words of a caption reached the picture (:func:`dmm.metrics.effects.word_effects`). Nothing is kept.

        Args:
            model: a name of :attr:`models`; None is the first.
            caption: one sentence.
            seed: of the noise, and of the words that are put in.
            chosen: a word (its first occurrence) or a position on the T axis -> the word that is read there; None for another of its kind,
                which is muted if there is none. None for every word of the caption.
            edits: of the picture that is compared with as well.
            told: called after each step with how many are done, and with their number.

        Raises:
            UnknownModel: as :meth:`pipeline`.
            dmm.pipeline.CaptionError: a caption that cannot be generated.
            explorer.edits.EditError: a word that does not fit, or edits of a word on one pathway alone, which is then not apart.
        """
        from dmm.metrics.effects import word_effects
        from explorer.edits import EditError, Sentence, attached, changes_reading

        if any(map(changes_reading, edits)):
            raise EditError(
                "a word is exchanged or muted on one pathway already; take that edit back, then ask how words reached the picture"
            )
        with self.using(model):
            pipe = self.pipeline(model)
            with attached(pipe, *edits, caption=tidy(caption)) as edited:
                places = None if chosen is None else {Sentence.read(pipe, edited).find(word)[0]: new for word, new in chosen.items()}
                for new in (places or {}).values():
                    if new is not None and new not in pipe.vocab.ids:
                        raise EditError(f"{new!r} is not in this model's vocabulary")
                found = word_effects(pipe, edited, int(seed), places, told)
        if places and len(found.words) < len(places):
            raise EditError(f"muting the only word of “{caption}” would leave no word to read")
        return found

    def __len__(self) -> int:
        """Number of traces kept now."""
        with self._guard:
            return len(self._traces)

    def clear(self) -> None:
        """Forget every trace; the networks stay loaded."""
        with self._guard:
            self._traces.clear()

    def _resolve(self, model: str | None) -> str:
        if model is None:
            return self.models[0]
        if model not in self._sources:
            raise UnknownModel(f"no model {model!r} in this session; it holds {', '.join(self.models)}")
        return model

    def _find(self, key: tuple) -> Trace | None:
        with self._guard:
            if key not in self._traces:
                return None
            self._traces.move_to_end(key)
            return self._traces[key]

    def _keep(self, key: tuple, trace: Trace) -> None:
        if self._store(key, trace):
            give_back()

    def _store(self, key: tuple, trace: Trace) -> int:
        """Keep a trace; how many others were let go for it."""
        let_go = 0
        with self._guard:
            self._traces[key] = trace
            self._traces.move_to_end(key)
            held = sum(nbytes(t) for t in self._traces.values())
            while len(self._traces) > self.capacity or (held > self.megabytes * 2**20 and len(self._traces) > 1):
                held -= nbytes(self._traces.popitem(last=False)[1])
                let_go += 1
        return let_go
