"""Inception Score (Salimans et al., NeurIPS 2016): exp of the mean over pictures x of KL(p(y|x) || p(y)), over 10 parts of the pictures.

1 where a classifier's answers do not depend on the picture, at most as many as it has answers, where each picture gets one of them with
certainty and all equally often. It asks nothing of the caption. Published scores take the thousand classes of Inception-v3 (on birds: of
a network trained on them), which ``--features inception:FILE`` gives; by default the judge classifies, whose answers are the 11 colours of
each of seven parts: the score is the mean of the parts' scores. It compares with scores of the same network only, and the rendered birds'
score says what is right, more is not better.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmm.errors import InputError
from dmm.metrics.attributes import PARTS as JUDGED
from dmm.metrics.bootstrap import parts_interval
from dmm.metrics.registry import register_metric

PARTS = 10  # as published


def inception_score(probabilities: Tensor) -> float:
    """exp E KL(p(y|x) || p(y)) of a classifier's answers, N C, rows that add up to 1.

    Raises:
        ValueError: no rows, or rows that are no probabilities.
    """
    if probabilities.ndim != 2 or not len(probabilities):
        raise InputError(f"expected probabilities N C, found shape {tuple(probabilities.shape)}")
    p = probabilities.double()
    if (p < 0).any() or not torch.allclose(p.sum(1), torch.ones(len(p), dtype=torch.double), atol=1e-4):
        raise InputError("expected rows of probabilities that add up to 1; give softmax(logits)")
    marginal = p.mean(0, keepdim=True)
    ratio = torch.where(p > 0, p / marginal, torch.ones_like(p))
    return (p * ratio.log()).sum(1).mean().exp().item()


def over_parts(probabilities: dict[str, Tensor], parts: int = PARTS) -> dict:
    """``{"mean", "std", "interval_95"}`` over parts of the pictures of the mean score of several classifiers, each N C."""
    split = [value.tensor_split(min(parts, len(value))) for value in probabilities.values()]
    scores = [sum(map(inception_score, rows)) / len(rows) for rows in zip(*split, strict=True)]
    found = torch.tensor(scores, dtype=torch.double)
    return {"mean": found.mean().item(), "std": found.std(unbiased=False).item(), "interval_95": parts_interval(scores)}


@register_metric("inception_score", needs=("features", "feature_logits"))
def score(evaluation) -> dict:
    """Inception Score, by default of the judge's colours: are pictures clear, and different? Right is what rendered birds have."""
    size, network = evaluation.largest, evaluation.feature_network
    answers = f"judge's 11 colours, {size} px, mean over {', '.join(JUDGED)}"
    if network is not None:
        answers = f"classes of {network.name}, {size} px"

    def of(features) -> dict:
        logits = evaluation.seen(features)["logits"]
        return over_parts({part: logits[part].double().softmax(1) for part in (JUDGED if network is None else logits)})

    return {
        "generated": of(evaluation.generated),
        "ceiling_rendered": of(evaluation.rendered),
        "floor_shuffled": None,
        "protocol": (
            f"exp of the mean KL(p(class | picture) || p(class)) of the {answers}; "
            f"mean and standard deviation over {PARTS} parts of {len(evaluation.captions)} pictures, 95 % interval: 1.96 standard errors "
            "over them."
        ),
    } | evaluation.feature_record()
