"""Smooth answers of :mod:`.tables`: means of recorded trainings by the weights of a Gaussian process.

======= ================================================================================== ============
symbol  meaning                                                                            shape
======= ================================================================================== ============
Z       scores of the values of n trainings at each of T steps                             ``(n, T)``
A       K + η I, the kernel matrix of their configurations, see :mod:`tunewell.numerics.gp`  ``(n, n)``
k       the kernel of new configurations with these                                        ``(m, n)``
W       weights: W Z is the process's mean at new configurations, step by step             ``(m, n)``
======= ================================================================================== ============

As the mean of the process is estimated, too, W = k A⁻¹ + (1 - k A⁻¹ 1) (1ᵀ A⁻¹) / (1ᵀ A⁻¹ 1), whose rows add up to 1
(Rasmussen and Williams 2006, eq. 2.42, with a constant for a basis). Hyperparameters are those that explain the scores
of the last values best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from tunewell.numerics import gp
from tunewell.numerics.gram import Gram
from tunewell.numerics.kernels import Columns
from tunewell.scales import Floats

_MOST_FITTED = 300
_EVALUATIONS = 60
_INSTANT = 1e-9  # seconds, where no step takes any


@dataclass(frozen=True, eq=False)
class Ranks:
    """Values as the normal scores of their ranks, and back.

    Attributes:
        values: different finite ones, ascending, shape ``(k,)``.
        scores: of these, shape ``(k,)``.
    """

    values: Floats
    scores: Floats

    @classmethod
    def of(cls, values: Floats) -> Ranks:
        """Return the scale of all finite ``values``, of any shape; of none, that of a 0."""
        known = np.append(values[np.isfinite(values)], [] if np.isfinite(values).any() else [0.0])
        different, first = np.unique(known, return_index=True)
        return cls(different, ndtri((rankdata(known)[first] - 0.5) / len(known)))

    def score(self, values: Floats) -> Floats:
        """Return the scores of values."""
        return np.asarray(np.interp(values, self.values, self.scores))

    def value(self, scores: Floats) -> Floats:
        """Return the values with these scores, between the smallest and the largest one."""
        return np.asarray(np.interp(scores, self.scores, self.values))


@dataclass(frozen=True, eq=False)
class Smooth:
    """Recorded trainings whose means answer.

    Attributes:
        gram: their configurations and the factor of A; None where all are alike.
        whole: A⁻¹ 1, so that it adds up to 1, shape ``(n,)``.
        ranks: the scale of values.
        scores: Z; a training that has diverged counts as the worst value of all.
        diverged: which have by then, shape ``(n, T)``.
        logs: of the seconds that each step takes, shape ``(n, T)``.
    """

    gram: Gram | None
    whole: Floats
    ranks: Ranks
    scores: Floats
    diverged: NDArray[np.bool_]
    logs: Floats

    @classmethod
    def of(cls, columns: Columns, units: Floats, losses: Floats, seconds: Floats) -> Smooth:
        """Return the means of trainings.

        Args:
            columns: of the d coordinates.
            units: of each configuration, shape ``(n, d)``, NaN where inactive.
            losses: after each step, shape ``(n, T)``, NaN from where a training has diverged.
            seconds: that each step takes, from 0 on, shape ``(n, T)``.
        """
        n, diverged = len(units), ~np.isfinite(losses)
        ranks = Ranks.of(losses)
        scores = np.where(diverged, ranks.scores[-1], ranks.score(losses))
        logs = np.log(np.maximum(seconds, np.min(seconds[seconds > 0.0], initial=_INSTANT)))
        ends, gram, whole = scores[:, -1], None, np.full(n, 1.0 / n)
        if len(columns) and ends.min() < ends.max():
            rows = np.unique(np.linspace(0, n - 1, min(n, _MOST_FITTED)).astype(int))
            targets = (ends[rows] - ends.mean()) / ends.std()
            theta, _ = gp.fit(gp.Evidence(columns, units[rows], targets), len(columns), _EVALUATIONS)
            gram = Gram.of(columns, theta, units)
            whole = gram.inverse.T @ gram.inverse.sum(axis=1)
            whole /= whole.sum()
        return cls(gram, whole, ranks, scores, diverged, logs)

    def weights(self, units: Floats) -> Floats:
        """Return W for configurations at ``units``, ``(m, d)`` to ``(m, n)``."""
        if self.gram is None:
            return np.tile(self.whole, (len(units), 1))
        k = self.gram.kernel.at(self.gram.kernel.features(units)).matrix(self.gram.points)
        known = self.gram.solved(k) @ self.gram.inverse
        return np.asarray(known + (1.0 - known.sum(axis=1, keepdims=True)) * self.whole)

    def answers(self, units: Floats) -> tuple[Floats, Floats]:
        """Return losses, NaN from where a training diverges, and seconds at ``units``, ``(m, d)``: both ``(m, T)``."""
        weights = self.weights(units)
        diverged = np.logical_or.accumulate(weights @ self.diverged > 0.5, axis=1)
        losses = np.where(diverged, np.nan, self.ranks.value(weights @ self.scores))
        return losses, np.exp(np.clip(weights @ self.logs, self.logs.min(), self.logs.max()))
