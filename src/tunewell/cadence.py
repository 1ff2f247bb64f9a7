"""The steps at which a study's objective reports its loss, so that trainings are compared where there is something to.

Some report a loss after every step, some every hundred steps, some validate every fifth epoch. A rung planned between
two of their reports would never be met. So it moves up to the next report, as the trials so far foretell it: they know
the steps as far as any of them has come, and beyond by the newest gap.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from tunewell.records import TrialRecord


class Cadence:
    """The steps of the losses of one trial, and with them those of all others.

    The first trial with a loss begins the list; whoever was at its end and reports the next loss makes it longer.

    Attributes:
        furthest: the last step that is known, 0 before the first loss.
    """

    def __init__(self) -> None:
        self.furthest = 0
        self._steps: list[int] = []
        self._gap = 1  # between the last two

    def add(self, trial: TrialRecord) -> None:
        """Take in a trial's newest loss, which is beyond the furthest one."""
        *_, before, newest = (0, *trial.loss_steps[-2:])
        if before == self.furthest:
            self._steps.append(newest)
            self._gap, self.furthest = newest - self.furthest, newest

    def at(self, step: int) -> int:
        """Return the first step from ``step`` on at which a loss is reported: ``step`` itself while that is not known.

        With losses known of steps 1, 101 and 201, the step 3 becomes 101, and the step 220 becomes 301.
        """
        if step > self.furthest:
            return step + (self.furthest - step) % self._gap
        return self._steps[bisect_left(self._steps, step)]

    def least(self, min_steps: int, most: int, reduction: int) -> int:
        """Return the fewest steps from which brackets up to ``most`` steps are made, ``reduction`` times as many each.

        That is where the first loss is reported; but where this is late, and not at the end, one rung is left.
        """
        first = self.at(1)
        return max(min_steps, first if first >= most else min(first, max(1, most // reduction)))

    def before(self, step: int) -> int:
        """Return the last step up to ``step`` at which a loss is reported: ``step`` itself while that is not known."""
        later = self.at(step)
        if later == step:
            return step
        place = bisect_left(self._steps, later)
        if place == 0:
            return step
        return self._steps[place - 1] if place < len(self._steps) else later - self._gap

    def rungs(self, planned: Sequence[int]) -> list[int]:
        """Return where planned rungs come to lie, rising; the last one is the end of a training and stays."""
        return list(dict.fromkeys(self.moved(planned)))

    def moved(self, planned: Sequence[int]) -> list[int]:
        """Return where each planned rung comes to lie, of which several may be at one step, or at the end."""
        return [min(self.at(step), planned[-1]) for step in planned]
