"""ASHA without promotion and in brackets, the median rule, patience, top k."""

from __future__ import annotations

import itertools
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tunewell as tw
from tunewell.events import (
    CheckpointSaved,
    Constraint,
    Ended,
    Goal,
    Paused,
    Reported,
    Status,
    StudyCreated,
    TrialResumed,
    TrialStarted,
)
from tunewell.executors import Simulated
from tunewell.history import History
from tunewell.protocols import Continue, Done, Pause, Resume, Start, Stop, Wait
from tunewell.replay import replay
from tunewell.schedulers.async_hyperband import _expected_steps
from tunewell.sofar import SoFar
from tunewell.testing.histories import created, run_at_once
from tunewell.testing.schedulers import check_walk, curve, play

SPACE = tw.Space(level=tw.Float(0.0, 1.0), speed=tw.Float(0.0, 1.0))
LOSS = (Goal("loss"),)
RNG = np.random.default_rng(0)


def decide(scheduler, history, trial):
    return scheduler.decide(history, history.trials[trial].reports[-1])


def act(scheduler, history):
    return scheduler.next_action(history.space, history, RNG)


def limited(goals=LOSS, constraints=()):
    return History([StudyCreated(0.0, "test", SPACE, goals, {}, 0, constraints)])


# --- ASHA without promotion -------------------------------------------------------------------------------------------


def test_asha_that_only_stops_keeps_the_best_third_so_far():
    """As in Optuna: while there are fewer than η results, the best so far trains on."""
    asha, history, verdicts = tw.schedulers.Asha(promote=False), History([created()]), []
    for loss in [0.5, 0.6, 0.4, 0.45, 0.41, 0.39, 0.395, 0.1]:
        trial = run_at_once(history, {}, [loss])
        verdicts.append(type(decide(asha, history, trial)))
    #                   1 of 1    2 of 2 1 of 3   2 of 4 2 of 5 1 of 6    2 of 7    1 of 8
    assert verdicts == [Continue, Stop, Continue, Stop, Stop, Continue, Continue, Continue]
    assert decide(asha, history, trial).reason == "rung 1: place 1 of 8, 2 go on, so it trains on"
    assert act(asha, history) == Start()


def test_asha_that_only_stops_never_pauses():
    events = play(tw.schedulers.Asha(promote=False), curve, trials=60, workers=4)
    history = check_walk(events, 4)
    assert not [event for event in events if isinstance(event, Paused | TrialResumed)]
    assert history.counts[Status.COMPLETED] >= 1
    assert history.counts[Status.STOPPED] > 40


def test_a_lost_promotion_keeps_its_place():
    """A promoted trial that waits to be taken up again has not made room for another."""
    asha, history = tw.schedulers.Asha(), History([created()])
    for loss in (0.1, 0.2, 0.3):
        trial = run_at_once(history, {}, [loss])
        history.apply(Paused(0.0, trial, 1, "waits"))
    assert act(asha, history).trial == 0
    history.apply(TrialResumed(0.0, 0, 1, "promoted", driver="d"))
    history.apply(Ended(0.0, 0, Status.LOST, "its machine died"))
    assert act(asha, history) == Start()
    assert History([]).rung(1).moved_on == 0
    assert history.rung(1).moved_on == 1


@settings(max_examples=30, deadline=None)
@given(workers=st.integers(1, 8), seed=st.integers(0, 99), reduction=st.integers(2, 4))
@example(workers=5, seed=11, reduction=3)  # the best of a rung comes last
def test_faults_promote_no_more_than_the_share_and_the_winner(workers, seed, reduction):
    asha = tw.schedulers.Asha(reduction=reduction)
    events = play(asha, curve, trials=40, workers=workers, faults=0.02, stragglers=0.1, seed=seed)
    history = check_walk(events, workers)
    rungs = asha.rungs(26)
    for here, there in itertools.pairwise(rungs):
        assert len(history.rung(there)) <= len(history.rung(here)) // reduction + 1
    assert replay(events, scheduler=asha).ok


# --- asynchronous Hyperband -------------------------------------------------------------------------------------------


def test_expected_steps_of_a_trial():
    brackets = tw.schedulers.AsyncHyperband().brackets(81)
    assert list(brackets) == ["from step 1", "from step 3", "from step 9", "from step 27", "from step 81"]
    # by hand: 1 + 2/3 + 6/9 + 18/27 + 54/81; 3 + 6/3 + 18/9 + 54/27; 9 + 18/3 + 54/9; 27 + 54/3; 81
    assert [_expected_steps(asha, 81) for asha in brackets.values()] == [Fraction(11, 3), 9, 21, 45, 81]


