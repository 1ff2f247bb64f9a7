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
together. With ``grouped=True`` the parameters that are always active together form a group, as those of Watanabe and of
Optuna (see :mod:`tunewell.samplers.groups`), each group G has an l and a g of its own, from the trials in which it is
active, and

    x = argmax over draws from all l_G of the sum over the active G of log l_G(x_G) - log g_G(x_G)        (4)
    w_i = max(w_i among all trials, w_i among those of G), where either counts i as good                  (5)

Optuna takes the best draw of each group by itself, so that a branch is chosen before anybody has looked into it. In (4)
a draw is a whole configuration, so a branch is judged together with what was drawn there. By (5) a branch with most of
the good trials keeps them, and one without any is still searched near its own best. Groups are better where conditions
add up, such as the widths of more and more layers; for branches that exclude each other the two came out about alike,
and the joint density takes less time. Without conditions there is one group, and both are the same.

Trials that diverged, ran out of memory or time, or failed belong to g, and so do those that still run, which keeps the
suggestions of a batch apart. The first trials are a quasi-random design, or draws from the priors where any are stated.
Several goals: trials are ordered and weighted by their place (see :mod:`tunewell.samplers.split`); a light form of what
Ozaki et al., "Multiobjective tree-structured Parzen estimator" (2022), do with hypervolumes. At most 128 good trials
and 512 others, evenly spaced, become kernels. The prior weighs as much as two trials, not one.
The kernel of a label is the wider the fewer trials a density has, so that labels nobody has tried have their turn.
Constraints: trials that
keep them come before those that do not, and are weighted by their place; so l moves towards what is allowed first.
Watanabe and Hutter, "c-TPE" (IJCAI 2023), model each constraint by densities of its own. Beliefs: each whole or partial
configuration that a person named is a kernel in the l it says something about, with the weight of the prior at first.
What was said beforehand, priors and beliefs, fades as ``design / (design + n)``; what the priors lose, the uniform law
gets. It is in l alone: g is what has been tried, and with the priors in it l / g would lead away from where they point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tunewell import options
from tunewell.history import History
from tunewell.numerics.parzen import NARROWEST, Axis, Parzen, neighbour_bandwidths
from tunewell.samplers.groups import Group, groups, whole
from tunewell.samplers.sobol import Sobol
from tunewell.samplers.split import Good, scaled, split
from tunewell.samplers.untried import noisy, untried
from tunewell.scales import Floats
from tunewell.space import Config, Space
from tunewell.surrogate.cube import bin_walls
from tunewell.surrogate.observations import Observations, believed, observe, tried, values_of

_MOST_GOOD = 128  # kernels in l
_MOST_OTHERS = 512  # kernels in g


