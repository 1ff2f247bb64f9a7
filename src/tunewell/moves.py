"""What a driver writes next: before its first decision, with a free worker, and at a step boundary of a trial.

Functions of the history and of what only a driver knows: its limits, its place, the time, and the checkpoints that are
to be found. They do nothing; a driver commits what they return, and asks again where others were faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tunewell.decisions import believed, beyond_hope, choose
from tunewell.events import (
    Believed,
    Ended,
    Event,
    Fingerprinted,
    Noted,
    Paused,
    Reported,
    RunStarted,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.events import Fork as ForkPoint
from tunewell.fingerprints import Fingerprint
from tunewell.history import History, TrialRecord
from tunewell.limits import Limits, counted, same_limits
from tunewell.protocols import Continue, Done, Fork, Pause, Resume, Sampler, Scheduler, Stop, Verdict, Wait
from tunewell.wishes import Place, next_events

Algorithms = Callable[[History], tuple[Sampler, Scheduler]]
"""Returns the algorithms in force."""

SavedStep = Callable[[TrialRecord], int]
"""Returns the step of the checkpoint that a trial can go on from, as an executor finds it."""


@dataclass(frozen=True, slots=True)
class Move:
    """What a free worker does: events that start a trial or let one go on; or none, and why, empty for not now.

    ``taken_up`` is whether the trial was cut off, perhaps before the verdict on its last step.
    """

    events: Sequence[Event] = ()
    idle: str = ""
    taken_up: bool = False

    @property
    def trial(self) -> int:
        """The trial that is started or goes on."""
        return next(event.trial for event in self.events if isinstance(event, TrialStarted | TrialResumed))


def announced(history: History, run: RunStarted, fingerprint: Fingerprint) -> Sequence[Event]:
    """Return the limits and the fingerprint of a run as far as the last one had others."""
    found = fingerprint.over(history.fingerprint)
    changed = found not in (history.fingerprint, Fingerprint())
    return [
        *([] if same_limits(history.run, run) else [run]),
        *([Fingerprinted(run.time, found)] if changed else []),
    ]


def beliefs(history: History, now: float) -> Sequence[Event]:
    """Return what the diagnoses of the trials so far say about where to look, where the study acts on them."""
    shift = believed(history)
    if shift is None:
        return []
    return [Believed(now, {shift.parameter: shift.value}, "medium", "study", shift.reason)]


# --- with a free worker -----------------------------------------------------------------------------------------------


def next_move(history: History, place: Place, limits: Limits, algorithms: Algorithms, saved_step: SavedStep) -> Move:
    """Return what a free worker does: what a person wished, else what was cut off, else what the algorithms say."""
    wished = next_events(history, place)
    if any(isinstance(event, TrialStarted | TrialResumed) for event in wished):
        resumed = [event for event in wished if isinstance(event, TrialResumed)]
        events = [_from_disk(history, event, saved_step) for event in wished]
        return Move(events, taken_up=any(event.trial in history.unfinished for event in resumed))
    unfinished = next((number for number in history.unfinished if number not in place.busy), None)
    if unfinished is not None:
        step = saved_step(history.trials[unfinished])
        reason = "taken up again" if step else "taken up again from the beginning"
        return Move([_resumed(unfinished, step, reason, place)], taken_up=True)
    return _chosen(history, place, limits, algorithms, saved_step)


def _chosen(history: History, place: Place, limits: Limits, algorithms: Algorithms, saved_step: SavedStep) -> Move:
    may_start = limits.may_start(history)
    chosen = choose(history, *algorithms(history), may_start)
    action = chosen.action
    if isinstance(action, Resume):
        if action.trial in place.busy:  # still winding down after its pause
            return Move()
        return Move([_resumed(action.trial, saved_step(history.trials[action.trial]), action.reason, place)])
    if isinstance(action, Done | Wait):
        return Move(idle=action.reason if may_start else counted(limits.trials or 0, "trial"))
    started = TrialStarted(
        time=place.time,
        trial=len(history.trials),
        config=chosen.config,
        seed=chosen.seed,
        origin=chosen.origin,
        reason=action.reason,
        fork=ForkPoint(action.trial, action.step) if isinstance(action, Fork) else None,
        driver=place.driver,
        worker=place.worker or 0,
        group=action.group,
        keep=action.keep,
    )
    if isinstance(action, Fork) and action.replaces is not None:
        return Move([Ended(place.time, action.replaces, Status.STOPPED, action.reason), started])
    return Move([Noted(place.time, chosen.note), started] if chosen.note else [started])


def _resumed(trial: int, step: int, reason: str, place: Place) -> TrialResumed:
    return TrialResumed(place.time, trial, step, reason, place.driver, place.worker or 0)


def _from_disk(history: History, event: Event, saved_step: SavedStep) -> Event:
    """Return the event, with the step of the checkpoint that is to be found where a trial goes on."""
    if not isinstance(event, TrialResumed):
        return event
    return replace(event, step=saved_step(history.trials[event.trial]))


# --- at a step boundary -----------------------------------------------------------------------------------------------


def verdict_on(
    history: History, record: TrialRecord, report: Reported | None, scheduler: Scheduler, now: float
) -> tuple[Verdict, Sequence[Event]]:
    """Return how a trial goes on by the scheduler and by its diagnosis, with the events that say so.

    The scheduler is not asked where nothing was reported, nor of a trial whose values a person chose. What is to rest
    and has no checkpoint of its step is stopped.
    """
    verdict = Continue() if report is None or record.by_hand else scheduler.decide(history, report)
    number = record.number
    match verdict:
        case Stop(reason):
            return verdict, [Ended(now, number, Status.STOPPED, reason)]
        case Pause(reason) if record.saved == record.step:
            return verdict, [Paused(now, number, record.step, reason)]
        case Pause(reason):
            stop = Stop(f"{reason}; it has no checkpoint of step {record.step} to wait with")
            return stop, [Ended(now, number, Status.STOPPED, stop.reason)]
    if report is not None and (lost := beyond_hope(history, number)):
        return Stop(lost), [Ended(now, number, Status.DIVERGED, lost)]
    return verdict, []


def cut_off(record: TrialRecord, over: str, now: float, *, to_go_on: bool) -> tuple[Verdict, Sequence[Event]]:
    """Return how a trial that might train on ends with its run, for the reason ``over``, and the events that say so.

    It rests where it has a checkpoint of its step, and else is taken up again if there is one, or in any case if the
    run was interrupted (``to_go_on``).
    """
    if record.saved and record.saved >= record.step:
        return Pause(over), [Paused(now, record.number, record.saved, over, by="person")]
    status = Status.LOST if record.saved or to_go_on else Status.STOPPED
    return Stop(over), [Ended(now, record.number, status, over, fault="run")]
