"""Words and sentence features from a bidirectional LSTM (AttnGAN's text encoder, shared by every system that attends to words)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dmm.errors import InputError
from dmm.fp32 import in_fp32


class TextEncoder(nn.Module):
    """Captions to word and sentence features.

    Args:
        vocab_size: words in the vocabulary, special tokens included.
        embedding: numbers in a word embedding.
        width: channels of the features, half from each direction; even.
        dropout: share of the embedding that is dropped in training.

    Raises:
        ValueError: an odd width.
    """

    def __init__(self, vocab_size: int, embedding: int = 300, width: int = 256, dropout: float = 0.5):
        super().__init__()
        if width % 2:
            raise InputError(f"width is split between two directions and must be even, not {width}")
        self.embedding = nn.Embedding(vocab_size, embedding)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(embedding, width // 2, batch_first=True, bidirectional=True)

    @in_fp32
    def forward(self, captions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode.

        Args:
            captions: B L word ids, in any order of length.
            lengths: B tokens in each caption, special tokens included, at least 1.

        Returns:
            words B D T with T the largest length, zero past a caption's end, and sentence B D (last state of each direction).
        """
        packed = pack_padded_sequence(self.dropout(self.embedding(captions)), lengths.cpu(), batch_first=True, enforce_sorted=False)
        output, (state, _) = self.lstm(packed)
        words, _ = pad_packed_sequence(output, batch_first=True)  # B T D
        return words.transpose(1, 2), state.transpose(0, 1).flatten(1)
