"""Where rungs come to lie when losses are reported less often than after every step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewell.events import Reported, TrialResumed, TrialStarted
from tunewell.history import History
from tunewell.testing.histories import created


def told(*curves):
    """Return a history of trials that report losses at some steps, and something else at the others, one by one."""
    history = History([created()])
    for number, steps in enumerate(curves):
        history.apply(TrialStarted(0.0, number, {}, 0, driver="d"))
        for step in range(1, max(steps, default=0) + 1):
            metric = "loss" if step in steps else "other"
            history.apply(Reported(float(step), number, step, {metric: 1.0}))
    return history


@pytest.mark.parametrize(
    ("steps", "planned", "found"),
    [
        ((), [1, 3, 9, 27], [1, 3, 9, 27]),
        ((1,), [1, 3, 9, 27], [1, 3, 9, 27]),
        ((5,), [1, 3, 9, 27, 81], [5, 10, 30, 81]),
        ((5, 10), [9, 10, 11, 81], [10, 15, 81]),
        ((1, 101, 201), [1, 3, 9, 243, 1000], [1, 101, 301, 1000]),
        ((7, 8, 9), [1, 3, 9, 27, 81], [7, 9, 27, 81]),
        ((1, 3, 9), [1, 3, 9, 27, 81], [1, 3, 9, 27, 81]),
        ((100,), [1, 2, 4, 50], [50]),
    ],
)
def test_rungs_move_up_to_where_losses_are_reported(steps, planned, found):
    assert told(steps).cadence.rungs(planned) == found


@pytest.mark.parametrize(
    ("steps", "step", "found"),
    [
        ((), 7, 7),
        ((9, 18), 100, 99),
        ((9, 18), 99, 99),
        ((5, 10, 30), 29, 10),
        ((5,), 4, 4),
        ((5,), 12, 10),
        ((5,), 6, 5),
    ],
)
def test_the_last_loss_up_to_a_step(steps, step, found):
    assert told(steps).cadence.before(step) == found


@pytest.mark.parametrize(
    ("first", "min_steps", "most", "least"),
    [(1, 1, 81, 1), (10, 1, 81, 10), (10, 20, 81, 20), (34, 1, 100, 33), (100, 1, 100, 100)],
)
def test_brackets_begin_at_the_first_loss_and_have_a_rung_if_there_is_room(first, min_steps, most, least):
    assert told((first,)).cadence.least(min_steps, most, 3) == least


def test_planned_rungs_keep_their_number():
    assert told((5,)).cadence.moved([1, 3, 9, 27, 28]) == [5, 5, 10, 28, 28]


@given(st.sets(st.integers(1, 40), min_size=1), st.integers(1, 60))
def test_no_rung_moves_down_and_known_steps_are_met(steps, step):
    cadence = told(tuple(steps)).cadence
    assert cadence.at(step) >= step
    assert cadence.at(step) in steps or cadence.at(step) > max(steps)


def test_whoever_comes_further_from_the_last_known_step_tells_the_next():
    assert told((1,), (1, 101)).cadence.at(3) == 101


def test_another_cadence_than_that_of_the_first_trial_tells_nothing():
    assert told((5,), (7, 14)).cadence.at(12) == 15


def test_what_was_known_stays_when_a_trial_is_resumed_from_before():
    history = told((5, 10))
    history.apply(TrialResumed(20.0, 0, 5, driver="d"))
    assert history.cadence.at(7) == 10
    history.apply(Reported(21.0, 0, 10, {"loss": 1.0}))
    assert history.cadence.at(11) == 15
