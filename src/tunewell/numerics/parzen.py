"""Parzen estimators on the unit cube: mixtures of product kernels, truncated at the walls.

The density that the tree-structured Parzen estimator compares (Watanabe, "Tree-structured Parzen estimator:
understanding its algorithm components and their roles for better empirical performance", arXiv:2304.11127, the
equation numbers below are ours):

    p(x) = sum_i w_i prod_j k_j(x_j | c_ij, b_ij)                                                   (1)

======== ============================================================================================
symbol   meaning
======== ============================================================================================
n, d, m  kernels (the prior is one of them), axes, points at which the density is wanted
c, b     centres and bandwidths, shape ``(n, d)``; a NaN centre (the parameter was not active in that
         trial) has the axis' prior as its kernel, so that it says nothing about that axis
w        weights, shape ``(n,)``, which sum to 1
======== ============================================================================================

A real axis has the normal density, cut off at 0 and 1 and scaled up accordingly,

    k(x | c, b) = phi((x - c) / b) / (b Z),     Z = Phi((1 - c) / b) - Phi(-c / b);                 (2)

an axis of ordered bins the mass of the bin [e_v, e_v+1) under (2),

    k(v | c, b) = (Phi((e_v+1 - c) / b) - Phi((e_v - c) / b)) / Z;                                  (3)

an axis of labels without order the kernel of Aitchison and Aitken (Biometrika 63, 1976),

    k(v | c, b) = 1 - b for v = c, else b / (count - 1).                                            (4)

A NaN coordinate of a point is an axis that the point does not have: its factor is 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from tunewell.scales import Floats

NARROWEST = 1e-4
"""The smallest bandwidth of use. The square in (2) is multiplied out, so narrower kernels lose the digits of log p."""

_TINY = 1e-300
_LOG_ROOT_TAU = 0.5 * float(np.log(2.0 * np.pi))


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of the unit cube.

    Attributes:
        edges: where the bins of an axis of ordered bins or labels begin and end, shape ``(count + 1,)`` from 0 to 1;
            None on a real axis. A bin's coordinate is its middle.
        ordered: whether neighbouring bins are alike.
        center, spread: the prior, a kernel like the others with c and b; an infinite spread is the uniform prior.
    """

    edges: Floats | None = None
    ordered: bool = True
    center: float = 0.5
    spread: float = np.inf

    @property
    def is_real(self) -> bool:
        """Whether the coordinate is a real number."""
        return self.edges is None

    def places(self, units: Floats) -> NDArray[np.intp]:
        """Return the bins of coordinates, shape ``(n,)`` to ``(n,)``."""
        inner = np.empty(0) if self.edges is None else self.edges[1:-1]
        return np.searchsorted(inner, units, side="right")


