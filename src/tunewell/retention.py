"""Which checkpoints stay for a person to go back to: a bounded number of each trial."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from tunewell.records import TrialRecord

_LAST = 3
_CHANGES = 3


def retained_steps(record: TrialRecord, last: int, wanted: Sequence[int] = ()) -> tuple[int, ...]:
    """Return the steps of the checkpoints of a trial that stay for a person, in order, of those that are still there.

    These are the newest ``last`` (three where a person has wished something of the trial), the one with the best loss,
    those that the newest three changes of its values began with, and those that are ``wanted`` at the moment.
    """
    own = record.saved and not record.spent and not (record.fork and record.saved == record.fork.step)
    steps = sorted({*record.retained, *([record.saved] if own else ())})
    if not steps:
        return ()
    stay = set(steps[-max(last, _LAST if record.touched else 0) :])
    losses = {step: loss for step in steps if (loss := _loss_at(record, step)) is not None}
    if losses:
        stay.add(min(losses, key=lambda step: (losses[step], step)))
    for change in record.adjustments[-_CHANGES:]:
        stay.update([step for step in steps if step <= change.step][-1:])
    return tuple(sorted(stay.union(wanted).intersection(steps)))


def _loss_at(record: TrialRecord, step: int) -> float | None:
    """Return the finite loss of the first goal that was reported at a step, None where there is none."""
    place = bisect_right(record.reports, step, key=lambda report: report.step) - 1
    if place < 0 or record.reports[place].step != step:
        return None
    goal = record.goals[0]
    value = record.reports[place].metrics.get(goal.metric)
    return None if value is None or not math.isfinite(value) else goal.loss(value)
