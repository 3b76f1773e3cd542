"""Networks on disk: one safetensors file with the config, the vocabulary and the card in its metadata. Nothing in it can run.

This is the one module that builds a network from a config and fills it with weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as deserialise
from safetensors.torch import save as serialise
from torch import Tensor, nn

from dmm.config import ModelConfig, from_dict, to_dict
from dmm.data.vocab import Vocabulary
from dmm.errors import InputError
from dmm.files import List, Table, Text, check, one_line, parse, shown
from dmm.images import write_atomic
from dmm.int8 import dequantise, quantise
from dmm.models.captioner import CaptionDecoder, Captioner
from dmm.models.cloze import ClozeHead
from dmm.models.image_encoder import CaptionEncoder, create_caption_encoder, create_image_encoder
from dmm.models.outline import ToBeFilled, outline
from dmm.models.registry import create_model, in_order_of_papers
from dmm.models.text_encoder import TextEncoder

FORMAT = "dmm-gan-explorer/1"
FILE = "model.safetensors"
DEFAULT = "dmmgan-aviary"  # the shipped checkpoint that is opened where none is named
PARTS = ("generator", "text_encoder", "image_encoder", "captioner")
Weights = Literal["fp32", "fp16", "int8"]
METADATA = {"format", "config", "vocabulary", "card", "digest", "same", "further"}
FURTHER = re.compile(rf"({'|'.join(PARTS)})-([0-9a-f]{{64}})\.safetensors")  # file of one network, with the SHA-256 of its content
WORTH_SHARING = 1024  # bytes from which a tensor that another one equals is stored once
UNFIT = (
    ValueError,
    TypeError,
    RuntimeError,
    ArithmeticError,
    LookupError,
    AssertionError,
    MemoryError,
)  # what a builder says to odd numbers


class CheckpointError(InputError):
    """A checkpoint that cannot be used: which file, what was expected, what was found."""


def assets() -> Path:
    """The folder of shipped files: ``DMM_ASSETS``, else ``assets/`` beside the package."""
    return Path(os.environ.get("DMM_ASSETS") or Path(__file__).resolve().parent.parent / "assets")


def shipped() -> list[str]:
    """Names of the shipped checkpoints that hold a generator: the default one, then the others in the order of their systems' papers."""
    systems, found = [entry.name for entry in in_order_of_papers()], {}
    for path in assets().glob(f"checkpoints/*/{FILE}"):
        with safe_open(path, framework="pt") as file:
            if any(key.startswith("generator.") for key in file.keys()):
                found[path.parent.name] = systems.index(json.loads(file.metadata()["config"])["system"])
    return sorted(found, key=lambda name: (name != DEFAULT, found[name], name))


def locate(name: str | os.PathLike) -> Path:
    """A shipped name, a directory or a file to the weights' file.

    Raises:
        CheckpointError: nothing there; the shipped names are listed.
    """
    shipped = assets() / "checkpoints"
    for path in (Path(name), shipped / name):
        if path.is_file():
            return path
        if (path / FILE).is_file():
            return path / FILE
    names = sorted(p.parent.name for p in shipped.glob(f"*/{FILE}"))
    raise CheckpointError(f"{name}: no checkpoint there. Expected a folder with {FILE}, or one of: {', '.join(names) or 'none shipped'}")


def system_of(name: str | os.PathLike) -> str:
    """The registered system of a checkpoint, from its header alone; "" where that cannot be read, which :func:`read` explains.

    Raises:
        CheckpointError: nothing there.
    """
    path = locate(name)
    try:
        with safe_open(path, framework="pt") as file:
            return str(parse((file.metadata() or {})["config"], "config")["system"])
    except (SafetensorError, OSError, *UNFIT):
        return ""


def build(part: str, config: ModelConfig, vocab: Vocabulary) -> nn.Module:
    """One network, freshly initialised: a name of ``PARTS``, or "cloze" (the masked-word head, an aid of training only)."""
    if part == "generator":
        return create_model(config)
    if part == "text_encoder":
        return TextEncoder(len(vocab), config.embedding_dim, config.text_dim, config.text_dropout)
    if part == "image_encoder":
        return create_image_encoder(config)
    if part == "cloze":
        return ClozeHead(len(vocab), config.text_dim)
    return build_captioner(config, vocab)


