"""Text guidance: losses of frozen networks that compare a generated picture with its caption: DAMSM, redescription (STREAM), masked words.

Each is weighted by the recipe; a weight of 0 leaves it out. The published systems read the last picture only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmm.config import ConfigError, TrainConfig
from dmm.data.batch import Batch
from dmm.losses.cloze import cloze_loss
from dmm.losses.stream import caption_loss
from dmm.matching import matching_losses
from dmm.models.captioner import Captioner
from dmm.training.augment import augment
from dmm.training.data import TrainingData
from dmm.training.ranks import Ranks, gathering
from dmm.training.rng import Purpose, StepRandom
from dmm.training.transfer import to_device


class TextGuidance:
    """Mean over the pictures of each frozen network's loss.

    Args:
        settings: weights and sharpness.
        data: chooses the masked words.
        image_encoder: frozen matching encoder; None where no weight needs it.
        captioner: frozen STREAM; None where its weight is 0.
        cloze: frozen masked-word head of the image encoder's regions, or None.
        ranks: this process among others.

    Raises:
        ConfigError: a weight whose network is missing.
    """

    def __init__(
        self,
        settings: TrainConfig,
        data: TrainingData,
        image_encoder: nn.Module | None,
        captioner: Captioner | None,
        cloze: nn.Module | None,
        ranks: Ranks | None = None,
    ):
        if settings.damsm and image_encoder is None:
            raise ConfigError("train.damsm: expected a matching run with an image encoder, found none; train one, or set damsm to 0")
        if settings.stream and captioner is None:
            raise ConfigError("train.stream: expected a captioning run, found none; give --caption, or set stream to 0")
        self.settings, self.data, self.ranks = settings, data, ranks or Ranks()
        self.image_encoder, self.captioner, self.cloze = image_encoder, captioner, cloze

    def __call__(self, pictures: list[Tensor], batch: Batch, words: Tensor, sentence: Tensor, rng: StepRandom) -> dict[str, Tensor]:
        """Weighted terms "damsm", "stream", "cloze", each the mean over the pictures, of which this process has its share: b 3 S S each."""
        settings = self.settings
        terms: dict[str, Tensor] = {}
        for number, picture in enumerate(pictures):
            seen = augment(picture, settings.augment, rng(Purpose.GUIDANCE_AUGMENTATION, self.ranks, number))
            for name, value in self._read(seen, batch, words, sentence, rng(Purpose.GUIDANCE_WORDS, part=number)).items():
                terms[name] = terms.get(name, 0) + value / len(pictures)
        return terms

    def _read(self, picture: Tensor, batch: Batch, words: Tensor, sentence: Tensor, rng: torch.Generator) -> dict[str, Tensor]:
        settings = self.settings
        terms = {}
        if settings.damsm or self.cloze is not None:
            regions, embedding = gathering(self.image_encoder, self.ranks)(picture)
        if settings.damsm:
            gammas = settings.gamma1, settings.gamma2, settings.gamma3
            terms["damsm"] = (
                settings.damsm * matching_losses(regions, embedding, words, sentence, batch.lengths, batch.class_ids, *gammas)["total"]
            )
        if settings.stream:
            terms["stream"] = settings.stream * self._redescription_loss(picture, batch)
        if self.cloze is not None:
            chosen = self.data.mask_words(to_device(batch, torch.device("cpu")), settings.cloze_variants, rng)
            terms["cloze"] = settings.cloze * cloze_loss(self.cloze, regions, to_device(chosen, regions.device))["total"]
        return terms

    def _redescription_loss(self, picture: Tensor, batch: Batch) -> Tensor:
        """How unlikely the captioner finds the caption of what it sees in the picture."""
        assert self.captioner is not None, "redescription without a captioner is refused at the start"
        regions, embedding = gathering(self.captioner.encoder, self.ranks)(picture)
        return caption_loss(self.captioner.decoder(embedding, batch.captions, batch.lengths, regions), batch.captions, batch.lengths)
