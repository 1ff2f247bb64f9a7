"""Hypervolumes, boxes that hold what a front does not dominate, and the expected improvement over them.

======== ============================================================ ==================
symbol   meaning                                                      shape
======== ============================================================ ==================
p        losses, to be minimised                                      ``(n, g)``
r        reference: what is worse than it in any goal does not count  ``(g,)``
l, u     corners of the boxes                                         ``(n_boxes, g)``
μ, σ     independent normal marginals                                 ``(m, g)``
ψ(a)     E[max(a - y, 0)] for y ~ N(μ, σ²)
======== ============================================================ ==================

The hypervolume is exact: points are taken in the order of the last goal, each adds what it dominates alone, and that
has one goal fewer (While, Bradstreet and Barone 2012, "A fast way of calculating exact hypervolumes", Algorithm 1 with
the slicing of Section IV); with three goals left one sweep over arrays ends it.

The boxes are exact too: one for each *local upper bound* v, the corners of what the front leaves over (Lacour, Klamroth
and Fonseca 2017, "A box decomposition algorithm to compute the hypervolume indicator", Algorithm 2). A bound is defined
by g points z¹ … z^g of the front, z^j touching it in goal j. Their eq. 5 cuts the dominated region into boxes; we cut
the other one, directly, by its mirror image: from y push goal g as far as the front lets it go, then goal g - 1, and so
on. All y that end at v are the box

    max_{j > k} z^j_k  <=  y_k  <  v_k        for every goal k.                                      (1)

Two goals have n + 1 boxes, three have 2 n + 1; with four their number grows about as n². Everything is done on ranks,
ties broken by the order of the rows, so that no two points ever share a coordinate; boxes of no width are left out.

For a point y the gain is Σ over boxes of Π_k [(u_k - y_k)+ - (l_k - y_k)+], hence (Daulton, Balandat and Bakshy 2020,
arXiv:2006.05078, Section 3.2, for one point; the closed form is that of Emmerich et al.)

    EHVI = Σ_boxes Π_k (ψ_k(u_k) - ψ_k(l_k)).                                                        (2)

Its logarithm is a log of a sum of exponentials of sums (Ament et al. 2023, arXiv:2310.20708, Section 4), exact where
the terms are, hence finite wherever the point lies; they smooth a Monte Carlo estimate, which we do not need.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from tunewell.numerics.excess import LOG_ROOT_2PI, log_mean_excess
from tunewell.numerics.pareto import non_dominated
from tunewell.scales import Floats

Indices = NDArray[np.int64]

_NARROW = 1e-4  # boxes narrower than this, in units of log ψ, take Φ at their middle


# --- hypervolume ------------------------------------------------------------------------------------------------------


def hypervolume(losses: Floats, reference: Floats) -> float:
    """Return the volume of what is dominated by ``losses``, shape ``(n, g)``, and better than ``reference``, ``(g,)``.

    Rows that are not better than the reference in every goal count nothing.

    >>> hypervolume(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([2.0, 2.0]))
    3.0
    """
    return _volume(_front(losses, reference), np.asarray(reference, dtype=np.float64))


def contributions(losses: Floats, reference: Floats) -> Floats:
    """Return how much the hypervolume would lose without each row, shape ``(n,)``; 0 for dominated and equal rows."""
    points, bound = np.asarray(losses, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    found = np.zeros(len(points))
    inside: NDArray[np.bool_] = np.all(points < bound, axis=1)
    for row in np.flatnonzero(inside & non_dominated(points.tolist())):
        inside[row] = False
        found[row] = _alone(points[row], points[inside], bound)
        inside[row] = True
    return found


def _front(losses: Floats, reference: Floats) -> Floats:
    """Return the distinct rows that are better than the reference and not dominated."""
    points = np.asarray(losses, dtype=np.float64).reshape(-1, len(reference))
    points = np.unique(points[(points < reference).all(axis=1)], axis=0)
    return points[non_dominated(points.tolist())] if len(points) else points


def _volume(points: Floats, reference: Floats) -> float:
    """Return the hypervolume of points, dominated ones too, that are all better than the reference."""
    goals = len(reference)
    if not len(points):
        return 0.0
    if goals == 1:
        return float(reference[0] - points.min())
    if goals <= 3:
        return _sweep(points, reference)
    points = points[np.argsort(points[:, -1], kind="stable")]
    depth = reference[-1] - points[:, -1]
    slices = [_alone(points[k, :-1], points[:k, :-1], reference[:-1]) for k in range(len(points))]
    return float(depth @ np.array(slices))


def _alone(point: Floats, others: Floats, reference: Floats) -> float:
    """Return the volume that ``point``, shape ``(g,)``, dominates and no row of ``others``, shape ``(n, g)``, does."""
    limited = np.maximum(others, point)
    if len(reference) > 3:  # else the sweep is faster than the filter
        limited = _front(limited, reference)
    return float(np.prod(reference - point)) - _volume(limited, reference)


def _sweep(points: Floats, reference: Floats) -> float:
    """Return the hypervolume for two or three goals; O(n) or O(n²) numbers, all at once.

    In the order of goal 0, the smallest loss in goal 1 so far is the height of what is dominated; for three goals there
    is one such staircase for each place in the order of goal 2, made of the points up to there.
    """
    points = points[np.argsort(points[:, 0], kind="stable")]
    heights = points[None, :, 1]
    depths = np.ones(1)
    if len(reference) == 3:
        order = np.argsort(points[:, 2], kind="stable")
        depths = np.diff(points[order, 2], append=reference[2])
        place = np.empty(len(points), dtype=np.int64)
        place[order] = np.arange(len(points))
        heights = np.where(place[None, :] <= np.arange(len(points))[:, None], heights, reference[1])
    widths = np.diff(points[:, 0], append=reference[0])
    return float(depths @ ((reference[1] - np.minimum.accumulate(heights, axis=1)) @ widths))


# --- boxes ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Boxes:
    """Disjoint boxes that together are what is better than the reference and not dominated.

    Attributes:
        edges: the coordinates the boxes begin and end at, ascending, shape ``(g, n + 2)``: minus infinity, the points'
            losses, the reference.
        low: the place of l in ``edges``, shape ``(n_boxes, g)``.
        high: the place of u in ``edges``, shape ``(n_boxes, g)``.
    """

    edges: Floats
    low: Indices
    high: Indices

    def __len__(self) -> int:
        return len(self.low)

    @property
    def lower(self) -> Floats:
        """The corners l, shape ``(n_boxes, g)``, minus infinity where a box has no end."""
        return np.take_along_axis(self.edges.T, self.low, axis=0)

    @property
    def upper(self) -> Floats:
        """The corners u, shape ``(n_boxes, g)``."""
        return np.take_along_axis(self.edges.T, self.high, axis=0)

    @cached_property
    def sides(self) -> list[tuple[Indices, Indices, Indices]]:
        """For every goal the distinct pairs of l and u, as places in ``edges``, and which of them each box has."""
        found = []
        count = self.edges.shape[1]
        for goal in range(len(self.edges)):
            codes, inverse = np.unique(self.low[:, goal] * count + self.high[:, goal], return_inverse=True)
            found.append((codes // count, codes % count, inverse))
        return found


def undominated(losses: Floats, reference: Floats, most: int = 300) -> Boxes:
    """Return the boxes, see eq. 1, of what ``losses``, shape ``(n, g)``, leave undominated below the reference.

    Args:
        losses: to be minimised. Rows that are dominated or not better than the reference change nothing.
        reference: shape ``(g,)``.
        most: points of the front that are used: a longer one is thinned, see :func:`thin`, and what only the points
            left out dominate then counts as undominated.
    """
    bound = np.asarray(reference, dtype=np.float64)
    front = _front(losses, bound)
    front = front[thin(front, most)]
    n, goals = front.shape
    ranks = np.empty((n, goals), dtype=np.int64)  # 1 … n; 0 is minus infinity and n + 1 the reference
    order = np.argsort(front, axis=0, kind="stable")
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(1, n + 1)[:, None], ranks.shape), axis=0)
    edges = np.full((goals, n + 2), -np.inf)
    edges[:, 1:-1] = np.take_along_axis(front, order, axis=0).T
    edges[:, -1] = bound
    bounds, touching = _upper_bounds(ranks)
    low = np.zeros_like(bounds)
    for goal in range(goals - 1):
        low[:, goal] = touching[:, goal + 1 :, goal].max(axis=1)  # (1)
    columns = np.arange(goals)
    wide = (edges[columns, low] < edges[columns, bounds]).all(axis=1)
    return Boxes(edges, low[wide], bounds[wide])


def _upper_bounds(ranks: Indices) -> tuple[Indices, Indices]:
    """Return the local upper bounds v, shape ``(n_bounds, g)``, and the points z they touch, ``(n_bounds, g, g)``.

    Args:
        ranks: the places of the points in every goal, 1 … n, shape ``(n, g)``; no two equal in a goal.

    Lacour et al. (2017), Algorithm 2: a bound v that a point is below gives way to copies of v, each with one goal j
    lowered to the point, for every j in which the points that touch v elsewhere are better than it.
    """
    n, goals = ranks.shape
    bounds = np.full((1, goals), n + 1)
    touching = np.zeros((1, goals, goals), dtype=np.int64)  # in goal j of point j the bound itself, hence not needed
    if goals == 2:
        first = np.arange(n + 1)  # the staircase
        bounds, touching = np.stack([first + 1, n + 1 - first], axis=1), np.zeros((n + 1, 2, 2), dtype=np.int64)
        touching[:, 1, 0], touching[:, 0, 1] = first, n - first
        return bounds, touching
    for point in ranks:
        hit = (bounds > point).all(axis=1)
        struck, touched = bounds[hit], touching[hit]
        kept_bounds, kept_touching = [bounds[~hit]], [touching[~hit]]
        for goal in range(goals):
            others = [k for k in range(goals) if k != goal]
            alive = touched[:, others, goal].max(axis=1, initial=0) < point[goal]
            lowered, points = struck[alive], touched[alive]
            lowered[:, goal], points[:, goal] = point[goal], point
            kept_bounds.append(lowered)
            kept_touching.append(points)
        bounds, touching = np.concatenate(kept_bounds), np.concatenate(kept_touching)
    return bounds, touching


def thin(front: Floats, most: int) -> Indices:
    """Return at most ``most`` rows of a front, shape ``(n, g)``: the best of each goal, then always the farthest away.

    Farthest-first traversal (Gonzalez 1985) of the front with every goal scaled to [0, 1].
    """
    n = len(front)
    if n <= most:
        return np.arange(n)
    low, high = front.min(axis=0), front.max(axis=0)
    scaled = (front - low) / np.where(high > low, high - low, 1.0)
    chosen = list(dict.fromkeys(np.argmin(scaled, axis=0).tolist()))[:most]
    away = np.min([((scaled - scaled[row]) ** 2).sum(axis=1) for row in chosen], axis=0)
    while len(chosen) < most:
        row = int(np.argmax(away))
        chosen.append(row)
        away = np.minimum(away, ((scaled - scaled[row]) ** 2).sum(axis=1))
    return np.sort(np.array(chosen, dtype=np.int64))


# --- expected improvement ---------------------------------------------------------------------------------------------


def log_expected_hypervolume_improvement(boxes: Boxes, mean: Floats, std: Floats) -> tuple[Floats, Floats, Floats]:
    """Return log EHVI, see eq. 2, and its derivatives in the means and deviations: ``(m,), (m, g), (m, g)``.

    Args:
        boxes: of the front that is to be improved.
        mean: μ, shape ``(m, g)``.
        std: σ, shape ``(m, g)``.
    """
    total = np.zeros((len(mean), len(boxes)))
    slopes = []
    for goal, (low, high, side) in enumerate(boxes.sides):
        value, *slope = _log_side(boxes.edges[goal], low, high, mean[:, goal, None], std[:, goal, None])
        total += value[:, side]
        slopes.append((slope, side))
    most = total.max(axis=1)
    share = np.exp(total - most[:, None])
    summed = share.sum(axis=1)
    share /= summed[:, None]
    by_mean, by_std = np.empty(mean.shape), np.empty(std.shape)
    for goal, ((of_mean, of_std), side) in enumerate(slopes):
        by_mean[:, goal] = np.einsum("mk,mk->m", share, of_mean[:, side])
        by_std[:, goal] = np.einsum("mk,mk->m", share, of_std[:, side])
    return most + np.log(summed), by_mean, by_std


def _log_side(edges: Floats, low: Indices, high: Indices, mean: Floats, std: Floats) -> tuple[Floats, Floats, Floats]:
    """Return log(ψ(u) - ψ(l)) and its derivatives in μ and σ, each ``(m, n_sides)``.

    Args:
        edges: shape ``(n + 2,)``, the first minus infinity.
        low: the places of l in ``edges``, shape ``(n_sides,)``.
        high: those of u.
        mean: μ, shape ``(m, 1)``.
        std: σ, shape ``(m, 1)``.

    With the gap δ = log ψ(u) - log ψ(l) it is log ψ(u) + log(1 - exp(-δ)), and the integral of Φ((t - μ) / σ) from l to
    u, which is (u - l) Φ at the middle where δ is too small to be known well; that is off by less than a part in 10⁸.
    """
    log_psi, of_mean, of_std = log_mean_excess((edges[1:] - mean) / std, std)
    upper, lower = high - 1, np.maximum(low - 1, 0)
    gap = np.where(low > 0, log_psi[:, upper] - log_psi[:, lower], np.inf)
    narrow = gap < _NARROW
    share = -np.expm1(-np.where(narrow, 1.0, gap))
    value = log_psi[:, upper] + np.log(share)
    by_mean = (of_mean[:, upper] - (1.0 - share) * of_mean[:, lower]) / share
    by_std = (of_std[:, upper] - (1.0 - share) * of_std[:, lower]) / share
    if narrow.any():
        row, side = np.nonzero(narrow)
        begin, end, deviation = edges[low[side]], edges[high[side]], std[row, 0]
        z = (0.5 * begin + 0.5 * end - mean[row, 0]) / deviation
        log_below = log_ndtr(z)
        ratio = np.exp(-0.5 * z * z - LOG_ROOT_2PI - log_below) / deviation
        value[narrow] = np.log(end - begin) + log_below
        by_mean[narrow], by_std[narrow] = -ratio, -z * ratio
    return value, by_mean, by_std
