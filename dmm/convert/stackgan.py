"""Replay of StackGAN++'s discriminators and losses; its generator is replayed with the others."""

from __future__ import annotations

import torch

from dmm.convert.discriminators import discriminator_names, heads
from dmm.convert.reference_case import Case, Tensors, register_case, under
from dmm.convert.systems import case_discriminators
from dmm.losses.adversarial import generator_loss, six_term_loss
from dmm.losses.colour import colour_loss
from dmm.losses.kl import kl_loss
from dmm.models.discriminators import SIZES

COLOUR_WEIGHT = 50.0  # of the files' errG_total_with_color_coeff_50


@register_case("discriminators", "stackgan2")
@torch.no_grad()
def replay_stackgan_discriminators(case: Case) -> Tensors:
    """Features and logits in both modes, their buffers, and every loss; wrong pictures are the real ones of the sample before."""
    produced = heads(case, case["mu"], train=False) | heads(case, case["mu"], train=True)
    weight = case.hp["UNCOND_LOSS"]
    for size, net in case_discriminators(case).items():
        real = case.real(size)
        parts = six_term_loss(net, real, real.roll(1, 0), case.fake(size), case["mu"], weight)
        produced |= under(f"out/loss/D{size}", discriminator_names(parts))
    kl = case.hp["KL"] * kl_loss(case["mu"], case["logvar"])
    total = kl
    for size, net in case_discriminators(case).items():
        parts = generator_loss(net, case.fake(size), case["mu"], unconditional=weight)
        produced |= {f"out/loss/D{size}/G_{name}": value for name, value in parts.items() if name != "total"}
        total = total + parts["total"]
    colour = colour_loss([case.fake(size) for size in SIZES])["total"]
    plain = total + case.hp["COLOR_LOSS"] * colour
    losses = {"kl_weighted": kl, "errG_total": plain, "errG_total_with_color_coeff_50": total + COLOUR_WEIGHT * colour}
    return produced | under("out/loss", losses)
