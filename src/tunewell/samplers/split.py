"""The split: which trials are good, the best share of those finished, and what each of them weighs.

The numbers below are those of :mod:`tunewell.samplers.tpe`. With one goal a good trial weighs what it improves on the
best of the others, else by its place among the good. Several goals: by front of non-dominated ones, within a front the
lonelier (by crowding distance) first. Constraints: what keeps them comes before what does not, which is ordered by how
far it is off (see :mod:`tunewell.numerics.feasibility`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunewell.numerics.feasibility import breach_in_medians
from tunewell.numerics.pareto import Places, crowded_order
from tunewell.scales import Floats
from tunewell.surrogate.observations import Observations


@dataclass(frozen=True, eq=False)
class Good:
    """The good ones of some observations.

    Attributes:
        rows: their places among the observations, shape ``(k,)``.
        weights: in trials, so that they sum to k, shape ``(k,)``.
    """

    rows: Places
    weights: Floats

    def among(self, kept: NDArray[np.bool_]) -> Good:
        """Return those of the observations that are kept, shape ``(n,)``, by their places among these."""
        here = kept[self.rows]
        return Good((np.cumsum(kept) - 1)[self.rows[here]], self.weights[here])

    def joined(self, other: Good) -> Good:
        """Return what is good by either, each with its larger weight."""
        rows, inverse = np.unique(np.concatenate([self.rows, other.rows]), return_inverse=True)
        weights = np.zeros(len(rows))
        np.maximum.at(weights, inverse, np.concatenate([self.weights, other.weights]))
        return Good(rows, scaled(weights, len(rows)))


def split(seen: Observations, share: float, most: int) -> Good:
    """Return the best share of the finished trials, the best first, and at most so many; none if none has worked."""
    worked = np.flatnonzero(np.isfinite(seen.losses).all(axis=1))
    n_good = min(math.ceil(share * (len(seen.losses) + len(seen.failed))), most, len(worked))  # (1)
    if not n_good:
        return Good(worked, np.empty(0))
    breaches = breach_in_medians(seen.violations[worked])
    places = _allowed_first(seen.losses[worked], breaches, n_good + 1)
    order = worked[places]
    weights = _by_place(n_good) if breaches[places].any() else _improvements(seen.losses[order], n_good)
    return Good(order[:n_good], scaled(weights, n_good))


def scaled(weights: Floats, total: float) -> Floats:
    """Return the weights of some kernels, shape ``(n,)``, scaled to the sum ``total``."""
    return weights * (total / weights.sum()) if len(weights) else weights


def _improvements(losses: Floats, n_good: int) -> Floats:
    """Return the weights of the good trials, shape ``(n_good,)``, from theirs and the next loss, the best first."""
    if losses.shape[1] > 1 or len(losses) == n_good:
        return _by_place(n_good)
    y = losses[:, 0] / (np.abs(losses).max() or 1.0)
    weights = y[-1] - y[:-1]  # (2)
    return weights if weights.sum() > 0.0 else np.ones(n_good)


def _by_place(n_good: int) -> Floats:
    return np.arange(n_good, 0.0, -1.0)


def _allowed_first(losses: Floats, breaches: Floats, count: int) -> Places:
    """Return the rows that break no constraint, the best first, then the others, the least broken first.

    At most ``count`` of them, which is what makes it another function than :func:`tunewell.samplers.results.places`.
    """
    kept, broken = np.flatnonzero(breaches == 0.0), np.flatnonzero(breaches)
    rest = broken[np.lexsort((losses[broken, 0], breaches[broken]))]
    return np.concatenate([kept[_best(losses[kept], count)], rest])[:count]


def _best(losses: Floats, count: int) -> Places:
    """Return the rows of losses, shape ``(n, n_goals)``, the best first, at most ``count``."""
    if losses.shape[1] > 1:
        return _best_of_fronts(losses, count)
    first = losses[:, 0]
    if len(first) <= 4 * count:
        return np.argsort(first, kind="stable")[:count]
    few = np.flatnonzero(first <= np.partition(first, count - 1)[count - 1])
    return few[np.argsort(first[few], kind="stable")[:count]]


def _best_of_fronts(losses: Floats, count: int) -> Places:
    """Return the best rows by non-dominated front, and within a front the lonelier first, both in terms of ranks.

    Of long histories only the rows with the smallest sums of ranks, at least 512, are looked at.
    """
    ranks = np.stack([np.unique(column, return_inverse=True)[1] for column in losses.T], axis=1).astype(np.float64)
    few = np.argsort(ranks.sum(axis=1), kind="stable")[: max(512, count)]
    return few[crowded_order(ranks[few], count)]