def test_brackets_get_the_same_budget():
    executor = Simulated(curve, workers=8)
    study = tw.Study(SPACE, "loss", scheduler="async_hyperband", sampler="random", seed=0)
    study.run(steps=20_000, max_steps=27, executor=executor, progress=False)
    history = study.history
    brackets = tw.schedulers.AsyncHyperband().brackets(27)
    shares = [len(history.groups[group]) * _expected_steps(asha, 27) for group, asha in brackets.items()]
    assert max(shares) - min(shares) <= 2 * 27
    spent = [sum(history.trials[n].step for n in history.groups[group]) for group in brackets]
    assert max(spent) <= 1.15 * min(spent)
    assert executor.busy_seconds >= 0.99 * 8 * history.active_seconds
    for group, asha in brackets.items():
        rungs = asha.rungs(26)
        for here, there in itertools.pairwise(rungs):
            assert len(history.rung(there, group)) <= len(history.rung(here, group)) // 3


def test_the_reason_names_the_bracket():
    events = play(tw.schedulers.AsyncHyperband(), curve, trials=30, workers=1)
    assert next(e.reason for e in events if isinstance(e, TrialStarted)) == "trial 1 from step 1, where least is spent"
    words = [event.reason for event in events if isinstance(event, TrialResumed)]
    assert words
    assert all("of the trials from step" in reason for reason in words)


# --- the median rule --------------------------------------------------------------------------------------------------


def test_the_median_by_hand():
    """At step 2 the others' averages are 2.0, 3.0 and 4.0; their median is 3.0."""
    rule = tw.schedulers.Median(min_trials=3)
    for last, verdict in ((3.5, Stop), (3.0, Continue), (2.9, Continue)):
        history = History([created()])
        for losses in ([3.0, 1.0], [4.0, 2.0], [5.0, 3.0]):
            trial = run_at_once(history, {}, losses)
            assert isinstance(decide(rule, history, trial), Continue)
        trial = run_at_once(history, {}, [9.0, last])
        answer = decide(rule, history, trial)
        assert isinstance(answer, verdict)
    history = History([created()])
    for losses in ([3.0, 1.0], [4.0, 2.0], [5.0, 3.0], [9.0, 3.5]):
        trial = run_at_once(history, {}, losses)
    assert decide(rule, history, trial).reason == (
        "step 2: its best so far, 3.5, is worse than 3, the median of the running averages of 3 others"
    )
    kind = run_at_once(history, {}, [1.0, 99.0])
    assert isinstance(decide(rule, history, kind), Continue)  # the best so far counts, not the last


def test_grace_and_too_few_others():
    history = History([created()])
    for level in range(4):
        trial = run_at_once(history, {}, [float(level)] * 3)
    assert isinstance(decide(tw.schedulers.Median(min_trials=3), history, trial), Stop)
    assert isinstance(decide(tw.schedulers.Median(min_trials=4), history, trial), Continue)
    assert isinstance(decide(tw.schedulers.Median(min_trials=3, grace=4), history, trial), Continue)


def test_what_is_maximised_is_told_as_it_was_measured():
    history = limited(goals=(Goal("accuracy", "max"),))
    for level in (0.9, 0.8, 0.7, 0.1):
        trial = run_at_once(history, {}, [level])
    assert "0.1, is worse than 0.8" in decide(tw.schedulers.Median(min_trials=3), history, trial).reason


def test_a_broken_constraint_is_worse_than_any_loss():
    history = limited(constraints=(Constraint("size", 10.0),))
    for size, loss in ((5.0, 0.5), (6.0, 0.6), (7.0, 0.7), (99.0, 0.1)):
        trial = len(history.trials)
        history.apply(TrialStarted(0.0, trial, {}, 0))
        history.apply(Reported(0.0, trial, 1, {"loss": loss, "size": size}))
    verdict = decide(tw.schedulers.Median(min_trials=3), history, trial)
    assert isinstance(verdict, Stop)
    assert "breaks a constraint" in verdict.reason


