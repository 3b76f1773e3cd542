"""Random numbers and textures of a flock: each bird draws from a generator of its own, whatever its neighbours are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dmm.aviary.traits import Bird


class BirdRng:
    """One random generator for each of B birds, for one purpose."""

    def __init__(self, birds: Sequence[Bird], purpose: str):
        self._rngs = [bird.rng(purpose) for bird in birds]

    def uniform(self, low: float = -1.0, high: float = 1.0) -> np.ndarray:
        """B numbers."""
        return np.array([rng.uniform(low, high) for rng in self._rngs])

    def integers(self, low: int, high: int) -> np.ndarray:
        """B whole numbers, ``low`` included, ``high`` not."""
        return np.array([rng.integers(low, high) for rng in self._rngs])

    def pick(self, table: Sequence) -> np.ndarray:
        """One row of the table for each bird: B and the shape of a row."""
        return np.array(table)[self.integers(0, len(table))]

    def grid(self, rows: int, columns: int, device: torch.device) -> Tensor:
        """Normal random numbers, B 1 ``rows`` ``columns``."""
        values = np.stack([rng.standard_normal((1, rows, columns), dtype=np.float32) for rng in self._rngs])
        return torch.from_numpy(values).to(device)

    def noise(self, waves: int, size: int, device: torch.device) -> Tensor:
        """Smooth noise of mean 0 and deviation about 0.8: ``waves`` x ``waves`` random values enlarged to B ``size`` ``size``."""
        return F.interpolate(self.grid(waves, waves, device), size=(size, size), mode="bicubic", align_corners=False)[:, 0]

    def texture(self, u: Tensor, v: Tensor, wave_u: float, wave_v: float, cells: int = 48) -> Tensor:
        """Noise of mean 0 and deviation about 0.7 that belongs to coordinates, not to pixels; its grain is ``wave_u`` by ``wave_v``."""
        k = 2.0 / cells
        where = torch.stack((u * (k / wave_u), v * (k / wave_v)), dim=1).permute(0, 2, 3, 1)  # B H W 2; as two maps, faster made and read
        values = self.grid(cells, cells, u.device)
        return F.grid_sample(values, where, mode="bilinear", padding_mode="reflection", align_corners=False)[:, 0]