def build_captioner(config: ModelConfig, vocab: Vocabulary) -> Captioner[CaptionEncoder]:
    """STREAM, freshly initialised."""
    if config.caption_attention and config.caption_encoder != "small":
        raise InputError(
            f"model.caption_attention: expected caption_encoder 'small', which has regions, found {config.caption_encoder!r}; set it to 0"
        )
    decoder = CaptionDecoder(len(vocab), config.caption_embedding, config.caption_hidden, heads=config.caption_attention)
    return Captioner(create_caption_encoder(config), decoder)


def write(
    path: str | os.PathLike,
    networks: dict[str, nn.Module],
    config: ModelConfig,
    vocab: Vocabulary,
    card: dict,
    weights: Weights = "fp16",
    max_file_size: int | None = None,
) -> None:
    """Write networks as ``path/model.safetensors``, atomically; ``max_file_size``: :func:`write_tensors`.

    Args:
        weights: how floats are stored, "fp32", "fp16" or "int8" (:mod:`dmm.int8`).
    """
    tensors: dict[str, Tensor] = {}
    for part, network in networks.items():
        for key, value in network.state_dict().items():
            value = value.detach().cpu().contiguous()
            tensors[f"{part}.{key}"] = value.half() if weights == "fp16" and value.dtype == torch.float32 else value
    write_tensors(path, quantise(tensors) if weights == "int8" else tensors, config, vocab, card, max_file_size)


def write_tensors(
    path: str | os.PathLike,
    tensors: dict[str, Tensor],
    config: ModelConfig,
    vocab: Vocabulary | None,
    card: dict,
    max_file_size: int | None = None,
) -> None:
    """Write named tensors as ``path/model.safetensors``, atomically. Without a vocabulary the file is kept for a later one to be added.

    Of equal tensors one is stored, and the others are noted under "same": a captioner that was trained on a frozen image encoder
    holds a second copy of it. Networks that do not fit into ``max_file_size`` bytes go into files of their own, named after their content
    and noted under "further"; they are written first, so that the file that names them is whole.
    """
    tensors, same = _once(tensors)
    tensors, further = _split(tensors, max_file_size)
    metadata = {"format": FORMAT, "config": json.dumps(_without_trunk(config)), "card": json.dumps(card)}
    if vocab is not None:
        metadata["vocabulary"] = vocab.to_json()
    if same:
        metadata["same"] = json.dumps(same)
    if further:
        metadata["further"] = json.dumps(sorted(further))
    metadata["digest"] = digest(metadata)
    for name, content in further.items():
        write_atomic(Path(path) / name, content)
    write_atomic(Path(path) / FILE, serialise(tensors, metadata))


def _split(tensors: dict[str, Tensor], max_file_size: int | None) -> tuple[dict[str, Tensor], dict[str, bytes]]:
    """The tensors of the first file, and the further files by name, each with one network; the last of :data:`PARTS` go first."""
    further: dict[str, bytes] = {}
    for part in reversed(PARTS):
        if max_file_size is None or sum(value.nbytes for value in tensors.values()) <= max_file_size:
            break
        own = {key: value for key, value in tensors.items() if key.startswith(part + ".")}
        if own and len(own) < len(tensors):
            content = serialise(own)
            further[f"{part}-{hashlib.sha256(content).hexdigest()}.safetensors"] = content
            tensors = {key: value for key, value in tensors.items() if key not in own}
    return tensors, further


def _further_names(metadata: Mapping[str, str]) -> list[str]:
    """The names of a checkpoint's further files.

    Raises:
        ValueError: names that :func:`write_tensors` does not write.
    """
    where = "further files"
    names = check(parse(metadata.get("further", "[]"), where), List(Text(200), 0, len(PARTS)), where)
    strange = next((name for name in names if not FURTHER.fullmatch(name)), None)
    if strange is not None:
        raise ValueError(f"{where}: expected the name of a network's file, found {shown(strange)}")
    return names


