"""What became of the trials, each once and for good: the record from which evolution reads its generations.

A population that is rebuilt from the history must not change its past when a trial trains on. So what counts is the
loss a trial *first* rested with, and its place is that of its first rest. A rest is its end or a scheduler's pause;
where a trial was cut off, because its worker died, its run was over or a person stopped it, says nothing about it, so
what it comes to later counts, if it comes to anything. A trial that diverged, ran out of memory or time, or failed has
infinite losses, the worst there are. Trials that were cancelled or lost in their first stretch have no result.

A fork has no result here, as it is no observation elsewhere: its losses are the work of several configurations.

Constraints order as in constrained domination (Deb et al. 2002, section VI): what keeps them is better than what breaks
them, and of two that break them the one that breaks them less.

The arrays are remembered and grow with the history, see :mod:`tunewell.memo`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunewell.events import Status
from tunewell.history import OBSERVED, History, TrialRecord
from tunewell.memo import remembered
from tunewell.numerics.feasibility import breach_in_medians
from tunewell.numerics.pareto import Places, crowding_distance, fronts
from tunewell.scales import Floats
from tunewell.space import Config, Space

_BAD = frozenset({Status.DIVERGED, Status.OUT_OF_MEMORY, Status.FAILED, Status.TIMED_OUT})


@dataclass(frozen=True, eq=False, slots=True)
class Results:
    """The trials with a result, in the order of their first rest, for d parameters, g goals and c constraints.

    Attributes:
        units: their configurations, shape ``(n, d)``; NaN where a parameter was not active or did not exist.
        losses: to be minimised, shape ``(n, g)``; infinite in all columns where something went wrong.
        violations: how far metrics lie beyond their bounds, shape ``(n, c)``; NaN where that is not known.
        numbers: of the trials, shape ``(n,)``.
    """

    units: Floats
    losses: Floats
    violations: Floats
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.numbers)


def results(space: Space, history: History) -> Results:
    """Return what became of the trials whose configurations ``space`` can hold."""
    return _table(history, space).read(history)


def places(losses: Floats, violations: Floats) -> Places:
    """Return the place of every row, shape ``(n,)``: 0 for the best, the same for rows that nothing tells apart.

    By front, and within a front by crowding distance, the lonelier first; but what keeps the constraints comes before
    what breaks them, in the order of how far it does, and what went wrong comes last.

    Args:
        losses: shape ``(n, n_goals)``.
        violations: shape ``(n, n_constraints)``.
    """
    wrong = ~np.isfinite(losses).all(axis=1)
    breaches = np.where(wrong, 0.0, breach_in_medians(violations))
    keys = np.column_stack([wrong, breaches, np.zeros(len(losses)), np.zeros(len(losses))])
    for group in (np.flatnonzero(~wrong & (breaches == 0.0)), np.flatnonzero(breaches > 0.0)):
        front = fronts(losses[group])
        keys[group, 2] = front
        if losses.shape[1] > 1:
            for number in range(int(front.max(initial=-1)) + 1):
                rows = group[front == number]
                keys[rows, 3] = -crowding_distance(losses[rows])
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a trial: its losses, infinite when it went wrong, and how far its metrics lie beyond the bounds."""

    losses: tuple[float, ...]
    margins: tuple[float, ...]


def first_result(history: History, record: TrialRecord) -> Result | None:
    """Return what a trial first rested with, infinite when it went wrong; None while that is not known.

    Whatever happens to the trial later, the answer stays, but for None: reports of an earlier stretch of training
    come before the way it ended. What came of values that were changed on the way says nothing about the configuration.
    """
    goals = history.goals
    at_rest = record.status in (Status.PAUSED, Status.CANCELLED)  # what it is worth was said when it came to rest
    if len(record.stretches) > 1 or at_rest:
        first = next(record.losses_along(), None)
        rests = record.stretches[:-1] if record.over and not at_rest else record.stretches
        ends = [rest.end for rest in rests if rest.end is not None and not rest.cut]
        if first is not None and (end := next((end for end in ends if end >= first[0].time), None)) is not None:
            known: dict[str, float] = {}
            for report in record.reports:
                if report.time <= end:
                    if report.step > record.own_step:
                        return None
                    known.update(report.metrics)
            losses = tuple(goal.loss(known[goal.metric]) for goal in goals)
            violations = tuple(rule.violation(known.get(rule.metric)) for rule in history.constraints)
            return Result(_finite(losses), violations)
    if record.adjustments:
        return None
    if record.status in _BAD:
        return Result((math.inf,) * len(goals), record.margins)
    found = record.losses if record.status in OBSERVED and not record.stretches[-1].cut else None
    return None if found is None else Result(_finite(found), record.margins)


def encoded(space: Space, configs: Sequence[Config]) -> list[Floats | None]:
    """Return rows of the unit cube, None for what the space, changed since, no longer holds."""
    try:
        return list(space.encode(configs))
    except ValueError:
        return [None] if len(configs) == 1 else [row for config in configs for row in encoded(space, [config])]


def _finite(losses: tuple[float, ...]) -> tuple[float, ...]:
    return losses if all(map(math.isfinite, losses)) else (math.inf,) * len(losses)


class _Table:
    """The results so far. Rows are only ever added, but where a history adds to its past: then all are read again."""

    def __init__(self, space: Space, history: History) -> None:
        self.space = space
        self._begin(history)

    def _begin(self, history: History) -> None:
        self.found = Results(
            units=np.empty((0, len(self.space))),
            losses=np.empty((0, len(history.goals))),
            violations=np.empty((0, len(history.constraints))),
            numbers=np.empty(0, dtype=np.int64),
        )
        self._read = 0  # entries of history.settled
        self._seen: set[int] = set()
        self._doubtful: list[int] = []  # at rest, but without a result so far

    def read(self, history: History) -> Results:
        """Take in the trials that came to rest since the last call; return all results."""
        if any(first_result(history, history.trials[number]) for number in self._doubtful):
            self._begin(history)  # one that rested without a result has one now, which belongs further up
        fresh: list[tuple[TrialRecord, Result]] = []
        for number in history.settled[self._read :]:
            if number in self._seen:
                continue
            self._seen.add(number)
            if history.trials[number].fork is not None:
                continue
            found = first_result(history, history.trials[number])
            if found is None:
                self._doubtful.append(number)
            else:
                fresh.append((history.trials[number], found))
        self._read = len(history.settled)
        units = encoded(self.space, [record.params for record, _ in fresh])
        kept = [(unit, *pair) for unit, pair in zip(units, fresh, strict=True) if unit is not None]
        if kept:
            old = self.found
            self.found = Results(
                np.concatenate([old.units, [unit for unit, _, _ in kept]]),
                np.concatenate([old.losses, [result.losses for _, _, result in kept]]),
                np.concatenate([old.violations, [result.margins for _, _, result in kept]]),
                np.append(old.numbers, [record.number for _, record, _ in kept]),
            )
        return self.found


@remembered
def _table(history: History, space: Space) -> _Table:
    return _Table(space, history)
