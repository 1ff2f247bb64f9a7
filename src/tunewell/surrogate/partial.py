"""Learning curves of a history as arrays: a point for each trial at each rung it passed, and one where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from tunewell.events import Goal
from tunewell.history import History, TrialRecord
from tunewell.scales import Floats
from tunewell.space import Space
from tunewell.surrogate.observations import encoded


@dataclass(frozen=True, slots=True)
class Points:
    """What is known of N trials of d parameters at n places on their curves.

    Attributes:
        units: of all trials, by number, shape ``(N, d)``, NaN where inactive or of another space.
        trials: which trial a point belongs to, shape ``(n,)``.
        steps: after how many steps, shape ``(n,)``.
        losses: to be minimised, shape ``(n, g)``; infinite where a metric is NaN or infinite.
    """

    units: Floats
    trials: NDArray[np.int64]
    steps: NDArray[np.int64]
    losses: Floats


def points(space: Space, history: History, rungs: Sequence[int]) -> Points:
    """Return the points at ``rungs`` and at each trial's newest report, in the order of trials and steps."""
    table = _TABLES.get(history)
    if table is None or table.space is not space or table.rungs != tuple(rungs):
        table = _TABLES[history] = _Table(space, tuple(rungs))
    return table.view(history)


_Row = tuple[int, tuple[float, ...]]  # step and losses


class _Table:
    """The rows of every trial, made again only for trials that have reported since."""

    def __init__(self, space: Space, rungs: tuple[int, ...]) -> None:
        self.space, self.rungs = space, rungs
        self._places = frozenset(rungs)
        self._units = np.empty((0, len(space)))
        self._seen: list[tuple[int, int]] = []  # reports and newest step that the rows were made from
        self._rows: list[list[_Row]] = []

    def view(self, history: History) -> Points:
        """Take in what is new and return the arrays."""
        fresh = history.trials[len(self._rows) :]
        if fresh:
            units, _ = encoded(self.space, [record.params for record in fresh])
            self._units = np.concatenate([self._units, units])
            self._seen += [(-1, -1)] * len(fresh)
            self._rows += [[] for _ in fresh]
        for number, record in enumerate(history.trials):
            state = len(record.reports), record.step
            if state != self._seen[number]:
                self._seen[number] = state
                self._rows[number] = self._made(record, history.goals)
        rows = [(number, step, losses) for number, part in enumerate(self._rows) for step, losses in part]
        numbers, steps, losses = zip(*rows, strict=True) if rows else ((), (), ())
        return Points(
            self._units,
            np.array(numbers, dtype=np.int64),
            np.array(steps, dtype=np.int64),
            np.array(losses, dtype=np.float64).reshape(len(rows), len(history.goals)),
        )

    def _made(self, record: TrialRecord, goals: tuple[Goal, ...]) -> list[_Row]:
        complete = [r for r in record.reports if all(goal.metric in r.metrics for goal in goals)]
        kept = [r for r in complete if r.step in self._places]
        if complete and complete[-1].step not in self._places:
            kept.append(complete[-1])
        return [(r.step, tuple(_finite(goal.loss(r.metrics[goal.metric])) for goal in goals)) for r in kept]


def _finite(loss: float) -> float:
    return loss if np.isfinite(loss) else np.inf


_TABLES: WeakKeyDictionary[History, _Table] = WeakKeyDictionary()
