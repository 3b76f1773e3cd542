"""Every number a run depends on, as frozen dataclasses: one phrase and one unit for each field.

A recipe (``dmm/recipes/*.yaml``) overrides these defaults, ``--set key=value`` overrides the recipe. The defaults are
DMM-GAN's published sizes, learning rates and loss weights, but not its word mask (``mask_pairing``), its encoders trained on ImageNet, its
mirrored pictures and its separate passes (``one_pass``), and Aviary for data; every published run is a recipe.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Mapping
from dataclasses import dataclass

from dmm.errors import InputError

#: Keys that once had another name. Stored runs, recipes and ``--set`` may use the old one.
RENAMED_KEYS = {
    "generator_rate": "generator_lr",
    "discriminator_rate": "discriminator_lr",
    "final_rate": "lr_end_factor",
    "average": "ema_decay",
    "warm_average": "ema_warmup",
}


class ConfigError(InputError):
    """A key or value that does not fit a config, with what was expected and the nearest name."""


@dataclass(frozen=True)
class ModelConfig:
    """The networks. What a checkpoint needs to be rebuilt."""

    system: str = "dmmgan"  # a name of `dmm list`
    widths: tuple[int, ...] = (64, 64, 64)  # channels of the feature maps at 64, 128, 256 px; published: all GF_DIM
    discriminator_width: int = 32  # channels after the first discriminator layer, DF_DIM
    noise_dim: int = 100  # numbers in z
    condition_dim: int = 100  # numbers in the conditioning code
    text_dim: int = 256  # word and sentence features, channels
    embedding_dim: int = 300  # word embedding of the text encoder, numbers
    text_dropout: float = 0.5  # share of the word embedding dropped while the text encoder is trained
    residuals: int = 2  # residual blocks a refinement stage, R_NUM
    global_memory: bool = True  # GLDM: add the single global slot
    mask_pairing: str = "right"  # "right", or "published": the batch-major tiling of the published word mask
    convention: str = "dmm"  # special tokens: "dmm" (start, end, pad) or "pad0"
    words_limit: int = 20  # tokens a caption in training, start and end included
    image_encoder: str = "small"  # DAMSM image encoder: "small" or "inception"
    encoder_width: int = 32  # first width of the small image encoders, channels
    encoder_size: int = 64  # side of the picture that the small image encoders read, px
    caption_embedding: int = 256  # STREAM decoder's embedding, numbers
    caption_hidden: int = 512  # STREAM decoder's LSTM width
    caption_attention: int = 0  # heads of STREAM's attention to views of the 8x8 regions at every word; 0, published: the code once
    memory: bool = True  # DM-GAN, M: refine with a memory of the words; off only in its ablation
    writing_gate: bool = True  # DM-GAN, WG: mix each word with the picture when it is written; off only in its ablation
    response_gate: bool = True  # DM-GAN, RG: weigh picture and answer at each place; off only in its ablation
    caption_encoder: str = "small"  # STREAM image encoder: "small" or "resnet"
    trunk: str = ""  # ImageNet weights of frozen trunks: torchvision's file, a folder with its files, or "imagenet", to fetch them
    image_align_corners: bool = True  # corner rule of the inception encoder's resize to 299 px: DM-GAN and DMM-GAN aligned, DF-GAN not
    caption_align_corners: bool = False  # corner rule of the resnet encoder's resize to 224 px; PyTorch's own since 0.4 is False
    noise_truncation: float = 0.0  # sampling draws z within this many standard deviations, 0 = anywhere; DF-GAN published: 2
    noise_scale: float = 1.0  # factor on the z of sampling; DF-GAN published: 0.88


@dataclass(frozen=True)
class DataConfig:
    """What is read and how it is cut."""

    source: str = "aviary"  # "aviary", or the directory of a data set; recipes of CUB and COCO have none, it has to be given
    level: str = "garden"  # Aviary level: "garden" or "world"
    images: int = 12000  # Aviary birds drawn for training
    seed: int = 0  # Aviary seed
    sizes: tuple[int, ...] = (64, 128, 256)  # px
    cache: str = ".cache/aviary"  # where drawn pictures are kept, a directory
    mirror: bool = False  # mirror half of the training pictures
    on_device: bool = False  # keep the training pictures in the memory of the GPU; every process of a run keeps all of them


@dataclass(frozen=True)
class TrainConfig:
    """One run of the loop."""

    step: str = "gan"  # "match", "caption" or "gan"
    batch: int = 8  # captions an optimiser step
    steps: int = 1000  # optimiser steps in all
    seed: int = 0  # of weights, noise and order
    generator_lr: float = 2e-4  # Adam's learning rate; in matching and captioning that of the encoders
    discriminator_lr: float = 2e-4  # Adam's learning rate
    beta1: float = 0.5  # Adam
    beta2: float = 0.999  # Adam
    ema_decay: float = 0.999  # decay of the exponential moving average (EMA) of the generator's parameters
    ema_warmup: bool = False  # let the decay grow from 0.1 over the first steps; published: no
    adversarial: str = "bce"  # "bce" (published) or "hinge"
    initial_steps: int = 0  # first steps, in which the 64 px stage is trained alone; published: 0
    initial_batch: int = 0  # captions a step meanwhile; 0 = as ``batch``
    initial_stages: int = 1  # stages trained in those first steps, from the first
    adversarial_start: int = 0  # step from which discriminators are trained and ask, from their full learning rate on; published: 0
    frozen_steps: int = 0  # steps after those, in which the 64 px stage is frozen while the refinements start; published: 0
    lr_end_factor: float = 1.0  # factor on the learning rates that is reached linearly at the end of the run; published: 1
    kl: float = 1.0  # weight of the conditioning KL
    damsm: float = 0.0  # weight of the DAMSM terms
    calibrate: bool = False  # scale the conditioning layer so that codes start with unit variance over captions; not in the paper
    key_spread: float = 0.0  # standard deviation over the words that key addressing starts with, before its softmax; 0 = as initialised
    consistency: float = 0.0  # weight of "averaged down, a stage's picture is the picture of the stage before"; not in the paper
    paired: float = 0.0  # weight of "a caption's picture is its own picture", with z from what the renderer knows; not in the paper
    paired_colours: float = 0.25  # share of the parts not named whose colour z tells in the first half of the run; all of them at its end
    corrupt_sentence: float = 0.0  # share of samples whose sentence feature is that of a caption with exchanged colours; not in the paper
    stream: float = 20.0  # weight of the redescription (caption) loss
    cloze: float = 0.0  # weight of the masked-word loss; not in the paper
    cloze_variants: int = 3  # words masked, one at a time, in each caption
    hard_wrong: bool = False  # mismatched captions differ in one colour word only; not in the paper
    augment: float = 0.0  # noise and shift of what the text losses read, share of full strength; not in the paper
    text_losses_on: str = "last"  # pictures the text losses read: "last" (published) or "all"
    gamma1: float = 4.0  # DAMSM, sharpness of the attention over regions
    gamma2: float = 5.0  # DAMSM, sharpness of the sum over words
    gamma3: float = 10.0  # DAMSM, sharpness of the softmax over the batch
    reconstruct: float = 0.0  # matching only: weight of re-writing the caption from the sentence feature; not in the paper
    part_colours: float = 0.0  # encoders: weight of naming parts' colours from picture, code and sentence; not in the paper
    frozen_text: bool = False  # matching only: keep an earlier run's text encoder as it is
    recall: float = 0.0  # matching only: weight of naming masked words from the sentence feature alone; not in the paper
    frozen_encoder: bool = False  # keep an earlier matching run's image encoder; captioning still trains its last, linear layer
    content: float = 0.0  # captioning only: further weight of the words that say what a picture shows; not in the paper
    unlikelihood: float = 0.0  # captioning only: weight against saying a word again that the caption says no more; not in the paper
    text_batch: int = 0  # matching only: further captions a step, without pictures, that the sentence feature learns from; not in the paper
    clip: float = 0.0  # largest gradient norm, 0 = off
    precision: str = "auto"  # "fp32", "bf16", "fp16" (autocast; fp16 on a GPU only) or "auto": bf16 where it is multiplied natively
    sample_every: int = 500  # steps between sample grids
    save_every: int = 500  # steps between checkpoints
    log_every: int = 20  # steps between log rows
    unconditional: float = 1.0  # weight of the discriminators' terms without the text in StackGAN++
    colour: float = 0.0  # weight of the colour consistency between the pictures' sizes (StackGAN++); published for birds: 0
    one_pass: bool = True  # discriminators without batch norm read all pictures in one pass, with fewer power iterations; published: no
    device: str = "auto"  # "cpu", "cuda" or "auto": cuda where there is one
    compile: bool = False  # gan only: compile the networks' blocks, which takes minutes; on a CPU 0.96 to 1.05 times as fast
    accumulate: int = 1  # equal micro-batches into which a batch is cut to save memory; one optimiser step a batch all the same
    keep: int = 2  # checkpoints to go on from that are kept, the last included
    evaluate_every: int = 0  # steps between evaluations, which decide what best/ holds; 0 = never
    trace_every: int = 0  # steps between traces of fixed captions, written to traces/<step>.npz; 0 = never
    tensorboard: bool = False  # also log for TensorBoard


@dataclass(frozen=True)
class Config:
    """A whole run: model, data and training."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()


