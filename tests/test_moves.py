"""What a driver writes next, without a driver: histories made by hand, and what follows from each."""

from __future__ import annotations

from dataclasses import replace

import pytest

import tunewell as tw
from tunewell.events import (
    CheckpointSaved,
    Ended,
    Fingerprinted,
    Noted,
    Paused,
    Reported,
    Requested,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.events import Fork as ForkPoint
from tunewell.fingerprints import Fingerprint, Hardware
from tunewell.history import History
from tunewell.limits import Limits
from tunewell.moves import announced, cut_off, next_move, verdict_on
from tunewell.protocols import Continue, Done, Fork, Pause, Resume, Start, Stop, Suggestion, Wait
from tunewell.testing.histories import created
from tunewell.wishes import Place

SPACE = tw.Space(lr=tw.Float(0.0, 1.0))
PLACE = Place(9.0, None, "d", 3)


class Says:
    """A sampler and a scheduler that answer what they are given."""

    def __init__(self, action, verdict=None, note=""):
        self.action, self.verdict, self.note = action, verdict, note

    def suggest(self, space, history, rng):
        return Suggestion({"lr": 0.5}, "a guess", self.note)

    def next_action(self, space, history, rng):
        return self.action

    def decide(self, history, report):
        return self.verdict


def told(*events):
    return History([created(SPACE), *events])


def trained(number=0, saved=True, driver="d"):
    """Return the events of a trial that trained one step."""
    events = [TrialStarted(1.0, number, {"lr": 0.1}, number, driver=driver), Reported(2.0, number, 1, {"loss": 1.0})]
    return [*events, CheckpointSaved(2.0, number, 1)] if saved else events


def move(history, action, place=PLACE, limits=Limits(trials=10), saved=1, note=""):  # noqa: B008
    says = Says(action, note=note)
    return next_move(history, place, limits, lambda history: (says, says), lambda trial: saved)


RESTING = [*trained(), Paused(3.0, 0, 1, "waits")]
CUT_OFF = [*trained(), Ended(3.0, 0, Status.LOST, fault="run")]
HELD = [*trained(), Paused(3.0, 0, 1, "aside", by="hold"), Requested(4.0, 0, "resume")]


# --- with a free worker -----------------------------------------------------------------------------------------------


def test_a_new_trial_begins_with_what_the_sampler_remarks():
    found = move(told(), Start(reason="a place is free", group="g"), note="zoomed")
    noted, started = found.events
    assert noted == Noted(9.0, "zoomed")
    assert (started.config, started.origin, started.group) == ({"lr": 0.5}, "sampler", "g")
    assert (started.reason, started.driver, started.worker) == ("a place is free; a guess", "d", 3)
    assert (found.trial, found.idle, found.taken_up) == (0, "", False)


def test_a_fork_comes_with_the_end_of_the_trial_that_it_replaces():
    ended, started = move(told(*RESTING), Fork(0, 1, {"lr": 0.7}, "loses", replaces=0)).events
    assert ended == Ended(9.0, 0, Status.STOPPED, "loses")
    assert (started.fork, started.trial, started.config) == (ForkPoint(0, 1), 1, {"lr": 0.7})


def test_what_rests_goes_on_from_the_checkpoint_that_is_found_once_its_worker_is_free():
    history, action = told(*RESTING), Resume(0, "goes on")
    assert move(history, action).events == [TrialResumed(9.0, 0, 1, "goes on", "d", 3)]
    assert move(history, action, saved=0).events == [TrialResumed(9.0, 0, 0, "goes on", "d", 3)]
    winding_down = move(history, action, replace(PLACE, busy=[0]))
    assert (winding_down.events, winding_down.idle) == ((), "")


def test_what_was_cut_off_is_taken_up_before_the_algorithms_are_asked():
    history = told(*CUT_OFF)
    found = move(history, Start())
    assert found.events == [TrialResumed(9.0, 0, 1, "taken up again", "d", 3)]
    assert found.taken_up
    assert move(history, Start(), saved=0).events[0].reason == "taken up again from the beginning"
    assert move(history, Start(), replace(PLACE, busy=[0])).trial == 1


def test_what_a_person_wished_comes_first():
    history = told(*HELD, *trained(1), Ended(5.0, 1, Status.LOST, fault="run"))
    found = move(history, Start(), saved=0)
    assert [type(event).__name__ for event in found.events] == ["Answered", "TrialResumed"]
    assert (found.trial, found.events[1].step, found.taken_up) == (0, 0, False)


@pytest.mark.parametrize("action", [Done("that was all"), Wait("that was all")])
def test_why_there_is_nothing_to_do_is_what_the_algorithms_say_or_the_total(action):
    history = told(*RESTING)
    assert move(history, action).idle == "that was all"
    assert move(history, action, limits=Limits(trials=1)).idle == "1 trial is done"
    assert move(history, Start(), limits=Limits(trials=1)).idle == "1 trial is done"
    assert not move(history, action).events


def test_a_run_says_its_limits_and_its_fingerprint_where_the_last_one_had_others():
    limits, seen = Limits(trials=5, max_steps=9, keep_checkpoints=2), Fingerprint(hardware=Hardware("a cpu", 8))
    run = limits.announced(1.0, "d", 4)
    assert (run.trials, run.max_steps, run.keep_checkpoints, run.workers) == (5, 9, 2, 4)
    assert announced(told(), run, Fingerprint()) == [run]
    assert announced(told(), run, seen) == [run, Fingerprinted(1.0, seen)]
    again = limits.announced(2.0, "e", 4)
    assert announced(told(run, Fingerprinted(1.0, seen)), again, seen) == []
    assert announced(told(run), Limits(trials=6).announced(2.0, "e", 4), Fingerprint())


# --- at a step boundary -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "saved", "event"),
    [
        (Continue("fine"), True, None),
        (Stop("bad"), True, Ended(9.0, 0, Status.STOPPED, "bad")),
        (Pause("rung"), True, Paused(9.0, 0, 1, "rung")),
        (Pause("rung"), False, Ended(9.0, 0, Status.STOPPED, "rung; it has no checkpoint of step 1 to wait with")),
    ],
)
def test_what_the_scheduler_says_is_written_down(verdict, saved, event):
    history = told(*trained(saved=saved))
    record = history.trials[0]
    found, events = verdict_on(history, record, record.reports[-1], Says(None, verdict), 9.0)
    assert events == ([] if event is None else [event])
    assert isinstance(found, Stop if isinstance(event, Ended) else type(verdict))
    assert verdict_on(history, record, None, Says(None, verdict), 9.0) == (Continue(), [])


@pytest.mark.parametrize(
    ("saved", "to_go_on", "event"),
    [
        (True, False, Paused(9.0, 0, 1, "10 steps are done", by="person")),
        (False, True, Ended(9.0, 0, Status.LOST, "10 steps are done", fault="run")),
        (False, False, Ended(9.0, 0, Status.STOPPED, "10 steps are done", fault="run")),
    ],
)
def test_a_trial_whose_run_is_over_rests_or_is_lost_or_ends(saved, to_go_on, event):
    record = told(*trained(saved=saved)).trials[0]
    verdict, events = cut_off(record, "10 steps are done", 9.0, to_go_on=to_go_on)
    assert events == [event]
    assert isinstance(verdict, Pause if isinstance(event, Paused) else Stop)


def test_a_trial_whose_run_is_over_between_checkpoints_goes_back_to_the_last_one():
    record = told(*trained(), Reported(3.0, 0, 2, {"loss": 0.9})).trials[0]
    _, (event,) = cut_off(record, "interrupted", 9.0, to_go_on=False)
    assert (event.status, event.fault) == (Status.LOST, "run")
