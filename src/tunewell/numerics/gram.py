"""The kernel matrix of points, factorised: all of a Gaussian process that does not depend on losses.

Losses change with every trial, for they are standardised together; the matrix A of the points that were there before
does not. So whoever keeps the factor of some points need only add what is new.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import lapack

from tunewell.numerics.kernels import Columns, Kernel, Points
from tunewell.scales import Floats


@dataclass(frozen=True)
class Gram:
    """Points, and the factor of the matrix A = K + diag(η + w).

    Attributes:
        points: the points, as an argument of the kernel.
        factor: the lower Cholesky factor of A, shape ``(n, n)``, in Fortran order.
        noise: η, in units of the signal variance.
        extra: w, the extra noise of each point, in the same units, shape ``(n,)``.
    """

    points: Points
    factor: Floats
    noise: float
    extra: Floats

    @classmethod
    def of(cls, columns: Columns, theta: Floats, units: Floats, extra_noise: Floats | float = 0.0) -> Gram:
        """Return the matrix of ``units``, shape ``(n, d)``, with the hyperparameters θ of :mod:`.gp`."""
        kernel, eta, n = Kernel.of(columns, theta), float(np.exp(theta[2 * len(columns) + 1])), len(units)
        inputs, extra = kernel.features(units), np.zeros(n) + extra_noise
        matrix = kernel.square(inputs)
        matrix[np.arange(n), np.arange(n)] = 1.0 + eta + extra
        return cls(kernel.at(inputs), cholesky(matrix), eta, extra)

    @property
    def kernel(self) -> Kernel:
        """The kernel."""
        return self.points.kernel

    @property
    def inputs(self) -> Floats:
        """The features of the points, shape ``(n, n_features)``."""
        return self.points.features

    def append(self, units: Floats, extra_noise: Floats | float = 0.0) -> Gram:
        """Return the matrix of k more points, ``units`` of shape ``(k, d)``, in O(k n²).

        The new rows of the factor are (L⁻¹K)ᵀ and the factor of what is left of their covariance.
        """
        x = self.kernel.features(units)
        n, k = len(self.inputs), len(x)
        extra = np.zeros(k) + extra_noise
        joined = self.kernel.at(np.concatenate([self.inputs, x]))
        across = self.kernel.at(x).matrix(joined)
        root = self.solved(across[:, :n])
        left = across[:, n:] - root @ root.T
        left[np.arange(k), np.arange(k)] += self.noise + extra
        factor = np.zeros((n + k, n + k), order="F")
        factor[:n, :n], factor[n:, :n], factor[n:, n:] = self.factor, root, cholesky(left)
        return Gram(joined, factor, self.noise, np.concatenate([self.extra, extra]))

    @cached_property
    def inverse(self) -> Floats:
        """L⁻¹, the inverse of the factor, shape ``(n, n)``: a product with it is cheaper than to solve with L."""
        found, _ = lapack.dtrtri(self.factor, lower=1)
        return np.asarray(found)

    def solved(self, across: Floats) -> Floats:
        """Return (L⁻¹K)ᵀ, shape ``(m, n)``, given the kernel of m points with these, shape ``(m, n)``."""
        return across @ self.inverse.T


def cholesky(matrix: Floats) -> Floats:
    """Return the lower factor; the diagonal is raised, from 1e-10 of its mean on, tenfold until there is one."""
    jitter = 0.0
    while True:
        factor, failed = lapack.dpotrf(matrix + jitter * np.eye(len(matrix)), lower=1, clean=1)
        if not failed:
            return np.asarray(factor)
        jitter = max(10.0 * jitter, 1e-10 * float(np.trace(matrix)) / len(matrix), 1e-300)
