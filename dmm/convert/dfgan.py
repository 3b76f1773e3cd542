"""DF-GAN: names of the published NetG, NetD and NetC, and the replay of its cases."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.convert.keys import ConvertError, KeyTable, load_upstream
from dmm.convert.reference_case import Case, Tensors, load, register_case, under, upstream_gradients, upstream_state
from dmm.losses.magp import one_way_generator_loss, one_way_loss
from dmm.models.dfgan import DFGAN, TargetAwareDiscriminator, map_widths
from dmm.models.discriminators import create_discriminators
from dmm.models.modules import AnyDiscriminator
from dmm.models.registry import create_model

GENERATOR = KeyTable(
    {
        "fc": "linear",
        "GBlocks.{n}.fuse{f}.affine{a}.fc_gamma": "blocks.{n}.fusion{f}.affines.{a}.parameters_of.scale",
        "GBlocks.{n}.fuse{f}.affine{a}.fc_beta": "blocks.{n}.fusion{f}.affines.{a}.parameters_of.shift",
        "GBlocks.{n}.c{c}": "blocks.{n}.conv{c}",
        "GBlocks.{n}.c_sc": "blocks.{n}.shortcut",
        "to_rgb.1": "head",
    }
)
MODULES = KeyTable(  # modules whose outputs a case may keep, the inner ones first
    {
        "fc": "linear",
        "GBlocks.{n}.fuse{f}.affine{a}": "blocks.{n}.fusion{f}.affines.{a}",
        "GBlocks.{n}.fuse{f}": "blocks.{n}.fusion{f}",
        "GBlocks.{n}.c{c}": "blocks.{n}.conv{c}",
        "GBlocks.{n}.c_sc": "blocks.{n}.shortcut",
        "GBlocks.{n}": "blocks.{n}",
    }
)
GENERATOR_LR, DISCRIMINATOR_LR, BETAS = 1e-4, 4e-4, (0.0, 0.9)  # Adam, published
HALVES = ("NetD", "NetC")  # the published code keeps the discriminator's trunk and its head as two networks


def discriminator_table(size: int) -> KeyTable:
    """NetD and NetC together, for pictures of ``size`` px.

    The published blocks always hold a 1x1 shortcut and use it where the channels change, in the first three; the others get no gradient
    and are left out.
    """
    widths = map_widths(1, size)[::-1]
    shortcuts = {n: f"trunk.blocks.{n}.shortcut" if a != b else None for n, (a, b) in enumerate(zip(widths, widths[1:], strict=False))}
    return KeyTable(
        {
            "conv_img": "trunk.conv",
            "DBlocks.{n}.gamma": "trunk.blocks.{n}.gamma",
            "DBlocks.{n}.conv_r.0": "trunk.blocks.{n}.conv1",
            "DBlocks.{n}.conv_r.2": "trunk.blocks.{n}.conv2",
            "joint_conv.0": "head.joint",
            "joint_conv.2": "head.logit",
        }
        | {f"DBlocks.{n}.conv_s": ours for n, ours in shortcuts.items()}
    )


def case_config(hp: Mapping) -> ModelConfig | None:
    """What the hyper-parameters of a case say, in our words; None for a picture below 64 px, where our configs begin."""
    widths = map_widths(hp["nf"], hp["imsize"])[4:]  # those at 64 px and above; the ones below follow from them
    if not widths:
        return None
    return ModelConfig(system="dfgan", text_dim=hp["cond_dim"], noise_dim=hp["z_dim"], widths=widths, discriminator_width=hp["nf"])


def _generator(case: Case, prefix: str) -> DFGAN:
    hp, config = case.hp, case_config(case.hp)
    network = create_model(config) if config else DFGAN(hp["cond_dim"], hp["z_dim"], map_widths(hp["nf"], hp["imsize"]))
    assert isinstance(network, DFGAN)
    return load(case, network, prefix, GENERATOR)


def _discriminator(case: Case) -> AnyDiscriminator:
    hp, config = case.hp, case_config(case.hp)
    net = create_discriminators(config)[0] if config else TargetAwareDiscriminator(hp["imsize"], hp["nf"], hp["cond_dim"])
    net = net.to(case.dtype)
    weights = {key: value for half in HALVES for key, value in case.below(f"weights/{half}/").items()}
    return load_upstream(net, weights, discriminator_table(hp["imsize"]))


def _loss_names(parts: Mapping[str, Tensor]) -> Tensors:
    names = {"real": "errD_real", "fake": "errD_fake", "wrong": "errD_mis", "magp": "errD_MAGP", "total": "errD"}
    return {names[name]: value for name, value in parts.items()}


@register_case("generator", "dfgan")
@torch.no_grad()
def replay_generator(case: Case) -> Tensors:
    """The picture, and the output of every module that the file keeps."""
    generator = _generator(case, "weights/")
    modules, seen = dict(generator.named_modules()), {}

    def keep(name: str):
        def hook(module, inputs, output):
            seen[f"mid/{name}"] = output[0] if isinstance(output, tuple) else output

        return hook

    for name in {key[len("mid/") :].partition("__")[0] for key in case.expected() if key.startswith("mid/")}:
        path = MODULES.ours(name)
        if path not in modules:
            raise ConvertError(f"mid/{name}: expected a module of a generator with {len(generator.blocks)} blocks")
        modules[path].register_forward_hook(keep(name))
    return {"out/img": generator(case["sent_emb"], None, None, case["z"]).stages[0].image} | seen


@register_case("discriminators", "dfgan")
def replay_discriminators(case: Case) -> Tensors:
    """Features, raw outputs, every loss, and the gradient of the discriminator's loss, second order included."""
    net, table = _discriminator(case), discriminator_table(case.hp["imsize"])
    real, fake, sentence = case.real(case.hp["imsize"]), case.fake(case.hp["imsize"]), case["sent_emb"]
    with torch.no_grad():
        seen_real, seen_fake = net.features(real), net.features(fake)
        pairs = {"real": seen_real, "fake": seen_fake, "mis": seen_real.roll(-1, 0)}
        out = {f"logit_{name}": net.conditional(seen, sentence)[:, None, None, None] for name, seen in pairs.items()}
        out |= {"real_features": seen_real, "fake_features": seen_fake}
        out["errG"] = one_way_generator_loss(net, fake, sentence)["total"]
    parts = one_way_loss(net, real, fake, sentence)
    parts["total"].backward()
    produced = under("out", out | _loss_names(parts))
    for half in HALVES:
        produced |= under(f"mid/grad_errD/{half}", upstream_gradients(net, case.below(f"weights/{half}/"), table))
    return produced