def further_files(path: Path) -> list[str]:
    """The names of the files that belong beside a checkpoint's first one, which is all that has to be there.

    Raises:
        CheckpointError: the first file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return _further_names(file.metadata() or {})
    except (SafetensorError, OSError, *UNFIT) as error:
        raise CheckpointError(f"{path}: expected a checkpoint, found a damaged one ({one_line(error)})") from error


def _further(folder: Path, names: list[str]) -> dict[str, Tensor]:
    """Tensors of the further files of a checkpoint.

    Raises:
        ValueError: a file that is missing or holds something else.
    """
    tensors: dict[str, Tensor] = {}
    for name in names:
        if not (folder / name).is_file():
            raise ValueError(f"the further file {name} is missing; copy it beside this one")
        content = (folder / name).read_bytes()
        said = FURTHER.fullmatch(name)
        if said is None or hashlib.sha256(content).hexdigest() != said[2]:
            raise ValueError(f"the further file {name} is damaged; copy it again")
        tensors |= deserialise(content)
    return tensors


def _without_trunk(config: ModelConfig) -> dict:
    """What a network is built from: where a frozen trunk once came from is no part of it, for the file holds the trunk."""
    return {key: value for key, value in to_dict(config).items() if key != "trunk"}


def _once(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors without their repetitions, and for each repetition the name that stays."""
    kept: dict[str, Tensor] = {}
    same: dict[str, str] = {}
    seen: dict[tuple, str] = {}
    for key in sorted(tensors, reverse=True):  # so that image_encoder stays and captioner.encoder refers to it
        value = tensors[key].contiguous()
        content = hashlib.sha256(value.flatten().view(torch.uint8).numpy().data).digest() if value.nbytes >= WORTH_SHARING else key
        first = seen.setdefault((value.dtype, value.shape, content), key)
        if first == key:
            kept[key] = value
        else:
            same[key] = first
    return kept, same


def digest(metadata: Mapping[str, str]) -> str:
    """SHA-256 over the metadata; names, kinds and shapes of the tensors are checked against the config when a network is filled."""
    said = [[key, value] for key, value in sorted(metadata.items()) if key != "digest"]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def save(pipeline, path: str | os.PathLike, weights: Weights = "fp16", max_file_size: int | None = None) -> None:
    """Write a :class:`dmm.pipeline.Pipeline` so that :func:`dmm.pipeline.load` gives it back.

    Args:
        weights: "fp32", "fp16" or "int8", as :func:`write` stores floats.
        max_file_size: bytes of a file; what does not fit goes into further files beside it.

    Raises:
        ValueError: a fused pipeline, whose generator no longer has the published weights.
    """
    if pipeline.is_fused:
        raise InputError("a fused pipeline generates only; save the one that fused() was called on")
    networks = {part: getattr(pipeline, part) for part in PARTS if getattr(pipeline, part) is not None}
    write(path, networks, pipeline.config, pipeline.vocab, pipeline.card, weights, max_file_size)


def read(name: str | os.PathLike) -> tuple[dict[str, Tensor], ModelConfig, Vocabulary, dict]:
    """Weights (fp32), config, vocabulary and card of a checkpoint.

    Raises:
        CheckpointError: missing, truncated or foreign file, or one that still waits for its vocabulary.
    """
    path = locate(name)
    tensors, config, vocab, card = read_file(path)
    if vocab is None:
        raise CheckpointError(f"{path}: holds no vocabulary yet. Add it: dmm convert --vocab captions.pickle {path.parent}")
    return {key: value.float() if value.dtype == torch.float16 else value for key, value in tensors.items()}, config, vocab, card


def read_parts(name: str | os.PathLike) -> tuple[dict[str, Tensor], ModelConfig, Vocabulary, dict]:
    """As :func:`read`, of a checkpoint that can generate.

    Raises:
        CheckpointError: as :func:`read`, or without a generator or a text encoder.
    """
    tensors, config, vocab, card = read(name)
    held = held_parts(tensors)
    if not {"generator", "text_encoder"} <= held:
        raise CheckpointError(f"{name}: expected a generator and a text encoder, found {', '.join(sorted(held)) or 'neither'}")
    return tensors, config, vocab, card


