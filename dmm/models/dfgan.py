"""DF-GAN: one stage, and text in every block of it (Tao et al., CVPR 2022).

No words, no attention, no chain of generators: noise becomes a 4x4 map, and blocks double it until it is the picture. What the sentence has
to say it says in each block, twice, through *deep text-image fusion* : conditional affine layers, each of which scales and
shifts the channels by numbers that two small networks read from the condition, with an activation after each,

    Affine(x_i | e) = scale_i(e) * x_i + shift_i(e).

The discriminator is one-way and target-aware: it has no opinion on pictures alone, only on pictures with a sentence, and its
matching-aware gradient penalty (:mod:`dmm.losses.magp`) makes real, matching pairs the points where it is flattest.

The condition is concat(noise, sentence) as in the published code; the paper's equations write the sentence alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.errors import InputError
from dmm.models.blocks import UpConv, enlarge
from dmm.models.kernels.winograd import Conv3x3
from dmm.models.modules import AnyDiscriminator, Modules
from dmm.models.registry import register_model
from dmm.trace import StageTrace, Trace

SLOPE = 0.2  # of LeakyReLU, everywhere


def leaky(x: Tensor) -> Tensor:
    """LeakyReLU 0.2."""
    return F.leaky_relu(x, SLOPE)


def map_widths(width: int, size: int) -> tuple[int, ...]:
    """Published channels of the generator's maps, from 4 px up to ``size``: ``width`` at the end, twice as many before, 8 times at most.

    Raises:
        ValueError: ``size`` is no power of two of at least 8 px.
    """
    if size < 8 or size & (size - 1):
        raise InputError(f"size must be a power of two of at least 8 px, not {size}")
    return tuple(width * min(2**level, 8) for level in reversed(range(size.bit_length() - 2)))


class Branch(nn.Module):
    """One number a channel from the condition: linear, ReLU, linear. It starts as the constant ``start`` (1 for scales, 0 for shifts).

    Args:
        condition_dim: numbers in the condition.
        channels: numbers out.
        start: what it says before training.
    """

    def __init__(self, condition_dim: int, channels: int, start: float):
        super().__init__()
        self.linear1 = nn.Linear(condition_dim, channels)
        self.linear2 = nn.Linear(channels, channels)
        nn.init.zeros_(self.linear2.weight)
        nn.init.constant_(self.linear2.bias, start)

    def forward(self, condition: Tensor) -> Tensor:
        """B K -> B C."""
        return self.linear2(torch.relu(self.linear1(condition)))


class AffineParameters(nn.Module):
    """What one conditional affine layer reads from the condition: a scale and a shift for each channel."""

    def __init__(self, condition_dim: int, channels: int):
        super().__init__()
        self.scale = Branch(condition_dim, channels, start=1.0)
        self.shift = Branch(condition_dim, channels, start=0.0)

    def forward(self, condition: Tensor) -> Tensor:
        """B K -> B 2 C, scale first."""
        return torch.stack((self.scale(condition), self.shift(condition)), dim=1)


class ConditionalAffine(nn.Module):
    """Scale and shift the channels of a map as the condition says.

    Args:
        condition_dim: numbers in the condition.
        channels: channels of the map.
    """

    def __init__(self, condition_dim: int, channels: int):
        super().__init__()
        self.parameters_of = AffineParameters(condition_dim, channels)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map B C H W, condition B K -> map B C H W and the numbers it was changed by, B 2 C."""
        affine = self.parameters_of(condition)
        scale, shift = affine[..., None, None].unbind(1)  # B C 1 1
        return scale * x + shift, affine


class Fusion(nn.Module):
    """Deep text-image fusion: conditional affine layers, LeakyReLU after each. Arguments as :class:`ConditionalAffine`'s."""

    def __init__(self, condition_dim: int, channels: int, depth: int = 2):
        super().__init__()
        self.affines = nn.ModuleList(ConditionalAffine(condition_dim, channels) for _ in range(depth))

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Map B C H W, condition B K -> map B C H W and each layer's B 2 C."""
        read = []
        for layer in self.affines:
            x, affine = layer(x, condition)
            x = leaky(x)
            read.append(affine)
        return x, read


