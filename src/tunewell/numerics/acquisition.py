"""Acquisition functions for minimisation, and a vectorised climber that maximises them.

======= =====================================
symbol  meaning
======= =====================================
μ, σ    posterior mean and std, shape ``(m,)``
f       the value to improve on
z       (f - μ) / σ
======= =====================================

All take μ, σ and f, or what stands in its place, and return one value per point, larger for better, with its
derivatives in μ and σ. Expected improvement itself, E[max(f - y, 0)], is the exponential of its log. With a noisy
objective f is the smallest posterior *mean* among the points tried, not the smallest observation (Picheny et al. 2013).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from tunewell.numerics.excess import LOG_ROOT_2PI, log_mean_excess
from tunewell.scales import Floats


def log_expected_improvement(mean: Floats, std: Floats, best: float) -> tuple[Floats, Floats, Floats]:
    """Return log E[max(f - y, 0)] and its derivatives in μ and σ, exact far into the tail.

    Ament et al., "Unexpected improvements to expected improvement" (arXiv:2310.20708), eq. 9; see :mod:`.excess`.
    """
    return log_mean_excess((best - mean) / std, std)


def log_probability_of_improvement(mean: Floats, std: Floats, best: float) -> tuple[Floats, Floats, Floats]:
    """Return log P[y < f] = log Φ(z) and its derivatives in μ and σ."""
    z = (best - mean) / std
    value: Floats = log_ndtr(z)
    slope: Floats = np.exp(-0.5 * z * z - LOG_ROOT_2PI - value)  # φ/Φ
    return value, -slope / std, -slope * z / std


def lower_confidence_bound(mean: Floats, std: Floats, width: float) -> tuple[Floats, Floats, Floats]:
    """Return -(μ - ``width`` σ), the bound of Srinivas et al. (2010) for minimisation, and its derivatives."""
    bound: Floats = width * std - mean
    return bound, np.full(mean.shape, -1.0), np.full(mean.shape, width)


# --- as functions of μ and σ alone ------------------------------------------------------------------------------------

Measure = Callable[[Floats, Floats], tuple[Floats, Floats, Floats]]
"""Mean and deviation, both ``(m,)``, to a value and its derivatives in them."""


def expecting(best: float) -> Measure:
    """Return the log of the expected improvement over ``best``."""
    return lambda mean, std: log_expected_improvement(mean, std, best)


def improving(best: float) -> Measure:
    """Return the log of the probability of improvement over ``best``."""
    return lambda mean, std: log_probability_of_improvement(mean, std, best)


def bounding(width: float) -> Measure:
    """Return the confidence bound ``width`` deviations from the mean."""
    return lambda mean, std: lower_confidence_bound(mean, std, width)


def averaging(measures: Sequence[Measure]) -> Measure:
    """Return the log of the mean of what several measures give the log of.

    With expected improvements over draws of the best true value among the points tried this is the noisy expected
    improvement of Letham et al. (2019, "Constrained Bayesian optimization with noisy experiments", eq. 9), except that
    the process is not conditioned on each draw.
    """

    def average(mean: Floats, std: Floats) -> tuple[Floats, Floats, Floats]:
        values, by_mean, by_std = (np.array(each) for each in zip(*[m(mean, std) for m in measures], strict=True))
        total: Floats = np.logaddexp.reduce(values, axis=0)
        shares = np.exp(values - total)
        return total - np.log(len(values)), (shares * by_mean).sum(axis=0), (shares * by_std).sum(axis=0)

    return average


def log_works(mean: Floats, std: Floats) -> tuple[Floats, Floats, Floats]:
    """Return log P[label < ½] for a process on labels (1: failed, 0: worked), and its derivatives in μ and σ.

    A probit with the process's own uncertainty and a tenth of a label of slack.
    """
    spread = np.sqrt(std * std + 0.01)
    value, by_mean, by_spread = log_probability_of_improvement(mean, spread, 0.5)
    return value, by_mean, by_spread * std / spread


def times(factor: float, measure: Measure) -> Measure:
    """Return a measure ``factor`` times as large."""

    def scaled(mean: Floats, std: Floats) -> tuple[Floats, Floats, Floats]:
        value, by_mean, by_std = measure(mean, std)
        return factor * value, factor * by_mean, factor * by_std

    return scaled


def log_kept(mean: Floats, std: Floats) -> tuple[Floats, Floats, Floats]:
    """Return log P[y < 0], that a constraint whose bound lies at 0 is kept, and its derivatives in μ and σ."""
    return log_probability_of_improvement(mean, std, 0.0)


# --- the climber ------------------------------------------------------------------------------------------------------

Objective = Callable[[Floats], tuple[Floats, Floats]]


def climb(objective: Objective, points: Floats, free: NDArray[np.bool_], steps: int) -> tuple[Floats, Floats]:
    """Return points, ``(b, d)``, improved by projected BFGS in the unit cube, all rows at once, and values, ``(b,)``.

    ``objective`` maps ``(b, d)`` to values ``(b,)`` and gradients ``(b, d)``; only the coordinates with ``free``, shape
    ``(b, d)``, move. Every step is one evaluation: a row that did not improve tries a quarter of its step next.
    """
    state = _Climbers(points, free, *objective(points))
    for _ in range(steps):
        new = state.proposal()
        if not state.take(new, *objective(np.where(free, new, points))):
            break
    return np.where(free, state.x, points), state.value


class _Climbers:
    """b climbers with their inverse Hessians, ``(b, d, d)``, of the negative objective."""

    def __init__(self, points: Floats, free: NDArray[np.bool_], value: Floats, gradient: Floats) -> None:
        b, d = points.shape
        self.x = np.nan_to_num(points)
        self._free = free
        self.value, self._gradient = value, np.where(free, gradient, 0.0)
        self._hessian = np.eye(d) * _first_step(self._gradient)[:, None, None]
        self._fresh = np.ones(b, dtype=np.bool_)
        self._length = np.ones(b)

    def proposal(self) -> Floats:
        """Return where to go next, shape ``(b, d)``: at most a quarter of the cube away."""
        g = self._gradient
        walled = ((self.x <= 0.0) & (g < 0.0)) | ((self.x >= 1.0) & (g > 0.0))
        g = np.where(walled, 0.0, g)
        direction = np.where(walled, 0.0, np.matmul(self._hessian, g[:, :, None])[:, :, 0])
        uphill = np.einsum("bi,bi->b", direction, g) > 0.0
        if not uphill.all():
            direction = np.where(uphill[:, None], direction, g * _first_step(g)[:, None])
        most = np.maximum(np.abs(direction).max(axis=1), 1e-300)
        new: Floats = self.x + (self._length * np.minimum(1.0, 0.25 / most))[:, None] * direction
        return np.minimum(np.maximum(new, 0.0, out=new), 1.0, out=new)

    def take(self, new: Floats, value: Floats, gradient: Floats) -> bool:
        """Take in what was found at ``new``; return whether going on is worth while."""
        better = value > self.value
        taken = better[:, None]
        new, gradient = np.where(taken, new, self.x), np.where(taken & self._free, gradient, self._gradient)
        value = np.where(better, value, self.value)
        self._update(new - self.x, self._gradient - gradient)
        gain = np.max(value - self.value, where=better, initial=0.0)
        self.x, self._gradient, self.value = new, gradient, value
        self._length = np.where(better, np.minimum(1.0, 2.0 * self._length), 0.25 * self._length)
        return bool(gain > 1e-5 or (not better.all() and self._length.max() > 1e-3))

    def _update(self, s: Floats, y: Floats) -> None:
        """Apply the BFGS formula (Nocedal and Wright 2006, eq. 6.17) to the rows with positive curvature."""
        sy = np.einsum("bi,bi->b", s, y)
        curved = sy > 1e-12
        begin = self._fresh & curved
        if begin.any():  # their eq. 6.20: the scale of the first matrix
            scale = sy[begin] / np.einsum("bi,bi->b", y[begin], y[begin])
            self._hessian[begin] = np.eye(s.shape[1]) * scale[:, None, None]
            self._fresh &= ~begin
        rho = np.where(curved, 1.0 / np.where(curved, sy, 1.0), 0.0)
        hy = rho[:, None] * np.matmul(self._hessian, y[:, :, None])[:, :, 0]
        half = 0.5 * (rho + rho * np.einsum("bi,bi->b", y, hy))
        part = s[:, :, None] * (half[:, None] * s - hy)[:, None, :]
        self._hessian += part
        self._hessian += part.transpose(0, 2, 1)


def _first_step(gradient: Floats) -> Floats:
    """Return the factor that makes the largest coordinate of a gradient step 0.05, shape ``(b,)``."""
    factor: Floats = 0.05 / np.maximum(np.abs(gradient).max(axis=1, initial=0.0), 1e-12)
    return factor
