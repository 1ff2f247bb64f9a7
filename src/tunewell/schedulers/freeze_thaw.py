"""Freeze-thaw: whichever training, new or paused, is most likely to become the best goes on, one rung at a time.

The idea is that of Swersky et al. 2014 (arXiv:1406.3896): trainings are never lost but frozen, and thawed when a model
of all learning curves says so. The model is here a Gaussian process of curves (:mod:`tunewell.numerics.curves`), fitted
to every trial's losses at its rungs and where it stands; losses count by their order (:func:`warps.scores`).

Who goes on is chosen as in ifBO (Rakotoarison et al. 2024, arXiv:2404.16795, section 4): a horizon h is drawn from 1 to
all steps, and how much better than the best loss so far is good enough, from hardly to clearly; then the training with
the highest probability of getting there within h steps is taken. Near horizons finish what is promising, far ones begin
and thaw. Deviations:

* a training goes on to its next rung (1, 2, 4, … steps), not by one step: decisions are few and cheap;
* a new configuration is searched for by climbing the same probability over the space, times those of the conditions
  (failure, constraints, belief, novelty) that samplers know; the other candidates are the paused trials;
* a share of the decisions begins a new training whatever the model says, half of them at random and half where it
  expects the best end: no model is right about everything (as in Mallik et al. 2023, "PriorBand", arXiv:2306.12370);
* a step that takes one configuration longer than others costs it as much probability.

Trials in training are believed to reach their next rung as expected, so several workers keep apart. A trial that cannot
be saved cannot be frozen: it trains on while its chance of becoming the best is at least 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import log_ndtr

from tunewell.events import Reported, Status
from tunewell.history import History
from tunewell.numerics import acquisition, curves, warps
from tunewell.numerics.feasibility import breach
from tunewell.numerics.kernels import Columns
from tunewell.protocols import Action, Continue, Done, Exhausted, Pause, Resume, Start, Stop, Verdict
from tunewell.samplers.acquiring import Sum, Term, anything_new, best_units, drawn, first
from tunewell.samplers.view import conditions
from tunewell.scales import Floats
from tunewell.schedulers.options import whole
from tunewell.space import Config, Space
from tunewell.surrogate import processes
from tunewell.surrogate.cube import Cube, cube_of
from tunewell.surrogate.observations import observe, tried, values_of
from tunewell.surrogate.partial import Points, points

_CANDIDATES = 160
_MOST_POINTS = 256
_SHOWN = 48  # paused trials that are compared
_TOP = 10
_SLIGHT, _CLEAR = 10.0**-4, 10.0**-1  # of the reach: how much better is good enough
_REACH = 3.0  # standard deviations of the losses' scores
_HOPELESS = 0.05


@dataclass(frozen=True)
class FreezeThaw:
    """Freeze-thaw over rungs; see the module's text.

    Attributes:
        reduction: η; rungs lie at ``min_steps * η**k`` steps and at the end.
        min_steps: steps to the first rung.
        max_steps: of a full training; None: those of the run, or those the objective says it means to train.
        explore: the share of decisions that begin a new training in any case.
        initial: trainings that begin before anything is modelled.
        evaluations: of the log posterior, at most, in a fit of the curves' hyperparameters.

    Raises:
        ValueError: a number out of range.
    """

    reduction: float = 2.0
    min_steps: int = 1
    max_steps: int | None = None
    explore: float = 0.25
    initial: int = 4
    evaluations: int = 20

    def __post_init__(self) -> None:
        if not 1.0 < self.reduction < np.inf:
            raise ValueError(f"freeze_thaw expected a reduction above 1, got {self.reduction!r}")
        for name in ("min_steps", "initial", "evaluations"):
            whole("freeze_thaw", name, getattr(self, name), 1)
        if self.max_steps is not None:
            whole("freeze_thaw", "max_steps", self.max_steps, self.min_steps)
        if not 0.0 <= self.explore <= 1.0:
            raise ValueError(f"freeze_thaw expected explore from 0 to 1, got {self.explore!r}")

    def rungs(self, steps: int) -> list[int]:
        """Return where a training of so many steps may be frozen, its end included."""
        found, step = [], float(self.min_steps)
        while round(step) < steps:
            found.append(round(step))
            step *= self.reduction
        return [*dict.fromkeys(found), steps]

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Return the training that is most likely to become the best: a new or a paused one."""
        steps = self.max_steps or history.horizon
        full = history.run is not None and history.run.trials is not None and history.spent_trials >= history.run.trials
        if (len(history.trials) < self.initial or steps is None) and not full:
            return Start(first(cube_of(space), space, history, rng) if _chooses(history) else None, "to begin with")
        with processes.one_thread():
            return self._choose(space, history, steps or 1, None, may_start=not full)

    def decide(self, history: History, report: Reported) -> Verdict:
        """Freeze a training at a rung unless it is the one that would be chosen."""
        steps = self.max_steps or history.horizon
        if steps is None or report.step >= steps or report.step not in self.rungs(steps):
            return Continue()
        trial = history.trials[report.trial]
        with processes.one_thread():
            if trial.saved != report.step:
                return self._unsaved(history, steps, report.trial)
            if len(history.trials) < self.initial:
                return Pause("the first trainings wait for each other")
            chosen = self._choose(history.space, history, steps, report.trial)
        if isinstance(chosen, Resume) and chosen.trial == report.trial:
            return Continue(chosen.reason)
        return Pause(f"frozen at step {report.step}: another training is more likely to become the best")

    def _unsaved(self, history: History, steps: int, trial: int) -> Verdict:
        view = _look(self, history.space, history, steps, trial)
        if view is None:
            return Continue()
        mean, std = view.ahead([trial], steps)
        chance = float(np.exp(log_ndtr((view.best - mean[0]) / std[0])))
        words = f"a chance of {100.0 * chance:.2g} % to become the best"
        return Continue(words) if chance >= _HOPELESS else Stop(f"{words}, and without a checkpoint it cannot wait")

    def _choose(
        self, space: Space, history: History, steps: int, current: int | None, may_start: bool = True
    ) -> Action:
        rng = np.random.default_rng([history.seed, len(history.trials), history.steps_done])
        view = _look(self, space, history, steps, current)
        if view is None:
            return self._anything(space, history, rng)
        paused = view.paused(history, current)
        horizon = int(rng.integers(1, steps + 1))
        better = _REACH * 10.0 ** rng.uniform(np.log10(_SLIGHT), np.log10(_CLEAR))
        exploring, blindly = rng.random() < self.explore, rng.random() < 0.5
        if not may_start:
            if not paused:
                return Done("all trials have been trained to their end, and no more may start")
            chances = view.chances(history, paused, steps, 0.0)
            best = int(np.argmax(chances))
            if chances[best] < np.log(_HOPELESS) and paused[best] != current:
                return Done("no paused trial is likely to become the best, and no more may start")
            return Resume(
                paused[best], f"of the paused trials the most likely to become the best ({_percent(chances[best])})"
            )
        if exploring and blindly:
            return self._anything(space, history, rng)
        far, margin = (steps, 0.0) if exploring else (horizon, better)
        term = _Promise(view, far, margin, exploring)
        config, value = view.new(space, history, term, rng)
        chances = view.chances(history, paused, horizon, better) if paused and not exploring else np.array([-np.inf])
        best = int(np.argmax(chances))
        if config is None or chances[best] > value:
            if not paused:
                return Done("every configuration has been trained to its end")
            where = f"in {horizon} more steps" if horizon > 1 else "in one more step"
            return Resume(paused[best], f"the most likely to beat the best {where} ({_percent(chances[best])})")
        reason = (
            "explores where the model expects the best end"
            if exploring
            else (f"more likely to beat the best within {horizon} steps than any paused trial ({_percent(value)})")
        )
        return Start(config if _chooses(history) else None, reason)

    def _anything(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        if not _chooses(history):
            return Start(None, "explores")
        believed = drawn(cube_of(space), space, history, 1, rng)
        try:
            if believed is not None:
                config = space.decode_one(believed[0].tolist())
                if values_of(space, config) not in tried(space, history):
                    return Start(config, "explores where somebody believes in")
            return Start(anything_new(space, history, rng), "explores at random")
        except Exhausted as exhausted:
            return Done(str(exhausted))


def _chooses(history: History) -> bool:
    """Whether configurations are this scheduler's to choose: unless the study names a sampler of its own."""
    sampler = history.settings.get("sampler", "auto")
    return (sampler if isinstance(sampler, str) else sampler.get("name")) == "auto"


def _percent(log_chance: float) -> str:
    return f"{100.0 * float(np.exp(log_chance)):.2g} %"


@dataclass(frozen=True)
class _View:
    """The curves of a history and the process of them.

    ``best`` is the smallest score so far; ``speed`` the log of the seconds a step of each trial takes, relative to the
    median, shape ``(N,)``.
    """

    cube: Cube
    seen: Points
    model: curves.Curves
    best: float
    steps: int
    ends: Floats
    speed: Floats

    def time(self, step: Floats | float) -> Floats:
        """Return t, the log of the steps as a share of that of all."""
        return np.asarray(np.log(np.maximum(step, 1.0)) / np.log(max(self.steps, 2)))

    def paused(self, history: History, current: int | None) -> list[int]:
        """Return the trials that may go on, those with the best expected end first."""
        found = [
            record.number
            for record in history.trials
            if (record.status is Status.PAUSED and record.paused_by == "scheduler" and record.step < self.steps)
            or record.number == current
        ]
        kept = sorted(found, key=lambda number: (float(self.ends[number]), number))[:_SHOWN]
        return kept if current is None or current in kept else [*kept, current]

    def ahead(self, trials: Sequence[int], step: int) -> tuple[Floats, Floats]:
        """Return mean and deviation of trials' scores at a step, both ``(m,)``."""
        units = self.seen.units[list(trials)][:, self.cube.free]
        mean, covariance = self.model.ahead(units, np.array(trials, dtype=np.int64), self.time(step)[None])
        return mean[:, 0], np.sqrt(np.maximum(covariance[:, 0, 0], 1e-12))

    def chances(self, history: History, trials: list[int], horizon: int, better: float) -> Floats:
        """Return each trial's log probability to beat the best by ``better`` in ``horizon`` steps, for its cost."""
        found = np.empty(len(trials))
        ends = np.array([min(history.trials[number].step + horizon, self.steps) for number in trials])
        for end in np.unique(ends):
            rows = np.flatnonzero(ends == end)
            mean, std = self.ahead([trials[row] for row in rows], int(end))
            found[rows] = log_ndtr((self.best - better - mean) / std)
        return found - self.speed[trials]

    def new(
        self, space: Space, history: History, promise: Term, rng: np.random.Generator
    ) -> tuple[Config | None, float]:
        """Return the new configuration with the largest promise found, None where there is none, and that promise."""
        seen = observe(space, history)
        targets = processes.targets_of(seen.losses, np.ones(seen.losses.shape[1])) if len(seen.losses) else np.zeros(0)
        rows = processes.subset(seen.units[:, self.cube.free], targets, _MOST_POINTS)
        terms = [promise, *conditions(self.cube, space, history, seen, targets, rows, processes.EVALUATIONS)]
        top = self.seen.units[np.argsort(self.ends, kind="stable")[:_TOP]]
        target, done = Sum(terms), tried(space, history)
        follow = drawn(self.cube, space, history, _CANDIDATES // 4, rng)
        for unit in best_units(self.cube, target, top, _CANDIDATES, rng, follow):
            config = space.decode_one(np.nan_to_num(unit, nan=0.5).tolist())
            if values_of(space, config) not in done:
                return config, float(target.value(unit[None])[0]) - self._speed_at(unit)
        try:
            return anything_new(space, history, rng), -np.inf
        except Exhausted:
            return None, -np.inf

    def _speed_at(self, unit: Floats) -> float:
        """Return the log of the relative cost of a step, as of the nearest trials."""
        away = np.nansum((self.seen.units - unit) ** 2, axis=1)
        return float(self.speed[np.argsort(away, kind="stable")[:3]].mean())


@dataclass(frozen=True, eq=False)
class _Promise:
    """The log probability that a new training beats the best by ``better`` within ``horizon`` steps.

    ``improving=False``; or else the log of the improvement expected there over the best expected end.
    """

    view: _View
    horizon: int
    better: float
    expecting: bool

    def _measure(self) -> acquisition.Measure:
        if self.expecting:
            return acquisition.expecting(float(self.view.ends.min()))
        return acquisition.improving(self.view.best - self.better)

    def value(self, units: Floats) -> Floats:
        """Return the promise at coordinates, shape ``(m, d)`` to ``(m,)``."""
        time = float(self.view.time(self.horizon))
        return self._measure()(*self.view.model.predict(units[:, self.view.cube.free], time))[0]

    def value_and_slopes(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the promise and its gradient, ``(m,)`` and ``(m, d)``."""
        free, time = self.view.cube.free, float(self.view.time(self.horizon))
        mean, std, of_mean, of_std = self.view.model.predict_with_slopes(units[:, free], time)
        value, by_mean, by_std = self._measure()(mean, std)
        slopes = np.zeros(units.shape)
        slopes[:, free] = by_mean[:, None] * of_mean + by_std[:, None] * of_std
        return value, slopes


def _look(settings: FreezeThaw, space: Space, history: History, steps: int, current: int | None) -> _View | None:
    """Fit the curves of a history; None while there is nothing to fit."""
    cube, rungs = cube_of(space), settings.rungs(steps)
    seen = points(space, history, rungs)
    if np.isfinite(seen.losses).all(axis=1).sum() < min(2, settings.initial) or not len(cube.free):
        return None
    losses = seen.losses
    if losses.shape[1] > 1:
        weights = np.random.default_rng([history.seed, len(history.trials), 1]).dirichlet(np.ones(losses.shape[1]))
        ranked = np.stack([warps.scores(column) for column in losses.T], axis=1)
        scores = warps.standardise(warps.scalarise(ranked, weights))
    else:
        scores = warps.scores(losses[:, 0])
    broken = np.zeros(len(scores), dtype=np.bool_)
    if history.constraints:
        margins = np.array([trial.margins for trial in history.trials])
        broken = (breach(margins) > 0.0)[seen.trials]
    units = seen.units[seen.trials][:, cube.free]
    times = np.log(np.maximum(seen.steps, 1.0)) / np.log(max(steps, 2))
    places = np.concatenate([units, times[:, None]], axis=1)
    fitted = processes.refit_at(len(scores))
    theta = _theta(
        cube.columns,
        *(array[:fitted].tobytes() for array in (units, times, seen.trials, scores)),
        settings.evaluations,
    )
    rows = processes.subset(places, scores, _MOST_POINTS)
    model = curves.Curves.of(cube.columns, theta, units[rows], times[rows], seen.trials[rows], scores[rows])
    running = [number for number in history.running if number != current and number < len(seen.units)]
    if running:
        after = np.array(
            [next((r for r in rungs if r > history.trials[n].step), steps) for n in running], dtype=np.float64
        )
        model = model.believe(
            seen.units[running][:, cube.free],
            np.log(np.maximum(after, 1.0)) / np.log(max(steps, 2)),
            np.array(running, dtype=np.int64),
        )
    everyone = np.arange(len(seen.units))
    ends, _ = model.ahead(seen.units[:, cube.free], everyone, np.ones(1))
    best = scores[~broken] if not broken.all() else scores
    return _View(cube, seen, model, float(best.min()), steps, ends[:, 0], _speeds(history))


@lru_cache(maxsize=64)
def _theta(columns: Columns, units: bytes, times: bytes, trials: bytes, scores: bytes, evaluations: int) -> Floats:
    """Return the hyperparameters; the memo compares contents."""
    y, t, i = np.frombuffer(scores), np.frombuffer(times), np.frombuffer(trials, dtype=np.int64)
    x = np.frombuffer(units).reshape(len(y), len(columns))
    rows = processes.subset(np.concatenate([x, t[:, None]], axis=1), y, processes.most_fitted(len(columns)))
    theta, _ = curves.fit(curves.Evidence(columns, x[rows], t[rows], i[rows], y[rows]), len(columns), evaluations)
    return theta


def _speeds(history: History) -> Floats:
    """Return the log of the seconds that a step of each trial takes, relative to the median; 0 where it is unknown."""
    seconds = np.array([_seconds_a_step(history, number) for number in range(len(history.trials))])
    known = np.isfinite(seconds) & (seconds > 0.0)
    if not known.any():
        return np.zeros(len(seconds))
    return np.where(known, np.log(np.where(known, seconds, 1.0) / np.median(seconds[known])), 0.0)


def _seconds_a_step(history: History, number: int) -> float:
    trial = history.trials[number]
    begun = trial.fork.step if trial.fork else 0
    return trial.seconds / (trial.step - begun) if trial.step > begun else np.nan
