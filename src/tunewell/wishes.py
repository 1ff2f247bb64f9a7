"""What follows from a person's requests, as a pure function of the history.

A request waits in the list until its trial is where it can be carried out: at a step boundary for a trial in training,
at once for one that rests, with a free worker for whatever has to train. The requests of a trial are carried out in
their order, but for forks, which let the trial be and wait for nothing but a worker; whatever takes or keeps the place
of a trial gets a worker before them. What cannot be carried out is
answered with the reason in words.

An answer and the events that carry the request out stand side by side in the list, the answer first. Going back takes
two steps where the trial trains: it is held at its boundary, and its fork starts as soon as a worker is free.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tunewell.decisions import trial_seed
from tunewell.events import (
    Adjusted,
    Answered,
    Ended,
    Event,
    Fork,
    Paused,
    Requested,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.history import History, TrialRecord
from tunewell.space import Config, Space

GROUP = "by hand"
"""The group of forks by a person: schedulers compare nobody with them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a driver stands: at the step boundary of a trial, or with a free worker, or with neither.

    ``busy`` are the trials whose worker is not free yet.
    """

    time: float
    boundary: int | None = None
    driver: str = ""
    worker: int | None = None
    busy: Collection[int] = ()


class Refused(Exception):
    """The request cannot be carried out, for the reason in words."""


def next_events(history: History, place: Place) -> Sequence[Event]:
    """Return what carries out the oldest request that can be, or answers it; nothing where all have to wait.

    Forks come last: a trial that goes on, or what takes its place, does not wait for one more.
    """
    waiting: set[int] = set()
    for number, request in sorted(history.pending.items(), key=lambda item: item[1].wish == "fork"):
        if request.trial in waiting or place.boundary not in (None, request.trial):
            continue
        events = carried_out(history, number, place)
        if events:
            return events
        if request.wish != "fork":
            waiting.add(request.trial)
    return ()


def carried_out(history: History, number: int, place: Place) -> Sequence[Event]:
    """Return what carries out a pending request or refuses it; nothing where it has to wait."""
    request = history.pending[number]
    try:
        if not 0 <= request.trial < len(history.trials):
            raise Refused(f"there is no trial {request.trial}")
        record = history.trials[request.trial]
        running = record.status is Status.RUNNING
        if running and not record.driver:
            raise Refused(f"trial {record.number} was asked for: whoever asked for it trains it")
        if running and request.wish != "fork" and place.boundary != record.number:
            return ()
        events = _WISHES[request.wish](history, record, request, place)
    except Refused as refused:
        return [Answered(place.time, number, False, str(refused))]
    waits_for_worker = running and request.wish in ("back", "undo") and isinstance(next(iter(events), None), Paused)
    return events if waits_for_worker or not events else [Answered(place.time, number, True), *events]


def completed(space: Space, config: Config, values: Config) -> Config:
    """Return a configuration with other values, without what they make inactive and with defaults for the reverse."""
    found = {**config, **values}
    if space.active(found) == space.active(config):
        return found
    while missing := [name for name in space.active(found) if name not in found]:
        found.update({name: space[name].default_value for name in missing})
    active = space.active(found)
    return {name: value for name, value in found.items() if name in active or name not in space}


def held_in_words(history: History) -> str:
    """Return which trials are held by a person, or an empty string."""
    held = [str(number) for number in history.touched if history.trials[number].held]
    if not held:
        return ""
    return f"trial {held[0]} is held" if len(held) == 1 else f"trials {', '.join(held)} are held"


def newest_change(record: TrialRecord) -> int | None:
    """Return the step after which a person last changed values of a trial, and did not take that back there."""
    steps = sorted({change.step for change in record.adjustments if change.by == "person"}, reverse=True)
    return next((step for step in steps if record.values_after(step) != record.values_after(step - 1)), None)


# --- one function a wish ----------------------------------------------------------------------------------------------


def _adjust(history: History, record: TrialRecord, request: Requested, place: Place) -> Sequence[Event]:
    _check_goes_on(record)
    unknown = [name for name in request.values if name not in record.params]
    if unknown:
        raise Refused(f"trial {record.number} has no parameter {unknown[0]!r}")
    return [_adjusted(record, request, place, request.values, request.guard)]


def _pause(history: History, record: TrialRecord, request: Requested, place: Place) -> Sequence[Event]:
    _check_goes_on(record)
    if record.held:
        raise Refused(f"trial {record.number} rests already")
    if record.status is Status.RUNNING and record.saved != record.step:
        return ()  # until it saves
    return [_held(record, place, _because("a person paused it", request))]


def _resume(history: History, record: TrialRecord, request: Requested, place: Place) -> Sequence[Event]:
    if record.status is Status.RUNNING:
        raise Refused(f"trial {record.number} is in training")
    if record.over and record.status is not Status.CANCELLED:
        raise Refused(f"trial {record.number} is {_status(record)} and cannot go on: fork it")
    return _gone_on(record, _because("a person let it go on", request), place)


def _stop(history: History, record: TrialRecord, request: Requested, place: Place) -> Sequence[Event]:
    _check_goes_on(record)
    return [Ended(place.time, record.number, Status.CANCELLED, _because("a person stopped it", request))]


def _fork(history: History, record: TrialRecord, request: Requested, place: Place) -> Sequence[Event]:
    step = record.newest_checkpoint if request.step is None else request.step
    if step is None and not record.over:
        return ()  # until it saves
    if step is None:
        raise Refused(f"trial {record.number} has no checkpoint to fork from")
    point, config = point_of(history, record, step)
    said = _because(f"a person's fork of trial {record.number} at step {step}", request)
    return _begun(history, point, completed(history.space, config, request.values), said, place)


def _back(history: History, record: TrialRecord, request: Requested, place: Place) -> Sequence[Event]:
    step = record.newest_checkpoint if request.step is None else request.step
    if step is None:
        raise Refused(f"trial {record.number} has no checkpoint to go back to")
    point, config = point_of(history, record, step)
    return _replaced(history, record, point, completed(history.space, config, request.values), step, request, place)


def _undo(history: History, record: TrialRecord, request: Requested, place: Place) -> Sequence[Event]:
    step = newest_change(record)
    if step is None:
        return _undo_back(history, record, request, place)
    before = record.values_after(step - 1)
    if step == record.step and not record.over:  # nothing was trained with it
        changed = {name: before[name] for name, value in record.values_after(step).items() if value != before[name]}
        return [_adjusted(record, request, place, changed, guard=False)]
    first = record.fork.step if record.fork else 0
    there = [saved for saved in (*record.checkpoints, first) if 0 < saved <= step]
    if not there:
        raise Refused(f"trial {record.number} has no checkpoint from before its change after step {step}")
    point, _ = point_of(history, record, max(there))
    config = record.values_after(min(max(there), step - 1))
    return _replaced(history, record, point, config, max(there), request, place)


def _undo_back(history: History, record: TrialRecord, request: Requested, place: Place) -> Sequence[Event]:
    """Let the trial that this one took the place of take it again."""
    parent = history.trials[record.fork.trial] if record.fork and record.origin == "person" else None
    if parent is None or not (parent.held or parent.status is Status.CANCELLED):
        raise Refused(f"trial {record.number} has no change to undo")
    why = _because(f"trial {parent.number} takes its place again", request)
    if record.status is Status.RUNNING:
        return [_held(record, place, why)]
    resumed = _gone_on(parent, _because(f"takes the place of trial {record.number} again", request), place)
    return [*_laid_aside(record, place, why), *resumed] if resumed else ()


_WISHES = {
    "adjust": _adjust,
    "back": _back,
    "fork": _fork,
    "pause": _pause,
    "resume": _resume,
    "stop": _stop,
    "undo": _undo,
}


# --- what they share --------------------------------------------------------------------------------------------------


def _check_goes_on(record: TrialRecord) -> None:
    if record.over:
        raise Refused(f"trial {record.number} is {_status(record)} and trains no more: fork it or go back")


def _status(record: TrialRecord) -> str:
    return record.status.value.replace("_", " ")


def _because(what: str, request: Requested) -> str:
    return f"{what}: {request.reason}" if request.reason else what


def point_of(history: History, record: TrialRecord, step: int) -> tuple[Fork, Config]:
    """Return where the weights of a trial after ``step`` steps are, and the values in force from there on.

    Raises:
        Refused: there is no such checkpoint any more.
    """
    config, owner = record.values_after(step), record
    while owner.fork is not None and step <= owner.fork.step:
        below = step < owner.fork.step
        owner = history.trials[owner.fork.trial]
        config = owner.values_after(step) if below else config
    there = history.needed_checkpoints(owner.number)
    if step and step not in there:
        known = ", ".join(map(str, sorted(there | set(record.checkpoints)))) or "none"
        raise Refused(f"trial {record.number} has no checkpoint of step {step} (there are: {known})")
    return Fork(owner.number, step), config


def _adjusted(record: TrialRecord, request: Requested, place: Place, values: Config, guard: bool) -> Adjusted:
    step = record.step if record.status is Status.RUNNING else record.saved
    return Adjusted(place.time, record.number, step, dict(values), "person", request.reason, guard)


def _held(record: TrialRecord, place: Place, why: str) -> Paused:
    return Paused(place.time, record.number, record.saved, why, "hold")


def _laid_aside(record: TrialRecord, place: Place, why: str) -> list[Event]:
    return [] if record.held or record.over else [_held(record, place, why)]


def _gone_on(record: TrialRecord, why: str, place: Place) -> list[Event]:
    if place.worker is None or record.number in place.busy:
        return []
    return [TrialResumed(place.time, record.number, record.saved, why, place.driver, place.worker)]


def _begun(history: History, point: Fork, config: Config, why: str, place: Place) -> list[Event]:
    if place.worker is None:
        return []
    number = len(history.trials)
    seed = trial_seed(history.seed, number)
    start = TrialStarted(
        place.time, number, config, seed, "person", why, point, place.driver, place.worker, group=GROUP
    )
    return [start]


def _replaced(
    history: History, record: TrialRecord, point: Fork, config: Config, step: int, request: Requested, place: Place
) -> list[Event]:
    """Hold a trial, and start its fork in its place."""
    whose = "the guard" if request.by == "guard" else "a person"
    aside = _because(f"{whose} went back to step {step}", request)
    if record.status is Status.RUNNING:
        return [_held(record, place, aside)]
    said = _because(f"{whose} took trial {record.number} back to step {step}", request)
    begun = _begun(history, point, config, said, place)
    return [*_laid_aside(record, place, aside), *begun] if begun else []
