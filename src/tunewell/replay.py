"""Check a study against itself: every decision is a pure function of the events before it, so make each one again.

Checked are the decisions of sampler and scheduler: which trial starts with which configuration and seed, which rests,
goes on, forks or is stopped, which is ended for its diagnosis, and what the study believes. Checked is also what
followed from a person's requests, and when a guard took a change back. Not checked is what no algorithm decided:
reports, losses, budgets, what a person wished or added, the results told to asked trials, and the order in
which a driver takes unfinished trials up again.

What was decided is compared, not the words it was explained with: those may be put better in a later release. Numbers
may differ by a few units in the last place, as they do between the exponential functions of two processors.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from tunewell.deciders import Deciders
from tunewell.decisions import Chosen, StartsOnly, believed, beyond_hope, choose
from tunewell.events import (
    Adjusted,
    Answered,
    Believed,
    Ended,
    Event,
    Paused,
    Requested,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.events import Fork as ForkPoint
from tunewell.guards import taken_back
from tunewell.history import History, TrialRecord
from tunewell.protocols import Continue, Fork, Pause, Resume, Sampler, Scheduler, Start, Stop, Verdict
from tunewell.space import Config
from tunewell.wishes import Place, carried_out

CLOSE = 1e-9
"""Relative difference up to which two numbers of a configuration are the same."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first decision that comes out otherwise when it is made again.

    Attributes:
        position: the event's place in the list, counted from 1.
        recorded: what the list says, in words.
        expected: what follows from the events before it, in words.
    """

    position: int
    event: Event
    recorded: str
    expected: str

    def __str__(self) -> str:
        return f"event {self.position}: recorded is {self.recorded}; from the events before it follows {self.expected}"


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What came of a replay, which ends at the first mismatch.

    Attributes:
        events: how many events were read.
        suggestions: how many starts of trials were checked, the mismatch among them.
        verdicts: how many decisions to pause, stop, resume or fork were checked, the mismatch among them.
        answers: how many answers to a person's requests, with what followed from each, were checked.
    """

    events: int
    suggestions: int
    verdicts: int
    mismatch: Mismatch | None
    answers: int = 0

    @property
    def checked(self) -> int:
        """How many decisions were checked."""
        return self.suggestions + self.verdicts + self.answers

    @property
    def ok(self) -> bool:
        """Whether everything was as recorded."""
        return self.mismatch is None


def replay(events: Iterable[Event], sampler: Sampler | None = None, scheduler: Scheduler | None = None) -> ReplayResult:
    """Make every decision of a study again and compare it with what was recorded.

    Args:
        events: the study, e.g. ``study.events``.
        sampler: stands in where the study names a sampler of this class with these options; needed for one of the
            user's own.
        scheduler: the same for the scheduler.

    Raises:
        ValueError: the study was decided by an algorithm of the user's own, and none was given.
    """
    history = History()
    deciders = Deciders(sampler, scheduler)
    read = suggestions = verdicts = answers = 0
    mismatch = None
    due: deque[Event] = deque()  # what has to follow the last answer
    pair: list[Chosen] = []  # the fork that was decided together with the end of the trial it replaces
    for event in events:
        read += 1
        by_hand = bool(due) or _is_by_hand(event, history)
        check = _follows(event, due) if by_hand else _check_of(event, history, pair)
        if check is not None:
            if by_hand:
                answers += 1
            elif isinstance(event, TrialStarted) and event.fork is None:
                suggestions += 1
            else:
                verdicts += 1
            difference = check(history, *deciders(history))
            if difference is not None:
                mismatch = Mismatch(read, event, *difference)
                break
        history.apply(event)
    return ReplayResult(read, suggestions, verdicts, mismatch, answers)


Difference = tuple[str, str]
Check = Callable[[History, Sampler, Scheduler], Difference | None]


def _check_of(event: Event, history: History, pair: list[Chosen]) -> Check | None:
    """Return how to check an event, or None when no sampler or scheduler decided it."""
    match event:
        case TrialStarted(origin="added"):
            return None
        case TrialStarted():
            return lambda history, sampler, scheduler: _start(event, history, sampler, scheduler, pair)
        case TrialResumed() if event.trial not in history.unfinished:
            return lambda history, sampler, scheduler: _resume(event, history, sampler, scheduler)
        case Paused(by="scheduler") | Ended(status=Status.STOPPED):
            trial = _known(history, event.trial)
            if trial is None or not trial.driver:  # its caller ended it by a tell
                return None
            if isinstance(event, Ended) and trial.status is Status.PAUSED:
                return lambda history, sampler, scheduler: _replacement(event, history, sampler, scheduler, pair)
            return lambda history, sampler, scheduler: _verdict(event, trial, history, scheduler)
        case Ended(status=Status.DIVERGED) if _by_diagnosis(event, _known(history, event.trial)):
            return lambda history, sampler, scheduler: _hopeless(event, history, scheduler)
        case Believed(by="study"):
            return lambda history, sampler, scheduler: _belief(event, history)
    return None


