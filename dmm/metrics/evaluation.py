"""One evaluation: captions of unseen species are generated once, every network reads every picture once, and every metric answers.

    captions of the 50 unseen species ─▶ pipeline (seed + i for sample i) ─▶ generated ─┐
    the birds of those captions, rendered ─────────────────────────────────▶ rendered  ─┼─▶ networks ─▶ metrics ─▶ one dict
    as many other birds of those species, rendered ────────────────────────▶ reference ─┘

``rendered`` gives the ceiling of each metric. The floor compares the generated pictures with the captions of other birds, each of another
species (``shuffle``).

An evaluation of many pictures can be broken off: given a state file, it writes there after every so many pictures what it has, and goes
on from it (:mod:`dmm.metrics.resume`). What is kept of a picture is small (answers, embeddings, a sentence); features are kept as
statistics, unless a metric compares pictures one by one (``kid``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from dmm.aviary.cache import AviaryCache
from dmm.aviary.grammar import captions as describe
from dmm.aviary.species import bird
from dmm.aviary.traits import Bird
from dmm.checkpoint import load_parts
from dmm.config import ConfigError
from dmm.data.vocab import Vocabulary
from dmm.images import grid, save, to_float
from dmm.metrics.feature_networks import FeatureNetwork, load_feature_network
from dmm.metrics.features import Collection, Extractor, Features, Fields, Kept, Rows
from dmm.metrics.fid import FeatureStatistics
from dmm.metrics.independent import load_encoders
from dmm.metrics.judge import Judge, load_judge
from dmm.metrics.marks import load_marks
from dmm.metrics.records import digest, rounded
from dmm.metrics.registry import get_metric
from dmm.metrics.resume import EVERY, Progress
from dmm.models.captioner import Captioner

METRICS = ("attributes", "fid", "r_precision", "caption_f1", "claims")  # measured by default; the others are asked for by name
OWN_PICTURES = "pipeline"  # what a metric reads that makes its own pictures with the pipeline


@dataclass
class Evaluation:
    """What the metrics compute from."""

    captions: Sequence  # N grammar.Caption, one a bird
    classes: Tensor  # N species of each caption
    shuffle: Tensor  # N row of a caption of another species
    seed: int
    largest: int  # side of the largest picture, px
    generated: Features | None = None  # None where no metric asks for it
    rendered: Features | None = None
    reference: Features | None = None  # other birds of the same species; only features
    sentences: Tensor | None = None  # N D sentence features of the checkpoint's text encoder
    population: Sequence[Bird] = ()  # N birds of the captions
    pipe: object = None  # for metrics that make their own pictures
    original: object = None  # the same pipeline, not fused
    judge: Judge | None = None
    feature_network: FeatureNetwork | None = None  # whose features and classes are compared; None: the judge
    encoders: object = None  # a dmm.metrics.independent.Encoders, where a metric asks for them
    birds: AviaryCache | None = None  # their pictures; None where no metric asks for any
    batch: int = 16  # pictures at a time
    progress: bool = False

    def seen(self, which: Features) -> dict:
        """What the network whose features are compared read from a set's largest pictures: statistics as "features", perhaps "logits"."""
        return which["judge" if self.feature_network is None else "features"][self.largest]

    def feature_words(self, features: int) -> str:
        """Which features are compared, for a protocol."""
        if self.feature_network is None:
            return f"the {features} penultimate features of the judge"
        return self.feature_network.about

    def feature_record(self) -> dict:
        """What a record says of the network, if it is not the judge."""
        return {} if self.feature_network is None else {"feature_network": self.feature_network.describe()}


def shuffled(classes: Tensor, seed: int) -> Tensor:
    """A permutation of N rows in which no row stays in its class.

    Raises:
        ConfigError: one class has more than half of the rows, so none exists.
    """
    classes = torch.as_tensor(classes)
    most = int(torch.bincount(classes).max())
    if 2 * most > len(classes):
        raise ConfigError(f"captions cannot be shuffled between species: {most} of {len(classes)} are of one; use more captions")
    random = torch.rand(len(classes), generator=torch.Generator().manual_seed(seed))
    order = (classes.double() + random.double()).argsort()  # by class, at random within
    result = torch.empty_like(order)
    result[order] = order.roll(-most)
    return result


