"""Totals that hold about one training for each worker: there is no room for looking around.

What was begun first, the default mostly, goes on to its end, so that a study never ends worse than that alone; and
nothing begins that would not come half way. From one and a half trainings on, looking at several and finishing the one
that looks best is better in most studies.
"""

from __future__ import annotations

import math

from tunewell.history import History

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
        held.append(run.seconds / max(_pace(history), 1e-9))
    return min(held) < _FEW * horizon


def is_worth_beginning(history: History) -> bool:
    """Whether one more training would come half way, when those under way have got what they need.

    As long as none has come so far itself and none is under way, it is: there is nothing to be content with.
    """
    run, horizon, steps = history.run, history.horizon or 1, [math.inf]
    driven = [trial for trial in map(history.trials.__getitem__, history.running) if trial.driver]
    if not driven and history.furthest_step < _HALF * horizon:
        return True
    if run is not None and run.steps is not None:
        promised = sum(max(0, horizon - trial.step) for trial in driven)
        steps.append(run.steps - history.steps_done - promised)
    if run is not None and run.seconds is not None:
        steps.append((run.seconds - history.active_seconds) / max(_pace(history), 1e-9))
    return min(steps) >= _HALF * horizon


def _pace(history: History) -> float:
    """Return the seconds that a step has taken on the average, starting up included; 0 before any report."""
    done = [trial for trial in history.trials if trial.reports]
    steps = sum(trial.step for trial in done)
    return sum(trial.seconds for trial in done) / steps if steps else 0.0
