"""What the losses of each trial have come to, step by step: the index of rules that look at whole learning curves.

Kept report by report, so that a rule that compares a trial with all others at a step, or with itself some steps ago,
costs about the same however many trials there are. A report without the metric of the first goal counts for nothing
here; NaN counts as infinitely bad. As in :mod:`tunewell.rungs`, what breaks a constraint stands behind all that breaks
none, whatever its loss.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunewell.events import Reported
from tunewell.records import TrialRecord
from tunewell.rungs import breach_in_bounds, losses_after

Standing = tuple[float, float]
"""By how much constraints are broken, and a loss: the smaller pair is the better one."""


@dataclass(frozen=True, slots=True)
class Point:
    """What a trial has come to after ``step`` steps: the loss now, the best and the average so far, per goal and alone.

    ``least_breach`` is the least by which constraints were known to be broken so far, infinite while one of them had
    not been measured; ``bests`` has the smallest loss for each goal among the reports that broke them no more.
    """

    step: int
    count: int
    total: float
    bests: tuple[float, ...]
    least_breach: float
    best: Standing
    average: Standing


class SoFar:
    """The learning curves of all trials, and how they compare at each step."""

    def __init__(self, trials: Sequence[TrialRecord]) -> None:
        self._points: dict[int, list[Point | None]] = {}  # one for each report; None where the metric is missing
        self._trials = trials
        self._asked: list[int] = []  # the steps at which somebody compared trials, rising
        self._averages: dict[int, list[Standing]] = {}  # of each of these, sorted
        for trial in trials:
            for report in trial.reports:
                self._extend(trial, report)

    def add(self, trial: TrialRecord, report: Reported) -> None:
        """Take in a new report, the newest of ``trial``."""
        self._extend(trial, report)
        for step, average in self._passed(trial):
            insort(self._averages[step], average)

    def remove(self, trial: TrialRecord) -> None:
        """Forget the newest report of a trial, which still has it."""
        for step, average in self._passed(trial):
            averages = self._averages[step]
            del averages[bisect_left(averages, average)]
        self._points[trial.number].pop()

    def _extend(self, trial: TrialRecord, report: Reported) -> None:
        points = self._points.setdefault(trial.number, [])
        goals = trial.goals
        if goals[0].metric not in report.metrics:
            points.append(None)
            return
        losses = losses_after(trial, report)
        broken = breach_in_bounds(trial, report) if trial.constraints else 0.0
        last = next((point for point in reversed(points) if point is not None), None)
        count, total = (last.count + 1, last.total + losses[0]) if last else (1, losses[0])
        least = breach_in_bounds(trial, report, math.inf) if trial.constraints else 0.0
        now = (broken, losses[0])
        points.append(
            Point(
                step=report.step,
                count=count,
                total=total,
                bests=_bests(last, least, losses),
                least_breach=min(last.least_breach, least) if last else least,
                best=min(last.best, now) if last else now,
                average=(broken, total / count),
            )
        )

    def _passed(self, trial: TrialRecord) -> Iterator[tuple[int, Standing]]:
        """Yield the steps asked for that a trial has passed since its report before, and its averages there."""
        before = trial.reports[-2].step if len(trial.reports) > 1 else 0
        for step in self._asked[bisect_right(self._asked, before) : bisect_right(self._asked, trial.step)]:
            if (average := self._average(trial, step)) is not None:
                yield step, average

    def _average(self, trial: TrialRecord, step: int) -> Standing | None:
        """Return a trial's average at its newest loss up to ``step``; None without one or if it is not that far."""
        point = self.at(trial, step) if trial.step >= step else None
        return None if point is None else point.average

    def _averages_at(self, step: int) -> list[Standing]:
        if step not in self._averages:
            insort(self._asked, step)
            found = (self._average(trial, step) for trial in self._trials)
            self._averages[step] = sorted(average for average in found if average is not None)
        return self._averages[step]

    def now(self, trial: int) -> Point | None:
        """What the trial has come to with its newest report; None where that has no loss."""
        points = self._points.get(trial)
        return points[-1] if points else None

    def at(self, trial: TrialRecord, step: int) -> Point | None:
        """What the trial had come to after ``step`` steps; None before its first loss."""
        end = bisect_right(trial.reports, step, key=lambda report: report.step)
        points = self._points.get(trial.number, [])
        return next((points[row] for row in range(end - 1, -1, -1) if points[row] is not None), None)

    def others(self, trial: TrialRecord, step: int) -> int:
        """How many other trials have come as far as ``step`` and had a loss by then.

        The first call for a step looks at every trial; from then on they are counted as they come.
        """
        return len(self._averages_at(step)) - (self._average(trial, step) is not None)

    def median(self, trial: TrialRecord, step: int) -> Standing:
        """The median of the running averages up to ``step`` of these other trials, of which there are some.

        The mean of the middle two where these break no constraint, else the worse of them.
        """
        averages, average = self._averages_at(step), self._average(trial, step)
        own = len(averages) if average is None else bisect_left(averages, average)
        count = len(averages) - (average is not None)
        one, other = (averages[row + (row >= own)] for row in ((count - 1) // 2, count // 2))
        if one == other or one[0] or other[0]:
            return other
        return 0.0, (one[1] + other[1]) / 2.0


def _bests(last: Point | None, broken: float, losses: tuple[float, ...]) -> tuple[float, ...]:
    """Return the best losses once a report that breaks constraints by so much has come after ``last``."""
    if last is None or broken < last.least_breach:
        return losses
    return last.bests if broken > last.least_breach else tuple(map(min, last.bests, losses))
