"""STREAM: a picture is described again, word by word, by an LSTM (MirrorGAN, DMM-GAN).

The picture's embedding is the LSTM's first input and predicts the first token; then every token of the caption predicts the next. That is
all that the published decoder sees of the picture. With ``heads`` > 0 (not in the papers) the LSTM's state also attends to the picture's
regions before every word.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor, nn

from dmm.errors import InputError
from dmm.fp32 import in_fp32
from dmm.models.modules import Network

REGIONS = 64  # places of an encoder's 8x8 regions
VIEWS = 16  # what a decoder that attends can attend to


class RegionAttention(nn.Module):
    """What a state of the decoder finds in the picture: views of its regions, attention over them, and a layer that joins both.

    A view is a learned place to look at (a softmax over the regions) with a linear map of its own of what is there. Attending to a dozen
    views instead of 64 places is cheap at every word, and where a data set knows parts, each of the first views can be taught one.

    Args:
        hidden: numbers in a state.
        inputs: channels of a region.
        heads: of the attention.
        width: numbers in a view, and in a head's keys and values.
    """

    def __init__(self, hidden: int, inputs: int, heads: int, width: int = 64):
        super().__init__()
        self.heads, inner = heads, heads * width
        self.look = nn.Conv1d(inputs, VIEWS, 1)
        self.places = nn.Parameter(torch.randn(1, VIEWS, REGIONS).mul_(0.1))
        self.views = nn.Parameter(torch.randn(VIEWS, inputs, width).mul_(inputs**-0.5))
        self.query = nn.Linear(hidden + inputs, inner)
        self.memory = nn.Linear(width, 2 * inner)  # keys and values of each view
        self.names = nn.Parameter(torch.randn(1, VIEWS, 2 * inner).mul_(0.3))  # added to them: which view it is
        self.repeat = nn.Parameter(torch.full((heads, 1, 1), -2.0))  # added to the score of a view that was often looked at
        self.join = nn.Sequential(nn.Linear(hidden + inputs + inner + 2 * heads * VIEWS, hidden), nn.GELU(), nn.Linear(hidden, hidden))

    def read(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Regions B D 8 8 -> views B V width, and where each looks, B V 64.

        Raises:
            ValueError: another number of regions.
        """
        if regions.shape[2] * regions.shape[3] != REGIONS:
            raise InputError(f"model.caption_attention: expected 8x8 regions, found {regions.shape[2]}x{regions.shape[3]}")
        places = regions.flatten(2)  # B D 64
        where = (self.look(places) + self.places).softmax(2)  # B V 64
        return torch.einsum("bvd,vdw->bvw", where @ places.transpose(1, 2), self.views), where

    def entries(self, views: Tensor) -> Tensor:
        """Views B V width -> their keys and values, 2 B heads V width: the same for every word of a sentence."""
        return (self.memory(views) + self.names).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def scores(self, asking: Tensor, keys: Tensor) -> Tensor:
        """B T hidden+inputs, keys B heads V width -> how well each view fits, B heads T V."""
        query = self.query(asking).unflatten(2, (self.heads, -1)).transpose(1, 2)  # B heads T width
        return query @ keys.transpose(2, 3) / query.shape[3] ** 0.5

    def forward(self, states: Tensor, words: Tensor, entries: Tensor, seen: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """States that know what the picture shows where they looked, and where they have looked before.

        The scores themselves go on too: which view fits "red" says which part may be named next.

        Args:
            states: B T hidden of the LSTM.
            words: B T inputs that the LSTM has just read.
            entries: 2 B heads V width, of :meth:`entries`.
            seen: B heads 1 V, how much each view was looked at before the first of these states.

        Returns:
            B T hidden, and ``seen`` for the state after the last.
        """
        asking = torch.cat((states, words), dim=2)
        keys, values = entries
        scores = self.scores(asking, keys)
        look = scores.softmax(3)
        looks = look.cumsum(2) + seen  # B heads T V, up to and with each state
        before = 1 - torch.exp(look - looks)  # 0: never looked at, 1: often
        found = ((scores + self.repeat * before).softmax(3) @ values).transpose(1, 2).flatten(2)  # B T heads*width
        known = [part.transpose(1, 2).flatten(2) for part in (scores, before)]  # B T heads*V each
        return states + self.join(torch.cat((asking, found, *known), dim=2)), looks[:, :, -1:]


class CaptionDecoder(nn.Module):
    """Picture feature to caption.

    Args:
        vocab_size: words in the vocabulary, special tokens included.
        embedding: numbers in a word embedding, equal to the picture feature's.
        hidden: LSTM width (published: twice the configured hidden size).
        layers: LSTM layers.
        heads: of the attention over the picture's regions before every word; 0, published: none.
    """

    def __init__(self, vocab_size: int, embedding: int = 256, hidden: int = 512, layers: int = 1, heads: int = 0):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.linear = nn.Linear(hidden, vocab_size)
        self.attention = RegionAttention(hidden, embedding, heads) if heads else None

    @in_fp32
    def forward(self, features: Tensor, captions: Tensor, lengths: Tensor, regions: Tensor | None = None) -> Tensor:
        """Teacher forcing.

        Args:
            features: B E picture features.
            captions: B L word ids.
            lengths: B tokens in each caption.
            regions: B E 8 8 of the picture, if the decoder attends to them.

        Returns:
            logits B T V with T the largest length; position t predicts token t. Positions past a caption's length mean nothing.

        Raises:
            ValueError: no regions for a decoder that attends to them.
        """
        steps = int(lengths.max())
        inputs = torch.cat((features[:, None], self.embedding(captions[:, : steps - 1])), dim=1)  # B T E
        return self._logits(self.lstm(inputs)[0], inputs, self._entries(regions))[0]

    def views(self, regions: Tensor | None) -> Tensor | None:
        """What the decoder can attend to in the regions B E 8 8: B V width; None if it does not attend.

        Raises:
            ValueError: no regions for a decoder that attends to them.
        """
        if self.attention is None:
            return None
        if regions is None:
            raise InputError("model.caption_attention: expected an image encoder with regions ('small'), found none")
        return self.attention.read(regions)[0]

    def _entries(self, regions: Tensor | None) -> Tensor | None:
        """What the attention reads of the regions; None if the decoder does not attend. Raises as :meth:`views`."""
        views = self.views(regions)
        return None if views is None or self.attention is None else self.attention.entries(views)

    def _logits(self, states: Tensor, inputs: Tensor, entries: Tensor | None, seen: Tensor | float = 0.0) -> tuple[Tensor, Tensor | float]:
        """LSTM states B T H and inputs B T E -> logits B T V, and what the next call gets as ``seen``."""
        if self.attention is not None and entries is not None:
            states, seen = self.attention(states, inputs, entries, seen)
        return self.linear(states), seen

    def _step(self, inputs: Tensor, states: list[tuple[Tensor, Tensor]]) -> Tensor:
        """One step of the LSTM: inputs B E -> B H; ``states``, hidden and cell B H of each layer, become those after it."""
        for layer, weights in enumerate(self.lstm.all_weights):
            states[layer] = torch.lstm_cell(inputs, states[layer], *weights)
            inputs = states[layer][0]
        return inputs

    @torch.no_grad()
    def greedy(self, features: Tensor, steps: int = 20, regions: Tensor | None = None, end: int | None = None) -> Tensor:
        """The likeliest token at every step, B T. Other arguments as of :meth:`forward`.

        Args:
            steps: T, at most.
            end: the token that ends a sentence; decoding stops once every sentence has one. None: T is ``steps``.
        """
        inputs, ids, entries = features, [], self._entries(regions)
        zeros = features.new_zeros(len(features), self.lstm.hidden_size)
        states = [(zeros, zeros)] * self.lstm.num_layers
        seen: Tensor | float = 0.0
        running = torch.ones(len(features), dtype=torch.bool, device=features.device)
        for _ in range(steps):
            hidden = self._step(inputs, states)
            logits, seen = self._logits(hidden[:, None], inputs[:, None], entries, seen)
            ids.append(logits[:, 0].argmax(1))
            running &= ids[-1] != end if end is not None else True
            if not running.any():
                break
            inputs = self.embedding(ids[-1])
        return torch.stack(ids, dim=1)

    @torch.no_grad()
    def beam(
        self, feature: Tensor, end: int, width: int = 4, steps: int = 20, regions: Tensor | None = None
    ) -> list[list[tuple[int, float]]]:
        """The likeliest sentences that a beam search finds for one picture, the likeliest first.

        Args:
            feature: 1 E of the picture.
            end: id of the token that ends a sentence.
            width: how many sentences are kept at every step, and returned at most.
            steps: most tokens of a sentence, the end token included.
            regions: 1 E 8 8 of the picture, if the decoder attends to them.

        Returns:
            for each sentence its tokens, each with its probability given those before; a sentence's probability is their product.

        Raises:
            ValueError: no regions for a decoder that attends to them, or another width than 1 and more.
        """
        if width < 1:
            raise InputError(f"width: expected 1 or more sentences, found {width}")
        entries, zeros = self._entries(regions), feature.new_zeros(1, self.lstm.hidden_size)
        begun = [Hypothesis(0.0, [], feature, [(zeros, zeros)] * self.lstm.num_layers)]
        ended: list[Hypothesis] = []
        for _ in range(steps):
            grown = [longer for one in begun for longer in self._longer(one, width, entries)]
            grown = sorted(grown, key=lambda one: -one.score)[:width]
            ended += [one for one in grown if one.said[-1][0] == end]
            ended = sorted(ended, key=lambda one: -one.score)[:width]
            begun = [one for one in grown if one.said[-1][0] != end]
            if not begun or (len(ended) == width and begun[0].score <= ended[-1].score):  # scores only fall
                break
        return [one.said for one in sorted(ended + begun, key=lambda one: -one.score)[:width]]

    def _longer(self, one: Hypothesis, width: int, entries: Tensor | None) -> list[Hypothesis]:
        """A beginning with each of its ``width`` likeliest next tokens."""
        states = list(one.states)
        hidden = self._step(one.inputs, states)
        logits, seen = self._logits(hidden[:, None], one.inputs[:, None], entries, one.seen)
        found = logits[0, 0].log_softmax(0).topk(min(width, logits.shape[2]))
        return [
            Hypothesis(one.score + score, [*one.said, (token, math.exp(score))], self.embedding(index)[None], states, seen)
            for score, token, index in zip(found.values.tolist(), found.indices.tolist(), found.indices, strict=True)
        ]


@dataclass
class Hypothesis:
    """The beginning of a sentence in a beam search."""

    score: float  # log of its probability
    said: list[tuple[int, float]]  # tokens, each with its probability
    inputs: Tensor  # 1 E, what the LSTM reads next
    states: list[tuple[Tensor, Tensor]]  # of its layers before that, hidden and cell 1 H
    seen: Tensor | float = 0.0  # how much each view was looked at before that


class Captioner(nn.Module, Generic[Network]):
    """An image encoder and the decoder that reads its embedding.

    Args:
        encoder: pictures -> (regions or None, embedding B E).
        decoder: whose embedding has E numbers.
    """

    def __init__(self, encoder: Network, decoder: CaptionDecoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, images: Tensor, captions: Tensor, lengths: Tensor) -> Tensor:
        """Pictures B 3 S S, captions B L, lengths B -> logits B T V."""
        regions, embedding = self.encoder(images)
        return self.decoder(embedding, captions, lengths, regions)

    @torch.no_grad()
    def sentences(self, images: Tensor, vocab, steps: int = 20) -> list[str]:
        """What the pictures B 3 S S show, in words of ``vocab``, up to the end token; special tokens are left out."""
        return self.describe([images], vocab, steps)[0]

    @torch.no_grad()
    def describe(self, pictures: Sequence[Tensor], vocab, steps: int = 20) -> list[list[str]]:
        """:meth:`sentences` of several batches, B 3 S S of any S each, decoded together."""
        encoded = [self.encoder(images) for images in pictures]
        embedding = torch.cat([embedding for _, embedding in encoded])
        regions = None if self.decoder.attention is None else torch.cat([regions for regions, _ in encoded])
        ids = iter(self.decoder.greedy(embedding, steps, regions, vocab.end).tolist())
        return [[" ".join(vocab.decode(next(ids))) for _ in images] for images in pictures]

    @torch.no_grad()
    def alternatives(self, image: Tensor, vocab, width: int = 4, steps: int = 20) -> list[list[tuple[int, float]]]:
        """:meth:`CaptionDecoder.beam` of one picture 1 3 S S, for sentences that end with ``vocab``'s end token."""
        regions, embedding = self.encoder(image)
        return self.decoder.beam(embedding, vocab.end, width, steps, regions)
