"""Worthwhile: the study ends when a gain that is worth having has become unlikely.

The idea is that of Makarova et al., "Automatic termination for hyperparameter optimization", AutoML 2022
(arXiv:2104.08166): stop when a Gaussian process of the losses says that little is left to be gained. They compare
confidence bounds, the largest regret that is still possible, with the statistical error of cross-validation. Here it is
a probability, in the user's own terms: a function f is drawn from the process again and again, and

    P = share of the draws with  min_x f(x) < f(x*) - gain,                                                 (1)

where x* is the best configuration by the posterior mean and x runs over quasi-random points, moves of the best ones and
the points of the largest expected improvement. The study ends when P falls below ``probability``. Both sides of (1) are
of the same draw: under noise one does not know what x* is truly worth, and that alone is no gain to be found (as in
Wilson 2024, "Stopping Bayesian optimization with probabilistic regret bounds", arXiv:2402.16811). While losses are few,
P is the mean over the different ways in which a process explains them, see :mod:`tunewell.surrogate.processes`.

A process is too sure of what lies between the trials, so functions are drawn wider,

    f = μ + max(1, ½ + z) (f' - μ),                                                                         (2)

where f' is drawn from the process with mean μ, and z is how far off it is when each trial is left out in turn, in its
own deviations and less the noise (:attr:`tunewell.numerics.gp.GaussianProcess.surprise`). On smooth surfaces z is about
a half and nothing changes. Where z is 1, what is stated is right at the trials, which are close to each other, and half
as much is added for what lies between them. The ½ was chosen by measuring; hyperparameters drawn from their posterior,
four times the points, or asking twice changed little.

A process that is wrong would end a study too early, so nothing ends

* before ``min_trials`` trials have a loss;
* while the newest trials, d + 2 for d parameters and at most 12, have brought the gain in question;
* while the process predicts no better than the mean does, when each trial is left out in turn;
* while no trial keeps the constraints; then x* and x are those that keep them, the latter in draws from processes on
  the constrained metrics;
* where a configuration fails the process learns nothing, and none is expected to be found there.

What a trial in training will report is not counted on. Losses of several steps are compared at one, see
:mod:`tunewell.surrogate.observations`. With several goals the study never ends by this: what a gain is worth would need
a weight for each goal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from tunewell import options
from tunewell.events import Reported
from tunewell.history import History
from tunewell.memo import remembered
from tunewell.numerics import acquisition, gp
from tunewell.numerics.feasibility import breach_in_medians
from tunewell.protocols import Action, Done, Scheduler, Start, Verdict
from tunewell.samplers.acquiring import Measured, best_units
from tunewell.scales import Floats
from tunewell.schedulers.fifo import Fifo
from tunewell.space import Space
from tunewell.surrogate import processes
from tunewell.surrogate.cube import Cube, cube_of
from tunewell.surrogate.observations import Observations, observe

Mask = NDArray[np.bool_]

_FIFO = Fifo()
_DRAWS = 512
_WORLD, _LOCAL, _SOUGHT = 512, 128, 64  # points of a draw: anywhere, near the best ones, of most promise
_CANDIDATES = 224
_TOP = 8
_MOST_FAILED = 100
_FIRST = 10  # losses whose median is where the search began
_MOST_NEWEST = 12
_WIDER = 0.5  # the ½ of (2)
_MOST_ROWS = 240  # that a process of a constraint is given
_FEWEST_KNOWN = 3  # values of a constrained metric before a process is fitted to them


@dataclass(frozen=True, slots=True)
class Outlook:
    """What may still be gained: ``probability`` that it is at least ``gain``, in the metric's units, ``start`` the
    loss where the search began and ``best`` the best one."""

    probability: float
    gain: float
    start: float
    best: float


@dataclass(frozen=True)
class Worthwhile:
    """Ends the study when a worthwhile gain has become unlikely; all else is up to another scheduler.

    What trains or waits is finished as the other scheduler says: only new trials are no longer begun.

    The probability is the model's, and a model knows nothing of a valley that no trial has come near. Measured where
    the minimum is known (``benchmarks/results/ending.md``): on surfaces with one valley, or three alike, a gain was
    left in none of the studies that ended; with one more valley in one of ten; with many in two of nine; with narrow
    wells on a plain in six of ten, whatever was stated.

    Attributes:
        gain: what is worth having, in the metric's own units: 0.002 of an accuracy. None: ``share`` says it.
        share: the same as a share of what the search has gained so far, from the median of its first ten losses to the
            best one.
        probability: below which the study ends.
        min_trials: trials with a loss before anything ends. None: 10 and 5 more for each parameter.
        then: the scheduler that decides everything else, e.g. ``Asha()``.

    Raises:
        ValueError: a number out of range, or no scheduler.

    >>> import tunewell as tw
    >>> scheduler = tw.schedulers.Worthwhile(gain=0.002, then=tw.schedulers.Asha())
    """

    gain: float | None = None
    share: float = 0.01
    probability: float = 0.05
    min_trials: int | None = None
    then: Scheduler = _FIFO

    def __post_init__(self) -> None:
        if self.gain is not None and not options.between(self.gain, 0.0):
            raise ValueError(f"worthwhile expected a gain above 0, in the metric's units, got {self.gain!r}")
        for name in ("share", "probability"):
            if not options.between(getattr(self, name), 0.0, 1.0):
                raise ValueError(f"worthwhile expected {name} to lie between 0 and 1, got {getattr(self, name)!r}")
        if self.min_trials is not None:
            options.whole("worthwhile", "min_trials", self.min_trials, 1)
        options.scheduler("worthwhile", self.then)

    def check_space(self, space: Space) -> None:
        """Have the other scheduler check its options against a space; raise ValueError where they do not fit."""
        options.check_fit(self.then, space)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Do what the other scheduler says, but begin no trial when a worthwhile gain has become unlikely."""
        action = self.then.next_action(space, history, rng)
        outlook = self.outlook(space, history) if isinstance(action, Start) else None
        if outlook is None or outlook.probability >= self.probability:
            return action
        return Done(f"by the model, the probability of a gain of at least {self._in_words(outlook)}")

    def decide(self, history: History, report: Reported) -> Verdict:
        """Do what the other scheduler says."""
        return self.then.decide(history, report)

    def outlook(self, space: Space, history: History) -> Outlook | None:
        """Return what may still be gained; None where that is not known well enough to end a study."""
        if len(history.goals) != 1 or not len(cube_of(space).free):
            return None
        seen = observe(space, history)
        basis = seen.units, seen.losses, seen.violations, seen.weak, seen.failed
        content = (space, *(array.tobytes() for array in basis))
        newest = _newest(history, self.gain, self.share, self.min_trials)
        if newest.content != content:
            with processes.one_thread():
                newest.outlook = self._judge(space, seen, history.seed)
            newest.content = content
        return newest.outlook

    def _judge(self, space: Space, seen: Observations, seed: int) -> Outlook | None:
        d, finite = len(cube_of(space).free), np.isfinite(seen.losses[:, 0])
        allowed = finite & ~(breach_in_medians(seen.violations) > 0.0)
        least = 10 + 5 * d if self.min_trials is None else self.min_trials
        if (allowed & ~seen.weak).sum() < max(2, least):
            return None
        losses = np.where(allowed, seen.losses[:, 0], np.inf)
        newest = min(d + 2, _MOST_NEWEST)
        best, before = float(losses.min()), float(losses[:-newest].min(initial=np.inf))
        start = float(np.median(seen.losses[finite][:_FIRST, 0]))
        gain = self.share * (start - best) if self.gain is None else self.gain
        if not gain > 0.0 or before - best >= gain:
            return None
        view = _look(space, seen, allowed)
        if view is None:
            return None
        rng = np.random.default_rng([seed, len(losses)])
        return Outlook(_probability(view, gain * view.scale, rng), gain, start, best)

    def _in_words(self, outlook: Outlook) -> str:
        chance = f"{100.0 * outlook.probability:.2g} %" if outlook.probability else f"below {100.0 / _DRAWS:.1g} %"
        if self.gain is not None:
            return f"{self.gain:g} over the best is {chance}"
        came = f"{abs(outlook.start - outlook.best):.3g} that the search has gained so far"
        return f"{outlook.gain:.3g}, {100.0 * self.share:g} % of the {came}, is {chance}"


