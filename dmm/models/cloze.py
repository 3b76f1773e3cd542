"""The masked-word head: which word is missing, given the picture and the rest of the sentence? A training aid, not in any of the papers.

A left-to-right captioner meets a colour before the part that has it. Here the query at a masked position comes from both sides of the
sentence, looks at the picture's regions, and must name the word; its loss asks a generator for exactly what the caption says.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmm.models.text_encoder import TextEncoder


class ClozeHead(nn.Module):
    """Masked captions and region features to words.

    The embedding has one row more than the vocabulary: :attr:`mask_id`, which stands at the masked positions.

    Args:
        vocab_size: words in the vocabulary, special tokens included.
        region_dim: channels of the region features.
        width: width of the text encoder and of the attention.
        embedding: numbers in a word embedding.
        dropout: share of the embedding that is dropped in training.
    """

    def __init__(self, vocab_size: int, region_dim: int = 256, width: int = 128, embedding: int = 128, dropout: float = 0.1):
        super().__init__()
        self.mask_id = vocab_size
        self.reader = TextEncoder(vocab_size + 1, embedding, width, dropout)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(region_dim, width)
        self.value = nn.Linear(region_dim, width)
        self.answer = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, vocab_size))

    def forward(self, regions: Tensor, captions: Tensor, lengths: Tensor, masked: Tensor, image: Tensor | None = None) -> Tensor:
        """Name the masked words.

        Args:
            regions: B D H W, one picture each.
            captions: N L word ids with :attr:`mask_id` at masked positions.
            lengths: N tokens in each caption.
            masked: N L bool, the M masked positions.
            image: N index of each caption's picture in 0..B-1; by default captions and pictures are paired (N = B).

        Returns:
            logits M V, in the order of ``captions[masked]``.
        """
        places = regions.flatten(2).transpose(1, 2)  # B R D
        key, value = self.key(places), self.value(places)  # B R A
        words = self.reader(captions, lengths)[0].transpose(1, 2)  # N T A
        row, position = masked.nonzero(as_tuple=True)
        context = words[row, position]  # M A
        picture = row if image is None else image[row]  # M
        weights = torch.einsum("ma,mra->mr", self.query(context), key[picture]).div(key.shape[2] ** 0.5).softmax(1)
        seen = torch.einsum("mr,mra->ma", weights, value[picture])
        return self.answer(torch.cat((context, seen), dim=1))
