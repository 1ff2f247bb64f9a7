from __future__ import annotations

import errno
import functools
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import CheckpointSaved, Ended, Paused, Status, TrialResumed, TrialStarted
from tunewell.executors.inline import Inline
from tunewell.history import History
from tunewell.replay import replay
from tunewell.schedulers import SCHEDULERS
from tunewell.surrogate.observations import observe

SPACE = tw.Space(
    learning_rate=tw.Float(1e-5, 1e-1, scale="log", default=1e-3),
    layers=tw.Int(1, 4),
    optimizer=tw.Choice(["sgd", "adam"]),
    nesterov=tw.Choice([False, True], when={"optimizer": "sgd"}),
)


def loss_of(params):
    return (math.log10(params["learning_rate"]) + 2.5) ** 2 + 0.1 * params["layers"]


def once(trial):
    return loss_of(trial.params)


def by_steps(trial):
    for step in trial.steps(9):
        trial.report(loss=loss_of(trial.params) + 1 / step)


def saving(trial):
    for step in trial.steps(9):
        trial.report(loss=loss_of(trial.params) + 1 / step)
        trial.save(lambda directory, step=step: (directory / "weights").write_text(str(step)))


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/s.db"


def study_of(storage=None, **options):
    return tw.Study(SPACE, storage=storage, **{"sampler": "random", "scheduler": "fifo", "seed": 3, **options})


def go(study, objective, **options):
    return study.run(objective, **{"executor": "inline", "progress": False, **options})


# --- totals -----------------------------------------------------------------------------------------------------------


def test_the_same_call_again_continues_to_the_same_total(storage):
    first = study_of(storage)
    assert go(first, once, trials=5) == "5 trials are done"
    first.close()
    again = study_of(storage)
    assert go(again, once, trials=5) == "5 trials are done"
    assert len(again.trials) == 5
    go(again, once, trials=8)
    assert [trial.number for trial in again.trials] == list(range(8))
    fresh = study_of()
    go(fresh, once, trials=8)
    assert [dict(t.params) for t in fresh.trials] == [dict(t.params) for t in again.trials]
    again.close()


def test_steps_are_a_total_and_a_trial_cut_off_goes_on(storage):
    study = study_of(storage)
    assert go(study, saving, steps=13) == "13 steps are done"
    assert [(t.status.value, t.step) for t in study.trials] == [("completed", 9), ("paused", 4)]
    go(study, saving, steps=18)
    assert [(t.status.value, t.step) for t in study.trials] == [("completed", 9), ("completed", 9)]
    study.close()


def test_seconds_are_a_total_of_training_time(storage):
    def slow(trial):
        for _ in trial.steps(1000):
            time.sleep(0.01)
            trial.report(loss=1.0)
            trial.save(lambda directory: None)

    study = study_of(storage)
    assert go(study, slow, seconds=0.3) == "0.3 seconds are spent"
    assert 0.3 <= study.history.active_seconds < 0.6
    events = len(study.events)
    time.sleep(0.2)
    assert go(study, slow, seconds=0.3) == "0.3 seconds are spent"
    assert len(study.events) == events
    go(study, slow, seconds=0.5)
    assert len(study.trials) == 1
    study.close()


def test_failed_trials_do_not_count_towards_the_total():
    def sometimes(trial):
        if trial.number in (1, 3):
            raise ValueError(f"trial {trial.number} is unlucky")
        return 1.0

    study = study_of()
    go(study, sometimes, trials=5)
    assert [t.status.value for t in study.trials].count("completed") == 5
    assert len(study.trials) == 7


@pytest.mark.parametrize(
    "options", [{}, {"trials": 0}, {"trials": 2.5}, {"seconds": -1}, {"steps": True}, {"trials": "3"}]
)
def test_a_run_without_a_sound_total_is_refused(options):
    with pytest.raises(ValueError, match="run expected"):
        go(study_of(), once, **options)


# --- what is tried ----------------------------------------------------------------------------------------------------


def test_the_default_comes_first_when_one_is_stated():
    study = study_of()
    go(study, once, trials=3)
    assert dict(study.trials[0].params) == SPACE.default()
    assert [t.origin for t in study.trials] == ["default", "sampler", "sampler"]
    without = study_of(default_first=False)
    go(without, once, trials=2)
    assert [t.origin for t in without.trials] == ["sampler", "sampler"]


def test_enqueued_configurations_come_before_all(storage):
    study = study_of(storage)
    study.enqueue(SPACE.default(learning_rate=1e-2))
    study.enqueue(SPACE.default(learning_rate=2e-2, optimizer="adam"))
    study.close()
    again = study_of(storage)
    go(again, once, trials=4)
    assert [t.origin for t in again.trials] == ["enqueued", "enqueued", "default", "sampler"]
    assert again.trials[1].params["learning_rate"] == 2e-2
    again.close()


def test_an_impossible_configuration_is_refused_at_once():
    with pytest.raises(ValueError, match="did you mean 'learning_rate'"):
        study_of().enqueue({"learning_rte": 0.1})


def test_a_grid_ends_by_itself():
    space = tw.Space(a=tw.Float(0.0, 1.0), b=tw.Choice(["x", "y"]))
    study = tw.Study(space, sampler=tw.samplers.Grid(points=3), scheduler="fifo")
    assert go(study, lambda trial: trial.params["a"], trials=100) == "all 6 points of the grid have been tried"
    assert len(study.trials) == 6


def test_a_changed_space_holds_from_then_on(storage):
    study = study_of(storage)
    go(study, once, trials=3)
    wider = tw.Space(learning_rate=tw.Float(1.0, 2.0), layers=tw.Int(1, 4))
    study.change_space(wider, "the best lay at the edge")
    go(study, once, trials=5)
    assert all(1.0 <= trial.params["learning_rate"] <= 2.0 for trial in study.trials[3:])
    assert study.space == wider
    study.close()


def test_an_asked_trial_that_was_lost_and_then_given_up_counts_once_it_goes_on(storage):
    study = study_of(storage, scheduler="fifo")
    asked = study.ask()
    study.tell(asked, status="lost")
    study.stop(asked.number)
    go(study, once, trials=1)
    assert study.history.spent_trials == 1
    study.resume(asked.number)
    go(study, once, trials=3)
    assert study.history.spent_trials == len(study.trials) == 3
    study.close()


def test_the_default_of_a_changed_space_is_tried_next_unless_it_was_tried(storage):
    study = study_of(storage)
    go(study, once, trials=3)
    other = tw.Space(**{**SPACE, "learning_rate": tw.Float(1e-5, 1.0, scale="log", default=0.02)})
    for space in (other, SPACE, tw.Space(**{**other, "layers": tw.Int(1, 4, default=2)})):
        study.change_space(space)
        go(study, once, trials=len(study.trials) + 2)
    assert [trial.number for trial in study.trials if trial.origin == "default"] == [0, 3, 7]
    assert study.trials[3].params == other.default()
    assert replay(study.events).mismatch is None
    study.close()


def test_what_is_in_line_and_does_not_fit_a_changed_space_is_dropped_and_said(storage):
    study = study_of(storage)
    fits, not_any_more = SPACE.default(learning_rate=0.05), SPACE.default(learning_rate=1e-3)
    for config in (not_any_more, fits, not_any_more):
        study.enqueue(config)
    narrow = tw.Space(**{**SPACE, "learning_rate": tw.Float(1e-2, 1.0, scale="log")})
    with pytest.warns(RuntimeWarning, match="does not allow 2 of the configurations in line"):
        study.change_space(narrow)
    assert list(study.history.queue) == [fits]
    go(study, once, trials=3)
    assert [trial.origin for trial in study.trials].count("enqueued") == 1
    assert study.trials[0].params == fits
    assert all(trial.params["learning_rate"] >= 1e-2 for trial in study.trials)
    assert not study.history.queue
    study.close()


# --- what an objective gives -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [0, 1])
def test_a_checkpoint_before_its_report_is_refused_outside_of_a_loop(begin):
    """It would be filed under the step before, and weights would be of another step than the study believes."""

    def train(trial):
        for step in range(1, 4):
            if step > begin:
                trial.save(lambda folder: None)
            trial.report(loss=1.0, step=1000 * step)
            if step <= begin:
                trial.save(lambda folder: None)

    study = tw.Study(SPACE, "loss", scheduler="fifo")
    with pytest.raises(tw.ObjectiveError, match="expected the report of the step that is saved before it"):
        study.run(train, trials=3, executor="inline", progress=False)