@dataclass(slots=True)
class _Newest:
    """The newest outlook, and what was seen then: most events change nothing of that."""

    content: object = None
    outlook: Outlook | None = None


@remembered
def _newest(history: History, gain: float | None, share: float, min_trials: int | None) -> _Newest:
    """By numbers alone, for the other scheduler may hold lists, which have no hash."""
    return _Newest()


@dataclass(frozen=True, eq=False, slots=True)
class _Explanation:
    """A process that explains the losses, the log of its share, and what its deviations are multiplied by."""

    model: gp.GaussianProcess
    share: float
    widening: float


@dataclass(frozen=True, eq=False, slots=True)
class _View:
    """What processes see.

    Attributes:
        cube: the space.
        seen: what they were given.
        explanations: processes on warped losses, the most likely one first.
        scale: what one unit of loss is among the warped ones, near the best.
        best: the posterior mean at x*.
        top: the best configurations by the posterior mean, x* first, shape ``(k, d)``.
    """

    cube: Cube
    seen: Observations
    explanations: list[_Explanation]
    scale: float
    best: float
    top: Floats


def _look(space: Space, seen: Observations, allowed: Mask) -> _View | None:
    """Fit processes to losses; None where they are no help. ``allowed``, shape ``(n,)``: what keeps constraints."""
    cube, weights = cube_of(space), np.ones(1)
    targets = processes.targets_of(seen.losses, weights)
    broken = np.where(allowed, targets, targets + np.ptp(targets))
    rows = processes.chosen(seen.units[:, cube.free], broken)
    found = processes.explanations(cube, seen, seen.losses, weights, rows, warping=True)
    scale = _scale(seen.losses[:, 0], targets)
    if scale is None or not allowed[rows].any() or found[0][1].skill <= 0.0:
        return None
    failed = seen.failed[-_MOST_FAILED:, cube.free]
    whole = [
        _Explanation(model.append(failed) if len(failed) else model, share, max(1.0, _WIDER + model.surprise))
        for share, model in found
    ]
    reached = np.where(allowed[rows], found[0][1].reached, np.inf)
    order = np.argsort(reached, kind="stable")[: min(_TOP, int(allowed[rows].sum()))]
    return _View(cube, seen, whole, scale, float(reached[order[0]]), seen.units[rows][order])


