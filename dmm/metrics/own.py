"""Fréchet distance and R-precision of a model on one's own pictures: captions that training has not seen are generated and compared.

Both are read by the checkpoint's own matching encoders, since no judge exists for other pictures: the Fréchet distance is of their image
embeddings unless ``--features`` names another network, and then *not* an Inception FID; the generator was trained against them where its
recipe has a matching loss. Compare figures of one network, data set and N only. Real pictures of the same captions, read by the same
network, give the ceiling.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from dmm.config import ConfigError
from dmm.data.prepared import Prepared
from dmm.images import to_float
from dmm.metrics.evaluation import rounded
from dmm.metrics.feature_networks import FeatureNetwork, load_feature_network
from dmm.metrics.fid import GROUPS, FeatureStatistics, with_interval
from dmm.metrics.r_precision import distractors, r_precision

OWN_METRICS = ("fid", "r_precision")
LEAST = 4  # pictures: two and two give a ceiling


def evaluate_own(
    pipe,
    source: str,
    captions: int = 2000,
    seed: int = 100,
    metrics: Sequence[str] = OWN_METRICS,
    batch: int = 16,
    command: str = "",
    progress: bool = True,
    features: str = "judge",
) -> dict:
    """Measure a pipeline on a prepared data set: on its test split, or on the training split if there is no other.

    Args:
        pipe: what :func:`dmm.checkpoint.load` gives, with an image encoder.
        source: the data set's folder, or its prepared directory.
        captions: the most captions, one a picture.
        seed: sample i draws its noise from seed + i; also orders the wrong captions.
        metrics: of ``OWN_METRICS``.
        batch: pictures at a time.
        command: the command line, to be printed beside the figures.
        progress: a bar on stderr.
        features: whose features ``fid`` compares, a name of :mod:`dmm.metrics.feature_networks`; "judge" stands for the image encoder.

    Returns:
        Plain containers for JSON, as of :func:`dmm.metrics.evaluate`.

    Raises:
        ConfigError: another metric, a model without image encoder, or too few pictures.
        PrepareError: the data set is not prepared.
    """
    unknown = sorted(set(metrics) - set(OWN_METRICS))
    if unknown:
        raise ConfigError(f"--metrics: on one's own pictures expected some of {', '.join(OWN_METRICS)}, found {unknown[0]!r}")
    network = load_feature_network(features, pipe.device)
    if pipe.image_encoder is None and (network is None or "r_precision" in metrics):
        raise ConfigError(f"{pipe.name}: holds no image encoder to read pictures with; give a run of dmm train gan, or convert one")
    data, split = _unseen(source, pipe)
    count = min(captions, len(data))
    if count < LEAST:
        raise ConfigError(f"{source}: expected at least {LEAST} pictures whose captions the model knows, found {count}")
    began, texts = time.monotonic(), [data.captions(i)[0].text for i in range(count)]
    size = data.sizes[-1]
    with torch.no_grad(), tqdm(total=count, desc="own pictures", unit="image", disable=not progress) as bar:
        embeddings: dict[str, list[Tensor]] = {"generated": [], "real": [], "sentences": []}
        seen = {name: FeatureStatistics() for name in ("generated", "real", "first half", "second half")}
        for first in range(0, count, batch):
            rows = range(first, min(first + batch, count))
            some = [texts[i] for i in rows]
            image = pipe(some, seed=[seed + i for i in rows], redescribe=False).images[-1]
            real = to_float(data.images(size, rows)).to(pipe.device)
            if pipe.image_encoder is not None:
                embeddings["generated"].append(pipe.image_encoder(image)[1].cpu())
                embeddings["real"].append(pipe.image_encoder(real)[1].cpu())
            embeddings["sentences"].append(pipe.encode(some)[1].cpu())
            by_generated, by_real = (
                embeddings[name][-1] if network is None else network(pictures)["features"].cpu()
                for name, pictures in (("generated", image), ("real", real))
            )
            seen["generated"].add(by_generated)
            seen["real"].add(by_real)
            in_first = torch.tensor([i < count // 2 for i in rows])
            seen["first half"].add(by_real[in_first])
            seen["second half"].add(by_real[~in_first])
            bar.update(len(some))
    classes = _classes(data, count)
    found = {
        "fid": lambda: _frechet(seen, network),
        "r_precision": lambda: _precision(
            torch.cat(embeddings["generated"]), torch.cat(embeddings["real"]), torch.cat(embeddings["sentences"]), classes, seed
        ),
    }
    return {
        "checkpoint": pipe.name,
        "command": command,
        "n": count,
        "split": f"{split} split of {data.card['source']}, the first caption of each of the first {count} pictures",
        "noise": f"sample i draws z and eps from seed {seed} + i",
        "seed": seed,
        "metrics": {name: rounded(found[name]()) for name in metrics},
        "seconds": round(time.monotonic() - began),
    }


def _unseen(source: str, pipe) -> tuple[Prepared, str]:
    """The pictures to measure with, those without a known word left out, and the name of their split."""
    for split in ("test", "train"):
        data = Prepared(source, split, mirror=False)
        data.keep_captions_of(pipe.vocab)
        if len(data):
            break
    return data, split


def _classes(data: Prepared, count: int) -> Tensor:
    """Classes of the first pictures, from 0 on."""
    numbers: dict[int, int] = {}
    return torch.tensor([numbers.setdefault(data.class_id(i), len(numbers)) for i in range(count)])


def _frechet(seen: Mapping[str, FeatureStatistics], network: FeatureNetwork | None) -> dict:
    generated, real = seen["generated"], seen["real"]
    features = f"the {real.width} numbers of the image code, by the checkpoint's own encoder" if network is None else network.about
    return {
        "generated": with_interval(generated, real),
        "ceiling_real": with_interval(seen["first half"], seen["second half"]),
        "protocol": (
            f"squared Fréchet distance, float64, of {features}; {generated.count} generated pictures against the {real.count} real ones of "
            "the same captions. The ceiling is one half of the real ones against the other: of half as many pictures, so biased upwards. "
            f"95 % intervals: jackknife over {GROUPS} groups of both sets."
        ),
    } | ({} if network is None else {"feature_network": network.describe()})


def _precision(generated: Tensor, real: Tensor, sentences: Tensor, classes: Tensor, seed: int) -> dict:
    wrong = distractors(classes, 99, seed)
    return {
        "generated": r_precision(generated, sentences, wrong),
        "ceiling_real": r_precision(real, sentences, wrong),
        "protocol": (
            f"image code against its sentence and {wrong.shape[1]} sentences of other classes, cosine, hit when its own is nearest; mean "
            "and standard deviation over 10 parts. Encoders: the checkpoint's own, which the generator was trained against."
        ),
    }
