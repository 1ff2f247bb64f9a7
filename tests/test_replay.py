"""Studies of every kind replay as recorded; one changed fact is found."""

from __future__ import annotations

import contextlib
import math
import random
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tunewell as tw
from tunewell.events import (
    CheckpointSaved,
    Ended,
    Event,
    Fork,
    Goal,
    Paused,
    Reported,
    Status,
    StudyCreated,
    TrialResumed,
    TrialStarted,
)
from tunewell.history import History
from tunewell.protocols import Continue, Pause, Start, Stop
from tunewell.protocols import Fork as ForkAction
from tunewell.replay import replay

SPACE = tw.Space(
    lr=tw.Float(1e-4, 1e-1, scale="log", default=1e-3),
    layers=tw.Int(1, 4),
    optimizer=tw.Choice(["sgd", "adam"]),
    nesterov=tw.Choice([False, True], when={"optimizer": "sgd"}),
)


def train(trial: tw.Trial) -> None:
    for step in trial.steps(9):
        trial.report(val_loss=abs(trial.params["lr"] - 0.01) + 0.1 * trial.params["layers"] + 1 / step)  # type: ignore[operator]
        if step in (1, 2, 3, 4):  # at the rungs
            trial.save(lambda directory: (directory / "weights").write_text("w"))


def train_without_checkpoints(trial: tw.Trial) -> None:
    for step in trial.steps(9):
        trial.report(val_loss=trial.params["layers"] + 1 / step)  # type: ignore[operator]


def study(path: Path, **more: Any) -> tw.Study:
    return tw.Study(SPACE, metric="val_loss", storage=str(path / "x.db"), **{"name": "x", "seed": 3, **more})


def verified(events: Sequence[Event], **more: Any) -> tuple[int, int]:
    result = replay(events, **more)
    assert result.ok, result.mismatch
    assert result.events == len(events)
    assert result.suggestions == sum(isinstance(event, TrialStarted) and event.fork is None for event in events)
    return result.suggestions, result.verdicts


@pytest.mark.parametrize("objective", [train, train_without_checkpoints])
@pytest.mark.parametrize("scheduler", ["fifo", "asha", tw.schedulers.Asha(reduction=2, max_steps=6)])
@pytest.mark.parametrize("sampler", ["random", "sobol", tw.samplers.Grid(points=3)])
def test_what_was_recorded_follows_from_itself(tmp_path: Path, sampler: Any, scheduler: Any, objective: Any) -> None:
    tuned = study(tmp_path, sampler=sampler, scheduler=scheduler)
    tuned.run(objective, trials=12, executor="inline", progress=False)
    suggestions, verdicts = verified(tuned.events)
    assert suggestions >= 12
    assert (verdicts > 0) == (scheduler != "fifo")


@pytest.mark.parametrize("total", [{"steps": 20}, {"seconds": 0.05}, {"trials": 5}])
@pytest.mark.parametrize("objective", [train, train_without_checkpoints])
def test_a_budget_is_nobodys_decision(tmp_path: Path, total: dict[str, Any], objective: Any) -> None:
    tuned = study(tmp_path, scheduler="asha")
    tuned.run(objective, **total, executor="inline", progress=False)
    verified(tuned.events)
    tuned.run(objective, **{name: 2 * value for name, value in total.items()}, executor="inline", progress=False)
    verified(tuned.events)


def test_workers_and_a_person(tmp_path: Path) -> None:
    with study(tmp_path, scheduler="asha") as first:
        first.enqueue({"lr": 0.05, "layers": 2, "optimizer": "adam"})
        first.run(train, trials=8, workers=2, progress=False)
        first.enqueue({"lr": 0.06, "layers": 3, "optimizer": "adam"})
    with study(tmp_path, sampler="random", scheduler="fifo") as second:  # settings changed
        with pytest.warns(RuntimeWarning, match="does not allow 1 of the configurations in line"):
            second.change_space(tw.Space(lr=tw.Float(1e-3, 1e-2), layers=tw.Int(1, 2)), "narrower")
        second.enqueue({"lr": 0.005, "layers": 2})
        second.run(train, trials=12, workers=2, progress=False)
        asked = [second.ask() for _ in range(2)]
        second.tell(asked[1], 0.5)
        second.tell(asked[0], status="stopped", reason="looks bad")
        second.note("done")
        events = second.events
    suggestions, _ = verified(events)
    origins = [event.origin for event in events if isinstance(event, TrialStarted)]
    assert origins.count("enqueued") == 2
    assert origins.count("default") == 1
    assert len(origins) == suggestions