_GAN_ONLY = (
    "discriminator_lr", "ema_decay", "ema_warmup", "adversarial", "initial_steps", "initial_batch", "initial_stages", "adversarial_start",
    "frozen_steps", "kl", "damsm", "calibrate", "key_spread", "consistency", "paired", "paired_colours", "corrupt_sentence", "stream",
    "hard_wrong", "text_losses_on", "unconditional", "colour", "one_pass", "compile", "sample_every", "evaluate_every", "trace_every",
)  # fmt: skip
#: Settings of training that only some steps read, and which; the others are read by all.
READ_BY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_GAN_ONLY, ("gan",)),
    **dict.fromkeys(("reconstruct", "frozen_text", "recall", "text_batch"), ("match",)),
    **dict.fromkeys(("part_colours", "frozen_encoder"), ("match", "caption")),
    **dict.fromkeys(("cloze", "cloze_variants", "gamma1", "gamma2", "gamma3"), ("match", "gan")),
    **dict.fromkeys(("content", "unlikelihood"), ("caption",)),
}


def require_read(key: str, *steps: str) -> None:
    """Refuse a setting that none of the steps would read.

    Args:
        key: dotted or bare.
        steps: "match", "caption", "gan".

    Raises:
        ConfigError: which steps read it.
    """
    section, _, name = key.rpartition(".")
    name = RENAMED_KEYS.get(name, name)
    readers = READ_BY.get(name, steps) if section in ("", "train") else steps
    if not set(readers) & set(steps):
        own, others = " and ".join(steps), " and ".join(readers)
        raise ConfigError(f"--set {key}: dmm train {own} would not read it, but {others} would; leave it out")