def _is_by_hand(event: Event, history: History) -> bool:
    """Whether an event follows from a person's request, or is a guard's."""
    match event:
        case Answered() | Adjusted(by="person") | TrialStarted(origin="person") | Requested(by="guard"):
            return True
        case Paused(by="hold"):
            return True
        case TrialResumed():
            trial = _known(history, event.trial)
            return trial is not None and (trial.held or trial.over)
    return False


def _follows(event: Event, due: deque[Event]) -> Check:
    """Return how to check what follows from requests; an answer leaves in ``due`` what has to come next."""

    def check(history: History, sampler: Sampler, scheduler: Scheduler) -> Difference | None:
        expected: list[Event] = []
        if due:
            expected = [due.popleft()]
        elif isinstance(event, Requested):
            expected = [*taken_back(history, event.time, event.trial), *taken_back(history, event.time)]
        elif isinstance(event, Answered):
            expected = _answered(event, history)
            due.extend(expected[1:])
        elif isinstance(event, Paused):  # goes back, and its fork waits for a worker
            place = Place(event.time, event.trial)
            found = [carried_out(history, n, place) for n, w in history.pending.items() if w.trial == event.trial]
            expected = [events[0] for events in found if events]
        if any(_bare(event) == _bare(each) for each in expected):
            return None
        return str(_bare(event)), str(_bare(expected[0])) if expected else "nothing that a person wished"

    return check


def _answered(event: Answered, history: History) -> list[Event]:
    """Return the answer to a request with all that has to come with it, be the trial at a boundary or at rest."""
    if event.request not in history.pending:
        return []
    trial = history.pending[event.request].trial
    boundary = trial if trial in history.running else None
    found = list(carried_out(history, event.request, Place(event.time, boundary, worker=0)))
    return found if found and isinstance(found[0], Answered) else []


def _bare(event: Event) -> Event:
    """Return the event without what a driver adds: when, where, and in which words."""
    match event:
        case TrialStarted():
            return replace(event, time=0.0, reason="", driver="", worker=0)
        case TrialResumed():
            return replace(event, time=0.0, reason="", driver="", worker=0, step=0)
        case Requested() | Answered() | Adjusted() | Paused() | Ended():
            return replace(event, time=0.0, reason="")
    return event


def _by_diagnosis(event: Ended, trial: TrialRecord | None) -> bool:
    """Whether a trial that diverged was ended by the study, not by a number that is none."""
    if trial is None or not trial.driver or not trial.reports or event.metrics or event.error:
        return False
    return all(math.isfinite(value) for goal in trial.goals if (value := trial.metric(goal.metric)) is not None)


def _hopeless(event: Ended, history: History, scheduler: Scheduler) -> Difference | None:
    """The study looked at the newest report of a trial that the scheduler let train."""
    trial = history.trials[event.trial]
    verdict = scheduler.decide(history, trial.reports[-1])
    if isinstance(verdict, Continue) and beyond_hope(history, event.trial):
        return None
    return f"trial {event.trial} ended as diverged ({event.reason})", "that its curve is not beyond hope"


def _belief(event: Believed, history: History) -> Difference | None:
    """The diagnoses of the trials so far say where to look."""
    shift = believed(history)
    if shift is not None and _same(event.config, {shift.parameter: shift.value}):
        return None
    expected = "no belief" if shift is None else f"a belief in {shift.parameter} = {shift.value:g}"
    return f"a belief of the study in {dict(event.config)}", expected


def _start(
    event: TrialStarted, history: History, sampler: Sampler, scheduler: Scheduler, pair: list[Chosen]
) -> Difference | None:
    """A trial starts only if trials may start, so what the driver's budget said is known; of a fork it is not."""
    asked = scheduler if event.driver else StartsOnly(scheduler)
    chosen = pair.pop() if pair else choose(history, sampler, asked)
    if _is_start_of(event, chosen, history):
        return None
    if event.fork is not None and _is_start_of(event, choose(history, sampler, asked, may_start=False), history):
        return None
    recorded = _start_in_words(event.trial, event.origin, event.fork, event.seed, event.config, event.group)
    return recorded, _started(chosen, len(history.trials))