class UpFusionBlock(nn.Module):
    """Nearest x2, then (fusion, 3x3 convolution) twice, plus a shortcut: 1x1 where the channels change, none otherwise.

    The first fusion and the shortcut treat each place alone, so that they come before the enlarging, on a quarter of the places, wherever
    the first convolution enlarges the map itself (:class:`~dmm.models.blocks.UpConv`).

    Args:
        condition_dim: numbers in the condition.
        inputs: channels in.
        outputs: channels out.
    """

    def __init__(self, condition_dim: int, inputs: int, outputs: int):
        super().__init__()
        self.fusion1 = Fusion(condition_dim, inputs)
        self.conv1 = UpConv(inputs, outputs, bias=True)
        self.fusion2 = Fusion(condition_dim, outputs)
        self.conv2 = Conv3x3(outputs, outputs, bias=True)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, list[Tensor]]:
        """B inputs H W -> B outputs 2H 2W, and the four affine layers' numbers, B 2 inputs (2x) and B 2 outputs (2x)."""
        late = self.conv1.fuses(x)
        x = x if late else enlarge(x)
        hidden, first = self.fusion1(x, condition)
        hidden, second = self.fusion2(self.conv1(hidden, enlarged=not late), condition)
        shortcut = self.shortcut(x)
        return (enlarge(shortcut) if late else shortcut) + self.conv2(hidden), first + second


class DFGAN(nn.Module):
    """The DF-GAN generator: one picture of 4 * 2**(len(widths) - 1) px.

    Args:
        text_dim: numbers in the sentence feature.
        noise_dim: numbers in z.
        widths: channels of the maps at 4, 8, 16, ... px; published for 256 px: 8, 8, 8, 8, 4, 2, 1 times 32 (:func:`map_widths`).

    Raises:
        ValueError: fewer than two widths, which leave no block.
    """

    def __init__(self, text_dim: int = 256, noise_dim: int = 100, widths: Sequence[int] = map_widths(32, 256)):
        super().__init__()
        if len(widths) < 2:
            raise InputError(f"DF-GAN needs the widths of at least two maps (4 and 8 px), found {tuple(widths)}")
        self.text_dim, self.noise_dim = text_dim, noise_dim
        self.linear = nn.Linear(noise_dim, widths[0] * 4 * 4)
        self.blocks: Modules[UpFusionBlock] = Modules(
            UpFusionBlock(noise_dim + text_dim, a, b) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.head = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(
        self,
        sentence: Tensor,
        words: Tensor | None,
        mask: Tensor | None,
        noise: Tensor,
        eps: Tensor | None = None,
        stages: int | None = None,
    ) -> Trace:
        """Generate pictures.

        Args:
            sentence: B D sentence features.
            words: not read; here, as ``eps``, so that every generator is called alike.
            mask: B T, true = this position is not a word; not read, kept in the trace.
            noise: B Z; see ``ModelConfig.noise_truncation`` for what the published code samples with.
            eps: not read: there is no conditioning augmentation.
            stages: not read: there is one stage.

        Returns:
            A trace with one stage: the picture, the last map, and four ``affines`` a block.
        """
        condition = torch.cat((noise, sentence), dim=1)
        hidden = self.linear(noise).unflatten(1, (-1, 4, 4))
        affines: list[Tensor] = []
        for block in self.blocks:
            hidden, read = block(hidden, condition)
            affines += read
        image = torch.tanh(self.head(leaky(hidden)))
        return Trace(stages=[StageTrace(image=image, hidden=hidden, affines=affines)], mask=mask)


class DownBlock(nn.Module):
    """Halve the map: convolution 4x4 stride 2 and 3x3, both bias-free with LeakyReLU, times a learned weight, plus an averaged shortcut.

    The weight ``gamma`` is one number and starts at 0: at first a block is its shortcut. The average and a 1x1 convolution
    commute; with ``average_first`` the convolution sees a quarter of the places.
    """

    average_first = True

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """B inputs H W -> B outputs H/2 W/2."""
        residual = leaky(self.conv2(leaky(self.conv1(x))))
        shortcut = self.shortcut(F.avg_pool2d(x, 2)) if self.average_first else F.avg_pool2d(self.shortcut(x), 2)
        return shortcut + self.gamma * residual


class Trunk(nn.Module):
    """Features of a picture: a 3x3 convolution, then blocks that halve the map down to 4x4. Arguments as the discriminator's."""

    def __init__(self, size: int, width: int):
        super().__init__()
        widths = map_widths(width, size)[::-1]
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(DownBlock(a, b) for a, b in zip(widths, widths[1:], strict=False)))
        self.channels = widths[-1]

    def forward(self, image: Tensor) -> Tensor:
        """B 3 S S -> B 8width 4 4."""
        return self.blocks(self.conv(image))


