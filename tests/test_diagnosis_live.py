"""A study that ends hopeless trials early and, where it may, draws a conclusion from them; a replay checks both."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tunewell as tw
from tunewell.analysis.diagnosis.explosion import collapsed, exploded
from tunewell.events import Believed, Ended
from tunewell.replay import replay

STEPS = 20
RATE = tw.Space(lr=tw.Float(1e-4, 1e1, scale="log"))


def training(
    curve: Callable[[int], float], metric: str = "train_loss", validation: Callable[[int], float] = lambda step: 1.0
) -> Callable[[tw.Trial], None]:
    def train(trial: tw.Trial) -> None:
        for step in trial.steps(STEPS):
            trial.report({"val_loss": validation(step), metric: curve(step)})

    return train


def run(objective: Any, **given: Any) -> tw.Study:
    about: dict[str, Any] = {"metric": "val_loss", "sampler": "random", "scheduler": "fifo", "seed": 0} | given
    study = tw.Study(RATE, **about)
    study.run(objective, trials=1, executor="inline", progress=False)
    return study


def test_a_training_that_explodes_ends_early_as_diverged_and_says_why() -> None:
    study = run(training(lambda step: 2.0**step))
    (trial,) = study.trials
    assert trial.status == "diverged"
    assert trial.step < STEPS
    assert trial.reason.startswith("train_loss has been above 8 for 5 reports")
    assert replay(study.events).ok


def test_what_a_training_takes_may_grow_as_it_likes() -> None:
    study = run(training(lambda step: 2.0**step, "minutes"), metric="minutes")
    assert study.trials[0].status == "completed"


@pytest.mark.parametrize("metric", ["loss", "train_loss", "kl_loss", "value_loss"])
def test_a_loss_may_rise_as_it_likes_while_the_studys_own_metric_is_better_than_at_first(metric: str) -> None:
    """The loss of temporal differences rises with the returns, and the divergence of an encoder from its prior, too."""
    study = run(training(lambda step: 0.1 * 1.5**step, metric, lambda step: 1.0 / step))
    assert study.trials[0].status == "completed"


def test_a_gain_by_a_hair_or_an_explosion_beyond_all_bounds_excuses_nothing() -> None:
    hair = run(training(lambda step: 2.0**step, validation=lambda step: 1.0 - 1e-3 * step))
    bounds = run(training(lambda step: 8.0**step, validation=lambda step: 1.0 / step))
    assert [study.trials[0].status.value for study in (hair, bounds)] == ["diverged"] * 2


@pytest.mark.parametrize("metric", ["kl_loss", "g_loss", "aux_loss", "commit_loss"])
def test_a_part_of_a_loss_is_no_training_loss(metric: str) -> None:
    assert run(training(lambda step: 2.0**step, metric)).trials[0].status == "completed"


def test_diagnosis_off_lets_it_train() -> None:
    study = run(training(lambda step: 2.0**step), diagnosis="off")
    assert study.trials[0].status == "completed"
    assert study.trials[0].step == STEPS


@pytest.mark.parametrize(
    "curve",
    [
        lambda step: 2.0 / step,
        lambda step: 1e6 if step in (8, 9, 10) else 2.0 / step,  # spikes and recovers
        lambda step: 1e6 / step if 5 < step < 15 else 2.0 / step,  # comes back slowly
        lambda step: 2.0 + math.sin(step),
        lambda step: 3.0 * step**0.1,
        lambda step: -1.0 * step,
    ],
)
def test_trainings_that_may_still_come_to_something_are_left_alone(curve: Callable[[int], float]) -> None:
    assert run(training(curve)).trials[0].status == "completed"


def test_a_training_loss_that_stays_no_number_ends_the_trial() -> None:
    study = run(training(lambda step: 1.0 if step < 3 else math.nan))
    assert study.trials[0].status == "diverged"
    assert study.trials[0].reason == "train_loss has been no finite number for 5 reports"
    assert replay(study.events).ok


def test_with_the_studys_metric_alone_a_loss_must_rise_much_higher() -> None:
    def train(trial: tw.Trial) -> None:
        for step in trial.steps(STEPS):
            trial.report(val_loss=1.0 + step)

    assert run(train).trials[0].status == "completed"  # overfitting does as much
    assert exploded("val_loss", [1.0, 0.5, *[100.0 * k for k in range(1, 7)]], 40.0)


@pytest.mark.parametrize("first", [0.0, 1e-9, 2.3])
def test_a_first_loss_of_nothing_is_none(first: float) -> None:
    def train(trial: tw.Trial) -> None:
        for step in trial.steps(STEPS):
            trial.report(train_loss=first if step == 1 else 2.3, val_accuracy=0.1)

    assert run(train, metric="val_accuracy", mode="max").trials[0].status == "completed"
    assert exploded("loss", [0.0, 2.3, *[23.0 * k for k in range(1, 7)]])


def test_a_loss_that_grows_with_the_returns_is_given_more_room() -> None:
    """A temporal-difference loss grows with the values, long before the returns do."""

    def training_of(metric: str) -> Callable[[tw.Trial], None]:
        def train(trial: tw.Trial) -> None:
            for step in trial.steps(30):
                trial.report({"train_loss": 0.002 * step, metric: 20.0 if step < 15 else 8.0 * step})

        return train

    ends = {name: run(training_of(name), metric=name, mode="max") for name in ("episode_return", "val_accuracy")}
    assert [study.trials[0].status.value for study in ends.values()] == ["completed", "diverged"]


def test_an_accuracy_that_collapses_ends_the_trial() -> None:
    def train(trial: tw.Trial) -> None:
        for step in trial.steps(STEPS):
            trial.report(accuracy=min(0.9, 0.1 * step) if step < 8 else 0.1)

    study = run(train, metric="accuracy", mode="max")
    assert study.trials[0].status == "diverged"
    assert study.trials[0].reason == "accuracy has been 0.1 for 8 reports, after 0.7"
    assert replay(study.events).ok
    assert not collapsed("accuracy", [0.1, 0.5, *[0.5] * 12])


def test_a_forged_end_does_not_replay() -> None:
    study = run(training(lambda step: 2.0 / step))
    events = [event for event in study.events if not isinstance(event, Ended)]
    forged = Ended(events[-1].time, 0, tw.Status.DIVERGED, "made up")
    found = replay([*events, forged])
    assert not found.ok
    assert "not beyond hope" in str(found.mismatch)


def test_the_choice_is_stored_and_followed(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    with tw.Study(RATE, "val_loss", name="a", storage=path, seed=0, diagnosis="off") as study:
        assert study.history.settings["diagnosis"] == "off"
    with tw.Study(RATE, "val_loss", name="a", storage=path) as study:
        assert study.history.settings["diagnosis"] == "off"
        assert len(study.events) == 1
    with tw.Study(RATE, "val_loss", name="a", storage=path, diagnosis="stop") as study:
        assert study.history.settings["diagnosis"] == "stop"
    with pytest.raises(ValueError, match='expected diagnosis="off", "stop" or "act", got \'on\''):
        tw.Study(RATE, "val_loss", diagnosis="on")  # type: ignore[arg-type]


def descend(trial: tw.Trial) -> None:
    """Gradient descent on a parabola: it diverges from a learning rate of 2 on."""
    x = 1.0
    for _ in trial.steps(STEPS):
        x -= trial.params["lr"] * x
        trial.report(val_loss=min(x * x, 1e300) + 0.01, train_loss=min(x * x, 1e300) + 0.01)


def test_acting_turns_what_went_wrong_into_a_belief_once_and_a_replay_agrees() -> None:
    space = tw.Space(lr=tw.Float(1e-2, 1e3, scale="log"))
    study = tw.Study(space, "val_loss", sampler="tpe", scheduler="fifo", seed=1, diagnosis="act")
    study.run(descend, trials=14, executor="inline", progress=False)
    (belief,) = [event for event in study.events if isinstance(event, Believed)]
    assert belief.by == "study"
    assert belief.config["lr"] < 2.0
    assert "diverge" in belief.reason
    assert replay(study.events).ok
    assert study.diagnose().shift is not None


def test_a_forged_belief_does_not_replay() -> None:
    study = run(training(lambda step: 2.0 / step), diagnosis="act")
    forged = Believed(study.history.last_time, {"lr": 0.1}, "medium", "study", "made up")
    assert "a belief of the study" in str(replay([*study.events, forged]).mismatch)