@pytest.mark.parametrize(
    ("returned", "status", "value"),
    [
        (0.5, "completed", 0.5),
        (1, "completed", 1.0),
        ({"loss": 0.5, "accuracy": 0.9}, "completed", 0.5),
        ([0.5], "completed", 0.5),
        (float("nan"), "diverged", None),
        (float("inf"), "diverged", None),
        (None, "failed", None),
        ({"los": 0.5}, "failed", None),
        ("good", "failed", None),
        ([0.5, 0.6], "failed", None),
    ],
)
def test_return_values(returned, status, value):
    study = study_of()
    with pytest.raises(tw.ObjectiveError) if status == "failed" else _nothing():
        go(study, lambda trial: returned, trials=3)
    trial = study.trials[0]
    assert trial.status == status
    if value is not None:
        assert trial.value == value
    else:
        assert trial.reason


class _nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        return False


def test_a_missing_metric_is_named():
    study = study_of(metric="val_loss")

    def forgetful(trial):
        for _ in trial.steps(2):
            trial.report(loss=0.3, train_loss=0.2)

    with pytest.raises(tw.ObjectiveError, match="without a value for 'val_loss'.*it gave loss, train_loss"):
        go(study, forgetful, trials=5)


def test_nan_ends_a_trial_as_diverged_at_that_step():
    def explodes(trial):
        for step in trial.steps(9):
            trial.report(loss=1.0 if step < 4 else float("nan"), grad_norm=float("inf"))

    study = study_of()
    go(study, explodes, trials=2)
    trial = study.trials[0]
    assert (trial.status, trial.step, trial.reason) == ("diverged", 4, "loss is nan at step 4")
    with pytest.raises(ValueError, match="no trial with a value yet .2 diverged"):
        _ = study.best


def test_an_exception_on_nan_is_divergence_too():
    def raises(trial):
        for _ in trial.steps(3):
            trial.report(loss=float("nan"))
            raise RuntimeError("loss is nan")

    study = study_of()
    go(study, raises, trials=4)
    assert {t.status.value for t in study.trials} == {"diverged"}


def test_the_same_error_three_times_ends_the_run_with_its_traceback():
    def broken(trial):
        return 1 / 0

    study = study_of()
    with pytest.raises(tw.ObjectiveError) as caught:
        go(study, broken, trials=50)
    assert "failed 3 times in the same way" in str(caught.value)
    assert "ZeroDivisionError" in str(caught.value)
    assert "return 1 / 0" in str(caught.value)
    assert len(study.trials) == 3
    assert "tunewell/trial.py" not in study.trials[0].error


@pytest.mark.parametrize(
    ("breaks", "scheduler"), [("at the end", "asha"), ("when taken up", "asha"), ("when taken up", "freeze_thaw")]
)
def test_trials_that_rest_before_it_do_not_hide_what_always_breaks(breaks, scheduler):
    def train(trial):
        if trial.checkpoint and breaks == "when taken up":
            raise RuntimeError("size mismatch")
        for step in trial.steps(9):
            trial.report(loss=trial.params["learning_rate"] + 1.0 / step)
            trial.save(lambda folder: (folder / "state").write_text(""))
        if breaks == "at the end":
            raise RuntimeError("cannot write the summary")

    study = study_of(scheduler=scheduler)
    with pytest.raises(tw.ObjectiveError, match="failed 3 times in the same way"):
        go(study, train, trials=30, max_steps=9)
    assert study.history.counts[Status.FAILED] == 3


def test_why_a_checkpoint_could_not_be_written_is_not_covered_up(monkeypatch):
    """Where not even its folder could be made, nobody can say how full the disk is."""

    def nothing(directory):
        raise FileNotFoundError(directory)

    def train(trial):
        for _ in trial.steps(2):
            trial.report(loss=1.0)
            trial.save(lambda folder: int("not a number") or None)

    monkeypatch.setattr("tunewell.trial.shutil.disk_usage", nothing)
    monkeypatch.setattr("tunewell.trial._written", lambda write, final: (_ for _ in ()).throw(PermissionError("no")))
    study = study_of()
    with pytest.raises(tw.ObjectiveError, match="PermissionError: no"):
        go(study, train, trials=5)


def test_an_error_beside_trials_that_come_through_ends_the_run_only_ten_times_in_a_row():
    """A flake now and then is no reason to lose a night; a data server that went down is one to end it."""

    def train(trial, down=16):
        if trial.number < down and trial.number % 5 == 0:
            return float(trial.number)
        raise OSError("cannot reach the data")

    study = study_of()
    with pytest.raises(tw.ObjectiveError, match="failed 10 times in the same way"):
        go(study, train, trials=50)
    fates = [trial.status.value for trial in study.trials]
    assert fates.count("completed") == 4
    assert fates[-11:] == ["completed", *["failed"] * 10]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), "out_of_memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20 GiB"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory"),
        (FloatingPointError("overflow"), "diverged"),
        (RuntimeError("shapes do not match"), "failed"),
        (SystemExit(3), "failed"),
    ],
)
def test_exceptions_end_as_what_they_mean(error, status):
    def raises(trial):
        raise error

    study = study_of()
    with pytest.raises(tw.ObjectiveError) if status == "failed" else _nothing():
        go(study, raises, trials=1)
    assert study.trials[0].status == status
    assert type(error).__name__ in study.trials[0].error or status == "diverged"


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda t: t.report(), "at least one metric"),
        (lambda t: (t.report(loss=1.0, step=2), t.report(loss=1.0, step=2)), "a step after 2, got 2"),
        (lambda t: (t.report(loss=1.0, step=2), t.report(loss=1.0, step=1)), "a step after 2, got 1"),
        (lambda t: [t.report(loss=1.0, step=5) for _ in t.steps(2)], "expected step 1, the step of the loop"),
        (lambda t: [(t.report(loss=1.0), t.report(x=1.0)) for _ in t.steps(2)], "report each step once"),
        (lambda t: t.report(loss="low"), "a number for 'loss', got str"),
        (lambda t: t.report(0.5), r"metrics by name, got 0.5: call e.g. trial.report\(loss=0.5\)"),
        (lambda t: t.report(0.5, 3), r"metrics by name, got 0.5, 3: call e.g. trial.report\(loss=0.5, step=3\)"),
        (lambda t: [t.report(0.5, 3) for _ in t.steps(2)], r"call e.g. trial.report\(loss=0.5\)"),
        (lambda t: t.report({"loss": 0.5}, 3), r"call e.g. trial.report\(loss=0.5, step=3\)"),
        (lambda t: t.save({"a": 1}), "a function that fills a folder, got dict: call e.g. trial.save"),
        (lambda t: t.report(loss=[1, 2]), "a number for 'loss', got list"),
        (lambda t: list(t.steps()), "trial.steps.50. or study.run"),
        (lambda t: list(t.steps(0)), "at least 1, got 0"),
    ],
)
def test_misuse_of_the_trial_is_one_sentence(misuse, words):
    study = study_of()
    with pytest.raises(tw.ObjectiveError, match=words):
        go(study, misuse, trials=3)


def test_numbers_of_all_kinds_are_welcome():
    import torch

    grown = torch.tensor(1.0, requires_grad=True)

    def objective(trial):
        trial.report({"val/loss": torch.tensor([0.5]), "b": np.float32(2), "c": 3, "d": torch.tensor(4)}, loss=grown)

    study = study_of()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        go(study, objective, trials=1)
    assert dict(study.trials[0].reports[0].metrics) == {"val/loss": 0.5, "b": 2.0, "c": 3.0, "d": 4.0, "loss": 1.0}


def test_a_total_of_steps_ends_where_the_objective_counts_none():
    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), metric="loss")
    ended = study.run(lambda trial: trial.params["x"], steps=5, executor="inline", progress=False)
    assert ended == "trials report no steps (trial.report), so a total of steps is never done: give run trials="
    assert len(study.trials) == 3


def test_max_steps_is_for_objectives_that_do_not_say():
    def open_ended(trial):
        for step in trial.steps():
            trial.report(loss=1 / step)

    study = study_of()
    go(study, open_ended, trials=1, max_steps=7)
    assert study.trials[0].step == 7


