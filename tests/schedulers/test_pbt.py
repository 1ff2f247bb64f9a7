"""Population-based training: who is stopped, who is forked, with which values; and that no checkpoint is missing."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tunewell as tw
from tunewell.events import (
    Adjusted,
    CheckpointSaved,
    Ended,
    Paused,
    Reported,
    RunStarted,
    Status,
    TrialResumed,
    TrialStarted,
)
from tunewell.executors import Simulated
from tunewell.history import History
from tunewell.protocols import Continue, Done, Fork, Pause, Resume, Start, Stop
from tunewell.replay import replay
from tunewell.schedulers.exploring import explored
from tunewell.schedules import lineage
from tunewell.testing.histories import created, mixed_space
from tunewell.testing.schedulers import SchedulerContract

RNG = np.random.default_rng(0)
SPACE = tw.Space(
    lr=tw.Float(1e-4, 1.0, scale="log"),
    momentum=tw.Float(0.5, 0.999, scale="reverse_log"),
    width=tw.Int(8, 256, scale="log"),
    optimizer=tw.Choice(["sgd", "adam"]),
    nesterov=tw.Choice([False, True], when={"optimizer": "sgd"}),
)
ALL = {
    "pbt": lambda: tw.schedulers.PBT(8, 3, fixed=("width",)),
    "pb2": lambda: tw.schedulers.PB2(8, 3, fixed=("width",)),
    "mf_pbt": lambda: tw.schedulers.MFPBT(8, 3, factors=(1, 2), fixed=("width",)),
    "ipbt": lambda: tw.schedulers.IPBT(8, 3, fixed=("width",)),
}


class TestPBT(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return tw.schedulers.PBT(interval=4)


class TestPBTWithoutOptions(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return tw.schedulers.PBT()


class TestPB2(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return tw.schedulers.PB2(population=4, interval=5)


class TestMFPBT(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return tw.schedulers.MFPBT(population=12, interval=3)


class TestIPBT(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return tw.schedulers.IPBT(interval=2, patience=1)


def curve(params, step):
    """A loss whose best learning rate falls; what takes long depends on the width."""
    target = -1.5 - step / 20
    return {"loss": abs(math.log10(params["lr"]) - target) + 1.0 / step}, 10.0 + params["width"] / 100.0


def trained(scheduler, workers=8, steps=320, max_steps=40, seed=1, **options):
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=scheduler, seed=seed)
    cluster = Simulated(curve, workers, **options)
    study.run(max_steps=max_steps, steps=steps, executor=cluster, progress=False)
    return study


# --- truncation, written out ------------------------------------------------------------------------------------------


class Paper:
    """A study on paper: a population of four whose members are told what they reported."""

    def __init__(self, scheduler, horizon=None):
        self.scheduler, self.history = scheduler, History([created(SPACE)])
        if horizon:
            self.history.apply(RunStarted(0.0, "d", 4, max_steps=horizon))

    def act(self):
        rng = np.random.default_rng([0, len(self.history.trials)])
        return self.scheduler.next_action(self.history.space, self.history, rng)

    def start(self):
        action = self.act()
        number, time = len(self.history.trials), float(len(self.history))
        if isinstance(action, Start):
            config, fork = SPACE.sample(np.random.default_rng(number)), None
        else:
            assert isinstance(action, Fork)
            config, fork = action.config, tw.events.Fork(action.trial, action.step)
            if action.replaces is not None:
                self.history.apply(Ended(time, action.replaces, Status.STOPPED, action.reason))
        self.history.apply(
            TrialStarted(
                time, number, config, number, "scheduler", action.reason, fork, "d", 0, action.group, action.keep
            )
        )
        return number, action

    def train(self, trial, step, loss, saves=True):
        """Report every step up to ``step``; return the last verdict, applied."""
        record = self.history.trials[trial]
        for each in range(record.step + 1, step + 1):
            self.history.apply(Reported(float(len(self.history)), trial, each, {"loss": loss}))
            if saves:
                self.history.apply(CheckpointSaved(float(len(self.history)), trial, each))
            verdict = self.scheduler.decide(self.history, record.reports[-1])
        if isinstance(verdict, Pause):
            self.history.apply(Paused(float(len(self.history)), trial, step, verdict.reason))
        if isinstance(verdict, Stop):
            self.history.apply(Ended(float(len(self.history)), trial, Status.STOPPED, verdict.reason))
        return verdict


def test_truncation_of_a_population_of_four():
    paper = Paper(tw.schedulers.PBT(population=4, interval=2, truncation=0.25), horizon=6)
    assert [paper.start()[0] for _ in range(4)] == [0, 1, 2, 3]
    assert paper.act().reason == "4 members are training or wait for the others at their step"
    first = paper.train(0, 2, 0.5)
    assert first == Pause("place 1 of 1 at step 2 so far, 3 still to come, so it waits")
    # One is worse, and one place is lost: trial 1 is safe whoever is still to come.
    second = paper.train(1, 2, 0.4)
    assert second == Continue("place 1 of 2 at step 2 so far, 2 still to come, so it trains on")
    assert isinstance(paper.train(2, 2, 0.9), Pause)
    # Now trial 0 may go on, although one is missing yet.
    assert paper.act() == Resume(0, "place 2 of 3 at step 2 so far, 1 still to come, so it trains on")
    assert isinstance(paper.train(3, 2, 0.7), Continue)
    number, fork = paper.start()
    assert number == 4
    assert (fork.trial, fork.step, fork.replaces, fork.group, fork.keep) == (1, 2, 2, "pbt", 2)
    assert "in the place of trial 2, place 4 of 4 at step 2: the worst 1 of 4 become forks of the best 1" in fork.reason
    assert paper.history.trials[2].status is Status.STOPPED
    assert paper.history.trials[4].step == 2
    assert isinstance(paper.act(), Resume)
    assert [record.number for record in lineage(paper.history, 4)] == [1, 4]


def test_nobody_goes_on_from_a_rung_before_the_one_below_is_settled():
    paper = Paper(tw.schedulers.PBT(population=4, interval=2), horizon=20)
    for _ in range(4):
        paper.start()
    paper.train(0, 2, 0.9)
    assert isinstance(paper.train(1, 2, 0.1), Continue)
    assert isinstance(paper.train(2, 2, 0.2), Continue)
    paper.train(1, 4, 0.3)
    verdict = paper.train(2, 4, 0.1)  # there is a worse one, but trial 3 has not even come to step 2
    assert verdict == Pause("place 1 of 2 at step 4 so far, 2 still to come; waits until all have left step 2")
    assert paper.history.needed_checkpoints(1) == {2, 4}


def test_the_last_to_come_is_stopped_at_once_and_its_place_is_taken():
    paper = Paper(tw.schedulers.PBT(population=4, interval=2))
    for _ in range(4):
        paper.start()
    for trial, loss in enumerate((0.1, 0.2, 0.3)):
        paper.train(trial, 2, loss)
    assert paper.train(3, 2, 0.9) == Stop("place 4 of 4 at step 2: the worst 1 of 4 become forks of the best 1")
    _, fork = paper.start()
    assert (fork.trial, fork.step, fork.replaces) == (0, 2, None)


def test_the_place_of_a_trial_that_ended_goes_to_a_fork_at_the_next_rung():
    paper = Paper(tw.schedulers.PBT(population=4, interval=2))
    for _ in range(4):
        paper.start()
    for trial, loss in enumerate((0.1, 0.2, 0.3, 0.4)):
        paper.train(trial, 2, loss)
    paper.start()  # trial 4 for trial 3
    paper.history.apply(Ended(99.0, 4, Status.OUT_OF_MEMORY, "too much"))
    for trial in (0, 1, 2):
        if paper.history.trials[trial].status is Status.PAUSED:
            paper.history.apply(tw.events.TrialResumed(100.0, trial, 2, "", "d"))
        verdict = paper.train(trial, 4, 0.1 * trial)
    assert isinstance(verdict, Continue)  # the empty place was the one to lose
    number, fork = paper.start()
    assert (number, fork.trial, fork.step, fork.replaces) == (5, 0, 4, None)
    assert "a place was empty" in fork.reason


def test_before_the_first_rung_an_empty_place_gets_another_founder():
    paper = Paper(tw.schedulers.PBT(population=4, interval=5))
    for _ in range(4):
        paper.start()
    paper.history.apply(Ended(9.0, 2, Status.DIVERGED, "NaN"))
    assert isinstance(paper.act(), Start)


def test_without_checkpoints_the_members_are_told_what_is_missing():
    paper = Paper(tw.schedulers.PBT(population=2, interval=2))
    for trial in (0, 1):
        paper.start()
        verdict = paper.train(trial, 2, 0.5, saves=False)
        assert isinstance(verdict, Stop)
        assert "call trial.save(...) at least every 2 steps" in verdict.reason
    assert isinstance(paper.act(), Done)
    assert "trial.save" in paper.act().reason


# --- exploring --------------------------------------------------------------------------------------------------------


def test_a_factor_acts_on_the_parameters_own_scale():
    space = tw.Space(
        lr=tw.Float(1e-4, 1.0, scale="log"),
        momentum=tw.Float(0.5, 0.999, scale="reverse_log"),
        mix=tw.Float(0.01, 0.99, scale="logit"),
        dropout=tw.Float(0.0, 0.5),
        batch=tw.Choice([32, 64, 128, 256], ordered=True),
        layers=tw.Int(1, 6),
        units=tw.Int(1, 1024, scale="log"),
        activation=tw.Choice(["relu", "gelu", "tanh"]),
    )
    config = space.check(
        {"lr": 0.01, "momentum": 0.9, "mix": 0.1, "dropout": 0.2}
        | {"batch": 64, "layers": 3, "units": 100, "activation": "gelu"}
    )
    step = 0.25 * math.log(1.25)  # half of log f, of a range that is a half wide
    found = [explored(space, config, np.random.default_rng(k), resample=0.0) for k in range(60)]
    for name, values in {
        "lr": (0.008, 0.0125),
        "momentum": (1 - 0.1 * 1.25, 1 - 0.1 * 0.8),
        "mix": (0.08889 / 1.08889, 0.13889 / 1.13889),
        "dropout": (0.2 - step, 0.2 + step),
        "batch": (32, 128),
        "layers": (2, 4),
        "units": (80, 125),
        "activation": ("gelu",),
    }.items():
        seen = sorted({each[name] for each in found})
        assert len(seen) == len(values), name
        if name != "activation":
            assert seen == pytest.approx(values, rel=1e-3), name


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6), resample=st.sampled_from([0.0, 0.3, 1.0]), factor=st.sampled_from([1.0, 1.2, 3.0, 50.0])
)
def test_exploring_stays_within_bounds_and_keeps_what_is_fixed(seed, resample, factor):
    space, rng = mixed_space(), np.random.default_rng(seed)
    config = space.sample(rng)
    found = explored(space, config, rng, (1 / factor, factor), resample, fixed=("width", "optimizer"))
    assert space.check(found) == found
    assert (found["width"], found["optimizer"]) == (config["width"], config["optimizer"])
    if factor == 1.0 and resample == 0.0:
        assert found == config


def test_values_at_the_ends_are_not_stuck():
    space = tw.Space(
        lr=tw.Float(1e-4, 1.0, scale="log"), dropout=tw.Float(0.0, 0.5), batch=tw.Choice([1, 2], ordered=True)
    )
    for config in ({"lr": 1e-4, "dropout": 0.0, "batch": 1}, {"lr": 1.0, "dropout": 0.5, "batch": 2}):
        found = explored(space, config, RNG, resample=0.0)
        assert all(found[name] != config[name] for name in space)


def test_a_value_that_the_space_no_longer_has_is_drawn():
    narrow = tw.Space(lr=tw.Float(1e-3, 1e-2, scale="log"), new=tw.Float(0.0, 1.0))
    found = explored(narrow, {"lr": 0.5, "old": 3}, RNG)
    assert narrow.check(found) == found


# --- whole studies ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("workers", [1, 8])
def test_every_decision_again_with_faults(name, workers):
    study = trained(ALL[name](), workers, faults=0.03, stragglers=0.1, seed=3)
    assert study.history.counts[Status.COMPLETED] == 8
    assert study.history.steps_done == 320
    assert any(isinstance(e, Ended) and e.status is Status.LOST for e in study.events)
    result = replay(study.events)
    assert result.ok, result.mismatch
    assert result.verdicts > 20


@pytest.mark.parametrize("name", ALL)
def test_forks_come_from_the_top_and_families_are_whole(name):
    """Replays the events and looks at each fork at the moment it was made."""
    study = trained(ALL[name](), workers=3, faults=0.02)
    history, forks = History(), 0
    for event in study.events:
        if isinstance(event, TrialStarted) and event.fork is not None:
            donor, step = history.trials[event.fork.trial], event.fork.step
            assert donor.saved == step or step in donor.kept
            assert math.isfinite(history.rung(step).loss(donor.number))
            assert event.config["width"] == donor.params["width"]
            forks += 1
        history.apply(event)
    assert forks >= 20
    for trial in history.trials:
        line = lineage(history, trial.number)
        assert line[0].fork is None
        assert all(child.fork.trial == parent.number for parent, child in itertools.pairwise(line))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("workers", [1, 3, 8])
def test_no_checkpoint_is_removed_before_its_last_fork(name, workers):
    """What nothing needs may be removed at any moment, so a fork's checkpoint has to be needed all the time before.

    Donors may have completed by then, and with them all others of their sub-population.
    """
    for seed in range(4):
        study = trained(ALL[name](), workers, steps=64, max_steps=8, seed=seed, faults=0.02, stragglers=0.3)
        history, unneeded = History(), set()
        for event, following in itertools.pairwise([*study.events, None]):
            if isinstance(event, TrialStarted) and event.fork is not None:
                assert (event.fork.trial, event.fork.step) not in unneeded
            history.apply(event)
            if isinstance(event, Ended) and isinstance(following, TrialStarted) and following.time == event.time:
                continue  # these two are written at once
            for trial in history.trials:
                needed = history.needed_checkpoints(trial.number)
                unneeded.update((trial.number, step) for step in range(1, trial.saved + 1) if step not in needed)
        assert any(trial.fork for trial in history.trials)


def test_the_outcome_does_not_depend_on_the_number_of_workers():
    def outcome(workers, **options):
        study = trained(tw.schedulers.PBT(8, 3, resample=0.0, perturb=(1.25,), truncation=0.125), workers, **options)
        rungs = [study.history.rung(step) for step in range(3, 40, 3)]
        return [sorted(rung.losses()) for rung in rungs]

    expected = outcome(1)
    assert outcome(3) == expected
    assert outcome(8, faults=0.02, stragglers=0.1) == expected


def test_every_generation_has_all_members_and_a_total_of_steps_is_exact():
    study = trained(tw.schedulers.PBT(8, 3), workers=3)
    assert [len(study.history.rung(step)) for step in range(3, 40, 3)] == [8] * 13
    assert [len(study.history.begun["pbt", step]) for step in range(3, 40, 3)] == [2] * 13
    assert study.history.steps_done == 8 * 40
    assert study.run(max_steps=40, steps=1000, executor=Simulated(curve), progress=False) == (
        "the population of 8 is trained"
    )


def test_with_even_workers_waiting_costs_little():
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(16, 4, truncation=0.25), seed=0)
    cluster = Simulated(curve, workers=4)
    study.run(max_steps=40, steps=640, executor=cluster, progress=False)
    assert cluster.busy_seconds > 0.9 * 4 * study.history.active_seconds


def test_a_longer_run_goes_on_where_the_shorter_one_ended():
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(8, 3), seed=1)
    for steps in (17, 100, 101, 320):
        study.run(max_steps=40, steps=steps, executor=Simulated(curve, 3), progress=False)
        assert study.history.steps_done == steps
    assert study.history.counts[Status.COMPLETED] == 8
    assert replay(study.events).ok


def test_a_driver_that_dies_anywhere_changes_no_decision(tmp_path):
    """Cut the journal off at many places; whoever goes on comes to the same generations."""
    options = {"resample": 0.0, "perturb": (1.25,), "truncation": 0.125}
    whole = trained(tw.schedulers.PBT(8, 3, **options), workers=1)
    expected = [sorted(whole.history.rung(step).losses()) for step in (9, 21, 39)]
    events = whole.events
    for cut in range(40, len(events), 97):
        study = tw.Study(SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(8, 3, **options), seed=1)
        kept = events[1:cut]
        running = History(events[:cut]).running  # what the next driver writes about the trials of a dead one
        lost = [Ended(kept[-1].time, trial, Status.LOST, "no driver looks after it", fault="run") for trial in running]
        study._ledger.journal.append([*kept, *lost], after=1)
        study.refresh()
        study.run(max_steps=40, steps=320, executor=Simulated(curve, 1), progress=False)
        assert [sorted(study.history.rung(step).losses()) for step in (9, 21, 39)] == expected
        assert replay(study.events).ok


def test_several_goals_and_constraints_rank_as_rungs_do():
    def both(params, step):
        return {"loss": curve(params, step)[0]["loss"], "size": params["width"] / 10}, 1.0

    study = tw.Study(
        SPACE, ["loss", "size"], ["min", "min"], constraints=["size <= 20"], sampler="random",
        scheduler=tw.schedulers.PBT(8, 3), seed=0,
    )  # fmt: skip
    study.run(max_steps=20, steps=160, executor=Simulated(both, 4), progress=False)
    assert replay(study.events).ok
    assert study.history.counts[Status.COMPLETED] == 8


def test_a_diverging_member_loses_its_place():
    def sometimes(params, step):
        return (math.nan if step > 4 and params["lr"] > 0.1 else curve(params, step)[0]["loss"]), 1.0

    study = tw.Study(SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(8, 3, fixed=("width",)), seed=2)
    study.run(max_steps=30, steps=240, executor=Simulated(sometimes, 4), progress=False)
    assert study.history.counts[Status.DIVERGED] >= 1
    assert study.history.counts[Status.COMPLETED] == 8
    assert replay(study.events).ok


def test_when_all_diverge_it_ends_and_says_so():
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(4, 3), seed=2)
    reason = study.run(max_steps=30, steps=1000, executor=Simulated(lambda p, s: (math.nan, 1.0), 2), progress=False)
    assert "nobody is left" in reason
    assert len(study.trials) == 8


# --- MF-PBT, IPBT, PB2 ------------------------------------------------------------------------------------------------


def test_populations_of_mf_pbt_evolve_at_their_own_pace():
    study = trained(tw.schedulers.MFPBT(12, 3, factors=(1, 2, 4)), workers=5, steps=480)
    begun = study.history.begun
    assert all(len(begun["mf_pbt/1", step]) >= 1 for step in range(3, 40, 3))
    assert {step for group, step in begun if group == "mf_pbt/2"} == {0, 6, 12, 18, 24, 30, 36}
    assert {step for group, step in begun if group == "mf_pbt/4"} == {0, 12, 24, 36}
    migrants = [t for t in study.trials if t.fork and study.trials[t.fork.trial].group != t.group]
    assert migrants
    for trial in migrants:
        donor = study.trials[trial.fork.trial]
        if int(donor.group[-1]) > int(trial.group[-1]):  # from a slower one, with all it has
            assert trial.params == donor.params
        else:
            assert "the best at home" in trial.why


def test_ipbt_starts_again_with_a_longer_interval_when_it_gets_no_further():
    def stuck(params, step):
        return abs(math.log10(params["lr"]) + 2) + max(0.0, 1.0 - step / 10), 1.0

    study = tw.Study(SPACE, "loss", sampler="random", scheduler=tw.schedulers.IPBT(8, 2, patience=2), seed=1)
    study.run(max_steps=32, steps=256, executor=Simulated(stuck, 4), progress=False)
    history = study.history
    rounds = [group for group in history.groups if group.startswith("ipbt/")]
    assert len(rounds) >= 2
    first = history.trials[history.groups["ipbt/1"][0]].fork.step
    assert first % 4 == 0
    assert len(history.begun["ipbt/1", first]) == 8
    assert {history.trials[n].keep for n in history.groups["ipbt/1"]} == {4}
    assert {history.trials[n].status for n in history.groups["ipbt/0"]} == {Status.STOPPED}
    assert history.counts[Status.COMPLETED] == 8
    assert history.steps_done == 256
    assert replay(study.events).ok


def test_pb2_learns_where_the_loss_falls():
    """The change of the loss depends on the learning rate alone: best at 0.01, at all times."""
    from tunewell.schedulers.pb2 import promising

    space = tw.Space(lr=tw.Float(1e-4, 1.0, scale="log"), width=tw.Int(8, 256, scale="log"))
    history, rng = History([created(space)]), np.random.default_rng(0)
    for number in range(16):
        config = space.sample(rng)
        history.apply(TrialStarted(0.0, number, config, number, driver="d", group="pb2", keep=5))
        for step in range(1, 16):
            loss = 10.0 + step * (abs(math.log10(config["lr"]) + 2.0) - 2.0)
            history.apply(Reported(float(step), number, step, {"loss": loss}))
        history.apply(Ended(20.0, number, Status.COMPLETED))
    found = promising(space, history, "pb2", 5, {"lr": 0.9, "width": 33}, 15, ("width",), rng)
    assert abs(math.log10(found["lr"]) + 2.0) < 0.35
    assert found["width"] == 33


# --- what can be wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        ("PBT", {"population": 1}, "population to be a whole number of at least 2"),
        ("PBT", {"interval": 0}, "interval to be a whole number of at least 1"),
        ("PBT", {"truncation": 0.6}, "truncation"),
        ("PBT", {"resample": 2}, "resample"),
        ("PBT", {"perturb": (0.0, 2.0)}, "factors above 0"),
        ("MFPBT", {"population": 8}, "population to be a whole number of at least 12"),
        ("MFPBT", {"factors": (2, 1)}, "factors"),
        ("MFPBT", {"factors": (1, 2.0)}, "factors to be a whole number"),
        ("IPBT", {"patience": 0}, "patience"),
        ("IPBT", {"patience": 2.0}, "patience to be a whole number"),
        ("PBT", {"interval": 2.0}, "interval to be a whole number"),
        ("PB2", {"population": 4.0}, "population to be a whole number"),
        ("Replay", {"schedule": [{"after": 0, "params": {}}], "repeats": 2.0}, "repeats to be a whole number"),
    ],
)
def test_nonsense_is_refused(make, options, words):
    with pytest.raises(ValueError, match=words):
        getattr(tw.schedulers, make)(**options)


def test_a_single_name_in_fixed_is_refused():
    with pytest.raises(TypeError, match=r"write fixed=\('width',\)"):
        tw.schedulers.PBT(fixed="width")


def test_an_unknown_name_in_fixed_and_too_small_a_total_are_told_before_anything_trains():
    with pytest.raises(ValueError, match="did you mean 'width'"):
        tw.Study(SPACE, "loss", scheduler=tw.schedulers.PBT(8, 3, fixed=("widht",)), seed=0)
    study = tw.Study(SPACE, "loss", scheduler=tw.schedulers.PBT(8, 3), seed=0)
    with pytest.raises(ValueError, match=r"at least 8 trials.*got trials=5"):
        study.run(max_steps=10, trials=5, executor=Simulated(curve), progress=False)


def test_a_total_of_trials_that_holds_the_founders_trains_the_population():
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(8, 3), seed=0)
    study.run(max_steps=12, trials=8, executor=Simulated(curve, 3), progress=False)
    assert study.history.counts[Status.COMPLETED] == 8
    assert len(study.trials) > 8


def test_the_options_survive_the_journal(tmp_path):
    scheduler = tw.schedulers.PBT(4, 3, perturb=(0.5, 2.0), fixed=("width",))
    tw.Study(SPACE, "loss", scheduler=scheduler, seed=0, storage=tmp_path / "s.db").close()
    study = tw.open(tmp_path / "s.db")
    study.run(max_steps=12, steps=48, executor=Simulated(curve, 2), progress=False)
    again = tw.Study(SPACE, "loss", scheduler=scheduler, seed=0, storage=tmp_path / "s.db", name="study")
    assert json.dumps(again.history.settings["scheduler"])
    assert not any(type(event).__name__ == "SettingsChanged" for event in again.events)
    assert replay(study.events).ok


# --- samplers beside it -----------------------------------------------------------------------------------------------


def test_samplers_learn_from_founders_and_not_from_forks():
    from tunewell.samplers.results import results
    from tunewell.surrogate.observations import observe, tried

    study = trained(tw.schedulers.PBT(8, 3))
    founders = [trial for trial in study.trials if trial.fork is None]
    assert len(founders) == 8
    assert set(results(SPACE, study.history).numbers.tolist()) == {trial.number for trial in founders}
    assert len(observe(SPACE, study.history).losses) <= 8
    assert len(tried(SPACE, study.history)) == len({tuple(sorted(t.params.items(), key=str)) for t in study.trials})
    assert study.best.fork is not None


@pytest.mark.parametrize("sampler", ["auto", "tpe", "evolution"])
def test_a_sampler_goes_on_after_a_population(sampler, tmp_path):
    place = tmp_path / "s.db"
    first = tw.Study(SPACE, "loss", sampler=sampler, scheduler=tw.schedulers.PBT(8, 3), seed=0, storage=place)
    first.run(max_steps=12, steps=96, executor=Simulated(curve, 4), progress=False)
    first.close()
    trials = len(first.trials)
    second = tw.Study(SPACE, "loss", sampler=sampler, scheduler="fifo", seed=0, storage=place)
    second.run(max_steps=12, trials=trials + 10, executor=Simulated(curve, 4), progress=False)
    assert len(second.trials) == trials + 10
    assert replay(second.events).ok


@pytest.mark.parametrize("population", [4, 8])
@pytest.mark.parametrize("workers", [1, 3])
def test_at_a_restart_the_best_are_there_to_be_forked_whoever_comes_last(population, workers):
    """Whoever came last was stopped, and was the only one to fork, or its checkpoint was gone."""

    def stalls(params, step):
        return params["x"] + max(1.0 / step, 1.0 / 8.0), 1.0 + params["x"]

    restarts = 0
    for seed in range(6):
        scheduler = tw.schedulers.IPBT(population, interval=1, patience=1)
        study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), sampler="random", scheduler=scheduler, seed=seed)
        study.run(max_steps=30, steps=30 * population, executor=Simulated(stalls, workers), progress=False)
        history = study.history
        assert history.counts[Status.COMPLETED] == population
        assert replay(study.events).ok
        for (group, step), begun in history.begun.items():
            if group == "ipbt/0" or step != history.trials[history.groups[group][0]].fork.step:
                continue
            before = f"ipbt/{int(group.removeprefix('ipbt/')) - 1}"
            best = history.rung(step, before).ranked()[: max(1, population // 4)]
            assert {history.trials[number].fork.trial for number in begun} <= set(best)
            restarts += 1
    assert restarts >= 6


def test_migrants_bring_the_width_of_their_weights():
    """Their other values may be those of the best at home."""
    space = tw.Space(lr=tw.Float(1e-4, 1.0, scale="log"), width=tw.Int(8, 512))
    kinds = set()
    for seed in range(4):
        scheduler = tw.schedulers.MFPBT(population=12, interval=1, fixed=("width",))
        study = tw.Study(space, sampler="random", scheduler=scheduler, seed=seed)
        unsteady = Simulated(lambda params, step: ((params["lr"] * 1e3 * step) % 1, 1.0), 2)
        study.run(steps=144, max_steps=12, executor=unsteady, progress=False)
        for trial in study.trials:
            if trial.fork is not None:
                donor = study.trials[trial.fork.trial]
                assert trial.params["width"] == donor.params["width"]
                kinds.add(donor.group == trial.group or "the best at home" in trial.why)
        assert replay(study.events).ok
    assert kinds == {True, False}


def test_migrants_fit_a_space_that_was_changed():
    def unsteady(params, step):
        return (params["lr"] * 1e3 * step) % 1, 1.0

    for seed in range(4):
        scheduler = tw.schedulers.MFPBT(population=12, interval=1)
        study = tw.Study(
            tw.Space(lr=tw.Float(1e-4, 1.0, scale="log")), sampler="random", scheduler=scheduler, seed=seed
        )
        study.run(steps=50, max_steps=12, executor=Simulated(unsteady, 2), progress=False)
        space = tw.Space(lr=tw.Float(1e-3, 0.1, scale="log"), decay=tw.Float(0.0, 1.0))
        study.change_space(space)
        begun = len(study.trials)
        study.run(steps=144, max_steps=12, executor=Simulated(unsteady, 2), progress=False)
        later = study.trials[begun:]
        assert any("is better here" in trial.why for trial in later)
        assert all(space.check(trial.params) == trial.params for trial in later)


# --- members in a person's hand ---------------------------------------------------------------------------------------


def adjust(paper, trial, **values):
    step = paper.history.trials[trial].step
    paper.history.apply(Adjusted(float(len(paper.history)), trial, step, values, "person", "by hand"))


def finish(paper, trial, step, loss):
    """Let a trial that is in a person's hand report, and no scheduler decide."""
    record = paper.history.trials[trial]
    for each in range(record.step + 1, step + 1):
        paper.history.apply(Reported(float(len(paper.history)), trial, each, {"loss": loss}))
        paper.history.apply(CheckpointSaved(float(len(paper.history)), trial, each))


