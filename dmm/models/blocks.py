"""The building blocks that every multi-stage generator shares: GLU, up and residual blocks, conditioning augmentation, image head.

The published blocks (AttnGAN, DM-GAN, MirrorGAN, DMM-GAN) are kept to the number. Two of them are computed in a cheaper order, with the
same parameters and the same result up to rounding:

* nearest x2 followed by a 3x3 convolution touches each input pixel with only 4x4 different sums of weights, so it equals one transposed
  convolution with stride 2 and those 16 sums: 2.25 times fewer multiplications (:class:`UpConv`);
* a 3x3 convolution of ``concat(x, x)`` equals one of ``x`` with the two halves of the weight added (:class:`ResidualBlock`).

Wide 3x3 convolutions of large maps take Winograd's order on a CPU (:class:`~dmm.models.kernels.winograd.Conv3x3`).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmm.models.kernels.winograd import Conv3x3

FUSE_FROM = 8  # px; on a smaller map, building the 16 sums costs more than the multiplications they save
SHORT_RUNS = 128  # channels before a GLU; of more, a place's gates fill a CPU's vectors as they lie


class GLU(nn.Module):
    """Gated linear unit over the channels: first half times the sigmoid of the second half; halves the channels.

    ``F.glu`` only where no gradient is asked for: it is faster, but its gradient comes in contiguous order, and in a channels-last
    network makes the batch norm and convolution before it many times slower. There the gates of a place lie in short runs, whose
    sigmoids a CPU computes one by one; side by side they take a third of the time, the copy included, and are the same numbers in bf16.
    """

    def forward(self, x: Tensor) -> Tensor:
        """B 2C ... -> B C ..."""
        if not torch.is_grad_enabled():
            return F.glu(x, dim=1)
        value, gate = x.chunk(2, dim=1)
        if x.ndim == 4 and x.device.type == "cpu" and x.shape[1] <= SHORT_RUNS and x.is_contiguous(memory_format=torch.channels_last):
            gate = gate.contiguous(memory_format=torch.channels_last)
        return value * torch.sigmoid(gate)


def conv3x3(inputs: int, outputs: int) -> Conv3x3:
    """A 3x3 convolution that keeps the map's size; no bias, as in every published generator with batch norm."""
    return Conv3x3(inputs, outputs)


def enlarge(x: Tensor) -> Tensor:
    """Nearest-neighbour x2: B C H W -> B C 2H 2W."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


class UpConv(nn.Module):
    """Nearest-neighbour x2, then a 3x3 convolution.

    Args:
        inputs: channels in.
        outputs: channels out.
        fused: compute it as one transposed convolution (same result, fewer multiplications) on maps of 8x8 and more.
        bias: add a number for each channel; weight and bias then start as those of ``nn.Conv2d``.
    """

    bias: nn.Parameter | None
    sums: Tensor

    def __init__(self, inputs: int, outputs: int, fused: bool = True, bias: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.register_parameter("bias", nn.Parameter(torch.empty(outputs)) if bias else None)
        if self.bias is not None:
            nn.init.kaiming_uniform_(self.weight, a=5**0.5)
            nn.init.uniform_(self.bias, -((9 * inputs) ** -0.5), (9 * inputs) ** -0.5)
        else:
            nn.init.orthogonal_(self.weight)
        self.fused = fused
        taps = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], np.float32)  # offset t of 4 sums these of the 3 taps
        sums = np.kron(taps, taps).T.tolist()  # by numpy: on the device "meta", PyTorch would import its compiler to multiply
        self.register_buffer("sums", torch.tensor(sums), persistent=False)  # 9 16

    def fuses(self, x: Tensor) -> bool:
        """Would a map ``x``, B C H W, pass the transposed convolution, which never sees it enlarged?"""
        return self.fused and x.shape[-1] >= FUSE_FROM

    def forward(self, x: Tensor, enlarged: bool = False) -> Tensor:
        """B C H W -> B outputs 2H 2W; ``enlarged``: ``x`` is B C 2H 2W already."""
        if enlarged or not self.fuses(x):
            return F.conv2d(x if enlarged else enlarge(x), self.weight, self.bias, padding=1)
        kernel = (self.weight.flatten(2) @ self.sums).unflatten(2, (4, 4))  # outputs inputs 4 4
        return F.conv_transpose2d(x, kernel.transpose(0, 1), self.bias, stride=2, padding=1)


class UpBlock(nn.Module):
    """Nearest x2, 3x3 convolution to twice the channels, batch norm, GLU."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = UpConv(inputs, 2 * outputs)
        self.norm = nn.BatchNorm2d(2 * outputs)
        self.glu = GLU()

    def forward(self, x: Tensor) -> Tensor:
        """B inputs H W -> B outputs 2H 2W."""
        return self.glu(self.norm(self.conv(x)))


