"""What the renderer knows of each bird, as standard normal numbers: pose, place, light, and the looks that a caption may leave open.

Paired training (:mod:`dmm.training.paired`) gives these numbers to a generator as its noise z. Rendering the very picture of a
caption is then a supervised task, and z comes to mean what captions leave open. Every number is mapped to a standard normal one over the
training birds, so that z drawn from N(0, I) afterwards is another bird. What the present caption names is replaced by noise: the caption
decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from dmm.aviary.anatomy import BILL_HEIGHT, BILL_LENGTH, HEAD, SCALE, build
from dmm.aviary.palette import SRGB, lab
from dmm.aviary.traits import BILL_LENGTHS, BILL_SHAPES, COLOURED_PARTS, COLOURS, HEAD_MARKS, SIZES, Bird
from dmm.errors import InputError

#: The parts whose colours a colour of the whole bird ("a red bird") leaves no longer open.
BODY_PARTS = ("back", "wing", "breast", "belly", "crown", "nape", "forehead", "tail")
HEAD_PARTS = ("crown", "forehead", "nape")
PATTERNS_OF = {"wing": ("bars", "spotted", "streaked", "multi-colored"), "breast": ("spotted", "streaked", "multi-colored")}
FEWEST = 100  # birds, for ranks and regressions to mean something
GROUND = 10  # numbers of the surroundings: principal components of the mean colours of six fields of the picture
ORDER = ("back", "wing", "belly", "breast", "throat", "crown", "forehead", "nape", "tail", "bill", "leg", "eye")


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Columns of N x K replaced by the standard normal quantiles of their ranks; equal values are told apart by their row."""
    rank = values.argsort(0, kind="stable").argsort(0, kind="stable")
    quantiles = np.array([NormalDist().inv_cdf((k + 0.5) / len(values)) for k in range(len(values))])
    return quantiles[rank]


