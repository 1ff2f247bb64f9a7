from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewell.events import (
    CheckpointSaved,
    Ended,
    Fork,
    Goal,
    Noted,
    Paused,
    Reported,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.history import LOSSES_ALLOWED, History
from tunewell.testing.histories import created, mixed_space, random_events, run_at_once


def picture(history):
    """Everything a decision could read, as plain data."""
    steps = range(1, 6)
    return {
        "trials": [
            (t.number, t.status, dict(t.params), t.step, repr(t.losses), t.saved, t.reason) for t in history.trials
        ],
        "running": sorted(history.running),
        "unfinished": sorted(history.unfinished),
        "steps": history.steps_done,
        "spent": history.spent_trials,
        "counts": history.counts,
        "best so far": history.best_so_far,
        "rungs": [
            (
                rung.ranked(),
                rung.moved_on,
                list(rung.losses()),
                [rung.came_at(number) for number in rung.ranked()],
                rung.best_waiting(history.trials),
            )
            for step in steps
            for rung in (history.rung(step), history.rung(step, until=step + 2))
        ],
    }


@st.composite
def event_lists(draw):
    """Lists of events as drivers write them, with resumes after pauses and losses."""
    events = [created(mixed_space())]
    steps: dict[int, int] = {}
    saved: dict[int, int] = {}
    running: list[int] = []
    resting: list[int] = []
    for k in range(draw(st.integers(0, 60))):
        now = float(k)
        kind = draw(st.sampled_from(["start", "report", "report", "save", "pause", "end", "resume"]))
        if kind == "start":
            number = len(steps)
            events.append(TrialStarted(now, number, {"layers": number}, number, driver="d"))
            steps[number] = saved[number] = 0
            running.append(number)
        elif kind == "resume" and resting:
            trial = resting.pop(draw(st.integers(0, len(resting) - 1)))
            events.append(TrialResumed(now, trial, saved[trial], driver="d"))
            steps[trial] = saved[trial]
            running.append(trial)
        elif running:
            trial = running[draw(st.integers(0, len(running) - 1))]
            if kind == "report":
                steps[trial] += draw(st.sampled_from([1, 1, 1, 2, 3]))
                loss = draw(st.sampled_from([0.1, 0.2, 0.3, math.nan]))
                metric = draw(st.sampled_from(["loss", "loss", "loss", "other"]))
                events.append(Reported(now, trial, steps[trial], {metric: loss}))
            elif kind == "save" and steps[trial]:
                saved[trial] = steps[trial]
                events.append(CheckpointSaved(now, trial, steps[trial]))
            elif kind == "pause" and steps[trial] and saved[trial] == steps[trial]:
                running.remove(trial)
                resting.append(trial)
                events.append(Paused(now, trial, steps[trial], "r", draw(st.sampled_from(["scheduler", "person"]))))
            elif kind == "end":
                status = draw(st.sampled_from([s for s in Status if s not in ("running", "paused")]))
                running.remove(trial)
                if status is Status.LOST:
                    resting.append(trial)
                events.append(Ended(now, trial, status, "e"))
    return events


@settings(max_examples=150, deadline=None)
@given(event_lists(), st.integers(0, 60))
def test_indexes_kept_up_to_date_equal_those_made_anew(events, early):
    """Asking for rungs early makes them grow event by event; asking late makes them from scratch."""
    grown = History(events[:early])
    assert grown.best_so_far == History(events[:early]).best_so_far
    for step in range(1, 6):
        grown.rung(step)
        grown.rung(step, until=step + 2)
    for event in events[early:]:
        grown.apply(event)
    assert picture(grown) == picture(History(events))


@settings(max_examples=60, deadline=None)
@given(event_lists())
def test_counts_add_up(events):
    history = History(events)
    assert sum(history.counts.values()) == len(history.trials)
    assert history.steps_done == sum(trial.step for trial in history.trials)
    assert set(history.running) == {t.number for t in history.trials if t.status is Status.RUNNING}
    for step in range(1, 6):
        rung = history.rung(step)
        assert 0 <= rung.moved_on <= len(rung)


def test_a_record_tells_its_story():
    history = History([created(goals=(Goal("acc", "max"),))])
    trial = run_at_once(history, {"layers": 2}, [0.5, 0.9, 0.8])
    record = history.trials[trial]
    assert (record.value, record.loss, record.step, record.saved) == (0.8, -0.8, 3, 3)
    assert record.curve("acc") == [(1, 0.5), (2, 0.9), (3, 0.8)]
    assert (record.reports[0].step, dict(record.reports[0].metrics)) == (1, {"acc": 0.5})
    assert record.status == "running"
    assert not record.observed
    history.apply(Ended(99.0, trial, Status.COMPLETED, metrics={"acc": 0.85}))
    assert (record.value, record.status, record.observed) == (0.85, "completed", True)
    assert history.best is record
    assert record.seconds == 99.0 - record.stretches[0].begin


def test_a_resumed_trial_forgets_what_came_after_its_checkpoint():
    history = History([created()])
    trial = run_at_once(history, {}, [0.5, 0.4])
    history.apply(Reported(9.0, trial, 3, {"loss": 0.3}))
    history.apply(Ended(10.0, trial, Status.LOST, "worker died"))
    assert list(history.unfinished) == [trial]
    history.apply(TrialResumed(11.0, trial, 2, driver="e"))
    record = history.trials[trial]
    assert (record.step, record.value, history.steps_done) == (2, 0.4, 2)
    assert not history.unfinished
    assert record.driver == "e"


def test_a_trial_that_kills_its_workers_is_given_up_but_progress_clears_the_count():
    history = History([created()])
    trial = run_at_once(history, {}, [0.5])
    record = history.trials[trial]
    for _ in range(LOSSES_ALLOWED - 1):
        history.apply(Ended(0.0, trial, Status.LOST))
        history.apply(TrialResumed(0.0, trial, 1))
    history.apply(CheckpointSaved(0.0, trial, 2))
    for attempt in range(LOSSES_ALLOWED):
        assert not record.lost_for_good
        history.apply(Ended(0.0, trial, Status.LOST))
        if attempt < LOSSES_ALLOWED - 1:
            history.apply(TrialResumed(0.0, trial, 2))
    assert record.lost_for_good
    assert not history.unfinished
    assert history.spent_trials == 0


def test_losing_the_whole_run_is_not_held_against_a_trial():
    history = History([created()])
    trial = run_at_once(history, {}, [0.5])
    for _ in range(10):
        history.apply(Ended(0.0, trial, Status.LOST, fault="run"))
        assert list(history.unfinished) == [trial]
        history.apply(TrialResumed(0.0, trial, 1))


def test_active_seconds_leave_out_the_time_without_training():
    history = History([created()])
    history.apply(TrialStarted(10.0, 0, {}, 0))
    history.apply(Ended(25.0, 0, Status.COMPLETED, metrics={"loss": 1.0}))
    history.apply(TrialStarted(1000.0, 1, {}, 0))
    history.apply(TrialStarted(1002.0, 2, {}, 0))
    history.apply(Ended(1005.0, 1, Status.COMPLETED, metrics={"loss": 1.0}))
    history.apply(Ended(1006.0, 2, Status.LOST, fault="run"))
    history.apply(TrialResumed(5000.0, 2, 0))
    assert history.active_seconds == 15.0 + 6.0


def test_nobody_trains_between_the_death_of_a_driver_and_the_next():
    """Eight hours lie between the two; what a person does meanwhile is no sign of training."""
    history = History([created()])
    history.apply(TrialStarted(10.0, 0, {}, 0, driver="a"))
    history.apply(TrialStarted(10.0, 1, {}, 0))  # asked for, and never told
    history.apply(Reported(40.0, 0, 1, {"loss": 1.0}))
    history.apply(Noted(28_800.0, "in the morning"))
    assert history.active_seconds == 30.0
    assert history.seconds_at(28_801.0, "b") == 30.0
    history.apply(Ended(40.0, 0, Status.LOST, fault="run"))
    history.apply(TrialResumed(28_810.0, 0, 0, driver="b"))
    assert history.seconds_at(28_815.0, "b") == 35.0
    history.apply(Ended(28_830.0, 0, Status.COMPLETED, metrics={"loss": 1.0}))
    assert history.active_seconds == history.seconds_at(40_000.0, "b") == 50.0


def test_who_is_buried_late_was_silent_at_different_times_and_trained_once():
    """Each end is dated at its trial's last sign; that of the quiet one is older than that of its sibling."""
    history = History([created()])
    for trial in (0, 1):
        history.apply(TrialStarted(0.0, trial, {}, 0, driver="a"))
    history.apply(Reported(10.0, 0, 1, {"loss": 1.0}))
    for second in range(100, 3700, 100):
        history.apply(Reported(float(second), 1, second, {"loss": 1.0}))
    for trial, last in ((0, 10.0), (1, 3600.0)):
        history.apply(Ended(last, trial, Status.LOST, fault="run"))
    assert history.active_seconds == 3600.0


def test_the_difference_of_two_clocks_is_not_trained():
    history = History([created()])
    for trial, driver in enumerate(("a", "b")):
        history.apply(TrialStarted(90.0 * trial, trial, {}, 0, driver=driver))
    for second in range(1, 61):
        for trial in (0, 1):
            history.apply(Reported(90.0 * trial + second, trial, second, {"loss": 1.0}))
    assert 60.0 <= history.active_seconds <= 62.0


def test_a_trial_that_ends_while_it_rests_did_not_train_meanwhile():
    history = History([created()])
    history.apply(TrialStarted(0.0, 0, {}, 0))
    history.apply(Reported(10.0, 0, 1, {"loss": 1.0}))
    history.apply(CheckpointSaved(10.0, 0, 1))
    history.apply(Paused(10.0, 0, 1, "a rung"))
    history.apply(Ended(500.0, 0, Status.STOPPED, "another takes its place"))
    assert history.trials[0].seconds == 10.0


def test_a_trial_whose_checkpoint_is_gone_waits_at_no_rung():
    """The best of a rung goes on, loses its checkpoint, and comes back with a worse loss."""
    history = History([created()])
    rung = history.rung(1)
    for trial, loss in enumerate((0.1, 0.5)):
        run_at_once(history, {}, [loss])
        history.apply(Paused(2.0, trial, 1, "a rung"))
        assert rung.best_waiting(history.trials) == 0
    history.apply(TrialResumed(5.0, 0, 0, "its checkpoint is not to be found"))
    assert rung.best_waiting(history.trials) == 1
    history.apply(Reported(6.0, 0, 1, {"loss": 0.9}))
    history.apply(CheckpointSaved(6.0, 0, 1))
    history.apply(Paused(6.0, 0, 1, "a rung"))
    assert rung.best_waiting(history.trials) == 1
    assert rung.ranked() == [1, 0]


def test_time_counts_once_where_reports_of_two_trials_cross():
    history = History([created()])
    history.apply(TrialStarted(10.0, 0, {}, 0))
    history.apply(TrialStarted(10.0, 1, {}, 0))
    for late, early in ((12.0, 11.0), (14.0, 13.0), (16.0, 12.5)):
        history.apply(Reported(late, 0, int(late), {"loss": 1.0}))
        history.apply(Reported(early, 1, int(2 * early), {"loss": 1.0}))
    assert history.active_seconds == 6.0
    assert history.last_time == 16.0


def test_a_clock_that_is_set_back_costs_no_time_and_gives_none():
    history = History([created()])
    history.apply(TrialStarted(10_000.0, 0, {}, 0))
    history.apply(Reported(10_005.0, 0, 1, {"loss": 1.0}))
    history.apply(Reported(6_410.0, 0, 2, {"loss": 1.0}))
    history.apply(Reported(6_415.0, 0, 3, {"loss": 1.0}))
    assert history.active_seconds == 10.0


def test_a_clock_that_was_set_back_between_two_runs_costs_no_time():
    history = History([created()])
    for begin in (10_000.0, 6_000.0):
        history.apply(TrialStarted(begin, len(history.trials), {}, 0, driver="a"))
        history.apply(Reported(begin + 5.0, len(history.trials) - 1, 1, {"loss": 1.0}))
        history.apply(Ended(begin + 7.0, len(history.trials) - 1, Status.COMPLETED))
    assert history.active_seconds == 14.0
    history.apply(TrialStarted(6_010.0, 2, {}, 0, driver="a"))
    assert history.seconds_at(6_012.0, "a") == 16.0


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([created(), Reported(1.0, 3, 1, {"loss": 1.0})], "as number 2, got Reported about trial 3 of 0"),
        ([TrialStarted(0.0, 0, {}, 0), Reported(1.0, 0, 1, {"loss": 1.0})], "as number 2, got Reported about trial 0"),
    ],
)
def test_an_event_that_cannot_follow_is_refused_in_words(events, words):
    with pytest.raises(ValueError, match=f"expected an event that fits those before it {words}.* writes out what is"):
        History(events)


def test_checkpoints_that_are_needed():
    history = History([created()])
    parent = run_at_once(history, {}, [0.5, 0.4, 0.3])
    assert history.needed_checkpoints(parent) == {3}
    child = len(history.trials)
    history.apply(TrialStarted(0.0, child, {}, 0, "scheduler", "fork", Fork(parent, 2)))
    assert history.needed_checkpoints(parent) == {2, 3}
    assert history.needed_checkpoints(child) == set()
    assert history.trials[child].checkpoint == history.trials[parent].directory / "step-2"
    assert history.trials[child].step == 2
    history.apply(Ended(0.0, parent, Status.STOPPED))
    assert history.needed_checkpoints(parent) == {2}
    history.apply(Reported(0.0, child, 3, {"loss": 0.1}))
    history.apply(CheckpointSaved(0.0, child, 3))
    assert history.needed_checkpoints(parent) == set()
    assert history.needed_checkpoints(child) == {3}


def test_several_goals_have_no_single_value():
    history = History(random_events(mixed_space(), 3, goals=(Goal("a"), Goal("b", "max"))))
    with pytest.raises(ValueError, match="use trial.values"):
        _ = history.trials[0].value
    assert len(history.trials[0].values) == 2
