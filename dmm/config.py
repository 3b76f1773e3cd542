"""Every number a run depends on, as frozen dataclasses: one phrase and one unit for each field.

A recipe (``dmm/recipes/*.yaml``) overrides these defaults, ``--set key=value`` overrides the recipe. The defaults are
DMM-GAN's published sizes, learning rates and loss weights, but not its word mask (``mask_pairing``), its encoders trained on ImageNet, its
mirrored pictures, its separate passes (``one_pass``) and the last weights' batch-norm statistics in the EMA (``ema_captions``), and Aviary
for data; every published run is a recipe.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Callable, Mapping
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
LearningRate = Annotated[float, Range(0, 10)]
Strength = Annotated[float, Range(0, 10)]
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


STEPS = ("match", "caption", "gan")


#: Where a setting's quantity comes from: a paper, a published code where papers say nothing of it, or this project.
PAPER, PUBLISHED_CODE, OURS = ("paper", "published code", "ours")


def _group(name: str, *steps: str, origin: str = PAPER) -> Callable:
    """Makes the settings of one purpose.

    Args:
        name: of the purpose.
        steps: that read them; by default all.
        origin: ``PAPER``, ``PUBLISHED_CODE`` or ``OURS``.

    Returns:
        (default, what it means and its unit) -> a dataclass field with that as metadata; one setting may differ in ``steps`` and
        ``origin``.
    """

    def setting(default, about: str, steps: tuple[str, ...] = steps or STEPS, origin: str = origin):
        return dataclasses.field(default=default, metadata={"about": about, "group": name, "steps": steps, "origin": origin})

    return setting


_networks = _group("networks")
_pictures = _group("pictures", origin=OURS)
_optimisation = _group("optimisation")
_matching = _group("matching (DAMSM)", "match")
_captioning = _group("captioning (STREAM)", "caption", origin=OURS)
_encoders = _group("encoders", "match", "caption")
_adversarial = _group("adversarial", "gan")
_aids = _group("training aids of the generator", "gan", origin=OURS)
_runtime = _group("runtime", origin=OURS)


@dataclass(frozen=True)
class ModelConfig(Ranged):
    """The networks. What a checkpoint needs to be rebuilt."""

    system: str = _networks("dmmgan", "a name of `dmm list`")
    widths: tuple[Width, ...] = _networks((64, 64, 64), "channels of the feature maps at 64, 128, 256 px; gan-int-cls reads the first")
    discriminator_width: Width = _networks(32, "channels after the first discriminator layer, DF_DIM", origin=PUBLISHED_CODE)
    noise_dim: Width = _networks(100, "dimensions of the noise z")
    condition_dim: Width = _networks(100, "dimensions of the conditioning code")
    text_dim: Width = _networks(256, "word and sentence features, channels")
    embedding_dim: Width = _networks(300, "word embedding of the text encoder, dimensions", origin=PUBLISHED_CODE)
    text_dropout: Share = _networks(0.5, "share of the word embedding dropped while the text encoder is trained", origin=PUBLISHED_CODE)
    residuals: Few = _networks(2, "residual blocks a refinement stage, R_NUM", origin=PUBLISHED_CODE)
    global_memory: bool = _networks(True, "GLDM: add the single global slot")
    mask_pairing: Pairing = _networks(
        "right", '"right", or "published": the batch-major tiling of the published word mask', origin=PUBLISHED_CODE
    )
    convention: Annotated[str, Choice("dmm", "pad0")] = _networks(
        "dmm", 'special tokens: "dmm" (start, end, pad) or "pad0"', origin=PUBLISHED_CODE
    )
    words_limit: Annotated[int, Range(3, 512)] = _networks(
        20, "tokens a caption in training, start and end included", origin=PUBLISHED_CODE
    )
    image_encoder: str = _networks("small", 'DAMSM image encoder: "small" or "inception"')
    encoder_width: Width = _networks(32, "first width of the small image encoders, channels", origin=OURS)
    encoder_size: Side = _networks(64, "side of the picture that the small image encoders read, px", origin=OURS)
    caption_embedding: Width = _networks(256, "STREAM decoder's embedding, dimensions", origin=PUBLISHED_CODE)
    caption_hidden: Width = _networks(512, "STREAM decoder's LSTM width", origin=PUBLISHED_CODE)
    caption_attention: Few = _networks(
        0, "heads of STREAM's attention to views of the 8x8 regions at every word; 0, published: the image embedding once", origin=OURS
    )
    memory: bool = _networks(True, "DM-GAN, M: refine with a memory of the words; off only in its ablation")
    writing_gate: bool = _networks(True, "DM-GAN, WG: mix each word with the picture when it is written; off only in its ablation")
    response_gate: bool = _networks(True, "DM-GAN, RG: weigh picture and answer at each place; off only in its ablation")
    caption_encoder: str = _networks("small", 'STREAM image encoder: "small" or "resnet"', origin=PUBLISHED_CODE)
    trunk: str = _networks(
        "", 'ImageNet weights of frozen trunks: torchvision\'s file, a folder with its files, or "imagenet", to fetch them'
    )
    image_align_corners: bool = _networks(
        True, "corner rule of the inception encoder's resize to 299 px: DM-GAN and DMM-GAN aligned, DF-GAN not", origin=PUBLISHED_CODE
    )
    caption_align_corners: bool = _networks(
        False, "corner rule of the resnet encoder's resize to 224 px; PyTorch's own since 0.4 is False", origin=PUBLISHED_CODE
    )
    noise_truncation: Weight = _networks(
        0.0, "sampling draws z within this many standard deviations, 0 = anywhere; DF-GAN published: 2", origin=PUBLISHED_CODE
    )
    noise_scale: Weight = _networks(1.0, "factor on the z of sampling; DF-GAN published: 0.88", origin=PUBLISHED_CODE)


@dataclass(frozen=True)
class DataConfig(Ranged):
    """What is read and how it is cut."""

    source: str = _pictures("aviary", '"aviary", or the directory of a data set; recipes of CUB and COCO have none, it has to be given')
    level: Annotated[str, Choice("garden", "world")] = _pictures("garden", 'Aviary level: "garden" or "world"')
    images: Positive = _pictures(12000, "Aviary birds drawn for training")
    seed: Seed = _pictures(0, "Aviary seed")
    sizes: tuple[Side, ...] = _pictures((64, 128, 256), "px", origin=PAPER)
    cache: str = _pictures(".cache/aviary", "where drawn pictures are kept, a directory")
    mirror: bool = _pictures(False, "mirror half of the training pictures", origin=PUBLISHED_CODE)
    on_device: bool = _pictures(False, "keep the training pictures in the memory of the GPU; every process of a run keeps all of them")


@dataclass(frozen=True)
class TrainConfig(Ranged):
    """One run of the loop."""

    batch: Batch = _optimisation(8, "captions an optimiser step")
    steps: Positive = _optimisation(1000, "optimiser steps in all")
    seed: Seed = _optimisation(0, "of weights, noise and order", origin=PUBLISHED_CODE)
    generator_lr: LearningRate = _optimisation(2e-4, "Adam's learning rate; in matching and captioning that of the encoders")
    beta1: Decay = _optimisation(0.5, "Adam")
    beta2: Decay = _optimisation(0.999, "Adam")
    lr_end_factor: Factor = _optimisation(
        1.0, "factor on the learning rates that is reached linearly at the end of the run; published: 1", origin=OURS
    )
    clip: Weight = _optimisation(0.0, "largest gradient norm, 0 = off", origin=PUBLISHED_CODE)
    precision: Precision = _optimisation(
        "auto", '"fp32", "bf16", "fp16" (autocast; fp16 on a GPU only) or "auto": bf16 where it is multiplied natively', origin=OURS
    )
    accumulate: Batch = _optimisation(
        1,
        "equal micro-batches into which a batch is cut to save memory; one optimiser step a batch all the same, but matching, mismatched "
        "captions and batch norms compare within a micro-batch",
        origin=OURS,
    )
    cloze: Weight = _matching(0.0, "weight of the masked-word loss", steps=("match", "gan"), origin=OURS)
    cloze_variants: Annotated[int, Range(1, 1000)] = _matching(
        3, "words masked, one at a time, in each caption", steps=("match", "gan"), origin=OURS
    )
    gamma1: Weight = _matching(4.0, "DAMSM, sharpness of the attention over regions", steps=("match", "gan"))
    gamma2: Weight = _matching(5.0, "DAMSM, sharpness of the sum over words", steps=("match", "gan"))
    gamma3: Weight = _matching(10.0, "DAMSM, sharpness of the softmax over the batch", steps=("match", "gan"))
    reconstruct: Weight = _matching(0.0, "weight of re-writing the caption from the sentence feature", origin=OURS)
    frozen_text: bool = _matching(False, "keep an earlier run's text encoder as it is", origin=OURS)
    recall: Weight = _matching(0.0, "weight of naming masked words from the sentence feature alone", origin=OURS)
    text_batch: Captions = _matching(0, "further captions a step, no pictures, that the sentence feature learns from", origin=OURS)
    content: Weight = _captioning(0.0, "further weight of the words that say what a picture shows")
    unlikelihood: Weight = _captioning(0.0, "weight against saying a word again that the caption says no more")
    augment: Strength = _encoders(
        0.0, "noise and shift of what the text losses read, share of full strength", steps=("match", "caption", "gan"), origin=OURS
    )
    part_colours: Weight = _encoders(0.0, "weight of naming parts' colours from image regions, image embedding and sentence", origin=OURS)
    frozen_encoder: bool = _encoders(
        False, "keep an earlier matching run's image encoder; captioning still trains its last, linear layer", origin=OURS
    )
    discriminator_lr: LearningRate = _adversarial(2e-4, "Adam's learning rate")
    ema_decay: Share = _adversarial(
        0.999, "decay of the exponential moving average (EMA) of the generator's parameters", origin=PUBLISHED_CODE
    )
    adversarial: Annotated[str, Choice("bce", "hinge")] = _adversarial("bce", '"bce" (published) or "hinge"')
    kl: Weight = _adversarial(1.0, "weight of the conditioning KL")
    damsm: Weight = _adversarial(0.0, "weight of the DAMSM terms")
    stream: Weight = _adversarial(20.0, "weight of the redescription (caption) loss")
    text_losses_on: Annotated[str, Choice("last", "all")] = _adversarial(
        "last", 'pictures the text losses read: "last" (published) or "all"', origin=OURS
    )
    unconditional: Weight = _adversarial(1.0, "weight of the discriminators' terms without the text in StackGAN++")
    colour: Weight = _adversarial(0.0, "weight of the colour consistency between the pictures' sizes (StackGAN++); published for birds: 0")
    interpolation: Weight = _adversarial(0.0, "weight of the generator's term for sentences between two (GAN-INT-CLS); published: 1")
    one_pass: bool = _adversarial(
        True, "discriminators without batch norm read all pictures in one pass, with fewer power iterations; published: no", origin=OURS
    )
    ema_warmup: bool = _aids(False, "let the decay grow from 0.1 over the first steps; published: no")
    ema_captions: Annotated[int, Range(2, 100_000)] = _aids(
        128,
        "captions whose pictures give the EMA's batch norms their statistics, whenever it is sampled or written; published: none, the "
        "statistics of the last weights",
    )
    initial_steps: Count = _aids(0, "first steps, in which the first stages (initial_stages) are trained alone", origin=PAPER)
    initial_batch: Captions = _aids(0, "captions a step meanwhile; 0 = as batch")
    initial_stages: Annotated[int, Range(1, 8)] = _aids(1, "stages trained in those first steps, from the first")
    adversarial_start: Count = _aids(0, "step from which discriminators are trained and ask, from their full learning rate on")
    frozen_steps: Count = _aids(0, "steps after those, in which the 64 px stage is frozen while the refinements start", origin=PAPER)
    calibrate: bool = _aids(False, "scale the conditioning layer so that codes start with unit variance over captions")
    key_spread: Weight = _aids(
        0.0, "standard deviation over the words that key addressing starts with, before its softmax; 0 = as initialised"
    )
    consistency: Weight = _aids(0.0, 'weight of "averaged down, a stage\'s picture is the picture of the stage before"')
    paired: Weight = _aids(0.0, 'weight of "a caption\'s picture is its own picture", with z from what the renderer knows')
    paired_colours: Share = _aids(
        0.25, "share of the parts not named whose colour z tells in the first half of the run; all of them at its end"
    )
    corrupt_sentence: Share = _aids(0.0, "share of samples whose sentence feature is that of a caption with exchanged colours")
    corrupt_words: Share = _aids(0.0, "of those, the share whose first refinement reads its words too, once three stages are trained")
    feature_limit: Weight = _aids(0.0, "weight of the squares by which features exceed 4 in magnitude: single places burn in otherwise")
    hard_wrong: bool = _aids(False, "mismatched captions differ in one colour word only")
    step: str = _runtime("gan", '"match", "caption" or "gan"')
    sample_every: Count = _runtime(500, "steps between sample grids", steps=("gan",), origin=PUBLISHED_CODE)
    save_every: Count = _runtime(500, "steps between checkpoints", origin=PUBLISHED_CODE)
    log_every: Positive = _runtime(20, "steps between log rows")
    device: str = _runtime("auto", '"cpu", "cuda" or "auto": cuda where there is one')
    compile: bool = _runtime(
        False, "compile the networks' blocks, which takes minutes; on a CPU 0.96 to 1.05 times as fast", steps=("gan",)
    )
    keep: Annotated[int, Range(1, 10_000)] = _runtime(2, "checkpoints to go on from that are kept, the last included")
    evaluate_every: Count = _runtime(0, "steps between evaluations, which decide what best/ holds; 0 = never", steps=("gan",))
    trace_every: Count = _runtime(0, "steps between traces of fixed captions, written to traces/<step>.npz; 0 = never", steps=("gan",))
    tensorboard: bool = _runtime(False, "also log for TensorBoard")


@dataclass(frozen=True)
class Config:
    """A whole run: model, data and training."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()


