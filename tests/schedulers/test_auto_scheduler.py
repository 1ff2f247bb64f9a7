"""The default scheduler: which one it puts in charge, and what that brings; and levels in the place of steps."""

from __future__ import annotations

import math

import pytest

import tunewell as tw
from tunewell.analysis.report import report
from tunewell.console.summary import summary
from tunewell.events import Planned, Status, StudyCreated
from tunewell.executors import Simulated
from tunewell.replay import replay
from tunewell.schedulers import Asha, Fifo, FreezeThaw
from tunewell.schedulers.auto import Auto
from tunewell.surrogate.spending import in_words, spending
from tunewell.testing.schedulers import SchedulerContract
from tunewell.trial import levels_to_steps

SPACE = tw.Space(lr=tw.Float(1e-4, 1.0, scale="log"), width=tw.Int(8, 256, scale="log"))


def curve(params, step):
    return {"loss": (math.log10(params["lr"]) + 2.0) ** 2 + 1.0 / step}, 10.0


def misleading(params, step):
    x = math.log10(params["lr"]) + 2.0
    return {"loss": x * x if step >= 24 else -x * x}, 10.0


def study_of(evaluate=curve, workers=1, **limits):
    study = tw.Study(SPACE, "loss", seed=3, default_first=False)
    limits.setdefault("max_steps", 27)
    study.run(executor=Simulated(evaluate, workers), progress=False, **limits)
    return study


class TestAuto(SchedulerContract):
    @pytest.fixture
    def scheduler(self):
        return Auto()


def test_it_is_the_default_and_stored_as_such():
    study = tw.Study(SPACE, "loss")
    created = study.events[0]
    assert isinstance(created, StudyCreated)
    assert created.settings["scheduler"] == {"name": "auto"}


def test_a_total_of_trials_asks_for_whole_trainings():
    study = study_of(trials=12)
    assert [trial.step for trial in study.trials] == [27] * 12
    assert isinstance(Auto().chosen(study.history)[0], Fifo)


def test_a_total_of_steps_is_spent_where_it_pays():
    study = study_of(steps=10 * 27)
    assert study.history.steps_done == 270
    assert len(study.trials) > 15
    assert study.best.value < 0.05
    assert any(trial.why.startswith("freeze-thaw") for trial in study.trials)
    assert replay(study.events).ok


def test_so_is_a_total_of_seconds():
    study = study_of(seconds=27 * 10.0 * 6)
    assert isinstance(Auto().chosen(study.history)[0], FreezeThaw)
    assert len(study.trials) > 10


@pytest.mark.parametrize("limits", [{"steps": 10}, {"steps": 12}, {"seconds": 100.0}, {"seconds": 120.0}])
def test_a_total_of_about_one_training_finishes_the_default_and_begins_nothing_else(limits):
    for seed in range(3):
        study = tw.Study(tw.Space(lr=tw.Float(1e-4, 1.0, scale="log", default=0.05)), "loss", seed=seed)
        study.run(max_steps=10, executor=Simulated(curve), progress=False, **limits)
        assert [(trial.step, trial.origin, trial.status) for trial in study.trials] == [(10, "default", "completed")]
        assert in_words(study.history).endswith("the total holds about one training for each worker.")
        assert replay(study.events).ok


def test_several_workers_leave_the_steps_that_the_first_training_needs():
    study = study_of(workers=2, steps=30)
    assert [trial.step for trial in study.trials] == [27]
    assert "the total holds about one training for each worker" in study.trials[0].why


def test_a_configuration_in_line_is_begun_though_little_is_left():
    study = study_of(steps=30)
    study.enqueue({"lr": 0.01, "width": 8})
    study.run(max_steps=27, steps=30, executor=Simulated(curve), progress=False)
    assert [trial.step for trial in study.trials] == [27, 3]


def test_many_workers_promote_without_a_model():
    study = study_of(workers=64, steps=60 * 27)
    chosen, why = Auto().chosen(study.history)
    assert isinstance(chosen, Asha)
    assert "64 workers" in why


def test_short_trainings_are_trained_whole():
    study = study_of(steps=30, max_steps=3)
    assert [trial.step for trial in study.trials] == [3] * 10


def test_early_losses_that_have_not_told_late_ones_are_not_asked_again():
    study = tw.Study(SPACE, "loss", seed=0, sampler="random", scheduler="fifo", default_first=False)
    study.run(trials=12, max_steps=27, executor=Simulated(misleading), progress=False)
    study = tw.Study(SPACE, "loss", seed=0, default_first=False)
    for _ in range(12):
        trial = study.ask()
        for step in trial.steps(27):
            trial.report(loss=misleading(trial.params, step)[0]["loss"])
        study.tell(trial)
    study.run(steps=12 * 27 + 54, max_steps=27, executor=Simulated(misleading), progress=False)
    chosen, why = Auto().chosen(study.history)
    assert isinstance(chosen, Fifo)
    assert "have not told late ones" in why


# --- which scheduler is in charge, in words ---------------------------------------------------------------------------


def test_it_says_which_scheduler_it_chose_where_it_compares_and_why():
    study = study_of(steps=10 * 27)
    assert in_words(study.history).startswith(
        "The default scheduler chose freeze-thaw, comparing at steps 1, 2, 4, 8 and 16: a total of steps is best spent"
    )
    assert in_words(study_of(trials=2).history) == (
        "The default scheduler chose whole trainings, first in first out: "
        "a total of trials asks for so many whole trainings."
    )
    many = in_words(study_of(workers=64, steps=6 * 27).history)
    assert "chose ASHA, comparing at steps 1, 3 and 9: 64 workers" in many