@pytest.mark.parametrize("name", ["pbt", "pb2", "mf_pbt", "ipbt"])
def test_a_fork_begins_with_the_values_in_force_where_its_donor_saved(name):
    schedulers = {
        "pbt": tw.schedulers.PBT(4, 2, resample=0.0, perturb=(1.25,)),
        "pb2": tw.schedulers.PB2(4, 2, fixed=("lr",)),
        "mf_pbt": tw.schedulers.MFPBT(4, 2, factors=(1,), perturb=(1.25,)),
        "ipbt": tw.schedulers.IPBT(4, 2, fixed=("lr",)),
    }
    paper = Paper(schedulers[name], horizon=6)
    for _ in range(4):
        paper.start()
    paper.train(0, 1, 0.5)
    adjust(paper, 0, lr=0.5)
    finish(paper, 0, 2, 0.1)
    adjust(paper, 0, lr=0.3)  # from step 2 on
    for trial, loss in ((1, 0.2), (2, 0.3), (3, 0.9)):
        paper.train(trial, 2, loss)
    _, fork = paper.start()
    assert fork.trial == 0
    assert fork.config["lr"] == pytest.approx(0.3 * 1.25 if name in ("pbt", "mf_pbt") else 0.3)


def test_a_member_in_a_persons_hand_keeps_its_place_and_the_worst_of_the_others_loses_one():
    paper = Paper(tw.schedulers.PBT(population=4, interval=2), horizon=20)
    for _ in range(4):
        paper.start()
    paper.train(0, 1, 0.9)
    adjust(paper, 0, lr=1e-4)
    for step in (2, 4, 6):
        finish(paper, 0, step, 0.99)
        others = [n for n in paper.history.alive["pbt"] if n]
        for place, trial in enumerate(others, start=1):
            if paper.history.trials[trial].status is Status.PAUSED:
                paper.history.apply(TrialResumed(100.0, trial, step - 2, "", "d"))
            verdict = paper.train(trial, step, place / 10)  # with one at risk the last to come is the worst
        assert verdict.reason == f"place 3 of 4 at step {step}: the worst 1 of 4 become forks of the best 1"
        number, fork = paper.start()
        assert fork.trial == others[0]
        assert not isinstance(paper.act(), Start | Fork)
        assert sorted(paper.history.alive["pbt"]) == sorted([0, *others[:-1], number])