def test_with_several_goals_the_worse_half_is_stopped():
    history, verdicts = limited(goals=(Goal("a"), Goal("b"))), []
    for level in (1.0, 2.0, 3.0, 4.0):
        trial = len(history.trials)
        history.apply(TrialStarted(0.0, trial, {}, 0))
        history.apply(Reported(0.0, trial, 1, {"a": level, "b": level}))
        verdicts.append(decide(tw.schedulers.Median(min_trials=3), history, trial))
    assert verdicts[-1] == Stop("step 1: place 4 of 4, in the worse half")


def test_a_missing_metric_decides_nothing():
    history = History([created()])
    for level in range(4):
        run_at_once(history, {}, [float(level)])
    trial = run_at_once(history, {}, [9.0])
    history.apply(Reported(0.0, trial, 2, {"other": 1.0}))
    for rule in (tw.schedulers.Median(min_trials=1), tw.schedulers.Patience(steps=1)):
        assert isinstance(decide(rule, history, trial), Continue)


def at_steps_of_their_own(goals, steps_of_each, losses):
    """A study of trials that report at steps of their own, as at the ends of epochs of different batch sizes."""
    history = History([created(goals=goals)])
    for number, (steps, loss) in enumerate(zip(steps_of_each, losses, strict=True)):
        history.apply(TrialStarted(1.0, number, {}, number, driver="d"))
        for step in steps:
            history.apply(Reported(2.0, number, step, {goal.metric: loss for goal in goals}))
    return history


@pytest.mark.parametrize("goals", [(Goal("loss"),), (Goal("loss"), Goal("size"))])
def test_the_median_is_of_those_that_came_as_far_wherever_they_report(goals):
    rule = tw.schedulers.Median()
    for epoch in (10, 12, 7):
        history = at_steps_of_their_own(goals, [range(10, 50, 10)] * 6, [1.0 + 0.1 * k for k in range(6)])
        trial = 6
        history.apply(TrialStarted(3.0, trial, {}, trial, driver="d"))
        for step in (epoch, 2 * epoch):
            history.apply(Reported(4.0, trial, step, {goal.metric: 9.0 for goal in goals}))
        assert isinstance(decide(rule, history, trial), Stop)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), trials=st.integers(2, 25), cut=st.integers(0, 12), asked=st.integers(1, 60))
def test_curves_that_grew_are_those_made_from_scratch(seed, trials, cut, asked):
    rng = np.random.default_rng(seed)
    history, steps = History([created()]), range(1, 13)
    for number in range(trials):
        history.apply(TrialStarted(0.0, number, {}, number, driver="d"))
        for step in range(int(rng.integers(1, 5)), 13, int(rng.integers(1, 5))):
            metric = "loss" if rng.random() < 0.8 else "other"
            history.apply(Reported(1.0, number, step, {metric: float(rng.choice([rng.random(), np.nan]))}))
            if len(history) == asked:
                for each in steps:
                    history.so_far.others(history.trials[number], each)
    for trial in list(history.trials[::3]):  # taken up again from an earlier step
        history.apply(Ended(98.0, trial.number, Status.LOST, fault="run"))
        history.apply(TrialResumed(99.0, trial.number, cut))
    fresh = SoFar(history.trials)
    for trial in history.trials:
        assert history.so_far.now(trial.number) == fresh.now(trial.number)
        for step in steps:
            others = [each.reports for each in history.trials if each is not trial and each.step >= step]
            losses = [
                [r.metrics["loss"] for r in reports if r.step <= step and "loss" in r.metrics] for reports in others
            ]
            averages = [np.inf if np.isnan(each).any() else statistics.fmean(each) for each in losses if each]
            for so_far in (history.so_far, fresh):
                assert so_far.others(trial, step) == len(averages)
                if averages:
                    assert so_far.median(trial, step)[1] == pytest.approx(statistics.median(averages))


# --- patience ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "losses", "stops_at"),
    [
        ({"steps": 2}, [3.0, 2.0, 2.0, 2.0], 4),
        ({"steps": 2}, [3.0, 2.0, 2.5, 1.9, 2.0, 1.8, 2.0], None),
        ({"steps": 3}, [1.0, 2.0, 2.0, 2.0], 4),
        ({"steps": 2, "min_gain": 0.5}, [3.0, 2.0, 1.8, 1.5, 1.4, 1.3], 5),
        ({"steps": 2, "min_gain": 0.1, "relative": True}, [100.0, 90.0, 80.0, 75.0, 74.0], 5),
        ({"steps": 1, "min_gain": 0.1, "relative": True}, [-1.0, -1.2, -1.25], 3),
        ({"steps": 1}, [float("inf"), 5.0, 4.0, 4.0], 4),
    ],
)
def test_patience_by_hand(options, losses, stops_at):
    rule = tw.schedulers.Patience(**options)
    stopped = None
    for end in range(1, len(losses) + 1):
        history = History([created()])
        trial = run_at_once(history, {}, losses[:end])
        verdict = decide(rule, history, trial)
        if isinstance(verdict, Stop) and stopped is None:
            stopped = end
    assert stopped == stops_at


