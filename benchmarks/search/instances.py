"""What a problem is: a family of instances, one per seed, each with its space, its true loss and its known optimum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from tunewell.space import Space

Params: TypeAlias = Mapping[str, Any]
Losses: TypeAlias = tuple[float, ...]


def generator(seed: int) -> np.random.Generator:
    """Return the generator that makes an instance, apart from the stream a method gets from the same seed."""
    return np.random.default_rng([0x7E57, seed])


@dataclass(frozen=True)
class Instance:
    """One instance with one objective.

    ``truth`` is the loss without noise, minimised, and ``optimum`` its minimum over the space. ``minimiser`` attains
    it, or comes within rounding of it. ``noise`` is the standard deviation of what an evaluation adds; a table that
    recorded several seeds gives ``observed`` instead, which draws one of them. Where ``slow``, the truth takes long to
    find out and is asked for only where it counts.
    """

    space: Space
    truth: Callable[[Params], float]
    optimum: float
    noise: float = 0.0
    minimiser: Params | None = None
    observed: Callable[[Params, np.random.Generator], float] | None = None
    slow: bool = False

    def evaluate(self, params: Params, rng: np.random.Generator) -> float:
        """Return what training ``params`` once would report."""
        if self.observed is not None:
            return self.observed(params, rng)
        return self.truth(params) + (self.noise * float(rng.standard_normal()) if self.noise else 0.0)


@dataclass(frozen=True)
class Several:
    """One instance with several objectives, all minimised, without noise.

    ``hypervolume`` is the volume between the whole front and ``reference``; ``front`` are points of the front.
    """

    space: Space
    truth: Callable[[Params], Losses]
    reference: Losses
    hypervolume: float
    front: Callable[[int], np.ndarray]  # n -> about n points of the front, shape (n, n_objectives)

    def evaluate(self, params: Params, rng: np.random.Generator) -> Losses:
        """Return what training ``params`` once would report; draws nothing."""
        return self.truth(params)


@dataclass(frozen=True)
class Problem:
    """A family of instances with one objective; the same seed makes the same instance."""

    name: str
    make: Callable[[int], Instance]


@dataclass(frozen=True)
class SeveralProblem:
    """A family of instances with several objectives; the same seed makes the same instance."""

    name: str
    make: Callable[[int], Several]
