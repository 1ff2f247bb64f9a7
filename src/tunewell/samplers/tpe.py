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
quasi-random design, or draws from the priors where any are stated. Several goals: trials are ordered by front of
non-dominated ones, within a front the lonelier (by crowding distance) first, and weighted by their place; a light form
of what Ozaki et al., "Multiobjective tree-structured Parzen estimator" (2022), do with hypervolumes. At most 128 good
trials and 512 others, evenly spaced, become kernels. The prior weighs as much as two trials, not one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tunewell.history import History
from tunewell.numerics.parzen import Axis, Parzen, neighbour_bandwidths
from tunewell.protocols import Exhausted
from tunewell.samplers.observations import Observations, observe, tried, values_of
from tunewell.samplers.sobol import Sobol
from tunewell.scales import Floats
from tunewell.space import Config, Space

Places = NDArray[np.intp]

_MOST_BINS = 1024  # an integer with more is a real axis
_MOST_GOOD = 128  # kernels in l
_MOST_OTHERS = 512  # kernels in g
_LEAVING = 0.3  # the bandwidth of labels
_MOST_LISTED = 10_000  # a space of that size is searched for what has not been tried


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
    prior: float = 2.0

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
        """Return the candidate with the largest ratio of densities.

        A finite space gives no configuration twice, unless two trials of the same one ended with different losses.

        Raises:
            Exhausted: everything has been tried.
        """
        seen = observe(space, history)
        plan = _plan(space)
        model = self._model(plan, seen, history)
        if model is None:
            proposals: Sequence[Config] = [self._first(plan, space, history, rng)]
        else:
            proposals = model.ranked(model.below.sample(self.candidates, rng), space)
        if not plan.size < math.inf or _noisy(seen, space, history):
            return proposals[0]
        known = tried(space, history)
        for config in proposals:
            if values_of(space, config) not in known:
                return config
        left = _untried(space, plan, known, rng)
        if not left:
            return proposals[0]
        return left[0] if model is None else model.ranked(space.encode(left), space)[0]

    def _first(self, plan: _Plan, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return a point of the design: drawn from the priors where there are any, else quasi-random."""
        if not plan.believes:
            return Sobol().suggest(space, history, rng)
        belief = self._density(plan, np.empty((0, len(plan.axes))), np.empty(0), 0)
        return space.decode_one(belief.sample(1, rng)[0].tolist())

    def _model(self, plan: _Plan, seen: Observations, history: History) -> _Model | None:
        """Return the two densities, or None while the design lasts and before anything has worked."""
        finished = len(seen.losses) + len(seen.failed)
        worked = np.flatnonzero(np.isfinite(seen.losses).all(axis=1))
        if max(history.suggested, finished) < self.design or not len(worked):
            return None
        n_good = min(math.ceil(self.share * finished), _MOST_GOOD, len(worked))  # (1)
        order = worked[_best(seen.losses[worked], n_good + 1)]
        good = order[:n_good]
        rest = np.delete(np.arange(len(seen.losses)), good)
        others = np.concatenate([_thinned(seen.units[rest]), _thinned(seen.failed), seen.pending])
        n_others = len(rest) + len(seen.failed) + len(seen.pending)
        return _Model(
            below=self._density(plan, seen.units[good], _improvements(seen.losses[order], n_good), n_good),
            above=self._density(plan, others, np.ones(len(others)), n_others),
            conditional=plan.conditional,
        )

    def _density(self, plan: _Plan, centers: Floats, weights: Floats, total: float) -> Parzen:
        """Return the mixture of the trials' kernels, of weight ``total`` together, and of the prior."""
        bandwidths = neighbour_bandwidths(plan.axes, centers, self.narrowest, _LEAVING)
        says_nothing = np.full((1, len(plan.axes)), np.nan)
        scaled = weights * (total / weights.sum()) if len(weights) else weights
        return Parzen(
            plan.axes,
            np.concatenate([centers, says_nothing]),
            np.concatenate([bandwidths, says_nothing]),
            np.append(scaled, self.prior),
        )


@dataclass(frozen=True, eq=False)
class _Plan:
    """The space as the densities see it."""

    axes: tuple[Axis, ...]
    conditional: bool
    believes: bool
    size: float


@lru_cache(maxsize=16)
def _plan(space: Space) -> _Plan:
    axes = []
    for parameter in space.values():
        edges = None
        if parameter.is_categorical:
            edges = np.linspace(0.0, 1.0, int(parameter.count) + 1)
        elif parameter.count <= _MOST_BINS:
            walls = [0.0]
            for middle in parameter.to_units(parameter.grid(int(parameter.count))).tolist():
                walls.append(2.0 * middle - walls[-1])
            edges = np.array([*walls[:-1], 1.0])
        center, spread = 0.5, math.inf
        if parameter.prior is not None:
            center = parameter.to_unit(parameter.prior.center)
            spread = parameter.prior.std * (2.0 if parameter.is_categorical else 1.0)  # of labels: b in (4) there
        axes.append(Axis(edges, not parameter.is_categorical, center, spread))
    conditional = any(parameter.when for parameter in space.values())
    return _Plan(tuple(axes), conditional, any(math.isfinite(axis.spread) for axis in axes), space.size)


@dataclass(frozen=True, eq=False)
class _Model:
    """The densities l and g."""

    below: Parzen
    above: Parzen
    conditional: bool

    def ranked(self, points: Floats, space: Space) -> Sequence[Config]:
        """Return the configurations at points of shape ``(m, d)``, the most promising first."""
        if self.conditional:
            points = space.encode(space.decode(points))  # NaN where not active
        scores = self.below.log_density(points) - self.above.log_density(points)  # (3)
        return space.decode(np.nan_to_num(points[np.argsort(-scores, kind="stable")], nan=0.5))


def _improvements(losses: Floats, n_good: int) -> Floats:
    """Return the weights of the good trials, shape ``(n_good,)``, from theirs and the next loss, the best first."""
    if losses.shape[1] > 1 or len(losses) == n_good:
        return np.arange(n_good, 0.0, -1.0)
    y = losses[:, 0] / (np.abs(losses).max() or 1.0)
    weights = y[-1] - y[:-1]  # (2)
    return weights if weights.sum() > 0.0 else np.ones(n_good)


def _thinned(rows: Floats) -> Floats:
    """Return at most as many rows as g may have kernels of a kind, evenly spaced."""
    if len(rows) <= _MOST_OTHERS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, _MOST_OTHERS).astype(np.intp)]


