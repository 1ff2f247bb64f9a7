"""TPE, the tree-structured Parzen estimator: where are the good trials dense, and the others not?

Bergstra, Bardenet, Bengio and Kégl, "Algorithms for hyper-parameter optimization" (NeurIPS 2011), in the multivariate
form and with the settings of Watanabe, "Tree-structured Parzen estimator: understanding its algorithm components and
their roles for better empirical performance" (arXiv:2304.11127). The trials are split into the better share, of
density l, and the rest, of density g; of some draws from l the one with the largest l / g is tried:

    gamma = ceil(0.15 n)                                      the trials in l                             (1)
    w_i = (y_gamma+1 - y_i)                                   their weights, as improvement               (2)
    x = argmax over draws from l of log l(x) - log g(x)       grows with expected improvement             (3)

with ``n`` finished trials and ``y`` their losses. It needs O(n) time, takes any kind of parameter, conditions and
failures, and asks of the losses little more than their order.

Where we differ. A parameter that was not active in a trial has the prior as its kernel there (see
:mod:`tunewell.numerics.parzen`), so one joint density covers a conditional space and learns how branch and leaf go
together; Watanabe and Optuna split the space into groups. Trials that diverged, ran out of memory or time, or failed
belong to g, and so do those that still run, which keeps the suggestions of a batch apart. The first trials are a
quasi-random design. Several goals: fronts of non-dominated trials, ties by the sum of ranks, weights by place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from tunewell.events import Status
from tunewell.history import OBSERVED, History
from tunewell.numerics.parzen import Axis, Parzen
from tunewell.numerics.pareto import non_dominated
from tunewell.protocols import Exhausted
from tunewell.samplers.sobol import Sobol
from tunewell.scales import Floats
from tunewell.space import Config, Space

_BAD = frozenset({Status.DIVERGED, Status.OUT_OF_MEMORY, Status.FAILED, Status.TIMED_OUT})
_MOST_BINS = 1024  # an integer with more is a real axis
_MOST_GOOD = 128  # kernels in l
_MOST_OTHERS = 512  # kernels in g


@dataclass(frozen=True)
class TPE:
    """Tree-structured Parzen estimator.

    Attributes:
        design: quasi-random trials before the first comparison of densities.
        share: the share of the finished trials that counts as good, between 0 and 1: less is greedier.
        candidates: draws among which the best is taken: more is greedier.
        narrowest: the smallest bandwidth, in the unit cube: less gives finer search.
        prior: the weight of the prior in both densities, in trials: more explores.

    >>> import tunewell as tw
    >>> sampler = tw.samplers.TPE(design=16)
    """

    design: int = 10
    share: float = 0.15
    candidates: int = 24
    narrowest: float = 0.03
    prior: float = 1.0

    def __post_init__(self) -> None:
        for name, smallest in (("design", 1), ("candidates", 1)):
            if getattr(self, name) < smallest:
                raise ValueError(f"TPE expected {name} of at least {smallest}, got {getattr(self, name)!r}")
        if not 0.0 < self.share < 1.0:
            raise ValueError(f"TPE expected a share between 0 and 1, such as 0.15, got {self.share!r}")
        for name in ("narrowest", "prior"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"TPE expected {name} above 0, got {getattr(self, name)!r}")

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return the candidate with the largest ratio of densities."""
        told = _told(space, history)
        return told.unseen(self._propose(space, history, told, rng), space, rng)

    def _proposals(self, space: Space, history: History, told: _Told, rng: np.random.Generator) -> Iterator[Config]:
        """Yield configurations, the best first."""
        rows = _Rows.of(told, history)
        fresh = history.suggested < self.design and len(rows.losses) + len(rows.bad) < self.design
        if fresh or not len(rows.losses):
            yield Sobol().suggest(space, history, rng)
            return
        good, others, weights = self._split(rows)
        below = self._density(told, good, weights, float(len(good)))
        above = self._density(told, _thinned(others), np.ones(min(len(others), _MOST_OTHERS)), float(len(others)))
        points = below.sample(self.candidates, rng)
        if told.conditional:
            points = space.encode(space.decode(points))  # NaN where not active
        scores = below.log_density(points) - above.log_density(points)  # (3)
        for row in np.argsort(-scores, kind="stable"):
            yield space.decode_one(points[row].tolist())

    def _split(self, rows: _Rows) -> tuple[Places, Places, Floats]:
        """Return the trials of l and of g, and the weights of the former, which sum to their number."""
        n_good = min(math.ceil(self.share * (len(rows.losses) + len(rows.bad))), _MOST_GOOD, len(rows.losses))  # (1)
        order = _best(rows.losses, rows.levels, n_good + 1)
        rest = np.delete(rows.numbers, order[:n_good])
        others = np.concatenate([rest, rows.bad, rows.pending])
        y = rows.losses[order, 0]
        if rows.losses.shape[1] > 1 or len(order) == n_good or len(set(rows.levels[order].tolist())) > 1:
            weights = np.arange(n_good, 0.0, -1.0)
        else:
            largest = np.abs(y).max() or 1.0
            weights = y[-1] / largest - y[:-1] / largest  # (2)
        if not weights.sum() > 0.0:
            weights = np.ones(n_good)
        return rows.numbers[order[:n_good]], others, weights * (n_good / weights.sum())

    def _density(self, told: _Told, trials: Places, weights: Floats, total: float) -> Parzen:
        """Return the mixture of the trials' kernels, of ``total`` weight together, and of the prior."""
        centers = told.units[trials]
        bandwidths = neighbour_bandwidths(told.axes, centers, self.narrowest, _LEAVING)
        nothing = np.full((1, len(told.axes)), np.nan)
        scaled = weights * (total / weights.sum()) if len(weights) else weights
        return Parzen(
            told.axes, np.vstack([centers, nothing]), np.vstack([bandwidths, nothing]), np.append(scaled, self.prior)
        )


