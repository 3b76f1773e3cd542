"""The caption encoder of MirrorGAN and DMM-GAN (STREAM): ResNet-152, then a linear layer and a batch norm.

ResNet (He et al., CVPR 2016, Table 1): a 7x7 convolution, then four rows of bottleneck blocks, each row but the first at half the size of
the one before. The stride sits on a block's 3x3 convolution. As published: pictures enter in [-1, 1] without ImageNet's mean and
deviation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT = 224  # px
DEPTHS = (3, 8, 36, 3)  # blocks a row in ResNet-152


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution, each with batch norm, plus a shortcut (1x1 where size or channels change); 4 times ``width`` out.

    Args:
        inputs: channels in.
        width: channels between.
        stride: of the 3x3 convolution and the shortcut.
    """

    def __init__(self, inputs: int, width: int, stride: int = 1):
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(outputs)
        if stride == 1 and inputs == outputs:
            self.shortcut: nn.Module = nn.Identity()
        else:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """B inputs H W -> B 4width H/stride W/stride."""
        hidden = torch.relu(self.norm1(self.conv1(x)))
        hidden = torch.relu(self.norm2(self.conv2(hidden)))
        return torch.relu(self.norm3(self.conv3(hidden)) + self.shortcut(x))


class ResNetEncoder(nn.Module):
    """The embedding of pictures for a caption decoder, from ResNet-152.

    The trunk is made without gradients and with random numbers: as published, only the last two layers are trained, and a run fills the
    trunk with ImageNet weights first (:mod:`dmm.convert.trunks`).

    Args:
        embedding: its length, that of a word embedding of the decoder.
        align_corners: how pictures are resized to 224 px. The published code leaves it to PyTorch: True up to 0.3, False since 0.4.
        width: channels of the first layer, published 64; the others follow.
        depths: blocks in each of the four rows.
    """

    def __init__(self, embedding: int = 256, align_corners: bool = False, width: int = 64, depths: Sequence[int] = DEPTHS):
        super().__init__()
        self.align_corners = align_corners
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        inputs, rows = width, []
        for row, depth in enumerate(depths):
            blocks = []
            for block in range(depth):
                blocks.append(Bottleneck(inputs, width << row, 2 if row and not block else 1))
                inputs = 4 * width << row
            rows.append(nn.Sequential(*blocks))
        self.rows = nn.Sequential(*rows)
        self.requires_grad_(False)
        self.linear = nn.Linear(inputs, embedding)
        self.norm = nn.BatchNorm1d(embedding, momentum=0.01)

    def features(self, image: Tensor) -> Tensor:
        """Pictures B 3 S S in [-1, 1], any S -> the last map, B 32width 7 7."""
        image = F.interpolate(image, size=(INPUT, INPUT), mode="bilinear", align_corners=self.align_corners)
        return self.rows(self.stem(image))

    def summary(self, features: Tensor) -> Tensor:
        """The last map -> its average, B 32width."""
        return features.mean((2, 3))

    def code(self, summary: Tensor) -> Tensor:
        """The average B 32width -> the embedding B E; named as in checkpoints."""
        return self.norm(self.linear(summary))

    def forward(self, image: Tensor) -> tuple[None, Tensor]:
        """Pictures B 3 S S in [-1, 1], any S -> no regions (None), embedding B E."""
        return None, self.code(self.summary(self.features(image)))