def _scale(losses: Floats, targets: Floats) -> float | None:
    """Return what one unit of loss is among the warped losses, both of shape ``(n,)``, between the best and the median.

    The warp is a straight line there.
    """
    finite = np.isfinite(losses)
    order = np.flatnonzero(finite)[np.argsort(losses[finite], kind="stable")]
    low, middle = order[0], order[len(order) // 2]
    away = float(losses[middle] - losses[low])
    return float(targets[middle] - targets[low]) / away if 0.0 < away < math.inf else None


def _probability(view: _View, gain: float, rng: np.random.Generator) -> float:
    """Return (1), for a gain in warped units."""
    points = _points(view, gain, rng)
    kept = _kept(view, points, rng)
    shares = np.exp([each.share for each in view.explanations])
    found = [_of_gain(each, points[:, view.cube.free], kept, gain, rng) for each in view.explanations]
    return float(np.asarray(found) @ shares / shares.sum())


def _points(view: _View, gain: float, rng: np.random.Generator) -> Floats:
    """Return x* and the points x, shape ``(m, d)``."""
    cube = view.cube
    world = qmc.Sobol(len(cube.counts), scramble=True, rng=rng).random(_WORLD)
    near = cube.mutate(view.top[rng.integers(len(view.top), size=_LOCAL)], rng, (-3.0, -0.5), 5)
    term = Measured(cube, view.explanations[0].model, acquisition.expecting(view.best - gain))
    sought = best_units(cube, term, view.top, _CANDIDATES, rng)[:_SOUGHT]
    found: Floats = np.concatenate([view.top[:1], cube.snap(np.concatenate([world, near])), sought])
    return found


def _of_gain(each: _Explanation, points: Floats, kept: Mask, gain: float, rng: np.random.Generator) -> float:
    """Return the share of functions drawn by (2) that are smaller by the gain than at the first point."""
    mean, _ = each.model.predict(points)
    drawn = mean + each.widening * (each.model.sample(points, rng, _DRAWS) - mean)
    return float((np.where(kept, drawn, np.inf).min(axis=1) < drawn[:, 0] - gain).mean())


def _kept(view: _View, points: Floats, rng: np.random.Generator) -> Mask:
    """Return where the constraints are kept in each draw, shape ``(draws, m)``."""
    kept = np.ones((_DRAWS, len(points)), dtype=np.bool_)
    for column in view.seen.violations.T:
        rows = np.flatnonzero(~np.isnan(column))
        rows = rows[processes.subset(view.seen.units[rows][:, view.cube.free], column[rows], _MOST_ROWS)]
        if len(rows) >= _FEWEST_KNOWN:
            process = processes.of_constraint(view.cube, view.seen, column, rows)
            kept &= process.sample(points[:, view.cube.free], rng, _DRAWS) <= 0.0
    return kept