def test_a_loop_without_steps_is_halted_at_its_next_report():
    reached = []

    def own_loop(trial):
        for epoch in range(1, 10):
            trial.report(loss=float(trial.number), step=epoch)
            reached.append((trial.number, epoch))

    study = study_of(scheduler="asha")
    go(study, own_loop, trials=4)
    assert [t.status.value for t in study.trials] == ["stopped"] * 4
    assert reached == [(0, 1), (1, 1), (2, 1), (3, 1)]


# --- checkpoints ------------------------------------------------------------------------------------------------------


def test_a_promoted_trial_goes_on_from_its_checkpoint():
    seen = []

    def objective(trial):
        start = int((trial.checkpoint / "weights").read_text()) if trial.checkpoint else 0
        for step in trial.steps(9):
            assert step == start + 1
            start = step
            seen.append((trial.number, step))
            trial.report(loss=loss_of(trial.params) + 1 / step)
            trial.save(lambda directory, step=step: (directory / "weights").write_text(str(step)))

    study = study_of(scheduler="asha")
    go(study, objective, trials=12)
    assert len(seen) == len(set(seen)) == study.history.steps_done
    promoted = [t for t in study.trials if t.step > 1]
    assert promoted
    assert any(len(t.stretches) > 1 for t in promoted)


def test_only_needed_checkpoints_stay(tmp_path):
    study = study_of(scheduler="asha", directory=tmp_path)
    go(study, saving, trials=12)
    on_disk = {
        (trial.number, path.name)
        for trial in study.trials
        for path in trial.directory.iterdir()
        if path.name.startswith((".step", "step"))
    }
    assert on_disk == {(t.number, f"step-{t.saved}") for t in study.trials}
    for trial in study.trials:
        assert (trial.checkpoint / "weights").read_text() == str(trial.saved)


def test_what_a_dead_driver_was_about_to_remove_is_removed_by_the_next(storage, monkeypatch):
    study = study_of(storage, scheduler="asha")
    go(study, saving, trials=3)
    trial = study.trials[1]
    left = trial.directory / "step-0"
    left.mkdir()
    newer = trial.directory / f"step-{trial.saved + 1}"  # another driver's, not told yet
    newer.mkdir()
    go(study, saving, trials=3)
    assert left.exists(), "its driver lives"
    monkeypatch.setattr("tunewell.driver.is_gone", lambda driver: True)
    go(study, saving, trials=3)
    assert not left.exists()
    assert newer.exists()
    assert trial.checkpoint.is_dir()
    study.close()


@pytest.mark.parametrize("patient", [True, False])
def test_a_full_disk_is_waited_for_and_then_costs_a_retry(monkeypatch, patient):
    naps, refusals = [], [2]
    monkeypatch.setattr("tunewell.trial.time.sleep", naps.append)
    if not patient:
        monkeypatch.setattr("tunewell.trial.PATIENCE_SECONDS", -1.0)

    def write(folder):
        (folder / "half").write_text("")
        if refusals[0]:
            refusals[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")

    def train(trial):
        for step in trial.steps(2):
            trial.report(loss=1.0 / step)
            trial.save(write)

    study = study_of()
    go(study, train, trials=1)
    assert (study.trials[0].status, study.trials[0].step, refusals) == ("completed", 2, [0])
    lost = [event for event in study.events if isinstance(event, Ended) and event.status is Status.LOST]
    assert (naps, len(lost)) == (([1.0, 2.0], 0) if patient else ([], 2))
    assert all("no space left for a checkpoint in" in event.reason for event in lost)


def test_an_objective_that_meets_a_full_disk_itself_is_taken_up_again():
    refused = [OSError(errno.ENOSPC, "No space left on device")]

    def train(trial):
        if refused:
            raise refused.pop()
        return 1.0

    study = study_of()
    go(study, train, trials=1)
    assert [event.status for event in study.events if isinstance(event, Ended)] == ["lost", "completed"]


def test_a_checkpoint_that_fails_half_way_is_not_there():
    def objective(trial):
        for _ in trial.steps(2):
            trial.report(loss=1.0)

            def write(directory):
                (directory / "half").write_text("x")
                raise OSError("cable pulled")

            trial.save(write)

    study = study_of()
    with pytest.raises(tw.ObjectiveError, match="cable pulled"):
        go(study, objective, trials=5)
    assert list(study.trials[0].directory.iterdir()) == []


def test_a_crash_in_the_middle_gives_the_same_later_decisions(tmp_path):
    """Cut the run after any number of events; going on from there ends in the same study."""

    class Cut(Exception):
        pass

    def story(study):
        return [
            (
                type(e).__name__,
                e.trial,
                getattr(e, "step", None),
                getattr(e, "status", None),
                getattr(e, "reason", None),
            )
            for e in study.events
            if isinstance(e, TrialStarted | CheckpointSaved | Paused | Ended)
        ]

    whole = study_of(scheduler="asha", directory=tmp_path / "whole")
    go(whole, saving, trials=9)
    for cut in range(3, len(whole.events), 7):
        storage = f"sqlite:///{tmp_path}/{cut}.db"
        study = study_of(storage, scheduler="asha")

        def watch(history, events, cut=cut):
            if len(history) >= cut:
                raise Cut

        with pytest.raises(Cut):
            go(study, saving, trials=9, progress=watch)
        study.close()
        again = study_of(storage, scheduler="asha")
        go(again, saving, trials=9)
        lost = [event for event in story(again) if event[3] == "lost"]
        assert len(lost) <= 1
        kept = [event for event in story(again) if event not in lost]
        assert kept == story(whole), cut
        assert [(t.value, t.step) for t in again.trials] == [(t.value, t.step) for t in whole.trials]
        again.close()


# --- interruption ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_interrupt_lets_the_step_finish_and_saves(storage, number):
    def objective(trial):
        for step in trial.steps(9):
            trial.report(loss=1 / step)
            if trial.number == 1 and step == 4 and not trial.checkpoint_was_loaded:
                os.kill(os.getpid(), number)
            trial.save(lambda directory: None)

    def marked(trial):
        trial.checkpoint_was_loaded = trial.checkpoint is not None
        objective(trial)

    study = study_of(storage)
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match="goes on where this one stopped"):
        go(study, marked, trials=3)
    assert signal.getsignal(number) is before
    assert [(t.status.value, t.step) for t in study.trials] == [("completed", 9), ("paused", 4)]
    study.close()
    again = study_of(storage)
    go(again, marked, trials=3)
    assert [(t.status.value, t.step) for t in again.trials] == [("completed", 9)] * 3
    again.close()


def test_an_interrupt_while_a_trial_is_taken_up_ends_the_run(storage):
    resumed = []

    def objective(trial):
        for step in trial.steps(4):
            if step == 2 and not resumed:
                os.kill(os.getpid(), signal.SIGINT)
            trial.report(loss=1 / step)
            trial.save(lambda directory: None)

    def progress(history, events):
        for event in events:
            if isinstance(event, TrialResumed):
                resumed.append(event)
                assert len(resumed) < 5, "taken up and cut off, again and again"
                os.kill(os.getpid(), signal.SIGINT)

    study = study_of(storage)
    with pytest.raises(KeyboardInterrupt):
        go(study, objective, trials=1)
    assert study.trials[0].status == "paused"
    with pytest.raises(KeyboardInterrupt):
        study.run(objective, trials=1, executor="inline", progress=progress)
    assert len(resumed) == 1
    go(study, objective, trials=1)
    assert study.trials[0].status == "completed"
    study.close()


def test_interrupted_without_a_checkpoint_a_trial_begins_again(storage):
    calls = []

    def objective(trial):
        calls.append(trial.number)
        for step in trial.steps(5):
            if len(calls) == 1 and step == 3:
                os.kill(os.getpid(), signal.SIGINT)
            trial.report(loss=1 / step)

    study = study_of(storage)
    with pytest.raises(KeyboardInterrupt):
        go(study, objective, trials=2)
    assert study.trials[0].status == "lost"
    go(study, objective, trials=2)
    assert calls == [0, 0, 1]
    assert [(t.status.value, t.step) for t in study.trials] == [("completed", 5)] * 2
    study.close()


def test_two_interrupts_stop_at_once(storage):
    def objective(trial):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    study = study_of(storage)
    with pytest.raises(KeyboardInterrupt):
        go(study, objective, trials=2)
    assert study.trials[0].status == "lost"
    go(study, once, trials=2)
    assert [t.status.value for t in study.trials] == ["completed"] * 2
    study.close()


