from __future__ import annotations

import tunewell as tw
from tunewell.events import Ended, Paused, Reported, Status, TrialStarted
from tunewell.history import History
from tunewell.surrogate.observations import observe
from tunewell.testing.histories import created, run_at_once

SPACE = tw.Space(x=tw.Float(0.0, 1.0))


def rested(losses_of_each):
    """A study of trials that rest after the last of their losses."""
    history = History([created(SPACE)])
    for k, losses in enumerate(losses_of_each):
        number = run_at_once(history, {"x": 0.1 * k}, losses)
        history.apply(Paused(float(len(history)), number, len(losses), "rests"))
    return history


def test_a_trial_that_its_run_cut_off_does_not_lower_the_level():
    history = History([created(SPACE)])
    whole = run_at_once(history, {"x": 0.1}, [9.0, 5.0, 1.0])
    history.apply(Ended(10.0, whole, Status.COMPLETED))
    short = run_at_once(history, {"x": 0.9}, [9.5])
    history.apply(Ended(20.0, short, Status.STOPPED, "4 steps are done", fault="run"))
    assert observe(SPACE, history).losses.tolist() == [[1.0]]


def test_where_all_were_cut_off_they_are_compared_where_they_are():
    history = History([created(SPACE)])
    for k in range(2):
        number = run_at_once(history, {"x": 0.1 * k}, [5.0 + k])
        history.apply(Ended(float(len(history)), number, Status.STOPPED, "2 steps are done", fault="run"))
    assert observe(SPACE, history).losses.tolist() == [[5.0], [6.0]]


def test_whoever_trains_is_seen_or_pending():
    history = rested([[3.0, 1.0 + k] for k in range(4)])
    history.apply(TrialStarted(50.0, 4, {"x": 0.9}, 4, driver="d"))
    history.apply(Reported(51.0, 4, 3, {"train_loss": 1.0}))  # past the level, and without a loss
    seen = observe(SPACE, history)
    assert (len(seen.losses), seen.pending.tolist()) == (4, [[0.9]])
    history.apply(Reported(52.0, 4, 4, {"loss": 0.5}))
    seen = observe(SPACE, history)
    assert (len(seen.losses), seen.pending.tolist()) == (4, [[0.9]])  # it had no loss at the level of the others
