"""Configurations that turn out to be the same: where there is nothing to be learnt.

Where an objective looks its answer up in a table, rounds, or ignores a parameter, different configurations give the
same numbers to the last digit. Trying many of them is a waste that a process of losses does not see: between its points
it expects news. So for every trial we note how far its nearest predecessor was and whether it repeated what some
predecessor had measured first; a logistic regression on the log of the distance says how likely a new configuration is
to do so. Nothing is said while fewer than one in ten trials is a repetition: equal accuracies happen by chance.

Of trainings that are compared at rungs there is a second question, of each: does it repeat another one that is further,
so that nothing is learnt where it goes on (:func:`doubles`)?
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from tunewell.history import History, TrialRecord
from tunewell.memo import remembered
from tunewell.scales import Floats
from tunewell.space import Space
from tunewell.surrogate.noise import mostly_tied
from tunewell.surrogate.observations import encoded
from tunewell.surrogate.partial import Points

REPEATS = 0.9  # from this probability on a trial is taken to repeat another one
_NEWEST = 256  # trials that a distance is taken to
_FEWEST = 4  # repetitions, before anything is said
_SHARE = 0.1
_STEPS = 12  # of Newton's method
_RIDGE = 0.1
_LEAST = 1e-4
_WHOLE = 8  # repetitions that one from the first rung to the last is worth


@dataclass(frozen=True, eq=False)
class Novelty:
    """A term of an acquisition: the log of the probability that a configuration is no repetition.

    Attributes:
        tried: the configurations so far, shape ``(n, d)``, NaN as 0.5.
        categorical: which columns are unordered, shape ``(d,)``.
        weights: of 1 and of the log of the distance, in the log odds of a repetition.
    """

    tried: Floats
    categorical: np.ndarray
    weights: Floats

    def value(self, units: Floats) -> Floats:
        """Return the term at coordinates, shape ``(m, d)`` to ``(m,)``."""
        away = np.log(nearest(np.nan_to_num(units, nan=0.5), self.tried, self.categorical))
        found: Floats = -np.logaddexp(0.0, self.weights[0] + self.weights[1] * away)
        return found

    def value_and_slopes(self, units: Floats) -> tuple[Floats, Floats]:
        """Return the term and no slopes: which predecessor is the nearest changes from place to place."""
        return self.value(units), np.zeros(units.shape)


def novelty(space: Space, history: History) -> Novelty | None:
    """Return how likely a configuration is to be new, or None where repetitions are rare."""
    table = _table(history, space)
    table.update(history)
    distances, repeated = np.array(table.distances), np.array(table.repeated, dtype=np.float64)
    if repeated.sum() < max(_FEWEST, _SHARE * len(repeated)):
        return None
    weights = _regression(np.log(distances), repeated)
    return Novelty(table.units[-_NEWEST:], table.categorical, weights)


def doubles(seen: Points, rungs: Sequence[int]) -> Floats:
    """Return how likely each trial is to go on as another one that is further or came first, shape ``(N,)``.

    It is 0 where no other trial has had the same losses at all rungs so far, to the last digit. After k equal rungs it
    is the share of trials that were equal at the next one as well, as if k more had been so and one had not, and no
    less than after fewer. Where few data are judged, losses are equal by chance, and then the next ones differ; where
    trainings stand still at first, they are equal for some rungs. So a training that was repeated to its very end
    counts for many, and rungs at which most are equal do not count.
    """
    losses = _at_rungs(seen, rungs)
    losses = losses[:, [not mostly_tied(losses[:, k]) for k in range(len(rungs))]]
    if not losses.shape[1]:
        return np.zeros(len(losses))
    found, numbers = np.zeros(len(losses)), _numbered(losses[:, 0])
    several = np.flatnonzero(np.bincount(numbers)[numbers] > 1)
    if not len(several):
        return found
    ended = losses[np.isfinite(losses).all(axis=(1, 2))]
    whole = _WHOLE * (len(ended) - len(np.unique(ended, axis=0)))
    losses, same = losses[several], numbers[several]  # the same number for all that were alike so far
    there = np.asarray(~np.isnan(losses).any(axis=2))
    passed, likely = there[:, 0], 0.0
    for k in range(1, losses.shape[1]):
        further = passed & there[:, k]
        alike = _numbered(np.column_stack([same, losses[:, k]]))
        groups, kinds = (len(np.unique(numbers[further])) for numbers in (same, alike))
        stands = np.flatnonzero(passed & ~further)
        second = np.isin(same[stands], same[further])
        second |= ~np.isin(np.arange(len(stands)), np.unique(same[stands], return_index=True)[1])
        likely = max(likely, (further.sum() - kinds + whole + k) / (further.sum() - groups + whole + k + 1))
        found[several[stands[second]]] = likely
        same, passed = alike, further
    return found


def _at_rungs(seen: Points, rungs: Sequence[int]) -> Floats:
    """Return the losses of N trials at K rungs, shape ``(N, K, g)``, NaN where there are none."""
    at = np.flatnonzero(seen.lasting)
    losses = np.full((len(seen.placed), len(rungs), seen.losses.shape[1]), np.nan)
    losses[seen.trials[at], seen.rungs[at]] = seen.losses[at]
    return losses


def _numbered(rows: Floats) -> np.ndarray:
    """Return a number for each row that equal rows share, shape ``(n,)``."""
    order = np.lexsort(rows.T)
    new = np.append(True, (rows[order[1:]] != rows[order[:-1]]).any(axis=1))[: len(rows)]
    numbers = np.empty(len(rows), dtype=np.int64)
    numbers[order] = np.cumsum(new)
    return numbers


def nearest(units: Floats, tried: Floats, categorical: np.ndarray) -> Floats:
    """Return the distance to the nearest of ``tried``, ``(n, d)``, for rows of ``units``, ``(m, d)``; at least 1e-4."""
    difference = units[:, None, :] - tried[None, :, :]
    squared = np.where(categorical, np.abs(difference) > 1e-9, difference * difference)
    return np.asarray(np.sqrt(np.maximum(squared.sum(axis=2).min(axis=1), _LEAST**2)))


def _regression(x: Floats, y: Floats) -> Floats:
    """Return the two weights of a logistic regression with a ridge on the slope, which may not be above 0."""
    design = np.stack([np.ones(len(x)), x], axis=1)
    weights, ridge = np.zeros(2), np.array([1e-6, _RIDGE])
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30.0, 30.0)))
        hessian = (design * (p * (1.0 - p))[:, None]).T @ design + np.diag(ridge) + 1e-9 * np.eye(2)
        weights = weights + np.linalg.solve(hessian, design.T @ (y - p) - ridge * weights)
        weights = np.clip(weights, -30.0, 30.0)
    weights[1] = min(weights[1], 0.0)
    return weights


class _Table:
    """What the trials of a history measured first, in the order of their numbers."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.categorical = np.array([parameter.is_categorical for parameter in space.values()], dtype=np.bool_)
        self._stirred = 0
        self._clear()

    def _clear(self) -> None:
        self.units = np.empty((0, len(self.space)))
        self.distances: list[float] = []
        self.repeated: list[bool] = []
        self._seen: dict[Hashable, int] = {}
        self._taken: dict[int, Hashable | None] = {}
        self._waiting: list[int] = []
        self._started = 0

    def update(self, history: History) -> None:
        """Take in the trials that have measured something since the last call, in the order of their numbers.

        Where one that was taken in has gone on and is not what it was then, all are taken in anew.
        """
        stirred = set(history.stirred[self._stirred :]) & self._taken.keys()
        self._stirred = len(history.stirred)
        if any(self._otherwise(history, number) for number in stirred):
            self._clear()
        self._waiting += range(self._started, len(history.trials))
        self._started = len(history.trials)
        ready = []
        for number in self._waiting:  # the first that measured nothing yet holds up the rest, but for those that ended
            if _first(history.trials[number]) is None and number in history.running:
                break
            ready.append(number)
        self._waiting = self._waiting[len(ready) :]
        self._taken.update((number, _first(history.trials[number])) for number in ready)
        records = [history.trials[number] for number in ready if history.trials[number].fork is None]
        if not records:
            return
        coordinates, _ = encoded(self.space, [record.params for record in records])
        units = np.nan_to_num(coordinates, nan=0.5)
        for record, unit in zip(records, units, strict=True):
            measured = _first(record)
            if measured is None:
                continue
            if len(self.units):
                away = nearest(unit[None], self.units[-_NEWEST:], self.categorical)
                self.distances.append(float(away[0]))
                self.repeated.append(measured in self._seen)
            self._seen[measured] = record.number
            self.units = np.concatenate([self.units, unit[None]])

    def _otherwise(self, history: History, number: int) -> bool:
        measured = _first(history.trials[number])
        return measured != self._taken[number] or (measured is None and number in history.running)


def _first(record: TrialRecord) -> Hashable | None:
    """Return what a trial measured first, the goal with all beside it; None where there is nothing yet, or NaN."""
    goal = record.goals[0].metric
    reports = ((report.step, report.metrics) for report in record.reports if goal in report.metrics)
    step, metrics = next(reports, (0, record.metrics))
    if not math.isfinite(metrics.get(goal, math.nan)):
        return None
    return step, *sorted((name, value) for name, value in metrics.items() if math.isfinite(value))


@remembered
def _table(history: History, space: Space) -> _Table:
    return _Table(space)
