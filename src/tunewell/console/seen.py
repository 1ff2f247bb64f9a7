"""What an onlooker keeps in mind: the best value so far, and how fast the budget shrinks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tunewell.console.text import number, params
from tunewell.history import History

if TYPE_CHECKING:
    from tunewell.limits import Limits


@dataclass
class Best:
    """The best of the newest values, as ``study.best`` goes by them; looked up anew only when it has changed."""

    loss: float | None = None
    trial: int = 0
    step: int | None = None
    value: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)

    def look(self, history: History) -> bool:
        """Take in the history's best; return whether it is another trial's than before, or has become better."""
        best = history.best_so_far if history.goals else None
        if best is None:
            self.loss = None
            return False
        if best == (self.loss, self.trial):
            return False
        is_news = self.loss is None or best[1] != self.trial or best[0] < self.loss
        self.loss, self.trial = best
        goal = history.goals[0]
        self.value = goal.loss(self.loss)  # the sign flips back
        record = history.trials[self.trial]
        self.config = record.params
        self.step = None
        for report in reversed(record.reports):
            if report.metrics.get(goal.metric) == self.value:
                self.step = report.step
                break
        return is_news

    def in_words(self, metric: str) -> str:
        """Return ``val_loss 0.031 in trial 7 at step 9``."""
        at = f" at step {self.step}" if self.step is not None else ""
        return f"{metric} {number(self.value)} in trial {self.trial}{at}"

    def params(self) -> str:
        """Return the parameters of the best trial."""
        return params(self.config)


@dataclass(frozen=True)
class Meter:
    """One total of the budget and how much of it is used."""

    name: str
    used: float
    total: float

    @property
    def share(self) -> float:
        """The used share, from 0 to 1."""
        return min(1.0, self.used / self.total)


def meters(history: History, limits: Limits, seconds: float) -> list[Meter]:
    """Return the totals of the budget; a trial counts once it no longer trains. ``seconds``: of the study so far."""
    found = []
    if limits.trials is not None:
        found.append(Meter("trials", max(0, history.spent_trials - len(history.running)), limits.trials))
    if limits.steps is not None:
        found.append(Meter("steps", history.steps_done, limits.steps))
    if limits.seconds is not None:
        found.append(Meter("seconds", seconds, limits.seconds))
    return found


@dataclass
class Pace:
    """How fast the budget shrank since this run began, on the onlooker's clock, so also where time is simulated."""

    began: float
    first: dict[str, float]

    def left(self, now: list[Meter], clock: float, running: int) -> float | None:
        """Return the seconds until the first total is reached at the pace so far; None while too little is known.

        A trial tells about the pace only when it is over, so at least as many must be over as are running.
        """
        estimates = []
        for meter in now:
            done = meter.used - self.first.get(meter.name, 0.0)
            if done > 0 and clock > self.began and (meter.name != "trials" or done >= max(2, running)):
                estimates.append((meter.total - meter.used) * (clock - self.began) / done)
        return max(0.0, min(estimates)) if estimates else None