def test_a_driver_that_was_killed_is_taken_over_from(storage, tmp_path):
    script = tmp_path / "die.py"
    script.write_text(
        "import os, signal, tunewell as tw\n"
        "from pathlib import Path\n"
        "def train(trial):\n"
        "    for step in trial.steps(6):\n"
        "        trial.report(loss=1 / step)\n"
        "        trial.save(lambda d: None)\n"
        "        if trial.number == 2 and step == 4 and not Path('died').exists():\n"
        "            Path('died').touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "space = tw.Space(x=tw.Float(0, 1))\n"
        f"study = tw.Study(space, storage={storage!r}, sampler='random', scheduler='fifo', seed=0)\n"
        "study.run(train, trials=4, executor='inline', progress=False)\n"
        "print([(t.number, t.status.value, t.step, len(t.stretches)) for t in study.trials])\n"
    )
    first = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert first.returncode == -signal.SIGKILL
    second = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert second.stdout.strip() == str(
        [(0, "completed", 6, 1), (1, "completed", 6, 1), (2, "completed", 6, 2), (3, "completed", 6, 1)]
    )
    events = tw.open(storage).events
    resumed = [event for event in events if isinstance(event, TrialResumed)]
    assert len(resumed) == 1
    assert resumed[0].step == 3  # the step in which it died had not been told yet


# --- several at once --------------------------------------------------------------------------------------------------


def test_a_run_outlives_a_server_that_hangs_up_on_it(postgresql_url):
    import psycopg

    study = study_of(postgresql_url)

    def objective(trial):
        if trial.number in (2, 5):
            with psycopg.connect(postgresql_url, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        return once(trial)

    go(study, objective, trials=8)
    assert [t.status.value for t in study.trials] == ["completed"] * 8
    assert len(tw.open(postgresql_url).trials) == 8
    study.close()


def test_several_drivers_share_one_study(storage):
    study_of(storage).close()
    code = (
        "import tunewell as tw\n"
        f"s = tw.open({storage!r})\n"
        "s.run(lambda t: t.params['learning_rate'], trials=60, executor='inline', progress=False)\n"
    )
    drivers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [driver.wait(60) for driver in drivers] == [0, 0, 0]
    study = tw.open(storage)
    assert [t.number for t in study.trials] == list(range(60))
    assert {t.status.value for t in study.trials} == {"completed"}
    alone = study_of()
    go(alone, lambda t: t.params["learning_rate"], trials=60)
    assert [dict(t.params) for t in study.trials] == [dict(t.params) for t in alone.trials]
    study.close()


# --- ask and tell -----------------------------------------------------------------------------------------------------


def test_ask_and_tell(storage):
    study = study_of(storage)
    trials = [study.ask() for _ in range(3)]
    assert [t.number for t in trials] == [0, 1, 2]
    study.tell(trials[2], 0.3)
    study.tell(trials[0], {"loss": 0.1, "accuracy": 0.9})
    study.tell(1, status="failed", reason="the robot fell over")
    assert [t.status.value for t in study.trials] == ["completed", "failed", "completed"]
    assert study.best.number == 0
    assert study.trials[1].reason == "the robot fell over"
    with pytest.raises(ValueError, match="trial 1 is failed already: tell each trial once"):
        study.tell(1, 0.5)
    with pytest.raises(ValueError, match="a trial of this study, got 7: it has 3"):
        study.tell(7, 0.5)
    study.close()


def test_an_asked_trial_reports_and_is_told_elsewhere(storage):
    study = study_of(storage)
    trial = study.ask()
    for step in trial.steps(3):
        trial.report(loss=1 / step)
    other = tw.open(storage)
    with pytest.raises(ValueError, match='pass it, or status="failed"'):
        study_of(storage).tell(study.ask().number)
    study.tell(trial)
    assert [r.step for r in other.trials[0].reports] == [1, 2, 3]
    assert other.trials[0].value == pytest.approx(1 / 3)
    for one in (study, other):
        one.close()


def test_checkpoints_of_asked_trials_are_removed_when_nothing_needs_them(storage):
    study = study_of(storage)
    trial = study.ask()
    for step in trial.steps(4):
        trial.report(loss=1 / step)
        trial.save(lambda directory: (directory / "weights").write_text("w"))
    study.tell(trial)
    assert [path.name for path in study.trials[0].directory.iterdir() if "step" in path.name] == ["step-4"]
    study.close()


def test_what_is_put_in_line_after_a_change_of_space_is_of_the_new_one(storage):
    """A run in another thread has not read of the change yet."""
    study = study_of(storage)
    wider = tw.Space(**study.space, extra=tw.Int(1, 3, default=2))
    seen = []

    def objective(trial):
        if trial.number == 0:
            other = threading.Thread(target=steer)
            other.start()
            other.join()
        return 1.0

    def steer():
        study.change_space(wider)
        study.enqueue({**study.trials[0].params, "extra": 3})
        with pytest.raises(ValueError, match="extra"):
            study.enqueue(dict(study.trials[0].params))
        seen.append("steered")

    go(study, objective, trials=3)
    assert seen == ["steered"]
    assert [trial.params.get("extra") == 3 for trial in study.trials[:2]] == [False, True]
    study.close()


@pytest.mark.parametrize(
    ("step", "words"), [(0, "pass step=epoch + 1"), (0.5, "a whole number as step"), (-1, "steps from 1 on")]
)
def test_steps_are_whole_numbers_from_one_on(step, words):
    study = study_of()
    with pytest.raises(tw.ObjectiveError):
        go(study, lambda trial: trial.report(step=step, loss=1.0), trials=1)
    assert study.trials[0].reports == []
    assert words in study.trials[0].reason


@pytest.mark.parametrize("name", [None, 3, ("val", "f1")])
def test_a_metric_whose_name_is_no_text_fails_its_trial_only(storage, name):
    def objective(trial):
        if trial.number == 1:
            trial.report({"loss": 1.0, name: 0.5})
        return 1.0

    study = study_of(storage)
    go(study, objective, trials=3)
    assert [t.status.value for t in study.trials] == ["completed", "failed", "completed", "completed"]
    assert "names of metrics as text" in study.trials[1].reason
    study.close()


def test_telling_nan_is_divergence_and_bad_values_are_refused():
    study = study_of()
    assert study.tell(study.ask(), float("nan")).status == "diverged"
    with pytest.raises(ValueError, match="a status that ends a trial"):
        study.tell(study.ask(), 0.1, status="running")
    with pytest.raises(TypeError, match="expected a number for 'loss', got str"):
        study.tell(study.ask(), "good")


def test_an_asked_trial_that_the_scheduler_stops_is_told_as_stopped():
    study = study_of(scheduler="asha", default_first=False)
    for number in range(3):
        trial = study.ask()
        for step in trial.steps(9):
            trial.report(loss=number + 1 / step)
        study.tell(trial)
    assert [(t.status.value, t.step) for t in study.trials] == [("stopped", 1)] * 3
    assert "place 1 of 1" in study.trials[0].reason


@pytest.mark.parametrize("end", [{}, {"value": 0.3}, {"status": "failed"}])
def test_nan_ends_the_loop_of_an_asked_trial_as_it_does_in_a_run(end):
    study, steps = study_of(), []
    trial = study.ask()
    for step in trial.steps(6):
        steps.append(step)
        trial.report(loss=0.5 if step == 1 else math.nan)
    told = study.tell(trial, **end)
    assert steps == [1, 2]
    assert (told.status.value, told.reason) == ("diverged", "loss is nan at step 2")


def test_the_last_words_of_an_asked_trial_count_where_it_trained_to_the_end():
    study = study_of()
    trial = study.ask()
    for _ in trial.steps(1):
        trial.report(loss=math.nan)
    assert study.tell(trial, 0.3).status == "completed"


def test_of_an_asked_trial_that_is_over_nothing_is_recorded(storage):
    study = study_of(storage, scheduler=tw.schedulers.Asha(reduction=3), default_first=False)
    for number in range(4):
        trial = study.ask()
        if number < 3:
            trial.report(loss=number)
            study.tell(trial)
    study.history.rung(1)
    study.tell(3, 9.0)  # while its objective is at work
    steps = []
    for step in trial.steps(3):
        steps.append(step)
        trial.report(loss=0.1)
    with pytest.raises(ValueError, match="trial 3 is completed already"):
        study.tell(trial)
    assert steps == [1]
    assert study.trials[3].reports == []
    assert study.trials[3].value == 9.0
    assert len(study.history.rung(1)) == len(History(study.events).rung(1)) == 3
    study.close()


def test_a_second_tell_records_nothing_of_what_is_pending():
    study = study_of()
    trial = study.ask()
    study.tell(0, 0.3)
    trial.report(loss=0.9)
    before = study.events
    with pytest.raises(ValueError, match="trial 0 is completed already: tell each trial once"):
        study.tell(trial, 0.2)
    assert study.events == before


def test_a_trial_that_a_run_trains_is_stopped_not_told():
    study, refused = study_of(), []

    def progress(history, events):
        if len(history.trials) == 1 and history.trials[0].step == 2 and not refused:
            with pytest.raises(ValueError, match="which a run trains: use study.stop") as error:
                study.tell(0, 0.0)
            refused.append(error)

    go(study, by_steps, trials=1, progress=progress)
    assert len(refused) == 1
    assert [(t.status.value, t.step) for t in study.trials] == [("completed", 9)]


def test_reading_and_adding_from_another_thread_while_a_run_goes_on(storage):
    for where in (None, storage):
        study, seen = study_of(where), []

        def meddle(study=study, seen=seen):
            time.sleep(0.1)
            seen.append(len(study.trials))
            study.enqueue(SPACE.default(learning_rate=0.05))
            study.note("looks slow")

        thread = threading.Thread(target=meddle)
        thread.start()

        def slow(trial):
            time.sleep(0.02)
            return 1.0

        go(study, slow, trials=30)
        thread.join()
        assert 0 < seen[0] < 30
        assert [t.params["learning_rate"] for t in study.trials].count(0.05) == 1
        assert study.history.notes[0].text == "looks slow"
        assert [t.number for t in study.trials] == list(range(30))
        study.close()


def test_an_asked_trial_does_not_hold_up_a_run():
    study = study_of()
    study.ask()
    assert go(study, once, trials=3) == (
        '3 trials are done; trial 0 was asked for and is not told yet: study.tell(0, status="cancelled") gives it up'
    )
    assert [t.status.value for t in study.trials] == ["running", "completed", "completed"]


def test_a_trial_that_is_not_told_is_seen_and_given_up_from_anywhere(storage):
    study = study_of(storage)
    begun = [study.ask().number for _ in range(7)]
    for number in begun[:5]:
        study.tell(number, 1.0)
    with tw.open(storage) as elsewhere:
        assert [trial.number for trial in elsewhere.untold] == [5, 6]
        assert elsewhere.untold[0].began > elsewhere.history.created
        assert "trials 5, 6 were asked for and are not told yet" in go(elsewhere, once, trials=7)
        with pytest.raises(ValueError, match=r'study.tell\(5, status="cancelled"\) gives it up'):
            elsewhere.stop(5)
        assert elsewhere.tell(5, status="cancelled").status == "cancelled"
        assert elsewhere.history.spent_trials == 6
        assert "trial 6 was asked for and is not told yet" in go(elsewhere, once, trials=7)
        assert len(elsewhere.trials) == 8, "its place in the total is free again"
    assert [trial.number for trial in study.untold] == [6]
    study.close()


def test_a_trial_that_was_given_up_and_goes_on_counts_again():
    study = study_of()
    study.tell(study.ask(), status="cancelled")
    assert study.history.spent_trials == 0
    study.resume(0)
    go(study, once, trials=1)
    assert [trial.status.value for trial in study.trials] == ["completed"]
    assert study.history.spent_trials == 1


def test_asking_where_all_is_asked_for_says_what_is_not_told_yet():
    study = tw.Study(tw.Space(a=tw.Choice(["x"])), sampler="grid")
    study.ask()
    with pytest.raises(RuntimeError, match=r"1 still running.*trial 0 was asked for and is not told yet"):
        study.ask()


def test_asking_an_exhausted_grid_says_so():
    study = tw.Study(tw.Space(a=tw.Choice(["x"])), sampler="grid")
    study.tell(study.ask(), 1.0)
    with pytest.raises(RuntimeError, match="nothing to try: all 1 points"):
        study.ask()


def test_asking_sees_what_another_process_wrote(storage):
    study = tw.Study(tw.Space(a=tw.Choice(["x"])), sampler="grid", storage=storage)
    study.tell(study.ask(), 1.0)
    with tw.open(storage) as other:
        other.change_space(tw.Space(a=tw.Choice(["x", "y"])))
        assert study.ask().params == {"a": "y"}
        other.enqueue({"a": "x"})
        assert study.ask().params == {"a": "x"}
    study.close()


def test_threads_may_ask_and_tell():
    study = study_of()

    def work():
        for _ in range(10):
            trial = study.ask()
            study.tell(trial, loss_of(trial.params))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [t.number for t in study.trials] == list(range(40))
    assert {t.status.value for t in study.trials} == {"completed"}


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (lambda: tw.Study(SPACE).run(3, trials=1), TypeError, "run expected an objective, a function"),
        (lambda: tw.Study(SPACE, metric=[]), ValueError, "expected the name of at least one metric, got []"),
        (lambda: tw.samplers.DE(weights=0.5), ValueError, "DE expected weights such as (0.4, 0.8)"),
        (lambda: tw.Study(tw.Space(a=tw.Int(1, 3), b=tw.Int(1, 3))).enqueue({"a": 1}), ValueError, "space.default(**"),
    ],
)
def test_a_slip_is_told_with_what_to_write(act, kind, words):
    with pytest.raises(kind, match=re.escape(words)):
        act()


