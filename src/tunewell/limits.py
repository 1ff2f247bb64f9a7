"""What bounds a run: totals over the whole study, and what each trial may take."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from tunewell.events import RunStarted, Status
from tunewell.history import History

_TELLING = 3  # completed trials without a step


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a run, as in :meth:`tunewell.Study.run`.

    ``trials``, ``seconds`` and ``steps`` are totals over the whole study: reaching any of them ends the run. A single
    trial has ``trial_seconds`` and ``max_steps`` at most, and ``keep_checkpoints`` of its checkpoints stay.

    Raises:
        ValueError: one of them is no number in its range.
    """

    trials: int | None = None
    seconds: float | None = None
    steps: int | None = None
    trial_seconds: float | None = None
    max_steps: int | None = None
    keep_checkpoints: int = 0

    def __post_init__(self) -> None:
        for name in ("trials", "seconds", "steps", "trial_seconds"):
            value = getattr(self, name)
            if value is None:
                continue
            whole = name in ("trials", "steps")
            kinds = int if whole else int | float
            if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < math.inf:
                kind = "a whole number" if whole else "a number"
                raise ValueError(f"run expected {name}= to be {kind} above 0, got {value!r}")
        most, kept = self.max_steps, self.keep_checkpoints
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            raise ValueError(f"run expected max_steps to be a whole number of at least 1, got {most!r}")
        if isinstance(kept, bool) or not isinstance(kept, int) or kept < 0:
            raise ValueError(f"run expected keep_checkpoints to be a whole number from 0 on, got {kept!r}")

    def announced(self, time: float, driver: str, workers: int) -> RunStarted:
        """Return the event that a run begins with these limits."""
        return RunStarted(time, driver, workers, **asdict(self))

    def may_start(self, history: History) -> bool:
        """Return whether there is room for one more trial."""
        return self.trials is None or history.spent_trials < self.trials

    def spent(self, history: History, seconds: float, steps: int = 0) -> str:
        """Return why no further step may be trained, or an empty string.

        ``seconds`` are those of the study so far, ``steps`` those in training now, which the total has to pay for.
        """
        if self.steps is not None and history.steps_done + steps >= self.steps:
            return counted(self.steps, "step")
        if self.seconds is not None and seconds >= self.seconds:
            return f"{self.seconds:g} seconds are spent"
        if self.steps is not None and self.trials is None and self.seconds is None and _stepless(history):
            return "trials report no steps (trial.report), so a total of steps is never done: give run trials="
        return ""


def same_limits(last: RunStarted | None, run: RunStarted) -> bool:
    """Whether a run has the limits of the last one."""
    return last is not None and replace(last, time=run.time, driver=run.driver) == run


def counted(number: int, what: str) -> str:
    """Return that so many trials or steps are done, in words."""
    return f"{number} {what} is done" if number == 1 else f"{number} {what}s are done"


def _stepless(history: History) -> bool:
    """Whether several trials have completed here and none reported a step; members of a population hear of it there."""
    if history.steps_done or history.counts[Status.COMPLETED] < _TELLING:
        return False
    here = (trial for trial in history.trials if not trial.keep and trial.origin != "added")
    return sum(trial.status is Status.COMPLETED for trial in here) >= _TELLING
