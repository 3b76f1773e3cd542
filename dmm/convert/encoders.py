"""Inception-v3 and ResNet-152 encoders: published names, and the replay of their cases, whose weights come from a recipe.

The tables are written out name by name, so that they can be read in both directions: a recipe draws each weight from the hash of its
published name.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dmm.convert.keys import KeyTable, load_upstream
from dmm.convert.reference_case import Case, Tensors, register_case, there
from dmm.images import to_float
from dmm.models.inception import InceptionEncoder
from dmm.models.modules import Network
from dmm.models.resnet import DEPTHS, ResNetEncoder

#: Branches of the mixed blocks: published name of a unit -> its place in our block.
_POOL = {"branch_pool": "3.1"}
_MIXED35 = {"branch1x1": "0.0"} | {f"branch5x5_{i + 1}": f"1.{i}" for i in range(2)} | {f"branch3x3dbl_{i + 1}": f"2.{i}" for i in range(3)}
_REDUCE35 = {"branch3x3": "0.0"} | {f"branch3x3dbl_{i + 1}": f"1.{i}" for i in range(3)}
_MIXED17 = {"branch1x1": "0.0"} | {f"branch7x7_{i + 1}": f"1.{i}" for i in range(3)} | {f"branch7x7dbl_{i + 1}": f"2.{i}" for i in range(5)}
_REDUCE17 = {f"branch3x3_{i + 1}": f"0.{i}" for i in range(2)} | {f"branch7x7x3_{i + 1}": f"1.{i}" for i in range(4)}
_MIXED8 = {
    "branch1x1": "0.0",
    "branch3x3_1": "1.0",
    "branch3x3_2a": "1.1.branches.0",
    "branch3x3_2b": "1.1.branches.1",
    "branch3x3dbl_1": "2.0",
    "branch3x3dbl_2": "2.1",
    "branch3x3dbl_3a": "2.2.branches.0",
    "branch3x3dbl_3b": "2.2.branches.1",
}
_BLOCKS = {f"Mixed_5{name}": (f"early.{i}", _MIXED35 | _POOL) for i, name in enumerate("bcd")}
_BLOCKS |= {"Mixed_6a": ("early.3", _REDUCE35)}
_BLOCKS |= {f"Mixed_6{name}": (f"early.{i}", _MIXED17 | _POOL) for i, name in enumerate("bcde", start=4)}
_BLOCKS |= {"Mixed_7a": ("late.0", _REDUCE17), "Mixed_7b": ("late.1", _MIXED8 | _POOL), "Mixed_7c": ("late.2", _MIXED8 | _POOL)}
_STEM = {"Conv2d_1a_3x3": 0, "Conv2d_2a_3x3": 1, "Conv2d_2b_3x3": 2, "Conv2d_3b_1x1": 4, "Conv2d_4a_3x3": 5}


def inception_names() -> dict[str, str]:
    """Published module -> ours, for everything that holds numbers."""
    units = {theirs: f"stem.{place}" for theirs, place in _STEM.items()}
    for block, (ours, branches) in _BLOCKS.items():
        units |= {f"{block}.{theirs}": f"{ours}.branches.{place}" for theirs, place in branches.items()}
    names: dict[str, str] = {}
    for theirs, ours in units.items():
        names |= {f"{theirs}.conv": f"{ours}.conv", f"{theirs}.bn": f"{ours}.norm"}
    return names | {"emb_features": "regions", "emb_cnn_code": "code"}


def resnet_names(depths: Sequence[int] = DEPTHS) -> dict[str, str]:
    """Published module -> ours, for everything that holds numbers."""
    names = {"resnet.0": "stem.0", "resnet.1": "stem.1"}
    for row, depth in enumerate(depths):
        for block in range(depth):
            theirs, ours = f"resnet.{row + 4}.{block}", f"rows.{row}.{block}"
            names |= {f"{theirs}.conv{i}": f"{ours}.conv{i}" for i in (1, 2, 3)}
            names |= {f"{theirs}.bn{i}": f"{ours}.norm{i}" for i in (1, 2, 3)}
        names |= {f"resnet.{row + 4}.0.downsample.{i}": f"rows.{row}.0.shortcut.{i}" for i in (0, 1)}
    return names | {"linear": "linear", "bn": "norm"}


# The classifiers of the ImageNet network are no part of the published encoders; a file that kept them is accepted without them.
INCEPTION = KeyTable(inception_names() | {"AuxLogits": None, "fc": None})
RESNET = KeyTable(resnet_names() | {"resnet.fc": None})


def upstream_keys(network: nn.Module, names: Mapping[str, str]) -> Iterator[tuple[str, Tensor]]:
    """Each number of a network under its published name."""
    theirs = {ours: name for name, ours in names.items()}
    for key, value in network.state_dict().items():
        module, _, leaf = key.rpartition(".")
        yield f"{theirs[module]}.{leaf}", value


def recipe_weight(key: str, shape: Sequence[int], gain: float, salt: str) -> Tensor:
    """One tensor of an encoder case, drawn from the hash of its published name; float32, or int64 for a counter."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    random, shape = np.random.RandomState(zlib.crc32((salt + key).encode())), tuple(shape)
    if key.endswith("running_var"):
        values = random.uniform(0.5, 1.5, shape)
    elif key.endswith(("running_mean", "bias")):
        values = 0.1 * random.standard_normal(shape)
    elif key.endswith("weight") and len(shape) == 1:
        values = random.uniform(0.8, 1.2, shape)
    else:
        values = random.standard_normal(shape) * (gain / np.sqrt(np.prod(shape[1:])))
    return torch.from_numpy(values.astype(np.float32))


def _by_recipe(case: Case, network: Network, names: Mapping[str, str]) -> Network:
    gain, salt = case.hp["gain"], case.hp["salt"]
    weights = {key: recipe_weight(key, value.shape, gain, salt) for key, value in upstream_keys(network, names)}
    return load_upstream(network, weights, KeyTable(names)).to(case.dtype).eval()


def _both_corners(case: Case, network: InceptionEncoder | ResNetEncoder) -> Iterator[tuple[str, tuple[Tensor | None, Tensor]]]:
    images = to_float(case["images_u8"]).to(case.dtype)
    for align in (True, False):
        network.align_corners = align
        yield f"out/align_{str(align).lower()}", network(images)


@register_case("cnn")
@torch.no_grad()
def replay_inception(case: Case) -> Tensors:
    """Regions and embedding under both corner rules."""
    produced: Tensors = {}
    for group, (regions, embedding) in _both_corners(case, _by_recipe(case, InceptionEncoder(case.hp["nef"]), inception_names())):
        produced |= there({f"{group}/features": regions, f"{group}/cnn_code": embedding})
    return produced


@register_case("capcnn")
@torch.no_grad()
def replay_resnet(case: Case) -> Tensors:
    """The embedding under both corner rules."""
    network = _by_recipe(case, ResNetEncoder(case.hp["embed_size"]), resnet_names())
    return {f"{group}/features": embedding for group, (_, embedding) in _both_corners(case, network)}
