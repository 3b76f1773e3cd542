"""Random numbers of training: a generator of its own for each (seed, purpose, step), so that a resumed run draws what the first would have.

PyTorch seeds its CPU generator with the lower 32 bits of a number, of which the steps and purposes of a long run would share some. Here
the whole state of 624 words is filled from the names of what is drawn, through NumPy's :class:`~numpy.random.SeedSequence`.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch

from dmm.training.ranks import Ranks

STATE = slice(24, 24 + 624 * 8)  # bytes of the words in the state of a CPU generator; before them: seed, words left, seeded, next


class Purpose(IntEnum):
    """What random numbers are for. A number is never given to another purpose."""

    TRAINING = 0  # pictures, captions and crops of a step
    AUGMENTATION = 1  # of the pictures that an encoder reads
    DROPOUT = 2
    MASKED_WORDS = 3
    RECALLED_WORDS = 4
    FROZEN_AUGMENTATION = 5  # of the pictures that a frozen trunk reads once
    NOISE = 6  # z and eps
    EXCHANGED_WORDS = 7
    CORRUPTED_SENTENCES = 8
    GUIDANCE_AUGMENTATION = 9
    GUIDANCE_WORDS = 10
    CALIBRATION = 11
    WORD_SCALE = 12
    KEY_SPREAD = 13
    STATISTICS = 14  # of the batch norms of the generator's EMA
    EVALUATION = 15


def _words(seed: int, purpose: Purpose, index: int, part: int, rank: int, count: int) -> np.ndarray:
    named = np.random.SeedSequence([abs(seed), int(seed < 0), int(purpose), index, part, rank])
    return named.generate_state(count, np.uint32)


def step_rng(seed: int, index: int, purpose: Purpose, ranks: Ranks | None = None, part: int = 0) -> torch.Generator:
    """The random generator of one step.

    Args:
        seed: of the run.
        index: number of the step, any size.
        purpose: what is drawn.
        ranks: for a generator of this process alone, on its device; without it every process draws the same, on the CPU.
        part: which of several draws for one purpose.
    """
    rank = 0 if ranks is None else ranks.rank + 1
    generator = torch.Generator("cpu" if ranks is None else ranks.device)
    if generator.device.type != "cpu":  # Philox takes all 64 bits
        low, high = _words(seed, purpose, index, part, rank, 2).tolist()
        return generator.manual_seed(low | (high >> 1) << 32)
    state = generator.manual_seed(0).get_state().numpy()
    state[STATE] = _words(seed, purpose, index, part, rank, 624).astype(np.uint64).view(np.uint8)
    generator.set_state(torch.from_numpy(state))
    return generator


class StepRandom:
    """The random generators of one step, each made when it is first asked for and drawn on from then: micro-batches share no draws.

    Args:
        seed: of the run.
        index: number of the step.
    """

    def __init__(self, seed: int, index: int):
        self.seed, self.index = seed, index
        self._made: dict[tuple[Purpose, int], torch.Generator] = {}

    def __call__(self, purpose: Purpose, ranks: Ranks | None = None, part: int = 0) -> torch.Generator:
        """The generator of a purpose and a part of it. Arguments as of :func:`step_rng`; a purpose has the same ``ranks`` always."""
        if (purpose, part) not in self._made:
            self._made[purpose, part] = step_rng(self.seed, self.index, purpose, ranks, part)
        return self._made[purpose, part]


def seed_dropout(seed: int, index: int) -> None:
    """Set the random numbers that PyTorch's own layers draw in a step, on every device; the same in all processes."""
    generator = step_rng(seed, index, Purpose.DROPOUT)
    torch.set_rng_state(generator.get_state())
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(int(torch.randint(2**63 - 1, (), generator=generator)))
