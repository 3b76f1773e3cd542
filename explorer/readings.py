"""What STREAM reads in a picture: the likeliest sentences of a beam search, each word with its probability."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from dmm.images import to_float
from dmm.models.registry import picture_sizes
from dmm.pipeline import Pipeline

WIDTH = 4  # sentences
STEPS = 20  # tokens of the longest
UPLOAD_BYTES = 2**20  # of a picture that is handed in
UPLOAD_PIXELS = 4096 * 4096
UPLOAD_KINDS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True)
class Reading:
    """One sentence. Probabilities are STREAM's own: how sure it is, not how often it is right."""

    words: tuple[tuple[str, float], ...]  # each with its probability, given the picture and the words before
    probability: float  # of the whole sentence, its end included
    ended: bool  # False for a sentence that was cut at its longest

    @property
    def sentence(self) -> str:
        """Its words."""
        return " ".join(word for word, _ in self.words)


def read(pipe: Pipeline, image: Tensor, width: int = WIDTH) -> list[Reading]:
    """The likeliest sentences of one picture, the likeliest first.

    Args:
        pipe: with a captioner, whose use no other thread makes meanwhile.
        image: 1 3 S S in [-1, 1].
        width: how many at most.

    Raises:
        ValueError: the model has no captioner.
    """
    if pipe.captioner is None:
        raise ValueError("no captioner (STREAM) came with this model, so that nothing is read back")
    found = []
    for tokens in pipe.captioner.alternatives(image.to(pipe.device), pipe.vocab, width, STEPS):
        words = tuple((pipe.vocab.tokens[token], share) for token, share in tokens if token >= len(pipe.vocab.specials))
        found.append(Reading(words, math.prod(share for _, share in tokens), tokens[-1][0] == pipe.vocab.end))
    return found


def readings(pipe: Pipeline, image: Tensor, alternatives: int = WIDTH) -> list[Reading]:
    """The sentence of the likeliest words, as a trace holds it, then what a beam of that many sentences finds beside it.

    Raises as :func:`read`.
    """
    found = read(pipe, image, 1) + (read(pipe, image, alternatives) if alternatives else [])
    return list({one.sentence: one for one in reversed(found)}.values())[::-1]


def decode(data: bytes) -> Image.Image:
    """A picture that somebody handed in, from memory; PNG, JPEG or WebP of bounded size.

    Raises:
        ValueError: anything else.
    """
    if len(data) > UPLOAD_BYTES:
        raise ValueError(f"picture: expected at most {UPLOAD_BYTES >> 20} MiB, found {len(data):,} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=UPLOAD_KINDS)
            size = picture.size
            if size[0] * size[1] <= UPLOAD_PIXELS:
                picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"picture: not a PNG, JPEG or WebP that can be read ({type(error).__name__})") from error
    if size[0] * size[1] > UPLOAD_PIXELS:
        raise ValueError(f"picture: expected at most {UPLOAD_PIXELS} pixels, found {size[0]} x {size[1]}")
    return picture


def as_generated(picture: Image.Image, pipe: Pipeline) -> Tensor:
    """A picture of any size and kind as the model's last picture would be: 1 3 S S in [-1, 1]; transparent places are white.

    What is not square keeps its middle.
    """
    side = picture_sizes(pipe.config)[-1]
    picture = ImageOps.exif_transpose(picture)
    if picture.mode != "RGB":
        shown = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown).convert("RGB")
    least = min(picture.size)
    left, top = (picture.width - least) // 2, (picture.height - least) // 2
    middle = picture.crop((left, top, left + least, top + least))
    pixels = np.array(middle.resize((side, side), Image.Resampling.BICUBIC))
    return to_float(torch.from_numpy(pixels).permute(2, 0, 1)[None])
