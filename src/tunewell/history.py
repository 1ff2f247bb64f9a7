"""The fold of a study's events: its trials, and the indexes that keep every decision cheap.

``History`` holds no fact of its own: replaying the same events gives the same history. Schedulers and samplers read it
and keep no state. What they would have to look up by scanning all trials (who is paused at a rung, how many got there,
what is first in line) is kept up to date event by event instead, so a decision costs the same at ten trials as at a
hundred thousand.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path
from typing import Any

from tunewell.events import (
    Adjusted,
    CheckpointSaved,
    Ended,
    Enqueued,
    Event,
    Fork,
    Goal,
    Noted,
    Origin,
    Paused,
    Reported,
    SettingsChanged,
    SpaceChanged,
    Status,
    StudyCreated,
    TrialResumed,
    TrialStarted,
)
from tunewell.space import Config, Space

OBSERVED = frozenset({Status.COMPLETED, Status.STOPPED, Status.PAUSED})
"""The statuses whose value counts as a measurement of the configuration."""

LOSSES_ALLOWED = 3
"""A trial whose worker died this often without a new checkpoint is not taken up again."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time that a trial spent on a worker: ``end`` is None while it lasts. Seconds on the executor's clock."""

    driver: str
    worker: int
    begin: float
    end: float | None = None


@dataclass(slots=True)
class _About:
    """What every record of one study shares."""

    goals: tuple[Goal, ...] = ()
    files: Path = Path()


class TrialRecord:
    """What is known of one trial.

    Attributes:
        number: counted from 0 in the order of starting.
        params: the active parameters.
        status: see :class:`~tunewell.events.Status`; compares equal to its name.
        reason: why it was started, paused, stopped or ended, in words.
        error: the traceback, when the objective raised.
        reports: each with ``step``, ``metrics`` and ``time``, in the order of steps.
        metrics: what the objective returned.
        saved: the step of its newest checkpoint, 0 when there is none.
    """

    __slots__ = (
        "_about",
        "_fresh_losses",
        "error",
        "fork",
        "metrics",
        "number",
        "origin",
        "params",
        "paused_by",
        "reason",
        "reports",
        "saved",
        "seed",
        "status",
        "stretches",
    )

    def __init__(self, event: TrialStarted, about: _About) -> None:
        self._about = about
        self._fresh_losses = 0
        self.number = event.trial
        self.params: Config = event.config
        self.seed = event.seed
        self.origin: Origin = event.origin
        self.fork: Fork | None = event.fork
        self.status = Status.RUNNING
        self.reason = event.reason
        self.error = ""
        self.paused_by = ""
        self.reports: list[Reported] = []
        self.metrics: Mapping[str, float] = {}
        self.saved = event.fork.step if event.fork else 0
        self.stretches: list[Stretch] = [Stretch(event.driver, event.worker, event.time)]

    def __repr__(self) -> str:
        return (
            f"TrialRecord(number={self.number}, status={self.status.value!r}, value={self.value!r}, step={self.step})"
        )

    @property
    def step(self) -> int:
        """The steps it has trained and reported."""
        if self.reports:
            return self.reports[-1].step
        return self.fork.step if self.fork else 0

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

    def curve(self, name: str) -> list[tuple[int, float]]:
        """The reports of a metric as ``(step, value)`` pairs."""
        return [(report.step, report.metrics[name]) for report in self.reports if name in report.metrics]

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
    def last_sign(self) -> float:
        """The time of the newest thing heard of a running trial."""
        begin = self.stretches[-1].begin
        return max(begin, self.reports[-1].time) if self.reports else begin

    @property
    def lost_for_good(self) -> bool:
        """Whether its workers died so often that it is not tried again."""
        return self.status is Status.LOST and self._fresh_losses >= LOSSES_ALLOWED

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


class Rung:
    """All trials at one step: how they rank there, who rests there, how many went on.

    Losses are those of the first goal; NaN counts as infinitely bad, so a diverged trial ranks last.
    """

    def __init__(self, step: int, trials: Iterable[TrialRecord]) -> None:
        self.step = step
        self._losses: dict[int, float] = {}
        self._ranked: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int]] = []  # heap; entries may be stale
        self._resting: set[int] = set()
        for trial in trials:
            for report in trial.reports:
                if report.step == step:
                    self._losses[trial.number] = _rankable(trial, report)
                    if trial.step == step and trial.status is not Status.RUNNING:
                        self._rest(trial)
        self._ranked = sorted((loss, number) for number, loss in self._losses.items())

    def __len__(self) -> int:
        return len(self._losses)

    @property
    def moved_on(self) -> int:
        """How many trials went or are going beyond this step."""
        return len(self._losses) - len(self._resting)

    def rank(self, trial: int) -> int:
        """The trial's place among all that reported here, 1 the best; ties go to the older trial."""
        return bisect_left(self._ranked, (self._losses[trial], trial)) + 1

    def loss(self, trial: int) -> float:
        """The loss that the trial reported at this step."""
        return self._losses[trial]

    def losses(self) -> Sequence[float]:
        """All losses at this step, best first, shape ``(n_trials,)``."""
        return [loss for loss, _ in self._ranked]

    def best_waiting(self, trials: Sequence[TrialRecord]) -> int | None:
        """The best trial that the scheduler paused here and that still waits, or None."""
        while self._waiting:
            number = self._waiting[0][1]
            trial = trials[number]
            if trial.status is Status.PAUSED and trial.paused_by == "scheduler" and trial.step == self.step:
                return number
            heappop(self._waiting)
        return None

    def _add(self, trial: TrialRecord, report: Reported) -> None:
        loss = _rankable(trial, report)
        self._losses[trial.number] = loss
        insort(self._ranked, (loss, trial.number))

    def _remove(self, trial: int) -> None:
        loss = self._losses.pop(trial, None)
        if loss is not None:
            del self._ranked[bisect_left(self._ranked, (loss, trial))]
            self._resting.discard(trial)

    def _rest(self, trial: TrialRecord) -> None:
        if trial.number in self._losses:
            self._resting.add(trial.number)
            if trial.status is Status.PAUSED:
                heappush(self._waiting, (self._losses[trial.number], trial.number))


