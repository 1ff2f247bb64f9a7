"""Learning curves of many configurations as one process: how a training will go on, and where a new one will end.

======= ============================================================== =======================
symbol  meaning                                                        shape
======= ============================================================== =======================
x       features of a configuration in aligned coordinates, see        ``(n, n_features)``
        :mod:`.kernels` and :mod:`.trends`
t       how far it was trained: log step / log horizon, in [0, 1]      ``(n,)``
i       which curve a point belongs to                                 ``(n,)``
y       losses, about standardised                                     ``(n,)``
m       what is usual at x and t, see :mod:`.trends`                   ``(n,)``
θ       log ℓ, log a, log odds of β, log η, log γ, log ω               ``(2 d + 4,)``
H       1, t and, where there is any, m: the mean is H b, where b₁     ``(n, 2 or 3)``
        and b₂ have normal laws: the drift's and the trust's
======= ============================================================== =======================

The covariance of two points, in units of the signal variance s², is

    k(x, x') (1 + γ m) + [i = i'] ω (κ + m) + [same point] η,      m = min(t, t').

The first part is a function of x at the beginning, and increments in the log of the steps that are functions of x as
well: what trainings of neighbouring configurations do from here on is alike, and the farther the end, the less is known
of it, without limit to either side. So curves may cross; and where all losses are alike at first (a plateau), γ is
large and early ranks are not believed. The second part is the curve's own: two trainings of the same configuration
drift apart. An increment does not depend on what came before, so nothing is extrapolated but the mean's slope, which
has a prior; κ is what differs after the first step. What is usual (m) is believed as far as it is borne out: b₂ is near
1 before any loss, and what the losses say afterwards.

Everything else is as in :mod:`.gp`. Freeze-thaw (Swersky et al. 2014, arXiv:1406.3896) has one process of the limits
and independent exponential decays instead, which know nothing of their neighbours; a process of (x, t) with a
stationary kernel (Kandasamy et al. 2017, arXiv:1703.06240) extrapolates trends, which sends searches after mirages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from tunewell.numerics import gp
from tunewell.numerics.gp import RATE, SHAPE
from tunewell.numerics.gram import cholesky
from tunewell.numerics.kernels import Columns, Kernel, matern52
from tunewell.numerics.trends import Trend
from tunewell.scales import Floats

KAPPA = 0.1
_ROOT5 = float(np.sqrt(5.0))


@dataclass(frozen=True)
class Drift:
    """What is known of the mean's slope before any curve: its centre and deviation τ in units of s."""

    center: float = -0.5
    std: float = 0.5


TRUST = Drift(1.0, 0.5)
"""The same of b₂, how far what is usual is believed."""


@dataclass(frozen=True)
class Law:
    """The normal laws of the last entries of θ, as centres and deviations, and how much shorter ℓ may be.

    The laws of log γ, log ω and log η and the drift's are what 27 recorded tasks teach
    (``benchmarks/fidelity/learn_priors.py``): with them the ends of trainings of other tasks are foretold with a
    slightly higher likelihood than with wider ones, and intervals hold what they promise. The law of log ℓ is that of
    :mod:`.gp`; where that of any column is known, the centres of all are moved down by ``shorter``: what is chosen of
    the unknown from few points is better so (``benchmarks/fidelity/choosing.py``).
    """

    growth: tuple[float, float] = (1.5, 0.8)
    own: tuple[float, float] = (-2.0, 1.5)
    noise: tuple[float, float] = (-6.0, 2.0)
    shorter: float = 0.5


_KNOWN = 0.5  # the deviation of a log length scale that something is known of


