"""What a trial lived through, as curves: its own reports and, before its fork, those of its ancestors."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tunewell.analysis.diagnosis.curves import Role, recognised
from tunewell.events import Goal, Reported
from tunewell.history import History, TrialRecord
from tunewell.schedules import lineage, schedule_of
from tunewell.space import Config

_NEWEST = 10  # steps that tell how long one takes
_OF_TRAINING = ("train_loss", "train_accuracy")


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of a trial by step; ``training``: measured on the rows it is trained with."""

    metric: str
    points: Sequence[tuple[float, float]]
    training: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """A step after which values changed: which ones, what they were, and what they are from there on."""

    after: int
    before: Config
    now: Config


def lived(history: History, number: int) -> list[Reported]:
    """Return the reports of a trial by step, up to its fork those of the trials that it descends from."""
    line = lineage(history, number)
    found: list[Reported] = []
    for member, heir in zip(line, [*line[1:], None], strict=True):
        begin = member.fork.step if member.fork else 0
        end = heir.fork.step if heir is not None and heir.fork else None
        found = [report for report in found if report.step <= begin]
        found += [report for report in member.reports if report.step > begin and (end is None or report.step <= end)]
    return found


def roles(history: History, number: int) -> dict[str, str]:
    """Return which metric is which, ``{role: name}``: of a trial without reports, as those before it had them."""
    for record in reversed(lineage(history, number)):
        if record.reports:
            return recognised(record)
    return {}


def judged(history: History, number: int) -> Goal:
    """Return the goal that says how well a trial learns: the first that is a loss or an accuracy, else the first."""
    known = set(roles(history, number).values())
    return next((goal for goal in history.goals if goal.metric in known), history.goals[0])


def curves(history: History, number: int) -> list[Curve]:
    """Return the metric of the goal that is judged and, where it is reported, the same measure of training."""
    goal = judged(history, number).metric
    known: dict[str, str] = roles(history, number)
    role = next((role for role, name in known.items() if name == goal), None)
    names = {goal: role in _OF_TRAINING}
    partner = _partner(role)
    if partner in known:
        names[known[partner]] = partner in _OF_TRAINING
    reports = lived(history, number)
    found = [
        Curve(name, [(r.step, r.metrics[name]) for r in reports if name in r.metrics], training)
        for name, training in names.items()
    ]
    return [curve for curve in found if curve.points]


def turns(history: History, number: int) -> list[Turn]:
    """Return where values of a trial, or of those it descends from, changed, in order."""
    founders = [record for record in lineage(history, number) if not record.fork or record.fork.step == 0]
    lives = [record.params for record in founders[:-1]] + [c.params for c in schedule_of(history, number).changes]
    steps = [0 for _ in founders[1:]] + [change.after for change in schedule_of(history, number).changes[1:]]
    found = []
    for (before, now), step in zip(pairwise(lives), steps, strict=True):
        changed = {name: value for name, value in now.items() if before.get(name) != value}
        if changed:
            found.append(Turn(step, {name: before[name] for name in changed if name in before}, changed))
    return found


def in_force(record: TrialRecord) -> Config:
    """Return the values that a trial's next step is trained with."""
    return record.values_after(record.step if not record.over else max(record.step - 1, 0))


def seconds_per_step(record: TrialRecord) -> float | None:
    """Return how long a step takes, by the newest reports since the trial last went on; None while that is unknown."""
    begin = record.stretches[-1].begin
    newest = [report for report in record.reports[-_NEWEST - 1 :] if report.time >= begin]
    if len(newest) < 2:
        return None
    return statistics.median((b.time - a.time) / (b.step - a.step) for a, b in pairwise(newest))


def _partner(role: str | None) -> Role | None:
    """Return what is the same measure on the other rows."""
    pairs: dict[str, Role] = {
        "val_loss": "train_loss", "train_loss": "val_loss",
        "val_accuracy": "train_accuracy", "train_accuracy": "val_accuracy",
    }  # fmt: skip
    return pairs.get(role or "")