def _chunks(items: Sequence, batch: int) -> Iterator[Sequence]:
    for start in range(0, len(items), batch):
        yield items[start : start + batch]


def _rendered(
    birds: AviaryCache, rows: Sequence[int], sizes: Sequence[int], batch: int, device: torch.device, first: list
) -> Iterator[dict[int, Tensor]]:
    """Rendered birds, batch after batch; ``first`` is filled up with the first pictures."""
    for chunk in _chunks(rows, batch):
        images = {size: to_float(birds.images(size, chunk).to(device)) for size in sizes}
        first += list(images[sizes[-1]][: max(0, 16 - len(first))].cpu())
        yield images


def _generated(pipe, texts: Sequence[str], seed: int, batch: int, first: list) -> Iterator[dict[int, Tensor]]:
    """Generated pictures, batch after batch, sample i from ``seed`` + i; ``first`` is filled up with the first pictures."""
    seeds = range(seed, seed + len(texts))
    for chunk, numbers in zip(_chunks(texts, batch), _chunks(seeds, batch), strict=True):
        images = pipe(list(chunk), seed=list(numbers), redescribe=False).images
        first += list(images[-1][: max(0, 16 - len(first))].cpu())
        yield {image.shape[-1]: image for image in images}


def _extractors(
    pipe,
    judge: Judge,
    network: FeatureNetwork | None,
    encoders,
    redescriber: Redescriber | None,
    names: set[str],
    sizes: Sequence[int],
    by_stage: bool,
) -> dict[tuple[str, int], Extractor]:
    extractors: dict[tuple[str, int], Extractor] = {}
    if "features" in names and network is not None:
        extractors["features", sizes[-1]] = network
    if "judge" in names or ("features" in names and network is None):
        extractors |= {("judge", size): judge for size in (sizes if by_stage else sizes[-1:])}
    if "marks" in names:
        extractors["marks", sizes[-1]] = load_marks(device=pipe.device)
    if "image_code" in names:
        extractors["image_code", sizes[-1]] = lambda images: pipe.image_encoder(images)[1]
    if "independent" in names:
        extractors["independent", sizes[-1]] = encoders.embeddings
    if "redescription" in names and redescriber is not None:
        extractors |= {("redescription", size): redescriber.sentences for size in sizes}
    return extractors


def _kept(network: FeatureNetwork | None, names: set[str], sizes: Sequence[int], by_stage: bool) -> dict[tuple[str, int], Kept]:
    """How what extractors read is kept: the judge's answers as rows, compared features as statistics."""
    judge: dict[tuple[str, int], dict[str, Kept]] = {("judge", size): {"logits": Rows()} for size in (sizes if by_stage else sizes[-1:])}
    if "features" in names:
        compared: dict[str, Kept] = {"features": FeatureStatistics("feature_rows" in names)}
        if network is None:
            judge["judge", sizes[-1]] |= compared
        else:
            judge["features", sizes[-1]] = compared | ({"logits": Rows()} if "feature_logits" in names else {})
    return {key: Fields(fields) for key, fields in judge.items()}


@dataclass(frozen=True)
class Redescriber:
    """A captioner (STREAM) with the words that it was trained on."""

    captioner: Captioner
    vocab: Vocabulary
    checkpoint: str  # whose it is

    @classmethod
    def load(cls, pipe, other: str | Path | None) -> Redescriber | None:
        """The captioner of another checkpoint, or the pipeline's own; None if it has none.

        Raises:
            CheckpointError: another checkpoint without a captioner, or a file that cannot be used.
        """
        if other is None:
            return None if pipe.captioner is None else cls(pipe.captioner, pipe.vocab, pipe.name)
        parts, _, vocab = load_parts(other, ("captioner",))
        captioner = parts["captioner"].to(pipe.device)
        assert isinstance(captioner, Captioner)
        return cls(captioner, vocab, str(other))

    def sentences(self, images: Tensor) -> list[str]:
        """The sentence of each picture B 3 S S, regenerated greedily."""
        return self.captioner.sentences(images, self.vocab)

    def describe(self) -> dict:
        """For a record: whose captioner, and the hash of its weights."""
        return {"checkpoint": self.checkpoint, "weights_sha256": digest(self.captioner)}


