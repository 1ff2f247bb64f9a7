"""Dominance between vectors of losses: the front, the fronts behind it, and how crowded a front is where.

Deb, Pratap, Agarwal and Meyarivan, "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE Transactions
on Evolutionary Computation 6 (2002): fast non-dominated sorting (III-A), crowding distance (III-B) and the order that
the two make together (III-B, the crowded-comparison operator). A row beats another when it is no larger in every column
and smaller in one; equal rows do not beat each other. Infinite losses are allowed, NaN is not.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunewell.scales import Floats

Places = NDArray[np.intp]


def non_dominated(losses: Sequence[Sequence[float]] | Floats) -> NDArray[np.bool_]:
    """Return which rows no other row beats: no larger in every column and smaller in one.

    Args:
        losses: shape ``(n, n_goals)``, to be minimised. Equal rows do not beat each other.

    Returns:
        A mask of shape ``(n,)``.
    """
    points = np.asarray(losses, dtype=np.float64)
    if points.size == 0:
        return np.zeros(len(losses), dtype=np.bool_)
    rows = np.lexsort(points.T[::-1])  # whoever beats a row comes before it
    place = 0
    while place < len(rows):  # everything before is on the front, and what it beats is gone
        row, rest = points[rows[place]], points[rows]
        rows = rows[~((row <= rest).all(axis=1) & (row < rest).any(axis=1))]
        place += 1
    mask = np.zeros(len(points), dtype=np.bool_)
    mask[rows] = True
    return mask


def fronts(losses: Floats, enough: int | None = None) -> Places:
    """Return the front of every row: 0 where no row beats it, 1 where only rows of front 0 do, and so on.

    One goal and two are sorted, in O(n log n). More take the fast non-dominated sort: every row is compared with every
    other once, in O(n_goals n²) time and n² memory; then front after front is taken away from the counts of those that
    beat a row.

    Args:
        losses: shape ``(n, n_goals)``, to be minimised.
        enough: stop after the front with which at least so many rows have one; the others get ``n``.

    Returns:
        Shape ``(n,)``.
    """
    n, n_goals = losses.shape
    enough = n if enough is None else min(n, enough)
    if n_goals == 1:
        found = np.unique(losses[:, 0], return_inverse=True)[1].astype(np.intp)
    elif n_goals == 2:
        found = _fronts_of_two(losses)
    else:
        return _fronts_of_many(losses, enough)
    last = np.searchsorted(np.cumsum(np.bincount(found)), enough) if n else 0
    return np.where(found <= last, found, n) if enough else np.full(n, n)


def _fronts_of_two(losses: Floats) -> Places:
    """Return all fronts for two goals.

    Rows come by the first goal, then by the second. So a front beats a row just when its newest member, which has the
    smallest second loss, does; and these members are in order from front to front.
    """
    found = np.empty(len(losses), dtype=np.intp)
    newest: list[tuple[float, float]] = []  # of every front, the second loss first
    order = np.lexsort(losses.T[::-1])
    for row, (first, second) in zip(order.tolist(), losses[order].tolist(), strict=True):
        front = bisect_left(newest, (second, first))
        found[row] = front
        newest[front : front + 1] = [(second, first)]
    return found


def _fronts_of_many(losses: Floats, enough: int) -> Places:
    """Return the first fronts, until ``enough`` rows have one, and n for the other rows."""
    n = len(losses)
    no_worse, better = np.ones((n, n), dtype=np.bool_), np.zeros((n, n), dtype=np.bool_)
    for column in losses.T:
        no_worse &= column[:, None] <= column
        better |= column[:, None] < column
    beats = no_worse & better
    found = np.full(n, n, dtype=np.intp)
    beaten_by = beats.sum(axis=0)
    ranked, number = 0, 0
    while ranked < enough:
        front = np.flatnonzero((beaten_by == 0) & (found == n))
        found[front] = number
        beaten_by -= beats[front].sum(axis=0)
        ranked, number = ranked + len(front), number + 1
    return found


def crowding_distance(losses: Floats) -> Floats:
    """Return how far apart the neighbours of every row of a front are, as shares of the goals' ranges, in sum.

    Rows with the smallest or the largest loss of a goal are infinitely far from the others. A goal that does not vary,
    or not within finite bounds, tells nothing about the rest.

    Args:
        losses: of the rows of one front, shape ``(n, n_goals)``.

    Returns:
        Shape ``(n,)``.
    """
    distances = np.zeros(len(losses))
    for column in 0.5 * losses.T:  # the halves, whose range is never beyond floating point
        order = np.argsort(column, kind="stable")
        low, high = column[order[[0, -1]]] if len(order) else (0.0, 0.0)
        if -np.inf < low < high < np.inf:
            distances[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / (high - low)
        distances[order[:1]] = distances[order[-1:]] = np.inf
    return distances


def crowded_order(losses: Floats, count: int | None = None) -> Places:
    """Return the rows by front, within a front the lonelier first (by crowding distance); ties keep their order.

    Args:
        losses: shape ``(n, n_goals)``, to be minimised.
        count: how many rows to return at most; None for all.
    """
    front = fronts(losses, count)
    distances = np.zeros(len(losses))
    for number in range(int(front[front < len(losses)].max(initial=-1)) + 1):
        rows = np.flatnonzero(front == number)
        distances[rows] = crowding_distance(losses[rows])
    order: Places = np.lexsort((-distances, front))
    return order[:count]
