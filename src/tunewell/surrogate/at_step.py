"""A history as arrays at one step: what trials were worth after equal training, whatever became of them later.

Where :func:`tunewell.surrogate.observations.observe` looks for the one level that most is known at, this looks at a
given one, such as a rung. A trial that diverged on the way there has infinite losses, the worst there are; one that
failed, ran out of memory or time has none; one that rests below or was stopped there says nothing, for it was taken
out because of its losses and not in spite of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from tunewell.events import Status
from tunewell.history import History
from tunewell.scales import Floats
from tunewell.space import Space
from tunewell.surrogate.observations import Observations, violations_at
from tunewell.surrogate.partial import points

_ENDED_BADLY = frozenset({Status.OUT_OF_MEMORY, Status.TIMED_OUT, Status.FAILED})


def observe_at(space: Space, history: History, step: int, steps: Sequence[int]) -> Observations:
    """Return what the trials of a history say at ``step``, in the order in which they got there.

    Trials in training that have not got there are pending.

    Args:
        space, history: the study.
        step: one of ``steps``.
        steps: all that may be asked for, say the rungs of a scheduler: what is known at each of them is remembered.
    """
    found = points(space, history, steps)
    known = ~np.isnan(found.units).all(axis=1)  # others belong to an earlier space
    known &= np.array([record.fork is None for record in history.trials], dtype=np.bool_)
    here = np.flatnonzero((found.rungs == bisect_right(steps, step) - 1) & known[found.trials])
    here = here[np.argsort(found.when[here], kind="stable")]
    there = set(found.trials[here].tolist())
    rest = [record for record in history.trials if record.number not in there and known[record.number]]
    diverged = [record.number for record in rest if record.status is Status.DIVERGED]
    losses = np.concatenate([found.losses[here], np.full((len(diverged), len(history.goals)), np.inf)])
    losses[~np.isfinite(losses).all(axis=1)] = np.inf
    numbers = [*found.trials[here].tolist(), *diverged]
    return Observations(
        units=found.units[numbers],
        losses=losses,
        violations=_violations(history, numbers, [*found.steps[here].tolist(), *[step] * len(diverged)]),
        weak=np.zeros(len(numbers), dtype=np.bool_),
        native=np.array(
            [n >= history.space_since or space.allows(history.trials[n].params) for n in numbers], dtype=np.bool_
        ),
        failed=found.units[[record.number for record in rest if record.status in _ENDED_BADLY]],
        pending=found.units[[record.number for record in rest if record.status is Status.RUNNING]],
    )


def _violations(history: History, numbers: Sequence[int], steps: Sequence[int]) -> Floats:
    rules, records = history.constraints, [history.trials[number] for number in numbers]
    rows = [violations_at(r, rules, step) for r, step in zip(records, steps, strict=True)] if rules else []
    return np.array(rows, dtype=np.float64).reshape(len(numbers), len(rules))