@dataclass(frozen=True, eq=False)
class Parzen:
    """The mixture (1).

    Attributes:
        axes: the ``d`` axes.
        centers: shape ``(n, d)``, NaN where a kernel says nothing.
        bandwidths: above 0, shape ``(n, d)``; for labels the mass that leaves the centre.
        weights: shape ``(n,)``, not negative, in any unit.
    """

    axes: tuple[Axis, ...]
    centers: Floats
    bandwidths: Floats
    weights: Floats
    _real: NDArray[np.intp] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        real = np.array([j for j, axis in enumerate(self.axes) if axis.is_real], dtype=np.intp)
        missing = np.isnan(self.centers)
        priors = np.array([(axis.center, axis.spread) for axis in self.axes]).reshape(-1, 2)
        object.__setattr__(self, "_real", real)
        object.__setattr__(self, "centers", np.where(missing, priors[:, 0], self.centers))
        object.__setattr__(self, "bandwidths", np.where(missing, priors[:, 1], self.bandwidths))
        object.__setattr__(self, "weights", self.weights / self.weights.sum())

    def sample(self, m: int, rng: np.random.Generator) -> Floats:
        """Draw ``m`` points, shape ``(m, d)``; the coordinate of a bin is its middle."""
        kernels = np.searchsorted(np.cumsum(self.weights)[:-1], rng.random(m), side="right")
        uniform = rng.random((m, len(self.axes)))
        centers, bandwidths = self.centers[kernels], self.bandwidths[kernels]
        low, high = ndtr(-centers / bandwidths), ndtr((1.0 - centers) / bandwidths)
        with np.errstate(invalid="ignore"):  # inf * 0 under an infinite bandwidth
            points = centers + bandwidths * ndtri(low + uniform * (high - low))  # (2), inverted
        points = np.where(np.isinf(bandwidths), uniform, np.clip(points, 0.0, 1.0))
        for j, axis in enumerate(self.axes):
            if axis.edges is not None:
                if not axis.ordered:
                    points[:, j] = self._relabel(axis, centers[:, j], bandwidths[:, j], uniform[:, j])
                places = axis.places(points[:, j])
                points[:, j] = (axis.edges[places] + axis.edges[places + 1]) / 2.0
        return points

    def _relabel(self, axis: Axis, centers: Floats, leaving: Floats, uniform: Floats) -> Floats:
        """Draw from (4): stay with probability 1 - b, else move on by 1 to count - 1 bins."""
        count = len(axis.edges) - 1 if axis.edges is not None else 1
        if count == 1:
            return centers
        leaving = _leaving(leaving, count)
        shift = 1 + np.floor(uniform / leaving * (count - 1)).astype(np.intp)
        places = np.where(uniform < leaving, axis.places(centers) + np.minimum(shift, count - 1), axis.places(centers))
        return np.asarray((places % count + 0.5) / count)

    def log_density(self, points: Floats) -> Floats:
        """Return log p at points of shape ``(m, d)``: a density on real axes, a mass on the others. Shape ``(m,)``."""
        logs = self._log_real(points[:, self._real])
        for j, axis in enumerate(self.axes):
            if axis.edges is not None:
                there = np.flatnonzero(~np.isnan(points[:, j]))
                if len(there):
                    places, inverse = np.unique(axis.places(points[there, j]), return_inverse=True)
                    logs[there] += self._log_bins(j, axis.edges, axis.ordered, places)[inverse]
        top = logs.max(axis=1, keepdims=True)
        return np.asarray(top[:, 0] + np.log(np.exp(logs - top) @ self.weights + _TINY))

    def _log_real(self, points: Floats) -> Floats:
        """Return the logarithms of (2), summed over the real axes, shape ``(m, n)``: three matrix products."""
        c, b = self.centers[:, self._real], self.bandwidths[:, self._real]
        there = ~np.isnan(points)
        x = np.where(there, points, 0.0)
        precision = b**-2.0  # 0 for a uniform kernel
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.log(b) + _LOG_ROOT_TAU + np.log(ndtr((1.0 - c) / b) - ndtr(-c / b))
        constant = np.where(np.isinf(b), 0.0, -scale) - 0.5 * precision * c**2
        return np.asarray(x @ (precision * c).T - 0.5 * (x**2 @ precision.T) + there.astype(np.float64) @ constant.T)

    def _log_bins(self, j: int, edges: Floats, ordered: bool, places: NDArray[np.intp]) -> Floats:
        """Return the logarithms of (3) or (4) for some bins of axis j, shape ``(len(places), n)``."""
        c, b = self.centers[:, j], self.bandwidths[:, j]
        if not ordered:
            count = len(edges) - 1
            leaving = _leaving(b, count)
            same = places[:, None] == self.axes[j].places(c)
            return np.log(np.where(same, 1.0 - leaving, leaving / max(1, count - 1)))
        kernels = np.empty(len(c), dtype=np.complex128)
        kernels.real, kernels.imag = c, b
        kernels, which = np.unique(kernels, return_inverse=True)  # few: centres are middles, many bandwidths the floor
        c, b = kernels.real, kernels.imag
        low, high = edges[places], edges[places + 1]
        with np.errstate(invalid="ignore"):
            mass = (ndtr((high[:, None] - c) / b) - ndtr((low[:, None] - c) / b)) / (ndtr((1.0 - c) / b) - ndtr(-c / b))
        return np.log(np.maximum(np.where(np.isinf(b), (high - low)[:, None], mass), _TINY))[:, which]


def _leaving(b: Floats, count: int) -> Floats:
    """Return the mass that leaves the centre of (4): at most that of the uniform law."""
    return np.minimum(b, (count - 1) / count)


def neighbour_bandwidths(axes: tuple[Axis, ...], centers: Floats, narrowest: float) -> Floats:
    """Return the bandwidths of Bergstra et al. (2011): the distance to the farther neighbour on each axis.

    The walls count as neighbours. Clipped from below by ``max(narrowest, (1 + n)**-2)`` (Watanabe's magic clip with
    exponent 2) and from above by 1. Labels have no neighbours; there a kernel is what Laplace's rule of succession
    leaves of n trials of one and the same label,

        b = (count - 1) / (n + count).                                                              (5)

    So a label that no kernel has is the likelier the fewer kernels there are: of two mixtures, the smaller says more
    for it. With one bandwidth for all, the larger says as much, and a label nobody tried never looks better than the
    best one known.

    Args:
        axes: the ``d`` axes.
        centers: shape ``(n, d)``; NaN are no neighbours.
        narrowest: the smallest bandwidth on real and ordered axes.

    Returns:
        Shape ``(n, d)``, for :class:`Parzen`.
    """
    n, d = centers.shape
    order = np.argsort(np.where(np.isnan(centers), 1.0, centers), axis=0, kind="stable")
    walled = np.empty((n + 2, d))
    walled[0], walled[-1] = 0.0, 1.0
    walled[1:-1] = np.take_along_axis(np.where(np.isnan(centers), 1.0, centers), order, axis=0)
    gaps = np.diff(walled, axis=0)
    bandwidths = np.empty_like(centers)
    np.put_along_axis(bandwidths, order, np.maximum(gaps[1:], gaps[:-1]), axis=0)
    bandwidths = np.clip(bandwidths, max(narrowest, (1.0 + n) ** -2.0), 1.0)
    for j, axis in enumerate(axes):
        if axis.edges is not None and not axis.ordered:
            count = len(axis.edges) - 1
            bandwidths[:, j] = max(1, count - 1) / (np.count_nonzero(~np.isnan(centers[:, j])) + count)  # (5)
    return bandwidths
