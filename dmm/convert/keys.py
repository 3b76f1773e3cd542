"""Parameter names of the published codes, as tables: upstream on the left, ours on the right.

A name in a table stands for itself and everything below it (``h_net1.fc.0`` covers ``h_net1.fc.0.weight``). ``{s}`` stands for any
number and ``{s-2}`` for that number less 2. ``None`` on the right: known, and left out on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from dmm.errors import InputError
from dmm.models.modules import Network


class ConvertError(InputError):
    """A foreign file that does not fit: the message names the key, what was expected and what was found."""


class KeyTable:
    """Upstream names to ours.

    Args:
        rows: upstream name -> our name, or None for what is left out.
    """

    def __init__(self, rows: Mapping[str, str | None]):
        self.rows = [(re.compile(_pattern(theirs) + r"(\..+|$)"), ours) for theirs, ours in rows.items()]

    def ours(self, key: str) -> str | None:
        """Our name of an upstream key; None if it is left out.

        Raises:
            ConvertError: a key the table does not know.
        """
        for pattern, ours in self.rows:
            match = pattern.fullmatch(key)
            if match:
                return None if ours is None else _fill(ours, match.groupdict()) + match.groups()[-1]
        raise ConvertError(f"unknown key {key!r}")

    def state(self, upstream: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A whole state dict under our names."""
        return {ours: value for key, value in upstream.items() if (ours := self.ours(key)) is not None}


def _pattern(template: str) -> str:
    return re.sub(r"\\\{(\w)\\\}", r"(?P<\1>\\d+)", re.escape(template))


def _fill(template: str, numbers: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w)(-\d+)?\}", lambda m: str(int(numbers[m[1]]) + int(m[2] or 0)), template)


def load_upstream(network: Network, upstream: Mapping[str, Tensor], table: KeyTable) -> Network:
    """Load published weights into one of our networks; returns the network.

    Raises:
        ConvertError: unknown or missing keys, or a shape mismatch, all named.
    """
    state, wanted = table.state(upstream), network.state_dict()
    problems = [f"missing {key}" for key in wanted if key not in state]
    problems += [f"unexpected {key}" for key in state if key not in wanted]
    for key in state.keys() & wanted.keys():
        if state[key].shape != wanted[key].shape:
            problems.append(f"{key} should be {tuple(wanted[key].shape)}, found {tuple(state[key].shape)}")
    if problems:
        raise ConvertError(f"{type(network).__name__}: " + "; ".join(sorted(problems)))
    network.load_state_dict(state)
    return network


FIRST_STAGE = {
    "ca_net.fc": "conditioning.linear",
    "h_net1.fc.0": "initial.linear",
    "h_net1.fc.1": "initial.norm",
    "h_net1.upsample{n}.1": "initial.ups.{n-1}.conv",
    "h_net1.upsample{n}.2": "initial.ups.{n-1}.norm",
    "img_net{s}.img.0": "heads.{s-1}.conv",
}

REFINEMENT = {
    "h_net{s}.residual.{r}.block.0": "refinements.{s-2}.residuals.{r}.conv1",
    "h_net{s}.residual.{r}.block.1": "refinements.{s-2}.residuals.{r}.norm1",
    "h_net{s}.residual.{r}.block.3": "refinements.{s-2}.residuals.{r}.conv2",
    "h_net{s}.residual.{r}.block.4": "refinements.{s-2}.residuals.{r}.norm2",
    "h_net{s}.upsample.1": "refinements.{s-2}.up.conv",
    "h_net{s}.upsample.2": "refinements.{s-2}.up.norm",
}

MEMORY = {
    "h_net{s}.A": "refinements.{s-2}.writing_gate.text",
    "h_net{s}.B": "refinements.{s-2}.writing_gate.image",
    "h_net{s}.M_w.0": "refinements.{s-2}.word_projection.linear",
    "h_net{s}.M_r.0": "refinements.{s-2}.image_projection.linear",
    "h_net{s}.key.0": "refinements.{s-2}.key.linear",
    "h_net{s}.value.0": "refinements.{s-2}.value.linear",
    "h_net{s}.response_gate.0": "refinements.{s-2}.response_gate.conv",
}

GLOBAL_MEMORY = {
    "h_net{s}.A_c": "refinements.{s-2}.global_memory.writing_gate.text",
    "h_net{s}.B_c": "refinements.{s-2}.global_memory.writing_gate.image",
    "h_net{s}.M_c.0": "refinements.{s-2}.global_memory.code_projection.linear",
}

ATTENTION = {
    "h_net{s}.att.conv_context": "refinements.{s-2}.word_projection.linear",
}

SENTENCE_ATTENTION = {
    "h_net{s}.att.linear": "refinements.{s-2}.sentence_projection",
    "h_net{s}.att.conv_sentence_vis": "refinements.{s-2}.sentence_attention.conv",
    "h_net{s}.conv": "refinements.{s-2}.fusion",
}

JOINING = {
    "h_net{s}.jointConv.0": "refinements.{s-2}.joint.conv",
    "h_net{s}.jointConv.1": "refinements.{s-2}.joint.norm",
}

