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
from functools import lru_cache
from typing import Annotated

from dmm.errors import InputError
from dmm.files import shown

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
class Range:
    """The numbers that a field takes, ends included; with ``open_end`` the higher one is left out. Never NaN."""

    low: float
    high: float
    open_end: bool = False

    def holds(self, value: float) -> bool:
        """Is the value within?"""
        return self.low <= value < self.high if self.open_end else self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {'below ' if self.open_end else ''}{self.high:g}"


class Choice:
    """The words that a field takes."""

    def __init__(self, *words: str):
        self.words = words

    def holds(self, value: str) -> bool:
        """Is it one of the words?"""
        return value in self.words

    def __str__(self) -> str:
        return f"one of {', '.join(self.words)}"


Count = Annotated[int, Range(0, 10**9)]  # steps; often 0 = never
Positive = Annotated[int, Range(1, 10**9)]
Seed = Annotated[int, Range(0, 2**31 - 1)]
Width = Annotated[int, Range(1, 16384)]  # channels, or numbers of a vector
Side = Annotated[int, Range(8, 2048)]  # px
Share = Annotated[float, Range(0, 1)]
Decay = Annotated[float, Range(0, 1, open_end=True)]
Weight = Annotated[float, Range(0, 1e6)]
Rate = Annotated[float, Range(0, 10)]
Factor = Annotated[float, Range(0, 1000)]
Few = Annotated[int, Range(0, 64)]
Batch = Annotated[int, Range(1, 1 << 20)]
Captions = Annotated[int, Range(0, 1 << 20)]  # 0 = none, or as many as elsewhere
Pairing = Annotated[str, Choice("right", "published")]
Precision = Annotated[str, Choice("auto", "fp32", "bf16", "fp16")]


class Ranged:
    """A config whose fields hold what they declare, however it is made."""

    def __post_init__(self):
        own: type = type(self)
        section = own.__name__.removesuffix("Config").lower()
        for name, kind in _hints(own).items():
            value = getattr(self, name)
            for item in value if isinstance(value, tuple) else (value,):
                bounds = _bounds(kind)
                if bounds is not None and not bounds.holds(item):
                    raise ConfigError(f"{section}.{name}: expected {bounds}, found {shown(item)}")
            if isinstance(value, tuple) and not 1 <= len(value) <= MOST_SIZES:
                raise ConfigError(f"{section}.{name}: expected 1 to {MOST_SIZES} numbers, found {len(value)}")


MOST_SIZES = 8


@lru_cache(maxsize=8)
def _hints(cls: type) -> dict:
    return typing.get_type_hints(cls, include_extras=True)


def _bounds(kind) -> Range | Choice | None:
    """What a field's type declares beside the type."""
    kind = typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind
    return next((one for one in getattr(kind, "__metadata__", ()) if isinstance(one, (Range, Choice))), None)


@dataclass(frozen=True)
class ModelConfig(Ranged):
    """The networks. What a checkpoint needs to be rebuilt."""

    system: str = "dmmgan"  # a name of `dmm list`
    widths: tuple[Width, ...] = (64, 64, 64)  # channels of the feature maps at 64, 128, 256 px; published: all GF_DIM
    discriminator_width: Width = 32  # channels after the first discriminator layer, DF_DIM
    noise_dim: Width = 100  # numbers in z
    condition_dim: Width = 100  # numbers in the conditioning code
    text_dim: Width = 256  # word and sentence features, channels
    embedding_dim: Width = 300  # word embedding of the text encoder, numbers
    text_dropout: Share = 0.5  # share of the word embedding dropped while the text encoder is trained
    residuals: Few = 2  # residual blocks a refinement stage, R_NUM
    global_memory: bool = True  # GLDM: add the single global slot
    mask_pairing: Pairing = "right"  # "right", or "published": the batch-major tiling of the published word mask
    convention: Annotated[str, Choice("dmm", "pad0")] = "dmm"  # special tokens: "dmm" (start, end, pad) or "pad0"
    words_limit: Annotated[int, Range(3, 512)] = 20  # tokens a caption in training, start and end included
    image_encoder: str = "small"  # DAMSM image encoder: "small" or "inception"
    encoder_width: Width = 32  # first width of the small image encoders, channels
    encoder_size: Side = 64  # side of the picture that the small image encoders read, px
    caption_embedding: Width = 256  # STREAM decoder's embedding, numbers
    caption_hidden: Width = 512  # STREAM decoder's LSTM width
    caption_attention: Few = 0  # heads of STREAM's attention to views of the 8x8 regions at every word; 0, published: the code once
    memory: bool = True  # DM-GAN, M: refine with a memory of the words; off only in its ablation
    writing_gate: bool = True  # DM-GAN, WG: mix each word with the picture when it is written; off only in its ablation
    response_gate: bool = True  # DM-GAN, RG: weigh picture and answer at each place; off only in its ablation
    caption_encoder: str = "small"  # STREAM image encoder: "small" or "resnet"
    trunk: str = ""  # ImageNet weights of frozen trunks: torchvision's file, a folder with its files, or "imagenet", to fetch them
    image_align_corners: bool = True  # corner rule of the inception encoder's resize to 299 px: DM-GAN and DMM-GAN aligned, DF-GAN not
    caption_align_corners: bool = False  # corner rule of the resnet encoder's resize to 224 px; PyTorch's own since 0.4 is False
    noise_truncation: Weight = 0.0  # sampling draws z within this many standard deviations, 0 = anywhere; DF-GAN published: 2
    noise_scale: Weight = 1.0  # factor on the z of sampling; DF-GAN published: 0.88


