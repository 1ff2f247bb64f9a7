"""From a diagnosis of curves to the command that does something about it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import pytest

import tunewell as tw
from tunewell.analysis.diagnosis import Diagnosis, Label
from tunewell.analysis.diagnosis.labels import MEANINGS
from tunewell.events import (
    Adjusted,
    CheckpointSaved,
    Ended,
    Event,
    Fork,
    Goal,
    Paused,
    Reported,
    RunStarted,
    Status,
    StudyCreated,
    TrialStarted,
)
from tunewell.history import History
from tunewell.watching.advice import Advice, advise
from tunewell.watching.curves import curves
from tunewell.watching.typed import understood

SPACE = tw.Space(
    lr=tw.Float(1e-4, 10.0, scale="log"), dropout=tw.Float(0.0, 0.6), hidden_units=tw.Int(8, 512, scale="log")
)
PARAMS = {"lr": 5.0, "dropout": 0.0, "hidden_units": 32}
EXPLODED = [2.3, 1.9, 1.5, 1.2, 1.0, 0.9, 0.8, 40.0, 90.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0, 12800.0]
SLOW = [2.3 * 0.999**i for i in range(20)]
OVERFITTED = (
    [max(2.3 * 0.7**i, 1e-4) for i in range(30)],
    [0.6 + 1.5 * 0.6**i + 0.05 * max(0, i - 6) for i in range(30)],
)


def history_of(
    train: Sequence[float],
    val: Sequence[float] | None = None,
    horizon: int | None = 60,
    params: Any = PARAMS,
    space: tw.Space = SPACE,
) -> History:
    events: list[Event] = [
        StudyCreated(0.0, "digits", space, (Goal("val_loss"),), {}, 0),
        RunStarted(0.0, "host/boot/1/2/1", 1, horizon, keep_checkpoints=50),
        TrialStarted(1.0, 0, params, 7, driver="host/boot/1/2/1"),
    ]
    for step, (loss, held_out) in enumerate(zip(train, val or train, strict=True), 1):
        events.append(Reported(1.0 + step, 0, step, {"train_loss": loss, "val_loss": held_out}))
        events.append(CheckpointSaved(1.0 + step, 0, step))
    return History(events)


def advised(history: History, number: int = 0) -> Advice:
    advice = advise(history, number)
    assert advice is not None
    if advice.command:  # whatever is advised can be typed
        understood(advice.command, history.space, history.trials[number].params)
    return advice


def test_a_training_that_explodes_goes_back_to_its_best_checkpoint_with_a_lower_rate() -> None:
    advice = advised(history_of(EXPLODED))
    assert advice.diagnosis.label == "diverging"
    assert advice.command == "back 7 lr=0.5"
    assert "val_loss was 0.8 there" in advice.why


def test_one_that_does_so_early_begins_anew() -> None:
    advice = advised(history_of(EXPLODED, horizon=200))
    assert advice.command == "back 0 lr=0.5"
    assert advice.why.endswith("only 16 of 200 steps are lost")


def test_one_that_has_gained_nothing_begins_anew() -> None:
    losses = [2.3 * 3.0**i for i in range(16)]
    assert advised(history_of(losses, horizon=None)).command == "back 0 lr=0.05"


def test_a_trial_that_has_ended_as_diverged_can_still_go_back() -> None:
    history = history_of([2.0, 1.0, 0.9, 0.8, 0.7, 0.6, math.nan], horizon=20)
    history.apply(Ended(20.0, 0, Status.DIVERGED, "val_loss is nan"))
    advice = advised(history)
    assert advice.diagnosis.label == "diverging"
    assert advice.command == "back 6 lr=0.5"


def test_a_rate_that_is_too_low_is_raised_where_the_trial_stands() -> None:
    advice = advised(history_of(SLOW, params={**PARAMS, "lr": 1e-3}))
    assert advice.diagnosis.label == "rate-too-low"
    assert advice.command == "set lr=0.1"


def test_a_value_at_the_end_of_its_range_is_told() -> None:
    narrow = tw.Space({**SPACE, "lr": tw.Float(1e-4, 1e-2, scale="log")})
    advice = advised(history_of(SLOW, params={**PARAMS, "lr": 1e-2}, space=narrow))
    assert advice.command == ""
    assert "lr is at the end of its range" in advice.why


def test_one_that_overfits_is_stopped() -> None:
    advice = advised(history_of(*OVERFITTED))
    assert advice.diagnosis.label == "overfitting"
    assert advice.command == "stop"
    assert re.fullmatch(r"stop: the validation was best at step \d+, whose checkpoint stays", advice.why)


def test_a_finished_trial_is_only_told_of() -> None:
    history = history_of(SLOW, params={**PARAMS, "lr": 1e-3})
    history.apply(Ended(99.0, 0, Status.COMPLETED))
    advice = advised(history)
    assert advice.command == ""
    assert advice.why.startswith("the next training: raise the learning rate")


def test_what_shapes_the_network_needs_a_new_training(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Diagnosis(Label.UNDERFITTING, 0.9, (), MEANINGS[Label.UNDERFITTING].actions)
    monkeypatch.setattr("tunewell.watching.advice.diagnosed", lambda curves, params: [found])
    assert advised(history_of(SLOW)).command == "fork 0 hidden_units=128"


def test_a_change_is_judged_by_what_was_reported_since() -> None:
    history = history_of(EXPLODED)
    history.apply(Adjusted(30.0, 0, 16, {"lr": 0.5}, "person"))
    advice = advised(history)
    assert advice.diagnosis.label == "too-early"
    assert "no report with these values yet" in advice.diagnosis.message
    assert advice.command == ""


def test_steps_after_a_change_go_by_their_numbers() -> None:
    train, val = OVERFITTED
    history = history_of([*SLOW, *train], [*SLOW, *val], horizon=100)
    history.apply(Adjusted(30.0, 0, 20, {"dropout": 0.1}, "person"))
    advice = advised(history)
    assert advice.diagnosis.label == "overfitting"
    best = 21 + val.index(min(val))
    assert f"best at step {best} " in advice.diagnosis.message


def test_a_fork_is_judged_with_the_curve_it_stands_on() -> None:
    history = history_of(SLOW, params={**PARAMS, "lr": 1e-3})
    history.apply(Paused(40.0, 0, 20, "held", "hold"))
    history.apply(
        TrialStarted(41.0, 1, {**PARAMS, "lr": 1e-3}, 8, "person", fork=Fork(0, 20), driver="host/boot/1/2/1")
    )
    assert advised(history, 1).diagnosis.label == "rate-too-low"


def test_without_a_known_curve_there_is_no_advice() -> None:
    assert advise(history_of([]), 0) is None


def test_what_is_drawn_and_judged_is_the_goal_that_says_how_well_it_learns() -> None:
    goals = (Goal("parameters"), Goal("val_loss"))
    created = StudyCreated(0.0, "digits", SPACE, goals, {}, 0)
    history = History([created, RunStarted(0.0, "run", 1, 60, keep_checkpoints=50), TrialStarted(1.0, 0, PARAMS, 7)])
    for step, loss in enumerate(EXPLODED, 1):
        history.apply(Reported(1.0 + step, 0, step, {"train_loss": loss, "val_loss": loss, "parameters": 12022.0}))
        history.apply(CheckpointSaved(1.0 + step, 0, step))
    assert [curve.metric for curve in curves(history, 0)] == ["val_loss", "train_loss"]
    found = advise(history, 0)
    assert found is not None
    assert found.command.startswith("back")
    assert "val_loss was" in found.why
