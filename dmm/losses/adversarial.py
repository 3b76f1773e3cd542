"""Real or generated, matching or not: the adversarial terms of the conditional GANs.

Published (``kind="bce"``): binary cross-entropy of the sigmoid of each logit. It is computed from the logits, which is the same number
without the overflow near probabilities 0 and 1. ``kind="hinge"`` is an option with the same parts and weights.

The mismatching pairs ("wrong") join the features of the real pictures 0..B-2 with the sentences 1..B-1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dmm.errors import InputError
from dmm.fp32 import in_fp32
from dmm.losses.total import total

KINDS = ("bce", "hinge")


@in_fp32
def is_real(logits: Tensor, kind: str = "bce") -> Tensor:
    """A discriminator's loss for logits B that should say "real"; scalar."""
    return F.softplus(-logits).mean() if _checked(kind) == "bce" else F.relu(1 - logits).mean()


@in_fp32
def is_fake(logits: Tensor, kind: str = "bce") -> Tensor:
    """A discriminator's loss for logits B that should say "not real, or not this sentence"; scalar."""
    return F.softplus(logits).mean() if _checked(kind) == "bce" else F.relu(1 + logits).mean()


@in_fp32
def generator_term(logits: Tensor, kind: str = "bce") -> Tensor:
    """A generator's loss for logits B of its own pictures; scalar."""
    return F.softplus(-logits).mean() if _checked(kind) == "bce" else -logits.mean()


def _checked(kind: str) -> str:
    if kind not in KINDS:
        raise InputError(f"adversarial loss must be one of {', '.join(KINDS)}, not {kind!r}")
    return kind


def discriminator_loss(
    discriminator,
    real: Tensor,
    fake: Tensor,
    sentence: Tensor,
    kind: str = "bce",
    together: bool = False,
    wrong: Tensor | None = None,
    fake_sentence: Tensor | None = None,
) -> dict[str, Tensor]:
    """One discriminator's loss: (real + cond_real) / 2 + (fake + cond_fake + cond_wrong) / 3.

    Args:
        discriminator: has ``features``, ``conditional``, ``unconditional``.
        real: B 3 S S in [-1, 1].
        fake: B 3 S S, detached here.
        sentence: B D, detached here.
        kind: "bce" (published) or "hinge".
        together: pass real and generated pictures through the trunk, and all three kinds of pairs through the joint layer, in one call
            each: faster, and the same numbers but for one power iteration a call of the spectral norm instead of two or three. Not for
            discriminators with batch norm, whose statistics it would mix.
        wrong: B D, sentences that do not fit the real pictures, instead of the shifted ones.
        fake_sentence: B D, the sentences that the fake pictures were generated from, where these are not those of the real ones.

    Returns:
        scalars ``real``, ``fake``, ``cond_real``, ``cond_fake``, ``cond_wrong``, ``total``.

    Raises:
        ValueError: fewer than two samples, which leave no mismatching pair.
    """
    if len(real) < 2:
        raise InputError("the mismatch loss needs a batch of at least 2")
    fake, sentence = fake.detach(), sentence.detach()
    wrong = sentence[1:] if wrong is None else wrong.detach()
    fake_sentence = sentence if fake_sentence is None else fake_sentence.detach()
    logits = (_together if together else _one_by_one)(discriminator, real, fake, sentence, fake_sentence, wrong)
    parts = {name: (is_real if name.endswith("real") else is_fake)(value, kind) for name, value in logits.items()}
    for_real = (parts["real"] + parts["cond_real"]) / 2
    for_fake = (parts["fake"] + parts["cond_fake"] + parts["cond_wrong"]) / 3
    return parts | {"total": for_real + for_fake}


def _one_by_one(discriminator, real, fake, sentence, fake_sentence, wrong) -> dict[str, Tensor]:
    """The published order of calls, which the power iterations depend on."""
    seen_real, seen_fake = discriminator.features(real), discriminator.features(fake)
    return {
        "cond_real": discriminator.conditional(seen_real, sentence),
        "cond_fake": discriminator.conditional(seen_fake, fake_sentence),
        "cond_wrong": discriminator.conditional(seen_real[: len(wrong)], wrong),
        "real": discriminator.unconditional(seen_real),
        "fake": discriminator.unconditional(seen_fake),
    }


