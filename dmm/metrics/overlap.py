"""BLEU and CIDEr of the sentence that STREAM reads back, against all captions of the bird: how much the words overlap.

BLEU (Papineni et al., ACL 2002), of the whole corpus: the geometric mean of the clipped precisions of 1- to 4-grams, times exp(1 - r/c)
where the candidates are shorter (c words) than their closest references (r). CIDEr (Vedantam et al., CVPR 2015): 10 times the mean over
n = 1..4 of the mean cosine between tf-idf vectors of n-grams, with the document frequencies of the references. Both reward the grammar of
captions as well as what is said; the slot F1 (:mod:`dmm.metrics.caption_scores`) sees only what is claimed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from dmm.aviary.grammar import captions as describe
from dmm.errors import InputError
from dmm.metrics.registry import register_metric

LONGEST = 4  # words of an n-gram


def ngrams(words: Sequence[str], n: int) -> Counter:
    """The n-grams of a sentence and how often each is there."""
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]], longest: int = LONGEST) -> float:
    """Corpus BLEU of one candidate sentence and some references each; 0 where an n-gram length has no match.

    Raises:
        ValueError: not as many sets of references as candidates, or a set without any.
    """
    pairs = _split(candidates, references)
    matched, total, said, wanted = [0] * longest, [0] * longest, 0, 0
    for candidate, others in pairs:
        said += len(candidate)
        wanted += min((abs(len(other) - len(candidate)), len(other)) for other in others)[1]
        for n in range(1, longest + 1):
            own, most = ngrams(candidate, n), Counter[tuple[str, ...]]()
            for other in others:
                most |= ngrams(other, n)
            matched[n - 1] += (own & most).total()
            total[n - 1] += own.total()
    if not all(matched):
        return 0.0
    precision = sum(math.log(m / t) for m, t in zip(matched, total, strict=True)) / longest
    return math.exp(precision + min(0.0, 1 - wanted / said))


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """CIDEr of one candidate sentence and some references each: 10 times a mean cosine, so 0 to 10. Raises as :func:`bleu`."""
    pairs = _split(candidates, references)
    frequencies = [Counter(gram for _, others in pairs for gram in _grams(others, n)) for n in range(1, LONGEST + 1)]
    total = 0.0
    for candidate, others in pairs:
        for n, frequency in enumerate(frequencies, start=1):
            own = _weights(candidate, n, frequency, len(pairs))
            total += sum(_cosine(own, _weights(other, n, frequency, len(pairs))) for other in others) / len(others)
    return 10 * total / (LONGEST * len(pairs))


def _split(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[tuple[list[str], list[list[str]]]]:
    if len(candidates) != len(references) or not candidates or not all(references):
        raise InputError(
            f"expected a set of references for each of {len(candidates)} candidates, found {len(references)} sets, or an empty one"
        )
    return [(one.split(), [other.split() for other in others]) for one, others in zip(candidates, references, strict=True)]


def _grams(sentences: Sequence[Sequence[str]], n: int) -> set[tuple[str, ...]]:
    return {gram for words in sentences for gram in ngrams(words, n)}


def _weights(words: Sequence[str], n: int, frequency: Counter, documents: int) -> dict[tuple[str, ...], float]:
    """Term frequency times log inverse document frequency of each n-gram."""
    grams = ngrams(words, n)
    return {gram: k / grams.total() * math.log(documents / max(1, frequency[gram])) for gram, k in grams.items()}


def _cosine(a: dict, b: dict) -> float:
    norm = math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
    return sum(v * b[gram] for gram, v in a.items() if gram in b) / norm if norm else 0.0


@register_metric("caption_overlap", needs=("redescription",))
def overlap(evaluation) -> dict:
    """BLEU-4 and CIDEr of the sentence that STREAM reads back from the largest picture, against all captions of the bird."""
    references = [[caption.text for caption in describe(bird)] for bird in evaluation.population]
    size = evaluation.largest
    fake, real = (set_["redescription"][size] for set_ in (evaluation.generated, evaluation.rendered))
    others = [references[i] for i in evaluation.shuffle.tolist()]

    def scores(sentences: Sequence[str], wanted: Sequence[Sequence[str]]) -> dict:
        return {"bleu4": bleu(sentences, wanted), "cider": cider(sentences, wanted)}

    return {
        "generated": scores(fake, references),
        "ceiling_rendered": scores(real, references),
        "floor_shuffled": scores(fake, others),
        "protocol": (
            f"sentences regenerated greedily from the {size} px picture by the captioner that the record names, words parted by blanks, "
            "against all captions of the bird: corpus BLEU of 1- to 4-grams with the closest reference's length, and CIDEr (times 10, "
            "document frequencies of these references). Floor: against the captions of another species. No interval: both are figures of "
            "a corpus."
        ),
    }