def _thinned(trials: Places) -> Places:
    """Return at most as many trials as g may have kernels, evenly spaced."""
    if len(trials) <= _MOST_OTHERS:
        return trials
    return trials[np.linspace(0, len(trials) - 1, _MOST_OTHERS).astype(np.intp)]


# --- the order of the trials ------------------------------------------------------------------------------------------


def _best(losses: Floats, levels: Floats, count: int) -> Places:
    """Return the best rows, the very best first, at most ``count``.

    Args:
        losses: shape ``(n, n_goals)``.
        levels: how far the trials were trained, shape ``(n,)``; losses of different levels are not compared, and
            those that came further were thought better at lower levels.
        count: rows wanted.
    """
    if losses.shape[1] > 1:
        return _best_of_fronts(losses, levels, count)
    first = losses[:, 0]
    if len(first) > 4 * count and (levels == levels[0]).all():
        few = np.flatnonzero(first <= np.partition(first, count - 1)[count - 1])
        return few[np.argsort(first[few], kind="stable")[:count]]
    return np.lexsort((first, -levels))[:count]


def _best_of_fronts(losses: Floats, levels: Floats, count: int) -> Places:
    """Return the best rows by non-dominated front, and within a front the lonelier first.

    Of long histories only the rows with the smallest sums of ranks, at least 512, are looked at.
    """
    ranks = np.argsort(np.argsort(losses, axis=0, kind="stable"), axis=0, kind="stable").astype(np.float64)
    few = np.lexsort((ranks.sum(axis=1), -levels))[: max(512, count)]
    points, level, ranks = losses[few], levels[few], ranks[few]
    no_worse = (points[:, None] <= points).all(axis=2) & (points[:, None] < points).any(axis=2)
    beats = np.where(level[:, None] == level, no_worse, level[:, None] > level)
    left, chosen = np.ones(len(few), dtype=bool), np.empty(0, dtype=np.intp)
    while len(chosen) < min(count, len(few)):
        front = np.flatnonzero(left & ~beats[left].any(axis=0))
        chosen = np.concatenate([chosen, front[np.argsort(-_loneliness(ranks[front]), kind="stable")]])
        left[front] = False
    return few[chosen[:count]]


def _loneliness(ranks: Floats) -> Floats:
    """Return the crowding distances of Deb et al. (2002) between rows of ranks, shape ``(n,)``."""
    distances = np.zeros(len(ranks))
    for column in ranks.T:
        order = np.argsort(column, kind="stable")
        distances[order[[0, -1]]] += 2.0 * len(ranks) * (1.0 + np.ptp(column))
        distances[order[1:-1]] += column[order[2:]] - column[order[:-2]]
    return distances


# --- the memo: the history as arrays ----------------------------------------------------------------------------------


@dataclass(eq=False)
class _Told:
    """All trials as arrays, indexed by number and read once; room for more than there are."""

    space: Space
    n_goals: int
    axes: tuple[Axis, ...]
    conditional: bool
    started: int = 0  # trials encoded
    read: int = 0  # entries of history.rested
    units: Floats = field(init=False)  # (room, d)
    losses: Floats = field(init=False)  # (room, n_goals)
    levels: Floats = field(init=False)  # (room,): steps trained, infinite for a completed trial
    fates: NDArray[np.int8] = field(init=False)  # (room,): see _fate
    tried: dict[tuple[tuple[str, Value], ...], tuple[float, ...] | None] = field(default_factory=dict)
    repeatable: bool = False  # whether the same configuration has been seen with two different losses

    def __post_init__(self) -> None:
        self.units = np.empty((0, len(self.space)))
        self.losses = np.empty((0, self.n_goals))
        self.levels = np.empty(0)
        self.fates = np.empty(0, dtype=np.int8)

    def read_on(self, history: History) -> None:
        """Take in what has happened since the last time."""
        trials = history.trials
        if len(trials) > len(self.units):
            self._grow(2 * len(trials) + 16)
        fresh = trials[self.started :]
        if fresh:
            self.units[self.started : len(trials)] = _encoded(self.space, [record.params for record in fresh])
            self.started = len(trials)
            if self.space.size < math.inf:
                for record in fresh:
                    self.tried.setdefault(_key(record.params), None)
        for number in history.rested[self.read :]:
            self._rest(trials[number])
        self.read = len(history.rested)

    def _grow(self, room: int) -> None:
        units, losses, levels, fates = self.units, self.losses, self.levels, self.fates
        n = len(units)
        self.units, self.losses = np.full((room, len(self.space)), np.nan), np.full((room, self.n_goals), np.nan)
        self.levels, self.fates = np.zeros(room), np.full(room, _PENDING, dtype=np.int8)
        self.units[:n], self.losses[:n], self.levels[:n], self.fates[:n] = units, losses, levels, fates

    def _rest(self, record: TrialRecord) -> None:
        number = record.number
        self.fates[number], losses, self.levels[number] = _fate(record)
        if losses is None:
            return
        self.losses[number] = losses
        if self.space.size < math.inf and record.status is Status.COMPLETED:
            before = self.tried.setdefault(_key(record.params), None)
            self.repeatable |= before is not None and before != losses
            self.tried[_key(record.params)] = losses


@dataclass(frozen=True, eq=False)
class _Rows:
    """The trials at this moment.

    Attributes:
        numbers: the trials with a finite loss, shape ``(n,)``.
        losses, levels: theirs, shapes ``(n, n_goals)`` and ``(n,)``.
        bad: the trials that went wrong.
        pending: the trials without news.
    """

    numbers: Places
    losses: Floats
    levels: Floats
    bad: Places
    pending: Places