@lru_cache(maxsize=64)
def prior(d: int, law: Law = Law(), lengths: tuple[tuple[int, float], ...] = ()) -> gp.Prior:
    """Return the prior of θ for d columns, with its starts: early ranks that last, and such that do not.

    ``lengths`` are those of :class:`~.trends.Trend`.
    """
    plain = gp.prior(d)
    shift, std = np.zeros(len(plain.center)), plain.std.copy()
    shift[:d] = -law.shorter if lengths else 0.0
    for column, length in lengths:
        shift[column] += length
        std[column] = _KNOWN
    shift = np.clip(shift, plain.low - plain.starts[0], plain.high - plain.starts[0])

    def join(values: Floats, noise: float, growth: float, own: float) -> Floats:
        return np.concatenate([values[:-1], [noise, growth, own]])

    starts = [
        join(plain.starts[0] + shift, law.noise[0], law.growth[0] + growth, law.own[0])
        for growth in (-law.growth[1], law.growth[1])
    ]
    return gp.Prior(
        center=join(plain.center + shift, law.noise[0], law.growth[0], law.own[0]),
        std=join(std, law.noise[1], law.growth[1], law.own[1]),
        low=join(plain.low, np.log(1e-6), -6.0, -12.0),
        high=join(plain.high, np.log(10.0), 6.0, 4.0),
        starts=np.stack(starts),
    )


class Evidence:
    """The log posterior of θ given curves, to be maximised; ``prior`` is that of θ."""

    def __init__(
        self,
        columns: Columns,
        units: Floats,
        times: Floats,
        owners: NDArray[np.int64],
        targets: Floats,
        drift: Drift = Drift(),
        law: Law = Law(),
        trend: Trend | None = None,
    ) -> None:
        """Take in ``units``, shape ``(n, d)``, and t, i and y, each ``(n,)``."""
        n = len(targets)
        self._rows, self._others = np.triu_indices(n, 1)
        self._above = self._rows * n + self._others
        distances = columns.distances(columns.features(_aligned(units, trend)), self._rows, self._others)
        self._squared = distances * distances
        self._roots = _ROOT5 * distances
        self._common = np.minimum(times[self._rows], times[self._others])
        self._same = np.where(owners[self._rows] == owners[self._others], KAPPA + self._common, 0.0)
        self._times, self._targets, self._drift = times, targets, drift
        self._basis = _basis(units, times, trend)
        self.prior = prior(len(columns), law, () if trend is None else trend.lengths)

    def value_and_gradient(self, theta: Floats) -> tuple[float, Floats]:
        """Return the log posterior at θ and its gradient, shape ``(2 d + 4,)``."""
        n, d = len(self._targets), len(self._squared)
        weights, rates = np.exp(-2.0 * theta[:d]), np.exp(-theta[d : 2 * d])
        beta = 1.0 / (1.0 + np.exp(-theta[2 * d]))
        eta, growth, own = np.exp(theta[2 * d + 1 :])
        joint, joint_slope = matern52(weights @ self._squared)
        r = self._roots * rates[:, None]
        decay = np.exp(-r)
        single = ((1.0 + r + r * r / 3.0) * decay).mean(axis=0)
        alike = (1.0 - beta) * joint + beta * single
        factors = 1.0 + growth * self._common
        matrix = np.zeros(n * n)
        matrix[self._above] = alike * factors + own * self._same
        matrix[:: n + 1] = 1.0 + growth * self._times + own * (KAPPA + self._times) + eta
        factor, failed = lapack.dpotrf(matrix.reshape(n, n).T, lower=1, clean=0, overwrite_a=1)
        if failed:
            return -1e25, np.zeros(len(theta))
        alpha, residual, _, surprise = _residuals(factor, self._basis, self._targets, self._drift)
        q = RATE + 0.5 * (float(alpha @ residual) + surprise)
        value = -(SHAPE + 0.5 * n) * np.log(q) - np.log(np.diagonal(factor)).sum()
        scale = q / (SHAPE + 0.5 * n)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        inner = alpha[self._rows] * alpha[self._others] / scale - inverse.T.ravel()[self._above]
        diagonal = 0.5 * (alpha * alpha / scale - np.diagonal(inverse))
        by_alike = inner * factors
        gradient = np.empty(len(theta))
        gradient[:d] = (-2.0 * (1.0 - beta)) * weights * (self._squared @ (by_alike * joint_slope))
        gradient[d : 2 * d] = (beta / (3.0 * d)) * ((r * r * (1.0 + r) * decay) @ by_alike)
        gradient[2 * d] = beta * (1.0 - beta) * ((single - joint) @ by_alike)
        gradient[2 * d + 1] = eta * diagonal.sum()
        gradient[2 * d + 2] = growth * ((alike * self._common) @ inner + self._times @ diagonal)
        gradient[2 * d + 3] = own * (self._same @ inner + (KAPPA + self._times) @ diagonal)
        away = (theta - self.prior.center) / self.prior.std
        return float(value - 0.5 * away @ away), gradient - away / self.prior.std