STACKGAN_GENERATOR = KeyTable(FIRST_STAGE | REFINEMENT | JOINING)
ATTNGAN_GENERATOR = KeyTable(FIRST_STAGE | REFINEMENT | ATTENTION)
ATTNGAN_DCGAN_GENERATOR = KeyTable(FIRST_STAGE | REFINEMENT | ATTENTION | {"img_net.img.0": "heads.0.conv"})
MIRRORGAN_GENERATOR = KeyTable(FIRST_STAGE | REFINEMENT | ATTENTION | SENTENCE_ATTENTION)
DMGAN_GENERATOR = KeyTable(FIRST_STAGE | REFINEMENT | MEMORY)
DMMGAN_GENERATOR = KeyTable(
    FIRST_STAGE
    | REFINEMENT
    | MEMORY
    | GLOBAL_MEMORY
    | {"h_net{s}.conv": None}  # in the published state dict, but never called: it gets no gradient and never changes
)


# --- discriminators ---------------------------------------------------------------------------------------------------

ATTENTIVE_HEADS = {"COND_DNET.outlogits.0": "conditional_logit", "UNCOND_DNET.outlogits.0": "unconditional_logit"}
FURTHER_LAYERS = ("img_code_s32", "img_code_s64")  # stride 2, after the first four
LAST_LAYERS = {64: (), 128: ("img_code_s32_1",), 256: ("img_code_s64_1", "img_code_s64_2")}  # 3x3, stride 1


def discriminator_table(size: int) -> KeyTable:
    """The discriminator of DM-GAN and DMM-GAN for 64, 128 or 256 px: spectral norm, no batch norm."""
    rows: dict[str, str] = {}
    for layer in range(4):
        rows |= _spectral(f"img_code_s16.{2 * layer}", f"trunk.{layer}.0")
    for layer, name in _late_layers(size):
        rows |= _spectral(f"{name}.0", f"trunk.{layer}.0")
    rows |= _spectral("COND_DNET.jointConv.0", "joint.0")
    return KeyTable(rows | ATTENTIVE_HEADS)


def batch_discriminator_table(size: int) -> KeyTable:
    """The discriminator of AttnGAN and MirrorGAN for 64, 128 or 256 px: batch norm after all convolutions but the first and the last."""
    return KeyTable(_batch_trunk(size) | _batch("COND_DNET.jointConv", "joint") | ATTENTIVE_HEADS)


def stackgan_discriminator_table(size: int) -> KeyTable:
    """StackGAN++'s: the same trunk, its heads under names of their own."""
    heads = {"logits.0": "conditional_logit", "uncond_logits.0": "unconditional_logit"}
    return KeyTable(_batch_trunk(size) | _batch("jointConv", "joint") | heads)


def _spectral(theirs: str, ours: str) -> dict[str, str]:
    """A convolution in the published spectral-norm wrapper."""
    leaves = {"weight_bar": "weight", "weight_u": "u", "weight_v": "v", "bias": "bias"}
    return {f"{theirs}.module.{leaf}": f"{ours}.{own}" for leaf, own in leaves.items()}


def _batch(theirs: str, ours: str, first: int = 0) -> dict[str, str]:
    """A convolution and its batch norm, the convolution at place ``first`` of its sequence."""
    return {f"{theirs}.{first}": f"{ours}.0", f"{theirs}.{first + 1}": f"{ours}.1"}


def _late_layers(size: int) -> list[tuple[int, str]]:
    """Number in our trunk and published name of the layers after the first four."""
    down = FURTHER_LAYERS[: {64: 0, 128: 1, 256: 2}[size]]
    return list(enumerate((*down, *LAST_LAYERS[size]), start=4))


def _batch_trunk(size: int) -> dict[str, str]:
    rows = {"img_code_s16.0": "trunk.0.0"}
    for layer in range(1, 4):
        rows |= _batch("img_code_s16", f"trunk.{layer}", first=3 * layer - 1)
    for layer, name in _late_layers(size):
        rows |= _batch(name, f"trunk.{layer}")
    return rows


# --- text and every table by name -------------------------------------------------------------------------------------

TEXT_ENCODER = KeyTable({"encoder": "embedding", "rnn": "lstm"})
CAPTION_DECODER = KeyTable({"embed": "embedding", "lstm": "lstm", "linear": "linear"})

#: (system, network) -> table. Networks: generator, discriminator64, discriminator128, discriminator256; those that systems share
#: (text_encoder, image_encoder, caption_encoder, caption_decoder) are added in :mod:`dmm.convert.upstream`. Systems by the names of
#: `dmm list`. What a system does not have, or what other modules of this package add, is not here.
TABLES: dict[tuple[str, str], KeyTable] = {
    ("stackgan", "generator"): STACKGAN_GENERATOR,
    ("attngan", "generator"): ATTNGAN_GENERATOR,
    ("attngan-dcgan", "generator"): ATTNGAN_DCGAN_GENERATOR,
    ("mirrorgan", "generator"): MIRRORGAN_GENERATOR,
    ("dmgan", "generator"): DMGAN_GENERATOR,
    ("dmmgan", "generator"): DMMGAN_GENERATOR,
    ("attngan-dcgan", "discriminator256"): batch_discriminator_table(256),
}
for _size in (64, 128, 256):
    TABLES["stackgan", f"discriminator{_size}"] = stackgan_discriminator_table(_size)
    for _system in ("attngan", "mirrorgan"):
        TABLES[_system, f"discriminator{_size}"] = batch_discriminator_table(_size)
    for _system in ("dmgan", "dmmgan"):
        TABLES[_system, f"discriminator{_size}"] = discriminator_table(_size)