def test_patience_wraps_another_scheduler():
    rule = tw.schedulers.Patience(steps=1, min_gain=0.5, then=tw.schedulers.Asha())
    history = History([created()])
    trial = run_at_once(history, {}, [1.0])
    assert isinstance(decide(rule, history, trial), Pause)  # at the first rung
    trial = run_at_once(history, {}, [1.0, 0.9])
    assert decide(rule, history, trial) == Stop("step 2: its best is better by less than 0.5 than 1 steps before")
    study = tw.Study(SPACE, "loss", scheduler=rule, sampler="random", seed=0)
    study.run(trials=30, max_steps=27, executor=Simulated(curve, 4), progress=False)
    assert study.history.settings["scheduler"] == {
        "name": "patience",
        "steps": 1,
        "min_gain": 0.5,
        "then": {"name": "asha"},
    }
    assert replay(study.events).ok


def test_patience_waits_for_all_goals_and_constraints():
    goals, rule = (Goal("a"), Goal("b")), tw.schedulers.Patience(steps=1)
    history = limited(goals=goals, constraints=(Constraint("size", 10.0),))
    history.apply(TrialStarted(0.0, 0, {}, 0))
    verdicts = []
    for step, (a, b, size) in enumerate([(1, 1, 30), (1, 0.5, 30), (1, 0.5, 20), (1, 0.5, 20)], 1):
        history.apply(Reported(0.0, 0, step, {"a": a, "b": b, "size": size}))
        verdicts.append(type(decide(rule, history, 0)))
    assert verdicts == [Continue, Continue, Continue, Stop]


@pytest.mark.parametrize(
    ("curve", "stops"),
    [
        # a network that is pruned on the way: its losses before it was small enough are no measure
        ([(0.1, 30), (0.9, 9), (0.7, 9), (0.6, 9), (0.6, 9)], [5]),
        # nor are those that break a bound again
        ([(0.9, 9), (0.8, 9), (0.5, 30), (0.4, 30)], [3, 4]),
        # a bound that is measured later on
        ([(0.5, None), (0.4, None), (0.6, 12), (0.55, 12), (0.54, 12)], []),
        # one that is never measured says nothing
        ([(0.5, None), (0.4, None), (0.3, None), (0.3, None)], [4]),
    ],
)
def test_patience_measures_gains_among_losses_that_break_no_more(curve, stops):
    rule, history = tw.schedulers.Patience(steps=1), limited(constraints=(Constraint("size", 10.0),))
    history.apply(TrialStarted(0.0, 0, {}, 0))
    stopped = []
    for step, (loss, size) in enumerate(curve, 1):
        metrics = {"loss": loss} if size is None else {"loss": loss, "size": float(size)}
        history.apply(Reported(0.0, 0, step, metrics))
        if isinstance(decide(rule, history, 0), Stop):
            stopped.append(step)
    assert stopped == stops


# --- top k ------------------------------------------------------------------------------------------------------------


def flat(params, step):
    return {"loss": params["level"]}, 1.0 + params["speed"]


@pytest.mark.parametrize("workers", [1, 8])
def test_the_best_k_train_to_the_end(workers):
    events = play(tw.schedulers.TopK(first=2, keep=4), flat, trials=30, max_steps=9, workers=workers)
    history = check_walk(events, workers)
    best = sorted(range(30), key=lambda n: history.trials[n].params["level"])[:4]
    assert sorted(t.number for t in history.trials if t.status is Status.COMPLETED) == sorted(best)
    assert history.steps_done == 30 * 2 + 4 * 7
    assert replay(events).ok


def test_a_longer_run_ranks_the_new_among_the_old():
    events = play(tw.schedulers.TopK(), flat, trials=10, max_steps=9)
    history = History(play(tw.schedulers.TopK(), flat, trials=40, max_steps=9, after=events))
    best = sorted(range(40), key=lambda n: history.trials[n].params["level"])[:3]
    assert set(best) <= {t.number for t in history.trials if t.status is Status.COMPLETED}
    assert history.counts[Status.COMPLETED] <= 6