def _aligned(units: Floats, trend: Trend | None) -> Floats:
    """Return the coordinates that the process compares, ``(n, d)``."""
    return units if trend is None else trend.aligned(units)


def _basis(units: Floats, times: Floats, trend: Trend | None) -> Floats:
    """Return H, shape ``(n, 2)``, or ``(n, 3)`` where something is usual."""
    usual = [] if trend is None or trend.is_flat else [trend.value(units, times)]
    return np.stack([np.ones(len(times)), times, *usual], axis=1)


def _residuals(factor: Floats, basis: Floats, targets: Floats, drift: Drift) -> tuple[Floats, Floats, Floats, float]:
    """Return α and y - H b, both of shape ``(n,)``, b at its best given its laws, and how far it is from their centres.

    The last is the sum of squared distances in units of the deviations.
    """
    solved, _ = lapack.dpotrs(factor, np.column_stack([targets, basis]), lower=1)
    left, k = basis.T @ solved, basis.shape[1]
    center = np.array([0.0, drift.center, TRUST.center])[:k]
    precision = np.array([0.0, drift.std**-2.0, TRUST.std**-2.0])[:k]
    b = np.linalg.solve(left[:, 1:] + np.diag(precision + 1e-12), left[:, 0] + precision * center)
    return solved[:, 0] - solved[:, 1:] @ b, targets - basis @ b, b, float(precision @ (b - center) ** 2)


def fit(evidence: Evidence, evaluations: int) -> tuple[Floats, float]:
    """Climb by L-BFGS-B from the better of the prior's starts; return θ and its log posterior."""
    given = evidence.prior
    start = max(given.starts, key=lambda theta: evidence.value_and_gradient(theta)[0])
    bounds = np.stack([given.low, given.high], axis=1)
    return gp.climb(evidence.value_and_gradient, start, bounds, evaluations)