class JointHead(nn.Module):
    """One number for features with a sentence: 3x3 convolution of concat(features, sentence), LeakyReLU, 4x4 convolution; no biases."""

    def __init__(self, channels: int, text_dim: int, width: int):
        super().__init__()
        self.joint = nn.Conv2d(channels + text_dim, 2 * width, 3, padding=1, bias=False)
        self.logit = nn.Conv2d(2 * width, 1, 4, bias=False)

    def forward(self, features: Tensor, sentence: Tensor) -> Tensor:
        """Features B C 4 4, sentence B D -> B."""
        sentence = sentence[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return self.logit(leaky(self.joint(torch.cat((features, sentence), dim=1)))).flatten()


class TargetAwareDiscriminator(AnyDiscriminator):
    """The one-way discriminator: is this a real picture *of this sentence*? There is no output without a sentence.

    Args:
        size: side of the picture, a power of two, px.
        width: channels after the first convolution, published 32.
        text_dim: numbers in the sentence feature.
    """

    def __init__(self, size: int = 256, width: int = 32, text_dim: int = 256):
        super().__init__()
        self.size = size
        self.trunk = trunk = Trunk(size, width)
        self.head = JointHead(trunk.channels, text_dim, width)

    def features(self, image: Tensor) -> Tensor:
        """B 3 S S in [-1, 1] -> B 8width 4 4."""
        return self.trunk(image)

    def conditional(self, features: Tensor, sentence: Tensor) -> Tensor:
        """Features B 8width 4 4, sentence B D -> raw outputs B, for the hinge loss."""
        return self.head(features, sentence)

    def forward(self, image: Tensor, sentence: Tensor) -> Tensor:
        """B 3 S S, B D -> B."""
        return self.conditional(self.features(image), sentence)


def config_widths(widths: Sequence[int]) -> tuple[int, ...]:
    """Channels of all maps from 4 px up, from those at 64, 128 and 256 px: below 64 px each doubles the next, up to 8 times the last.

    Published: (128, 64, 32) -> 256, 256, 256, 256, 128, 64, 32.
    """
    widths = tuple(widths)
    for _ in (32, 16, 8, 4):
        widths = (min(2 * widths[0], max(8 * widths[-1], widths[0])), *widths)
    return widths


def one_way_discriminators(config: ModelConfig) -> Modules[AnyDiscriminator]:
    """The one discriminator, for the picture that ``config.widths`` ends in."""
    size = 4 * 2 ** (len(config_widths(config.widths)) - 1)
    return Modules([TargetAwareDiscriminator(size, config.discriminator_width, config.text_dim)])


@register_model(
    "dfgan",
    paper="Tao et al., DF-GAN, CVPR 2022",
    adds="one stage with text fusion in every block; a one-way discriminator with a matching-aware gradient penalty",
    reference="DF-GAN, commit 78f14fd7",
    norm="none",
    losses=("hinge", "magp"),
    objective="one way",
    unconditional=False,
    discriminated="last",
    discriminators=one_way_discriminators,
    discriminator_halves=True,
    image_align_corners=False,
)
def dfgan(config: ModelConfig) -> DFGAN:
    """DF-GAN as a config describes it: ``widths`` at 64, 128 and 256 px, fewer of them for a smaller picture."""
    return DFGAN(config.text_dim, config.noise_dim, config_widths(config.widths))
