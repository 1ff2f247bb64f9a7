"""Several goals at once: try where the volume that the front dominates is expected to grow the most.

One Gaussian process for each goal, with hyperparameters of its own and axes that it may bend; the acquisition is the
logarithm of the expected hypervolume improvement, in closed form for two to four goals
(:mod:`tunewell.numerics.hypervolume`). One goal, and more than four, are left to
:class:`~tunewell.samplers.gp.GP`, which makes many goals one by a random weighting.

* Losses are warped goal by goal: the bad tail is softened, diverged trials count as worse than all. The warp is
  monotone, so the front stays the front.
* The front is that of the posterior *means* at the configurations that were tried, not of the losses: luck under noise
  does not make a front. (Daulton et al. 2021, arXiv:2105.08195, integrate over that front instead.)
* The reference, up to which volume counts, follows the data: in every goal the worst on the front and a margin. A small
  one, a tenth of the front's range by custom, refines what there is and never reaches for the ends; a wide one does,
  and forgets the middle. So it is drawn anew for each suggestion: with two goals between 1/20 and twice the range; with
  more of them between 1/20 and 1/5, since there most of a wide margin's volume lies along the rim.
* Where a constraint bounds a goal itself (``error <= 0.2``), what is beyond is worth nothing, however good the rest. So
  the bound takes the place of the drawn reference with two goals; with more of them the smaller of both counts.
* Deviations are multiplied by 1 to 2, drawn too: a process that is sure of itself fills the first front it finds. With
  more than two goals the front is large enough to keep the search busy, and the factor is at most 1.25.
* Trials still running are believed to reach the posterior means, and take part in the front. A trial that breaks a
  constraint does not.
* Failures, constraints, beliefs and the bounds on the cost are as with one goal. Nothing is repeated to test for noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tunewell import options
from tunewell.history import History
from tunewell.numerics import gp, warps
from tunewell.numerics.feasibility import breach_in_medians
from tunewell.numerics.hypervolume import Boxes, log_expected_hypervolume_improvement, undominated
from tunewell.numerics.kernels import Indices
from tunewell.numerics.pareto import non_dominated
from tunewell.protocols import Suggestion
from tunewell.samplers.acquiring import Sum, Term, first, in_words, largest
from tunewell.samplers.gp import GP
from tunewell.samplers.view import conditions
from tunewell.scales import Floats
from tunewell.space import Space
from tunewell.surrogate import processes
from tunewell.surrogate.cube import Cube, cube_of
from tunewell.surrogate.observations import Observations, observe

MOST_GOALS = 4
_MOST_ON_FRONT = {2: 128, 3: 64, 4: 32}  # points that boxes are made of, by goals: about 130, 130 and 200 boxes
_MARGIN = {2: (0.05, 2.0), 3: (0.05, 0.2), 4: (0.05, 0.2)}  # in ranges of the front, by goals
_WIDEST = {2: 2.0, 3: 1.25, 4: 1.25}  # factor of the deviations, by goals


@dataclass(frozen=True)
class EHVI:
    """Expected hypervolume improvement.

    Attributes:
        initial: configurations before the first fit: the middle of the ranges, then quasi-random ones; None for two
            more than twice as many as there are parameters, at most ten.
        candidates: random points that the search for the next configuration begins with; the accuracy of the
            suggestion against its cost.
        evaluations: of the log posterior, at most, in each goal's fit of the hyperparameters.

    Raises:
        ValueError: a number below 1.

    >>> import tunewell as tw
    >>> sampler = tw.samplers.EHVI(candidates=512)
    """

    initial: int | None = None
    candidates: int = 256
    evaluations: int = processes.EVALUATIONS

    def __post_init__(self) -> None:
        for name in ("initial", "candidates", "evaluations"):
            value = getattr(self, name)
            if (name, value) != ("initial", None):
                options.whole("EHVI", name, value, 1)

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Suggestion:
        """Return the configuration with the largest acquisition found; raise Exhausted when all have been tried."""
        if not 1 < len(history.goals) <= MOST_GOALS:
            single = GP(initial=self.initial or GP.initial, candidates=self.candidates, evaluations=self.evaluations)
            return single.suggest(space, history, rng)
        with processes.one_thread():
            cube, (seen, bounds) = cube_of(space), _unbounded(history, observe(space, history))
            enough = self.initial or min(2 * (len(cube.free) + 1), 10)
            if len(seen.losses) < enough or not np.isfinite(seen.losses).any() or not len(cube.free):
                return Suggestion(first(cube, space, history, rng), "to begin with")
            broken = breach_in_medians(seen.violations) > 0.0
            softened, limits = _softened(seen.losses, bounds)
            behind = _behind(softened)
            rows = processes.chosen(seen.units[:, cube.free], behind)
            growth = self._growth(cube, seen, rows, broken, limits, rng)
            others = conditions(cube, space, history, seen, behind, rows, self.evaluations)
            terms: list[Term] = others if others and broken[rows].all() else [growth, *others]
            config = largest(cube, space, history, Sum(terms), growth.top, self.candidates, rng)
            chance = float(growth.chance(space.encode([config]))[0])
        return Suggestion(config, f"expected hypervolume: new on the front with a chance of {in_words(chance)}")

    def _growth(
        self,
        cube: Cube,
        seen: Observations,
        rows: Indices,
        broken: NDArray[np.bool_],
        limits: Floats,
        rng: np.random.Generator,
    ) -> Growth:
        """Fit the processes, find the front and return what its volume, up to ``limits``, is expected to grow by."""
        goals = seen.losses.shape[1]
        margin, width = np.exp(rng.uniform(*np.log(_MARGIN[goals]))), _WIDEST[goals] ** rng.random()
        models = [
            processes.likeliest(cube, seen, seen.losses[:, [goal]], np.ones(1), rows, self.evaluations)
            for goal in range(goals)
        ]
        reached = np.stack([model.reached for model in models], axis=1)
        if len(seen.pending):
            models = [model.append(seen.pending[:, cube.free]) for model in models]
            believed = np.stack([model.targets[-len(seen.pending) :] for model in models], axis=1)
            reached = np.concatenate([reached, believed])
        candidates = np.append(~broken[rows] | broken[rows].all(), np.ones(len(seen.pending), dtype=np.bool_))
        front = np.flatnonzero(candidates)
        front = front[non_dominated(reached[front])]
        reference = _reference(reached, reached[front], float(margin), limits)
        boxes = undominated(reached[front], reference, _MOST_ON_FRONT[goals])
        top = np.concatenate([seen.units[rows], seen.pending])[front]
        return Growth(cube, models, boxes, float(width), top)


@dataclass(frozen=True, eq=False)
class Growth:
    """The logarithm of the expected hypervolume improvement, as a term of an acquisition function.

    Attributes:
        cube: the space.
        models: the processes on losses, one for each of g goals.
        boxes: what the front leaves undominated.
        width: the factor of the deviations.
        top: the configurations on the front, shape ``(k, d)``.
    """

    cube: Cube
    models: Sequence[gp.GaussianProcess]
    boxes: Boxes
    width: float
    top: Floats

    def value(self, units: Floats) -> Floats:
        """Return the term at coordinates, shape ``(m, d)`` to ``(m,)``."""
        mean, std = self._predict(units)
        return log_expected_hypervolume_improvement(self.boxes, mean, self.width * std)[0]

    def value_and_slopes(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the term and its gradient, ``(m,)`` and ``(m, d)``."""
        found = [model.predict_with_slopes(units[:, self.cube.free]) for model in self.models]
        mean, std, of_mean, of_std = (np.stack(each, axis=1) for each in zip(*found, strict=True))
        value, by_mean, by_std = log_expected_hypervolume_improvement(self.boxes, mean, self.width * std)
        slopes = np.zeros(units.shape)
        slopes[:, self.cube.free] = np.einsum("mg,mgd->md", by_mean, of_mean)
        slopes[:, self.cube.free] += self.width * np.einsum("mg,mgd->md", by_std, of_std)
        return value, slopes

    def chance(self, units: Floats) -> Floats:
        """Return the probability of being better than the reference and not dominated, ``(m, d)`` to ``(m,)``."""
        mean, std = (each[:, None, :] for each in self._predict(units))
        upper, lower = ndtr((self.boxes.upper - mean) / std), ndtr((self.boxes.lower - mean) / std)
        inside: Floats = np.prod(upper - lower, axis=2).sum(axis=1)
        return inside

    def _predict(self, units: Floats) -> tuple[Floats, Floats]:
        """Return means and deviations, both of shape ``(m, g)``."""
        found = [model.predict(units[:, self.cube.free]) for model in self.models]
        return np.stack([mean for mean, _ in found], axis=1), np.stack([std for _, std in found], axis=1)