@dataclass(frozen=True)
class Curves:
    """The process given curves.

    Attributes:
        kernel: k.
        inputs: features, shape ``(n, n_features)``.
        times, owners: t and i, shape ``(n,)``.
        factor: the lower Cholesky factor of the covariance, shape ``(n, n)``.
        noise, growth, own: η, γ, ω.
        drift: of the mean's slope.
        trend: what is usual, None where nothing is.
        basis: H.
        alpha: shape ``(n,)``.
        mean: b, shape ``(2,)`` or ``(3,)``.
        variance: s².
    """

    kernel: Kernel
    inputs: Floats
    times: Floats
    owners: NDArray[np.int64]
    factor: Floats
    noise: float
    growth: float
    own: float
    drift: Drift
    trend: Trend | None
    basis: Floats
    alpha: Floats
    mean: Floats
    variance: float

    @classmethod
    def of(
        cls,
        columns: Columns,
        theta: Floats,
        units: Floats,
        times: Floats,
        owners: NDArray[np.int64],
        targets: Floats,
        drift: Drift = Drift(),
        trend: Trend | None = None,
    ) -> Curves:
        """Return the process with hyperparameters θ given points of curves, as :class:`Evidence` takes them."""
        d, n = len(columns), len(targets)
        share = float(1.0 / (1.0 + np.exp(-theta[2 * d])))
        eta, growth, own = (float(value) for value in np.exp(theta[2 * d + 1 :]))
        kernel = Kernel(columns, np.exp(theta[:d]), np.exp(theta[d : 2 * d]), share)
        inputs = columns.features(_aligned(units, trend))
        common = np.minimum(times[:, None], times[None, :])
        matrix = kernel.square(inputs) * (1.0 + growth * common)
        matrix += np.where(owners[:, None] == owners[None, :], own * (KAPPA + common), 0.0)
        matrix[np.arange(n), np.arange(n)] = 1.0 + growth * times + own * (KAPPA + times) + eta
        basis = _basis(units, times, trend)
        nothing = np.zeros(n), np.zeros(basis.shape[1]), 1.0
        found = cls(kernel, inputs, times, owners, cholesky(matrix), eta, growth, own, drift, trend, basis, *nothing)
        return found.given(targets)

    def given(self, targets: Floats) -> Curves:
        """Return the process with other losses at its points, shape ``(n,)``, in O(n²)."""
        alpha, residual, b, surprise = _residuals(self.factor, self.basis, targets, self.drift)
        q = RATE + 0.5 * (float(alpha @ residual) + surprise)
        return replace(self, alpha=alpha, mean=b, variance=q / (SHAPE + 0.5 * len(targets)))

    def predict(self, units: Floats, time: float = 1.0) -> tuple[Floats, Floats]:
        """Return mean and deviation, without noise, of new trainings of ``units`` at one t: ``(m, d)`` to ``(m,)``."""
        k = self.kernel.matrix(self._features(units), self.inputs)
        k *= 1.0 + self.growth * np.minimum(self.times, time)
        return self._posterior(k, units, np.full(len(units), time))

    def predict_with_slopes(self, units: Floats, time: float = 1.0) -> tuple[Floats, Floats, Floats, Floats]:
        """Return mean, deviation and their gradients in the coordinates, ``(m,), (m,), (m, d), (m, d)``."""
        aligned, factors = _aligned(units, self.trend), 1.0 + self.growth * np.minimum(self.times, time)
        points = self.kernel.at(self.kernel.columns.features(aligned))
        plain, derivative = points.matrix_and_derivative(aligned, self.kernel.at(self.inputs))
        k = plain * factors
        solved, _ = lapack.dpotrs(self.factor, k.T, lower=1)
        before = 1.0 + self.growth * time + self.own * (KAPPA + time)
        std = np.sqrt(self.variance * np.maximum(before - np.einsum("ij,ji->i", k, solved), 1e-12))
        weights = [np.broadcast_to(self.alpha * factors, k.shape), solved.T * factors]
        of_mean, of_shrink = derivative.along(weights)
        mean = self._level(units, np.full(len(units), time)) + k @ self.alpha
        if self.trend is not None:
            of_mean, of_shrink = (self.trend.pull_back(units, slopes) for slopes in (of_mean, of_shrink))
        if self.trend is not None and not self.trend.is_flat:
            of_mean = of_mean + self.mean[2] * self.trend.slopes(units, time)
        return mean, std, of_mean, of_shrink * (-self.variance / std)[:, None]

    def ahead(self, units: Floats, owners: NDArray[np.int64], times: Floats) -> tuple[Floats, Floats]:
        """Return mean and deviation, without noise, of curves that go on, each at a time of its own, both ``(m,)``.

        Args:
            units: of each curve, shape ``(m, d)``.
            owners: which curve of the data each one continues, -1 for a new one, shape ``(m,)``.
            times: t, shape ``(m,)``.
        """
        return self._posterior(self._across(self._features(units), times, owners), units, times)

    def together(self, units: Floats, owners: NDArray[np.int64], times: Floats) -> tuple[Floats, Floats]:
        """Return what curves show at several times: means ``(m, K)`` and covariances with noise ``(m, K, K)``.

        Args:
            units: of each curve, shape ``(m, d)``.
            owners: which curve of the data each one continues, -1 for a new one, shape ``(m,)``.
            times: t, shape ``(K,)``.
        """
        m, stages = len(units), len(times)
        common = np.minimum(times[:, None], self.times[None, :])
        across = self.kernel.matrix(self._features(units), self.inputs)[:, None, :]
        across = across * (1.0 + self.growth * common)
        rows, others = np.nonzero(owners[:, None] == self.owners[None, :])
        across[rows, :, others] += self.own * (KAPPA + common.T[others])
        root, _ = lapack.dtrtrs(self.factor, across.reshape(m * stages, -1).T, lower=1)
        root = root.T.reshape(m, stages, -1)
        both = np.minimum(times[:, None], times[None, :])
        before = 1.0 + self.growth * both + self.own * (KAPPA + both) + self.noise * np.eye(stages)
        m = len(units)
        level = self._level(np.repeat(units, stages, axis=0), np.tile(times, m)).reshape(m, stages)
        mean = level + across @ self.alpha
        return mean, self.variance * (before - root @ root.transpose(0, 2, 1))

    def grown(self, units: Floats, times: Floats, owners: NDArray[np.int64]) -> Curves:
        """Return the process with k points more, at their own means, so that means stay and deviations shrink.

        The mean and the variance stay as they are, see :meth:`given`.

        Args:
            units, times, owners: of the points, shapes ``(k, d)``, ``(k,)`` and ``(k,)``.
        """
        n, k = len(self.times), len(units)
        x = self._features(units)
        common = np.minimum(times[:, None], times[None, :])
        inside = self.kernel.matrix(x, x) * (1.0 + self.growth * common)
        inside += np.where(owners[:, None] == owners[None, :], self.own * (KAPPA + common), 0.0)
        root, _ = lapack.dtrtrs(self.factor, self._across(x, times, owners).T, lower=1)
        left = inside - root.T @ root
        left[np.arange(k), np.arange(k)] += self.noise
        factor = np.zeros((n + k, n + k), order="F")
        factor[:n, :n], factor[n:, :n], factor[n:, n:] = self.factor, root.T, cholesky(left)
        return replace(
            self,
            inputs=np.concatenate([self.inputs, x]),
            basis=np.concatenate([self.basis, _basis(units, times, self.trend)]),
            times=np.concatenate([self.times, times]),
            owners=np.concatenate([self.owners, owners]),
            factor=factor,
            alpha=np.concatenate([self.alpha, np.zeros(k)]),
        )

    def _across(self, features: Floats, times: Floats, owners: NDArray[np.int64]) -> Floats:
        """Return the covariance of points with the data, shape ``(m, n)``."""
        common = np.minimum(times[:, None], self.times[None, :])
        across = self.kernel.matrix(features, self.inputs)
        across *= 1.0 + self.growth * common
        rows, others = np.nonzero(owners[:, None] == self.owners[None, :])
        across[rows, others] += self.own * (KAPPA + common[rows, others])
        return across

    def _features(self, units: Floats) -> Floats:
        """Return the features of aligned coordinates."""
        return self.kernel.columns.features(_aligned(units, self.trend))

    def _level(self, units: Floats, times: Floats) -> Floats:
        """Return the mean without data, H b, at coordinates and times, shape ``(m,)``."""
        found: Floats = _basis(units, times, self.trend) @ self.mean
        return found

    def _posterior(self, across: Floats, units: Floats, times: Floats) -> tuple[Floats, Floats]:
        root, _ = lapack.dtrtrs(self.factor, across.T, lower=1)
        before = 1.0 + self.growth * times + self.own * (KAPPA + times)
        std = np.sqrt(self.variance * np.maximum(before - np.einsum("ij,ij->j", root, root), 1e-12))
        return self._level(units, times) + across @ self.alpha, std
