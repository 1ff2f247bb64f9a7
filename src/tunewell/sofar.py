"""What the losses of each trial have come to, step by step: the index of rules that look at whole learning curves.

Kept report by report, so that a rule that compares a trial with all others at a step, or with itself some steps ago,
costs about the same however many trials there are. A report without the metric of the first goal counts for nothing
here; NaN counts as infinitely bad. As in :mod:`tunewell.rungs`, what breaks a constraint stands behind all that breaks
none, whatever its loss.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from dataclasses import dataclass

from tunewell.events import Reported
from tunewell.records import TrialRecord
from tunewell.rungs import breach, losses_after

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

    def __init__(self, trials: Iterable[TrialRecord]) -> None:
        self._points: dict[int, list[Point | None]] = {}  # one for each report; None where the metric is missing
        self._averages: dict[int, list[Standing]] = {}  # by step, sorted
        for trial in trials:
            for report in trial.reports:
                self.add(trial, report)

    def add(self, trial: TrialRecord, report: Reported) -> None:
        """Take in a new report."""
        points = self._points.setdefault(trial.number, [])
        goals = trial.goals
        if goals[0].metric not in report.metrics:
            points.append(None)
            return
        losses = losses_after(trial, report)
        broken = breach(trial, report) if trial.constraints else 0.0
        last = next((point for point in reversed(points) if point is not None), None)
        count, total = (last.count + 1, last.total + losses[0]) if last else (1, losses[0])
        least = breach(trial, report, math.inf) if trial.constraints else 0.0
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
        insort(self._averages.setdefault(report.step, []), (broken, total / count))

    def remove(self, trial: int) -> None:
        """Forget a trial's newest report."""
        point = self._points[trial].pop()
        if point is not None:
            averages = self._averages[point.step]
            del averages[bisect_left(averages, point.average)]

    def now(self, trial: int) -> Point | None:
        """What the trial has come to with its newest report; None where that has no loss."""
        points = self._points.get(trial)
        return points[-1] if points else None

    def at(self, trial: TrialRecord, step: int) -> Point | None:
        """What the trial had come to after ``step`` steps; None before its first loss."""
        end = bisect_right(trial.reports, step, key=lambda report: report.step)
        points = self._points.get(trial.number, [])
        return next((points[row] for row in range(end - 1, -1, -1) if points[row] is not None), None)

    def others(self, point: Point) -> int:
        """How many other trials have a loss at the step of ``point``."""
        return len(self._averages[point.step]) - 1

    def median(self, point: Point) -> Standing:
        """The median at the step of ``point`` of the running averages of all other trials, of which there are some.

        The mean of the middle two where these break no constraint, else the worse of them.
        """
        averages = self._averages[point.step]
        own = bisect_left(averages, point.average)
        low, high = ((len(averages) - 2) // 2, (len(averages) - 1) // 2)
        one, other = (averages[row + (row >= own)] for row in (low, high))
        if one == other or one[0] or other[0]:
            return other
        return 0.0, (one[1] + other[1]) / 2.0


def _bests(last: Point | None, broken: float, losses: tuple[float, ...]) -> tuple[float, ...]:
    """Return the best losses once a report that breaks constraints by so much has come after ``last``."""
    if last is None or broken < last.least_breach:
        return losses
    return last.bests if broken > last.least_breach else tuple(map(min, last.bests, losses))