def test_a_member_that_is_adjusted_while_it_rests_goes_on_and_no_other_loses_its_place():
    paper = Paper(tw.schedulers.PBT(population=4, interval=2), horizon=20)
    for _ in range(4):
        paper.start()
    assert isinstance(paper.train(0, 2, 0.9), Pause)
    assert isinstance(paper.train(1, 2, 0.8), Continue)  # for one is worse
    assert isinstance(paper.train(2, 2, 0.1), Continue)
    adjust(paper, 0, lr=1e-4)
    assert paper.act().trial == 0
    assert isinstance(paper.train(3, 2, 0.2), Continue)
    assert isinstance(paper.act(), Resume)
    assert len(paper.history.alive["pbt"]) == 4


@pytest.mark.parametrize("name", ALL)
def test_a_population_does_not_grow_by_a_member_that_does_badly_by_hand(name):
    """A person gives trial 0 the worst learning rate after its first step."""
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=ALL[name](), seed=1)
    asked = []

    def watch(history, events):
        if not asked and history.trials and history.trials[0].step:
            asked.append(study.adjust(0, lr=1e-4, guard=False))

    def slow(params, step):
        return {"loss": abs(math.log10(params["lr"]) + 1.5)}, 10.0

    study.run(max_steps=12, steps=96, executor=Simulated(slow, 2), progress=watch)
    history = study.history
    assert history.trials[0].by_hand
    assert history.trials[0].status in (Status.COMPLETED, Status.RUNNING)
    assert history.steps_done == 96
    for step in (3, 6, 9):
        groups = {trial.group for trial in history.trials if trial.step > step}
        assert sum(len(history.rung(step, group)) for group in groups) == 8
        assert sum(len(begun) for (_, at), begun in history.begun.items() if at == step) >= 1
    assert replay(study.events).ok


