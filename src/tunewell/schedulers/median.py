"""The median stopping rule: what does worse than the middle of the others is stopped.

Golovin et al., "Google Vizier: a service for black-box optimization", KDD 2017, Section 3.2: a trial is stopped at step
s if its best loss up to s is strictly worse than the median of the running averages, up to s, of the other trials'
losses. The best against averages: a trial is judged kindly, so one bad step costs nothing.

Deviations from the paper: it compares with completed trials only, which says nothing before the first have completed;
here every other trial counts that has come as far as step s, also those that train, rest or were stopped there. Where
trials report at steps of their own, s is the last step up to there at which the first trial reported a loss, and the
others count with their averages up to s (:mod:`tunewell.cadence`). What breaks a constraint counts as worse than all
that breaks none. With several goals there is no average: there a trial is stopped that ranks in the worse half at this
step, by non-dominated fronts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunewell import options
from tunewell.events import Reported
from tunewell.history import History
from tunewell.protocols import Action, Continue, Start, Stop, Verdict
from tunewell.space import Space


@dataclass(frozen=True)
class Median:
    """Starts a trial whenever a worker is free; stops those whose best is worse than the others' median average.

    Attributes:
        grace: nothing is stopped before this many steps.
        min_trials: nor as long as fewer other trials have come as far.
    """

    grace: int = 1
    min_trials: int = 5

    def __post_init__(self) -> None:
        options.whole("median", "grace", self.grace, 1)
        options.whole("median", "min_trials", self.min_trials, 1)

    def next_action(self, space: Space, history: History, rng: np.random.Generator) -> Action:
        """Start the next one."""
        return Start()

    def decide(self, history: History, report: Reported) -> Verdict:
        """Stop a trial that does worse than the median of the others."""
        if report.step < self.grace:
            return Continue()
        return self._rank(history, report) if len(history.goals) > 1 else self._compare(history, report)

    def _compare(self, history: History, report: Reported) -> Verdict:
        trial, so_far, step = history.trials[report.trial], history.so_far, history.cadence.before(report.step)
        point = so_far.now(report.trial)
        if point is None or (others := so_far.others(trial, step)) < self.min_trials:
            return Continue()
        median = so_far.median(trial, step)
        if point.best <= median:
            return Continue()
        if point.best[0] > median[0]:
            return Stop(
                f"step {report.step}: it breaks a constraint, and most of the {others} others do so less or not"
            )
        sign = 1.0 if history.goals[0].mode == "min" else -1.0
        return Stop(
            f"step {report.step}: its best so far, {sign * point.best[1]:.6g}, is worse than {sign * median[1]:.6g}, "
            f"the median of the running averages of {others} others"
        )

    def _rank(self, history: History, report: Reported) -> Verdict:
        step = history.cadence.before(report.step)
        rung = history.rung(step, until=history.cadence.at(step + 1))
        if rung.came_at(report.trial) != report.step:
            return Continue()
        rank, trials = rung.rank(report.trial), len(rung)
        if trials - 1 < self.min_trials or 2 * rank <= trials + 1:
            return Continue()
        return Stop(f"step {report.step}: place {rank} of {trials}, in the worse half")