def _rankable(trial: TrialRecord, report: Reported) -> float:
    goal = trial._about.goals[0]
    value = report.metrics.get(goal.metric, math.nan)
    return math.inf if math.isnan(value) else goal.loss(value)


class History:
    """A study as its events tell it.

    Attributes:
        name, space, goals, settings, seed: as created, or as changed since.
        trials: all records, by number.
        running: the numbers of the trials in training.
        unfinished: the numbers of the trials that the next driver takes up first: lost, or cut off with their run.
        queue: configurations a person put first in line.
        rested: the numbers of the trials in the order in which they came to rest; once more for each further rest.
        steps_done: steps trained and reported, over all trials.
        active_seconds: the time during which at least one trial was running.
    """

    def __init__(self, events: Iterable[Event] = (), files: Path | None = None) -> None:
        self.name = ""
        self.space = Space()
        self.settings: Mapping[str, Any] = {}
        self.seed = 0
        self.created = 0.0
        self.trials: list[TrialRecord] = []
        self.running: dict[int, None] = {}
        self.unfinished: dict[int, None] = {}
        self.queue: deque[Config] = deque()
        self.notes: list[Noted] = []
        self.adjustments: list[Adjusted] = []
        self.steps_done = 0
        self.furthest_step = 0  # the largest step any trial has reported
        self.active_seconds = 0.0
        self.rested: list[int] = []  # every trial that came to rest or ended, in the order in which it happened
        self.suggested = 0  # trials whose configuration the sampler chose
        self.default_started = False
        self.counts: dict[Status, int] = dict.fromkeys(Status, 0)
        self.best_so_far: tuple[float, int] | None = None  # smallest loss ever seen, for the eye only
        self._about = _About(files=files or Path())
        self._lost_for_good = 0
        self._forks: dict[int, list[TrialRecord]] = {}
        self._rungs: dict[int, Rung] = {}
        self._length = 0
        self.last_time = 0.0  # of the newest event
        self._apply: dict[type, Callable[[Any], None]] = {
            StudyCreated: self._created,
            SpaceChanged: self._space_changed,
            SettingsChanged: self._settings_changed,
            Enqueued: self._enqueued,
            TrialStarted: self._started,
            TrialResumed: self._resumed,
            Reported: self._reported,
            CheckpointSaved: self._saved,
            Adjusted: self._adjusted,
            Paused: self._paused,
            Ended: self._ended,
            Noted: self._noted,
        }
        for event in events:
            self.apply(event)

    def __len__(self) -> int:
        """The number of events."""
        return self._length

    @property
    def goals(self) -> tuple[Goal, ...]:
        """What is minimised or maximised."""
        return self._about.goals

    @property
    def files(self) -> Path:
        """The folder of checkpoints and logs."""
        return self._about.files

    @property
    def spent_trials(self) -> int:
        """The trials that count towards a total: all but those that a bug or a dying machine cut off for good."""
        return len(self.trials) - self.counts[Status.FAILED] - self._lost_for_good

    @property
    def best(self) -> TrialRecord | None:
        """The observed trial with the smallest loss of the first goal; ties go to the older."""
        return min(
            (trial for trial in self.trials if trial.observed),
            key=lambda trial: (trial.loss, trial.number),
            default=None,
        )

    def rung(self, step: int) -> Rung:
        """Return all trials at ``step``. The first call looks at every trial; from then on it is kept up to date."""
        rung = self._rungs.get(step)
        if rung is None:
            rung = self._rungs[step] = Rung(step, self.trials)
        return rung

    def needed_checkpoints(self, trial: int) -> set[int]:
        """Return the steps whose checkpoints of ``trial`` must stay on disk.

        Its newest, unless the trial was stopped or diverged; and any that a fork of it still stands on.
        """
        record = self.trials[trial]
        needed = {
            other.fork.step
            for other in self._forks.get(trial, ())
            if other.fork is not None and other.saved == other.fork.step and not _over(other)
        }
        if record.saved and not (record.fork and record.saved == record.fork.step) and not _spent(record):
            needed.add(record.saved)
        return needed

    def apply(self, event: Event) -> None:
        """Take in the next event."""
        time = event.time
        if self.running and time > self.last_time:
            self.active_seconds += time - self.last_time
        self.last_time = time
        self._apply[event.__class__](event)
        self._length += 1

    # --- one method an event ------------------------------------------------------------------------------------------

    def _created(self, event: StudyCreated) -> None:
        self.name, self.space, self.settings = event.name, event.space, event.settings
        self.seed, self.created = event.seed, event.time
        self._about.goals = event.goals

    def _space_changed(self, event: SpaceChanged) -> None:
        self.space = event.space

    def _settings_changed(self, event: SettingsChanged) -> None:
        self.settings = event.settings

    def _enqueued(self, event: Enqueued) -> None:
        self.queue.append(event.config)

    def _started(self, event: TrialStarted) -> None:
        record = TrialRecord(event, self._about)
        self.trials.append(record)
        self.running[event.trial] = None
        self.counts[Status.RUNNING] += 1
        if event.origin == "sampler":
            self.suggested += 1
        elif event.origin == "default":
            self.default_started = True
        elif event.origin == "enqueued" and self.queue:
            self.queue.popleft()
        if event.fork is not None:
            self._forks.setdefault(event.fork.trial, []).append(record)

    def _resumed(self, event: TrialResumed) -> None:
        record = self.trials[event.trial]
        if record.lost_for_good:
            self._lost_for_good -= 1
        self._forget_after(record, event.step)
        self._set_status(record, Status.RUNNING, event.reason)
        record.stretches.append(Stretch(event.driver, event.worker, event.time))
        rung = self._rungs.get(record.step)
        if rung is not None:
            rung._resting.discard(record.number)

    def _reported(self, event: Reported) -> None:
        record = self.trials[event.trial]
        self.steps_done += event.step - record.step
        if event.step > self.furthest_step:
            self.furthest_step = event.step
        record.reports.append(event)
        self._look(event.trial, event.metrics)
        rung = self._rungs.get(event.step)
        if rung is not None:
            rung._add(record, event)

    def _saved(self, event: CheckpointSaved) -> None:
        record = self.trials[event.trial]
        record.saved = event.step
        record._fresh_losses = 0

    def _adjusted(self, event: Adjusted) -> None:
        self.adjustments.append(event)

    def _paused(self, event: Paused) -> None:
        record = self.trials[event.trial]
        record.paused_by = event.by
        self._set_status(record, Status.PAUSED, event.reason)
        self._rest(record, event.time)
        if event.by == "person":
            self.unfinished[event.trial] = None

    def _ended(self, event: Ended) -> None:
        record = self.trials[event.trial]
        record.error = event.error
        if event.metrics:
            record.metrics = event.metrics
            self._look(event.trial, event.metrics)
        self._set_status(record, event.status, event.reason)
        self._rest(record, event.time)
        if event.status is Status.LOST:
            if event.fault == "trial":
                record._fresh_losses += 1
            if record.lost_for_good:
                self._lost_for_good += 1
            else:
                self.unfinished[event.trial] = None

    def _noted(self, event: Noted) -> None:
        self.notes.append(event)

    # --- shared steps -------------------------------------------------------------------------------------------------

    def _set_status(self, record: TrialRecord, status: Status, reason: str) -> None:
        self.counts[record.status] -= 1
        self.counts[status] += 1
        record.status, record.reason = status, reason
        if status is Status.RUNNING:
            self.running[record.number] = None
            self.unfinished.pop(record.number, None)
        else:
            self.running.pop(record.number, None)

    def _rest(self, record: TrialRecord, time: float) -> None:
        stretch = record.stretches[-1]
        record.stretches[-1] = Stretch(stretch.driver, stretch.worker, stretch.begin, time)
        self.rested.append(record.number)
        rung = self._rungs.get(record.step)
        if rung is not None:
            rung._rest(record)

    def _look(self, trial: int, metrics: Mapping[str, float]) -> None:
        goal = self._about.goals[0]
        value = metrics.get(goal.metric)
        if value is None:
            return
        loss = goal.loss(value)
        if (self.best_so_far is None or loss < self.best_so_far[0]) and math.isfinite(loss):
            self.best_so_far = (loss, trial)

    def _forget_after(self, record: TrialRecord, step: int) -> None:
        while record.reports and record.reports[-1].step > step:
            report = record.reports.pop()
            if report.step in self._rungs:
                self._rungs[report.step]._remove(record.number)
            self.steps_done += record.step - report.step


def _over(record: TrialRecord) -> bool:
    """Whether the trial can never train again."""
    return record.status not in (Status.RUNNING, Status.PAUSED) and (
        record.status is not Status.LOST or record.lost_for_good
    )


def _spent(record: TrialRecord) -> bool:
    """Whether nobody has a use for the trial's weights."""
    return record.status in (Status.STOPPED, Status.DIVERGED)