# --- trainings that end before the next comparison --------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("steps", [12, 10, 2])
def test_in_a_longer_run_every_place_goes_on_from_where_it_was(name, steps):
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=ALL[name](), seed=1)
    study.run(max_steps=steps, steps=10**6, executor=Simulated(curve, 3), progress=False)
    done = [trial.number for trial in study.trials if trial.status is Status.COMPLETED]
    assert len(done) == 8
    study.run(max_steps=24, steps=10**6, executor=Simulated(curve, 3, faults=0.02), progress=False)
    heirs = [trial for trial in study.trials if trial.fork and trial.fork.step == steps]
    assert sorted(trial.fork.trial for trial in heirs) == done
    assert all(trial.params == study.trials[trial.fork.trial].params for trial in heirs)
    assert all(trial.group == study.trials[trial.fork.trial].group for trial in heirs)
    assert study.history.steps_done == 8 * 24
    assert study.history.counts[Status.COMPLETED] == 16
    groups = {trial.group for trial in study.trials if trial.step == 24}
    assert sum(len(study.history.rung(21, group)) for group in groups) == 8
    assert replay(study.events).ok


def test_a_longer_run_takes_on_members_that_ended_and_members_that_were_cut_off():
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(8, 3), seed=1)
    study.run(max_steps=12, steps=8 * 12 - 5, executor=Simulated(curve, 3), progress=False)
    assert 0 < study.history.counts[Status.COMPLETED] < 8
    study.run(max_steps=24, steps=10**6, executor=Simulated(curve, 3), progress=False)
    assert study.history.steps_done == 8 * 24
    assert [len(study.history.rung(step)) for step in (15, 18, 21)] == [8] * 3
    assert replay(study.events).ok


