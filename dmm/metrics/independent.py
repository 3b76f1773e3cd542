"""Encoders that no generator saw: a matching run (``dmm train match``) of another seed, whose networks measure and never train.

R-precision with the encoders that a generator was trained with flatters it. These are trained on rendered birds of their own
(``--set train.seed=1 --set data.seed=1``); the ceiling that stands beside the figure says how well they know birds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dmm.checkpoint import load_parts
from dmm.config import ConfigError
from dmm.data.vocab import Vocabulary
from dmm.metrics.r_precision import retrieved
from dmm.metrics.records import digest
from dmm.metrics.registry import register_metric


@dataclass
class Encoders:
    """A text encoder and an image encoder that were trained to find each other, in eval mode."""

    name: str  # the run
    text_encoder: nn.Module
    image_encoder: nn.Module
    vocab: Vocabulary
    device: torch.device

    def embeddings(self, images: Tensor) -> Tensor:
        """Image embeddings B D of pictures B 3 S S in [-1, 1]."""
        return self.image_encoder(images)[1]

    @torch.no_grad()
    def sentences(self, texts: Sequence[str], batch: int = 64) -> Tensor:
        """Sentence features N D of captions, on the CPU."""
        found = []
        for start in range(0, len(texts), batch):
            ids, lengths = self.vocab.batch([self.vocab.encode(text) for text in texts[start : start + batch]])
            found.append(self.text_encoder(ids.to(self.device), lengths.to(self.device))[1].cpu())
        return torch.cat(found)

    def describe(self) -> dict:
        """What a record says of them."""
        return {"run": Path(self.name).name, "weights_sha256": digest(self.text_encoder) + digest(self.image_encoder)}


def load_encoders(run: str | Path, pipe) -> Encoders:
    """The encoders of a matching run, to measure a pipeline with.

    Raises:
        CheckpointError: no checkpoint, or one without both encoders.
        ConfigError: the encoders of the pipeline itself.
    """
    parts, _, vocab = load_parts(run, ("text_encoder", "image_encoder"))
    own = [getattr(pipe, name, None) for name in parts]
    if {digest(network) for network in own if isinstance(network, nn.Module)} & {digest(network) for network in parts.values()}:
        raise ConfigError(
            f"--encoders {run}: expected encoders that {pipe.name} was not trained with, found its own; train others: "
            "dmm train match --recipe aviary --set train.seed=1 --set data.seed=1 --out runs/independent-match"
        )
    device = torch.device(pipe.device)
    return Encoders(str(run), parts["text_encoder"].to(device), parts["image_encoder"].to(device), vocab, device)


@register_metric("r_precision_independent", needs=("independent",))
def independent_precision(evaluation) -> dict:
    """R-precision (R = 1 of 100) with encoders that no generator was trained with (--encoders)."""
    encoders = evaluation.encoders
    sentences = encoders.sentences([caption.text for caption in evaluation.captions])
    said = "of a matching run of its own, used in no loss of the generator."
    return retrieved(evaluation, "independent", sentences, said) | {"feature_network": encoders.describe()}