class ResidualBlock(nn.Module):
    """Convolution to twice the channels, batch norm, GLU, convolution, batch norm, plus the input; no activation after the sum."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = conv3x3(channels, 2 * channels)
        self.norm1 = nn.BatchNorm2d(2 * channels)
        self.glu = GLU()
        self.conv2 = conv3x3(channels, channels)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, doubled: bool = False) -> Tensor:
        """B C H W -> B C H W; with ``doubled``, ``x`` has C/2 channels and stands for concat(x, x)."""
        if doubled:
            first, second = self.conv1.weight.chunk(2, dim=1)
            hidden = self.conv1.of(x, first + second)
            x = torch.cat((x, x), dim=1)
        else:
            hidden = self.conv1(x)
        return x + self.norm2(self.conv2(self.glu(self.norm1(hidden))))


class ResidualBlocks(nn.ModuleList):
    """Residual blocks, one after another.

    Args:
        channels: of the map.
        count: how many, R_NUM.
    """

    def __init__(self, channels: int, count: int):
        super().__init__(ResidualBlock(channels) for _ in range(count))

    def forward(self, x: Tensor, doubled: bool = False) -> Tensor:
        """B C H W -> B C H W; with ``doubled``, ``x`` has C/2 channels and stands for concat(x, x)."""
        if doubled and not len(self):
            return torch.cat((x, x), dim=1)
        for number, block in enumerate(self):
            x = block(x, doubled=True) if doubled and number == 0 else block(x)
        return x


class TextCompression(nn.Module):
    """The sentence as few numbers, in GAN-INT-CLS and in its and StackGAN's discriminators: a linear layer and LeakyReLU 0.2."""

    def __init__(self, text_dim: int, condition_dim: int):
        super().__init__()
        self.linear = nn.Linear(text_dim, condition_dim)

    def forward(self, sentence: Tensor) -> Tensor:
        """B D -> B K."""
        return F.leaky_relu(self.linear(sentence), 0.2)


class ConditioningAugmentation(nn.Module):
    """A Gaussian around the sentence: code = mean + eps * exp(logvar / 2) (StackGAN++).

    Args:
        text_dim: numbers in the sentence feature.
        condition_dim: numbers in the conditioning code.
    """

    def __init__(self, text_dim: int, condition_dim: int):
        super().__init__()
        self.linear = nn.Linear(text_dim, 4 * condition_dim)
        self.glu = GLU()

    def forward(self, sentence: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sentence B D and noise eps B K -> code, mean, logvar, each B K."""
        mean, logvar = self.glu(self.linear(sentence)).chunk(2, dim=1)
        return mean + eps * torch.exp(0.5 * logvar), mean, logvar


class Joint(nn.Module):
    """The code at every place, before the map's channels; 3x3 convolution, batch norm, GLU, back to the map's width."""

    def __init__(self, condition_dim: int, width: int):
        super().__init__()
        self.conv = conv3x3(condition_dim + width, 2 * width)
        self.norm = nn.BatchNorm2d(2 * width)
        self.glu = GLU()

    def forward(self, code: Tensor, features: Tensor) -> Tensor:
        """Code B K, map B C H W -> B C H W."""
        code = code[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return self.glu(self.norm(self.conv(torch.cat((code, features), dim=1))))


class InitialStage(nn.Module):
    """Code and noise to the first feature map: linear to 16C x 4 x 4, then four up blocks to C x 64 x 64.

    Args:
        condition_dim: numbers in the conditioning code.
        noise_dim: numbers in z.
        width: channels C of the 64x64 map.
    """

    def __init__(self, condition_dim: int, noise_dim: int, width: int):
        super().__init__()
        self.width = width
        self.linear = nn.Linear(condition_dim + noise_dim, 16 * width * 4 * 4 * 2, bias=False)
        self.norm = nn.BatchNorm1d(16 * width * 4 * 4 * 2)
        self.glu = GLU()
        self.ups = nn.Sequential(*(UpBlock(2 * c * width, c * width) for c in (8, 4, 2, 1)))

    def forward(self, code: Tensor, noise: Tensor) -> Tensor:
        """B K, B Z -> B C 64 64."""
        seed = self.glu(self.norm(self.linear(torch.cat((code, noise), dim=1))))
        return self.ups(seed.view(-1, 16 * self.width, 4, 4))


class ImageHead(nn.Module):
    """3x3 convolution without bias and tanh: a feature map to a picture."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = conv3x3(channels, 3)

    def forward(self, hidden: Tensor) -> Tensor:
        """B C S S -> B 3 S S in [-1, 1]."""
        return torch.tanh(self.conv(hidden))


def initialise(network: nn.Module) -> None:
    """The published initialisation: orthogonal weights, zero linear bias, batch-norm scale N(1, 0.02)."""
    for module in network.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear, UpConv)):
            nn.init.orthogonal_(module.weight)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)