def _together(discriminator, real, fake, sentence, fake_sentence, wrong) -> dict[str, Tensor]:
    batch = len(real)
    seen = discriminator.features(torch.cat((real, fake)))
    pairs = discriminator.conditional(torch.cat((seen, seen[: len(wrong)])), torch.cat((sentence, fake_sentence, wrong)))
    cond_real, cond_fake, cond_wrong = pairs.split((batch, batch, len(wrong)))
    alone_real, alone_fake = discriminator.unconditional(seen).split(batch)
    return {"cond_real": cond_real, "cond_fake": cond_fake, "cond_wrong": cond_wrong, "real": alone_real, "fake": alone_fake}


def generator_loss(discriminator, fake: Tensor, sentence: Tensor, kind: str = "bce", unconditional: float = 1.0) -> dict[str, Tensor]:
    """What one discriminator asks of the generator: scalars ``cond``, ``uncond`` and ``total``, their sum with ``uncond`` weighted.

    Fake B 3 S S, sentence B D. With ``unconditional=0`` the head without the sentence is not asked, and there is no ``uncond``.
    """
    features = discriminator.features(fake)
    cond = generator_term(discriminator.conditional(features, sentence), kind)
    if not unconditional:
        return {"cond": cond, "total": cond}
    uncond = generator_term(discriminator.unconditional(features), kind)
    return {"cond": cond, "uncond": uncond, "total": cond + unconditional * uncond}


def six_term_loss(
    discriminator, real: Tensor, wrong: Tensor, fake: Tensor, condition: Tensor, unconditional: float = 1.0, kind: str = "bce"
) -> dict[str, Tensor]:
    """One discriminator's loss in StackGAN++: real, wrong and generated pictures, each with and without the text, summed.

    A wrong picture is a real one of another sentence; without the text it is labelled real, as published.

    Args:
        discriminator: has ``features``, ``conditional``, ``unconditional``.
        real: B 3 S S in [-1, 1].
        wrong: B 3 S S, real pictures that do not fit the text.
        fake: B 3 S S, detached here.
        condition: B K, detached here; published: the mean of the conditioning Gaussian.
        unconditional: weight of the terms without the text.
        kind: "bce" (published) or "hinge".

    Returns:
        scalars ``real_cond``, ``wrong_cond``, ``fake_cond``, ``real_uncond``, ``wrong_uncond``, ``fake_uncond``, ``total``.
    """
    condition, parts = condition.detach(), {}
    for name, pictures in (("real", real), ("wrong", wrong), ("fake", fake.detach())):
        features = discriminator.features(pictures)
        logits = discriminator.conditional(features, condition)
        parts[f"{name}_cond"] = (is_real if name == "real" else is_fake)(logits, kind)
        parts[f"{name}_uncond"] = (is_fake if name == "fake" else is_real)(discriminator.unconditional(features), kind)
    weighted = (value if name.endswith("_cond") else unconditional * value for name, value in parts.items())
    return parts | {"total": total(weighted)}


def conditional_loss(discriminator, real: Tensor, fake: Tensor, sentence: Tensor, kind: str = "bce") -> dict[str, Tensor]:
    """The loss of a discriminator without a head for pictures alone: cond_real + (cond_fake + cond_wrong) / 2.

    AttnGAN's plain-DCGAN variant. Arguments as of :func:`discriminator_loss`; mismatching pairs are its too.

    Returns:
        scalars ``cond_real``, ``cond_fake``, ``cond_wrong``, ``total``.

    Raises:
        ValueError: fewer than two samples, which leave no mismatching pair.
    """
    if len(real) < 2:
        raise InputError("the mismatch loss needs a batch of at least 2")
    sentence = sentence.detach()
    seen_real, seen_fake = discriminator.features(real), discriminator.features(fake.detach())
    parts = {
        "cond_real": is_real(discriminator.conditional(seen_real, sentence), kind),
        "cond_fake": is_fake(discriminator.conditional(seen_fake, sentence), kind),
        "cond_wrong": is_fake(discriminator.conditional(seen_real[:-1], sentence[1:]), kind),
    }
    return parts | {"total": parts["cond_real"] + (parts["cond_fake"] + parts["cond_wrong"]) / 2}
