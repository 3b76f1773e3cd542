"""STREAM: a picture is described again, word by word, by an LSTM (MirrorGAN, Eqs. 8-9; DMM-GAN).

The picture's feature is the LSTM's first input and predicts the first token; then every token of the caption predicts the next.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmm.precise import precise


class CaptionDecoder(nn.Module):
    """Picture feature to caption.

    Args:
        vocab_size: words in the vocabulary, special tokens included.
        embedding: numbers in a word embedding, equal to the picture feature's.
        hidden: LSTM width (published: twice the configured hidden size).
        layers: LSTM layers.
    """

    def __init__(self, vocab_size: int, embedding: int = 256, hidden: int = 512, layers: int = 1):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.linear = nn.Linear(hidden, vocab_size)

    @precise
    def forward(self, features: Tensor, captions: Tensor, lengths: Tensor) -> Tensor:
        """Teacher forcing.

        Args:
            features: B E picture features.
            captions: B L word ids.
            lengths: B tokens in each caption.

        Returns:
            logits B T V with T the largest length; position t predicts token t. Positions past a caption's length mean nothing.
        """
        steps = int(lengths.max())
        inputs = torch.cat((features[:, None], self.embedding(captions[:, : steps - 1])), dim=1)  # B T E
        return self.linear(self.lstm(inputs)[0])

    @torch.no_grad()
    def greedy(self, features: Tensor, steps: int = 20) -> Tensor:
        """The likeliest token at every step, B steps; does not stop at the end token."""
        inputs, state, ids = features[:, None], None, []
        for _ in range(steps):
            hidden, state = self.lstm(inputs, state)
            token = self.linear(hidden[:, 0]).argmax(1)
            ids.append(token)
            inputs = self.embedding(token)[:, None]
        return torch.stack(ids, dim=1)


class Captioner(nn.Module):
    """An image encoder and the decoder that reads its code.

    Args:
        encoder: pictures -> (regions or None, code B E).
        decoder: whose embedding has E numbers.
    """

    def __init__(self, encoder: nn.Module, decoder: CaptionDecoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, images: Tensor, captions: Tensor, lengths: Tensor) -> Tensor:
        """Pictures B 3 S S, captions B L, lengths B -> logits B T V."""
        return self.decoder(self.encoder(images)[1], captions, lengths)

    @torch.no_grad()
    def sentences(self, images: Tensor, vocab, steps: int = 20) -> list[str]:
        """What the pictures B 3 S S show, in words of ``vocab``, up to the end token; special tokens are left out."""
        ids = self.decoder.greedy(self.encoder(images)[1], steps)
        return [" ".join(vocab.decode(row)) for row in ids.tolist()]
