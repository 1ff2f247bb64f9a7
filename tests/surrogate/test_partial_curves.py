"""Learning curves of a history as arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import (
    CheckpointSaved,
    Ended,
    Fork,
    Goal,
    Paused,
    Reported,
    SpaceChanged,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.history import History
from tunewell.surrogate.partial import points
from tunewell.testing.histories import created, mixed_space, random_events, run_at_once

SPACE = tw.Space(x=tw.Float(0.0, 1.0), y=tw.Float(0.0, 1.0))
RUNGS = [1, 2, 4, 8]


def study(*goals):
    return History([created(SPACE, goals=goals or (Goal("loss"),))])


def rows(seen):
    """Return (trial, step, losses) of each point."""
    return [
        (int(n), int(s), *losses.tolist()) for n, s, losses in zip(seen.trials, seen.steps, seen.losses, strict=True)
    ]


def same(a, b):
    """Compare two views, NaN being equal to NaN."""
    for name in a.__slots__:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_points_at_rungs_and_where_a_trial_stands():
    history = study()
    run_at_once(history, {"x": 0.1, "y": 0.2}, [9.0, 8.0, 7.0, 6.0, 5.0])
    run_at_once(history, {"x": 0.3, "y": 0.4}, [3.0, 2.0])
    run_at_once(history, {"x": 0.5, "y": 0.6}, [])
    seen = points(SPACE, history, RUNGS)
    assert rows(seen) == [(0, 1, 9.0), (0, 2, 8.0), (0, 4, 6.0), (0, 5, 5.0), (1, 1, 3.0), (1, 2, 2.0)]
    assert seen.lasting.tolist() == [True, True, True, False, True, True]
    np.testing.assert_allclose(seen.units, [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    assert np.isnan(seen.paces[2])
    assert seen.placed.all()


def test_no_trial_is_no_point():
    seen = points(SPACE, study(), RUNGS)
    assert rows(seen) == []
    assert seen.units.shape == (0, 2)
    assert seen.losses.shape == (0, 1)


def test_what_is_not_finite_is_infinite():
    history = study()
    run_at_once(history, {"x": 0.1, "y": 0.2}, [math.nan])
    run_at_once(history, {"x": 0.2, "y": 0.2}, [-math.inf])
    run_at_once(history, {"x": 0.3, "y": 0.2}, [math.inf])
    assert [row[2] for row in rows(points(SPACE, history, RUNGS))] == [math.inf] * 3


def test_several_goals_and_reports_that_lack_one():
    history = study(Goal("loss"), Goal("speed", "max"))
    history.apply(TrialStarted(1.0, 0, {"x": 0.1, "y": 0.2}, 0, driver="d"))
    history.apply(Reported(2.0, 0, 1, {"loss": 1.0, "speed": 5.0}))
    history.apply(Reported(3.0, 0, 2, {"loss": 0.5}))
    history.apply(Reported(4.0, 0, 3, {"loss": 0.4, "speed": 6.0}))
    history.apply(Reported(5.0, 0, 4, {"speed": 7.0}))
    assert rows(points(SPACE, history, RUNGS)) == [(0, 1, 1.0, -5.0), (0, 2, 0.5, -5.0), (0, 3, 0.4, -6.0)]
    history.apply(TrialStarted(6.0, 1, {"x": 0.1, "y": 0.2}, 0, driver="d"))
    history.apply(Reported(7.0, 1, 1, {"loss": 1.0}))  # no speed yet, so nothing to go by
    assert set(points(SPACE, history, RUNGS).trials.tolist()) == {0}


def test_a_completed_training_has_one_point_at_its_end():
    history = study()
    number = run_at_once(history, {"x": 0.1, "y": 0.2}, [9.0, 8.0, 7.0, 6.0])
    history.apply(Ended(9.0, number, Status.COMPLETED))
    assert rows(points(SPACE, history, [1, 2, 4])) == [(0, 1, 9.0), (0, 2, 8.0), (0, 4, 6.0)]


def test_the_end_of_a_training_is_what_it_returned_or_reported_last():
    history = study()
    for number, steps in enumerate([(9, 18, 27), (9,)]):
        history.apply(TrialStarted(0.0, number, {"x": 0.1 + number / 2, "y": 0.2}, 0, driver="d"))
        for step in steps:
            history.apply(Reported(float(step), number, step, {"loss": 1.0 / step}))
        history.apply(Ended(30.0, number, Status.COMPLETED, metrics={"loss": 0.01}))
    found = points(SPACE, history, [9, 18, 30])
    assert rows(found) == [
        (
            0,
            9,
            1 / 9,
        ),
        (0, 18, 1 / 18),
        (0, 30, 0.01),
        (1, 9, 1 / 9),
    ]
    assert found.lasting.all()


def test_what_was_forgotten_after_a_loss_is_forgotten_here():
    """As many reports as before and the same newest step, but other numbers: only the memo could mix them up."""
    history = study()
    run_at_once(history, {"x": 0.1, "y": 0.2}, [9.0, 8.0, 7.0, 6.0])
    points(SPACE, history, RUNGS)
    history.apply(Ended(9.0, 0, Status.LOST, "died", fault="run"))
    history.apply(TrialResumed(10.0, 0, 1, driver="d"))
    for step, loss in ((2, 80.0), (3, 70.0), (4, 60.0)):
        history.apply(Reported(10.0 + step, 0, step, {"loss": loss}))
    assert rows(points(SPACE, history, RUNGS)) == [(0, 1, 9.0), (0, 2, 80.0), (0, 4, 60.0)]
    history.apply(Ended(20.0, 0, Status.LOST, "died", fault="run"))
    history.apply(TrialResumed(21.0, 0, 0, driver="d"))
    assert rows(points(SPACE, history, RUNGS)) == []


def test_a_fork_has_no_points_but_its_founder_has():
    history = study()
    run_at_once(history, {"x": 0.1, "y": 0.2}, [9.0, 8.0])
    history.apply(TrialStarted(5.0, 1, {"x": 0.9, "y": 0.9}, 1, fork=Fork(0, 2), driver="d"))
    history.apply(Reported(6.0, 1, 4, {"loss": 0.0}))
    seen = points(SPACE, history, RUNGS)
    assert rows(seen) == [(0, 1, 9.0), (0, 2, 8.0)]
    assert seen.placed.tolist() == [True, False]


def test_after_a_change_of_the_space():
    """Values that today's space does not hold cannot be placed; a parameter that is new stands nowhere."""
    history = study()
    run_at_once(history, {"x": 0.1, "y": 0.2}, [3.0])
    run_at_once(history, {"x": 0.9, "y": 0.2}, [2.0])
    points(SPACE, history, RUNGS)
    space = tw.Space(x=tw.Float(0.0, 0.5), z=tw.Float(0.0, 1.0))
    history.apply(SpaceChanged(9.0, space, "narrower"))
    run_at_once(history, {"x": 0.25, "z": 0.5}, [1.0])
    seen = points(space, history, RUNGS)
    assert rows(seen) == [(0, 1, 3.0), (2, 1, 1.0)]
    assert seen.placed.tolist() == [True, False, True]
    np.testing.assert_allclose(seen.units[[0, 2]], [[0.2, np.nan], [0.5, 0.5]])


