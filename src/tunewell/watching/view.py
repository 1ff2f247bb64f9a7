"""What a person looks at: which trial, beside which other, and what became of what was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tunewell.console.lines import sentence
from tunewell.console.text import one_line
from tunewell.events import Answered, Event, Paused, Requested, Status, TrialResumed, TrialStarted
from tunewell.history import History
from tunewell.identity import is_gone
from tunewell.schedules import lineage


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at.

    Attributes:
        trial: the trial watched, None while there is none.
        chosen: a person chose it, so it stays whatever other trials do.
        beside: the trial whose curve is drawn with it, where a person chose one.
        helping: the list of commands is shown in the place of the trial.
        awaited: the trial is to be followed to the one that takes its place, which is about to start.
    """

    trial: int | None = None
    chosen: bool = False
    beside: int | None = None
    helping: bool = False
    awaited: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """An event with the sentence about it, in which its trial stands where it stood then."""

    event: Event
    words: str


def taken_in(history: History, events: Iterable[Event]) -> list[Told]:
    """Add events to a history, and return those that are worth a line, each worded before the next one is added."""
    told = []
    for event in events:
        history.apply(event)
        if said := sentence(event, history):
            told.append(Told(event, said))
    return told


def moved_on(view: View, history: History, events: Iterable[Event]) -> View:
    """Return the view after new events: it follows a trial that another takes the place of.

    Unless a person chose a trial it also leaves one that rests or is over for the newest that trains.
    """
    for event in events:
        if isinstance(event, Answered) and event.done:
            request = history.requests[event.request]
            view = replace(view, awaited=request.wish in ("back", "undo") and request.trial == view.trial)
        elif isinstance(event, TrialStarted | TrialResumed) and view.awaited:
            view = replace(view, trial=event.trial, awaited=False)
        elif not isinstance(event, Paused):
            view = replace(view, awaited=False)
    running = list(history.running)
    if view.trial is None or (running and not view.chosen and history.trials[view.trial].status is not Status.RUNNING):
        newest = max(running, default=len(history.trials) - 1)
        return replace(view, trial=newest if newest >= 0 else None)
    return view


def compared(history: History, view: View) -> int | None:
    """Return the trial whose curve is drawn beside: the chosen one, or what it was forked from, or its newest fork."""
    if view.trial is None or view.beside is not None:
        return view.beside
    record = history.trials[view.trial]
    if record.fork is not None:
        return record.fork.trial
    forks = [other.number for other in history.trials if other.fork and other.fork.trial == record.number]
    return forks[-1] if forks else None


def family(history: History, number: int) -> set[int]:
    """Return a trial with those it descends from, and the forks of any of them."""
    line = {record.number for record in lineage(history, number)}
    for record in history.trials:
        if record.fork is not None and record.fork.trial in line:
            line.add(record.number)
    return line


def trained(history: History) -> bool:
    """Return whether a run looks after the study: one that trains something, and whose process is not gone."""
    return any(driver and not is_gone(driver) for driver in {history.trials[n].driver for n in list(history.running)})


def number_of(history: History, request: Requested) -> int | None:
    """Return the number under which a request stands in the list, None while it is not known there."""
    return next((n for n in reversed(range(len(history.requests))) if history.requests[n] == request), None)


def became(history: History, request: int, asked: str, by_run: bool) -> str:
    """Return in a sentence what has become of a request, which a person typed as ``asked``."""
    answer = history.answers.get(request)
    if answer is None:
        number = history.requests[request].trial
        when = f"waits for the next step of trial {number}" if number in history.running else "waits for a free worker"
        return f"{asked}: {when if by_run else 'nobody trains this study now, so it waits for the next run'}"
    return f"{asked}: carried out" if answer.done else f"{asked}: refused, for {one_line(answer.reason)}"


def stories(history: History, told: Sequence[Told], members: set[int]) -> list[Told]:
    """Return what is told of some trials: no request once it was carried out, for what follows says it."""
    found = []
    for one in told:
        event = one.event
        if isinstance(event, Requested) and number_of(history, event) in history.answers:
            continue
        trial = history.requests[event.request].trial if isinstance(event, Answered) else getattr(event, "trial", None)
        if trial is None or trial in members:
            found.append(one)
    return found
