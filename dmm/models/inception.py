"""Inception-v3, twice: the matching (DAMSM) image encoder of the published systems (AttnGAN, Section 3.2), and the network of the FID.

Inception-v3 (Szegedy et al., CVPR 2016, Fig. 10 and Table 1) is a chain of *mixed* blocks, each a few chains of convolutions side by side
whose outputs are concatenated. The regions are read from the last 17x17 map and the embedding of the whole picture from the end, after an
8x8 average. As published: pictures enter in [-1, 1] without ImageNet's mean and deviation, and there is neither dropout nor an auxiliary
classifier.

The network that Fréchet distances are measured with in the literature (:class:`FIDInception`) differs in the pooling of its mixed blocks:
the frame of zeros does not count in their averages, and the last block has a maximum in the place of the average.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmm.errors import InputError

INPUT = 299  # px
WIDTH = 32  # published channels of the first layer, which all other counts below are relative to


class ConvUnit(nn.Module):
    """Convolution without bias, batch norm (eps 1e-3), ReLU; padded to keep the map's size unless ``padding`` says otherwise.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: side, or height and width, in pixels.
        stride: in pixels.
        padding: in pixels; by default what keeps the size at stride 1, and none at stride 2.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | tuple[int, int] | None = None
    ):
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        if padding is None:
            padding = (height // 2, width // 2) if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, (height, width), stride, padding, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """B inputs H W -> B outputs H/stride W/stride."""
        return F.relu(self.norm(self.conv(x)), inplace=True)


class Mixed(nn.Module):
    """Branches side by side, their outputs concatenated."""

    def __init__(self, branches: Sequence[nn.Module]):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """B C H W -> B (sum of the branches' channels) H' W'."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


Pool = Callable[[], nn.Module]  # makes the 3x3 pooling of a mixed block, which keeps the map's size


def average() -> nn.Module:
    """The mean of nine places; the frame of zeros around the map counts."""
    return nn.AvgPool2d(3, 1, 1)


def average_within() -> nn.Module:
    """The mean of those of nine places that lie in the map."""
    return nn.AvgPool2d(3, 1, 1, count_include_pad=False)


def maximum() -> nn.Module:
    """The largest of nine places."""
    return nn.MaxPool2d(3, 1, 1)


def chain(inputs: int, *layers: tuple, pool: Pool | None = None) -> nn.Sequential:
    """Units one after the other, each given as (outputs, kernel) or (outputs, kernel, stride), after a pooling if there is one."""
    units: list[nn.Module] = [pool()] if pool else []
    for outputs, *shape in layers:
        units.append(ConvUnit(inputs, outputs, *shape))
        inputs = outputs
    return nn.Sequential(*units)


def mixed35(inputs: int, pooled: int, w: int, pool: Pool = average) -> Mixed:
    """On the 35x35 map: 1x1; 5x5; two 3x3; pooling -> 224w + pooled channels (w in 32nds, as below)."""
    return Mixed(
        [
            chain(inputs, (2 * w, 1)),
            chain(inputs, (3 * w // 2, 1), (2 * w, 5)),
            chain(inputs, (2 * w, 1), (3 * w, 3), (3 * w, 3)),
            chain(inputs, (pooled, 1), pool=pool),
        ]
    )


def reduce35(inputs: int, w: int) -> Mixed:
    """35x35 -> 17x17."""
    return Mixed([chain(inputs, (12 * w, 3, 2)), chain(inputs, (2 * w, 1), (3 * w, 3), (3 * w, 3, 2)), nn.MaxPool2d(3, 2)])


def mixed17(inputs: int, inner: int, w: int, pool: Pool = average) -> Mixed:
    """On the 17x17 map: 1x1; 7x7 as 1x7 and 7x1; that twice; pooling -> 24w channels."""
    row, column, out = (1, 7), (7, 1), 6 * w
    return Mixed(
        [
            chain(inputs, (out, 1)),
            chain(inputs, (inner, 1), (inner, row), (out, column)),
            chain(inputs, (inner, 1), (inner, column), (inner, row), (inner, column), (out, row)),
            chain(inputs, (out, 1), pool=pool),
        ]
    )


def reduce17(inputs: int, w: int) -> Mixed:
    """17x17 -> 8x8."""
    around = chain(inputs, (6 * w, 1), (6 * w, (1, 7)), (6 * w, (7, 1)), (6 * w, 3, 2))
    return Mixed([chain(inputs, (6 * w, 1), (10 * w, 3, 2)), around, nn.MaxPool2d(3, 2)])


def mixed8(inputs: int, w: int, pool: Pool = average) -> Mixed:
    """On the 8x8 map: 1x1; 3x3 split into 1x3 beside 3x1; 3x3 and that split; pooling -> 64w channels."""
    wide = 12 * w

    def split() -> Mixed:
        return Mixed([ConvUnit(wide, wide, (1, 3)), ConvUnit(wide, wide, (3, 1))])

    return Mixed(
        [
            chain(inputs, (10 * w, 1)),
            chain(inputs, (wide, 1)).append(split()),
            chain(inputs, (14 * w, 1), (wide, 3)).append(split()),
            chain(inputs, (6 * w, 1), pool=pool),
        ]
    )


class Trunk(nn.Module):
    """Inception-v3 without classifiers, made without gradients and with random numbers.

    Args:
        width: channels of the first layer, published 32; the others follow.
        pool: pooling of the mixed blocks.
        last_pool: that of the last one.

    Raises:
        ValueError: an odd width.
    """

    def __init__(self, width: int = WIDTH, pool: Pool = average, last_pool: Pool = average):
        super().__init__()
        if width < 2 or width % 2:
            raise InputError(f"width must be even (there is a layer of 1.5 times as many channels), not {width}")
        w = width
        self.stem = nn.Sequential(  # 299 -> 35 px
            ConvUnit(3, w, 3, 2),
            ConvUnit(w, w, 3, padding=0),
            ConvUnit(w, 2 * w, 3),
            nn.MaxPool2d(3, 2),
            ConvUnit(2 * w, 5 * w // 2, 1),
            ConvUnit(5 * w // 2, 6 * w, 3, padding=0),
            nn.MaxPool2d(3, 2),
        )
        inner = (4 * w, 5 * w, 5 * w, 6 * w)
        self.early = nn.Sequential(  # 35 -> 17 px
            mixed35(6 * w, w, w, pool),
            mixed35(8 * w, 2 * w, w, pool),
            mixed35(9 * w, 2 * w, w, pool),
            reduce35(9 * w, w),
            *(mixed17(24 * w, channels, w, pool) for channels in inner),
        )
        self.late = nn.Sequential(reduce17(24 * w, w), mixed8(40 * w, w, pool), mixed8(64 * w, w, last_pool))  # 17 -> 8 px
        self.requires_grad_(False)

    def summary(self, features: Tensor) -> Tensor:
        """The 17x17 map -> the mean of the last 8x8 map, B 64width."""
        return self.late(features).mean((2, 3))


class FIDInception(Trunk):
    """The Inception-v3 of the FID: what it reads from pictures is compared by Fréchet distance, KID and Inception Score.

    Pictures are resized to 299 px, bilinearly, corners not aligned and not smoothed.

    Args:
        width: as of :class:`Trunk`.
        classes: of the classifier; published 1008.
    """

    def __init__(self, width: int = WIDTH, classes: int = 1008):
        super().__init__(width, average_within, maximum)
        self.classifier = nn.Linear(64 * width, classes).requires_grad_(False)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Pictures B 3 S S in [-1, 1], any S -> ``{"features": B 64width, "logits": B classes}``, logits without the bias."""
        image = F.interpolate(image, size=(INPUT, INPUT), mode="bilinear", align_corners=False)
        features = self.summary(self.early(self.stem(image)))
        return {"features": features, "logits": F.linear(features, self.classifier.weight)}


class InceptionEncoder(Trunk):
    """Regions and embedding of pictures, from Inception-v3.

    The trunk is made without gradients and with random numbers: as published, only the two heads are trained with the text, and a run
    fills the trunk with ImageNet weights first (:mod:`dmm.convert.trunks`).

    Args:
        text_dim: channels of regions and embedding, those of the word features.
        align_corners: how pictures are resized to 299 px: True as DM-GAN and DMM-GAN do, False as AttnGAN and MirrorGAN on PyTorch 0.4 and
            later and DF-GAN do.
        width: channels of the first layer, published 32; the others follow.

    Raises:
        ValueError: an odd width.
    """

    def __init__(self, text_dim: int = 256, align_corners: bool = True, width: int = WIDTH):
        super().__init__(width)
        self.text_dim, self.align_corners = text_dim, align_corners
        self.regions = nn.Conv2d(24 * width, text_dim, 1, bias=False)
        self.code = nn.Linear(64 * width, text_dim)

    def features(self, image: Tensor) -> Tensor:
        """Pictures B 3 S S in [-1, 1], any S -> the last 17x17 map, B 24width 17 17."""
        image = F.interpolate(image, size=(INPUT, INPUT), mode="bilinear", align_corners=self.align_corners)
        return self.early(self.stem(image))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures B 3 S S in [-1, 1], any S -> regions B D 17 17, embedding B D."""
        features = self.features(image)
        return self.regions(features), self.code(self.summary(features))
