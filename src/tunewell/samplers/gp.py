"""Gaussian-process search: fit a process to the losses, try where it expects the most improvement.

The process has a joint and an additive Matérn-5/2 part (:mod:`tunewell.numerics.kernels`) and learnt noise; the
acquisition is by default log expected improvement over the best posterior mean (Ament et al. 2023, arXiv:2310.20708).
Around it:

* Losses are warped: the bad tail is softened, diverged trials count as worse than all.
* Trials still running are believed to reach the posterior mean, so that parallel suggestions keep apart. So are those
  that failed: where nothing comes back, there is nothing to be learnt about losses.
* What failed, diverged, ran out of memory or time teaches a second process where that happens; the log of the
  probability that it does not is added to the acquisition. So is that of keeping each outcome constraint, which has a
  process of its own (Gardner et al. 2014, "Bayesian optimization with inequality constraints").
* What is believed counts as in πBO, and is dropped when it misleads (:mod:`tunewell.surrogate.beliefs`).
* When the last results have brought nothing worth having, two of three suggestions look for an improvement of at
  least 3 % of the way from the median to the best loss: no budget goes into the sixth digit while another basin may be
  better.
* Where the process finds noise, the most promising configuration is trained again from time to time; the first such
  repeat also tells noise from roughness. A deterministic objective, once seen to be one, is never asked the same twice.
* Several goals are made one by a random weighting for each suggestion (ParEGO, Knowles 2006); the sampler ``ehvi`` is
  better at two to four.

The cost is bounded, see :mod:`tunewell.surrogate.processes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.special import ndtr

from tunewell.history import History
from tunewell.numerics import acquisition, gp
from tunewell.numerics.feasibility import breach
from tunewell.numerics.kernels import Indices
from tunewell.protocols import Suggestion
from tunewell.samplers.acquiring import Measured, Sum, Term, first, largest
from tunewell.scales import Floats
from tunewell.space import Config, Space
from tunewell.surrogate import processes
from tunewell.surrogate.beliefs import belief
from tunewell.surrogate.cube import Cube, cube_of
from tunewell.surrogate.noise import Repeats, repeats
from tunewell.surrogate.observations import Observations, observe

Acquisition = Literal["log_ei", "noisy_log_ei", "ei", "ucb", "pi", "thompson"]

_WORTH = 1e-3  # of the way from the median to the best loss: what counts as a gain
_MARGIN = 0.03  # of that way: what is looked for when nothing was gained
_NOISY = 1e-3  # noise variance over signal variance from which on a repeat is worth its price
_FIRST_REPEAT = 12  # losses before it
_REPEAT_EVERY = 8
_DRAWS = 8  # of the best value, for the noisy acquisition
_THOMPSON_POINTS = 256
_MOST_FAILED = 100  # failed trials, the newest, that are believed in
_KNOWN = 0.1  # of the signal deviation: less is close to what is known


@dataclass(frozen=True)
class GP:
    """Gaussian-process search.

    Attributes:
        acquisition: what to maximise: ``"log_ei"`` and ``"ei"``, expected improvement over the best posterior mean;
            ``"noisy_log_ei"``, averaged over what the best value may truly be; ``"ucb"``, a confidence bound;
            ``"pi"``, the probability of improvement; ``"thompson"``, the best point of a drawn function.
        initial: configurations before the first fit: the middle of the ranges, then quasi-random ones.
        candidates: random points that the search for the next configuration begins with; the accuracy of the
            suggestion against its cost.
        evaluations: of the log posterior, at most, in a fit of the hyperparameters.
        width: of the confidence bound, in standard deviations.

    Raises:
        ValueError: another acquisition, or a number out of range.

    >>> import tunewell as tw
    >>> sampler = tw.samplers.GP(acquisition="ucb", width=1.5)
    """

    acquisition: Acquisition = "log_ei"
    initial: int = 3
    candidates: int = 256
    evaluations: int = processes.EVALUATIONS
    width: float = 2.0

    def __post_init__(self) -> None:
        if self.acquisition not in get_args(Acquisition):
            known = ", ".join(get_args(Acquisition))
            raise ValueError(f"GP expected an acquisition among {known}, got {self.acquisition!r}")
        for name in ("initial", "candidates", "evaluations"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"GP expected {name} to be a whole number from 1 on, got {getattr(self, name)!r}")
        if not 0.0 < self.width < np.inf:
            raise ValueError(f"GP expected a width above 0, such as 2.0, got {self.width!r}")

    def suggest(self, space: Space, history: History, rng: np.random.Generator) -> Suggestion:
        """Return the configuration with the largest acquisition found; raise Exhausted when all have been tried."""
        with processes.one_thread():
            view = self.look(space, history, rng)
            if view is None:
                config = first(cube_of(space), space, history, rng)
                return Suggestion(config, "to begin with")
            again = view.to_repeat(space, history)
            if again is not None:
                return again
            return self.next(view, space, history, rng)

    def next(self, view: View, space: Space, history: History, rng: np.random.Generator) -> Suggestion:
        """Return what the acquisition function says, given what the processes see."""
        promise = _drawn(view, rng) if self.acquisition == "thompson" else self._promise(view, history.suggested, rng)
        terms = view.conditions if view.none_allowed and view.conditions else [promise, *view.conditions]
        config = largest(view.cube, space, history, Sum(terms), view.top, self.candidates, rng)
        return Suggestion(config, self._reason(view, space, config, history.suggested))

    def look(self, space: Space, history: History, rng: np.random.Generator) -> View | None:
        """Fit the processes and return what they see, or None while there is too little to fit them to."""
        cube, seen = cube_of(space), observe(space, history)
        finite = np.isfinite(seen.losses).all(axis=1)
        if len(seen.losses) < self.initial or not finite.any() or not len(cube.free):
            return None
        weights = rng.dirichlet(np.ones(seen.losses.shape[1]))
        targets = processes.targets_of(seen.losses, weights)
        broken = breach(seen.violations) > 0.0
        rows = processes.subset(seen.units[:, cube.free], np.where(broken, targets + np.ptp(targets), targets))
        model = processes.of_losses(cube, seen, seen.losses, weights, rows, self.evaluations)
        kept = ~broken[rows]
        if len(seen.failed):
            model = model.append(seen.failed[-_MOST_FAILED:, cube.free])
        if len(seen.pending):
            model = model.append(seen.pending[:, cube.free])
            kept = np.append(kept, np.ones(len(seen.pending), dtype=np.bool_))
        allowed = np.flatnonzero(kept) if kept[: len(rows)].any() else np.arange(len(kept))
        reached = model.reached
        top = allowed[np.argsort(reached[allowed], kind="stable")]
        points = np.concatenate([seen.units[rows], seen.pending])
        return View(
            cube=cube,
            seen=seen,
            targets=targets,
            model=model,
            best=float(reached[top[0]]),
            top=points[top[:8]],
            conditions=self._conditions(cube, seen, rows, belief(cube, space, history, seen.units, targets)),
            none_allowed=not kept[: len(rows)].any(),
            repeats=repeats(seen),
        )

    def _conditions(self, cube: Cube, seen: Observations, rows: Indices, belief: Term | None) -> list[Term]:
        """Return the terms that do not depend on how promising a point is."""
        terms: list[Term] = [] if belief is None else [belief]
        failures = processes.of_failures(cube, seen, evaluations=self.evaluations)
        if failures is not None:
            terms.append(Measured(cube, failures, acquisition.log_works))
        for column in seen.violations.T:
            known = rows[np.isfinite(column[rows])]
            if len(known) >= self.initial:
                terms.append(Measured(cube, _of_constraint(cube, seen, column, known), acquisition.log_kept))
        return terms

    def _promise(self, view: View, suggested: int, rng: np.random.Generator) -> Term:
        """Return the term that says how promising a point is."""
        model, best = view.model, view.best
        if self.acquisition == "ucb":
            return Measured(view.cube, model, acquisition.bounding(self.width))
        if self.acquisition == "pi":
            return Measured(view.cube, model, acquisition.improving(best))
        if self.acquisition == "noisy_log_ei":
            drawn = model.sample(view.top[:, view.cube.free], rng, _DRAWS).min(axis=1)
            return Measured(view.cube, model, acquisition.averaging([acquisition.expecting(each) for each in drawn]))
        return Measured(view.cube, model, acquisition.expecting(best - view.margin(suggested)))

    def _reason(self, view: View, space: Space, config: Config, suggested: int) -> str:
        """Say in words why this configuration."""
        mean, std = (float(each[0]) for each in view.model.predict(space.encode([config])[:, view.cube.free]))
        better = 100.0 * float(ndtr((view.best - mean) / std))
        known = "close to what is known" if std < _KNOWN * np.sqrt(view.model.variance) else "little is known there"
        aim = "; the last trials brought no gain worth having, so it looks farther" if view.margin(suggested) else ""
        return f"Gaussian process: better than the best with a chance of {better:.2g} %, {known}{aim}"


@dataclass(frozen=True, eq=False)
class View:
    """What the processes see in a history.

    Attributes:
        cube: the space.
        seen: what they were given.
        targets: the warped losses, shape ``(n,)``.
        model: the process on losses.
        best: the smallest posterior mean of a point that was tried and keeps the constraints, if any does.
        top: the points with the smallest posterior means, shape ``(k, d)``.
        conditions: failure, constraints, beliefs, as terms of the acquisition.
        none_allowed: whether no trial keeps the constraints yet.
        repeats: what trials of the same configuration say about noise.
    """

    cube: Cube
    seen: Observations
    targets: Floats
    model: gp.GaussianProcess
    best: float
    top: Floats
    conditions: list[Term]
    none_allowed: bool
    repeats: Repeats

    @property
    def noisy(self) -> bool:
        """Whether the process finds more noise than can be neglected, and no repeat says otherwise."""
        return self.model.noise > _NOISY and not self.repeats.deterministic

    @property
    def unit(self) -> float:
        """The way from the median to the best loss, in warped units."""
        return max(0.0, float(np.median(self.targets)) - self.best)

    @property
    def stalled(self) -> bool:
        """Whether the last results have brought nothing worth having."""
        last = min(len(self.cube.free), 10) + 2
        if len(self.targets) < 2 * last or self.noisy:
            return False
        gained = float(self.targets[:-last].min() - self.targets[-last:].min())
        return gained <= _WORTH * self.unit

    def margin(self, suggested: int) -> float:
        """Return how much better than the best a point should be, given the number of suggestions so far."""
        return _MARGIN * self.unit if suggested % 3 and self.stalled else 0.0

    def to_repeat(self, space: Space, history: History) -> Suggestion | None:
        """Return a trial to be repeated, if it is time for that."""
        early = len(self.targets) < _FIRST_REPEAT or len(self.seen.pending) > 0
        if not self.noisy or early or history.suggested % _REPEAT_EVERY:
            return None
        config = space.decode_one(np.nan_to_num(self.top[0], nan=0.5).tolist())
        return Suggestion(config, "once more, for the losses seem noisy: so far the most promising configuration")


def _of_constraint(cube: Cube, seen: Observations, column: Floats, rows: Indices) -> gp.GaussianProcess:
    """Return a process on how far a metric is beyond its bound, in units in which the bound stays at 0."""
    scale = float(np.median(np.abs(column[rows]))) or 1.0
    values = np.arcsinh(column / scale)
    units = seen.units[:, cube.free]
    theta = processes.hyperparameters(cube.columns, units[rows], values[rows])
    return gp.GaussianProcess.of(cube.columns, theta, units[rows], values[rows])


def _drawn(view: View, rng: np.random.Generator) -> Term:
    """Return minus a function drawn from the process: its mean given its drawn values at some points."""
    cube = view.cube
    world = rng.random((_THOMPSON_POINTS, len(cube.counts)))
    near = cube.mutate(view.top[rng.integers(len(view.top), size=_THOMPSON_POINTS // 2)], rng, (-3.0, -0.5), 5)
    points = cube.snap(np.concatenate([world, near]))[:, cube.free]
    values = view.model.sample(points, rng, 1)[0]
    few = np.argsort(values, kind="stable")[: _THOMPSON_POINTS // 4]
    return Measured(cube, view.model.append(points[few], values[few]), acquisition.bounding(0.0))
