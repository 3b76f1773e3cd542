"""What a discriminator and the generator ask of each other, by the facts of a system's entry (:class:`dmm.models.registry.ModelEntry`).

=============  ==================================================================  ==============================================
objective           discriminator                                                       systems
=============  ==================================================================  ==============================================
pairs          (real + cond_real) / 2 + (fake + cond_fake + cond_wrong) / 3        AttnGAN, MirrorGAN, DM-GAN, DMM-GAN
conditional    cond_real + (cond_fake + cond_wrong) / 2                            GAN-INT-CLS, StackGAN, AttnGAN's plain-DCGAN variant
six terms      real, wrong and generated pictures, with and without the text         StackGAN++
one way        real + (fake + wrong) / 2 + gradient penalty, hinge                 DF-GAN
=============  ==================================================================  ==============================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dmm.config import ConfigError, TrainConfig
from dmm.losses.adversarial import conditional_loss, discriminator_loss, generator_loss, six_term_loss
from dmm.losses.magp import one_way_generator_loss, one_way_loss
from dmm.models.registry import ModelEntry

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class DiscriminatorInputs:
    """What one discriminator is shown."""

    real: Tensor  # b 3 S S in [-1, 1]
    fake: Tensor  # b 3 S S
    condition: Tensor  # B D or B K, the text that it joins
    wrong: Tensor | None = None  # B D sentences that do not fit, instead of the batch's own, shifted
    fake_condition: Tensor | None = None  # as condition, of the fake pictures, where they were generated from other sentences
    wrong_real: Tensor | None = None  # b 3 S S real pictures of other sentences
    one_pass: bool = False


@dataclass(frozen=True)
class Objective:
    """One pair of losses; ``total`` is what is descended."""

    discriminator_loss: Callable[[object, DiscriminatorInputs, TrainConfig], Terms]  # the discriminator's terms
    generator_loss: Callable[[object, Tensor, Tensor, TrainConfig], Terms]  # the generator's, of generated pictures and the text
    gathers: bool = True  # compares samples after the trunk; otherwise each process's slice is complete
    chosen_wrong: bool = True  # takes mismatching sentences that were made for it (`train.hard_wrong`)
    fake_text: bool = False  # joins fake pictures with the sentences they were generated from (`train.corrupt_sentence`)
    wrong_pictures: bool = False  # mismatches are other pictures, not other sentences
    kinds: tuple[str, ...] = ("bce", "hinge")  # values of `train.adversarial`


def _pairs_loss(network, inputs: DiscriminatorInputs, settings: TrainConfig) -> Terms:
    return discriminator_loss(
        network, inputs.real, inputs.fake, inputs.condition, settings.adversarial, inputs.one_pass, inputs.wrong, inputs.fake_condition
    )


def _six_term_loss(network, inputs: DiscriminatorInputs, settings: TrainConfig) -> Terms:
    assert inputs.wrong_real is not None, "an objective with wrong pictures is given some"
    return six_term_loss(
        network, inputs.real, inputs.wrong_real, inputs.fake, inputs.condition, settings.unconditional, kind=settings.adversarial
    )


PAIRS = Objective(
    _pairs_loss, lambda network, fake, text, settings: generator_loss(network, fake, text, settings.adversarial), fake_text=True
)
CONDITIONAL = Objective(
    lambda network, inputs, settings: conditional_loss(network, inputs.real, inputs.fake, inputs.condition, settings.adversarial),
    lambda network, fake, text, settings: generator_loss(network, fake, text, settings.adversarial, unconditional=0.0),
    chosen_wrong=False,
)
SIX_TERMS = Objective(
    _six_term_loss,
    lambda network, fake, text, settings: generator_loss(network, fake, text, settings.adversarial, settings.unconditional),
    chosen_wrong=False,
    wrong_pictures=True,
)
ONE_WAY = Objective(
    lambda network, inputs, settings: one_way_loss(network, inputs.real, inputs.fake, inputs.condition, wrong=inputs.wrong),
    lambda network, fake, text, settings: one_way_generator_loss(network, fake, text),
    gathers=False,
    kinds=("hinge",),
)

#: The names that a system's entry may give.
OBJECTIVES = {"pairs": PAIRS, "conditional": CONDITIONAL, "six terms": SIX_TERMS, "one way": ONE_WAY}


def objective_of(entry: ModelEntry, settings: TrainConfig) -> Objective:
    """The objective of a system.

    Raises:
        ConfigError: a setting that it does not know.
    """
    objective = OBJECTIVES[entry.objective]
    if settings.adversarial not in objective.kinds:
        raise ConfigError(f"train.adversarial: {entry.name} is trained with {' or '.join(objective.kinds)}, found {settings.adversarial!r}")
    if settings.hard_wrong and not objective.chosen_wrong:
        raise ConfigError(f"train.hard_wrong: {entry.name} has mismatching pairs of its own; set it to false")
    if settings.corrupt_sentence and not (settings.paired and objective.fake_text):
        raise ConfigError(f"train.corrupt_sentence: expected train.paired and a system whose refinements read words, found {entry.name}")
    if settings.corrupt_words and not settings.corrupt_sentence:
        raise ConfigError("train.corrupt_words: a share of the samples that train.corrupt_sentence chooses; set that, or this to 0")
    if settings.kl and "kl" not in entry.losses:
        raise ConfigError(f"train.kl: {entry.name} has no conditioning code to keep near a normal; set it to 0")
    if settings.interpolation and "interpolation" not in entry.losses:
        raise ConfigError(f"train.interpolation: {entry.name} is not trained on sentences between two; set it to 0")
    return objective


def other_pictures(class_ids: Tensor) -> Tensor:
    """For each of B samples the next one of another class, B; the next one of all where the batch has one class only."""
    order = (torch.arange(len(class_ids))[:, None] + torch.arange(1, len(class_ids) + 1)) % len(class_ids)  # B B, the followers of each
    differs = class_ids[order] != class_ids[:, None]
    return order.gather(1, differs.to(torch.uint8).argmax(1, keepdim=True)).flatten()
