"""Means over neighbours: the estimator of Nadaraya and Watson with a bandwidth for each coordinate.

Nadaraya, "On estimating regression", 1964; Watson, "Smooth regression analysis", 1964: the value at x is the mean of
all known values with weights exp(-½ Σ_j (x_j - x_ij)² / h_j²), so it never leaves their range. The bandwidths h_j are
those of the least leave-one-out error, found by moving one at a time.
"""

from __future__ import annotations

import numpy as np

from tunewell.scales import Floats

NARROWEST, WIDEST = 0.02, 4.0
_COMMON = np.geomspace(0.05, 1.0, 10)  # bandwidths that all coordinates have alike, to begin with
_FACTORS = (2.7, 1.6)  # by which one bandwidth is moved
_MOST_LEFT_OUT = 400  # rows that are left out one at a time


def weights(squares: Floats, bandwidths: Floats) -> Floats:
    """Return the weights of known rows, shape ``(m, n)``; each of the m adds up to 1, however far all rows are.

    Args:
        squares: squared distances in each coordinate, shape ``(m, n, d)``.
        bandwidths: shape ``(d,)``, above 0.
    """
    return _normal(squares @ bandwidths**-2)


def bandwidths(squares: Floats, values: Floats) -> Floats:
    """Return the bandwidths with the least mean absolute error of each value foretold from all others, shape ``(d,)``.

    With many rows only some hundreds of them, evenly spaced, are left out in turn.

    Args:
        squares: squared distances between the known rows in each coordinate, shape ``(n, n, d)``.
        values: finite, shape ``(n,)``; with fewer than two there is nothing to choose by, and all are at their widest.
    """
    n, _, d = squares.shape
    if n < 2:
        return np.full(d, WIDEST)
    left = np.unique(np.linspace(0, n - 1, min(n, _MOST_LEFT_OUT)).astype(int))
    by_coordinate = np.ascontiguousarray(np.moveaxis(squares[left], 2, 0))  # (d, m, n)
    own = (np.arange(len(left)), left)

    def error(distances: Floats) -> float:
        others = distances.copy()
        others[own] = np.inf
        return float(np.abs(_normal(others) @ values - values[left]).mean())

    errors = [error(by_coordinate.sum(axis=0) / h**2) for h in _COMMON]
    found, least = np.full(d, _COMMON[int(np.argmin(errors))]), min(errors)
    for factor in _FACTORS:
        moved = True
        while moved:
            moved = False
            distances = np.tensordot(found**-2, by_coordinate, axes=1)
            for j in range(d):
                for wider in (found[j] * factor, found[j] / factor):
                    h = min(max(wider, NARROWEST), WIDEST)
                    tried = distances + by_coordinate[j] * (h**-2 - found[j] ** -2)
                    if (now := error(tried)) < 0.999 * least:
                        found[j], least, distances, moved = h, now, tried, True
                        break
    return found


def _normal(distances: Floats) -> Floats:
    """Return weights that add up to 1 for squared distances in bandwidths, shape ``(m, n)``."""
    found = np.exp(-0.5 * (distances - distances.min(axis=1, keepdims=True)))
    return np.asarray(found / found.sum(axis=1, keepdims=True))
