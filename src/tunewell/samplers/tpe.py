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
trials and 512 others, evenly spaced, become kernels. The prior weighs as much as two trials, not one. Constraints:
trials that keep them come before those that do not, which are ordered by how far they are off (see
:mod:`tunewell.numerics.feasibility`) and weighted by their place; so l moves towards what is allowed first. Watanabe
and Hutter, "c-TPE" (IJCAI 2023), model each constraint by densities of its own. Beliefs: each whole or partial
configuration that a person named is a kernel in l, with the weight of the prior at first, which fades as ``design /
(design + n)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tunewell.history import History
from tunewell.numerics.feasibility import breach
from tunewell.numerics.pareto import Places, crowded_order
from tunewell.numerics.parzen import Axis, Parzen, neighbour_bandwidths
from tunewell.samplers.sobol import Sobol
from tunewell.samplers.untried import noisy, untried
from tunewell.scales import Floats
from tunewell.space import Config, Space
from tunewell.surrogate.observations import Observations, believed, observe, tried, values_of

_MOST_BINS = 1024  # an integer with more is a real axis
_MOST_GOOD = 128  # kernels in l
_MOST_OTHERS = 512  # kernels in g
_LEAVING = 0.3  # the bandwidth of labels


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
        model = self._model(plan, seen, space, history)
        if model is None:
            proposals: Sequence[Config] = [self._first(plan, space, history, rng)]
        else:
            proposals = model.ranked(model.below.sample(self.candidates, rng), space)
        if not plan.size < math.inf or noisy(seen, space, history):
            return proposals[0]
        known = tried(space, history)
        for config in proposals:
            if values_of(space, config) not in known:
                return config
        left = untried(space, history, rng)
        if not left:
            return proposals[0]
        return left[0] if model is None else model.ranked(space.encode(left), space)[0]

    def _first(self, plan: _Plan, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return a point of the design: drawn from the priors and beliefs where there are any, else quasi-random."""
        beliefs = self._beliefs(plan, space, history, 0)
        if not plan.believes and not len(beliefs.weights):
            return Sobol().suggest(space, history, rng)
        belief = self._density(plan, np.empty((0, len(plan.axes))), np.empty(0), 0, beliefs)
        return space.decode_one(belief.sample(1, rng)[0].tolist())

    def _model(self, plan: _Plan, seen: Observations, space: Space, history: History) -> _Model | None:
        """Return the two densities, or None while the design lasts and before anything has worked."""
        finished = len(seen.losses) + len(seen.failed)
        worked = np.flatnonzero(np.isfinite(seen.losses).all(axis=1))
        if max(history.suggested, finished) < self.design or not len(worked):
            return None
        n_good = min(math.ceil(self.share * finished), _MOST_GOOD, len(worked))  # (1)
        breaches = breach(seen.violations[worked])
        places = _allowed_first(seen.losses[worked], breaches, n_good + 1)
        order = worked[places]
        good = order[:n_good]
        weights = _by_place(n_good) if breaches[places].any() else _improvements(seen.losses[order], n_good)
        rest = np.delete(np.arange(len(seen.losses)), good)
        others = np.concatenate([_thinned(seen.units[rest]), _thinned(seen.failed), seen.pending])
        n_others = len(rest) + len(seen.failed) + len(seen.pending)
        return _Model(
            below=self._density(plan, seen.units[good], weights, n_good, self._beliefs(plan, space, history, finished)),
            above=self._density(plan, others, np.ones(len(others)), n_others, _no_kernels(plan)),
            conditional=plan.conditional,
        )

    def _beliefs(self, plan: _Plan, space: Space, history: History, finished: int) -> _Kernels:
        """Return a kernel for each belief; NaN coordinates are those of the prior."""
        if not history.beliefs:
            return _no_kernels(plan)
        centers, spreads = believed(space, history)
        labels = np.array([not axis.ordered for axis in plan.axes])
        fading = self.prior * self.design / (self.design + finished)
        widened = spreads[:, None] * np.where(labels, 2.0, 1.0)  # of labels: b in (4) there
        return _Kernels(centers, widened, np.full(len(centers), fading))

    def _density(self, plan: _Plan, centers: Floats, weights: Floats, total: float, beliefs: _Kernels) -> Parzen:
        """Return the mixture of the trials' kernels, of weight ``total`` together, of beliefs and of the prior."""
        bandwidths = neighbour_bandwidths(plan.axes, centers, self.narrowest, _LEAVING)
        says_nothing = np.full((1, len(plan.axes)), np.nan)
        scaled = weights * (total / weights.sum()) if len(weights) else weights
        return Parzen(
            plan.axes,
            np.concatenate([centers, beliefs.centers, says_nothing]),
            np.concatenate([bandwidths, beliefs.bandwidths, says_nothing]),
            np.concatenate([scaled, beliefs.weights, [self.prior]]),
        )


@dataclass(frozen=True, eq=False)
class _Kernels:
    """Some kernels of a mixture: centres and bandwidths, shape ``(b, d)``, and weights, shape ``(b,)``, in trials."""

    centers: Floats
    bandwidths: Floats
    weights: Floats


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
        return _by_place(n_good)
    y = losses[:, 0] / (np.abs(losses).max() or 1.0)
    weights = y[-1] - y[:-1]  # (2)
    return weights if weights.sum() > 0.0 else np.ones(n_good)


def _no_kernels(plan: _Plan) -> _Kernels:
    nothing = np.empty((0, len(plan.axes)))
    return _Kernels(nothing, nothing, np.empty(0))


def _by_place(n_good: int) -> Floats:
    return np.arange(n_good, 0.0, -1.0)


def _thinned(rows: Floats) -> Floats:
    """Return at most as many rows as g may have kernels of a kind, evenly spaced."""
    if len(rows) <= _MOST_OTHERS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, _MOST_OTHERS).astype(np.intp)]


# --- the order of the trials ------------------------------------------------------------------------------------------


def _allowed_first(losses: Floats, breaches: Floats, count: int) -> Places:
    """Return the rows that break no constraint, the best first, then the others, the least broken first."""
    if not breaches.any():
        return _best(losses, count)
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