@pytest.mark.parametrize("value", [np.array(2.0), np.array([2.0]), np.array([[2.0]]), np.float32(2.0)])
def test_arrays_of_one_element_are_numbers(value):
    study = tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), seed=0)
    study.tell(study.ask(), value)
    assert study.trials[0].value == 2.0
    with pytest.raises(TypeError, match="expected a number for 'loss', got ndarray"):
        study.tell(study.ask(), np.array([1.0, 2.0]))


def test_a_remark_on_a_parameter_changes_nothing_about_a_stored_study(tmp_path):
    place = str(tmp_path / "a.db")
    tw.Study(tw.Space(x=tw.Float(0.0, 1.0)), storage=place).close()
    tw.Study(tw.Space(x=tw.Float(0.0, 1.0, note="the rate")), storage=place).close()
    with pytest.raises(ValueError, match="parameter 'x' is stored as"):
        tw.Study(tw.Space(x=tw.Float(0.0, 2.0)), storage=place)


def test_the_order_of_parameters_and_of_unordered_options_may_differ_and_the_stored_one_counts(storage):
    stored = tw.Space(x=tw.Float(0.0, 1.0), size=tw.Choice([1, 2, 3], ordered=True), act=tw.Choice(["a", "b", "c"]))
    tw.Study(stored, storage=storage, seed=0).close()
    turned = tw.Space(act=tw.Choice(["c", "a", "b"]), size=tw.Choice([1, 2, 3], ordered=True), x=tw.Float(0.0, 1.0))
    study = tw.Study(turned, storage=storage, seed=0)
    assert study.space == stored
    assert list(study.ask().params) == ["x", "size", "act"]
    study.close()
    for other in (tw.Choice([3, 2, 1], ordered=True), tw.Choice([1, 2, 3])):
        with pytest.raises(ValueError, match="parameter 'size' is stored as"):
            tw.Study(tw.Space(**{**turned, "size": other}), storage=storage)
    with pytest.raises(ValueError, match="parameter 'act' is stored as"):
        tw.Study(tw.Space(**{**turned, "act": tw.Choice(["c", "a"])}), storage=storage)


def test_best_pareto_and_dataframe():
    study = tw.Study(
        SPACE, metric=["error", "seconds"], mode=["min", "min"], sampler="random", scheduler="fifo", seed=0
    )
    points = [(3.0, 1.0), (2.0, 2.0), (2.5, 2.5), (1.0, 3.0), (2.0, 2.0)]
    go(study, lambda trial: points[trial.number], trials=5)
    assert [t.number for t in study.pareto] == [0, 1, 3, 4]
    with pytest.raises(ValueError, match="2 goals has no single best trial: use study.pareto"):
        _ = study.best
    frame = study.dataframe()
    assert list(frame["error"]) == [point[0] for point in points]
    assert list(frame["metrics.seconds"]) == [point[1] for point in points]  # seconds are those of the training
    assert (frame["seconds"] < 1.0).all()
    assert "values=(3.0, 1.0)" in repr(study.pareto)
    assert frame["params.learning_rate"].iloc[0] == 1e-3