def whitened(values: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` first principal components of N x K, each with unit variance."""
    u, _, _ = np.linalg.svd(values - values.mean(0), full_matrices=False)
    return u[:, :count] * np.sqrt(len(values))


@lru_cache(maxsize=1)
def _hues() -> dict[str, np.ndarray]:
    """Each colour name as three numbers: its Lab coordinates, whitened over the eleven names."""
    values = whitened(lab(np.array([SRGB[name] for name in COLOURS])), 3)
    return dict(zip(COLOURS, values, strict=True))


def _pose(bird: Bird) -> list[float]:
    """What the words for size and bill do not say of the build and the place in the picture."""
    a, frame = build(bird)
    return [
        frame.scale / SCALE[bird.size], frame.angle, *frame.shift, a.tilt, *a.body_radii, a.head_radius / HEAD[bird.size],
        a.head[1], a.tail_angle, a.tail_length, a.tail_width, a.tail_notch, a.wing_angle, a.wing_length, a.wing_height,
        a.bill_angle, a.bill_length / BILL_LENGTH[bird.bill_length], a.bill_height / BILL_HEIGHT[bird.bill_shape], a.near_foot[1],
    ]  # fmt: skip


class Factors:
    """The numbers of N training birds, and which of them a caption decides.

    Args:
        birds: the N birds.
        images: uint8 N 3 64 64.
        labels: part labels of the same, N 64 64; 0 is background.

    Raises:
        ValueError: too few birds.
    """

    def __init__(self, birds: Sequence[Bird], images: np.ndarray, labels: np.ndarray):
        if len(birds) < FEWEST:
            raise InputError(f"expected at least {FEWEST} birds, found {len(birds)}")
        self.names: list[str] = []  # of the columns: the slot of a caption that decides them, or "" for none
        columns = [normal_scores(np.array([_pose(bird) for bird in birds]))]
        self.names += [""] * columns[0].shape[1]
        columns.append(whitened(normal_scores(_surroundings(images, labels)), GROUND))
        self.names += [""] * GROUND
        self._add_traits(birds, columns)
        self._add_colours(birds, columns)
        self.values = torch.from_numpy(np.concatenate(columns, 1)).float().clamp(-3, 3)  # N F

    def _add_traits(self, birds: Sequence[Bird], columns: list[np.ndarray]) -> None:
        rows, names = [], ["place", "size", "bill_length", *["bill_shape"] * 2, *HEAD_MARKS]
        for patterned, kinds in PATTERNS_OF.items():
            names += [f"{patterned}_pattern"] * len(kinds)
        for bird in birds:
            jitter = bird.rng("factors").uniform(0, 1e-3, len(names))
            shape = 2 * np.pi * BILL_SHAPES.index(bird.bill_shape) / len(BILL_SHAPES)
            found = [bird.place == "ground", SIZES.index(bird.size), BILL_LENGTHS.index(bird.bill_length), np.cos(shape), np.sin(shape)]
            found += [mark in bird.marks for mark in HEAD_MARKS]
            found += [getattr(bird, f"{part}_pattern") == kind for part, kinds in PATTERNS_OF.items() for kind in kinds]
            rows.append(np.array(found, float) + jitter)
        columns.append(normal_scores(np.array(rows)))
        self.names += names

    def _add_colours(self, birds: Sequence[Bird], columns: list[np.ndarray]) -> None:
        """Three numbers a part: what the parts before it do not tell of its colour (the residual of a linear regression), whitened."""
        hues = _hues()
        known = np.zeros((len(birds), 0))
        for part in ORDER:
            colour = np.stack([hues[bird.colours[part][0]] for bird in birds])  # N 3
            design = np.concatenate((known, np.ones((len(birds), 1))), 1)
            residual = colour - design @ np.linalg.lstsq(design, colour, rcond=None)[0]
            columns.append(residual @ np.linalg.inv(np.linalg.cholesky(np.cov(residual.T))).T)
            self.names += [part] * 3
            known = np.concatenate((known, colour), 1)

    @property
    def count(self) -> int:
        """F, numbers a bird."""
        return self.values.shape[1]

    def decided(self, slots: Mapping[str, Sequence[str]]) -> Tensor:
        """F bool: does a caption that says ``slots`` decide this number?"""
        said = set(slots)
        if "head" in said:
            said |= set(HEAD_PARTS)
        if "body" in said:
            said |= set(BODY_PARTS)
        return torch.tensor([name in said for name in self.names])

    def noise(self, indices: Sequence[int], slots: Sequence[Mapping], noise: Tensor, colours: float, rng: torch.Generator) -> Tensor:
        """Z for B pictures: their numbers where the captions leave them open, the given noise B Z elsewhere.

        Args:
            indices: B places among the birds.
            slots: B, what the captions say.
            noise: B Z standard normal, Z at least F.
            colours: share of the parts left open whose colour z tells; noise for the others.
            rng: of that choice.
        """
        z = noise.clone()
        part = torch.tensor([COLOURED_PARTS.index(name) if name in COLOURED_PARTS else -1 for name in self.names])
        for row, index, said in zip(z, indices, slots, strict=True):
            told = torch.rand(len(COLOURED_PARTS), generator=rng) < colours
            keep = ~self.decided(said) & ((part < 0) | told[part])
            row[: self.count][keep] = self.values[index][keep]
        return z


def _surroundings(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean colour of the background in six fields (three rows, two columns) of each picture, N 18."""
    side, found = images.shape[-1], []
    third, half = side // 3, side // 2
    for row in range(3):
        for column in range(2):
            box = (slice(None), slice(row * third, (row + 1) * third), slice(column * half, (column + 1) * half))
            ground = (labels[box] == 0)[:, None]  # N 1 h w
            pixels = images[:, :, box[1], box[2]].astype(np.float32)
            found.append((pixels * ground).sum((2, 3)) / np.maximum(ground.sum((2, 3)), 1))
    return np.concatenate(found, 1)