def test_it_says_how_well_early_losses_have_told_late_ones():
    study = tw.Study(SPACE, "loss", sampler="random", seed=0, default_first=False)
    study.run(trials=12, max_steps=27, executor=Simulated(curve), progress=False)
    study.run(steps=12 * 27 + 54, max_steps=27, executor=Simulated(curve), progress=False)
    assert "rank correlation 1.00 in 13 trials" in in_words(study.history)


def test_it_says_that_early_losses_misled():
    study = tw.Study(SPACE, "loss", sampler="random", seed=0, default_first=False)
    study.run(trials=12, max_steps=27, executor=Simulated(misleading), progress=False)
    study.run(steps=12 * 27 + 54, max_steps=27, executor=Simulated(misleading), progress=False)
    assert "first in first out: early losses have not told late ones in" in in_words(study.history)


def test_it_says_that_trials_without_checkpoints_are_stopped_for_good():
    study = tw.Study(SPACE, "loss", seed=3, default_first=False)
    study.run(steps=20 * 27, max_steps=27, executor=Simulated(curve, saves=False), progress=False)
    assert in_words(study.history).endswith(
        "Trials save no checkpoints, so those that fall behind are stopped for good."
    )


def test_another_scheduler_and_a_study_that_never_ran_say_nothing():
    study = tw.Study(SPACE, "loss", scheduler="asha", sampler="random", seed=0)
    study.run(trials=2, max_steps=3, executor=Simulated(curve), progress=False)
    assert in_words(study.history) == ""
    assert in_words(tw.Study(SPACE, "loss").history) == ""


def test_report_and_console_say_it():
    history = study_of(steps=2 * 27).history
    words = in_words(history)
    assert words
    assert words in report(history)
    assert f"scheduler: {words}" in summary(history, None, "done")


def test_the_rungs_that_are_told_are_those_of_the_scheduler_in_charge():
    for workers in (1, 64):
        history = study_of(workers=workers, steps=6 * 27).history
        chosen, _ = Auto().chosen(history)
        assert isinstance(chosen, Asha | FreezeThaw)
        assert [step for step in chosen.rungs(27) if step < 27] == list(spending(history).rungs)


# --- levels -----------------------------------------------------------------------------------------------------------


def shares(trial):
    for share in trial.levels([1 / 27, 1 / 9, 1 / 3, 1.0]):
        trial.report(loss=(math.log10(trial.params["lr"]) + 2.0) ** 2 + 0.1 / share, share=share)


@pytest.mark.parametrize(
    ("values", "steps"),
    [([1 / 27, 1 / 9, 1 / 3, 1.0], [1, 3, 9, 27]), ([32, 64, 128], [1, 2, 4]), ([10, 11, 12], [1, 2, 3])],
)
def test_a_level_counts_as_many_steps_as_it_is_larger_than_the_first(values, steps):
    assert levels_to_steps(values) == steps


@pytest.mark.parametrize(
    "values", [[1.0], [], [0.0, 1.0], [0.5, 0.5], [1.0, 0.5], ["small", "large"], [0.1, math.inf], 3]
)
def test_bad_levels_are_named(values):
    with pytest.raises(ValueError, match="at least two numbers above 0 in rising order"):
        levels_to_steps(values)


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "freeze_thaw"])
def test_trials_rest_between_levels_without_a_checkpoint_of_their_own(scheduler, tmp_path):
    study = tw.Study(SPACE, "loss", seed=1, sampler="random", scheduler=scheduler, directory=tmp_path)
    study.run(shares, steps=200, executor="inline", progress=False)
    steps = {report.step for trial in study.trials for report in trial.reports}
    assert steps == {1, 3, 9, 27}
    assert any(trial.status == "paused" for trial in study.trials)
    assert any(isinstance(event, Planned) and event.steps == 27 for event in study.events)
    resumed = [trial for trial in study.trials if len(trial.stretches) > 1]
    assert resumed
    for trial in study.trials:
        assert [round(27 * report.metrics["share"]) for report in trial.reports] == [r.step for r in trial.reports]
    assert study.history.horizon == 27


def test_a_training_that_breaks_off_at_once_does_not_end_a_run_of_seconds():
    """A first step has a start-up of its own: after one it cannot be known how many trainings a total holds."""
    first = []

    def slow_to_start(params, step):
        first.append(params["lr"])
        return {"loss": math.nan if params["lr"] == first[0] else 1.0 / step}, 60.0 if step == 1 else 1.0

    study = study_of(slow_to_start, max_steps=100, seconds=2000)
    assert study.trials[0].status == "diverged"
    assert study.history.counts[Status.COMPLETED] > 1
    assert study.history.active_seconds > 1000


@pytest.mark.parametrize("before", ["ask", "add"])
def test_what_is_asked_for_or_added_does_not_keep_a_small_total_from_its_training(before):
    study = tw.Study(SPACE, "loss", seed=3, default_first=False)
    if before == "ask":
        study.ask()
    else:
        study.add({"lr": 0.01, "width": 16}, 0.5)
    study.run(max_steps=20, steps=9, executor=Simulated(curve), progress=False)
    assert study.history.steps_done == 9
    assert study.ask().number == 2
