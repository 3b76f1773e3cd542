"""``dmm convert``: published weights into one of this project's checkpoints, network by network.

A published system is a handful of files: the generator, its discriminators, a text encoder, ``captions.pickle``, perhaps an image
encoder and the two caption networks. Each conversion adds one of them to a folder's ``model.safetensors``; with a generator, a text
encoder and the vocabulary in it the folder is a checkpoint like any other. Sizes are read from the shapes. Everything that does not fit
is named, and then nothing is written.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from dmm.checkpoint import FILE, UNFIT, build, compare, held_parts, read_file, write_tensors
from dmm.config import ModelConfig, from_dict, to_dict
from dmm.convert import dfgan, encoders
from dmm.convert.files import read_state
from dmm.convert.keys import CAPTION_DECODER, TABLES, TEXT_ENCODER, ConvertError, KeyTable
from dmm.data.vocab import Vocabulary, read_captions_pickle
from dmm.models.captioner import CaptionDecoder
from dmm.models.discriminators import SIZES, create_discriminators
from dmm.models.image_encoder import create_caption_encoder
from dmm.models.outline import outline
from dmm.models.registry import find_model, list_models
from dmm.models.text_encoder import TextEncoder

State = Mapping[str, Tensor]
Sizes = Callable[[State], dict]

ALL_TABLES: dict[tuple[str, str], KeyTable] = TABLES | {
    ("dfgan", "generator"): dfgan.GENERATOR,
    ("dfgan", "discriminator256"): dfgan.discriminator_table(256),
}
for _entry in list_models():
    if _entry.damsm_encoders:
        ALL_TABLES |= {(_entry.name, "text_encoder"): TEXT_ENCODER, (_entry.name, "image_encoder"): encoders.INCEPTION}
    if "stream" in _entry.losses:
        ALL_TABLES |= {(_entry.name, "caption_encoder"): encoders.RESNET, (_entry.name, "caption_decoder"): CAPTION_DECODER}
#: Where each published network lives in a checkpoint.
PARTS = {
    "generator": "generator",
    "text_encoder": "text_encoder",
    "image_encoder": "image_encoder",
    "caption_encoder": "captioner.encoder",
    "caption_decoder": "captioner.decoder",
    **{f"discriminator{size}": f"discriminators.{i}" for i, size in enumerate(SIZES)},
}
WORD_ROWS = ("text_encoder.embedding.weight", "captioner.decoder.embedding.weight")  # one row a word id


# --- sizes from shapes ------------------------------------------------------------------------------------------------


def _shape(state: State, key: str, dimensions: int) -> torch.Size:
    if key not in state:
        raise ConvertError(f"missing {key}, from which sizes are read")
    if state[key].ndim != dimensions:
        raise ConvertError(f"{key} should have {dimensions} dimensions, found the shape {tuple(state[key].shape)}")
    return state[key].shape


def _count(state: State, pattern: str) -> int:
    """One more than the largest number that ``pattern`` finds in a name; 0 if it finds none."""
    found = [re.match(pattern, key) for key in state]
    return max((int(match[1]) + 1 for match in found if match), default=0)


def multistage_sizes(state: State) -> dict:
    """Of every generator on the multi-stage skeleton."""
    four_codes, text_dim = _shape(state, "conditioning.linear.weight", 2)
    first, inputs = _shape(state, "initial.linear.weight", 2)  # 16 * 16 * width * 2 rows
    stages = _count(state, r"refinements\.(\d+)\.")
    later = [_shape(state, f"refinements.{i}.up.conv.weight", 4)[0] // 2 for i in range(stages)]
    return {
        "text_dim": text_dim,
        "condition_dim": four_codes // 4,
        "noise_dim": inputs - four_codes // 4,
        "widths": [first // 512, *later],
        "residuals": _count(state, r"refinements\.0\.residuals\.(\d+)\."),
    }


def dmgan_sizes(state: State) -> dict:
    """DM-GAN, whole or without some of its parts."""
    held = {name: any(f".{name}." in key for key in state) for name in ("word_projection", "writing_gate", "response_gate")}
    return multistage_sizes(state) | {"memory": held.pop("word_projection")} | held


def dmmgan_sizes(state: State) -> dict:
    """DMM-GAN with or without its global memory."""
    return multistage_sizes(state) | {"global_memory": any(".global_memory." in key for key in state)}


def dfgan_sizes(state: State) -> dict:
    """The one-stage generator; widths at 64 px and above."""
    noise_dim = _shape(state, "linear.weight", 2)[1]
    inputs = _shape(state, "blocks.0.fusion1.affines.0.parameters_of.scale.linear1.weight", 2)[1]
    blocks = _count(state, r"blocks\.(\d+)\.")
    widths = [_shape(state, f"blocks.{n}.conv2.weight", 4)[0] for n in range(3, blocks)]
    sampling = {"noise_truncation": 2.0, "noise_scale": 0.88}  # of the published code
    return {"noise_dim": noise_dim, "text_dim": inputs - noise_dim, "widths": widths} | sampling


def discriminator_sizes(state: State) -> dict:
    """Of the attention systems' discriminators."""
    width = _shape(state, "trunk.0.0.weight", 4)[0]
    return {"discriminator_width": width, "text_dim": _shape(state, "joint.0.weight", 4)[1] - 8 * width}