@dataclass(frozen=True)
class TPE:
    """Tree-structured Parzen estimator.

    Attributes:
        design: quasi-random trials before the first comparison of densities.
        share: the share of the finished trials that counts as good, between 0 and 1: less is greedier.
        candidates: draws among which the best is taken: more is greedier.
        narrowest: the smallest bandwidth, in the unit cube, at least 0.0001: less gives finer search.
        prior: the weight in both densities, in trials, of the uniform law, or at first of the priors: more explores.
        grouped: whether parameters that are always active together have densities of their own, for spaces whose
            conditions add up, such as a width for each layer; else all parameters have one joint density.

    >>> import tunewell as tw
    >>> sampler = tw.samplers.TPE(design=16)
    """

    design: int = 10
    share: float = 0.15
    candidates: int = 24
    narrowest: float = 0.03
    prior: float = 2.0
    grouped: bool = False

    def __post_init__(self) -> None:
        for name in ("design", "candidates"):
            options.whole("TPE", name, getattr(self, name), 1)
        if not options.between(self.share, 0.0, 1.0):
            raise ValueError(f"TPE expected a share between 0 and 1, such as 0.15, got {self.share!r}")
        if not options.between(self.narrowest, NARROWEST, ends=True):
            raise ValueError(f"TPE expected narrowest of at least {NARROWEST}, such as 0.03, got {self.narrowest!r}")
        if not options.between(self.prior, 0.0):
            raise ValueError(f"TPE expected prior above 0, got {self.prior!r}")
        options.yes_or_no("TPE", "grouped", self.grouped)

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return the candidate with the largest ratio of densities.

        A finite space gives no configuration twice, unless two trials of the same one ended with different losses.

        Raises:
            Exhausted: everything has been tried.
        """
        return self.given(observe(space, history), space, history, rng)

    def given(self, seen: Observations, space: Space, history: History, rng: np.random.Generator) -> Config:
        """Return what :meth:`suggest` does from these observations, say those of one step, in the place of all.

        Raises:
            Exhausted: everything has been tried.
        """
        plan = _plan(space)
        model = self._model(plan, seen, space, history)
        if model is None:
            proposals: Sequence[Config] = [self._first(plan, space, history, rng)]
        else:
            proposals = model.ranked(model.drawn(self.candidates, rng), space)
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
        belief = self._density(plan.axes, np.empty((0, len(plan.axes))), np.empty(0), beliefs, self.prior)
        return space.decode_one(belief.sample(1, rng)[0].tolist())

    def _model(self, plan: _Plan, seen: Observations, space: Space, history: History) -> _Model | None:
        """Return the densities, or None while the design lasts and before anything has worked."""
        if max(history.suggested, len(seen.losses) + len(seen.failed)) < self.design:
            return None
        good = split(seen, self.share, _MOST_GOOD)
        if not len(good.rows):
            return None
        parts = groups(space) if self.grouped else whole(space)
        return _Model(tuple(self._part(part, plan, seen, good, space, history) for part in parts), plan)

    def _part(self, group: Group, plan: _Plan, seen: Observations, good: Good, space: Space, history: History) -> _Part:
        """Return the two densities of a group, from the trials in which it is active."""
        here = group.seen(seen)
        axes = tuple(plan.axes[j] for j in group.columns)
        if not group.always:
            good = split(here, self.share, _MOST_GOOD).joined(good.among(group.active(seen.units)))  # (5)
        rest = np.delete(np.arange(len(here.losses)), good.rows)
        others = np.concatenate([_thinned(here.units[rest]), _thinned(here.failed), here.pending])
        n_others = len(rest) + len(here.failed) + len(here.pending)
        finished = len(here.losses) + len(here.failed)
        beliefs = self._beliefs(plan, space, history, finished).of(group)
        return _Part(
            columns=group.columns,
            below=self._density(axes, here.units[good.rows], good.weights, beliefs, self._faith(finished)),
            above=self._density(axes, others, scaled(np.ones(len(others)), n_others), _no_kernels(len(axes)), 0.0),
        )

    def _beliefs(self, plan: _Plan, space: Space, history: History, finished: int) -> _Kernels:
        """Return a kernel for each belief; NaN coordinates are those of the prior."""
        if not history.beliefs:
            return _no_kernels(len(plan.axes))
        centers, spreads = believed(space, history)
        labels = np.array([not axis.ordered for axis in plan.axes])
        faith = self._faith(finished)
        widened = spreads[:, None] * np.where(labels, 2.0, 1.0)  # of labels: b in (4) there
        return _Kernels(centers, widened, np.full(len(centers), faith))

    def _faith(self, finished: int) -> float:
        """Return the weight, in trials, of what somebody said beforehand: the less, the more trials have finished."""
        return self.prior * self.design / (self.design + finished)

    def _density(
        self, axes: tuple[Axis, ...], centers: Floats, weights: Floats, beliefs: _Kernels, faith: float
    ) -> Parzen:
        """Return the mixture of the kernels of trials and beliefs, of the priors and of the uniform law.

        All weights are in trials. The priors have ``faith``, the uniform law what they have lost.
        """
        bandwidths = neighbour_bandwidths(axes, centers, self.narrowest)
        rest = np.array([faith, self.prior - faith])
        middles = np.array([np.nan, 0.5])[rest > 0.0, None] + np.zeros(len(axes))
        widths = np.array([np.nan, np.inf])[rest > 0.0, None] + np.zeros(len(axes))
        return Parzen(
            axes,
            np.concatenate([centers, beliefs.centers, middles]),
            np.concatenate([bandwidths, beliefs.bandwidths, widths]),
            np.concatenate([weights, beliefs.weights, rest[rest > 0.0]]),
        )


@dataclass(frozen=True, eq=False)
class _Kernels:
    """Some kernels of a mixture: centres and bandwidths, shape ``(b, d)``, and weights, shape ``(b,)``, in trials."""

    centers: Floats
    bandwidths: Floats
    weights: Floats

    def of(self, group: Group) -> _Kernels:
        """Return what they say about a group."""
        about = group.active(self.centers)
        return _Kernels(
            self.centers[about][:, group.columns], self.bandwidths[about][:, group.columns], self.weights[about]
        )


@dataclass(frozen=True, eq=False)
class _Plan:
    """The space as the densities see it."""

    axes: tuple[Axis, ...]
    conditional: bool
    believes: bool
    size: float


def axes_of(space: Space) -> tuple[Axis, ...]:
    """Return the parameters of a space as the axes of a density, each with its prior."""
    return _plan(space).axes


@lru_cache(maxsize=16)
def _plan(space: Space) -> _Plan:
    axes = []
    for parameter in space.values():
        labels = parameter.is_categorical
        edges = np.linspace(0.0, 1.0, int(parameter.count) + 1) if labels else bin_walls(parameter)
        center, spread = 0.5, math.inf
        if parameter.prior is not None:
            center = parameter.to_unit(parameter.prior.center)
            spread = parameter.prior.std * (2.0 if labels else 1.0)  # of labels: b in (4) there
        axes.append(Axis(edges, not labels, center, spread))
    conditional = any(parameter.when for parameter in space.values())
    return _Plan(tuple(axes), conditional, any(math.isfinite(axis.spread) for axis in axes), space.size)


@dataclass(frozen=True, eq=False)
class _Part:
    """The densities l and g of a group."""

    columns: NDArray[np.intp]
    below: Parzen
    above: Parzen


@dataclass(frozen=True, eq=False)
class _Model:
    """The densities of all groups."""

    parts: tuple[_Part, ...]
    plan: _Plan

    def drawn(self, m: int, rng: np.random.Generator) -> Floats:
        """Draw points from l, shape ``(m, d)``, also of the groups that are not active there."""
        points = np.empty((m, len(self.plan.axes)))
        for part in self.parts:
            points[:, part.columns] = part.below.sample(m, rng)
        return points

    def ranked(self, points: Floats, space: Space) -> Sequence[Config]:
        """Return the configurations at points of shape ``(m, d)``, the most promising first."""
        if self.plan.conditional:
            points = space.encode(space.decode(points))  # NaN where not active
        return space.decode(np.nan_to_num(points[np.argsort(-self.scores(points), kind="stable")], nan=0.5))

    def scores(self, points: Floats) -> Floats:
        """Return (4) at points of shape ``(m, d)``; a group that is not active, all NaN, adds nothing."""
        total = np.zeros(len(points))
        for part in self.parts:
            here = points[:, part.columns]
            total += part.below.log_density(here) - part.above.log_density(here)
        return total


def _no_kernels(n_axes: int) -> _Kernels:
    nothing = np.empty((0, n_axes))
    return _Kernels(nothing, nothing, np.empty(0))


def _thinned(rows: Floats) -> Floats:
    """Return at most as many rows as g may have kernels of a kind, evenly spaced."""
    if len(rows) <= _MOST_OTHERS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, _MOST_OTHERS).astype(np.intp)]