def require_source(config: Config) -> None:
    """Refuse a recipe of a published data set for which nobody said where that data set lies.

    Raises:
        ConfigError: ``data.source`` is empty.
    """
    if not config.data.source:
        raise ConfigError(
            "data.source: expected the folder of the recipe's data set (CUB-200-2011 or COCO), found none; give it: --set source=DIR"
        )


def to_dict(config) -> dict:
    """Plain containers, for YAML and JSON."""
    return dataclasses.asdict(config)


def from_dict(cls, values: Mapping, where: str = "config"):
    """Build a config dataclass from plain containers.

    Raises:
        ConfigError: unknown key (with the nearest name) or a value of the wrong kind.
    """
    hints = typing.get_type_hints(cls)
    values = _current_names(values, hints, where)
    unknown = set(values) - set(hints)
    if unknown:
        name = sorted(unknown)[0]
        near = difflib.get_close_matches(name, hints, n=1)
        raise ConfigError(
            f"{where}: unknown key {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(hints)}")
        )
    return cls(**{name: _coerce(hints[name], value, f"{where}.{name}") for name, value in values.items()})


def _current_names(values: Mapping, known: Mapping, where: str) -> dict:
    """Values under the names that keys have now."""
    found = {}
    for name, value in values.items():
        current = name if name in known else RENAMED_KEYS.get(name, name)
        if current in found or (current != name and current in values):
            raise ConfigError(f"{where}: {name!r} is now called {current!r}, and both are given; keep one")
        found[current] = value
    return found


def _coerce(kind, value, where: str):
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else from_dict(kind, value, where)
    if typing.get_origin(kind) is tuple:
        if isinstance(value, str):
            value = [part for part in value.strip("()[] ").split(",") if part.strip()]
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where}: expected a list, found {value!r}")
        return tuple(_coerce(typing.get_args(kind)[0], item, where) for item in value)
    if kind is bool and not isinstance(value, bool):
        text = str(value).lower()
        if text not in ("true", "false"):
            raise ConfigError(f"{where}: expected true or false, found {value!r}")
        return text == "true"
    try:
        if kind is int and isinstance(value, float) and value != int(value):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: expected {kind.__name__}, found {value!r}") from None


def override(config: Config, assignments: Mapping[str, object]) -> Config:
    """Apply dotted or bare keys (``train.batch``, ``batch``) to a config.

    Raises:
        ConfigError: a key that no section has, or a bare key that two sections have.
    """
    for key, value in assignments.items():
        section, _, name = key.rpartition(".")
        name = RENAMED_KEYS.get(name, name)
        homes = [s for s in ("model", "data", "train") if name in {f.name for f in dataclasses.fields(getattr(config, s))}]
        if section:
            homes = [section] if section in ("model", "data", "train") else []
        if not homes:
            every = [f.name for s in ("model", "data", "train") for f in dataclasses.fields(getattr(config, s))]
            near = difflib.get_close_matches(name, every, n=1)
            raise ConfigError(f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else "; dmm list --settings names them all"))
        if len(homes) > 1:
            raise ConfigError(f"{key!r} is ambiguous; write {' or '.join(f'{s}.{name}' for s in homes)}")
        part = getattr(config, homes[0])
        merged = from_dict(type(part), {**to_dict(part), name: value}, homes[0])
        config = dataclasses.replace(config, **{homes[0]: merged})
    return config
