"""Quasi-random search: a scrambled Sobol sequence, which fills the space more evenly than random draws.

Sobol (1967); scrambling after Owen, "Randomly permuted (t, m, s)-nets and (t, s)-sequences" (1995), in the linear
matrix scramble with digital shift of SciPy's implementation. The first 2^m points of a study are a balanced net.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from tunewell.history import History
from tunewell.space import Config, Space

_BLOCK = 256


@dataclass(frozen=True)
class Sobol:
    """The next point of the sequence that belongs to the study's seed; ignores the results."""

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return the point whose index is the number of suggestions before it."""
        if not len(space):
            return {}
        block, row = divmod(history.suggested, _BLOCK)
        return space.decode_one(_points(len(space), history.seed, block)[row].tolist())


@lru_cache(maxsize=8)
def _points(dimension: int, seed: int, block: int) -> NDArray[np.float64]:
    """Return one block of the sequence, shape ``(_BLOCK, dimension)``."""
    sequence = qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng([seed, dimension]))
    if block:
        sequence.fast_forward(block * _BLOCK)
    return np.asarray(sequence.random(_BLOCK), dtype=np.float64)
