"""Replay of the attention systems' discriminators, of every loss term, and of one whole optimisation step with its EMA."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dmm.convert.generators import generate
from dmm.convert.keys import ConvertError
from dmm.convert.reference_case import Case, Tensors, register_case, under, upstream_gradients, upstream_state
from dmm.convert.stand_ins import has_network_of, text_loss
from dmm.convert.systems import SYSTEMS, TextTerm, case_discriminators, case_generator, system_of
from dmm.losses.adversarial import discriminator_loss, generator_loss
from dmm.losses.kl import kl_loss
from dmm.losses.total import total
from dmm.models.discriminators import SIZES, Discriminator
from dmm.models.spectral import SpectralConv2d

ATTENTIVE = tuple(name for name, system in SYSTEMS.items() if system.texts)
DECAY = 0.999  # of the generator's EMA


def discriminator_names(parts: Mapping[str, Tensor]) -> Tensors:
    """The parts of a discriminator loss by the files' names."""
    return {"errD" if name == "total" else name: value for name, value in parts.items()}


def _texts(case: Case) -> list[TextTerm]:
    """The text losses whose network the case holds, the published choice first."""
    terms = system_of(case).texts
    found = [term for term in terms if has_network_of(case, term.kind)]
    if not found:
        raise ConvertError(f"expected the network of a text loss ({', '.join(term.kind for term in terms)}) in the case, found none")
    return found


def _generator_terms(case: Case, nets: Mapping[int, Discriminator], images: Mapping[int, Tensor], text: TextTerm) -> tuple[Tensor, Tensors]:
    """A generator's loss without the KL term, and every part by the files' names."""
    produced: Tensors = {}
    totals: list[Tensor] = []
    for size, net in nets.items():
        parts = generator_loss(net, images[size], case["sent_emb"])
        totals.append(parts["total"])
        produced |= {f"D{size}/G_cond": parts["cond"], f"D{size}/G_uncond": parts["uncond"]}
    loss, parts = text_loss(case, images[max(images)], text.kind)
    whole = total([*totals, case.hp[text.weight] * loss])
    return whole, produced | parts | {"errG_total_without_kl": whole}


def heads(case: Case, condition: Tensor, train: bool) -> Tensors:
    """Features and outputs of every discriminator, real pictures B 3 S S against ``condition`` B D; in training mode, its buffers after."""
    mode, table = "train" if train else "eval", system_of(case).discriminator_keys
    produced: Tensors = {}
    for size, net in case_discriminators(case).items():
        net.train(train)
        features = net.features(case.real(size))
        logits = {"cond": net.conditional(features, condition), "uncond": net.unconditional(features)}
        out = {"features": features}
        for head, logit in logits.items():
            out |= {f"{head}_logit": logit, f"{head}_prob": logit.sigmoid()}
        if train:
            out |= under("after", upstream_state(net, case.below(f"weights/D{size}/"), table(size)))
        produced |= under(f"out/{mode}/D{size}", out)
    return produced


@register_case("discriminators", *ATTENTIVE)
@torch.no_grad()
def replay_discriminators(case: Case) -> Tensors:
    """Features and logits in both modes, their buffers, and every loss; each group starts from the stored weights."""
    produced = heads(case, case["sent_emb"], train=False) | heads(case, case["sent_emb"], train=True)
    for size, net in case_discriminators(case).items():
        parts = discriminator_loss(net, case.real(size), case.fake(size), case["sent_emb"])
        produced |= under(f"out/loss/D{size}", discriminator_names(parts))
    fakes = {size: case.fake(size) for size in SIZES}
    for text in _texts(case):
        produced |= under(f"out/{text.group}", _generator_terms(case, case_discriminators(case), fakes, text)[1])
    return produced


# --- one optimisation step --------------------------------------------------------------------------------------------


def _adam(network: nn.Module, lr: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=lr, betas=(0.5, 0.999), eps=1e-8)


def _update_discriminator(case: Case, net: Discriminator, size: int, fake: Tensor) -> Tensors:
    net.zero_grad()
    parts = discriminator_loss(net, case.real(size), fake, case["sent_emb"])
    parts["total"].backward()
    return under(f"out/loss/D{size}", discriminator_names(parts))


def _aliased_gradients(case: Case, fakes: Mapping[int, Tensor]) -> Tensors:
    """The discriminators' gradients as the published code has them on current PyTorch; see :mod:`dmm.models.spectral`."""
    table = system_of(case).discriminator_keys
    produced: Tensors = {}
    for size, net in case_discriminators(case).items():
        for module in net.modules():
            if isinstance(module, SpectralConv2d):
                module.alias_vectors = True
        _update_discriminator(case, net, size, fakes[size])
        produced |= under(f"mid/gradD_aliased_uv/D{size}", upstream_gradients(net, case.below(f"weights/D{size}/"), table(size)))
    return produced


@register_case("step", *ATTENTIVE)
def replay_step(case: Case) -> Tensors:
    """Generator forward, each discriminator's update, the generator's update through them, and its EMA."""
    hp, system = case.hp, system_of(case)
    generator, nets = case_generator(case, "weights/G/").train(), case_discriminators(case)
    trace = generate(case, generator)
    images = {image.shape[-1]: image for image in trace.images}
    assert trace.mean is not None and trace.logvar is not None, "systems of several stages have a conditioning code"
    produced = _aliased_gradients(case, images)
    for size, net in nets.items():
        optimiser, weights = _adam(net, hp["lr_d"]), case.below(f"weights/D{size}/")
        produced |= _update_discriminator(case, net, size, images[size])
        produced |= under(f"mid/gradD/D{size}", upstream_gradients(net, weights, system.discriminator_keys(size)))
        optimiser.step()
    optimiser, weights = _adam(generator, hp["lr_g"]), case.below("weights/G/")
    loss, parts = _generator_terms(case, nets, images, _texts(case)[0])
    kl = kl_loss(trace.mean, trace.logvar)
    (loss + kl).backward()
    produced |= under("out/loss", parts | {"kl": kl, "errG_total": loss + kl})
    produced |= under("mid/gradG", upstream_gradients(generator, weights, system.generator_keys))
    optimiser.step()
    after = upstream_state(generator, weights, system.generator_keys)
    produced |= under("out/G", after)
    produced |= under("out/ema", {key: DECAY * weights[key] + (1 - DECAY) * value for key, value in after.items()})
    for size, net in nets.items():
        produced |= under(f"out/D{size}", upstream_state(net, case.below(f"weights/D{size}/"), system.discriminator_keys(size)))
    return produced
