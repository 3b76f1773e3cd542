"""The dynamic memory of DM-GAN (Zhu et al., CVPR 2019) and the global memory that DMM-GAN adds.

Words are written into slots (Eq. 3), each mixed with the whole picture by a gate (Eqs. 7, 8); every place of the picture asks all slots
(key addressing, Eq. 4), reads an answer (value reading, Eq. 5) and takes in as much of it as a second gate allows (Eq. 9). DMM-GAN writes
one more slot, from the conditioning code of the whole sentence, and the response gate then chooses among image, words and sentence.

Every quantity with a name in the papers is the output of one module here, so that a forward hook can read or replace it.

Published details kept: the average of the picture is detached from the graph; a ReLU follows every projection; the global slot is read over
channels, since it has no other slots to compete with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmm.errors import InputError


class Projection(nn.Module):
    """A linear map of every slot, with bias and ReLU (the published 1x1 convolution over slots)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.linear = nn.Conv1d(inputs, outputs, 1)

    def forward(self, slots: Tensor) -> Tensor:
        """B inputs T -> B outputs T, not negative."""
        return torch.relu(self.linear(slots))


class WritingGate(nn.Module):
    """How much of a word, against the picture so far, goes into its slot: sigmoid(A word + B average), Eq. 7."""

    def __init__(self, text_dim: int, width: int):
        super().__init__()
        self.text = nn.Linear(text_dim, 1, bias=False)
        self.image = nn.Linear(width, 1, bias=False)

    def forward(self, words: Tensor, average: Tensor) -> Tensor:
        """Words B D T, average B C -> B 1 T in (0, 1)."""
        return torch.sigmoid(self.text.weight @ words + self.image(average)[:, :, None])


class MemoryWriting(nn.Module):
    """gate * text + (1 - gate) * features, Eq. 8."""

    def forward(self, gate: Tensor, text: Tensor, features: Tensor) -> Tensor:
        """Gate B 1 T, projected text B M T, projected features B M 1 -> slots B M T."""
        return gate * text + (1 - gate) * features


class KeyAddressing(nn.Module):
    """How much every place of the picture asks each slot: softmax over the T slots of key . features, Eq. 4.

    Args:
        mask_pairing: "right", every sample is masked by its own mask; "published", the published code's tiling, in which sample b at
            position q is masked with the mask of sample (b * Q + q) mod B (right only for B = 1).

    Raises:
        ValueError: another ``mask_pairing``.
    """

    def __init__(self, mask_pairing: str = "right"):
        super().__init__()
        if mask_pairing not in ("right", "published"):
            raise InputError(f"mask_pairing must be 'right' or 'published', not {mask_pairing!r}")
        self.mask_pairing = mask_pairing

    def forward(self, features: Tensor, key: Tensor, mask: Tensor) -> Tensor:
        """Features B C H W, key B C T, mask B T (true = not a word; at least one word a row) -> B T H W."""
        logits = key.transpose(1, 2) @ features.flatten(2)  # B T Q
        logits = logits.masked_fill(self.pair(mask, logits.shape[2]), float("-inf"))
        return logits.softmax(dim=1).unflatten(2, features.shape[2:])

    def pair(self, mask: Tensor, places: int) -> Tensor:
        """Mask B T -> the mask at each of Q places, B T 1 or B T Q."""
        if self.mask_pairing == "right":
            return mask[:, :, None]
        return mask[paired_sample(len(mask), places, mask.device)].transpose(1, 2)


def paired_sample(batch: int, places: int, device=None) -> Tensor:
    """Whose mask the published code lays on sample b at place q: (b * Q + q) mod B, shape B Q."""
    return (torch.arange(batch * places, device=device) % batch).view(batch, places)


class ValueReading(nn.Module):
    """The answer at every place: the values weighted by the addressing, Eq. 5."""

    def forward(self, addressing: Tensor, value: Tensor) -> Tensor:
        """Addressing B T H W, value B C T -> B C H W."""
        answer = addressing.flatten(2).transpose(1, 2) @ value.transpose(1, 2)  # B Q C, the order of a channels-last map
        return answer.transpose(1, 2).unflatten(2, addressing.shape[2:])


def softmax_over_channels(maps: Tensor) -> Tensor:
    """Softmax of B C H W over C, in the memory order of ``maps``: PyTorch's own would leave channels-last, and slow what follows."""
    if maps.is_contiguous(memory_format=torch.channels_last):
        return maps.permute(0, 2, 3, 1).softmax(3).permute(0, 3, 1, 2)
    return maps.softmax(1)


class GlobalAddressing(nn.Module):
    """Which channels the single global slot speaks to: softmax over the channels of key * features, at every place."""

    def forward(self, features: Tensor, key: Tensor) -> Tensor:
        """Features B C H W, key B C 1 -> B C H W."""
        return softmax_over_channels(features * key[:, :, :, None])


class GlobalReading(nn.Module):
    """The global slot's answer: weights * value."""

    def forward(self, weights: Tensor, value: Tensor) -> Tensor:
        """Weights B C H W, value B C 1 -> B C H W."""
        return weights * value[:, :, :, None]


class ResponseGate(nn.Module):
    """How much of each answer a place takes in, Eq. 9; with two answers a softmax over (image, words, global).

    Args:
        width: channels C of the picture's features.
        answers: 1 (DM-GAN: a sigmoid gate) or 2 (DMM-GAN: a three-way softmax).
    """

    def __init__(self, width: int, answers: int):
        super().__init__()
        self.conv = nn.Conv2d((1 + answers) * width, 1 if answers == 1 else 1 + answers, 1)

    def forward(self, features: Tensor, *answers: Tensor) -> Tensor:
        """Features and answers, each B C H W -> B 1 H W in (0, 1), or B 3 H W that sum to one."""
        logits = self.conv(torch.cat((features, *answers), dim=1))
        return torch.sigmoid(logits) if len(answers) == 1 else softmax_over_channels(logits)


class Response(nn.Module):
    """The picture's features with the answers taken in, Eq. 9: a weighted sum by the response gate."""

    def forward(self, gate: Tensor, features: Tensor, *answers: Tensor) -> Tensor:
        """Gate B 1 H W or B 3 H W; features and answers B C H W -> B C H W."""
        if len(answers) == 1:
            return torch.lerp(features, answers[0], gate)
        return sum(weight * part for weight, part in zip(gate.split(1, dim=1), (features, *answers), strict=True))


class Concatenation(nn.Module):
    """The picture's features beside the answer, without a gate: what DM-GAN compares its response gate with, Eq. 6."""

    def forward(self, features: Tensor, answer: Tensor) -> Tensor:
        """Features and answer B C H W -> B 2C H W, in this order."""
        return torch.cat((features, answer), dim=1)
