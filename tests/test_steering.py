"""A person's hand from another thread, another process, and after a crash."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tunewell as tw
from tunewell.events import Adjusted, Fork, Reported, Requested
from tunewell.replay import replay
from tunewell.steering import fitting

SPACE = tw.Space(
    lr=tw.Float(1e-4, 1.0, scale="log", default=0.1),
    layers=tw.Int(1, 4, default=2),
    optimizer=tw.Choice(["sgd", "adam"], default="sgd"),
    nesterov=tw.Choice([False, True], when={"optimizer": "sgd"}),
)

SCRIPT = """
import sys, time
import tunewell as tw

SPACE = tw.Space(lr=tw.Float(1e-4, 1.0, scale="log", default=0.1))

def train(trial):
    for step in trial.steps(int(sys.argv[2])):
        time.sleep(float(sys.argv[3]))
        trial.report(loss=1.0 / step, lr=trial.params["lr"])
        trial.save(lambda folder: None)

if __name__ == "__main__":
    study = tw.Study(SPACE, name="watched", storage=sys.argv[1], scheduler="fifo", seed=0)
    print(study.run(train, trials=1, workers=1, executor=sys.argv[4], progress=False), flush=True)
"""


def training(trial: tw.Trial) -> None:
    for step in trial.steps(int(os.environ.get("STEPS", "6"))):
        trial.report(loss=1.0 / step, lr=trial.params["lr"])
        trial.save(lambda folder: None)


def held(**more: Any) -> tw.Study:
    """Return a study whose only trial a person holds at step 2."""
    study = tw.Study(SPACE, scheduler="fifo", seed=0, **more)

    def watch(history: Any, events: Any) -> None:
        if any(isinstance(event, Reported) and event.step == 2 for event in events):
            study.pause(0)

    study.run(training, trials=1, executor="inline", progress=watch)
    assert study.trials[0].held
    return study


def wait_until(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.02)


# --- what is refused at the border ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resting() -> Iterator[tw.Study]:
    study = held()
    yield study
    assert not study.history.pending, "what is refused is not written"


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (lambda s: s.adjust(1, lr=0.1), "adjust expected a trial of this study, got 1: it has 1"),
        (lambda s: s.adjust(0), "adjust expected at least one value, got none: say e.g. learning_rate=1e-3"),
        (lambda s: s.adjust(0, lrr=0.1), "unknown parameter 'lrr': did you mean 'lr'?"),
        (lambda s: s.adjust(0, lr="fast"), "parameter 'lr': expected a number from 0.0001 to 1.0, got 'fast'"),
        (lambda s: s.adjust(0, lr=float("nan")), "parameter 'lr': expected a finite number, got nan"),
        (
            lambda s: s.adjust(0, lr=-1),
            "parameter 'lr': expected a number above 0, which is all that the scale 'log' holds, got -1.0",
        ),
        (
            lambda s: s.adjust(0, lr=0.1, learning_rate=0.2),
            "adjust expected one value for 'lr', got several: 'lr', 'learning_rate'",
        ),
        (lambda s: s.adjust(0, layers=2.5), "parameter 'layers': expected a whole number from 1 to 4, got 2.5"),
        (lambda s: s.adjust(0, nesterov=2), "parameter 'nesterov': expected one of False, True, got 2"),
        (
            lambda s: s.adjust(0, optimizer="adam"),
            "adjust expected values under which the same parameters are active, got {'optimizer': 'adam'}: "
            "fork the trial instead",
        ),
        (lambda s: s.go_back(0, 9), "go_back expected a step that trial 0 has come to, 0 to 2, got 9"),
        (lambda s: s.go_back(0, 1), "go_back: trial 0 has no checkpoint of step 1 (there are: 2)"),
        (lambda s: s.fork(0, 1), "fork: trial 0 has no checkpoint of step 1 (there are: 2)"),
        (lambda s: s.fork(0, 2, optimizer="lion"), "parameter 'optimizer': expected one of 'sgd', 'adam', got 'lion'"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(resting: tw.Study, wish: Any, message: str):
    with pytest.raises(ValueError) as error:
        wish(resting)
    assert str(error.value) == message


@pytest.mark.parametrize("name", ["lr", "learning_rate", "LR"])
def test_a_parameter_goes_by_the_same_names_as_at_the_shell(name: str):
    study = held()
    assert study.adjust(0, {name: 0.2}).values == {"lr": 0.2}
    assert study.fork(0, 2, {name: 0.2}).values == {"lr": 0.2}
    assert study.go_back(0, 2, opt="adam", layer=3).values == {"optimizer": "adam", "layers": 3}


def test_a_reason_has_to_be_a_text(resting: tw.Study):
    with pytest.raises(TypeError, match="pause expected a text as reason, got 3: put it in quotes"):
        resting.pause(0, reason=3)  # type: ignore[arg-type]


def test_a_trial_that_was_asked_for_or_is_over_is_told_so():
    study = tw.Study(SPACE, seed=0)
    asked = study.ask()
    with pytest.raises(ValueError, match="stop expected a trial that a run trains, got 0, which was asked for"):
        study.stop(asked)
    study.tell(asked, 0.5)
    with pytest.raises(ValueError, match="pause expected a trial that trains or rests, got 0, which is completed"):
        study.pause(0)


def test_a_number_outside_its_range_is_taken_and_said():
    study = held()
    request = study.adjust(0, {"lr": 3}, layers=9, reason="to see")
    assert request.values == {"lr": 3.0, "layers": 9}
    assert request.reason == (
        "to see; lr=3.0 lies outside Float(0.0001, 1.0, scale='log', default=0.1); "
        "layers=9 lies outside Int(1, 4, default=2)"
    )
    study.resume(0)
    study.run(training, trials=1, executor="inline", progress=False)
    assert study.trials[0].metric("lr") == 3.0


@pytest.mark.parametrize(
    ("name", "parameter", "value", "said"),
    [
        ("x", tw.Float(1e-4, 1.0, scale="log"), 0, "above 0, which is all that the scale 'log' holds, got 0.0"),
        ("x", tw.Int(1, 64, scale="log"), -3, "above 0, which is all that the scale 'log' holds, got -3"),
        ("x", tw.Float(0.0, 0.9, scale="reverse_log"), 1.0, "below 1, which is all that the scale 'reverse_log' holds"),
        ("x", tw.Float(0.1, 0.9, scale="logit"), 1, "above 0 and below 1, which is all that the scale 'logit' holds"),
        ("dropout", tw.Float(0.0, 0.5), 1.5, "from 0 to 1, got 1.5"),
        ("lr", tw.Float(0.1, 0.5), -0.1, "from 0 on, got -0.1"),
        ("momentum", tw.Float(0.1, 0.9), 1.0, "from 0 to 1, without 1, got 1.0"),
        ("batch_size", tw.Int(8, 64), 0, "from 1 on, got 0"),
    ],
)
def test_a_number_that_the_parameter_cannot_be_is_refused(
    name: str, parameter: tw.space.Parameter, value: Any, said: str
):
    with pytest.raises(ValueError, match=f"^parameter '{name}': expected a number {re.escape(said)}"):
        fitting(name, parameter, value)


@pytest.mark.parametrize(
    ("name", "parameter", "value"),
    [
        ("x", tw.Float(1e-4, 1.0, scale="log"), 1e-9),
        ("x", tw.Float(0.1, 1.0), -5.0),
        ("x", tw.Float(0.5, 0.9, scale="reverse_log"), -1.0),
        ("dropout", tw.Float(0.1, 0.5), 0.0),
        ("weight_decay", tw.Float(0.1, 0.5), 0.0),
        ("layers", tw.Int(1, 4), 0),
    ],
)
def test_a_number_that_is_merely_outside_is_taken(name: str, parameter: tw.space.Parameter, value: Any):
    found, outside = fitting(name, parameter, value)
    assert found == value
    assert "lies outside" in outside


def test_keep_checkpoints_is_a_whole_number():
    with pytest.raises(ValueError, match="run expected keep_checkpoints to be a whole number from 0 on, got -1"):
        tw.Study(SPACE, seed=0).run(training, trials=1, keep_checkpoints=-1, executor="inline")


def test_checkpoints_that_are_kept_are_on_disk_and_others_are_not(tmp_path: Path):
    study = tw.Study(SPACE, scheduler="fifo", seed=0, directory=tmp_path)
    study.run(training, trials=1, keep_checkpoints=2, executor="inline", progress=False)
    assert sorted(path.name for path in (tmp_path / "trials" / "0").glob("step-*")) == ["step-5", "step-6"]
    study.go_back(0, 5, lr=0.2)
    study.run(training, trials=1, executor="inline", progress=False)
    assert study.trials[1].fork == Fork(0, 5)
    assert study.trials[1].reports[0].metrics["lr"] == 0.2


# --- while it runs ----------------------------------------------------------------------------------------------------


def test_another_thread_steers_a_run_on_processes(tmp_path: Path):
    def slowly(trial: tw.Trial) -> None:
        for step in trial.steps(400):
            time.sleep(0.02)
            trial.report(loss=1.0 / step, lr=trial.params["lr"])
            trial.save(lambda folder: None)

    study = tw.Study(SPACE, scheduler="fifo", storage=tmp_path / "x.db", seed=0)
    run = threading.Thread(target=lambda: study.run(slowly, trials=1, workers=1, progress=False))
    run.start()
    other = tw.open(tmp_path / "x.db")
    try:
        wait_until(lambda: other.refresh().trials and other.trials[0].step >= 3)
        other.adjust(0, lr=0.5)
        wait_until(lambda: other.refresh().trials[0].metric("lr") == 0.5)
        step = other.history.adjustments[0].step
        other.go_back(0, step, lr=0.25, reason="once more")
        wait_until(lambda: len(other.refresh().trials) > 1 and other.trials[1].step > step)
        assert other.trials[0].held
        assert other.trials[1].metric("lr") == 0.25
        other.stop(1)
    finally:
        run.join(60)
    assert not run.is_alive()
    assert [str(trial.status) for trial in study.trials] == ["paused", "cancelled"]
    assert replay(study.events).ok
    other.close()
    study.close()


@pytest.mark.parametrize("executor", ["inline", pytest.param("processes", marks=pytest.mark.slow)])
def test_another_process_steers_a_run_at_its_next_step(tmp_path: Path, executor: str):
    (tmp_path / "train.py").write_text(SCRIPT)
    storage = tmp_path / "x.db"
    command = [sys.executable, "train.py", str(storage), "6", "0.4", executor]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
        wait_until(storage.exists)
        study = opened(storage)
        wait_until(lambda: study.refresh().trials and study.trials[0].step >= 2)
        study.adjust(0, lr=0.5, reason="from outside")
        out, _ = run.communicate(timeout=60)
    assert out.strip() == "1 trial is done"
    events = study.events
    asked = next(place for place, event in enumerate(events) if isinstance(event, Requested))
    at = sum(isinstance(event, Reported) for event in events[:asked])
    (adjusted,) = study.history.adjustments
    assert adjusted.step == at + 1, "the next step boundary"
    assert [report.metrics["lr"] for report in study.trials[0].reports] == [0.1] * (at + 1) + [0.5] * (5 - at)
    assert replay(events).ok
    study.close()


def opened(storage: Path) -> tw.Study:
    """Open a study that is just being created."""
    for _ in range(500):
        try:
            return tw.open(storage, "watched")
        except (KeyError, FileNotFoundError, tw.JournalError, sqlite3.Error, ValueError):
            time.sleep(0.05)
    raise AssertionError("the study never came")


def test_a_request_outlives_the_driver_that_was_killed_before_it_saw_it(tmp_path: Path):
    (tmp_path / "train.py").write_text(SCRIPT)
    storage = tmp_path / "x.db"
    with subprocess.Popen([sys.executable, "train.py", str(storage), "6", "0.3", "processes"], cwd=tmp_path) as run:
        wait_until(storage.exists)
        study = opened(storage)
        wait_until(lambda: study.refresh().trials and study.trials[0].saved >= 2)
        os.kill(run.pid, signal.SIGSTOP)
        study.adjust(0, lr=0.5)
        study.fork(0, lr=0.25)
        os.kill(run.pid, signal.SIGKILL)
    out = subprocess.run(
        [sys.executable, "train.py", str(storage), "6", "0.01", "processes"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert out.stdout.strip() == "1 trial is done"
    study.refresh()
    assert not study.history.pending
    assert [str(trial.status) for trial in study.trials] == ["completed", "completed"]
    assert study.trials[0].metric("lr") == 0.5
    assert study.trials[1].metric("lr") == 0.25
    assert replay(study.events).ok
    study.close()


# --- what older releases wrote ----------------------------------------------------------------------------------------


def test_a_study_from_before_requests_opens_and_can_be_steered(tmp_path: Path):
    storage = tmp_path / "old.db"
    with tw.Study(SPACE, scheduler="fifo", storage=storage, seed=0) as study:
        study.run(training, trials=1, executor="inline", progress=False)
    with sqlite3.connect(storage) as database:
        table = next(name for (name,) in database.execute("SELECT name FROM sqlite_master") if name.endswith("events"))
        rows = database.execute(f"SELECT position, body FROM {table} WHERE kind = 'run_started'").fetchall()
        for row, body in rows:
            fields = json.loads(body)
            del fields["keep_checkpoints"]
            database.execute(f"UPDATE {table} SET body = ? WHERE position = ?", (json.dumps(fields), row))
        old = {"time": 1.0, "trial": 0, "step": 3, "values": {"lr": 0.2}, "by": "person", "reason": ""}
        (number,) = database.execute(f"SELECT max(position) FROM {table}").fetchone()
        columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]
        last = dict(
            zip(columns, database.execute(f"SELECT * FROM {table} ORDER BY position DESC").fetchone(), strict=True)
        )
        last |= {"position": number + 1, "kind": "adjusted", "body": json.dumps(old)}
        marks = ", ".join("?" * len(columns))
        database.execute(f"INSERT INTO {table} VALUES ({marks})", [last[name] for name in columns])
    with tw.open(storage) as study:
        assert study.history.run is not None
        assert study.history.run.keep_checkpoints == 0
        assert study.history.adjustments == [Adjusted(1.0, 0, 3, {"lr": 0.2}, "person", "", False)]
        study.fork(0, lr=0.5)
        study.run(training, trials=1, executor="inline", progress=False)
        assert study.trials[1].fork == Fork(0, 6)
