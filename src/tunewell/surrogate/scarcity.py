"""Totals that hold about one training for each worker: there is no room for looking around.

What was begun first, the default mostly, goes on to its end, so that a study never ends worse than that alone; and
nothing begins that would not come half way. From one and a half trainings on, looking at several and finishing the one
that looks best is better in most studies.
"""

from __future__ import annotations

import math

import numpy as np

from tunewell.history import History
from tunewell.surrogate.partial import points

_FEW = 1.5  # trainings for each worker
_HALF = 0.5  # of a training: what comes less far says too little
WHY = "the total holds about one training for each worker"


def is_scarce(history: History, horizon: int) -> bool:
    """Whether the run's total holds fewer than one and a half trainings of ``horizon`` steps for each worker."""
    run = history.run
    if run is None or history.steps_done >= _FEW * horizon * run.workers:
        return False
    held = [math.inf]
    if run.steps is not None:
        held.append(run.steps / run.workers)
    if run.seconds is not None:
        held.append(run.seconds / max(_pace(history, horizon), 1e-9))
    return min(held) < _FEW * horizon


def is_worth_beginning(history: History) -> bool:
    """Whether one more training would come half way, when those under way have got what they need."""
    run, horizon, steps = history.run, history.horizon or 1, [math.inf]
    if run is not None and run.steps is not None:
        promised = sum(max(0, horizon - history.trials[number].step) for number in history.running)
        steps.append(run.steps - history.steps_done - promised)
    if run is not None and run.seconds is not None:
        steps.append((run.seconds - history.active_seconds) / max(_pace(history, horizon), 1e-9))
    return not history.trials or min(steps) >= _HALF * horizon


def _pace(history: History, horizon: int) -> float:
    """Return the seconds a step takes, starting up included while nothing better is known; 0 before any report."""
    paces = points(history.space, history, [horizon]).paces
    known = paces[np.isfinite(paces) & (paces > 0.0)]
    if len(known):
        return float(np.median(known))
    reported = [trial for trial in history.trials if trial.reports and trial.fork is None]
    times = [(trial.reports[0].time - trial.stretches[0].begin) / trial.reports[0].step for trial in reported]
    return min(times, default=0.0)
