"""The walk: a free worker, an action, an event, a job; then what comes back, one step boundary at a time.

The driver owns no knowledge of the study and decides nothing. It asks :mod:`tunewell.moves` what comes next, writes
that *before* anything acts on it, hands jobs to the executor and passes on what it hears. Whatever stops it, the list
says enough for the next driver to go on.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from tunewell.decisions import amounts_to, not_finite, untold_in_words, without_goal
from tunewell.events import CheckpointSaved, Ended, Event, Noted, Reported, Status
from tunewell.failing import Failures
from tunewell.fingerprints import Fingerprint
from tunewell.granting import Granting
from tunewell.heartbeat import Listener, beating
from tunewell.history import History, TrialRecord
from tunewell.identity import is_gone, new_identity
from tunewell.ledger import LAST_SECONDS, PATIENCE_SECONDS, Ledger
from tunewell.limits import Limits
from tunewell.moves import Algorithms, Move, announced, beliefs, cut_off, next_move, verdict_on
from tunewell.protocols import Continue, Executor, Job, JournalError, Pause, Stop, Verdict
from tunewell.schedules import schedule_of
from tunewell.wishes import Place, held_in_words

FLUSH_SECONDS = 0.05
LOOK_AROUND_SECONDS = 1.0
POLL_SECONDS = 0.2


class ObjectiveError(RuntimeError):
    """The objective fails in the same way again and again, so the run was ended."""


@dataclass
class Driver:
    """One process that looks after a study's trials until its budget is spent."""

    ledger: Ledger
    deciders: Algorithms
    executor: Executor
    limits: Limits
    fingerprint: Fingerprint = field(default_factory=Fingerprint)
    watch: Callable[[History, Sequence[Event]], None] = lambda history, events: None
    tell: Callable[[str], None] = lambda text: None
    identity: str = field(default_factory=new_identity)
    interrupted: str = ""
    _jobs: dict[int, float] = field(default_factory=dict)  # our trials, with the time their stretch began
    _ending: dict[int, float] = field(default_factory=dict)  # trials that were told to end, with the time since when
    _failures: Failures = field(default_factory=Failures)
    _flushed: float = 0.0
    _looked: float = -math.inf
    _housekeeping: dict[int, None] = field(default_factory=dict)  # trials with checkpoints to look through
    _announced: bool = False
    _looked_at_names: bool = False
    _listener: Listener = field(default_factory=Listener)

    def __post_init__(self) -> None:
        self._granting = Granting(self.ledger, self.executor.clock, self._heard)

    def run(self) -> str:
        """Run until the budget is spent or nothing is left to do; return why it ended.

        Raises:
            ObjectiveError: see :mod:`tunewell.failing`.
            KeyboardInterrupt: the user asked twice to stop.
        """
        with self._signals(), beating(self.ledger.journal, self.identity):
            try:
                self._tidy_up_after_the_dead()
                while True:
                    self._look_around()
                    self._granting.grant()
                    reason = self._fill_workers()
                    self._flush()
                    if self._failures.verdict:
                        raise ObjectiveError(self._failures.verdict)
                    if reason and not self._jobs and not self.executor.busy_trials():
                        return reason
                    self.executor.poll(self.observe, self._patience(reason))
                    self._stop_overdue()
                    self.watch(self.ledger.history, ())
            finally:
                self._leave_behind()

    # --- what to do with a free worker --------------------------------------------------------------------------------

    def _fill_workers(self) -> str:
        """Give every free worker a job; return why there is nothing (more) to do, or an empty string."""
        for worker in self.executor.free_workers():
            reason = self._over()
            if reason:
                return reason
            if self._over(self.ledger.history.in_training):
                return ""  # what is in training uses up the total, if it comes to its steps
            self._announce()
            idle = self._employ(worker)
            if idle is not None:
                return idle
        return ""

    def _announce(self) -> None:
        """Write down this run's limits and fingerprint before its first decision, unless the last run had the same."""
        if self._announced:
            return
        self._announced = True
        workers = len(self.executor.free_workers())
        run = self.limits.announced(self.executor.clock(), self.identity, workers)
        self._heard(self.ledger.commit(lambda history: announced(history, run, self.fingerprint)))

    def _over(self, steps: int = 0) -> str:
        """Return why nothing more may train, given so many steps that are being trained."""
        history = self.ledger.history
        return self.interrupted or self._failures.verdict or self.limits.spent(history, self._study_seconds(), steps)

    def _employ(self, worker: int) -> str | None:
        """Begin one job; return None, or in words why there is none (empty: not now)."""
        self._heard(self.ledger.commit(lambda history: beliefs(history, self.executor.clock())))
        busy = self.executor.busy_trials()
        while (move := self._next_move(worker, busy)).events:
            self._heard(move.events)
            trial = self.ledger.history.trials[move.trial]
            if trial.resumed_from >= 0:
                self.executor.remove_unneeded(self.ledger.history, trial.number, untold=True)
            unjudged = move.taken_up and trial.reports and trial.step == trial.saved  # a step is not told twice
            if not unjudged or isinstance(self._verdict(trial.number, trial.reports[-1]), Continue):
                self._launch(trial, worker)
                return None
            if self._over(self.ledger.history.in_training):
                return ""  # it would be taken up again and again
        history = self.ledger.history
        more_may_come = any(history.trials[number].driver for number in history.running)
        why = (move.idle, held_in_words(history), untold_in_words(history))
        return "" if more_may_come else "; ".join(filter(None, why))

    def _next_move(self, worker: int, busy: Collection[int]) -> Move:
        """Write down what a free worker does, and return it."""
        move = Move()

        def decide(history: History) -> Sequence[Event]:
            nonlocal move
            place = Place(self.executor.clock(), None, self.identity, worker, busy)
            move = next_move(history, place, self.limits, self.deciders, self.executor.saved_step)
            return move.events

        self.ledger.commit(decide)
        return move

    def _launch(self, trial: TrialRecord, worker: int) -> None:
        self._jobs[trial.number] = self.executor.clock()
        previous = None
        if trial.saved and (trial.adjustments or trial.fork):
            previous = schedule_of(self.ledger.history, trial.number).at(trial.saved)
        self.executor.launch(
            Job(
                trial=trial.number,
                config=trial.values_after(trial.saved),
                seed=trial.seed,
                worker=worker,
                step=trial.saved,
                checkpoint=trial.checkpoint,
                directory=trial.directory,
                log=trial.log,
                metrics=tuple(goal.metric for goal in self.ledger.history.goals),
                max_steps=self.limits.max_steps,
                previous=previous,
            )
        )

    # --- what comes back ----------------------------------------------------------------------------------------------

    def observe(self, trial: int, events: Sequence[Event]) -> Verdict:
        """Take in what one trial did up to a step boundary and say how it goes on."""
        history = self.ledger.history
        if trial not in history.running or history.trials[trial].driver != self.identity:
            self._jobs.pop(trial, None)
            return Stop("the study does not count this trial as running here any more")
        report: Reported | None = None
        for event in events:
            if isinstance(event, Reported):
                report = event
        record = history.trials[trial]
        events = [amounts_to(event, record, report) if isinstance(event, Ended) else event for event in events]
        diverged = report is not None and not isinstance(events[-1], Ended) and not_finite(report, history.goals)
        if report is not None and diverged:
            events = [*events, Ended(report.time, trial, Status.DIVERGED, diverged)]
        self.ledger.record(events, self.identity)
        self._heard(events)
        if report is not None and not self._looked_at_names:
            self._look_at_names(report)
        last = events[-1] if events else None
        if not isinstance(last, Ended) and self._is_overdue(trial):
            last = self._time_out(trial)
        if isinstance(last, Ended):
            self._ended(last)
            return Stop(last.reason or str(last.status))
        verdict = self._wished(trial) or self._verdict(trial, report)
        saved = any(isinstance(event, CheckpointSaved) for event in events)
        if self.ledger.unwritten and (saved or time.monotonic() - self._flushed > FLUSH_SECONDS):
            self._flush()
        return verdict

    def _look_at_names(self, report: Reported) -> None:
        """Note down if the run's first report has no value for the study's metric, where no trial ever gave one."""
        self._looked_at_names = True
        if said := without_goal(report, self.ledger.history):
            remark = Noted(report.time, said, report.trial)
            self.ledger.record([remark], self.identity)
            self._heard([remark])

    def _verdict(self, trial: int, report: Reported | None) -> Verdict:
        """Decide, write the decision, and only then say it."""
        verdict: Verdict = Continue()

        def decide(history: History) -> Sequence[Event]:
            nonlocal verdict
            record = history.trials[trial]
            if trial not in history.running:
                verdict = Stop("ended by another driver")
                return []
            if record.driver != self.identity:
                verdict = Stop("another driver trains it")
                return []
            _, scheduler = self.deciders(history)
            now = self.executor.clock()
            verdict, events = verdict_on(history, record, report, scheduler, now)
            over = self._over(history.in_training - 1)  # this one has trained its step
            if over and isinstance(verdict, Continue):
                verdict, events = cut_off(record, over, now, to_go_on=bool(self.interrupted))
            return events

        decided = self.ledger.commit(decide)
        if decided:
            self._flushed = time.monotonic()
            self._heard(decided)
            self._housekeeping[trial] = None
            self._failures.passed(self.ledger.history.trials[trial])
        if not isinstance(verdict, Continue):
            self._jobs.pop(trial, None)
        else:
            changes = self.ledger.history.trials[trial].changes_here
            verdict = replace(verdict, values=changes) if changes else verdict
        return verdict

    def _wished(self, trial: int) -> Verdict | None:
        """Carry out a person's requests at a step boundary; return the verdict if one ends the stretch, else None."""
        if not self._granting.listen():
            return None
        self._granting.grant(trial)
        record = self.ledger.history.trials[trial]
        if record.status is Status.RUNNING:
            return None
        self._flushed = time.monotonic()
        self._jobs.pop(trial, None)
        self._housekeeping[trial] = None
        return Pause(record.reason) if record.status is Status.PAUSED else Stop(record.reason)

    def _ended(self, event: Ended) -> None:
        self._jobs.pop(event.trial, None)
        self._housekeeping[event.trial] = None
        trial = self.ledger.history.trials[event.trial]
        if event.status is Status.FAILED or trial.lost_for_good:
            self._failures.add(event, trial)
        elif event.status is Status.COMPLETED:
            self._failures.passed(trial, whole=True)

    # --- time, other drivers, leaving ---------------------------------------------------------------------------------

    def _study_seconds(self) -> float:
        """The seconds of the study so far: what the list says, and the time since our last sign while we train."""
        return self.ledger.history.seconds_at(self.executor.clock(), self.identity)

    def _patience(self, reason: str) -> float:
        if self.executor.busy_trials():
            return POLL_SECONDS
        return 0.0 if reason else POLL_SECONDS / 4

    def _stop_overdue(self) -> None:
        """Kill what trains too long, and what takes as long to end after it was told to."""
        if self.limits.trial_seconds is None:
            return
        for trial in [trial for trial in self._jobs if self._is_overdue(trial)]:
            self.executor.halt(trial)
            if self.ledger.history.trials[trial].driver == self.identity:
                self._ended(self._time_out(trial))
            else:  # another driver has taken it over
                self._jobs.pop(trial)
        now = self.executor.clock()
        ending = [trial for trial in self.executor.busy_trials() if trial not in self._jobs]
        self._ending = {trial: self._ending.get(trial, now) for trial in ending}
        for trial, since in self._ending.items():
            if now - since > self.limits.trial_seconds:
                self.executor.halt(trial)

    def _is_overdue(self, trial: int) -> bool:
        limit = self.limits.trial_seconds
        if limit is None or trial not in self._jobs:
            return False
        now = self.executor.clock()
        stretches = self.ledger.history.trials[trial].stretches[:-1]
        earlier = sum((now if s.end is None else s.end) - s.begin for s in stretches)
        return earlier + now - self._jobs[trial] > limit

    def _time_out(self, trial: int) -> Ended:
        reason = f"took longer than {self.limits.trial_seconds:g} seconds"
        end = Ended(self.executor.clock(), trial, Status.TIMED_OUT, reason)
        self.ledger.record([end], self.identity)
        self._heard([end])
        return end

    def _look_around(self) -> None:
        """See what other drivers wrote, and take over from those that are gone."""
        now = time.monotonic()
        if now - self._looked < (LOOK_AROUND_SECONDS if self._jobs else POLL_SECONDS):
            return
        self._looked = now
        self.ledger.catch_up()
        strangers = {trial.driver for trial in self._running_elsewhere(self.ledger.history)}
        gone = {driver for driver in strangers if is_gone(driver)}
        forgotten = {  # written, but a lost answer from the journal made us decide again
            number
            for number in self.ledger.history.running
            if number not in self._jobs and self.ledger.history.trials[number].driver == self.identity
        }
        if strangers - gone:
            gone |= self._listener.silent(strangers - gone, self.ledger.journal.beats(), now)
        if gone or forgotten:
            lost = self.ledger.commit(lambda history: self._lost(history, gone, forgotten))
            self._heard(lost)

    def _tidy_up_after_the_dead(self) -> None:
        """Remove the checkpoints that drivers of this machine were about to remove when they died."""
        self.ledger.catch_up()
        history = self.ledger.history
        gone: dict[str, bool] = {}
        for trial in history.trials:
            driver = trial.driver
            if trial.saved and driver:
                if driver not in gone:
                    gone[driver] = is_gone(driver)
                if gone[driver]:
                    self.executor.remove_unneeded(history, trial.number)

    def _running_elsewhere(self, history: History) -> Iterator[TrialRecord]:
        for number in history.running:
            trial = history.trials[number]
            if trial.driver and trial.driver != self.identity:
                yield trial

    def _lost(self, history: History, gone: set[str], forgotten: set[int]) -> Sequence[Event]:
        """The ends of the trials that no driver looks after, dated at their last sign of life."""
        trials = [trial for trial in self._running_elsewhere(history) if trial.driver in gone]
        trials += [history.trials[number] for number in forgotten if number in history.running]
        return [
            Ended(trial.last_sign, trial.number, Status.LOST, "no driver looks after it", fault="run")
            for trial in trials
        ]

    def _leave_behind(self) -> None:
        """Write down what this driver leaves unfinished, whatever made it leave."""
        self.executor.close()
        now = self.executor.clock()
        ends = [
            Ended(now, number, Status.LOST, self.interrupted or "its run ended", fault="run")
            for number in self.ledger.history.running
            if self.ledger.history.trials[number].driver == self.identity
        ]
        try:
            self.ledger.record(ends, self.identity)
            self._heard(ends)
            self._flush()
        except JournalError as error:
            self.tell(f"{error}; {self.ledger.unwritten} event(s) could not be written")
        finally:
            self.ledger.patience = PATIENCE_SECONDS

    def _flush(self) -> None:
        self.ledger.flush()
        self._flushed = time.monotonic()
        for trial in self._housekeeping:
            self.executor.remove_unneeded(self.ledger.history, trial)
        self._housekeeping.clear()

    def _heard(self, events: Sequence[Event]) -> None:
        if events:
            self.watch(self.ledger.history, events)
            for event in events:
                if isinstance(event, CheckpointSaved | Ended):
                    self._housekeeping[event.trial] = None
                    fork = self.ledger.history.trials[event.trial].fork
                    if fork is not None:  # it stands on its own feet now, or never will
                        self._housekeeping[fork.trial] = None

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Once: let running steps finish and save. Twice: stop at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            if self.interrupted:
                self.ledger.patience = 0.0
                raise KeyboardInterrupt
            self.interrupted = "interrupted"
            self.ledger.patience = LAST_SECONDS
            self.tell("interrupted: running steps finish and are saved; once more stops at once")

        before: dict[signal.Signals, Any] = {
            number: signal.signal(number, ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
