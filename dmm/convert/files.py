"""Foreign weights' files as plain state dicts: ``.pth`` of any age, read without running them, or safetensors.

Published files differ in how they wrap what matters: some are bare state dicts, some sit in ``{"state_dict": ...}``, DF-GAN's hold all
networks as ``{"model": {"netG": ...}}``, StackGAN's names begin with ``module.``. All that is undone here; names themselves are the
matter of the key tables.
"""

from __future__ import annotations

import os
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dmm.archives import check_archive
from dmm.convert.keys import ConvertError
from dmm.files import FileError, mistaken, one_line, printable, shown

WRAPPERS = ("state_dict", "model_state_dict", "model", "weights", "params", "net")
EMA = ("params_ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema")  # wrappers of the generator that is published
PREFIXES = ("module.", "_orig_mod.")  # of several GPUs and of an averaged model, of torch.compile
COUNT = "n_averaged"  # beside the parameters of torch.optim.swa_utils.AveragedModel
ROLES = {  # network -> what a file that holds several calls it
    "generator": ("netG_ema", "G_ema", "g_ema", "generator_ema", "netG", "generator", "G"),
    "discriminator": ("netD", "netC", "discriminator", "D"),
    "text_encoder": ("text_encoder", "RNN_ENCODER"),
    "image_encoder": ("image_encoder", "CNN_ENCODER"),
    "caption_encoder": ("caption_cnn", "CAPTION_CNN", "encoder"),
    "caption_decoder": ("caption_rnn", "CAPTION_RNN", "decoder"),
}
DEEPEST = 4  # wrappers within wrappers
MOST_USES = 4  # of a storage, by tensors that share it
MOST_NUMBERS = 1 << 29  # in one network; the largest published one has a quarter of that


