"""What the best configuration gained over the default one, in words.

Where repeats of a configuration ended differently, the difference of two single losses is mostly luck. So each side is
the mean over the trials of its configuration then, and what the spread of the repeats explains (Student's t, at
:data:`SURE`) is no gain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tunewell.analysis.digest import Digest
from tunewell.analysis.standing import constrained
from tunewell.analysis.words import counted, short
from tunewell.events import Goal, Status
from tunewell.history import TrialRecord
from tunewell.surrogate.tiering import FIRST

SURE = 0.95


def default_trial(digest: Digest) -> TrialRecord | None:
    """Return the trial of the default configuration, as stated or as it is usual, if there is one.

    Where it was changed on the way, another one that had the same values to its end stands for it.
    """
    began = next((trial for trial in digest.trials if trial.origin == "default" or FIRST in trial.why), None)
    if began is None or is_plain(began):
        return began
    return next((t for t in digest.trials if t.observed and t.params == began.params and is_plain(t)), began)


def is_plain(trial: TrialRecord) -> bool:
    """Whether a trial had its configuration from beginning to end."""
    return trial.fork is None and not trial.adjustments


def gained(digest: Digest, default: TrialRecord, best: TrialRecord) -> str:
    """Return how far the best value lies from the default's, in one or more sentences."""
    goal = digest.history.goals[0]
    broken = "" if default.feasible else f" The default breaks a constraint: {constrained(default)}."
    if not default.observed or default.value is None or best.value is None:
        return f"The default configuration gave no value to compare with: it {_how(default)}."
    if default.step == best.step and (noise := _Noise.of(digest)):
        return noise.words(goal, _values(digest, default), _values(digest, best)) + broken
    return f"{_difference(goal, default.value, best.value)}.{_at_same_step(goal, default, best)}{broken}"


@dataclass(frozen=True)
class _Noise:
    """How repeats of a configuration differ: a standard deviation and its degrees of freedom."""

    spread: float
    freedom: int

    @classmethod
    def of(cls, digest: Digest) -> _Noise | None:
        """Return the noise of a study, None where no repeat has shown any."""
        from tunewell.surrogate.noise import spread
        from tunewell.surrogate.observations import observe

        sd, freedom = spread(observe(digest.space, digest.history))
        return cls(sd, freedom) if sd > 0.0 else None

    def words(self, goal: Goal, old: list[float], new: list[float]) -> str:
        """Return what the means of two configurations say, and what they do not."""
        from scipy.special import stdtrit  # imported where it is needed, as it takes long

        before, now = math.fsum(old) / len(old), math.fsum(new) / len(new)
        explained = float(stdtrit(self.freedom, 0.5 + 0.5 * SURE)) * self.spread * math.hypot(*_roots(old, new))
        differ = f"repeats of one configuration differ by {short(self.spread, 2)} (standard deviation)"
        if abs(now - before) > explained:
            return f"{_difference(goal, before, now)}{_means(old, new)}; {differ}."
        return (
            f"No clear difference: {goal.metric} is {short(now)} against {short(before)} with the default "
            f"configuration{_means(old, new)}, but {differ}."
        )


def _roots(old: list[float], new: list[float]) -> tuple[float, float]:
    return len(old) ** -0.5, len(new) ** -0.5


def _means(old: list[float], new: list[float]) -> str:
    """Return how many trials the values are means of, where it is not one each."""
    if len(old) == len(new) == 1:
        return ""
    return f", by the means of {len(new)} and {counted(len(old), 'trial')}"


def _values(digest: Digest, trial: TrialRecord) -> list[float]:
    """Return the values of all trials that had a configuration from beginning to end, and trained as far."""
    same = [
        float(value)
        for other, (value, *_) in zip(digest.trials, digest.values, strict=True)
        if other.observed and other.params == trial.params and other.step == trial.step
        if is_plain(other) and math.isfinite(value)
    ]
    return same or [float(trial.value or 0.0)]


def _difference(goal: Goal, old: float, new: float) -> str:
    if new == old:
        return f"The best {goal.metric} equals that of the default configuration"
    word = "lower" if new < old else "higher"
    if old <= 0.0 or new <= 0.0:  # of numbers below 0, twice as high is no gain that one could picture
        by = f"{short(abs(new - old), 3)} {word}"
    elif 0.5 < new / old < 2.0:
        by = f"{100.0 * abs(new - old) / old:.2g} % {word}"
    else:
        by = f"{short(max(new / old, old / new), 2)} times {word}"
    return f"{goal.metric} is {by} than with the default configuration"


def _at_same_step(goal: Goal, default: TrialRecord, best: TrialRecord) -> str:
    """Return a sentence that compares like with like when the two trained for different numbers of steps."""
    common = min(default.step, best.step)
    if default.step == best.step or not common:
        return ""
    at = [next((v for step, v in trial.curve(goal.metric) if step == common), None) for trial in (default, best)]
    if None in at:
        return " They did not train for the same number of steps."
    return f" Both at step {common:,}: {short(at[1])} against {short(at[0])}."


def _how(trial: TrialRecord) -> str:
    words = {Status.OUT_OF_MEMORY: "ran out of memory", Status.LOST: "was lost", Status.RUNNING: "is running"}
    words |= {Status.DIVERGED: "diverged", Status.FAILED: "failed", Status.TIMED_OUT: "ran out of time"}
    return words.get(trial.status, f"was {trial.status.value}")