@dataclass(frozen=True)
class DataConfig(Ranged):
    """What is read and how it is cut."""

    source: str = "aviary"  # "aviary", or the directory of a data set; recipes of CUB and COCO have none, it has to be given
    level: Annotated[str, Choice("garden", "world")] = "garden"  # Aviary level: "garden" or "world"
    images: Positive = 12000  # Aviary birds drawn for training
    seed: Seed = 0  # Aviary seed
    sizes: tuple[Side, ...] = (64, 128, 256)  # px
    cache: str = ".cache/aviary"  # where drawn pictures are kept, a directory
    mirror: bool = False  # mirror half of the training pictures
    on_device: bool = False  # keep the training pictures in the memory of the GPU; every process of a run keeps all of them


@dataclass(frozen=True)
class TrainConfig(Ranged):
    """One run of the loop."""

    step: str = "gan"  # "match", "caption" or "gan"
    batch: Batch = 8  # captions an optimiser step
    steps: Positive = 1000  # optimiser steps in all
    seed: Seed = 0  # of weights, noise and order
    generator_lr: Rate = 2e-4  # Adam's learning rate; in matching and captioning that of the encoders
    discriminator_lr: Rate = 2e-4  # Adam's learning rate
    beta1: Decay = 0.5  # Adam
    beta2: Decay = 0.999  # Adam
    ema_decay: Share = 0.999  # decay of the exponential moving average (EMA) of the generator's parameters
    ema_warmup: bool = False  # let the decay grow from 0.1 over the first steps; published: no
    adversarial: Annotated[str, Choice("bce", "hinge")] = "bce"  # "bce" (published) or "hinge"
    initial_steps: Count = 0  # first steps, in which the 64 px stage is trained alone; published: 0
    initial_batch: Captions = 0  # captions a step meanwhile; 0 = as ``batch``
    initial_stages: Annotated[int, Range(1, 8)] = 1  # stages trained in those first steps, from the first
    adversarial_start: Count = 0  # step from which discriminators are trained and ask, from their full learning rate on; published: 0
    frozen_steps: Count = 0  # steps after those, in which the 64 px stage is frozen while the refinements start; published: 0
    lr_end_factor: Factor = 1.0  # factor on the learning rates that is reached linearly at the end of the run; published: 1
    kl: Weight = 1.0  # weight of the conditioning KL
    damsm: Weight = 0.0  # weight of the DAMSM terms
    calibrate: bool = False  # scale the conditioning layer so that codes start with unit variance over captions; not in the paper
    key_spread: Weight = 0.0  # standard deviation over the words that key addressing starts with, before its softmax; 0 = as initialised
    consistency: Weight = 0.0  # weight of "averaged down, a stage's picture is the picture of the stage before"; not in the paper
    paired: Weight = 0.0  # weight of "a caption's picture is its own picture", with z from what the renderer knows; not in the paper
    paired_colours: Share = 0.25  # share of the parts not named whose colour z tells in the first half of the run; all of them at its end
    corrupt_sentence: Share = 0.0  # share of samples whose sentence feature is that of a caption with exchanged colours; not in the paper
    stream: Weight = 20.0  # weight of the redescription (caption) loss
    cloze: Weight = 0.0  # weight of the masked-word loss; not in the paper
    cloze_variants: Annotated[int, Range(1, 1000)] = 3  # words masked, one at a time, in each caption
    hard_wrong: bool = False  # mismatched captions differ in one colour word only; not in the paper
    augment: Rate = 0.0  # noise and shift of what the text losses read, share of full strength; not in the paper
    text_losses_on: Annotated[str, Choice("last", "all")] = "last"  # pictures the text losses read: "last" (published) or "all"
    gamma1: Weight = 4.0  # DAMSM, sharpness of the attention over regions
    gamma2: Weight = 5.0  # DAMSM, sharpness of the sum over words
    gamma3: Weight = 10.0  # DAMSM, sharpness of the softmax over the batch
    reconstruct: Weight = 0.0  # matching only: weight of re-writing the caption from the sentence feature; not in the paper
    part_colours: Weight = 0.0  # encoders: weight of naming parts' colours from picture, code and sentence; not in the paper
    frozen_text: bool = False  # matching only: keep an earlier run's text encoder as it is
    recall: Weight = 0.0  # matching only: weight of naming masked words from the sentence feature alone; not in the paper
    frozen_encoder: bool = False  # keep an earlier matching run's image encoder; captioning still trains its last, linear layer
    content: Weight = 0.0  # captioning only: further weight of the words that say what a picture shows; not in the paper
    unlikelihood: Weight = 0.0  # captioning only: weight against saying a word again that the caption says no more; not in the paper
    text_batch: Captions = 0  # matching only: further captions a step, no pictures, that the sentence feature learns from; not in the paper
    clip: Weight = 0.0  # largest gradient norm, 0 = off
    precision: Precision = "auto"  # "fp32", "bf16", "fp16" (autocast; fp16 on a GPU only) or "auto": bf16 where it is multiplied natively
    sample_every: Count = 500  # steps between sample grids
    save_every: Count = 500  # steps between checkpoints
    log_every: Positive = 20  # steps between log rows
    unconditional: Weight = 1.0  # weight of the discriminators' terms without the text in StackGAN++
    colour: Weight = 0.0  # weight of the colour consistency between the pictures' sizes (StackGAN++); published for birds: 0
    one_pass: bool = True  # discriminators without batch norm read all pictures in one pass, with fewer power iterations; published: no
    device: str = "auto"  # "cpu", "cuda" or "auto": cuda where there is one
    compile: bool = False  # gan only: compile the networks' blocks, which takes minutes; on a CPU 0.96 to 1.05 times as fast
    accumulate: Batch = 1  # equal micro-batches into which a batch is cut to save memory; one optimiser step a batch all the same
    keep: Annotated[int, Range(1, 10_000)] = 2  # checkpoints to go on from that are kept, the last included
    evaluate_every: Count = 0  # steps between evaluations, which decide what best/ holds; 0 = never
    trace_every: Count = 0  # steps between traces of fixed captions, written to traces/<step>.npz; 0 = never
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
    hints = _hints(cls)
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise ConfigError(f"{where}: expected a table of settings, found {shown(values)}")
    values = _current_names(values, hints, where)
    unknown = set(values) - set(hints)
    if unknown:
        name = sorted(unknown)[0]
        near = difflib.get_close_matches(name, hints, n=1)
        raise ConfigError(
            f"{where}: unknown key {shown(name)}" + (f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(hints)}")
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
        if isinstance(value, kind):
            return value
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: expected a table of settings, found {shown(value)}")
        return from_dict(kind, value, where)
    if typing.get_origin(kind) is tuple:
        if isinstance(value, str):
            value = [part for part in value.strip("()[] ").split(",") if part.strip()]
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{where}: expected a list, found {shown(value)}")
        return tuple(_coerce(typing.get_args(kind)[0], item, where) for item in value[: MOST_SIZES + 1])
    kind = typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind
    if kind is bool and not isinstance(value, bool):
        text = str(value).lower()
        if text not in ("true", "false"):
            raise ConfigError(f"{where}: expected true or false, found {shown(value)}")
        return text == "true"
    try:
        if isinstance(value, (bool, list, tuple, Mapping)) and kind is not bool or value is None:
            raise ValueError
        if kind is int and isinstance(value, float) and value != int(value):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{where}: expected {NAMES[kind]}, found {shown(value)}") from None


NAMES = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}


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
