"""The steps at which a study's objective reports its loss, so that trainings are compared where there is something to.

Some report a loss after every step, some every hundred steps, some validate every fifth epoch. A rung planned between
two of their reports would never be met. So it moves up to the next report, as the trials so far foretell it: they know
the steps as far as any of them has come, and beyond by the newest gap.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from tunewell.events import Reported
from tunewell.records import TrialRecord


class Cadence:
    """The steps of the losses of one trial, and with them those of all others.

    The first trial with a loss begins the list; whoever was at its end and reports the next loss makes it longer.
    """

    def __init__(self) -> None:
        self._steps: list[int] = []

    @property
    def furthest(self) -> int:
        """The last step that is known, 0 before the first loss."""
        return self._steps[-1] if self._steps else 0

    def add(self, trial: TrialRecord, report: Reported) -> None:
        """Take in a loss beyond the furthest one."""
        metric = trial.goals[0].metric
        earlier = (known.step for known in reversed(trial.reports[:-1]) if metric in known.metrics)
        if next(earlier, 0) == self.furthest:
            self._steps.append(report.step)

    def at(self, step: int) -> int:
        """Return the first step from ``step`` on at which a loss is reported: ``step`` itself while that is not known.

        With losses known of steps 1, 101 and 201, the step 3 becomes 101, and the step 220 becomes 301.
        """
        steps = self._steps
        if not steps:
            return step
        if step <= steps[-1]:
            return steps[bisect_left(steps, step)]
        return step + (steps[-1] - step) % self._gap

    def before(self, step: int) -> int:
        """Return the last step up to ``step`` at which a loss is reported: ``step`` itself while that is not known."""
        later = self.at(step)
        if later == step:
            return step
        place = bisect_left(self._steps, later)
        if place == 0:
            return step
        return self._steps[place - 1] if place < len(self._steps) else later - self._gap

    @property
    def _gap(self) -> int:
        return self._steps[-1] - self._steps[-2] if len(self._steps) > 1 else self._steps[-1]

    def rungs(self, planned: Sequence[int]) -> list[int]:
        """Return where planned rungs come to lie, rising; the last one is the end of a training and stays."""
        return list(dict.fromkeys(self.moved(planned)))

    def moved(self, planned: Sequence[int]) -> list[int]:
        """Return where each planned rung comes to lie, of which several may be at one step, or at the end."""
        return [min(self.at(step), planned[-1]) for step in planned]
