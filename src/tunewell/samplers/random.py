"""Random search: every configuration drawn anew, each parameter uniform on its own scale.

Bergstra and Bengio, "Random search for hyper-parameter optimization", JMLR 13 (2012): n trials try n values of the
parameter that matters, where a grid tries few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell.history import History
from tunewell.space import Config, Space


@dataclass(frozen=True)
class Random:
    """Independent uniform draws; ignores the history."""

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return a random configuration."""
        return space.sample(rng)
