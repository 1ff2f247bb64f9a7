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


@pytest.mark.parametrize("cut", ["lost", "over", "held", "cancelled"])
def test_what_a_trial_was_cut_off_with_does_not_count(cut):
    history = History([created(cube(1))])
    number = ask(tw.samplers.Random(), history)
    other = ask(tw.samplers.Random(), history)
    history.apply(Reported(1.0, number, 1, {"loss": 0.9}))
    if cut == "lost":
        history.apply(Ended(2.0, number, Status.LOST, fault="run"))
    elif cut == "cancelled":
        history.apply(Ended(2.0, number, Status.CANCELLED))
    else:
        history.apply(Paused(2.0, number, 1, "cut", "person" if cut == "over" else "hold"))
    assert len(results.results(history.space, history)) == 0
    tell(history, other, 0.5)
    history.apply(TrialResumed(3.0, number, 1))
    assert results.results(history.space, history).losses.tolist() == [[0.5]]
    history.apply(Reported(4.0, number, 2, {"loss": 0.1}))
    history.apply(Ended(5.0, number, Status.COMPLETED))
    for found in (results.results(history.space, history), results._Table(history.space, history).read(history)):
        assert found.losses.tolist() == [[0.5], [0.1]]  # its place is that of its end, so the past has not changed


def test_where_a_run_ended_a_trial_without_a_checkpoint_does_not_count():
    history = History([created(cube(1))])
    number = ask(tw.samplers.Random(), history)
    history.apply(Reported(1.0, number, 1, {"loss": 0.9}))
    history.apply(Ended(2.0, number, Status.STOPPED, "13 steps are done", fault="run"))
    assert len(results.results(history.space, history)) == 0


@pytest.mark.parametrize("fate", ["held", "cancelled"])
def test_what_befalls_a_trial_at_rest_does_not_change_its_result(fate):
    history = History([created(cube(1))])
    number = ask(tw.samplers.Random(), history)
    history.apply(Reported(1.0, number, 1, {"loss": 0.9}))
    history.apply(Paused(2.0, number, 1, "rests"))
    if fate == "held":
        history.apply(Paused(3.0, number, 1, "laid aside", "hold"))
    else:
        history.apply(Ended(3.0, number, Status.CANCELLED))
    for found in (results.results(history.space, history), results._Table(history.space, history).read(history)):
        assert found.losses.tolist() == [[0.9]]


@pytest.mark.parametrize("name", ["evolution", "de", "nsga2", "cmaes"])
def test_trials_that_lost_their_workers_are_judged_by_what_they_come_to(name):
    def train(params, step):
        return (params["x"] - 0.3) ** 2 + 1.0 / step, 1.0

    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), sampler=name, scheduler="fifo", seed=0)
    executor = tw.executors.Simulated(train, 4, faults=0.05)
    study.run(trials=40, max_steps=10, executor=executor, progress=False)
    assert any(len(trial.stretches) > 1 for trial in study.trials)
    found = results.results(study.history.space, study.history)
    assert found.losses[:, 0].tolist() == [study.trials[number].loss for number in found.numbers]
    assert sorted(found.numbers) == list(range(40))


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
                resting.append(number)
            else:
                tell(history, number, bowl(record.params))
        elif resting:
            number = resting.pop()
            if move < 0.9:
                history.apply(TrialResumed(now, number, history.trials[number].step))
                open_.append(number)
            elif history.trials[number].status is Status.PAUSED:
                history.apply(Ended(now, number, Status.CANCELLED))
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
