"""What is known of one trial: its record, as the events tell it."""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewell.events import Adjusted, Constraint, Fork, Goal, Origin, Reported, Status, TrialStarted
from tunewell.space import Config

OBSERVED = frozenset({Status.COMPLETED, Status.STOPPED, Status.PAUSED})
"""The statuses whose value counts as a measurement of the configuration."""

LOSSES_ALLOWED = 3
"""A trial whose worker died this often without a new checkpoint is not taken up again."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time that a trial spent on a worker: ``end`` is None while it lasts. Seconds on the executor's clock.

    ``cut`` is whether neither the trial nor a scheduler ended it: its worker was lost, its run over, or a person
    interfered. Where that happened says nothing about the trial. What befalls a trial at rest does not change it.
    """

    driver: str
    worker: int
    begin: float
    end: float | None = None
    cut: bool = False


@dataclass(slots=True)
class About:
    """What every record of one study shares."""

    goals: tuple[Goal, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    files: Path = Path()


class TrialRecord:
    """What is known of one trial.

    Attributes:
        number: counted from 0 in the order of starting.
        params: the active parameters as it began; see :meth:`values_after` for what was changed since.
        status: see :class:`~tunewell.events.Status`; compares equal to its name.
        why: why it was started, in words: what the sampler, the scheduler or the person who enqueued it had to say.
        reason: why it stands where it stands, in words: why it was paused, resumed, stopped or ended, or else started.
        error: the traceback, when the objective raised.
        reports: each with ``step``, ``metrics`` and ``time``, in the order of steps.
        loss_steps: the steps of those that have the first goal's metric.
        metrics: what the objective returned; see :attr:`newest_metrics` for what it reported, too.
        saved: the step of its newest checkpoint, 0 when there is none.
        resumed_from: the step it last went on from, -1 when it never did.
        group: the scheduler's name for the trials it is compared with, such as a bracket.
        keep: checkpoints of its multiples are kept to be forked from, for a while; 0 where none are.
        kept: the steps of those, as far as they are older than the newest or the newest itself.
        adjustments: the changes of its values, in the order in which they happened.
        touched: whether a person has ever wished something of it.
        retained: the steps of the checkpoints that stay for a person to go back to: see :mod:`tunewell.retention`.
    """

    __slots__ = (
        "_about",
        "adjustments",
        "error",
        "fork",
        "fresh_losses",
        "group",
        "keep",
        "kept",
        "loss_steps",
        "metrics",
        "number",
        "origin",
        "params",
        "paused_by",
        "reason",
        "reports",
        "resumed_from",
        "retained",
        "saved",
        "seed",
        "status",
        "stretches",
        "touched",
        "why",
    )

    def __init__(self, event: TrialStarted, about: About) -> None:
        self._about = about
        self.fresh_losses = 0
        self.resumed_from = -1
        self.number = event.trial
        self.params: Config = event.config
        self.seed = event.seed
        self.origin: Origin = event.origin
        self.fork: Fork | None = event.fork
        self.group = event.group
        self.keep = event.keep
        self.kept: tuple[int, ...] = ()
        self.adjustments: list[Adjusted] = []
        self.touched = event.origin == "person"
        self.retained: tuple[int, ...] = ()
        self.status = Status.RUNNING
        self.reason = event.reason
        self.why = event.reason
        self.error = ""
        self.paused_by = ""
        self.reports: list[Reported] = []
        self.loss_steps: list[int] = []
        self.metrics: Mapping[str, float] = {}
        self.saved = event.fork.step if event.fork else 0
        self.stretches: list[Stretch] = [Stretch(event.driver, event.worker, event.time)]

    def __repr__(self) -> str:
        found = f"value={self.value!r}" if len(self.goals) == 1 else f"values={self.values!r}"
        return f"TrialRecord(number={self.number}, status={self.status.value!r}, {found}, step={self.step})"

    @property
    def goals(self) -> tuple[Goal, ...]:
        """What the study minimises or maximises."""
        return self._about.goals

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds that the metrics of an acceptable trial keep."""
        return self._about.constraints

    @property
    def violations(self) -> tuple[float, ...]:
        """By how much each constraint is broken, in the metric's units: 0 where it holds, NaN where that is unknown."""
        return tuple(max(margin, 0.0) for margin in self.margins)  # NaN is kept: no comparison with it holds

    @property
    def margins(self) -> tuple[float, ...]:
        """How far each constrained metric lies beyond its bound: below 0 where it has room to spare, NaN if unknown."""
        return tuple(rule.violation(self.metric(rule.metric)) for rule in self._about.constraints)

    @property
    def feasible(self) -> bool:
        """Whether every constraint is known to hold."""
        return all(margin <= 0.0 for margin in self.margins)

    @property
    def step(self) -> int:
        """The steps it has trained and reported."""
        if self.reports:
            return self.reports[-1].step
        return min(self.fork.step, self.saved) if self.fork else 0  # less where the checkpoint was not to be found

    @property
    def value(self) -> float | None:
        """The study's metric as it stood last: returned at the end, or in the newest report. None when unknown.

        Raises:
            ValueError: the study has several goals.
        """
        if len(self._about.goals) != 1:
            raise ValueError(
                f"expected one goal, this study has {len(self._about.goals)}: use trial.values, one number per goal"
            )
        return self.metric(self._about.goals[0].metric)

    @property
    def values(self) -> tuple[float | None, ...]:
        """One value per goal."""
        return tuple(self.metric(goal.metric) for goal in self._about.goals)

    @property
    def loss(self) -> float | None:
        """The first goal's value as something to minimise; None when unknown."""
        goal = self._about.goals[0]
        value = self.metric(goal.metric)
        return None if value is None else goal.loss(value)

    @property
    def losses(self) -> tuple[float, ...] | None:
        """All goals' values as something to minimise; None unless all are known."""
        found = [(goal, self.metric(goal.metric)) for goal in self._about.goals]
        if any(value is None for _, value in found):
            return None
        return tuple(goal.loss(value) for goal, value in found if value is not None)

    def metric(self, name: str) -> float | None:
        """The newest value of a metric, or None."""
        if name in self.metrics:
            return self.metrics[name]
        for report in reversed(self.reports):
            if name in report.metrics:
                return report.metrics[name]
        return None

    @property
    def newest_metrics(self) -> dict[str, float]:
        """The newest value of every metric that was reported or returned."""
        newest = {name: value for report in self.reports for name, value in report.metrics.items()}
        return {**newest, **self.metrics}

    def curve(self, name: str) -> list[tuple[int, float]]:
        """The reports of a metric as ``(step, value)`` pairs."""
        return [(report.step, report.metrics[name]) for report in self.reports if name in report.metrics]

    def losses_along(self) -> Iterator[tuple[Reported, tuple[float, ...]]]:
        """Yield the reports of the first goal, each with the losses of all goals as they were known then.

        A goal that is measured less often counts with its newest value; nothing comes before all goals are known.
        """
        goals, known = self._about.goals, dict[str, float]()
        if len(goals) == 1:
            (goal,) = goals
            yield from ((r, (goal.loss(r.metrics[goal.metric]),)) for r in self.reports if goal.metric in r.metrics)
            return
        for report in self.reports:
            for goal in goals:
                if goal.metric in report.metrics:
                    known[goal.metric] = goal.loss(report.metrics[goal.metric])
            if goals[0].metric in report.metrics and len(known) == len(goals):
                yield report, tuple(known[goal.metric] for goal in goals)

    @property
    def observed(self) -> bool:
        """Whether the value measures the configuration: ended or resting in order, and finite."""
        if self.status not in OBSERVED:
            return False
        losses = self.losses
        return losses is not None and all(math.isfinite(loss) for loss in losses)

    @property
    def seconds(self) -> float:
        """The time spent on workers so far, without pauses; an open stretch counts up to its newest report."""
        newest = self.reports[-1].time if self.reports else 0.0
        return sum(
            max(0.0, (stretch.end if stretch.end is not None else max(newest, stretch.begin)) - stretch.begin)
            for stretch in self.stretches
        )

    @property
    def driver(self) -> str:
        """The process that looks or looked after the trial last."""
        return self.stretches[-1].driver

    @property
    def began(self) -> float:
        """The time at which it was first started, on the clock of whoever trains it."""
        return self.stretches[0].begin

    @property
    def untold(self) -> bool:
        """Whether somebody asked for it and has yet to tell what it came to."""
        return self.status is Status.RUNNING and not self.driver

    @property
    def last_sign(self) -> float:
        """The time of the newest thing heard of a running trial."""
        begin = self.stretches[-1].begin
        return max(begin, self.reports[-1].time) if self.reports else begin

    @property
    def lost_for_good(self) -> bool:
        """Whether its workers died so often that it is not tried again."""
        return self.status is Status.LOST and self.fresh_losses >= LOSSES_ALLOWED

    @property
    def interrupted(self) -> bool:
        """Whether it waits to be taken up again: lost, or cut off with its run."""
        if self.status is Status.LOST:
            return not self.lost_for_good
        return self.status is Status.PAUSED and self.paused_by == "person"

    @property
    def held(self) -> bool:
        """Whether it rests until a person lets it go on."""
        return self.status is Status.PAUSED and self.paused_by == "hold"

    @property
    def by_hand(self) -> bool:
        """Whether a person chose values of it in mid-training, so that no algorithm decides on it any more."""
        return self.by_hand_before(sys.maxsize)

    def by_hand_before(self, step: int) -> bool:
        """Whether a person chose values of it from before a step on."""
        chosen = any(change.by == "person" and change.step < step for change in self.adjustments)
        return chosen or self.origin == "person"

    @property
    def own_step(self) -> int:
        """The steps up to which it trained with ``params`` alone."""
        return min([self.step, *(change.step for change in self.adjustments)]) if self.adjustments else self.step

    @property
    def own_reports(self) -> Sequence[Reported]:
        """The reports that say something about ``params``: those before the first change of values."""
        if not self.adjustments:
            return self.reports
        return self.reports[: bisect_right(self.reports, self.own_step, key=lambda report: report.step)]

    def values_after(self, step: int) -> Config:
        """Return the values that are in force once ``step`` steps are trained, those changed there included."""
        if not self.adjustments:
            return self.params
        values = dict(self.params)
        for change in self.adjustments:
            if change.step <= step:
                values.update(change.values)
        return values

    @property
    def changes_here(self) -> Config:
        """The values that are others from the next step on than in the last one."""
        if not self.adjustments or not any(change.step == self.step for change in self.adjustments):
            return {}
        before, now = self.values_after(self.step - 1), self.values_after(self.step)
        return {name: value for name, value in now.items() if value != before[name]}

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """The steps of its own checkpoints that a person can go back to or fork from, in order."""
        newest = self.saved and not (self.fork and self.saved == self.fork.step) and not self.spent
        return tuple(sorted({*self.retained, *([self.saved] if newest else ())}))

    @property
    def newest_checkpoint(self) -> int | None:
        """The step of the newest checkpoint that it stands on, its own or the one it was forked from."""
        own = self.checkpoints
        return own[-1] if own else self.fork.step if self.fork else None

    @property
    def spent(self) -> bool:
        """Whether no algorithm has a use for its weights."""
        return self.status in (Status.STOPPED, Status.DIVERGED)

    @property
    def over(self) -> bool:
        """Whether it can never train again."""
        return self.status not in (Status.RUNNING, Status.PAUSED) and (
            self.status is not Status.LOST or self.lost_for_good
        )

    def has_checkpoint(self, step: int) -> bool:
        """Whether its own checkpoint of a step is kept, to go on or to be forked from: none of a stopped trial is."""
        if self.status is Status.STOPPED or (self.fork is not None and step == self.fork.step):
            return False
        return step > 0 and (step == self.saved or step in self.kept)

    @property
    def directory(self) -> Path:
        """The folder of the trial's checkpoints and log."""
        return self._about.files / f"trials/{self.number}"

    @property
    def log(self) -> Path:
        """The file with what the objective printed in its worker process."""
        return self._about.files / f"trials/{self.number}/output.log"

    @property
    def checkpoint(self) -> Path | None:
        """The folder of the newest checkpoint, or None."""
        if not self.saved:
            return None
        if self.fork is not None and self.saved == self.fork.step:
            return self._about.files / f"trials/{self.fork.trial}/step-{self.fork.step}"
        return self._about.files / f"trials/{self.number}/step-{self.saved}"