# --- what has been tried ----------------------------------------------------------------------------------------------


def _noisy(seen: Observations, space: Space, history: History) -> bool:
    """Tell whether the same configuration has ended with different losses among the newest trials."""
    if len(tried(space, history)) == len(history.trials):
        return False
    strong = np.flatnonzero(~seen.weak)[-1000:]
    rows, losses = np.nan_to_num(seen.units[strong], nan=-1.0), seen.losses[strong]
    order = np.lexsort(rows.T)
    changes = np.abs(np.diff(rows[order], axis=0)).sum(axis=1)
    differ = np.not_equal(losses[order][1:], losses[order][:-1])
    return bool(differ[changes == 0.0].any())


def _untried(space: Space, plan: _Plan, known: set[tuple[object, ...]], rng: np.random.Generator) -> list[Config]:
    """Return some configurations that have not been tried: of a small space up to 512 random ones, else one or none.

    Raises:
        Exhausted: there are none.
    """
    if plan.size <= _MOST_LISTED:
        left = [config for config in _listed(space) if values_of(space, config) not in known]
        if not left:
            raise Exhausted(f"all {len(_listed(space))} configurations of the space have been tried")
        return [left[k] for k in rng.permutation(len(left))[:512].tolist()]
    drawn = (space.sample(rng) for _ in range(100))
    fresh = next((config for config in drawn if values_of(space, config) not in known), None)
    return [] if fresh is None else [fresh]


@lru_cache(maxsize=4)
def _listed(space: Space) -> Sequence[Config]:
    return list(space.grid({name: int(parameter.count) for name, parameter in space.items()}))


# --- the order of the trials ------------------------------------------------------------------------------------------


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
    """Return the best rows by non-dominated front, and within a front the lonelier first.

    Of long histories only the rows with the smallest sums of ranks, at least 512, are looked at.
    """
    ranks = np.argsort(np.argsort(losses, axis=0, kind="stable"), axis=0, kind="stable").astype(np.float64)
    few = np.argsort(ranks.sum(axis=1), kind="stable")[: max(512, count)]
    points, ranks = losses[few], ranks[few]
    beats: NDArray[np.bool_] = np.all(points[:, None] <= points, axis=2) & np.any(points[:, None] < points, axis=2)
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