def test_every_metric_has_its_newest_value_in_the_table():
    def objective(trial):
        for step in trial.steps(3):
            trial.report(loss=1.0 / step, train_loss=0.5 / step, **({"accuracy": 0.1 * step} if step < 3 else {}))
        return {"loss": 0.2, "seconds": 7.0} if trial.number else 0.2

    study = study_of(metric="loss", scheduler="fifo")
    go(study, objective, trials=2)
    frame = study.dataframe()
    assert list(frame["loss"]) == [0.2, 0.2]
    assert list(frame["metrics.train_loss"]) == [0.5 / 3, 0.5 / 3]
    assert list(frame["metrics.accuracy"]) == [0.2, 0.2]
    assert (frame["seconds"] < 1.0).all()
    assert frame["metrics.seconds"].isna().tolist() == [True, False]
    assert "metrics.loss" not in frame
    assert dict(study.trials[1].metrics) == {"loss": 0.2, "seconds": 7.0}
    assert study.trials[1].newest_metrics == {"loss": 0.2, "train_loss": 0.5 / 3, "accuracy": 0.2, "seconds": 7.0}


def test_maximising():
    study = study_of(metric="accuracy", mode="max")
    go(study, lambda trial: float(trial.number), trials=4)
    assert study.best.number == 3
    assert study.best.value == 3.0
    assert [t.number for t in study.pareto] == [3]


def test_an_opened_study_goes_on_as_it_was(storage):
    created = study_of(storage, scheduler=tw.schedulers.Asha(reduction=2))
    go(created, saving, trials=4)
    created.close()
    opened = tw.open(storage)
    assert opened.name == "study"
    go(opened, saving, trials=8)
    fresh = study_of(scheduler=tw.schedulers.Asha(reduction=2))
    go(fresh, saving, trials=8)
    assert [dict(t.params) for t in opened.trials] == [dict(t.params) for t in fresh.trials]
    opened.close()


def test_changed_settings_are_an_event(storage):
    study = study_of(storage)
    go(study, once, trials=2)
    study.close()
    other = study_of(storage, sampler="sobol")
    assert other.history.settings["sampler"] == {"name": "sobol"}
    other.close()
    unsaid = tw.Study(SPACE, storage=storage)
    assert unsaid.history.settings["sampler"] == {"name": "sobol"}
    assert [type(e).__name__ for e in unsaid.events].count("SettingsChanged") == 1
    unsaid.close()


@pytest.mark.parametrize("kind", ["sampler", "scheduler"])
def test_a_default_that_is_said_takes_over_as_any_other(storage, kind):
    study_of(storage, sampler="sobol", scheduler="asha").close()
    said = tw.Study(SPACE, storage=storage, **{kind: "auto"})
    assert {key: said.history.settings[key]["name"] for key in ("sampler", "scheduler")} == {
        "sampler": "sobol", "scheduler": "asha", kind: "auto",
    }  # fmt: skip
    go(said, saving, trials=2)
    assert replay(said.events).ok
    said.close()
    new = tw.Study(SPACE)
    assert [new.history.settings[key] for key in ("sampler", "scheduler")] == [{"name": "auto"}] * 2


def test_settings_changed_by_another_process_hold_here_too(storage):
    first = study_of(storage)
    go(first, once, trials=2)
    study_of(storage, sampler="sobol").close()
    go(first, once, trials=5)
    result = replay(first.events)
    assert (result.mismatch, result.suggestions) == (None, 5)
    assert first.history.settings["sampler"] == {"name": "sobol"}
    first.close()


def test_algorithms_of_ones_own(storage):
    class Fixed:
        """Always the same configuration."""

        def suggest(self, space, history, rng):
            return space.default(learning_rate=0.01)

    study = study_of(storage, sampler=Fixed(), default_first=False)
    go(study, once, trials=2)
    assert {t.params["learning_rate"] for t in study.trials} == {0.01}
    study.close()
    opened = tw.open(storage)
    assert opened.best.value == study.best.value
    with pytest.raises(ValueError, match="pass an instance of it with the same options, sampler="):
        go(opened, once, trials=3)
    opened.close()
    again = study_of(storage, sampler=Fixed())
    go(again, once, trials=3)
    assert len(again.trials) == 3
    again.close()


def test_checkpoints_are_where_the_study_was_told_to_keep_them(storage, tmp_path):
    folder = tmp_path / "somewhere else"
    study = study_of(storage, scheduler="asha", directory=folder)
    go(study, saving, trials=6)
    study.close()
    opened = tw.open(storage)
    assert opened.directory == folder
    assert opened.best.checkpoint.is_dir()

    def loads(trial):
        if trial.checkpoint:
            assert (trial.checkpoint / "weights").is_file()
        saving(trial)

    go(opened, loads, trials=15)
    assert not [t for t in opened.trials if t.status == "failed"]
    opened.close()
    (folder / "mine.txt").touch()
    tw.delete(storage, "study")
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_a_trial_whose_checkpoint_is_gone_begins_again(storage):
    import shutil

    study = study_of(storage)
    go(study, saving, steps=4)
    assert study.trials[0].saved == 4
    shutil.rmtree(study.trials[0].directory)
    go(study, saving, trials=1)
    assert [(t.status.value, t.step, t.saved) for t in study.trials] == [("completed", 9, 9)]
    assert [report.step for report in study.trials[0].reports] == list(range(1, 10))
    study.close()


def test_a_slow_inline_trial_is_timed_out_at_its_next_step():
    def slow(trial):
        for _ in trial.steps(100):
            time.sleep(0.02)
            trial.report(loss=1.0)

    study = study_of()
    go(study, slow, trials=2, trial_seconds=0.1)
    assert [t.status.value for t in study.trials] == ["timed_out"] * 2
    assert all(t.step < 50 for t in study.trials)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda s: s.note(5),
        lambda s: s.change_space(SPACE, None),
        lambda s: s.change_space("x"),
        lambda s: s.tell(s.ask(), 1.0, reason=None),
        lambda s: s.tell(s.ask(), 10**400),
    ],
)
def test_words_that_are_none_are_refused_before_they_are_written(storage, misuse):
    study = study_of(storage)
    with pytest.raises(TypeError, match="expected"):
        misuse(study)
    study.close()
    tw.open(storage).close()


def test_a_note_about_an_unknown_trial():
    with pytest.raises(ValueError, match="note expected a trial of this study, got 7: it has 0"):
        study_of().note("odd", trial=7)


@pytest.mark.parametrize(
    "about",
    [
        lambda s: s.note("looks fine", trial=0),
        lambda s: s.diagnose(0),
        lambda s: s.schedule(0),
        lambda s: s.tell(0, 1.0),
    ],
)
def test_a_trial_that_others_began_since_is_known(storage, about):
    mine, theirs = study_of(storage), tw.open(storage)
    mine.ask()
    about(theirs)


@pytest.mark.parametrize("scheduler", [name for name in SCHEDULERS.classes() if name != "Replay"])
def test_added_results_are_learnt_from_and_count_towards_no_total(scheduler):
    """Before the first trial as well as between two runs."""
    study = study_of(scheduler=getattr(tw.schedulers, scheduler)())
    known = [SPACE.default(learning_rate=3 * 10.0**-k) for k in range(2, 5)]
    added = [study.add(params, 1.0 + k, reason="of last year") for k, params in enumerate(known)]
    assert [(t.origin, t.status.value, t.step, t.seconds, t.value) for t in added] == [
        ("added", "completed", 0, 0.0, 1.0 + k) for k in range(3)
    ]
    assert added[0].why == "added by a person; of last year"
    total = 12 if scheduler.endswith("PBT") or scheduler == "PB2" else 4  # members of a population, with their forks
    go(study, saving, trials=total, max_steps=9)
    assert study.history.spent_trials == len(study.trials) - 3 >= total
    best = study.add(SPACE.default(learning_rate=2e-3), -1.0)
    assert study.best.number == best.number
    go(study, saving, trials=total + 2, max_steps=9)
    assert study.history.spent_trials == len(study.trials) - 4 >= total
    assert replay(study.events).ok
    assert len(observe(study.space, study.history).losses) >= 4


@pytest.mark.parametrize(
    ("params", "value", "words"),
    [
        ({"learning_rate": 5.0}, 1.0, "parameter 'learning_rate': expected"),
        ({"rate": 1e-3}, 1.0, "unknown parameter 'rate'"),
        (SPACE.default(), None, "add expected a value for 'loss', got none: pass it$"),
        (SPACE.default(), {"accuracy": 1.0}, "add expected a value for 'loss', got accuracy: pass it$"),
    ],
)
def test_a_result_that_is_none_is_not_added(params, value, words):
    study = study_of()
    with pytest.raises(ValueError, match=words):
        study.add(params, value)
    assert not study.trials


