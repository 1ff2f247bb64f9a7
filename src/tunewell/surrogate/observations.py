"""A history as arrays: what samplers that learn a model learn from.

A value after one step says little about one after fifty. So there is one *level*: the largest step that enough trials
(d + 1, at most ten) have reached, and every trial that got there counts with its value *there*. A trial that completed
earlier counts with its final value: it trained as far as it meant to. A trial that rests or was stopped below the level
is *weak* information: what it would have become is read off the trials that went on, by matching its value at the step
where it stopped to theirs. Where nothing was cut short, which is most studies, all values are simply the final ones.
A trial that its run or a person cut off does not say where the level is, as long as there are others: nobody chose
that step to compare trials at.

A fork is no observation: what it came to is the work of all the values that it and its ancestors trained with, and says
little about training with its own from the beginning. Its founder, stopped or not, is one like any other. That the
configuration was tried is known all the same. Nor is what a trial reported after its values were changed: it counts as
one that was cut short there.

Everything here is a function of the history. It is remembered, and extended by the trials that came to rest since the
last call: see :mod:`tunewell.memo`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tunewell.events import Constraint, Goal, Status
from tunewell.history import OBSERVED, History, TrialRecord
from tunewell.memo import remembered
from tunewell.scales import Floats
from tunewell.space import Config, Space

_MOST_FOR_LEVEL = 10
_MOST_PAIRS = 200  # trials that weak ones are compared with: the newest at the level


@dataclass(frozen=True, slots=True)
class Observations:
    """What is known, for d parameters, g goals and c constraints. NaN coordinates belong to inactive parameters.

    Attributes:
        units: the configurations that have a loss, shape ``(n, d)``, in the order in which the losses became known.
        losses: to be minimised, shape ``(n, g)``; infinite in all columns where the trial diverged.
        violations: how far the constrained metrics lie beyond their bounds, shape ``(n, c)``, in their own units: above
            0 where the constraint is broken, below 0 where there is room to spare, NaN where it is not known.
        weak: which losses were extrapolated from fewer steps, shape ``(n,)``.
        native: whose configurations are of today's space, and not of an earlier one with other parameters, ``(n,)``.
        failed: the configurations that ended without a loss (out of memory, timed out, failed), shape ``(m, d)``.
        pending: the configurations still in training that have no loss above, shape ``(p, d)``.
    """

    units: Floats
    losses: Floats
    violations: Floats
    weak: NDArray[np.bool_]
    native: NDArray[np.bool_]
    failed: Floats
    pending: Floats

    def at(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Observations:
        """Return these with some of the configurations that have a loss, and all of the others."""
        return replace(
            self,
            units=self.units[rows],
            losses=self.losses[rows],
            violations=self.violations[rows],
            weak=self.weak[rows],
            native=self.native[rows],
        )


def observe(space: Space, history: History) -> Observations:
    """Return what the trials of a history say about the configurations of ``space``.

    Trials of an earlier space stay, with the parameters that both have; a value that today's space does not have, as
    out of the range or between two steps, excludes them.
    """
    return _table(space, history).view(history)


def tried(space: Space, history: History) -> set[tuple[object, ...]]:
    """Return the values (see :func:`values_of`) of all configurations of this space that began; not to be changed."""
    return _table(space, history).tried


def values_of(space: Space, config: Config) -> tuple[object, ...]:
    """Return what tells a configuration from others: its values in the order of the space, None where inactive."""
    return tuple([config.get(name) for name in space])


def believed(space: Space, history: History) -> tuple[Floats, Floats]:
    """Return where a person believes that good values lie, and how sure that is.

    Returns:
        Points of the unit cube, shape ``(b, d)``, NaN on the axes that a belief says nothing about, and standard
        deviations, shape ``(b,)``. A belief of an earlier space with a value that today's does not have is left out.
    """
    units, inside = encoded(space, [belief.config for belief in history.beliefs])
    kept = inside & ~np.isnan(units).all(axis=1)
    return units[kept], np.array([belief.std for belief in history.beliefs], dtype=np.float64)[kept]


class _Kind(IntEnum):
    IGNORED = 0
    COMPLETED = 1
    PARTIAL = 2
    DIVERGED = 3
    FAILED = 4


_KINDS: Mapping[Status, _Kind] = {
    Status.COMPLETED: _Kind.COMPLETED,
    Status.STOPPED: _Kind.PARTIAL,
    Status.PAUSED: _Kind.PARTIAL,
    Status.DIVERGED: _Kind.DIVERGED,
    Status.OUT_OF_MEMORY: _Kind.FAILED,
    Status.TIMED_OUT: _Kind.FAILED,
    Status.FAILED: _Kind.FAILED,
}


def _kind(record: TrialRecord) -> _Kind:
    if record.adjustments:
        losses = own_losses(record)
        return _Kind.IGNORED if losses is None or not np.isfinite(losses).all() else _Kind.PARTIAL
    kind = _KINDS.get(record.status, _Kind.IGNORED)
    if record.status in OBSERVED and not record.observed:
        return _Kind.IGNORED if record.losses is None else _Kind.DIVERGED
    return kind


def _time(record: TrialRecord) -> float:
    reports = record.own_reports
    return reports[-1].time if reports else record.stretches[-1].end or 0.0


def _losses(record: TrialRecord) -> Sequence[float] | None:
    """Return what stands in the table for a trial that rests, None where it measured nothing."""
    if record.adjustments:
        return own_losses(record)
    return record.losses if record.observed else None


def _margins(record: TrialRecord, rules: Sequence[Constraint]) -> Sequence[float]:
    return violations_at(record, rules, record.own_step) if record.adjustments else record.margins


def own_losses(record: TrialRecord) -> list[float] | None:
    """Return what a trial last reported with the values it began with, as losses; None where that is nothing."""
    return _losses_at(record, record.own_step)


def _losses_at(record: TrialRecord, step: int) -> list[float] | None:
    """Return the losses as they were known after ``step``, or None."""
    found = [losses for report, losses in record.losses_along() if report.step <= step]
    return list(found[-1]) if found else None


def violations_at(record: TrialRecord, rules: Sequence[Constraint], step: int) -> list[float]:
    """Return how far each metric lay beyond its bound up to ``step``, or else what is known of it from later."""
    found = []
    for rule in rules:
        reports = (report for report in reversed(record.reports) if report.step <= step)
        value = next((report.metrics[rule.metric] for report in reports if rule.metric in report.metrics), None)
        found.append(rule.violation(record.metric(rule.metric) if value is None else value))
    return found


def _curve(record: TrialRecord) -> Floats:
    """Return the complete, finite reports as rows of step and losses, shape ``(k, 1 + g)``."""
    own = record.own_step
    rows = [[float(report.step), *losses] for report, losses in record.losses_along() if report.step <= own]
    curve = np.array(rows, dtype=np.float64).reshape(len(rows), 1 + len(record.goals))
    return curve[np.isfinite(curve).all(axis=1)]


@dataclass(frozen=True, slots=True)
class _Passing:
    """One trial in training, with a loss and past the level: when it was there, and its row of each array."""

    time: float
    units: Floats
    losses: Floats
    violations: Floats
    native: bool


_COLUMNS = ("_units", "_losses", "_violations", "_steps", "_times", "_kinds", "_trials", "_native", "_cut")


class _Table:
    """One row for every trial that ever came to rest, in the order of the first rest."""

    def __init__(self, space: Space, goals: Sequence[Goal], rules: Sequence[Constraint]) -> None:
        self.space, self.goals, self.rules = space, goals, rules
        self.tried: set[tuple[object, ...]] = set()
        self._started = 0
        self._rested = 0
        self._rows: dict[int, int] = {}
        self._size = 0
        self._units = np.empty((16, len(space)))
        self._losses = np.empty((16, len(goals)))
        self._violations = np.empty((16, len(rules)))
        self._steps = np.empty(16, dtype=np.int64)
        self._times = np.empty(16)
        self._kinds = np.empty(16, dtype=np.int8)
        self._trials = np.empty(16, dtype=np.int64)
        self._native = np.empty(16, dtype=np.bool_)
        self._cut = np.empty(16, dtype=np.bool_)

    def update(self, history: History) -> None:
        """Take in the trials that started or came to rest since the last call."""
        for record in history.trials[self._started :]:
            if self._is_native(history, record):
                self.tried.add(values_of(self.space, record.params))
        self._started = len(history.trials)
        rested = dict.fromkeys(history.rested[self._rested :])
        numbers = [number for number in rested if history.trials[number].fork is None]
        self._rested = len(history.rested)
        if not numbers:
            return
        records = [history.trials[number] for number in numbers]
        for number in numbers:
            self._rows.setdefault(number, len(self._rows))
        self._grow(len(self._rows))
        rows = [self._rows[number] for number in numbers]
        units, inside = encoded(self.space, [record.params for record in records])
        native = np.array([self._is_native(history, record) for record in records], dtype=np.bool_)
        inside &= native | [self._fits(record) for record in records]
        self._native[rows] = native
        self._units[rows] = units
        self._trials[rows] = numbers
        self._steps[rows] = [record.own_step for record in records]
        self._times[rows] = [_time(record) for record in records]
        self._cut[rows] = [record.stretches[-1].cut for record in records]
        self._kinds[rows] = np.where(inside, [_kind(record) for record in records], _Kind.IGNORED)
        nothing = (np.inf,) * len(self.goals)
        found = [_losses(record) or nothing for record in records]
        self._losses[rows] = np.array(found, dtype=np.float64).reshape(len(rows), len(self.goals))
        if self.rules:
            self._violations[rows] = [_margins(record, self.rules) for record in records]

    def _is_native(self, history: History, record: TrialRecord) -> bool:
        began_here = record.number >= history.space_since and self.space == history.space
        return began_here or self.space.allows(record.params)

    def _fits(self, record: TrialRecord) -> bool:
        """Whether all parameters of the trial that this space still has allow the values they had."""
        return all(self.space[name].allows(value) for name, value in record.params.items() if name in self.space)

    def _grow(self, size: int) -> None:
        self._size = size
        extra = max(size, 2 * len(self._kinds)) - len(self._kinds)
        if size > len(self._kinds):
            for name in _COLUMNS:
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.empty((extra, *old.shape[1:]), dtype=old.dtype)]))

    def view(self, history: History) -> Observations:
        """Return the observations; only trials in training are looked at one by one."""
        size = self._size
        kinds = self._kinds[:size].copy()
        kinds[[self._rows[number] for number in history.running if number in self._rows]] = _Kind.IGNORED
        running = [trial for trial in map(history.trials.__getitem__, history.running) if trial.fork is None]
        partial = kinds == _Kind.PARTIAL
        if partial.any():
            return self._at_level(history, kinds, partial, running)
        rows = np.flatnonzero((kinds == _Kind.COMPLETED) | (kinds == _Kind.DIVERGED))
        weak = np.zeros(len(rows), dtype=np.bool_)
        return Observations(
            self._units[rows],
            self._losses[rows],
            self._violations[rows],
            weak,
            self._native[rows],
            self._units[:size][kinds == _Kind.FAILED],
            self._pending(running),
        )

    def _pending(self, running: Sequence[TrialRecord]) -> Floats:
        units, inside = encoded(self.space, [record.params for record in running])
        return units[inside]

    def _at_level(
        self, history: History, kinds: NDArray[np.int8], partial: NDArray[np.bool_], running: Sequence[TrialRecord]
    ) -> Observations:
        size = self._size
        steps, times, losses = self._steps[:size], self._times[:size].copy(), self._losses[:size].copy()
        violations = self._violations[:size].copy()
        observed = partial | (kinds == _Kind.COMPLETED)
        level = self._level(observed)
        for row in np.flatnonzero(observed & (steps > level)):  # few, so one by one
            record = history.trials[int(self._trials[row])]
            found = _losses_at(record, level)
            if found is not None:
                losses[row] = found if np.isfinite(found).all() else np.inf
                times[row] = _time_of(record, level)
                violations[row] = violations_at(record, self.rules, level)
        weak = partial & (steps < level)
        strong = (observed & ~weak) | (kinds == _Kind.DIVERGED)
        known = self._extrapolate(history, np.flatnonzero(weak), np.flatnonzero(strong & observed), losses)
        rows = np.flatnonzero(strong | known)
        passing = {trial.number: there for trial in running if (there := self._passing(history, trial, level))}
        extra = list(passing.values())
        order = np.argsort(np.concatenate([times[rows], [each.time for each in extra]]), kind="stable")
        found_units = np.concatenate([self._units[rows], *[each.units for each in extra]])
        found_losses = np.concatenate([losses[rows], *[each.losses for each in extra]])
        found_violations = np.concatenate([violations[rows], *[each.violations for each in extra]])
        weak_rows = np.concatenate([weak[rows], np.zeros(len(extra), dtype=np.bool_)])
        return Observations(
            found_units[order],
            found_losses[order],
            found_violations[order],
            weak_rows[order],
            np.append(self._native[rows], np.array([each.native for each in extra], dtype=np.bool_))[order],
            self._units[:size][kinds == _Kind.FAILED],
            self._pending([trial for trial in running if trial.number not in passing]),
        )

    def _level(self, observed: NDArray[np.bool_]) -> int:
        """Return the largest step that enough of the observed trials have reached, of which there are some."""
        in_order = observed & ~self._cut[: self._size]
        steps = self._steps[: self._size][in_order if in_order.any() else observed]
        enough = min(len(self.space) + 1, _MOST_FOR_LEVEL, len(steps))
        return int(np.partition(steps, -enough)[-enough])

    def _passing(self, history: History, record: TrialRecord, level: int) -> _Passing | None:
        """Return what a trial in training says at the level; None where it has not passed it, or had no loss there."""
        units, inside = encoded(self.space, [record.params])
        losses = _losses_at(record, level) if 0 < level <= record.own_step else None
        if losses is None or not inside[0]:
            return None
        row = np.array([losses]) if np.isfinite(losses).all() else np.full((1, len(losses)), np.inf)
        violations = np.array([violations_at(record, self.rules, level)]).reshape(1, len(self.rules))
        return _Passing(_time_of(record, level), units, row, violations, self._is_native(history, record))

    def _extrapolate(
        self, history: History, weak: NDArray[np.int64], strong: NDArray[np.int64], losses: Floats
    ) -> NDArray[np.bool_]:
        """Write what the weak rows would have come to into ``losses``; return a mask of those for which that is known.

        At the step s where a trial stopped, the trials that went on had losses u and have losses v at the level. The
        line through their means with the slope std(v) / std(u), which matches the first two moments, maps one to the
        other: it keeps the order, and it does not shrink towards the mean as a regression would.
        """
        known = np.zeros(len(losses), dtype=np.bool_)
        if not len(weak) or len(strong) < 3:
            return known
        strong = strong[np.isfinite(losses[strong]).all(axis=1)][-_MOST_PAIRS:]
        steps, inverse = np.unique(self._steps[weak], return_inverse=True)
        early = np.full((len(steps), len(strong), len(self.goals)), np.nan)
        for j, row in enumerate(strong):
            curve = _curve(history.trials[int(self._trials[row])])
            if len(curve):
                covered = (steps >= curve[0, 0]) & (steps <= curve[-1, 0])
                for goal in range(len(self.goals)):
                    early[covered, j, goal] = np.interp(steps[covered], curve[:, 0], curve[:, 1 + goal])
        for k in range(len(steps)):
            pairs = np.isfinite(early[k]).all(axis=1)
            if pairs.sum() >= 3:
                rows = weak[inverse == k]
                losses[rows] = _match_moments(losses[rows], early[k][pairs], losses[strong[pairs]])
                known[rows] = True
        return known


def _match_moments(values: Floats, early: Floats, late: Floats) -> Floats:
    """Map ``values``, shape ``(k, g)``, by the line that gives ``early`` the mean and spread of ``late``."""
    center = early.mean(axis=0)
    spread = early.std(axis=0)
    slope = np.where(spread > 0.0, late.std(axis=0) / np.where(spread > 0.0, spread, 1.0), 1.0)
    mapped: Floats = late.mean(axis=0) + slope * (values - center)
    return mapped


def _time_of(record: TrialRecord, step: int) -> float:
    """Return when the trial had reported the newest step up to ``step``."""
    return next((report.time for report in reversed(record.reports) if report.step <= step), 0.0)


def encoded(space: Space, configs: Sequence[Config]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return coordinates, shape ``(n, d)``, and which configurations the space can hold, shape ``(n,)``.

    One that has no parameter of the space says nothing of it, and is none of these.
    """
    inside = np.ones(len(configs), dtype=np.bool_)
    try:
        units = space.encode(configs)
    except ValueError:  # the space has changed since
        units = np.full((len(configs), len(space)), np.nan)
        for row, config in enumerate(configs):
            try:
                units[row] = space.encode([config])[0]
            except ValueError:
                inside[row] = False
    if len(space):
        inside &= ~np.isnan(units).all(axis=1)
    return units, inside


@remembered
def _rows(history: History, space: Space) -> _Table:
    return _Table(space, history.goals, history.constraints)


def _table(space: Space, history: History) -> _Table:
    table = _rows(history, space)
    table.update(history)
    return table
