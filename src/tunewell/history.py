"""The fold of a study's events: its trials, and the indexes that keep every decision cheap.

``History`` holds no fact of its own: replaying the same events gives the same history. Schedulers and samplers read it
and keep no state. What they would have to look up by scanning all trials (who is paused at a rung, how many got there,
what is first in line) is kept up to date event by event instead, so a decision costs the same at ten trials as at a
hundred thousand.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from tunewell.activity import SET_BACK, Activity
from tunewell.cadence import Cadence
from tunewell.events import (
    Adjusted,
    Answered,
    Believed,
    CheckpointSaved,
    Constraint,
    Ended,
    Enqueued,
    Event,
    Fingerprinted,
    Goal,
    Noted,
    Origin,
    Paused,
    Planned,
    Reported,
    Requested,
    RunStarted,
    SettingsChanged,
    SpaceChanged,
    Status,
    StudyCreated,
    TrialResumed,
    TrialStarted,
)
from tunewell.fingerprints import Fingerprint
from tunewell.leaders import Leaders
from tunewell.records import LOSSES_ALLOWED as LOSSES_ALLOWED
from tunewell.records import OBSERVED as OBSERVED
from tunewell.records import About
from tunewell.records import Stretch as Stretch
from tunewell.records import TrialRecord as TrialRecord
from tunewell.retention import retained_steps
from tunewell.rungs import Rung as Rung
from tunewell.rungs import Rungs
from tunewell.sofar import SoFar
from tunewell.space import Config, Space
from tunewell.values import Value


class History:
    """A study as its events tell it.

    Attributes:
        name, space, goals, constraints, settings, seed: as created, or as changed since.
        space_since: the number of the first trial that could begin in today's space.
        spaces: all spaces that the study has had, today's last.
        trials: all records, by number.
        running: the numbers of the trials in training.
        unfinished: the numbers of the trials that the next driver takes up first: lost, or cut off with their run.
        queue: configurations a person put first in line, as far as the space allows them.
        beliefs: where a person thinks that good values lie, oldest first.
        rested: the numbers of the trials in the order in which they came to rest; once more for each further rest.
        settled: as ``rested``, without those that were cut off: see :class:`Stretch`.
        groups: the numbers of the trials by the group that the scheduler started them in.
        horizons: the horizon as it was when a group began, or as it first became known.
        stirred: the numbers of the trials that went on, came to rest or reported at a rung, each time: what a scheduler
            has to look at again, if it remembers how far it has read.
        moving: of each group the trials that train or will be taken up again; no entry where there are none.
        alive: of each group, the numbers of the trials that may still train.
        begun: the numbers of the trials by group and the step they began at: 0, or where they were forked.
        at_limit: the numbers of the trials by group and the step at which they completed as the run allowed no more.
        run: the newest run's limits, None before the first.
        runs: the limits of every run that trials began in, by the number of the first of them, oldest first.
        fingerprint: what the newest run found data, model, machine and libraries to be, None where none said.
        cadence: the steps at which losses are reported.
        in_training: how many of the running trials a driver trains; the others were asked for and will be told.
        steps_done: steps trained and reported, over all trials.
        requests: what a person wished of trials, in order; a request goes by its place in this list.
        pending: those that wait to be carried out, by number; a fork from the newest checkpoint is one from what was
            the newest when it was asked for.
        answers: what became of the others, by number.
        touched: the numbers of the trials that a person has wished something of.
        guarded: of each trial the newest change by a person that a guard looks after.
    """

    def __init__(self, events: Iterable[Event] = (), files: Path | None = None) -> None:
        self.name = ""
        self.space = Space()
        self.space_since = 0
        self.spaces: list[Space] = []
        self.settings: Mapping[str, Any] = {}
        self.seed = 0
        self.created = 0.0
        self.trials: list[TrialRecord] = []
        self.running: dict[int, None] = {}
        self.unfinished: dict[int, None] = {}
        self.queue: deque[Config] = deque()
        self.beliefs: list[Believed] = []
        self.groups: dict[str, list[int]] = {}
        self.horizons: dict[str, int | None] = {}
        self.moving: dict[str, dict[int, None]] = {}
        self.alive: dict[str, dict[int, None]] = {}
        self.begun: dict[tuple[str, int], list[int]] = {}
        self.at_limit: dict[tuple[str, int], list[int]] = {}
        self.run: RunStarted | None = None
        self.runs: dict[int, RunStarted] = {}
        self.fingerprint: Fingerprint | None = None
        self.notes: list[Noted] = []
        self.adjustments: list[Adjusted] = []
        self.requests: list[Requested] = []
        self.pending: dict[int, Requested] = {}
        self.answers: dict[int, Answered] = {}
        self.touched: dict[int, None] = {}
        self.guarded: dict[int, Adjusted] = {}
        self.cadence = Cadence()
        self.in_training = 0
        self.steps_done = 0
        self.furthest_step = 0  # the largest step any trial has reported
        self._activity = Activity()
        self.settled: list[int] = []
        self.rested: list[int] = []  # every trial that came to rest or ended, in the order in which it happened
        self.suggested = 0  # trials whose configuration the sampler chose
        self.default_started = False
        self.counts: dict[Status, int] = dict.fromkeys(Status, 0)
        self._leaders = Leaders()
        self._about = About(files=files or Path())
        self._lost_for_good = self._added = 0
        self._given_up = 0  # trials that were asked for and then cancelled
        self._forks_by_hand: list[TrialRecord] = []
        self._retains = 0  # how many checkpoints of each trial the run keeps for a person
        self._forks: dict[int, list[TrialRecord]] = {}
        self._rungs = Rungs(self.trials, self.groups)
        self.stirred: list[int] = []
        self._without_horizon: list[str] = []
        self._so_far: SoFar | None = None
        self._planned = 0
        self._completed = 0  # the most steps of a trial that trained to its end
        self._length = 0
        self.last_time = 0.0  # of the latest event, by a clock that may be set back
        self._apply: dict[type, Callable[[Any], None]] = {
            StudyCreated: self._created,
            SpaceChanged: self._space_changed,
            SettingsChanged: self._settings_changed,
            RunStarted: self._run_started,
            Fingerprinted: self._fingerprinted,
            Enqueued: self._enqueued,
            Believed: self._believed,
            Requested: self._requested,
            Answered: self._answered,
            TrialStarted: self._started,
            TrialResumed: self._resumed,
            Planned: self._plan,
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
    def constraints(self) -> tuple[Constraint, ...]:
        """The bounds that the metrics of an acceptable trial keep."""
        return self._about.constraints

    @property
    def files(self) -> Path:
        """The folder of checkpoints and logs."""
        return self._about.files

    @files.setter
    def files(self, folder: Path) -> None:
        self._about.files = folder

    @property
    def spent_trials(self) -> int:
        """The trials that count towards a total.

        Those are all but forks by a person, added results, what a bug or a dying machine cut off for good, and what was
        asked for and then given up.
        """
        by_hand = sum(not fork.lost_for_good and fork.status is not Status.FAILED for fork in self._forks_by_hand)
        not_counted = self._lost_for_good + self._given_up + self._added + by_hand
        return len(self.trials) - self.counts[Status.FAILED] - not_counted

    @property
    def untold(self) -> list[TrialRecord]:
        """The trials that somebody asked for and has yet to tell of, the oldest first."""
        if self.in_training == self.counts[Status.RUNNING]:
            return []
        return sorted((t for t in map(self.trials.__getitem__, self.running) if t.untold), key=lambda t: t.number)

    @property
    def may_start(self) -> bool:
        """Whether the newest run has room for one more trial."""
        return self.run is None or self.run.trials is None or self.spent_trials < self.run.trials

    @property
    def first_in_line(self) -> tuple[Config, Origin] | None:
        """The configuration that comes before any suggestion: one that is enqueued, or the default to begin with."""
        if self.queue:
            return self.queue[0], "enqueued"
        if self.settings.get("default_first") and not self.default_started:
            return self.space.default(), "default"
        return None

    @property
    def best(self) -> TrialRecord | None:
        """The feasible observed trial with the smallest loss of the first goal; ties go to the older."""
        return min(
            (trial for trial in self.trials if trial.observed and trial.feasible),
            key=lambda trial: (trial.loss, trial.number),
            default=None,
        )

    @property
    def best_so_far(self) -> tuple[float, int] | None:
        """The smallest newest loss of the first goal, and its trial, for the eye: of :attr:`best`, or in training.

        Trials that have not reported what the constraints are about, diverged or failed are none of them. The first
        call looks at every trial; from then on it is kept up to date.
        """
        return self._leaders.first(self.trials)

    @property
    def pareto(self) -> list[TrialRecord]:
        """The feasible observed trials that no other of them beats in every goal, by number."""
        from tunewell.numerics.pareto import non_dominated

        candidates = [trial for trial in self.trials if trial.observed and trial.feasible]
        front = non_dominated([trial.losses or () for trial in candidates])
        return [trial for trial, on_front in zip(candidates, front, strict=True) if on_front]

    @property
    def nearly_feasible(self) -> TrialRecord | None:
        """The observed trial that breaks its constraints least, of those of which all are known; None without any."""
        import numpy as np

        from tunewell.numerics.feasibility import breach_in_medians

        known = [trial for trial in self.trials if trial.observed and not any(map(math.isnan, trial.margins))]
        if not known:
            return None
        return known[int(np.argmin(breach_in_medians(np.array([trial.margins for trial in known]))))]

    @property
    def active_seconds(self) -> float:
        """The time during which at least one trial was in training, as far as there was a sign of it."""
        return self._activity.seconds

    def seconds_at(self, now: float, driver: str) -> float:
        """Return the active seconds, with those since the last sign of a driver that asks while it trains."""
        return self._activity.seconds_at(now, driver)

    @property
    def horizon(self) -> int | None:
        """The steps of a full training; None while they are not known.

        That is what the run allows, or else the most that a trial said it means to train, or else the most that one
        trained to its end.
        """
        limit = self.run.max_steps if self.run is not None else None
        return limit or self._planned or self._completed or None

    @property
    def so_far(self) -> SoFar:
        """The best losses and running averages of all trials, step by step.

        The first call looks at every report; from then on they are kept up to date.
        """
        if self._so_far is None:
            self._so_far = SoFar(self.trials)
        return self._so_far

    def rung(self, step: int, group: str | None = None, until: int | None = None) -> Rung:
        """Return all trials at ``step``, or those of a group; with ``until`` also those that came a little later.

        These are the trials whose first loss from ``step`` on was reported before ``until``, the next rung. The first
        call looks at every trial; from then on it is kept up to date.
        """
        return self._rungs.one(step, group, until)

    def ladder(self, steps: Iterable[int], group: str | None = None) -> Iterator[tuple[int, Rung]]:
        """Yield each of some rising steps with the rung there, to which trials come before the next of them.

        The last step is the end of a training: there the last loss counts that is reported up to it. Of equal steps
        there is one rung.
        """
        distinct = list(dict.fromkeys(steps))
        for step, until in pairwise(distinct):
            yield step, self.rung(step, group, until)
        for end in distinct[-1:]:
            yield end, self.rung(self.cadence.before(end), group, end + 1)

    def needed_checkpoints(self, trial: int) -> set[int]:
        """Return the steps whose checkpoints of ``trial`` must stay on disk.

        Its newest, unless the trial was stopped or diverged; any that a fork of it still stands on; and, unless it was
        stopped, those that the scheduler may want to fork from: of a trial with ``keep=5`` that has saved step 12, the
        one of step 10, and once it has saved step 15, both. A member that has completed keeps them too: a place that
        is still empty may become a fork of it. Besides, those that are retained for a person.
        """
        record = self.trials[trial]
        needed = {
            other.fork.step
            for other in self._forks.get(trial, ())
            if other.fork is not None and other.saved == other.fork.step and not other.over
        }
        if record.status is not Status.STOPPED:
            needed.update(record.kept)
        return needed.union(record.checkpoints)

    def apply(self, event: Event) -> None:
        """Take in the next event.

        Trials say themselves when something happened, so an event may be a little older than the one before it. A
        person's word has the time of whoever wrote it, which is another clock than the executor's.

        Raises:
            ValueError: the event is about what is not there, such as a trial that was never started.
        """
        time = event.time
        if event.__class__ in _SPOKEN:
            pass
        elif time > self.last_time or time < self.last_time - SET_BACK:
            self.last_time = time
        try:
            self._apply[event.__class__](event)
        except (IndexError, KeyError) as error:
            raise ValueError(self._misfit(event)) from error
        self._length += 1

    def _misfit(self, event: Event) -> str:
        """Return in words why an event cannot follow those before it, as where a stored study was damaged."""
        trial = getattr(event, "trial", None)
        about = f" about trial {trial} of {len(self.trials)}" if trial is not None else ""
        return (
            f"study {self.name!r} expected an event that fits those before it as number {self._length + 1}, got "
            f"{type(event).__name__}{about}: tunewell export --events writes out what is there"
        )

    # --- one method an event ------------------------------------------------------------------------------------------

    def _created(self, event: StudyCreated) -> None:
        self.name, self.space, self.settings = event.name, event.space, event.settings
        self.spaces, self.seed, self.created = [event.space], event.seed, event.time
        self._about.goals, self._about.constraints = event.goals, event.constraints

    def _space_changed(self, event: SpaceChanged) -> None:
        before, now = _stated_defaults(self.space), _stated_defaults(event.space)
        if any(name not in before or before[name] != value for name, value in now.items()):
            self.default_started = any(trial.params == event.space.default() for trial in self.trials)
        self.space, self.space_since = event.space, len(self.trials)
        self.spaces.append(event.space)
        self.queue = deque(config for config in self.queue if event.space.allows(config))

    def _settings_changed(self, event: SettingsChanged) -> None:
        self.settings = event.settings

    def _run_started(self, event: RunStarted) -> None:
        self.run = self.runs[len(self.trials)] = event
        self._retains = event.keep_checkpoints
        self._set_horizons()

    def _fingerprinted(self, event: Fingerprinted) -> None:
        self.fingerprint = event.fingerprint

    def _enqueued(self, event: Enqueued) -> None:
        self.queue.append(event.config)

    def _believed(self, event: Believed) -> None:
        self.beliefs.append(event)

    def _requested(self, event: Requested) -> None:
        number = len(self.requests)
        self.requests.append(event)
        self.pending[number] = event
        if event.by == "guard":
            self.guarded.pop(event.trial, None)
        if 0 <= event.trial < len(self.trials):
            record = self.trials[event.trial]
            if event.wish == "fork" and event.step is None:
                self.pending[number] = replace(event, step=record.newest_checkpoint)
            record.touched = True
            self.touched[event.trial] = None
            self._retain(record)

    def _answered(self, event: Answered) -> None:
        self.pending.pop(event.request, None)
        self.answers[event.request] = event

    def _started(self, event: TrialStarted) -> None:
        record = TrialRecord(event, self._about)
        self.trials.append(record)
        if event.origin == "added":  # no scheduler compares it with others
            self._added += 1
        else:
            self._join(record)
        self.running[event.trial] = None
        self.in_training += bool(event.driver)
        self.counts[Status.RUNNING] += 1
        self._activity.begin(record.driver or record.number, event.time)
        if event.origin == "sampler":
            self.suggested += 1
        elif event.origin == "default":
            self.default_started = True
        elif event.origin == "enqueued" and event.config in self.queue:
            self.queue.remove(event.config)
        elif event.origin == "person":
            self._forks_by_hand.append(record)
        if event.fork is not None:
            self._forks.setdefault(event.fork.trial, []).append(record)

    def _join(self, record: TrialRecord) -> None:
        """Let a trial that begins into its group."""
        number, group = record.number, record.group
        if group not in self.groups:
            self._without_horizon.append(group)
            self._set_horizons()
        self.groups.setdefault(group, []).append(number)
        self.moving.setdefault(group, {})[number] = None
        self.alive.setdefault(group, {})[number] = None
        self.begun.setdefault((group, record.step), []).append(number)

    def _resumed(self, event: TrialResumed) -> None:
        record = self.trials[event.trial]
        if record.lost_for_good:
            self._lost_for_good -= 1
        self._given_up -= record.status is Status.CANCELLED and not record.driver
        self._forget_after(record, event.step)
        record.saved = min(record.saved, event.step)  # smaller where the checkpoint was not to be found
        record.resumed_from = event.step
        self.stirred.append(event.trial)
        self.moving.setdefault(record.group, {})[event.trial] = None
        record.kept = tuple(step for step in record.kept if step <= event.step)
        record.retained = tuple(step for step in record.retained if step <= event.step)
        self.alive[record.group][event.trial] = None
        self._set_status(record, Status.RUNNING, event.reason)
        self.in_training += bool(event.driver)
        self._leaders.look(record, self.trials)
        record.stretches.append(Stretch(event.driver, event.worker, event.time))
        self._activity.begin(record.driver or record.number, event.time)
        for rung in self._rungs.at(record):
            rung.leave(record.number)

    def _plan(self, event: Planned) -> None:
        self._planned = max(self._planned, event.steps)
        self._set_horizons()

    def _reported(self, event: Reported) -> None:
        record = self.trials[event.trial]
        reports = record.reports
        self._sign(record, event.time)
        self.steps_done += event.step - (reports[-1].step if reports else record.step)
        if event.step > self.furthest_step:
            self.furthest_step = event.step
        reports.append(event)
        if self._about.goals[0].metric in event.metrics:
            record.loss_steps.append(event.step)
            if event.step > self.cadence.furthest:
                self.cadence.add(record)
        self._leaders.look(record, self.trials)
        rungs = self._rungs.at(record)
        for rung in rungs:
            rung.add(record, event)
        if rungs:
            self.stirred.append(event.trial)
        if self._so_far is not None:
            self._so_far.add(record, event)

    def _saved(self, event: CheckpointSaved) -> None:
        record = self.trials[event.trial]
        self._sign(record, event.time)
        record.saved = event.step
        record.fresh_losses = 0
        if record.keep:
            last = (event.step,) if event.step % record.keep == 0 else ()
            record.kept = tuple(step for step in record.kept if event.step - record.keep <= step < event.step) + last
        if record.touched or self._retains:
            self._retain(record)

    def _adjusted(self, event: Adjusted) -> None:
        self.adjustments.append(event)
        self.trials[event.trial].adjustments.append(event)
        if event.by == "person" and event.guard:
            self.guarded[event.trial] = event
        else:
            self.guarded.pop(event.trial, None)

    def _paused(self, event: Paused) -> None:
        record = self.trials[event.trial]
        record.paused_by = event.by
        self._come_to_rest(record, Status.PAUSED, event)
        if event.by == "person":
            self.unfinished[event.trial] = None
        elif event.by == "hold":
            self.unfinished.pop(event.trial, None)
            self.alive[record.group].pop(event.trial, None)

    def _ended(self, event: Ended) -> None:
        record = self.trials[event.trial]
        if event.status is Status.CANCELLED and record.status is not Status.CANCELLED:
            self._given_up += not record.driver
        self.unfinished.pop(event.trial, None)
        record.error = event.error
        if event.metrics:
            record.metrics = event.metrics
        if event.status is Status.LOST and event.fault == "trial":
            record.fresh_losses += 1
        if event.status is Status.COMPLETED:
            self._completed = max(self._completed, record.step)
            self._set_horizons()
            if self.run is not None and record.step == self.run.max_steps:
                self.at_limit.setdefault((record.group, record.step), []).append(event.trial)
        self._come_to_rest(record, event.status, event)
        if event.status is Status.LOST:
            if record.lost_for_good:
                self._lost_for_good += 1
            else:
                self.unfinished[event.trial] = None
        if record.over:
            self.alive.get(record.group, {}).pop(event.trial, None)
        if event.status is Status.STOPPED and not record.touched:
            record.retained = ()

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
        elif record.number in self.running:
            del self.running[record.number]
            self.in_training -= bool(record.driver)

    def _sign(self, record: TrialRecord, time: float) -> None:
        self._activity.sign(record.driver or record.number, time, record.last_sign)

    def _come_to_rest(self, record: TrialRecord, status: Status, event: Paused | Ended) -> None:
        if record.status is Status.RUNNING:
            self._activity.end(record.driver or record.number, event.time, record.last_sign)
        self._set_status(record, status, event.reason)
        self._leaders.look(record, self.trials)
        stretch = record.stretches[-1]
        if stretch.end is None:  # else it rested before: that was no training
            record.stretches[-1] = replace(stretch, end=event.time, cut=_is_cut(record, event))
        self._rest(record)

    def _rest(self, record: TrialRecord) -> None:
        self.rested.append(record.number)
        if not record.stretches[-1].cut:
            self.settled.append(record.number)
        self.stirred.append(record.number)
        if not record.interrupted and record.number in (moving := self.moving.get(record.group, {})):
            del moving[record.number]
            if not moving:
                del self.moving[record.group]
        for rung in self._rungs.at(record):
            rung.rest(record)

    def _retain(self, record: TrialRecord) -> None:
        wanted = [w.step for w in self.pending.values() if w.trial == record.number and w.step is not None]
        record.retained = retained_steps(record, self._retains, wanted)

    def _set_horizons(self) -> None:
        horizon = self.horizon
        self.horizons.update(dict.fromkeys(self._without_horizon, horizon))
        if horizon is not None:
            self._without_horizon.clear()

    def _forget_after(self, record: TrialRecord, step: int) -> None:
        while record.reports and record.reports[-1].step > step:
            for rung in self._rungs.at(record):
                rung.remove(record.number)
            if self._so_far is not None:
                self._so_far.remove(record)
            report = record.reports.pop()
            if record.loss_steps and record.loss_steps[-1] == report.step:
                record.loss_steps.pop()
            self.steps_done += record.step - report.step


_SPOKEN = frozenset({Requested, Noted, Enqueued, SpaceChanged})  # a person's word, in whichever process


def _stated_defaults(space: Space) -> dict[str, Value]:
    return {name: parameter.default_value for name, parameter in space.items() if parameter.has_default}


def _is_cut(record: TrialRecord, event: Paused | Ended) -> bool:
    """Whether neither the trial nor a scheduler ended the stretch that ended with ``event``."""
    if record.status in (Status.LOST, Status.CANCELLED) or record.interrupted or record.held:
        return True
    return isinstance(event, Ended) and event.fault == "run"
