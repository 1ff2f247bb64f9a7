"""Is a training plainly beyond hope? The rule by which a study may end a trial early, as ``diverged``.

It looks at one curve: the training loss where there is one, otherwise the study's own metric. Where that is clearly
better than at first, a training loss may well rise (that of reinforcement learning rises with the returns), up to
:data:`EXCUSED` times its first value. A loss has *exploded* when the last :data:`LASTING` reports all lie above

    max(first + 2 (first - least), FACTOR * |first|),                                                     (1)

with ``first`` the loss of the first report and ``least`` the smallest so far, and the newest is not below their
median: it is not on its way back. A curve that spikes and recovers, however high, falls or is back below (1) in time.
A first loss that is nothing beside the second, such as the 0 of a mean before the first batch, is no loss yet and is
passed over. The loss on validation rows may rise far by overfitting alone, and a training loss beside a metric of which
nobody knows how it follows from it, such as a return; there it has to lie :data:`UNSURE` times higher.

What is maximised knows no bound to explode through. It has *collapsed* when the last :data:`LASTING_LONG` reports are
all the same number, below the worst of the first two or equal to it, and at most four tenths of the best so far: a
network that gives one answer to everything.

A metric that is something a training takes, such as its seconds, may do all that and is not looked at.

Both are pure functions of the reports so far, so a replay makes the decision again.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from tunewell.analysis.diagnosis.curves import role_of, roles_among
from tunewell.analysis.words import short
from tunewell.events import Goal
from tunewell.knowledge.metrics import is_cost
from tunewell.records import TrialRecord

LASTING, LASTING_LONG = 5, 8
FACTOR = 4.0
UNSURE = 10.0
"""How many times as high a loss has to lie that may rise for another reason."""
EXCUSED = 1e4
"""How many times as high a training loss has to lie while the study's own metric gains :data:`GAINED` and more."""
GAINED = 0.05
NOTHING = 1e-4
"""A first loss below this share of the second is none."""
LEFT = 0.4
"""How much of its best a measure may have left to count as collapsed."""


def hopeless(trial: TrialRecord) -> str:
    """Return in words why a trial can be ended as diverged, an empty string when it cannot.

    Mostly it takes a look at the last few reports only, however many there are.
    """
    if len(trial.reports) <= LASTING or len(trial.goals) != 1:
        return ""
    goal = trial.goals[0]
    name = roles_among(tuple(trial.reports[0].metrics), trial.goals).get("train_loss", goal.metric)
    newest = [report.metrics.get(name) for report in trial.reports[-LASTING:]]
    if any(value is None for value in newest):
        return ""
    if not any(math.isfinite(value) for value in newest if value is not None):
        return f"{name} has been no finite number for {LASTING} reports"
    if role_of(name) is None and is_cost(name):  # such as seconds, which may well grow
        return ""
    values = _Values(trial, name)
    if name == goal.metric and goal.mode == "max":
        return collapsed(name, values)
    if name == goal.metric:
        return exploded(name, values, FACTOR * UNSURE)
    if _has_improved(trial, goal):
        return exploded(name, values, EXCUSED)
    return exploded(name, values, FACTOR if role_of(goal.metric) is not None else FACTOR * UNSURE)


def _has_improved(trial: TrialRecord, goal: Goal) -> bool:
    """Whether the study's own metric, as it was of late, is clearly better than at first."""
    newest = [v for report in trial.reports[-LASTING:] if (v := report.metrics.get(goal.metric)) is not None]
    first = next((v for report in trial.reports if (v := report.metrics.get(goal.metric)) is not None), None)
    if not newest or first is None:
        return False
    return goal.loss(newest[-1]) < goal.loss(first) - GAINED * abs(first)


class _Values(Sequence[float]):
    """A metric of a trial as a sequence that looks only where it is asked; NaN where a report lacks it."""

    def __init__(self, trial: TrialRecord, name: str) -> None:
        self._reports, self._name = trial.reports, name

    def __len__(self) -> int:
        return len(self._reports)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [report.metrics.get(self._name, math.nan) for report in self._reports[place]]
        return self._reports[place].metrics.get(self._name, math.nan)


def exploded(name: str, values: Sequence[float], factor: float = FACTOR) -> str:
    """Return in words that a loss has exploded, an empty string when it has not."""
    if len(values) <= LASTING:
        return ""
    unready = abs(values[0]) < NOTHING * abs(values[1]) < math.inf
    first, last = values[1 if unready else 0], values[-LASTING:]
    if not min(last) > factor * abs(first) or last[-1] < statistics.median(last):
        return ""
    least = min(value for value in values[1 if unready else 0 :] if math.isfinite(value))
    bound = max(first + 2.0 * (first - least), factor * abs(first))
    if not min(last) > bound:
        return ""
    return f"{name} has been above {short(bound)} for {LASTING} reports: {short(last[-1])} now, {short(first)} at first"


def collapsed(name: str, values: Sequence[float]) -> str:
    """Return in words that something to maximise has collapsed, an empty string when it has not."""
    if len(values) < LASTING_LONG + 2:
        return ""
    last = values[-LASTING_LONG:]
    if len(set(last)) > 1 or last[-1] > min(values[:2]):
        return ""
    best = max(value for value in values if math.isfinite(value))
    if best <= 0.0 or last[-1] > LEFT * best:
        return ""
    return f"{name} has been {short(last[-1])} for {LASTING_LONG} reports, after {short(best)}"
