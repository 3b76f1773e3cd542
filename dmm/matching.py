"""Do these words and this picture belong together? Word-region attention and similarities of DAMSM (AttnGAN, Eqs. 7-14).

All pairs of a batch are scored at once. A word attends over the regions of a picture; its context is the attended region feature; a pair's
score gathers the cosine of every word with its context. The contexts of all pairs are never built: the inner product of a word with its
context is the attended sum of the logits, and a context's norm comes from the Gram matrix of the regions.

Alphabet: I pictures, J captions (I = J = B in a batch), T words, R regions, D channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dmm.fp32 import in_fp32

EPSILON = 1e-8


def word_mask(lengths: Tensor, steps: int) -> Tensor:
    """Lengths J -> J T, true past a caption's end."""
    return torch.arange(steps, device=lengths.device)[None] >= lengths[:, None]


@in_fp32
def region_attention(regions: Tensor, words: Tensor, lengths: Tensor, gamma1: float = 4.0) -> tuple[Tensor, Tensor]:
    """Where each word of a caption looks in its own picture (AttnGAN, Eqs. 7-9).

    Args:
        regions: B D H W.
        words: B D T.
        lengths: B words in each caption.
        gamma1: sharpness of the attention over regions.

    Returns:
        attention B T H W, a softmax over places (a uniform map past a caption's end), and contexts B D T.
    """
    places = regions.flatten(2)  # B D R
    logits = words.transpose(1, 2) @ places  # B T R
    past = word_mask(lengths, words.shape[2])[:, :, None]
    attention = (gamma1 * logits.masked_fill(past, float("-inf")).softmax(1)).softmax(2)
    return attention.unflatten(2, regions.shape[2:]), places @ attention.transpose(1, 2)


def word_scores(regions: Tensor, words: Tensor, lengths: Tensor, gamma1: float = 4.0, gamma2: float = 5.0) -> Tensor:
    """Word-level score of every picture with every caption: log of the sum over words of exp(gamma2 * cosine), Eq. 10.

    Args:
        regions: I D H W.
        words: J D T.
        lengths: J words in each caption.
        gamma1: sharpness of the attention over regions.
        gamma2: sharpness of the sum over words; not divided out again, as published.

    Returns:
        scores I J.
    """
    places = regions.flatten(2)  # I D R
    captions, _, steps = words.shape
    pictures, _, count = places.shape
    past = word_mask(lengths, steps)  # J T
    flat = words.transpose(1, 2).flatten(0, 1)  # JT D
    logits = (flat @ places.transpose(0, 1).flatten(1)).view(captions, steps, pictures, count)  # J T I R
    attention = logits.masked_fill(past[:, :, None, None], float("-inf")).softmax(1)  # over the words, at each region
    attention = (gamma1 * attention).softmax(3)  # over the regions, for each word
    inner = (attention * logits).sum(3)  # J T I, word . context
    gram = places.transpose(1, 2) @ places  # I R R
    weights = attention.flatten(0, 1).transpose(0, 1)  # I JT R
    square = ((weights @ gram) * weights).sum(2)  # I JT, |context|^2
    context = square.clamp(min=EPSILON**2).sqrt().T.view(captions, steps, pictures)
    norms = words.norm(dim=1)[:, :, None] * context  # J T I
    cosine = inner / norms.clamp(min=EPSILON)
    return (gamma2 * cosine).masked_fill(past[:, :, None], float("-inf")).logsumexp(1).T


def sentence_scores(embedding: Tensor, sentence: Tensor) -> Tensor:
    """Cosine of every image embedding I D with every sentence J D, I J (the sentence's part of DAMSM)."""
    norms = embedding.norm(dim=1)[:, None] * sentence.norm(dim=1)[None]
    return (embedding @ sentence.T) / norms.clamp(min=EPSILON)


def mask_same_class(scores: Tensor, class_ids: Tensor | None) -> Tensor:
    """-inf for pairs B B of the same class other than the diagonal, which are no mismatch."""
    if class_ids is None:
        return scores
    same = class_ids[:, None] == class_ids[None]
    same = same & ~torch.eye(len(class_ids), dtype=torch.bool, device=class_ids.device)
    return scores.masked_fill(same, float("-inf"))


def both_ways(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the diagonal over captions for each picture, and over pictures for each caption (Eqs. 11-13)."""
    labels = torch.arange(len(scores), device=scores.device)
    return F.cross_entropy(scores, labels), F.cross_entropy(scores.T, labels)


@in_fp32
def matching_losses(
    regions: Tensor,
    embedding: Tensor,
    words: Tensor,
    sentence: Tensor,
    lengths: Tensor,
    class_ids: Tensor | None = None,
    gamma1: float = 4.0,
    gamma2: float = 5.0,
    gamma3: float = 10.0,
) -> dict[str, Tensor]:
    """The four DAMSM losses of a batch of B matching pairs.

    Args:
        regions: B D H W.
        embedding: B D image embeddings.
        words: B D T.
        sentence: B D.
        lengths: B words in each caption.
        class_ids: B; pairs of one class are left out of the mismatches.
        gamma1: sharpness of the attention over regions.
        gamma2: sharpness of the sum over words.
        gamma3: sharpness of the softmax over the batch.

    Returns:
        scalars ``words0`` (a picture chooses its caption), ``words1`` (a caption its picture), ``sentence0``, ``sentence1`` and ``total``.
    """
    by_words = mask_same_class(gamma3 * word_scores(regions, words, lengths, gamma1, gamma2), class_ids)
    by_sentence = mask_same_class(gamma3 * sentence_scores(embedding, sentence), class_ids)
    words0, words1 = both_ways(by_words)
    sentence0, sentence1 = both_ways(by_sentence)
    parts = {"words0": words0, "words1": words1, "sentence0": sentence0, "sentence1": sentence1}
    return parts | {"total": words0 + words1 + sentence0 + sentence1}