#: Settings of training that only some steps read, and which; the others are read by all.
READ_BY: dict[str, tuple[str, ...]] = {
    one.name: one.metadata["steps"] for one in dataclasses.fields(TrainConfig) if one.metadata["steps"] != STEPS
}


def reading_steps(key: str) -> tuple[str, ...]:
    """The steps that read a setting, dotted or bare; none where it is no setting of a step alone."""
    section, _, name = key.rpartition(".")
    return READ_BY.get(RENAMED_KEYS.get(name, name), ()) if section in ("", "train") else ()


def require_read(key: str, *steps: str) -> None:
    """Refuse a setting that none of the steps would read.

    Args:
        key: dotted or bare.
        steps: "match", "caption", "gan".

    Raises:
        ConfigError: which steps read it.
    """
    reading = reading_steps(key) or steps
    if not set(reading) & set(steps):
        own, others = " and ".join(steps), " and ".join(reading)
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
            f"{where}: unknown key {shown(name)}"
            + (f"; did you mean {near[0]!r}?{_about(near[0], cls)}" if near else f"; known keys: {', '.join(hints)}")
        )
    return cls(**{name: _coerce(hints[name], value, f"{where}.{name}") for name, value in values.items()})


def _about(name: str, *sections: type) -> str:
    """What a setting means, in brackets; it is looked for in the sections, by default in all."""
    every = (one for section in sections or (ModelConfig, DataConfig, TrainConfig) for one in dataclasses.fields(section))
    return next((f" ({one.metadata['about']})" for one in every if one.name == name and "about" in one.metadata), "")


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
            raise ConfigError(
                f"unknown key {key!r}"
                + (f"; did you mean {near[0]!r}?{_about(near[0])}" if near else "; dmm list --settings names them all")
            )
        if len(homes) > 1:
            raise ConfigError(f"{key!r} is ambiguous; write {' or '.join(f'{s}.{name}' for s in homes)}")
        part = getattr(config, homes[0])
        merged = from_dict(type(part), {**to_dict(part), name: value}, homes[0])
        config = dataclasses.replace(config, **{homes[0]: merged})
    return config
