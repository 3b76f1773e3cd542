"""Region and picture features for the matching losses (DAMSM) and for STREAM: a small encoder, and the choice between encoders.

Every image encoder is called with pictures and returns (regions B D H W or None, embedding B D). The published systems take them from
Inception-v3 (:mod:`dmm.models.inception`) and ResNet-152 (:mod:`dmm.models.resnet`). The small encoder is a residual
network trained from scratch. It reads 64 px and keeps track of *where* things are: its 8x8 regions carry a learned position, and the
embedding of the whole picture is a linear map of a 4x4 grid of features rather than of their average, since in nearly aligned pictures the
place of a colour says which part has it.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.errors import InputError
from dmm.models.inception import InceptionEncoder
from dmm.models.resnet import ResNetEncoder

SIDE = 8  # regions a side


def resize(images: Tensor, size: int) -> Tensor:
    """B C S S -> B C size size: area average when shrinking by a whole factor, antialiased bilinear otherwise."""
    side = images.shape[-1]
    if side == size:
        return images
    if side > size and side % size == 0:
        return F.avg_pool2d(images, side // size)
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=side > size)


class PlainResidual(nn.Module):
    """Two 3x3 convolutions with batch norm and ReLU, plus a shortcut (1x1 where size or channels change)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(nn.AvgPool2d(stride), nn.Conv2d(inputs, outputs, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """B inputs H W -> B outputs H/stride W/stride."""
        hidden = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(hidden)) + self.shortcut(x))


class SmallImageEncoder(nn.Module):
    """A residual network to 8x8 regions and one embedding; about 70 million multiplications a picture at width 32 and 64 px.

    Args:
        width: channels after the stem; the trunk ends in 4 times as many.
        text_dim: channels of regions and embedding, those of the word features.
        input_size: side to which pictures are resized, 32, 64 or 128 px.

    Raises:
        ValueError: another input size.
    """

    def __init__(self, width: int = 32, text_dim: int = 256, input_size: int = 64):
        super().__init__()
        if input_size not in (32, 64, 128):
            raise InputError(f"input_size must be 32, 64 or 128 px, not {input_size}")
        self.input_size, self.text_dim = input_size, text_dim
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, 1 if input_size == 32 else 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.trunk = nn.Sequential(
            PlainResidual(width, width, 2 if input_size == 128 else 1),
            PlainResidual(width, 2 * width, 2),
            PlainResidual(2 * width, 4 * width, 2),
            PlainResidual(4 * width, 4 * width),
        )
        self.positions = nn.Parameter(torch.randn(1, 4 * width, SIDE, SIDE).mul_(0.1))
        self.regions = nn.Conv2d(4 * width, text_dim, 1)
        self.code = nn.Linear(4 * width * 4 * 4, text_dim)

    def features(self, image: Tensor) -> Tensor:
        """Pictures B 3 S S in [-1, 1], any S -> the trunk's map, B 4width 8 8."""
        return self.trunk(self.stem(resize(image, self.input_size)))

    def summary(self, features: Tensor) -> Tensor:
        """The trunk's map -> the 4x4 grid that the embedding is a linear map of, B 64width."""
        return F.avg_pool2d(features, 2).flatten(1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures B 3 S S in [-1, 1], any S -> regions B D 8 8, embedding B D."""
        features = self.features(image)
        return self.regions(features + self.positions), self.code(self.summary(features))


CaptionEncoder: TypeAlias = SmallImageEncoder | ResNetEncoder


def create_image_encoder(config: ModelConfig) -> SmallImageEncoder | InceptionEncoder:
    """The matching (DAMSM) encoder of ``config.image_encoder``, freshly initialised.

    Raises:
        ValueError: no such encoder.
    """
    if config.image_encoder == "inception":
        return InceptionEncoder(config.text_dim, config.image_align_corners)
    if config.image_encoder == "small":
        return SmallImageEncoder(config.encoder_width, config.text_dim, config.encoder_size)
    raise InputError(f"image_encoder must be 'small' or 'inception', not {config.image_encoder!r}")


def create_caption_encoder(config: ModelConfig) -> CaptionEncoder:
    """The STREAM encoder of ``config.caption_encoder``, whose embedding has ``config.caption_embedding`` dimensions, freshly initialised.

    Raises:
        ValueError: no such encoder.
    """
    if config.caption_encoder == "resnet":
        return ResNetEncoder(config.caption_embedding, config.caption_align_corners)
    if config.caption_encoder == "small":
        return SmallImageEncoder(config.encoder_width, config.caption_embedding, config.encoder_size)
    raise InputError(f"caption_encoder must be 'small' or 'resnet', not {config.caption_encoder!r}")
