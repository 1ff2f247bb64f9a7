"""A virtual clock: what is told when, what is drawn from the seed, and whole studies on many workers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import tunewell as tw
from tunewell.deciders import Deciders
from tunewell.driver import Driver
from tunewell.events import (
    CheckpointSaved,
    Ended,
    Noted,
    Reported,
    RunStarted,
    Status,
    StudyCreated,
    TrialResumed,
    TrialStarted,
)
from tunewell.executors import Simulated
from tunewell.history import History
from tunewell.journals.memory import MemoryJournal
from tunewell.ledger import Ledger
from tunewell.limits import Limits
from tunewell.protocols import Continue, Pause, Stop
from tunewell.replay import replay
from tunewell.testing.executors import Notebook, make_job

SPACE = tw.Space(lr=tw.Float(1e-4, 1.0, scale="log"), width=tw.Int(8, 256, scale="log"))


def curve(params, step):
    return {"loss": abs(math.log10(params["lr"]) + 2.0) + 1.0 / step}, 10.0 + params["width"] / 100.0


def begun(evaluate=lambda params, step: (1.0 / step, 2.0), **options):
    executor = Simulated(evaluate, **options)
    executor.start(None, None, 100.0)
    return executor


def play(executor, notebook=None):
    notebook = notebook or Notebook()
    while executor.busy_trials():
        executor.poll(notebook, 0.2)
    return notebook


def study_on(executor, scheduler="asha", seed=1, sampler="random", **limits):
    study = tw.Study(SPACE, "loss", sampler=sampler, scheduler=scheduler, seed=seed)
    study.run(max_steps=27, executor=executor, progress=False, **limits)
    return study


def test_steps_take_their_seconds_and_the_clock_jumps(tmp_path):
    executor = begun(startup=5.0)
    executor.launch(make_job(tmp_path, max_steps=3))
    notebook = play(executor)
    reports = [event for event in notebook.of(0) if isinstance(event, Reported)]
    assert [(r.time, r.step, r.metrics) for r in reports] == [
        (107.0, 1, {"loss": 1.0}),
        (109.0, 2, {"loss": 0.5}),
        (111.0, 3, {"loss": 1.0 / 3.0}),
    ]
    assert notebook.end_of(0).status is Status.COMPLETED
    assert [e.step for e in notebook.of(0) if isinstance(e, CheckpointSaved)] == [1, 2, 3]
    assert (executor.clock(), executor.busy_seconds) == (111.0, 11.0)


def test_a_stretch_that_ended_when_the_clock_began_took_no_time():
    seed = tw.Study(SPACE, seed=0).history
    journal = MemoryJournal()
    begun = TrialStarted(0.0, 0, seed.space.default(lr=0.1, width=8), 1, driver="gone")
    journal.append([StudyCreated(0.0, "x", SPACE, seed.goals, seed.settings, 0), begun], None)
    journal.append([Ended(0.0, 0, Status.LOST, fault="run"), Noted(100.0, "a day later")], None)
    executor = Simulated(lambda params, step: (1.0 / step, 2.0))
    executor.start(None, None, 100.0)
    limits = Limits(trials=1, trial_seconds=50.0, max_steps=3)
    Driver(Ledger(journal, Path()), Deciders(), executor, limits).run()
    assert [(t.status.value, t.step) for t in History(journal.read()).trials] == [("completed", 3)]


def test_a_job_goes_on_after_its_step(tmp_path):
    executor = begun()
    executor.launch(make_job(tmp_path, max_steps=3, step=2))
    assert [event.step for event in play(executor).of(0) if isinstance(event, Reported)] == [3]


@pytest.mark.parametrize("verdict", [Pause("rung"), Stop("bad")])
def test_a_verdict_frees_the_worker(tmp_path, verdict):
    executor = begun()
    executor.launch(make_job(tmp_path, max_steps=3))
    notebook = play(executor, Notebook(lambda trial, events: verdict))
    assert [e.step for e in notebook.of(0) if isinstance(e, Reported)] == [1]
    assert list(executor.free_workers()) == [0]


def test_a_halted_trial_is_not_heard_of_again(tmp_path):
    executor = begun(workers=2)
    executor.launch(make_job(tmp_path, 0, 0, max_steps=3))
    executor.launch(make_job(tmp_path, 1, 1, max_steps=3))
    executor.halt(0)
    executor.halt(7)
    notebook = play(executor)
    assert not notebook.of(0)
    assert notebook.end_of(1).status is Status.COMPLETED


def test_what_happens_at_one_time_is_told_in_the_order_of_its_beginning(tmp_path):
    executor = begun(workers=3)
    for number in (2, 0, 1):
        executor.launch(make_job(tmp_path, number, number, max_steps=1))
    notebook = Notebook(lambda trial, events: Continue())
    executor.poll(notebook, 0.2)
    assert list(dict.fromkeys(trial for trial, _ in notebook.heard)) == [2, 0, 1]
    assert executor.clock() == 102.0


def test_an_exception_ends_the_trial_with_its_cause(tmp_path):
    def broken(params, step):
        if step == 2:
            raise MemoryError("too wide")
        return 1.0, 1.0

    executor = begun(broken)
    executor.launch(make_job(tmp_path, max_steps=3))
    end = play(executor).end_of(0)
    assert end.status is Status.OUT_OF_MEMORY
    assert "too wide" in end.reason
    assert "MemoryError" in end.error


def test_nan_diverges_and_negative_seconds_fail():
    diverged = study_on(Simulated(lambda params, step: (math.nan, 1.0)), trials=2)
    assert {trial.status for trial in diverged.trials} == {Status.DIVERGED}
    with pytest.raises(tw.ObjectiveError, match="seconds from 0 on, got -1"):
        study_on(Simulated(lambda params, step: (1.0, -1.0)), trials=5)


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="evaluate"):
        Simulated(3)
    for name, value in [
        ("workers", 0),
        ("faults", 1.5),
        ("stragglers", -0.1),
        ("slowdown", 0.5),
        ("startup", math.inf),
    ]:
        with pytest.raises(ValueError, match=name):
            Simulated(curve, **{name: value})
    study = tw.Study(SPACE, "loss", seed=0)
    with pytest.raises(ValueError, match="max_steps"):
        study.run(trials=1, executor=Simulated(curve), progress=False)
    with pytest.raises(TypeError, match="no objective"):
        study.run(lambda trial: 1.0, trials=1, executor=Simulated(curve), progress=False)


def test_the_same_study_again_and_every_decision_as_recorded():
    def events(seed):
        study = study_on(Simulated(curve, 8, stragglers=0.1, faults=0.02, seed=seed), trials=60)
        begin = study.history.created
        return [
            (type(e), getattr(e, "trial", None), round(e.time - math.ceil(begin), 6)) for e in study.events[1:]
        ], study

    (first, study), (again, _), (other, _) = events(0), events(0), events(1)
    assert first == again
    assert first != other
    assert replay(study.events).ok


def test_faults_are_taken_up_from_the_last_checkpoint():
    study = study_on(Simulated(curve, 4, faults=0.05, seed=3), trials=30, scheduler="fifo")
    losses = [event for event in study.events if isinstance(event, Ended) and event.status is Status.LOST]
    resumed = {event.trial: event.step for event in study.events if isinstance(event, TrialResumed)}
    assert len(losses) > 5
    assert any(step > 0 for step in resumed.values())
    assert all(trial.status is Status.COMPLETED or trial.lost_for_good for trial in study.trials)
    assert all([r.step for r in t.reports] == list(range(1, 28)) for t in study.trials if t.status == "completed")


def test_stragglers_take_longer():
    quick = study_on(Simulated(curve, 4), trials=10, scheduler="fifo").history.active_seconds
    slow = study_on(
        Simulated(curve, 4, stragglers=0.2, slowdown=5.0), trials=10, scheduler="fifo"
    ).history.active_seconds
    assert 1.3 * quick < slow < 3.0 * quick


def test_a_thousand_workers_are_kept_busy():
    executor = Simulated(curve, workers=1000)
    study = study_on(executor, steps=40_000)
    assert executor.busy_seconds >= 0.97 * 1000 * study.history.active_seconds
    assert study.history.steps_done == 40_000


@pytest.mark.parametrize("workers", [1, 7, 64])
@pytest.mark.parametrize("steps", [1, 100, 333])
def test_the_budget_of_steps_is_never_overspent(workers, steps):
    study = study_on(Simulated(curve, workers=workers), steps=steps)
    assert study.history.steps_done == steps


def test_trials_that_were_asked_for_use_up_no_steps():
    study = tw.Study(SPACE, "loss", sampler="random", scheduler="fifo", seed=1)
    for _ in range(3):
        study.ask()
    assert study.run(steps=50, max_steps=27, executor=Simulated(curve), progress=False) == "50 steps are done"
    assert study.history.steps_done == 50
    assert (study.history.in_training, len(study.history.running)) == (0, 3)


def test_a_second_run_goes_on_in_time_and_says_its_limits_once(tmp_path):
    study = tw.Study(SPACE, "loss", seed=0, storage=tmp_path / "s.db", scheduler="asha")
    cluster = Simulated(curve, workers=4)
    study.run(trials=10, max_steps=27, executor=cluster, progress=False)
    ended = study.history.last_time
    reopened = tw.open(tmp_path / "s.db", "study")
    reopened.run(trials=20, max_steps=27, executor=Simulated(curve, workers=4), progress=False)
    reopened.run(trials=20, max_steps=27, executor=Simulated(curve, workers=4), progress=False)
    runs = [event for event in reopened.events if isinstance(event, RunStarted)]
    assert [(run.trials, run.workers, run.max_steps) for run in runs] == [(10, 4, 27), (20, 4, 27)]
    assert runs[1].time >= ended
    assert len(reopened.trials) == 20
    assert reopened.history.horizon == 27