def _unbounded(history: History, seen: Observations) -> tuple[Observations, Floats]:
    """Return what was seen without the constraints that bound a goal, and their bounds as losses, shape ``(g,)``.

    A goal without one has infinity.
    """
    kept, bounds = [], np.full(len(history.goals), np.inf)
    for k, rule in enumerate(history.constraints):
        sense = "min" if rule.sense == "<=" else "max"
        bounded = [g for g, goal in enumerate(history.goals) if (goal.metric, goal.mode) == (rule.metric, sense)]
        if bounded:
            bounds[bounded] = rule.bound if sense == "min" else -rule.bound
        else:
            kept.append(k)
    return replace(seen, violations=seen.violations[:, kept]), bounds


def _behind(losses: Floats) -> Floats:
    """Return how far rows, shape ``(n, g)``, are behind the front: by how much all goals would have to get better.

    The additive epsilon indicator of Zitzler et al. (2003); 0 on the front.
    """
    away = np.full(len(losses), np.inf)
    for point in losses[non_dominated(losses)]:
        np.minimum(away, (losses - point).max(axis=1), out=away)
    return away


def _softened(losses: Floats, bounds: Floats) -> tuple[Floats, Floats]:
    """Return losses, shape ``(n, g)``, softened goal by goal, and where the bounds are then, shape ``(g,)``."""
    maps = [warps.Softening.of(column) for column in losses.T]
    soft = np.stack([each(column) for each, column in zip(maps, losses.T, strict=True)], axis=1)
    limits = np.concatenate([each.bounds(bound) for each, bound in zip(maps, bounds[:, None], strict=True)])
    return soft, np.where(np.isfinite(bounds), limits, np.inf)


def _reference(losses: Floats, front: Floats, margin: float, limits: Floats) -> Floats:
    """Return the worst of the front and ``margin`` ranges of it, or of all losses where it has none, shape ``(g,)``.

    What a goal's limit says against that, shape ``(g,)``, is in the module's text.
    """
    whole = np.maximum(np.ptp(losses, axis=0), 1e-6)
    spread = np.ptp(front, axis=0)
    drawn: Floats = front.max(axis=0) + margin * np.where(spread > 1e-6 * whole, spread, whole)
    told = np.isfinite(limits) if len(limits) == 2 else limits < drawn
    return np.where(told, limits, drawn)
