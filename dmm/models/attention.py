"""Attention to words (AttnGAN, Xu et al., CVPR 2018, Eq. 2) and to the sentence (MirrorGAN, Qiao et al., CVPR 2019).

Word attention is three modules: the words are projected into the space of the picture's features (e' = U e), every place of the picture
weighs them (:class:`dmm.models.memory.KeyAddressing`, AttnGAN's softmax over the words of e'_i . h_j), and reads their weighted sum
(:class:`dmm.models.memory.ValueReading`). That is the memory's computation with the projected words as key and as value, so it is done by
the memory's modules; a word that is muted or masked is treated alike in every system.

Sentence attention weighs channels: at each place, a softmax over the channels of V (s' * h_j), with s' the projected sentence.
"""

from __future__ import annotations

from torch import Tensor, nn

from dmm.models.memory import softmax_over_channels


class WordProjection(nn.Module):
    """e' = U e: word features into the space of the picture's features, by a 1x1 convolution without bias.

    Without bias, a padded word (feature 0) stays 0: its logit and its value are 0 wherever it is not masked.
    """

    def __init__(self, text_dim: int, width: int):
        super().__init__()
        self.linear = nn.Conv2d(text_dim, width, 1, bias=False)

    def forward(self, words: Tensor) -> Tensor:
        """B D T -> B C T."""
        return self.linear(words[:, :, :, None])[:, :, :, 0]


class SentenceAttention(nn.Module):
    """How much each channel takes in of the sentence: softmax over the channels of a 1x1 convolution of s' * h, at every place.

    The paper's formula reads as attention over places; the published code takes the softmax over channels, and so does this.
    """

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, features: Tensor, sentence: Tensor) -> Tensor:
        """Features B C H W, projected sentence B C -> B C H W."""
        return softmax_over_channels(self.conv(sentence[:, :, None, None] * features))


class SentenceReading(nn.Module):
    """The attended sentence: s' times its attention, at every place."""

    def forward(self, attention: Tensor, sentence: Tensor) -> Tensor:
        """Attention B C H W, projected sentence B C -> B C H W."""
        return sentence[:, :, None, None] * attention