def test_top_k_says_what_it_waits_for_and_when_it_is_done():
    rule, history = tw.schedulers.TopK(keep=1, trials=3), limited()
    for loss in (0.2, 0.3):
        trial = run_at_once(history, {}, [loss])
        history.apply(Paused(0.0, trial, 1, decide(rule, history, trial).reason))
    history.apply(TrialStarted(0.0, 2, {}, 2))
    assert act(rule, history) == Wait("1 of 3 trials are on their way to step 1, where 1 go on")
    history.apply(Ended(0.0, 2, Status.DIVERGED, "NaN"))
    assert act(rule, history) == Resume(0, "goes on from step 1: place 1 of 2, 1 go on")
    history.apply(TrialResumed(0.0, 0, 1))
    assert act(rule, history) == Wait("the best 1 of 3 trials are in training")
    history.apply(Ended(0.0, 0, Status.COMPLETED))
    assert act(rule, history) == Done("the best 1 of 3 trials are trained")


def test_top_k_needs_a_total():
    with pytest.raises(ValueError, match=r"study.run\(..., trials=100\)"):
        act(tw.schedulers.TopK(), History([created()]))


def top_k_study(evaluate=flat, workers=1, rule=None, **limits):
    space = tw.Space(level=tw.Float(0.0, 1.0), speed=tw.Float(0.0, 1.0))
    study = tw.Study(space, "loss", sampler="random", scheduler=rule or tw.schedulers.TopK(), seed=0)
    study.run(executor=tw.executors.Simulated(evaluate, workers), progress=False, **limits)
    return study


@pytest.mark.parametrize(("steps", "trials"), [(100, 76), (101, 77), (27, 3)])
@pytest.mark.parametrize("workers", [1, 8])
def test_under_a_total_of_steps_as_many_trials_start_as_leave_enough_for_the_best(steps, trials, workers):
    study = top_k_study(steps=steps, max_steps=9, workers=workers)
    best = sorted(range(trials), key=lambda n: study.trials[n].params["level"])[:3]
    assert len(study.trials) == trials
    assert {t.number for t in study.trials if t.status == "completed"} == set(best)
    assert study.history.steps_done == steps
    assert replay(study.events).ok


def test_steps_for_fewer_full_trainings_than_are_kept_are_refused():
    with pytest.raises(ValueError, match=r"at least 27 steps, 3 full trainings of 9, got 26: run more steps"):
        top_k_study(steps=26, max_steps=9)


@pytest.mark.parametrize(("workers", "trials"), [(1, 76), (4, 4 * 92)])
def test_under_a_total_of_seconds_steps_take_what_they_took_the_first_trials(workers, trials):
    study = top_k_study(lambda params, step: ({"loss": params["level"]}, 10.0), workers, seconds=1000.0, max_steps=9)
    assert len(study.trials) == trials
    assert study.history.counts[Status.COMPLETED] == 3
    assert study.history.active_seconds <= 1000.0
    assert replay(study.events).ok


def test_seconds_for_fewer_full_trainings_than_are_kept_are_spent_on_these():
    study = top_k_study(lambda params, step: ({"loss": params["level"]}, 10.0), seconds=150.0, max_steps=9)
    assert [trial.step for trial in study.trials] == [9, 6]
    assert study.history.active_seconds == 150.0


def test_the_first_trial_shows_how_long_a_training_is_where_nobody_has_said_it():
    study = tw.Study(tw.Space(level=tw.Float(0.0, 1.0)), "loss", sampler="random", scheduler="top_k", seed=0)

    def train(trial):
        done = int((trial.checkpoint / "step").read_text()) if trial.checkpoint else 0
        for step in range(done + 1, 7):
            trial.report(loss=trial.params["level"], step=step)
            trial.save(lambda folder, step=step: (folder / "step").write_text(str(step)))

    study.run(train, steps=40, executor="inline", progress=False)
    assert study.trials[0].step == 6
    assert len(study.trials) == 25
    assert {trial.step for trial in study.trials} == {1, 6} | ({study.trials[-1].step} - {1, 6})


def test_top_k_without_checkpoints_trains_on_its_share():
    events = play(tw.schedulers.TopK(keep=10), flat, trials=30, max_steps=9, workers=1, saves=False)
    history = check_walk(events, 1)
    assert 0 < history.counts[Status.COMPLETED] <= 14
    assert not any(isinstance(event, CheckpointSaved) for event in events)
    assert replay(events).ok
