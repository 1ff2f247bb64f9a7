"""What it would do, and why: from the diagnosis of a trial's curves to a command that can be typed.

A lower learning rate helps at once where a training has learnt something, and seldom where the large one has ruined the
weights. So where a training diverges or its rate is too high, the advice is to go back: to the checkpoint with the best
loss if the trial has since become clearly worse; to the beginning if it is still in its first fifth, or has gained
nothing, so that there is little to lose. Elsewhere the value is changed where the trial stands. What shapes the
network needs a new training, so the advice is a fork from step 0.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from tunewell.analysis.diagnosis import Action, Diagnosis, Label
from tunewell.analysis.diagnosis.curves import Curves
from tunewell.analysis.diagnosis.diagnosing import diagnosed, diverged
from tunewell.events import Status
from tunewell.history import History, TrialRecord
from tunewell.steering import fitting
from tunewell.watching.curves import in_force, judged, lived, roles, turns

_RUINING = (Label.DIVERGING, Label.RATE_TOO_HIGH)
_EARLY = 0.2  # of the steps
_GAINED = 0.1  # of the first loss
_WORSE = 0.1  # of what was gained
_NOW = 3  # reports that tell where a curve stands
_SHAPING = ("hidden_units",)


@dataclass(frozen=True, slots=True)
class Advice:
    """A diagnosis, the command that does something about it (empty when none does), and why that one, in words."""

    diagnosis: Diagnosis
    command: str = ""
    why: str = ""


def advise(history: History, number: int) -> Advice | None:
    """Return what is to be said of a trial; None where no curve of it is known.

    It is judged by what it reported with the values that are in force now.
    """
    record = history.trials[number]
    changed = [turn.after for turn in turns(history, number)]
    found = _diagnosis(history, record, changed[-1] if changed else 0)
    if found is None:
        return None
    if not found.label.ill:
        return Advice(found)
    if record.over and record.status is not Status.DIVERGED:
        return Advice(found, why=f"the next training: {found.fix}")
    for action in found.actions:
        advice = _by(history, record, found, action)
        if advice.command:
            return advice
    return Advice(found, why=_no_command(found, record))


def _diagnosis(history: History, record: TrialRecord, after: int) -> Diagnosis | None:
    reports = [report for report in lived(history, record.number) if report.step > after]
    known = roles(history, record.number)
    if not known:
        return next(iter(diverged(record)), None)
    if not reports:
        return Diagnosis(Label.TOO_EARLY, 1.0, ("there is no report with these values yet",), ())
    steps = [float(report.step) for report in reports]
    total = None if record.over else _stretched(history.horizon, after, reports[-1].step)
    values = {role: [report.metrics.get(name) for report in reports] for role, name in known.items()}
    return diagnosed(Curves.of(total, steps, **values), in_force(record))[0]


def _stretched(horizon: int | None, after: int, step: int) -> int | None:
    """Return so many steps that ``step`` is the share of them which was trained since a change, of what was left."""
    return None if horizon is None else round(step * max(horizon - after, 1) / (step - after))


def _by(history: History, record: TrialRecord, found: Diagnosis, action: Action) -> Advice:
    if action.kind == "stop" and not record.over:
        best = int(action.amount)
        stays = ", whose checkpoint stays" if best in record.checkpoints else ""
        return Advice(found, "stop", f"stop: the validation was best at step {best}{stays}")
    if not action.changes_values:
        return Advice(found)
    now = in_force(record)
    changed = {name: value for name, value in action.apply(now, history.space).items() if value != now[name]}
    if not changed:
        return Advice(found)
    said = " ".join(f"{name}={_written(history, name, value)}" for name, value in changed.items())
    if action.role in _SHAPING:
        return Advice(found, f"fork 0 {said}", f"{action.words}: that takes a new training")
    step, why = _back_to(history, record, found)
    if step is None:
        return Advice(found, f"set {said}", action.words)
    return Advice(found, f"back {step} {said}", f"{action.words} from step {step} on: {why}")


def _back_to(history: History, record: TrialRecord, found: Diagnosis) -> tuple[int | None, str]:
    """Return the step to go back to and why; None where the trial is to go on from where it stands."""
    if found.label not in _RUINING:
        return None, ""
    goal = judged(history, record.number)
    losses = {
        report.step: goal.loss(report.metrics[goal.metric])
        for report in lived(history, record.number)
        if math.isfinite(report.metrics.get(goal.metric, math.nan))
    }
    if not losses:
        return 0, "nothing is gained so far"
    step, total = record.step, history.horizon
    if total is not None and step <= _EARLY * total:
        return 0, f"only {step} of {total} steps are lost"
    first, best = next(iter(losses.values())), min(losses.values())
    if first - best <= _GAINED * abs(first):
        return 0, "nothing is gained so far"
    there = [*record.checkpoints, *([record.fork.step] if record.fork else [])]
    kept = min(((losses[saved], saved) for saved in there if saved in losses), default=(math.inf, 0))
    lost = record.over or step not in losses
    if lost or statistics.median([*losses.values()][-_NOW:]) - kept[0] > _WORSE * (first - best):
        said = (
            f"{goal.metric} was {goal.loss(kept[0]):.4g} there" if kept[1] else "there is no checkpoint to go back to"
        )
        return kept[1], said
    return None, ""


def _no_command(found: Diagnosis, record: TrialRecord) -> str:
    """Say why no command does anything about it."""
    about = next((action for action in found.actions if action.changes_values), None)
    if about is None:
        return found.fix
    names = about.parameters(record.params)
    if names:
        return f"{about.words}: {names[0]} is at the end of its range"
    return f"{about.words}: no parameter of the study is that"


def _written(history: History, name: str, value: Any) -> str:
    """Return a value as a person would type it, without digits that nobody needs."""
    rounded = float(f"{value:.4g}") if isinstance(value, float) else value
    try:
        outside = fitting(name, history.space[name], rounded)[1]
    except (KeyError, ValueError):
        outside = "it is none of its values"
    return f"{value if outside else rounded!r}"