def read_state(path: str | os.PathLike, network: str) -> dict[str, Tensor]:
    """The state dict of one network in a foreign file: names without ``module.``, floats as float32.

    Args:
        path: a ``.pth`` of any PyTorch version or a ``.safetensors`` file.
        network: which one is wanted where a file holds several, e.g. "generator" or "discriminator256".

    Raises:
        ConvertError: missing, damaged, more than tensors in plain containers, or no state dict in it.
    """
    path = Path(path)
    if not path.is_file():
        raise ConvertError(f"{path}: expected a .pth or .safetensors file, found {'a folder' if path.is_dir() else 'nothing'}")
    content = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    state = {}
    for key, value in _unwrap(content, network, path).items():
        name = _bare(key)
        if name == COUNT:
            continue
        if name in state:
            raise ConvertError(f"{path}: {shown(name)} is in it twice, with and without {' or '.join(PREFIXES)}")
        state[name] = _plain(value, f"{path}: {printable(key, 80)}")
    try:
        _check_size(state, path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        if isinstance(error, ConvertError):
            raise
        raise ConvertError(f"{path}: expected a file of torch.save, found a damaged one ({_line(error)})") from error
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    odd = next((name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()), None)
    if odd is not None:
        raise ConvertError(
            f"{path}: {printable(odd, 80)} holds NaN or infinite numbers: the run that wrote it had broken; take an earlier file"
        )
    return state


def _bare(key: str) -> str:
    """A parameter's name without what wrappers of a network put before it."""
    while (prefix := next((p for p in PREFIXES if key.startswith(p)), None)) is not None:
        key = key.removeprefix(prefix)
    return key


def _is_safetensors(path: Path) -> bool:
    """By content: eight bytes of length, then the JSON of the header."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise ConvertError(f"{path}: expected a safetensors file, found a damaged one ({_line(error)})") from error


def _read_torch(path: Path):
    with path.open("rb") as file:
        found = mistaken(file.read(64))
    if found is not None:
        raise ConvertError(f"{path}: expected a file of torch.save, found {found}")
    try:
        check_archive(path)
    except FileError as error:
        raise ConvertError(str(error)) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old formats, which are expected here
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may fail in any way; weights_only has called nothing but torch's own tensor builders
        raise ConvertError(f"{path}: {_why(error)}") from error


def _why(error: Exception) -> str:
    """Torch's many lines as one: what a hostile or damaged file was found to be."""
    text = str(error)
    only = "expected only tensors in plain containers"
    named = re.search(r"GLOBAL ([\w.]+\.[\w.]+)", text) or re.search(r"(TorchScript)", text)
    if named:
        return f"{only}, found {named[1]}, which is not loaded; nothing of the file was run. Save the network's state_dict() instead"
    if "WeightsUnpickler error" in text:
        detail = text.partition("WeightsUnpickler error:")[2].strip().partition("Check the documentation")[0]
        return f"{only}, found a damaged or foreign file ({_line(detail)})"
    return f"expected a file of torch.save, found a damaged or foreign one ({_line(f'{type(error).__name__}: {error}')})"


def _line(error) -> str:
    return one_line(error, 160)


def _unwrap(content, network: str, path: Path) -> Mapping[str, Tensor]:
    """The state dict of the wanted network in whatever a file holds."""
    role = "discriminator" if network.startswith("discriminator") else network
    for _ in range(DEEPEST):
        if not isinstance(content, Mapping) or not content or not all(isinstance(key, str) for key in content):
            break
        if any(isinstance(value, Tensor) for value in content.values()):
            return content
        names = [name + ending for name in ROLES.get(role, ()) for ending in ("", "_state_dict")] + list(WRAPPERS)
        if role == "generator":
            names = sorted([*EMA, *names], key=lambda name: "ema" not in name.lower())  # an average goes before what it is of
        found = [name for name in names if _holds_tensors(content.get(name))]
        if role == "discriminator" and {"netD", "netC"} <= set(found):
            content = {**_unwrap(content["netD"], network, path), **_unwrap(content["netC"], network, path)}  # DF-GAN's two halves
            continue
        if not found:
            break
        content = content[found[0]]
    raise ConvertError(f"{path}: expected the state dict of a {network}, found {_describe(content)}")


def _holds_tensors(content) -> bool:
    """Is it a dict that holds a tensor, or a dict that does? Settings of an average ("decay") are not its weights."""
    held = content.values() if isinstance(content, Mapping) else ()
    return any(isinstance(value, (Tensor, Mapping)) for value in held)


def _describe(content) -> str:
    if isinstance(content, Mapping):
        return f"a dict with {', '.join(shown(key) for key in list(content)[:5]) or 'nothing in it'}"
    return f"a {type(content).__name__}"


def _plain(value, where: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise ConvertError(f"{where}: expected a tensor, found {type(value).__name__}")
    if value.layout != torch.strided or value.is_quantized or value.is_complex() or value.is_nested:
        kind = "nested" if value.is_nested else value.layout
        raise ConvertError(f"{where}: expected a dense tensor of real numbers, found {value.dtype} {kind}")
    return value.detach()


def _check_size(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that are not as large as what the file stores for them.

    Loading grows a storage to whatever shape a damaged file claims, and a shape that is too small would pass unseen.
    """
    users = Counter(value.untyped_storage().data_ptr() for value in state.values())
    held = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in state.values()}
    stored = _stored(path)
    grown = Counter(held.values()) - stored if stored is not None else sum(held.values()) > path.stat().st_size
    needed = sum(value.numel() * value.element_size() for value in state.values())
    if grown or needed > MOST_USES * sum(held.values()) or sum(value.numel() for value in state.values()) > MOST_NUMBERS:
        raise ConvertError(f"{path}: expected tensors as large as the file's data, found larger ones; it is damaged")
    for key, value in state.items():
        storage = value.untyped_storage()
        if value.numel() * value.element_size() > storage.nbytes():
            raise ConvertError(
                f"{path}: {printable(key, 80)} of shape {tuple(value.shape)} repeats a smaller tensor; it is not what was trained"
            )
        if users[storage.data_ptr()] == 1 and value.numel() * value.element_size() < storage.nbytes():
            raise ConvertError(f"{path}: {key} of shape {tuple(value.shape)} leaves data unused; it is damaged")


def _stored(path: Path) -> Counter | None:
    """How many bytes each of the data records of a ``.pth`` of today holds; None for other formats, which say it where it is checked."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return Counter(entry.file_size for entry in archive.infolist() if "/data/" in entry.filename)
