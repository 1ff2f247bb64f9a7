"""The guard of a person's change: where it makes things clearly worse, it is taken back.

A change of values in mid-training is an experiment, and some fail: the loss explodes, or climbs and stays up. Others
look bad for a moment and are right, as a larger learning rate that leaves a plateau. So the guard is conservative. It
takes a change back when the trial diverged after it, or when

* the newest five losses are all *clearly worse* than where the curve was heading before the change, or the newest three
  are so and worse than where the whole training began, and
* they are not on their way back: what the later half of them is worse by, in the middle, is at least 85 % of what the
  earlier half was.

Clearly worse is by more than four standard deviations of the noise, and by more than a twentieth of all that training
had gained. Level and noise are read off a smooth curve through the newest reports before the change, at least four
(:mod:`tunewell.numerics.smoothing`), whose mean lags behind a falling curve, which is on the careful side. Where
neighbours differ by more than what is left beside that curve, it follows the noise, and their differences count. A
curve that rose before the change, as that of a network that overfits, is expected to rise on: by the median of the
slopes between its newest ten reports (Theil 1950, Sen 1968). After ten reports a change is there to stay. With several
goals the guard looks at the first. What the numbers are worth is measured by ``benchmarks/panda``.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

from tunewell.events import Adjusted, Goal, Reported, Requested, Status
from tunewell.history import History, TrialRecord
from tunewell.scales import Floats
from tunewell.schedules import lineage

_BEFORE = 20  # reports that level and noise are read off, at most
_FEWEST = 4
_AFTER = 10  # reports after which a change is accepted
_WORSE = 5
_LOST = 3
_NOISE = 4.0
_GAIN = 0.05
_TREND = 10  # reports before the change whose slope counts
_RECOVERING = 0.85
_NORMAL = 1.4826  # a median absolute deviation times this is the standard deviation of a normal law


@dataclass(frozen=True, slots=True)
class Before:
    """A curve before a change: the loss it began with, where it stood and was heading.

    ``rise`` is by how much it rose from one report to the next, 0 where it fell; ``margin`` what is clearly worse.
    """

    first: float
    level: float
    rise: float
    margin: float


def taken_back(history: History, time: float, trial: int | None = None) -> list[Requested]:
    """Return the request that takes a change back: of a trial at its step boundary, or of any that diverged."""
    numbers = history.guarded if trial is None else [trial] if trial in history.guarded else []
    for number in numbers:
        record = history.trials[number]
        if trial is None and record.status is not Status.DIVERGED:
            continue
        why = objection(history, number)
        if why:
            return [Requested(time, number, "undo", reason=why, by="guard")]
    return []


def objection(history: History, trial: int) -> str:
    """Return why the newest guarded change of a trial is to be taken back, or an empty string."""
    change, record = history.guarded[trial], history.trials[trial]
    goal = history.goals[0]
    after = _after(record.reports, change.step, goal)
    if record.status is Status.DIVERGED:
        return f"{_said(change)} made it diverge" if len(after) <= _AFTER else ""
    if len(after) > _AFTER or record.status is not Status.RUNNING:
        return ""
    before = before_change(history, record, change)
    if before is None:
        return ""
    worse = [loss > before.level + before.rise * k + before.margin for k, loss in enumerate(after, 1)]
    lost = [bad and loss > before.first for bad, loss in zip(worse, after, strict=True)]
    if any(
        len(bad) >= count and all(bad[-count:]) and not _comes_back(after[-count:], before)
        for bad, count in ((lost, _LOST), (worse, _WORSE))
    ):
        now, was = _value(after[-1], goal), _value(before.level, goal)
        return (
            f"{_said(change)} took {goal.metric} from {was:.4g} to {now:.4g} in {len(after)} reports, "
            f"where {before.margin:.2g} is noise"
        )
    return ""


def before_change(history: History, record: TrialRecord, change: Adjusted) -> Before | None:
    """Return what is known of the curve before a change, its ancestors' included; None where that is too little."""
    curve = [loss for _, loss in _lived(history, record, change.step) if math.isfinite(loss)]
    if len(curve) < _FEWEST:
        return None
    level, noise = _level_and_noise(curve[-_BEFORE:])
    margin = max(_NOISE * noise, _GAIN * (curve[0] - min(curve)))
    return Before(curve[0], level, max(0.0, _slope(curve[-_TREND:])), margin)


def _comes_back(losses: Sequence[float], before: Before) -> bool:
    """Whether losses fall towards where the curve stood: the middle of the later ones against that of the earlier."""
    count = (len(losses) + 1) // 2
    earlier, later = median(losses[:count]), median(losses[-count:])
    return later - before.level < _RECOVERING * (earlier - before.level)


def _slope(losses: Sequence[float]) -> float:
    """Return the median of the slopes between all pairs of losses, one a report."""
    return median((losses[j] - losses[i]) / (j - i) for j in range(len(losses)) for i in range(j))


def _level_and_noise(losses: Sequence[float]) -> tuple[float, float]:
    """Return the end of a smooth curve through losses, one a report, and the standard deviation around it."""
    import numpy as np  # here, for a trial that nobody guards need not wait for it

    from tunewell.numerics import smoothing

    values = np.array(losses)
    places = np.linspace(0.0, 1.0, len(values))[:, None]
    squares = (places[:, None] - places[None]) ** 2
    smooth = smoothing.weights(squares, smoothing.bandwidths(squares, values)) @ values
    return float(smooth[-1]), max(_spread(values - smooth), _spread(np.diff(values)) / math.sqrt(2.0))


def _spread(values: Floats) -> float:
    """Return the standard deviation of values, of which a few may be wild."""
    import numpy as np

    return _NORMAL * float(np.median(np.abs(values - np.median(values))))


def _lived(history: History, record: TrialRecord, until: int) -> list[tuple[int, float]]:
    """Return the losses of a trial by step, before its fork its ancestors', up to a step."""
    line = lineage(history, record.number)
    curve: list[tuple[int, float]] = []
    for member, heir in zip(line, [*line[1:], None], strict=True):
        end = heir.fork.step if heir is not None and heir.fork else until
        begin = member.fork.step if member.fork else 0
        curve = [point for point in curve if point[0] <= begin]
        curve += [point for point in _curve(member.reports, history.goals[0]) if begin < point[0] <= end]
    return [point for point in curve if point[0] <= until]


def _curve(reports: Sequence[Reported], goal: Goal) -> list[tuple[int, float]]:
    return [(r.step, goal.loss(r.metrics[goal.metric])) for r in reports if goal.metric in r.metrics]


def _after(reports: Sequence[Reported], step: int, goal: Goal) -> list[float]:
    """Return the losses reported after a step, of more than ``_AFTER`` the first ones."""
    first = bisect_right(reports, step, key=lambda report: report.step)
    later = (reports[place].metrics.get(goal.metric) for place in range(first, len(reports)))
    return [goal.loss(value) for value in islice((value for value in later if value is not None), _AFTER + 1)]


def _said(change: Adjusted) -> str:
    values = ", ".join(f"{name}={value!r}" for name, value in change.values.items())
    return f"{values} after step {change.step}"


def _value(loss: float, goal: Goal) -> float:
    return loss if goal.mode == "min" else -loss
