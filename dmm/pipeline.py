"""Caption and seed in, Trace out: the only place that joins vocabulary, text encoder, noise, generator and captioner.

Every sample draws its own noise from its own seed, so the picture of a caption does not depend on the batch it was painted in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.trace import Trace

MOST_WORDS = 60  # known words in one sentence; a map is kept for each


class CaptionError(ValueError):
    """A sentence that cannot be painted, with a reason that can be shown to its author."""


class Pipeline(nn.Module):
    """A trained system, ready to paint.

    Args:
        config: what the networks were built from.
        vocab: the words it knows.
        generator: captions' features and noise to a Trace.
        text_encoder: token ids to word features B D T and sentence feature B D.
        image_encoder: the matching (DAMSM) image encoder, or None.
        captioner: STREAM, which reads a picture back as a sentence, or None.
        name: how it was loaded.
        card: what is known of its training (steps, seed, machine, figures), plain containers.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocab: Vocabulary,
        generator: nn.Module,
        text_encoder: nn.Module,
        image_encoder: nn.Module | None = None,
        captioner: nn.Module | None = None,
        name: str = "",
        card: dict | None = None,
    ):
        super().__init__()
        self.config = config
        self.vocab = vocab
        self.generator = generator
        self.text_encoder = text_encoder
        self.image_encoder = image_encoder
        self.captioner = captioner
        self.name = name
        self.card = card or {}
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def noise(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Noise z, B Z, and the noise of conditioning augmentation eps, B K: standard normal, one stream a seed.

        ``config.noise_truncation`` and ``config.noise_scale`` apply to z: the same draw, moved within the limit by its rank.
        """
        rows = []
        for seed in seeds:
            stream = torch.Generator().manual_seed(int(seed))
            rows.append(torch.randn(self.config.noise_dim + self.config.condition_dim, generator=stream))
        both = torch.stack(rows).to(self.device)
        noise, eps = both[:, : self.config.noise_dim], both[:, self.config.noise_dim :]
        if self.config.noise_truncation:
            noise = truncate(noise, self.config.noise_truncation)
        return self.config.noise_scale * noise, eps

    def encode(self, captions: Sequence[str]) -> tuple[Tensor, Tensor, Tensor, list[list[str]]]:
        """Sentences to (word features B D T, sentence feature B D, mask B T, words aligned with T).

        Raises:
            CaptionError: no known word, or more than ``MOST_WORDS``.
        """
        rows = [self._tokens(caption) for caption in captions]
        ids, lengths = self.vocab.batch(rows)
        words, sentence = self.text_encoder(ids.to(self.device), lengths.to(self.device))
        ids = ids[:, : words.shape[2]]
        names = [self.vocab.labels(row) for row in ids]
        return words, sentence, self.vocab.mask(ids).to(self.device), names

    def _tokens(self, caption: str) -> list[int]:
        known = [word for word, index in self.vocab.known(caption) if index is not None]
        if not known:
            said = (
                "The caption is empty." if not caption.strip() else f"None of the words of “{caption.strip()[:80]}” is in the vocabulary."
            )
            raise CaptionError(f"{said} Try: this small bird has a yellow crown and a white belly")
        if len(known) > MOST_WORDS:
            raise CaptionError(f"The caption has {len(known)} known words; at most {MOST_WORDS} can be painted. Shorten it.")
        return self.vocab.encode(caption)

    @torch.no_grad()
    def forward(
        self,
        captions: str | Sequence[str],
        seed: int | Sequence[int] = 0,
        redescribe: bool = True,
    ) -> Trace:
        """Paint.

        Args:
            captions: one sentence or several.
            seed: of the noise; one for all samples, or one each.
            redescribe: also let STREAM read each picture back.

        Returns:
            The Trace: pictures B 3 S S in [-1, 1] for 64, 128, 256 px, and what the memory did.

        Raises:
            CaptionError: a sentence that cannot be painted.
            ValueError: as many seeds as captions were expected.
        """
        captions = [captions] if isinstance(captions, str) else list(captions)
        seeds = [seed] * len(captions) if isinstance(seed, int) else [int(s) for s in seed]
        if len(seeds) != len(captions):
            raise ValueError(f"seed: expected one number or {len(captions)}, found {len(seeds)}")
        words, sentence, mask, names = self.encode(captions)
        trace = self.generator(sentence, words, mask, *self.noise(seeds))
        trace.mask, trace.captions, trace.words, trace.seeds = mask, captions, names, seeds
        if redescribe and self.captioner is not None:
            for stage in trace.stages:
                stage.redescription = self.captioner.sentences(stage.image, self.vocab)
        return trace


def truncate(normal: Tensor, limit: float) -> Tensor:
    """Standard normal numbers to numbers of the normal distribution truncated to [-limit, limit], each at the same quantile."""
    share = torch.special.erf(torch.tensor(limit / math.sqrt(2), dtype=torch.float64, device=normal.device))
    quantile = share * torch.special.erf(normal.double() / math.sqrt(2))  # in (-share, share)
    return (math.sqrt(2) * torch.special.erfinv(quantile)).clamp(-limit, limit).to(normal.dtype)