def read_file(path: Path) -> tuple[dict[str, Tensor], ModelConfig, Vocabulary | None, dict]:
    """A checkpoint's file as it is, complete or still being put together.

    Raises:
        CheckpointError: truncated, damaged or foreign.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointError(
                    f"{path}: expected a checkpoint of format {FORMAT}, found {metadata.get('format', 'no format')!r:.80}"
                )
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except CheckpointError:
        raise
    except (SafetensorError, OSError, AttributeError, *UNFIT) as error:
        raise CheckpointError(
            f"{path}: expected a safetensors file, found a damaged one ({one_line(error)}). Copy or train it again"
        ) from error
    if metadata.get("digest", digest(metadata)) != digest(metadata):
        raise CheckpointError(f"{path}: expected metadata with the digest {metadata['digest'][:12]!r}, found others: the file is damaged")
    try:
        unknown = sorted(metadata.keys() - METADATA)
        if unknown:
            raise ValueError(f"unknown entry {shown(unknown[0])}")
        config = from_dict(ModelConfig, parse(metadata["config"], "config"), "config")
        vocab = Vocabulary.from_json(metadata["vocabulary"]) if "vocabulary" in metadata else None
        tensors |= _further(path.parent, _further_names(metadata))
        same = check(parse(metadata.get("same", "{}"), "same"), Table(others=Text()), "same")
        tensors = dequantise({key: tensors[first] for key, first in same.items() if first in tensors} | tensors)
        card = check(parse(metadata["card"], "card", finite=False), Table(), "card")
    except (AttributeError, RecursionError, *UNFIT) as error:  # ConfigError and broken JSON are ValueErrors
        raise CheckpointError(f"{path}: the metadata do not describe a model ({one_line(error, 300)})") from error
    return tensors, config, vocab, card


def compare(network: nn.Module, own: Mapping[str, Tensor], said: Callable[[str], str] = str) -> str:
    """What keeps a state dict from fitting a network: missing, unknown and mismatched keys, at most five of each; empty if it fits.

    Args:
        said: our name of a key -> the name to be shown.
    """
    expected = network.state_dict()
    both = {said(k): (own[k], expected[k]) for k in expected.keys() & own.keys()}
    found = {
        "missing": [said(k) for k in expected.keys() - own.keys()],
        "unknown": [said(k) for k in own.keys() - expected.keys()],
        "shape mismatch": [f"{k} {tuple(a.shape)} instead of {tuple(b.shape)}" for k, (a, b) in both.items() if a.shape != b.shape],
        "of another kind": [
            f"{k} {a.dtype} instead of {b.dtype}" for k, (a, b) in both.items() if a.is_floating_point() != b.is_floating_point()
        ],
    }
    lists = {label: sorted(keys) for label, keys in found.items() if keys}
    return "; ".join(
        f"{label} {', '.join(keys[:5])}{f' and {len(keys) - 5} more' if len(keys) > 5 else ''}" for label, keys in lists.items()
    )


def fill(part: str, config: ModelConfig, vocab: Vocabulary, tensors: Mapping[str, Tensor], where: str | os.PathLike) -> nn.Module:
    """Build one network and load its tensors.

    Raises:
        CheckpointError: naming the missing, unknown and mismatched keys, or both sizes of a vocabulary that does not fit.
    """
    own = {key.removeprefix(part + "."): value for key, value in tensors.items() if key.startswith(part + ".")}
    rows = next((own[key].shape[:1] for key in ("embedding.weight", "decoder.embedding.weight") if key in own), None)
    if rows is not None and tuple(rows) != (len(vocab),):
        raise CheckpointError(f"{where}: the {part} was trained with a vocabulary of {tuple(rows)[0]} ids, this one has {len(vocab)}")
    try:
        with outline():
            problems = compare(build(part, config, vocab), own)  # before memory is taken for what a config asks for
        if problems:
            raise CheckpointError(f"{where}: the weights of {part} do not fit its config: {problems}")
        with ToBeFilled():
            network = build(part, config, vocab)
    except CheckpointError:
        raise
    except UNFIT as error:
        raise CheckpointError(f"{where}: its config does not describe the {part} ({one_line(error)})") from error
    odd = next(not_finite(own), None)
    if odd is not None:
        raise CheckpointError(
            f"{where}: {part}.{odd} holds NaN or infinite numbers; it would generate black pictures. Train or copy it again"
        )
    network.load_state_dict(own)
    return network


def not_finite(tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Names of the tensors that hold NaN or an infinity."""
    return (key for key, value in tensors.items() if value.is_floating_point() and not value.isfinite().all())


def held_parts(tensors: Mapping[str, Tensor]) -> set[str]:
    """The networks that a checkpoint holds; a captioner of which only one half was converted is not one yet."""
    held = {key.partition(".")[0] for key in tensors}
    halves = {key.split(".")[1] for key in tensors if key.startswith("captioner.")}
    return held - {"captioner"} if len(halves) == 1 else held


def load_parts(name: str | os.PathLike, parts: tuple[str, ...]) -> tuple[dict[str, nn.Module], ModelConfig, Vocabulary]:
    """Some networks of a checkpoint, in eval mode, each a name that :func:`build` knows.

    Raises:
        CheckpointError: as :func:`read` and :func:`fill`; or a part that the file does not hold.
    """
    tensors, config, vocab, _ = read(name)
    held = held_parts(tensors)
    absent = [part for part in parts if part not in held]
    if absent:
        raise CheckpointError(f"{name}: expected {', '.join(parts)}, found {', '.join(sorted(held))}")
    return {part: fill(part, config, vocab, tensors, name).eval() for part in parts}, config, vocab
