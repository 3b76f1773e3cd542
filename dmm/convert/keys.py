"""Parameter names of the published codes, as tables: upstream on the left, ours on the right.

A name in a table stands for itself and everything below it (``h_net1.fc.0`` covers ``h_net1.fc.0.weight``). ``{s}`` stands for any
number and ``{s-2}`` for that number less 2. ``None`` on the right: known, and left out on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn


class ConvertError(ValueError):
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
        named = {self.ours(key): value for key, value in upstream.items()}
        named.pop(None, None)
        return named


def _pattern(template: str) -> str:
    return re.sub(r"\\\{(\w)\\\}", r"(?P<\1>\\d+)", re.escape(template))


def _fill(template: str, numbers: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w)(-\d+)?\}", lambda m: str(int(numbers[m[1]]) + int(m[2] or 0)), template)


def load_upstream(network: nn.Module, upstream: Mapping[str, Tensor], table: KeyTable) -> nn.Module:
    """Load published weights into one of our networks; returns the network.

    Raises:
        ConvertError: unknown, missing or misshapen keys, all named.
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


def _spectral(theirs: str, ours: str) -> dict[str, str]:
    """A convolution in the published spectral-norm wrapper."""
    leaves = {"weight_bar": "weight", "weight_u": "u", "weight_v": "v", "bias": "bias"}
    return {f"{theirs}.module.{leaf}": f"{ours}.{own}" for leaf, own in leaves.items()}


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

DMMGAN_GENERATOR = KeyTable(
    FIRST_STAGE
    | REFINEMENT
    | MEMORY
    | GLOBAL_MEMORY
    | {"h_net{s}.conv": None}  # in the published state dict, but never called: it gets no gradient and never changes
)


def _trunk() -> dict[str, str]:
    rows: dict[str, str] = {}
    for layer in range(4):
        rows |= _spectral(f"img_code_s16.{2 * layer}", f"trunk.{layer}.0")
    for layer, name in enumerate(("img_code_s32", "img_code_s64"), start=4):
        rows |= _spectral(f"{name}.0", f"trunk.{layer}.0")
    return rows


def discriminator_table(size: int) -> KeyTable:
    """The spectral-norm discriminator of DM-GAN and DMM-GAN for 64, 128 or 256 px."""
    rows = _trunk()
    if size == 128:
        rows |= _spectral("img_code_s32_1.0", "trunk.5.0")
    if size == 256:
        rows |= _spectral("img_code_s64_1.0", "trunk.6.0") | _spectral("img_code_s64_2.0", "trunk.7.0")
    rows |= _spectral("COND_DNET.jointConv.0", "joint.0")
    rows |= {"COND_DNET.outlogits.0": "conditional_logit", "UNCOND_DNET.outlogits.0": "unconditional_logit"}
    return KeyTable(rows)


TEXT_ENCODER = KeyTable({"encoder": "embedding", "rnn": "lstm"})
CAPTION_DECODER = KeyTable({"embed": "embedding", "lstm": "lstm", "linear": "linear"})