def stackgan_discriminator_sizes(state: State) -> dict:
    """StackGAN++'s discriminators join their map with the mean of the conditioning code, not with the sentence."""
    sizes = discriminator_sizes(state)
    return {"discriminator_width": sizes["discriminator_width"], "condition_dim": sizes["text_dim"]}


def dfgan_discriminator_sizes(state: State) -> dict:
    """Of the one-way discriminator, or of one of its halves."""
    sizes = {}
    if any(key.startswith("trunk.") for key in state):
        sizes["discriminator_width"] = _shape(state, "trunk.conv.weight", 4)[0]
    if any(key.startswith("head.") for key in state):
        width = _shape(state, "head.joint.weight", 4)[0] // 2
        sizes |= {"discriminator_width": width, "text_dim": _shape(state, "head.joint.weight", 4)[1] - 8 * width}
    return sizes


def text_encoder_sizes(state: State) -> dict:
    """Of the bidirectional LSTM."""
    return {"embedding_dim": _shape(state, "embedding.weight", 2)[1], "text_dim": 2 * _shape(state, "lstm.weight_hh_l0", 2)[1]}


def caption_decoder_sizes(state: State) -> dict:
    """Of STREAM's LSTM."""
    return {"caption_embedding": _shape(state, "embedding.weight", 2)[1], "caption_hidden": _shape(state, "lstm.weight_hh_l0", 2)[1]}


def image_encoder_sizes(state: State) -> dict:
    """Of Inception-v3."""
    return {"image_encoder": "inception", "text_dim": _shape(state, "regions.weight", 4)[0]}


def caption_encoder_sizes(state: State) -> dict:
    """Of ResNet-152."""
    return {"caption_encoder": "resnet", "caption_embedding": _shape(state, "linear.weight", 2)[0]}


SIZES_OF: dict[tuple[str, str], Sizes] = {  # (system, kind of network); without a system, of all others
    ("dmgan", "generator"): dmgan_sizes,
    ("dmmgan", "generator"): dmmgan_sizes,
    ("dfgan", "generator"): dfgan_sizes,
    ("stackgan", "discriminator"): stackgan_discriminator_sizes,
    ("dfgan", "discriminator"): dfgan_discriminator_sizes,
    ("", "generator"): multistage_sizes,
    ("", "discriminator"): discriminator_sizes,
    ("", "text_encoder"): text_encoder_sizes,
    ("", "image_encoder"): image_encoder_sizes,
    ("", "caption_encoder"): caption_encoder_sizes,
    ("", "caption_decoder"): caption_decoder_sizes,
}


def _sizes(system: str, network: str, state: State) -> dict:
    kind = network.rstrip("0123456789")
    found = (SIZES_OF.get((system, kind)) or SIZES_OF["", kind])(state)
    return found | {"image_align_corners": find_model(system).image_align_corners} if kind == "image_encoder" else found


# --- one network ------------------------------------------------------------------------------------------------------


def systems() -> list[str]:
    """Every system of which something can be converted."""
    return sorted({system for system, _ in ALL_TABLES})


def networks(system: str) -> list[str]:
    """The networks of a system that can be converted.

    Raises:
        ConvertError: no such system.
    """
    if system not in systems():
        raise ConvertError(f"--system: expected one of {', '.join(systems())}, found {system!r}")
    return [network for network in PARTS if (system, network) in ALL_TABLES]


def part_of(system: str, network: str) -> str:
    """Where a network lives in a checkpoint."""
    if network.startswith("discriminator") and find_model(system).discriminated == "last":
        return "discriminators.0"
    return PARTS[network]


