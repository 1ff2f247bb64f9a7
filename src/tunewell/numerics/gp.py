"""Gaussian-process regression: fit by maximum a posteriori, predict, add points one at a time.

======= ============================================================== =======================
symbol  meaning                                                        shape
======= ============================================================== =======================
x       features of a configuration, see :mod:`.kernels`               ``(n, n_features)``
y       losses, about standardised                                     ``(n,)``
θ       log ℓ, log a, log odds of β, log η                             ``(2 d + 2,)``
D       squared distances of pairs by column                           ``(d, n (n - 1) / 2)``
η       noise variance over signal variance                            scalar
w       extra noise of each point, in units of the signal variance     ``(n,)``
A       kernel matrix plus diag(η + w)                                 ``(n, n)``
m       constant mean, by generalised least squares                    scalar
s²      signal variance, at its best given the rest                    scalar
α       A⁻¹ (y - m)                                                    ``(n,)``
======= ============================================================== =======================

Up to a constant the log posterior of θ, with m at its best and s² integrated out under an inverse-gamma prior (p, q):

    -(p + n/2) log(q + ½ (y - m)ᵀ α) - ½ log|A| + log p(θ)

(Rasmussen and Williams 2006, eq. 5.8, with a Student-t in the place of the normal), and s² = (q + ½ (y - m)ᵀ α) /
(p + n/2). The gradient follows from d/dA = ½ (α αᵀ / s² - A⁻¹).

Priors, all normal in θ: log ℓ_j ~ N(√2 + ½ log d - 1.5, 3), which makes the joint part smoother the more parameters
there are; log a_j ~ N(-0.5, 0.7²); log odds of β ~ N(0, 2²); log η ~ N(-12, 3²). The first is that of Hvarfner et al.
2024 (arXiv:2402.02229, eq. 7) less 1.5, for here the second part of the kernel carries what is smooth. Another
deviation: the output scale is not fixed at 1. Where coordinates are bent θ goes on, see :mod:`.bend_fits`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize

from tunewell.numerics.acquisition import Measure
from tunewell.numerics.gram import Gram, cholesky
from tunewell.numerics.kernels import Columns, Derivative, Indices, Kernel, matern52
from tunewell.scales import Floats

LOWEST_NOISE, HIGHEST_NOISE = 1e-8, 10.0
SHAPE, RATE = 1.0, 1.0  # p and q
_SAME = 0.25  # in every coordinate of θ
_NONE = -1e25  # the log posterior where there is none
_LEAPS, _LEAP = 20, 0.07  # of a trajectory, in θ
_ROOT5 = np.sqrt(5.0)


@dataclass(frozen=True)
class Prior:
    """Independent normal laws of θ and the box it is searched in, all of shape ``(2 d + 2,)``.

    ``starts``, shape ``(k, 2 d + 2)``, are explanations of the data to begin with: smooth and almost without noise,
    mostly noise, and rough.
    """

    center: Floats
    std: Floats
    low: Floats
    high: Floats
    starts: Floats


@lru_cache(maxsize=64)
def prior(d: int) -> Prior:
    """Return the prior for d columns."""
    joint = np.sqrt(2.0) + 0.5 * np.log(d)

    def join(a: float, b: float, c: float, e: float) -> Floats:
        return np.concatenate([np.full(d, a), np.full(d, b), [c, e]])

    return Prior(
        center=join(joint - 1.5, -0.5, 0.0, -12.0),
        std=join(np.sqrt(3.0), 0.7, 2.0, 3.0),
        low=join(np.log(0.02), np.log(0.02), -6.0, np.log(LOWEST_NOISE)),
        high=join(np.log(1e3), np.log(1e3), 6.0, np.log(HIGHEST_NOISE)),
        starts=np.stack(
            [join(joint - 1.0, -0.5, 0.0, -9.0), join(joint - 1.0, -0.5, 0.0, -2.0), join(joint - 2.0, -0.5, 0.0, -9.0)]
        ),
    )


@lru_cache(maxsize=256)
def _pairs(n: int) -> tuple[Indices, Indices, Indices]:
    """Return rows and columns above the diagonal, and their places in the flat matrix, each ``(n (n - 1) / 2,)``."""
    rows, columns = np.triu_indices(n, 1)
    return rows, columns, rows * n + columns


class _Found(NamedTuple):
    """The log posterior, its gradient in θ, and that in the kernel of each pair of points, shape ``(n_pairs,)``."""

    value: float
    gradient: Floats
    by_pair: Floats


class Evidence:
    """The log posterior of θ given data, to be maximised."""

    def __init__(self, columns: Columns, units: Floats, targets: Floats, extra_noise: Floats | float = 0.0) -> None:
        """Take in ``units``, shape ``(n, d)``, ``targets`` y, shape ``(n,)``, and w."""
        rows, others, self._above = _pairs(len(targets))
        self._rows, self._others = rows, others
        self._features = columns.features(units)
        distances = columns.distances(self._features, rows, others)
        self._squared = distances * distances
        distances *= -_ROOT5
        self._roots = distances  # -√(5 D)
        self._targets = targets
        self._extra = np.zeros(len(targets)) + extra_noise
        self._prior = prior(len(columns))
        self._columns, self._units = columns, units
        self._scratch = (np.empty_like(distances), np.empty_like(distances), np.empty_like(distances))

    def value_and_gradient(self, theta: Floats) -> tuple[float, Floats]:
        """Return the log posterior at θ and its gradient, shape ``(2 d + 2,)``."""
        found = self._evaluate(theta)
        return (_NONE, np.zeros(len(theta))) if found is None else (found.value, found.gradient)

    def with_slopes(self, theta: Floats) -> tuple[float, Floats, Floats]:
        """Return the log posterior at θ, its gradient, and its gradient in the coordinates, shape ``(n, d)``."""
        found = self._evaluate(theta)
        if found is None:
            return _NONE, np.zeros(len(theta)), np.zeros(self._units.shape)
        n = len(self._targets)
        by_pair = np.zeros(n * n)
        by_pair[self._above] = found.by_pair
        both = by_pair.reshape(n, n) + by_pair.reshape(n, n).T
        kernel = Kernel.of(self._columns, theta)
        slopes = kernel.slopes(self._units, self._features, self._features, [both])
        return found.value, found.gradient, slopes[0]

    def _evaluate(self, theta: Floats) -> _Found | None:
        """Return what is found at θ, or None where the matrix is not positive definite to working precision."""
        n, d = len(self._targets), len(self._squared)
        weights, eta = np.exp(-2.0 * theta[:d]), np.exp(theta[-1])
        beta = 1.0 / (1.0 + np.exp(-theta[-2]))
        joint, joint_slope = matern52(weights @ self._squared)
        single, single_slopes = self._additive(np.exp(-theta[d : 2 * d]))
        matrix = np.zeros(n * n)
        matrix[self._above] = (1.0 - beta) * joint + beta * single
        matrix[:: n + 1] = 1.0 + eta + self._extra
        factor, failed = lapack.dpotrf(matrix.reshape(n, n).T, lower=1, clean=0, overwrite_a=1)
        if failed:
            return None
        alpha, residual, _ = _residuals(factor, self._targets)
        q = RATE + 0.5 * float(alpha @ residual)
        value = -(SHAPE + 0.5 * n) * np.log(q) - np.log(np.diagonal(factor)).sum()
        scale = q / (SHAPE + 0.5 * n)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        inner = alpha[self._rows] * alpha[self._others]
        inner /= scale
        inner -= inverse.T.ravel()[self._above]
        gradient = np.empty(len(theta))
        gradient[:d] = (-2.0 * (1.0 - beta)) * weights * (self._squared @ (inner * joint_slope))
        gradient[d : 2 * d] = (beta / (3.0 * d)) * (single_slopes @ inner)
        gradient[-2] = beta * (1.0 - beta) * ((single - joint) @ inner)
        gradient[-1] = 0.5 * eta * ((alpha @ alpha) / scale - np.trace(inverse))
        away = (theta - self._prior.center) / self._prior.std
        value = float(value - 0.5 * away @ away)
        return _Found(value, gradient - away / self._prior.std, inner)

    def _additive(self, rates: Floats) -> tuple[Floats, Floats]:
        """Return the mean over columns of M, shape ``(n_pairs,)``, and r² (1 + r) exp(-r), shape ``(d, n_pairs)``.

        The second is three times the derivative of each M in its log a. Written over three buffers: this is where
        the time goes.
        """
        r, decay, slope = self._scratch
        np.multiply(self._roots, rates[:, None], out=r)  # -r
        np.exp(r, out=decay)
        np.subtract(1.0, r, out=slope)
        slope *= decay
        r *= r
        decay *= r
        ones = np.full(len(rates), 1.0 / len(rates))
        single = ones @ slope + (ones / 3.0) @ decay
        slope *= r
        return single, slope


def _residuals(factor: Floats, targets: Floats) -> tuple[Floats, Floats, float]:
    """Return α and y - m, both of shape ``(n,)``, and m = 1ᵀA⁻¹y / 1ᵀA⁻¹1."""
    solved, _ = lapack.dpotrs(factor, np.stack([targets, np.ones(len(targets))], axis=1), lower=1)
    mean = solved[:, 0].sum() / solved[:, 1].sum()
    return solved[:, 0] - mean * solved[:, 1], targets - mean, float(mean)


def fit(evidence: Evidence, d: int, evaluations: int, origin: Floats | None = None) -> tuple[Floats, float]:
    """Climb by L-BFGS-B from the best of the prior's starts and ``origin``; return the θ found, its log posterior.

    ``origin`` is what a fit to some of the data found, shape ``(2 d + 2,)``: a few evaluations more end where none of
    the prior's starts would lead to.
    """
    starts = prior(d).starts
    known = starts if origin is None else np.concatenate([origin[None], starts])
    return _climb(evidence, d, _ranked(evidence, known)[0], evaluations)


def fit_modes(
    evidence: Evidence, d: int, evaluations: int, origin: Floats | None = None, others: int = 2
) -> list[tuple[Floats, float]]:
    """Climb from several starts; return the different θ found with their log posteriors, the best first.

    The starts are the prior's, or ``origin``, see :func:`fit`, and the best ``others`` of them.
    """
    starts = prior(d).starts
    if origin is not None:
        starts = np.concatenate([origin[None], _ranked(evidence, starts)[:others]])
    found = [_climb(evidence, d, start, evaluations) for start in starts]
    modes: list[tuple[Floats, float]] = []
    for theta, value in sorted(found, key=lambda mode: -mode[1]):
        if all(_differ(theta, other) for other, _ in modes):
            modes.append((theta, value))
    return modes


def _ranked(evidence: Evidence, starts: Floats) -> Floats:
    """Return ``starts``, shape ``(k, 2 d + 2)``, in the order of their log posteriors, the best first."""
    values = np.array([evidence.value_and_gradient(theta)[0] for theta in starts])
    ordered: Floats = starts[np.argsort(-values, kind="stable")]
    return ordered


def _climb(evidence: Evidence, d: int, start: Floats, evaluations: int) -> tuple[Floats, float]:
    law = prior(d)
    return climb(evidence.value_and_gradient, start, np.stack([law.low, law.high], axis=1), evaluations)


def climb(
    function: Callable[[Floats], tuple[float, Floats]], start: Floats, bounds: Floats, evaluations: int
) -> tuple[Floats, float]:
    """Climb by L-BFGS-B within ``bounds``, shape ``(k, 2)``; return where it ends, shape ``(k,)``, and the value."""

    def down(theta: Floats) -> tuple[float, Floats]:
        value, gradient = function(theta)
        return -value, -gradient

    found = minimize(
        down,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxfun": evaluations, "maxiter": evaluations, "ftol": 1e-7, "gtol": 1e-3},
    )
    return np.asarray(found.x, dtype=np.float64), -float(found.fun)


def draw(evidence: Evidence, theta: Floats, rng: np.random.Generator) -> Floats:
    """Return hyperparameters as likely as the data leave them: the end of a trajectory from the best ones, θ.

    One step of Hamiltonian Monte Carlo (Neal 2011, arXiv:1206.1901, section 3), the box's walls reflecting; θ itself
    where the step is rejected.
    """
    law = prior(len(theta) // 2 - 1)
    here, (value, slope) = theta, evidence.value_and_gradient(theta)
    momentum = rng.standard_normal(len(theta))
    before = value - 0.5 * float(momentum @ momentum)
    for _ in range(_LEAPS):
        momentum = momentum + 0.5 * _LEAP * slope
        there = here + _LEAP * momentum
        here = 2.0 * np.clip(there, law.low, law.high) - there  # as far on this side of a wall as it would be behind it
        momentum = np.where(there == here, momentum, -momentum)
        value, slope = evidence.value_and_gradient(here)
        momentum = momentum + 0.5 * _LEAP * slope
    accepted = np.log(rng.random()) < value - 0.5 * float(momentum @ momentum) - before
    return here if accepted else theta


def _differ(theta: Floats, other: Floats) -> bool:
    """Tell whether two sets of hyperparameters explain the data in different ways."""
    return bool(np.abs(theta - other).max() > _SAME)


@dataclass(frozen=True)
class GaussianProcess:
    """A process given data; see the table above.

    Attributes:
        gram: the points, their kernel and the factor of A.
        targets: y, shape ``(n,)``.
        alpha: α, shape ``(n,)``.
        mean: m.
        variance: s².
    """

    gram: Gram
    targets: Floats
    alpha: Floats
    mean: float
    variance: float

    @classmethod
    def of(
        cls, columns: Columns, theta: Floats, units: Floats, targets: Floats, extra_noise: Floats | float = 0.0
    ) -> GaussianProcess:
        """Return the process with hyperparameters θ given ``units``, shape ``(n, d)``, ``targets`` and w."""
        return cls.given(Gram.of(columns, theta, units, extra_noise), targets)

    @classmethod
    def given(cls, gram: Gram, targets: Floats) -> GaussianProcess:
        """Return the process whose points have the ``targets``, shape ``(n,)``, in O(n²)."""
        alpha, residual, mean = _residuals(gram.factor, targets)
        variance = float((RATE + 0.5 * alpha @ residual) / (SHAPE + 0.5 * len(targets)))
        return cls(gram, targets, alpha, mean, variance)

    @property
    def kernel(self) -> Kernel:
        """The kernel."""
        return self.gram.kernel

    @property
    def noise(self) -> float:
        """The noise variance η, in units of the signal variance."""
        return self.gram.noise

    @property
    def reached(self) -> Floats:
        """The posterior means at the points themselves, shape ``(n,)``: y - (η + w) α, for A α = y - m."""
        return self.targets - (self.noise + self.gram.extra) * self.alpha

    @property
    def skill(self) -> float:
        """The share of the variance of y that is explained when each point is left out in turn; 0 for the mean's skill.

        Rasmussen and Williams (2006), eq. 5.12: y_i - μ_i = α_i / (A⁻¹)_ii.
        """
        left = self.alpha / self._precisions
        n = len(self.targets)
        around = (self.targets - self.targets.mean()) * (n / (n - 1))  # the mean, too, leaves the point out
        return 1.0 - float(left @ left) / max(float(around @ around), 1e-300)

    @property
    def surprise(self) -> float:
        """How far off the process is when each point is left out in turn, in its own deviations: 1 if it is right.

        With errors e_i = α_i / (A⁻¹)_ii, stated variances v_i = s² / (A⁻¹)_ii and ν_i = s² (η + w_i) of them noise,
        which says nothing of the function: the root of Σ (e_i² - ν_i) / v_i over Σ (v_i - ν_i) / v_i. Below 1 the
        process is more careful than need be, as for smooth functions.
        """
        noise = (self.noise + self.gram.extra) * self._precisions
        errors = self.alpha**2 / (self.variance * self._precisions)
        return float(np.sqrt(max(0.0, float((errors - noise).sum())) / max(1.0, float((1.0 - noise).sum()))))

    @property
    def _precisions(self) -> Floats:
        """The diagonal of A⁻¹, shape ``(n,)``."""
        found: Floats = np.einsum("ij,ij->j", self.gram.inverse, self.gram.inverse)
        return found

    def predict(self, units: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation without noise at ``units``, shape ``(m, d)``, both ``(m,)``."""
        k = self.kernel.at(self.kernel.features(units)).matrix(self.gram.points)
        root = self.gram.solved(k)
        return self.mean + k @ self.alpha, self._std(root)

    def predict_with_slopes(self, units: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Return mean, standard deviation and their gradients in the coordinates, ``(m,), (m,), (m, d), (m, d)``."""
        mean, std, root, derivative = self._around(units)
        weights = [np.broadcast_to(self.alpha, root.shape), root @ self.gram.inverse]
        of_mean, of_shrink = derivative.along(weights)
        return mean, std, of_mean, of_shrink * (-self.variance / std)[:, None]

    def measured(self, units: Floats, measure: Measure) -> tuple[Floats, Floats]:
        """Return a measure of mean and deviation at ``units``, ``(m, d)`` to ``(m,)``, and its gradient, ``(m, d)``."""
        mean, std, root, derivative = self._around(units)
        value, by_mean, by_std = measure(mean, std)
        weights = (by_std * (-self.variance / std))[:, None] * (root @ self.gram.inverse)
        weights += by_mean[:, None] * self.alpha
        return value, derivative.along([weights])[0]

    def _around(self, units: Floats) -> tuple[Floats, Floats, Floats, Derivative]:
        """Return mean and deviation, ``(m,)``, (L⁻¹k)ᵀ, ``(m, n)``, and the derivative of k."""
        points = self.kernel.at(self.kernel.features(units))
        k, derivative = points.matrix_and_derivative(units, self.gram.points)
        root = self.gram.solved(k)
        return self.mean + k @ self.alpha, self._std(root), root, derivative

    def _std(self, root: Floats) -> Floats:
        """Return the deviation, shape ``(m,)``, given (L⁻¹k)ᵀ, shape ``(m, n)``."""
        std: Floats = np.sqrt(self.variance * np.maximum(1.0 - np.einsum("ij,ij->i", root, root), 1e-12))
        return std

    def sample(self, units: Floats, rng: np.random.Generator, draws: int) -> Floats:
        """Draw the function's values at ``units``, shape ``(m, d)``, jointly, ``draws`` times: ``(draws, m)``."""
        points = self.kernel.at(self.kernel.features(units))
        k = points.matrix(self.gram.points)
        root = self.gram.solved(k)
        covariance = self.variance * (points.matrix(points) - root @ root.T)
        drawn: Floats = self.mean + k @ self.alpha + rng.standard_normal((draws, len(units))) @ cholesky(covariance).T
        return drawn

    def append(self, units: Floats, targets: Floats | None = None, extra_noise: float = 0.0) -> GaussianProcess:
        """Return the process with k more points, ``units`` of shape ``(k, d)``, in O(k n²).

        Without targets the points are believed to have the posterior mean ("kriging believer", Ginsbourger et al.
        2010): the mean stays the same everywhere, the deviation shrinks. Mean m and variance s² of the process stay as
        they are.
        """
        if targets is None:
            across = self.kernel.at(self.kernel.features(units)).matrix(self.gram.points)
            targets = self.mean + across @ self.alpha
        gram, joined = self.gram.append(units, extra_noise), np.concatenate([self.targets, targets])
        alpha, _ = lapack.dpotrs(gram.factor, joined - self.mean, lower=1)
        return replace(self, gram=gram, targets=joined, alpha=alpha)
