"""The published multi-stage systems: how each is built from the hyper-parameters of a case, and how its parameters are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from dmm.convert.case import Case, load
from dmm.convert.keys import DMMGAN_GENERATOR, KeyTable, discriminator_table
from dmm.models.discriminators import SIZES, Discriminator
from dmm.models.dmmgan import DMMGAN


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


def _dmmgan(hp: Mapping) -> DMMGAN:
    return DMMGAN(**_multistage(hp), global_memory=hp["INCLUDE_GL_DM"])


def _spectral(hp: Mapping, size: int) -> Discriminator:
    return Discriminator(size, hp["DF_DIM"], hp["EMBEDDING_DIM"], "spectral")


DMMGAN_SYSTEM = System(
    _dmmgan,
    DMMGAN_GENERATOR,
    _spectral,
    discriminator_table,
    (TextTerm("loss", "stream", "LAMBDA_STREAM"), TextTerm("loss_damsm", "damsm", "LAMBDA_DAMSM")),
)

SYSTEMS = {"dmmgan_gldm": DMMGAN_SYSTEM, "dmmgan_nogldm": DMMGAN_SYSTEM}


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
