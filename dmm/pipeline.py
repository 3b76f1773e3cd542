"""Caption and seed in, Trace out: the only place that joins vocabulary, text encoder, noise, generator and captioner.

Every sample draws its own noise from its own seed, so the picture of a caption does not depend on the batch it was generated in.

Weights are read by :mod:`dmm.checkpoint`, the Hub and the model card are in :mod:`dmm.hub`; both are imported when they are used.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import torch
from torch import Tensor, nn

from dmm.config import ModelConfig
from dmm.data.vocab import Vocabulary
from dmm.errors import InputError
from dmm.models.captioner import Captioner
from dmm.trace import Trace

MOST_WORDS = 60  # known words in one sentence; a map is kept for each


class CaptionError(InputError):
    """A sentence that cannot be generated, with a reason that can be shown to its author."""


class Pipeline(nn.Module):
    """A trained system, ready to generate.

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
        captioner: Captioner | None = None,
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
        self.is_fused = False  # see fused()
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the generator computes in: float32, or what ``.half()``, ``.double()`` made of it."""
        return next(parameter.dtype for parameter in self.generator.parameters() if parameter.is_floating_point())

    def noise(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Noise z, B Z, and the noise of conditioning augmentation eps, B K: standard normal, one generator a seed.

        ``config.noise_truncation`` and ``config.noise_scale`` apply to z: the same draw, moved within the limit by its rank.
        """
        rows = []
        for seed in seeds:
            rng = torch.Generator().manual_seed(int(seed))
            rows.append(torch.randn(self.config.noise_dim + self.config.condition_dim, generator=rng))
        both = torch.stack(rows).to(self.device, self.dtype)
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
            own = next(iter(self.card.get("captions", ())), "this small bird has a yellow crown and a white belly")
            raise CaptionError(f"{said} Try: {own}")
        if len(known) > MOST_WORDS:
            raise CaptionError(f"The caption has {len(known)} known words; at most {MOST_WORDS} can be generated. Shorten it.")
        return self.vocab.encode(caption)

    @torch.no_grad()
    def forward(
        self,
        captions: str | Sequence[str],
        seed: SupportsIndex | Sequence[SupportsIndex] = 0,
        redescribe: bool = True,
    ) -> Trace:
        """Generate pictures of captions.

        Args:
            captions: one sentence or several.
            seed: of the noise; one for all samples, or one each.
            redescribe: also let STREAM read each picture back.

        Returns:
            The Trace: pictures B 3 S S in [-1, 1] for 64, 128, 256 px, and what the memory did.

        Raises:
            CaptionError: a sentence that cannot be generated.
            ValueError: as many seeds as captions were expected; or pictures of numbers that are not finite.
        """
        captions = [captions] if isinstance(captions, str) else list(captions)
        if not captions:
            raise InputError("captions: expected at least one sentence, found an empty list")
        seeds = _whole_numbers(seed, len(captions))
        if len(seeds) != len(captions):
            raise InputError(f"seed: expected one number or {len(captions)}, found {len(seeds)}")
        words, sentence, mask, names = self.encode(captions)
        trace = self.generator(sentence, words, mask, *self.noise(seeds))
        _check_finite(trace)
        trace.mask, trace.captions, trace.words, trace.seeds = mask, captions, names, seeds
        if redescribe and self.captioner is not None:
            self._redescribe(trace, self.captioner)
        return trace

    def _redescribe(self, trace: Trace, captioner: Captioner) -> None:
        """Let STREAM read the pictures of all stages back, together."""
        generated = [stage for stage in trace.stages if stage.image is not None]
        sentences = captioner.describe([stage.image for stage in generated if stage.image is not None], self.vocab)
        for stage, read in zip(generated, sentences, strict=True):
            stage.redescription = read

    def fused(self) -> Pipeline:
        """This pipeline with a generator fused for inference, which is faster; the pictures are the same up to rounding.

        See :mod:`dmm.models.kernels.fuse`. It shares the other networks. Its generator is a copy, with the hooks of now, that can neither
        be trained nor saved.
        """
        from dmm.models.kernels.fuse import fuse_batch_norms

        if self.is_fused:
            return self
        fused = Pipeline(
            self.config,
            self.vocab,
            fuse_batch_norms(self.generator),
            self.text_encoder,
            self.image_encoder,
            self.captioner,
            self.name,
            self.card,
        )
        fused.is_fused = True
        return fused

    # -- the Hub

    def save_pretrained(
        self, save_directory: str | os.PathLike, *, repo_id: str | None = None, push_to_hub: bool = False, half: bool = False, **push
    ) -> str | None:
        """Write ``model.safetensors`` and, if there is none yet, the model card ``README.md`` into a folder.

        Args:
            save_directory: the folder.
            repo_id: "user/name" on the Hub; by default the folder's name.
            push_to_hub: also upload it; ``push`` is then given to :meth:`push_to_hub`.
            half: write floats as fp16, in half the space and with other pixels.

        Returns:
            the commit's address if it was uploaded.
        """
        from dmm import checkpoint
        from dmm.images import write_atomic

        folder = Path(save_directory)
        checkpoint.save(self, folder, "fp16" if half else "fp32")
        if not (folder / "README.md").exists():
            write_atomic(folder / "README.md", self.model_card(folder.name).encode())
        return self.push_to_hub(repo_id or folder.name, **push) if push_to_hub else None

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike, *, device: str | torch.device = "cpu", **download) -> Pipeline:
        """A ready pipeline from a folder, a shipped name, or "user/name" on the Hub.

        Args:
            name: what :func:`load` takes; a repository of the Hub if there is no such folder.
            device: where it shall be.
            download: as of ``huggingface_hub.hf_hub_download``: revision, token, cache_dir, force_download, local_files_only.

        Raises:
            CheckpointError: nothing there, or a file that cannot be used.
        """
        from dmm import hub

        return load(hub.find(name, **download), device)

    def push_to_hub(self, repo_id: str, **options) -> str:
        """Upload weights and model card to a repository of the user, made if need be; returns the commit's address.

        Args:
            repo_id: "user/name".
            options: as of :func:`dmm.hub.upload`: commit_message, private, token, branch, create_pr.
        """
        from dmm import hub

        return hub.upload(self, repo_id, **options)

    def model_card(self, name: str = "") -> str:
        """What is known of this pipeline, as Markdown; see :func:`dmm.hub.model_card`."""
        from dmm import hub

        return hub.model_card(self, name)


