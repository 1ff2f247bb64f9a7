from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tunewell as tw
from tunewell.events import (
    CheckpointSaved,
    Ended,
    Paused,
    Reported,
    RunStarted,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.history import History, Rung
from tunewell.protocols import Continue, Pause, Resume, Start, Stop
from tunewell.replay import replay
from tunewell.testing.histories import created, run_at_once
from tunewell.testing.schedulers import SchedulerContract, simulate

RNG = np.random.default_rng(0)


class TestFifo(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return tw.schedulers.Fifo()


class TestAsha(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return tw.schedulers.Asha()


class TestAshaHalving(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return tw.schedulers.Asha(reduction=2, min_steps=2, max_steps=27)


def report(history, trial):
    return history.trials[trial].reports[-1]


def rest(history, asha, trial):
    """Let ASHA decide on the trial's newest report and apply a pause."""
    verdict = asha.decide(history, report(history, trial))
    if isinstance(verdict, Pause):
        history.apply(Paused(float(len(history)), trial, history.trials[trial].step, verdict.reason))
    return verdict


@pytest.mark.parametrize(
    ("options", "rungs"),
    [
        # Li et al. 2020, Table 1 and Figure 1: r = 1, R = 9, η = 3, brackets s = 0, 1, 2
        ({"max_steps": 10}, [1, 3, 9]),
        ({"max_steps": 10, "early_stopping_rate": 1}, [3, 9]),
        ({"max_steps": 10, "early_stopping_rate": 2}, [9]),
        ({"max_steps": 82}, [1, 3, 9, 27, 81]),
        ({"max_steps": 81}, [1, 3, 9, 27]),
        ({"reduction": 4, "min_steps": 2, "max_steps": 200}, [2, 8, 32, 128]),
        ({}, [1, 3, 9, 27, 81, 243, 729]),
    ],
)
def test_rungs_are_those_of_the_paper(options, rungs):
    assert tw.schedulers.Asha(**options).rungs(1000) == rungs


def test_a_full_rung_passes_on_exactly_a_third_each_time():
    """Successive halving's table for n = 27, η = 3: 27 at 1 step, 9 at 3, 3 at 9, 1 at 27."""
    history = simulate(tw.schedulers.Asha(max_steps=28), trials=27, steps=28, workers=1)
    reached = [len(history.rung(step)) for step in (1, 3, 9, 27, 28)]
    assert reached == [27, 9, 3, 1, 0]


def test_the_sequence_of_a_single_worker():
    """Li et al. 2020, Figure 2: a rung promotes as soon as it has η results, then grows by new trials again."""
    asha, history = tw.schedulers.Asha(), History([created()])
    for loss in (0.5, 0.3):
        trial = run_at_once(history, {}, [loss])
        assert isinstance(rest(history, asha, trial), Pause)
        assert isinstance(asha.next_action(history.space, history, RNG), Start)
    trial = run_at_once(history, {}, [0.9])
    assert isinstance(rest(history, asha, trial), Pause)
    action = asha.next_action(history.space, history, RNG)
    assert action == Resume(1, "promoted from rung 1: place 1 of 3, 1 go on")
    history.apply(TrialResumed(9.0, 1, 1, action.reason))
    assert isinstance(asha.next_action(history.space, history, RNG), Start)


def test_the_best_newcomer_trains_on_without_a_pause():
    asha, history = tw.schedulers.Asha(), History([created()])
    for loss in (0.5, 0.6):
        rest(history, asha, run_at_once(history, {}, [loss]))
    best = run_at_once(history, {}, [0.1])
    verdict = asha.decide(history, report(history, best))
    assert verdict == Continue("rung 1: place 1 of 3, 1 go on, so it trains on")


def test_a_step_between_rungs_is_not_judged():
    asha, history = tw.schedulers.Asha(), History([created()])
    trial = run_at_once(history, {}, [0.5, 0.4])
    assert asha.decide(history, report(history, trial)) == Continue()


def test_without_a_checkpoint_a_trial_goes_on_or_is_stopped():
    asha, history = tw.schedulers.Asha(), History([created()])
    verdicts = []
    for number, loss in enumerate([0.5, 0.6, 0.1, 0.7, 0.65, 0.05]):
        history.apply(TrialStarted(0.0, number, {}, 0))
        history.apply(Reported(0.0, number, 1, {"loss": loss}))
        verdict = asha.decide(history, report(history, number))
        verdicts.append(type(verdict))
        if isinstance(verdict, Stop):
            assert "without a checkpoint it cannot wait" in verdict.reason
            history.apply(Ended(0.0, number, Status.STOPPED, verdict.reason))
    assert verdicts == [Stop, Stop, Continue, Stop, Stop, Continue]


def test_nan_ranks_last_and_maximising_turns_the_order():
    from tunewell.events import Goal

    asha, history = tw.schedulers.Asha(), History([created(goals=(Goal("accuracy", "max"),))])
    for value in (0.9, float("nan"), 0.2):
        trial = run_at_once(history, {}, [value])
        rest(history, asha, trial)
    assert asha.next_action(history.space, history, RNG) == Resume(0, "promoted from rung 1: place 1 of 3, 1 go on")
    assert [history.rung(1).rank(trial) for trial in range(3)] == [1, 3, 2]


@settings(max_examples=60, deadline=None)
@given(
    trials=st.integers(1, 60),
    workers=st.integers(1, 8),
    reduction=st.integers(2, 5),
    seed=st.integers(0, 1000),
    saves=st.booleans(),
)
def test_never_more_than_one_in_eta_goes_on(trials, workers, reduction, seed, saves):
    asha = tw.schedulers.Asha(reduction=reduction)
    history = simulate(asha, trials=trials, steps=30, workers=workers, seed=seed, saves=saves)
    rungs = asha.rungs(29)
    for rung, following in itertools.pairwise(rungs):
        assert len(history.rung(following)) <= len(history.rung(rung)) // reduction
    if saves:  # nothing promotable is left behind
        assert isinstance(asha.next_action(history.space, history, RNG), Start)


@settings(max_examples=30, deadline=None)
@given(losses=st.lists(st.floats(0, 1), min_size=1, max_size=60), reduction=st.integers(2, 4))
def test_only_the_top_one_in_eta_is_promoted(losses, reduction):
    asha, history = tw.schedulers.Asha(reduction=reduction), History([created()])
    promoted = 0
    for loss in losses:
        trial = run_at_once(history, {}, [loss])
        verdict = rest(history, asha, trial)
        if isinstance(verdict, Continue):
            assert history.rung(1).rank(trial) <= len(history.rung(1)) // reduction
            promoted += 1
        while isinstance(action := asha.next_action(history.space, history, RNG), Resume):
            rung = history.rung(1)
            assert rung.rank(action.trial) <= len(rung) // reduction
            history.apply(TrialResumed(0.0, action.trial, 1, action.reason))
            promoted += 1
    assert promoted == len(losses) // reduction


@pytest.mark.parametrize(
    "options",
    [
        {"reduction": 1},
        {"reduction": 2.5},
        {"min_steps": 0},
        {"min_steps": 9, "max_steps": 3},
        {"early_stopping_rate": -1},
    ],
)
def test_asha_refuses_nonsense(options):
    with pytest.raises(ValueError, match="asha expected"):
        tw.schedulers.Asha(**options)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'asha'"):
        tw.Study(tw.Space(x=tw.Float(0, 1)), scheduler="ash")
    with pytest.raises(ValueError, match="did you mean 'random'"):
        tw.Study(tw.Space(x=tw.Float(0, 1)), sampler="randon")
    for name in ("bayes", "halton"):
        with pytest.raises(ValueError, match=f"got '{name}': choose one of random"):
            tw.Study(tw.Space(x=tw.Float(0, 1)), sampler=name)


@pytest.mark.parametrize(
    ("home", "names"),
    [(tw.samplers, {"GP", "Grid", "TPE"}), (tw.schedulers, {"Asha", "PBT"}), (tw.executors, {"Inline", "Processes"})],
)
def test_completion_offers_the_classes(home, names):
    assert names <= set(dir(home))


# --- the end of a run: no more trials may start -----------------------------------------------------------------------


def fall(params, step):
    return {"loss": (params["x"] - 0.3) ** 2 + 1.0 / step}, 1.0 + params["x"]


def few(scheduler, *totals, **cluster):
    """A study of 27 steps a training, run to one total of trials after the other."""
    study = tw.Study(tw.Space(x=tw.Float(0, 1)), metric="loss", seed=0, scheduler=scheduler, sampler="random")
    for total in totals:
        executor = tw.executors.Simulated(fall, **cluster)
        assert study.run(max_steps=27, trials=total, executor=executor, progress=False).startswith(f"{total} trial")
        assert replay(study.events).ok
    return study


def check_winners(history, group=None, first=1, more=1):
    """Of each rung at least the best went on, and at most so many more than a third."""
    for step in (1, 3, 9):
        rung = history.rung(step, group)
        if len(rung) and step >= first:
            assert len(history.rung(step + 1, group)) <= len(rung) // 3 + more
            assert history.trials[rung.ranked()[0]].step > step


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("trials", [1, 2, 4, 8, 20, 26, 27])
def test_the_winner_of_however_few_trials_is_trained_to_the_end(trials, workers):
    study = few("asha", trials, workers=workers)
    assert study.history.counts[Status.COMPLETED] >= 1
    assert study.best.step == 27
    check_winners(study.history)


def test_the_last_promotion_waits_for_those_that_may_still_come_to_the_rung():
    asha, history = tw.schedulers.Asha(), History([created()])
    history.apply(RunStarted(0.0, "d", 1, trials=2))
    rest(history, asha, run_at_once(history, {}, [0.5]))
    assert isinstance(asha.next_action(history.space, history, RNG), Start)
    other = run_at_once(history, {}, [])
    assert isinstance(asha.next_action(history.space, history, RNG), Start)  # which the run does not allow
    history.apply(Reported(9.0, other, 1, {"loss": 0.4}))
    history.apply(CheckpointSaved(9.0, other, 1))
    history.apply(Paused(10.0, other, 1, "its process had to go"))
    assert asha.next_action(history.space, history, RNG) == Resume(
        1, "goes on from rung 1: place 1 of 2, the best that is left, for no more trials may start"
    )
    history.apply(TrialResumed(10.0, 1, 1, "", "d"))
    assert isinstance(asha.next_action(history.space, history, RNG), Start)
    history.apply(Ended(11.0, 1, Status.DIVERGED, "NaN"))  # the next best is left
    assert asha.next_action(history.space, history, RNG).trial == 0


def test_at_the_end_of_a_run_no_decision_lists_the_trials_of_a_rung(monkeypatch):
    asha, history = tw.schedulers.Asha(), History([created()])
    history.apply(RunStarted(0.0, "d", 1, trials=5))
    for number in range(4):
        rest(history, asha, run_at_once(history, {}, [0.5 - 0.1 * number]))
    last = run_at_once(history, {}, [0.9])
    assert not history.may_start
    monkeypatch.delattr(Rung, "ranked")
    assert isinstance(asha.decide(history, report(history, last)), Pause)
    history.apply(Paused(99.0, last, 1, "rests"))
    assert asha.next_action(history.space, history, RNG).trial == 3


def test_a_larger_total_goes_on_after_the_winner_of_a_smaller_one():
    study = few("asha", 4, 8, 27, workers=2)
    assert len(study.trials) == 27
    check_winners(study.history, more=3)
    whole = few("asha", 27, workers=2)
    assert len(study.history.rung(3)) >= len(whole.history.rung(3))
    assert study.best.params == whole.best.params


@pytest.mark.parametrize("trials", [2, 5, 12])
def test_each_bracket_of_async_hyperband_trains_its_winner_to_the_end(trials):
    study = few("async_hyperband", trials, workers=2)
    for group, members in study.history.groups.items():
        assert any(study.trials[number].status is Status.COMPLETED for number in members)
        check_winners(study.history, group, first=int(group.removeprefix("from step ")))


def test_without_checkpoints_the_best_trains_on_when_it_is_the_last():
    asha, history = tw.schedulers.Asha(), History([created()])
    history.apply(RunStarted(0.0, "d", 1, trials=2))
    for number, loss in enumerate((0.5, 0.4)):
        history.apply(TrialStarted(0.0, number, {}, 0, driver="d"))
        history.apply(Reported(0.0, number, 1, {"loss": loss}))
        verdict = asha.decide(history, report(history, number))
        if isinstance(verdict, Stop):
            history.apply(Ended(0.0, number, Status.STOPPED, verdict.reason))
    assert verdict == Continue(
        "rung 1: place 1 of 2, 0 go on, the best that is left, for no more trials may start, so it trains on"
    )
