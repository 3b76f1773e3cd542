"""GAN-INT-CLS (Reed et al., "Generative Adversarial Text to Image Synthesis", ICML 2016): the first GAN that draws a caption's bird.

A DCGAN whose generator and discriminator both read the sentence, each through a linear layer of its own that compresses it; one picture,
of 64 px. Built from the paper's description; no published weights were compared.

* CLS, the matching-aware discriminator (Algorithm 1): real pictures with their sentence against real pictures with another one and
  generated pictures, :func:`dmm.losses.adversarial.conditional_loss`. It is shared with StackGAN (:mod:`dmm.models.discriminators`).
* INT, the interpolation of sentences: the generator also answers for the sentence halfway between two (``train.interpolation``).

What the paper leaves open: the stack starts at 16 times the last map's channels, and the picture is a 3x3 convolution of the map at 64 px.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.models.blocks import ImageHead, TextCompression, initialise
from dmm.models.registry import register_model
from dmm.trace import StageTrace, Trace


class Deconvolution(nn.Module):
    """A transposed 4x4 convolution that doubles the map's side, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """B inputs H W -> B outputs 2H 2W."""
        return torch.relu(self.norm(self.conv(x)))


class DeconvolutionStack(nn.Module):
    """Compressed sentence and z to a map: linear to 16C x 4 x 4, batch norm, ReLU, then four deconvolutions to C x 64 x 64.

    Args:
        inputs: numbers in the compressed sentence and z.
        width: channels C of the 64x64 map.
    """

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.width = width
        self.linear = nn.Linear(inputs, 16 * width * 4 * 4, bias=False)
        self.norm = nn.BatchNorm1d(16 * width * 4 * 4)
        self.deconvolutions = nn.Sequential(*(Deconvolution(2 * c * width, c * width) for c in (8, 4, 2, 1)))

    def forward(self, compressed: Tensor, noise: Tensor) -> Tensor:
        """B K, B Z -> B C 64 64."""
        seed = torch.relu(self.norm(self.linear(torch.cat((compressed, noise), dim=1))))
        return self.deconvolutions(seed.view(-1, 16 * self.width, 4, 4))


class GANINTCLS(nn.Module):
    """The GAN-INT-CLS generator: one picture of 64 px.

    Args:
        text_dim: numbers in the sentence feature; published: a char-CNN-RNN vector of 1024.
        condition_dim: numbers that the sentence is compressed to; published: 128.
        noise_dim: numbers in z; published: 100.
        width: channels of the map at 64 px.
    """

    def __init__(self, text_dim: int = 1024, condition_dim: int = 128, noise_dim: int = 100, width: int = 64):
        super().__init__()
        self.text_dim, self.condition_dim, self.noise_dim = text_dim, condition_dim, noise_dim
        self.compression = TextCompression(text_dim, condition_dim)
        self.stack = DeconvolutionStack(condition_dim + noise_dim, width)
        self.head = ImageHead(width)
        initialise(self)

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
            noise: B Z standard normal.
            eps: not read: there is no conditioning augmentation.
            stages: not read: there is one stage.

        Returns:
            A trace with one stage: the picture and the last map.
        """
        hidden = self.stack(self.compression(sentence), noise)
        return Trace(stages=[StageTrace(image=self.head(hidden), hidden=hidden)], mask=mask)


@register_model(
    "gan-int-cls",
    paper="Reed et al., GAN-INT-CLS, ICML 2016",
    adds="to a DCGAN, the sentence in both networks, mismatching pairs for the discriminator, and sentences between two for the generator",
    norm="batch",
    losses=("adversarial", "interpolation"),
    damsm_encoders=False,
    objective="conditional",
    unconditional=False,
    compressed=True,
    sizes=(64,),
)
def gan_int_cls(config: ModelConfig) -> GANINTCLS:
    """GAN-INT-CLS as a config describes it; of the widths it reads the first, that of the map at 64 px."""
    return GANINTCLS(config.text_dim, config.condition_dim, config.noise_dim, config.widths[0])