def test_the_pace_is_the_time_between_reports():
    """What comes before the first report of a stretch is more than a step; of a worker's first trial, much more."""
    history = study()
    run_slowly(history, 0, 60.0, [2.0, 4.0])
    run_slowly(history, 1, 7.0, [])
    run_slowly(history, 2, 7.0, [3.0])
    run_slowly(history, 3, 60.0, [], worker=1)
    assert points(SPACE, history, RUNGS).paces.tolist()[:3] == [3.0, 7.0, 3.0]
    assert np.isnan(points(SPACE, history, RUNGS).paces[3])
    now = history.last_time
    history.apply(TrialResumed(now + 10.0, 3, 1, driver="d"))
    history.apply(Reported(now + 15.0, 3, 2, {"loss": 1.0}))
    assert points(SPACE, history, RUNGS).paces[3] == 5.0
    history.apply(Reported(now + 23.0, 3, 6, {"loss": 1.0}))
    assert points(SPACE, history, RUNGS).paces[3] == 2.0


def run_slowly(history, number, first, later, worker=0):
    """Train until the first report for ``first`` seconds, and until each of the others for ``later``; then rest."""
    now = history.last_time + 1.0
    history.apply(TrialStarted(now, number, {"x": 0.1, "y": 0.2}, 0, driver="d", worker=worker))
    for step, seconds in enumerate([first, *later], 1):
        now += seconds
        history.apply(Reported(now, number, step, {"loss": 1.0}))
    history.apply(CheckpointSaved(now, number, 1 + len(later)))
    history.apply(Paused(now + 100.0, number, 1 + len(later), "rests"))


@pytest.mark.parametrize("seed", range(3))
def test_a_memo_that_grew_with_the_study_says_what_an_empty_one_says(seed):
    events = random_events(mixed_space(), 40, steps=5, seed=seed, pending=3)
    history = History()
    for end, event in enumerate(events, 1):
        history.apply(event)
        if end % 7 == 0 or end == len(events):
            fresh = History(events[:end])
            same(points(history.space, history, RUNGS), points(fresh.space, fresh, RUNGS))


def test_a_view_stays_as_it_is_when_the_study_goes_on():
    history = study()
    run_at_once(history, {"x": 0.1, "y": 0.2}, [9.0])
    before = points(SPACE, history, RUNGS)
    kept = rows(before), before.units.copy(), before.paces.copy()
    history.apply(Reported(50.0, 0, 2, {"loss": 1.0}))
    points(SPACE, history, RUNGS)
    assert rows(before) == kept[0]
    np.testing.assert_array_equal(before.units, kept[1])
    np.testing.assert_array_equal(before.paces, kept[2])