def _is_start_of(event: TrialStarted, chosen: Chosen, history: History) -> bool:
    return (
        isinstance(chosen.action, Start | Fork)
        and (event.trial, event.seed, event.origin) == (len(history.trials), chosen.seed, chosen.origin)
        and (event.fork, event.group) == (_fork(chosen), chosen.action.group)
        and _same(event.config, chosen.config)
    )


def _resume(event: TrialResumed, history: History, sampler: Sampler, scheduler: Scheduler) -> Difference | None:
    """Whether new trials might start when a trial went on is not recorded: either answer may have led to it."""
    trial = _known(history, event.trial)
    choices = [choose(history, sampler, scheduler, may_start) for may_start in (True, False)]
    wanted = [c.action.trial for c in choices if isinstance(c.action, Resume)]
    if trial is not None and event.trial in wanted and event.step == trial.saved:
        return None
    saved = [f"trial {n} going on from step {history.trials[n].saved}" for n in wanted if n < len(history.trials)]
    recorded = f"trial {event.trial} going on from step {event.step}"
    return recorded, saved[0] if saved else _started(choices[0], len(history.trials))


def _replacement(
    event: Ended, history: History, sampler: Sampler, scheduler: Scheduler, pair: list[Chosen]
) -> Difference | None:
    """A paused trial is stopped only when a fork takes its place, which is decided with it and comes next."""
    choices = [choose(history, sampler, scheduler, may_start) for may_start in (True, False)]
    for chosen in choices:
        if isinstance(chosen.action, Fork) and chosen.action.replaces == event.trial:
            pair.append(chosen)
            return None
    return f"trial {event.trial} stopped, for a fork to take its place", _started(choices[0], len(history.trials))


def _verdict(event: Paused | Ended, trial: TrialRecord, history: History, scheduler: Scheduler) -> Difference | None:
    """The scheduler was asked about the trial's newest report."""
    asked = trial.reports and not trial.by_hand
    verdict: Verdict = scheduler.decide(history, trial.reports[-1]) if asked else Continue()
    rests = trial.saved == trial.step
    match event, verdict:
        case Paused(), Pause() if rests and event.step == trial.step:
            return None
        case Ended(), Stop():
            return None
        case Ended(), Pause() if not rests:  # it cannot wait without a checkpoint
            return None
        case Ended(fault="run"), Continue():  # the run's budget was spent
            return None
    recorded = f"trial {event.trial} {'paused' if isinstance(event, Paused) else 'stopped'} ({event.reason})"
    words = {Continue: "that it trains on", Pause: "that it pauses", Stop: "that it is stopped"}[type(verdict)]
    return recorded, f"{words} ({verdict.reason})" if verdict.reason else words


def _known(history: History, trial: int) -> TrialRecord | None:
    return history.trials[trial] if 0 <= trial < len(history.trials) else None


def _fork(chosen: Chosen) -> ForkPoint | None:
    action = chosen.action
    return ForkPoint(action.trial, action.step) if isinstance(action, Fork) else None


def _started(chosen: Chosen, number: int) -> str:
    """Say what a free worker should have done."""
    action = chosen.action
    if isinstance(action, Start | Fork):
        return _start_in_words(number, chosen.origin, _fork(chosen), chosen.seed, chosen.config, action.group)
    if isinstance(action, Resume):
        return f"trial {action.trial} going on ({action.reason})"
    return f"nothing to start ({action.reason})"


def _start_in_words(number: int, origin: str, fork: ForkPoint | None, seed: int, config: Config, group: str) -> str:
    origin = f"forked from trial {fork.trial} at step {fork.step}" if fork else f"configured by the {origin}"
    origin = origin.replace("by the default", "by default").replace("by the enqueued", "by hand")
    where = f", in {group!r}" if group else ""
    return f"trial {number} {origin} with seed {seed} and {dict(config)}{where}"


def _same(one: Config, other: Config) -> bool:
    return list(one) == list(other) and all(_alike(one[name], other[name]) for name in one)


def _alike(one: Any, other: Any) -> bool:
    if type(one) is not type(other):  # 1, 1.0 and True are different choices
        return False
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=CLOSE)
    return bool(one == other)
