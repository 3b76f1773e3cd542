"""A whole pipeline at toy size with seeded random weights: real networks, real hooks, milliseconds to generate."""

from __future__ import annotations

import torch

from dmm.config import ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.models.registry import create_model
from dmm.models.text_encoder import TextEncoder
from dmm.pipeline import Pipeline

CAPTION = "a small red bird with a yellow crown"


def toy_pipeline(global_memory: bool = True) -> Pipeline:
    """DMM-GAN with four channels; without ``global_memory`` it is DM-GAN."""
    torch.manual_seed(7)
    config = ModelConfig(
        widths=(4, 4, 4), noise_dim=5, condition_dim=6, text_dim=8, embedding_dim=8, residuals=1, global_memory=global_memory
    )
    vocab = Vocabulary("a small red blue bird with yellow crown this has white belly and".split())
    return Pipeline(config, vocab, create_model(config).eval(), TextEncoder(len(vocab), config.embedding_dim, config.text_dim), name="toy")


def toy_system(system: str) -> Pipeline:
    """Any registered system at toy size, which knows the words of :data:`CAPTION` and some more."""
    torch.manual_seed(7)
    config = ModelConfig(
        system=system, widths=(8, 4, 2) if system in ("stackgan", "dfgan") else (8, 8, 8), noise_dim=4, condition_dim=6, text_dim=16,
        embedding_dim=8, residuals=1, discriminator_width=2,
    )  # fmt: skip
    vocab = Vocabulary("a small red blue bird with yellow crown this has white belly and".split(), config.convention)
    encoder = TextEncoder(len(vocab), config.embedding_dim, config.text_dim)
    return Pipeline(config, vocab, create_model(config).eval(), encoder, name=system)
