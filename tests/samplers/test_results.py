from __future__ import annotations

import numpy as np
import pytest
from playing import ask, bowl, cube, tell

import tunewell as tw
from tunewell.events import Constraint, Ended, Goal, Paused, Reported, Status, StudyCreated, TrialResumed
from tunewell.history import History
from tunewell.samplers import results
from tunewell.testing.histories import created, mixed_space, random_events


def test_what_counts_is_the_loss_a_trial_first_rested_with():
    rule = (Constraint("size", 2.0),)
    history = History([StudyCreated(0.0, "test", cube(1), (Goal("loss"),), {}, 0, rule)])
    number = ask(tw.samplers.Random(), history)
    history.apply(Reported(1.0, number, 1, {"loss": 0.5, "size": 3.0}))
    history.apply(Paused(2.0, number, 1, "rests"))
    first = results.results(history.space, history)
    assert (first.losses.tolist(), first.violations.tolist()) == ([[0.5]], [[1.0]])
    history.apply(TrialResumed(3.0, number, 1))
    history.apply(Reported(4.0, number, 2, {"loss": 0.1, "size": 1.0}))
    history.apply(Ended(5.0, number, Status.DIVERGED))
    for found in (results.results(history.space, history), results._Table(history.space, history).read(history)):
        assert (found.losses.tolist(), found.violations.tolist()) == ([[0.5]], [[1.0]])


@pytest.mark.parametrize("seed", range(3))
def test_paused_and_lost_trials_leave_no_trace_in_the_memo(seed):
    """Whatever order things come to light in, the memo must not remember more than the history tells."""
    rng = np.random.default_rng(seed)
    history, open_, resting = History([created(cube(2))]), [], []
    for _ in range(200):
        now, move = float(len(history)), rng.random()
        if move < 0.4 or not open_:
            open_.append(ask(tw.samplers.Random(), history))
        elif move < 0.8:
            number = open_.pop(int(rng.integers(len(open_))))
            record = history.trials[number]
            if rng.random() < 0.7:
                history.apply(Reported(now, number, record.step + 1, {"loss": rng.random()}))
            fate = rng.random()
            if fate < 0.3 and record.reports:
                history.apply(Paused(now + 0.5, number, record.step, "rests"))
                resting.append(number)
            elif fate < 0.5:
                history.apply(Ended(now + 0.5, number, Status.LOST, fault="run"))
                resting.append(number)
            elif fate < 0.6:
                history.apply(Ended(now + 0.5, number, Status.CANCELLED))
            else:
                tell(history, number, bowl(record.params))
        elif resting:
            number = resting.pop()
            history.apply(TrialResumed(now, number, history.trials[number].step))
            open_.append(number)
        kept = results.results(history.space, history)
        fresh = results._Table(history.space, history).read(history)
        for name in ("units", "losses", "violations", "numbers"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(fresh, name))


def test_what_the_space_no_longer_holds_is_left_out():
    history = History(random_events(mixed_space(), 40))
    space = tw.Space(learning_rate=tw.Float(1e-4, 1e-2, scale="log"), fresh=tw.Int(1, 5))
    found = results.results(space, history)
    rates = [history.trials[int(number)].params["learning_rate"] for number in found.numbers]
    assert 0 < len(found) < len(results.results(history.space, history))
    assert 1e-4 <= min(rates) <= max(rates) <= 1e-2
    assert np.isnan(found.units[:, 1]).all()