def test_added_results_are_no_trainings_that_report_no_steps():
    study = study_of()
    for _ in range(3):
        study.add(SPACE.default(), 1.0)
    assert go(study, by_steps, steps=27) == "27 steps are done"


def test_a_sampler_that_suggests_nonsense_is_named():
    class Wild:
        def suggest(self, space, history, rng):
            return {"learning_rate": 7.0, "layers": 1, "optimizer": "adam"}

    with pytest.raises(ValueError, match="Wild suggested .* which is no configuration: .*learning_rate"):
        go(study_of(sampler=Wild(), default_first=False), once, trials=1)


def test_numpy_numbers_of_a_sampler_become_plain(storage):
    import numpy as np

    class Arrays:
        def suggest(self, space, history, rng):
            return {"learning_rate": np.float64(0.01), "layers": np.int64(2), "optimizer": np.str_("adam")}

    study = study_of(storage, sampler=Arrays(), default_first=False)
    go(study, once, trials=1)
    assert [type(value) for value in study.trials[0].params.values()] == [float, int, str]
    study.close()


def test_errors_with_half_characters_end_the_trial_only(storage):
    def odd(trial):
        raise ValueError("file \udc80.txt")

    study = study_of(storage)
    with pytest.raises(tw.ObjectiveError):
        go(study, odd, trials=3)
    assert "\\udc80" in tw.open(storage).trials[0].reason
    study.close()


def test_twice_interrupted_on_a_full_disk_is_the_end(storage, monkeypatch):
    from tunewell.protocols import JournalError

    study = study_of(storage)
    said = []

    def full(events, after):
        said.append(len(events))
        if len(said) in (2, 3):
            os.kill(os.getpid(), signal.SIGINT)
        raise JournalError("the disk is full")

    monkeypatch.setattr(study._ledger.journal, "append", full)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        go(study, once, trials=5)
    assert time.monotonic() - began < 5
    monkeypatch.undo()
    go(study, once, trials=2)
    assert [t.status.value for t in study.trials] == ["completed"] * 2
    study.close()


def test_a_study_about_something_else_is_an_error_that_says_what_differs(storage):
    study_of(storage).close()
    other = tw.Space(learning_rate=tw.Float(1e-5, 1.0, scale="log", default=1e-3), momentum=tw.Float(0, 1))
    with pytest.raises(ValueError) as caught:
        tw.Study(other, metric="accuracy", mode="max", storage=storage, seed=4)
    message = str(caught.value)
    for words in (
        "parameter 'learning_rate' is stored as Float(1e-05, 0.1",
        "parameter 'momentum' is new",
        "parameter 'layers' is missing",
        "the goal is loss (min), not accuracy (max)",
        "the seed is 3, not 4",
        "Choose another name",
    ):
        assert words in message


def test_delete_removes_events_and_files(storage, tmp_path):
    study = study_of(storage, name="digits")
    go(study, saving, trials=2)
    directory = study.directory
    assert directory.is_dir()
    study.close()
    with pytest.raises(KeyError, match="did you mean 'digits'"):
        tw.delete(storage, "digts")
    tw.delete(storage, "digits")
    assert not directory.exists()
    with pytest.raises(KeyError, match="holds no study yet"):
        tw.open(storage)
    with pytest.raises(FileNotFoundError, match="found no file"):
        tw.open(f"sqlite:///{tmp_path}/none.db")


def test_a_directory_belongs_to_one_study(storage, tmp_path):
    """Trials of both have the same numbers: one would go on from the other's weights."""
    folder = tmp_path / "runs"
    first = study_of(storage, name="a", directory=folder)
    go(first, saving, trials=2)
    with pytest.raises(
        ValueError, match="expected a directory of its own, found checkpoints and logs of the study 'a'"
    ):
        study_of(storage, name="b", directory=folder)
    with pytest.raises(KeyError, match="no study .b."):
        tw.open(storage, "b")
    elsewhere = str(tmp_path / "other.db")
    with pytest.raises(ValueError, match="a directory of its own"):  # of the same name
        study_of(elsewhere, name="a", directory=folder)
    with pytest.raises(ValueError, match="a directory of its own"):
        study_of(name="a", directory=folder)  # in memory
    again = study_of(storage, name="a", directory=folder)
    go(again, saving, trials=3)
    for study in (first, again):
        study.close()
    tw.delete(storage, "a")
    assert not folder.exists()
    with study_of(storage, name="b", directory=folder) as study:
        go(study, saving, trials=1)
    with pytest.raises(FileNotFoundError):
        study_of(str(tmp_path / "nowhere" / "s.db"), name="c", directory=tmp_path / "fresh")
    assert not (tmp_path / "fresh").exists()


def test_a_folder_is_free_again_once_its_storage_is_removed(tmp_path):
    folder = tmp_path / "runs"
    for _ in range(2):
        with study_of(str(tmp_path / "s.db"), directory=folder) as study:
            go(study, saving, trials=1)
        (tmp_path / "s.db").unlink()
    for _ in range(2):
        go(study_of(directory=folder), saving, trials=1)  # in memory


def test_waiting_for_the_database_outside_of_a_run_is_said(storage, monkeypatch, capsys):
    study = study_of(storage)
    go(study, once, trials=1)
    append, refusals = study._ledger.journal.append, [tw.JournalError("the database is locked")]

    def refusing(events, after):
        if refusals:
            raise refusals.pop()
        return append(events, after)

    monkeypatch.setattr("tunewell.ledger.time.sleep", lambda seconds: None)
    monkeypatch.setattr(study._ledger.journal, "append", refusing)
    capsys.readouterr()
    study.ask()
    assert "tunewell: the database is locked; 0 event(s) are kept in memory, trying again" in capsys.readouterr().err
    study.close()


def test_half_characters_are_refused_where_they_come_in(storage):
    """As the names of badly encoded files have them."""
    for make in (
        lambda: study_of(name="\udcff"),
        lambda: study_of(storage, name="\udcff"),
        lambda: tw.open(study_of(storage).storage, "\udcff"),
        lambda: tw.Space({"\udcff": tw.Float(0, 1)}),
        lambda: tw.Choice([("a", "\udcff"), "b"]),
    ):
        with pytest.raises(ValueError, match=r"of whole characters, got '\\udcff'"):
            make()


def checkpoints_of(database):
    study = tw.open(database)
    go(study, saving, trials=3)  # takes the folder, trains nothing
    study.close()
    return [trial.checkpoint for trial in study.trials]


def test_databases_that_differ_in_the_suffix_only_have_folders_of_their_own(tmp_path):
    databases = [str(tmp_path / f"s{suffix}") for suffix in (".db", ".sqlite", "")]
    studies = [study_of(database) for database in databases]
    for study in studies:
        go(study, saving, trials=3)
        study.close()
    found = [checkpoints_of(database) for database in databases]
    assert len({path for paths in found for path in paths}) == 9
    assert found[0][0].is_relative_to(tmp_path / "s-files")
    tw.delete(databases[1], "study")
    assert [path.is_dir() for paths in found for path in paths] == [True] * 3 + [False] * 3 + [True] * 3


@pytest.mark.parametrize("suffix", [".db", ".sqlite"])
def test_a_study_of_an_older_release_keeps_its_folder_and_a_new_one_beside_takes_another(tmp_path, suffix):
    """Older releases did not write down whose a folder is."""
    old = study_of(str(tmp_path / f"s{suffix}"))
    go(old, saving, trials=3)
    old.close()
    before = [trial.checkpoint for trial in old.trials]
    (old.directory / ".tunewell-study").unlink()
    with study_of(str(tmp_path / f"s{'.sqlite' if suffix == '.db' else '.db'}")) as new:
        go(new, saving, trials=3)
        assert not {trial.checkpoint for trial in new.trials} & set(before)
        assert checkpoints_of(str(tmp_path / f"s{suffix}")) == before
        assert all(path.is_dir() for path in before)
        assert all(trial.checkpoint.is_dir() for trial in tw.open(str(new._storage.path)).trials)


