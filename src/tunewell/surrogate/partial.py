"""Learning curves of a history as arrays: a point for each trial at each rung it passed, and one where it stands.

At a rung a trial has its first loss from there on, be it a few steps later.

As in :mod:`.observations` a fork says nothing about training with its own values from the beginning, and a trial whose
values today's space does not hold cannot be placed: neither has points.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunewell.events import Goal, Reported, Status
from tunewell.history import History, TrialRecord
from tunewell.memo import remembered
from tunewell.scales import Floats
from tunewell.space import Space
from tunewell.surrogate.observations import encoded


@dataclass(frozen=True, slots=True)
class Points:
    """What is known of N trials of d parameters at n places on their curves.

    Attributes:
        units: of all trials, by number, shape ``(N, d)``, NaN where inactive or of another space.
        placed: which trials may have points: no forks, and none of another space, shape ``(N,)``.
        paces: the seconds a step of each trial took, NaN where unknown, shape ``(N,)``.
        trials: which trial a point belongs to, shape ``(n,)``.
        steps: after how many steps, shape ``(n,)``.
        losses: to be minimised, shape ``(n, g)``; infinite where a metric is NaN or infinite.
        when: at what time it was reported, shape ``(n,)``.
        rungs: which rung a point belongs to, counted from 0, and beyond the last for none, shape ``(n,)``.
        lasting: which points are at rungs; the others move on with their trial, shape ``(n,)``.
    """

    units: Floats
    placed: NDArray[np.bool_]
    paces: Floats
    trials: NDArray[np.int64]
    steps: NDArray[np.int64]
    losses: Floats
    when: Floats
    rungs: NDArray[np.int64]
    lasting: NDArray[np.bool_]


def points(space: Space, history: History, rungs: Sequence[int]) -> Points:
    """Return the points at ``rungs`` and at each trial's newest report, in the order of trials and steps."""
    return _table(history, space, tuple(rungs)).view(history)


class _Table:
    """A row for every trial and a column for every rung, with one more for where it stands.

    Made again only for trials that have done something since: of those in training, and those that went on or came to
    rest.
    """

    def __init__(self, space: Space, goals: tuple[Goal, ...], rungs: tuple[int, ...]) -> None:
        self.space, self.goals, self.rungs = space, goals, rungs
        self._known = 0
        self._stirred = 0
        self._newest: list[tuple[Reported | None, bool]] = []  # report of a row, and whether the trial had completed
        self._workers: set[int] = set()  # those that some trial began at
        self._prompt: list[bool] = []  # whether a trial began at a worker where another one had begun
        self._units = np.empty((0, len(space)))
        self._placed = np.empty(0, dtype=np.bool_)
        self._paces = np.empty(0)
        self._steps = np.empty((0, len(rungs) + 1), dtype=np.int64)  # 0 where there is no point
        self._when = np.empty((0, len(rungs) + 1))
        self._losses = np.empty((0, len(rungs) + 1, len(goals)))

    def view(self, history: History) -> Points:
        """Take in what is new and return the arrays."""
        changed = dict.fromkeys([*history.stirred[self._stirred :], *range(self._known, len(history.trials))])
        changed.update(history.running)
        self._stirred = len(history.stirred)
        if len(history.trials) > self._known:
            self._add(history.trials[self._known :])
        last = history.cadence.before(self.rungs[-1])
        for number in changed:
            self._update(history.trials[number], last)
        n = self._known
        trials, columns = np.nonzero(self._steps[:n])
        return Points(
            self._units[:n],
            self._placed[:n],
            self._paces[:n].copy(),
            trials,
            self._steps[trials, columns],
            self._losses[trials, columns],
            self._when[trials, columns],
            columns,
            columns < len(self.rungs),
        )

    def _add(self, records: Sequence[TrialRecord]) -> None:
        begin, self._known = self._known, self._known + len(records)
        if self._known > len(self._paces):
            extra = max(self._known, 2 * len(self._paces)) - len(self._paces)
            for name in ("_units", "_placed", "_paces", "_steps", "_when", "_losses"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros((extra, *old.shape[1:]), dtype=old.dtype)]))
        new = slice(begin, self._known)
        self._units[new], inside = encoded(self.space, [record.params for record in records])
        self._placed[new] = inside & [record.fork is None for record in records]
        self._paces[new] = np.nan
        self._newest += [(None, False)] * len(records)
        for record in records:
            worker = record.stretches[0].worker  # whichever driver's: a crash changes no decision
            self._prompt.append(worker in self._workers)
            self._workers.add(worker)

    def _update(self, record: TrialRecord, last: int) -> None:
        number = record.number
        if not self._placed[number]:
            return
        reports = record.own_reports
        newest, ended = (reports[-1] if reports else None), record.status is Status.COMPLETED
        known, ended_then = self._newest[number]
        if newest is known and ended == ended_then:  # reports come and go at the end only, so the others are the same
            return
        self._newest[number] = (newest, ended)
        self._paces[number] = _pace(record, self._prompt[number])
        self._steps[number] = 0
        complete = [(r.step, r.time, losses) for r, losses in record.losses_along() if r.step <= record.own_step]
        whole = ended and record.step >= last and not record.adjustments
        if whole and newest is not None and record.losses is not None:
            end = (self.rungs[-1], newest.time, record.losses)  # returned, or reported a little earlier
            complete = [*(point for point in complete if point[0] < self.rungs[-1]), end]
        last_rung, before = len(self.rungs) - 1, -1
        for point in complete:  # the first from a rung on belongs to it, but for the end, which has to be reached
            column = bisect_right(self.rungs, point[0]) - 1
            if column > before and (column < last_rung or point[0] == self.rungs[-1]):
                self._write(number, column, *point)
                before = column
            elif point is complete[-1]:
                self._write(number, len(self.rungs), *point)

    def _write(self, number: int, column: int, step: int, time: float, losses: Sequence[float]) -> None:
        self._steps[number, column], self._when[number, column] = step, time
        self._losses[number, column] = [loss if np.isfinite(loss) else np.inf for loss in losses]


def _pace(record: TrialRecord, prompt: bool) -> float:
    """Return the seconds a step took, without what was trained in vain before a crash; NaN where unknown.

    Before the first report of a stretch more is done than steps: processes start, data are read, networks compiled. So
    that time counts only where there is no other, and that of a worker's first trial, which is not ``prompt``, never.
    """
    early, late = [0.0, 0], [0.0, 0]  # seconds and steps
    last, stretch, step = -np.inf, 0, 0
    for report in record.reports:
        while stretch + 1 < len(record.stretches) and record.stretches[stretch + 1].begin < report.time:
            stretch += 1
        begin = record.stretches[stretch].begin
        if last > begin or stretch or prompt:
            kind = late if last > begin else early
            kind[0] += report.time - max(last, begin)
            kind[1] += report.step - step
        last, step = report.time, report.step
    seconds, steps = late if late[1] else early
    return seconds / steps if steps else np.nan


@remembered
def _table(history: History, space: Space, rungs: tuple[int, ...]) -> _Table:
    return _Table(space, history.goals, rungs)
