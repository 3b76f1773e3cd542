"""Is it a real picture, and is it a picture of this sentence? One class by size, normalisation, heads and how the text is joined.

A trunk of 4x4 convolutions with stride 2 brings the picture to 4x4 places; above 64 px, 3x3 convolutions bring the channels back to 8
times the first width. Two heads read the features: one alone, one joined with the sentence, as it is or compressed first (GAN-INT-CLS and
StackGAN, where a 1x1 convolution joins it).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.errors import InputError
from dmm.models.blocks import TextCompression
from dmm.models.modules import AnyDiscriminator, Modules
from dmm.models.registry import find_model, picture_sizes
from dmm.models.spectral import SpectralConv2d

SIZES = (64, 128, 256)


def conv_layer(inputs: int, outputs: int, kernel: int, stride: int, norm: str | None) -> nn.Sequential:
    """Convolution (padding 1, for 1x1 none), normalisation, LeakyReLU 0.2.

    ``norm``: "spectral" (with bias), "batch" (no bias) or None (no bias).
    """
    layers: list[nn.Module] = []
    if norm == "spectral":
        layers.append(SpectralConv2d(inputs, outputs, kernel, stride, padding=min(kernel // 2, 1)))
    else:
        layers.append(conv := nn.Conv2d(inputs, outputs, kernel, stride, padding=min(kernel // 2, 1), bias=False))
        nn.init.orthogonal_(conv.weight)
    if norm == "batch":
        layers.append(scale := nn.BatchNorm2d(outputs))
        nn.init.normal_(scale.weight, 1.0, 0.02)
    return nn.Sequential(*layers, nn.LeakyReLU(0.2, inplace=True))


class Discriminator(AnyDiscriminator):
    """Features of a picture, and a logit with and without the sentence.

    Args:
        size: side of the picture, 64, 128 or 256 px.
        width: channels after the first layer.
        text_dim: numbers in the sentence feature.
        norm: "spectral" (DM-GAN, DMM-GAN: on all but the last convolutions) or "batch" (AttnGAN, MirrorGAN, StackGAN++: after all
            convolutions but the first and the last).
        unconditional: have the head without the sentence.
        text_first: join concat(sentence, image) as StackGAN++ does, not concat(image, sentence).
        compressed: numbers that a linear layer and LeakyReLU compress the sentence to, which a 1x1 convolution then joins; None: a 3x3
            convolution joins the sentence itself.

    Raises:
        ValueError: another size or norm.
    """

    def __init__(
        self,
        size: int = 64,
        width: int = 32,
        text_dim: int = 256,
        norm: str = "spectral",
        unconditional: bool = True,
        text_first: bool = False,
        compressed: int | None = None,
    ):
        super().__init__()
        if size not in SIZES:
            raise InputError(f"a discriminator reads pictures of {SIZES} px, not {size}")
        if norm not in ("spectral", "batch"):
            raise InputError(f"norm must be 'spectral' or 'batch', not {norm!r}")
        self.size, self.text_first = size, text_first
        top = size // 8  # widths go 1, 2, 4, 8 (64 px), 16 (128), 32 (256) times width
        down = [2**i for i in range(top.bit_length())]
        layers = [conv_layer(3, width, 4, 2, norm if norm == "spectral" else None)]
        layers += [conv_layer(a * width, b * width, 4, 2, norm) for a, b in zip(down, down[1:], strict=False)]
        while top > 8:
            layers.append(conv_layer(top * width, top // 2 * width, 3, 1, norm))
            top //= 2
        self.trunk = nn.Sequential(*layers)
        self.compression = None if compressed is None else TextCompression(text_dim, compressed)
        joined = text_dim if compressed is None else compressed
        self.joint = conv_layer(8 * width + joined, 8 * width, 3 if compressed is None else 1, 1, norm)
        self.conditional_logit = nn.Conv2d(8 * width, 1, 4, stride=4)
        self.unconditional_logit = nn.Conv2d(8 * width, 1, 4, stride=4) if unconditional else None
        for head in (self.conditional_logit, self.unconditional_logit):
            if head is not None:
                nn.init.orthogonal_(head.weight)

    def features(self, image: Tensor) -> Tensor:
        """B 3 S S in [-1, 1] -> B 8width 4 4."""
        return self.trunk(image)

    def conditional(self, features: Tensor, sentence: Tensor) -> Tensor:
        """Features B 8width 4 4, sentence B D -> logits B."""
        sentence = sentence if self.compression is None else self.compression(sentence)
        sentence = sentence[:, :, None, None].expand(-1, -1, *features.shape[2:])
        joined = (sentence, features) if self.text_first else (features, sentence)
        return self.conditional_logit(self.joint(torch.cat(joined, dim=1))).flatten()

    def unconditional(self, features: Tensor) -> Tensor:
        """Features B 8width 4 4 -> logits B.

        Raises:
            RuntimeError: built without this head.
        """
        if self.unconditional_logit is None:
            raise RuntimeError("this discriminator was built with unconditional=False")
        return self.unconditional_logit(features).flatten()

    def forward(self, image: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Conditional and unconditional logits, each B, from one pass over the picture."""
        features = self.features(image)
        return self.conditional(features, sentence), self.unconditional(features)


def create_discriminators(config: ModelConfig) -> Modules[AnyDiscriminator]:
    """The discriminators of ``config.system``, smallest picture first, built as the system's entry says."""
    entry = find_model(config.system)
    if entry.discriminators is not None:
        return entry.discriminators(config)
    text_dim = config.text_dim if entry.condition == "sentence" else config.condition_dim
    return Modules(
        Discriminator(
            size,
            config.discriminator_width,
            text_dim,
            entry.norm,
            entry.unconditional,
            entry.text_first,
            config.condition_dim if entry.compressed else None,
        )
        for size in picture_sizes(config)
    )
