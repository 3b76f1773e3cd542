"""The published multi-stage systems: how each is built from the hyper-parameters of a case, and how its parameters are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from dmm.convert.keys import (
    ATTNGAN_GENERATOR,
    DMGAN_GENERATOR,
    DMMGAN_GENERATOR,
    MIRRORGAN_GENERATOR,
    STACKGAN_GENERATOR,
    KeyTable,
    batch_discriminator_table,
    discriminator_table,
    stackgan_discriminator_table,
)
from dmm.convert.reference_case import Case, load
from dmm.models.attngan import AttnGAN
from dmm.models.discriminators import SIZES, Discriminator
from dmm.models.dmgan import DMGAN
from dmm.models.dmmgan import DMMGAN
from dmm.models.mirrorgan import MirrorGAN
from dmm.models.stackgan import StackGAN


@dataclass(frozen=True)
class TextTerm:
    """A text loss of the generator, as the files group it."""

    group: str  # name of the group under out/
    kind: str  # "stream" or "damsm"
    weight: str  # hyper-parameter that holds its weight


@dataclass(frozen=True)
class System:
    """How one published system is built and named."""

    generator: Callable[[Mapping], nn.Module]  # hyper-parameters -> our generator
    generator_keys: KeyTable
    discriminator: Callable[[Mapping, int], Discriminator]  # hyper-parameters, picture size
    discriminator_keys: Callable[[int], KeyTable]  # by picture size
    texts: tuple[TextTerm, ...] = ()  # the published choice first


def _multistage(hp: Mapping) -> dict:
    """What the attention systems' generators have in common."""
    return {
        "text_dim": hp["EMBEDDING_DIM"],
        "condition_dim": hp["CONDITION_DIM"],
        "noise_dim": hp["Z_DIM"],
        "widths": (hp["GF_DIM"],) * 3,
        "residuals": hp["R_NUM"],
        "mask_pairing": "published",
    }


def _stackgan(hp: Mapping) -> StackGAN:
    width = hp["GF_DIM"]
    return StackGAN(hp["TEXT_DIMENSION"], hp["GAN_EMBEDDING_DIM"], hp["Z_DIM"], (width, width // 2, width // 4), hp["R_NUM"])


def _stackgan_discriminator(hp: Mapping, size: int) -> Discriminator:
    return Discriminator(size, hp["DF_DIM"], hp["GAN_EMBEDDING_DIM"], "batch", text_first=True)


def _batch(hp: Mapping, size: int) -> Discriminator:
    return Discriminator(size, hp["DF_DIM"], hp["EMBEDDING_DIM"], "batch")


def _spectral(hp: Mapping, size: int) -> Discriminator:
    return Discriminator(size, hp["DF_DIM"], hp["EMBEDDING_DIM"], "spectral")


DMMGAN_SYSTEM = System(
    lambda hp: DMMGAN(**_multistage(hp), global_memory=hp["INCLUDE_GL_DM"]),
    DMMGAN_GENERATOR,
    _spectral,
    discriminator_table,
    (TextTerm("loss", "stream", "LAMBDA_STREAM"), TextTerm("loss_damsm", "damsm", "LAMBDA_DAMSM")),
)

SYSTEMS = {
    "stackgan2": System(_stackgan, STACKGAN_GENERATOR, _stackgan_discriminator, stackgan_discriminator_table),
    "attngan": System(
        lambda hp: AttnGAN(**_multistage(hp)), ATTNGAN_GENERATOR, _batch, batch_discriminator_table, (TextTerm("loss", "damsm", "LAMBDA"),)
    ),
    "mirrorgan": System(
        lambda hp: MirrorGAN(**_multistage(hp)),
        MIRRORGAN_GENERATOR,
        _batch,
        batch_discriminator_table,
        (TextTerm("loss", "stream", "LAMBDA1"),),
    ),
    "dmgan": System(
        lambda hp: DMGAN(**_multistage(hp)), DMGAN_GENERATOR, _spectral, discriminator_table, (TextTerm("loss", "damsm", "LAMBDA"),)
    ),
    "dmmgan_gldm": DMMGAN_SYSTEM,
    "dmmgan_nogldm": DMMGAN_SYSTEM,
}


def system_of(case: Case) -> System:
    """The system a case names; it is known, or nobody would have been found to replay the case."""
    return SYSTEMS[case.hp["system"]]


def case_generator(case: Case, prefix: str) -> nn.Module:
    """The case's generator, with the weights under ``prefix``."""
    system = system_of(case)
    return load(case, system.generator(case.hp), prefix, system.generator_keys)


def case_discriminators(case: Case) -> dict[int, Discriminator]:
    """Its discriminators by picture size, fresh from the stored weights, in training mode."""
    system = system_of(case)
    built = {size: system.discriminator(case.hp, size) for size in SIZES}
    return {size: load(case, net, f"weights/D{size}/", system.discriminator_keys(size)) for size, net in built.items()}
