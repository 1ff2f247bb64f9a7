"""First a little of everything, then the best to the end: the baseline that any cleverer scheduler has to beat.

Egele et al., "Is one epoch all you need for multi-fidelity hyperparameter optimization?", 2023 (arXiv:2307.15422): all
configurations train for one epoch, then the best K train to the end. On many benchmarks that is as good as
Hyperband and its kin; where it is not, early losses mislead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tunewell import options
from tunewell.events import Reported, RunStarted, Status
from tunewell.history import History, Rung
from tunewell.protocols import Action, Continue, Done, Pause, Resume, Start, Stop, Verdict, Wait
from tunewell.space import Space

_TIMED = 8  # trials whose steps are timed


@dataclass(frozen=True)
class TopK:
    """All trials train ``first`` steps, then the best ``keep`` train to the end.

    A trial that is certain of its place, whatever those that are missing report, goes on before all are there; a worker
    with nothing of that kind to do waits. A trial that ends before ``first`` steps ranks last. A run that goes on with
    a larger total ranks the new trials among the old. A trial without a checkpoint cannot wait: it trains on if its
    place among those that are there is as good as the places that are left among those that are missing, and is stopped
    otherwise; so the last ones take what is left.

    Under a total of steps there are as many trials, n, as leave enough for the best: n · first + K · (T - first) steps,
    T those of a full training. Under a total of seconds, steps take what they took the first eight trials, all workers
    start trials, and the best train side by side; if that is not enough for K trials there are K, and the clock ends
    them. Where T is not known yet, the first trial trains to its end, to show it, while the others wait.

    Attributes:
        first: steps after which trials are compared, or the next step at which losses are reported.
        keep: K, how many train to the end.
        trials: how many trials there are. None: those of the run, ``study.run(..., trials=100)``, or as many as its
            steps or seconds allow.
    """

    first: int = 1
    keep: int = 3
    trials: int | None = None

    def __post_init__(self) -> None:
        options.whole("top_k", "first", self.first, 1)
        options.whole("top_k", "keep", self.keep, 1)
        if self.trials is not None:
            options.whole("top_k", "trials", self.trials, self.keep)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Let a trial go on that is certain to be among the best; or start another; or wait for those that are missing.

        Raises:
            ValueError: nothing says how many trials there are to choose from, or the steps are less than K full
                trainings.
        """
        total = self._total(history)
        if total is None:
            if history.horizon is None and history.moving:
                return Wait("how long a training is, is not known yet")
            return Start(reason="how many trials there will be is not known yet")
        rung, missing = self._rung(history), self._missing(history, total)
        trial = rung.best_waiting(history.trials)
        if trial is not None and rung.rank(trial) <= self.keep - missing:
            return Resume(trial, f"goes on from {self._place(rung, trial, missing)}")
        if history.spent_trials < total:
            return Start(reason=f"trial {history.spent_trials + 1} of {total}")
        if missing:
            return Wait(f"{missing} of {total} trials are on their way to step {rung.step}, where {self.keep} go on")
        if history.moving:
            return Wait(f"the best {self.keep} of {total} trials are in training")
        half = (history.horizon or 0) / 2  # what ended before belongs to a shorter run
        ranked = [history.trials[number] for number in rung.ranked()]
        trained = sum(trial.status is Status.COMPLETED and trial.step > half for trial in ranked)
        if trained < min(self.keep, total):
            return Done(f"{trained} of the best {self.keep} of {total} trials are trained to the end")
        return Done(f"the best {self.keep} of {total} trials are trained")

    def decide(self, history: History, report: Reported) -> Verdict:
        """Rest at the first step, unless it is certain that one is among the best."""
        trial, total = history.trials[report.trial], self._total(history)
        if total is None:
            return Continue("how long a training is, is not known yet, so it trains on")
        rung, missing = self._rung(history), self._missing(history, total)
        if rung.came_at(report.trial) != report.step:
            return Continue()
        rank, place = rung.rank(trial.number), self._place(rung, trial.number, missing)
        if rank <= self.keep - missing:
            return Continue(f"{place}, so it trains on")
        if trial.saved == report.step:
            return Pause(f"{place}, so it waits")
        room = self.keep - (rung.moved_on - 1)  # the trial itself counts among those that have moved on
        if rank * (missing + 1) <= room * (len(rung) + 1):
            return Continue(f"{place}, so it trains on")
        return Stop(f"{place}, and without a checkpoint it cannot wait")

    def _total(self, history: History) -> int | None:
        """Return how many trials there are to choose from, None while it cannot be known."""
        run = history.run
        stated = [n for n in (self.trials, run.trials if run is not None else None) if n is not None]
        if stated:
            return min(stated)
        if run is None or (run.steps is None and run.seconds is None):
            raise ValueError(
                "top_k expected to know how many trials there are: study.run(..., trials=100), steps= or seconds= "
                "in its place, or TopK(trials=100)"
            )
        if history.horizon is None:
            return None
        fits = [n for n in (self._fit_steps(run, history), self._fit_seconds(run, history)) if n is not None]
        return min(fits, default=None)

    def _fit_steps(self, run: RunStarted, history: History) -> int | None:
        """Return how many trials the run's steps allow, None without a limit."""
        horizon = history.horizon
        if run.steps is None or horizon is None:
            return None
        if run.steps < self.keep * horizon:
            raise ValueError(
                f"top_k expected at least {self.keep * horizon} steps, {self.keep} full trainings of {horizon}, got "
                f"{run.steps}: run more steps, or a smaller TopK(keep=...)"
            )
        first = math.ceil(self._rung(history).usual_step)
        return (run.steps - self.keep * (horizon - first)) // first if horizon > first else self.keep

    def _fit_seconds(self, run: RunStarted, history: History) -> int | None:
        """Return how many trials the run's seconds allow, None without a limit or while no step has been timed."""
        pace, first = self._pace(history), self._first(history)
        if run.seconds is None or not pace or history.horizon is None:
            return None
        workers = max(run.workers, 1)
        finals = math.ceil(self.keep / workers) * max(history.horizon - first, 0)
        return max(self.keep, math.floor((run.seconds / pace - finals) * workers / first))

    def _pace(self, history: History) -> float:
        """Return the median seconds that a step took the first trials to be compared, 0 while there are none."""
        rung = self._rung(history)
        timed = [trial for trial in history.trials[: 8 * _TIMED] if trial.number in rung][:_TIMED]
        at = [rung.came_at(trial.number) or rung.step for trial in timed]
        ends = [next(r.time for r in trial.reports if r.step == step) for trial, step in zip(timed, at, strict=True)]
        begins = [trial.stretches[0].begin for trial in timed]
        spent = [(end - begin) / step for begin, end, step in zip(begins, ends, at, strict=True)]
        return float(np.median(spent)) if spent else 0.0

    def _first(self, history: History) -> int:
        return history.cadence.at(self.first)

    def _rung(self, history: History) -> Rung:
        first, horizon = self._first(history), history.horizon
        return history.rung(first, until=None if horizon is None else max(horizon, first + 1))

    def _missing(self, history: History, total: int) -> int:
        rung = self._rung(history)
        moving = (history.trials[number] for numbers in history.moving.values() for number in numbers)
        coming = sum(trial.number not in rung and trial.step < rung.until for trial in moving)
        return max(0, total - history.spent_trials) + coming

    def _place(self, rung: Rung, trial: int, missing: int) -> str:
        place = f"step {rung.step}: place {rung.rank(trial)} of {len(rung)}"
        return f"{place}{f' ({missing} to come)' if missing else ''}, {self.keep} go on"
