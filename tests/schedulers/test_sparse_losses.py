"""Objectives that do not report a loss after every step are compared where they do, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import CheckpointSaved, Constraint, Goal, Paused, Reported, Status, TrialStarted
from tunewell.history import History
from tunewell.protocols import Pause, Start
from tunewell.testing.histories import created

END, EVERY = 30, 5


def objective(first, others):
    """Return an objective that reports its loss every few steps from ``first`` on; ``others``: else something else."""

    def train(trial):
        for step in trial.steps():
            due = step % EVERY == first % EVERY and step >= first
            if due or step == END:
                trial.report(loss=trial.params["x"] + 1.0 / step, train=0.0)
            elif others:
                trial.report(train=0.0)
            trial.save(lambda folder: None)

    return train


def run(scheduler, train, **limits):
    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), sampler="random", scheduler=scheduler, seed=1)
    study.run(train, **(limits or {"steps": 600}), max_steps=END, executor=tw.executors.Inline(), progress=False)
    return study.trials


SCHEDULERS = {
    "asha": tw.schedulers.Asha(),
    "asha without promotion": tw.schedulers.Asha(promote=False),
    "successive halving": tw.schedulers.SuccessiveHalving(),
    "hyperband": tw.schedulers.Hyperband(),
    "async hyperband": tw.schedulers.AsyncHyperband(),
    "bohb": tw.schedulers.BOHB(),
    "prior band": tw.schedulers.PriorBand(),
    "top k": tw.schedulers.TopK(first=2, keep=2),
    "freeze-thaw": tw.schedulers.FreezeThaw(initial=4, evaluations=5),
    "auto": "auto",
}


@pytest.mark.parametrize("others", [True, False], ids=["others every step", "nothing else"])
@pytest.mark.parametrize("first", [EVERY, 1], ids=["5, 10, …", "1, 6, …"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_trials_are_cut_short_where_losses_are_reported_and_by_them(name, first, others):
    trials = run(SCHEDULERS[name], objective(first, others), steps=300)
    cut = [t for t in trials if t.status is Status.STOPPED or (t.status is Status.PAUSED and not t.interrupted)]
    assert len(cut) > len(trials) / 3
    assert {trial.step % EVERY for trial in cut} == {first % EVERY}
    done = [trial.params["x"] for trial in trials if trial.step == END]
    assert np.mean(done) < np.mean([trial.params["x"] for trial in cut])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_where_a_step_is_a_batch_each_trial_comes_to_a_rung_with_its_next_epoch(name):
    """How many batches an epoch has is the configuration's; nobody reports where the others do."""
    space = tw.Space(x=tw.Float(0.0, 1.0), batches=tw.Choice([3, 4, 5, 7], ordered=True))

    def train(trial):
        for step in trial.steps():
            if step % trial.params["batches"] == 0:
                trial.report(loss=trial.params["x"] + 1.0 / step)
            trial.save(lambda folder: None)

    study = tw.Study(space, sampler="random", scheduler=SCHEDULERS[name], seed=1)
    study.run(train, steps=1200, max_steps=60, executor=tw.executors.Inline(), progress=False)
    cut = [t for t in study.trials if t.status is Status.STOPPED or (t.status is Status.PAUSED and not t.interrupted)]
    assert len(cut) > len(study.trials) / 3
    assert all(trial.step % trial.params["batches"] == 0 for trial in cut)
    done = [trial.params["x"] for trial in study.trials if trial.status is Status.COMPLETED]
    assert np.mean(done) < np.mean([trial.params["x"] for trial in cut])


@pytest.mark.parametrize("name", ["successive halving", "hyperband", "bohb", "prior band", "asha", "auto"])
def test_a_first_loss_that_comes_late_leaves_a_rung(name):
    def train(trial):
        for step in trial.steps():
            if step in (11, 20, 30):  # beyond a third
                trial.report(loss=trial.params["x"] + 1.0 / step)
            trial.save(lambda folder: None)

    trials = run(SCHEDULERS[name], train)
    assert sum(trial.step == 11 for trial in trials) >= 3


def test_top_k_without_checkpoints_trains_as_many_as_it_says():
    def train(trial):
        for step in trial.steps():
            trial.report(loss=trial.params["x"] + 1.0 / step)

    for seed in range(5):
        scheduler = tw.schedulers.TopK(first=1, keep=3)
        study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), sampler="random", scheduler=scheduler, seed=seed)
        study.run(train, trials=20, max_steps=10, executor=tw.executors.Inline(), progress=False)
        assert 3 <= sum(trial.status is Status.COMPLETED for trial in study.trials) <= 4


def test_top_k_does_not_say_that_the_best_are_trained_when_they_are_not():
    def breaks(trial):
        for step in trial.steps():
            trial.report(loss=trial.params["x"] if step < 3 else np.nan)
            trial.save(lambda folder: None)

    scheduler = tw.schedulers.TopK(first=1, keep=2, trials=6)
    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), sampler="random", scheduler=scheduler, seed=0)
    run = {"steps": 100, "max_steps": 10, "executor": tw.executors.Inline(), "progress": False}
    reason = study.run(breaks, **run)
    assert reason == "0 of the best 2 of 6 trials are trained to the end"