def translate(system: str, network: str, upstream: State) -> tuple[dict[str, Tensor], dict]:
    """A published state dict under our names, complete, and the sizes read from it.

    Raises:
        ConvertError: unknown or missing keys, or a shape mismatch, all named.
    """
    if network not in networks(system):
        raise ConvertError(f"--network: {system} has {', '.join(networks(system))}; found {network!r}")
    table = ALL_TABLES[system, network]
    state, unknown = _renamed(upstream, table)
    if not state:
        raise ConvertError(f"none of its {len(upstream)} keys belongs to a {network} of {system}: {_some(unknown)}")
    try:
        sizes = _sizes(system, network, state)
        config = from_dict(ModelConfig, to_dict(ModelConfig(system=system)) | sizes)
        with outline():
            expected = _blank(system, network, config, state)
    except UNFIT as error:
        raise ConvertError(f"{error}" + (f"; unknown {_some(unknown)}" if unknown else "")) from error
    for key, value in expected.state_dict().items():
        if key.endswith("num_batches_tracked"):  # files of PyTorch 0.4 and before have none
            state.setdefault(key, torch.zeros_like(value, device="cpu"))
    problems = compare(expected, state, lambda key: _published_name(table, key))
    if unknown or problems:
        raise ConvertError("; ".join([f"unknown {_some(unknown)}"] * bool(unknown) + [problems] * bool(problems)))
    return state, sizes


def _renamed(upstream: State, table: KeyTable) -> tuple[dict[str, Tensor], list[str]]:
    state, unknown = {}, []
    for key, value in upstream.items():
        try:
            ours = table.ours(key)
        except ConvertError:
            unknown.append(key)
            continue
        if ours is not None:
            state[ours] = value
    return state, unknown


def _published_name(table: KeyTable, key: str) -> str:
    """The upstream name of one of our keys, for errors; of two that share ours the later row's."""
    end, found = r"(\..+|$)", key
    for pattern, ours in table.rows:
        numbered = re.sub(r"\\\{(\w)(\\-\d+)?\\\}", r"(?P<\1>\\d+)", re.escape(ours or ""))
        match = re.fullmatch(numbered + end, key) if ours else None
        if ours and match:
            less = {m[1]: int(m[2] or 0) for m in re.finditer(r"\{(\w)(-\d+)?\}", ours)}
            theirs = pattern.pattern.removesuffix(end)
            for name, shift in less.items():
                theirs = theirs.replace(rf"(?P<{name}>\d+)", str(int(match[name]) - shift))
            found = re.sub(r"\\(.)", r"\1", theirs) + match.groups()[-1]
    return found


