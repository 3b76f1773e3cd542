"""The published multi-stage systems: how each is built from the hyper-parameters of a case, and how its parameters are named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dmm.config import ModelConfig
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
from dmm.models.discriminators import SIZES, Discriminator, create_discriminators
from dmm.models.multistage import MultiStage, as_multi_stage
from dmm.models.registry import create_model


@dataclass(frozen=True)
class TextTerm:
    """A text loss of the generator, as the files group it."""

    group: str  # name of the group under out/
    kind: str  # "stream" or "damsm"
    weight: str  # hyper-parameter that holds its weight


def attention_config(name: str, hp: Mapping) -> ModelConfig:
    """What the hyper-parameters of an attention system say, in our words."""
    return ModelConfig(
        system=name,
        text_dim=hp["EMBEDDING_DIM"],
        condition_dim=hp["CONDITION_DIM"],
        noise_dim=hp["Z_DIM"],
        widths=(hp["GF_DIM"],) * 3,
        discriminator_width=hp["DF_DIM"],
        residuals=hp["R_NUM"],
        mask_pairing="published",
        global_memory=hp.get("INCLUDE_GL_DM", True),
    )


def stackgan_config(name: str, hp: Mapping) -> ModelConfig:
    """What the hyper-parameters of StackGAN++ say, in our words."""
    return ModelConfig(
        system=name,
        text_dim=hp["TEXT_DIMENSION"],
        condition_dim=hp["GAN_EMBEDDING_DIM"],
        noise_dim=hp["Z_DIM"],
        widths=(hp["GF_DIM"], hp["GF_DIM"] // 2, hp["GF_DIM"] // 4),
        discriminator_width=hp["DF_DIM"],
        residuals=hp["R_NUM"],
    )


@dataclass(frozen=True)
class System:
    """How one published system is built, through the registry as in training, and named."""

    name: str  # in the registry
    generator_keys: KeyTable
    discriminator_keys: Callable[[int], KeyTable]  # by picture size
    texts: tuple[TextTerm, ...] = ()  # the published choice first
    config: Callable[[str, Mapping], ModelConfig] = attention_config  # from registry name and hyper-parameters

    def generator(self, hp: Mapping) -> MultiStage:
        """Our generator with these hyper-parameters."""
        return as_multi_stage(create_model(self.config(self.name, hp)))

    def discriminator(self, hp: Mapping, size: int) -> Discriminator:
        """Our discriminator of pictures of ``size`` px."""
        found = next(network for network in create_discriminators(self.config(self.name, hp)) if network.size == size)
        assert isinstance(found, Discriminator), "every system of several stages has these"
        return found


DMMGAN_TEXTS = (TextTerm("loss", "stream", "LAMBDA_STREAM"), TextTerm("loss_damsm", "damsm", "LAMBDA_DAMSM"))
DMMGAN_SYSTEM = System("dmmgan", DMMGAN_GENERATOR, discriminator_table, DMMGAN_TEXTS)
DAMSM = (TextTerm("loss", "damsm", "LAMBDA"),)

SYSTEMS = {
    "stackgan2": System("stackgan", STACKGAN_GENERATOR, stackgan_discriminator_table, config=stackgan_config),
    "attngan": System("attngan", ATTNGAN_GENERATOR, batch_discriminator_table, DAMSM),
    "mirrorgan": System("mirrorgan", MIRRORGAN_GENERATOR, batch_discriminator_table, (TextTerm("loss", "stream", "LAMBDA1"),)),
    "dmgan": System("dmgan", DMGAN_GENERATOR, discriminator_table, DAMSM),
    "dmmgan_gldm": DMMGAN_SYSTEM,
    "dmmgan_nogldm": DMMGAN_SYSTEM,
}


def system_of(case: Case) -> System:
    """The system that a case names; a case of an unknown one has no replay, and does not come here."""
    return SYSTEMS[case.hp["system"]]


def case_generator(case: Case, prefix: str) -> MultiStage:
    """The case's generator, with the weights under ``prefix``."""
    system = system_of(case)
    return load(case, system.generator(case.hp), prefix, system.generator_keys)


def case_discriminators(case: Case) -> dict[int, Discriminator]:
    """Its discriminators by picture size, fresh from the stored weights, in training mode."""
    system = system_of(case)
    built = {size: system.discriminator(case.hp, size) for size in SIZES}
    return {size: load(case, net, f"weights/D{size}/", system.discriminator_keys(size)) for size, net in built.items()}
