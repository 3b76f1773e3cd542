"""The frozen trunks of the published image encoders, filled with ImageNet weights as torchvision publishes them.

A run that starts an Inception-v3 or ResNet-152 encoder trains its heads only, so the trunk has to come trained. ``model.trunk`` says from
where: torchvision's file, a folder with such files, or the word ``imagenet``, which fetches the file once through ``torch.hub`` and checks
its hash. Files are read without running them, and every key has to be known and of the right shape; the classifiers, which the encoders
do not have, are left out.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from dmm.config import ConfigError
from dmm.convert.encoders import inception_names, resnet_names
from dmm.convert.files import read_state
from dmm.convert.keys import ConvertError, KeyTable
from dmm.models.inception import InceptionEncoder
from dmm.models.resnet import ResNetEncoder

FETCH = "imagenet"
HOST = "https://download.pytorch.org/models"
HEADS = ("regions.", "code.", "linear.", "norm.")  # of both encoders: trained with the text, in no file of torchvision


@dataclass(frozen=True)
class Published:
    """One trunk as torchvision publishes it."""

    name: str
    file: str  # of today, with the first digits of its SHA-256
    pattern: str  # of every year's files
    network: str  # how :func:`dmm.convert.files.read_state` calls it


INCEPTION = Published("Inception-v3", "inception_v3_google-0cc3c7bd.pth", "inception_v3_google*.pth", "image_encoder")
RESNET = Published("ResNet-152", "resnet152-394f9c45.pth", "resnet152*.pth", "caption_encoder")


def published_trunk(encoder: nn.Module) -> Published | None:
    """Which of torchvision's networks an encoder's trunk is; None for an encoder that is trained from the start."""
    if isinstance(encoder, InceptionEncoder):
        return INCEPTION
    return RESNET if isinstance(encoder, ResNetEncoder) else None


def torchvision_table(encoder: nn.Module) -> KeyTable:
    """Torchvision's names of an encoder's trunk -> ours; its classifiers are left out."""
    if isinstance(encoder, InceptionEncoder):
        names = {theirs: ours for theirs, ours in inception_names().items() if f"{ours}." not in HEADS}
        return KeyTable(names | {"AuxLogits": None, "fc": None})
    assert isinstance(encoder, ResNetEncoder)
    depths = [len(list(row.children())) for row in encoder.rows]
    names = {_torchvision_name(theirs): ours for theirs, ours in resnet_names(depths).items()}
    return KeyTable({theirs: ours for theirs, ours in names.items() if f"{ours}." not in HEADS} | {"fc": None})


def _torchvision_name(published: str) -> str:
    """``resnet.0``, ``resnet.1``, ``resnet.4.2.conv1`` -> ``conv1``, ``bn1``, ``layer1.2.conv1``."""
    name = {"resnet.0": "conv1", "resnet.1": "bn1"}.get(published, published)
    return re.sub(r"^resnet\.(\d+)", lambda match: f"layer{int(match[1]) - 3}", name)


def load_trunk(encoder: nn.Module, trunk: str) -> dict[str, str]:
    """Fill the frozen trunk of an encoder; its heads stay as they are.

    Args:
        encoder: one that :func:`published_trunk` knows.
        trunk: a value of ``model.trunk``.

    Returns:
        name and SHA-256 of the file.

    Raises:
        ConfigError: nothing was said, or it cannot be found or fetched.
        ConvertError: a file with missing or unknown keys, other shapes, or more than tensors in it.
    """
    known = published_trunk(encoder)
    assert known is not None, "the caller has asked"
    path = find_file(known, trunk)
    digest = _checked(path)
    state = read_state(path, known.network)
    wanted = {key: value for key, value in encoder.state_dict().items() if not key.startswith(HEADS)}
    try:
        own = torchvision_table(encoder).state(state)
    except ConvertError as error:
        raise ConvertError(f"{path}: expected {known.name} as torchvision publishes it ({known.file}): {error}") from error
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}  # which older files leave out
    problems = [f"missing {key}" for key in wanted.keys() - own.keys() - counters]
    problems += [
        f"{key} should be {tuple(wanted[key].shape)}, found {tuple(value.shape)}"
        for key, value in own.items()
        if key in wanted and value.shape != wanted[key].shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ConvertError(
            f"{path}: expected {known.name} as torchvision publishes it ({known.file}): {'; '.join(sorted(problems)[:5])}{more}"
        )
    encoder.load_state_dict(own, strict=False)
    return {"file": path.name, "sha256": digest}


def find_file(known: Published, trunk: str) -> Path:
    """The file that ``model.trunk`` means for one of the trunks.

    Raises:
        ConfigError: none, or several.
    """
    if not trunk:
        raise ConfigError(
            f"model.trunk: the trunk of {known.name} is frozen and has to come trained on ImageNet; give --set trunk=FILE "
            f"({known.file}, as torchvision publishes it), or --set trunk={FETCH} to fetch it"
        )
    if trunk == FETCH:
        return _fetch(known)
    path = Path(trunk)
    if path.is_dir():
        found = sorted(path.glob(known.pattern))
        if len(found) != 1:
            several = ", ".join(file.name for file in found)
            raise ConfigError(f"model.trunk: expected one file {known.pattern} in {path}, found {several or 'none'}")
        return found[0]
    if not path.is_file():
        raise ConfigError(f"model.trunk: expected a file, a folder or the word {FETCH}, found nothing at {path}")
    return path


def _fetch(known: Published) -> Path:
    directory = Path(torch.hub.get_dir()) / "checkpoints"
    path, url = directory / known.file, f"{HOST}/{known.file}"
    if path.is_file():
        return path
    try:
        directory.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), _hash_of(known.file), progress=True)
    except (OSError, RuntimeError) as error:  # without a network; another hash
        said = " ".join(str(error).split())[:160]
        raise ConfigError(
            f"model.trunk={FETCH}: cannot fetch {url} ({said}); put that file into {directory}, or say where it lies: --set trunk=FILE"
        ) from error
    return path


def _hash_of(name: str) -> str | None:
    """The digits of the SHA-256 in a name of torchvision's, or None."""
    found = re.search(r"-([0-9a-f]{8,64})\.pth$", name)
    return found[1] if found else None


def _checked(path: Path) -> str:
    """The SHA-256 of a file, which has to begin as its name says.

    Raises:
        ConfigError: it does not.
    """
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)
    said = _hash_of(path.name)
    if said and not digest.startswith(said):
        raise ConfigError(f"model.trunk: {path} is damaged: expected a SHA-256 that begins with {said}, found {digest[:8]}; fetch it again")
    return digest


def _digest(file) -> str:
    """As ``hashlib.file_digest``, which Python 3.10 does not have."""
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()
