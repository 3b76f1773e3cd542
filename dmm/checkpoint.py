"""Networks on disk: one safetensors file with the config, the vocabulary and the card in its metadata. Nothing in it can run.

This is the one room that builds a network from a config and fills it with weights.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialise
from torch import Tensor, nn

from dmm.config import ModelConfig, from_dict, to_dict
from dmm.data.vocab import Vocabulary
from dmm.images import write_atomic
from dmm.models.captioner import CaptionDecoder, Captioner
from dmm.models.cloze import ClozeHead
from dmm.models.image_encoder import SmallImageEncoder
from dmm.models.registry import create_model
from dmm.models.text_encoder import TextEncoder
from dmm.pipeline import Pipeline

FORMAT = "dmm-gan-explorer/1"
FILE = "model.safetensors"
PARTS = ("generator", "text_encoder", "image_encoder", "captioner")


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: which file, what was expected, what was found."""


def assets() -> Path:
    """The folder of shipped files: ``DMM_ASSETS``, else ``assets/`` beside the package."""
    return Path(os.environ.get("DMM_ASSETS") or Path(__file__).resolve().parent.parent / "assets")


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


def build(part: str, config: ModelConfig, vocab: Vocabulary) -> nn.Module:
    """One network, freshly initialised: a name of ``PARTS``, or "cloze" (the masked-word reader, an aid of training only)."""
    if part == "generator":
        return create_model(config)
    if part == "text_encoder":
        return TextEncoder(len(vocab), config.embedding_dim, config.text_dim, config.text_dropout)
    if part == "image_encoder":
        return SmallImageEncoder(config.encoder_width, config.text_dim, config.encoder_size)
    if part == "cloze":
        return ClozeHead(len(vocab), config.text_dim)
    encoder = SmallImageEncoder(config.encoder_width, config.caption_embedding, config.encoder_size)
    return Captioner(encoder, CaptionDecoder(len(vocab), config.caption_embedding, config.caption_hidden))


def write(
    path: str | os.PathLike, networks: dict[str, nn.Module], config: ModelConfig, vocab: Vocabulary, card: dict, half: bool = True
) -> None:
    """Write networks as ``path/model.safetensors``, atomically; floats as fp16 if ``half``."""
    tensors: dict[str, Tensor] = {}
    for part, network in networks.items():
        for key, value in network.state_dict().items():
            value = value.detach().cpu().contiguous()
            tensors[f"{part}.{key}"] = value.half() if half and value.dtype == torch.float32 else value
    metadata = {
        "format": FORMAT,
        "config": json.dumps(to_dict(config)),
        "vocabulary": vocab.to_json(),
        "card": json.dumps(card),
    }
    write_atomic(Path(path) / FILE, serialise(tensors, metadata))


def save(pipeline: Pipeline, path: str | os.PathLike, half: bool = True) -> None:
    """Write a pipeline so that :func:`load` gives it back."""
    networks = {part: getattr(pipeline, part) for part in PARTS if getattr(pipeline, part) is not None}
    write(path, networks, pipeline.config, pipeline.vocab, pipeline.card, half)


def read(name: str | os.PathLike) -> tuple[dict[str, Tensor], ModelConfig, Vocabulary, dict]:
    """Weights (fp32), config, vocabulary and card of a checkpoint.

    Raises:
        CheckpointError: missing, truncated or foreign file.
    """
    path = locate(name)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointError(f"{path}: expected a checkpoint of format {FORMAT}, found {metadata.get('format', 'no format')}")
            tensors = {key: file.get_tensor(key) for key in file.keys()}
        config = from_dict(ModelConfig, json.loads(metadata["config"]), "config")
        vocab = Vocabulary.from_json(metadata["vocabulary"])
        card = json.loads(metadata["card"])
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: expected a safetensors file, found a damaged one ({error}). Copy or train it again") from error
    except CheckpointError:
        raise
    except (KeyError, ValueError, TypeError) as error:  # ConfigError and broken JSON are ValueErrors
        raise CheckpointError(f"{path}: the metadata do not describe a model ({error})") from error
    return {key: value.float() if value.dtype == torch.float16 else value for key, value in tensors.items()}, config, vocab, card


def fill(network: nn.Module, tensors: dict[str, Tensor], part: str, where: str | os.PathLike) -> nn.Module:
    """Load the tensors of one part.

    Raises:
        CheckpointError: naming the missing, unknown and misshapen keys.
    """
    own = {key.removeprefix(part + "."): value for key, value in tensors.items() if key.startswith(part + ".")}
    expected = network.state_dict()
    missing, unknown = sorted(expected.keys() - own.keys()), sorted(own.keys() - expected.keys())
    wrong = [
        f"{k} {tuple(own[k].shape)} instead of {tuple(expected[k].shape)}"
        for k in expected.keys() & own.keys()
        if own[k].shape != expected[k].shape
    ]
    if missing or unknown or wrong:
        found = [
            f"{label} {', '.join(keys[:5])}"
            for label, keys in (("missing", missing), ("unknown", unknown), ("misshapen", sorted(wrong)))
            if keys
        ]
        raise CheckpointError(f"{where}: the weights of {part} do not fit its config: {'; '.join(found)}")
    network.load_state_dict(own)
    return network


def load_parts(name: str | os.PathLike, parts: tuple[str, ...]) -> tuple[dict[str, nn.Module], ModelConfig, Vocabulary]:
    """Some networks of a checkpoint, in eval mode, each a name that :func:`build` knows.

    Raises:
        CheckpointError: as :func:`read` and :func:`fill`; or a part that the file does not hold.
    """
    tensors, config, vocab, _ = read(name)
    held = {key.partition(".")[0] for key in tensors}
    absent = [part for part in parts if part not in held]
    if absent:
        raise CheckpointError(f"{name}: expected {', '.join(parts)}, found {', '.join(sorted(held))}")
    return {part: fill(build(part, config, vocab), tensors, part, name).eval() for part in parts}, config, vocab


def load(name: str | os.PathLike = "dmmgan-aviary", device: str | torch.device = "cpu") -> Pipeline:
    """A ready pipeline: ``load("dmmgan-aviary")("a small red bird", seed=3)``.

    Args:
        name: a folder under assets/checkpoints, or the path of a folder or file.

    Raises:
        CheckpointError: nothing there, or a file that cannot be used.
    """
    tensors, config, vocab, card = read(name)
    held = {key.partition(".")[0] for key in tensors}
    if not {"generator", "text_encoder"} <= held:
        raise CheckpointError(f"{name}: expected a generator and a text encoder, found {', '.join(sorted(held))}")
    networks = {part: fill(build(part, config, vocab), tensors, part, name) for part in PARTS if part in held}
    label = Path(name).name if not Path(name).is_file() else Path(name).parent.name
    return Pipeline(config, vocab, name=label, card=card, **networks).to(device)
