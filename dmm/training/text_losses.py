"""The losses by which frozen readers tell the generator what its picture says: DAMSM, redescription (STREAM), masked words.

Each is weighted by the recipe; a weight of 0 leaves it out. The published systems read the last picture only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmm.config import TrainConfig
from dmm.data.batch import Batch
from dmm.losses.cloze import cloze_loss
from dmm.losses.stream import stream_loss
from dmm.matching import matching_losses
from dmm.training.augment import augment
from dmm.training.feed import Feed
from dmm.training.steps import stream_of


class TextLosses:
    """Sum over the pictures of each reader's loss.

    Args:
        settings: weights and sharpness.
        feed: chooses the masked words.
        image_encoder: frozen matching encoder.
        captioner: frozen STREAM.
        cloze: frozen masked-word reader of the image encoder's regions, or None.
    """

    def __init__(self, settings: TrainConfig, feed: Feed, image_encoder: nn.Module, captioner: nn.Module, cloze: nn.Module | None):
        self.settings, self.feed = settings, feed
        self.image_encoder, self.captioner, self.cloze = image_encoder, captioner, cloze

    def __call__(self, pictures: list[Tensor], batch: Batch, words: Tensor, sentence: Tensor, index: int) -> dict[str, Tensor]:
        """Weighted terms "damsm", "stream", "cloze", each the mean over the pictures B 3 S S."""
        settings = self.settings
        terms: dict[str, Tensor] = {}
        for number, picture in enumerate(pictures):
            seen = augment(picture, settings.augment, stream_of(settings.seed, index, 6 + number))
            for name, value in self._read(seen, batch, words, sentence, stream_of(settings.seed, index, 12 + number)).items():
                terms[name] = terms.get(name, 0) + value / len(pictures)
        return terms

    def _read(self, picture: Tensor, batch: Batch, words: Tensor, sentence: Tensor, stream: torch.Generator) -> dict[str, Tensor]:
        settings = self.settings
        terms = {}
        if settings.damsm or self.cloze is not None:
            regions, code = self.image_encoder(picture)
        if settings.damsm:
            gammas = settings.gamma1, settings.gamma2, settings.gamma3
            terms["damsm"] = (
                settings.damsm * matching_losses(regions, code, words, sentence, batch.lengths, batch.class_ids, *gammas)["total"]
            )
        if settings.stream:
            terms["stream"] = settings.stream * stream_loss(self.captioner, picture, batch.captions, batch.lengths)["total"]
        if self.cloze is not None:
            chosen = self.feed.mask_words(batch, settings.cloze_variants, stream)
            terms["cloze"] = settings.cloze * cloze_loss(self.cloze, regions, chosen)["total"]
        return terms
