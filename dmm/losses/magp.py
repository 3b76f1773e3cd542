"""DF-GAN's losses: hinge on one raw output, and the matching-aware gradient penalty (Tao et al., CVPR 2022).

The penalty flattens the discriminator at real pictures with their own sentences, so that following its gradient leads there:

    2 * E[ ||(dD/dx, dD/de)||^6 ],

with the joint norm over picture and sentence, as published in code; the paper adds the two norms. Generated and mismatching pairs
enter the hinge loss with weight 1/2 each. A mismatching pair here is the features of sample i + 1 with the sentence of sample i.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmm.errors import InputError
from dmm.fp32 import to_fp32
from dmm.losses.adversarial import generator_term, is_fake, is_real


def matching_aware_penalty(logits: Tensor, image: Tensor, sentence: Tensor, weight: float = 2.0, power: float = 6.0) -> Tensor:
    """Weight * mean over samples of the gradient's norm ** power; a scalar with a graph of its own, for second-order gradients.

    Args:
        logits: B, the discriminator's outputs for these pairs.
        image: B 3 S S, a leaf that requires a gradient.
        sentence: B D, likewise.
        weight: published 2.
        power: published 6.
    """
    gradients = torch.autograd.grad(logits.sum(), (image, sentence), create_graph=True)
    squares = sum(to_fp32(gradient).flatten(1).square().sum(1) for gradient in gradients)  # B
    return weight * (squares ** (power / 2)).mean()  # not of a root, whose own gradient is infinite at 0


def one_way_loss(
    discriminator, real: Tensor, fake: Tensor, sentence: Tensor, weight: float = 2.0, power: float = 6.0, wrong: Tensor | None = None
) -> dict[str, Tensor]:
    """The target-aware discriminator's loss: real + (fake + wrong) / 2 + magp.

    Args:
        discriminator: has ``features`` and ``conditional``.
        real: B 3 S S in [-1, 1], detached here.
        fake: B 3 S S, detached here.
        sentence: B D, detached here.
        weight: of the penalty.
        power: of the gradient's norm.
        wrong: B D, sentences that do not fit the real pictures; as published, the features are shifted by one sample instead.

    Returns:
        scalars ``real``, ``fake``, ``wrong``, ``magp``, ``total``.

    Raises:
        ValueError: fewer than two samples, which leave no mismatching pair.
    """
    if len(real) < 2:
        raise InputError("the mismatch loss needs a batch of at least 2")
    real, sentence = real.detach().requires_grad_(), sentence.detach().requires_grad_()
    seen = discriminator.features(real)
    logits = discriminator.conditional(seen, sentence)
    mismatch = discriminator.conditional(seen.roll(-1, 0), sentence) if wrong is None else discriminator.conditional(seen, wrong.detach())
    parts = {
        "real": is_real(logits, "hinge"),
        "fake": is_fake(discriminator.conditional(discriminator.features(fake.detach()), sentence), "hinge"),
        "wrong": is_fake(mismatch, "hinge"),
        "magp": matching_aware_penalty(logits, real, sentence, weight, power),
    }
    return parts | {"total": parts["real"] + (parts["fake"] + parts["wrong"]) / 2 + parts["magp"]}


def one_way_generator_loss(discriminator, fake: Tensor, sentence: Tensor) -> dict[str, Tensor]:
    """What the discriminator asks of the generator: the scalar ``cond``, minus its mean output, and ``total``, the same."""
    cond = generator_term(discriminator.conditional(discriminator.features(fake), sentence), "hinge")
    return {"cond": cond, "total": cond}