def _needed(pipe, metrics: Sequence[str], encoders: object, redescriber: Redescriber | None) -> set[str]:
    """What all the metrics need of each picture.

    Raises:
        ConfigError: an unknown metric, or one that reads with a network that the checkpoint does not hold, or that nobody gave.
    """
    given = [name for name in metrics if "independent" in get_metric(name).needs]
    if given and encoders is None:
        raise ConfigError(f"--metrics {given[0]}: expected --encoders RUN, a matching run of other birds (dmm train match), found none")
    held = {"image_code": pipe.image_encoder, "redescription": redescriber}
    blind = {name: extractor for name in metrics for extractor in get_metric(name).needs if held.get(extractor, pipe) is None}
    if blind:
        missing = {"image_code": "its image_encoder", "redescription": "a captioner (its own, or --captioner NAME)"}
        needs = "; ".join(f"{name} needs {missing[extractor]}" for name, extractor in blind.items())
        rest = ",".join(name for name in metrics if name not in blind)
        raise ConfigError(f"the checkpoint {pipe.name} lacks a network: {needs}. " + (f"Go on with --metrics {rest}" if rest else "Add it"))
    return {extractor for name in metrics for extractor in get_metric(name).needs}


@torch.no_grad()
def evaluate(
    pipe,
    captions: int = 2000,
    seed: int = 100,
    metrics: Sequence[str] = METRICS,
    batch: int = 16,
    level: str = "garden",
    by_stage: bool = True,
    judge: str | Path | None = None,
    encoders: str | Path | None = None,
    captioner: str | Path | None = None,
    features: str = "judge",
    cache: str | Path = ".cache/aviary",
    sheet: str | Path | None = None,
    command: str = "",
    progress: bool = True,
    state: str | Path | None = None,
    save_every: int = EVERY,
) -> dict:
    """Measure a pipeline on captions of the 50 unseen Aviary species.

    Args:
        pipe: what :func:`dmm.pipeline.load` gives.
        captions: how many, one a bird; as many other birds are rendered for the Fréchet distance.
        seed: sample i draws z and eps from seed + i; also orders the wrong and the shuffled captions.
        metrics: names of the registry.
        batch: pictures at a time.
        level: "garden" or "world".
        by_stage: let the judge read the smaller pictures as well.
        judge: directory of the judge; the shipped one when left out.
        encoders: a matching run whose encoders measure, for metrics that ask for independent ones.
        captioner: a checkpoint whose captioner reads the pictures back; the pipeline's own when left out.
        features: whose features ``fid``, ``kid`` and ``inception_score`` compare: a name of :mod:`dmm.metrics.feature_networks`.
        cache: where rendered birds are kept; drawn on first use.
        sheet: where to write the first 16 generated pictures above the birds of their captions.
        command: the command line that was typed, to be printed beside the figures.
        progress: bars on stderr.
        state: where to keep what has been read, so that an evaluation that was broken off goes on; the caller removes it.
        save_every: pictures between two writes of it.

    Returns:
        Plain containers for JSON: protocol, N, seeds and command, and by metric ``generated``, ``ceiling_rendered``, ``floor_shuffled``.

    Raises:
        ConfigError: an unknown metric, one that the checkpoint has no network for, or too few captions.
    """
    redescriber = Redescriber.load(pipe, captioner) if any("redescription" in get_metric(name).needs for name in metrics) else None
    needed = _needed(pipe, metrics, encoders, redescriber)
    network = load_feature_network(features, pipe.device) if "features" in needed else None
    others = load_encoders(encoders, pipe) if encoders is not None and "independent" in needed else None
    judge_network = load_judge(judge, pipe.device)
    original, pipe = pipe, pipe.fused()
    images = pipe("a bird", seed=seed, redescribe=False).images
    sizes = [image.shape[-1] for image in images]
    if network is not None and "feature_logits" in needed and "logits" not in network(images[-1]):
        raise ConfigError(f"--metrics inception_score: {network.name} gives features and no logits, so it cannot classify; leave it out")
    population = [bird(i, 0, level, "test") for i in range(captions)]
    sentences = [describe(one)[0] for one in population]
    texts, classes = [sentence.text for sentence in sentences], torch.tensor([one.species for one in population])
    shuffle = shuffled(classes, seed)
    own_pictures = {"pipe": pipe, "original": original, "judge": judge_network, "encoders": others, "batch": batch, "progress": progress}
    evaluation = Evaluation(sentences, classes, shuffle, seed, sizes[-1], population=population, feature_network=network, **own_pictures)
    settings = {"captions": captions, "seed": seed, "metrics": ",".join(metrics), "batch": batch, "level": level, "by_stage": by_stage}
    networks = {"weights": digest(original), "judge": digest(judge_network), "features": features if network is None else network.sha256}
    networks["encoders"] = "none" if others is None else str(others.describe())
    read_back = {} if redescriber is None else {"captioner": redescriber.describe()}
    networks["captioner"] = str(read_back)
    done = Progress(state, settings | networks | {"sheet": sheet is not None}, save_every)
    shown, drawn = (done.pictures("generated"), done.pictures("rendered")) if sheet else ([], [])

    def read(label: str, which: dict[tuple[str, int], Extractor], batches: Callable[[Sequence[int]], Iterator]) -> Features:
        collection = Collection(which, _kept(network, needed, sizes, by_stage))
        first = done.restore(label, collection)
        bar = tqdm(
            batches(range(first, captions)), label, -(-captions // batch), initial=first // batch, unit="batch", disable=not progress
        )
        for number, images in enumerate(bar, start=first // batch + 1):
            collection.add(images)
            done.keep(label, collection, min(number * batch, captions), captions)
        return collection.features()

    if needed - {OWN_PICTURES} or sheet:
        birds = AviaryCache.open(cache, 2 * captions if "reference" in needed else captions, 0, level, "test", sizes, progress)
        evaluation.birds = birds
        extractors = _extractors(pipe, judge_network, network, others, redescriber, needed, sizes, by_stage)

        def generated(rows: Sequence[int]) -> Iterator[dict[int, Tensor]]:
            first = captions - len(rows)
            return _generated(pipe, texts[first:], seed + first, batch, shown)

        def rendered(rows: Sequence[int]) -> Iterator[dict[int, Tensor]]:
            return _rendered(birds, rows, sizes, batch, pipe.device, drawn)

        def reference(rows: Sequence[int]) -> Iterator[dict[int, Tensor]]:
            return _rendered(birds, [captions + row for row in rows], sizes[-1:], batch, pipe.device, [])

        evaluation.generated = read("generated", extractors, generated)
        evaluation.rendered = read("rendered", extractors, rendered)
        if "reference" in needed:
            compared = "judge" if network is None else "features"
            evaluation.reference = read("reference", {(compared, sizes[-1]): extractors[compared, sizes[-1]]}, reference)
        evaluation.sentences = torch.cat([pipe.encode(chunk)[1].cpu() for chunk in _chunks(texts, batch)])
    if sheet:
        rows = [row for i in range(0, len(shown), 8) for row in (shown[i : i + 8], drawn[i : i + 8])]
        save(grid([picture for row in rows for picture in row], min(8, len(shown))), sheet)
    return {
        "checkpoint": pipe.name,
        "command": command or f"dmm evaluate {pipe.name} --captions {captions} --seed {seed}",
        "n": captions,
        "split": f"Aviary {level}, birds 0 to {captions - 1} of the 50 unseen species (data seed 0), the first caption of each",
        "noise": f"sample i draws z and eps from seed {seed} + i; no truncation",
        "seed": seed,
        "weights_sha256": digest(original),
        **({"train_seed": original.card["seed"]} if "seed" in original.card else {}),
        "judge": _describe(judge_network),
        **read_back,
        "metrics": {name: done.figures(name, lambda metric: rounded(get_metric(metric).compute(evaluation))) for name in metrics},
        "seconds": round(done.seconds()),
    }


def _describe(judge: Judge) -> dict:
    """Which judge: a hash of its weights, and what it reaches on rendered birds of unseen species."""
    return {"weights_sha256": digest(judge), "unseen_species": judge.card.get("unseen_species")}
