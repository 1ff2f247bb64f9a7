"""How trials rank at one step: the index from which promotions, stops and comparisons at equal training are decided.

What breaks a constraint ranks behind everything that breaks none, the less it breaks the better. Among the others one
goal ranks by its loss, and NaN counts as infinitely bad, so a diverged trial ranks last. Several goals rank by
non-dominated front, within a front the lonelier first (Deb et al. 2002; as in Schmucker et al. 2021, arXiv:2106.12639,
"Multi-objective asynchronous successive halving"). Ties go to the older trial. Samplers rank all trials at once, and by
another measure of what is broken; here each trial takes its place as it comes, at a cost that hardly grows.

A trial is at a rung when it reported the first goal's metric at that very step, or between it and the next rung for the
first time, as where a step is a batch and a loss comes after each epoch: who trains past a rung without is not compared
there. Other metrics count with their newest values up to there.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from operator import itemgetter

from tunewell.events import Goal, Reported, Status
from tunewell.records import TrialRecord

Losses = tuple[float, ...]
_Place = tuple[float, float, int]  # breach, loss, number


class Rung:
    """All trials, or those of one group, at one step: how they rank there, who rests there, how many went on.

    A report belongs to the rung if it is the trial's first with a loss from ``step`` to before ``until``.
    """

    def __init__(self, step: int, trials: Iterable[TrialRecord], until: int | None = None) -> None:
        self.step, self.until = step, step + 1 if until is None else until
        self._steps: dict[int, int] = {}  # at which each trial came
        self._took = 0  # the sum of these
        self._losses: dict[int, Losses] = {}
        self._several = False  # goals
        self._breaches: dict[int, float] = {}
        self._ranked: list[_Place] = []
        self._stale = False  # with several goals the order is made anew when it is asked for
        self._places: dict[int, int] = {}  # with several goals: the ranks, counted from 1
        self._waiting: dict[int, None] = {}  # paused here by the scheduler, perhaps no longer
        self._first: list[_Place] = []  # with one goal: a heap of the waiting; entries may be stale
        self._resting: set[int] = set()
        for trial in trials:
            reports = trial.reports  # in the order of steps
            if not reports or reports[-1].step < step:
                continue
            metric = trial.goals[0].metric
            later = reports[bisect_left(reports, step, key=lambda report: report.step) :]
            found = next((report for report in later if report.step >= self.until or metric in report.metrics), None)
            if found is not None and found.step < self.until:
                self.add(trial, found)
                if trial.step == found.step and trial.status is not Status.RUNNING:
                    self.rest(trial)

    def __len__(self) -> int:
        return len(self._losses)

    def __contains__(self, trial: int) -> bool:
        return trial in self._losses

    def came_at(self, trial: int) -> int | None:
        """The step at which a trial came to this rung, None when it did not."""
        return self._steps.get(trial)

    @property
    def usual_step(self) -> float:
        """The mean of the steps at which trials came to this rung; its own while there are none."""
        return self._took / len(self._steps) if self._steps else float(self.step)

    @property
    def moved_on(self) -> int:
        """How many trials went or are going beyond this step, or may be about to: all but those that rest here."""
        return len(self._losses) - len(self._resting)

    def rank(self, trial: int) -> int:
        """The trial's place among all that reported here, 1 the best."""
        if self._several:
            self._sort()
            return self._places[trial]
        return bisect_left(self._ranked, self._place(trial)) + 1

    def loss(self, trial: int) -> float:
        """The loss of the first goal that the trial reported at this step."""
        return self._losses[trial][0]

    def losses(self) -> Sequence[float]:
        """The losses of the first goal of all trials at this step, best rank first, shape ``(n_trials,)``."""
        return [self._losses[number][0] for number in self.ranked()]

    def ranked(self) -> Sequence[int]:
        """All trials at this step, best first."""
        return list(self.best_first())

    def best_first(self) -> Iterator[int]:
        """All trials at this step one by one, for who needs the first few: listing them takes time in large studies."""
        self._sort()
        return (number for _, _, number in self._ranked)

    def some(self, most: int) -> Sequence[int]:
        """Trials at this step, less than twice so many: evenly from the best to the worst."""
        self._sort()
        stride = max(1, len(self._ranked) // most)
        return [number for _, _, number in self._ranked[::stride]]

    def best_waiting(self, trials: Sequence[TrialRecord]) -> int | None:
        """The best trial that the scheduler paused here and that still waits, or None."""
        if self._several:
            waiting = [number for number in self._waiting if self._waits(trials[number])]
            return min(waiting, key=self.rank, default=None)
        while self._first:
            place = self._first[0]
            number = place[2]
            if number in self._losses and place == self._place(number) and self._waits(trials[number]):
                return number
            heappop(self._first)
        return None

    def add(self, trial: TrialRecord, report: Reported) -> None:
        """Take in a new result; none are a report without the first goal's metric, and one of a fork from beyond."""
        number, goals = trial.number, trial.goals
        begun = trial.fork.step if trial.fork is not None and trial.fork.step < trial.reports[0].step else 0
        if goals[0].metric not in report.metrics or begun >= self.step:
            return
        self._losses[number] = losses_after(trial, report)
        self._steps[number] = report.step
        self._took += report.step
        self._several = len(self._losses[number]) > 1
        self._breaches[number] = breach_in_bounds(trial, report) if trial.constraints else 0.0
        if self._several:
            self._stale = True
        else:
            insort(self._ranked, self._place(number))

    def remove(self, trial: int) -> None:
        """Forget a result that is void; a trial without one here is ignored."""
        if trial not in self._losses:
            return
        if self._several:
            self._stale = True
        else:
            del self._ranked[bisect_left(self._ranked, self._place(trial))]
        self._took -= self._steps[trial]
        del self._losses[trial], self._breaches[trial], self._steps[trial]
        self.leave(trial)

    def leave(self, trial: int) -> None:
        """Note that a trial that rested here goes on."""
        self._resting.discard(trial)
        self._waiting.pop(trial, None)

    def rest(self, trial: TrialRecord) -> None:
        """Note that a trial that reported here came to rest, for good or until the scheduler lets it go on.

        One that will be taken up again, because it was lost or cut off with its run, does not rest. Nor does one that
        had gone on from here and failed before its next report: it has moved on, though it did not get far.
        """
        number = trial.number
        if number in self._losses and not trial.interrupted and not _fell_after(trial, self._steps[number]):
            self._resting.add(trial.number)
            if trial.status is Status.PAUSED:
                self._waiting[trial.number] = None
                if not self._several:
                    heappush(self._first, self._place(trial.number))

    def _place(self, trial: int) -> _Place:
        return self._breaches[trial], self._losses[trial][0], trial

    def _waits(self, trial: TrialRecord) -> bool:
        return (
            trial.status is Status.PAUSED and trial.paused_by == "scheduler" and trial.step == self._steps[trial.number]
        )

    def _sort(self) -> None:
        if not self._stale:
            return
        import numpy as np

        from tunewell.numerics.pareto import crowded_order

        numbers = sorted(self._losses)
        allowed = [number for number in numbers if not self._breaches[number]]
        order = [allowed[row] for row in crowded_order(np.array([self._losses[n] for n in allowed]))] if allowed else []
        order += sorted((n for n in numbers if self._breaches[n]), key=lambda n: (self._breaches[n], n))
        self._ranked = [self._place(number) for number in order]
        self._places = {number: place for place, number in enumerate(order, start=1)}
        self._stale = False


class Rungs:
    """The rungs that somebody has asked for, by step and group: all that a new event may have to be told.

    ``trials`` and ``groups`` are those of a history, which goes on adding to them.
    """

    def __init__(self, trials: Sequence[TrialRecord], groups: Mapping[str, Sequence[int]]) -> None:
        self._trials, self._groups = trials, groups
        self._known: dict[tuple[int, str | None, int | None], Rung] = {}
        self._by_step: dict[str | None, list[tuple[int, Rung]]] = {}  # of a group, rising

    def one(self, step: int, group: str | None, until: int | None) -> Rung:
        """Return the rung of a group, or of all trials; it is made when it is first asked for."""
        rung = self._known.get((step, group, until))
        if rung is None:
            trials = self._trials if group is None else [self._trials[n] for n in self._groups.get(group, ())]
            rung = self._known[step, group, until] = Rung(step, trials, until)
            insort(self._by_step.setdefault(group, []), (step, rung), key=itemgetter(0))
        return rung

    def at(self, trial: TrialRecord) -> list[Rung]:
        """Return the rungs at which a trial's newest report is its first loss."""
        if not self._known or not trial.reports:
            return []
        step, found = trial.reports[-1].step, list[Rung]()
        for group in (None, trial.group):
            rungs = self._by_step.get(group, [])
            for place in range(bisect_right(rungs, step, key=itemgetter(0)) - 1, -1, -1):
                begin, rung = rungs[place]
                if not _is_first(trial, begin):
                    break
                if step < rung.until:
                    found.append(rung)
        return found


def _fell_after(trial: TrialRecord, step: int) -> bool:
    """Whether a trial went on from ``step`` and came to an end without another report."""
    return trial.resumed_from == step and trial.status not in (Status.PAUSED, Status.STOPPED, Status.COMPLETED)


def rankable(value: float | None, goal: Goal) -> float:
    """Return a loss that can be put in order: infinite where the value is missing or NaN."""
    return math.inf if value is None or math.isnan(value) else goal.loss(value)


def _is_first(trial: TrialRecord, step: int) -> bool:
    """Whether no report from ``step`` on, but for the newest, has a loss."""
    steps, newest = trial.loss_steps, trial.reports[-1].step
    before = len(steps) - 1 - bool(steps and steps[-1] == newest)
    return before < 0 or steps[before] < step


def losses_after(trial: TrialRecord, report: Reported) -> Losses:
    """Return what is to be minimised as it was known after ``report``; infinite what was not measured up to there."""
    return tuple(rankable(_newest(trial, report, goal.metric), goal) for goal in trial.goals)


def _newest(trial: TrialRecord, report: Reported, metric: str) -> float | None:
    """Return the newest value of a metric up to ``report``, None where there is none."""
    if metric in report.metrics:
        return report.metrics[metric]
    earlier = (known for known in reversed(trial.reports) if known.step < report.step)
    return next((known.metrics[metric] for known in earlier if metric in known.metrics), None)


def breach_in_bounds(trial: TrialRecord, report: Reported, unknown: float = 0.0) -> float:
    """Return by how much the constraints are broken after ``report``, each as a share of its bound.

    A bound of 0 counts as 1, and each metric that was not measured up to there as ``unknown``. See
    :mod:`tunewell.numerics.feasibility` for another measure, which needs all trials at once.
    """
    total = 0.0
    for rule in trial.constraints:
        margin = rule.violation(_newest(trial, report, rule.metric))
        if math.isnan(margin):
            total += unknown
        elif margin > 0.0:
            total += margin / (abs(rule.bound) or 1.0)
    return total