def _some(keys: list[str]) -> str:
    return ", ".join(key[:80] for key in keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")


def _blank(system: str, network: str, config: ModelConfig, state: State) -> nn.Module:
    """The network that a state dict claims to be."""
    if network == "text_encoder":
        return TextEncoder(_shape(state, "embedding.weight", 2)[0], config.embedding_dim, config.text_dim)
    if network == "caption_encoder":
        return create_caption_encoder(config)
    if network == "caption_decoder":
        return CaptionDecoder(_shape(state, "embedding.weight", 2)[0], config.caption_embedding, config.caption_hidden)
    if not network.startswith("discriminator"):
        return build(network, config, Vocabulary([]))
    whole = create_discriminators(config)[int(part_of(system, network).partition(".")[2])]
    if not find_model(system).discriminator_halves:
        return whole
    return nn.ModuleDict({name: half for name, half in whole.named_children() if any(key.startswith(name + ".") for key in state)})


# --- joining ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Folder:
    """A checkpoint that is being put together."""

    tensors: dict[str, Tensor]
    config: ModelConfig
    vocab: Vocabulary | None
    card: dict

    @classmethod
    def open(cls, path: Path, system: str | None) -> Folder:
        """What is in a folder so far; a new one needs its system.

        Raises:
            ConvertError: no system, another system, or a checkpoint that did not come from :func:`convert`.
        """
        if not (path / FILE).exists():
            if system is None:
                raise ConvertError(f"--system: expected one of {', '.join(systems())}, found none; {path} holds no checkpoint yet")
            networks(system)
            return cls({}, ModelConfig(system=system, convention=find_model(system).convention), None, {"converted": {}})
        folder = cls(*read_file(path / FILE))
        entries = folder.card.get("converted")
        if not isinstance(entries, dict) or not all(isinstance(entry, dict) and "file" in entry for entry in entries.values()):
            raise ConvertError(
                f"{path / FILE}: expected a folder that `dmm convert` fills, found a trained checkpoint; choose another folder"
            )
        if system not in (None, folder.config.system):
            raise ConvertError(f"{path / FILE}: expected more of {folder.config.system}, which it holds, found --system {system}")
        return folder

    def add(self, network: str, state: State, sizes: dict, source: dict) -> None:
        """Put a network in, in place of an earlier one of its name.

        Raises:
            ConvertError: its sizes contradict those of another network in the folder.
        """
        for other, entry in self.card["converted"].items():
            for name in sorted(sizes.keys() & entry.get("sizes", {}).keys()):
                if other != network and sizes[name] != entry["sizes"][name]:
                    raise ConvertError(
                        f"{name} is {sizes[name]}, but the {other} in the folder ({entry['file']}) has {entry['sizes'][name]}"
                    )
        part = part_of(self.config.system, network.partition(".")[0])
        replaced = f"{part}.{network.partition('.')[2]}"  # all of the part, or one half of DF-GAN's discriminator
        self.tensors = {key: value for key, value in self.tensors.items() if not key.startswith(replaced)}
        self.tensors |= {f"{part}.{key}": value.clone(memory_format=torch.contiguous_format) for key, value in state.items()}
        self.config = from_dict(ModelConfig, to_dict(self.config) | sizes)
        self.card["converted"][network] = source | {"sizes": sizes}

    def check_vocabulary(self) -> None:
        """Every network that counts words counts as many as the vocabulary.

        Raises:
            ConvertError: with both sizes: the generator was trained with this text encoder, and neither works with another word list.
        """
        counts = {key.removesuffix(".embedding.weight"): len(self.tensors[key]) for key in WORD_ROWS if key in self.tensors}
        if self.vocab is not None:
            counts["captions.pickle"] = len(self.vocab)
        if len(set(counts.values())) > 1:
            said = ", ".join(f"{name} has {size}" for name, size in counts.items())
            raise ConvertError(
                f"the numbers of word ids differ: {said}. A generator works with the text encoder and the captions.pickle it was trained "
                f"with only (published: birds 5450 ids)"
            )

    def lacks(self) -> list[str]:
        """What is still needed to generate."""
        held = held_parts(self.tensors)
        return [name for name in ("generator", "text_encoder") if name not in held] + ["--vocab captions.pickle"] * (self.vocab is None)


def convert(
    out: str | os.PathLike,
    system: str | None = None,
    network: str | None = None,
    file: str | os.PathLike | None = None,
    vocab: str | os.PathLike | None = None,
) -> Folder:
    """Add a published network, its vocabulary, or both to a checkpoint folder; all or nothing.

    Args:
        out: the folder; ``model.safetensors`` in it is made or extended.
        system: a name of :func:`systems`; may be left out where the folder says it.
        network: a name of :func:`networks`, for ``file``.
        file: ``.pth`` or ``.safetensors`` with its weights.
        vocab: the data set's ``captions.pickle``.

    Raises:
        ConvertError: which file, what was expected, what was found.
        CheckpointError: the folder's file is damaged.
        PickleError: the vocabulary's file is damaged, hostile or something else.
    """
    if (file is None) != (network is None) or file is None and vocab is None:
        raise ConvertError("expected a file with --network, or --vocab captions.pickle, or both")
    folder = Folder.open(Path(out), system)
    if file is not None and network is not None:
        state = read_state(file, network)
        try:
            state, sizes = translate(folder.config.system, network, state)
            folder.add(_label(folder.config.system, network, state), state, sizes, _source(file))
        except ConvertError as error:
            raise ConvertError(f"{file}: not the {network} of {folder.config.system}: {error}") from error
    if vocab is not None:
        folder.vocab = read_captions_pickle(vocab)[2]
        folder.config = dataclasses.replace(folder.config, convention=folder.vocab.convention)
        folder.card["converted"]["vocabulary"] = _source(vocab)
    try:
        folder.check_vocabulary()
    except ConvertError as error:
        raise ConvertError(f"{file or vocab}: {error}") from error
    write_tensors(out, folder.tensors, folder.config, folder.vocab, folder.card)
    return folder


def _label(system: str, network: str, state: State) -> str:
    """The network's name; of one half of a discriminator that is published as two networks, with that half's."""
    halves = {key.partition(".")[0] for key in state}
    one = find_model(system).discriminator_halves and network.startswith("discriminator") and len(halves) == 1
    return f"{network}.{halves.pop()}" if one else network


def _source(file: str | os.PathLike) -> dict:
    """Where a network came from: the file's name and its SHA-256."""
    return {"file": Path(file).name, "sha256": hashlib.sha256(Path(file).read_bytes()).hexdigest()}
