"""How trials rank at one step: the index from which promotions, stops and comparisons at equal training are decided."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from tunewell.events import Reported, Status
from tunewell.records import TrialRecord


class Rung:
    """All trials at one step: how they rank there, who rests there, how many went on.

    Losses are those of the first goal; NaN counts as infinitely bad, so a diverged trial ranks last.
    """

    def __init__(self, step: int, trials: Iterable[TrialRecord]) -> None:
        self.step = step
        self._losses: dict[int, float] = {}
        self._ranked: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int]] = []  # heap; entries may be stale
        self._resting: set[int] = set()
        for trial in trials:
            for report in trial.reports:
                if report.step == step:
                    self._losses[trial.number] = _rankable(trial, report)
                    if trial.step == step and trial.status is not Status.RUNNING:
                        self.rest(trial)
        self._ranked = sorted((loss, number) for number, loss in self._losses.items())

    def __len__(self) -> int:
        return len(self._losses)

    @property
    def moved_on(self) -> int:
        """How many trials went or are going beyond this step."""
        return len(self._losses) - len(self._resting)

    def rank(self, trial: int) -> int:
        """The trial's place among all that reported here, 1 the best; ties go to the older trial."""
        return bisect_left(self._ranked, (self._losses[trial], trial)) + 1

    def loss(self, trial: int) -> float:
        """The loss that the trial reported at this step."""
        return self._losses[trial]

    def losses(self) -> Sequence[float]:
        """All losses at this step, best first, shape ``(n_trials,)``."""
        return [loss for loss, _ in self._ranked]

    def best_waiting(self, trials: Sequence[TrialRecord]) -> int | None:
        """The best trial that the scheduler paused here and that still waits, or None."""
        while self._waiting:
            number = self._waiting[0][1]
            trial = trials[number]
            if trial.status is Status.PAUSED and trial.paused_by == "scheduler" and trial.step == self.step:
                return number
            heappop(self._waiting)
        return None

    def add(self, trial: TrialRecord, report: Reported) -> None:
        """Take in a new result."""
        loss = _rankable(trial, report)
        self._losses[trial.number] = loss
        insort(self._ranked, (loss, trial.number))

    def remove(self, trial: int) -> None:
        """Forget a result that is void; a trial without one here is ignored."""
        loss = self._losses.pop(trial, None)
        if loss is not None:
            del self._ranked[bisect_left(self._ranked, (loss, trial))]
            self._resting.discard(trial)

    def leave(self, trial: int) -> None:
        """Note that a trial that rested here goes on."""
        self._resting.discard(trial)

    def rest(self, trial: TrialRecord) -> None:
        """Note that a trial that reported here came to rest, for good or for a while."""
        if trial.number in self._losses:
            self._resting.add(trial.number)
            if trial.status is Status.PAUSED:
                heappush(self._waiting, (self._losses[trial.number], trial.number))


def _rankable(trial: TrialRecord, report: Reported) -> float:
    goal = trial.goals[0]
    value = report.metrics.get(goal.metric, math.nan)
    return math.inf if math.isnan(value) else goal.loss(value)