@register_case("step_dfgan", "dfgan")
def replay_step(case: Case) -> Tensors:
    """Generate, update the discriminator, then the generator through it; the generating's graph is the one from before."""
    generator = _generator(case, "weights/NetG/")
    net, table = _discriminator(case), discriminator_table(case.hp["imsize"])
    networks = {half: (net, table) for half in HALVES} | {"NetG": (generator, GENERATOR)}
    adam = {"generator": _adam(generator, GENERATOR_LR), "discriminator": _adam(net, DISCRIMINATOR_LR)}
    fake = generator(case["sent_emb"], None, None, case["z"]).stages[0].image

    parts = one_way_loss(net, case.real(case.hp["imsize"]), fake, case["sent_emb"])
    parts["total"].backward()
    produced = under("out/loss", _loss_names(parts))
    for half in HALVES:
        produced |= under(f"mid/grad/{half}", upstream_gradients(net, case.below(f"weights/{half}/"), table))
    adam["discriminator"].step()
    loss = one_way_generator_loss(net, fake, case["sent_emb"])["total"]
    loss.backward()
    produced["out/loss/errG"] = loss
    produced |= under("mid/grad/NetG", upstream_gradients(generator, case.below("weights/NetG/"), GENERATOR))
    adam["generator"].step()
    for name, (network, keys) in networks.items():
        produced |= under(f"out/{name}", upstream_state(network, case.below(f"weights/{name}/"), keys))
    return produced


def _adam(network: nn.Module, lr: float) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=lr, betas=BETAS)
