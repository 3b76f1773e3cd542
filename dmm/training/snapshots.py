"""What is kept of an adversarial run while it goes on: pictures of the generator's EMA, traces, figures and checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from dmm.checkpoint import write
from dmm.config import Config
from dmm.images import grid, save
from dmm.pipeline import Pipeline
from dmm.trace import Trace
from dmm.training.data import TrainingData
from dmm.training.ema import EMA, reestimate
from dmm.training.frozen import Frozen, Text
from dmm.training.rng import Purpose, step_rng

STATISTICS_BATCH = 32  # captions at once, at most, where batch norms are measured
TRACED = 4  # captions of a trace that is written while training
#: Maps with a channel axis, which would fill the disk and which no figure of a run reads.
UNTRACED = ("hidden", "response", "global_weights", "global_response", "word_context", "sentence_attention", "sentence_context")


@dataclass
class Snapshots:
    """Of one run.

    Args:
        config: the run.
        data: holds the fixed captions and the vocabulary.
        frozen: go into every checkpoint.
        ema: of the generator.
        generate: generator, text, rng and number of pictures -> trace.
    """

    config: Config
    data: TrainingData
    frozen: Frozen
    ema: EMA
    generate: Callable[[nn.Module, Text, torch.Generator, int], Trace]
    measured: tuple[int, ...] = field(default=(), init=False)  # the state whose statistics were measured last

    def _state(self, stages: int) -> tuple[int, ...]:
        """Stands for the EMA as it is: PyTorch counts every change of a tensor."""
        return stages, *(value._version for value in self.ema.network.state_dict(keep_vars=True).values())

    def reestimate(self, stages: int) -> None:
        """Measure the batch-norm statistics of the EMA, with the first ``stages`` pictures; once for all that is kept of one step."""
        if self.measured == self._state(stages):
            return
        captions = self.config.train.ema_captions
        batches = -(-captions // STATISTICS_BATCH)
        smaller, least = batches - captions % batches, captions // batches  # batch n begins at n times its size: no place twice

        def forward(network: nn.Module, number: int) -> None:
            text = self.frozen.text(self.data.batch(number, least + (number >= smaller), (), Purpose.STATISTICS))
            self.generate(network, text, step_rng(self.config.train.seed, number, Purpose.STATISTICS), stages)

        reestimate(self.ema.network, forward, range(batches))
        self.measured = self._state(stages)

    def pipeline(self, stages: int, card: dict | None = None) -> Pipeline:
        """The EMA of the generator with statistics of its own, and the networks that the explorer needs."""
        self.reestimate(stages)
        frozen = self.frozen
        return Pipeline(
            self.config.model, self.data.vocab, self.ema.network, frozen.text_encoder, frozen.image_encoder, frozen.captioner, card=card
        )

    def sample(self, stages: int, directory: Path, index: int) -> None:
        """Fixed captions, one column each; rows are the stages trained so far, enlarged to one size."""
        captions = self.data.fixed_captions
        images = self.pipeline(stages)(captions, seed=list(range(len(captions))), redescribe=False).images[:stages]
        side = images[-1].shape[-1]
        rows = [F.interpolate(image, size=(side, side), mode="nearest") for image in images]
        save(grid(torch.cat(rows), columns=len(captions)), directory / f"{index:07d}.png")
        (directory / "captions.txt").write_text("\n".join(captions) + "\n")

    def export(self, stages: int, directory: Path, card: dict) -> None:
        """Write the EMA of the generator with everything the explorer needs."""
        pipe = self.pipeline(stages, card)
        write(directory, dict(pipe.named_children()), dataclasses.replace(self.config.model), pipe.vocab, card)

    def trace(self, stages: int, directory: Path, index: int) -> None:
        """Write what the memory does for the first fixed captions to ``<index>.npz``, without the maps that have channels."""
        captions = self.data.fixed_captions[:TRACED]
        trace = self.pipeline(stages)(captions, seed=list(range(len(captions))), redescribe=False)
        captioner = self.frozen.captioner
        for stage in trace.stages:
            if captioner is not None and stage.image is not None:
                stage.redescription = captioner.sentences(stage.image, self.data.vocab)
        without = [dataclasses.replace(stage, **dict.fromkeys(UNTRACED)) for stage in trace.stages]
        directory.mkdir(parents=True, exist_ok=True)
        dataclasses.replace(trace, stages=without).save(directory / f"{index:07d}.npz")

    @torch.no_grad()
    def evaluate(self, stages: int, captions: int = 64) -> dict[str, float]:
        """Of ``captions`` generated captions, the share whose sentence is the nearest of all to the picture, as the image encoder sees it.

        ``score`` says which checkpoint is the best. Nothing without an image encoder.
        """
        if self.frozen.image_encoder is None:
            return {}
        pipe = self.pipeline(stages)
        text = self.frozen.text(self.data.batch(0, captions, (), Purpose.EVALUATION))
        trace = self.generate(pipe.generator, text, step_rng(self.config.train.seed, 0, Purpose.EVALUATION), stages)
        image = [stage.image for stage in trace.stages if stage.image is not None][-1]
        _, feature = self.frozen.image_encoder(image)
        nearest = (F.normalize(feature) @ F.normalize(text.sentence).T).argmax(1)  # B
        return {"score": (nearest == torch.arange(len(nearest), device=nearest.device)).float().mean().item()}
