"""The frozen networks of adversarial training: they read captions and generated pictures, and no step changes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dmm.checkpoint import CheckpointError, held_parts, load_parts, read
from dmm.config import Config, ModelConfig
from dmm.data.batch import Batch
from dmm.data.vocab import Vocabulary
from dmm.models.captioner import Captioner

#: Settings on which the recipe and the frozen networks must agree.
TEXT_FIELDS = ("text_dim", "embedding_dim", "convention", "encoder_width", "encoder_size")
CAPTION_FIELDS = ("caption_embedding", "caption_hidden", "caption_attention")
PARTS = ("text_encoder", "image_encoder", "captioner", "cloze")


class Text(NamedTuple):
    """What the text encoder makes of captions; slicing rows: :meth:`rows`."""

    words: Tensor  # B D T
    sentence: Tensor  # B D
    mask: Tensor  # B T, True where there is no word

    def rows(self, rows: slice) -> Text:
        """Some of the captions."""
        return Text(self.words[rows], self.sentence[rows], self.mask[rows])


@dataclass
class Frozen:
    """The networks, on the run's device, and the vocabulary they were trained with.

    Args:
        text_encoder: captions -> words and sentence.
        vocab: of the text encoder.
        image_encoder: the matching encoder, where the matching run holds it.
        captioner: STREAM, where there is a captioning run.
        cloze: the masked-word head of the image encoder's regions, where the run asks for it.
    """

    text_encoder: nn.Module
    vocab: Vocabulary
    image_encoder: nn.Module | None = None
    captioner: Captioner | None = None
    cloze: nn.Module | None = None

    @classmethod
    def load(cls, match: str | Path, caption: str | Path | None, config: Config) -> Frozen:
        """The networks that a run needs or can show, on the CPU.

        The matching run must hold a text encoder; its image encoder comes along if it is there, the captioner if there is a captioning run.

        Raises:
            CheckpointError: a run that is missing or was trained with other sizes.
        """
        settings = config.train
        held = held_parts(read(match)[0]) & {"image_encoder"}
        networks, trained, vocab = load_parts(match, ("text_encoder", *held, *(("cloze",) if settings.cloze else ())))
        _agree(match, trained, config.model, TEXT_FIELDS)
        if caption is not None and (settings.stream or Path(caption).exists()):
            found, captioned, _ = load_parts(caption, ("captioner",))
            _agree(caption, captioned, config.model, TEXT_FIELDS + CAPTION_FIELDS)
            networks |= found
        for network in networks.values():
            network.requires_grad_(False)
        captioner = networks.get("captioner")
        assert captioner is None or isinstance(captioner, Captioner)
        return cls(networks["text_encoder"], vocab, networks.get("image_encoder"), captioner, networks.get("cloze"))

    def to(self, device: torch.device) -> Frozen:
        """All networks on ``device``."""
        for network in self.networks().values():
            network.to(device)
        return self

    def networks(self) -> dict[str, nn.Module]:
        """Name -> network, of those that there are."""
        found = {name: getattr(self, name) for name in PARTS}
        return {name: network for name, network in found.items() if network is not None}

    @torch.no_grad()
    def text(self, batch: Batch) -> Text:
        """Words, sentence and mask of a batch's captions."""
        words, sentence = self.features(batch.captions, batch.lengths)
        return Text(words, sentence, self.vocab.mask(batch.captions[:, : words.shape[2]].to(words.device)))

    @torch.no_grad()
    def features(self, captions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Word features B D T and sentence features B D of captions B L."""
        return self.text_encoder(captions.to(next(self.text_encoder.parameters()).device), lengths)

    def sentence(self, captions: Tensor, lengths: Tensor) -> Tensor:
        """Sentence features B D of captions B L."""
        return self.features(captions, lengths)[1]


def _agree(where: str | Path, found: ModelConfig, recipe: ModelConfig, fields: Sequence[str]) -> None:
    for name in fields:
        if getattr(found, name) != getattr(recipe, name):
            raise CheckpointError(
                f"{where}: model.{name} is {getattr(found, name)}, the recipe says {getattr(recipe, name)}; train both with one recipe"
            )