def load(name: str | os.PathLike = "dmmgan-aviary", device: str | torch.device = "cpu") -> Pipeline:
    """A ready pipeline: ``load("dmmgan-aviary")("a small red bird", seed=3)``.

    Args:
        name: a folder under assets/checkpoints, or the path of a folder or file.

    Raises:
        CheckpointError: nothing there, or a file that cannot be used.
    """
    from dmm import checkpoint

    tensors, config, vocab, card = checkpoint.read_parts(name)
    held = checkpoint.held_parts(tensors)
    networks = {part: checkpoint.fill(part, config, vocab, tensors, name) for part in checkpoint.PARTS if part in held}
    label = Path(name).name if not Path(name).is_file() else Path(name).parent.name
    captioner = networks.pop("captioner", None)
    assert captioner is None or isinstance(captioner, Captioner)
    return Pipeline(config, vocab, captioner=captioner, name=label, card=card, **networks).to(device)


def _check_finite(trace: Trace) -> None:
    """Refuse pictures that would be black where a number is none: each weight was finite when it was loaded, what they give may not be.

    Raises:
        InputError: which picture.
    """
    for stage in trace.stages:
        if stage.image is not None and not stage.image.isfinite().all():
            raise InputError(
                f"the {stage.image.shape[-1]} px picture holds numbers that are not finite, which would be black: weights or statistics of "
                "the model are far out of range, or too large for 16 bits. Train or copy it again"
            )


def _whole_numbers(seed: Any, count: int) -> list[int]:
    """One seed, of any type of whole numbers (NumPy's and PyTorch's too), for all of ``count`` samples; or one each.

    Raises:
        InputError: something else.
    """
    try:
        return [operator.index(seed)] * count
    except TypeError:  # several
        pass
    try:
        return [operator.index(one) for one in seed]
    except TypeError as error:
        raise InputError(f"seed: expected whole numbers, found {seed!r:.80}") from error


def truncate(normal: Tensor, limit: float) -> Tensor:
    """Standard normal numbers to numbers of the normal distribution truncated to [-limit, limit], each at the same quantile."""
    share = torch.special.erf(torch.tensor(limit / math.sqrt(2), dtype=torch.float64, device=normal.device))
    quantile = share * torch.special.erf(normal.double() / math.sqrt(2))  # in (-share, share)
    return (math.sqrt(2) * torch.special.erfinv(quantile)).clamp(-limit, limit).to(normal.dtype)