def test_what_a_removed_database_left_behind_is_taken_over(storage, tmp_path):
    for _ in range(2):
        with study_of(storage) as study:
            go(study, saving, trials=2)
            assert study.directory == tmp_path / "s-files" / "study"
        (study.directory / ".tunewell-study").unlink()
        (tmp_path / "s.db").unlink()


def test_names_with_odd_characters_or_too_many_have_folders_of_their_own(storage):
    names = ["a/b", "a-b", "../up", "ä b", "a b", "a" * 255, "a" * 300, "a" * 301, "ä" * 200]
    folders = set()
    for name in names:
        with study_of(storage, name=name) as study:
            folders.add(study.directory)
            assert study.directory.parent.name == "s-files"
            go(study, saving, trials=1)
            assert study.best.checkpoint.is_relative_to(study.directory)
    assert len(folders) == len(names)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"space": {"x": 1}}, TypeError, "expected a Space, got dict"),
        ({"mode": "minimum"}, ValueError, 'mode "min" or "max", got'),
        ({"mode": "maximize"}, ValueError, """expected mode "min" or "max", got 'maximize': did you mean "max"?"""),
        ({"mode": "up"}, ValueError, """expected mode "min" or "max", got 'up'$"""),
        ({"metric": ["a", "b"], "mode": ["min"]}, ValueError, "one mode per metric"),
        ({"metric": ["a", "a"]}, ValueError, "different metric names"),
        ({"seed": -1}, ValueError, "a seed that is a whole number"),
        ({"seed": 1.5}, ValueError, "a seed that is a whole number"),
        ({"name": ""}, ValueError, "expected a name"),
        ({"mode": None}, TypeError, "metric and mode to be a name or a list of names, got None"),
        ({"metric": 5}, TypeError, "metric and mode to be a name or a list of names, got 5"),
        ({"sampler": tw.samplers.Random}, TypeError, r"got <class .*Random'>: write Random\(\)"),
        ({"scheduler": 5}, TypeError, "expected a scheduler, by name or as an instance, got 5"),
        ({"sampler": "sobbol"}, ValueError, "did you mean 'sobol'"),
    ],
)
def test_bad_studies_are_refused_in_one_sentence(options, error, words):
    space = options.pop("space", SPACE)
    with pytest.raises(error, match=words):
        tw.Study(space, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampler": {"name": "tpe", "naroowest": 0.1}}, "tpe has no option 'naroowest': did you mean 'narrowest'"),
        ({"sampler": {"name": "random", "points": 3}}, "random has no option 'points': it has none"),
        ({"sampler": {"nam": "tpe"}}, "a sampler by its name and options"),
        (
            {"sampler": {"name": "tpe", "share": "half"}},
            "TPE expected a share between 0 and 1, such as 0.15, got 'half'",
        ),
        ({"sampler": tw.samplers.Grid(points={"rate": 3, "layers": 2})}, "unknown parameter 'rate'"),
        ({"sampler": tw.samplers.Perturb(around={"layers": 9})}, "parameter 'layers': expected"),
        ({"sampler": tw.strategies.Tiered(tiers=[["rate"]])}, "parameters of the space in its tiers, got 'rate'"),
        *(
            (
                {"scheduler": {"name": name, "fixed": ["layer"]}},
                f"{name} expected .* got 'layer': did you mean 'layers'",
            )
            for name in ("pbt", "pb2", "mf_pbt", "ipbt")
        ),
        ({"scheduler": {"name": "patience", "then": {"name": "pbt", "fixed": ["layer"]}}}, "pbt expected"),
        ({"scheduler": tw.schedulers.Worthwhile(then=tw.schedulers.PBT(fixed=["layer"]))}, "pbt expected"),
        ({"scheduler": {"name": "asha", "reduction": 1}}, "asha expected reduction to be a whole number"),
        ({"scheduler": "replay"}, r"replay expected its option schedule, got none: write Replay\(schedule=...\)"),
        ({"scheduler": tw.schedulers.Replay([{"after": 0, "params": {"rate": 0.1}}])}, "unknown parameter 'rate'"),
    ],
)
def test_options_that_do_not_fit_are_refused_before_anything_is_stored(storage, options, words):
    with pytest.raises(ValueError, match=words):
        tw.Study(SPACE, storage=storage, **options)
    study = study_of(storage, name="another")
    with pytest.raises(ValueError, match=words):
        study_of(storage, name="another", **options)
    with pytest.raises(KeyError):
        tw.open(storage, "study")
    assert [type(event).__name__ for event in study.events] == ["StudyCreated"]
    study.close()


def test_an_algorithm_may_be_said_as_plain_data(storage):
    options = {"sampler": {"name": "grid", "points": 2}, "scheduler": {"name": "patience", "then": {"name": "asha"}}}
    study = study_of(storage, **options)
    assert study.history.settings["sampler"] == options["sampler"]
    assert study.history.settings["scheduler"] == options["scheduler"]
    assert study.ask().params == next(SPACE.grid(2))
    study.close()


def test_no_objective_and_unknown_executors():
    with pytest.raises(ValueError, match='executor="inline", "processes" or an instance'):
        study_of().run(once, trials=1, executor="threads")
    with pytest.raises(ValueError, match='"processes" or an instance, got None'):
        study_of().run(once, trials=1, executor=None)
    with pytest.raises(TypeError, match="expected an objective, got none"):
        go(study_of(), None, trials=1)
    with pytest.raises(ValueError, match='expected workers=1, got 3: use executor="processes"'):
        go(study_of(), once, trials=1, workers=3)


class Watched(Inline):
    """Notes when it is started and closed, and whether another thread might have run the study then."""

    def __init__(self, study):
        super().__init__()
        self.study, self.noted = study, []

    def start(self, *given):
        free = threading.Thread(target=lambda: self.noted.append(self.study._lock.acquire(blocking=False)))
        free.start()
        free.join()
        self.noted.append("start")
        super().start(*given)

    def close(self):
        self.noted.append("close")
        super().close()


def test_an_executor_is_started_in_its_turn_and_closed_once_whatever_happens():
    study = study_of()
    place = Watched(study)
    go(study, once, trials=1, executor=place)
    assert place.noted == [False, "start", "close"]
    place = Watched(study)
    with pytest.raises(TypeError, match="progress=True, False or a function"):
        go(study, once, trials=2, executor=place, progress="yes")
    assert place.noted == [False, "start", "close"]


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_an_objective_that_cannot_take_a_trial_is_refused_before_the_first(executor):
    def train():
        return 1.0

    def train_on(trial, data):
        return 1.0

    study = study_of()
    with pytest.raises(TypeError, match=r"takes a trial and nothing else, got train\(\): write def train\(trial\)"):
        go(study, train, trials=1, executor=executor)
    with pytest.raises(TypeError, match=r"got train_on\(trial, data\)"):
        go(study, train_on, trials=1)
    assert len(study.trials) == 0
    go(study, functools.partial(lambda data, trial: 1.0, None), trials=1)
    assert len(study.trials) == 1


def test_a_trial_that_takes_too_long_is_timed_out():
    class Frozen:
        """Trials here never come back; a real process would be killed."""

        def __init__(self):
            self.jobs, self.halted = {}, []

        def start(self, objective, workers, since=0.0): ...
        def clock(self):
            return time.time()

        def free_workers(self):
            return () if self.jobs else (0,)

        def busy_trials(self):
            return tuple(self.jobs)

        def launch(self, job):
            self.jobs[job.trial] = job

        def halt(self, trial):
            self.halted.append(trial)
            del self.jobs[trial]

        def saved_step(self, trial):
            return 0

        def remove_unneeded(self, history, trial, *, untold=False): ...
        def poll(self, observe, seconds):
            time.sleep(0.01)

        def close(self): ...

    study, frozen = study_of(), Frozen()
    study.run(trials=2, trial_seconds=0.05, executor=frozen, progress=False)
    assert frozen.halted == [0, 1]
    assert [t.status.value for t in study.trials] == ["timed_out"] * 2
    assert study.trials[0].reason == "took longer than 0.05 seconds"


def test_every_decision_can_be_found_again_in_the_events(storage):
    study = study_of(storage, scheduler="asha")
    go(study, saving, trials=9)
    events = study.events
    assert json.dumps([repr(event) for event in events])
    for position, event in enumerate(events):
        if isinstance(event, TrialStarted) and event.origin == "sampler":
            import numpy as np

            history = History(events[:position])
            rng = np.random.default_rng([history.seed, event.trial])
            assert tw.samplers.Random().suggest(history.space, history, rng) == event.config
    study.close()