def test_asked_trials_never_resume(tmp_path: Path) -> None:
    tuned = study(tmp_path, scheduler="asha")
    tuned.run(train, steps=3, executor="inline", progress=False)
    assert tuned.history.counts[Status.PAUSED]
    for _ in range(4):
        trial = tuned.ask()
        for _ in trial.steps(2):
            trial.report(val_loss=1.0)
        tuned.tell(trial)
    tuned.run(train, trials=9, executor="inline", progress=False)
    verified(tuned.events)


def test_after_a_crash(tmp_path: Path) -> None:
    script = tmp_path / "crash.py"
    script.write_text(f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_replay
from pathlib import Path

def train(trial):
    for step in trial.steps(9):
        if trial.number == 4 and step == 1:
            os._exit(9)
        trial.report(val_loss=1 / step)
        trial.save(lambda directory: (directory / "weights").write_text("w"))

test_replay.study(Path({str(tmp_path)!r}), scheduler="asha").run(train, trials=9, executor="inline", progress=False)
""")
    assert subprocess.run([sys.executable, str(script)], check=False).returncode == 9
    tuned = tw.open(str(tmp_path / "x.db"))
    assert tuned.history.running
    tuned.run(train, trials=9, executor="inline", progress=False)
    events = tuned.events
    assert any(isinstance(event, Ended) and event.status is Status.LOST for event in events)
    verified(events)


def test_two_drivers_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(2)

    def slowly(trial: tw.Trial) -> None:
        if trial.number < 2:
            together.wait(10)
        train_without_checkpoints(trial)

    def drive() -> None:
        with study(tmp_path, scheduler="asha") as one:
            one.run(slowly, trials=10, executor="inline", progress=False)

    study(tmp_path, scheduler="asha").close()
    threads = [threading.Thread(target=drive) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = tw.open(str(tmp_path / "x.db")).events
    assert len({event.driver for event in events if isinstance(event, TrialStarted)}) == 2
    verified(events)


# --- what was tampered with is found ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> list[Event]:
    tuned = study(tmp_path_factory.mktemp("study"), scheduler="asha")
    tuned.run(train, trials=10, executor="inline", progress=False)
    return tuned.events


def position(events: Sequence[Event], kind: type, number: int = 0) -> int:
    return [index for index, event in enumerate(events) if isinstance(event, kind)][number]


@pytest.mark.parametrize(
    ("number", "changes", "recorded_words", "expected_words"),
    [
        (3, {"config": {"lr": 0.05, "layers": 2, "optimizer": "adam"}}, "'lr': 0.05", "by the sampler"),
        (0, {"config": {"lr": 0.05, "layers": 2, "optimizer": "adam"}}, "'lr': 0.05", "by default"),
        (3, {"seed": 12345}, "seed 12345", "with seed"),
        (3, {"origin": "enqueued"}, "by hand", "by the sampler"),
        (3, {"fork": Fork(0, 1)}, "forked from trial 0 at step 1", "by the sampler"),
    ],
)
def test_a_changed_start_is_found(
    recorded: list[Event], number: int, changes: dict[str, Any], recorded_words: str, expected_words: str
) -> None:
    events = list(recorded)
    index = position(events, TrialStarted, number)
    events[index] = changed(events[index], **changes)  # type: ignore[type-var]
    result = replay(events)
    assert not result.ok
    assert result.mismatch is not None
    assert result.mismatch.position == index + 1
    assert recorded_words in result.mismatch.recorded
    assert expected_words in result.mismatch.expected
    assert str(result.mismatch).startswith(f"event {index + 1}: recorded is trial {number}")
    assert 0 < result.checked <= index


def test_a_changed_seed_of_the_study_is_found(recorded: list[Event]) -> None:
    created = changed(recorded[0], seed=4)  # type: ignore[type-var]
    assert replay([created, *recorded[1:]]).mismatch is not None


def test_a_changed_report_is_found(recorded: list[Event]) -> None:
    """A rung's places depend on every loss, so prettifying one loss contradicts what followed from it."""
    events = list(recorded)
    resumed = events[position(events, TrialResumed)]
    assert isinstance(resumed, TrialResumed)
    for index, event in enumerate(events):
        if isinstance(event, Reported) and event.trial == resumed.trial and event.step == resumed.step:
            events[index] = changed(event, metrics={"val_loss": 99.0})
    assert replay(events).mismatch is not None


def test_a_changed_verdict_is_found(recorded: list[Event]) -> None:
    index = position(recorded, Paused)
    paused = recorded[index]
    assert isinstance(paused, Paused)
    stopped = Ended(paused.time, paused.trial, Status.STOPPED, paused.reason)
    result = replay([*recorded[:index], stopped, *recorded[index + 1 :]])
    assert result.mismatch is not None
    assert "stopped" in result.mismatch.recorded
    assert "that it pauses" in result.mismatch.expected
    report = next(event for event in recorded if isinstance(event, Reported) and event.step == 2)
    end = recorded.index(report) + 2  # with its checkpoint
    made_up = Ended(report.time, report.trial, Status.STOPPED, "place 9 of 9")
    result = replay([*recorded[:end], made_up])
    assert result.mismatch is not None
    assert "that it trains on" in result.mismatch.expected


def test_a_resumption_of_the_wrong_trial_is_found(recorded: list[Event]) -> None:
    index = position(recorded, TrialResumed)
    resumed = recorded[index]
    assert isinstance(resumed, TrialResumed)
    for wrong in (changed(resumed, trial=resumed.trial + 1), changed(resumed, step=0), changed(resumed, trial=99)):
        result = replay([*recorded[:index], wrong])
        assert result.mismatch is not None
        assert f"trial {resumed.trial} going on from step 1" in result.mismatch.expected


def test_a_step_that_was_left_out_is_found(recorded: list[Event]) -> None:
    index = position(recorded, TrialStarted, 3)
    assert replay([*recorded[:index], *recorded[position(recorded, TrialStarted, 4) :]]).mismatch is not None


def test_the_last_places_of_a_number_may_differ(recorded: list[Event]) -> None:
    events = list(recorded)
    index = position(events, TrialStarted, 3)
    start = events[index]
    assert isinstance(start, TrialStarted)
    nearly = {**start.config, "lr": float(np.nextafter(start.config["lr"], 1.0))}  # type: ignore[arg-type]
    events[index] = changed(start, config=nearly)
    assert replay(events).ok
    as_float = {**start.config, "layers": float(start.config["layers"])}  # type: ignore[arg-type]
    events[index] = changed(start, config=as_float)
    assert not replay(events).ok


# --- algorithms of the user's own -------------------------------------------------------------------------------------


class Cautious:
    """A scheduler that forks the first trial once and stops all others at their second step."""

    def next_action(self, space: tw.Space, history: History, rng: np.random.Generator) -> Any:
        if len(history.trials) == 1 and history.trials[0].saved:
            return ForkAction(0, history.trials[0].saved, space.sample(rng), "copy the first")
        return Start()

    def decide(self, history: History, report: Reported) -> Any:
        if report.trial == 0:
            return Continue()
        return Stop("enough") if report.step >= 2 else Continue()


class Halves:
    """A sampler of the user's own."""

    def suggest(self, space: tw.Space, history: History, rng: np.random.Generator) -> Any:
        return space.decode_one([0.5] * len(space))


def test_algorithms_of_ones_own_must_be_given(tmp_path: Path) -> None:
    tuned = study(tmp_path, sampler=Halves(), scheduler=Cautious())
    tuned.run(train, trials=4, executor="inline", progress=False)
    with pytest.raises(ValueError, match="pass an instance of it"):
        replay(tuned.events)
    _, verdicts = verified(tuned.events, sampler=Halves(), scheduler=Cautious())
    forks = sum(isinstance(event, TrialStarted) and event.fork is not None for event in tuned.events)
    assert forks == 1
    assert verdicts == forks + tuned.history.counts[Status.STOPPED] > 1
    with study(tmp_path, sampler="random", scheduler="fifo") as later:
        later.run(train, trials=6, executor="inline", progress=False)
        verified(later.events, sampler=Halves(), scheduler=Cautious())


def test_what_is_given_with_other_options_does_not_decide(tmp_path: Path) -> None:
    tuned = study(tmp_path, scheduler=tw.schedulers.Asha(reduction=3))
    tuned.run(train, trials=12, executor="inline", progress=False)
    verified(tuned.events, scheduler=tw.schedulers.Asha(reduction=2))


class Pausing:
    """Pauses every trial at its first step."""

    def next_action(self, space: tw.Space, history: History, rng: np.random.Generator) -> Any:
        return Start()

    def decide(self, history: History, report: Reported) -> Any:
        return Pause("rest")


def test_a_pause_needs_its_checkpoint() -> None:
    created = StudyCreated(0.0, "x", tw.Space(), (Goal("loss"),), {"sampler": "random", "default_first": False}, 0)
    started = TrialStarted(1.0, 0, {}, 2968811710, driver="a/b/1/2/3")
    reported = Reported(2.0, 0, 1, {"loss": 1.0})
    settings = {"sampler": "random", "scheduler": f"{__name__}:Pausing", "default_first": False}
    created = changed(created, settings=settings)
    begun = [created, changed(started, seed=seed_of(created)), reported]
    rests = [*begun, CheckpointSaved(2.0, 0, 1), Paused(3.0, 0, 1, "rest")]
    verified(rests, scheduler=Pausing())
    assert not replay([*begun, Paused(3.0, 0, 1, "rest")], scheduler=Pausing()).ok
    verified([*begun, Ended(3.0, 0, Status.STOPPED, "rest; it has no checkpoint")], scheduler=Pausing())
    assert not replay([*rests[:4], Ended(3.0, 0, Status.STOPPED, "rest")], scheduler=Pausing()).ok


def seed_of(created: StudyCreated) -> int:
    from tunewell.decisions import choose
    from tunewell.samplers.random import Random

    return choose(History([created]), Random(), Pausing()).seed


@pytest.mark.parametrize("seed", range(4))
def test_a_population_that_a_person_steers_beyond_its_total(seed: int) -> None:
    """Members are replaced in pairs of events, and forked while nothing new may start."""
    hands = random.Random(seed)
    space = tw.Space(lr=tw.Float(1e-4, 1.0, scale="log"), decay=tw.Float(0.0, 1.0))
    study = tw.Study(space, seed=seed, scheduler="mf_pbt", sampler="random")

    def losses(params: Any, step: int) -> tuple[float, float]:
        return (math.log10(params["lr"]) + 2.0) ** 2 / step + params["decay"] / step, 10.0

    def steer(history: History, events: Sequence[Event]) -> None:
        if events and history.trials and hands.random() < 0.1:
            trial = hands.randrange(len(history.trials))
            wishes = (
                lambda: study.fork(trial, lr=0.01),
                lambda: study.pause(trial),
                lambda: study.stop(trial),
                lambda: study.enqueue(space.default(lr=0.03)),
            )
            with contextlib.suppress(ValueError):
                hands.choice(wishes)()

    study.run(trials=20, max_steps=9, executor=tw.executors.Simulated(losses, 3), progress=steer)
    result = replay(study.events)
    assert result.ok, result.mismatch
    assert any(isinstance(event, TrialStarted) and event.fork for event in study.events)
