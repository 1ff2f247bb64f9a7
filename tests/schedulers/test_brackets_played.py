"""Successive halving and Hyperband on simulated workers: the published numbers, stragglers, failures, extended runs."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tunewell as tw
from tunewell.events import Ended, Goal, Paused, Reported, Status, TrialResumed, TrialStarted
from tunewell.executors import Simulated
from tunewell.history import History
from tunewell.numerics.brackets import hyperband, rung_trials
from tunewell.protocols import Continue, Pause, Stop
from tunewell.replay import replay
from tunewell.testing.schedulers import check_walk, curve, decisions, play

SPACE = tw.Space(level=tw.Float(0.0, 1.0), speed=tw.Float(0.0, 1.0))


def smooth(config, step):
    return {"loss": config["level"] + 1.0 / step}, 1.0 + config["speed"]


def reached(history, group, steps):
    return [sum(step in {r.step for r in history.trials[n].reports} for n in history.groups[group]) for step in steps]


def test_a_whole_hyperband_leaves_the_published_numbers():
    events = play(tw.schedulers.Hyperband(), smooth, trials=143, max_steps=81, workers=8)
    history = check_walk(events, 8)
    assert list(history.groups) == [f"round 1, bracket {b}" for b in range(1, 6)]
    for group, rungs in zip(history.groups, hyperband(81), strict=True):
        assert reached(history, group, [steps for _, steps in rungs]) == [trials for trials, _ in rungs]
    assert history.counts[Status.COMPLETED] == 1 + 1 + 1 + 2 + 5
    assert replay(events).ok


@pytest.mark.parametrize("table", ["jmlr", "floor"])
@pytest.mark.parametrize(("most", "reduction", "least"), [(27, 3, 1), (20, 2, 3), (30, 4, 1)])
@pytest.mark.parametrize("workers", [1, 5, 40])
def test_each_table_is_played_as_it_stands(table, most, reduction, least, workers):
    scheduler = tw.schedulers.Hyperband(reduction, least, table=table)
    brackets = hyperband(most, reduction, least, table)
    trials = sum(rungs[0][0] for rungs in brackets)
    cluster = {"workers": workers, "stragglers": 0.1}
    history = History(play(scheduler, smooth, trials=trials + 1, max_steps=most, **cluster))
    assert list(history.groups)[-1] == "round 2, bracket 1"
    for group, rungs in zip(history.groups, brackets, strict=False):
        assert reached(history, group, [steps for _, steps in rungs]) == [trials for trials, _ in rungs]


def test_the_best_are_those_that_go_on():
    history = History(play(tw.schedulers.SuccessiveHalving(), smooth, trials=27, max_steps=27, workers=4))
    order = sorted(range(27), key=lambda n: history.trials[n].params["level"])
    for steps, trials in ((3, 9), (9, 3), (27, 1)):
        assert {t.number for t in history.trials if t.step >= steps} == set(order[:trials])
    (best,) = (t for t in history.trials if t.status is Status.COMPLETED)
    reasons = [t.reason for t in history.trials if t.status is Status.PAUSED]
    assert best.number == order[0]
    assert all(reason.startswith(("rung 1 of", "rung 3 of", "rung 9 of")) for reason in reasons)


def test_the_reasons_tell_the_place():
    events = play(tw.schedulers.SuccessiveHalving(), smooth, trials=9, max_steps=9, workers=1)
    words = [event.reason for event in events if isinstance(event, TrialResumed)]
    assert words[0].startswith("goes on from rung 1 of bracket 1: place ")
    assert words[0].endswith("go on")
    assert [e.reason for e in events if isinstance(e, TrialStarted)][1] == "bracket 1: trial 2 of 9"


def test_workers_are_busy_although_brackets_wait():
    executor = Simulated(lambda params, step: smooth(params, step), workers=8, stragglers=0.05, slowdown=20.0)
    study = tw.Study(SPACE, "loss", scheduler="hyperband", sampler="random", seed=0)
    study.run(steps=3000, max_steps=27, executor=executor, progress=False)
    assert executor.busy_seconds >= 0.98 * 8 * study.history.active_seconds
    assert study.history.steps_done == 3000
    assert replay(study.events).ok


def test_certain_winners_do_not_wait_for_stragglers():
    """Three of nine go on: with two missing the best one is certain to, with one missing the best two."""
    halving, history = tw.schedulers.SuccessiveHalving(max_steps=9), begun()
    for loss in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        assert isinstance(rest(history, halving, loss), Pause)
        assert next_trial(history, halving) is None
    assert isinstance(rest(history, halving, 0.7), Pause)
    missing = start(history)
    assert [next_trial(history, halving), next_trial(history, halving)] == [0, None]
    verdict = rest(history, halving, 0.15)
    assert verdict == Continue("rung 1 of bracket 1: place 2 of 8 (1 to come), 3 go on, so it trains on")
    assert next_trial(history, halving) is None
    history.apply(Reported(0.0, missing, 1, {"loss": 0.9}))
    verdict = halving.decide(history, history.trials[missing].reports[-1])
    assert verdict == Stop("rung 1 of bracket 1: place 9 of 9, 3 go on, and without a checkpoint it cannot wait")
    history.apply(Ended(0.0, missing, Status.STOPPED, verdict.reason))
    assert next_trial(history, halving) == 1


@pytest.mark.parametrize("status", [Status.FAILED, Status.DIVERGED, Status.TIMED_OUT, Status.OUT_OF_MEMORY])
def test_what_ends_before_its_rung_ranks_last(status):
    halving, history = tw.schedulers.SuccessiveHalving(max_steps=9), begun()
    for _ in range(7):
        history.apply(Ended(0.0, start(history), status, "ended"))
    verdict = rest(history, halving, 0.9)
    assert verdict == Continue("rung 1 of bracket 1: place 1 of 1 (1 to come), 3 go on, so it trains on")
    verdict = rest(history, halving, 0.8)
    assert isinstance(verdict, Continue)
    assert next_trial(history, halving) is None


def test_a_trial_that_fails_after_going_on_is_not_replaced():
    halving, history = tw.schedulers.SuccessiveHalving(max_steps=9), begun()
    for loss in range(8):
        rest(history, halving, float(loss))
    assert isinstance(rest(history, halving, 99.0), Pause)
    gone = []
    while (trial := next_trial(history, halving)) is not None:
        gone.append(trial)
    assert gone == [0, 1, 2]
    history.apply(Ended(0.0, 1, Status.FAILED, "ValueError"))
    assert next_trial(history, halving) is None
    history.apply(Ended(0.0, 2, Status.LOST, "the machine died"))
    assert next_trial(history, halving) is None


def test_a_run_that_ends_in_the_middle_of_a_bracket_judges_what_is_there():
    events = play(tw.schedulers.Hyperband(), smooth, trials=50, max_steps=81, workers=4)
    history = History(events)
    assert reached(history, "round 1, bracket 1", [1, 3, 9, 27, 81]) == [50, 16, 5, 1, 1]
    longer = play(tw.schedulers.Hyperband(), smooth, trials=81, max_steps=81, workers=4, after=events)
    counts = reached(History(longer), "round 1, bracket 1", [1, 3, 9, 27, 81])
    assert counts == [81, 27, 9, 3, 1]
    assert replay(longer).ok


def test_brackets_keep_their_length_when_a_run_is_longer():
    events = play(tw.schedulers.Hyperband(), smooth, trials=20, max_steps=27, workers=4)
    longer = play(tw.schedulers.Hyperband(), smooth, trials=50, max_steps=81, workers=4, after=events)
    history = History(longer)
    assert history.horizons == {"round 1, bracket 1": 27, "round 1, bracket 2": 81}
    assert reached(history, "round 1, bracket 1", [1, 3, 9]) == [27, 9, 3]
    assert reached(history, "round 1, bracket 2", [3, 9, 27, 81]) == [23, 7, 2, 1]
    assert replay(longer).ok


def test_without_a_number_of_steps_the_first_trial_shows_it(tmp_path):
    def planning(trial):
        for step in trial.steps(9):
            trial.report(loss=trial.params["level"] + 1.0 / (step + 1))
            trial.save(lambda folder: (folder / "weights").write_text("1"))

    def counting(trial):
        for step in range(9):
            trial.report(loss=trial.params["level"] + 1.0 / (step + 1))

    study = tw.Study(SPACE, "loss", scheduler="hyperband", seed=0, sampler="random", directory=tmp_path / "a")
    study.run(planning, trials=9, executor="inline", progress=False)
    assert reached(study.history, "round 1, bracket 1", [1, 3, 9]) == [9, 3, 1]
    study = tw.Study(SPACE, "loss", scheduler="hyperband", seed=0, sampler="random", directory=tmp_path / "b")
    study.run(counting, trials=12, executor="inline", progress=False)
    assert study.trials[0].status == "completed"
    assert study.history.horizon == 9
    assert study.history.groups.keys() == {"round 1, bracket 1", "round 1, bracket 2"}
    assert replay(study.events).ok


def test_asked_and_enqueued_trials_break_no_bracket():
    study = tw.Study(SPACE, "loss", scheduler=tw.schedulers.Hyperband(max_steps=9), seed=0, sampler="random")
    for _ in range(12):
        study.tell(study.ask(), 0.5)
    assert Counter(t.group for t in study.trials) == {"round 1, bracket 1": 9, "round 1, bracket 2": 3}
    study = tw.Study(SPACE, "loss", scheduler="hyperband", seed=0, sampler="random")
    study.run(trials=4, max_steps=9, executor=Simulated(smooth), progress=False)
    study.enqueue({"level": 0.99, "speed": 0.5})
    study.run(trials=9, max_steps=9, executor=Simulated(smooth), progress=False)
    assert study.trials[4].origin == "enqueued"
    assert replay(study.events).ok


def test_several_goals_and_constraints_go_by_rank():
    goals = (Goal("loss"), Goal("size"))
    evaluate = lambda params, step: ({"loss": params["level"], "size": -params["level"]}, 1.0)  # noqa: E731
    events = play(tw.schedulers.Hyperband(), evaluate, trials=20, max_steps=9, workers=3, goals=goals)
    assert reached(History(events), "round 1, bracket 1", [1, 3, 9]) == [9, 3, 1]
    study = tw.Study(
        SPACE, "loss", constraints=["loss >= 0.5"], scheduler="successive_halving", seed=0, sampler="random"
    )
    flat = Simulated(lambda params, step: (params["level"], 1.0))
    study.run(trials=9, max_steps=9, executor=flat, progress=False)
    (end,) = (t for t in study.trials if t.status == "completed")
    assert end.value == min(t.value for t in study.trials if t.value >= 0.5)
    assert replay(study.events).ok


@settings(max_examples=40, deadline=None)
@given(
    scheduler=st.one_of(
        st.builds(
            tw.schedulers.Hyperband,
            reduction=st.integers(2, 5),
            min_steps=st.integers(1, 4),
            table=st.sampled_from(["jmlr", "floor"]),
        ),
        st.builds(
            tw.schedulers.SuccessiveHalving,
            reduction=st.integers(2, 5),
            min_steps=st.integers(1, 4),
            configurations=st.none() | st.integers(1, 30),
        ),
    ),
    trials=st.integers(1, 60),
    workers=st.integers(1, 8),
    steps=st.none() | st.integers(1, 300),
    faults=st.sampled_from([0.0, 0.02]),
    seed=st.integers(0, 99),
)
def test_no_rung_passes_on_more_than_its_share(scheduler, trials, workers, steps, faults, seed):
    cluster = {"workers": workers, "stragglers": 0.1, "faults": faults, "seed": seed}
    events = play(scheduler, curve, trials=trials, steps=steps, max_steps=20, **cluster)
    history = check_walk(events, workers, steps)
    for group, members in history.groups.items():
        bracket = scheduler.bracket(history, group)
        assert len(members) <= bracket.trials
        planned = rung_trials(len(members), scheduler.reduction, len(bracket.steps) - 1)
        for came, most in zip(reached(history, group, bracket.steps), planned, strict=True):
            assert came <= most
    assert replay(events, scheduler=scheduler).ok


@settings(max_examples=20, deadline=None)
@given(reduction=st.integers(2, 4), cut=st.floats(0.0, 1.0), trials=st.integers(2, 25))
def test_a_cut_anywhere_changes_nothing(reduction, cut, trials):
    for scheduler in (
        tw.schedulers.Hyperband(reduction),
        tw.schedulers.AsyncHyperband(reduction),
        tw.schedulers.TopK(keep=2),
        tw.schedulers.Median(min_trials=2),
    ):
        events = play(scheduler, curve, trials=trials, max_steps=10)
        end = 1 + int(cut * (len(events) - 1))
        if isinstance(events[min(end, len(events) - 1)], Ended):  # is written together with the report before it
            end += 1
        again = play(scheduler, curve, after=events[:end], trials=trials, max_steps=10)
        assert decisions(again) == decisions(events)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        ("Hyperband", {"reduction": 1}),
        ("Hyperband", {"min_steps": 0}),
        ("Hyperband", {"min_steps": 9, "max_steps": 3}),
        ("Hyperband", {"table": "iclr"}),
        ("SuccessiveHalving", {"configurations": 0}),
        ("SuccessiveHalving", {"reduction": 2.5}),
        ("AsyncHyperband", {"max_steps": True}),
        ("Median", {"grace": 0}),
        ("Median", {"min_trials": 0}),
        ("TopK", {"keep": 0}),
        ("TopK", {"keep": 5, "trials": 4}),
        ("TopK", {"first": 0}),
        ("Patience", {"steps": 0}),
        ("Patience", {"min_gain": -1.0}),
        ("Patience", {"then": "asha"}),
        ("Asha", {"promote": "no"}),
    ],
)
def test_nonsense_is_refused_in_a_sentence(make, options):
    with pytest.raises(ValueError, match=" expected .*, got "):
        getattr(tw.schedulers, make)(**options)


# --- one decision at a time -------------------------------------------------------------------------------------------


def begun():
    from tunewell.testing.histories import created

    return History([created()])


def start(history, group="bracket 1"):
    number = len(history.trials)
    history.apply(TrialStarted(0.0, number, {}, number, driver="d", group=group))
    return number


def rest(history, scheduler, loss, group="bracket 1"):
    from tunewell.events import CheckpointSaved

    number = start(history, group)
    history.apply(Reported(0.0, number, 1, {"loss": loss}))
    history.apply(CheckpointSaved(0.0, number, 1))
    verdict = scheduler.decide(history, history.trials[number].reports[-1])
    if isinstance(verdict, Pause):
        history.apply(Paused(0.0, number, 1, verdict.reason))
    return verdict


def next_trial(history, scheduler):
    """Resume what is to go on next and return it, None where something else is to be done."""
    import numpy as np

    action = scheduler.next_action(history.space, history, np.random.default_rng(0))
    trial = getattr(action, "trial", None)
    if trial is not None:
        history.apply(TrialResumed(0.0, trial, history.trials[trial].saved, action.reason, driver="d"))
    return trial