def test_a_longer_run_says_which_checkpoint_it_has_not():
    def train(trial):
        for step in trial.steps():
            trial.report(loss=1.0 / step)
            if step < 4:
                trial.save(lambda folder: None)

    study = tw.Study(SPACE, "loss", sampler="random", scheduler=tw.schedulers.PBT(2, 3, fixed=("width",)), seed=1)
    study.run(train, max_steps=4, steps=10**6, executor="inline", progress=False)
    with pytest.raises(ValueError, match=r"a checkpoint of step 4, where trial \d completed, to train it on to step 8"):
        study.run(train, max_steps=8, steps=10**6, executor="inline", progress=False)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("steps", [2, 3])
def test_trainings_shorter_than_the_interval_are_trained_once_and_said_not_to_be_compared(name, steps):
    study = tw.Study(SPACE, "loss", sampler="random", scheduler=ALL[name](), seed=1)
    reason = study.run(max_steps=steps, steps=10**6, executor=Simulated(curve, 3), progress=False)
    said = f"without a comparison: these are 3 steps apart, and training ends at step {steps}"
    assert reason == f"the population of 8 is trained, {said}"
    assert len(study.trials) == 8
    assert all(said in trial.why for trial in study.trials)
    assert replay(study.events).ok


def test_the_place_of_a_founder_that_completed_before_the_first_rung_goes_to_a_fork_there():
    paper = Paper(tw.schedulers.PBT(population=4, interval=3), horizon=20)
    for _ in range(4):
        paper.start()
    paper.train(0, 1, 0.5)
    paper.history.apply(Ended(9.0, 0, Status.COMPLETED))
    assert not isinstance(paper.act(), Start)
    for trial in (1, 2, 3):
        paper.train(trial, 3, trial / 10)
    _, fork = paper.start()
    assert (fork.trial, fork.step) == (1, 3)
    assert "a place was empty" in fork.reason


# --- what a run is told -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_without_a_total_a_population_says_how_many_steps_it_takes(name):
    study = tw.Study(SPACE, "loss", scheduler=ALL[name](), seed=0)
    with pytest.raises(ValueError, match=r"got none: say steps=96, for that is what 8 members of a population train"):
        study.run(max_steps=12, executor=Simulated(curve), progress=False)
    with pytest.raises(ValueError, match=r"got none: say max_steps=50, for example, and steps=8 \* 50"):
        study.run(executor=Simulated(curve), progress=False)


@pytest.mark.parametrize("limits", [{"steps": 96}, {"trials": 8}, {"seconds": 60.0}])
@pytest.mark.parametrize("name", ALL)
def test_an_objective_that_only_returns_a_value_is_told_what_a_population_needs(name, limits):
    study = tw.Study(SPACE, "loss", scheduler=ALL[name](), seed=0)
    with pytest.raises(ValueError, match=r"trial 0 completed without a report: loop over trial.steps\(\), and call"):
        study.run(lambda trial: trial.params["lr"], executor="inline", max_steps=12, progress=False, **limits)
