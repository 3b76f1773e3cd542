"""R-precision as the AttnGAN and DM-GAN codes measure it: does the picture find its sentence among 100?

The image embedding of each picture is compared by cosine with the sentence feature of its own caption and of 99 captions drawn from other
classes; a hit is when its own is the nearest (R = 1). Mean and standard deviation over 10 parts of the samples. The published evaluation
leaves the last element of every part out; here every sample counts.

The encoders are the ones that the matching loss trained the generator against (when a recipe weighs it), so the figure is optimistic,
in the published tables too; the attribute agreement is the one to trust. 1 of 100 is chance.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dmm.errors import InputError
from dmm.metrics.bootstrap import ratio_interval
from dmm.metrics.registry import register_metric

PIECE = 1024  # pictures compared with all sentences at once


def distractors(classes: Tensor, candidates: int, seed: int) -> Tensor:
    """Row of each sample's wrong sentences, N ``candidates``: other classes only, without repetition.

    Args:
        classes: class of each of the N sentences.
        candidates: wrong sentences for each picture; fewer where too few sentences of other classes exist.

    Raises:
        ValueError: all sentences are of one class.
    """
    classes = torch.as_tensor(classes)
    generator = torch.Generator().manual_seed(seed)
    available = int(len(classes) - torch.bincount(classes).max())
    if available == 0:
        raise InputError("R-precision needs sentences of at least two classes")
    count = min(candidates, available)
    found = []
    for rows in classes.split(PIECE):
        order = torch.rand(len(rows), len(classes), generator=generator)  # n N
        order.masked_fill_(rows[:, None] == classes[None, :], 2.0)
        found.append(order.topk(count, dim=1, largest=False).indices)
    return torch.cat(found)


def hits(embeddings: Tensor, sentences: Tensor, wrong: Tensor, own: Tensor | None = None) -> Tensor:
    """Whether each picture is nearest to its own sentence, N bool.

    Args:
        embeddings: of images, N D.
        sentences: sentence features, N D.
        wrong: rows of the wrong sentences, N K.
        own: row of the sentence that counts as the own one, N; the same row when left out.

    A tie is a miss: an encoder that maps everything to one point scores 0. A wrong sentence that is the own one as well is not compared.
    """
    embeddings, sentences = F.normalize(embeddings.double(), dim=1), F.normalize(sentences.double(), dim=1)
    own = torch.arange(len(embeddings)) if own is None else own
    found = []
    for embedding, right, rivals in zip(embeddings.split(PIECE), own.split(PIECE), wrong.split(PIECE), strict=True):
        similarity = embedding @ sentences.T  # n N
        true = similarity.gather(1, right[:, None])  # n 1
        others = similarity.gather(1, rivals).masked_fill(rivals == right[:, None], -2.0)
        found.append((true > others).all(1))
    return torch.cat(found)


def r_precision(embeddings: Tensor, sentences: Tensor, wrong: Tensor, own: Tensor | None = None, parts: int = 10) -> dict:
    """Share of hits, ``{"mean", "std", "interval_95"}``: deviation over ``parts`` equal parts, interval over samples; see :func:`hits`."""
    hit = hits(embeddings, sentences, wrong, own).double()
    means = torch.stack([part.mean() for part in hit.chunk(min(parts, len(hit)))])
    interval = ratio_interval(hit, torch.ones_like(hit))
    return {"mean": float(hit.mean()), "std": float(means.std(unbiased=False)), "interval_95": interval}


def retrieved(evaluation, features: str, sentences: Tensor, encoders: str) -> dict:
    """The record of R-precision of what one image encoder read.

    Args:
        evaluation: what was read.
        features: name of the extractor that read the pictures.
        sentences: N D of the captions, by the text encoder that was trained with it.
        encoders: which they are, for the protocol.
    """
    size, wrong = evaluation.largest, distractors(evaluation.classes, 99, evaluation.seed)
    fake, real = (set_[features][size] for set_ in (evaluation.generated, evaluation.rendered))
    return {
        "generated": r_precision(fake, sentences, wrong),
        "ceiling_rendered": r_precision(real, sentences, wrong),
        "floor_shuffled": r_precision(fake, sentences, wrong, evaluation.shuffle),
        "protocol": (
            f"image code of the {size} px picture against its sentence and {wrong.shape[1]} sentences of other species, cosine, hit when "
            "its own is the nearest; mean and standard deviation over 10 parts, 95 % interval: 1,000 bootstrap draws of samples. "
            f"Encoders: {encoders}"
        ),
    }


@register_metric("r_precision", needs=("image_code", "sentence"))
def precision(evaluation) -> dict:
    """R-precision (R = 1 of 100) with the encoders of the checkpoint: optimistic, since the generator was trained against them."""
    encoders = (
        "the checkpoint's own image and text encoder. The generator was trained against them where its recipe has a matching loss: an "
        "optimistic figure."
    )
    return retrieved(evaluation, "image_code", evaluation.sentences, encoders)
