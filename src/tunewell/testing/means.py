"""Smooth answers of :mod:`.tables`: means of recorded trainings by the weights of a Gaussian process.

======= ================================================================================== ============
symbol  meaning                                                                            shape
======= ================================================================================== ============
B       what n trainings did at each of T steps: scores of their values, whether they had   ``(n, 3 T)``
        diverged, and logs of the seconds
A       K + η I, the kernel matrix of their configurations, see :mod:`tunewell.numerics.gp`  ``(n, n)``
k       the kernel of new configurations with these                                        ``(m, n)``
b       1ᵀ A⁻¹ B / 1ᵀ A⁻¹ 1, the mean without neighbours                                   ``(3 T,)``
======= ================================================================================== ============

The answer is the process's mean, column by column: k A⁻¹ B + (1 - k A⁻¹ 1) b (Rasmussen and Williams 2006, eq. 2.42,
with a constant for a basis), so all columns have the same weights, which add up to 1. Hyperparameters are those that
explain the scores of the last values best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
        gram: their configurations and the factor of A; None where all ends are alike.
        solved: A⁻¹ B, shape ``(n, 3 T)``.
        ones: A⁻¹ 1, shape ``(n,)``.
        level: b.
        ranks: the scale of values; a training that has diverged counts as the worst of all.
        range: the smallest and the largest log of the seconds.
    """

    gram: Gram | None
    solved: Floats
    ones: Floats
    level: Floats
    ranks: Ranks
    range: tuple[float, float]

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
        taken = np.where(seconds > 0.0, seconds, seconds.max(axis=1, keepdims=True))  # after a divergence: 0, mostly
        logs = np.log(np.where(taken > 0.0, taken, taken[taken > 0.0].min() if taken.any() else _INSTANT))
        both = np.concatenate([scores, diverged, logs], axis=1)
        ends, gram, solved, ones = scores[:, -1], None, both, np.ones(n)
        if len(columns) and ends.min() < ends.max():
            rows = np.unique(np.linspace(0, n - 1, min(n, _MOST_FITTED)).astype(int))
            targets = (ends[rows] - ends.mean()) / ends.std()
            theta, _ = gp.fit(gp.Evidence(columns, units[rows], targets), len(columns), _EVALUATIONS)
            gram = Gram.of(columns, theta, units)
            solved, ones = (gram.inverse.T @ (gram.inverse @ each) for each in (both, ones))
        level = solved.sum(axis=0) / ones.sum()
        return cls(gram, solved, ones, level, ranks, (float(logs.min()), float(logs.max())))

    def means(self, units: Floats) -> Floats:
        """Return the columns of B for configurations at ``units``, ``(m, d)`` to ``(m, 3 T)``."""
        if self.gram is None:
            return np.tile(self.level, (len(units), 1))
        k = self.gram.kernel.at(self.gram.kernel.features(units)).matrix(self.gram.points)
        return np.asarray(k @ self.solved + (1.0 - k @ self.ones)[:, None] * self.level)

    def answers(self, units: Floats) -> tuple[Floats, Floats]:
        """Return losses, NaN from where a training diverges, and seconds at ``units``, ``(m, d)``: both ``(m, T)``."""
        scores, diverged, logs = np.split(self.means(units), 3, axis=1)
        gone = np.logical_or.accumulate(diverged > 0.5, axis=1)
        return np.where(gone, np.nan, self.ranks.value(scores)), np.exp(np.clip(logs, *self.range))