@pytest.mark.parametrize("returned", [True, False])
def test_a_second_goal_that_is_measured_at_the_end_does_not_keep_anybody_from_it(returned):
    def train(trial):
        for step in trial.steps():
            last = {"latency": trial.params["y"]} if step == 9 and not returned else {}
            trial.report(loss=trial.params["x"] + 1.0 / step, **last)
            trial.save(lambda folder: None)
        return {"loss": trial.params["x"], "latency": trial.params["y"]} if returned else None

    space = tw.Space(x=tw.Float(0.0, 1.0), y=tw.Float(0.0, 1.0))
    study = tw.Study(space, ["loss", "latency"], scheduler="auto", seed=1)
    study.run(train, steps=90, max_steps=9, executor=tw.executors.Inline(), progress=False)
    assert sum(trial.status is Status.COMPLETED for trial in study.trials) >= 8
    assert study.pareto


def test_a_bracket_whose_rungs_fall_together_passes_on_what_the_last_of_them_would():
    scheduler = tw.schedulers.SuccessiveHalving(max_steps=27)  # rungs at 1, 3 and 9
    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), sampler="random", scheduler=scheduler, seed=0)

    def train(trial):
        for step in trial.steps():
            if step in (1, 10, 27):
                trial.report(loss=trial.params["x"])
            trial.save(lambda folder: None)

    study.run(train, trials=27, max_steps=27, executor=tw.executors.Inline(), progress=False)
    ends = [trial.step for trial in study.trials]
    assert (ends.count(1), ends.count(10), ends.count(27)) == (18, 8, 1)  # of the 9 at step 10 one goes on, not 3
    best = min(study.trials, key=lambda trial: trial.params["x"])
    assert best.step == 27


def test_a_trial_that_passes_a_rung_without_a_loss_keeps_nobody_waiting():
    scheduler = tw.schedulers.SuccessiveHalving(max_steps=9, configurations=3)
    history = History([created()])
    for number in range(3):
        history.apply(TrialStarted(0.0, number, {}, 0, driver="d", group="bracket 1"))
    for number in (1, 2):
        report = Reported(1.0, number, 1, {"loss": float(number)})
        history.apply(report)
        history.apply(CheckpointSaved(1.0, number, 1))
        assert isinstance(scheduler.decide(history, report), Pause)
        history.apply(Paused(1.0, number, 1, "rests"))
    rng = np.random.default_rng(0)
    assert isinstance(scheduler.next_action(history.space, history, rng), Start)  # trial 0 may still be the best
    history.apply(Reported(2.0, 0, 2, {"other": 9.0}))
    assert isinstance(scheduler.next_action(history.space, history, rng), Start)  # and so it may before the next rung
    history.apply(Reported(2.0, 0, 4, {"loss": 9.0}))
    assert scheduler.next_action(history.space, history, rng).trial == 1


def test_populations_say_where_they_expected_a_loss():
    trials = run(tw.schedulers.PBT(population=4, interval=10), objective(1, True))
    assert {trial.step for trial in trials} == {10}
    assert all("expected loss at step 10" in trial.reason for trial in trials)


def test_populations_notice_a_rung_that_was_passed_without_a_word():
    trials = run(tw.schedulers.PBT(population=4, interval=10), objective(1, False))
    assert {trial.step for trial in trials} == {11}
    assert all("expected loss at step 10" in trial.reason for trial in trials)


def test_populations_compare_where_validation_and_interval_agree():
    trials = run(tw.schedulers.PBT(population=4, interval=10), objective(EVERY, False), steps=4 * END)
    assert sum(trial.fork is not None for trial in trials) == 2
    assert sum(trial.status is Status.COMPLETED for trial in trials) == 4


def test_other_metrics_count_with_their_newest_value():
    """The second goal is measured after the first step only, a constraint too; neither is unknown later on."""
    goals = (Goal("loss", "min"), Goal("size", "min"))
    history = History([replace(created(goals=goals), constraints=(Constraint.parse("memory <= 1"),))])
    for number, (size, memory) in enumerate([(3.0, 0.5), (1.0, 0.5), (1.0, 2.0)]):
        history.apply(TrialStarted(0.0, number, {}, 0, driver="d"))
        history.apply(Reported(1.0, number, 1, {"loss": 1.0, "size": size, "memory": memory}))
        history.apply(Reported(2.0, number, 2, {"loss": 1.0}))
        history.apply(Reported(3.0, number, 3, {"other": 0.0}))
    assert history.rung(2).ranked() == [1, 0, 2]
    assert len(history.rung(3)) == 0


@pytest.mark.parametrize("name", [*SCHEDULERS, "median", "patience"])
def test_counting_batches_instead_of_epochs_changes_no_decision(name):
    """The same trainings, told in steps of eight, with a word about something else in between."""
    others = {"median": tw.schedulers.Median(), "top k": tw.schedulers.TopK(first=1)}

    def decided(unit):
        def evaluate(params, step):
            epoch, x = step // unit, params["x"]
            if step % unit:
                return {"progress": 0.5}, 1.0 / unit
            return {"loss": abs(x - 0.3) + 1.0 / epoch + 0.3 * x / epoch**0.5}, 1.0 / unit

        patience = tw.schedulers.Patience(steps=3 * unit, min_gain=0.1)
        scheduler = patience if name == "patience" else (SCHEDULERS | others)[name]
        study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), "loss", sampler="random", scheduler=scheduler, seed=1)
        study.run(steps=200 * unit, max_steps=27 * unit, executor=tw.executors.Simulated(evaluate), progress=False)
        return [(trial.params["x"], trial.step / unit, trial.status) for trial in study.trials]

    assert decided(8) == decided(1)
